"""The journal of alarms in the lake: each line once, whatever was killed when.

Here: appending what the lake does not hold yet, with its line in the ledger, in one transaction. Not here: the journal itself, and
what of it may leave the application's database (`orchestration.assets.alarms`).

How far the lake is, is read from the rows themselves, in the transaction that appends the next ones: a writer killed before its commit
has moved nothing, one killed after it is not repeated.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa

from ingestion.errors import VigieError
from ingestion.lake.address import LakeAddress
from ingestion.lake.ledger import JOURNAL
from ingestion.lake.session import ALIAS, COMMIT_LOCK, EngineLimits, advisory_lock, connect, identifier
from ingestion.lake.tables import ALARM_JOURNAL
from ingestion.lake.writer import feed_locks

_TABLE: Final = f"{ALIAS}.raw.alarm_journal"
_STAGED: Final = "staged_journal"
# Added here; all other columns are the caller's.
_PROVENANCE: Final = ("feed", "landing_seq", "received_at", "received_on")
COLUMNS: Final = tuple(name for name in ALARM_JOURNAL if name not in _PROVENANCE)
# One column of a table of some million rows, and a batch of the journal.
_LIMITS: Final = EngineLimits(memory_limit="512MB", threads=1)

Read = Callable[[int], pa.Table]


@dataclass(frozen=True)
class JournalLanded:
    """One batch of the journal that landed: its first and last line, and its number in the ledger."""

    landing_seq: int
    lines: int
    first_seq: int
    last_seq: int


def last_line(address: LakeAddress) -> int:
    """Return the number of the last line of the journal that the lake holds; 0 when there is none.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        return _last(con)


def append(
    address: LakeAddress, read: Read, *, now: dt.datetime | None = None, before_commit: Callable[[], None] = lambda: None
) -> JournalLanded | None:
    """Land one batch of the journal; None when the lake holds all of it.

    Args:
        address: the lake.
        read: returns the lines after a number, in order and without a gap, at most a batch, with the columns `COLUMNS`.
        now: when they are received; the clock's time if absent.
        before_commit: called when all is written and nothing committed: where a test ends the process.

    Raises:
        VigieError: the lake does not answer, or lines are missing or come twice: nothing was landed then.
    """
    received_at = now or dt.datetime.now(dt.UTC)
    with feed_locks(address, [JOURNAL]), connect(address, limits=_LIMITS) as con:
        lines = read(_last(con))
        if lines.num_rows == 0:
            return None
        con.register(_STAGED, lines)
        with advisory_lock(address, COMMIT_LOCK):
            con.execute("BEGIN")
            try:
                landed = _insert(con, received_at)
                before_commit()
                con.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    con.execute("ROLLBACK")
                raise
    return landed


def _last(con: duckdb.DuckDBPyConnection) -> int:
    return int(con.execute(f"SELECT coalesce(max(seq), 0) FROM {_TABLE}").fetchall()[0][0])


def _insert(con: duckdb.DuckDBPyConnection, received_at: dt.datetime) -> JournalLanded:
    held = _last(con)
    count, distinct, first, last = con.execute(f"SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM {_STAGED}").fetchall()[0]
    if not (first == held + 1 and last == held + count and distinct == count):
        raise VigieError(
            f"the journal of alarms goes on at line {first} to {last} with {count} lines, but the lake holds it up to line {held}",
            remedy="restore the application's database and the lake from the same moment; nothing was landed",
        )
    landing_seq = int(con.execute(f"SELECT coalesce(max(landing_seq), 0) + 1 FROM {ALIAS}.raw.landing").fetchall()[0][0])
    names = ", ".join(identifier(name) for name in COLUMNS)
    received_on = received_at.astimezone(dt.UTC).date()
    con.execute(
        f"INSERT INTO {_TABLE} ({names}, {', '.join(_PROVENANCE)}) SELECT {names}, ?, ?, ?, ? FROM {_STAGED} ORDER BY seq",
        [JOURNAL, landing_seq, received_at, received_on],
    )
    line = {
        "landing_seq": landing_seq,
        "landing_id": uuid.uuid4().hex,
        "feed": JOURNAL,
        "origin": "alerts.journal",
        "stream": JOURNAL,
        "first_stream_seq": first,
        "last_stream_seq": last,
        "is_forced": False,
        "started_at": received_at,
        "received_at": received_at,
        "received_on": received_on,
        "received": count,
        "stored": count,
        "duplicate": 0,
        "rejected": 0,
        "rejected_values": 0,
        "canonical_rows": count,
    }
    con.execute(
        f"INSERT INTO {ALIAS}.raw.landing ({', '.join(line)}, first_event_at, last_event_at) "
        f'SELECT {", ".join("?" for _ in line)}, min("at"), max("at") FROM {_STAGED}',
        list(line.values()),
    )
    return JournalLanded(landing_seq, int(count), int(first), int(last))
