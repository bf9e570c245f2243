"""The thin sensor on a real instance: rows of published indicators and a silent platform raise alarms, once each, and return."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.lake.builds import Build
from ingestion.lake.publish import publish
from ingestion.lake.session import connect as lake_connect
from ingestion.lake.tables import create_lake
from orchestration.alerts import lifecycle
from orchestration.alerts.drafting import Composer
from orchestration.alerts.heartbeat import beat
from orchestration.alerts.model import Alarm
from orchestration.alerts.rulebook.load import load_rule
from orchestration.alerts.standing import Fact, differences
from orchestration.alerts.store import schema
from orchestration.alerts.store.store import Store
from orchestration.alerts.store.turn import Connection, connect
from orchestration.assets.common import Instance
from orchestration.sensors import BREAK, Evaluation, Seen, alerts_sensor, evaluate
from orchestration.settings import Settings
from tests.journal_alarms import OneCabinet
from tests.unit.alerts_engine_support import engine, rule, run, said

NOON = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)
RULE = """\
rule: {name}
title: Trop d'énergie
message: "{{asset}} : {{value}} % de plus que prévu"
when:
  type: indicator
  table: indicators.essai
  where: "{where}"
  key: [feed, meter_ref]
  asset: cabinet_key
  value: excess_pct
  commune: commune
consequence: moderate
respond_within: P1D
{more}
"""


def at(seconds: float) -> dt.datetime:
    return NOON + dt.timedelta(seconds=seconds)


class Town:
    """An instance with a store and a lake, one published table `indicators.essai`, and the cursor of the sensor."""

    def __init__(self, settings: Settings, con: Connection) -> None:
        self.settings, self.con = settings, con
        self.store = Store(lambda: contextlib.nullcontext(con))
        self.cursor: str | None = None
        self.published = 0

    def rule(self, name: str = "trop", where: str = "excess_pct >= 30", more: str = "") -> None:
        folder = self.settings.alerts_path / "rules"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(RULE.format(name=name, where=where, more=more), encoding="utf-8")

    def publish(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Publish rows (feed, meter_ref, cabinet_key, excess_pct, commune), one minute after the last time."""
        self.published += 1
        with lake_connect(self.settings.lake) as con:
            con.execute("CREATE SCHEMA IF NOT EXISTS lake.work_indicators")
            con.execute(
                "CREATE OR REPLACE TABLE lake.work_indicators.essai (feed VARCHAR, meter_ref VARCHAR, cabinet_key VARCHAR, "
                "excess_pct DOUBLE, commune VARCHAR)"
            )
            for row in rows:
                con.execute("INSERT INTO lake.work_indicators.essai VALUES (?, ?, ?, ?, ?)", list(row))
            snapshot = con.execute("SELECT max(snapshot_id) FROM lake.snapshots()").fetchall()[0][0]
        moment = at(60 * self.published)
        build = Build(f"b{self.published}", moment, snapshot, 0, None)
        publish(self.settings.lake, build, {"indicators": {"essai": "essai"}}, published_at=moment)

    def look(self, seconds: float, cursor: str | None = "kept") -> Evaluation:
        """Let the sensor look; with its own cursor unless another is given."""
        done = evaluate(self.settings, self.cursor if cursor == "kept" else cursor, now=at(seconds))
        self.cursor = done.cursor
        return done

    def beat(self, seconds: float, name: str = "engine", **details: Any) -> None:
        beat(self.con, [(name, at(seconds), details)])

    def beats(self, seconds: float) -> None:
        """Both processes live."""
        self.beat(seconds)
        self.beat(seconds, "deliveries")

    def alarms(self) -> list[tuple[str, str]]:
        return [(a.key, str(a.state)) for a in self.store.select("true ORDER BY alarm_id")]

    def kinds(self) -> list[str]:
        return [e.kind for e in self.store.journal_after(0)]


