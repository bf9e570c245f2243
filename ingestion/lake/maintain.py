"""Keeping a lake small and quick: retention, flush, merge, expire, clean.

Here: one pass of maintenance and its report, and forgetting what no ledger line refers to. Not here: when it runs (`orchestration`).

Snapshots that published views are pinned to are never expired: the view would break. Orphaned files (a writer killed
between file and commit) are deleted only past a margin, so that a file being written now is not taken for one.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
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
        run("flush", lambda: _call(con, f"CALL ducklake_flush_inlined_data('{ALIAS}')"))
        run("merge", lambda: _call(con, f"CALL ducklake_merge_adjacent_files('{ALIAS}')"))
        pinned = pinned_snapshots(con)
        run("expire", lambda: _expire(con, pinned, moment - keep_snapshots))
        cutoff = f"older_than => TIMESTAMPTZ {literal(moment.isoformat())}"
        run("clean", lambda: _call(con, f"CALL ducklake_cleanup_old_files('{ALIAS}', {cutoff})"))
        orphans = f"older_than => TIMESTAMPTZ {literal((moment - orphan_margin).isoformat())}"
        run("orphans", lambda: _call(con, f"CALL ducklake_delete_orphaned_files('{ALIAS}', {orphans})"))
        return Report(steps, files_before, _files(con), snapshots_before, _snapshots(con), pinned)


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


def _call(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, int]:
    cursor = con.execute(sql)
    rows = cursor.fetchall()
    return {"rows": len(rows)}


def _retain(con: duckdb.DuckDBPyConnection, retention: dict[str, dt.timedelta], moment: dt.datetime) -> dict[str, int]:
    """Delete whole days of raw rows whose feed's retention has passed."""
    deleted: dict[str, int] = {}
    tables = [
        str(r[0])
        for r in con.execute(
            "SELECT DISTINCT table_name FROM duckdb_columns() "
            "WHERE database_name = ? AND schema_name = 'raw' AND column_name = 'received_on'",
            [ALIAS],
        ).fetchall()
    ]
    for feed, kept in sorted(retention.items()):
        oldest = (moment - kept).date()
        for table in tables:
            if table == "landing":
                continue
            where = f"feed = {literal(feed)} AND received_on < DATE '{oldest.isoformat()}'"
            target = f"{ALIAS}.raw.{identifier(table)}"
            count = int(con.execute(f"SELECT count(*) FROM {target} WHERE {where}").fetchall()[0][0])
            if count:
                con.execute(f"DELETE FROM {target} WHERE {where}")
                deleted[f"{feed}.{table}"] = count
    return deleted


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
