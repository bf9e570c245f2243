"""Provoly: one work order to one intervention, one piece of equipment to one asset.

Here: which member fills which column, and what makes a record unusable. Not here: where records stand in a message (`provoly`).
"""

from __future__ import annotations

from typing import Any, Final

from ingestion.formats import wire_record
from ingestion.formats.wire import AssetRow, InterventionRow, WireBatch, WireOptions
from ingestion.formats.wire_record import Aside, Refused, instant_or_aside, no_instant, read_record, text_of
from ingestion.formats.wire_values import NoGeometry, located, to_json

REASONS: Final[dict[str, str]] = {
    **wire_record.REASONS,
    "too_many": "more than one message may hold",
    "empty": "the message holds no record",
    "not_a_record": "the record is no object with members",
    "event": "an event of the supervision: neither a work order nor equipment",
    "unknown_kind": "neither a work order (creationDate, status, category) nor equipment (family, entity, code)",
    "no_id": "the record has no identifier",
    "no_instant": "the work order has no creationDate: when it was asked for is not known",
    "unknown_category": "is neither PREV (preventive) nor CURA (curative)",
}
_KINDS: Final = {"PREV": "preventive", "CURA": "curative"}
# From these states on the dates of work are facts, when they are not after the record's last change.
_STARTED: Final = frozenset({"IN_PROGRESS", "DONE"})
_DONE: Final = "DONE"
# How equipment is called, the name that orders use for it first.
_REFS: Final = ("code", "name", "externalId", "id")


def read_order(order: dict[str, Any], position: int, batch: WireBatch, options: WireOptions) -> None:
    """Append the intervention of one work order, or why there is none; personal members are out of it already."""
    read_record(order, position, batch, batch.interventions, lambda aside: _intervention(order, position, aside, options.time_zone))


def read_equipment(equipment: dict[str, Any], position: int, batch: WireBatch, options: WireOptions) -> None:
    """Append the asset of one piece of equipment, or why there is none; personal members are out of it already."""
    read_record(equipment, position, batch, batch.assets, lambda aside: _asset(equipment, position, aside, options.time_zone))


def _intervention(order: dict[str, Any], position: int, aside: Aside, zone: str) -> InterventionRow:
    # What is sent (`ServiceWriteDto`) has the maintenance system's number as id; what is read back, an id of Provoly's own beside it.
    ref = text_of(order, "externalId", aside) or text_of(order, "id", aside)
    if ref is None:
        raise Refused("no_id", REASONS["no_id"])
    if order.get("creationDate") in (None, ""):
        raise Refused("no_instant", REASONS["no_instant"])
    dates = {name: instant_or_aside(order, name, zone, aside) for name in ("lastModificationDate", "startDate", "endDate", "closeDate")}
    requested = instant_or_aside(order, "creationDate", zone, [])
    if requested is None:
        raise Refused(*no_instant("creationDate", order["creationDate"]))
    status, category = text_of(order, "status", aside), text_of(order, "category", aside)
    if category is not None and category.upper() not in _KINDS:
        aside.append(("unknown_category", f"category {category[:40]!r} {REASONS['unknown_category']}"))
    revised, state = dates["lastModificationDate"], (status or "").upper()
    restored = (dates["closeDate"] or _fact(dates["endDate"], revised)) if state == _DONE else None
    return InterventionRow(
        position,
        ref,
        asset_ref=_ref_of(order.get("equipment"), "equipment", aside),
        kind=_KINDS.get(category.upper()) if category is not None else None,
        requested_at=requested,
        arrived_at=_fact(dates["startDate"], revised) if state in _STARTED else None,
        restored_at=restored,
        status=status,
        description=_described(order, aside),
        owner_authority=_named(order.get("entity"), "entity", aside),
        revised_at=revised,
    )


def _fact(date: int | None, revised: int | None) -> int | None:
    """Return a date of work where it can have happened: one after the record's last change was only planned when it was written."""
    return date if date is not None and revised is not None and date <= revised else None


def _described(order: dict[str, Any], aside: Aside) -> str | None:
    """Return what an order is about: its type of request in the source's own words, its name, its description."""
    parts = [_named(order.get("type"), "type", aside), text_of(order, "name", aside), text_of(order, "description", aside)]
    return " — ".join(dict.fromkeys(p for p in parts if p is not None)) or None


def _asset(equipment: dict[str, Any], position: int, aside: Aside, zone: str) -> AssetRow:
    ref = _ref_of(equipment, "id", aside)
    if ref is None:
        raise Refused("no_id", REASONS["no_id"])
    kind = _named(equipment.get("family"), "family", aside) or _named(equipment.get("type"), "type", aside)
    if kind is None:
        raise Refused("unknown_kind", f"equipment without family or type: {REASONS['unknown_kind']}")
    longitude, latitude, geometry = _location(equipment, aside)
    external = text_of(equipment, "externalId", aside)
    return AssetRow(
        position,
        ref,
        kind,
        parent_ref=_ref_of(equipment.get("parent"), "parent", aside),
        name=text_of(equipment, "name", aside),
        commune=_named(equipment.get("city"), "city", aside),
        street=text_of(equipment, "address", aside),
        longitude=longitude,
        latitude=latitude,
        geometry=geometry,
        status=text_of(equipment, "status", aside),
        owner_authority=_named(equipment.get("entity"), "entity", aside),
        identity=external if external is not None and external != ref else None,
        effective_at=instant_or_aside(equipment, "lastModificationDate", zone, aside),
    )


def _location(equipment: dict[str, Any], aside: Aside) -> tuple[float | None, float | None, str | None]:
    where: Any = next((equipment[name] for name in ("location", "geometry", "geom") if equipment.get(name) is not None), None)
    if where is None and (equipment.get("longitude") is not None or equipment.get("latitude") is not None):
        where = {"type": "Point", "coordinates": [equipment.get("longitude"), equipment.get("latitude")]}
    if where is None:
        return None, None, None
    try:
        return located(where)
    except NoGeometry:
        aside.append(("invalid_position", f"{to_json(where)[:100]} {REASONS['invalid_position']}"))
        return None, None, None


def _ref_of(equipment: Any, name: str, aside: Aside) -> str | None:
    """Return the code of equipment, written as it is or as an object with code, name and identifiers."""
    if type(equipment) is dict:
        return next((ref for ref in (text_of(equipment, n, aside) for n in _REFS) if ref is not None), None)
    return text_of({name: equipment}, name, aside)


def _named(value: Any, name: str, aside: Aside) -> str | None:
    """Return what something is called, written as it is or as an object with name and code."""
    if type(value) is dict:
        return text_of(value, "name", aside) or text_of(value, "code", aside)
    return text_of({name: value}, name, aside)
