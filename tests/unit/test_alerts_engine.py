"""Each kind of rule says what was worked out by hand."""

from __future__ import annotations

import pytest

from orchestration.alerts.model import Equipment, Heard
from orchestration.alerts.rulebook.model import Rule
from tests.unit.alerts_engine_support import DAY, HOUR, MINUTE, S, engine, feed, report, rule, run, said, told, world


def threshold(**keys: object) -> Rule:
    return rule(when={"type": "threshold", "property": "p", "above": 10, **keys})


def test_a_threshold_says_its_edges_alone() -> None:
    changes = run(engine(threshold()), [said(1, 5), said(2, 11), said(3, 12), said(4, 10), said(5, 11)])
    assert told(changes) == [("regle|s|a", 2, True), ("regle|s|a", 4, False), ("regle|s|a", 5, True)]
    first = changes[0]
    assert (first.rule, first.since, first.asset, first.property, first.value) == ("regle", 2 * S, ("s", "a"), "p", 11)
    assert first.details == {"feed": "f"}


def test_between_level_and_clear_nothing_is_said() -> None:
    changes = run(engine(threshold(clear=8)), [said(1, 11), said(2, 9), said(3, 8), said(4, 9), said(5, 11)])
    assert told(changes) == [("regle|s|a", 1, True), ("regle|s|a", 3, False), ("regle|s|a", 5, True)]


def test_below() -> None:
    low = rule(when={"type": "threshold", "property": "p", "below": 3, "clear": 5})
    changes = run(engine(low), [said(1, 3), said(2, 2.9), said(3, 4.9), said(4, 5)])
    assert told(changes) == [("regle|s|a", 2, True), ("regle|s|a", 4, False)]


def test_a_figure_that_moves_by_more_than_the_deadband_is_told() -> None:
    changes = run(engine(threshold(deadband=2)), [said(1, 11), said(2, 13), said(3, 13.5), said(4, 15), said(5, 11.4)])
    assert told(changes) == [("regle|s|a", 1, True), ("regle|s|a+", 3, True), ("regle|s|a+", 5, True)]
    assert [c.value for c in changes] == [11, 13.5, 11.4]


def test_what_is_no_figure_says_nothing() -> None:
    assert run(engine(threshold()), [said(1, None, "12"), said(2, float("nan"))]) == []


def test_an_on_delay_is_due_by_the_clock_and_dated_by_the_condition() -> None:
    e = engine(threshold(on_delay="PT60S"))
    assert run(e, [said(100, 11, published=101)]) == []
    # A value of 160 s may be on its way: a tenth of the delay.
    assert e.next_due == 166 * S
    assert e.advance(166 * S - 1) == []
    assert told(e.advance(1000 * S)) == [("regle|s|a", 160, True)]
    assert e.next_due is None


def test_a_value_before_the_delay_is_over_contradicts_it() -> None:
    e = engine(threshold(on_delay="PT60S"))
    assert run(e, [said(100, 11), said(159, 9)], 1000) == []


@pytest.mark.parametrize("published", [1000, 1004, 1009.9])
def test_equipment_that_speaks_just_when_the_delay_is_over_is_listened_to_first(published: float) -> None:
    """A lamp that is asked each quarter of an hour failed once: the next answer, of the instant the delay is over, says that it is well."""
    e = engine(threshold(on_delay="PT15M"))
    assert run(e, [said(100, 11), said(1000, 5, published=published)], 5000) == []


def test_a_value_that_confirms_ends_the_wait() -> None:
    e = engine(threshold(on_delay="PT15M"))
    assert told(run(e, [said(100, 11), said(1000, 11, published=1002)])) == [("regle|s|a", 1000, True)]


def test_a_value_that_comes_after_the_grace_returns_what_was_raised() -> None:
    e = engine(threshold(on_delay="PT15M"))
    changes = run(e, [said(100, 11), said(1000, 5, published=1010)])
    assert [(c.at, c.is_active) for c in changes] == [(1000 * S, True), (1000 * S + 1, False)]


def test_a_return_waits_for_its_delay_and_may_be_contradicted() -> None:
    changes = run(engine(threshold(off_delay="PT60S")), [said(1, 11), said(100, 5), said(130, 11), said(200, 5)], 1000)
    assert told(changes) == [("regle|s|a", 1, True), ("regle|s|a", 260, False)]


