"""Every published table says, in French and beside its model, what its columns are, whose its rows are, how they add up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import duckdb
import pytest
import sqlglot
import yaml
from sqlglot import exp

from tests.conftest import ROOT

# Schemas that readers see; staging is nobody's business but the models'.
PUBLISHED: Final = ("core", "indicators", "open_data")
NUMBERS: Final = {"tinyint", "smallint", "integer", "bigint", "hugeint", "float", "double"}
# Whole numbers that name, order or place things: to add or average them says nothing, so that they have no unit.
ORDINALS: Final = {"seq", "alarm_id", "parent_id", "priority", "escalation", "iso_weekday", "local_hour"}
BETTER: Final = {"lower", "higher", "none"}
# Averages of averages, and percentiles of percentiles, are wrong at any grouping but the model's own.
SHARE_LIKE: Final = re.compile(r"(_share|_pct|_p50|_p90|_p95|_p50_\w+|_p90_\w+|_p95_\w+)$")
# Letters and words of the trade that a French title may not hold: an English word is one that nobody translated.
ENGLISH: Final = re.compile(
    r"\b(the|of|and|count|daily|monthly|hourly|average|share|asset|feed|report|failure|name|date of)\b", re.IGNORECASE
)


@cache
def models() -> dict[str, dict[str, Any]]:
    """The published models and seeds, as their YAML describes them."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(ROOT.glob("dbt_project/models/*/*.yml")) + sorted(ROOT.glob("dbt_project/seeds/*.yml")):
        if path.name.endswith(".unit.yml"):
            continue
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for model in [*document.get("models", ()), *document.get("seeds", ())]:
            if str(model["name"]).partition("__")[0] in PUBLISHED:
                found[model["name"]] = model
    return found


def names() -> list[str]:
    return sorted(models())


def meta(node: dict[str, Any]) -> dict[str, Any]:
    """What stands under `config: meta:`."""
    found = node.get("config", {}).get("meta", {})
    assert isinstance(found, dict)
    return found


def columns(model: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(c["name"]): c for c in model["columns"]}


def metrics(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from meta(model).get("metrics", ())


def kind(model: dict[str, Any], name: str) -> str:
    """A column's type; seeds give theirs for all columns at once."""
    of_seed = model.get("config", {}).get("column_types", {})
    return str(columns(model)[name].get("data_type") or of_seed.get(name) or "").lower()


def test_every_model_that_is_published_is_described() -> None:
    files = {p.stem for layer in PUBLISHED for p in ROOT.glob(f"dbt_project/models/{layer}/*.sql")}
    assert files
    assert files <= set(names())


@pytest.mark.parametrize("name", names())
def test_a_table_has_a_title_and_says_whose_its_rows_are(name: str) -> None:
    said, model = meta(models()[name]), models()[name]
    missing = [key for key in ("label", "row_authority", "en", "owner", "classification") if not str(said.get(key, "")).strip()]
    assert not missing, f"{name} says no {', '.join(missing)}"
    assert not ENGLISH.search(said["label"]), said["label"]
    if said["row_authority"] == "none":
        assert len(str(said.get("row_authority_reason", ""))) > len("personne"), f"{name}: why its rows belong to no one authority"
    else:
        assert "row_authority_reason" not in said, f"{name} has both an authority and a reason to have none"
        assert kind(model, said["row_authority"]) == "varchar", f"{name}: {said['row_authority']}"


@pytest.mark.parametrize("name", names())
def test_every_column_has_a_title_and_every_number_its_unit(name: str) -> None:
    model = models()[name]
    wrong: list[str] = []
    titles: dict[str, str] = {}
    for column, node in columns(model).items():
        said = meta(node)
        label, unit = str(said.get("label", "")).strip(), str(said.get("unit", "")).strip()
        if not label:
            wrong.append(f"{column} has no label")
        elif ENGLISH.search(label) or label == column or "_" in label:
            wrong.append(f"{column} is called {label!r}")
        elif label in titles:
            wrong.append(f"{column} and {titles[label]} are both called {label!r}")
        titles[label] = column
        if kind(model, column) in NUMBERS and column not in ORDINALS and not unit:
            wrong.append(f"{column} has no unit")
        if unit and kind(model, column) not in NUMBERS:
            wrong.append(f"{column} is no number, but has a unit")
        if unit and f"({unit})" in label:
            wrong.append(f"{column} says its unit in its title")
        if not str(node.get("description", "")).strip().endswith((".", "…")):
            wrong.append(f"{column} has no sentence")
    assert not wrong, f"{name}: " + "; ".join(wrong)


@pytest.mark.parametrize("name", names())
def test_every_metric_is_an_aggregate_over_columns_of_its_own_table(name: str) -> None:
    model = models()[name]
    wrong: list[str] = []
    seen: set[str] = set()
    for metric in metrics(model):
        problems = list(problems_of(metric, {column: kind(model, column) for column in columns(model)}))
        if metric.get("name") in seen:
            problems.append("its name comes twice")
        seen.add(str(metric.get("name")))
        wrong += [f"{metric.get('name')}: {problem}" for problem in problems]
    assert not wrong, f"{name}: " + "; ".join(wrong)


def test_every_indicator_has_metrics() -> None:
    bare = [name for name in names() if name.startswith("indicators__") and not list(metrics(models()[name]))]
    assert not bare, f"dashboards copy no logic: these indicators define none: {bare}"


def problems_of(metric: dict[str, Any], known: dict[str, str]) -> Iterator[str]:
    """Say what is wrong with a metric of a table with these columns (their types, by name)."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", str(metric.get("name", ""))):
        yield "its name is no snake_case"
    for key in ("label", "unit", "description"):
        if not str(metric.get(key, "")).strip():
            yield f"no {key}"
    if ENGLISH.search(str(metric.get("label", ""))):
        yield f"called {metric['label']!r}"
    if not isinstance(metric.get("decimals"), int) or not 0 <= metric["decimals"] <= 6:
        yield "decimals are a whole number from 0 to 6"
    if metric.get("is_better") not in BETTER:
        yield f"is_better is one of {', '.join(sorted(BETTER))}"
    if unknown := set(metric) - {"name", "label", "expression", "unit", "decimals", "description", "is_better"}:
        yield f"unknown: {', '.join(sorted(unknown))}"
    yield from wrong_in(str(metric.get("expression", "")), known)


def wrong_in(expression: str, known: dict[str, str]) -> Iterator[str]:
    """Say what an aggregate over the rows of a table with these columns (their types, by name) may not hold."""
    try:
        tree = sqlglot.parse_one(expression, read="duckdb")
    except sqlglot.errors.ParseError as error:
        yield f"it does not parse: {error}"
        return
    if isinstance(tree, (exp.Query, exp.Command)) or tree.find(exp.Query) is not None:
        yield "it is a query, not an expression over the rows of its table"
        return
    if tree.find(exp.Window) is not None:
        yield "a window is over rows, and not at any grouping"
    for mean in tree.find_all(exp.Avg, exp.Median, exp.PercentileCont, exp.Quantile, exp.ApproxQuantile):
        of = sorted({c.name for c in mean.find_all(exp.Column) if SHARE_LIKE.search(c.name)})
        if of:
            yield f"a mean or a percentile of {', '.join(of)}, which are rates already"
    # The engine itself says whether the columns exist, whether each is in an aggregate, whether the types agree.
    with duckdb.connect() as con:
        body = ", ".join(f'"{column}" {data_type}' for column, data_type in known.items())
        con.execute(f"CREATE TABLE model ({body})")
        try:
            rows = con.execute(f"SELECT {expression} FROM model").fetchall()
        except duckdb.Error as error:
            yield str(error).splitlines()[0]
            return
    # Of no rows an aggregate is one row; anything else is none.
    if len(rows) != 1:
        yield "it adds nothing up"


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("100.0 * sum(late) / nullif(sum(total), 0)", None),
        ("count(*)", None),
        ("count(*) filter (where total > 3)", None),
        ("quantile_cont(hours, 0.9)", None),
        ("list_sum([r.total for r in list({'late': late, 'total': total}) if r.late = max(late)])", None),
        ("sum(nothing)", 'Referenced column "nothing" not found'),
        ("sum(late) / total", '"total" must appear in the GROUP BY'),
        ("sum(late", "does not parse"),
        ("1 + 1", "it adds nothing up"),
        ("late", "it adds nothing up"),
        ("avg(late_share)", "rates already"),
        ("median(late_p90_hours)", "rates already"),
        ("quantile_cont(late_share, 0.5)", "rates already"),
        ("sum(late) over (order by total)", "window"),
        ("(select sum(late) from other)", "a query"),
        ("sum(other.late)", 'Referenced table "other" not found'),
    ],
)
def test_what_is_wrong_with_a_metric_is_found(expression: str, problem: str | None) -> None:
    metric = {"name": "m", "label": "Mesure", "unit": "h", "decimals": 1, "is_better": "none", "description": "Mesure."}
    known = dict.fromkeys(("late", "total", "hours", "late_share", "late_p90_hours"), "double")
    found = "; ".join(problems_of({**metric, "expression": expression}, known))
    assert (found == "") if problem is None else (problem in found), found
    assert list(problems_of({**metric, "expression": "count(*)", "is_better": "up", "decimal": 2}, known))
