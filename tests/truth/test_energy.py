"""Consumption of each cabinet against what it took and was to take; day burners and dark cabinets named.

Here: days and months of meters. Not here: whose fault it was.

Bounds, and why:
- a reading is in whole watt hours: half a watt hour each, 46 to 50 a day;
- a reading that never comes takes its energy away: by the model's rule it is not filled in, the day says how much of it was
  measured, and a day of which less than 95 % was is not judged;
- sunrise and sunset are the same for both to the second: two seconds of the commanded power a day;
- readings late by twenty hours: the last day is not complete when the span ends, and is left out.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from typing import Any

import pytest

from tests.truth.month import MONTH, TIMEOUT, Month, Row, ref_of

pytest_plugins = ("tests.truth.month",)
pytestmark = TIMEOUT

FIRST, LAST = dt.date(2026, 2, 22), dt.date(2026, 4, 6)
# 95 % of the day, and not more than 105 % (docs/indicators.md).
COMPLETE = 0.05
# A cabinet burns by day (is dark by night) above (below) a tenth of the power commanded.
LIT = 0.1
# Readings that straddle sunrise or sunset are neither of the day nor of the night: up to half an hour at each end.
STRADDLED_H = 1.0

Day = tuple[str, dt.date]


def said(month: Month) -> dict[Day, Row]:
    rows = month.said["indicators.energy_overconsumption_daily"]
    return {(r["meter_ref"], r["local_date"]): r for r in rows if FIRST <= r["local_date"] <= LAST}


def true(month: Month) -> dict[Day, Row]:
    """Energy and night of each meter and local day."""
    nights = {(n["meter_ref"], n["local_date"]): n for n in month.truth["nights"]}
    return {
        key: {**nights[key], **row}
        for row in month.truth["energy"]
        if FIRST <= row["local_date"] <= LAST
        for key in [(row["meter_ref"], row["local_date"])]
    }


def commanded_w(day: Row) -> float:
    return float(day["expected_wh"] / day["scheduled_seconds"] * 3600)


def verdict(wh: float, expected: float, tolerance_pct: float) -> str:
    margin = expected * tolerance_pct / 100
    return "over" if wh - expected > margin else "under" if wh - expected < -margin else "normal"


def test_every_meter_and_day_is_there_and_measures_what_its_meter_told(month: Month) -> None:
    found, happened = said(month), true(month)
    assert set(found) == set(happened)
    lost = 0
    for key, day in happened.items():
        assert found[key]["measured_wh"] == pytest.approx(day["measured_wh"], abs=0.001), day
        # Half-hours of a local day: 46 on the day the clocks skip an hour.
        assert found[key]["coverage_share"] == pytest.approx(day["readings_sent"] / day["readings"], abs=1e-6)
        assert day["readings"] == (46 if key[1] == dt.date(2026, 3, 29) else 48)
        if day["readings_sent"] == day["readings"]:
            assert abs(found[key]["measured_wh"] - day["consumed_wh"]) <= 0.5 * day["readings"]
        else:
            lost += 1
            # At most the greatest power of the day: all lit, drifting by 45 %, 4.5 standard deviations over its nameplate.
            most = (commanded_w(day) * 1.55 + 100) / 2 * (day["readings"] - day["readings_sent"])
            assert -0.5 * day["readings"] <= day["consumed_wh"] - found[key]["measured_wh"] <= most + 0.5 * day["readings"]
    assert lost > 10


def test_what_was_to_be_expected_of_each_cabinet(month: Month) -> None:
    found = said(month)
    for key, day in true(month).items():
        assert (found[key]["method"], ref_of(found[key]["cabinet_key"])) == ("lighting", day["cabinet_ref"])
        assert found[key]["expected_wh"] == pytest.approx(day["expected_wh"], abs=0.001 + commanded_w(day) * 2 / 3600), day


def test_verdicts_of_each_day(month: Month) -> None:
    found, seen = said(month), Counter[str]()
    for key, day in true(month).items():
        row, whole = found[key], day["readings_sent"] == day["readings"]
        # What nobody disputes: the excess is further from the tolerance than rounding and the sun's seconds reach.
        slack = 0.5 * day["readings"] + commanded_w(day) * 2 / 3600 * 1.1
        distance = abs(abs(day["measured_wh"] - day["expected_wh"]) - day["expected_wh"] * day["tolerance_pct"] / 100)
        if abs(row["coverage_share"] - 1) > COMPLETE:
            assert (row["verdict"], row["excess_wh"]) == ("incomplete", None)
        elif distance > slack:
            assert row["verdict"] == verdict(day["measured_wh"], day["expected_wh"], day["tolerance_pct"]), (row, day)
            assert not whole or row["verdict"] == day["verdict"], (row, day)
            assert row["excess_wh"] == pytest.approx(day["measured_wh"] - day["expected_wh"], abs=0.002 + commanded_w(day) * 2 / 3600)
        seen[row["verdict"]] += 1
        seen["undisputed"] += distance > slack
    assert min(seen[v] for v in ("normal", "over", "under")) > 3, dict(seen)
    assert seen["undisputed"] > 0.98 * len(found)


def test_days_burnt_are_named_and_no_other(month: Month) -> None:
    """By the rule: mean power over readings wholly by day past a tenth of the power commanded.

    From the truth the mean is known over the whole day; the half-hours that straddle sunrise and sunset are left out of the rule's,
    so that it lies between (energy by day - what these could take) / hours of day and energy by day / (hours of day - these).
    """
    found, seen = said(month), Counter[str]()
    for key, day in true(month).items():
        row, power = found[key], commanded_w(day)
        hours = 24 - (1 if key[1] == dt.date(2026, 3, 29) else 0) - night_hours(month, key)
        most = (power * 1.55 + 100) * (STRADDLED_H + (day["readings"] - day["readings_sent"]) / 2)
        lost = STRADDLED_H + (day["readings"] - day["readings_sent"]) / 2
        if (day["by_day_wh"] - most) / hours > power * LIT:
            assert row["is_day_burner"] is True, (row, day)
            seen["burns"] += 1
        elif day["by_day_wh"] / (hours - lost) < power * LIT:
            assert row["is_day_burner"] is False, (row, day)
            seen["rests"] += 1
        else:
            seen["between"] += 1
        # None invented: something burned by day, for an hour at least.
        assert not row["is_day_burner"] or day["is_day_burner"], (row, day)
        # Burning a whole day long is always seen, even of one feeder, unless it has less than a tenth of the lights.
        if day["day_burning_seconds"] >= 0.9 * hours * 3600 and day["day_burning_share"] > LIT / 0.85 and lost == STRADDLED_H:
            assert row["is_day_burner"], (row, day)
    assert seen["burns"] > 10, dict(seen)
    assert seen["between"] < 0.01 * len(found), dict(seen)


def night_hours(month: Month, key: Day) -> float:
    """Hours from midnight to sunrise and from sunset to midnight: the schedule of a cabinet that is never switched off by night."""
    return float(max(n["scheduled_seconds"] for n in month.truth["nights"] if n["local_date"] == key[1]) / 3600)


def test_dark_nights_are_named_and_no_other(month: Month) -> None:
    """By the rule: what was taken in readings wholly by night is below a tenth of what was expected."""
    found, seen = said(month), Counter[str]()
    for key, day in true(month).items():
        row = found[key]
        if day["readings_sent"] < day["readings"]:
            continue  # what was lost might be the little that burned
        taken, limit = day["by_night_wh"], LIT * day["expected_wh"]
        most = (commanded_w(day) * 1.55 + 100) * STRADDLED_H
        if taken + 0.5 * day["readings"] < limit:
            assert row["is_dark_by_night"] is True, (row, day)
            seen["dark"] += 1
        elif taken - most - 0.5 * day["readings"] > limit:
            assert row["is_dark_by_night"] is False, (row, day)
            seen["lit"] += 1
        else:
            seen["between"] += 1
        # None invented: what is named was lit for no more than straddles the sun, and a tenth of its schedule (at 93 % of its nameplate).
        lit = day["scheduled_seconds"] - day["dark_seconds"]
        assert not row["is_dark_by_night"] or lit <= STRADDLED_H * 3600 + LIT / 0.93 * day["scheduled_seconds"], (row, day)
        # None missed: lit for a twentieth of it, even drifting by 45 %, a cabinet takes less than a tenth.
        assert row["is_dark_by_night"] or lit > 0.05 * day["scheduled_seconds"], (row, day)
    assert seen["dark"] > 0, dict(seen)
    assert seen["between"] < 0.01 * len(found), dict(seen)


def test_months_add_their_days_up(month: Month) -> None:
    days: dict[str, list[Row]] = defaultdict(list)
    happened = true(month)
    for (meter, date), row in said(month).items():
        if date.replace(day=1) == MONTH:
            days[meter].append({**happened[meter, date], "row": row})
    found = {r["meter_ref"]: r for r in month.said["indicators.energy_overconsumption_monthly"] if r["month"] == MONTH}
    assert set(found) == set(days)
    for meter, own in days.items():
        judged = [d for d in own if abs(d["readings_sent"] / d["readings"] - 1) <= COMPLETE]
        expected: dict[str, Any] = {
            "cabinet_key": f"simulation:{own[0]['cabinet_ref']}",
            "days": 31,
            "days_judged": len(judged),
            "days_incomplete": 31 - len(judged),
            "measured_kwh": pytest.approx(sum(d["measured_wh"] for d in own) / 1000, abs=0.001),
            "judged_kwh": pytest.approx(sum(d["measured_wh"] for d in judged) / 1000, abs=0.001),
            "expected_kwh": pytest.approx(
                sum(d["expected_wh"] for d in judged) / 1000, abs=0.001 + sum(commanded_w(d) for d in judged) * 2 / 3.6e6
            ),
            # 0.22 EUR and 0.052 kgCO2e a kWh are declared; a cent of rounding, and half of one ten-thousandth a day.
            "measured_eur": pytest.approx(sum(d["measured_wh"] for d in own) / 1000 * 0.22, abs=0.01),
            "measured_kgco2e": pytest.approx(sum(d["measured_wh"] for d in own) / 1000 * 0.052, abs=0.005),
            "days_over": sum(d["row"]["verdict"] == "over" for d in own),
            "days_under": sum(d["row"]["verdict"] == "under" for d in own),
            "days_burning_by_day": sum(bool(d["row"]["is_day_burner"]) for d in own),
            "nights_dark": sum(bool(d["row"]["is_dark_by_night"]) for d in own),
        }
        assert {name: found[meter][name] for name in expected} == expected


def test_drifting_cabinets_consume_too_much(month: Month) -> None:
    found, happened, named = said(month), true(month), 0
    meters = {n["cabinet_ref"]: n["meter_ref"] for n in month.truth["nights"]}
    for drift in month.truth["drifts"]:
        for (meter, date), day in happened.items():
            whole = dt.datetime.combine(date, dt.time(), tzinfo=dt.UTC)
            if meter != meters[drift["cabinet_ref"]] or not drift["started_at"] <= whole - dt.timedelta(days=1) < drift[
                "ended_at"
            ] - dt.timedelta(days=2):
                continue
            # A fifth at least, on a nameplate that is right to 1.5 % (one standard deviation): past 10 % by six deviations.
            if drift["factor"] >= 0.2 and day["dark_seconds"] == 0 and day["readings_sent"] == day["readings"]:
                named += 1
                assert found[meter, date]["verdict"] == "over", (drift, day)
    assert named > 20
