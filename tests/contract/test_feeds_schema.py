"""What is generated from the model is up to date, and says the same as the loader."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from ingestion.contracts.units import QUANTITIES, SPELLINGS, UNITS, between, near_units, quantity, same_quantity, to_canonical
from ingestion.feeds import schema
from ingestion.feeds.model import Feed
from tests.contract.feeds_support import RIGHT

FRESH = "stale: run python -m ingestion.feeds.schema"


def test_the_json_schema_is_up_to_date() -> None:
    assert schema.SCHEMA_FILE.read_text(encoding="utf-8") == schema.schema_text(), FRESH


def test_the_reference_pages_are_up_to_date() -> None:
    page = (schema.DOCS / "feed-contract.md").read_text(encoding="utf-8")
    assert schema.with_reference(page) == page, FRESH
    assert (schema.DOCS / "units.md").read_text(encoding="utf-8") == schema.units(), FRESH


def _keys(node: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(node, dict):
        found |= set(node.get("properties", {}))
        for value in node.values():
            found |= _keys(value)
    elif isinstance(node, list):
        for value in node:
            found |= _keys(value)
    return found


def test_every_key_of_the_model_is_documented() -> None:
    page = (schema.DOCS / "feed-contract.md").read_text(encoding="utf-8")
    keys = _keys(Feed.model_json_schema(by_alias=True))
    assert len(keys) > 80
    assert {k for k in keys if f"| `{k}` |" not in page} == set()


def test_every_key_has_a_meaning() -> None:
    assert "| |" not in schema.reference().replace("|  |", "| |").split("### Columns of each")[0]


@pytest.mark.parametrize("contract", sorted(RIGHT))
def test_the_json_schema_accepts_right_contracts(contract: str) -> None:
    data = json.loads(json.dumps(YAML(typ="safe", pure=True).load(RIGHT[contract]), default=str))
    jsonschema.validate(data, schema.json_schema())


@pytest.mark.parametrize("wrong", [("title: Essai", "titel: Essai"), ("longitude: Lon", "longitud: Lon"), ("domain: GRC", "domain: XX")])
def test_the_json_schema_underlines_what_the_loader_refuses(wrong: tuple[str, str]) -> None:
    data = YAML(typ="safe", pure=True).load(RIGHT["report"].replace(*wrong))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema.json_schema())


def test_each_unit_measures_something_and_each_spelling_means_a_unit() -> None:
    assert {c.canonical for c in UNITS.values()} == set(QUANTITIES)
    assert set(SPELLINGS.values()) <= set(UNITS)
    assert not set(SPELLINGS) & set(UNITS)
    assert all(UNITS[c.canonical].is_identity for c in UNITS.values())


def test_conversions_between_units() -> None:
    # Hand-computed: 1 kW.h is 3.6 MJ; 90 min is 1.5 h; 68 °F is 20 °C; a knot is 1.852 km/h.
    assert between("kW.h", "MJ").factor == pytest.approx(3.6)
    assert 90 * between("min", "h").factor == pytest.approx(1.5)
    fahrenheit = between("[degF]", "Cel")
    assert 68 * fahrenheit.factor + fahrenheit.offset == pytest.approx(20)
    assert between("[kn_i]", "km/h").factor == pytest.approx(1.852)
    with pytest.raises(ValueError, match="energy"):
        between("kW.h", "W")
    assert quantity("mbar") == "pressure"
    assert same_quantity("W.h") == ["W.h", "kW.h", "MW.h", "GW.h", "J", "kJ", "MJ", "GJ"]


def test_acceleration_pressure_and_lengths_convert() -> None:
    assert (to_canonical("[g]").canonical, to_canonical("[g]").factor) == ("m/s2", 9.80665)
    assert quantity("m/s2") == "acceleration"
    # 30 psi is 2.07 bar, 1 l/min is 60 l/h, 12 inches are a foot.
    assert 30 * between("[psi]", "bar").factor == pytest.approx(2.068, abs=1e-3)
    assert between("L/min", "L/h").factor == pytest.approx(60)
    assert 12 * between("[in_i]", "[ft_i]").factor == pytest.approx(1)
    assert to_canonical("J/cm2").factor == pytest.approx(10_000 / 3600)


@pytest.mark.parametrize(
    ("written", "codes"),
    [
        ("kWh", ["kW.h"]),
        ("KWH", ["kW.h"]),
        ("m³/h", ["m3/h"]),
        ("celcius", ["Cel"]),
        ("m/s²", ["m/s2"]),
        ("mw", ["mW", "MW"]),
        # One letter away from a unit of something else: nothing is proposed.
        ("m/s3", []),
        ("kg/m", []),
        ("metres", []),
        ("Wm", []),
    ],
)
def test_only_another_spelling_of_a_unit_is_proposed(written: str, codes: list[str]) -> None:
    assert near_units(written) == codes


def test_the_worked_example_of_add_a_source_is_right(tmp_path: Path) -> None:
    page = (schema.DOCS / "add-a-source.md").read_text(encoding="utf-8")
    example = page.split("filled in:\n\n")[-1] if "filled in:\n\n" in page else page.split("once\nfilled in:")[-1]
    block = example.split("Personal columns that nothing needs")[0]
    text = "\n".join(line.removeprefix("    ") for line in block.split("\n"))
    text += "owner: {name: x}\nsteward: {name: x}\nterritory: {code: x, name: x, time_zone: UTC, holidays: FR, latitude: 1, longitude: 1}\n"
    path = tmp_path / "pannes.yaml"
    path.write_text(text, encoding="utf-8")
    from ingestion.feeds.load import load_feed

    feed = load_feed(path)
    assert [rule.fault_type for rule in feed.indicators.faults] == ["lamp-out", "cabinet-dark"]


def test_the_worked_example_of_measures_is_right(tmp_path: Path, extension_directory: Path) -> None:
    page = (schema.DOCS / "add-a-source.md").read_text(encoding="utf-8")
    block = page.split("## Another one: measures")[1].split("| question |")[0]
    rows, text = (
        "\n".join(line[4:] for line in part.split("\n") if line.startswith("    ")) for part in block.split("\n    # the contract")
    )
    path, file = tmp_path / "passages.yaml", tmp_path / "passages.csv"
    path.write_text(text, encoding="utf-8")
    file.write_text(rows + "\n", encoding="utf-8")
    from ingestion.feeds.load import load_feed
    from ingestion.landing import preview

    found = preview(load_feed(path), file, extension_directory=extension_directory)
    assert (found.received, found.accepted, found.rejected, found.rejected_values) == (2, 2, 0, 0)
    stored = {(r["property"], str(r["observed_at"])): (r["value"], r["unit"]) for r in found.rows}
    assert len(stored) == 8
    # A date without time is local midnight: 23:00 UTC the day before, in winter. 18 km/h would be 5 m/s.
    assert stored["bicycle_count_1d", "2026-01-04 23:00:00+00:00"] == (1204, "{count}")
    assert stored["mean_speed", "2026-01-04 23:00:00+00:00"] == (pytest.approx(17.5 / 3.6), "m/s")


def _snippets() -> list[str]:
    page = (schema.DOCS / "add-a-source.md").read_text(encoding="utf-8")
    table = page.split("## Frequent difficulties")[1].split("## Have it fetched")[0]
    cells = [line.replace("\\|", "¦").split("|")[2] for line in table.split("\n") if line.startswith("| ") and "what to write" not in line]
    found: list[str] = []
    for cell in cells:
        # Lines of one snippet are joined; words of explanation stand outside the backquotes.
        parts = [p.replace("¦", "|") for p in cell.split("`")[1::2]]
        nested = [p for p in parts if p.startswith("  - ")]
        found += ["\n".join([p, *nested]) if p.endswith(":") else p for p in parts if ": " in p or p.endswith(":") if p not in nested]
    return found


def test_every_snippet_of_the_table_of_difficulties_is_of_the_contract() -> None:
    from ingestion.contracts.canonical import CONTRACTS
    from ingestion.feeds.model import FieldSpec, MapTo

    columns = {c for contract in CONTRACTS.values() for c in contract.columns}
    snippets = _snippets()
    assert len(snippets) > 25
    for snippet in snippets:
        data = YAML(typ="safe", pure=True).load(snippet)
        if isinstance(data, list):
            for item in data:
                FieldSpec.model_validate(item)
            continue
        for key, value in data.items():
            if key in Feed.model_fields:
                field = {key: value}
                base = YAML(typ="safe", pure=True).load(RIGHT["observation"])
                Feed.model_validate(base | field)
            elif key in columns:
                MapTo.model_validate({"column": value} if isinstance(value, str) else value)
            else:
                assert key == "other", snippet


def test_the_connectors_of_add_a_source_are_right() -> None:
    page = (schema.DOCS / "add-a-source.md").read_text(encoding="utf-8")
    block = page.split("## Have it fetched")[1].split("\n## ")[0]
    base = YAML(typ="safe", pure=True).load(RIGHT["report"])
    parts = re.findall(r"(?m)(?:^    .+\n)+", block)
    assert len(parts) == 3  # a file, REST, REST by windows
    for part in map(textwrap.dedent, parts):
        Feed.model_validate(base | YAML(typ="safe", pure=True).load(part))
