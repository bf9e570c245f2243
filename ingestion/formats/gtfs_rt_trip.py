"""GTFS-Realtime: the update of a trip to observations of it, stop by stop.

Here: `TripUpdate`. Its stops are many (a message of a city's network has tens of thousands): they become columns, in one loop with
as few calls as it takes. Not here: vehicles' positions (`gtfs_rt_vehicle`).
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from ingestion.formats.gtfs_rt_names import BAD, UNCERTAIN, Feed, Refused, iso, name_of, refused, text_of, trip_ref, vehicle_ref
from ingestion.formats.wire import AssetRow, ObservationRow

_SKIPPED: Final = 1
_NO_DATA: Final = 2
_TYPES: Final = (
    ("_position", pa.int64()),
    ("asset_ref", pa.string()),
    ("property", pa.string()),
    ("observed_at", pa.int64()),
    ("value", pa.float64()),
    ("value_text", pa.string()),
    ("unit", pa.string()),
    ("quality", pa.string()),
)


class StopColumns:
    """The columns of all stops of a message, while they are filled."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, str, str, int, float | None, str | None, str | None, str]] = []
        self._names: dict[tuple[str, object], str] = {}
        self._texts: dict[object, str | None] = {}

    def flush(self, feed: Feed) -> None:
        """Hand the columns over."""
        if self._rows:
            columns = zip(*self._rows, strict=True)
            table = pa.table({name: pa.array(values, kind) for (name, kind), values in zip(_TYPES, columns, strict=True)})
            feed.batch.tables.append(("observation", table))

    def add(self, update: Any, position: int, ref: str, at: int, quality: str, feed: Feed) -> None:
        """Append the stops of one trip: `arrival_delay.<sequence>` in seconds, the stop's id beside it.

        A departure is told where its delay differs from the arrival's, or there is no arrival.
        """
        append, names, texts = self._rows.append, self._names, self._texts
        for stop in update.stop_time_update:
            identifier = stop.stop_id
            try:
                text = texts[identifier] if identifier in texts else texts.setdefault(identifier, text_of(identifier) or None)
                key = stop.stop_sequence
                if not key and not stop.HasField("stop_sequence"):
                    key = text
                if key is None:
                    raise refused("no_stop")
                relation = stop.schedule_relationship
                if relation:
                    name = f"schedule_relationship.{key}"
                    append((position, ref, name, at, None, name_of(stop, "schedule_relationship"), None, quality))
                    if relation in (_SKIPPED, _NO_DATA):
                        continue
                arrives = _delay(stop.arrival) if stop.HasField("arrival") else None
                departs = _delay(stop.departure) if stop.HasField("departure") else None
            except Refused as error:
                feed.batch.reject(position, *error.args, scope="value")
                continue
            if arrives is None and departs is None:
                if not relation:
                    # The norm: a stop merely listed is on time. Its later versions want it said.
                    append((position, ref, f"arrival_delay.{key}", at, 0.0, text, "s", UNCERTAIN))
                continue
            if arrives is not None:
                _append(append, names, "arrival", key, arrives, position, ref, at, text, quality)
            if departs is not None and departs != arrives:
                _append(append, names, "departure", key, departs, position, ref, at, text, quality)


def _append(
    append: Any,
    names: dict[tuple[str, object], str],
    what: str,
    key: object,
    found: float | str,
    position: int,
    ref: str,
    at: int,
    stop: str | None,
    quality: str,
) -> None:
    if type(found) is str:  # when, where the timetable does not say how late that is
        append((position, ref, f"{what}_time.{key}", at, None, found, None, quality))
        return
    name = names.get((what, key)) or names.setdefault((what, key), f"{what}_delay.{key}")
    append((position, ref, name, at, found, stop, "s", quality))


def _delay(event: Any) -> float | str | None:
    """Return the delay of an arrival or a departure in seconds, its time as text where only that is stated; None where neither is."""
    delay = event.delay
    if delay or event.HasField("delay"):
        return float(delay)
    if not event.time:
        return None
    return float(event.time - event.scheduled_time) if event.scheduled_time else iso(event.time)


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
