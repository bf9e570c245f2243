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


def balances(address: LakeAddress) -> dict[str, Outcome]:
    """Whether, for every landing of each feed, received = stored + duplicate + rejected.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        rows = con.execute(
            "SELECT feed, count(*), sum(received)::BIGINT, sum(stored)::BIGINT, sum(duplicate)::BIGINT, sum(rejected)::BIGINT, "
            f"count(*) FILTER (WHERE received <> stored + duplicate + rejected) FROM {ALIAS}.raw.landing GROUP BY feed"
        ).fetchall()
    names = ("landings", "received", "stored", "duplicate", "rejected", "unbalanced_landings")
    found: dict[str, Outcome] = {}
    for feed, *counts in rows:
        numbers: dict[str, int | float] = dict(zip(names, map(int, counts), strict=True))
        found[str(feed)] = Outcome(numbers["unbalanced_landings"] == 0, numbers)
    return found


def rejected_shares(address: LakeAddress) -> dict[str, Outcome]:
    """Whether few records of each feed's last landing were rejected.

    Raises:
        VigieError: the lake does not answer.
    """
    with connect(address, limits=_LIMITS, read_only=True) as con:
        rows = con.execute(
            f"SELECT feed, arg_max(received, landing_seq), arg_max(rejected, landing_seq) FROM {ALIAS}.raw.landing GROUP BY feed"
        ).fetchall()
    found: dict[str, Outcome] = {}
    for feed, received, rejected in rows:
        share = rejected / received if received else 0.0
        found[str(feed)] = Outcome(
            share <= MAX_REJECTED_SHARE, {"received": int(received), "rejected": int(rejected), "share": round(share, 4)}
        )
    return found
