"""The one writer: rows, rejects and their ledger line enter the lake in one transaction, or not at all.

Here: setting duplicates aside, committing, the ledger's arithmetic. Not here: how rows were made (`ingestion.landing`).

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import duckdb

from ingestion.contracts.canonical import Contract
from ingestion.errors import VigieError
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, COMMIT_LOCK, LOCK_SPACE, advisory_lock, attach, identifier

ROWS: Final = "staged_rows"
REJECTS: Final = "staged_rejects"
PERSONAL: Final = "staged_personal"
_PERSONAL_ALIAS: Final = "personal_lake"
_FEED_LOCK_SPACE: Final = LOCK_SPACE + 1
# History is searched for duplicates by runs of days; past this many runs one range over all of them costs less to plan.
_MAX_DAY_RUNS: Final = 24


@dataclass(frozen=True)
class Provenance:
    """Where a landing comes from; every row can be traced to it."""

    feed: str
    source: str
    contract: Contract
    landing_id: str
    origin: str
    started_at: dt.datetime
    received_at: dt.datetime
    digest: str | None = None
    original: str | None = None
    cursor: str | None = None
    contract_digest: str | None = None
    is_forced: bool = False

    @property
    def received_on(self) -> dt.date:
        """The UTC day of reception, which partitions the raw tables."""
        return self.received_at.astimezone(dt.UTC).date()


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
def feed_lock(address: LakeAddress, feed: str) -> Iterator[None]:
    """Hold a feed's lock: its landings are serialised, those of different feeds are not."""
    key = int.from_bytes(hashlib.sha256(feed.encode()).digest()[:4], "big", signed=True)
    with advisory_lock(address, key, space=_FEED_LOCK_SPACE):
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
    con: duckdb.DuckDBPyConnection, address: LakeAddress, personal: LakeAddress | None, provenance: Provenance, received: int
) -> Landed:
    """Land what is staged in `con`, out of `received` source records; the caller holds the feed's lock.

    `con` has the lake attached and three temporary tables: `staged_rows` (`_position` and the contract's columns),
    `staged_rejects` (`_position, scope, reason, detail, original`) and, for a feed with personal columns,
    `staged_personal` (`_position, payload`).

    Raises:
        VigieError: the catalogue does not answer, or the counts do not add up (nothing is landed then).
    """
    _drop_repeats(con, list(provenance.contract.columns))
    _drop_known(con, provenance)
    counts = _account(con, provenance.feed, provenance.origin, received)
    if not counts.balances:
        raise VigieError(
            f"{provenance.origin}: {counts.received} records received, but {counts.stored} + {counts.duplicate} + "
            f"{counts.rejected} accounted for; nothing was landed",
            remedy="this is a defect of the platform: report it with the file's first lines and its feed contract",
        )
    if personal is not None:
        _store_personal(con, personal, provenance)
    with advisory_lock(address, COMMIT_LOCK):
        con.execute("BEGIN")
        try:
            seq = _insert(con, provenance, counts)
            con.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                con.execute("ROLLBACK")
            raise
    return Landed(**{**counts.__dict__, "landing_seq": seq})


def count_staged(con: duckdb.DuckDBPyConnection, contract: Contract, feed: str, origin: str, received: int) -> Landed:
    """Account for what is staged without looking at the lake: what a preview can know."""
    _drop_repeats(con, list(contract.columns))
    return _account(con, feed, origin, received)


