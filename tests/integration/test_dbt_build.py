"""The dbt project on a real lake: a first build, late data, changed rules, a kill; each ends as a full refresh would.

Here: what needs a lake and dbt's own process. Not here: the rules of each model, which its unit tests hold (run here too).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest

from orchestration.services import postgres
from orchestration.settings import create_local
from tests.integration.dbt_lake import Lake, Row

INCREMENTAL: Final = ("observation_hourly", "state_daily", "state_segment", "report", "intervention", "energy_daily")
FEED: Final = {"territory": "ville", "time_zone": "Europe/Paris", "flap_window_minutes": 30, "bridges_communication_gap": False}


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake of its own, with the reference tables of one territory."""
    settings = create_local(tmp_path_factory.mktemp("dbt") / "home")
    with postgres.running(settings):
        lake = Lake.create(settings)
        lake.refer(
            territory=[{"territory": "ville", "name": "Ville", "time_zone": "Europe/Paris", "latitude": 47.3, "longitude": 5.0}],
            feed=[
                {"feed": "gis", "contract": "asset", "source": "gis", **FEED},
                {"feed": "iot", "contract": "observation", "source": "gis", **FEED},
                {"feed": "grc", "contract": "report", "source": "gis", **FEED},
                {"feed": "gmao", "contract": "intervention", "source": "gis", **FEED},
                {"feed": "edf", "contract": "energy_reading", "source": "edf", **FEED},
            ],
            feed_state_rule=[
                {"feed": "iot", "property": "lamp", "value_text": "on", "state": "ok", "fault_type": "lamp-out"},
                {"feed": "iot", "property": "lamp", "value_text": "dead", "state": "failed", "fault_type": "lamp-out"},
            ],
            feed_fault_rule=[
                {"feed": "grc", "rule_order": 1, "category_like": "lampe%", "subcategory_like": "%", "fault_type": "lamp-out"}
            ],
        )
        yield lake


def first_landings(lake: Lake) -> None:
    """Ten days of January: two lights, reports, work orders, one meter."""
    lights: list[Row] = [
        {"asset_ref": "C1", "asset_type": "cabinet"},
        {"asset_ref": "L1", "asset_type": "light-point", "parent_ref": "C1", "rated_power_w": 100, "is_remote": True},
        {"asset_ref": "L2", "asset_type": "light-point", "parent_ref": "C1", "rated_power_w": 100, "is_remote": False},
    ]
    lake.land("asset", "gis", [{"source": "gis", "effective_at": "2024-12-01T00:00:00Z", **row} for row in lights])
    lake.land("observation", "iot", [state(day, hour, "on") for day in range(1, 11) for hour in (1, 13)])
    lake.land("observation", "iot", [power(day) for day in range(1, 11)])
    lake.land("report", "grc", [report(f"R{day}", day) for day in range(1, 11)])
    lake.land("intervention", "gmao", [{"intervention_ref": "W1", "report_ref": "R2", **work(2)}, {"intervention_ref": "W2", **work(9)}])
    lake.land("energy_reading", "edf", [reading(day, hour) for day in range(1, 11) for hour in (0, 12)])


def state(day: int, hour: int, text: str) -> dict[str, Any]:
    """One state of light L1."""
    return {"source": "gis", "asset_ref": "L1", "property": "lamp", "observed_at": f"2025-01-{day:02}T{hour:02}:00:00Z", "value_text": text}


def power(day: int, watts: float = 60) -> dict[str, Any]:
    """One figure of light L1."""
    return {"source": "gis", "asset_ref": "L1", "property": "power", "observed_at": f"2025-01-{day:02}T20:00:00Z", "value": watts}


def report(ref: str, day: int, **more: Any) -> dict[str, Any]:
    """One report, closed two hours later."""
    return {
        "source": "gis",
        "report_ref": ref,
        "category": "Lampe éteinte",
        "opened_at": f"2025-01-{day:02}T10:00:00Z",
        "closed_at": f"2025-01-{day:02}T12:00:00Z",
        **more,
    }


def work(day: int) -> dict[str, Any]:
    """One curative work order, restored after an hour."""
    return {
        "source": "gis",
        "kind": "curative",
        "fault_type": "lamp-out",
        "requested_at": f"2025-01-{day:02}T10:30:00Z",
        "restored_at": f"2025-01-{day:02}T11:30:00Z",
    }


def reading(day: int, hour: int, energy_wh: float = 1200) -> dict[str, Any]:
    """Twelve hours of one meter, in UTC: the evening's reading crosses midnight in Paris."""
    end = f"2025-01-{day:02}T12:00:00Z" if hour == 0 else f"2025-01-{day + 1:02}T00:00:00Z"
    return {
        "meter_ref": "M1",
        "start_at": f"2025-01-{day:02}T{hour:02}:00:00Z",
        "end_at": end,
        "energy_wh": energy_wh,
        "direction": "consumption",
    }


