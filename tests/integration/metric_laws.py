"""What every metric of a model's YAML must obey on real rows, whatever it measures.

Here: reading metrics, asking them of a lake, and the law of their kind: counts and sums add up over any grouping, a rate lies
between the rates of the groups, an extreme is the most extreme of theirs. Not here: what a metric should be worth (tests work that
out by hand); whether it is well formed (`tests/unit/test_models_described.py`).
"""

from __future__ import annotations

from typing import Any, Final

import pytest
import yaml

from tests.conftest import ROOT
from tests.integration.dbt_lake import Lake

# Columns that people group by, where a model has them.
GROUPINGS: Final = ("owner_authority", "commune", "name", "feed", "domain", "priority", "verdict", "local_date", "month", "local_hour")
# Figures are rounded where they are stored (six decimals at most), and a rate is made of them.
ROUNDING: Final = 1e-4


def described(table: str) -> dict[str, Any]:
    """What the YAML says of a published table, named `schema.table`."""
    layer, _, name = table.partition(".")
    path = ROOT / "dbt_project" / "models" / layer / f"{layer}__{name}.yml"
    (model,) = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    assert isinstance(model, dict)
    return model


def ask(lake: Lake, table: str, metric: str, by: str | None = None) -> Any:
    """A metric of a table as built: its value, or with `by` its value in each group."""
    (expression,) = (m["expression"] for m in described(table)["config"]["meta"]["metrics"] if m["name"] == metric)
    if by is None:
        return lake.query(f"SELECT {expression} FROM lake.work_{table}")[0][0]
    return dict(lake.query(f"SELECT {by}, {expression} FROM lake.work_{table} GROUP BY 1"))


def check_laws(lake: Lake, table: str) -> set[str]:
    """Ask each metric of a table of the whole and of its groups; returns the names of those that had a value.

    Raises:
        AssertionError: a metric does not add up.
    """
    model = described(table)
    metrics = model["config"]["meta"]["metrics"]
    everything = f"SELECT {', '.join(m['expression'] for m in metrics)} FROM lake.work_{table}"
    valued: set[str] = set()
    with lake.connect() as con:
        (whole,) = con.execute(everything).fetchall()
        for by in (c["name"] for c in model["columns"] if c["name"] in GROUPINGS):
            rows = con.execute(f'{everything} GROUP BY "{by}"').fetchall()
            for n, metric in enumerate(metrics):
                groups = [row[n] for row in rows if row[n] is not None]
                assert obeys(metric["expression"], whole[n], groups), f"{table}: {metric['name']} is {whole[n]}, by {by} {groups}"
                valued |= {metric["name"]} if whole[n] is not None else set()
    return valued


def obeys(expression: str, whole: float | None, groups: list[float]) -> bool:
    """Whether a whole is what its groups make, by the kind of aggregate."""
    if whole is None or not groups:
        # Of no rows there is no group, and a count is nought.
        return not groups and not whole
    if expression.startswith("count(distinct"):
        return max(groups) <= whole <= sum(groups)
    if expression.startswith("max("):
        return whole == max(groups)
    if expression.startswith("min("):
        return whole == min(groups)
    if "nullif(" in expression:
        return min(groups) - ROUNDING <= whole <= max(groups) + ROUNDING
    return whole == pytest.approx(sum(groups), abs=ROUNDING)