def test_a_change_of_a_key_is_strictly_later() -> None:
    """The condition ended, by its delay, before the raise was due: the return is a microsecond after it."""
    e = engine(threshold(on_delay="PT10S"))
    changes = run(e, [said(100, 11)], 110)
    changes += run(e, [said(105, 5, published=111)])
    assert [c.at for c in changes] == [110 * S, 110 * S + 1]


def test_an_older_value_says_nothing() -> None:
    e = engine(threshold())
    assert run(e, [said(200, 5), said(100, 11, published=201), said(200, 11, published=202)]) == []


def test_late_values_settle_before_they_raise() -> None:
    """A gateway sends an hour that it kept: high, then normal. Nothing is raised."""
    e = engine(threshold())
    assert run(e, [said(0, 11, published=3600), said(1800, 12, published=3600), said(3500, 5, published=3601)], 5000) == []


def test_late_values_raise_when_nothing_contradicts_them() -> None:
    e = engine(threshold())
    assert run(e, [said(0, 11, published=3600)]) == []
    assert e.next_due == 3660 * S
    assert told(e.advance(3660 * S)) == [("regle|s|a", 0, True)]


def test_a_fresh_value_that_says_the_same_ends_the_settling() -> None:
    e = engine(threshold())
    assert told(run(e, [said(0, 11, published=3600), said(3600, 11, published=3601)])) == [("regle|s|a", 0, True)]


def test_a_quarter_of_an_hour_is_not_late_yet() -> None:
    assert told(run(engine(threshold()), [said(0, 11, published=900)])) == [("regle|s|a", 0, True)]


def test_what_is_dated_ahead_waits_for_its_time() -> None:
    e = engine(threshold())
    assert run(e, [said(4000, 11, published=100), said(101, 5)]) == []
    assert told(e.advance(4000 * S)) == [("regle|s|a", 4000, True)]
    assert e.passed_over == 0


def test_what_is_dated_far_ahead_is_never_judged_and_counted() -> None:
    e = engine(threshold())
    assert told(run(e, [said(10**8, 11, published=100), said(101, 11)], 2 * 10**8)) == [("regle|s|a", 101, True)]
    assert e.passed_over == 1


def test_rates() -> None:
    fast = rule(when={"type": "rate", "property": "p", "rises": 5, "over": "PT10M"})
    values = [(0, 1.0), (300, 4.0), (600, 6.0), (601, 6.5), (900, 9.0), (1500, 9.0)]
    # At 600: 6 - 1 = 5, not more. At 601: the 1 is 601 s old, 6.5 - 4. At 900: 9 - 4 = 5, not more; its 4 is 600 s old.
    assert run(engine(fast), [said(t, v) for t, v in values]) == []
    changes = run(engine(fast), [said(0, 1), said(600, 6.1), said(1300, 6.2)])
    assert told(changes) == [("regle|s|a", 600, True), ("regle|s|a", 1300, False)]
    assert changes[0].details["change"] == pytest.approx(5.1)
    falling = rule(when={"type": "rate", "property": "p", "falls": 2, "over": "PT10M"})
    assert told(run(engine(falling), [said(0, 5), said(60, 7), said(120, 4.9)])) == [("regle|s|a", 120, True)]


def test_equals_without_regard_to_case() -> None:
    door = rule(when={"type": "equals", "property": "p", "values": ["Open", 3], "normal": ["closed"]})
    changes = run(engine(door), [said(1, None, "OPEN"), said(2, None, "?"), said(3, None, "Closed"), said(4, 3), said(5, 4)])
    assert told(changes) == [("regle|s|a", 1, True), ("regle|s|a", 3, False), ("regle|s|a", 4, True)]
    assert changes[0].text == "OPEN"


def test_bits() -> None:
    bit = rule(when={"type": "bit", "property": "p", "bit": 3})
    changes = run(engine(bit), [said(1, 7), said(2, 8), said(3, 9.5), said(4, 16), said(5, 2**52 + 8)])
    assert told(changes) == [("regle|s|a", 2, True), ("regle|s|a", 4, False), ("regle|s|a", 5, True)]


def test_an_event_lasts_as_long_as_its_rule_says() -> None:
    event = rule(when={"type": "event", "property": "p", "codes": ["smash"], "lasts": "PT10M"})
    changes = run(engine(event), [said(0, None, "smash"), said(300, None, "smash"), said(301, None, "calm")], 5000)
    assert told(changes) == [("regle|s|a", 0, True), ("regle|s|a+", 300, True), ("regle|s|a", 900, False)]


