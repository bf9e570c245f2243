"""Whatever happens to an alarm, in whatever order, it is in one state of ISA-18.2, and its journal tells how it came there."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ingestion.errors import WrongUse
from orchestration.alerts import lifecycle
from orchestration.alerts.lifecycle import Written
from orchestration.alerts.model import Alarm, Change, Kind, State, Step
from orchestration.alerts.store.rows import from_snapshot

NINE = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def draft(at: dt.datetime = NINE, **more: object) -> Alarm:
    return replace(
        Alarm("k", "r", "t", "m", 3, at, at, at, at, procedure=[Step("a"), Step("b")], escalate_at=at + 15 * MINUTE), **more
    )  # fmt: skip


def fresh(**more: object) -> Alarm:
    return lifecycle.raised(None, draft(**more), NINE).alarm


def kinds(written: Written) -> list[str]:
    return [str(e.kind) for e in written.entries]


# --- any sequence

# ISA-18.2: from each state, what a line of the journal may lead to.
ALLOWED = {
    (State.UNACKNOWLEDGED, Kind.ACKNOWLEDGED): State.ACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Kind.RETURNED): State.RETURNED,
    (State.ACKNOWLEDGED, Kind.RETURNED): State.RETURNED,  # and closed by the next line, unless by hand
    (State.RETURNED, Kind.ACKNOWLEDGED): State.RETURNED,  # the same
    (State.RETURNED, Kind.REACTIVATED): State.UNACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Kind.CLOSED): State.CLOSED,
    (State.ACKNOWLEDGED, Kind.CLOSED): State.CLOSED,
    (State.RETURNED, Kind.CLOSED): State.CLOSED,
    (State.ACKNOWLEDGED, Kind.UPDATED): State.UNACKNOWLEDGED,  # it became worse
}


class AnyLife(RuleBasedStateMachine):
    """One alarm, to which everything happens."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NINE
        self.was = State.UNACKNOWLEDGED

    @initialize(by_hand=st.booleans(), hides=st.booleans())
    def begin(self, by_hand: bool, hides: bool) -> None:
        written = lifecycle.raised(None, draft(closes_by_hand=by_hand, hides=["*"] if hides else []), NINE)
        self.alarm = written.alarm

    def live(self) -> bool:
        return self.alarm.closed_at is None

    def do(self, written: Written) -> None:
        for entry in written.entries:
            is_ = State(entry.alarm["state"])
            if is_ is not self.was:
                assert ALLOWED.get((self.was, entry.kind)) is is_, (self.was, entry.kind, is_)
            self.was = is_
            assert entry.at == self.now
        assert not written.entries or from_snapshot(written.entries[-1].alarm) == self.alarm

    @rule(minutes=st.integers(0, 200))
    def wait(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @precondition(live)
    @rule(priority=st.integers(1, 4))
    def comes(self, priority: int) -> None:
        self.do(lifecycle.reactivated(self.alarm, draft(self.now, priority=priority), self.now))

    @precondition(live)
    @rule()
    def goes(self) -> None:
        self.do(lifecycle.returned(self.alarm, self.now, self.now))

    @precondition(live)
    @rule()
    def is_acknowledged(self) -> None:
        self.do(lifecycle.acknowledged(self.alarm, "anne", self.now))

    @precondition(live)
    @rule()
    def is_closed(self) -> None:
        self.do(lifecycle.closed(self.alarm, "anne", self.now, "vu"))

    @precondition(live)
    @rule(hours=st.integers(1, 100))
    def is_shelved(self, hours: int) -> None:
        self.do(lifecycle.shelved(self.alarm, "anne", self.now, self.now + dt.timedelta(hours=hours), "plus tard"))

    @precondition(live)
    @rule()
    def is_unshelved(self) -> None:
        self.do(lifecycle.unshelved(self.alarm, "anne", self.now))

    @precondition(live)
    @rule(by=st.sampled_from(["parent", "joined", "maintenance", "flood"]))
    def is_suppressed(self, by: str) -> None:
        self.do(lifecycle.suppressed(self.alarm, by, "x", self.now, parent_id=None if by == "maintenance" else 7))

    @precondition(live)
    @rule()
    def is_unsuppressed(self) -> None:
        self.do(lifecycle.unsuppressed(self.alarm, self.now))

    @precondition(live)
    @rule(is_out=st.booleans())
    def is_in_or_out_of_service(self, is_out: bool) -> None:
        if is_out:
            self.do(lifecycle.out_of_service(self.alarm, "chef", self.now, "x"))
        else:
            self.do(lifecycle.in_service(self.alarm, "chef", self.now))

    @precondition(live)
    @rule()
    def is_escalated(self) -> None:
        self.do(lifecycle.escalated(self.alarm, self.now, to="astreinte"))

    @rule()
    def is_commented(self) -> None:
        self.do(lifecycle.commented(self.alarm, "anne", self.now, "vu"))

    @precondition(lambda self: not self.live())
    @rule()
    def a_closed_one_is_left_as_it_is(self) -> None:
        for action in (
            lambda a: lifecycle.acknowledged(a, "anne", self.now), lambda a: lifecycle.closed(a, "anne", self.now, "x"),
            lambda a: lifecycle.assigned(a, "anne", self.now, "jo"), lambda a: lifecycle.stepped(a, "anne", self.now, 0, is_done=True),
            lambda a: lifecycle.shelved(a, "anne", self.now, self.now + MINUTE, "x"),
        ):  # fmt: skip
            with pytest.raises(WrongUse):
                action(self.alarm)

    @invariant()
    def holds(self) -> None:
        alarm = getattr(self, "alarm", None)
        if alarm is None:
            return
        assert alarm.state is self.was
        assert (alarm.returned_at is None) == alarm.is_active
        if alarm.state is State.RETURNED and not alarm.closes_by_hand:
            assert not alarm.is_acknowledged
        if alarm.state in {State.CLOSED, State.ACKNOWLEDGED}:
            assert alarm.escalate_at is None
        if alarm.is_acknowledged:
            assert (alarm.acknowledged_at is None) == (alarm.acknowledged_by is None)
        if alarm.hides:  # what it hides is let go once, and only once, it is over
            assert (alarm.releases_at is None) == (alarm.is_active and alarm.closed_at is None)
        assert (alarm.shelved_until is None) == (alarm.shelved_by is None) == (alarm.shelve_reason is None)
        assert len(alarm.recent) <= 10
        assert 1 <= alarm.priority <= 4


TestAnyLife = AnyLife.TestCase


# --- one event at a time


def test_an_acknowledged_alarm_closes_when_it_is_over_and_one_that_is_over_when_it_is_acknowledged() -> None:
    first, second = fresh(), fresh()
    lifecycle.acknowledged(first, "anne", NINE)
    assert kinds(lifecycle.returned(first, NINE, NINE)) == ["returned", "closed"]
    assert kinds(lifecycle.returned(second, NINE, NINE)) == ["returned"]
    assert kinds(lifecycle.acknowledged(second, "anne", NINE)) == ["acknowledged", "closed"]
    assert (first.closed_by, second.closed_by) == ("vigie", "anne")


@pytest.mark.parametrize("by", ["parent", "joined", "maintenance"])
def test_what_nobody_saw_closes_when_it_is_over(by: str) -> None:
    alarm = fresh()
    lifecycle.suppressed(alarm, by, "x", NINE)
    assert kinds(lifecycle.returned(alarm, NINE, NINE)) == ["returned", "closed"]


def test_what_a_flood_grouped_is_kept_when_it_is_over() -> None:
    alarm = fresh()
    lifecycle.suppressed(alarm, "flood", "x", NINE, parent_id=3)
    assert kinds(lifecycle.returned(alarm, NINE, NINE)) == ["returned"]


def test_by_hand_it_stays_until_a_person_closes_it() -> None:
    alarm = fresh(closes_by_hand=True)
    lifecycle.acknowledged(alarm, "anne", NINE)
    assert kinds(lifecycle.returned(alarm, NINE, NINE)) == ["returned"]
    assert kinds(lifecycle.closed(alarm, "anne", NINE)) == ["closed"]


def test_acknowledging_twice_writes_one_line() -> None:
    alarm = fresh()
    assert kinds(lifecycle.acknowledged(alarm, "anne", NINE)) == ["acknowledged"]
    assert kinds(lifecycle.acknowledged(alarm, "jo", NINE)) == []
    assert alarm.acknowledged_by == "anne"


def test_the_third_time_within_ten_minutes_it_chatters() -> None:
    alarm = fresh()
    for minute, expected in ((5, ["reactivated"]), (10, ["reactivated", "chattering"]), (12, ["reactivated"])):
        lifecycle.returned(alarm, NINE, NINE)
        at = NINE + minute * MINUTE
        assert kinds(lifecycle.reactivated(alarm, draft(at), at)) == expected
    assert kinds(lifecycle.steady(alarm, NINE)) == ["steady"]
    assert kinds(lifecycle.steady(alarm, NINE)) == []


def test_a_second_more_than_ten_minutes_is_no_chattering() -> None:
    alarm = fresh()
    for span in (5 * MINUTE, 10 * MINUTE + dt.timedelta(seconds=1)):
        lifecycle.returned(alarm, NINE, NINE)
        lifecycle.reactivated(alarm, draft(NINE + span), NINE + span)
    assert not alarm.is_chattering


def test_chattering_goes_over_to_the_next_alarm_of_the_key() -> None:
    alarm: Alarm | None = None
    for minute in (0, 4, 8):
        at = NINE + minute * MINUTE
        written = lifecycle.raised(alarm, draft(at), at)
        alarm = written.alarm
        lifecycle.closed(alarm, "anne", at, "vu")
    assert kinds(written) == ["raised", "chattering"]


@given(minutes=st.integers(-5, 14 * 24 * 60), reason=st.sampled_from(["", "  ", "travaux"]))
def test_an_alarm_is_shelved_for_a_reason_and_a_week_at_most(minutes: int, reason: str) -> None:
    alarm = fresh()
    if reason.strip() and 0 < minutes <= 7 * 24 * 60:
        lifecycle.shelved(alarm, "anne", NINE, NINE + minutes * MINUTE, reason)
        assert not alarm.is_presented
        assert kinds(lifecycle.unshelved(alarm, "anne", NINE)) == ["unshelved"]
        assert alarm.is_presented
    else:
        with pytest.raises(WrongUse):
            lifecycle.shelved(alarm, "anne", NINE, NINE + minutes * MINUTE, reason)


def test_what_was_hidden_has_its_whole_time_before_it_is_escalated() -> None:
    alarm = fresh()
    lifecycle.suppressed(alarm, "maintenance", "x", NINE)
    lifecycle.unsuppressed(alarm, NINE + 60 * MINUTE)
    assert alarm.escalate_at == NINE + 75 * MINUTE


def test_a_step_is_ticked_and_taken_back_once() -> None:
    alarm = fresh()
    assert kinds(lifecycle.stepped(alarm, "anne", NINE, 1, is_done=True)) == ["step"]
    assert kinds(lifecycle.stepped(alarm, "jo", NINE, 1, is_done=True)) == []
    assert alarm.procedure == [Step("a"), Step("b", None, NINE, "anne")]
    with pytest.raises(WrongUse, match="no step 3"):
        lifecycle.stepped(alarm, "anne", NINE, 2, is_done=True)


def test_what_is_not_later_was_told() -> None:
    alarm = fresh()
    at = round(NINE.timestamp() * 1e6)
    assert lifecycle.told(alarm, Change("k", "r", at, is_active=False, since=at))
    assert not lifecycle.told(alarm, Change("k", "r", at + 1, is_active=False, since=at))
    assert not lifecycle.told(None, Change("k", "r", at, is_active=True, since=at))


def test_an_alarm_that_another_joins_takes_the_nearer_deadlines() -> None:
    at = dt.datetime(2026, 3, 10, 5, tzinfo=dt.UTC)
    hour = dt.timedelta(hours=1)
    first = Alarm("a", "r", "t", "m", 3, at, at, at, at, arrive_by=at + 24 * hour, restore_by=at + 24 * hour)
    other = Alarm("b", "r", "t", "m", 2, at, at, at, at, arrive_by=at + 2 * hour, safe_by=at + 12 * hour)
    lifecycle.joined_by(first, other)
    assert (first.priority, first.arrive_by, first.safe_by, first.restore_by) == (2, at + 2 * hour, at + 12 * hour, at + 24 * hour)
