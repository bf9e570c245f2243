"""Reports, calls and work orders as records: each change of one is sent anew, with all that is known by then.

Here: the JSON of each system, the canonical row it must become, when it is sent. Not here: what happens (`papers`), sending.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from ingestion.simulator import behaviour as b
from ingestion.simulator.chance import uniform
from ingestion.simulator.clock import DAY, local_text, utc_text
from ingestion.simulator.papers import CALLS_FEED, ORDERS_FEED, Order, Report
from ingestion.simulator.world import World

# How the workshop's system names the faults of the referential (the words of a command post's contract).
FAULT_WORDS: Final = {
    "lamp-out": "Lampe - Éteinte",
    "lamp-flickering": "Lampe - Clignote",
    "cabinet-dark": "Armoire au noir",
    "street-on-by-day": "Rue allumée de jour",
}
_KINDS: Final = {"curative": "CURA", "preventive": "PREV"}
_CALL_STATES: Final = {"open": "reçu", "in_progress": "pris en charge", "closed": "clos", "rejected": "sans suite"}
_ORDER_STATES: Final = {
    "asked": "ASKED",
    "accepted": "ACCEPTED",
    "in_progress": "IN_PROGRESS",
    "done": "DONE",
    "cancelled": "CANCELED",
}
_SERVICE_CODES: Final = {
    "Éclairage public": "EP",
    "Propreté": "PRO",
    "Voirie": "VOI",
    "Espaces verts": "EV",
    "Stationnement": "STA",
    "Eau et assainissement": "EAU",
    "Renseignement": "REN",
}


@dataclass(frozen=True)
class Sent:
    """A record as it is sent once: when (seconds since 1970), by which feed, its JSON, and the row of the contract it says.

    Instants in `row` are seconds since 1970.
    """

    at: int
    feed: str
    ref: str
    message: dict[str, Any]
    row: dict[str, Any]


class Records:
    """The records of a world, by the UTC day they are sent."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sent = lru_cache(maxsize=3)(self._sent_day)

    def windows(self, start: int, end: int) -> Iterator[list[Sent]]:
        """Yield what is sent in [start, end), UTC day by UTC day, in order."""
        for day in range(start // DAY, (end - 1) // DAY + 1):
            yield [s for s in self._sent(day) if start <= s.at < end]

    def _sent_day(self, day: int) -> list[Sent]:
        start, end = day * DAY, (day + 1) * DAY
        # What changed before midnight may be sent after it.
        margin = b.RECORD_LATENCY + b.RECORD_LATE_MOST + b.RECORD_TWICE_WITHIN
        reports, orders = self._world.papers(start - margin, end)
        found = [s for report in reports for s in self._report(report, start, end)]
        found += [s for order in orders for s in self._order(order, start, end)]
        return sorted(found, key=lambda s: (s.at, s.feed, s.ref, s.row["revised_at"]))

    def _report(self, report: Report, start: int, end: int) -> Iterator[Sent]:
        for at in report.changes:
            times = [t for t in self._times(report.ref, at) if start <= t < end]
            if times:
                row = report_row(report, at)
                message = _call(report, row) if report.feed == CALLS_FEED else _request(report, row)
                if report.feed == CALLS_FEED:
                    row = {**row, "description": None}  # what was said on the telephone is personal: it is in no row
                for t in times:
                    yield Sent(t, report.feed, report.ref, message, row)

    def _order(self, order: Order, start: int, end: int) -> Iterator[Sent]:
        for at in order.changes:
            times = [t for t in self._times(order.ref, at) if start <= t < end]
            if times:
                row = order_row(order, at)
                message = _intervention(row)
                for t in times:
                    yield Sent(t, ORDERS_FEED, order.ref, message, row)

    def _times(self, ref: str, changed: int) -> list[int]:
        """Return when a change is sent: late where the system was offline, twice where its answer was lost."""
        late = uniform(self._world.seed, ref, changed, "late")
        at = changed + b.RECORD_LATENCY + (int(late / b.RECORD_LATE * b.RECORD_LATE_MOST) if late < b.RECORD_LATE else 0)
        twice = uniform(self._world.seed, ref, changed, "twice")
        return [at] if twice >= b.RECORD_TWICE else [at, at + 30 + int(twice / b.RECORD_TWICE * (b.RECORD_TWICE_WITHIN - 30))]


def _known(step: int | None, at: int) -> int | None:
    return step if step is not None and step <= at else None


def report_row(report: Report, at: int) -> dict[str, Any]:
    """Return a report as the contract has it, as it is known at an instant (one at which it changed)."""
    closed, acknowledged = _known(report.closed, at), _known(report.acknowledged, at)
    status = "open"
    if closed is not None:
        status = "rejected" if report.is_rejected else "closed"
    elif acknowledged is not None:
        status = "in_progress"
    return {
        "report_ref": report.ref,
        "channel": report.channel,
        "category": report.category,
        "subcategory": report.subcategory,
        "description": report.description,
        "opened_at": report.opened,
        "closed_at": closed,
        "acknowledged_at": acknowledged,
        "status": status,
        "commune": report.place.commune,
        "district": None,
        "street": report.place.street,
        "longitude": report.place.longitude,
        "latitude": report.place.latitude,
        "asset_ref": report.asset_ref,
        # The desk sees that it is the same fault when it reads the report.
        "duplicate_of": report.duplicate_of if acknowledged is not None else None,
        "owner_authority": report.authority,
        "revised_at": at,
    }


def order_row(order: Order, at: int) -> dict[str, Any]:
    """Return a work order as the contract has it, as it is known at an instant (one at which it changed)."""
    steps = {n: _known(getattr(order, n), at) for n in ("acknowledged", "dispatched", "arrived", "made_safe", "restored", "cancelled")}
    status = "asked"
    if steps["cancelled"] is not None:
        status = "cancelled"
    elif steps["restored"] is not None:
        status = "done"
    elif steps["dispatched"] is not None:
        status = "in_progress"
    elif steps["acknowledged"] is not None:
        status = "accepted"
    return {
        "intervention_ref": order.ref,
        "asset_ref": order.asset_ref,
        "report_ref": order.report_ref if _known(order.linked, at) is not None else None,
        "fault_type": order.fault_type,
        "kind": order.kind,
        "requested_at": order.requested,
        "acknowledged_at": steps["acknowledged"],
        "dispatched_at": steps["dispatched"],
        "arrived_at": steps["arrived"],
        "made_safe_at": steps["made_safe"],
        "restored_at": steps["restored"],
        "suspended_minutes": float(order.suspended_minutes) if steps["restored"] is not None else 0.0,
        "status": status,
        "crew": order.crew,
        "description": order.description,
        "commune": order.place.commune,
        "street": order.place.street,
        "longitude": order.place.longitude,
        "latitude": order.place.latitude,
        "owner_authority": order.authority,
        "revised_at": at,
    }


def _utc(at: int | None) -> str | None:
    return None if at is None else utc_text(at)


def _local(at: int | None) -> str | None:
    return None if at is None else local_text(at)


def _request(report: Report, row: dict[str, Any]) -> dict[str, Any]:
    """Return a report as an Open311 GeoReport v2 service request, with the attributes it lacks beside it."""
    return {
        "service_request_id": report.ref,
        "status": "closed" if row["closed_at"] is not None else "open",
        "status_notes": "Rien constaté sur place." if row["status"] == "rejected" else None,
        "service_name": report.subcategory,
        "service_code": _SERVICE_CODES[report.category],
        "description": report.description,
        "agency_responsible": report.authority,
        "service_notice": None,
        "requested_datetime": _utc(row["opened_at"]),
        "updated_datetime": _utc(row["revised_at"]),
        "expected_datetime": None,
        "address": f"{report.place.street}, {report.place.commune}",
        "address_id": None,
        "zipcode": None,
        "lat": report.place.latitude,
        "long": report.place.longitude,
        "media_url": None,
        "extended_attributes": {
            "group": report.category,
            "channel": report.channel,
            "state": row["status"],
            "street": report.place.street,
            "commune": report.place.commune,
            "equipment": report.asset_ref,
            "duplicate_of": row["duplicate_of"],
            "acknowledged_datetime": _utc(row["acknowledged_at"]),
            "closed_datetime": _utc(row["closed_at"]),
        },
    }


def _call(report: Report, row: dict[str, Any]) -> dict[str, Any]:
    """Return a call as the switchboard's log has it: French keys, local times with their offset, who called."""
    return {
        "appel": report.ref,
        "recu": _local(row["opened_at"]),
        "categorie": report.category,
        "objet": report.subcategory,
        "commentaire": f"{report.caller} : {report.description}",
        "appelant": report.caller,
        "telephone": report.telephone,
        "commune": report.place.commune,
        "rue": report.place.street,
        "lat": report.place.latitude,
        "lon": report.place.longitude,
        "equipement": report.asset_ref,
        "gestionnaire": report.authority,
        "etat": _CALL_STATES[row["status"]],
        "pris_en_charge": _local(row["acknowledged_at"]),
        "clos": _local(row["closed_at"]),
        "doublon_de": row["duplicate_of"],
        "modifie": _local(row["revised_at"]),
    }


def _intervention(row: dict[str, Any]) -> dict[str, Any]:
    """Return a work order as hypervisors of command posts exchange them, with every step's date."""
    return {
        "id": row["intervention_ref"],
        "equipment": row["asset_ref"],
        "creationDate": _utc(row["requested_at"]),
        "lastModificationDate": _utc(row["revised_at"]),
        "startDate": _utc(row["dispatched_at"]),
        "endDate": _utc(row["restored_at"]),
        "domain": "EP",
        "status": _ORDER_STATES[row["status"]],
        "category": _KINDS[row["kind"]],
        "type": None if row["fault_type"] is None else FAULT_WORDS[row["fault_type"]],
        "request": row["report_ref"],
        "acknowledgementDate": _utc(row["acknowledged_at"]),
        "arrivalDate": _utc(row["arrived_at"]),
        "safetyDate": _utc(row["made_safe_at"]),
        "suspendedMinutes": row["suspended_minutes"],
        "crew": row["crew"],
        "description": row["description"],
        "city": row["commune"],
        "street": row["street"],
        "lat": row["latitude"],
        "lon": row["longitude"],
        "owner": row["owner_authority"],
    }
