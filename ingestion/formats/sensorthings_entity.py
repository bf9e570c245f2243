"""OGC SensorThings: entities other than observations: Things, Locations, Datastreams, FeaturesOfInterest.

Here: which entity it is, the asset that it describes, the observations that stand inside it. Not here: observations
(`sensorthings_series`), pages (`sensorthings`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from ingestion.formats.sensorthings_names import REASONS
from ingestion.formats.sensorthings_stream import ID, described, name_of, ref_of, thing_of, thing_row
from ingestion.formats.wire import AssetRow, WireBatch
from ingestion.formats.wire_values import to_json

SELF_LINK: Final = "@iot.selfLink"
_SETS: Final = (
    "Things|Locations|HistoricalLocations|Datastreams|MultiDatastreams|Sensors|ObservedProperties|Observations|FeaturesOfInterest"
)
_LINKED: Final = re.compile(rf"(?:^|/)({_SETS})\([^/]*\)$")
_SUBSCRIBED: Final = re.compile(rf"(?:^|/)({_SETS})(?:\([^/]*\))?$")
# Which member tells an entity that has no link of its own, in this order.
_TOLD_BY: Final = (
    ("result", "Observations"),
    ("unitOfMeasurements", "MultiDatastreams"),
    ("multiObservationDataTypes", "MultiDatastreams"),
    ("unitOfMeasurement", "Datastreams"),
    ("observationType", "Datastreams"),
    ("feature", "FeaturesOfInterest"),
    ("location", "Locations"),
    ("metadata", "Sensors"),
    ("definition", "ObservedProperties"),
    ("Datastreams", "Things"),
    ("Datastreams@iot.navigationLink", "Things"),
    ("Locations", "Things"),
    ("HistoricalLocations@iot.navigationLink", "Things"),
    ("time", "HistoricalLocations"),
    ("phenomenonTime", "Observations"),
)
_ORIGINAL: Final = 4_096
# Reads the observations inside a datastream: datastream, its description, observations.
Inside = Callable[[str, dict[str, Any], list[Any]], None]


def kind_of(entity: dict[str, Any], topic: str | None) -> str | None:
    """Return which entity it is: by its link, its members, or the topic that it came by.

    >>> kind_of({"@iot.selfLink": "http://example.org/v1.1/Things(1)"}, None), kind_of({"result": 1}, None), kind_of({}, "v1.1/Things")
    ('Things', 'Observations', 'Things')
    """
    link = entity.get(SELF_LINK)
    found = _LINKED.search(link) if isinstance(link, str) else None
    if found is not None:
        return found[1]
    told = next((kind for member, kind in _TOLD_BY if member in entity), None)
    if told is None and topic is not None:
        found = _SUBSCRIBED.search(topic.partition("?")[0])
        told = found[1] if found is not None else None
    return told


def read_entity(entity: dict[str, Any], kind: str, position: int, batch: WireBatch, inside: Inside) -> None:
    """Append what an entity describes, and the observations inside it: a row at least, or a reject."""
    before = len(batch.assets), len(batch.observations), len(batch.tables), len(batch.rejects)
    ref = ref_of(kind, entity.get(ID))
    if kind in ("Sensors", "ObservedProperties", "HistoricalLocations"):
        batch.reject(position, "not_read", f"{kind}: {REASONS['not_read']}", to_json(entity)[:_ORIGINAL])
        return
    if ref is None:
        batch.reject(position, "no_id", f"{kind}: {REASONS['no_id']}", to_json(entity)[:_ORIGINAL])
        return
    if kind == "Things":
        _thing(entity, position, batch, inside)
    elif kind in ("Datastreams", "MultiDatastreams"):
        thing = entity.get("Thing")
        if isinstance(thing, dict):
            _keep(batch, position, thing_row(position, thing), thing)
        _keep(batch, position, described(position, ref, kind.removesuffix("s"), name_of(entity), None, parent_ref=thing_of(entity)), entity)
        _inside(ref, entity, inside)
    else:
        singular = "Location" if kind == "Locations" else "FeatureOfInterest"
        _keep(batch, position, described(position, ref, singular, name_of(entity), entity), entity)
        things = entity.get("Things")
        for thing in things if isinstance(things, list) else ():
            if isinstance(thing, dict):
                _keep(batch, position, thing_row(position, thing, entity), thing)
    if (len(batch.assets), len(batch.observations), len(batch.tables), len(batch.rejects)) == before:
        batch.reject(position, "not_read", f"{ref}: {REASONS['not_read']}", to_json(entity)[:_ORIGINAL])


def _thing(entity: dict[str, Any], position: int, batch: WireBatch, inside: Inside) -> None:
    _keep(batch, position, thing_row(position, entity), entity)
    for kind in ("Datastreams", "MultiDatastreams"):
        streams = entity.get(kind)
        for stream in streams if isinstance(streams, list) else ():
            ref = ref_of(kind, stream.get(ID)) if isinstance(stream, dict) else None
            if ref is not None:
                _inside(ref, {**stream, "Thing": {ID: entity[ID]}}, inside)


def _inside(ref: str, stream: dict[str, Any], inside: Inside) -> None:
    observations = stream.get("Observations")
    if isinstance(observations, list) and observations:
        inside(ref, stream, observations)


def _keep(batch: WireBatch, position: int, found: tuple[AssetRow | None, bool], entity: dict[str, Any]) -> None:
    row, is_lost = found
    if row is not None:
        batch.assets.append(row)
    if is_lost:
        written = to_json(entity)[:_ORIGINAL]
        batch.reject(position, "invalid_geometry", f"location: {REASONS['invalid_geometry']}", written, scope="value")
