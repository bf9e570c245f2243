"""Keeping a lake small and quick: retention, flush, merge, expire, clean.

Here: the nightly pass and its report, the light pass of every build, and forgetting what no ledger line refers to. Not here:
when they run (`orchestration`).

| what grows | with landings every minute | bounded by |
|---|---|---|
| rows in the catalogue | every batch of up to 1,000 rows | `tidy`, with each build |
| small files | one per table and `tidy` | `tidy`: files of a day that are still small become one |
| files with deletions (the stream's cursors, days built again) | one per update | `maintain`: rewritten past a tenth of deleted rows |
| snapshots, files replaced | one per landing | `maintain`: expired after a day, but those that published views read |

Snapshots that published views are pinned to are never expired: the view would break. Orphaned files (a writer killed
between file and commit) are deleted only past a margin, so that a file being written now is not taken for one.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

import duckdb

from ingestion.lake import originals
from ingestion.lake.address import LakeAddress
from ingestion.lake.reader import PUBLISHED
from ingestion.lake.session import ALIAS, MUTATE_LOCK, EngineLimits, advisory_lock, connect, identifier, literal

# A day of time travel: enough to look at what a table was before last night's build.
DEFAULT_KEEP_SNAPSHOTS: Final = dt.timedelta(days=1)
# Longer than any landing or build is allowed to run; a file younger than this may still be waiting for its commit.
DEFAULT_ORPHAN_MARGIN: Final = dt.timedelta(hours=6)
# "could not serialize access", "attempting to compact…": a table being written meanwhile. Waits 0.2 s, 0.4 s… 12 s in all.
_ATTEMPTS: Final = 6
_FIRST_WAIT_S: Final = 0.2
# Deleted rows are read and thrown away until their file is written again; below a tenth, writing costs more than reading.
_REWRITE_SHARE: Final = 0.1
# A file past this size is left by `tidy` to the night: each row is then written a few times a day at most, not at each build.
_SMALL_FILE_BYTES: Final = 16_000_000
# Files that a pass replaced are removed when no query that began before can still read them.
_CLEAN_MARGIN: Final = dt.timedelta(hours=1)


@dataclass
class Step:
    """One step of maintenance: what it did, how long it took."""

    name: str
    seconds: float = 0.0
    done: dict[str, int] = field(default_factory=dict)
    attempts: int = 1


@dataclass
class Report:
    """One pass over one lake."""

    steps: list[Step]
    files_before: int
    files_after: int
    snapshots_before: int
    snapshots_after: int
    pinned_snapshots: list[int]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)


def maintain(
    address: LakeAddress,
    *,
    keep_snapshots: dt.timedelta = DEFAULT_KEEP_SNAPSHOTS,
    orphan_margin: dt.timedelta = DEFAULT_ORPHAN_MARGIN,
    retention: dict[str, dt.timedelta] | None = None,
    message_retention: dict[str, dt.timedelta] | None = None,
    limits: EngineLimits = EngineLimits(),
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run one pass of maintenance, alone among the lake's mutating jobs.

    Args:
        address: the lake.
        keep_snapshots: how long unpinned snapshots are kept.
        orphan_margin: how old a file without a commit must be to be deleted.
        retention: per feed, how long its raw rows are kept, by the day received; a feed that is absent keeps all.
        message_retention: likewise, how long its messages are kept as they were received; their rows stay.
        limits: what the engine may use.
        now: the clock.
        progress: told the name of each step.

    Raises:
        VigieError: the lake does not answer.
    """
    moment = now()
    steps: list[Step] = []
    with advisory_lock(address, MUTATE_LOCK), connect(address, limits=limits) as con:
        files_before, snapshots_before = _files(con), _snapshots(con)

        def run(name: str, action: Callable[[], dict[str, int]]) -> None:
            progress(name)
            started = time.monotonic()
            step = Step(name)
            step.done, step.attempts = _retried(action)
            step.seconds = round(time.monotonic() - started, 3)
            steps.append(step)

        run("retention", lambda: _retain(con, retention or {}, moment))
        run("messages", lambda: _forget_messages(con, message_retention or {}, moment))
        run("flush", lambda: _call(con, f"CALL ducklake_flush_inlined_data('{ALIAS}')"))
        run("rewrite", lambda: _call(con, f"CALL ducklake_rewrite_data_files('{ALIAS}', delete_threshold => {_REWRITE_SHARE})"))
        run("merge", lambda: _call(con, f"CALL ducklake_merge_adjacent_files('{ALIAS}')"))
        pinned = pinned_snapshots(con)
        run("expire", lambda: _expire(con, pinned, moment - keep_snapshots))
        cutoff = f"older_than => TIMESTAMPTZ {literal(moment.isoformat())}"
        run("clean", lambda: _call(con, f"CALL ducklake_cleanup_old_files('{ALIAS}', {cutoff})"))
        orphans = f"older_than => TIMESTAMPTZ {literal((moment - orphan_margin).isoformat())}"
        run("orphans", lambda: _call(con, f"CALL ducklake_delete_orphaned_files('{ALIAS}', {orphans})"))
        return Report(steps, files_before, _files(con), snapshots_before, _snapshots(con), pinned)