@pytest.fixture
def town(instance: Settings) -> Iterator[Town]:
    create_lake(instance.lake)
    url = instance.app_url.get_secret_value()
    schema.prepare(url)
    with connect(url, name="test") as con:
        town = Town(instance, con)
        # The shipped rule on an indicator is about a table that this lake does not have.
        folder = instance.alerts_path / "rules"
        folder.mkdir(exist_ok=True)
        yield town


# --- indicators


def test_rows_that_hold_raise_once_say_more_and_return(town: Town) -> None:
    town.rule()
    town.con.execute(
        "INSERT INTO alerts.equipment (source, asset_ref, asset_id, name, domain, commune) "
        "VALUES ('gis', 'C1', 'x:1', 'Armoire 1', 'EP', 'Châlons')"
    )
    town.publish([("edf", "M1", "gis:C1", 45.5, "Reims"), ("edf", "M2", None, 30, "Sarry"), ("edf", "M3", None, 29.9, "Sarry")])
    town.beats(100)
    assert town.look(100).lines == 2
    assert town.alarms() == [("trop|edf|M1", "unack_active"), ("trop|edf|M2", "unack_active")]
    first, second = town.store.live()
    assert (first.asset_ref, first.asset_id, first.domain, first.commune, first.message) == (
        "C1", "x:1", "EP", "Reims", "Armoire 1 : 45,5 % de plus que prévu",
    )  # fmt: skip
    assert (second.asset_ref, second.commune, second.message) == (None, "Sarry", "M2 : 30 % de plus que prévu")
    assert first.raised_at == at(60)  # the instant of the publication
    # Again; with the cursor lost; with the cursor of before, as when the process was killed before it was kept.
    assert [town.look(110).lines, town.look(120, None).lines, town.look(130, None).lines] == [0, 0, 0]
    # The next day M1 is worse, M2 is well, M3 is over.
    town.publish([("edf", "M1", "gis:C1", 60, "Reims"), ("edf", "M3", None, 33, "Sarry")])
    town.beats(140)
    before = town.cursor
    assert town.look(140).lines == 3
    assert town.look(141, before).lines == 0
    assert town.kinds() == ["raised", "raised", "updated", "raised", "returned"]
    assert town.alarms() == [("trop|edf|M1", "unack_active"), ("trop|edf|M2", "returned_unack"), ("trop|edf|M3", "unack_active")]


def test_an_alarm_closed_by_hand_while_it_holds_comes_back_only_after_it_was_over(town: Town) -> None:
    town.rule()
    row = ("edf", "M1", None, 45, None)
    for step, rows in enumerate(([row], [row], [], [row])):
        town.publish(rows)
        town.beats(100 + 10 * step)
        town.look(100 + 10 * step)
        if step == 0:
            town.store.act(1, lambda a, now: lifecycle.closed(a, "anne", now, "compteur faux"))
    assert town.alarms() == [("trop|edf|M1", "closed"), ("trop|edf|M1", "unack_active")]
    assert town.kinds() == ["raised", "closed", "raised"]


def test_a_rule_is_cut_off_at_its_bound_loudly(town: Town) -> None:
    town.rule(more="bound: {raises: 2, per: PT1H}")
    rows = [("edf", f"M{n}", None, 45, None) for n in range(5)]
    town.publish(rows)
    town.beats(100)
    town.look(100)
    assert town.alarms() == [("trop|edf|M0", "unack_active"), ("trop|edf|M1", "unack_active"), ("regle-coupee|trop", "unack_active")]
    assert [a.message for a in town.store.live() if a.rule == "regle-coupee"] == [
        "La règle trop levait trop d'alarmes (3) : elle est coupée jusqu'à ce que le débit retombe."
    ]
    # Within the hour no more of it comes, and what stands is not taken for over; when less holds, the cut is over.
    for seconds, left, lines in ((110, rows, 0), (120, rows[:2], 1)):
        town.publish(left)
        town.beats(seconds)
        assert town.look(seconds).lines == lines
    assert dict(town.alarms())["regle-coupee|trop"] == "returned_unack"


