"""GTFS-Realtime as a city's network sends it: 250 vehicles, or 400 trips with the 25 stops before them.

Here: generated messages. Not here: measuring.
"""

from __future__ import annotations

from typing import Final

from google.transit.gtfs_realtime_pb2 import FeedMessage

from bench.formats.case import Case

_BEGIN: Final = 1_795_330_800  # 22 November 2026, 07:00 UTC
_VEHICLES: Final = 250
_TRIPS: Final = 400
_STOPS: Final = 25


def _message(number: int) -> FeedMessage:
    message = FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    message.header.timestamp = _BEGIN + 30 * number
    return message


def _positions(number: int) -> bytes:
    message = _message(number)
    for index in range(_VEHICLES):
        entity = message.entity.add()
        entity.id = f"vehicle-{index}"
        found = entity.vehicle
        found.trip.trip_id, found.trip.route_id, found.trip.start_date = f"trip-{index}", f"route-{index % 30}", "20261122"
        found.vehicle.id, found.vehicle.label = f"bus-{index}", f"Bus {index}"
        found.position.latitude, found.position.longitude = 48.95 + (index + number) / 9_000, 4.36 + index / 9_000
        found.position.bearing, found.position.speed = float(index % 360), 4.5 + index % 7
        found.current_stop_sequence, found.stop_id = 1 + index % 24, f"stop-{index % 600}"
        found.current_status = index % 3
        found.timestamp = _BEGIN + 30 * number - index % 60
    return message.SerializeToString()


def _updates(number: int) -> bytes:
    message = _message(number)
    for index in range(_TRIPS):
        entity = message.entity.add()
        entity.id = f"trip-{index}"
        found = entity.trip_update
        found.trip.trip_id, found.trip.route_id, found.trip.start_date = f"trip-{index}", f"route-{index % 30}", "20261122"
        found.vehicle.id = f"bus-{index}"
        found.timestamp = _BEGIN + 30 * number - index % 60
        for sequence in range(1, _STOPS + 1):
            stop = found.stop_time_update.add()
            stop.stop_sequence, stop.stop_id = sequence, f"stop-{(index + sequence) % 600}"
            delay = (index * 7 + sequence * 11 + number) % 600 - 120
            stop.arrival.delay, stop.arrival.time = delay, _BEGIN + 30 * number + 90 * sequence
            stop.departure.delay, stop.departure.time = delay, _BEGIN + 30 * number + 90 * sequence + 15
    return message.SerializeToString()


def _parsed(payload: bytes) -> FeedMessage:
    message = FeedMessage()
    message.ParseFromString(payload)
    return message


CASE: Final = Case("gtfs-rt", [make(n) for n in range(20) for make in (_positions, _updates)], _parsed, "protobuf (upb)")
