"""GTFS-Realtime: the update of a trip to observations of it, stop by stop.

Here: `TripUpdate`. Its stops are many (a message of a city's network has tens of thousands): they become columns, in one loop with
as few calls as it takes. Not here: vehicles' positions (`gtfs_rt_vehicle`).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.formats.gtfs_rt_names import (
    BAD,
    MICRO,
    UNCERTAIN,
    Feed,
    Refused,
    iso,
    micros,
    name_of,
    refused,
    text_of,
    trip_ref,
    vehicle_ref,
)
from ingestion.formats.wire import AssetRow, ObservationRow

_SKIPPED: Final = 1
_NO_DATA: Final = 2
_NEVER_READ: Final = ""


class StopColumns:
    """The columns of all stops of a message, while they are filled: what a trip's stops share is kept once a trip."""

    def __init__(self) -> None:
        self._trips: list[tuple[int, str, int, str]] = []
        self._counts: list[int] = []
        self._names: list[str] = []
        self._values: list[float | None] = []
        self._texts: list[str | None] = []
        self._listed: set[int] = set()
        # Stops and sequences come again in every trip.
        self._stops: dict[object, str | None] = {}
        self._arrivals: dict[object, str] = {}
        self._departures: dict[object, str] = {}

    def flush(self, feed: Feed) -> None:
        """Hand the columns over."""
        if not self._names:
            return
        trip_of_row = np.repeat(np.arange(len(self._trips)), self._counts)
        positions, refs, instants, qualities = zip(*self._trips, strict=True)
        values = pa.array(self._values, pa.float64())
        trusted = pa.array(qualities, pa.string()).take(trip_of_row)
        if self._listed:
            listed = np.zeros(len(self._names), bool)
            listed[list(self._listed)] = True
            trusted = pc.if_else(pa.array(listed), UNCERTAIN, trusted)
        columns = {
            "_position": pa.array(np.array(positions, np.int64)[trip_of_row]),
            "asset_ref": pa.array(refs, pa.string()).take(trip_of_row),
            "property": pa.array(self._names, pa.string()),
            "observed_at": pa.array(np.array(instants, np.int64)[trip_of_row]),
            "value": values,
            "value_text": pa.array(self._texts, pa.string()),
            "unit": pc.if_else(values.is_valid(), "s", pa.scalar(None, pa.string())),
            "quality": trusted,
        }
        feed.batch.tables.append(("observation", pa.table(columns)))

    def add(self, update: Any, position: int, ref: str, at: int, quality: str, feed: Feed) -> None:
        """Append the stops of one trip: `arrival_delay.<sequence>` in seconds, the stop's id beside it.

        A departure is told where its delay differs from the arrival's, or there is no arrival.
        """
        names, values, texts = self._names, self._values, self._texts
        stops, arrivals, departures = self._stops, self._arrivals, self._departures
        before = len(names)
        for stop in update.stop_time_update:
            try:
                identifier = stop.stop_id
                text = stops.get(identifier, _NEVER_READ)
                if text == _NEVER_READ:
                    text = stops[identifier] = text_of(identifier) or None
                key = stop.stop_sequence or _key(stop, text)
                if stop.schedule_relationship and self._is_not_served(stop, key):
                    continue
                # A delay that is not 0 is stated: the library need not be asked.
                arrives = stop.arrival.delay or _stated(stop, "arrival")
                departs = stop.departure.delay or _stated(stop, "departure")
            except Refused as error:
                reason, detail = error.args
                feed.batch.reject(position, reason, detail, scope="value")
                continue
            if arrives is None and departs is None and not stop.schedule_relationship:
                arrives = 0  # the norm: a stop merely listed is on time; its later versions want it said
                self._listed.add(len(names))
            if type(arrives) is int:
                names.append(arrivals.get(key) or arrivals.setdefault(key, f"arrival_delay.{key}"))
                values.append(arrives)
                texts.append(text)
            elif arrives is not None:
                self._say(f"arrival_time.{key}", arrives)
            if departs is None or departs == arrives:
                continue
            if type(departs) is int:
                names.append(departures.get(key) or departures.setdefault(key, f"departure_delay.{key}"))
                values.append(departs)
                texts.append(text)
            else:
                self._say(f"departure_time.{key}", departs)
        if len(names) > before:
            self._trips.append((position, ref, at, quality))
            self._counts.append(len(names) - before)

    def _is_not_served(self, stop: Any, key: object) -> bool:
        """Say how a stop departs from the timetable; whether that is all that can be said of it."""
        self._say(f"schedule_relationship.{key}", name_of(stop, "schedule_relationship"))
        return stop.schedule_relationship in (_SKIPPED, _NO_DATA)

    def _say(self, name: str, text: object) -> None:
        self._names.append(name)
        self._values.append(None)
        self._texts.append(str(text))


def _key(stop: Any, text: str | None) -> object:
    """Return what names a stop of a trip whose sequence is 0 or not stated."""
    if stop.HasField("stop_sequence"):
        return 0
    if text is None:
        raise refused("no_stop")
    return text


def _stated(stop: Any, what: str) -> int | str | None:
    """Return a delay of 0 or one computed, in seconds; a time as text where only that is stated; None where neither is."""
    event = getattr(stop, what)
    if event.HasField("delay"):
        return 0
    if not event.time:
        return None
    if not event.scheduled_time:
        return iso(event.time)
    return (micros(event.time) - micros(event.scheduled_time)) // MICRO


def add_trip(found: Any, position: int, feed: Feed, stops: StopColumns) -> None:
    """Append what an update of a trip says.

    Raises:
        Refused: nothing of it can be stored; nothing was appended.
    """
    at, quality = feed.dated(found.timestamp)
    # A delay measured a while ago was one all the same; only a position is worth nothing once the vehicle has moved on.
    quality = UNCERTAIN if quality == BAD else quality
    ref = trip_ref(found.trip)
    if ref is None:
        raise refused("no_trip")
    vehicle = vehicle_ref(found.vehicle) if found.HasField("vehicle") else None
    append = feed.batch.observations.append
    relation = name_of(found.trip, "schedule_relationship")
    route = text_of(found.trip.route_id)
    append(ObservationRow(position, ref, "schedule_relationship", at, None, relation, None, quality))
    if found.HasField("delay"):
        append(ObservationRow(position, ref, "delay", at, float(found.delay), None, "s", quality))
    if vehicle is not None:
        append(ObservationRow(position, ref, "vehicle", at, None, vehicle, None, quality))
    if route:
        feed.batch.assets.append(AssetRow(position, ref, "trip", parent_ref=f"route:{route}"))
    stops.add(found, position, ref, at, quality, feed)
