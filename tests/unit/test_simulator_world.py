"""What happens in the simulated territory: repeatable, whole whichever window asks, and within what it states.

Here: the world without its messages. Not here: messages (`test_simulator_messages`), files and truth (`test_simulator_history`).
"""

from __future__ import annotations

import ast
import datetime as dt
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from ingestion.errors import WrongUse
from ingestion.simulator import behaviour as b
from ingestion.simulator.cases import Case
from ingestion.simulator.chance import poisson
from ingestion.simulator.clock import DAY, HOUR, MINUTE, add_open, at_local, local_text, next_open, open_seconds
from ingestion.simulator.meters import common, lit_spans, minus
from ingestion.simulator.presets import preset
from ingestion.simulator.territory import REGIMES
from ingestion.simulator.world import HIDES_MOST, World

_START = at_local(dt.date(2025, 1, 1))
_END = at_local(dt.date(2026, 1, 1))


@pytest.fixture(scope="module")
def chalons() -> World:
    return World("chalons", 1)


@pytest.fixture(scope="module")
def year(chalons: World) -> list[Case]:
    """The failures that began in 2025."""
    return [c for c in chalons.cases(_START, _END) if c.failure.started >= _START]


def test_the_preset_counts_what_the_real_territory_counts(chalons: World) -> None:
    t = chalons.territory
    assert len(t.light_codes) == 7_290
    assert len(t.remote) == 2_170
    assert len(t.cabinets) == 90
    assert len({c.meter_ref for c in t.cabinets}) == 90
    assert len({c.commune for c in t.cabinets}) >= 5
    assert all(f.rated_w == pytest.approx(sum(t.light_power_w[n] for n in f.lights)) for f in t.feeders)
    assert sorted(n for f in t.feeders for n in f.lights) == list(range(7_290))
    assert all(4.1 < x < 4.6 for x in t.longitude)
    assert all(48.8 < y < 49.1 for y in t.latitude)
    assert (preset("dijon").lights, len(preset("dijon").communes)) == (34_000, 24)


@pytest.mark.parametrize("name", ["lyon", "", 3, 10_000_000, True, "-5"])
def test_another_preset_is_refused(name: str | int) -> None:
    with pytest.raises(WrongUse):
        World(name)


def test_a_small_territory_has_all_kinds_of_equipment() -> None:
    t = World(8).territory
    assert len(t.light_codes) == 8
    assert len(t.remote) == 2
    assert len(t.cabinets) == 2


def test_what_is_asked_first_changes_nothing() -> None:
    late_first, early_first = World(400, 5), World(400, 5)
    late = late_first.cases(_START + 200 * DAY, _START + 230 * DAY)
    early_first.cases(_START, _START + 100 * DAY)
    assert early_first.cases(_START + 200 * DAY, _START + 230 * DAY) == late
    assert World(400, 6).cases(_START + 200 * DAY, _START + 230 * DAY) != late


def test_windows_agree_on_what_they_share(chalons: World) -> None:
    middle = _START + 45 * DAY
    both = {c.failure.key for c in chalons.cases(_START, middle + 30 * DAY)}
    parts = [{c.failure.key for c in chalons.cases(*w)} for w in ((_START, middle), (middle, middle + 30 * DAY))]
    assert parts[0] | parts[1] == both
    across = [c for c in chalons.cases(_START, middle) if c.failure.ended > middle]
    assert across
    assert {c.failure.key for c in across} <= parts[1]


def test_keys_are_unique(chalons: World, year: list[Case]) -> None:
    assert len({c.failure.key for c in year}) == len(year)
    reports, orders = chalons.papers(_START, _START + 60 * DAY)
    assert len({r.ref for r in reports}) == len(reports)
    assert len({o.ref for o in orders}) == len(orders)


def test_failures_come_at_their_stated_rates(year: list[Case]) -> None:
    """A Poisson count lies within five times its square root of its mean, but once in a million; a little is lost to `_APART`."""
    found = Counter(c.failure.process for c in year)
    cases = {
        "lamp-out": 5_120 * b.LAMP_OUT + 2_170 * b.LAMP_OUT_REMOTE,
        "light-unheard": 2_170 * b.LIGHT_UNHEARD,
        "cabinet-dark": 90 * b.CABINET_DARK,
        "day-burner": 90 * b.DAY_BURNER,
    }
    for process, mean in cases.items():
        assert 0.8 * mean - 5 * mean**0.5 < found[process] < mean + 5 * mean**0.5, process