@pytest.mark.parametrize(
    "where",
    [
        "1 = 1) UNION SELECT feed, feed, feed, 1, feed FROM raw.feed WHERE (1 = 1",
        "read_text('/etc/hostname') IS NOT NULL",
        "no_such_column > 3",
        "meter_ref IN (SELECT feed FROM raw.landing)",
    ],
)
def test_a_condition_that_is_refused_or_does_not_fit_is_told_and_holds_up_no_other(town: Town, where: str) -> None:
    town.rule()
    town.rule("autre", where=where)
    town.publish([("edf", "M1", None, 45, None)])
    town.beats(100)
    done = town.look(100)
    assert town.alarms() == [("trop|edf|M1", "unack_active")]
    # Refused when the file is read, or when it is asked: never asked in silence.
    is_refused_at_once = _refused(town.settings.alerts_path / "rules" / "autre.yaml")
    assert is_refused_at_once or any(problem.startswith("autre: ") for problem in done.problems)


def _refused(path: Path) -> bool:
    try:
        load_rule(path)
    except Exception:  # noqa: BLE001 - whatever it says, it is not in force
        return True
    return False


def test_communes_and_codes_of_the_scope_hold(town: Town) -> None:
    town.rule(more='scope: {communes: [chalons], assets: ["M*"]}')
    town.publish([("edf", "M1", "M1", 45, "Châlons"), ("edf", "M2", "M2", 45, "Reims"), ("edf", "N1", "N1", 45, "Châlons")])
    town.beats(100)
    town.look(100)
    assert town.alarms() == [("trop|edf|M1", "unack_active")]


def test_a_rule_written_after_the_publication_is_asked_of_it(town: Town) -> None:
    town.publish([("edf", "M1", None, 45, None)])
    town.beats(100)
    assert town.look(100).lines == 0
    town.rule()
    assert town.look(110).lines == 1


# --- the platform


def test_a_dead_engine_is_one_alarm_until_it_lives_again(town: Town) -> None:
    town.beats(0)
    assert town.look(10).lines == 0
    town.beat(40, "deliveries")
    assert town.look(40).lines == 1
    town.beat(70, "deliveries")
    assert town.look(70).lines == 0
    assert town.alarms() == [("moteur-muet|engine", "unack_active")]
    assert town.store.live()[0].started_at == at(0)
    assert town.store.live()[0].priority == 1
    town.beats(100)
    assert town.look(100).lines == 1
    assert town.alarms() == [("moteur-muet|engine", "returned_unack")]


def test_who_begins_to_watch_after_a_break_waits_before_it_cries(town: Town) -> None:
    assert town.look(0).lines == 0  # an instance that starts: nobody gave a sign yet
    town.beats(20)
    assert town.look(30).lines == 0
    stopped_for = BREAK.total_seconds() + 31
    assert town.look(30 + stopped_for).lines == 0
    assert town.look(60 + stopped_for).lines == 2  # neither the engine nor the deliveries came back
    assert [key for key, _ in town.alarms()] == ["envois-en-panne|deliveries", "moteur-muet|engine"]


def test_a_backlog_is_told_in_seconds(town: Town) -> None:
    town.beats(0)
    town.look(0)
    town.beat(29, lag_ms=59_000)
    town.beat(30, "deliveries")
    assert town.look(30).lines == 0
    town.beat(59, lag_ms=90_000)
    town.beat(60, "deliveries")
    assert town.look(60).lines == 1
    (alarm,) = town.store.live()
    assert (alarm.key, alarm.value, alarm.started_at) == ("retard-regles|engine", 90.0, at(-30))
    assert "90 secondes de retard" in alarm.message
    town.beat(89, lag_ms=70_000)
    town.beat(90, "deliveries")
    assert town.look(90).lines == 0  # a figure that moves all the time writes nothing


