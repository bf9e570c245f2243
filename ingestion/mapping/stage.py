"""A compiled contract, run: one pass over a source table into the staged tables that the lake writer takes.

Here: staging, unpivoting of wide tables, personal payloads. Not here: the SQL of a mapping (`compile`), duplicates and
committing (`ingestion.lake.writer`).
"""

from __future__ import annotations

import logging

import duckdb

from ingestion.contracts.canonical import Contract
from ingestion.errors import BadFile
from ingestion.feeds.model import Feed
from ingestion.formats import SourceTable
from ingestion.lake.duplicates import ROWS
from ingestion.lake.session import identifier, literal
from ingestion.lake.writer import PERSONAL, REJECTS
from ingestion.mapping.compile import Compiled, compile_feed

_log = logging.getLogger(__name__)


def prepare(con: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Create the empty staged tables of a landing."""
    columns = ", ".join(f"{identifier(c)} {t}" for c, t in contract.columns.items())
    con.execute(f"CREATE OR REPLACE TEMP TABLE {ROWS} (_position BIGINT, {columns})")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {REJECTS} (_position BIGINT, scope VARCHAR, reason VARCHAR, detail VARCHAR, original VARCHAR)"
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE {PERSONAL} (_position BIGINT, payload VARCHAR)")


def stage(con: duckdb.DuckDBPyConnection, feed: Feed, source: SourceTable, *, after: int = 0) -> int:
    """Stage one source table; return how many source records it holds.

    Args:
        con: where the source table is and the staged tables were prepared.
        feed: the contract.
        source: the records.
        after: the position of the last record staged before, for the members of an archive.

    Raises:
        WrongUse: the contract does not fit the source.
        BadFile: the source turns out to be unreadable while it is read.
    """
    compiled = compile_feed(feed, source.columns, source.relation, con)
    try:
        con.execute(f"CREATE OR REPLACE TEMP TABLE staged AS {compiled.select}")
    except (duckdb.InvalidInputException, duckdb.IOException, duckdb.ConversionException) as error:
        raise BadFile(
            f"{source.member or 'the file'} cannot be read as {source.format}: {str(error).splitlines()[0]}",
            remedy="look at the file; if its format is right, state it in the contract (format: …)",
        ) from error
    records = _count(con, "staged")
    _rejects(con, compiled, after)
    if compiled.personal:
        _personal(con, compiled, after)
    if compiled.measures:
        _warn_of_lost_measures(con, feed, source, compiled)
        _unpivot(con, compiled, after)
    elif compiled.personal or after:
        _rows(con, compiled, after)
    else:
        _take_over(con)
    con.execute("DROP TABLE IF EXISTS staged")
    return records + _bad_records(con, feed, source, after)


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def _kept(compiled: Compiled) -> dict[str, str]:
    """Canonical column to its expression over the staged table; personal ones hold nothing in the main lake."""
    return {n: f"CAST(NULL AS {t})" if n in compiled.personal else identifier(n) for n, t in compiled.columns.items()}


def _rows(con: duckdb.DuckDBPyConnection, compiled: Compiled, after: int) -> None:
    kept = _kept(compiled)
    con.execute(
        f"INSERT INTO {ROWS} (_position, {', '.join(map(identifier, kept))}) "
        f"SELECT _position + {after}, {', '.join(kept.values())} FROM staged WHERE _reason IS NULL"
    )


def _take_over(con: duckdb.DuckDBPyConnection) -> None:
    """Make the staged table itself the rows: a copy of six million would cost a second and 300 MB."""
    con.execute("DELETE FROM staged WHERE _reason IS NOT NULL")
    for column in ("_reason", "_detail", "_original"):
        con.execute(f"ALTER TABLE staged DROP COLUMN {column}")
    con.execute(f"DROP TABLE {ROWS}")
    con.execute(f"ALTER TABLE staged RENAME TO {ROWS}")


def _rejects(con: duckdb.DuckDBPyConnection, compiled: Compiled, after: int) -> None:
    con.execute(
        f"INSERT INTO {REJECTS} SELECT _position + {after}, 'record', _reason, _detail, _original FROM staged WHERE _reason IS NOT NULL"
    )
    for m in compiled.measures:
        con.execute(
            f"INSERT INTO {REJECTS} SELECT _position + {after}, 'value', {identifier(m.reason)}, {identifier(m.detail)}, "
            f"CAST(to_json({{{literal(m.measure.column)}: {identifier(m.raw)}}}) AS VARCHAR) "
            f"FROM staged WHERE _reason IS NULL AND {identifier(m.reason)} IS NOT NULL"
        )


def _warn_of_lost_measures(con: duckdb.DuckDBPyConnection, feed: Feed, source: SourceTable, compiled: Compiled) -> None:
    """Say when a measure loses every value it has: that is a wrong unit, bound or format, and no matter of single values."""
    counts = ", ".join(f"count({identifier(m.value)}), count({identifier(m.reason)})" for m in compiled.measures)
    (found,) = con.execute(f"SELECT {counts} FROM staged WHERE _reason IS NULL").fetchall()
    for m, kept, lost in zip(compiled.measures, found[::2], found[1::2], strict=True):
        if lost and not kept:
            detail = con.execute(f"SELECT any_value({identifier(m.detail)}) FROM staged WHERE _reason IS NULL").fetchall()[0][0]
            where = f" of {source.member}" if source.member else ""
            _log.warning(
                "feed %s: every value of %r%s is set aside (%s; for instance %s): are its unit and bounds right?",
                *(feed.feed, m.measure.column, where, f"{lost:,}", detail),
            )


def _unpivot(con: duckdb.DuckDBPyConnection, compiled: Compiled, after: int) -> None:
    kept = _kept(compiled)
    names = ", ".join(map(identifier, kept))
    for m in compiled.measures:
        value, text = ("value_text", "value") if m.measure.text else ("value", "value_text")
        con.execute(
            f"INSERT INTO {ROWS} (_position, {names}, property, {value}, {text}, unit) "
            f"SELECT _position + {after}, {', '.join(kept.values())}, {literal(m.measure.property)}, {identifier(m.value)}, NULL, "
            f"{literal(m.unit) if m.unit else 'NULL'} FROM staged WHERE _reason IS NULL AND {identifier(m.value)} IS NOT NULL"
        )
    # A record whose measures were all set aside has no row left: it is a rejected record, not a lost one.
    nothing = " AND ".join(f"{identifier(m.value)} IS NULL" for m in compiled.measures)
    con.execute(
        f"INSERT INTO {REJECTS} SELECT _position + {after}, 'record', 'no_value', 'no measure of the record could be read', NULL "
        f"FROM staged WHERE _reason IS NULL AND {nothing}"
    )


def _personal(con: duckdb.DuckDBPyConnection, compiled: Compiled, after: int) -> None:
    payload = ", ".join(f"{literal(n)}: CAST({identifier(n)} AS VARCHAR)" for n in compiled.personal)
    con.execute(
        f"INSERT INTO {PERSONAL} SELECT _position + {after}, CAST(to_json({{{payload}}}) AS VARCHAR) FROM staged WHERE _reason IS NULL"
    )


def _bad_records(con: duckdb.DuckDBPyConnection, feed: Feed, source: SourceTable, after: int) -> int:
    """Take over the records that the format itself could not split; a feed with personal columns keeps no text of them."""
    if source.bad_records is None:
        return 0
    original = "NULL" if feed.personal_columns else "original"
    before = _count(con, REJECTS)
    con.execute(f"INSERT INTO {REJECTS} SELECT _position + {after}, 'record', reason, detail, {original} FROM {source.bad_records} AS bad")
    return _count(con, REJECTS) - before
