"""What people read: views of the published schemas, pinned to the last build that passed its checks.

Here: repointing every view in one transaction, and saying what is published. Not here: building (dbt), the checks.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

import duckdb

from ingestion.lake.address import LakeAddress
from ingestion.lake.builds import Build
from ingestion.lake.session import ALIAS, EngineLimits, connect, identifier, literal

# Published schema, and the schema its tables are built in.
LAYERS: Final = {"core": "work_core", "indicators": "work_indicators", "open_data": "work_open_data"}

_LIMITS: Final = EngineLimits(memory_limit="256MB", threads=1)


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
    build: Build,
    tables: dict[str, dict[str, str]],
    *,
    published_at: dt.datetime,
    limits: EngineLimits = EngineLimits(),
) -> Publication:
    """Point the published views at a build; an older build never replaces a newer one.

    Args:
        address: the lake.
        build: the build, which passed its checks.
        tables: per published schema, table name to its description; views of other names are withdrawn.
        published_at: when.
        limits: what the engine may use.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=limits) as con:
        con.execute(f"USE {ALIAS}")
        con.execute("BEGIN")
        current = _latest(con)
        if current is not None and current.snapshot_id >= build.snapshot_id:
            con.execute("ROLLBACK")
            return current
        count = 0
        for schema, built_in in LAYERS.items():
            wanted = tables.get(schema, {})
            for name in _views(con, schema) - set(wanted):
                con.execute(f"DROP VIEW {schema}.{identifier(name)}")
            for name, description in sorted(wanted.items()):
                # Without the lake's alias: whoever attaches it under another name reads the same view.
                con.execute(
                    f"CREATE OR REPLACE VIEW {schema}.{identifier(name)} AS "
                    f"SELECT * FROM {built_in}.{identifier(name)} AT (VERSION => {build.snapshot_id})"
                )
                con.execute(f"COMMENT ON VIEW {schema}.{identifier(name)} IS {literal(description)}")
                count += 1
        con.execute(
            f"INSERT INTO {ALIAS}.raw.publication (build_id, published_at, snapshot_id, landing_seq, tables) VALUES (?, ?, ?, ?, ?)",
            [build.build_id, published_at, build.snapshot_id, build.landing_seq, count],
        )
        con.execute("COMMIT")
    return Publication(build.build_id, published_at, build.snapshot_id, build.landing_seq, count)


@dataclass(frozen=True)
class Standing:
    """Where the lake stands: what has landed, what people read, and what that was made from.

    Attributes:
        landing_seq: the last landing; 0 when nothing has landed.
        publication: what people read; None before the first build.
        inputs_digest: of the published build; None when it was not a whole build as of its time.
    """

    landing_seq: int
    publication: Publication | None
    inputs_digest: str | None


def standing(address: LakeAddress) -> Standing:
    """Return where the lake stands, in one look.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        landed = int(con.execute(f"SELECT coalesce(max(landing_seq), 0) FROM {ALIAS}.raw.landing").fetchall()[0][0])
        publication = _latest(con)
        digest = None
        if publication is not None:
            row = con.execute(
                f"SELECT inputs_digest FROM {ALIAS}.raw.build WHERE build_id = ? AND snapshot_id = ?",
                [publication.build_id, publication.snapshot_id],
            ).fetchone()
            digest = None if row is None else row[0]
        return Standing(landed, publication, digest)


def last_publication(address: LakeAddress) -> Publication | None:
    """Return what people read now; None before the first build.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        return _latest(con)


def _latest(con: duckdb.DuckDBPyConnection) -> Publication | None:
    row = con.execute(
        f"SELECT build_id, published_at, snapshot_id, landing_seq, tables FROM {ALIAS}.raw.publication ORDER BY snapshot_id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Publication(*row)


def _views(con: duckdb.DuckDBPyConnection, schema: str) -> set[str]:
    rows = con.execute("SELECT view_name FROM duckdb_views() WHERE database_name = ? AND schema_name = ?", [ALIAS, schema]).fetchall()
    return {str(r[0]) for r in rows}
