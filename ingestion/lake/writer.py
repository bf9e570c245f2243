"""The one writer: rows, rejects and their ledger line enter the lake in one transaction, or not at all.

Here: committing, the ledger's arithmetic. Not here: finding duplicates (`duplicates`), how rows were made (`ingestion.landing`,
`ingestion.stream`).

Order of events, and why a kill anywhere leaves the same lake:
1. the feed's lock is held, so that two landings of one feed cannot both miss the other's rows (or both land one file);
2. personal columns go to the personal lake, under the landing's id; without a ledger line nobody reads them and
   maintenance removes them;
3. the commit lock is held while the landing's number is drawn and its rows committed: numbers grow in commit order, and
   whoever built up to N never misses a row that was committed later under a smaller number.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import duckdb

from ingestion.contracts.canonical import Contract
from ingestion.errors import VigieError
from ingestion.lake.address import LakeAddress
from ingestion.lake.duplicates import Part, drop_known, drop_repeats
from ingestion.lake.session import ALIAS, COMMIT_LOCK, LOCK_SPACE, advisory_lock, advisory_locks, attach, identifier

REJECTS: Final = "staged_rejects"
PERSONAL: Final = "staged_personal"
# The name under which a writer attaches the personal lake.
PERSONAL_ALIAS: Final = "personal_lake"
_FEED_LOCK_SPACE: Final = LOCK_SPACE + 1


@dataclass(frozen=True)
class Provenance:
    """Where a landing comes from; every row can be traced to it."""

    feed: str
    source: str
    contract: Contract | None
    landing_id: str
    origin: str
    started_at: dt.datetime
    received_at: dt.datetime
    digest: str | None = None
    original: str | None = None
    cursor: str | None = None
    contract_digest: str | None = None
    is_forced: bool = False
    stream: str | None = None
    first_stream_seq: int | None = None
    last_stream_seq: int | None = None

    @property
    def received_on(self) -> dt.date:
        """The UTC day of reception, which partitions the raw tables."""
        return self.received_at.astimezone(dt.UTC).date()


@dataclass(frozen=True)
class Counts:
    """An account, in source records (and values)."""

    received: int = 0
    duplicate: int = 0
    rejected: int = 0
    rejected_values: int = 0


@dataclass(frozen=True)
class Staged:
    """One landing about to be committed, in temporary tables of a connection.

    Attributes:
        provenance: where it comes from.
        received: how many source records it holds.
        parts: its rows, by contract: one, but for formats whose records also describe assets.
        rejects: `_position, scope, reason, detail, original`.
        personal: `_position, payload`, what the personal lake holds of the records; None when that is nothing.
        less: what the ledger says already of these records, which are landed again: taken off the new line.
    """

    provenance: Provenance
    received: int
    parts: tuple[Part, ...]
    rejects: str = REJECTS
    personal: str | None = None
    less: Counts = Counts()


@dataclass(frozen=True)
class Landed:
    """What became of a landing's source records."""

    feed: str
    origin: str
    landing_seq: int | None
    received: int
    stored: int
    duplicate: int
    rejected: int
    rejected_values: int = 0
    canonical_rows: int = 0
    already_landed: bool = False
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        """Whether every received record is accounted for."""
        return self.received == self.stored + self.duplicate + self.rejected


@contextlib.contextmanager
def feed_locks(address: LakeAddress, feeds: Iterable[str]) -> Iterator[None]:
    """Hold the locks of feeds: landings of one feed are serialised, those of different feeds are not."""
    keys = sorted({int.from_bytes(hashlib.sha256(feed.encode()).digest()[:4], "big", signed=True) for feed in feeds})
    with advisory_locks(address, keys, space=_FEED_LOCK_SPACE):  # in one order for everybody: nobody waits in a circle
        yield


