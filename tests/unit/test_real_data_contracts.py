"""The shipped contracts of public sets, without the sets: what each must say, and conversions on records of our own.

Here: rules that hold for every example. Not here: the sets themselves (tests/integration/test_real_data.py).
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any, Final

import pytest

from ingestion.feeds.load import load_feed
from ingestion.feeds.load_yaml import read_document
from ingestion.feeds.model import FormatSpec
from ingestion.landing import Preview, preview

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLES: Final = sorted((ROOT / "ingestion" / "feeds" / "examples").glob("*.yaml"))
FAULT_TYPES: Final = ROOT / "dbt_project" / "seeds" / "core__fault_type.csv"


def named(name: str) -> Path:
    """Return the path of a shipped contract."""
    return next(path for path in EXAMPLES if path.stem == name)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_what_people_need(path: Path) -> None:
    """Each loads under its file's name, tells what it holds, and states the class of every column instead of a default."""
    feed = load_feed(path)
    assert feed.feed == path.stem
    assert feed.description
    assert feed.source.note, "what should a careful reader know?"
    for written in read_document(path).data["fields"]:
        assert {"classification", "title"} <= set(written), written["name"]
    # A personal column is kept for a time that is stated.
    assert feed.retention is not None or not feed.personal_columns


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_names_faults_that_exist(path: Path) -> None:
    """A fault that no one knows would have no guarantee and no name."""
    with FAULT_TYPES.open(encoding="utf-8") as file:
        known = {row["fault_type"] for row in csv.DictReader(file)}
    rules = load_feed(path).indicators
    assert {rule.fault_type for rule in rules.faults} | {rule.fault_type for rule in rules.states} <= known


def test_where_citizens_reported_from_is_not_open() -> None:
    """A report's number, exact position and address tell who made it."""
    reports = [feed for feed in map(load_feed, EXAMPLES) if feed.contract == "report"]
    assert reports
    for feed in reports:
        open_columns = {f.name for f in feed.fields if f.classification == "open"}
        read = {feed.mapping[c].column for c in ("longitude", "latitude", "street", "report_ref") if c in feed.mapping}
        assert not read & open_columns, feed.feed


def seen(name: str, file: Path, extension_directory: Path) -> Preview:
    """Preview a file through a shipped contract."""
    return preview(load_feed(named(name)), file, extension_directory=extension_directory)


def test_enedis_turns_power_into_energy(tmp_path: Path, extension_directory: Path) -> None:
    """6 kW over 10 minutes are 1,000 Wh, 120 W over 30 are 60; an unknown unit and reactive energy are refused."""

    def curve(unit: str, value: str, step: str, *, quantity: str = "EA", way: str = "CONS") -> dict[str, Any]:
        point = {"d": "2026-03-29T01:30:00+01:00", "v": value, "p": step, "n": "R"}
        return {"grandeurMetier": way, "grandeurPhysique": quantity, "unite": unit, "points": [point]}

    curves = [
        curve("Wh", "12", "PT5M"),
        curve("kWh", "1.5", "PT30M", way="PROD"),
        curve("kW", "6", "PT10M"),
        curve("W", "120", "PT30M"),
        curve("MW", "1", "PT30M"),
        curve("varh", "3", "PT5M", quantity="ERI"),
    ]
    document = {
        "header": {"codeFlux": "R63"},
        "mesures": [{"idPrm": f"3000000000000{i}", "grandeur": [c]} for i, c in enumerate(curves)],
    }
    file = tmp_path / "r63.json"
    file.write_text(json.dumps(document), encoding="utf-8")

    became = seen("enedis-r63", file, extension_directory)

    # Five and ten minutes are stamped at their beginning, half hours (Linky) at their end.
    at = dt.datetime(2026, 3, 29, 0, 30, tzinfo=dt.UTC)
    assert [(r["energy_wh"], r["direction"], r["start_at"] - at, r["end_at"] - at) for r in became.rows] == [
        (12.0, "consumption", dt.timedelta(0), dt.timedelta(minutes=5)),
        (1500.0, "injection", dt.timedelta(minutes=-30), dt.timedelta(0)),
        (1000.0, "consumption", dt.timedelta(0), dt.timedelta(minutes=10)),
        (60.0, "consumption", dt.timedelta(minutes=-30), dt.timedelta(0)),
    ]
    assert [(r["position"], r["reason"]) for r in became.rejects] == [(5, "unknown_unit"), (6, "not_active_energy")]


def test_a_moved_order_of_luminaires_keeps_their_codes(tmp_path: Path, extension_directory: Path) -> None:
    """The rank among superposed luminaires follows their type, not the order of the export."""
    feed = load_feed(named("montpellier-eclairage")).model_copy(update={"format": FormatSpec(type="geojson", crs="EPSG:2154")})
    lights = [("PROJECTEUR", 770999.842), ("LANTERNE", 770999.838), ("LANTERNE", 770999.853)]

    def codes(order: list[tuple[str, float]]) -> set[tuple[str, str]]:
        features = [
            {"type": "Feature", "properties": {"type_lante": t}, "geometry": {"type": "Point", "coordinates": [x, 6278801.5217]}}
            for t, x in order
        ]
        file = tmp_path / "lights.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
        return {(r["asset_ref"], r["model"]) for r in preview(feed, file, extension_directory=extension_directory).rows}

    expected = {
        ("L93-77099984-627880152-1", "LANTERNE"),
        ("L93-77099984-627880152-2", "PROJECTEUR"),
        ("L93-77099985-627880152-1", "LANTERNE"),
    }
    assert codes(lights) == expected
    assert codes(lights[::-1]) == expected
