"""TALQ as a gateway reports it: fifty lamps of a cabinet, four measures each, in the form of the OpenAPI.

Here: generated reports. Not here: measuring.
"""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

import msgspec

from bench.formats.case import Case

_LAMPS: Final = 50


def _entry(lamp: int, at: str, name: str, value: float) -> dict[str, Any]:
    address = uuid.UUID(int=lamp * 7_919 + 2**100)
    data = {
        "type": "AttributeLogData",
        "srcAddress": f"{address}/fLampMonitorId_1",
        "timestamp": at,
        "attributeName": name,
        "attributeValue": {"type": "AttributeFloat", "value": value, "timestamp": at},
    }
    return {"cmsRefId": "vigie", "data": data}


def _report(number: int) -> bytes:
    at = f"2026-11-22T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
    entries = []
    for lamp in range(number * _LAMPS, (number + 1) * _LAMPS):
        measures = {"activePower": 30 + lamp % 101 / 8, "supplyVoltage": 228 + lamp % 37 / 8, "powerFactor": 0.9 + lamp % 7 / 100}
        entries += [_entry(lamp % 7290, at, n, v) for n, v in {**measures, "activeEnergy": lamp / 4 + 0.05}.items()]
    return json.dumps({"address": "logger-1", "entries": entries}).encode()


CASE: Final = Case(
    "talq", [_report(n) for n in range(300)], msgspec.json.Decoder().decode, "msgspec", topic="log-reports?clientAddress=gateway"
)
