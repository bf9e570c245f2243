"""The journal of alarms reaches the lake: each line once, without names or comments, whatever is killed."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ingestion.errors import VigieError
from ingestion.lake import alarm_journal
from ingestion.lake.counts import landed_since
from ingestion.lake.ledger import JOURNAL, feed_totals
from ingestion.lake.session import connect
from ingestion.lake.tables import create_lake
from orchestration import inputs, settling
from orchestration.alerts import lifecycle, to_lake
from orchestration.assets.common import Instance
from orchestration.jobs import build_schedule
from orchestration.settings import Settings
from quality import landings
from tests.integration.dbt_lake import Lake
from tests.integration.metric_laws import ask, check_laws
from tests.journal_alarms import Clock, change, compose, opened

_LINES = "SELECT seq, alarm_id, kind, actor, state, received_on::VARCHAR FROM lake.raw.alarm_journal ORDER BY seq"


@pytest.fixture
def lake(instance: Settings) -> Settings:
    create_lake(instance.lake)
    return instance


@pytest.fixture
def told(lake: Settings) -> Iterator[Settings]:
    """Five lines: raised, acknowledged with a comment by a person, assigned by a system, returned, and so closed."""
    clock = Clock()
    with opened(lake, clock) as (store, con):
        con.execute("INSERT INTO alerts.person (login, name, role, password_hash) VALUES ('anne.dupont', 'Anne Dupont', 'operator', 'x')")
        store.apply([change(clock.at("08:00"))], compose())
        clock.at("08:05")
        store.act(1, lambda a, now: lifecycle.acknowledged(a, "anne.dupont", now, "M. Martin, 06 12 34 56 78, attend"))
        store.act(1, lambda a, now: lifecycle.assigned(a, "hyperviseur", now, "anne.dupont"))
        store.apply([change(clock.at("09:00"), active=False)], compose())
    return lake


def rows(settings: Settings, sql: str = _LINES) -> list[tuple[object, ...]]:
    with connect(settings.lake, read_only=True) as con:
        return con.execute(sql).fetchall()


def test_lines_land_once_and_say_who_acted_by_role_alone(told: Settings) -> None:
    today = dt.datetime.now(dt.UTC).date().isoformat()
    assert to_lake.land(told) == 5
    assert to_lake.land(told) == 0
    assert rows(told) == [
        (1, 1, "raised", "vigie", "unack_active", today),
        (2, 1, "acknowledged", "operateur", "ack_active", today),
        (3, 1, "assigned", "systeme", "ack_active", today),
        (4, 1, "returned", "vigie", "returned_unack", today),
        (5, 1, "closed", "vigie", "closed", today),
    ]
    with connect(told.lake, read_only=True) as con:
        words = str(con.execute("SELECT * FROM lake.raw.alarm_journal").fetchall()).lower()
    assert all(word not in words for word in ("anne", "dupont", "martin", "06 12", "hyperviseur"))


def test_a_line_holds_what_the_alarm_was(told: Settings) -> None:
    to_lake.land(told)
    (raised,) = rows(
        told,
        "SELECT alarm_key, rule, priority, domain, fault_type, alarm_feed, source, asset_ref, asset_id, asset_type, commune, "
        "owner_authority, is_presented, suppressed_by, is_shelved, activations, epoch(arrive_by - started_at) / 3600, "
        "epoch(\"at\" - timestamptz '2025-03-01 08:00:00+00') FROM lake.raw.alarm_journal WHERE seq = 1",
    )
    # cabinet-dark guarantees the arrival in 2 h (core__fault_type.csv).
    assert raised == (
        "armoire|gis|C1", "armoire", 2, "EP", "cabinet-dark", "iot", "gis", "C1", "gis:C1", "cabinet", "Châlons", "Ville", True, None,
        False, 1, 2.0, 0.0,
    )  # fmt: skip


def test_the_ledger_accounts_for_the_journal_and_calls_it_no_feed(told: Settings) -> None:
    to_lake.land(told)
    assert landed_since(told.lake, 0).totals == {"landings": 1, "received": 5, "stored": 5, "duplicate": 0, "rejected": 0}
    assert landings.balances(told.lake)[JOURNAL].passed
    assert feed_totals(told.lake) == {}


def test_batches_go_on_where_the_last_one_ended(told: Settings) -> None:
    assert to_lake.land(told, batch=2) == 5
    assert [r[0] for r in rows(told)] == [1, 2, 3, 4, 5]
    assert rows(told, "SELECT first_stream_seq, last_stream_seq FROM lake.raw.landing ORDER BY landing_seq") == [(1, 2), (3, 4), (5, 5)]


def test_an_instance_without_alarms_lands_nothing(lake: Settings) -> None:
    assert to_lake.land(lake) == 0
    assert rows(lake) == []


_WRITER = """
import os, pickle, signal, sys
import psycopg
from ingestion.lake import alarm_journal
from orchestration.alerts import to_lake
address, url, moment = pickle.loads(open(sys.argv[1], "rb").read())
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
with psycopg.connect(url, autocommit=True) as pg:
    alarm_journal.append(address, lambda after: to_lake.read(pg, after, 3), before_commit=die if moment == "before" else lambda: None)
    die()
