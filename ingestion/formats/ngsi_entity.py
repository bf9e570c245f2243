"""NGSI-LD and NGSIv2: one entity to observations and an asset.

Here: the four shapes of an attribute (normalized, concise, key-values; LD and v2), its instant, its unit. Not here: messages of many
entities (`ngsi`), what describes the asset (`ngsi_asset`).

One pass over decoded JSON, with as few calls as it takes: this is the stream's busiest code.
"""

from __future__ import annotations

from typing import Any, Final

from ingestion.contracts.units import UNITS
from ingestion.formats.ngsi_asset import describe
from ingestion.formats.ngsi_names import (
    ATTRIBUTE_MEMBERS,
    BOOLEAN_TYPES,
    ENTITY_MEASURED,
    ENTITY_WRITTEN,
    METADATA_MEASURED,
    METADATA_MEMBERS,
    METADATA_WRITTEN,
    NOT_PROPERTIES,
    NULL_URI,
    NUMBER_TYPES,
    REASONS,
    UNIT_MEMBERS,
    VALUE_MEMBERS,
)
from ingestion.formats.ngsi_shape import are_instances, compact, is_attribute, plain
from ingestion.formats.wire import ObservationRow, RejectRow, WireBatch, WireOptions
from ingestion.formats.wire_values import conversion, in_lake, instant_of, is_geometry, is_too_long, number_of, to_json

# Objects inside a value become `property.a.b.c`; what lies deeper (no real model goes past two) stays JSON.
FLATTEN_DEPTH: Final = 4
# Past 2^53 a double does not hold every integer: the digits are kept as text beside it.
_EXACT: Final = 2**53
_UNCERTAIN: Final = "uncertain"
_ENTITY_INSTANTS: Final = (*ENTITY_MEASURED, *ENTITY_WRITTEN)
_QUOTED: Final = 120  # characters of a value that a reject's detail repeats; its original has them all


def read_entity(
    entity: dict[str, Any], position: int, batch: WireBatch, *, notified: int | None, received: int | None, options: WireOptions
) -> None:
    """Append what an entity says to the batch: at least one row, or a record reject.

    Args:
        entity: decoded JSON, its personal properties taken out.
        position: of the record.
        batch: what is appended to.
        notified: when the notification was sent, microseconds since 1970, UTC.
        received: when the broker stored the message.
        options: what the feed's contract says.
    """
    ref, kind = entity.get("id", entity.get("@id")), entity.get("type", entity.get("@type"))
    if isinstance(kind, list) and kind and all(isinstance(k, str) for k in kind):
        kind = kind[0]
    problem = None
    if not isinstance(ref, str) or not ref.strip():
        problem = "no_id"
    elif not isinstance(kind, str) or not kind.strip():
        problem = "no_type"
    elif is_too_long(ref) or is_too_long(kind):
        problem = "text_too_long"
    elif NOT_PROPERTIES.issuperset(entity):
        problem = "no_property"
    if problem is not None or not isinstance(ref, str) or not isinstance(kind, str):
        batch.reject(position, problem or "no_id", REASONS[problem or "no_id"], to_json(entity))
        return
    if any("://" in name for name in entity):
        entity = _compacted(entity)
    before = len(batch.observations), len(batch.assets), len(batch.rejects)
    _Reader(ref, position, batch, options).read(entity, compact(kind), notified, received)
    if (len(batch.observations), len(batch.assets)) == before[:2]:
        # Nothing of it is stored: the record is rejected, with its values' reason where they share one.
        lost = batch.rejects[before[2] :]
        del batch.rejects[before[2] :]
        reasons = {r.reason for r in lost}
        reason = reasons.pop() if len(reasons) == 1 else "no_value"
        detail = lost[0].detail if reason != "no_value" else REASONS["no_value"] + "".join(f"; {r.detail}" for r in lost[:3])
        batch.reject(position, reason, detail, to_json(entity))


def _compacted(entity: dict[str, Any]) -> dict[str, Any]:
    """Return an entity whose expanded names (a broker that was given no `@context` writes them) are short, where that is not another's."""
    kept: dict[str, Any] = {}
    for name, value in entity.items():
        short = compact(name)
        is_taken = short in entity or short in kept or short in NOT_PROPERTIES
        kept[name if is_taken else short] = value
    return kept


