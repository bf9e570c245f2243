"""One declaration, two engines: dataframely and the compiled SQL accept exactly the same rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dataframely as dy
import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.contracts.canonical import CONTRACTS, EARLIEST, LATEST, Contract
from ingestion.lake.session import identifier
from ingestion.mapping.rules import contract_rules

_MICROSECOND = dt.timedelta(microseconds=1)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        yield con


def _bounds(low: float | None, high: float | None) -> list[float]:
    near = [b * f if b else d for b in (low, high) if b is not None for f, d in ((1.0, 0.0), (1.0000001, 1e-9), (0.9999999, -1e-9))]
    return [*near, 0.0, -0.0, 1.0, -1.0, 1e308, -1e308, float("inf"), float("-inf"), float("nan")]


def candidates(column: dy.Column) -> list[Any]:
    """Values on both sides of every bound of a column; None included."""
    match column:
        case dy.Datetime():
            found: list[Any] = [EARLIEST, EARLIEST - _MICROSECOND, LATEST, LATEST + _MICROSECOND, dt.datetime(2024, 7, 1, tzinfo=dt.UTC)]
        case dy.Date():
            found = [dt.date(1799, 12, 31), dt.date(1800, 1, 1), dt.date(2100, 1, 1), dt.date(2100, 1, 2), dt.date(2024, 7, 1)]
        case dy.Float64():
            found = _bounds(column.min, column.max)
        case dy.Bool():
            found = [True, False]
        case dy.Enum():
            found = [*column.categories, "other", ""]
        case dy.String():
            longest = column.max_length or 10
            found = ["", "a", "é", "x" * longest, "é" * longest, "x" * (longest + 1), "\U0001f6b2" * (longest + 1)]
        case _:
            raise TypeError(column)
    return [None, *found]


def typical(column: dy.Column) -> Any:
    match column:
        case dy.Datetime():
            return dt.datetime(2024, 7, 1, tzinfo=dt.UTC)
        case dy.Date():
            return dt.date(2024, 7, 1)
        case dy.Float64():
            return 1.0
        case dy.Bool():
            return True
        case dy.Enum():
            return column.categories[0]
        case _:
            return "a"


@st.composite
def batches(draw: st.DrawFn, contract: Contract) -> list[dict[str, Any]]:
    """Rows that break no rule but in a few columns: a row wrong everywhere would hide the rule that is not checked."""
    columns = contract.schema.columns()
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        row = {name: typical(column) for name, column in columns.items()}
        if "end_at" in row:
            lengths = [dt.timedelta(minutes=30), dt.timedelta(0), -_MICROSECOND, _MICROSECOND]
            row["end_at"] = row["start_at"] + draw(st.sampled_from(lengths))
        for name in draw(st.lists(st.sampled_from(sorted(columns)), max_size=3, unique=True)):
            row[name] = draw(st.sampled_from(candidates(columns[name])))
        rows.append(row)
    return rows


def polars_type(column: dy.Column) -> Any:
    return pl.String() if isinstance(column, dy.Enum) else column.dtype


def accepted_by_dataframely(contract: Contract, rows: list[dict[str, Any]]) -> list[int]:
    columns = contract.schema.columns()
    numbered: type[dy.Schema] = type(f"Numbered{contract.name}", (contract.schema,), {"_n": dy.Int64(nullable=False)})
    frame = pl.DataFrame(
        {"_n": list(range(len(rows)))} | {n: pl.Series(n, [r[n] for r in rows], dtype=polars_type(c)) for n, c in columns.items()}
    )
    enums = {n: c for n, c in columns.items() if isinstance(c, dy.Enum)}
    # An unknown word cannot even be cast to an enumeration: such a row is refused before the schema sees it.
    frame = frame.filter(pl.all_horizontal(True, *(pl.col(n).is_null() | pl.col(n).is_in(c.categories) for n, c in enums.items())))
    typed = frame.with_columns(pl.col(n).cast(c.dtype) for n, c in enums.items())
    return [int(n) for n in numbered.filter(typed)[0]["_n"]]


def accepted_by_sql(con: duckdb.DuckDBPyConnection, contract: Contract, rows: list[dict[str, Any]]) -> list[int]:
    columns = contract.schema.columns()
    table = pl.DataFrame(
        {"_n": list(range(len(rows)))} | {n: pl.Series(n, [r[n] for r in rows], dtype=polars_type(c)) for n, c in columns.items()}
    ).to_arrow()
    con.register("batch", table)
    try:
        # A cell that holds nothing is NULL before the rules see it (`cells.cell`).
        texts = {n for n, c in columns.items() if isinstance(c, (dy.String, dy.Enum))}
        cleaned = ", ".join(f"nullif({identifier(n)}, '') AS {identifier(n)}" if n in texts else identifier(n) for n in columns)
        bad = " OR ".join(f"coalesce({r.violated}, false)" for r in contract_rules(contract, set(columns), identifier))
        found = con.execute(f"SELECT _n FROM (SELECT _n, {cleaned} FROM batch) WHERE NOT ({bad}) ORDER BY _n").fetchall()
    finally:
        con.unregister("batch")
    return [n for (n,) in found]


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_both_engines_accept_the_same_rows(con: duckdb.DuckDBPyConnection, name: str) -> None:
    contract = CONTRACTS[name]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(batches(contract))
    def same(rows: list[dict[str, Any]]) -> None:
        # '' is NULL in a landing: settled before either engine looks.
        for row in rows:
            for column, kind in contract.schema.columns().items():
                if isinstance(kind, (dy.String, dy.Enum)) and row[column] == "":
                    row[column] = None
        assert accepted_by_sql(con, contract, rows) == accepted_by_dataframely(contract, rows)

    same()


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_rule_of_a_contract_can_be_broken_alone(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Each column's worst values are refused by SQL, by a rule that names the column, where dataframely refuses them."""
    contract = CONTRACTS[name]
    columns = contract.schema.columns()
    good = {n: typical(c) for n, c in columns.items()}
    if "end_at" in good:
        good["end_at"] = good["start_at"] + dt.timedelta(minutes=30)
    assert accepted_by_sql(con, contract, [good]) == accepted_by_dataframely(contract, [good]) == [0]
    rules = contract_rules(contract, set(columns), identifier)
    broken: set[tuple[str, tuple[str, ...]]] = set()
    for column, kind in columns.items():
        for bad in candidates(kind):
            row = good | {column: None if bad == "" else bad}
            if accepted_by_dataframely(contract, [row]):
                continue
            con.register("batch", pl.DataFrame({n: pl.Series(n, [row[n]], dtype=polars_type(c)) for n, c in columns.items()}).to_arrow())
            tests = ", ".join(f"coalesce({r.violated}, false)" for r in rules)
            said = con.execute(f"SELECT {tests} FROM batch").fetchall()[0]
            assert any(said), (column, bad)
            broken |= {(r.reason, r.columns) for r, is_broken in zip(rules, said, strict=True) if is_broken}
            con.unregister("batch")
    if name == "observation":
        row = good | {"value": None, "value_text": None}
        assert accepted_by_sql(con, contract, [row]) == accepted_by_dataframely(contract, [row]) == []
        broken.add(("has_value", ("value", "value_text")))
    assert {(r.reason, r.columns) for r in rules} == broken