def test_an_event_with_an_end_waits_for_it() -> None:
    event = rule(when={"type": "event", "property": "p", "codes": [7], "ends": [8], "lasts": "PT10M"})
    e = engine(event)
    assert told(run(e, [said(0, 7)], 5000)) == [("regle|s|a", 0, True)]
    assert told(run(e, [said(5001, 8)])) == [("regle|s|a", 5001, False)]


def test_the_same_event_again_says_nothing_and_an_older_one_neither() -> None:
    e = engine(rule(when={"type": "event", "property": "p", "lasts": "PT1M"}))
    run(e, [said(100, 1)], 1000)
    assert run(e, [said(100, 1, published=1001), said(99, 1, published=1002)]) == []


def test_a_late_event_is_raised_after_settling_and_over_at_once() -> None:
    e = engine(rule(when={"type": "event", "property": "p", "lasts": "PT1M"}))
    assert run(e, [said(0, 1, published=3600)]) == []
    assert told(e.advance(3660 * S)) == [("regle|s|a", 0, True), ("regle|s|a", 60, False)]


def test_faults_come_from_the_contracts() -> None:
    """NGSI lights: `defectiveLamp` is a lamp out, `ok` works; a word that no contract knows says nothing."""
    known = world(feeds={"f": feed("fiware-eclairage"), "t": feed("talq-eclairage")})
    lamp = rule(when={"type": "fault", "fault_types": ["lamp-out"]})
    signals = [said(1, None, "defectiveLamp", prop="status"), said(2, None, "?", prop="status"), said(3, None, "ok", prop="status")]
    signals += [said(4, None, "start", prop="lampFailure", feed="t", asset="b"), said(5, None, "ok", prop="lampFailure", asset="c")]
    changes = run(engine(lamp, known=known), signals)
    assert told(changes) == [("regle|s|a", 1, True), ("regle|s|a", 3, False), ("regle|s|b", 4, True)]
    assert changes[0].details == {"feed": "f", "fault_type": "lamp-out"}


def test_an_asset_that_is_not_heard_has_not_failed_for_that() -> None:
    known = world(feeds={"t": feed("talq-eclairage")})
    signals = [said(1, None, "start", prop="communicationFailure", feed="t")]
    failed = rule(when={"type": "fault", "fault_types": ["lamp-out"]})
    assert run(engine(failed, known=known), signals) == []
    lost = rule(when={"type": "fault", "fault_types": ["lamp-out"], "states": ["communication_lost"]})
    assert told(run(engine(lost, known=known), signals)) == [("regle|s|a", 1, True)]


def silence(**keys: object) -> Rule:
    return rule(when={"type": "silence", "expected_every": "PT5M", "missed": 3, **keys})


def test_an_asset_is_silent_when_it_missed_its_messages() -> None:
    """`b` keeps the feed alive; `a` is missed three times after 0, at 900 s, and speaks at 2000 s."""
    signals = [said(0, 1), *(said(t, 1, asset="b") for t in range(100, 2000, 200)), said(2000, 1)]
    changes = run(engine(silence()), signals)
    assert told(changes) == [("regle|s|a", 900, True), ("regle|s|a", 2000, False)]
    assert changes[0].since == 0


def test_a_silent_feed_is_one_alarm_and_its_assets_none() -> None:
    whole = rule("source", when={"type": "silence", "expected_every": "PT5M", "missed": 3, "of": "feed"})
    signals = [*(said(t, 1, asset=f"a{t}") for t in range(10)), said(4000, 1, asset="a0")]
    e = engine(silence(), whole)
    changes = run(e, signals, 4500)
    assert told(changes) == [("source|f", 909, True), ("source|f", 4000, False)]
    # The others were heard at 1 to 9 s; of the silence of the feed one period counts: they have 600 s left at 4000 s, less what passed
    # before the feed's last word. a1 was heard 8 s before that: 592 s. a0 keeps the feed alive meanwhile.
    changes = run(e, [said(t, 1, asset="a0") for t in (4200, 4400, 4590)], 4600)
    assert told(changes)[0] == ("regle|s|a1", 4592, True)
    assert len(changes) == 9


def test_a_silence_of_one_property() -> None:
    beat = silence(property="beat")
    signals = [said(0, 1, prop="beat"), *(said(t, 1) for t in range(100, 1000, 100))]
    assert told(run(engine(beat), signals, 1000)) == [("regle|s|a", 900, True)]


