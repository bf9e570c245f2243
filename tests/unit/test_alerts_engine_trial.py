"""A rule tried on history tells what it would have raised, when and how often, as counted by hand."""

from __future__ import annotations

import pytest

from orchestration.alerts.engine.trial import try_rule
from orchestration.alerts.model import Heard
from tests.unit.alerts_engine_support import DAY, S, rule, said, world

HIGH = rule(when={"type": "threshold", "property": "p", "above": 10, "deadband": 2})


def test_what_would_have_been_raised() -> None:
    """Two days from 1000 s on: a1 at 1000 s for 60 s, a2 to a4 within ten minutes, a4 without an end; a0 was before."""
    signals = [
        said(100, 11, asset="a0"), said(200, 5, asset="a0"),
        said(1000, 11, asset="a1"), said(1060, 5, asset="a1"),
        said(50_000, 11, asset="a2"), said(50_599, 11, asset="a3"), said(50_600, 11, asset="a4"), said(50_700, 14, asset="a4"),
        said(60_000, 5, asset="a2"), said(60_000, 5, asset="a3"),
        said(172_800 + 1000, 11, asset="a5"),
    ]  # fmt: skip
    trial = try_rule(HIGH, signals, world(), 1000 * S, 1000 * S + 2 * DAY)
    assert [(r.asset[1] if r.asset else "", r.at // S, r.lasted and r.lasted // S) for r in trial.raises] == [
        ("a1", 1000, 60), ("a2", 50_000, 10_000), ("a3", 50_599, 9401), ("a4", 50_600, None),
    ]  # fmt: skip
    assert (trial.signals, trial.updates, trial.per_day) == (10, 1, 2.0)
    # From 50,000 to 50,599 s there are two; from 50,599 on as well: 50,600 is ten minutes after the first, and so beyond.
    assert trial.worst == (2, 50_000 * S)
    # 4 alarms in 288 spans of ten minutes, for two operators.
    assert trial.load(2) == pytest.approx(4 / 288 / 2)


def test_timers_run_to_the_end_and_rules_that_are_off_are_tried() -> None:
    silent = rule(when={"type": "silence", "expected_every": "PT5M", "missed": 1}, enabled=False)
    signals = [said(0, 1), *(Heard("f", t * S) for t in range(100, 1000, 100))]
    trial = try_rule(silent, signals, world(), 0, 1000 * S)
    assert [(r.at // S, r.since) for r in trial.raises] == [(300, 0)]


def test_a_bound_that_is_passed_is_told() -> None:
    bounded = HIGH.model_copy(update={"bound": rule(bound={"raises": 1, "per": "PT1H"}, when=HIGH.when.model_dump()).bound})
    trial = try_rule(bounded, [said(0, 11), said(10, 11, asset="b")], world(), 0, 1800 * S)
    assert len(trial.raises) == 1
    assert trial.cut_off == [10 * S]


def test_nothing_raised_is_no_worst() -> None:
    trial = try_rule(HIGH, [], world(), 0, DAY)
    assert (trial.raises, trial.worst, trial.per_day) == ([], (0, None), 0.0)


def test_an_empty_span_or_an_empty_post_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        try_rule(HIGH, [], world(), 5, 5)
    with pytest.raises(ValueError, match="at least one"):
        try_rule(HIGH, [], world(), 0, DAY).load(0)
