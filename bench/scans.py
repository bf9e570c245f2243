"""Full scans of the indicator models, and one asset's month: the lake against PostgreSQL holding the same rows.

`python -m bench.scans`. Rows land day by day through the platform's own landing, then one maintenance pass; PostgreSQL gets
the same canonical rows with the same columns, its usual indexes, VACUUM ANALYZE and 2 GB of shared buffers. Queries are
plain SQL that both run; each runs three times, the median counts, and both give the same answer.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from bench.generate import FEED_YAML, observations
from bench.machine import instance
from ingestion.contracts.canonical import CONTRACTS
from ingestion.feeds.load import load_feed
from ingestion.lake.maintain import maintain
from ingestion.lake.session import EngineLimits, connect
from ingestion.lake.tables import PROVENANCE
from ingestion.landing import land_file
from orchestration.settings import Settings

ROWS = 20_000_000
ASSETS = 1_000  # with four properties each: a value every nine minutes over a month
DAYS = 30
RUNS = 3
MIN_TIME_RATIO = 10.0
MAX_SPACE_RATIO = 0.1
TABLE = "observation"
POSTGRES = (
    "shared_buffers=2GB", "work_mem=256MB", "maintenance_work_mem=512MB", "effective_cache_size=8GB", "max_wal_size=8GB",
    "max_parallel_workers_per_gather=4", "max_parallel_workers=4", "max_worker_processes=8", "random_page_cost=1.1", "jit=on",
)  # fmt: skip
# What PostgreSQL may hold in shared buffers and work memory together.
LIMITS = EngineLimits(memory_limit="3GB")

SCANS = {
    "observations by hour (core__observation_hourly)": """
        SELECT count(*), sum(n), round(CAST(sum(total) AS numeric), 1), sum(good) FROM (
            SELECT asset_ref, property, date_trunc('hour', observed_at) AS hour, count(*) AS n, min(value) AS low,
                max(value) AS high, sum(value) AS total, count(*) FILTER (WHERE quality = 'good') AS good
            FROM {table} GROUP BY 1, 2, 3) AS h""",
    "failure states (core__failure_episode)": """
        SELECT count(*), sum(n) FROM (
            SELECT asset_ref, episode, count(*) AS n, min(observed_at) AS began, max(observed_at) AS ended FROM (
                SELECT asset_ref, observed_at, sum(fresh) OVER (PARTITION BY asset_ref ORDER BY observed_at) AS episode FROM (
                    SELECT asset_ref, observed_at, CASE WHEN observed_at - lag(observed_at) OVER (
                        PARTITION BY asset_ref ORDER BY observed_at) <= INTERVAL '30 minutes' THEN 0 ELSE 1 END AS fresh
                    FROM {table} WHERE property = 'lamp_state' AND value < 0.5) AS marked) AS numbered
            GROUP BY 1, 2) AS e""",
    "energy by day (core__energy_daily)": """
        SELECT count(*), round(CAST(sum(wh) AS numeric), 0) FROM (
            SELECT asset_ref, date_trunc('day', observed_at) AS day, sum(value) * 0.144 AS wh FROM {table}
            WHERE property = 'active_power' GROUP BY 1, 2) AS d""",
    "state of each property by day": """
        SELECT count(*), sum(n) FROM (
            SELECT property, date_trunc('day', observed_at) AS day, count(*) AS n, count(DISTINCT asset_ref) AS assets,
                avg(value) AS mean, stddev_samp(value) AS spread FROM {table} GROUP BY 1, 2) AS d""",
}
LOOKUP = """SELECT count(*), min(value), max(value) FROM (SELECT observed_at, value FROM {table} WHERE asset_ref = 'EP-00042'
    AND property = 'active_power' AND observed_at >= TIMESTAMPTZ '2024-01-01 00:00:00+00'
    AND observed_at < TIMESTAMPTZ '2024-02-01 00:00:00+00' ORDER BY observed_at) AS curve"""


def run(rows: int = ROWS) -> dict[str, Any]:
    """Measure, and return seconds, bytes and their ratios."""
    with instance(*POSTGRES) as (settings, folder):
        _land(settings, folder, rows)
        for _ in range(2):  # files that the first pass replaces are removed by the second
            maintain(settings.lake, keep_snapshots=dt.timedelta(0), limits=LIMITS)
        with connect(settings.lake, limits=LIMITS, read_only=True) as con, _postgres(settings) as pg:
            space = {"lake": _lake_bytes(settings), "postgres": _fill_postgres(con, pg, folder)}
            times = {name: _compare(con, pg, sql) for name, sql in SCANS.items()}
            lookup = _compare(con, pg, LOOKUP)
    ratios = [t["postgres_s"] / t["lake_s"] for t in times.values()]
    return {
        "rows": rows,
        "lake_bytes": space["lake"],
        "postgres_bytes": space["postgres"],
        "space_ratio": round(space["lake"] / space["postgres"], 3),
        "scans": times,
        "median_time_ratio": round(statistics.median(ratios), 1),
        "lookup": lookup,
    }


def _land(settings: Settings, folder: Path, rows: int) -> None:
    """Land a month, a file a day, as a feed would bring it."""
    contract = folder / "bench-observations.yaml"
    contract.write_text(FEED_YAML, encoding="utf-8")
    feed = load_feed(contract)
    with duckdb.connect(str(folder / "generated.duckdb")) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SELECT setseed(0.42)")
        con.execute("SET threads = 1")  # random() is the same in every run only then
        con.execute(f"CREATE TABLE o AS {observations(rows, assets=ASSETS, days=DAYS)}")
        con.execute("RESET threads")
        for n in range(DAYS + 1):
            day = dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=n)
            path = folder / f"day-{n:02}.csv"
            day_rows = (
                "SELECT * REPLACE (strftime(time, '%Y-%m-%dT%H:%M:%SZ') AS time) FROM o "
                f"WHERE time >= '{day}' AND time < TIMESTAMPTZ '{day}' + INTERVAL 1 DAY"
            )
            if con.execute(f"COPY ({day_rows}) TO '{path}' (HEADER)").fetchall()[0][0]:
                clock = partial(dt.datetime.__add__, day, dt.timedelta(days=1, hours=1))
                assert land_file(feed, path, lake=settings.lake, personal=settings.personal_lake, now=clock).balances
            path.unlink()
    (folder / "generated.duckdb").unlink()


def _lake_bytes(settings: Settings) -> int:
    """Files of the table, as they stand on disk; nothing of it is left in the catalogue after maintenance."""
    return sum(p.stat().st_size for p in (Path(settings.lake.data_path) / "raw" / TABLE).rglob("*.parquet"))


def _postgres(settings: Settings) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(settings.app_url.get_secret_value(), autocommit=True)


def _fill_postgres(con: duckdb.DuckDBPyConnection, pg: psycopg.Connection[tuple[Any, ...]], folder: Path) -> int:
    """Copy the lake's rows to PostgreSQL, index them, and return the bytes of table and indexes."""
    columns = CONTRACTS["observation"].columns | PROVENANCE
    types = {"VARCHAR": "text", "DOUBLE": "double precision", "TIMESTAMPTZ": "timestamptz", "BIGINT": "bigint", "DATE": "date"}
    pg.execute(f"CREATE TABLE {TABLE} ({', '.join(f'{c} {types[t]}' for c, t in columns.items())})")
    path = folder / "rows.csv"
    con.execute(f"COPY (SELECT {', '.join(columns)} FROM lake.raw.{TABLE} ORDER BY landing_seq, position) TO '{path}' (HEADER)")
    with pg.cursor() as cursor, cursor.copy(f"COPY {TABLE} FROM STDIN (FORMAT csv, HEADER)") as copy, path.open("rb") as file:
        while chunk := file.read(1 << 22):
            copy.write(chunk)
    path.unlink()
    pg.execute(f"CREATE INDEX ON {TABLE} (asset_ref, observed_at)")
    pg.execute(f"CREATE INDEX ON {TABLE} USING brin (observed_at)")
    pg.execute(f"VACUUM ANALYZE {TABLE}")
    size = pg.execute("SELECT pg_total_relation_size(%s::regclass)", [TABLE]).fetchone()
    assert size is not None
    return int(size[0])


