"""Failure rates, MTBF, MTTR and availability worked out again from the truth, in plain Python.

Here: `failure_frequency_monthly` and `failure_by_asset` of March. Not here: the episodes it counts (`test_failures`).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.truth.month import END, MONTH, PAPER_LATEST, START, TIMEOUT, Month, Row, ref_of
from tests.truth.test_failures import told

pytest_plugins = ("tests.truth.month",)
pytestmark = TIMEOUT

PARIS = ZoneInfo("Europe/Paris")
# March 2026 has 31 days, and the clocks lose an hour on the 29th.
FROM = dt.datetime(2026, 3, 1, tzinfo=PARIS).astimezone(dt.UTC)
UNTIL = dt.datetime(2026, 4, 1, tzinfo=PARIS).astimezone(dt.UTC)
HOURS = 31 * 24 - 1
HOUR = 3600.0

Group = tuple[str, str, str, str]  # asset type, piloting, commune, owning authority
KINDS = {"Armoire": "cabinet", "Départ": "feeder", "Point lumineux": "streetlight"}


def seconds_in_month(start: dt.datetime, end: dt.datetime) -> float:
    return max(0.0, (min(end, UNTIL) - max(start, FROM)).total_seconds())


def assets_in_service(month: Month) -> dict[Group, int]:
    """Assets by group: the inventory never changes, and everything in it stands since before the year."""
    found: dict[Group, int] = defaultdict(int)
    for line in month.assets.values():
        assert dt.datetime.strptime(line["date_pose"], "%d/%m/%Y").replace(tzinfo=PARIS) < FROM
        piloting = "remote" if line["telegestion"] == "oui" else "other"
        found[KINDS[line["nature"]], piloting, line["commune"], line["gestionnaire"]] += 1
    return found


def failures_seen(month: Month) -> dict[Group, list[Row]]:
    """True failures that somebody had told of by the end of the span, by group."""
    found: dict[Group, list[Row]] = defaultdict(list)
    for f in month.truth["failures"]:
        # One that ended before the span was told of in no message of it; one repaired in it was, with all that is known of it.
        if f["kind"] == "failure" and f["seen_from"] is not None and f["seen_from"] + PAPER_LATEST < END and f["seen_until"] >= START:
            piloting = "remote" if f["is_remote"] else "other"
            line = month.assets[f["asset_ref"]]
            found[f["asset_type"], piloting, line["commune"], line["gestionnaire"]].append(f)
    return found


def in_month(failures: list[Row]) -> list[Row]:
    return [f for f in failures if FROM <= f["seen_from"] < UNTIL]


def rows(month: Month) -> dict[Group, Row]:
    """What was published of March, equipment that nobody knows left out."""
    said = month.said["indicators.failure_frequency_monthly"]
    found = {
        (r["asset_type"], r["piloting"], r["commune"], r["owner_authority"]): r
        for r in said
        if r["month"] == MONTH and r["piloting"] != "unknown"
    }
    # Communes and the agglomeration own equipment of the same kinds in the same streets: kept apart, or nothing here would tell.
    assert len({group[:3] for group in found}) < len(found)
    return found


def test_no_paper_of_march_is_still_to_be_read(month: Month) -> None:
    # What follows counts on it: a week later the desk has read what was reported in March, and taken back what was nothing.
    late = [r for r in month.truth["reports"] if FROM <= r["opened_at"] < UNTIL and r["acknowledged_at"] + PAPER_LATEST >= END]
    false = [r for r in month.truth["reports"] if r["is_false"] and FROM <= r["opened_at"] < UNTIL and r["closed_at"] + PAPER_LATEST >= END]
    assert (late, false) == ([], [])


def test_counts_rates_and_availability_of_every_group(month: Month) -> None:
    """By definition a failure lasts from its first witness to the first sign of its end: `seen_from` to `seen_until`, to the second."""
    assets, failures, said = assets_in_service(month), failures_seen(month), rows(month)
    assert set(said) == set(assets)
    compared = 0
    for group, count in assets.items():
        found, seen = said[group], failures.get(group, [])
        begun, service = in_month(seen), count * HOURS * HOUR
        down = sum(seconds_in_month(f["seen_from"], min(f["seen_until"], END)) for f in seen)
        ended = [(f["seen_until"] - f["seen_from"]).total_seconds() for f in begun if f["seen_until"] < END]
        expected: dict[str, Any] = {
            "assets_in_service": count,
            "failures_started": len(begun),
            "failures_per_100_assets": pytest.approx(100 * len(begun) / count, abs=5.1e-5),
            "downtime_hours": pytest.approx(down / HOUR, abs=5.1e-3),
            "availability_pct": pytest.approx(100 * (1 - down / service), abs=5.1e-5),
            "mtbf_hours": pytest.approx((service - down) / HOUR / len(begun), abs=5.1e-3) if begun else None,
            "mttr_hours": pytest.approx(sum(ended) / len(ended) / HOUR, abs=5.1e-3) if ended else None,
            "open_at_month_end": sum(f["seen_from"] < UNTIL <= f["seen_until"] for f in seen),
            "in_service_hours": pytest.approx(service / HOUR, abs=5.1e-5),
            "inventory_downtime_hours": pytest.approx(down / HOUR, abs=5.1e-5),
            "failures_ended": len(ended),
            "repair_hours": pytest.approx(sum(ended) / HOUR, abs=5.1e-5),
        }
        assert {name: found[name] for name in expected} == expected, (group, [f["failure_key"] for f in seen])
        compared += len(begun)
    assert compared > 30


def test_mtbf_mttr_and_repeats_of_each_asset(month: Month) -> None:
    """One asset by one: every one that was down or not heard in March, and no other."""
    seen: dict[str, list[Row]] = defaultdict(list)
    for failures in failures_seen(month).values():
        for f in failures:
            seen[f["asset_ref"]].append(f)
    for f in told(month):
        if f["kind"] == "communication_loss":
            seen[f["asset_ref"]].append(f)
    seen = {ref: own for ref, own in seen.items() if any(f["seen_from"] < UNTIL and f["seen_until"] > FROM for f in own)}
    said = {ref_of(r["asset_key"]): r for r in month.said["indicators.failure_by_asset"] if r["month"] == MONTH}
    assert set(said) == set(seen)
    repeats = 0
    for ref, own in seen.items():
        failures = sorted((f for f in own if f["kind"] == "failure"), key=lambda f: f["seen_from"])
        begun = in_month(failures)
        down = sum(seconds_in_month(f["seen_from"], min(f["seen_until"], END)) for f in failures)
        ended = [(f["seen_until"] - f["seen_from"]).total_seconds() for f in begun if f["seen_until"] < END]
        again = [
            f
            for f in begun
            if any(
                g["fault_type"] == f["fault_type"] and timedelta(0) <= f["seen_from"] - g["seen_until"] <= timedelta(30) for g in failures
            )
        ]
        expected: dict[str, Any] = {
            "owner_authority": month.assets[ref]["gestionnaire"],
            "failures_started": len(begun),
            "failures_ended": len(ended),
            "repeat_failures": len(again),
            "communication_losses_started": len(in_month([f for f in own if f["kind"] == "communication_loss"])),
            "in_service_hours": HOURS,
            "downtime_hours": pytest.approx(down / HOUR, abs=5.1e-3),
            "mtbf_hours": pytest.approx((HOURS - down / HOUR) / len(begun), abs=5.1e-3) if begun else None,
            "mttr_hours": pytest.approx(sum(ended) / len(ended) / HOUR, abs=5.1e-3) if ended else None,
            "availability_pct": pytest.approx(100 * (1 - down / HOUR / HOURS), abs=5.1e-5),
        }
        assert {name: said[ref][name] for name in expected} == expected, own
        repeats += len(again)
    assert repeats > 0


def test_what_equipment_tells_of_itself_is_measured_within_one_sampling_interval(month: Month) -> None:
    """Against what happened, not what was seen: a piloted failure is found late by one interval at most, and its end too.

    Its duration is then within one interval of the true one, and so is their mean; downtime is within one interval per failure.
    Where something hides the equipment, the bound grows by the time it hides (see `Month.heard_by`).
    """
    said, compared = rows(month), 0
    for kind in ("streetlight", "cabinet"):
        groups = [(group, own) for group, own in failures_seen(month).items() if group[:2] == (kind, "remote")]
        everything = [f for _, own in groups for f in own if f["seen_from"] < UNTIL]
        # A piloted cabinet that burns by day does not tell: what people tell of it counts as they tell it.
        own = [f for f in everything if f["told_from"] is not None]
        others = [f for f in everything if f["told_from"] is None]
        down = sum(said[group]["downtime_hours"] for group, _ in groups)
        down -= sum(seconds_in_month(f["seen_from"], min(f["seen_until"], END)) for f in others) / HOUR
        low = sum(seconds_in_month(month.heard_by(f, f["started_at"]), f["ended_at"]) for f in own) / HOUR
        high = sum(seconds_in_month(f["started_at"], month.heard_by(f, f["ended_at"])) for f in own) / HOUR
        rounding = 0.005 * len(groups)
        assert low - rounding <= down <= high + rounding
        # Mean durations, put together again from those of each commune.
        begun = [f for f in in_month(own) if f["seen_until"] < END]
        total = sum(
            said[g]["mttr_hours"] * sum(f["seen_until"] < END for f in in_month(all_)) for g, all_ in groups if said[g]["mttr_hours"]
        )
        total -= sum((f["seen_until"] - f["seen_from"]).total_seconds() for f in in_month(others) if f["seen_until"] < END) / HOUR
        true = sum((f["ended_at"] - f["started_at"]).total_seconds() for f in begun) / HOUR
        early = sum((month.heard_by(f, f["started_at"]) - f["started_at"]).total_seconds() for f in begun) / HOUR
        late = sum((month.heard_by(f, f["ended_at"]) - f["ended_at"]).total_seconds() for f in begun) / HOUR
        rounding = 0.005 * len(everything)
        assert true - early - rounding <= total <= true + late + rounding
        compared += len(begun)
    assert compared > 5