def test_a_bare_message_is_a_sign_of_life_of_the_feed_alone() -> None:
    e = engine(silence(), rule("source", when={"type": "silence", "expected_every": "PT5M", "missed": 3, "of": "feed"}))
    run(e, [said(0, 1)])
    changes = [c for t in range(200, 1800, 200) for c in e.hear(Heard("f", t * S))]
    assert told(changes) == [("regle|s|a", 900, True)]


def test_counts_of_changes_and_of_values() -> None:
    changing = rule(when={"type": "count", "property": "p", "at_least": 3, "within": "PT1M"})
    values = ["up", "down", "down", "up", "down"]
    # Changes at 10, 30 and 40: three within the minute at 40; fewer than three are left from 70 on.
    changes = run(engine(changing), [said(10 * t, None, v) for t, v in enumerate(values)], 500)
    assert told(changes) == [("regle|s|a", 40, True), ("regle|s|a", 70, False)]
    assert changes[0].details["count"] == 3
    restarts = rule(when={"type": "count", "property": "p", "values": ["boot"], "at_least": 2, "within": "PT1M"})
    signals = [said(0, None, "boot"), said(60, None, "boot"), said(61, None, "run"), said(100, None, "boot")]
    assert told(run(engine(restarts), signals, 500)) == [("regle|s|a", 100, True), ("regle|s|a", 120, False)]


def test_a_deviation_says_what_was_expected() -> None:
    """Three weeks of an hourly figure that is 100 by day and 20 by night; then 100 at night."""
    known = world(feeds={"f": feed("fiware-eclairage")})
    odd = rule(when={"type": "deviation", "property": "p", "direction": "above", "sensitivity": 6})
    e = engine(odd, known=known)

    def usual(hour: int) -> float:
        return (100 if 8 <= hour % 24 < 20 else 20) + hour * 7919 % 5

    start = 1_748_822_400 // 3600  # 2025-06-02T00:00Z, a Monday
    assert run(e, [said((start + h) * 3600, usual(h)) for h in range(21 * 24 + 3)]) == []
    (change,) = run(e, [said((start + 21 * 24 + 3) * 3600, 100)])
    assert change.is_active
    assert change.value == 100
    assert 15 < change.details["expected"] < 30


def test_reports_of_one_place_are_one_alarm_until_all_are_closed() -> None:
    near = rule(when={"type": "report", "categories": ["*éclairage*"], "at_least": 2, "within": "PT2H", "radius_m": 200})
    e = engine(near)
    at = {"category": "Eclairage public", "longitude": 4.36, "latitude": 48.95, "commune": "Reims", "street": "Rue Haute"}
    far = {**at, "latitude": 49.05}
    assert (
        run(e, [report(0, "1", **at), report(60, "2", **far), report(70, "1", **at), report(80, "9", **{**at, "category": "Voirie"})]) == []
    )
    assert run(e, [report(90, "8", **at, duplicate_of="1")]) == []
    (raised,) = run(e, [report(600, "3", **at, description="x" * 500)])
    assert told([raised]) == [("regle|grc|1", 600, True)]
    assert raised.since == 0
    assert raised.place == (4.36, 48.95)
    assert raised.commune == "Reims"
    assert (raised.details["count"], raised.details["reports"], raised.details["street"]) == (2, ["1", "3"], "Rue Haute")
    assert len(raised.details.get("description", "")) <= 200
    (more,) = run(e, [report(700, "4", **at)])
    assert (more.is_update, more.details["count"]) == (True, 3)
    closed = [report(0, "1", published_at=800 * S, closed_at=800 * S, **at), report(600, "3", published_at=900 * S, status="Closed", **at)]
    assert run(e, closed) == []
    assert told(run(e, [report(700, "4", published_at=950 * S, closed_at=950 * S, **at)])) == [("regle|grc|1", 950, False)]


def test_a_history_of_reports_raises_nothing() -> None:
    near = rule(when={"type": "report", "within": "PT2H"})
    assert run(engine(near), [report(0, str(n), published_at=10 * DAY) for n in range(5)], 10 * 86400 + 3600) == []


def test_a_report_about_a_fault_of_the_contract() -> None:
    known = world(feeds={"f": feed("grc-appels")})
    dark = rule(when={"type": "report", "fault_types": ["lamp-out"]})
    signals = [
        report(0, "1", category="Éclairage public", subcategory="Lampadaire éteint"),
        report(1, "2", category="Éclairage public", subcategory="Lampadaire clignotant"),
    ]
    (change,) = run(engine(dark, known=known), signals)
    assert change.details["reports"] == ["1"]
    assert change.details["fault_type"] == "lamp-out"


