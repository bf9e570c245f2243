"""The store's promises: one live alarm of a key whoever writes, told twice is told once, a journal without gaps that nobody changes."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.errors import WrongUse
from orchestration.alerts import lifecycle
from orchestration.alerts.model import Change, Step
from orchestration.alerts.store.rows import from_snapshot
from orchestration.alerts.store.store import NotThere, Store
from orchestration.alerts.store.turn import CHANNEL, connect
from orchestration.settings import Settings
from tests.integration.alerts_store import SOURCE, Town, rule, town

WRITERS = 32
# 1,000 for acceptance; 100 take some seconds.
ROUNDS = int(os.environ.get("VIGIE_TEST_RAISE_ROUNDS", "100"))
RULES = (
    rule("dark", hides={"rules": ["lamp"]}, joins="light"),
    rule("lamp", joins="light", collapse={"at_least": 3, "title": "{count} sous {parent}"}, procedure=[{"step": "Voir", "call": "Anne"}]),
    rule("danger", consequence="severe", respond_within="PT5M", closes="by_hand"),
)
ASSETS = ("C", "L1", "L2", "L3", "L4")


@pytest.fixture
def city(instance: Settings) -> Iterator[Town]:
    with town(instance, *RULES) as made:
        made.equip("C")
        for ref in ASSETS[1:]:
            made.equip(ref, "C", (6.17, 49.12))
        yield made


# --- told twice is told once


@st.composite
def stories(draw: st.DrawFn) -> list[Change]:
    """What an engine may say: of each key, each change strictly later than the one before."""
    at, told = 1_772_442_000_000_000, []
    for _ in range(draw(st.integers(1, 30))):
        at += draw(st.sampled_from([1, 1_000_000, 300_000_000]))
        name, ref = draw(st.sampled_from([("dark", "C"), ("lamp", "L1"), ("lamp", "L2"), ("lamp", "L3"), ("danger", "L4")]))
        is_active = draw(st.booleans())
        is_update = is_active and draw(st.integers(0, 4)) == 0
        told.append(
            Change(f"{name}|{SOURCE}|{ref}", name, at, is_active=is_active, since=at, asset=(SOURCE, ref), is_update=is_update)
        )  # fmt: skip
    return told


@given(story=stories(), data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_story_told_in_pieces_any_suffix_of_it_again_is_told_once(city: Town, story: list[Change], data: st.DataObject) -> None:
    def tell(pieces: Callable[[int], int], *, is_repeated: bool) -> list[tuple[Any, ...]]:
        city.forget()
        done = 0
        while done < len(story):
            upto = pieces(done)
            for change in story[done:upto]:
                city.now = lifecycle.instant(change.at)
                city.tell(change)
            done = upto
            if is_repeated:
                before = city.store.last_seq()
                assert city.tell(*story[data.draw(st.integers(0, done - 1), label="suffix from") : done]) == []
                assert city.store.last_seq() == before
        city.check()
        return [(e.seq, e.kind, e.alarm["key"], e.alarm["state"]) for e in city.store.journal_after(0, limit=10_000)]

    whole = tell(lambda done: done + 1, is_repeated=False)
    again = tell(lambda done: data.draw(st.integers(done + 1, len(story)), label="piece to"), is_repeated=True)
    assert again == whole


@given(story=stories())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_at_once_or_one_by_one_the_same_alarms_are_left(city: Town, story: list[Change]) -> None:
    def left() -> list[tuple[Any, ...]]:
        city.check()
        return sorted((a.key, a.is_active, a.activations, a.changed_at) for a in city.store.select("strpos(key, '|groupe|') = 0"))

    city.forget()
    for change in story:
        city.tell(change)
    one_by_one = left()
    city.forget()
    city.tell(*story)
    assert left() == one_by_one


# --- whoever writes


def test_many_writers_that_raise_the_same_alarm_at_once_make_one(city: Town, instance: Settings) -> None:
    url, barrier = instance.app_url.get_secret_value(), threading.Barrier(WRITERS)

    def write(writer: int) -> int:
        lines = 0
        with connect(url, name=f"writer-{writer}") as con:
            store = Store(lambda: contextlib.nullcontext(con))
            for number in range(ROUNDS):
                at = 1_772_442_000_000_000 + writer % 2  # half of them say it a microsecond later: that is more of the same alarm
                change = Change(f"danger|{SOURCE}|{number}", "danger", at, is_active=True, since=at, asset=(SOURCE, str(number)))
                barrier.wait(60)
                lines += len(store.apply([change], city.composer))
        return lines

    with ThreadPoolExecutor(WRITERS) as pool:
        lines = sum(pool.map(write, range(WRITERS)))
    live = city.store.live()
    assert sorted(a.key for a in live) == sorted(f"danger|{SOURCE}|{n}" for n in range(ROUNDS))
    assert all(a.activations == 1 for a in live)
    kinds = [str(e.kind) for e in city.store.journal_after(0, limit=10_000_000)]
    assert kinds.count("raised") == ROUNDS
    assert set(kinds) <= {"raised", "updated"}
    assert len(kinds) == lines
    city.check()


def test_the_index_refuses_a_second_live_alarm_of_a_key_to_whoever_goes_around_the_store(city: Town) -> None:
    city.raises("danger", "L1")
    with psycopg.connect(city.url) as con:
        con.execute("CREATE TEMP TABLE twin AS SELECT * FROM alerts.alarm")
        con.execute("UPDATE twin SET alarm_id = 99")
        with pytest.raises(psycopg.errors.UniqueViolation, match="alarm_one_live"):
            con.execute("INSERT INTO alerts.alarm SELECT * FROM twin")


def test_readers_see_lines_in_the_order_of_commits_without_gaps_while_many_write(city: Town, instance: Settings) -> None:
    """A reader that has line N has every line before it: it reads what follows the last one it has, and never looks back."""
    url, is_over = instance.app_url.get_secret_value(), threading.Event()
    seen: list[int] = []

    def read() -> None:
        with connect(url, name="reader") as con:
            while True:
                was_over = is_over.is_set()
                rows = con.execute("SELECT seq FROM alerts.journal WHERE seq > %s ORDER BY seq", [seen[-1] if seen else 0]).fetchall()
                seen.extend(row["seq"] for row in rows)
                if was_over:
                    return

    def write(writer: int) -> None:
        with connect(url, name=f"writer-{writer}") as con:
            store = Store(lambda: contextlib.nullcontext(con))
            for number in range(40):
                key, at = f"danger|{SOURCE}|{writer}-{number}", 1_772_442_000_000_000
                raised = Change(key, "danger", at, is_active=True, since=at)
                store.apply([raised], city.composer)
                if number % 3 == 0:  # a turn that fails takes no numbers
                    with pytest.raises(ZeroDivisionError):
                        fail_in_a_turn(store, key)

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    is_over.set()
    reader.join()
    assert seen == list(range(1, 8 * 40 + 1))  # no flood groups the critical: one line each


def fail_in_a_turn(store: Store, key: str) -> None:
    with store.turn() as turn:
        turn.save(lifecycle.commented(turn.last_of([key])[key], "anne", turn.now, "perdu"))
        raise ZeroDivisionError


def test_a_turn_that_fails_changes_nothing(city: Town) -> None:
    (alarm,) = city.raises("danger", "L1")
    with pytest.raises(WrongUse):
        city.store.act(alarm.alarm_id, lambda a, now: lifecycle.closed(a, "anne", now))
    with pytest.raises(KeyError):
        city.tell(city.change("danger", "L2"), Change("x", "no-such-rule", 1, is_active=True, since=1))
    assert [a.key for a in city.store.live()] == [alarm.key]
    assert city.store.last_seq() == 1
    with pytest.raises(NotThere):
        city.store.act(99, lambda a, now: lifecycle.acknowledged(a, "anne", now))


# --- the journal


@pytest.mark.parametrize("change", ["UPDATE alerts.journal SET actor = 'x'", "DELETE FROM alerts.journal", "TRUNCATE alerts.journal"])
def test_nobody_changes_the_journal(city: Town, change: str) -> None:
    city.raises("danger", "L1")
    with psycopg.connect(city.url) as con, pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        con.execute(change)
    assert city.store.last_seq() == 1


def test_a_commit_wakes_readers_with_the_lines_it_wrote(city: Town, instance: Settings) -> None:
    with connect(instance.app_url.get_secret_value(), name="listener") as con:
        con.execute(f"LISTEN {CHANNEL}")
        city.raises("danger", "L1", "L2")
        city.ends("danger", "L1")
        city.ends("danger", "L1")
        city.later(seconds=1)
        city.ends("danger", "L1")
        told = [n.payload for n in con.notifies(timeout=5, stop_after=2)]
    assert told == ["1:2", "3:3"]


def test_an_alarm_comes_back_from_its_row_and_from_its_journal_as_it_was(city: Town) -> None:
    change = city.change(
        "lamp", "L1", property="état", value=1.5, text="éteint", unit="V", area='{"type":"Point","coordinates":[6,49]}',
        details={"feed": "lights", "list": [1, None, "é"], "nested": {"a": True}},
    )  # fmt: skip
    (entry,) = city.tell(change)
    alarm = city.named("lamp", "L1")
    city.store.act(alarm.alarm_id, lambda a, now: lifecycle.stepped(a, "anne", now, 0, is_done=True))
    city.store.act(alarm.alarm_id, lambda a, now: lifecycle.work_order(a, "anne", now, {"target": "gmao", "ref": "DI1"}))
    city.store.act(alarm.alarm_id, lambda a, now: lifecycle.shelved(a, "anne", now, now + dt.timedelta(hours=1), "plus tard"))
    assert from_snapshot(entry.alarm) == alarm
    now = city.named("lamp", "L1")
    assert now.procedure == [Step("Voir", "Anne", city.now, "anne")]
    assert from_snapshot(city.store.journal_of(alarm.alarm_id)[-1].alarm) == now
    city.check()


def test_an_alarm_raised_before_its_equipment_was_known_is_described_once_it_is(city: Town) -> None:
    urn = "urn:ngsi-ld:Streetlight:L9"
    city.store.apply([city.change("lamp", urn)], city.composer)
    (before,) = city.store.live()
    assert (before.asset_name, before.commune, before.asset_id) == ("L9", None, None)
    assert city.store.describe(city.composer) == []
    city.equip("C")
    city.equip(urn, "C", (6.1, 49.1))
    assert [str(e.kind) for e in city.store.describe(city.composer)] == ["updated"]
    (after,) = city.store.live()
    assert (after.asset_name, after.commune, after.asset_id) == (f"Nom {urn}", "Metz", f"id-{urn}")
    assert (after.message, after.longitude, after.ancestors) == (f"Nom {urn}", 6.1, [f"{SOURCE}|C"])
    assert city.store.describe(city.composer) == []