def test_dead_letters_and_targets_in_trouble_are_told_by_target(town: Town) -> None:
    town.beats(0)
    town.look(0)
    for seq in (1, 2):
        town.con.execute(
            "INSERT INTO alerts.dead_letter (target, seq, tries, reason, body) VALUES ('hyperviseur', %s, 9, %s, '{}')",
            [seq, f"HTTP 40{seq}"],
        )
    town.beats(30)
    town.beat(30, "target:courriel", trouble="refused")
    town.beat(-900, "target:ancien", trouble="refused")  # no longer declared
    assert town.look(30).lines == 2
    messages = {a.key: a.message for a in town.store.live()}
    assert messages == {
        "envois-en-panne|hyperviseur": "Des alarmes ne parviennent plus à hyperviseur : 2 envois abandonnés, le dernier : HTTP 402.",
        "envois-en-panne|courriel": "Des alarmes ne parviennent plus à courriel : refused.",
    }


def test_a_feed_later_than_its_freshness_is_told_whichever_way_it_speaks(town: Town) -> None:
    with lake_connect(town.settings.lake) as con:
        for feed, minutes in (("compteurs", 60), ("capteurs", 60), ("muets", 60), ("lents", 1440), ("sans", None)):
            con.execute(
                "INSERT INTO lake.raw.feed (feed, title, domain, freshness_minutes) VALUES (?, ?, 'EP', ?)", [feed, f"Les {feed}", minutes]
            )
        landed = {"compteurs": -7200, "capteurs": -7200, "lents": -7200, "sans": -7200}
        for seq, (feed, seconds) in enumerate(landed.items(), 1):
            con.execute("INSERT INTO lake.raw.landing (feed, landing_seq, received_at) VALUES (?, ?, ?)", [feed, seq, at(seconds)])
    town.beat(0, "feed:capteurs")
    found = []
    for seconds in range(0, 661, 60):  # watched for ten minutes before a source that was silent before is told
        town.beats(seconds)
        found.append(town.look(seconds).lines)
    assert found == [0] * 11 + [1]
    (alarm,) = town.store.live()
    assert (alarm.key, alarm.domain, alarm.started_at) == ("source-en-retard|compteurs", "EP", at(-3600))
    assert alarm.message.startswith("La source Les compteurs n'a rien envoyé")
    town.beats(700)
    town.beat(700, "feed:compteurs")
    assert town.look(700).lines == 1
    assert town.alarms() == [("source-en-retard|compteurs", "returned_unack")]


def test_rules_that_the_engine_cut_off_are_told(town: Town) -> None:
    town.beats(0)
    town.look(0)
    town.beat(30, cut=["lampe-en-panne"])
    town.beat(30, "deliveries")
    assert town.look(30).lines == 1
    assert town.alarms() == [("regle-coupee|lampe-en-panne", "unack_active")]


def test_a_rule_that_the_engine_cut_off_is_one_alarm_whoever_tells_it(town: Town) -> None:
    start = at(20).timestamp()
    fussy = rule("vent-fort", when={"type": "threshold", "property": "p", "above": 6}, bound={"raises": 1, "per": "PT60S"})
    cutting = engine(fussy)
    composer = Composer({fussy.rule: fussy}, {})
    changes = run(cutting, [said(start + n, 9, asset=f"a{n}") for n in range(3)])
    assert [c.rule for c in changes] == ["vent-fort", "regle-coupee"]
    town.store.apply(changes, composer)
    town.beats(0)
    town.look(0)
    town.beat(30, cut=cutting.cut_off)
    town.beat(30, "deliveries")
    assert town.look(30).lines == 0
    assert town.alarms()[1:] == [("regle-coupee|vent-fort", "unack_active")]
    # Of three that hold one may be told each minute: the last is told after two.
    town.store.apply(cutting.advance(int((start + 200) * 1e6)), composer)
    assert cutting.cut_off == []
    town.beat(220, cut=cutting.cut_off)
    town.beat(220, "deliveries")
    assert town.look(220).lines == 0
    assert dict(town.alarms())["regle-coupee|vent-fort"] == "returned_unack"


