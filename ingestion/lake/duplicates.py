"""Duplicates: rows that a landing repeats, and rows that the lake already holds for the feed, key and content alike.

Here: setting them aside in the staged tables. Not here: counting and committing what is left (`writer`). Rows are compared, not their
hashes: docs/decisions/0004.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import duckdb

from ingestion.contracts.canonical import Contract
from ingestion.lake.session import ALIAS, identifier

ROWS: Final = "staged_rows"
# History is searched for duplicates by runs of hours or days; past this many runs one range over all of them costs less to plan.
_MAX_RUNS: Final = 24


@dataclass(frozen=True)
class Part:
    """The rows of one contract that a landing holds: `rows` has `_position` and the contract's columns."""

    contract: Contract
    rows: str = ROWS

    @property
    def removed(self) -> str:
        """The table of the positions of rows set aside as duplicates."""
        return f"removed_{self.rows}"


def drop_repeats(con: duckdb.DuckDBPyConnection, parts: Iterable[Part]) -> None:
    """Remove rows that the same landing repeats further on, key and content alike.

    The last of them is kept: what a source says last of a key must also stand last in the lake.
    """
    for part in parts:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {part.removed} AS SELECT _position FROM {part.rows} LIMIT 0")
        listed = ", ".join(identifier(c) for c in part.contract.columns)
        # A hash finds candidates in one light pass; only those are then compared in full.
        con.execute(
            "CREATE OR REPLACE TEMP TABLE repeat_hash AS "
            f"SELECT h FROM (SELECT hash({listed}) AS h FROM {part.rows}) GROUP BY h HAVING count(*) > 1"
        )
        if not con.execute("SELECT count(*) FROM repeat_hash").fetchall()[0][0]:
            continue
        _remove(
            con,
            part,
            f"SELECT rowid AS id FROM {part.rows} WHERE hash({listed}) IN (SELECT h FROM repeat_hash) "
            f"QUALIFY row_number() OVER (PARTITION BY {listed} ORDER BY _position DESC, rowid DESC) > 1",
        )


def drop_known(con: duckdb.DuckDBPyConnection, feed: str, part: Part) -> None:
    """Remove rows that the lake already holds for this feed, key and content alike.

    One kind stays: a row that ends what this landing says of its key, states no revision, and was followed in the lake by
    another content. The source went back (closed, then open again), and without that row the lake would not.
    """
    contract, rows = part.contract, part.rows
    event = contract.event_time
    ranges = "true"
    if event is not None:
        runs = _runs(con, rows, event)
        if not runs:
            return
        ranges = " OR ".join(
            f"(r.{identifier(event)} >= TIMESTAMPTZ '{a.isoformat()}' AND r.{identifier(event)} < TIMESTAMPTZ '{b.isoformat()}')"
            for a, b in runs
        )
    table = f"{ALIAS}.raw.{identifier(contract.name)}"
    known = f"r.feed = ? AND ({ranges})"
    if not con.execute(f"SELECT 1 FROM {table} AS r WHERE {known} LIMIT 1", [feed]).fetchall():
        return
    same_key = " AND ".join(f"s.{identifier(c)} = r.{identifier(c)}" for c in contract.key)
    same_content = " AND ".join(
        f"s.{identifier(c)} IS NOT DISTINCT FROM r.{identifier(c)}" for c in contract.columns if c not in contract.key
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE known_rows AS "
        f"SELECT s.rowid AS id, max({{'seq': r.landing_seq, 'position': r.position}}) AS stored_at FROM {rows} AS s "
        f"JOIN {table} AS r ON {same_key} WHERE {same_content} AND {known} GROUP BY s.rowid",
        [feed],
    )
    if event is not None and event not in contract.key:
        known = "r.feed = ?"  # another revision of the key may be about another instant
    stated = f"s.{identifier(contract.revision)} IS NULL AND " if contract.revision else ""
    same_staged_key = " AND ".join(f"l.{identifier(c)} = s.{identifier(c)}" for c in contract.key)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE returned_rows AS "
        f"SELECT DISTINCT k.id FROM known_rows AS k JOIN {rows} AS s ON s.rowid = k.id JOIN {table} AS r ON {same_key} "
        f"WHERE {stated}{known} AND {{'seq': r.landing_seq, 'position': r.position}} > k.stored_at",
        [feed],
    )
    con.execute(
        f"DELETE FROM returned_rows WHERE id IN (SELECT s.rowid FROM {rows} AS s JOIN {rows} AS l ON {same_staged_key} "
        "WHERE s.rowid IN (SELECT id FROM returned_rows) AND (l._position, l.rowid) > (s._position, s.rowid))"
    )
    _remove(con, part, "SELECT id FROM known_rows WHERE id NOT IN (SELECT id FROM returned_rows)")


def _remove(con: duckdb.DuckDBPyConnection, part: Part, ids: str) -> None:
    con.execute(f"CREATE OR REPLACE TEMP TABLE removed_ids AS {ids}")
    con.execute(f"INSERT INTO {part.removed} SELECT _position FROM {part.rows} WHERE rowid IN (SELECT id FROM removed_ids)")
    con.execute(f"DELETE FROM {part.rows} WHERE rowid IN (SELECT id FROM removed_ids)")


def _runs(con: duckdb.DuckDBPyConnection, rows: str, event: str) -> list[tuple[dt.datetime, dt.datetime]]:
    """Return the time that staged rows are about, as contiguous [start, end) ranges: literals prune files, sub-queries do not.

    By the hour where that makes few ranges (what a stream lands each minute must not read its day), else by the day.
    """
    for step in (3600, 86400):
        # floor: instants before 1970 are negative, and a plain cast would round them towards zero, into the next step.
        number = f"CAST(floor(epoch({identifier(event)}) / {step}) AS BIGINT)"
        steps = [int(r[0]) for r in con.execute(f"SELECT DISTINCT {number} AS step FROM {rows} ORDER BY step").fetchall()]
        if not steps:
            return []
        runs: list[list[int]] = []
        for at in steps:
            if runs and at == runs[-1][1]:
                runs[-1][1] = at + 1
            else:
                runs.append([at, at + 1])
        if len(runs) <= _MAX_RUNS:
            break
    else:
        runs = [[steps[0], steps[-1] + 1]]
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return [(epoch + dt.timedelta(seconds=a * step), epoch + dt.timedelta(seconds=b * step)) for a, b in runs]
