"""When each feed was last heard, of feeds that land in batch or were heard before the engine started.

Here: asking the lake's ledger. Not here: messages as they come (`process`), what silence means (`orchestration.sensors`).
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import duckdb

from ingestion.errors import VigieError
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect

_LIMITS: Final = EngineLimits(memory_limit="128MB", threads=1)
# The ledger is partitioned by day: what is older than any feed's usual pause costs nothing to leave out.
_LOOKS_BACK: Final = dt.timedelta(days=8)


def last_landings(lake: LakeAddress, now: dt.datetime) -> dict[str, dt.datetime]:
    """Return when each feed last landed within eight days (UTC).

    Raises:
        VigieError: the lake does not answer.
    """
    sql = f"SELECT feed, max(received_at) FROM {ALIAS}.raw.landing WHERE received_on >= ? GROUP BY feed"
    with connect(lake, limits=_LIMITS, read_only=True) as con:
        try:
            return dict(con.execute(sql, [(now - _LOOKS_BACK).date()]).fetchall())
        except duckdb.Error as error:
            raise VigieError(f"the ledger cannot be read: {str(error).splitlines()[0]}", remedy="vigie status") from error
