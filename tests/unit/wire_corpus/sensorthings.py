"""OGC SensorThings: pages, entities, data arrays, whole and broken.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

import json
from typing import Any, Final

TOPIC: Final[str | None] = None
SERVER: Final = "https://sta.example.org/v1.1"
WELL: Final[dict[str, Any]] = {
    "@iot.id": 4,
    "name": "Puits 4",
    "properties": {"type": "well", "inventoryNumber": "P-004"},
    "Locations": [
        {
            "@iot.id": 9,
            "name": "Rue du Puits",
            "encodingType": "application/geo+json",
            "location": {"type": "Point", "coordinates": [4.36, 48.95]},
        }
    ],
}
LEVEL: Final[dict[str, Any]] = {
    "@iot.id": 7,
    "name": "Niveau du puits 4",
    "unitOfMeasurement": {"name": "centimètre", "symbol": "cm", "definition": "ucum:cm"},
    "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
    "ObservedProperty": {"@iot.id": 1, "name": "water_level", "definition": "http://example.org/level"},
    "Thing": WELL,
}
WEATHER: Final[dict[str, Any]] = {
    "@iot.id": 2,
    "name": "station",
    "unitOfMeasurements": [{"symbol": "°C"}, {"symbol": "%"}, {"name": "null", "symbol": "null", "definition": "null"}],
    "multiObservationDataTypes": ["OM_Measurement", "OM_Measurement", "OM_CategoryObservation"],
    "ObservedProperties": [{"name": "air_temperature"}, {"name": "relative_humidity"}, {"name": "sky"}],
}


def observation(number: int, result: object = 81.5, **members: object) -> dict[str, Any]:
    """Return an observation of the hour `number` of a day."""
    return {
        "@iot.id": number,
        "phenomenonTime": f"2026-11-22T{number % 24:02d}:00:00Z",
        "resultTime": None,
        "result": result,
        **members,
    }


def _page(*entities: object) -> bytes:
    return json.dumps({"value": entities}).encode()


GOOD: Final = [
    _page(*(observation(n, Datastream=LEVEL) for n in range(3))),
    _page(*(observation(n, Datastream=LEVEL) for n in range(40))),
    json.dumps(observation(5, Datastream=LEVEL)).encode(),
    _page({**LEVEL, "Observations": [observation(1), observation(2)]}),
    _page({**WELL, "Datastreams": [{k: v for k, v in LEVEL.items() if k != "Thing"}]}),
    _page(observation(1, [21.5, 60, "clear"], MultiDatastream=WEATHER)),
    json.dumps(
        {
            "value": [
                {
                    "Datastream": LEVEL,
                    "components": ["id", "phenomenonTime", "result"],
                    "dataArray": [[n, f"2026-11-22T{n % 24:02d}:00:00Z", n / 2] for n in range(40)],
                }
            ]
        }
    ).encode(),
    _page(
        {
            "@iot.id": 9,
            "name": "Rue du Puits",
            "encodingType": "application/geo+json",
            "location": {"type": "Point", "coordinates": [4, 48]},
        }
    ),
]
_STREAM: Final = json.dumps(LEVEL).encode()
BAD: Final = [
    b"",
    b"null",
    b"{",
    b"\xff\xfe",
    b"[]",
    b'{"value": []}',
    b'{"value": [1]}',
    b"[" * 200 + b"]" * 200,
    b'{"description": "x"}',
    b'{"result": 1, "phenomenonTime": "2026-11-22T05:00:00Z"}',
    b'{"result": 1, "result": 2, "phenomenonTime": "2026-11-22T05:00:00Z", "Datastream": ' + _STREAM + b"}",
    b'{"result": 1, "phenomenonTime": "yesterday", "Datastream": ' + _STREAM + b"}",
    b'{"result": 1, "phenomenonTime": 5, "Datastream": ' + _STREAM + b"}",
    b'{"result": "high", "phenomenonTime": "2026-11-22T05:00:00Z", "Datastream": ' + _STREAM + b"}",
    b'{"result": null, "phenomenonTime": "2026-11-22T05:00:00Z", "Datastream": ' + _STREAM + b"}",
    b'{"result": 1, "phenomenonTime": "2026-11-22T05:00:00Z", "Datastream": {"@iot.id": 1}}',
    b'{"result": 1, "phenomenonTime": "2026-11-22T05:00:00Z", "Datastream": {"@iot.id": 1, "unitOfMeasurement": {"symbol": "furlong"}}}',
    b'{"result": 1, "phenomenonTime": "2026-11-22T05:00:00Z", "Datastream": ' + b"[" * 60 + b"]" * 60 + b"}",
    b'{"result": [1, 2], "phenomenonTime": "2026-11-22T05:00:00Z", "MultiDatastream": {"@iot.id": 1, "unitOfMeasurements": [{}]}}',
    b'{"Datastream": {"@iot.id": 1}, "components": ["phenomenonTime"], "dataArray": [["2026-11-22T05:00:00Z"]]}',
    b'{"Datastream": ' + _STREAM + b', "components": ["phenomenonTime", "result"], "dataArray": [["2026-11-22T05:00:00Z"], []]}',
    b'{"name": "x", "Datastreams": []}',
    b'{"@iot.id": 1, "encodingType": "application/geo+json", "location": {"type": "Point", "coordinates": [400, 0]}}',
]
