"""A year of the `chalons` preset, built by dbt against the same answers by hand-written SQL; then one more day.

`python -m bench.year`. 2,170 lights tell their state every quarter of an hour (76 million observations), 90 meters give 48
readings a day, citizens and crews write twenty papers a day. Rows are what daily landings leave in the raw tables: a landing a
day and feed, late and corrected rows among them, a file a day, then maintenance. The build is whole: `vigie-dbt build` as the
platform runs it, its start and its hundred data tests included. Then one more day lands on the year and on a month.

Here: measuring, and comparing answers. Not here: the rows (`territory`), the hand-written SQL (`by_hand`).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench import territory
from bench.machine import apart, instance
from ingestion.lake.maintain import maintain
from ingestion.lake.session import connect
from orchestration.dbt import process, project
from orchestration.settings import Settings

DAYS: Final = 365
MONTH: Final = 30
MORE_DAYS: Final = 2
MAX_RATIO: Final = 2.0
MAX_MEMORY_MB: Final = 4_000.0
MAX_DAY_RATIO: Final = 1.3
MAX_QUERIES_S: Final = 2.0
# Days written in one transaction: only to write faster; each is a landing and a file of its own.
_AT_ONCE: Final = 5
_TABLES: Final = ("asset", "observation", "energy_reading", "report", "intervention", "sun_time")
_PYTHON_BIN: Final = Path(sys.executable).parent


def run(days: int = DAYS) -> dict[str, Any]:
    """Measure, and return seconds, megabytes and ratios; the answers are equal or it raises."""
    with instance() as (year, folder), instance() as (month, _):
        written = {"year": _fill(year, days), "month": _fill(month, MONTH)}
        hand = apart("bench.by_hand", str(_arguments(year, folder, days)))
        fresh = _build(year, days)
        differences = _compare(year, folder)
        if any(differences.values()):
            raise AssertionError(f"the answers differ: {differences}")
        small = _build(year, days, "--full-refresh", memory_limit="2GB")
        _build(month, MONTH)
        more: dict[str, list[dict[str, Any]]] = {"year": [], "month": []}
        for n in range(MORE_DAYS):
            for name, settings, first in (("year", year, days), ("month", month, MONTH)):
                with connect(settings.lake) as con:
                    territory.land_days(con, first + n, 1)
                more[name].append(_build(settings, first + n + 1))
        queries = {"year": _queries(year), "month": _queries(month)}
    best = {name: min(b["seconds"] for b in builds) for name, builds in more.items()}
    return {
        "observations": written["year"]["observations"],
        "written": written,
        "by_hand": hand,
        "fresh": fresh,
        "ratio": round(fresh["seconds"] / hand["seconds"], 2),
        "at_2gb": small,
        "one_more_day": {name: [round(b["seconds"], 1) for b in builds] for name, builds in more.items()},
        "one_more_day_nodes": {name: [b["nodes_s"] for b in builds] for name, builds in more.items()},
        "day_ratio": round(best["year"] / best["month"], 2),
        "queries": queries,
    }


def _fill(settings: Settings, days: int) -> dict[str, Any]:
    """Land so many days and maintain the lake as a night would."""
    started = time.perf_counter()
    with connect(settings.lake) as con:
        territory.refer(con, days=days + MORE_DAYS)
        for first in range(0, days, _AT_ONCE):
            territory.land_days(con, first, min(_AT_ONCE, days - first))
    for _ in range(2):
        report = maintain(settings.lake, keep_snapshots=dt.timedelta(0))
    with connect(settings.lake, read_only=True) as con:
        rows = con.execute("SELECT count(*) FROM lake.raw.observation").fetchall()[0][0]
    return {"observations": rows, "files": report.files_after, "seconds": round(time.perf_counter() - started, 1)}


def _as_of(days: int) -> str:
    return f"{territory.FIRST_DAY + dt.timedelta(days=days)}T00:00:00Z"


def _arguments(settings: Settings, folder: Path, days: int) -> Path:
    """Write what the hand-written SQL is told: the files of the raw tables, as another engine would be given them."""
    with connect(settings.lake, read_only=True) as con:
        files = {
            t: [str(r[0]) for r in con.execute(f"SELECT data_file FROM ducklake_list_files('lake', '{t}', schema => 'raw')").fetchall()]
            for t in _TABLES
        }
    (folder / "hand").mkdir()
    path = folder / "hand.json"
    values = {"as_of": _as_of(days), "first": territory.FIRST_DAY.isoformat(), "cabinets": territory.CABINETS}
    path.write_text(json.dumps({"files": files, "folder": str(folder / "hand"), "values": values, "memory_limit": None}), encoding="utf-8")
    return path


def _build(settings: Settings, days: int, *arguments: str, memory_limit: str | None = None) -> dict[str, Any]:
    """Run dbt as the platform does; return its seconds, its greatest resident memory and the sum of its nodes' seconds."""
    project.ensure_manifest(settings)
    environment = {**os.environ, **project.environment(settings), process.AS_OF: _as_of(days)}
    if memory_limit:
        environment["VIGIE_DUCKDB_MEMORY_LIMIT"] = memory_limit
    words = ["build", "--no-use-colors", "--exclude", "resource_type:unit_test", "--target", project.target(settings), *arguments]
    log = settings.home / "build.log"
    started = time.perf_counter()
    with log.open("wb") as out:
        child = subprocess.Popen([str(_PYTHON_BIN / "vigie-dbt"), *words], env=environment, cwd=settings.home, stdout=out, stderr=out)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if child.returncode:
        raise RuntimeError(log.read_text(encoding="utf-8")[-4000:])
    results = json.loads((settings.dbt_target_path / "run_results.json").read_text(encoding="utf-8"))["results"]
    nodes = {r["unique_id"].split(".")[2]: r["execution_time"] for r in results if r["unique_id"].startswith("model.")}
    slowest = dict(sorted(nodes.items(), key=lambda item: -item[1])[:6])
    return {
        "seconds": round(seconds, 1),
        "memory_mb": round(used.ru_maxrss * 1024 / 1e6),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "nodes_s": round(sum(nodes.values()), 1),
        "slowest": {name: round(s, 2) for name, s in slowest.items()},
    }


