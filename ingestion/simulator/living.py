"""Requests about the living environment (bins, graffiti, potholes, branches), behind an Open311 GeoReport v2 service.

Here: the requests and their course, the answers of the service. Not here: reports about lighting and calls (`routine`, `records`).

The service is asked for what changed since the last time (`updated_after`, of the draft of v2.1): between two questions only the last
state of a request is seen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from ingestion.simulator.asked import Answer, Question, refuse, rows_table, to_json
from ingestion.simulator.chance import generator, lognormal, poisson, uniform
from ingestion.simulator.clock import DAY, HOUR, MINUTE, add_open, at_local, is_working, local_date, local_text, seconds
from ingestion.simulator.presets import STREET_KINDS, STREET_NAMES
from ingestion.simulator.systems import Message, Scene
from ingestion.simulator.world import World

FEED: Final = "sim-demandes"
ASKED_EVERY: Final = 30 * MINUTE
_PATH: Final = "open311/v2/requests.json"
# A fifth as many as the territory's other reports and calls: most people still telephone.
_SHARE: Final = 0.2
_OTHER_DAYS: Final = 0.5  # of those of working days
# From seven in the morning to ten in the evening.
_FIRST_HOUR: Final = 7
_HOURS: Final = 15
# Opening hours of the services (median, spread of the logarithm, most): some hours to look at it, two days of work to do it.
_LOOKED_AT: Final = (3.0 * HOUR, 0.8, 20.0 * HOUR)
_DONE: Final = (14.0 * HOUR, 0.7, 60.0 * HOUR)
# 80 opening hours are nine working days: no request is open longer than three weeks, with the holidays of a year's end.
LONGEST: Final = 24 * DAY
_PAGE: Final = 50
_PAGE_MOST: Final = 500
_STORM_TIMES: Final = 12.0  # as many requests in the day of a storm's worst hours, nearly all of them branches


@dataclass(frozen=True)
class Service:
    """What may be asked for: code, name, group, how often (any unit)."""

    code: str
    name: str
    group: str
    weight: float


SERVICES: Final = (
    Service("PRO-DEP", "Dépôt sauvage", "Propreté", 24),
    Service("PRO-BAC", "Conteneur plein", "Propreté", 20),
    Service("PRO-TAG", "Tag ou graffiti", "Propreté", 12),
    Service("VOI-NID", "Nid-de-poule", "Voirie", 18),
    Service("VOI-TRO", "Trottoir dégradé", "Voirie", 12),
    Service("EV-BRA", "Arbre ou branche tombée", "Espaces verts", 6),
    Service("VOI-MOB", "Mobilier urbain abîmé", "Voirie", 8),
)
_BRANCHES: Final = next(n for n, s in enumerate(SERVICES) if s.code == "EV-BRA")


@dataclass(frozen=True)
class Request:
    """A request: its number, what is asked for, where, and when it was opened, looked at and closed (seconds since 1970)."""

    ref: str
    service: Service
    commune: str
    street: str
    longitude: float
    latitude: float
    authority: str
    channel: str
    opened: int
    looked_at: int
    closed: int

    def changed(self, now: int) -> int:
        """Return when it last changed, at an instant from its opening on."""
        return max(t for t in (self.opened, self.looked_at, self.closed) if t <= now)


class Living:
    """Feed `sim-demandes`: Open311 GeoReport v2 service requests."""

    feed = FEED
    contract = "report"
    every = ASKED_EVERY

    def __init__(self, world: World) -> None:
        self._world = world
        self._opened_on = lru_cache(maxsize=60)(self._draw)

    def inventory(self) -> list[dict[str, object]]:
        """Return nothing: it is about places."""
        return []

    def messages(self, start: int, end: int) -> Iterator[Message]:
        """Yield nothing: it is asked."""
        del start, end
        return iter(())

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield nothing: what people ask for is no equipment."""
        del start, end
        return iter(())

    def _draw(self, day: dt.date) -> tuple[Request, ...]:
        """Return the requests opened on a local day, in the order they are."""
        world = self._world
        # What a storm brings comes after its worst: nothing of a day that is over changes when one is added.
        storms = [s for s in world.scenarios.all if s.name == "storm" and local_date(s.phase("calming")[0]) == day]
        mean = world.preset.reports_per_day * _SHARE * (1.0 if is_working(day) else _OTHER_DAYS)
        usual = poisson(uniform(world.seed, "requests", day.toordinal()), mean)
        found = [self._one(day, n, None) for n in range(usual)]
        for storm in storms:
            found += [self._one(day, usual + n, storm.phase("calming")[0]) for n in range(max(1, round(mean * _STORM_TIMES)))]
        return tuple(sorted(found, key=lambda r: (r.opened, r.ref)))

    def _one(self, day: dt.date, number: int, after: int | None) -> Request:
        """Return one request: of everyday life, or of a storm that calms from an instant on."""
        world = self._world
        chance = generator(world.seed, "request", day.toordinal(), number)
        u = chance.random(9)
        opened = at_local(day, _FIRST_HOUR) + int(u[0] * _HOURS * HOUR) if after is None else after + int(u[0] * 10 * HOUR)
        weights = [s.weight for s in SERVICES]
        pick, kind = u[1] * sum(weights), 0
        while pick >= weights[kind]:
            pick -= weights[kind]
            kind += 1
        communes = world.preset.communes
        commune = communes[int(chance.choice(len(communes), p=[c.weight / sum(x.weight for x in communes) for c in communes]))]
        reach = commune.reach_km / 111.2
        looked_at = add_open(opened, min(lognormal(float(u[4]), *_LOOKED_AT[:2]), _LOOKED_AT[2]))
        return Request(
            ref=f"DEM-{day:%Y%m%d}-{number + 1:04d}",
            service=SERVICES[kind if after is None else _BRANCHES],
            commune=commune.name,
            street=f"{1 + int(u[7] * 90)} {STREET_KINDS[int(u[5] * len(STREET_KINDS))]} {STREET_NAMES[int(u[6] * len(STREET_NAMES))]}",
            longitude=round(commune.longitude + reach * (2 * float(u[2]) - 1), 6),
            latitude=round(commune.latitude + 0.7 * reach * (2 * float(u[3]) - 1), 6),
            authority=world.preset.authority,
            channel="application" if u[8] < 0.8 else "website",  # noqa: PLR2004 - four in five use the telephone in their hand
            opened=opened,
            looked_at=looked_at,
            closed=add_open(looked_at, min(lognormal(float(chance.random()), *_DONE[:2]), _DONE[2])),
        )

    def _changed(self, since: int, now: int) -> list[Request]:
        """Return the requests whose last change as of an instant came after another, in the order of these changes."""
        first, last = local_date(since - LONGEST), local_date(now)
        days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
        found = [r for day in days for r in self._opened_on(day) if r.opened <= now and since < r.changed(now)]
        return sorted(found, key=lambda r: (r.changed(now), r.ref))

    def tables(self, start: int, end: int) -> Iterator[pa.Table]:
        """Yield the rows of what changed since the question before, at each instant of [start, end) at which the contract asks."""
        for day in range(start // DAY, (end - 1) // DAY + 1):
            since, until = max(start, day * DAY), min(end, (day + 1) * DAY)
            asked_at = range(-(-since // ASKED_EVERY) * ASKED_EVERY, until, ASKED_EVERY)
            yield rows_table(self.contract, [_row(r, at) for at in asked_at for r in self._changed(at - ASKED_EVERY, at)])

    # --- asked

    def answer(self, question: Question) -> Answer | None:
        """Return a page of requests; past the last one, an empty list."""
        if question.path != _PATH:
            return None
        query, now = question.query, question.now
        since, until = _instant(query.get("updated_after")), _instant(query.get("updated_before"))
        page, size = query.get("page", "1"), query.get("page_size", str(_PAGE))
        if (since is None and "updated_after" in query) or (until is None and "updated_before" in query):
            return refuse("updated_after, updated_before: ISO 8601")
        if not page.isdigit() or not size.isdigit() or int(page) < 1 or not 1 <= int(size) <= _PAGE_MOST:
            return refuse(f"page from 1, page_size from 1 to {_PAGE_MOST}")
        # Without a date the service gives what changed in the last days, as the norm says of `start_date`.
        found = self._changed(now - 90 * DAY if since is None else max(since, now - 90 * DAY), now)
        if until is not None:
            found = [r for r in found if r.changed(now) <= until]
        first = (int(page) - 1) * int(size)
        return Answer(to_json([_document(r, now) for r in found[first : first + int(size)]]))


def _document(r: Request, now: int) -> dict[str, Any]:
    is_closed = r.closed <= now
    notes = "Traité." if is_closed else "Pris en charge." if r.looked_at <= now else ""
    return {
        "service_request_id": r.ref,
        "status": "closed" if is_closed else "open",
        "status_notes": notes,
        "service_name": r.service.name,
        "service_code": r.service.code,
        "agency_responsible": r.authority,
        "requested_datetime": local_text(r.opened),
        "updated_datetime": local_text(r.changed(now)),
        "address": r.street,
        "lat": r.latitude,
        "long": r.longitude,
        "extended_attributes": {"commune": r.commune, "channel": r.channel, "group": r.service.group},
    }


def _row(r: Request, now: int) -> dict[str, object]:
    """Return what a request becomes, as it stands at an instant."""
    is_closed = r.closed <= now
    return {
        "report_ref": r.ref,
        "channel": r.channel,
        "category": r.service.name,
        "opened_at": r.opened,
        "closed_at": r.closed if is_closed else None,
        "status": "closed" if is_closed else "open",
        "commune": r.commune,
        "street": r.street,
        "longitude": r.longitude,
        "latitude": r.latitude,
        "owner_authority": r.authority,
        "revised_at": r.changed(now),
    }


def _instant(text: str | None) -> int | None:
    try:
        at = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return seconds(at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC))
