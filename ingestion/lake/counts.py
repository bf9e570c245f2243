"""How many rows and records there are, from the catalogue's statistics and the ledger; no data is read.

Here: counting. Not here: balances per feed (`ledger`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect, identifier

_LIMITS = EngineLimits(memory_limit="256MB", threads=1)


@dataclass(frozen=True)
class LandedSince:
    """What landed after a given landing, in source records."""

    totals: dict[str, int]
    first_received_on: dt.date | None


def landed_since(address: LakeAddress, landing_seq: int) -> LandedSince:
    """Return what landed after `landing_seq`.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        row = con.execute(
            "SELECT count(*), coalesce(sum(received), 0)::BIGINT, coalesce(sum(stored), 0)::BIGINT, coalesce(sum(duplicate), 0)::BIGINT, "
            f"coalesce(sum(rejected), 0)::BIGINT, min(received_on) FROM {ALIAS}.raw.landing WHERE landing_seq > ?",
            [landing_seq],
        ).fetchall()[0]
    names = ("landings", "received", "stored", "duplicate", "rejected")
    return LandedSince(dict(zip(names, map(int, row[:5]), strict=True)), row[5])


def table_rows(address: LakeAddress) -> dict[str, int]:
    """Return the number of rows of every table of the lake, by `schema.table`.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        names = con.execute("SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ?", [ALIAS]).fetchall()
        return {
            f"{s}.{t}": int(con.execute(f"SELECT count(*) FROM {ALIAS}.{identifier(s)}.{identifier(t)}").fetchall()[0][0]) for s, t in names
        }
