"""What operators read, and which alarms a page shows: French words, dates, order, counts, and the proof that silence is not calm."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.lifecycle import snapshot
from orchestration.alerts.model import Alarm, Entry, Kind, Step
from orchestration.alerts.page import frame, panes, rows, view, words
from orchestration.alerts.page.board import Board, FeedContact, Health
from orchestration.alerts.page.view import Chosen, Tab, shown
from orchestration.alerts.page.wall import rings

PARIS = ZoneInfo("Europe/Paris")
# A Sunday; 10:42 in Paris.
NOW = dt.datetime(2026, 11, 22, 9, 42, 5, tzinfo=dt.UTC)


def alarm(**said: Any) -> Alarm:
    base = Alarm(
        key="armoire|s|C306", rule="armoire", title="Armoire hors tension", message="C306 n'est plus alimentée.", priority=2,
        started_at=NOW, raised_at=NOW, first_raised_at=NOW, changed_at=NOW, alarm_id=7, domain="EP", commune="Châlons",
    )  # fmt: skip
    return replace(base, **said)


def entry(kind: Kind, actor: str = "vigie", comment: str | None = None, **details: Any) -> Entry:
    return Entry(kind, NOW, actor, snapshot(alarm()), 7, 1, None, comment, details)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (NOW, "10:42"),
        (NOW - dt.timedelta(hours=10, minutes=43), "hier 23:59"),
        (NOW + dt.timedelta(hours=14), "demain 00:42"),
        (dt.datetime(2026, 3, 1, 7, 0, tzinfo=dt.UTC), "1er mars 08:00"),
        (dt.datetime(2026, 7, 14, 7, 0, tzinfo=dt.UTC), "14 juillet 09:00"),  # summer time
        (dt.datetime(2025, 12, 31, 23, 30, tzinfo=dt.UTC), "1er janvier 00:30"),  # the year is that of Paris
        (dt.datetime(2025, 12, 31, 22, 30, tzinfo=dt.UTC), "31 décembre 2025 23:30"),
    ],
)
def test_an_instant_is_said_as_briefly_as_it_is_clear(at: dt.datetime, said: str) -> None:
    assert words.moment(at, NOW, PARIS) == said


def test_a_day_is_said_in_words() -> None:
    assert words.day(NOW, PARIS) == "dimanche 22 novembre 2026"
    assert words.day(dt.datetime(2026, 7, 31, 22, 0, tzinfo=dt.UTC), PARIS) == "samedi 1er août 2026"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (entry(Kind.RAISED), "déclenchée"),
        (entry(Kind.ACKNOWLEDGED, "anne"), "acquittée par Anne"),
        (entry(Kind.ACKNOWLEDGED, "hyperviseur"), "acquittée par hyperviseur"),
        (entry(Kind.SHELVED, "anne", "travaux", until="2026-11-22T11:00:00+00:00"), "mise de côté par Anne jusqu'à 12:00"),
        (entry(Kind.SHELVED, "anne", "travaux", until="2026-11-25T07:00:00+00:00"), "mise de côté par Anne jusqu'au 25 novembre 08:00"),
        (entry(Kind.UNSHELVED), "remise dans la liste : le délai est passé"),
        (entry(Kind.UNSHELVED, "anne"), "remise dans la liste par Anne"),
        (entry(Kind.SUPPRESSED, by="maintenance"), "masquée : travaux annoncés"),
        (entry(Kind.CHATTERING, activations=3), "devient bavarde : 3 activations en 10 min"),
        (entry(Kind.ASSIGNED, "anne", to="anne"), "prise en charge par Anne"),
        (entry(Kind.ASSIGNED, "anne", to="bob"), "confiée à Bob par Anne"),
        (entry(Kind.ASSIGNED, "anne", to=None), "rendue par Anne"),
        (entry(Kind.STEP, "anne", step=1, is_done=True), "étape 2 faite par Anne"),
        (entry(Kind.STEP, "anne", step=0, is_done=False), "étape 1 décochée par Anne"),
        (entry(Kind.ESCALATED, to="astreinte"), "sans réponse : transmise à « astreinte »"),
        (entry(Kind.WORK_ORDER, "anne", ref="OT-12", status="dispatched"), "intervention OT-12 : équipe envoyée par Anne"),
        (entry(Kind.CLOSED), "close d'elle-même"),
        (entry(Kind.CLOSED, "bob"), "close par Bob"),
    ],
)
def test_the_journal_is_told_in_words(line: Entry, said: str) -> None:
    assert words.told(line, NOW, PARIS, {"anne": "Anne", "bob": "Bob"}) == said


def test_every_kind_of_line_has_words() -> None:
    for kind in Kind:
        assert words.told(entry(kind), NOW, PARIS) != str(kind)


# --- which alarms


def test_an_alarm_is_in_its_tabs() -> None:
    todo, seen = alarm(), alarm(is_acknowledged=True)
    back = alarm(is_active=False, returned_at=NOW)
    aside = alarm(shelved_until=NOW, shelved_by="anne")
    hidden, out = alarm(suppressed_by="parent", parent_id=3), alarm(is_out_of_service=True)
    assert view.tabs_of(todo) == {Tab.STANDING, Tab.TO_DO}
    assert view.tabs_of(seen) == {Tab.STANDING, Tab.ACKNOWLEDGED}
    assert view.tabs_of(back) == {Tab.STANDING, Tab.RETURNED}
    assert view.tabs_of(aside) == {Tab.SHELVED}
    assert view.tabs_of(hidden) == view.tabs_of(out) == {Tab.SUPPRESSED}


def test_the_most_urgent_is_first_then_the_oldest() -> None:
    old, new = NOW - dt.timedelta(hours=2), NOW
    given_ = [
        alarm(alarm_id=1, priority=3, raised_at=old), alarm(alarm_id=2, priority=1, raised_at=new),
        alarm(alarm_id=3, priority=2, raised_at=new), alarm(alarm_id=4, priority=2, raised_at=old),
    ]  # fmt: skip
    assert [a.alarm_id for a in shown(given_, Chosen()).rows] == [2, 4, 3, 1]


def test_filters_find_without_accents_and_tabs_count_what_they_let_through() -> None:
    given_ = [
        alarm(alarm_id=1), alarm(alarm_id=2, commune="Sarry", domain="SLT"), alarm(alarm_id=3, is_acknowledged=True, domain="SLT"),
    ]  # fmt: skip
    found = shown(given_, Chosen(text="CHALONS armoire"))
    assert [a.alarm_id for a in found.rows] == [1, 3]
    assert found.tabs == {
        Tab.STANDING: 2, Tab.TO_DO: 1, Tab.ACKNOWLEDGED: 1, Tab.RETURNED: 0, Tab.SHELVED: 0, Tab.SUPPRESSED: 0,
    }  # fmt: skip
    found = shown(given_, Chosen(domain="SLT"))
    assert [a.alarm_id for a in found.rows] == [2, 3]
    assert found.domains == {"EP": 1, "SLT": 2}


def test_a_long_list_is_cut_and_says_so() -> None:
    found = shown([alarm(alarm_id=n) for n in range(1, 501)], Chosen())
    assert (len(found.rows), found.total) == (100, 500)
    assert rows.more(found).startswith("… et 400 autres")
    assert rows.more(shown([alarm()], Chosen())) == ""


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5), st.booleans(), st.sampled_from([None, "parent"])), max_size=30))
def test_every_live_alarm_is_counted_in_the_list_or_in_what_is_aside(drawn: list[tuple[int, int, bool, str | None]]) -> None:
    given_ = [
        alarm(alarm_id=n, priority=p, raised_at=NOW - dt.timedelta(minutes=m), is_acknowledged=seen, suppressed_by=by)
        for n, (p, m, seen, by) in enumerate(drawn, 1)
    ]
    found = shown(given_, Chosen())
    assert found.tabs[Tab.STANDING] + found.tabs[Tab.SHELVED] + found.tabs[Tab.SUPPRESSED] == len(given_)
    assert found.rows == sorted(found.rows, key=lambda a: (a.priority, a.raised_at, a.alarm_id))


# --- rows and the detail


def test_what_comes_from_outside_is_escaped() -> None:
    evil = '<img src=x onerror="x">'
    said = alarm(
        title=evil, message=evil, asset_name=evil, commune=evil, street=evil, shelve_reason=evil, shelved_until=NOW, assigned_to=evil,
        suppressed_by="parent", suppress_reason=evil, value_text=evil, details={"headline": evil, "reports": [evil, {"category": evil}]},
        work_orders=[{"ref": evil, "status": evil}], procedure=[Step(evil, evil)], rule=evil, observed_property=evil,
    )  # fmt: skip
    html = "".join((
        rows.row(said, {evil: evil}, can_act=True), panes.head(said, {}, can_act=True, can_intervene=True),
        panes.facts(said, NOW, PARIS, {}),
        panes.steps(said, lambda name: name, NOW, PARIS, {}, can_act=True), panes.reports(said), panes.near([(said, 3.0)]),
        panes.journal([entry(Kind.COMMENTED, evil, evil), entry(Kind.ESCALATED, to=evil)], NOW, PARIS, {}),
        rows.contacts([FeedContact(evil, evil, None, None)], NOW),
    ))  # fmt: skip
    assert "<img" not in html
    assert 'onerror="' not in html


def test_the_nearest_deadline_that_is_not_met_counts_down() -> None:
    arrive, restore = NOW + dt.timedelta(hours=2), NOW + dt.timedelta(hours=24)
    said = alarm(arrive_by=arrive, restore_by=restore)
    assert rows.deadline(said) == ("sur place avant", arrive)
    said.work_orders = [{"ref": "OT-1", "status": "arrived"}]
    assert rows.deadline(said) == ("rétablir avant", restore)
    said.is_active = False
    assert rows.deadline(said) is None


def test_priority_is_said_by_a_letter_and_a_word_too() -> None:
    for priority, letter, name in ((1, "C", "Critique"), (2, "H", "Haute"), (3, "M", "Moyenne"), (4, "B", "Basse")):
        assert f">{letter}</b>" in rows.mark(priority)
        assert f"<i>{name}</i>" in rows.mark(priority)


def test_a_row_says_what_it_hides_and_that_it_chatters() -> None:
    said = rows.row(alarm(asset_type="cabinet", hidden=83, is_chattering=True, activations=4))
    assert "+ 83 alarmes" in said
    assert "Bavarde ×4" in said
    assert "+ 1 alarme<" in rows.row(alarm(hidden=1, asset_type="gateway"))


def test_a_viewer_has_no_buttons() -> None:
    said = alarm(procedure=[Step("Appeler.")])
    html = rows.row(said) + panes.head(said, {}, can_act=False, can_intervene=True)
    assert "data-do" not in html.replace('data-do="shut"', "")
    assert " disabled" in panes.steps(said, lambda _: None, NOW, PARIS, {}, can_act=False)


def test_neighbours_are_within_300_metres_or_of_the_same_commune() -> None:
    # At 48.95° a thousandth of a degree is 111.2 m northward, and 73.0 m eastward.
    here = alarm(alarm_id=1, longitude=4.36, latitude=48.95, commune="Châlons")
    near = alarm(alarm_id=2, longitude=4.363, latitude=48.95, commune="Fagnières")  # 219 m
    far = alarm(alarm_id=3, longitude=4.36, latitude=48.953, commune="Fagnières")  # 334 m
    same = alarm(alarm_id=4, commune="Châlons")
    under = alarm(alarm_id=5, longitude=4.36, latitude=48.95, parent_id=1)
    found = panes.neighbours(here, [here, near, far, same, under])
    assert [a.alarm_id for a, _ in found] == [2, 4]
    metres = found[0][1]
    assert metres == pytest.approx(219.1, abs=0.5)
    assert found[1][1] is None


# --- silence


def board(health: Health, alarms: list[Alarm] | None = None) -> Board:
    return cast("Board", SimpleNamespace(health=health, post_error=None, alarms={a.alarm_id: a for a in alarms or []}))


def seen(age_s: float, *feeds: FeedContact) -> Health:
    return Health(None, NOW, NOW - dt.timedelta(seconds=age_s), {}, feeds, NOW)


@pytest.mark.parametrize(
    ("health", "why"),
    [
        (Health(), "base ne répond pas"),
        (Health(store_error="refused", engine_at=NOW), "base ne répond pas"),
        (Health(store_error=None, engine_at=None), "jamais donné signe de vie"),
        (seen(16), "ne donnent plus signe de vie"),
    ],
)
def test_silence_is_said_loudly_and_never_looks_calm(health: Health, why: str) -> None:
    blind = health.blind(NOW)
    assert blind is not None
    assert why in blind
    assert "on ne voit plus rien" in frame.banners(board(health), NOW, blind)
    empty = frame.empty(board(health), NOW, Chosen(), blind)
    assert "On ne voit rien" in empty
    assert "Rien à signaler" not in empty


def test_calm_is_proved_by_who_was_heard() -> None:
    hour = dt.timedelta(hours=1)
    good, late = FeedContact("a", "Éclairage", NOW - hour / 2, hour), FeedContact("b", "Crues", NOW - 2 * hour, hour)
    silent, undeclared = FeedContact("c", "Météo", NOW - 4 * hour, hour), FeedContact("d", "Essai", NOW, None)
    never = FeedContact("e", "Parkings", None, hour)
    assert [f.level(NOW) for f in (good, late, silent, undeclared, never)] == ["good", "late", "silent", "unknown", "silent"]
    health = seen(1, good, late, silent, undeclared, never)
    assert health.blind(NOW) is None
    said = frame.empty(board(health, [alarm(suppressed_by="maintenance")]), NOW, Chosen(), None)
    for part in (
        "Rien à signaler de ce qui est entendu", "Règles actives", "1 source sur 4", "1 source entendue", "Parkings : jamais entendue",
        "1 alarme de côté ou supprimée par conception",
    ):  # fmt: skip
        assert part in said
    calm = frame.empty(board(seen(1, good, undeclared)), NOW, Chosen(), None)
    assert "<h2>Rien à signaler</h2>" in calm
    assert "1 source sur 1" in calm
    assert "Aucune source" in frame.empty(board(seen(1)), NOW, Chosen(), None)
    assert "correspond" in frame.empty(board(seen(1)), NOW, Chosen(domain="EP"), None)


def test_slow_rules_are_said_before_they_are_silent() -> None:
    assert frame.banners(board(seen(4)), NOW, None) == ""
    assert "Les règles sont lentes" in frame.banners(board(seen(8)), NOW, None)


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"trouble": "the broker is away"}, "des alarmes peuvent manquer : the broker is away"),
        ({"lag_ms": 185_000}, "3 min de retard"),
        ({"cut": ["bac-plein"]}, "emballaient : bac-plein"),
    ],
)
def test_what_the_rules_say_is_wrong_with_them_is_shown_and_nothing_is_calm(details: dict[str, Any], said: str) -> None:
    health = replace(seen(1, FeedContact("a", "Éclairage", NOW, dt.timedelta(hours=1))), engine={"lag_ms": 59_000} | details)
    assert said in frame.banners(board(health), NOW, None).replace("\N{NO-BREAK SPACE}", " ")
    assert "de ce qui est entendu" in frame.empty(board(health), NOW, Chosen(), None)
    assert replace(health, engine={"trouble": None, "lag_ms": 59_000, "cut": []}).doubts(NOW) == []


def test_a_flood_is_said() -> None:
    hidden = [alarm(alarm_id=n, suppressed_by="flood") for n in range(1, 31)]
    assert "30 alarmes regroupées" in frame.banners(board(seen(1), hidden), NOW, None)


# --- sound


def test_what_is_newly_presented_rings_and_what_chatters_does_not_ring_again() -> None:
    def said(kind: Kind, **changes: Any) -> Entry:
        return replace(entry(kind), alarm=snapshot(alarm(**changes)))

    assert rings(said(Kind.RAISED))
    assert rings(said(Kind.REACTIVATED))
    assert rings(said(Kind.UNSHELVED))
    assert not rings(said(Kind.REACTIVATED, is_chattering=True))
    assert not rings(said(Kind.RAISED, suppressed_by="flood"))
    assert not rings(said(Kind.ACKNOWLEDGED))
    assert not rings(said(Kind.UNSUPPRESSED, is_active=False))
