"""TALQ: reports and announcements, whole and broken.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

import json
from typing import Any, Final

AT: Final = "2026-01-05T07:00:00Z"
TOPIC: Final = "log-reports?clientAddress=00000000-0000-4000-8000-000000000001"


def value(name: str, of: Any, **others: Any) -> dict[str, Any]:
    """Return the data of an entry that logs an attribute."""
    attribute = {"type": "AttributeFloat", "value": of, "timestamp": AT}
    return {"type": "AttributeLogData", "srcAddress": "lamp-7/lampMonitor1", "attributeName": name, "attributeValue": attribute, **others}


def event(name: str, **others: Any) -> dict[str, Any]:
    """Return the data of an entry that logs an event."""
    return {"type": "EventLogData", "srcAddress": "lamp-7/lampMonitor1", "timestamp": AT, "eventType": name, **others}


def report(*entries: Any) -> bytes:
    """Return a log report."""
    return json.dumps({"address": "logger-1", "entries": list(entries)}).encode()


_CHANGE: Final = {
    "type": "StateChangeEventLogData",
    "srcAddress": "lamp-7/lampActuator1",
    "timestamp": AT,
    "eventType": "lightStateChange",
    "command": {"state": {"type": "LevelState", "level": 40}, "reason": "program"},
    "state": {"type": "LevelState", "level": 38},
}
_DEVICE: Final = {
    "address": "lamp-7",
    "name": "Lampe 7",
    "class": "Luminaire",
    "functions": [
        {
            "id": "basic1",
            "type": "BasicFunction",
            "assetId": {"type": "AttributeString", "value": "PL-0007"},
            "location": {"type": "AttributeLocation", "value": {"latitude": 48.95, "longitude": 4.36}},
        },
        {"id": "lampMonitor1", "type": "LampMonitorFunction", "activePower": {"type": "AttributeFloat", "value": 41.5, "timestamp": AT}},
    ],
}

GOOD: Final = [
    report(value("activePower", 41.5), value("supplyVoltage", 231), event("lampFailure", startEndFlag=True)),
    report({"cmsRefId": "r", "data": value("totalPower", 1.5)}, {"cmsRefId": "r", "timestamp": AT, "data": event("deviceReset")}),
    report({"cmsRefId": "r", "data": event("cabinetDoorOpen", startEndFlag=False, info=[{"description": "Porte", "lang": "fr"}])}),
    report(_CHANGE),
    report(event("supplyLoss", startEndFlag=True, attributes=[{"tag": "supplyVoltage", "value": {"value": 12.5}}])),
    json.dumps([json.loads(report(value("temperature", 31.5))), json.loads(report(event("highTemperature", startEndFlag=True)))]).encode(),
    json.dumps([value("fillingPercentage", 80), event("containerFull", startEndFlag=True)]).encode(),
    report(),
    json.dumps([_DEVICE]).encode(),
    json.dumps([{"name": "DataCollectService", "maximumDataLogs": 10}]).encode(),
    json.dumps([{"name": "Luminaire", "functions": [{"functionId": "lampMonitor1", "type": "LampMonitorFunction"}]}]).encode(),
]
BAD: Final = [
    b"",
    b"null",
    b"{",
    b"\xff\xfe",
    b"[" * 200 + b"]" * 200,
    b'{"entries": 3}',
    b'{"entries": [null]}',
    report({"type": "AttributeLogData"}),
    report(value("activePower", None)),
    report(value("activePower", 1e999)).replace(b"Infinity", b"1e999"),
    report(value("notInTheModel", 3)),
    report({**value("activePower", 3), "srcAddress": ""}),
    report({**value("activePower", 3), "attributeValue": {"value": 3, "timestamp": "hier"}}),
    report({**event("lampFailure"), "type": "OtherLogData"}),
    report({**event("lampFailure"), "eventType": 7}),
    report(event("lampFailure", startEndFlag="perhaps")),
    report(event("lampFailure\0")),
    b'{"entries": [{"type": "EventLogData", "srcAddress": "a", "srcAddress": "b", "eventType": "supplyLoss", "startEndFlag": true}]}',
    json.dumps([{"address": "lamp-7", "name": "no class"}]).encode(),
    json.dumps([{**_DEVICE, "functions": [{"type": "BasicFunction", "location": {"value": {"latitude": 91, "longitude": 4}}}]}]).encode(),
]
