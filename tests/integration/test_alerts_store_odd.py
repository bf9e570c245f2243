"""What no territory should have, and some day has: loops, equipment that moves or goes, thousands of changes at once, odd instants."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestration.alerts import lifecycle
from orchestration.alerts.model import Kind
from orchestration.settings import Settings
from tests.integration.alerts_store import SOURCE, Town, rule, town

RULES = (
    rule("coupure", hides={"rules": ["*"]}),
    rule("lampe", bound={"raises": 100_000, "per": "PT1H"}),
)


@pytest.fixture
def city(instance: Settings) -> Iterator[Town]:
    """Rules and nothing else; at the end all that must always hold does."""
    with town(instance, *RULES) as made:
        yield made
        made.check()


def test_two_that_hang_on_each_other_leave_one_to_be_seen(city: Town) -> None:
    city.equip("a", "b")
    city.equip("b", "a")
    for _ in range(3):
        for ref in ("a", "b"):
            city.raises("coupure", ref)
        live = city.store.live()
        assert [a.asset_ref for a in live if a.is_presented] == ["a"]
        assert all(a.parent_id != a.alarm_id for a in live)
        city.later(minutes=1)
        city.ends("coupure", "a")
        city.later(minutes=1)
    city.raises("coupure", "a")
    city.later(minutes=1)
    city.ends("coupure", "b")
    assert [a.asset_ref for a in city.store.live() if a.is_presented] == ["a"]


def test_three_in_a_ring_leave_one_to_be_seen(city: Town) -> None:
    for ref, parent in (("a", "b"), ("b", "c"), ("c", "a")):
        city.equip(ref, parent)
    city.raises("coupure", "a", "b", "c")
    assert len([a for a in city.store.live() if a.is_presented]) == 1


def test_what_comes_back_hangs_where_it_hangs_now(city: Town) -> None:
    for ref in ("one", "two"):
        city.equip(ref)
    city.equip("lamp", "one")
    city.raises("lampe", "lamp")
    city.later(minutes=1)
    city.ends("lampe", "lamp")
    city.equip("lamp", "two")
    city.later(hours=2)
    (cabinet,) = city.raises("coupure", "two")
    (lamp,) = city.raises("lampe", "lamp")
    assert (lamp.parent_id, lamp.ancestors) == (cabinet.alarm_id, [f"{SOURCE}|two"])


def test_equipment_that_nobody_knows_any_more_keeps_its_name_on_its_alarm(city: Town) -> None:
    city.equip("lamp")
    (before,) = city.raises("lampe", "lamp")
    city.equipment.clear()
    city.later(minutes=1)
    (after,) = city.raises("lampe", "lamp", is_update=True)
    assert (after.alarm_id, after.asset_name, after.commune) == (before.alarm_id, "Nom lamp", "Metz")
    city.later(minutes=1)
    city.ends("lampe", "lamp")
    city.later(minutes=1)
    (again,) = city.raises("lampe", "lamp")
    assert (again.alarm_id, again.asset_name, again.is_active) == (before.alarm_id, "Nom lamp", True)


def test_ten_thousand_changes_at_once_are_one_turn(city: Town) -> None:
    refs = [f"L{n}" for n in range(5_000)]
    on = [city.change("lampe", ref) for ref in refs]
    off = [replace(c, at=c.at + 1, is_active=False) for c in on]
    entries = city.tell(*on, *off)
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    assert sum(e.kind is Kind.RAISED for e in entries) == 5_001  # and the flood
    assert sum(e.kind is Kind.RETURNED for e in entries) == 5_000
    assert city.tell(*on, *off) == []


def test_of_one_key_and_instant_the_first_counts(city: Town) -> None:
    first = city.change("lampe", "lamp", value=1.0)
    city.tell(first, replace(first, value=2.0), replace(first, is_active=False), replace(first, at=first.at - 1, is_active=False))
    (alarm,) = city.store.live()
    assert (alarm.value, alarm.is_active) == (1.0, True)


def test_a_clock_that_goes_back_loses_and_repeats_nothing(city: Town) -> None:
    city.raises("lampe", "a")
    city.now -= dt.timedelta(hours=1)
    (second,) = city.raises("lampe", "b")
    assert second.is_presented
    city.store.act(second.alarm_id, lambda a, now: lifecycle.acknowledged(a, "anne", now))
    assert [e.seq for e in city.store.journal_after(0)] == [1, 2, 3]