def test_without_the_lake_the_engine_is_watched_and_late_sources_stay(town: Town) -> None:
    with lake_connect(town.settings.lake) as con:
        con.execute("INSERT INTO lake.raw.feed (feed, title, domain, freshness_minutes) VALUES ('f', 'F', 'EP', 1)")
        con.execute("INSERT INTO lake.raw.landing (feed, landing_seq, received_at) VALUES ('f', 1, ?)", [at(-7200)])
    for seconds in (0, 50, 100):
        town.beats(seconds)
        town.look(seconds)
    assert town.alarms() == [("source-en-retard|f", "unack_active")]
    town.con.execute("ALTER ROLE vigie_reader NOLOGIN")
    done = town.look(130)
    assert any("catalogue does not answer" in problem for problem in done.problems)
    assert town.alarms() == [
        ("source-en-retard|f", "unack_active"), ("envois-en-panne|deliveries", "unack_active"), ("moteur-muet|engine", "unack_active"),
    ]  # fmt: skip


# --- as Dagster calls it


def test_the_sensor_keeps_its_cursor_and_starts_no_run(town: Town) -> None:
    sensor = alerts_sensor()
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, resources={"instance": Instance(home=str(town.settings.home))})
        answer = sensor(context)
    assert isinstance(answer, dg.SkipReason)
    assert Seen.read(context.cursor).looked_at is not None


def test_a_cursor_of_another_version_counts_for_none() -> None:
    for cursor in ("", "{", '{"other": 1}', '{"looked_at": "soon"}', "[]", "3"):
        assert Seen.read(cursor) == Seen()
    seen = Seen(at(0), at(-60), 7, "x", {"r": ["k"]}, {"r": 2})
    assert Seen.read(seen.written()) == seen


# --- the law


_KEYS = ("a", "b", "c")
_LOOKS = st.lists(st.tuples(st.sets(st.sampled_from(_KEYS)), st.sets(st.sampled_from(_KEYS))), max_size=8)


@given(_LOOKS)
def test_what_is_live_is_what_holds_but_for_what_a_person_closed(looks: list[tuple[set[str], set[str]]]) -> None:
    """Active live alarms are what holds, without what was closed by hand and has held ever since; looking again changes nothing."""
    rule = load_rule(Path(__file__).parents[2] / "orchestration" / "alerts" / "rules" / "moteur-muet.yaml")
    compose = Composer({rule.rule: rule}, OneCabinet())
    alarms: list[Alarm] = []
    held: set[str] = set()
    closed_while_holding: set[str] = set()
    numbers, clock = itertools.count(1), itertools.count(1)
    for holding, closing in looks:
        moment = next(clock) * 1_000_000
        facts = [Fact(key, rule.rule, moment) for key in sorted(holding)]

        for change in differences(facts, alarms, at=moment, held=held).changes:
            live = next((a for a in alarms if a.key == change.key and a.closed_at is None), None)
            when = lifecycle.instant(change.at)
            if live is None:
                assert change.is_active
                alarms.append(lifecycle.raised(None, compose(change).alarm, when).alarm)
                alarms[-1].alarm_id = next(numbers)
            elif change.is_active:
                lifecycle.reactivated(live, compose(change).alarm, when)
            else:
                lifecycle.returned(live, when, when)
        held = set(holding)
        closed_while_holding &= holding
        assert differences(facts, alarms, at=moment, held=held).changes == []
        active = {a.key for a in alarms if a.closed_at is None and a.is_active}
        assert active == holding - closed_while_holding
        for alarm in alarms:
            if alarm.closed_at is None and alarm.key in closing:
                closed_while_holding |= {alarm.key} if alarm.is_active else set()
                lifecycle.closed(alarm, "anne", lifecycle.instant(moment), "vu")
