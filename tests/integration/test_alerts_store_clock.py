"""What the clock brings is done once: works begin and end, alarms escalate, shelvings end; and nothing is lost meanwhile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.errors import WrongUse
from orchestration.alerts import lifecycle
from orchestration.alerts.model import Kind, State
from orchestration.alerts.store.due import Policy
from orchestration.alerts.store.planned import Planned, read_planned
from orchestration.alerts.store.suppressions import MAINTENANCE, OUT_OF_SERVICE, About, NoSuppression
from orchestration.settings import Settings
from tests.integration.alerts_store import NINE, Town, rule, town

HOUR = dt.timedelta(hours=1)
RULES = (
    rule("lamp", escalate_after="PT10M"),
    rule("other"),
    rule("dark", hides={}),
    rule("danger", consequence="severe", respond_within="PT5M"),
)


@pytest.fixture
def city(instance: Settings) -> Iterator[Town]:
    with town(instance, *RULES) as made:
        made.equip("C")
        for i in range(1, 6):
            made.equip(f"L{i}", "C")
        yield made
        made.check()


# --- announced work


def test_work_suppresses_what_stands_and_what_comes_on_its_equipment_and_what_hangs_on_it(city: Town) -> None:
    city.raises("lamp", "L1")
    declared, lines = city.store.declare_maintenance(About("C"), starts_at=city.now, ends_at=city.now + HOUR, reason="câble", actor="chef")
    assert [(e.kind, e.actor, e.comment) for e in lines] == [(Kind.SUPPRESSED, "chef", "câble")]
    assert city.raises("lamp", "L2")[0].suppressed_by == "maintenance"
    assert city.presented() == []
    city.later(minutes=30)
    city.ends("lamp", "L1")
    assert city.named("lamp", "L1").state is State.CLOSED
    city.later(minutes=29, seconds=59)
    assert city.tick() == []
    city.later(seconds=1)
    assert [(e.kind, e.alarm["asset_ref"]) for e in city.tick()] == [(Kind.UNSUPPRESSED, "L2")]
    assert city.tick() == []
    assert city.store.suppressions(MAINTENANCE) == []
    assert [s.suppression_id for s in city.store.suppressions(MAINTENANCE, is_over=True)] == [declared.suppression_id]


def test_work_to_come_begins_by_the_clock(city: Town) -> None:
    city.store.declare_maintenance(About(rule="lamp"), starts_at=city.now + HOUR, ends_at=city.now + 2 * HOUR, reason="essai", actor="chef")
    city.raises("lamp", "L1")
    city.raises("other", "L1")
    city.later(minutes=59)
    city.tick(Policy(most=0))
    assert city.named("lamp", "L1").is_presented
    city.later(minutes=1)
    city.tick(Policy(most=0))
    assert [a.rule for a in city.presented()] == ["other"]


def test_two_works_hold_until_the_last_one_ends(city: Town) -> None:
    first, _ = city.store.declare_maintenance(About("L1"), starts_at=city.now, ends_at=city.now + HOUR, reason="a", actor="chef")
    city.store.declare_maintenance(About("C", "city"), starts_at=city.now, ends_at=city.now + HOUR, reason="b", actor="chef")
    city.raises("lamp", "L1")
    city.store.end_maintenance(first.suppression_id, "anne")
    assert not city.named("lamp", "L1").is_presented
    with pytest.raises(NoSuppression, match="over"):
        city.store.end_maintenance(first.suppression_id, "anne")


def test_after_works_an_alarm_has_its_whole_time_before_it_escalates(city: Town) -> None:
    city.store.declare_maintenance(About("C"), starts_at=city.now, ends_at=city.now + HOUR, reason="câble", actor="chef")
    city.raises("lamp", "L1")
    city.later(hours=1)
    assert [e.kind for e in city.tick()] == [Kind.UNSUPPRESSED]
    city.later(minutes=9, seconds=59)
    assert city.tick() == []
    city.later(seconds=1)
    assert [e.kind for e in city.tick()] == [Kind.ESCALATED]


def test_what_is_out_of_service_is_recorded_and_shown_to_nobody_until_put_back(city: Town) -> None:
    city.raises("lamp", "L1")
    declared, _ = city.store.put_out_of_service(About("L1"), reason="mât abattu", actor="chef")
    alarm = city.named("lamp", "L1")
    assert (alarm.is_out_of_service, alarm.is_presented) == (True, False)
    city.later(days=30)
    city.ends("lamp", "L1")
    city.later(days=1)
    (new,) = city.raises("lamp", "L1")
    assert city.kinds(new) == ["raised", "out_of_service"]
    assert [s.reason for s in city.store.suppressions(OUT_OF_SERVICE)] == ["mât abattu"]
    _, lines = city.store.put_back(declared.suppression_id, "anne")
    assert [(e.kind, e.actor) for e in lines] == [(Kind.IN_SERVICE, "anne")]
    assert city.named("lamp", "L1").is_presented


@pytest.mark.parametrize(
    ("about", "hours", "reason"),
    [
        (About(), (0, 1), "x"),
        (About(source="city"), (0, 1), "x"),
        (About("C"), (1, 1), "x"),
        (About("C"), (-2, -1), "x"),
        (About("C"), (0, 1), " "),
    ],
)
def test_work_that_cannot_be_meant_is_refused(city: Town, about: About, hours: tuple[int, int], reason: str) -> None:
    with pytest.raises(WrongUse):
        city.store.declare_maintenance(about, starts_at=NINE + hours[0] * HOUR, ends_at=NINE + hours[1] * HOUR, reason=reason, actor="chef")
    assert city.store.suppressions(MAINTENANCE) == []


def test_the_file_of_planned_works_is_followed(city: Town, tmp_path: Path) -> None:
    file = tmp_path / "planned_maintenance.csv"
    file.write_text(
        "feed,asset_ref,starts_at,ends_at,reason\n"
        "lights,C,2026-03-02 10:00,2026-03-02 12:00,Coupure\n"  # 09:00 to 11:00 UTC
        "gone,,2026-03-02 10:00,2026-03-02 12:00,\n",
        encoding="utf-8",
    )
    works, unknown = read_planned(tmp_path, {"lights": "Europe/Paris"})
    assert (works, unknown) == ([Planned(About("C", feed="lights"), NINE, NINE + 2 * HOUR, "Coupure")], ["gone"])
    city.raises("lamp", "L1", details={"feed": "lights"})
    city.raises("lamp", "L2", details={"feed": "others"})
    assert [e.kind for e in city.store.sync_planned(works)] == [Kind.SUPPRESSED]
    assert city.store.sync_planned(works) == []
    assert [a.asset_ref for a in city.presented()] == ["L2"]
    file.write_text("feed,asset_ref,starts_at,ends_at,reason\n", encoding="utf-8")
    assert [e.kind for e in city.store.sync_planned(read_planned(tmp_path, {})[0])] == [Kind.UNSUPPRESSED]


def test_what_a_person_announced_is_not_called_off_by_the_file(city: Town) -> None:
    city.store.declare_maintenance(About("C"), starts_at=city.now, ends_at=city.now + HOUR, reason="câble", actor="chef")
    city.store.sync_planned([])
    assert len(city.store.suppressions(MAINTENANCE)) == 1


# --- escalation


def test_unacknowledged_it_goes_to_who_is_there_and_again_three_times_at_most(city: Town) -> None:
    policy = Policy("superviseur", "astreinte", is_open=lambda at: at < NINE + dt.timedelta(minutes=20))
    city.raises("lamp", "L1")
    told = []
    for _ in range(120):
        city.later(minutes=1)
        told += [(e.at - NINE, e.details["to"], e.details["escalation"]) for e in city.tick(policy)]
    assert told == [
        (dt.timedelta(minutes=10), "superviseur", 1),
        (dt.timedelta(minutes=25), "astreinte", 2),
        (dt.timedelta(minutes=40), "astreinte", 3),
    ]  # fmt: skip


def test_an_acknowledged_a_hidden_or_a_shelved_alarm_is_not_escalated(city: Town) -> None:
    acknowledged, shelved = city.raises("lamp", "L1", "L2")
    city.store.act(acknowledged.alarm_id, lambda a, now: lifecycle.acknowledged(a, "anne", now))
    city.store.act(shelved.alarm_id, lambda a, now: lifecycle.shelved(a, "anne", now, now + HOUR, "plus tard"))
    city.later(minutes=11)
    city.raises("dark", city.equip("D"))
    city.raises("lamp", city.equip("M", "D"))
    city.later(minutes=48, seconds=59)
    assert city.tick() == []
    city.later(seconds=1)
    assert [(e.kind, e.alarm["asset_ref"]) for e in city.tick()] == [(Kind.UNSHELVED, "L2")]
    city.later(minutes=10)  # what was put aside has its time anew
    assert [(e.kind, e.alarm["asset_ref"]) for e in city.tick()] == [(Kind.ESCALATED, "L2")]


# --- chattering


def test_what_chatters_rings_once_and_is_steady_after_an_hour(city: Town) -> None:
    for _ in range(3):
        city.raises("lamp", "L1")
        city.later(minutes=1)
        city.ends("lamp", "L1")
        city.later(minutes=1)
    alarm = city.named("lamp", "L1")
    assert city.kinds(alarm) == ["raised", "returned", "reactivated", "returned", "reactivated", "chattering", "returned"]
    city.raises("lamp", "L1")
    assert city.kinds(alarm)[-1] == "reactivated"
    escalate_at = city.named("lamp", "L1").escalate_at
    assert escalate_at == NINE + dt.timedelta(minutes=14)  # ten minutes after its third activation
    city.later(minutes=59)
    assert "steady" not in {str(e.kind) for e in city.tick(Policy(most=0))}
    city.later(minutes=1)
    assert [str(e.kind) for e in city.tick(Policy(most=0))] == ["steady"]
    assert not city.named("lamp", "L1").is_chattering
