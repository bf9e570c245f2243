"""Units of single records and of columns whose unit is in their name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ingestion.feeds.model import Feed
from ingestion.landing import Preview, preview

FEED: dict[str, Any] = {
    "feed": "gauges",
    "title": "Limnimètres",
    "domain": "EAU",
    "owner": {"name": "a"},
    "steward": {"name": "b"},
    "source": {"publisher": "c", "licence": "internal"},
    "territory": {"code": "x", "name": "X", "time_zone": "UTC", "holidays": "FR", "latitude": 0, "longitude": 0},
    "time_zone": "UTC",
}


def previewed(folder: Path, extension_directory: Path, contract: dict[str, Any], text: str) -> Preview:
    """Preview a CSV under a contract."""
    file = folder / "file.csv"
    file.write_text(text, encoding="utf-8")
    return preview(Feed.model_validate({**FEED, **contract}), file, extension_directory=extension_directory)


def test_each_record_is_converted_by_the_unit_it_states(tmp_path: Path, extension_directory: Path) -> None:
    """1,500 mm and 150 cm are 1.5 m; 0 °C is 273.15 K; a unit nobody knows, or none, is a rejection."""
    contract = {
        "contract": "observation",
        "fields": [{"name": n} for n in ("ref", "what", "at", "v", "u")],
        "mapping": {
            "asset_ref": "ref",
            "property": "what",
            "observed_at": {"column": "at", "format": "default"},
            "value": "v",
            "unit": "u",
        },
    }
    rows = ["a,level,2024-01-01T00:00,1500,mm", "a,level,2024-01-01T01:00,150,cm", "a,temp,2024-01-01T00:00,273.15,K"]
    bad = ["a,level,2024-01-01T02:00,3,furlong", "a,level,2024-01-01T03:00,3,", "a,level,2024-01-01T04:00,high,mm"]
    seen = previewed(tmp_path, extension_directory, contract, "\n".join(["ref,what,at,v,u", *rows, *bad]) + "\n")

    assert [(r["value"], r["unit"]) for r in seen.rows] == [(1.5, "m"), (1.5, "m"), (0.0, "Cel")]
    assert [(r["position"], r["reason"]) for r in seen.rejects] == [(4, "unknown_unit"), (5, "unknown_unit"), (6, "not_a_number")]


def test_a_truth_value_with_its_text_needs_no_unit(tmp_path: Path, extension_directory: Path) -> None:
    """0 or 1 beside `false` or `start` measures nothing; any other number, or no text, still needs its unit."""
    contract = {
        "contract": "observation",
        "fields": [{"name": n} for n in ("ref", "what", "at", "v", "t", "u")],
        "mapping": {
            "asset_ref": "ref",
            "property": "what",
            "observed_at": {"column": "at", "format": "default"},
            "value": "v",
            "value_text": "t",
            "unit": "u",
        },
    }
    rows = ["a,door,2024-01-01T00:00,1,start,", "a,door,2024-01-01T01:00,0,stop,", "a,level,2024-01-01T02:00,1,high,mm"]
    bad = ["a,level,2024-01-01T03:00,2,high,", "a,level,2024-01-01T04:00,1,,"]
    seen = previewed(tmp_path, extension_directory, contract, "\n".join(["ref,what,at,v,t,u", *rows, *bad]) + "\n")

    assert [(r["value"], r["value_text"], r["unit"]) for r in seen.rows] == [(1, "start", None), (0, "stop", None), (0.001, "high", "m")]
    assert [(r["position"], r["reason"]) for r in seen.rejects] == [(4, "unknown_unit"), (5, "unknown_unit")]


def test_a_column_is_converted_to_the_unit_of_its_name(tmp_path: Path, extension_directory: Path) -> None:
    """Suspensions are kept in minutes (not in the lake's seconds): two hours are 120."""
    contract = {
        "contract": "intervention",
        "fields": [{"name": n} for n in ("ref", "at", "wait")],
        "mapping": {
            "intervention_ref": "ref",
            "requested_at": {"column": "at", "format": "default"},
            "suspended_minutes": {"column": "wait", "unit": "h"},
        },
    }
    seen = previewed(tmp_path, extension_directory, contract, "ref,at,wait\nDI1,2024-01-01T00:00,2\n")

    assert [r["suspended_minutes"] for r in seen.rows] == [120.0]
