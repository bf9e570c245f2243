"""Declared files: taken whole, or refused whole with the row and what it breaks.

Here: the files' rules, on an engine in memory. Not here: what the models make of them (unit tests beside the models).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb
import pytest

from ingestion import declarations
from ingestion.declarations import DECLARED, SHIPPED_DECLARED
from ingestion.errors import WrongUse
from ingestion.lake import reference


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine with a database `lake` in memory, that has the reference tables."""
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS lake")
    con.execute("CREATE SCHEMA lake.raw")
    reference.create(con)
    yield con
    con.close()


def test_each_shipped_file_is_an_empty_one_with_the_columns_of_its_table() -> None:
    assert {p.stem for p in SHIPPED_DECLARED.glob("*.csv")} == set(DECLARED)
    for name in DECLARED:
        assert (SHIPPED_DECLARED / f"{name}.csv").read_text(encoding="utf-8") == ",".join(reference.TABLES[name]) + "\n"


def test_every_rule_is_sql_over_its_columns(con: duckdb.DuckDBPyConnection) -> None:
    for name, declared in DECLARED.items():
        for rule, said in declared.rules:
            con.execute(f"SELECT {rule} FROM lake.raw.{name}")
            assert said
        assert {*declared.required, *declared.key} <= set(reference.TABLES[name])


# One good row of each file; what is then written in a column, and what the refusal says.
GOOD: Final = {
    "asset_crosswalk": {"territory": "ville", "source": "lora", "asset_ref": "D1", "canonical_source": "gis", "canonical_ref": "L1"},
    "contract_target": {
        "territory": "ville",
        "objective": "delay",
        "measure": "gtr",
        "target": "95",
        "unit": "%",
        "penalty_eur": "100",
        "penalty_per": "point",
        "valid_from": "2026-01-01",
    },
    "contract_reference": {"territory": "ville", "year": "2019", "month": "1", "energy_kwh": "1200"},
    "comfort_band": {"territory": "ville", "property": "co2", "maximum": "1000"},
    "occupancy_hours": {"source": "gis", "asset_ref": "B1", "iso_weekday": "1", "occupied_from": "08:00", "occupied_until": "24:00"},
    "parking_capacity": {"source": "p", "asset_ref": "P1", "capacity": "300"},
    "planned_maintenance": {"feed": "iot", "starts_at": "2026-01-31 22:00", "ends_at": "2026-02-01 06:00"},
}
BAD: Final = [
    ("asset_crosswalk", {"territory": ""}, "row 1: territory is missing"),
    ("asset_crosswalk", {"identity": "7"}, "row 1: give either identity"),
    ("asset_crosswalk", {"canonical_ref": ""}, "row 1: give either identity"),
    ("asset_crosswalk", {"canonical_source": "lora", "canonical_ref": "D1"}, "row 1: a code does not stand for itself"),
    ("asset_crosswalk", {"valid_from": "2026-02-01", "valid_to": "2026-02-01"}, "row 1: valid_to comes after valid_from"),
    ("asset_crosswalk", {"valid_from": "31/01/2026"}, "dates as 2026-01-31"),
    ("contract_target", {"objective": "beauty"}, "row 1: objective is one of saving, delay, availability"),
    ("contract_target", {"measure": ""}, "row 1: measure is gti"),
    ("contract_target", {"objective": "saving"}, "row 1: measure is gti"),
    ("contract_target", {"unit": "h"}, "row 1: unit is %"),
    ("contract_target", {"target": "120"}, "row 1: target lies between 0 and 100"),
    ("contract_target", {"penalty_per": ""}, "row 1: penalty_eur goes with penalty_per"),
    ("contract_target", {"penalty_eur": "-1"}, "row 1: penalty_eur is not negative"),
    ("contract_target", {"valid_from": "2026-01-15"}, "row 1: a target holds for whole months"),
    ("contract_reference", {"month": "13"}, "row 1: month is 1 to 12"),
    ("contract_reference", {"energy_kwh": "0"}, "row 1: energy_kwh is positive"),
    ("comfort_band", {"source": "gis"}, "row 1: source goes with asset_ref"),
    ("comfort_band", {"maximum": ""}, "row 1: give minimum, maximum or both"),
    ("comfort_band", {"minimum": "2000"}, "row 1: minimum is less than maximum"),
    ("occupancy_hours", {"iso_weekday": "8"}, "row 1: iso_weekday"),
    ("occupancy_hours", {"occupied_from": "8h"}, "row 1: occupied_from is a local time"),
    ("occupancy_hours", {"occupied_until": "24:30"}, "row 1: occupied_until is a local time"),
    ("occupancy_hours", {"occupied_until": "07:00"}, "row 1: occupied_until comes after"),
    ("parking_capacity", {"capacity": "0"}, "row 1: capacity is positive"),
    ("planned_maintenance", {"starts_at": "2026-01-31T22:00:00+01:00"}, "row 1: starts_at is a local time"),
    ("planned_maintenance", {"ends_at": "2026-02-31 06:00"}, "row 1: ends_at is a local time"),
    ("planned_maintenance", {"ends_at": "2026-01-31 21:00"}, "row 1: ends_at comes after starts_at"),
]


def write(folder: Path, name: str, *rows: dict[str, str]) -> None:
    """Write a declared file."""
    columns = list(reference.TABLES[name])
    lines = [",".join(columns), *(",".join(row.get(c, "") for c in columns) for row in rows)]
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(("name", "change", "said"), BAD)
def test_a_wrong_row_is_refused_and_nothing_of_its_file_is_taken(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str, change: dict[str, str], said: str
) -> None:
    write(tmp_path, name, GOOD[name])
    assert declarations.refresh(con, tmp_path) == [name]
    write(tmp_path, name, GOOD[name] | change)
    with pytest.raises(WrongUse) as refused:
        declarations.refresh(con, tmp_path)
    assert said in f"{refused.value} {refused.value.remedy}"
    assert con.execute(f"SELECT count(*) FROM lake.raw.{name}").fetchall() == [(1,)]


def test_two_rows_about_one_thing_hold_one_after_the_other(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    first = GOOD["asset_crosswalk"] | {"valid_to": "2026-06-01"}
    second = GOOD["asset_crosswalk"] | {"canonical_ref": "L2", "valid_from": "2026-06-01"}
    write(tmp_path, "asset_crosswalk", first, second)
    assert declarations.refresh(con, tmp_path) == ["asset_crosswalk"]
    write(tmp_path, "asset_crosswalk", second | {"valid_from": "2026-05-31"}, first)
    with pytest.raises(WrongUse, match="rows 1 and 2 are about the same thing at the same time"):
        declarations.refresh(con, tmp_path)
    write(tmp_path, "contract_reference", GOOD["contract_reference"], GOOD["contract_reference"] | {"year": "2020"})
    write(tmp_path, "asset_crosswalk", first)
    with pytest.raises(WrongUse, match=r"contract_reference.csv: rows 1 and 2"):
        declarations.refresh(con, tmp_path)
