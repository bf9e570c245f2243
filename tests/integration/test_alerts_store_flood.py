"""Operators get at most ten alarms in ten minutes, the rest under one, and nothing critical is hidden."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from orchestration.alerts import lifecycle
from orchestration.alerts.model import State
from orchestration.settings import Settings
from tests.integration.alerts_store import Town, rule, town

FLOOD = "vigie|afflux"
RULES = (
    rule("low", consequence="minor", respond_within="PT2H"),
    rule("middle"),
    rule("high", consequence="major", respond_within="PT15M"),
    rule("critical", consequence="severe", respond_within="PT5M"),
)


@pytest.fixture
def city(instance: Settings) -> Iterator[Town]:
    with town(instance, *RULES) as made:
        for i in range(60):
            made.equip(f"A{i}")
        yield made
        made.check()


def presented_again(city: Town) -> list[dt.datetime]:
    """When operators got an alarm: a line says that it is there, or there again."""
    lines = city.store.journal_after(0, limit=100_000)
    return [e.at for e in lines if str(e.kind) in {"raised", "reactivated", "unsuppressed"} and e.alarm["is_presented"]]


def worst_ten_minutes(instants: list[dt.datetime]) -> int:
    span = dt.timedelta(minutes=10)
    return max(sum(first <= at < first + span for at in instants) for first in instants)


def test_the_ninth_begins_a_flood_that_groups_the_others(city: Town) -> None:
    for i in range(8):
        city.raises("middle", f"A{i}")
        city.later(seconds=10)
    assert len(city.presented()) == 8
    city.raises("middle", *(f"A{i}" for i in range(8, 30)))
    city.raises("low", "A40", "A41")
    shown = city.presented()
    assert len(shown) == 9
    (flood,) = [a for a in shown if a.key == FLOOD]
    assert (flood.priority, flood.hidden) == (2, 24)
    assert flood.details["rule"] == {"middle": 22, "low": 2}
    assert (flood.details["domain"], flood.details["commune"]) == ({"EP": 24}, {"Metz": 24})
    assert flood.message.startswith("Alarmes regroupées ici : 24.")


def test_the_critical_are_always_presented(city: Town) -> None:
    city.raises("middle", *(f"A{i}" for i in range(40)))
    city.raises("critical", *(f"A{i}" for i in range(40, 55)))
    assert sum(a.priority == 1 for a in city.presented()) == 15


def test_a_hidden_alarm_that_becomes_critical_is_presented(city: Town) -> None:
    city.raises("middle", *(f"A{i}" for i in range(20)))
    assert not city.named("middle", "A19").is_presented
    city.later(minutes=1)
    city.tell(city.change("middle", "A19", is_update=True, details={"priority": 1}))
    assert city.named("middle", "A19").is_presented


def test_while_it_lasts_the_urgent_ones_come_as_there_is_room(city: Town) -> None:
    city.raises("high", *(f"A{i}" for i in range(20)))
    city.raises("middle", *(f"A{i}" for i in range(20, 40)))
    for minute in range(1, 61):
        city.later(minutes=1)
        if minute % 2:  # five in ten minutes go on coming: the flood lasts
            city.raises("low", f"A{20 + minute // 2}")
        city.tick()
    assert all(city.named("high", f"A{i}").is_presented for i in range(20))
    assert city.of(FLOOD).is_active
    assert not any(a.rule != "high" for a in city.presented() if a.key != FLOOD)
    assert worst_ten_minutes(presented_again(city)) <= 10


def test_it_is_over_after_ten_calm_minutes_and_what_holds_comes_back_the_urgent_first_within_the_bound(city: Town) -> None:
    city.raises("middle", *(f"A{i}" for i in range(12)))
    city.raises("low", *(f"A{i}" for i in range(12, 24)))
    city.later(minutes=2)
    city.ends("low", "A12", "A13")
    city.ends("middle", "A11")
    for _ in range(17):  # ten minutes until few have come for ten minutes, ten more of calm: one minute before
        city.later(minutes=1)
        city.tick()
    assert len(city.presented()) == 9
    assert city.named("low", "A12").state is State.RETURNED
    city.later(minutes=1)
    city.tick()
    assert city.named("low", "A12").state is State.CLOSED
    assert [city.named("middle", f"A{i}").is_presented for i in (8, 9, 10)] == [True] * 3
    assert [city.named("low", f"A{i}").is_presented for i in range(14, 24)] == [True] * 5 + [False] * 5
    assert city.of(FLOOD).is_active
    for _ in range(11):
        city.later(minutes=1)
        city.tick()
    assert all(city.named("low", f"A{i}").is_presented for i in range(14, 24))
    flood = city.of(FLOOD)
    assert (flood.state, flood.hidden, flood.details["count"]) == (State.RETURNED, 0, 0)
    assert worst_ten_minutes(presented_again(city)) <= 10
    assert city.tick() == []


def test_reactivations_count(city: Town) -> None:
    city.raises("middle", *(f"A{i}" for i in range(6)))
    city.later(minutes=11)
    city.ends("middle", *(f"A{i}" for i in range(6)))
    city.later(seconds=1)
    city.raises("middle", *(f"A{i}" for i in range(6)))
    city.raises("middle", *(f"A{i}" for i in range(6, 12)))
    assert city.of(FLOOD).hidden == 4  # six came back and two are new: eight


def test_a_flood_whose_alarm_a_person_closed_goes_on_under_a_new_one(city: Town) -> None:
    city.raises("middle", *(f"A{i}" for i in range(12)))
    first = city.of(FLOOD)
    city.store.act(first.alarm_id, lambda a, now: lifecycle.closed(a, "anne", now, "vu"))
    city.later(seconds=1)
    city.raises("middle", "A20")
    second = city.of(FLOOD)
    assert second.alarm_id != first.alarm_id
    city.later(seconds=1)
    city.tick()
    assert city.of(FLOOD).hidden == 5
    assert worst_ten_minutes(presented_again(city)) <= 10


def test_a_storm_never_breaks_the_bound(city: Town) -> None:
    """Two hours of alarms that come and go, ticks each minute: in no ten minutes are more than ten presented."""
    for minute in range(120):
        first = minute * 7 % 50
        city.raises("middle" if minute % 3 else "high", *(f"A{first + i}" for i in range(9)))
        city.later(seconds=30)
        city.ends("middle", *(f"A{(first + 3 + i) % 60}" for i in range(5)))
        city.later(seconds=30)
        city.tick()
    assert worst_ten_minutes(presented_again(city)) <= 10