def _compare(con: duckdb.DuckDBPyConnection, pg: psycopg.Connection[tuple[Any, ...]], sql: str) -> dict[str, Any]:
    lake_s, lake_rows = _median(lambda: con.execute(sql.format(table=f"lake.raw.{TABLE}")).fetchall())
    postgres_s, postgres_rows = _median(lambda: pg.execute(sql.format(table=TABLE)).fetchall())
    same = [[float(x) for x in row] for row in lake_rows], [[float(x) for x in row] for row in postgres_rows]
    assert all(abs(a - b) <= 1e-6 * max(1.0, abs(b)) for r, s in zip(*same, strict=True) for a, b in zip(r, s, strict=True)), same
    return {"lake_s": round(lake_s, 4), "postgres_s": round(postgres_s, 4), "ratio": round(postgres_s / lake_s, 2)}


def _median(query: Callable[[], list[tuple[Any, ...]]]) -> tuple[float, list[tuple[Any, ...]]]:
    query()  # warm: both keep what they read in memory
    seconds = []
    rows: list[tuple[Any, ...]] = []
    for _ in range(RUNS):
        started = time.perf_counter()
        rows = query()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), rows


def main(words: list[str]) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    print(json.dumps(run(parser.parse_args(words).rows)))


if __name__ == "__main__":
    main(sys.argv[1:])