def test_a_report_that_came_late_may_be_closed_before_it_raises() -> None:
    e = engine(rule(when={"type": "report"}))
    late = report(0, "1", published_at=3600 * S)
    assert run(e, [late, report(0, "1", published_at=3601 * S, closed_at=3000 * S)], 4000) == []
    e = engine(rule(when={"type": "report"}))
    assert told(run(e, [late], 4000)) == [("regle|grc|1", 0, True)]


def test_keywords_of_a_report() -> None:
    e = engine(rule(when={"type": "report", "keywords": ["câble à terre"]}))
    assert told(run(e, [report(0, "1", description="Un CABLE A TERRE rue Haute"), report(1, "2", description=None)])) == [
        ("regle|grc|1", 0, True)
    ]


def lamps() -> list[Equipment]:
    return [
        Equipment("s", ref, ref, asset_type=kind, commune=commune, parent=("s", "cab"))
        for ref, kind, commune in (("a", "streetlight", "Châlons"), ("b", "streetlight", "Reims"), ("c", "camera", "Châlons"))
    ]


@pytest.mark.parametrize(
    ("scope", "hit"),
    [
        ({}, "abcd"),
        ({"asset_types": ["streetlight"]}, "ab"),
        ({"communes": ["chalons"]}, "ac"),
        ({"assets": ["a*", "d"]}, "ad"),
        ({"feeds": ["g*"]}, ""),
        ({"feeds": ["*"]}, "abcd"),
        ({"domains": ["EP"]}, "abcd"),
        ({"domains": ["EAU"]}, ""),
    ],
)
def test_scope(scope: dict[str, object], hit: str) -> None:
    known = world(lamps(), {"f": feed("fiware-eclairage")})
    e = engine(rule(when={"type": "threshold", "property": "p", "above": 10}, scope=scope), known=known)
    changes = run(e, [said(1, 11, asset=ref) for ref in "abcd"])
    assert [c.asset[1] for c in changes if c.asset] == list(hit)
    assert e.wants("f") is bool(hit)


def test_groups_hold_while_any_member_does() -> None:
    grouped = rule(when={"type": "threshold", "property": "p", "above": 10}, group_by="parent")
    signals = [said(1, 11), said(2, 11, asset="b"), said(3, 5), said(4, 5, asset="b"), said(5, 11, asset="d")]
    assert told(run(engine(grouped, known=world(lamps())), signals)) == [
        ("regle|s|cab", 1, True), ("regle|s|cab", 4, False), ("regle|s|d", 5, True),
    ]  # fmt: skip
    for group, key in (("commune", "regle|Châlons"), ("feed", "regle|f"), ("rule", "regle")):
        grouped = rule(when={"type": "threshold", "property": "p", "above": 10}, group_by=group)
        assert told(run(engine(grouped, known=world(lamps())), [said(1, 11), said(2, 12, asset="c")])) == [(key, 1, True)]


def test_outside_its_calendar_a_rule_raises_nothing_new_but_ends() -> None:
    night = rule(when={"type": "threshold", "property": "p", "above": 10}, scope={"calendar": "night"})
    known = world(feeds={"f": feed("fiware-eclairage")})
    e = engine(night, known=known)
    noon, dusk = 12 * 3600, 18 * 3600
    assert run(e, [said(noon, 11)], dusk - 1) == []
    assert told(e.advance(dusk * S)) == [("regle|s|a", dusk, True)]
    morning = 86400 + noon
    assert told(run(e, [said(morning, 5)])) == [("regle|s|a", morning, False)]
    assert run(e, [said(morning + 1, 11), said(morning + 2, 5)], morning + 86400) == []


def test_a_rule_that_raises_too_much_is_cut_off() -> None:
    """Two in a minute are allowed. The third and fourth are held back until the first two leave the minute; the fourth is over by then."""
    bounded = rule(when={"type": "threshold", "property": "p", "above": 10}, bound={"raises": 2, "per": "PT1M"})
    e = engine(bounded)
    changes = run(e, [said(t, 11, asset=f"a{t}") for t in (0, 10, 20, 30)])
    assert told(changes) == [("regle|s|a0", 0, True), ("regle|s|a10", 10, True), ("regle-coupee|regle", 20, True)]
    assert changes[-1].rule == "regle-coupee"
    assert (changes[-1].details["rule"], changes[-1].details["count"]) == ("regle", 2)
    assert e.cut_off == ["regle"]
    assert told(run(e, [said(40, 5, asset="a0"), said(41, 5, asset="a30")])) == [("regle|s|a0", 40, False)]
    assert told(e.advance(500 * S)) == [("regle|s|a20", 20, True), ("regle-coupee|regle", 70, False)]
    assert e.cut_off == []


