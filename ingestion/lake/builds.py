"""Builds that passed: which snapshot holds one, and what had landed.

Here: reading and writing `raw.build`. Not here: building, pointing views at a build (`publish`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect

_LIMITS = EngineLimits(memory_limit="256MB", threads=1)


@dataclass(frozen=True)
class Build:
    """One build whose models and tests all passed.

    Attributes:
        build_id: the run that made it.
        finished_at: when.
        snapshot_id: the snapshot that holds it.
        landing_seq: the last landing it saw.
        inputs_digest: what it was made from beside the landings (contracts, declared files, models); `None` when it was not a whole
            build as of now, so that nothing may be skipped because of it.
    """

    build_id: str
    finished_at: dt.datetime
    snapshot_id: int
    landing_seq: int
    inputs_digest: str | None


def next_build(address: LakeAddress) -> int:
    """Return the last landing, which a build starting now is to see.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        return int(con.execute(f"SELECT coalesce(max(landing_seq), 0) FROM {ALIAS}.raw.landing").fetchall()[0][0])


def record_build(address: LakeAddress, build_id: str, landing_seq: int, *, finished_at: dt.datetime, inputs_digest: str | None) -> Build:
    """Record that the lake, as it stands, holds a build that passed; the caller holds the mutation lock.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS) as con:
        snapshot = int(con.execute(f"SELECT max(snapshot_id) FROM {ALIAS}.snapshots()").fetchall()[0][0])
        con.execute(
            f"INSERT INTO {ALIAS}.raw.build (build_id, finished_at, snapshot_id, landing_seq, inputs_digest) VALUES (?, ?, ?, ?, ?)",
            [build_id, finished_at, snapshot, landing_seq, inputs_digest],
        )
    return Build(build_id, finished_at, snapshot, landing_seq, inputs_digest)


def find_build(address: LakeAddress, build_id: str) -> Build | None:
    """Return a build that passed, if it did.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        row = con.execute(
            f"SELECT build_id, finished_at, snapshot_id, landing_seq, inputs_digest FROM {ALIAS}.raw.build "
            "WHERE build_id = ? ORDER BY snapshot_id DESC LIMIT 1",
            [build_id],
        ).fetchone()
    return None if row is None else Build(*row)
