"""A lake with landings all day, tidied with each build and maintained each night, does not grow but by its days.

Here: what is counted after each simulated day. Not here: one pass of maintenance (`test_lake_maintain.py`).
"""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Final

import duckdb
import psycopg

from ingestion.lake.maintain import maintain, tidy
from ingestion.lake.session import connect
from tests.lakes import LIMITS, Lakes

pytest_plugins = ("tests.lakes",)

DAYS: Final = 4
BUILDS: Final = 2
LANDINGS: Final = 6  # per build, on two partitions of the stream


def test_days_of_small_landings_leave_a_file_a_day_and_nothing_else(lakes: Lakes) -> None:
    seen: list[dict[str, int]] = []
    first = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    with connect(lakes.main, limits=LIMITS) as con:
        cursor_table(con)
        con.execute("CREATE SCHEMA lake.work_core")
        con.execute("USE lake")
    for day in range(DAYS):
        moment = first + dt.timedelta(days=day)
        for build in range(BUILDS):
            with connect(lakes.main, limits=LIMITS) as con:
                for landing in range(LANDINGS):
                    land(con, moment, build * LANDINGS + landing)
            done = tidy(lakes.main, limits=LIMITS)
            assert done["left"] == 0
            # Two tables grew: their rows are in files now, none waits in the catalogue.
            assert done["flushed"] >= LANDINGS * 20
            with connect(lakes.main, limits=LIMITS) as con:
                con.execute("USE lake")
                con.execute(
                    "CREATE OR REPLACE TABLE work_core.t AS SELECT o.* FROM raw.observation AS o, range(10)"
                )  # past the inlining limit

                if build == 0:
                    version = con.execute("SELECT max(snapshot_id) FROM lake.snapshots()").fetchall()[0][0]
                    con.execute(f"CREATE OR REPLACE VIEW core.t AS SELECT * FROM work_core.t AT (VERSION => {version})")
                    published = con.execute("SELECT count(*) FROM work_core.t").fetchall()[0][0]
        # The night; `keep_snapshots` zero stands for the day that a real night's snapshots have aged.
        for _ in range(2):
            maintain(lakes.main, keep_snapshots=dt.timedelta(0), orphan_margin=dt.timedelta(0), limits=LIMITS)
        assert lakes.query("SELECT count(*) FROM lake.core.t") == [(published,)], "what people read was expired"
        assert lakes.query("SELECT count(*), max(last_seq) FROM lake.raw.stream_cursor") == [(2, BUILDS * LANDINGS - 1)]
        rows = lakes.query("SELECT count(*) FROM lake.raw.observation")
        assert rows == [((day + 1) * BUILDS * LANDINGS * 20,)]
        seen.append(counts(lakes))
    # The first night is the start; from then on a day adds its file to each table it landed in, and their statistics.
    for before, after in itertools.pairwise(seen[1:]):
        grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        grown.pop("ducklake_file_column_stats", None)  # a line per column of each file
        grown.pop("ducklake_file_partition_value", None)  # one per file of a partitioned table
        assert grown == {"ducklake_data_file": 1}, (before, after)


def cursor_table(con: duckdb.DuckDBPyConnection) -> None:
    """Two partitions of the stream, each with its line."""
    con.execute("INSERT INTO lake.raw.stream_cursor (stream, partition, last_seq) VALUES ('s', 0, 0), ('s', 1, 0)")


def land(con: duckdb.DuckDBPyConnection, moment: dt.datetime, n: int) -> None:
    """One batch of a stream: rows, a ledger line, the cursor of its partition updated."""
    day = moment.date()
    con.execute("BEGIN")
    con.execute(
        "INSERT INTO lake.raw.observation (asset_ref, property, observed_at, value, feed, source, landing_seq, position, received_at, "
        f"received_on) SELECT 'L' || i, 'p', TIMESTAMPTZ '{moment}' + INTERVAL {n} MINUTE, i, 'f', 's', {n}, i, TIMESTAMPTZ '{moment}', "
        f"DATE '{day}' FROM range(20) AS r(i)"
    )
    con.execute(
        "INSERT INTO lake.raw.landing (landing_seq, feed, contract, received_at, received_on) VALUES "
        f"({n}, 'f', 'observation', TIMESTAMPTZ '{moment}', DATE '{day}')"
    )
    con.execute(f"UPDATE lake.raw.stream_cursor SET last_seq = {n} WHERE partition = {n % 2}")
    con.execute("COMMIT")


def counts(lakes: Lakes) -> dict[str, int]:
    """Rows of every table of the catalogue."""
    schema = lakes.main.metadata_schema
    with psycopg.connect(lakes.main.dsn, autocommit=True) as pg:
        names = [str(r[0]) for r in pg.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]).fetchall()]
        found: dict[str, int] = {}
        for name in names:
            held = name.startswith("ducklake_inlined_data_") and name != "ducklake_inlined_data_tables"
            rows = pg.execute(f'SELECT count(*) FROM {schema}."{name}"').fetchall()
            what = "inlined rows" if held else name
            found[what] = found.get(what, 0) + int(rows[0][0])
        return found
