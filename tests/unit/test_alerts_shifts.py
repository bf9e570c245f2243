"""A shift's figures, computed by hand; periods that a report offers; curves, hulls and grounds of the map from a few points."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts import recent, shifts
from orchestration.alerts.model import Alarm, Kind
from orchestration.alerts.page import curve, report, request
from orchestration.alerts.page import map as map_
from orchestration.alerts.recent import Measures
from orchestration.alerts.rulebook.registry import SHIPPED, rules_in_force
from orchestration.alerts.shifts import Line, Period, Shift

UTC = dt.UTC
PARIS = ZoneInfo("Europe/Paris")
# A Sunday, 07:00 in Paris.
START = dt.datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


def at(minutes: float) -> dt.datetime:
    return START + dt.timedelta(minutes=minutes)


def line(seq: int, alarm_id: int, kind: Kind, minutes: float, **more: Any) -> Line:
    said = {"actor": "vigie", "title": "Armoire hors tension", "priority": 2, "domain": "EP", "commune": "Sarry", **more}
    return Line(seq, alarm_id, kind, at(minutes), **said)


def period(lines: Iterable[Line], hours: float = 2, **before: Any) -> Period:
    return Period(START, START + dt.timedelta(hours=hours), list(lines), **before)


def alarm(**more: Any) -> Alarm:
    said = {"started_at": START, "raised_at": START, "first_raised_at": START, "changed_at": START, **more}
    return Alarm("k", "r", "Armoire hors tension", "m", 2, **said)


# --- figures


def test_a_quiet_shift_says_so() -> None:
    told = shifts.figures(period([]), operators=2)
    assert (told.announced, told.acknowledged_median, told.load.worst, told.load.floods) == (0, None, None, 0)
    assert len(told.load.windows) == 12, "two hours are twelve windows, quiet ones too"
    assert told.load.per_operator == 0


def test_a_shift_counted_by_hand() -> None:
    told = shifts.figures(
        period([
            line(1, 1, Kind.RAISED, 2),  # appears
            line(2, 2, Kind.RAISED, 3, is_presented=False, domain="VP"),  # raised ...
            line(3, 2, Kind.SUPPRESSED, 3, is_presented=False, domain="VP"),  # ... and hidden in one turn: never appeared
            line(4, 1, Kind.ACKNOWLEDGED, 6, actor="anne"),  # 4 minutes after it appeared
            line(5, 1, Kind.RETURNED, 8),
            line(6, 1, Kind.CLOSED, 8, is_presented=False),  # by itself
            line(7, 3, Kind.RAISED, 15, commune="Fagnières"),  # appears
            line(8, 3, Kind.SHELVED, 16, is_presented=False, actor="anne", commune="Fagnières"),
            line(9, 3, Kind.UNSHELVED, 41, commune="Fagnières"),  # appears again
            line(10, 3, Kind.ACKNOWLEDGED, 45, actor="bruno", commune="Fagnières"),  # 30 minutes after it first appeared
            line(11, 3, Kind.ESCALATED, 46, commune="Fagnières"),
            line(12, 3, Kind.CLOSED, 50, is_presented=False, actor="bruno", commune="Fagnières"),
        ]),
        operators=2,
    )  # fmt: skip
    assert told.announced == 3
    assert told.kinds[Kind.RAISED] == 3
    assert (told.kinds[Kind.CLOSED], told.closed_by_hand) == (2, 1)
    assert told.acknowledged_in == (240.0, 1800.0)
    assert told.acknowledged_median == 1020.0
    assert [count for _, count in told.load.windows] == [1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert told.load.per_operator == pytest.approx(3 / 12 / 2)
    assert told.load.worst == (at(0), 1), "of equal windows the first"
    assert told.domains["VP"] == {Kind.RAISED: 1, Kind.SUPPRESSED: 1}
    assert told.communes["Fagnières"][Kind.ESCALATED] == 1
    assert told.people == {"anne": 2, "bruno": 2}


def test_what_stood_before_counts_from_when_it_appeared_and_once() -> None:
    lines = [
        line(1, 1, Kind.UPDATED, 1),  # was presented before: does not appear again
        line(2, 1, Kind.ACKNOWLEDGED, 5, actor="anne"),
        line(3, 2, Kind.ACKNOWLEDGED, 6, actor="anne"),  # had been acknowledged before: no first time
        line(4, 3, Kind.UNSUPPRESSED, 7),  # was hidden before: appears
    ]
    told = shifts.figures(
        period(lines, presented=frozenset({1, 2}), shown_at={1: at(-10), 2: at(-60)}, acknowledged=frozenset({2})), operators=1
    )
    assert told.announced == 1
    assert told.acknowledged_in == (900.0,)


@pytest.mark.parametrize(("count", "floods"), [(10, 0), (11, 1)])
def test_more_than_ten_in_ten_minutes_is_a_flood(count: int, floods: int) -> None:
    told = shifts.figures(period([line(n + 1, n + 1, Kind.RAISED, 20 + n / 2) for n in range(count)]), operators=2)
    assert told.load.floods == floods
    assert told.load.worst == (at(20), count)


def test_windows_are_tens_of_minutes_of_the_clock() -> None:
    told = shifts.figures(Period(at(3), at(21), [line(1, 1, Kind.RAISED, 3)]), operators=1)
    assert told.load.windows == ((at(0), 1), (at(10), 0), (at(20), 0))


_KINDS = st.sampled_from([Kind.RAISED, Kind.REACTIVATED, Kind.SHELVED, Kind.UNSHELVED, Kind.RETURNED, Kind.ACKNOWLEDGED])


@given(st.lists(st.tuples(st.integers(1, 4), _KINDS, st.integers(0, 119), st.booleans()), max_size=40))
def test_no_window_loses_an_announcement_and_none_is_of_what_is_hidden(drawn: list[tuple[int, Kind, int, bool]]) -> None:
    drawn.sort(key=lambda d: d[2])
    lines = [line(n + 1, a, kind, m, is_presented=shown) for n, (a, kind, m, shown) in enumerate(drawn)]
    announced = shifts.announcements(period(lines))
    assert all(entry.is_presented for entry in announced)
    assert len({(e.alarm_id, e.at) for e in announced}) == len(announced), "a turn announces an alarm once"
    assert sum(n for _, n in shifts.figures(period(lines), operators=2).load.windows) == len(announced)


# --- periods of a report


def test_a_report_offers_this_shift_the_ones_before_and_the_week() -> None:
    now = START + dt.timedelta(hours=5)
    taken = [Shift(3, "anne", START, 90, "La C306 est en travaux."), Shift(2, "bruno", START - dt.timedelta(hours=8), 40, None)]
    found = report.spans(taken, now, PARIS, {"anne": "Anne", "bruno": "Bruno"})
    assert [(s.name, s.title) for s in found[:4]] == [
        ("poste", "Poste en cours, Anne"), ("poste-2", "Poste de Bruno"), ("2026-11-22", "Aujourd'hui"), ("2026-11-21", "Hier"),
    ]  # fmt: skip
    assert (found[0].start, found[0].end, found[0].note) == (START, now, "La C306 est en travaux.")
    assert (found[1].start, found[1].end) == (START - dt.timedelta(hours=8), START)
    assert found[3].start == dt.datetime(2026, 11, 20, 23, 0, tzinfo=UTC), "days are those of the command post"
    assert len(found) == 2 + 7


def test_the_day_the_clocks_change_lasts_25_hours() -> None:
    now = dt.datetime(2026, 10, 26, 12, 0, tzinfo=UTC)
    day = next(s for s in report.spans([], now, PARIS, {}) if s.name == "2026-10-25")
    assert day.end - day.start == dt.timedelta(hours=25)


# --- the curve


def test_a_curve_looks_back_two_days_or_to_before_it_began_a_fortnight_at_most() -> None:
    assert recent.span_of(alarm(), START)[0] == START - recent.SPAN
    assert recent.span_of(alarm(started_at=START - dt.timedelta(days=4)), START)[0] == START - dt.timedelta(days=4, hours=6)
    assert recent.span_of(alarm(started_at=START - dt.timedelta(days=400)), START)[0] == START - dt.timedelta(days=14)


def test_a_curve_says_its_figures_in_words() -> None:
    one = alarm(source="s", asset_ref="G1", observed_property="level")
    found = Measures(START - dt.timedelta(days=2), START, ((at(-90), 1.5), (at(-30), 3.25)), (), "m")
    assert curve.told(found, one, PARIS) == "Dernière mesure 3,25 m (06:30) ; depuis 20 novembre 07:00, de 1,5 m à 3,25 m."
    states = Measures(START - dt.timedelta(days=2), START, (), ((at(-90), "on"), (at(-30), "off")))
    assert curve.told(states, one, PARIS) == "« off » depuis 06:30 ; 1 changement depuis 20 novembre 07:00."
    nothing = Measures(START - dt.timedelta(days=2), START)
    assert curve.told(nothing, one, PARIS) == "Aucune mesure de level n'a atterri pour G1 depuis 20 novembre 07:00."


def test_a_curve_shows_the_level_of_its_rule_inside_its_axis() -> None:
    rule = next(r for r in rules_in_force(SHIPPED).values() if r.when.type == "threshold" and r.when.above is not None)
    assert rule.when.type == "threshold"
    assert rule.when.above is not None
    one = alarm(source="s", asset_ref="G1", observed_property=rule.when.property)
    figures = tuple((at(-n), rule.when.above * share) for n, share in ((50, 0.1), (40, 0.2), (30, 0.3), (20, 0.4), (10, 0.5)))
    drawn = curve.options(Measures(at(-100), START, figures), one, rule, PARIS)
    levels = [mark["yAxis"] for mark in drawn["series"][0]["markLine"]["data"] if "yAxis" in mark]
    assert rule.when.above in levels
    assert drawn["yAxis"]["max"] > rule.when.above
    # The clock on the axis is the command post's: 06:50 in Paris is drawn as 06:50.
    assert drawn["series"][0]["data"][-1][0] == dt.datetime(2026, 11, 22, 6, 50, tzinfo=UTC).timestamp() * 1000
    other = curve.options(Measures(at(-100), START, figures), alarm(observed_property="other"), rule, PARIS)
    assert all("yAxis" not in mark for mark in other["series"][0]["markLine"]["data"])


def test_states_are_bands_that_follow_each_other_to_the_end() -> None:
    drawn = curve.options(Measures(at(-60), at(0), (), ((at(-60), "on"), (at(-20), "off"), (at(-5), "on"))), alarm(), None, PARIS)
    areas = drawn["series"][0]["markArea"]["data"]
    assert [first["name"] for first, _ in areas] == ["on", "off", "on"]
    assert [last["xAxis"] for _, last in areas[:-1]] == [first["xAxis"] for first, _ in areas[1:]]
    assert areas[-1][1]["xAxis"] == drawn["xAxis"]["max"]
    assert areas[0][0]["itemStyle"] == areas[2][0]["itemStyle"] != areas[1][0]["itemStyle"]


# --- the map


def test_the_ground_keeps_places_to_half_a_metre_and_names_communes_in_their_middle() -> None:
    places = [
        ("streetlight", "Sarry", 4.30, 48.90), ("streetlight", "Sarry", 4.31, 48.91), ("streetlight", "Sarry", 4.70, 48.92),
        ("cabinet", "Fagnières", 4.35, 48.99), ("cabinet", None, 4.2, 48.95),
    ]  # fmt: skip
    ground = map_.drawn(places)
    west, south, east, north = ground["bounds"]
    assert (west, south, east, north) == (4.2, 48.90, 4.70, 48.99)
    steps = np.frombuffer(base64.b64decode(ground["lights"]), "<u2").reshape(-1, 2)
    back = steps / 65_535 * [east - west, north - south] + [west, south]
    assert np.abs(back - [(4.30, 48.90), (4.31, 48.91), (4.70, 48.92)]).max() < 0.5 / 65_535 + 1e-9
    assert len(base64.b64decode(ground["others"])) == 2 * 4
    assert ground["communes"][0] == {"name": "Sarry", "lon": 4.31, "lat": 48.91, "count": 3}
    assert map_.drawn([])["bounds"] is None
    assert map_.drawn([("streetlight", "Sarry", 4.3, 48.9)])["bounds"] == [4.3, 48.9, 4.3, 48.9]


def test_marks_show_what_is_presented_the_most_urgent_on_top_and_count_what_has_no_place() -> None:
    area = '{"type": "Polygon", "coordinates": [[[4, 48], [5, 48], [5, 50], [4, 50], [4, 48]]]}'
    alarms = [
        alarm(alarm_id=1, longitude=4.3, latitude=48.9), alarm(alarm_id=2, area=area), alarm(alarm_id=3, area="{broken"),
        alarm(alarm_id=4, longitude=4.3, latitude=48.9, shelved_until=START), alarm(alarm_id=5, longitude=4.4, latitude=48.9),
    ]  # fmt: skip
    alarms[4].priority = 1
    told = map_.marks(alarms)
    assert [(a["id"], a["lon"], a["lat"]) for a in told["alarms"]] == [(1, 4.3, 48.9), (2, 4.5, 49.0), (5, 4.4, 48.9)]
    assert told["placeless"] == 1


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1, max_size=40))
def test_every_point_is_inside_its_hull(points: list[tuple[int, int]]) -> None:
    hull = map_.hull(points)
    assert set(hull) <= set(points)
    if len(hull) > 2:
        edges = list(zip(hull, hull[1:] + hull[:1], strict=True))
        for x, y in points:
            assert all((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) >= 0 for (x1, y1), (x2, y2) in edges)


# --- the request


def test_a_request_shows_the_guaranteed_times_or_that_there_are_none() -> None:
    told = request.facts(alarm(fault_type="cabinet-out", arrive_by=at(90)), PARIS, START)
    assert "Sur place (GTI)" in told
    assert "avant 08:30" in told
    assert "Aucun délai garanti" in request.facts(alarm(), PARIS, START)
    assert "&lt;b&gt;" in request.facts(alarm(asset_ref="<b>"), PARIS, START)
