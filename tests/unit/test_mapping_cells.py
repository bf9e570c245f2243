"""One source cell to one typed value: hand-computed, through DuckDB."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from ingestion.contracts.units import UNITS, Conversion
from ingestion.mapping import cells

UTC = dt.UTC


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        yield con


def value(con: duckdb.DuckDBPyConnection, expression: str, written: object, sql_type: str = "VARCHAR") -> Any:
    return con.execute(f"SELECT {expression} FROM (SELECT CAST(? AS {sql_type}) AS x)", [written]).fetchall()[0][0]


@pytest.mark.parametrize(
    ("written", "missing", "expected"),
    [
        ("  a b ", [""], "a b"),
        ("   ", [""], None),
        ("", ["NA"], None),  # an empty cell is never a value
        (" NA ", ["NA", "-"], None),
        ("-", ["NA", "-"], None),
        ("na", ["NA"], "na"),  # tokens are taken as they are declared
        ("it's", ["it's"], None),
        ("0", [""], "0"),
    ],
)
def test_text_cells(con: duckdb.DuckDBPyConnection, written: str, missing: list[str], expected: str | None) -> None:
    assert value(con, cells.cell("x", "VARCHAR", missing), written) == expected


def test_typed_cells_lose_their_sentinels(con: duckdb.DuckDBPyConnection) -> None:
    assert value(con, cells.cell("x", "DOUBLE", ["", "-9999.0"]), -9999.0, "DOUBLE") is None
    assert value(con, cells.cell("x", "DOUBLE", ["", "-9999.0"]), 0.0, "DOUBLE") == 0.0
    assert value(con, cells.cell("x", "INTEGER", ["999"]), 999, "INTEGER") is None


@pytest.mark.parametrize(
    ("written", "options", "expected"),
    [
        ("1.5", {}, 1.5),
        ("-0", {}, 0.0),
        ("1e3", {}, 1000.0),
        ("1,5", {}, None),
        ("1,5", {"decimal": ","}, 1.5),
        ("1.234", {"decimal": ","}, None),  # a point is no decimal point there: not guessed
        ("1.234,5", {"decimal": ",", "group": "."}, 1234.5),
        ("1 234,5", {"decimal": ",", "group": " "}, 1234.5),
        ("1\u202f234,5", {"decimal": ",", "group": "\u202f"}, 1234.5),
        ("1,234.5", {"group": ","}, 1234.5),
        ("1,2,3", {"decimal": ","}, None),
        ("1_000", {}, None),
        ("0x10", {}, None),
        ("true", {}, None),
        ("42 %", {}, None),
        ("42 %", {"bare": False}, 42.0),
        ("€ 1 234,50 TTC", {"bare": False, "decimal": ",", "group": " "}, 1234.5),
        ("-3,5°C", {"bare": False, "decimal": ","}, -3.5),
        ("n.c.", {"bare": False}, None),
        ("#N/A!", {}, None),
    ],
)
def test_numbers(con: duckdb.DuckDBPyConnection, written: str, options: dict[str, Any], expected: float | None) -> None:
    assert value(con, cells.number("x", "VARCHAR", **options), written) == expected


def test_numbers_too_large_are_infinite_for_the_contract_to_refuse(con: duckdb.DuckDBPyConnection) -> None:
    assert value(con, cells.number("x", "VARCHAR"), "1e400") == float("inf")


@pytest.mark.parametrize(
    ("unit", "written", "expected"),
    [
        ("kW", "1.5", 1500.0),
        ("mm", "-120", -0.12),
        ("L/s", "2500", 2.5),
        ("K", "273.15", 0.0),  # not 5.7e-14
        ("[degF]", "212", 100.0),
        ("[degF]", "-40", -40.0),
        ("km/h", "36", 10.0),
        ("MJ", "3.6", 1000.0),
        ("h", "1.5", 5400.0),
        ("W", "7", 7.0),
    ],
)
def test_units(con: duckdb.DuckDBPyConnection, unit: str, written: str, expected: float) -> None:
    assert value(con, cells.number("x", "VARCHAR", unit=UNITS[unit]), written) == pytest.approx(expected, abs=1e-9)


def test_zero_kelvins_have_no_noise(con: duckdb.DuckDBPyConnection) -> None:
    assert value(con, cells.number("x", "VARCHAR", unit=Conversion("Cel", 1.0, -273.15)), "273.15") == 0.0


@pytest.mark.parametrize(
    ("written", "expected"),
    [("oui", True), ("Non", False), ("1", True), ("0", False), ("VRAI", True), ("peut-être", None), ("2", None)],
)
def test_booleans(con: duckdb.DuckDBPyConnection, written: str, expected: bool | None) -> None:
    assert value(con, cells.boolean("x", "VARCHAR"), written) is expected


def test_declared_booleans_replace_the_usual_ones(con: duckdb.DuckDBPyConnection) -> None:
    expression = cells.boolean("x", "VARCHAR", true=["allumé"], false=["éteint"])
    assert [value(con, expression, w) for w in ("allumé", "éteint", "oui")] == [True, False, None]


@pytest.mark.parametrize(
    ("written", "formats", "expected"),
    [
        ("2024-02-29", [], dt.date(2024, 2, 29)),
        ("2023-02-29", [], None),
        ("2024-02-29T23:59:59", [], dt.date(2024, 2, 29)),
        ("03/04/2024", ["%d/%m/%Y"], dt.date(2024, 4, 3)),
        ("03/04/2024", ["%m/%d/%Y"], dt.date(2024, 3, 4)),
        ("13/04/2024", ["%m/%d/%Y", "%d/%m/%Y"], dt.date(2024, 4, 13)),  # in order: the second only where the first cannot
        ("epoch", [], None),
        ("infinity", [], None),
        ("20240229", ["%Y%m%d"], dt.date(2024, 2, 29)),
    ],
)
def test_dates(con: duckdb.DuckDBPyConnection, written: str, formats: list[str], expected: dt.date | None) -> None:
    assert value(con, cells.date("x", "VARCHAR", formats=formats), written) == expected


def _utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("written", "zone", "formats", "expected"),
    [
        ("2024-07-01 12:00:00", "Europe/Paris", [], _utc(2024, 7, 1, 10)),
        ("2024-01-01T12:00:00", "Europe/Paris", [], _utc(2024, 1, 1, 11)),
        ("2024-07-01T12:00:00Z", "Europe/Paris", [], _utc(2024, 7, 1, 12)),
        ("2024-07-01T12:00:00+05:30", "Europe/Paris", [], _utc(2024, 7, 1, 6, 30)),
        ("2024-07-01T12:00:00-05:00", "Europe/Paris", [], _utc(2024, 7, 1, 17)),
        ("2024-07-01T12:00:00-05:00", "UTC", [], _utc(2024, 7, 1, 17)),
        ("2024-07-01 12:00:00", "UTC", [], _utc(2024, 7, 1, 12)),
        ("2024-07-01T12:00:00.250Z", "UTC", [], _utc(2024, 7, 1, 12, 0, 0, 250_000)),
        ("2024-07-01T12:00Z", "Europe/Paris", [], _utc(2024, 7, 1, 12)),  # to the minute
        ("2024-07-01 12:00+02:00", "UTC", [], _utc(2024, 7, 1, 10)),
        ("2024-07-01 12:00", "Europe/Paris", [], _utc(2024, 7, 1, 10)),
        ("2024-07-01 12:00:00 UTC", "Europe/Paris", [], _utc(2024, 7, 1, 12)),  # the name of a zone is not left out
        ("2024-07-01 12:00:00 nowhere", "Europe/Paris", [], None),
        ("2024-07-01 12:00:00 UTC", "Europe/Paris", ["%Y-%m-%d %H:%M:%S %Z"], _utc(2024, 7, 1, 12)),
        ("2024-07-01 12:00:00 America/New_York", "Europe/Paris", ["%Y-%m-%d %H:%M:%S %Z"], _utc(2024, 7, 1, 16)),
        ("2024-03-31 02:30:00", "Europe/Paris", [], None),  # that hour did not exist
        ("2024-03-31 01:59:59", "Europe/Paris", [], _utc(2024, 3, 31, 0, 59, 59)),
        ("2024-03-31 03:00:00", "Europe/Paris", [], _utc(2024, 3, 31, 1)),
        ("2024-10-27 02:30:00", "Europe/Paris", [], _utc(2024, 10, 27, 1, 30)),  # it existed twice: the second, in standard time
        ("2024-10-27 02:30:00+02:00", "Europe/Paris", [], _utc(2024, 10, 27, 0, 30)),  # unless it says which
        ("2024-03-10 02:30:00", "America/Los_Angeles", [], None),
        ("03/11/2024 01:05:00 PM", "America/Los_Angeles", ["%m/%d/%Y %I:%M:%S %p"], _utc(2024, 3, 11, 20, 5)),
        ("31/03/2024 02:30", "Europe/Paris", ["%d/%m/%Y %H:%M"], None),
        ("01/07/2024 12:00 +0200", "America/Los_Angeles", ["%d/%m/%Y %H:%M %z"], _utc(2024, 7, 1, 10)),
        ("1 juillet", "UTC", ["%d/%m/%Y", "%d %m"], None),
        ("1700000000", "UTC", [], None),  # an epoch: which one is not guessed
        ("1700000000", "Europe/Paris", [], None),
        ("epoch", "UTC", [], None),
        ("infinity", "Europe/Paris", [], None),
        ("2024-13-01 00:00:00", "UTC", [], None),
        ("2024-07-01 25:00:00", "UTC", [], None),
    ],
)
def test_instants(con: duckdb.DuckDBPyConnection, written: str, zone: str, formats: list[str], expected: dt.datetime | None) -> None:
    assert value(con, cells.instant("x", "VARCHAR", zone=zone, formats=formats), written) == expected


def test_typed_instants(con: duckdb.DuckDBPyConnection) -> None:
    def read(sql_type: str, written: str) -> Any:
        return value(con, cells.instant("x", sql_type, zone="Europe/Paris", formats=[]), written, sql_type)

    assert read("TIMESTAMP", "2024-07-01 12:00:00") == _utc(2024, 7, 1, 10)
    assert read("TIMESTAMP WITH TIME ZONE", "2024-07-01 12:00:00+00") == _utc(2024, 7, 1, 12)
    assert read("DATE", "2024-07-01") == _utc(2024, 6, 30, 22)
    assert read("TIMESTAMP", "2024-03-31 02:30:00") is None
    assert value(con, cells.instant("x", "BIGINT", zone="UTC", formats=[]), 1_700_000_000, "BIGINT") is None


def test_an_offset_shifts_the_instant(con: duckdb.DuckDBPyConnection) -> None:
    expression = cells.instant("x", "VARCHAR", zone="Europe/Paris", formats=[], offset=dt.timedelta(minutes=-15))
    assert value(con, expression, "2024-01-01 00:15:00") == _utc(2023, 12, 31, 23)
