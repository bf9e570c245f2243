"""The tables of the alerts: made where they are missing.

Here: applying `schema.sql`. Not here: the databases themselves (`orchestration.services.databases`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psycopg

from ingestion.errors import VigieError

_SCHEMA: Final = Path(__file__).with_name("schema.sql")
# Any number that is the same in every version: two processes at once would both find a table missing.
_ADVISORY_LOCK: Final = 0x5649_4741_4C  # "VIGAL"


def prepare(url: str) -> None:
    """Make the tables. Repeatable; processes may race.

    Raises:
        VigieError: the database refuses.
    """
    try:
        with psycopg.connect(url, connect_timeout=3, application_name="vigie-alerts") as con:
            con.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
            con.execute(_SCHEMA.read_bytes())
    except psycopg.Error as error:
        raise VigieError(
            f"the tables of the alerts could not be made: {str(error).strip()}", remedy="vigie status, vigie doctor"
        ) from error