def tidy(
    address: LakeAddress,
    *,
    limits: EngineLimits = EngineLimits(),
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> dict[str, int]:
    """Move what landings left in the catalogue to files, and small files of the raw tables together; the caller holds MUTATE_LOCK.

    It runs with each build, beside landings: a table that stays busy is left to the next pass. Tables that landings update
    (the stream's cursors) and reference tables are left to the night: beside them one of the two would start again.

    Args:
        address: the lake.
        limits: what the engine may use.
        now: the clock.

    Returns:
        `flushed` rows, `merged` files, `cleaned` files, and `left`: tables that were busy.

    Raises:
        VigieError: the lake does not answer.
    """
    done = {"flushed": 0, "merged": 0, "cleaned": 0, "left": 0}
    with connect(address, limits=limits) as con:
        for table in _growing(con):
            flush = f"CALL ducklake_flush_inlined_data('{ALIAS}', schema_name => 'raw', table_name => {literal(table)})"
            merge = (
                f"CALL ducklake_merge_adjacent_files('{ALIAS}', {literal(table)}, schema => 'raw', max_file_size => {_SMALL_FILE_BYTES})"
            )
            try:
                done["flushed"] += _retried(partial(_counted, con, flush))[0]["rows"]
                done["merged"] += _retried(partial(_counted, con, merge))[0]["rows"]
            except duckdb.TransactionException:
                done["left"] += 1
        cutoff = (now() - _CLEAN_MARGIN).isoformat()
        done["cleaned"] = _call(con, f"CALL ducklake_cleanup_old_files('{ALIAS}', older_than => TIMESTAMPTZ {literal(cutoff)})")["rows"]
    return done


def forget_unlanded(personal: LakeAddress, lake: LakeAddress, *, margin: dt.timedelta = DEFAULT_ORPHAN_MARGIN) -> int:
    """Remove personal rows whose landing never committed; return how many.

    Raises:
        VigieError: a lake does not answer.
    """
    before = dt.datetime.now(dt.UTC) - margin
    with connect(lake, read_only=True) as con:
        landed = con.execute(f"SELECT landing_id FROM {ALIAS}.raw.landing").to_arrow_table()
    with advisory_lock(personal, MUTATE_LOCK), connect(personal) as con:
        con.register("landed", landed)
        gone = f"received_at < TIMESTAMPTZ {literal(before.isoformat())} AND landing_id NOT IN (SELECT landing_id FROM landed)"
        count = int(con.execute(f"SELECT count(*) FROM {ALIAS}.raw.personal_record WHERE {gone}").fetchall()[0][0])
        if count:
            con.execute(f"DELETE FROM {ALIAS}.raw.personal_record WHERE {gone}")
    return count


def forget_originals(
    lake: LakeAddress,
    *,
    retention: dict[str, dt.timedelta] | None = None,
    margin: dt.timedelta = DEFAULT_ORPHAN_MARGIN,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> list[str]:
    """Remove the originals whose landing never committed or whose feed's retention has passed; return their keys.

    Args:
        lake: the main lake, whose ledger says which originals are in use.
        retention: per feed, how long its rows are kept; a feed that is absent keeps its originals.
        margin: younger files are left: their landing may be about to commit.
        now: the clock.

    Raises:
        VigieError: the lake does not answer.
    """
    moment = now()
    with connect(lake, read_only=True) as con:
        used = con.execute(
            f"SELECT original, feed, max(received_on) FROM {ALIAS}.raw.landing WHERE original IS NOT NULL GROUP BY ALL"
        ).fetchall()
    limits = {feed: (moment - kept).date() for feed, kept in (retention or {}).items()}
    kept = {str(key) for key, feed, last in used if feed not in limits or last >= limits[feed]}
    return originals.sweep(lake.originals_path, kept, older_than=moment - margin)


def pinned_snapshots(con: duckdb.DuckDBPyConnection) -> list[int]:
    """Return the snapshots that published views read."""
    rows = con.execute(
        f"SELECT sql FROM duckdb_views() WHERE database_name = '{ALIAS}' AND schema_name IN ({', '.join(map(literal, PUBLISHED))})"
    ).fetchall()
    return sorted({int(n) for (sql,) in rows for n in re.findall(r"VERSION\s*=>\s*(\d+)", str(sql), flags=re.IGNORECASE)})


def _retried(action: Callable[[], dict[str, int]]) -> tuple[dict[str, int], int]:
    wait = _FIRST_WAIT_S
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return action(), attempt
        except duckdb.TransactionException:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(wait)
            wait *= 2
    raise AssertionError("unreachable")


def _growing(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the raw tables that landings write to: those that say the day received."""
    found = con.execute(
        "SELECT DISTINCT table_name FROM duckdb_columns() WHERE database_name = ? AND schema_name = 'raw' AND column_name = 'received_on'",
        [ALIAS],
    ).fetchall()
    return sorted(str(name) for (name,) in found)


def _counted(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, int]:
    """Run a call that answers, by table, with its schema, its name and a count; return the sum."""
    return {"rows": sum(int(row[2]) for row in con.execute(sql).fetchall())}


def _call(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, int]:
    cursor = con.execute(sql)
    rows = cursor.fetchall()
    return {"rows": len(rows)}


def _retain(con: duckdb.DuckDBPyConnection, retention: dict[str, dt.timedelta], moment: dt.datetime) -> dict[str, int]:
    """Delete whole days of raw rows whose feed's retention has passed, and close these days.

    `raw.retention_floor` says up to which day a feed's raw rows are no longer whole: the models keep what they hold of such
    days, and a row that lands for one is set aside (macro `closed_days`). The last line of a feed counts.
    """
    deleted: dict[str, int] = {}
    tables = _growing(con)
    for feed, kept in sorted(retention.items()):
        oldest = (moment - kept).date()
        closed = False
        for table in tables:
            if table == "landing":
                continue
            where = f"feed = {literal(feed)} AND received_on < DATE '{oldest.isoformat()}'"
            target = f"{ALIAS}.raw.{identifier(table)}"
            count = int(con.execute(f"SELECT count(*) FROM {target} WHERE {where}").fetchall()[0][0])
            if count:
                if not closed:
                    # First: killed in between, days are closed too early, never built from what is left of them.
                    _close(con, feed, oldest, moment)
                    closed = True
                con.execute(f"DELETE FROM {target} WHERE {where}")
                deleted[f"{feed}.{table}"] = count
    return deleted


def _forget_messages(con: duckdb.DuckDBPyConnection, retention: dict[str, dt.timedelta], moment: dt.datetime) -> dict[str, int]:
    """Delete whole days of messages; what they said stays in the rows, so that no day is closed."""
    deleted: dict[str, int] = {}
    for table in (t for t in _growing(con) if t in ("message", "personal_message")):
        target = f"{ALIAS}.raw.{identifier(table)}"
        for feed, kept in sorted(retention.items()):
            where = f"feed = {literal(feed)} AND received_on < DATE '{(moment - kept).date().isoformat()}'"
            count = int(con.execute(f"SELECT count(*) FROM {target} WHERE {where}").fetchall()[0][0])
            if count:
                con.execute(f"DELETE FROM {target} WHERE {where}")
                deleted[f"{feed}.{table}"] = count
    return deleted


def _close(con: duckdb.DuckDBPyConnection, feed: str, floor: dt.date, moment: dt.datetime) -> None:
    table = f"{ALIAS}.raw.retention_floor"
    con.execute(f"CREATE TABLE IF NOT EXISTS {table} (feed VARCHAR, floor_on DATE, closed_at TIMESTAMPTZ)")
    con.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", [feed, floor, moment])


def _expire(con: duckdb.DuckDBPyConnection, pinned: list[int], before: dt.datetime) -> dict[str, int]:
    latest = int(con.execute(f"SELECT max(snapshot_id) FROM {ALIAS}.snapshots()").fetchall()[0][0])
    kept = {latest, *pinned}
    old = [
        int(r[0])
        for r in con.execute(
            f"SELECT snapshot_id FROM {ALIAS}.snapshots() WHERE snapshot_time < TIMESTAMPTZ {literal(before.isoformat())}"
        ).fetchall()
        if int(r[0]) not in kept
    ]
    if old:
        con.execute(f"CALL ducklake_expire_snapshots('{ALIAS}', versions => [{', '.join(map(str, old))}])")
    return {"snapshots": len(old)}


def _files(con: duckdb.DuckDBPyConnection) -> int:
    return int(con.execute(f"SELECT coalesce(sum(file_count), 0) FROM ducklake_table_info('{ALIAS}')").fetchall()[0][0])


def _snapshots(con: duckdb.DuckDBPyConnection) -> int:
    return int(con.execute(f"SELECT count(*) FROM {ALIAS}.snapshots()").fetchall()[0][0])
