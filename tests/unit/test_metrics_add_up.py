"""A metric gives the same whether rows are put together before or when it is asked: no mean of rates passes."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT

# Models whose rows aggregate cases or equipment: column that orders them, columns whose absence marks a kind of row of its own.
MODELS: Final = {
    "failure_frequency_monthly": ("month", ("assets_in_service", "in_service_hours", "inventory_downtime_hours")),
    "failure_by_group_monthly": ("month", ()),
    "prevention_monthly": ("month", ()),
    "intervention_time_monthly": ("month", ()),
    "intervention_time_by_category": (None, ()),
    "citizen_relation_daily": ("local_date", ()),
    "citizen_relation_monthly": ("month", ()),
    "territory_overview_monthly": ("month", ("assets_in_service", "in_service_hours", "inventory_downtime_hours", "inventory_failures")),
}
NUMBERS: Final = {"integer": st.integers(0, 1000), "double": st.integers(0, 1000).map(float)}
Row = dict[str, Any]


@cache
def described(model: str) -> dict[str, Any]:
    """A model as its YAML describes it."""
    path = ROOT / "dbt_project" / "models" / "indicators" / f"indicators__{model}.yml"
    found = yaml.safe_load(path.read_text(encoding="utf-8"))["models"][0]
    assert isinstance(found, dict)
    return found


@cache
def engine() -> duckdb.DuckDBPyConnection:
    """One engine for all examples: opening one takes longer than asking it."""
    return duckdb.connect(config={"threads": 1})


@cache
def types(model: str) -> dict[str, str]:
    return {column["name"]: column["data_type"] for column in described(model)["columns"]}


@cache
def metrics(model: str) -> dict[str, str]:
    return {m["name"]: m["expression"] for m in described(model)["config"]["meta"]["metrics"]}


def row(model: str) -> st.SearchStrategy[Row]:
    """Rows of one dimension, of three periods, with an inventory or without."""
    period, absent_together = MODELS[model]
    numbers = {name: NUMBERS[kind] for name, kind in types(model).items() if kind in NUMBERS}
    fixed = {"dimension": st.just("street")} if "dimension" in types(model) else {}
    dated = {period: st.sampled_from(["2025-01-01", "2025-02-01", "2025-03-01"])} if period else {}
    whole = st.fixed_dictionaries({**numbers, **fixed, **dated})
    if not absent_together:
        return whole
    return st.one_of(whole, whole.map(lambda r: {**r, **dict.fromkeys(absent_together)}))


def asked(con: duckdb.DuckDBPyConnection, model: str, table: str) -> dict[str, float | None]:
    """Every metric of the model over a table's rows."""
    listed = ", ".join(f'({expression})::DOUBLE AS "{name}"' for name, expression in metrics(model).items())
    answer = con.execute(f"SELECT {listed} FROM {table}").fetchone()
    assert answer is not None
    return dict(zip(metrics(model), answer, strict=True))


@pytest.mark.parametrize("model", MODELS)
@settings(deadline=None, max_examples=40)  # an example is four statements; a busy machine makes any of them slow
@given(data=st.data())
def test_rows_put_together_before_or_when_asked(model: str, data: st.DataObject) -> None:
    """Rows are merged by adding every number of theirs, as a coarser model would: rates of theirs become nonsense, sums do not."""
    period, absent_together = MODELS[model]
    rows = data.draw(st.lists(row(model), min_size=1, max_size=6))
    apart = ", ".join([*([period] if period else []), *(f"{name} IS NULL" for name in absent_together)]) or "()"
    merged = ", ".join(
        f"sum({name})::{kind} AS {name}" if kind in NUMBERS else f"any_value({name}) AS {name}" for name, kind in types(model).items()
    )
    con = engine()
    con.execute(f"CREATE OR REPLACE TEMP TABLE fine ({', '.join(f'{name} {kind}' for name, kind in types(model).items())})")
    given_columns = sorted(rows[0])
    places = ", ".join(f"({', '.join('?' * len(given_columns))})" for _ in rows)
    con.execute(f"INSERT INTO fine ({', '.join(given_columns)}) VALUES {places}", [each[name] for each in rows for name in given_columns])
    con.execute(f"CREATE OR REPLACE TEMP TABLE coarse AS SELECT {merged} FROM fine GROUP BY {apart}")
    assert asked(con, model, "fine") == pytest.approx(asked(con, model, "coarse"))


def test_what_stands_at_the_end_is_that_of_the_last_month_shown() -> None:
    """Two communes: 5 and 7 open in January, 2 and 4 in February: 6 now, whatever went before; 12 when January alone is asked."""
    backlog = metrics("citizen_relation_monthly")["backlog"]
    with duckdb.connect() as con:
        con.execute("CREATE TABLE r AS SELECT * FROM (VALUES (DATE '2025-01-01', 5), (DATE '2025-01-01', 7), (DATE '2025-02-01', 2), "
                    "(DATE '2025-02-01', 4)) AS v (month, backlog)")  # fmt: skip
        assert con.execute(f"SELECT {backlog} FROM r").fetchone() == (6,)
        assert con.execute(f"SELECT {backlog} FROM r WHERE month < '2025-02-01'").fetchone() == (12,)
        assert con.execute(f"SELECT {backlog} FROM r WHERE month < '2000-01-01'").fetchone() == (None,)


def test_kinds_of_groups_are_not_added_up() -> None:
    """A light is in its street's group and in its cabinet's: added up, it would fail twice."""
    failures = metrics("failure_by_group_monthly")["failures_started"]
    with duckdb.connect() as con:
        con.execute("CREATE TABLE r AS SELECT * FROM (VALUES ('street', 'Rue A', 3), ('street', 'Rue B', 2), ('cabinet', 'C1', 5)) "
                    "AS v (dimension, value, failures_started)")  # fmt: skip
        assert con.execute(f"SELECT {failures} FROM r").fetchone() == (None,)
        assert con.execute(f"SELECT {failures} FROM r WHERE dimension = 'street'").fetchone() == (5,)


def test_failures_of_what_is_in_no_inventory_are_in_no_rate() -> None:
    """One failure of two lights; five reports about lights that nobody knows: 50 failures per 100 lights, not 300."""
    rate = metrics("failure_frequency_monthly")["failures_per_100_assets"]
    with duckdb.connect() as con:
        con.execute("CREATE TABLE r AS SELECT * FROM (VALUES (2, 1), (NULL, 5)) AS v (assets_in_service, failures_started)")
        assert con.execute(f"SELECT {rate} FROM r").fetchone() == (50.0,)
        assert con.execute(f"SELECT {rate} FROM r WHERE assets_in_service IS NULL").fetchone() == (None,)


def test_a_car_park_that_was_never_saturated_was_so_for_no_time() -> None:
    """Two hours known and free: 0 % of the time; one of them saturated: 50 %; without a capacity nobody knows."""
    share = metrics("parking_occupancy_hourly")["saturated_pct"]
    with duckdb.connect() as con:
        con.execute("CREATE TABLE r AS SELECT * FROM (VALUES ('free', false, 60.0), ('free', false, 60.0), ('full', true, 60.0), "
                    "('full', false, 60.0), ('unknown', NULL, 60.0)) AS v (car_park, is_saturated, known_minutes)")  # fmt: skip
        found = con.execute(f"SELECT car_park, {share} FROM r GROUP BY ALL ORDER BY 1").fetchall()
    assert found == [("free", 0.0), ("full", 50.0), ("unknown", None)]
