"""The tables of the raw schema: canonical rows, rejects, the ledger.

Here: their definitions and their creation. Not here: reference tables (`ingestion.reference`), writing (`writer`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Final

import duckdb
import psycopg
from psycopg import sql

from ingestion.contracts.canonical import CONTRACTS
from ingestion.lake import reference
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, CREATE_LOCK, advisory_lock, attach, catalogue, identifier, open_engine

PROVENANCE: Final = {
    "feed": "VARCHAR",
    "source": "VARCHAR",
    "landing_seq": "BIGINT",
    "position": "BIGINT",
    "received_at": "TIMESTAMPTZ",
    "received_on": "DATE",
}

LANDING: Final = {
    "landing_seq": "BIGINT",
    "landing_id": "VARCHAR",
    "feed": "VARCHAR",
    "contract": "VARCHAR",
    "origin": "VARCHAR",
    "digest": "VARCHAR",
    "original": "VARCHAR",
    "stream": "VARCHAR",
    "first_stream_seq": "BIGINT",
    "last_stream_seq": "BIGINT",
    "cursor": "VARCHAR",
    "contract_digest": "VARCHAR",
    "is_forced": "BOOLEAN",
    "started_at": "TIMESTAMPTZ",
    "received_at": "TIMESTAMPTZ",
    "received_on": "DATE",
    "received": "BIGINT",
    "stored": "BIGINT",
    "duplicate": "BIGINT",
    "rejected": "BIGINT",
    "rejected_values": "BIGINT",
    "canonical_rows": "BIGINT",
    "first_event_at": "TIMESTAMPTZ",
    "last_event_at": "TIMESTAMPTZ",
}

REJECTED: Final = {
    "feed": "VARCHAR",
    "landing_seq": "BIGINT",
    "position": "BIGINT",
    "scope": "VARCHAR",
    "reason": "VARCHAR",
    "detail": "VARCHAR",
    "original": "VARCHAR",
    "received_at": "TIMESTAMPTZ",
    "received_on": "DATE",
}

# One row per message of a stream, as it was received; its payload is NULL where it may hold personal data (see the personal lake).
MESSAGE: Final = {
    "feed": "VARCHAR",
    "landing_seq": "BIGINT",
    "stream": "VARCHAR",
    "partition": "INTEGER",
    "stream_seq": "BIGINT",
    "topic": "VARCHAR",
    "published_at": "TIMESTAMPTZ",
    "payload": "VARCHAR",
    "is_base64": "BOOLEAN",
    "first_position": "BIGINT",
    "records": "BIGINT",
    "received_at": "TIMESTAMPTZ",
    "received_on": "DATE",
}

# How far each partition of each stream is stored: updated in the transaction of the rows.
STREAM_CURSOR: Final = {"stream": "VARCHAR", "partition": "INTEGER", "last_seq": "BIGINT", "updated_at": "TIMESTAMPTZ"}

# In the personal lake only. The landing's id, not its number: a landing that never committed has no number of its own.
PERSONAL_RECORD: Final = {
    "feed": "VARCHAR",
    "landing_id": "VARCHAR",
    "position": "BIGINT",
    "payload": "VARCHAR",
    "received_at": "TIMESTAMPTZ",
    "received_on": "DATE",
}

# In the personal lake only: messages of feeds with personal columns, and of feeds that nobody knows.
PERSONAL_MESSAGE: Final = {
    "feed": "VARCHAR",
    "landing_id": "VARCHAR",
    "stream": "VARCHAR",
    "partition": "INTEGER",
    "stream_seq": "BIGINT",
    "payload": "VARCHAR",
    "is_base64": "BOOLEAN",
    "received_at": "TIMESTAMPTZ",
    "received_on": "DATE",
}

# One row per publication: which snapshot people read, since when, and what had landed by then.
PUBLICATION: Final = {
    "build_id": "VARCHAR",
    "published_at": "TIMESTAMPTZ",
    "snapshot_id": "BIGINT",
    "landing_seq": "BIGINT",
    "tables": "BIGINT",
}

# One row per build whose models and tests all passed.
BUILD: Final = {
    "build_id": "VARCHAR",
    "finished_at": "TIMESTAMPTZ",
    "snapshot_id": "BIGINT",
    "landing_seq": "BIGINT",
    "inputs_digest": "VARCHAR",
}

# One row per line of the journal of alarms, with what indicators need of the alarm as it stood after it. Without comments, texts and
# names: `actor` is a role. `feed` is the journal's own (`ledger.JOURNAL`); `alarm_feed` that of the signal, where one is known.
ALARM_JOURNAL: Final = {
    "seq": "BIGINT",
    "alarm_id": "BIGINT",
    "kind": "VARCHAR",
    "at": "TIMESTAMPTZ",
    "happened_at": "TIMESTAMPTZ",
    "actor": "VARCHAR",
    "alarm_key": "VARCHAR",
    "rule": "VARCHAR",
    "priority": "INTEGER",
    "domain": "VARCHAR",
    "fault_type": "VARCHAR",
    "alarm_feed": "VARCHAR",
    "source": "VARCHAR",
    "asset_ref": "VARCHAR",
    "asset_id": "VARCHAR",
    "asset_type": "VARCHAR",
    "commune": "VARCHAR",
    "owner_authority": "VARCHAR",
    "state": "VARCHAR",
    "is_active": "BOOLEAN",
    "is_acknowledged": "BOOLEAN",
    "is_presented": "BOOLEAN",
    "suppressed_by": "VARCHAR",
    "parent_id": "BIGINT",
    "is_shelved": "BOOLEAN",
    "is_out_of_service": "BOOLEAN",
    "is_chattering": "BOOLEAN",
    "activations": "INTEGER",
    "escalation": "INTEGER",
    "started_at": "TIMESTAMPTZ",
    "raised_at": "TIMESTAMPTZ",
    "first_raised_at": "TIMESTAMPTZ",
    "acknowledged_at": "TIMESTAMPTZ",
    "returned_at": "TIMESTAMPTZ",
    "closed_at": "TIMESTAMPTZ",
    "arrive_by": "TIMESTAMPTZ",
    "safe_by": "TIMESTAMPTZ",
    "restore_by": "TIMESTAMPTZ",
    "feed": "VARCHAR",
    "landing_seq": "BIGINT",
    "received_at": "TIMESTAMPTZ",
    "received_on": "DATE",
}

# The order of rows within a file: what the indicators filter and group by. Over 20 M observations it made full scans 2 to 6
# times faster and the look-up of one asset 10 times, for some two seconds per six million rows landed.
SORTED_BY: Final = {"observation": ("property", "asset_ref", "observed_at"), "energy_reading": ("meter_ref", "start_at")}
# A third smaller than DuckLake's default (snappy) on noisy values, and no slower to read.
COMPRESSION: Final = "zstd"

SCHEMAS: Final = ("raw", "core", "indicators", "open_data")


def raw_tables() -> dict[str, dict[str, str]]:
    """Return every raw table's columns and types, by name."""
    return {name: {**c.columns, **PROVENANCE} for name, c in CONTRACTS.items()} | {
        "landing": LANDING,
        "rejected": REJECTED,
        "message": MESSAGE,
        "stream_cursor": STREAM_CURSOR,
        "build": BUILD,
        "publication": PUBLICATION,
        "alarm_journal": ALARM_JOURNAL,
    }


