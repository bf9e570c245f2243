"""LoRaWAN and SensorThings, from bytes to staged rows, through the contracts that are shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ingestion.feeds.load import load_feed
from ingestion.landing import Preview, preview
from tests.unit.test_real_data_contracts import named
from tests.unit.wire_corpus.lorawan import UP
from tests.unit.wire_corpus.sensorthings import LEVEL, observation


def _seen(feed: str, path: Path, extension_directory: Path) -> Preview:
    return preview(load_feed(named(feed)), path, extension_directory=extension_directory, limit=200)


def _lines(path: Path, *messages: Any) -> Path:
    path.write_text("".join(json.dumps(message) + "\n" for message in messages))
    return path


def test_an_uplink_is_staged_under_the_lakes_names_and_again_is_a_duplicate(tmp_path: Path, extension_directory: Path) -> None:
    event = {**UP, "object": {"temperature": 21.5, "humidity": 45, "co2": 12_000, "battery": 97}}
    seen = _seen("ecoles-co2-lorawan", _lines(tmp_path / "up.ndjson", event, event, {"deviceInfo": {}}), extension_directory)
    assert (seen.received, seen.accepted, seen.duplicate, seen.rejected, seen.rejected_values) == (3, 1, 1, 1, 2)
    assert {(row["property"], row["value"], row["unit"]) for row in seen.rows} == {
        ("air_temperature", 21.5, "Cel"),
        ("relative_humidity", 45.0, "%"),
        ("battery_level", 97.0, "%"),
        ("rssi", -97.0, "dBm"),
        ("snr", 4.25, "dB"),
    }
    # the bound of the contract sets the impossible value aside, at each of its two arrivals
    assert [(r["scope"], r["reason"]) for r in seen.rejects] == [("value", "out_of_range")] * 2 + [("record", "no_device")]


def test_a_page_of_observations_is_staged_as_columns(tmp_path: Path, extension_directory: Path) -> None:
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"value": [observation(n, n, Datastream=LEVEL) for n in range(24)] * 2}))
    seen = _seen("nappe-sensorthings", path, extension_directory)
    assert (seen.received, seen.accepted, seen.duplicate, seen.rejected) == (48, 24, 24, 0)
    assert [(row["asset_ref"], row["property"], row["unit"]) for row in seen.rows] == [("Things(4)", "water_level", "m")] * 24
    assert [round(row["value"] * 100) for row in seen.rows] == list(range(24))


def test_the_contract_states_the_unit_and_the_name_of_a_datastream(tmp_path: Path, extension_directory: Path) -> None:
    stream = {"@iot.id": 12, "name": "niveau"}
    seen = _seen("nappe-sensorthings", _lines(tmp_path / "a.ndjson", observation(1, 50, Datastream=stream)), extension_directory)
    assert [(row["asset_ref"], row["property"], row["value"], row["unit"]) for row in seen.rows] == [
        ("Datastreams(12)", "water_level", 0.5, "m")
    ]
