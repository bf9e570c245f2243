"""What the ledger says: for every feed, received = stored + duplicate + rejected.

Here: reading `raw.landing`. Not here: writing it (`writer`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect

# The ledger is small; a status must not take the machine's memory from a landing.
_LIMITS = EngineLimits(memory_limit="256MB", threads=2)
# The name under which the journal of alarms has its lines in the ledger. No feed can have it: names of feeds have no dot.
JOURNAL: Final = "vigie.alarm-journal"


@dataclass(frozen=True)
class FeedTotals:
    """A feed's account since its first landing, in source records."""

    received: int
    stored: int
    duplicate: int
    rejected: int
    rejected_values: int
    landings: int
    last_landing_at: dt.datetime

    @property
    def balances(self) -> bool:
        """Whether every received record is accounted for."""
        return self.received == self.stored + self.duplicate + self.rejected


def feed_totals(address: LakeAddress) -> dict[str, FeedTotals]:
    """Return every feed's account, by feed; the platform's own journal of alarms is no feed.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        rows = con.execute(
            "SELECT feed, sum(received)::BIGINT, sum(stored)::BIGINT, sum(duplicate)::BIGINT, sum(rejected)::BIGINT, "
            "sum(rejected_values)::BIGINT, count(*), max(received_at) "
            f"FROM {ALIAS}.raw.landing WHERE feed <> ? GROUP BY feed ORDER BY feed",
            [JOURNAL],
        ).fetchall()
    return {str(r[0]): FeedTotals(*r[1:]) for r in rows}


def last_landing_seq(address: LakeAddress) -> int:
    """Return the number of the last landing, 0 when nothing has landed.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        return int(con.execute(f"SELECT coalesce(max(landing_seq), 0) FROM {ALIAS}.raw.landing").fetchall()[0][0])