def test_no_failure_lasts_past_the_bound_that_windows_rely_on(year: list[Case]) -> None:
    assert max(c.failure.ended - c.failure.started for c in year) < b.LONGEST
    assert max(r.closed - c.failure.started for c in year for r in c.reports) < b.LONGEST + 10 * DAY
    assert all(c.failure.ended > c.failure.started for c in year)
    hiding = [c.failure for c in year if c.failure.process in ("cabinet-dark", "gateway-lost", "light-unheard")]
    assert max(x.ended - x.started for x in hiding) < HIDES_MOST
    # Some cables are dug up: whole nights are dark.
    assert max(x.ended - x.started for x in hiding if x.process == "cabinet-dark") > DAY


def test_people_act_in_the_order_that_is_possible(year: list[Case]) -> None:
    for case in year:
        order = case.order
        if case.failure.process not in ("lamp-out", "cabinet-dark", "day-burner"):
            assert order is None
            continue
        assert order is not None
        steps = [order.requested, order.acknowledged, order.dispatched, order.arrived, order.made_safe, order.restored]
        assert steps == sorted(s for s in steps if s is not None)
        assert order.restored == case.failure.ended
        assert order.requested > case.failure.started
        if case.heard is not None:
            assert order.requested > min([case.heard, *(r.opened for r in case.reports)])
        for report in case.reports:
            assert case.failure.started < report.opened < case.failure.ended < report.closed
            assert report.opened <= report.acknowledged < report.closed
            assert report.duplicate_of == (None if report is case.reports[0] else case.reports[0].ref)


def test_crews_of_lamps_work_in_opening_hours_and_on_call_at_any(year: list[Case]) -> None:
    for case in year:
        if case.order is not None and case.order.dispatched is not None and case.failure.process != "cabinet-dark":
            assert next_open(case.order.dispatched) == case.order.dispatched
    dark = [c.order.dispatched for c in year if c.failure.process == "cabinet-dark" and c.order is not None and c.order.dispatched]
    assert any(next_open(t) != t for t in dark)


