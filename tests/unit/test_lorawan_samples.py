"""Every example that ChirpStack and The Things Stack publish becomes rows or is refused, as its own text says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from ingestion.feeds.load import load_feed
from ingestion.formats.lorawan import decode
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.landing import preview
from tests.unit.test_real_data_contracts import named

# File: properties of the rows (their number where there are many), assets, reasons.
EXPECTED: Final[dict[str, tuple[list[str] | int, int, list[str]]]] = {
    "events__01.json": (["rssi", "snr"], 1, ["no_decoded_payload"]),
    "events__02.json": (["battery_level", "external_power", "margin"], 1, []),
    "events__03.json": (["join"], 1, []),
    "events__04.json": (["downlink"], 1, []),
    "events__05.json": (["downlink"], 1, []),
    "events__06.json": (["log.level", "log.code", "log.description"], 1, []),
    "events__07.json": (["longitude", "latitude", "altitude"], 1, []),
    "events__08.json": (25, 1, []),
    # pieces of a document: no device
    "influxdb__01.json": ([], 0, ["not_an_event"]),
    "influxdb__02.json": ([], 0, ["not_an_event"]),
    # commented, and so no JSON; `data-formats__04` lacks a comma
    "mqtt__01.json.txt": ([], 0, ["invalid_json"]),
    "data-formats__01.json.txt": ([], 0, ["invalid_json"]),
    "data-formats__03.json.txt": ([], 0, ["invalid_json"]),
    "data-formats__04.json.txt": ([], 0, ["invalid_json"]),
    "data-formats__02.json": (["join"], 0, []),
    "data-formats__05.json": ([], 0, ["not_an_instant"]),
    "data-formats__06.json": (["downlink"], 0, []),
    # they state no time, and a file has no arrival
    "data-formats__07.json": ([], 0, ["no_instant"]),
    "data-formats__08.json": ([], 0, ["no_instant"]),
    # commands to a device, not events of one
    "data-formats__09.json": ([], 0, ["unknown_event"]),
    "data-formats__10.json": ([], 0, ["unknown_event"]),
}


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """The examples; the test is skipped where they are absent."""
    path = shared_data.parent / "samples" / "lorawan"
    if not path.is_dir():
        pytest.skip(f"the examples are not at {path}")
    return path


def _expected(path: Path) -> tuple[list[str] | int, int, list[str]]:
    return EXPECTED[path.name.rpartition("integrations__")[2]]


def _read(payload: bytes, received_at: int | None = None) -> WireBatch:
    batch = WireBatch()
    assert decode(payload, batch, after=0, received_at=received_at, topic=None, options=WireOptions()) == 1
    return batch


def test_every_example_is_stored_or_refused_for_the_right_reason(folder: Path) -> None:
    paths = sorted(folder.glob("*/*.json*"))
    assert len(paths) == len(EXPECTED) == 21
    for path in paths:
        properties, assets, reasons = _expected(path)
        batch = _read(path.read_bytes())
        found = [row.property for row in batch.observations]
        assert (len(found) if isinstance(properties, int) else found) == properties, path
        assert len(batch.assets) == assets, path
        assert [reject.reason for reject in batch.rejects] == reasons, path


def test_examples_without_time_are_dated_by_their_arrival(folder: Path) -> None:
    batch = _read((folder / "ttn-the-things-stack" / "data-formats__08.json").read_bytes(), received_at=5)
    assert [(o.property, o.value_text, o.observed_at, o.quality) for o in batch.observations] == [
        ("downlink", "failed", 5, "uncertain"),
        ("downlink.error", "application downlink payload is too long", 5, "uncertain"),
    ]


def test_the_uplink_of_the_things_stack_is_read_once_its_comma_is_there(folder: Path) -> None:
    payload = (folder / "ttn-the-things-stack" / "data-formats__04.json.txt").read_bytes()
    batch = _read(payload.replace(b'}\n    "received_at"', b'},\n    "received_at"'))
    assert [(o.asset_ref, o.property, o.value, o.unit) for o in batch.observations] == [
        ("0004A30B001C0530", "temperature", 1.0, None),
        ("0004A30B001C0530", "luminosity", 0.64, None),
        ("0004A30B001C0530", "rssi", -35.0, "dBm"),
        ("0004A30B001C0530", "snr", 5.0, "dB"),
    ]
    assert batch.observations[0].message_id == "AXA50tHUGUucuzS/bCGMNw==:1"
    (asset,) = batch.assets
    assert (asset.name, asset.model, asset.longitude) == ("dev1", "the-things-products the-things-uno", 23.72678801175413)


def test_the_examples_as_files_are_staged_and_accounted_for(folder: Path, extension_directory: Path) -> None:
    feed = load_feed(named("ecoles-co2-lorawan"))
    for path in sorted(folder.glob("*/*.json")):
        seen = preview(feed, path, extension_directory=extension_directory)
        assert seen.received == seen.accepted + seen.duplicate + seen.rejected == 1, path
        assert (seen.accepted == 1) == (_expected(path)[0] != []), path
