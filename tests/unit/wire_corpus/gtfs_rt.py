"""GTFS-Realtime: messages, whole and broken.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import json_format, text_format
from google.transit.gtfs_realtime_pb2 import FeedMessage

TOPIC: Final[str | None] = None
SENT: Final = 1_795_348_800  # 2026-11-22T12:00:00Z


def message(*entities: dict[str, Any], sent: int | None = SENT) -> FeedMessage:
    """Return a message of these entities, as JSON has them; ids are given."""
    header: dict[str, Any] = {"gtfsRealtimeVersion": "2.0"} | ({"timestamp": sent} if sent is not None else {})
    numbered = [{"id": str(number)} | entity for number, entity in enumerate(entities)]
    return json_format.ParseDict({"header": header, "entity": numbered}, FeedMessage())


VEHICLE: Final[dict[str, Any]] = {
    "vehicle": {
        "trip": {"tripId": "T1", "routeId": "L1", "startDate": "20261122"},
        "vehicle": {"id": "B7", "label": "Bus 7"},
        "position": {"latitude": 48.5, "longitude": 4.25, "bearing": 90, "speed": 5.5},
        "currentStatus": "STOPPED_AT",
        "stopId": "S3",
        "timestamp": SENT - 20,
    }
}
TRIP: Final[dict[str, Any]] = {
    "tripUpdate": {
        "trip": {"tripId": "T1", "routeId": "L1"},
        "timestamp": SENT - 20,
        "stopTimeUpdate": [{"stopSequence": 3, "stopId": "S3", "arrival": {"delay": 60}, "departure": {"delay": 90}}],
    }
}
ALERT: Final[dict[str, Any]] = {
    "alert": {
        "activePeriod": [{"start": SENT - 3600}],
        "informedEntity": [{"routeId": "L1"}],
        "cause": "CONSTRUCTION",
        "effect": "DETOUR",
        "headerText": {"translation": [{"text": "Detour", "language": "en"}, {"text": "Déviation", "language": "fr"}]},
    }
}
WHOLE: Final = message(VEHICLE, TRIP, ALERT)
GOOD: Final = [
    WHOLE.SerializeToString(),
    message(VEHICLE).SerializeToString(),
    message().SerializeToString(),
    json_format.MessageToJson(WHOLE).encode(),
    text_format.MessageToString(WHOLE).encode(),
]


def _with(entity: dict[str, Any], kind: str, **changed: Any) -> bytes:
    return message({kind: {**entity[kind], **changed}}).SerializeToString()


BAD: Final = [
    b"",
    b"\x0a",
    b"no message",
    b"{}",
    b'{"header": 1}',
    b"header { gtfs_realtime_version: 2",
    b"\x0b" * 300,
    message(VEHICLE, sent=SENT * 1000).SerializeToString(),
    message(VEHICLE).SerializeToString().replace(b"B7", b"\xff\xfe"),
    message(VEHICLE).SerializeToString().replace(b"B7", b"B\x00"),
    message({}).SerializeToString(),
    message({"isDeleted": True}).SerializeToString(),
    message({"shape": {"shapeId": "x"}}).SerializeToString(),
    message({"vehicle": {"position": {"latitude": 48.5, "longitude": 4.25}}}).SerializeToString(),
    _with(VEHICLE, "vehicle", timestamp=SENT + 3600),
    _with(VEHICLE, "vehicle", position={"latitude": 0, "longitude": 0}),
    _with(TRIP, "tripUpdate", trip={}),
    _with(ALERT, "alert", informedEntity=[]),
]
