"""LoRaWAN and SensorThings: whatever stands in the place of any member, no exception escapes and no record is lost without a word."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from ingestion.formats.registry import FORMATS
from ingestion.formats.wire import WireBatch, WireOptions
from tests.unit.wire_corpus import lorawan, sensorthings

_POINT: Final = {"type": "Point", "coordinates": [10**400, 1]}
_VALUES: Final[list[Any]] = [
    None, True, 0, -1, 1e308, 10**25, "", " ", "x", "nan", "2026-11-22T05:00:00Z", [], {}, [[]], {"a": 1}, [1, 2], {"@iot.id": 1},
    [{"@iot.id": 1}], _POINT, {"type": "GeometryCollection", "geometries": [{"type": "Point"}]},
    {"type": "Polygon", "coordinates": [1, [2]]},
]  # fmt: skip


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from _paths(one, (*path, key))


def _altered(payloads: list[bytes]) -> Iterator[bytes]:
    for payload in payloads:
        whole = json.loads(payload)
        for path in _paths(whole):
            for value in _VALUES:
                document = copy.deepcopy(whole)
                place = document
                for key in path[:-1]:
                    place = place[key]
                place[path[-1]] = value
                yield json.dumps(document).encode()


@pytest.mark.parametrize(("name", "payloads"), [("lorawan", lorawan.GOOD), ("sensorthings", sensorthings.GOOD)])
def test_any_value_in_place_of_any_member_is_accounted_for(name: str, payloads: list[bytes]) -> None:
    decode = FORMATS[name].decoder()
    tried = 0
    for payload in _altered(payloads):
        batch = WireBatch()
        records = decode(payload, batch, after=3, received_at=5, topic=None, options=WireOptions(units={"distance": "m"}))
        found = {row.position for _, rows in batch.rows() for row in rows} | {reject.position for reject in batch.rejects}
        for _, table in batch.tables:
            found.update(table["_position"].to_pylist())
        assert found == set(range(4, 4 + records)), payload
        assert all(row.value is not None or row.value_text for row in batch.observations), payload
        assert all(row.asset_ref and row.asset_type for row in batch.assets), payload
        tried += 1
    assert tried > 2_000
