"""OGC SensorThings: what a Datastream, a MultiDatastream and their Thing say of the observations.

Here: the asset, the property and the unit of a datastream's results; the asset's row. Not here: results (`sensorthings_series`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from ingestion.contracts.units import UNITS, Conversion
from ingestion.formats.ngsi_names import IDENTITIES
from ingestion.formats.sensorthings_names import COUNT, MEASURED, NoUnit, unit_of
from ingestion.formats.wire import AssetRow, WireOptions
from ingestion.formats.wire_values import NoGeometry, is_too_long, located

ID: Final = "@iot.id"
# `…/Datastreams(12)`, `v1.1/Datastreams('abc')/Observations`, a file called so.
_STREAM: Final = re.compile(r"\b((?:Multi)?Datastreams)\(('[^')]*'|[^')]+)\)")
_THING: Final = re.compile(r"\b(Things\((?:'[^')]*'|[^')]+)\))$")
_GEOJSON: Final = "geo+json"


@dataclass(frozen=True)
class Part:
    """One property that a datastream observes.

    Attributes:
        property: its name.
        how: how its numbers convert to the lake's unit.
        problem: why they cannot be stored, where the unit is not known.
        is_measured: whether its type says that results are numbers.
        reads_text: whether a text that is a number is one: its type says so, or the contract states a unit and nothing says a type.
    """

    property: str
    how: Conversion | None
    problem: str | None
    is_measured: bool
    reads_text: bool


@dataclass(frozen=True)
class Stream:
    """Where a datastream's observations belong.

    Attributes:
        ref: the datastream, as in a URL: `Datastreams(1)`.
        asset_ref: its Thing where it is known, else itself.
        parts: what it observes: one property, or those of a MultiDatastream; empty when that is not known.
        is_multi: whether results are lists.
    """

    ref: str
    asset_ref: str
    parts: tuple[Part, ...]
    is_multi: bool


def ref_of(kind: str, entity_id: Any) -> str | None:
    """Return how a URL writes an entity: `Things(1)`, `Things('abc')`; None when the identifier is none.

    >>> ref_of("Things", 1), ref_of("Things", "abc"), ref_of("Things", None)
    ('Things(1)', "Things('abc')", None)
    """
    if type(entity_id) is int:
        return f"{kind}({entity_id})"
    return f"{kind}('{entity_id}')" if type(entity_id) is str and entity_id.strip() and not is_too_long(entity_id) else None


def stream_named(text: str | None) -> str | None:
    """Return the datastream that a topic, a link or a file's name tells.

    >>> stream_named("v1.1/Datastreams(1)/Observations"), stream_named("Observations(1)/Datastream")
    ('Datastreams(1)', None)
    """
    found = _STREAM.search(text) if text is not None else None
    return found[0] if found is not None else None


def stream_of(ref: str, said: dict[str, Any], options: WireOptions) -> Stream:
    """Return where the observations of a datastream belong.

    Args:
        ref: the datastream, as in a URL.
        said: what the message says of it, empty when nothing.
        options: `units` may name the datastream itself, or the property.
    """
    is_multi = ref.startswith("Multi")
    thing = thing_of(said)
    if not is_multi:
        observed = said.get("ObservedProperty")
        name = _name(observed) or _name(said) or ref
        parts: tuple[Part, ...] = (_part(ref, name, said.get("unitOfMeasurement"), said.get("observationType"), options),)
    else:
        units = said.get("unitOfMeasurements")
        kinds = said.get("multiObservationDataTypes")
        many = said.get("ObservedProperties")
        names = [_name(one) for one in many] if isinstance(many, list) else []
        parts = tuple(
            _part(
                f"{ref}.{n}",
                (names[n - 1] if len(names) >= n else None) or f"{_name(said) or ref}.{n}",
                unit,
                kinds[n - 1] if isinstance(kinds, list) and len(kinds) >= n else None,
                options,
            )
            for n, unit in enumerate(units if isinstance(units, list) else (), start=1)
        )
    return Stream(ref, thing or ref, parts, is_multi)


def unknown_part(ref: str, number: int, options: WireOptions) -> Part:
    """Return a part of a MultiDatastream of which the message says nothing: `MultiDatastreams(1).2`."""
    return _part(f"{ref}.{number}", f"{ref}.{number}", None, None, options)


def _part(ref: str, name: str, unit: Any, kind: Any, options: WireOptions) -> Part:
    kind = kind.rpartition("/")[2] if isinstance(kind, str) else ""
    # A contract that names the datastream tells two sensors of one property apart: the name is kept for it.
    prop = ref if ref in options.units else name
    declared = UNITS.get(options.units.get(ref) or options.units.get(name, ""))
    problem = None
    try:
        how = unit_of(unit) or declared
    except NoUnit as error:
        how, problem = declared, str(error) if declared is None else None
    if how is None and problem is None:
        how = UNITS["{count}"] if kind == COUNT else None
        problem = "no_unit" if how is None else None
    is_measured = kind in MEASURED
    return Part(prop, how, problem, is_measured, is_measured or (not kind and declared is not None))


def thing_of(said: dict[str, Any]) -> str | None:
    """Return the Thing that a datastream's description tells."""
    thing = said.get("Thing")
    if isinstance(thing, dict):
        return ref_of("Things", thing.get(ID))
    link = said.get("Thing@iot.navigationLink")
    found = _THING.search(link) if isinstance(link, str) else None
    return found[1] if found is not None else None


