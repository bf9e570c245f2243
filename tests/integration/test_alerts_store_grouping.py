"""What explains alarms hides them, what is one is shown once, and nothing critical is hidden by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestration.alerts import lifecycle
from orchestration.alerts.model import Kind, State
from orchestration.settings import Settings
from tests.integration.alerts_store import NINE, Town, rule, town

RULES = (
    rule("dark", hides={"rules": ["lamp-*"]}, consequence="major", respond_within="PT15M", joins="light"),
    rule("gateway", hides={"within": "PT2H"}),
    rule("lamp-out", joins="light", consequence="minor"),
    rule("lamp-silent"),
    rule("lamp-live-wire", consequence="severe", respond_within="PT5M"),
    rule("report", joins="light", closes="by_hand"),
    rule("danger", joins="light", consequence="severe", respond_within="PT5M"),
    rule("mute", collapse={"at_least": 4, "within": "PT10M", "title": "{count} muets sous {parent}"}),
    rule("deep-mute", collapse={"at_least": 2, "under": "farthest", "title": "{count} muets sous {parent}"}),
)


@pytest.fixture
def city(instance: Settings) -> Iterator[Town]:
    """Gateway G feeds cabinet C feeds lamps L1 to L9, ten metres apart."""
    with town(instance, *RULES) as made:
        made.equip("G")
        made.equip("C", "G")
        for i in range(1, 10):
            made.equip(f"L{i}", "C", (6.17 + i * 0.00013, 49.12))
        yield made
        made.check()


# --- parents


def test_a_parent_hides_what_comes_after_it(city: Town) -> None:
    (dark,) = city.raises("dark", "C")
    lamps = city.raises("lamp-silent", "L1", "L2")
    assert [(a.suppressed_by, a.parent_id, a.is_presented) for a in lamps] == [("parent", dark.alarm_id, False)] * 2
    assert [a.key for a in city.presented()] == [dark.key]
    assert (city.named("dark", "C").hidden, city.named("dark", "C").hidden_active) == (2, 2)
    joined = city.store.journal_of(dark.alarm_id)[-1]
    assert (joined.kind, joined.details["came"], joined.details["children"]) == (Kind.JOINED, 2, [a.alarm_id for a in lamps])


def test_the_line_that_raises_a_hidden_alarm_already_says_that_it_is_hidden(city: Town) -> None:
    city.raises("dark", "C")
    (lamp,) = city.raises("lamp-silent", "L1")
    first = city.store.journal_of(lamp.alarm_id)[0]
    assert (first.kind, first.alarm["is_presented"], first.alarm["suppressed_by"]) == (Kind.RAISED, False, "parent")


def test_a_parent_takes_what_came_before_it_within_its_span(city: Town) -> None:
    city.raises("lamp-silent", "L1")
    city.later(minutes=20)
    city.raises("lamp-silent", "L2")
    city.later(minutes=15)  # L1 was raised 35 minutes before the parent, L2 15: the span is 30
    (dark,) = city.raises("dark", "C")
    assert [a.key for a in city.presented()] == [dark.key, "lamp-silent|city|L1"]
    assert city.named("lamp-silent", "L2").parent_id == dark.alarm_id


def test_only_the_rules_it_names_are_hidden_and_never_a_critical_alarm(city: Town) -> None:
    city.raises("dark", "C")
    assert city.raises("report", "L1")[0].suppressed_by != "parent"
    assert city.raises("lamp-live-wire", "L2")[0].is_presented
    city.later(minutes=1)
    city.raises("lamp-live-wire", "L3")
    city.raises("gateway", "G")  # hides any rule
    assert [a.key for a in city.presented() if a.priority == 1] == ["lamp-live-wire|city|L2", "lamp-live-wire|city|L3"]


def test_children_that_still_hold_stand_for_themselves_once_they_had_time_to_say_that_they_are_well(city: Town) -> None:
    (dark,) = city.raises("dark", "C")
    city.raises("lamp-silent", "L1", "L2")
    city.later(minutes=5)
    city.ends("dark", "C")
    city.later(minutes=1)
    (late,) = city.raises("lamp-silent", "L3")  # silence is noticed late: the cabinet still explains it
    assert late.parent_id == dark.alarm_id
    city.later(minutes=10)
    city.ends("lamp-silent", "L1")
    assert city.named("lamp-silent", "L1").state is State.CLOSED  # nobody saw it: nobody acknowledges it
    city.later(minutes=8, seconds=59)
    city.tick()
    assert [a.key for a in city.presented()] == [dark.key]
    city.later(seconds=1)  # twenty minutes after the cabinet returned
    city.tick()
    assert [a.key for a in city.presented()] == [dark.key, "lamp-silent|city|L2", "lamp-silent|city|L3"]
    assert city.named("dark", "C").hidden == 0
    assert city.tick() == []


def test_a_parent_that_comes_back_in_time_keeps_its_children(city: Town) -> None:
    city.raises("dark", "C")
    city.raises("lamp-silent", "L1")
    city.later(minutes=5)
    city.ends("dark", "C")
    city.later(minutes=5)
    city.raises("dark", "C")
    city.later(minutes=30)
    city.tick()
    assert [a.key for a in city.presented()] == ["dark|city|C"]


def test_a_parent_that_closed_and_is_raised_anew_takes_over_its_children(city: Town) -> None:
    (first,) = city.raises("dark", "C")
    city.raises("lamp-silent", "L1")
    city.store.act(first.alarm_id, lambda a, now: lifecycle.acknowledged(a, "anne", now))
    city.later(minutes=5)
    city.ends("dark", "C")
    assert city.named("dark", "C").state is State.CLOSED
    city.later(minutes=5)
    (second,) = city.raises("dark", "C")
    assert second.alarm_id != first.alarm_id
    assert city.named("lamp-silent", "L1").parent_id == second.alarm_id
    city.later(hours=1)
    city.tick()
    assert [a.key for a in city.presented()] == [second.key]


def test_a_chain_is_one_alarm_and_falls_apart_from_the_top(city: Town) -> None:
    (dark,) = city.raises("dark", "C")
    city.raises("lamp-silent", "L1", "L2")
    city.later(minutes=1)
    (gateway,) = city.raises("gateway", "G")
    assert [a.key for a in city.presented()] == [gateway.key]
    assert city.of(gateway.key).hidden == 3  # the cabinet and both lamps: what is hidden is listed under what is shown
    city.later(minutes=1)
    assert city.raises("lamp-silent", "L3")[0].parent_id == gateway.alarm_id
    city.ends("gateway", "G")
    city.later(minutes=20)
    city.tick()
    assert [a.key for a in city.presented()] == [dark.key, gateway.key]
    assert city.named("dark", "C").hidden == 3


def test_what_is_out_of_service_explains_nothing(city: Town) -> None:
    from orchestration.alerts.store.suppressions import About

    city.raises("dark", "C")
    city.store.put_out_of_service(About(rule="dark"), reason="capteur faux", actor="chef")
    assert city.raises("lamp-silent", "L1")[0].is_presented


def test_five_hundred_children_at_once_are_one_alarm(city: Town) -> None:
    refs = [city.equip(f"X{i}", "C") for i in range(500)]
    city.raises("lamp-silent", *refs[:250])
    city.later(minutes=1)
    city.raises("dark", "C")
    city.raises("lamp-silent", *refs[250:])
    assert {a.key for a in city.presented()} == {"dark|city|C", "vigie|afflux"}  # before the cabinet said so, it was a flood
    assert city.named("dark", "C").hidden == 500
    assert city.of("vigie|afflux").hidden == 0
    city.later(minutes=1)
    city.ends("lamp-silent", *refs)
    assert city.named("dark", "C").hidden == 0


# --- several that are one


def test_several_of_a_rule_under_one_parent_are_one_alarm_of_the_parent(city: Town) -> None:
    city.raises("mute", "L1", "L2", "L3")
    assert len(city.presented()) == 3
    city.later(minutes=5)
    city.raises("mute", "L4")
    (group,) = city.presented()
    assert (group.key, group.title, group.asset_ref) == ("mute|groupe|city|C", "4 muets sous Nom C", "C")
    assert (group.hidden, group.started_at) == (4, NINE)
    city.later(minutes=5)
    city.raises("mute", "L5")
    (group,) = city.presented()
    assert (group.title, group.message, group.hidden) == ("5 muets sous Nom C", "5 muets sous Nom C.", 5)


def test_a_group_needs_them_within_its_span(city: Town) -> None:
    city.raises("mute", "L1", "L2", "L3")
    city.later(minutes=10, seconds=1)
    city.raises("mute", "L4")
    assert len(city.presented()) == 4


def test_a_group_is_over_when_fewer_than_half_of_what_makes_one_are_left(city: Town) -> None:
    city.raises("mute", "L1", "L2", "L3", "L4")
    city.later(minutes=1)
    city.ends("mute", "L1", "L2")
    assert city.of("mute|groupe|city|C").is_active  # two of four are half
    city.later(minutes=1)
    city.ends("mute", "L3")
    group = city.of("mute|groupe|city|C")
    assert (group.state, group.hidden) == (State.RETURNED, 1)
    city.later(minutes=20)
    city.tick()
    assert {a.key for a in city.presented()} == {group.key, "mute|city|L4"}


def test_a_group_may_stand_on_what_is_at_the_top(city: Town) -> None:
    city.raises("deep-mute", "L1", "L2")
    assert [a.key for a in city.presented()] == ["deep-mute|groupe|city|G"]


# --- neighbours


def test_a_report_and_the_alarm_of_its_lamp_are_one_with_the_more_urgent_priority(city: Town) -> None:
    (lamp,) = city.raises("lamp-out", "L1")
    city.store.act(lamp.alarm_id, lambda a, now: lifecycle.acknowledged(a, "anne", now))
    city.later(minutes=1)
    (report,) = city.raises("report", "L1")
    assert (lamp.priority, report.priority, report.suppressed_by, report.parent_id) == (4, 3, "joined", lamp.alarm_id)
    shown = city.named("lamp-out", "L1")
    assert (shown.priority, shown.state, shown.hidden) == (3, State.UNACKNOWLEDGED, 1)


@pytest.mark.parametrize(("metres", "is_one"), [(79, True), (81, False)])
def test_a_report_joins_what_is_near_its_place(city: Town, metres: float, is_one: bool) -> None:
    city.raises("lamp-out", "L1")
    place = (6.17 + 0.00013, 49.12 + metres / 111_195)
    city.raises("report", "-", asset=None, place=place)
    assert len(city.presented()) == (1 if is_one else 2)


def test_two_lamps_with_the_same_fault_are_two(city: Town) -> None:
    city.raises("lamp-out", "L1", "L2")
    assert len(city.presented()) == 2


def test_a_cabinet_is_not_listed_under_a_lamp_near_it(city: Town) -> None:
    city.equip("C", "G", (6.17 + 0.00013, 49.12))
    city.raises("lamp-out", "L1")
    city.later(hours=1)  # too long before to be its child
    city.raises("dark", "C")
    assert len(city.presented()) == 2


def test_what_joined_stands_for_itself_when_the_first_is_over_and_the_critical_at_once(city: Town) -> None:
    (lamp,) = city.raises("lamp-out", "L1")
    city.raises("report", "L1")
    (danger,) = city.raises("danger", "L1")
    assert danger.suppressed_by == "joined"
    assert [(a.key, a.priority) for a in city.presented()] == [(lamp.key, 1)]
    city.later(minutes=1)
    city.ends("lamp-out", "L1")
    assert {a.key for a in city.presented()} == {lamp.key, danger.key}
    city.later(minutes=20)
    city.tick()
    # The report now finds the danger, which was there first when it stood for itself.
    assert city.named("report", "L1").parent_id == danger.alarm_id