def test_a_lamp_of_a_piloted_light_is_known_sooner_than_another(year: list[Case]) -> None:
    lamps = [c for c in year if c.failure.process == "lamp-out"]
    delay = {
        remote: sorted(c.order.requested - c.failure.started for c in lamps if c.order is not None and c.failure.is_remote is remote)
        for remote in (True, False)
    }
    assert delay[True][len(delay[True]) // 2] < 2 * DAY < delay[False][len(delay[False]) // 2]


def test_flaps_stay_clear_of_the_window(year: list[Case]) -> None:
    """Within 30 minutes as sampled each quarter of an hour (at most two good samples), or beyond it (at least four)."""
    cycling = [c.failure for c in year if c.failure.process == "lamp-cycling"]
    within = [f for f in cycling if len(f.downs) > 1]
    assert within
    assert len(within) < len(cycling)
    for failure in within:
        pauses = [z[0] - a[1] for a, z in pairwise(failure.downs)]
        assert all(6 * MINUTE <= p < 22 * MINUTE for p in pauses)
    assert all(z - a >= b.SAMPLING for f in cycling for a, z in f.downs)
    by_light: dict[int, list[tuple[int, int]]] = {}
    for failure in cycling:
        by_light.setdefault(failure.light, []).append((failure.started, failure.ended))
    for spans in by_light.values():
        ordered = sorted(spans)
        assert all(z[0] - a[1] >= 70 * MINUTE for a, z in pairwise(ordered))


def test_forty_reports_a_day(chalons: World) -> None:
    reports, orders = chalons.papers(_START, _END)
    opened = [r for r in reports if _START <= r.opened < _END]
    assert 36 < len(opened) / 365 < 44
    assert {r.channel for r in opened} == {"phone", "application", "desk"}
    false = [r for r in opened if r.is_false]
    assert 365 * b.FALSE_PER_DAY * 0.7 < len(false) < 365 * b.FALSE_PER_DAY * 1.3
    assert all(r.is_rejected for r in false)
    assert {o.cancelled is not None for o in orders if o.failure is None and o.kind == "curative"} == {True}
    assert any(o.kind == "preventive" for o in orders)
    assert any(r.duplicate_of for r in opened)
    assert any(r.asset_ref is None for r in opened if r.failure is not None)


@pytest.mark.parametrize("mean", [0.5, 4.0, 45.0, 99.0, 101.0, 900.0])
def test_counts_follow_their_mean_however_large(mean: float) -> None:
    """Mean and variance of a Poisson count are its parameter; 4,000 evenly spread quantiles give both within a few percent."""
    counts = [poisson((i + 0.5) / 4_000, mean) for i in range(4_000)]
    found = sum(counts) / 4_000
    assert found == pytest.approx(mean, rel=0.02)
    assert sum((c - found) ** 2 for c in counts) / 4_000 == pytest.approx(mean, rel=0.05)


def test_the_larger_preset_has_its_reports() -> None:
    reports, _ = World("dijon", 1).papers(_START, _START + 7 * DAY)
    assert 0.9 < sum(_START <= r.opened < _START + 7 * DAY for r in reports) / 7 / 800 < 1.1


def test_only_callers_have_a_name_and_it_is_invented(chalons: World) -> None:
    reports, _ = chalons.papers(_START, _START + 30 * DAY)
    for report in reports:
        assert (report.caller is None) == (report.feed != "sim-appels")
        assert report.telephone is None or report.telephone.startswith("03 53 01 ")  # the regulator keeps these for fiction


def test_opening_hours() -> None:
    friday, monday = dt.date(2026, 3, 6), dt.date(2026, 3, 9)
    # Friday 16:00 to 17:00, Monday 7:30 to 8:00.
    assert open_seconds(at_local(friday, 16), at_local(monday, 8)) == HOUR + 30 * MINUTE
    assert add_open(at_local(friday, 16), HOUR + 15 * MINUTE) == at_local(monday, 7, 45)
    assert next_open(at_local(dt.date(2026, 7, 14), 10)) == at_local(dt.date(2026, 7, 15), 7, 30)  # a public holiday, a Tuesday
    assert next_open(at_local(monday, 9)) == at_local(monday, 9)
    assert next_open(at_local(friday, 17)) == at_local(monday, 7, 30)


def test_spans() -> None:
    assert minus([(0, 10), (20, 30)], [(5, 25)]) == [(0, 5), (25, 30)]
    assert minus([(0, 10)], []) == [(0, 10)]
    assert common([(0, 10), (20, 30)], [(5, 25)]) == [(5, 10), (20, 25)]


@pytest.mark.parametrize(("day", "hours", "extinct"), [("2026-03-29", 23, 3.5), ("2026-10-25", 25, 5.5), ("2026-11-11", 24, 4.5)])
def test_nights_the_clocks_change_are_an_hour_shorter_or_longer(chalons: World, day: str, hours: int, extinct: float) -> None:
    """Off from 0:30 to 5:00: 4.5 h by the clock, an hour less where 2:00 is skipped, an hour more where 2:00 comes twice."""
    date = dt.date.fromisoformat(day)
    cabinet = chalons.territory.cabinets[0]
    dark = {}
    for regime in (REGIMES[0], REGIMES[2]):
        own = type(cabinet)(**{**cabinet.__dict__, "regime": regime})
        dark[regime.name] = sum(z - a for a, z in lit_spans(chalons.preset, own, date, with_switch=False))
    assert at_local(date + dt.timedelta(days=1)) - at_local(date) == hours * HOUR
    assert dark[REGIMES[0].name] - dark[REGIMES[2].name] == pytest.approx(extinct * HOUR)


def test_the_hour_that_comes_twice_is_told_apart() -> None:
    first = at_local(dt.date(2026, 10, 25), 2, 30)
    assert local_text(first) == "2026-10-25T02:30:00+02:00"
    assert local_text(first + HOUR) == "2026-10-25T02:30:00+01:00"


def test_the_truth_shares_no_code_with_what_it_judges() -> None:
    """Neither mapping, landing, lake nor models: of the platform it knows errors and the names of canonical columns."""
    used = set()
    for path in (Path(__file__).parents[2] / "ingestion" / "simulator").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                used.add(node.module)
            elif isinstance(node, ast.Import):
                used |= {a.name for a in node.names}
    ours = {m for m in used if m.startswith(("ingestion", "orchestration", "quality")) and not m.startswith("ingestion.simulator")}
    assert ours == {"ingestion.errors", "ingestion.contracts.canonical"}
