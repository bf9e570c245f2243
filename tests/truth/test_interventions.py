"""Intervention times against the steps that people took: elapsed, in contract hours, guarantees, and what is no case.

Here: `intervention_time_case` and `_monthly`. Not here: what the cases are about (`test_failures`).

Steps are dated by people, to the second: no sampling stands between them and the lake. Only an alarm is sampled, and the clock of a
case that starts with one starts at the sample (`told_from`, at most a quarter of an hour after the failure unless it is hidden).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.truth.month import END, LATEST, MONTH, PAPER_LATEST, START, TIMEOUT, Month, Row, ref_of
from tests.truth.test_failures import is_settled, papers_of

pytest_plugins = ("tests.truth.month",)
pytestmark = TIMEOUT

PARIS = ZoneInfo("Europe/Paris")
EASTER_MONDAY = dt.date(2026, 4, 6)


def contract_seconds(start: dt.datetime, end: dt.datetime) -> float:
    """Seconds of 7:30 to 17:00 on working days between two instants: the only holiday of the span is Easter Monday."""
    total, day = 0.0, start.astimezone(PARIS).date()
    while day <= end.astimezone(PARIS).date():
        if day.weekday() < 5 and day != EASTER_MONDAY:
            opens, closes = (dt.datetime.combine(day, t, PARIS).astimezone(dt.UTC) for t in (dt.time(7, 30), dt.time(17)))
            total += max(0.0, (min(end, closes) - max(start, opens)).total_seconds())
        day += dt.timedelta(days=1)
    return total


def found_cases(month: Month) -> dict[str, Row]:
    return {c["case_key"]: c for c in month.said["indicators.intervention_time_case"]}


def key_of(case: Row) -> str:
    """A case is named by its root report, else by its work order."""
    if case["root_report_ref"] is not None:
        return f"{case['report_feed']}:{case['root_report_ref']}"
    return f"sim-interventions:{case['intervention_ref']}"


def settled_cases(month: Month) -> list[Row]:
    """Cases whose papers all begin in the span and are linked by its end."""
    return [c for c in month.cases.values() if is_settled(month, month.failures[c["failure_key"]])]


def authority_of(month: Month, case: Row) -> str:
    """Whose a case is: the owner of the equipment it is about, as the inventory has it."""
    return month.assets[case["asset_ref"]]["gestionnaire"]


def is_restored(case: Row) -> bool:
    return bool(case["restored_at"] + PAPER_LATEST < END)


def test_every_case_is_found_with_its_steps(month: Month) -> None:
    found, restored, with_alarm = found_cases(month), 0, 0
    for case in settled_cases(month):
        row = found[key_of(case)]
        reports = papers_of(month)[case["failure_key"]]
        expected = {
            "fault_type": case["fault_type"],
            "asset": case["asset_ref"],
            "owner_authority": authority_of(month, case),
            "origin": "report" if reports else "intervention",
            "reports": len(reports),
            "interventions": 1,
            "started_at": case["clock_started_at"],
            "is_sequence_impossible": False,
        }
        # A step is known when it was taken; the last hours' may be on their way.
        for step in ("acknowledged", "dispatched", "arrived", "made_safe", "restored"):
            at = case[f"{step}_at"]
            if at + PAPER_LATEST < END:
                expected[f"{step}_at"] = at
            elif at >= END:
                expected[f"{step}_at"] = None
        assert {name: row[name] for name in expected if name != "asset"} | {"asset": ref_of(row["asset_key"])} == expected, case
        assert row["is_open"] is not is_restored(case) or END - LATEST <= case["restored_at"] < END
        restored += is_restored(case)
        with_alarm += case["alarm_at"] == case["clock_started_at"]
    assert restored > 30
    assert with_alarm > 5


def test_elapsed_and_contract_seconds_of_each_step(month: Month) -> None:
    found, suspended, over_easter = found_cases(month), 0, 0
    for case in settled_cases(month):
        if not is_restored(case):
            continue
        row = found[key_of(case)]
        start = case["clock_started_at"]
        for step in ("arrived", "made_safe"):
            assert row[f"{step}_seconds"] == case[f"{step}_seconds"], case
            # Worked out here, and by the simulator: the model agrees with both.
            assert contract_seconds(start, case[f"{step}_at"]) == case[f"{step}_contract_seconds"]
            assert row[f"{step}_contract_seconds"] == case[f"{step}_contract_seconds"], case
        # Suspensions are told as a duration by the wall clock; of it, the contract's clock loses the share that it ran.
        elapsed = (case["restored_at"] - start).total_seconds()
        assert row["resolved_seconds"] == case["restored_seconds"] == elapsed - case["suspended_seconds"], case
        share = 1 - case["suspended_seconds"] / elapsed
        assert row["resolved_contract_seconds"] == pytest.approx(case["restored_contract_seconds"] * share, abs=0.001), (row, case)
        assert contract_seconds(start, case["restored_at"]) == case["restored_contract_seconds"]
        suspended += case["suspended_seconds"] > 0
        over_easter += start.astimezone(PARIS).date() < EASTER_MONDAY < case["restored_at"].astimezone(PARIS).date()
    assert suspended > 0
    assert over_easter > 0


def test_guarantees_kept_and_missed(month: Month) -> None:
    found, seen = found_cases(month), Counter[tuple[str, bool | None]]()
    for case in settled_cases(month):
        row = found[key_of(case)]
        for guarantee, step in (("gti", "arrived"), ("gtrp", "made_safe"), ("gtr", "restored")):
            limit, kept = row[f"{guarantee}_h"], row[f"is_{guarantee}_kept"]
            if case[f"{step}_at"] + PAPER_LATEST < END:
                assert kept is case[f"is_{guarantee}_met"], (guarantee, row, case)
            elif case[f"{step}_at"] >= END and limit is not None:
                # Still open: missed once its time is over, not judged before.
                age = (END - case["clock_started_at"]).total_seconds()
                assert kept is (False if age > limit * 3600 else None), (guarantee, row, case)
            seen[guarantee, kept] += 1
    assert min(seen["gtr", True], seen["gtr", False], seen["gti", True], seen["gti", False], seen["gtrp", True], seen["gtr", None]) > 0, (
        seen
    )


def test_what_was_nothing_is_no_case_of_a_crew(month: Month) -> None:
    """A report where nothing is found is closed by the desk as rejected, and its order cancelled: no crew, no guarantee to keep."""
    found, false = found_cases(month), [r for r in month.truth["reports"] if r["is_false"] and r["closed_at"] + PAPER_LATEST < END]
    seen = 0
    for report in false:
        row = found.get(f"{report['feed']}:{report['report_ref']}")
        if report["opened_at"] >= START:
            assert row is not None
            assert (row["interventions"], row["restored_at"], row["is_open"]) == (0, None, False), row
            assert (row["is_gti_kept"], row["is_gtrp_kept"], row["is_gtr_kept"]) == (None, None, None), row
            assert row["handling_seconds"] == (report["closed_at"] - report["opened_at"]).total_seconds()
            seen += 1
    assert seen > 5
    planned = {o["intervention_ref"] for o in month.truth["interventions"] if o["kind"] == "preventive" or o["cancelled_at"] is not None}
    opened = {key.split(":", 1)[1] for key in found}
    late = {o["intervention_ref"] for o in month.truth["interventions"] if o["cancelled_at"] and o["cancelled_at"] + PAPER_LATEST >= END}
    assert planned - late
    assert not (planned - late) & opened


def quantile(values: list[float], share: float) -> float:
    """Linear interpolation between the ranks that surround it."""
    ranked = sorted(values)
    at = share * (len(ranked) - 1)
    low = int(at)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (at - low)


def test_medians_and_percentiles_by_fault_type(month: Month) -> None:
    """March, cases of lighting faults: true ones from report (else order) to restoration, nothing's from report to closing."""
    times: dict[tuple[str | None, str, str], list[float]] = defaultdict(list)
    counts: dict[tuple[str | None, str, str], int] = defaultdict(int)
    rows = {
        (r["category"], r["fault_type"], r["owner_authority"]): r
        for r in month.said["indicators.intervention_time_monthly"]
        if r["month"] == MONTH
    }
    for case in month.cases.values():
        opened = case["opened_at"] or case["requested_at"]
        if opened.astimezone(PARIS).date().replace(day=1) == MONTH:
            key = ("Éclairage public" if case["root_report_ref"] else None, case["fault_type"], authority_of(month, case))
            counts[key] += 1
            if is_restored(case):
                times[key].append((case["restored_at"] - opened).total_seconds())
    for report in month.truth["reports"]:
        if report["is_false"] and report["opened_at"].astimezone(PARIS).date().replace(day=1) == MONTH:
            found = found_cases(month)[f"{report['feed']}:{report['report_ref']}"]
            key = ("Éclairage public", found["fault_type"], found["owner_authority"])
            counts[key] += 1
            times[key].append((report["closed_at"] - report["opened_at"]).total_seconds())
    compared = 0
    for key, values in times.items():
        expected: dict[str, Any] = {
            "cases": counts[key],
            "cases_closed": len(values),
            "cases_open": counts[key] - len(values),
            "cases_timed": len(values),
            "handling_hours": pytest.approx(sum(values) / 3600, abs=5.1e-5),
            "p50_hours": pytest.approx(quantile(values, 0.5) / 3600, abs=5.1e-5),
            "p90_hours": pytest.approx(quantile(values, 0.9) / 3600, abs=5.1e-5),
        }
        assert {name: rows[key][name] for name in expected} == expected, key
        compared += len(values)
    assert compared > 30
    assert {key for key in rows if key[1] is not None} == set(counts)