def _name(entity: Any) -> str | None:
    name = entity.get("name") if isinstance(entity, dict) else None
    return name.strip() if isinstance(name, str) and name.strip() and not is_too_long(name) else None


def thing_row(position: int, thing: dict[str, Any], where: Any = None) -> tuple[AssetRow | None, bool]:
    """Return the row of a Thing, None when nothing describes it; and whether its location cannot be read."""
    ref = ref_of("Things", thing.get(ID))
    said = thing.get("properties")
    properties = said if isinstance(said, dict) else {}
    places = thing.get("Locations")
    if isinstance(places, list) and places and isinstance(places[0], dict):
        where = places[0]
    if ref is None:
        return None, False
    kind = properties.get("type")
    identity = next((str(properties[n]) for n in IDENTITIES if isinstance(properties.get(n), str | int)), None)
    return described(position, ref, kind if isinstance(kind, str) and kind.strip() else "Thing", _name(thing), where, identity=identity)


def described(
    position: int, ref: str, kind: str, name: str | None, where: Any, *, parent_ref: str | None = None, identity: str | None = None
) -> tuple[AssetRow | None, bool]:
    """Return the asset's row, None when nothing describes it; and whether its location cannot be read.

    `where` is a Location or a FeatureOfInterest: GeoJSON, a geometry or a Feature; other encodings are not read.
    """
    longitude = latitude = geometry = None
    is_lost = False
    shape = where.get("location", where.get("feature")) if isinstance(where, dict) else None
    encoding = where.get("encodingType", _GEOJSON) if isinstance(where, dict) else None
    if shape is not None and isinstance(encoding, str) and _GEOJSON in encoding:
        if isinstance(shape, dict) and shape.get("type") == "Feature":
            shape = shape.get("geometry")  # null: unlocated, as GeoJSON allows
        try:
            if isinstance(shape, dict):
                longitude, latitude, geometry = located(shape)
            else:
                is_lost = shape is not None
        except NoGeometry:
            is_lost = True
    if name is None and longitude is None and parent_ref is None and identity is None:
        return None, is_lost
    row = AssetRow(
        position,
        ref,
        kind,
        parent_ref=parent_ref,
        name=name,
        longitude=longitude,
        latitude=latitude,
        geometry=geometry,
        identity=identity,
    )
    return row, is_lost


name_of = _name
