"""What people read: views of the published schemas, pinned to the last build that passed its checks.

Here: repointing every view in one transaction, and saying what is published. Not here: building (dbt), the checks.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

import duckdb

from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect, identifier, literal

# Published schema, and the schema its tables are built in.
LAYERS: Final = {"core": "work_core", "indicators": "work_indicators", "open_data": "work_open_data"}


@dataclass(frozen=True)
class Publication:
    """One publication of the lake's tables."""

    build_id: str
    published_at: dt.datetime
    snapshot_id: int
    landing_seq: int
    tables: int


def publish(
    address: LakeAddress,
    build_id: str,
    tables: dict[str, dict[str, str]],
    landing_seq: int,
    *,
    published_at: dt.datetime,
    limits: EngineLimits = EngineLimits(),
) -> Publication:
    """Point the published views at what stands built now; the caller has checked it and holds the mutation lock.

    Args:
        address: the lake.
        build_id: which build.
        tables: per published schema, table name to its description; views of other names are withdrawn.
        landing_seq: the last landing the build saw.
        published_at: when.
        limits: what the engine may use.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=limits) as con:
        snapshot = int(con.execute(f"SELECT max(snapshot_id) FROM {ALIAS}.snapshots()").fetchall()[0][0])
        con.execute(f"USE {ALIAS}")
        con.execute("BEGIN")
        count = 0
        for schema, built_in in LAYERS.items():
            wanted = tables.get(schema, {})
            for name in _views(con, schema) - set(wanted):
                con.execute(f"DROP VIEW {schema}.{identifier(name)}")
            for name, description in sorted(wanted.items()):
                # Without the lake's alias: whoever attaches it under another name reads the same view.
                con.execute(
                    f"CREATE OR REPLACE VIEW {schema}.{identifier(name)} AS "
                    f"SELECT * FROM {built_in}.{identifier(name)} AT (VERSION => {snapshot})"
                )
                con.execute(f"COMMENT ON VIEW {schema}.{identifier(name)} IS {literal(description)}")
                count += 1
        con.execute(
            f"INSERT INTO {ALIAS}.raw.publication (build_id, published_at, snapshot_id, landing_seq, tables) VALUES (?, ?, ?, ?, ?)",
            [build_id, published_at, snapshot, landing_seq, count],
        )
        con.execute("COMMIT")
    return Publication(build_id, published_at, snapshot, landing_seq, count)


def last_publication(address: LakeAddress) -> Publication | None:
    """Return what people read now; None before the first build.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, read_only=True) as con:
        row = con.execute(
            f"SELECT build_id, published_at, snapshot_id, landing_seq, tables FROM {ALIAS}.raw.publication ORDER BY published_at DESC LIMIT 1"
        ).fetchone()
    return None if row is None else Publication(*row)


def _views(con: duckdb.DuckDBPyConnection, schema: str) -> set[str]:
    rows = con.execute("SELECT view_name FROM duckdb_views() WHERE database_name = ? AND schema_name = ?", [ALIAS, schema]).fetchall()
    return {str(r[0]) for r in rows}