def create_lake(address: LakeAddress) -> None:
    """Create the lake's catalogue, schemas and raw tables; harmless when they exist.

    Columns that a newer version of a contract adds are added to the table. It runs before workers start, and alone.

    Raises:
        VigieError: the catalogue does not answer.
    """

    def create(con: duckdb.DuckDBPyConnection) -> None:
        for schema in SCHEMAS:
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {ALIAS}.{schema}")
        for name, columns in raw_tables().items():
            _create(con, "raw", name, columns, partition="received_on" if "received_on" in columns and name != "landing" else None)
        reference.create(con)

    _create_once(address, [COMPRESSION, SCHEMAS, raw_tables(), reference.TABLES], create)


def create_personal_lake(address: LakeAddress) -> None:
    """Create the personal lake, which readers never attach.

    Raises:
        VigieError: the catalogue does not answer.
    """

    def create(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {ALIAS}.raw")
        for name, columns in personal_tables.items():
            _create(con, "raw", name, columns, partition="received_on")

    personal_tables = {"personal_record": PERSONAL_RECORD, "personal_message": PERSONAL_MESSAGE}
    _create_once(address, [COMPRESSION, personal_tables], create)


def _create_once(address: LakeAddress, definition: object, create: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    """Create a lake's tables, unless a comment on its catalogue says that they are already those of this definition.

    Every command makes sure of its tables: opening an engine to find them all there would cost each of them a second.
    """
    stamp = f"vigie {hashlib.sha256(json.dumps(definition).encode()).hexdigest()}"
    schema = address.metadata_schema
    with catalogue(address) as pg:
        if _stamp(pg, schema) == stamp:
            return
        with advisory_lock(address, CREATE_LOCK):
            con = open_engine(address.extension_directory)
            try:
                attach(con, address)
                con.execute(f"CALL {ALIAS}.set_option('parquet_compression', '{COMPRESSION}')")
                create(con)
            finally:
                con.close()
            pg.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(schema), sql.Literal(stamp)))


def _stamp(pg: psycopg.Connection[tuple[object, ...]], schema: str) -> object:
    row = pg.execute("SELECT obj_description(to_regnamespace(%s), 'pg_namespace')", [schema]).fetchone()
    return None if row is None else row[0]


def _create(con: duckdb.DuckDBPyConnection, schema: str, name: str, columns: dict[str, str], *, partition: str | None) -> None:
    table = f"{ALIAS}.{schema}.{identifier(name)}"
    present = dict(
        con.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ?",
            [ALIAS, schema, name],
        ).fetchall()
    )
    if not present:
        # In the transaction that creates it: ALTER of a table that holds inlined rows fails.
        body = ", ".join(f"{identifier(c)} {t}" for c, t in columns.items())
        con.execute("BEGIN")
        con.execute(f"CREATE TABLE {table} ({body})")
        if partition is not None:
            con.execute(f"ALTER TABLE {table} SET PARTITIONED BY ({identifier(partition)})")
        if name in SORTED_BY:
            con.execute(f"ALTER TABLE {table} SET SORTED BY ({', '.join(f'{identifier(c)} ASC' for c in SORTED_BY[name])})")
        con.execute("COMMIT")
        return
    for column, sql_type in columns.items():
        if column not in present:
            con.execute(f"ALTER TABLE {table} ADD COLUMN {identifier(column)} {sql_type}")
