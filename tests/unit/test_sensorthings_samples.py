"""Every example of OGC 15-078 and of Geonovum becomes rows or is refused, as its own text says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from ingestion.feeds.load import load_feed
from ingestion.formats.sensorthings import decode
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.landing import preview
from tests.unit.test_real_data_contracts import named

# File: records, observations, assets, reasons. Nothing says the units of bare observations: they are refused, and the contract may.
EXPECTED: Final[dict[str, tuple[int, int, list[str], set[str]]]] = {
    "08_entities__01.json": (1, 0, ["Things(1)"], set()),
    "08_entities__02.json": (1, 0, ["Locations(1)"], set()),
    "08_entities__03.json": (2, 0, [], {"not_read"}),
    "08_entities__04.json": (1, 0, ["Datastreams(1)"], set()),
    "08_entities__05.json": (1, 0, [], {"not_read"}),
    "08_entities__06.json": (1, 0, [], {"no_datastream"}),
    "08_entities__07.json": (1, 0, ["FeaturesOfInterest(1)"], set()),
    "09_service_interface__01.json": (7, 0, [], {"not_read"}),
    "09_service_interface__02.json": (1, 0, [], {"unknown_entity"}),
    "09_service_interface__03.json": (2, 0, [], {"unknown_entity"}),
    "09_service_interface__04.json": (1, 0, ["Things(1)"], set()),
    "10_create_update_delete__01.json": (1, 0, [], {"unknown_entity"}),
    "10_create_update_delete__02.json": (1, 0, [], {"no_unit"}),
    "10_create_update_delete__03.json": (1, 0, [], {"unknown_entity"}),
    "12_multidatastream__01.json": (1, 0, ["MultiDatastreams(1)"], set()),
    "12_multidatastream__02.json": (1, 0, [], {"no_datastream"}),
    "13_data_array__01.json": (3, 0, [], {"no_unit"}),
    "13_data_array__02.json": (3, 3, [], {"no_unit"}),
    "13_data_array__03.json": (4, 0, [], {"no_unit"}),
    "13_data_array__04.json": (3, 0, [], {"not_an_entity"}),
    "14_mqtt__01.json": (1, 0, [], {"unknown_entity"}),
    "14_mqtt__02.json": (1, 0, [], {"no_datastream"}),
    # what is to be created has no identifier yet
    "voorbeeld_data_grondwaterstanden__dataStream1.json": (1, 0, [], {"no_id"}),
    "voorbeeld_data_grondwaterstanden__dataStream2.json": (1, 0, [], {"no_id"}),
    "voorbeeld_data_grondwaterstanden__location.json": (1, 0, [], {"no_id"}),
    # lacks a comma
    "voorbeeld_data_grondwaterstanden__thing.json": (1, 0, [], {"invalid_json"}),
    # several documents; a Postman collection; a Node-RED flow
    "sta-data-upload__postman-mqtt__sens-ams-1.json": (1, 0, [], {"invalid_json"}),
    "sta-data-upload__postman-mqtt__SenseAms2STA.postman_collection.json": (1, 0, [], {"unknown_entity"}),
    "sta-data-upload__postman-mqtt__nodered-flow.json": (14, 0, [], {"unknown_entity"}),
}
LINES: Final = ("voorbeeld_data_grondwaterstanden__observations1.json", "voorbeeld_data_grondwaterstanden__observations2.json")


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """The examples; the test is skipped where they are absent."""
    path = shared_data.parent / "samples" / "sensorthings"
    if not path.is_dir():
        pytest.skip(f"the examples are not at {path}")
    return path


def _read(payload: bytes, topic: str | None = None, **units: str) -> tuple[int, WireBatch]:
    batch = WireBatch()
    options = WireOptions(units={name.replace("_", "(", 1) + ")": unit for name, unit in units.items()})
    return decode(payload, batch, after=0, received_at=None, topic=topic, options=options), batch


def test_every_example_is_stored_or_refused_for_the_right_reason(folder: Path) -> None:
    paths = sorted(path for path in folder.glob("*/*.json") if path.name not in LINES)
    assert {path.name for path in paths} == set(EXPECTED)
    for path in paths:
        records, batch = _read(path.read_bytes())
        found = (records, len(batch.observations), [a.asset_ref for a in batch.assets], {r.reason for r in batch.rejects})
        assert found == EXPECTED[path.name], path


def test_data_arrays_are_read_once_the_contract_says_their_units(folder: Path) -> None:
    payload = (folder / "ogc-15-078-adoc" / "13_data_array__03.json").read_bytes()
    records, batch = _read(payload, Datastreams_1="Cel", Datastreams_2="%")
    assert records == 4
    assert [(o.asset_ref, o.value, o.unit, o.observed_at) for o in batch.observations] == [
        ("Datastreams(1)", 20.0, "Cel", 1_293_124_800_000_000),
        ("Datastreams(1)", 30.0, "Cel", 1_293_124_860_000_000),
        ("Datastreams(2)", 65.0, "%", 1_293_124_800_000_000),
        ("Datastreams(2)", 60.0, "%", 1_293_124_860_000_000),
    ]
    assert not batch.rejects


@pytest.mark.parametrize("name", LINES)
def test_lines_of_a_datastream_that_nothing_names_are_refused_and_read_once_it_is_named(folder: Path, name: str) -> None:
    lines = [line for line in (folder / "geonovum" / name).read_bytes().splitlines() if line.strip()]
    assert len(lines) > 3_000
    for line in lines[:50]:
        assert {r.reason for r in _read(line)[1].rejects} == {"no_datastream"}
    rows = 0
    for line in lines:
        records, batch = _read(line, topic="Datastreams(3)", Datastreams_3="m")
        assert records == 1
        assert len(batch.observations) + len(batch.rejects) == 1
        rows += len(batch.observations)
        assert {r.reason for r in batch.rejects} <= {"invalid_json", "no_result"}
    assert rows > 0.99 * len(lines)
    # the same as one page becomes columns
    good = [line for line in lines if _read(line, topic="Datastreams(3)", Datastreams_3="m")[1].observations]
    records, batch = _read(b'{"value": [' + b",".join(good) + b"]}", topic="Datastreams(3)", Datastreams_3="m")
    assert records == rows == sum(table.num_rows for _, table in batch.tables)
    assert not batch.rejects


def test_the_examples_as_files_are_staged_and_accounted_for(folder: Path, extension_directory: Path) -> None:
    feed = load_feed(named("nappe-sensorthings"))
    for name in ("08_entities__01", "08_entities__04", "13_data_array__01", "13_data_array__02", "14_mqtt__02"):
        path = folder / "ogc-15-078-adoc" / f"{name}.json"
        seen = preview(feed, path, extension_directory=extension_directory)
        records, observations, assets, _ = EXPECTED[path.name]
        assert (seen.received, seen.accepted) == (records, records if observations or assets else 0)
        assert seen.received == seen.accepted + seen.duplicate + seen.rejected