def _queries(settings: Settings) -> dict[str, Any]:
    """Run the SQL that the last build compiled for each model, by itself; return the seconds of all, and of the slowest."""
    compiled = settings.dbt_target_path / "compiled" / "vigie" / "models"
    seconds: dict[str, float] = {}
    with connect(settings.lake, read_only=True) as con:
        con.execute("USE lake")
        for path in sorted(compiled.rglob("*.sql")):
            if path.parent.name in ("core", "indicators"):
                started = time.perf_counter()
                con.execute(f"CREATE OR REPLACE TEMP TABLE answer AS {path.read_text(encoding='utf-8')}")
                seconds[path.stem] = round(time.perf_counter() - started, 3)
    slowest = dict(sorted(seconds.items(), key=lambda item: -item[1])[:6])
    return {"seconds": round(sum(seconds.values()), 2), "slowest": slowest}


def _compare(settings: Settings, folder: Path) -> dict[str, int]:
    """Return, per answer, how many rows of the models and of the hand-written SQL have no equal on the other side."""
    hand = folder / "hand"
    pairs = {
        "state_daily": (
            "SELECT asset_ref, value_text, utc_date, observations, first_observed_at, last_observed_at FROM lake.work_core.state_daily",
            f"""SELECT asset_ref, value_text, DATE '1970-01-01' + day::INTEGER, observations, first_at, last_at
                FROM read_parquet('{hand}/state_daily/**/*.parquet')""",
        ),
        "failures": (
            "SELECT asset_ref, kind = 'failure', started_at, ended_at FROM lake.work_core.state_failure",
            f"SELECT asset_ref, is_failure, started_at, ended_at FROM '{hand}/failure.parquet'",
        ),
        "episodes": (
            "SELECT asset_key[6:], kind = 'failure', started_at, ended_at FROM lake.work_core.failure_episode",
            f"SELECT asset_ref, is_failure, started_at, ended_at FROM '{hand}/episode.parquet'",
        ),
        "monthly": (
            f"""SELECT month, commune, piloting = 'remote', assets_in_service, failures_started, round(mttr_hours, 1), round(mtbf_hours, 1),
                    round(availability_pct, 2)
                FROM lake.work_indicators.failure_frequency_monthly
                WHERE asset_type = 'light-point' AND month >= DATE '{territory.FIRST_DAY}'""",
            f"""SELECT month, commune, is_remote, assets, failures, round(round(mttr_h, 2), 1), round(round(mtbf_h, 2), 1),
                    round(round(availability_pct, 4), 2)
                FROM '{hand}/monthly.parquet'""",
        ),
        "energy": (
            """SELECT meter_ref, local_date, verdict, round(measured_wh, 1), round(expected_wh, 1), round(measured_eur, 2)
                FROM lake.work_indicators.energy_overconsumption_daily""",
            f"""SELECT meter_ref, local_date, verdict, round(round(energy_wh, 3), 1), round(round(expected_wh, 3), 1),
                    round(round(eur, 4), 2)
                FROM '{hand}/expected.parquet'""",
        ),
    }
    with connect(settings.lake, read_only=True) as con:
        return {
            name: sum(
                con.execute(f"SELECT count(*) FROM (({a}) EXCEPT ALL ({b}))").fetchall()[0][0]
                for a, b in ((models, by_hand), (by_hand, models))
            )
            for name, (models, by_hand) in pairs.items()
        }


def main(words: list[str]) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=DAYS)
    print(json.dumps(run(parser.parse_args(words).days)))


if __name__ == "__main__":
    main(sys.argv[1:])
