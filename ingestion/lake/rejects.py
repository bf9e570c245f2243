"""What a feed rejected, and why.

Here: reading `raw.rejected`. Not here: rejecting (`writer`, decoders, mappings), landing again (`ingestion.stream.replay`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect

_LIMITS = EngineLimits(memory_limit="256MB", threads=2)


@dataclass(frozen=True)
class Reason:
    """Why a feed's records (scope `record`) or single values of them (`value`) were rejected, and how many.

    Attributes:
        last_at: when the last of them was received (UTC).
    """

    scope: str
    reason: str
    rejected: int
    last_at: dt.datetime


@dataclass(frozen=True)
class Reject:
    """One rejected record or value.

    Attributes:
        origin: its message's topic; for a file, the file. `None` where neither is kept any more.
        position: number of the record within its landing, from 1.
        original: JSON, personal columns left out; `None` where nothing of it may be shown.
    """

    received_at: dt.datetime
    origin: str | None
    position: int
    scope: str
    reason: str
    detail: str | None
    original: str | None


def reasons(address: LakeAddress, feed: str) -> list[Reason]:
    """Return why a feed's records and values were rejected, the most frequent first; empty when none was.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        rows = con.execute(
            f"SELECT scope, reason, count(*), max(received_at) FROM {ALIAS}.raw.rejected WHERE feed = ? GROUP BY ALL ORDER BY 3 DESC, 1, 2",
            [feed],
        ).fetchall()
    return [Reason(*row) for row in rows]


def latest(address: LakeAddress, feed: str, limit: int) -> list[Reject]:
    """Return the last rejects of a feed, the newest first.

    Raises:
        VigieError: the lake does not answer.
    """
    query = f"""
        WITH reject AS (SELECT * FROM {ALIAS}.raw.rejected WHERE feed = ? ORDER BY landing_seq DESC, position DESC LIMIT ?)
        SELECT r.received_at, coalesce(m.topic, CASE WHEN l.stream IS NULL THEN l.origin END), r.position, r.scope, r.reason, r.detail,
            r.original
        FROM reject AS r
        LEFT JOIN {ALIAS}.raw.landing AS l ON l.landing_seq = r.landing_seq AND l.feed = r.feed
        LEFT JOIN {ALIAS}.raw.message AS m ON m.feed = r.feed AND m.landing_seq = r.landing_seq
            AND r.position >= m.first_position AND r.position < m.first_position + m.records
        ORDER BY r.landing_seq DESC, r.position DESC
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        return [Reject(*row) for row in con.execute(query, [feed, limit]).fetchall()]
