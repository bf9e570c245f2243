"""The overview by commune: each figure is that of its own indicator, authority by authority, and each commune has its outline.

Here: sums that must be equal. Not here: whether they are true (`test_rates`, `test_energy`, `test_interventions`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable

import pytest

from tests.truth.month import TIMEOUT, Month, Row, town

pytest_plugins = ("tests.truth.month",)
pytestmark = TIMEOUT

OVERVIEW = "indicators.territory_overview_monthly"
# The overview's column, and where it comes from.
SUMS = {
    "assets_in_service": ("indicators.failure_frequency_monthly", "assets_in_service"),
    "failures_started": ("indicators.failure_frequency_monthly", "failures_started"),
    "downtime_hours": ("indicators.failure_frequency_monthly", "downtime_hours"),
    "failures_open_at_month_end": ("indicators.failure_frequency_monthly", "open_at_month_end"),
    "communication_losses_started": ("indicators.failure_frequency_monthly", "communication_losses_started"),
    "measured_kwh": ("indicators.energy_overconsumption_monthly", "measured_kwh"),
    "over_kwh": ("indicators.energy_overconsumption_monthly", "over_kwh"),
    "over_eur": ("indicators.energy_overconsumption_monthly", "over_eur"),
    "reports_received": ("indicators.citizen_relation_monthly", "reports_opened"),
    "cases_opened": ("indicators.intervention_time_monthly", "cases"),
    "gti_judged": ("indicators.intervention_time_monthly", "gti_judged"),
    "gti_kept": ("indicators.intervention_time_monthly", "gti_kept"),
    "gtr_judged": ("indicators.intervention_time_monthly", "gtr_judged"),
    "gtr_kept": ("indicators.intervention_time_monthly", "gtr_kept"),
}


def _sums(rows: Iterable[Row], column: str) -> dict[tuple[str, dt.date], float]:
    """Sum a column by authority and month; what sums to nothing is left out: a table may have no line for it."""
    found: dict[tuple[str, dt.date], float] = defaultdict(float)
    for row in rows:
        found[row["owner_authority"], row["month"]] += row[column] or 0
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize("column", SUMS)
def test_each_figure_is_that_of_its_own_indicator(month: Month, column: str) -> None:
    table, own = SUMS[column]
    expected = _sums(month.said[table], own)
    assert len({authority for authority, _ in expected}) > 1, expected
    # Counts are exact; quantities are rounded to the hundredth or finer in a few hundred rows, on either side.
    margin = 1.0 if column.endswith(("_hours", "_kwh", "_eur")) else 0.0
    assert _sums(month.said[OVERVIEW], column) == pytest.approx(expected, abs=margin, rel=0)


def test_cases_left_open_are_those_without_an_end(month: Month) -> None:
    last = max(row["month"] for row in month.said[OVERVIEW])
    expected = sum(1 for case in month.said["indicators.intervention_time_case"] if case["is_open"])
    assert expected > 0
    assert sum(row["cases_open_at_month_end"] for row in month.said[OVERVIEW] if row["month"] == last) == expected


def test_each_commune_has_its_outline(month: Month) -> None:
    communes = {row["name"]: json.loads(row["outline"]) for row in month.said["core.commune"]}
    assert set(communes) == {commune.name for commune in town().communes}
    assert all(outline["type"] == "Polygon" for outline in communes.values())
    assert all(len(row["outline"]) <= 2_000 for row in month.said["core.commune"])
    placed = [row for row in month.said[OVERVIEW] if row["commune"] is not None]
    assert {row["commune"] for row in placed} <= set(communes)
    assert all(row["outline"] is not None for row in placed)