def tables(lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every built table, in order."""
    with lake.connect() as con:
        names = con.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'lake' "
            "AND schema_name IN ('work_core', 'work_indicators') ORDER BY 1"
        ).fetchall()
        return {name: con.execute(f"SELECT * FROM lake.{name} ORDER BY ALL").fetchall() for (name,) in names}


def rewritten_days(lake: Lake, table: str, day: str, since: int) -> list[str]:
    """The days of rows inserted into a table after a snapshot."""
    # A deleted row that came back unchanged is told as an insert, or as two halves of an update.
    found = lake.query(
        f"SELECT DISTINCT {day}::VARCHAR FROM ducklake_table_changes('lake', 'work_core', '{table}', {since + 1}, {snapshot(lake)}) "
        "WHERE change_type IN ('insert', 'update_postimage') ORDER BY 1"
    )
    return [row[0] for row in found]


def snapshot(lake: Lake) -> int:
    """The lake's current snapshot."""
    return int(lake.query("SELECT max(snapshot_id) FROM lake.snapshots()")[0][0])


@pytest.mark.timeout(900)  # a dozen builds: three minutes on a busy machine of four cores
def test_build_then_late_data_then_rules(lake: Lake) -> None:
    first_landings(lake)
    lake.dbt("build")

    assert lake.query("SELECT count(*), sum(observations) FROM lake.work_core.state_daily") == [(10, 20)]
    # A meter's figures beside the states: what is a word is not in the hourly table, and the other way round.
    assert lake.query("SELECT count(*), sum(observations) FROM lake.work_core.observation_hourly") == [(10, 10)]
    assert lake.query("SELECT count(*) FROM lake.work_core.state_segment") == [(0,)]
    assert lake.query("SELECT count(*), count(fault_type) FROM lake.work_core.report") == [(10, 10)]
    # Midnight in Paris is 23:00 UTC: of 24 readings of 1,200 Wh over 11 local days, the last hour of each evening's is
    # the next day's.
    assert lake.query("SELECT local_date::VARCHAR, energy_wh FROM lake.work_core.energy_daily ORDER BY 1 LIMIT 2") == [
        ("2025-01-01", 2300.0),
        ("2025-01-02", 2400.0),
    ]
    # R2 and W1 are one failure; the nine other reports and W2 are others.
    assert lake.query("SELECT count(*), sum(reports), sum(interventions) FROM lake.work_core.failure_episode") == [(11, 10, 2)]
    assert lake.query(
        "SELECT cases_timed, p50_hours FROM lake.work_indicators.intervention_time_by_category WHERE category IS NOT NULL"
    ) == [(10, 2.0)]

    before = tables(lake)
    lake.dbt("run")
    assert tables(lake) == before, "building twice without news must change nothing"

    # Late: a failure on the 3rd, corrected states of the 5th, a report moved from the 4th to the 6th, a new one on the
    # 12th, the reading of the 7th revised (it overlaps the 7th and 8th in Paris), a work order of the 9th closed again.
    since = snapshot(lake)
    lake.land("observation", "iot", [state(3, 7, "dead"), state(3, 9, "on"), state(5, 1, "dead"), power(5, 90)])
    lake.land("report", "grc", [report("R4", 6, revised_at="2025-02-01T00:00:00Z"), report("R11", 12, duplicate_of="R8")])
    lake.land("energy_reading", "edf", [reading(7, 12, energy_wh=2400)])
    lake.land("intervention", "gmao", [{"intervention_ref": "W2", **work(9), "restored_at": "2025-01-09T12:30:00Z"}])
    output = lake.dbt("run").stdout

    assert "core__observation_hourly: 2 touched days" in output
    assert rewritten_days(lake, "observation_hourly", "utc_date", since) == ["2025-01-03", "2025-01-05"]
    assert rewritten_days(lake, "state_daily", "utc_date", since) == ["2025-01-03", "2025-01-05"]
    assert rewritten_days(lake, "state_segment", "utc_date", since) == ["2025-01-03", "2025-01-05"]
    # The 4th is touched too: R4 left it, and nothing is left there to write.
    assert rewritten_days(lake, "report", "local_date", since) == ["2025-01-06", "2025-01-12"]
    assert rewritten_days(lake, "energy_daily", "local_date", since) == ["2025-01-07", "2025-01-08"]
    assert rewritten_days(lake, "intervention", "local_date", since) == ["2025-01-09"]
    assert lake.query("SELECT report_ref FROM lake.work_core.report WHERE local_date = '2025-01-04'") == []
    assert lake.query(
        "SELECT started_at::VARCHAR, ended_at::VARCHAR FROM lake.work_core.failure_episode WHERE detected_by = 'state' ORDER BY 1"
    ) == [("2025-01-03 07:00:00+00", "2025-01-03 09:00:00+00"), ("2025-01-05 01:00:00+00", "2025-01-05 13:00:00+00")]

    # R2's root comes late to be a duplicate of R1: R2's own day is touched only through the chain that leads to it.
    lake.land("report", "grc", [report("R3", 3, duplicate_of="R2", revised_at="2025-02-01T00:00:00Z")])
    lake.dbt("run")
    since = snapshot(lake)
    lake.land("report", "grc", [report("R2", 2, duplicate_of="R1", revised_at="2025-02-02T00:00:00Z")])
    lake.dbt("run")
    assert rewritten_days(lake, "report", "local_date", since) == ["2025-01-02", "2025-01-03"]
    assert lake.query("SELECT report_ref FROM lake.work_core.report WHERE root_report_ref = 'R1' ORDER BY 1") == [
        ("R1",),
        ("R2",),
        ("R3",),
    ]

    # A rule changes: what it touches is not in the touched days, so the models that depend on it are built whole.
    lake.refer(
        feed_fault_rule=[{"feed": "grc", "rule_order": 1, "category_like": "%", "subcategory_like": "%", "fault_type": "street-dark"}]
    )
    output = lake.dbt("run").stdout
    assert "core__report is built whole: the rules it depends on have changed" in output
    assert "core__energy_daily is built whole" not in output
    assert lake.query("SELECT DISTINCT fault_type FROM lake.work_core.report") == [("street-dark",)]

    incremental = tables(lake)
    lake.dbt("run", "--full-refresh")
    assert tables(lake) == incremental, "touched days must add up to what a full refresh gives"


def test_a_run_sees_landings_up_to_its_bound(lake: Lake) -> None:
    first_landings(lake)
    bound = lake.landing_seq
    lake.land("report", "grc", [report("R12", 15)])
    lake.dbt("run", "--select", "+core__report", max_landing_seq=bound)
    assert lake.query("SELECT count(*) FROM lake.work_core.report") == [(10,)]
    # Only core: the staging view still shows the old bound, and the model must not claim to have seen more.
    lake.dbt("run", "--select", "core__report")
    assert lake.query("SELECT count(*) FROM lake.work_core.report") == [(10,)]
    lake.dbt("run", "--select", "+core__report")
    assert lake.query("SELECT count(*) FROM lake.work_core.report") == [(11,)]


def kill_when(lake: Lake, arguments: Sequence[str], marker: str) -> None:
    """Start dbt, and kill it with no warning when its log tells of `marker`."""
    log = lake.home / "logs" / "dbt" / "dbt.log"
    already = log.stat().st_size if log.exists() else 0
    process = subprocess.Popen(
        lake.dbt_command(*arguments),
        env=os.environ | lake.environment,
        cwd=lake.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while marker not in (log.read_text(encoding="utf-8")[already:] if log.exists() else ""):
            assert process.poll() is None, f"dbt ended before {marker!r}"
            assert time.monotonic() < deadline, f"no {marker!r} in time"
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    finally:
        process.wait(60)
    assert process.returncode == -signal.SIGKILL


def test_a_killed_build_is_made_good_by_the_next(lake: Lake) -> None:
    first_landings(lake)
    # A first build whose partitioned table was made in a transaction of its own, and never filled.
    lake.dbt("seed")
    kill_when(lake, ["run"], "set partitioned by")
    left = lake.query("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'work_core' AND table_name NOT LIKE '%__dbt%'")
    lake.dbt("run")
    after_first = tables(lake)
    assert {name: len(after_first[f"work_core.{name}"]) for name in INCREMENTAL} == {
        "observation_hourly": 10,
        "state_daily": 10,
        "state_segment": 0,
        "report": 10,
        "intervention": 2,
        "energy_daily": 11,
    }, f"left by the kill: {left}"

    # An incremental run killed between the deletion of the touched days and their return.
    lake.land("report", "grc", [report("R5", 5, revised_at="2025-02-01T00:00:00Z", category="Lampe cassée")])
    kill_when(lake, ["run"], 'delete from "lake"."work_core"."report"')
    lake.dbt("run")
    assert lake.query("SELECT category FROM lake.work_core.report WHERE report_ref = 'R5'") == [("Lampe cassée",)]

    disturbed = tables(lake)
    lake.dbt("run", "--full-refresh")
    assert tables(lake) == disturbed


def test_an_empty_table_left_by_a_killed_first_build_is_not_taken_for_a_built_one(lake: Lake) -> None:
    first_landings(lake)
    lake.dbt("run", "--select", "+core__report")
    with lake.connect() as con:  # what dbt-duckdb leaves when killed between making the table and filling it
        con.execute("DELETE FROM lake.work_core.report")
        con.execute("DELETE FROM lake.work_meta.model_state WHERE model = 'core__report'")
    output = lake.dbt("run", "--select", "+core__report").stdout
    assert "core__report is built whole: its first build did not end" in output
    assert lake.query("SELECT count(*) FROM lake.work_core.report") == [(10,)]
