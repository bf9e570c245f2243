"""GTFS-Realtime: the position of a vehicle to observations of it.

Here: `VehiclePosition`. Not here: how old a position may be (`gtfs_rt_names`).
"""

from __future__ import annotations

import math
from typing import Any, Final

from ingestion.formats.gtfs_rt_names import Feed, Refused, add_texts, name_of, number, refused, text_of, trip_ref, vehicle_ref
from ingestion.formats.wire import AssetRow, ObservationRow

# Field, unit, bounds: an odometer of ten million kilometres is none; speeds are judged by who reads them, but light's is a limit.
_MEASURES: Final = (
    ("bearing", "deg", 0.0, 360.0),
    ("speed", "m/s", 0.0, 299_792_458.0),
    ("odometer", "m", 0.0, 1e10),
)
_STATES: Final = ("current_status", "congestion_level", "occupancy_status")
# Vehicles that are crammed are reported past 100 %; ten times the nominal load is none.
_MAX_OCCUPANCY: Final = 1_000


def add_vehicle(found: Any, position: int, feed: Feed) -> None:
    """Append what a vehicle's position says.

    Raises:
        Refused: nothing of it can be stored; nothing was appended.
    """
    batch = feed.batch
    at, quality = feed.dated(found.timestamp)
    vehicle, trip = found.vehicle, found.trip
    run = trip_ref(trip)
    ref = vehicle_ref(vehicle) or (f"vehicle:{run}" if run is not None else None)
    if ref is None:
        raise refused("no_vehicle")
    texts = [("trip", run or ""), ("route_id", text_of(trip.route_id)), ("stop_id", text_of(found.stop_id))]
    texts += [(name, name_of(found, name)) for name in _STATES if found.HasField(name)]
    if trip.HasField("schedule_relationship"):
        texts.append(("schedule_relationship", name_of(trip, "schedule_relationship")))
    label, plate = text_of(vehicle.label), text_of(vehicle.license_plate)
    append = batch.observations.append
    before = len(batch.observations)

    def measured(name: str, value: float, unit: str) -> None:
        append(ObservationRow(position, ref, name, at, value, None, unit, quality))

    try:
        if found.HasField("position"):
            _place(found.position, position, feed, measured)
        if found.HasField("current_stop_sequence"):
            measured("current_stop_sequence", float(found.current_stop_sequence), "1")
        if found.HasField("occupancy_percentage"):
            measured("occupancy_percentage", number(found.occupancy_percentage, 0, _MAX_OCCUPANCY), "%")
    except Refused as error:
        batch.reject(position, *error.args, scope="value")
    add_texts(feed, position, ref, at, quality, texts)
    for carriage in found.multi_carriage_details:
        _carriage(carriage, position, ref, at, quality, feed)
    if len(batch.observations) == before:
        raise refused("empty_entity")
    batch.assets.append(AssetRow(position, ref, "vehicle", name=label or None, identity=plate or None))


def _place(place: Any, position: int, feed: Feed, measured: Any) -> None:
    latitude, longitude = place.latitude, place.longitude
    is_somewhere = -90 <= latitude <= 90 and -180 <= longitude <= 180 and (latitude, longitude) != (0.0, 0.0)  # noqa: PLR2004 - the Earth
    if place.HasField("latitude") and place.HasField("longitude") and is_somewhere:
        measured("latitude", round(latitude, 6), "deg")
        measured("longitude", round(longitude, 6), "deg")
    else:
        error = refused("invalid_position", f"{latitude}, {longitude}")
        feed.batch.reject(position, *error.args, scope="value")
    for name, unit, low, high in _MEASURES:
        if place.HasField(name):
            value = getattr(place, name)
            if math.isfinite(value) and low <= value <= high:
                measured(name, round(value, 6), unit)
            else:
                error = refused("out_of_range", f"{name} {value}")
                feed.batch.reject(position, *error.args, scope="value")


def _carriage(carriage: Any, position: int, ref: str, at: int, quality: str, feed: Feed) -> None:
    """Append how full a carriage is, named by its place in the train."""
    name = f"carriage.{carriage.carriage_sequence}"
    if carriage.HasField("occupancy_status"):
        add_texts(feed, position, ref, at, quality, [(f"{name}.occupancy_status", name_of(carriage, "occupancy_status"))])
    if 0 <= carriage.occupancy_percentage <= _MAX_OCCUPANCY and carriage.HasField("occupancy_percentage"):  # -1: no data
        value = float(carriage.occupancy_percentage)
        feed.batch.observations.append(ObservationRow(position, ref, f"{name}.occupancy_percentage", at, value, None, "%", quality))
