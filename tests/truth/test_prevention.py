"""Who knew first: the share of faults seen before a citizen reported them, against the truth.

Here: `prevention_monthly` of March. Not here: episodes (`test_failures`).
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.truth.month import MONTH, TIMEOUT, Month, Row
from tests.truth.test_interventions import quantile
from tests.truth.test_rates import failures_seen, in_month

pytest_plugins = ("tests.truth.month",)
pytestmark = TIMEOUT

Group = tuple[str, str, str, str, str]  # fault type, asset type, piloting, commune, owning authority


def test_who_knew_first_and_by_how_long(month: Month) -> None:
    witness = {p["failure_key"]: p for p in month.truth["prevention"]}
    groups: dict[Group, list[Row]] = defaultdict(list)
    for (asset_type, piloting, commune, authority), failures in failures_seen(month).items():
        for f in in_month(failures):
            groups[f["fault_type"], asset_type, piloting, commune, authority].append(witness[f["failure_key"]])
    said = {
        (r["fault_type"], r["asset_type"], r["piloting"], r["commune"], r["owner_authority"]): r
        for r in month.said["indicators.prevention_monthly"]
        if r["month"] == MONTH
    }
    assert set(said) == set(groups)
    totals: dict[str, int] = defaultdict(int)
    for group, found in groups.items():
        state = [p for p in found if p["first_seen_by"] == "state"]
        leads = [p["lead_seconds"] for p in state if p["lead_seconds"] is not None]
        expected = {
            "faults": len(found),
            "seen_first": len(state),
            "never_reported": sum(p["first_report_at"] is None for p in state),
            "reported_first": sum(p["first_seen_by"] == "report" for p in found),
            "found_by_crews": sum(p["first_seen_by"] == "intervention" for p in found),
            "prevention_share": pytest.approx(len(state) / len(found), abs=1e-6),
            "lead_p50_hours": pytest.approx(quantile(leads, 0.5) / 3600, abs=5.1e-5) if leads else None,
            "lead_p90_hours": pytest.approx(quantile(leads, 0.9) / 3600, abs=5.1e-5) if leads else None,
            "leads_known": len(leads),
            "lead_hours": pytest.approx(sum(leads) / 3600, abs=5.1e-5),
        }
        assert {name: said[group][name] for name in expected} == expected, group
        for name in ("seen_first", "never_reported", "reported_first", "found_by_crews"):
            totals[name] += said[group][name]
        totals["leads"] += len(leads)
    assert min(totals.values()) > 0, dict(totals)
    assert len(totals) == 5