def test_refresh_keeps_ends_and_drops() -> None:
    """A rule that is the same goes on; one that is gone ends its alarms; a changed one keeps what is active and drops what was pending."""
    same = rule("same", when={"type": "threshold", "property": "p", "above": 10, "on_delay": "PT60S"})
    gone = rule("gone", when={"type": "threshold", "property": "p", "above": 10})
    changed = rule("changed", when={"type": "threshold", "property": "p", "above": 10, "on_delay": "PT30S"})
    e = engine(same, gone, changed)
    assert told(run(e, [said(0, 11), said(20, 11, asset="b")], 35)) == [
        ("gone|s|a", 0, True),
        ("gone|s|b", 20, True),
        ("changed|s|a", 30, True),
    ]
    now = rule("changed", when={"type": "threshold", "property": "p", "above": 9, "on_delay": "PT30S"})
    assert told(e.refresh({"same": same, "changed": now}, world())) == [("gone|s|a", 35, False), ("gone|s|b", 35, False)]
    assert told(e.advance(100 * S)) == [("same|s|a", 60, True), ("same|s|b", 80, True)]
    assert told(run(e, [said(101, 8)])) == [("changed|s|a", 101, False), ("same|s|a", 101, False)]


def test_rules_that_changed_while_the_engine_was_away_end_their_alarms() -> None:
    gone = rule("gone", when={"type": "threshold", "property": "p", "above": 10})
    e = engine(gone)
    run(e, [said(5, 11)])
    again = engine(rule("other", when={"type": "threshold", "property": "p", "above": 99}))
    again.restore([(p, k, b) for p, k, b in e.saved() if b is not None])
    assert again.next_due == 5 * S
    assert told(again.advance(10 * S)) == [("gone|s|a", 5 + 1e-6, False)]
    assert ("rule", "gone", None) in again.saved()


def test_equipment_that_leaves_the_scope_ends_its_alarm() -> None:
    lit = rule(when={"type": "threshold", "property": "p", "above": 10}, scope={"asset_types": ["streetlight"]})
    e = engine(lit, known=world(lamps()))
    run(e, [said(1, 11), said(2, 11, asset="b")])
    assert told(e.refresh({"regle": lit}, world(lamps()[1:]))) == [("regle|s|a", 2, False)]


def test_a_warning_is_told_when_it_is_near_and_ends() -> None:
    known = world(feeds={"f": feed("vigilance-cap")})
    severe = rule(when={"type": "warning", "level": 2, "ahead": "PT24H"}, consequence="major")
    e = engine(severe, known=known)
    start = 1_763_800_000
    onset = start + 3600

    def row(prop: str, value: float | None, text: str | None, asset: str = "EMMA_ID:FR018", at: float = onset):  # noqa: ANN202
        return said(at, value, text, prop=prop, asset=asset, published=start)._replace(message_id="m1")

    signals = [
        row("warning_status", 1, "Alert", "alert:m1", start),
        row("warning.wind", 3, "Severe"),
        row("warning.wind.headline", None, "Vent violent ce soir"),
        row("warning.wind.expires", None, "2025-11-23T06:00:00+01:00"),
    ]
    changes = run(e, signals, start + 10)
    assert [(c.key, c.is_active, c.title, c.value) for c in changes] == [("regle|s|EMMA_ID:FR018|wind", True, "Vent violent ce soir", 3.0)]
    assert changes[0].details["severity"] == "Severe"
    assert changes[0].details["expires"] == "2025-11-23T05:00:00+00:00"
    (ended,) = e.advance((1_763_874_000 + 3600) * S)  # 2025-11-23T05:00Z and an hour
    assert (ended.key, ended.is_active, ended.at) == ("regle|s|EMMA_ID:FR018|wind", False, 1_763_874_000 * S)


def test_disabled_rules_indicators_and_the_platform_are_not_its_business() -> None:
    off = rule("off", when={"type": "threshold", "property": "p", "above": 10}, enabled=False)
    table = rule("table", when={"type": "indicator", "table": "core.asset", "where": "true", "key": ["a"]})
    e = engine(off, table, rule("own", when={"type": "platform", "what": "engine"}))
    assert e.rules == {}
    assert run(e, [said(1, 11)], 2 * HOUR / MINUTE) == []
