"""Signs of life of the processes of the alerts and of feeds, in the store.

Here: writing and reading them. Not here: what is done about silence.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from psycopg.types.json import Jsonb

from orchestration.alerts.store.turn import Connection

_BEAT = (
    "INSERT INTO alerts.heartbeat (name, at, details) VALUES (%s, %s, %s) ON CONFLICT (name) DO UPDATE "
    "SET at = greatest(alerts.heartbeat.at, excluded.at), details = excluded.details"
)


def beat(con: Connection, names: Iterable[tuple[str, dt.datetime, Mapping[str, Any]]]) -> None:
    """Write signs of life: (name, when, what there is to say: `trouble`, `backlog`…)."""
    with con.pipeline(), con.cursor() as cursor:
        cursor.executemany(_BEAT, [(name, at, Jsonb(dict(details))) for name, at, details in names])


def beats(con: Connection) -> dict[str, tuple[dt.datetime, dict[str, Any]]]:
    """Return the last sign of life of each name: `engine`, `deliveries`, `feed:NAME`."""
    return {row["name"]: (row["at"], row["details"]) for row in con.execute("SELECT name, at, details FROM alerts.heartbeat")}