"""


@pytest.mark.parametrize(("moment", "held"), [("before", 0), ("after", 3)])
def test_killed_between_append_and_commit_or_after_it_no_line_is_lost_or_doubled(
    told: Settings, tmp_path: Path, moment: str, held: int
) -> None:
    given = tmp_path / "given.pickle"
    given.write_bytes(pickle.dumps((told.lake, told.app_url.get_secret_value(), moment)))
    done = subprocess.run([sys.executable, "-c", _WRITER, str(given)], env=os.environ, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert len(rows(told)) == held
    assert rows(told, "SELECT coalesce(sum(stored), 0)::BIGINT FROM lake.raw.landing") == [(held,)]
    assert to_lake.land(told) == 5 - held
    assert [r[0] for r in rows(told)] == [1, 2, 3, 4, 5]


def test_two_at_once_land_each_line_once(told: Settings) -> None:
    code = "from orchestration.settings import Settings\nfrom orchestration.alerts.to_lake import land\nland(Settings.load(), batch=1)"
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, env=os.environ | {"VIGIE_HOME": str(told.home)}) for _ in range(2)]
    assert [p.wait(timeout=120) for p in both] == [0, 0]
    assert [r[0] for r in rows(told)] == [1, 2, 3, 4, 5]


def test_a_journal_older_than_the_lake_is_told(told: Settings) -> None:
    to_lake.land(told)
    with opened(told, Clock()) as (_, con):
        con.execute("UPDATE alerts.head SET seq = 2")  # as a database restored from yesterday
    with pytest.raises(VigieError, match="ends at line 2, but the lake holds it up to line 5"):
        to_lake.land(told)


def test_a_missing_line_stops_the_landing(told: Settings) -> None:
    with opened(told, Clock()) as (_, con):
        con.execute("ALTER TABLE alerts.journal DISABLE TRIGGER journal_is_append_only")
        con.execute("DELETE FROM alerts.journal WHERE seq = 2")
    with pytest.raises(VigieError, match="line 1 to 5 with 4 lines"):
        to_lake.land(told)
    assert rows(told) == []
    assert alarm_journal.last_line(told.lake) == 0


# --- with each build


def test_a_build_that_is_asked_for_begins_with_the_journal(told: Settings) -> None:
    assert inputs.due(told, dt.datetime.now(dt.UTC)).is_empty
    problems: list[str] = []
    settling.settle(told, problems.append)
    assert problems == []
    assert len(rows(told)) == 5
    assert inputs.due(told, dt.datetime.now(dt.UTC)).is_due


def test_the_schedule_lands_the_journal_and_builds_for_it(told: Settings, tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as dagster:
        context = dg.build_schedule_context(dagster, resources={"instance": Instance(home=str(told.home))},
                                            scheduled_execution_time=dt.datetime.now(dt.UTC))  # fmt: skip
        asked = build_schedule()(context)
    assert isinstance(asked, dg.RunRequest)
    assert len(rows(told)) == 5


def test_what_keeps_the_journal_from_the_lake_holds_up_no_build(told: Settings) -> None:
    to_lake.land(told)
    with opened(told, Clock()) as (_, con):
        con.execute("UPDATE alerts.head SET seq = 2")
    problems: list[str] = []
    settling.settle(told, problems.append)
    assert problems == ["the journal of alarms was not landed: the journal of alarms ends at line 2, but the lake holds it up to line 5"]


# --- the models, on a real lake


MODELS = ("core.alarm", "core.alarm_event", "core.alarm_annunciation", "indicators.alarm_load_10min", "indicators.alarm_load_daily",
          "indicators.alarm_daily")  # fmt: skip


def built(lake: Lake, model: str, columns: str = "*", order: str = "ALL") -> list[tuple[object, ...]]:
    return lake.query(f"SELECT {columns} FROM lake.work_{model} ORDER BY {order}")


@pytest.mark.timeout(600)  # four builds of dbt
def test_the_models_of_a_lake_without_alarms_then_of_some_then_of_more(instance: Settings) -> None:
    lake = Lake.create(instance)
    shared = {"territory": "ville", "time_zone": "UTC", "owner_authority": "Agglo"}
    lake.refer(
        territory=[{"territory": "ville", "name": "Ville", "time_zone": "UTC", "latitude": 48.9, "longitude": 4.4}],
        feed=[{"feed": "gis", "contract": "asset", "source": "gis", "domain": "EP", **shared}],
    )
    clock = Clock()
    # `run` does not check: the third build does.
    chosen = ("--select", "+indicators__alarm_daily", "+indicators__alarm_load_daily")
    lake.dbt("run", *chosen)
    assert {model: len(built(lake, model)) for model in MODELS} == dict.fromkeys(MODELS, 0)

    with opened(instance, clock) as (store, con):
        con.execute("INSERT INTO alerts.person (login, name, role, password_hash) VALUES ('anne', 'Anne', 'operator', 'x')")
        store.apply([change(clock.at("08:00"))], compose())
        clock.at("08:02")
        store.act(1, lambda a, now: lifecycle.acknowledged(a, "anne", now))
        store.apply([change(clock.at("08:30"), key=f"armoire|gis|N{n}", asset=("gis", f"N{n}")) for n in range(3)], compose())
    to_lake.land(instance)
    lake.dbt("run", *chosen, as_of="2025-03-01T09:00:00Z")
    # 8:00 to 9:00: one alarm, two quiet windows, three at once, two quiet windows.
    columns = "alarms_presented, alarms_per_operator, is_within_target, is_flood"
    assert built(lake, "indicators.alarm_load_10min", columns, "window_start_at") == [
        (1, 0.5, True, False), (0, 0, True, False), (0, 0, True, False), (3, 1.5, False, False), (0, 0, True, False), (0, 0, True, False),
    ]  # fmt: skip
    columns = "local_date::VARCHAR, windows, alarms_presented, alarms_per_operator_10min, worst_10min, within_target_share, flood_share"
    assert built(lake, "indicators.alarm_load_daily", columns) == [("2025-03-01", 6, 4, 0.333333, 3, 0.833333, 0.0)]
    # Of Ville the cabinet that the referential knows; the three others are of the authority whose system speaks of them.
    columns = (
        "owner_authority, commune, domain, priority, alarms_raised, alarms_presented, acknowledgements_known, acknowledgement_sum_seconds"
    )
    assert built(lake, "indicators.alarm_daily", columns) == [
        ("Agglo", None, "EP", 2, 3, 3, 0, 0.0), ("Ville", "Châlons", "EP", 2, 1, 1, 1, 120.0),
    ]  # fmt: skip
    assert ask(lake, "indicators.alarm_daily", "alarms_raised") == 4
    assert ask(lake, "indicators.alarm_daily", "acknowledgement_mean_minutes") == 2
    # Four alarms of six windows, for two operators at each.
    assert ask(lake, "indicators.alarm_load_daily", "alarms_per_operator_10min") == pytest.approx(4 / 12)
    for model in MODELS[3:]:
        assert check_laws(lake, model), f"no metric of {model} had a value: the law was not tried"

    # More lines on another day: the first day is not written again, and all is as a full build would have it.
    with opened(instance, clock) as (store, _):
        store.apply([change(clock.at("10:00", day=3), active=False)], compose())
    to_lake.land(instance)
    snapshot = lake.query("SELECT max(snapshot_id) FROM lake.snapshots()")[0][0]
    lake.dbt("build", *chosen, "--indirect-selection", "cautious", "--exclude", "resource_type:unit_test", as_of="2025-03-03T12:00:00Z")
    now = lake.query("SELECT max(snapshot_id) FROM lake.snapshots()")[0][0]
    changed = lake.query(
        f"SELECT DISTINCT utc_date::VARCHAR FROM ducklake_table_changes('lake', 'work_core', 'alarm_event', {snapshot + 1}, {now}) "
        "WHERE change_type <> 'update_preimage'"
    )
    assert changed == [("2025-03-03",)]
    # The acknowledged alarm was stale at the end of the 2nd, as the three; on the 3rd it is over.
    by_day = "local_date::VARCHAR, sum(alarms_raised), sum(alarms_stale)"
    assert lake.query(f"SELECT {by_day} FROM lake.work_indicators.alarm_daily GROUP BY 1 ORDER BY 1") == [
        ("2025-03-01", 4, 0), ("2025-03-02", 0, 4), ("2025-03-03", 0, 3),
    ]  # fmt: skip
    assert built(lake, "core.alarm", "state, active_seconds", "alarm_id")[0] == ("closed", 50 * 3600.0)
    kept = {model: built(lake, model) for model in MODELS}
    lake.dbt("run", *chosen, "--full-refresh", as_of="2025-03-03T12:00:00Z")
    assert {model: built(lake, model) for model in MODELS} == kept
