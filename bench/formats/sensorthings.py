"""OGC SensorThings: pages of a thousand observations of one datastream, as FROST answers them.

Here: generated pages. Not here: measuring.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from bench.formats.case import Case
from ingestion.formats.wire import WireOptions

_SERVER: Final = "https://sta.example.org/FROST-Server/v1.1"


def _observation(number: int) -> dict[str, Any]:
    at = f"2026-11-{1 + number // 86_400 % 28:02d}T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
    return {
        "@iot.selfLink": f"{_SERVER}/Observations({number})",
        "@iot.id": number,
        "phenomenonTime": at,
        "resultTime": None,
        "result": 10 + number % 4_096 / 1_000,
        "Datastream@iot.navigationLink": f"{_SERVER}/Observations({number})/Datastream",
        "FeatureOfInterest@iot.navigationLink": f"{_SERVER}/Observations({number})/FeatureOfInterest",
    }


def _page(number: int) -> bytes:
    link = f"{_SERVER}/Datastreams(7)/Observations?$top=1000&$skip={1000 * (number + 1)}"
    page = {"@iot.nextLink": link, "value": [_observation(1000 * number + n) for n in range(1000)]}
    return json.dumps(page, separators=(",", ":")).encode()


CASE: Final = Case(
    "sensorthings",
    [_page(n) for n in range(50)],
    msgspec.json.Decoder().decode,
    "msgspec",
    options=WireOptions(units={"Datastreams(7)": "m"}),
)