def _drop_repeats(con: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> None:
    """Remove rows that the same landing repeats further on, key and content alike.

    The last of them is kept: what a source says last of a key must also stand last in the lake.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE removed_rows AS SELECT _position FROM {ROWS} LIMIT 0")
    listed = ", ".join(identifier(c) for c in columns)
    # A hash finds candidates in one light pass; only those are then compared in full.
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE repeat_hash AS SELECT h FROM (SELECT hash({listed}) AS h FROM {ROWS}) GROUP BY h HAVING count(*) > 1"
    )
    if not con.execute("SELECT count(*) FROM repeat_hash").fetchall()[0][0]:
        return
    _remove(
        con,
        f"SELECT rowid AS id FROM {ROWS} WHERE hash({listed}) IN (SELECT h FROM repeat_hash) "
        f"QUALIFY row_number() OVER (PARTITION BY {listed} ORDER BY _position DESC, rowid DESC) > 1",
    )


def _drop_known(con: duckdb.DuckDBPyConnection, provenance: Provenance) -> None:
    """Remove rows that the lake already holds for this feed, key and content alike.

    One kind stays: a row that ends what this landing says of its key, states no revision, and was followed in the lake by
    another content. The source went back (closed, then open again), and without that row the lake would not.
    """
    contract = provenance.contract
    event = contract.event_time
    ranges = "true"
    if event is not None:
        runs = _day_runs(con, event)
        if not runs:
            return
        ranges = " OR ".join(
            f"(r.{identifier(event)} >= TIMESTAMPTZ '{a.isoformat()}' AND r.{identifier(event)} < TIMESTAMPTZ '{b.isoformat()}')"
            for a, b in runs
        )
    table = f"{ALIAS}.raw.{identifier(contract.name)}"
    known = f"r.feed = ? AND ({ranges})"
    if not con.execute(f"SELECT 1 FROM {table} AS r WHERE {known} LIMIT 1", [provenance.feed]).fetchall():
        return
    same_key = " AND ".join(f"s.{identifier(c)} = r.{identifier(c)}" for c in contract.key)
    same_content = " AND ".join(
        f"s.{identifier(c)} IS NOT DISTINCT FROM r.{identifier(c)}" for c in contract.columns if c not in contract.key
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE known_rows AS "
        f"SELECT s.rowid AS id, max({{'seq': r.landing_seq, 'position': r.position}}) AS stored_at FROM {ROWS} AS s "
        f"JOIN {table} AS r ON {same_key} WHERE {same_content} AND {known} GROUP BY s.rowid",
        [provenance.feed],
    )
    if event is not None and event not in contract.key:
        known = "r.feed = ?"  # another revision of the key may be about another instant
    stated = f"s.{identifier(contract.revision)} IS NULL AND " if contract.revision else ""
    same_staged_key = " AND ".join(f"l.{identifier(c)} = s.{identifier(c)}" for c in contract.key)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE returned_rows AS "
        f"SELECT DISTINCT k.id FROM known_rows AS k JOIN {ROWS} AS s ON s.rowid = k.id JOIN {table} AS r ON {same_key} "
        f"WHERE {stated}{known} AND {{'seq': r.landing_seq, 'position': r.position}} > k.stored_at",
        [provenance.feed],
    )
    con.execute(
        f"DELETE FROM returned_rows WHERE id IN (SELECT s.rowid FROM {ROWS} AS s JOIN {ROWS} AS l ON {same_staged_key} "
        "WHERE s.rowid IN (SELECT id FROM returned_rows) AND (l._position, l.rowid) > (s._position, s.rowid))"
    )
    _remove(con, "SELECT id FROM known_rows WHERE id NOT IN (SELECT id FROM returned_rows)")


def _remove(con: duckdb.DuckDBPyConnection, ids: str) -> None:
    con.execute(f"CREATE OR REPLACE TEMP TABLE removed_ids AS {ids}")
    con.execute(f"INSERT INTO removed_rows SELECT _position FROM {ROWS} WHERE rowid IN (SELECT id FROM removed_ids)")
    con.execute(f"DELETE FROM {ROWS} WHERE rowid IN (SELECT id FROM removed_ids)")


def _day_runs(con: duckdb.DuckDBPyConnection, event: str) -> list[tuple[dt.datetime, dt.datetime]]:
    """Return the days that staged rows are about, as contiguous [start, end) ranges: literals prune files, sub-queries do not."""
    # floor: days before 1970 are negative, and a plain cast would round them towards zero, into the next day.
    day_number = f"CAST(floor(epoch({identifier(event)}) / 86400) AS BIGINT)"
    days = [int(r[0]) for r in con.execute(f"SELECT DISTINCT {day_number} AS day FROM {ROWS} ORDER BY day").fetchall()]
    if not days:
        return []
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][1]:
            runs[-1][1] = day + 1
        else:
            runs.append([day, day + 1])
    if len(runs) > _MAX_DAY_RUNS:
        runs = [[days[0], days[-1] + 1]]
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return [(epoch + dt.timedelta(days=a), epoch + dt.timedelta(days=b)) for a, b in runs]


def _account(con: duckdb.DuckDBPyConnection, feed: str, origin: str, received: int) -> Landed:
    """Count each bucket by itself: none is what is left of the others, so that a lost record shows."""

    def one(query: str) -> int:
        return int(con.execute(query).fetchall()[0][0])

    refused = f"SELECT _position FROM {REJECTS} WHERE scope = 'record'"
    reasons = dict(con.execute(f"SELECT reason, count(*) FROM {REJECTS} GROUP BY reason ORDER BY count(*) DESC, reason").fetchall())
    return Landed(
        feed=feed,
        origin=origin,
        landing_seq=None,
        received=received,
        stored=one(f"SELECT count(DISTINCT _position) FROM {ROWS}"),
        duplicate=one(f"SELECT count(*) FROM (SELECT _position FROM removed_rows EXCEPT SELECT _position FROM {ROWS})"),
        rejected=one(f"SELECT count(*) FROM (SELECT DISTINCT _position FROM ({refused}))"),
        rejected_values=one(f"SELECT count(*) FROM {REJECTS} WHERE scope = 'value'"),
        canonical_rows=one(f"SELECT count(*) FROM {ROWS}"),
        reasons=reasons,
    )


def _store_personal(con: duckdb.DuckDBPyConnection, address: LakeAddress, provenance: Provenance) -> None:
    """Write the personal columns of the records about to be stored into the personal lake."""
    attach(con, address, alias=_PERSONAL_ALIAS)
    try:
        con.execute(
            f"INSERT INTO {_PERSONAL_ALIAS}.raw.personal_record SELECT ?, ?, _position, payload, ?, ? FROM {PERSONAL} "
            f"WHERE payload IS NOT NULL AND _position IN (SELECT _position FROM {ROWS})",
            [provenance.feed, provenance.landing_id, provenance.received_at, provenance.received_on],
        )
    finally:
        con.execute(f"DETACH {_PERSONAL_ALIAS}")


def _insert(con: duckdb.DuckDBPyConnection, provenance: Provenance, counts: Landed) -> int:
    contract = provenance.contract
    seq = int(con.execute(f"SELECT coalesce(max(landing_seq), 0) + 1 FROM {ALIAS}.raw.landing").fetchall()[0][0])
    received_at, received_on = provenance.received_at, provenance.received_on
    columns = ", ".join(identifier(c) for c in contract.columns)
    con.execute(
        f"INSERT INTO {ALIAS}.raw.{identifier(contract.name)} ({columns}, feed, source, landing_seq, position, received_at, received_on) "
        f"SELECT {columns}, ?, ?, ?, _position, ?, ? FROM {ROWS}",
        [provenance.feed, provenance.source, seq, received_at, received_on],
    )
    con.execute(
        f"INSERT INTO {ALIAS}.raw.rejected (feed, landing_seq, position, scope, reason, detail, original, received_at, received_on) "
        f"SELECT ?, ?, _position, scope, reason, detail, original, ?, ? FROM {REJECTS}",
        [provenance.feed, seq, received_at, received_on],
    )
    event = identifier(contract.event_time) if contract.event_time else "CAST(NULL AS TIMESTAMPTZ)"
    con.execute(
        f"INSERT INTO {ALIAS}.raw.landing (landing_seq, landing_id, feed, contract, origin, digest, original, cursor, "
        "contract_digest, is_forced, started_at, received_at, received_on, received, stored, duplicate, rejected, rejected_values, "
        "canonical_rows, first_event_at, last_event_at) "
        f"SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, min({event}), max({event}) FROM {ROWS}",
        [
            seq,
            provenance.landing_id,
            provenance.feed,
            contract.name,
            provenance.origin,
            provenance.digest,
            provenance.original,
            provenance.cursor,
            provenance.contract_digest,
            provenance.is_forced,
            provenance.started_at,
            received_at,
            received_on,
            counts.received,
            counts.stored,
            counts.duplicate,
            counts.rejected,
            counts.rejected_values,
            counts.canonical_rows,
        ],
    )
    return seq