class _Reader:
    """One entity, while it is read."""

    __slots__ = ("at", "batch", "is_measured", "position", "quality", "ref", "undated", "units")

    def __init__(self, ref: str, position: int, batch: WireBatch, options: WireOptions) -> None:
        self.ref = ref
        self.position = position
        self.batch = batch
        self.units = options.units
        self.at: int | None = None
        self.quality: str | None = None
        self.is_measured = False
        self.undated = ("no_instant", REASONS["no_instant"])

    def read(self, entity: dict[str, Any], kind: str, notified: int | None, received: int | None) -> None:
        used = self.date(entity, notified, received)
        asset, taken, is_lost = describe(self.position, self.ref, kind, entity, self.units)
        if asset is not None:
            self.batch.assets.append(asset)
        if is_lost:
            self.refuse("location", "invalid_geometry", plain(entity["location"]))
        at, quality = self.at, self.quality
        for name, value in entity.items():
            if name in NOT_PROPERTIES or name in used:
                continue
            prop = name if ":" not in name else compact(name)
            if name in taken:
                if taken[name] is not None:
                    self.value(prop, prop, taken[name], at, quality, None)
                if type(value) is dict and len(value) > 2 and not is_geometry(value) and is_attribute(value):  # noqa: PLR2004 - type and value
                    self.members(prop, value, at, quality)
            elif not prop.strip() or is_too_long(prop):
                self.refuse(name, "invalid_attribute", value)
            elif type(value) is dict and is_attribute(value):
                self.attribute(prop, value, at, quality)
            elif type(value) is list and are_instances(value):
                for one in value:
                    self.attribute(prop, one, at, quality)
            else:
                self.value(prop, prop, value, at, quality, None)
        types = entity.get("type", entity.get("@type"))
        if type(types) is list and len(types) > 1:
            self.value("type", "type", types, at, quality, None)

    def date(self, entity: dict[str, Any], notified: int | None, received: int | None) -> set[str]:
        """Find the instant of what states none of its own; return the dates that need no row: they stand in `observed_at`."""
        used: set[str] = set()
        for name in _ENTITY_INSTANTS:
            if name not in entity:
                continue
            stated = plain(entity[name])
            if _is_blank(stated):  # no date
                continue
            at = instant_of(stated)
            if at is None:
                # Another date that the entity states may stand in; the arrival may not: the source said another.
                self.refuse(name, "not_an_instant", stated)
                if self.undated[0] == "no_instant":
                    self.undated = ("not_an_instant", f"{name} {_quoted(stated)} {REASONS['not_an_instant']}")
                used.add(name)
                continue
            self.at = at
            self.is_measured = name in ENTITY_MEASURED
            if "/" not in stated:  # of an interval the row of its text keeps the beginning
                used.add(name)
            return used
        if self.undated[0] == "no_instant":
            self.at = notified if notified is not None else received
            self.quality = None if notified is not None or received is None else _UNCERTAIN
        return used

    def attribute(self, name: str, attribute: dict[str, Any], at: int | None, quality: str | None) -> None:
        """Read an attribute with members; `at` is the instant of what it is part of."""
        get = attribute.get
        metadata = get("metadata")
        if metadata is not None and (type(metadata) is not dict or not metadata):
            metadata = None
        stated = get("observedAt")
        if stated is None and metadata is not None:
            stated = next((metadata[n] for n in METADATA_MEASURED if n in metadata), None)
        if stated is None and not self.is_measured and at == self.at:
            stated = get("modifiedAt")
            if stated is None and metadata is not None:
                stated = next((metadata[n] for n in METADATA_WRITTEN if n in metadata), None)
        if stated is not None:
            measured = instant_of(stated)
            if measured is not None:
                at, quality = measured, None
            elif not _is_blank(plain(stated)):
                # What was measured at an instant that cannot be read is not dated by another one.
                self.refuse(name, "not_an_instant", attribute, f"{name}: {_quoted(plain(stated))} {REASONS['not_an_instant']}")
                return
        unit = get("unitCode")
        if unit is None:
            unit = next((attribute[n] for n in UNIT_MEMBERS if n in attribute), None)
            if unit is None and metadata is not None:
                unit = next((metadata[n] for n in UNIT_MEMBERS if n in metadata), None)
        if type(unit) is dict:
            unit = plain(unit)
        dataset = get("datasetId")
        prop = f"{name}@{dataset}" if type(dataset) is str else name
        if "value" in attribute:
            value = attribute["value"]
            if type(value) is str and not _is_blank(value):
                self.text(prop, name, attribute, at, quality, unit)
            else:
                self.value(prop, name, value, at, quality, unit)
        else:
            self.other_value(name, prop, attribute, at, quality, unit)
        if len(attribute) > 2:  # noqa: PLR2004 - type and value: the commonest attribute has no more
            self.members(prop, attribute, at, quality)

    def text(self, prop: str, name: str, attribute: dict[str, Any], at: int | None, quality: str | None, unit: Any) -> None:
        """Read an attribute whose value is a text, which its type may call a number or a truth value."""
        value, kind = attribute["value"], attribute.get("type")
        if type(kind) is not str:
            kind = ""
        if kind in NUMBER_TYPES:
            number = number_of(value)
            if number is None:
                self.refuse(name, "not_a_number", attribute)
            else:
                self.number(prop, name, number, at, quality, unit)
        elif kind in BOOLEAN_TYPES and value.lower() in ("true", "false"):
            self.value(prop, name, value.lower() == "true", at, quality, unit)
        else:
            self.value(prop, name, value, at, quality, unit)

    def other_value(self, name: str, prop: str, attribute: dict[str, Any], at: int | None, quality: str | None, unit: Any) -> None:
        """Read the value of an attribute that is no plain property."""
        member = next((m for m in VALUE_MEMBERS if m in attribute), None)
        if member is None:
            # `{"type": "Property"}`; or one that holds nothing but other properties.
            if ATTRIBUTE_MEMBERS.issuperset(attribute):
                self.refuse(name, "invalid_attribute", attribute)
            return
        value = attribute[member]
        if member == "json" and value is not None:
            value = to_json(value)
        if member not in {"values", "objects"} or type(value) is not list:
            self.value(prop, name, value, at, quality, unit)
            return
        for pair in value:  # the temporal form [[value, instant], …]
            if type(pair) is not list or len(pair) != 2:  # noqa: PLR2004 - value and instant
                self.value(prop, name, pair, at, quality, unit)
                continue
            moment = instant_of(pair[1])
            if moment is None:
                self.refuse(name, "not_an_instant", pair)
            else:
                self.value(prop, name, pair[0], moment, None, unit)

    def members(self, prop: str, attribute: dict[str, Any], at: int | None, quality: str | None) -> None:
        """Read the properties of a property: `property.member`."""
        metadata = attribute.get("metadata")
        for members, known in ((attribute, ATTRIBUTE_MEMBERS), (metadata, METADATA_MEMBERS)):
            if type(members) is not dict or known.issuperset(members):
                continue
            for name, member in members.items():
                if name in known:
                    continue
                inner = f"{prop}.{compact(name)}"
                if type(member) is dict and is_attribute(member):
                    self.attribute(inner, member, at, quality)
                else:
                    self.value(inner, inner, member, at, quality, None)

    def value(self, prop: str, name: str, value: Any, at: int | None, quality: str | None, unit: Any, depth: int = 0) -> None:
        """Append a value's observation, or those of its parts. `name` is the attribute that it is the value of."""
        kind = type(value)
        if kind is float or kind is int:
            self.number(prop, name, value, at, quality, unit)
        elif kind is str:
            if value == NULL_URI:
                self.refuse(prop, "deleted", value)
            elif not _is_blank(value):  # an empty text is no value, as everywhere; IoT agents write " " for one
                self.keep(prop, at, None, value, None, quality)
        elif kind is bool:
            self.keep(prop, at, float(value), "true" if value else "false", None, quality)
        elif kind is dict and "@value" in value:
            self.value(prop, name, value["@value"], at, quality, unit, depth + 1)
        elif kind is dict and depth < FLATTEN_DEPTH and not is_geometry(value):
            for key, part in value.items():
                self.value(f"{prop}.{compact(key)}", name, part, at, quality, unit, depth + 1)
        elif value:  # arrays, geometries, what is nested deeper; empty ones and null are no value
            self.keep(prop, at, None, to_json(value), None, quality)

    def number(self, prop: str, name: str, value: float, at: int | None, quality: str | None, unit: Any) -> None:
        """Append a number's observation, in the lake's unit."""
        how = None
        if unit is None or unit == "":
            if self.units:
                how = UNITS.get(self.units.get(prop) or self.units.get(name, ""))
        else:
            how = conversion(unit)
            if how is None:
                stated = {"value": value, "unitCode": unit}
                self.refuse(prop, "unknown_unit", stated, f"{prop}: {_quoted(unit)} {REASONS['unknown_unit']}")
                return
        number = in_lake(value, how)
        if number is None:
            self.refuse(prop, "not_a_number", value)
            return
        text = str(value) if type(value) is int and not -_EXACT <= value <= _EXACT else None
        self.keep(prop, at, number, text, how.canonical if how is not None else None, quality)

    def keep(self, prop: str, at: int | None, number: float | None, text: str | None, unit: str | None, quality: str | None) -> None:
        """Append an observation, if it is dated."""
        if at is None:
            self.refuse(prop, self.undated[0], number if text is None else text, f"{prop}: {self.undated[1]}")
        elif (text is not None and is_too_long(text)) or is_too_long(prop):
            self.refuse(prop[:_QUOTED], "text_too_long", text)
        else:
            self.batch.observations.append(ObservationRow(self.position, self.ref, prop, at, number, text, unit, quality))

    def refuse(self, prop: str, reason: str, original: Any, detail: str | None = None) -> None:
        """Set a value aside."""
        shown = detail or f"{prop}: {_quoted(original)}: {REASONS[reason]}"
        self.batch.rejects.append(RejectRow(self.position, "value", reason, shown, to_json({prop: original})))


def _is_blank(value: Any) -> bool:
    return value is None or (type(value) is str and (not value or value.isspace()))


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else to_json(value)
    return f"“{text[:_QUOTED]}…”" if len(text) > _QUOTED else f"“{text}”"