def landed_before(con: duckdb.DuckDBPyConnection, feed: str, digest: str) -> int | None:
    """Return the landing that already holds this file of this feed, if any."""
    row = con.execute(
        f"SELECT min(landing_seq) FROM {ALIAS}.raw.landing WHERE feed = ? AND digest = ?",
        [feed, digest],
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def last_cursor(con: duckdb.DuckDBPyConnection, feed: str) -> str | None:
    """Return the cursor that the feed's last landing committed, if any."""
    row = con.execute(
        f"SELECT arg_max(cursor, landing_seq) FROM {ALIAS}.raw.landing WHERE feed = ? AND cursor IS NOT NULL", [feed]
    ).fetchone()
    return None if row is None else row[0]


def commit(
    con: duckdb.DuckDBPyConnection,
    address: LakeAddress,
    personal: LakeAddress | None,
    landings: Sequence[Staged],
    *,
    also: Callable[[Sequence[Landed]], None] | None = None,
) -> list[Landed]:
    """Land what is staged in `con`, all of it or nothing; the caller holds the feeds' locks.

    Args:
        con: has the lake attached and the temporary tables of each landing.
        address: the lake.
        personal: the personal lake, where a landing has personal columns.
        landings: what is landed, one ledger line each.
        also: done in the same transaction, once the rows are in it (the cursor of a stream). What it raises undoes everything.

    Raises:
        VigieError: the catalogue does not answer, or the counts do not add up (nothing is landed then).
    """
    counted: list[Landed] = []
    for staged in landings:
        drop_repeats(con, staged.parts)
        for part in staged.parts:
            drop_known(con, staged.provenance.feed, part)
        made = staged.provenance
        counts = _account(con, made.feed, made.origin, staged.received, staged.parts, staged.rejects)
        _require_balance(counts)
        counted.append(_taken_off(counts, staged.less))
    if personal is not None and any(staged.personal for staged in landings):
        _store_personal(con, personal, landings)
    with advisory_lock(address, COMMIT_LOCK):
        con.execute("BEGIN")
        try:
            first = int(con.execute(f"SELECT coalesce(max(landing_seq), 0) + 1 FROM {ALIAS}.raw.landing").fetchall()[0][0])
            done = [replace(counts, landing_seq=first + i) for i, counts in enumerate(counted)]
            for staged, counts in zip(landings, done, strict=True):
                _insert(con, staged, counts)
            if also is not None:
                also(done)
            con.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                con.execute("ROLLBACK")
            raise
    return done


def _taken_off(counts: Landed, less: Counts) -> Landed:
    """Return what records that are landed again add to the account.

    What was stored comes out as a duplicate, but where a value of it was mended, or it is refused now: those are taken off what is
    stored, as nothing is a duplicate less than never.
    """
    line = replace(counts, **{name: getattr(counts, name) - value for name, value in vars(less).items()})
    again = max(0, -line.duplicate)
    return replace(line, duplicate=line.duplicate + again, stored=line.stored - again)


def _require_balance(counts: Landed) -> None:
    if not counts.balances:
        raise VigieError(
            f"{counts.origin}: {counts.received} records received, but {counts.stored} + {counts.duplicate} + "
            f"{counts.rejected} accounted for; nothing was landed",
            remedy="this is a defect of the platform: report it with the file's first lines and its feed contract",
        )


def count_staged(con: duckdb.DuckDBPyConnection, parts: Sequence[Part], rejects: str, feed: str, origin: str, received: int) -> Landed:
    """Account for what is staged without looking at the lake: what a preview can know."""
    drop_repeats(con, parts)
    return _account(con, feed, origin, received, parts, rejects)


def _positions(parts: Iterable[Part]) -> str:
    """Return a query of the positions that have a row."""
    return _union(part.rows for part in parts)


def _union(tables: Iterable[str]) -> str:
    return (
        " UNION ALL ".join(f"SELECT _position FROM {table}" for table in tables) or "SELECT CAST(NULL AS BIGINT) AS _position WHERE false"
    )


def _account(con: duckdb.DuckDBPyConnection, feed: str, origin: str, received: int, parts: Sequence[Part], rejects: str) -> Landed:
    """Count each bucket by itself: none is what is left of the others, so that a lost record shows."""

    def one(query: str) -> int:
        return int(con.execute(query).fetchall()[0][0])

    stored = _positions(parts)
    removed = _union(part.removed for part in parts)
    refused = f"SELECT _position FROM {rejects} WHERE scope = 'record'"
    reasons = dict(con.execute(f"SELECT reason, count(*) FROM {rejects} GROUP BY reason ORDER BY count(*) DESC, reason").fetchall())
    return Landed(
        feed=feed,
        origin=origin,
        landing_seq=None,
        received=received,
        stored=one(f"SELECT count(DISTINCT _position) FROM ({stored})"),
        duplicate=one(f"SELECT count(*) FROM (SELECT _position FROM ({removed}) EXCEPT SELECT _position FROM ({stored}))"),
        rejected=one(f"SELECT count(*) FROM (SELECT DISTINCT _position FROM ({refused}))"),
        rejected_values=one(f"SELECT count(*) FROM {rejects} WHERE scope = 'value'"),
        canonical_rows=one(f"SELECT count(*) FROM ({stored})"),
        reasons=reasons,
    )


def _store_personal(con: duckdb.DuckDBPyConnection, address: LakeAddress, landings: Iterable[Staged]) -> None:
    """Write the personal columns of the records about to be stored into the personal lake."""
    attach(con, address, alias=PERSONAL_ALIAS)
    try:
        for staged in landings:
            if staged.personal is None:
                continue
            made = staged.provenance
            con.execute(
                f"INSERT INTO {PERSONAL_ALIAS}.raw.personal_record SELECT ?, ?, _position, payload, ?, ? FROM {staged.personal} "
                f"WHERE payload IS NOT NULL AND _position IN ({_positions(staged.parts)})",
                [made.feed, made.landing_id, made.received_at, made.received_on],
            )
    finally:
        con.execute(f"DETACH {PERSONAL_ALIAS}")


def _insert(con: duckdb.DuckDBPyConnection, staged: Staged, counts: Landed) -> None:
    made = staged.provenance
    received_at, received_on = made.received_at, made.received_on
    for part in staged.parts:
        columns = ", ".join(identifier(c) for c in part.contract.columns)
        con.execute(
            f"INSERT INTO {ALIAS}.raw.{identifier(part.contract.name)} ({columns}, feed, source, landing_seq, position, received_at, "
            f"received_on) SELECT {columns}, ?, ?, ?, _position, ?, ? FROM {part.rows}",
            [made.feed, made.source, counts.landing_seq, received_at, received_on],
        )
    con.execute(
        f"INSERT INTO {ALIAS}.raw.rejected (feed, landing_seq, position, scope, reason, detail, original, received_at, received_on) "
        f"SELECT ?, ?, _position, scope, reason, detail, original, ?, ? FROM {staged.rejects}",
        [made.feed, counts.landing_seq, received_at, received_on],
    )
    line = {
        "landing_seq": counts.landing_seq,
        "landing_id": made.landing_id,
        "feed": made.feed,
        "contract": made.contract.name if made.contract else None,
        "origin": made.origin,
        "digest": made.digest,
        "original": made.original,
        "stream": made.stream,
        "first_stream_seq": made.first_stream_seq,
        "last_stream_seq": made.last_stream_seq,
        "cursor": made.cursor,
        "contract_digest": made.contract_digest,
        "is_forced": made.is_forced,
        "started_at": made.started_at,
        "received_at": received_at,
        "received_on": received_on,
        "received": counts.received,
        "stored": counts.stored,
        "duplicate": counts.duplicate,
        "rejected": counts.rejected,
        "rejected_values": counts.rejected_values,
        "canonical_rows": counts.canonical_rows,
    }
    event = made.contract.event_time if made.contract else None
    about = next((p.rows for p in staged.parts if p.contract is made.contract), None)
    instants = f"min({identifier(event)}), max({identifier(event)}) FROM {about}" if event and about else "NULL, NULL"
    con.execute(
        f"INSERT INTO {ALIAS}.raw.landing ({', '.join(line)}, first_event_at, last_event_at) "
        f"SELECT {', '.join('?' for _ in line)}, {instants}",
        list(line.values()),
    )
