"""Checks on landings: does the ledger add up, is the share of rejects plausible.

Here: what is asked and why. Not here: Dagster, which runs them and blocks on them; rules of a row (`ingestion.contracts`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect

# Past a twentieth of a landing, rejects are no longer accidents of typing: a column was renamed or a format changed.
MAX_REJECTED_SHARE: Final = 0.05
_LIMITS = EngineLimits(memory_limit="256MB", threads=1)


@dataclass(frozen=True)
class Outcome:
    """The answer of a check, with the numbers behind it."""

    passed: bool
    numbers: dict[str, int | float] = field(default_factory=dict)


def balance(address: LakeAddress, feed: str) -> Outcome:
    """Whether, for every landing of a feed, received = stored + duplicate + rejected, and the rejects are there.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        row = con.execute(
            f"SELECT count(*), coalesce(sum(received), 0)::BIGINT, coalesce(sum(stored), 0)::BIGINT, coalesce(sum(duplicate), 0)::BIGINT, "
            f"coalesce(sum(rejected), 0)::BIGINT, count(*) FILTER (WHERE received <> stored + duplicate + rejected) "
            f"FROM {ALIAS}.raw.landing WHERE feed = ?",
            [feed],
        ).fetchall()[0]
    names = ("landings", "received", "stored", "duplicate", "rejected", "unbalanced_landings")
    numbers: dict[str, int | float] = dict(zip(names, map(int, row), strict=True))
    return Outcome(numbers["unbalanced_landings"] == 0, numbers)


def rejected_share(address: LakeAddress, feed: str) -> Outcome:
    """Whether few records of a feed's last landing were rejected.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        row = con.execute(
            f"SELECT received, rejected FROM {ALIAS}.raw.landing WHERE feed = ? ORDER BY landing_seq DESC LIMIT 1", [feed]
        ).fetchone()
    if row is None or row[0] == 0:
        return Outcome(passed=True, numbers={"received": 0, "rejected": 0})
    share = row[1] / row[0]
    return Outcome(share <= MAX_REJECTED_SHARE, {"received": int(row[0]), "rejected": int(row[1]), "share": round(share, 4)})
