"""What the tests of NGSI decoding share.

Here: one street light in the shapes that systems send. Not here: expectations.
"""

from __future__ import annotations

import json
from typing import Any, Final

from ingestion.formats.ngsi import decode
from ingestion.formats.wire import AssetRow, ObservationRow, RejectRow, WireBatch, WireOptions

# 2026-11-22T17:30:00Z: 20,779 days and 63,000 seconds after 1970.
HALF_PAST_FIVE_PM: Final = (20_779 * 86_400 + 63_000) * 1_000_000
ARRIVAL: Final = HALF_PAST_FIVE_PM + 4_000_000
_AT: Final = "2026-11-22T17:30:00Z"
_POINT: Final = {"type": "Point", "coordinates": [4.365, 48.957]}

KEY_VALUES: Final[dict[str, Any]] = {
    "id": "lamp:12",
    "type": "Streetlight",
    "name": "Rue de la Marne 12",
    "location": _POINT,
    "refStreetlightControlCabinet": "cabinet:7",
    "powerState": "on",
    "activePower": 37.5,
    "energy": 93.25,
    "isRemote": True,
    "dateObserved": _AT,
}
# NGSIv2, normalized: as `example-normalized.json`.
NORMALIZED: Final[dict[str, Any]] = {
    "id": "lamp:12",
    "type": "Streetlight",
    "name": {"type": "Text", "value": "Rue de la Marne 12", "metadata": {}},
    "location": {"type": "geo:json", "value": _POINT, "metadata": {}},
    "refStreetlightControlCabinet": {"type": "Relationship", "value": "cabinet:7", "metadata": {}},
    "powerState": {"type": "Text", "value": "on", "metadata": {}},
    "activePower": {"type": "Number", "value": 37.5, "metadata": {}},
    "energy": {"type": "Number", "value": 93.25, "metadata": {}},
    "isRemote": {"type": "Boolean", "value": True, "metadata": {}},
    "dateObserved": {"type": "DateTime", "value": _AT, "metadata": {}},
}
# NGSI-LD, simplified: as `example.jsonld`.
LD_KEY_VALUES: Final[dict[str, Any]] = KEY_VALUES | {"@context": ["https://smartdatamodels.org/context.jsonld"]}
# NGSI-LD, normalized: as `example-normalized.jsonld`.
LD_NORMALIZED: Final[dict[str, Any]] = {
    "id": "lamp:12",
    "type": "Streetlight",
    "name": {"type": "Property", "value": "Rue de la Marne 12"},
    "location": {"type": "GeoProperty", "value": _POINT},
    "refStreetlightControlCabinet": {"type": "Relationship", "object": "cabinet:7"},
    "powerState": {"type": "Property", "value": "on"},
    "activePower": {"type": "Property", "value": 37.5},
    "energy": {"type": "Property", "value": 93.25},
    "isRemote": {"type": "Property", "value": True},
    "dateObserved": {"type": "Property", "value": {"@type": "DateTime", "@value": _AT}},
    "@context": ["https://smartdatamodels.org/context.jsonld"],
}
LD_CONCISE: Final[dict[str, Any]] = {
    "id": "lamp:12",
    "type": "Streetlight",
    "name": "Rue de la Marne 12",
    "location": _POINT,
    "refStreetlightControlCabinet": {"object": "cabinet:7"},
    "powerState": {"value": "on"},
    "activePower": {"value": 37.5},
    "energy": 93.25,
    "isRemote": True,
    "dateObserved": {"value": _AT},
}
FEATURE: Final[dict[str, Any]] = {
    "id": "lamp:12",
    "type": "Feature",
    "geometry": _POINT,
    "properties": {k: v for k, v in LD_NORMALIZED.items() if k not in ("id", "location")},
    "@context": ["https://smartdatamodels.org/context.jsonld"],
}


def read(message: Any, *, after: int = 0, received_at: int | None = ARRIVAL, options: WireOptions | None = None) -> tuple[int, WireBatch]:
    """Decode a message, bytes or what becomes JSON."""
    batch = WireBatch()
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return decode(payload, batch, after=after, received_at=received_at, options=options or WireOptions()), batch


def observations(message: Any, **how: Any) -> dict[str, ObservationRow]:
    """Decode one entity; return its observations by property. Nothing of it may be set aside."""
    records, batch = read(message, **how)
    assert records == 1
    assert batch.rejects == []
    found = {row.property: row for row in batch.observations}
    assert len(found) == len(batch.observations)
    return found


def asset(message: Any, **how: Any) -> AssetRow:
    """Decode one entity; return its asset."""
    _, batch = read(message, **how)
    (row,) = batch.assets
    return row


def refused(message: Any, **how: Any) -> RejectRow:
    """Decode one record that is refused whole; return why."""
    records, batch = read(message, **how)
    assert (records, batch.observations, batch.assets) == (1, [], [])
    (row,) = batch.rejects
    assert row.scope == "record"
    return row


def light(**properties: Any) -> dict[str, Any]:
    """Return an entity with these properties."""
    return {"id": "lamp:12", "type": "Streetlight", **properties}
