"""The journal of alarms, from the application's database to the lake.

Here: what of a line may leave, reading it. Not here: appending (`ingestion.lake.alarm_journal`), when (`orchestration.assets.alarms`),
what is made of it (dbt).

People's words and names stay behind: no comment, no text of an alarm, and of who acted only the kind: `operateur` (a person with an
account), `vigie` (the platform by itself), `systeme` (another system).
"""

from __future__ import annotations

from typing import Final

import psycopg
import pyarrow as pa

from ingestion.errors import VigieError
from ingestion.lake import alarm_journal, tables
from orchestration.alerts.model import PLATFORM
from orchestration.settings import Settings

# Lines of one transaction: half a second of work, some 30 MB. A day of a command post writes fewer.
BATCH: Final = 20_000

_TEXTS: Final = (
    "rule", "domain", "fault_type", "source", "asset_ref", "asset_id", "asset_type", "commune", "owner_authority", "state", "suppressed_by",
)  # fmt: skip
_FLAGS: Final = ("is_active", "is_acknowledged", "is_presented", "is_out_of_service", "is_chattering")
_WHOLE: Final = {"priority": "integer", "parent_id": "bigint", "activations": "integer", "escalation": "integer"}
_INSTANTS: Final = (
    "started_at", "raised_at", "first_raised_at", "acknowledged_at", "returned_at", "closed_at", "arrive_by", "safe_by", "restore_by",
)  # fmt: skip
# What leaves is named one by one: a word that is added to the alarms stays in the application until somebody adds it here.
_SELECT: Final = f"""
    SELECT j.seq, j.alarm_id, j.kind, j.at, j.happened_at,
        CASE WHEN j.actor = %(platform)s THEN 'vigie' WHEN p.login IS NOT NULL THEN 'operateur' ELSE 'systeme' END AS actor,
        j.alarm->>'key' AS alarm_key, j.alarm->'details'->>'feed' AS alarm_feed, j.alarm->>'shelved_until' IS NOT NULL AS is_shelved,
        {", ".join(f"j.alarm->>'{name}' AS {name}" for name in _TEXTS)},
        {", ".join(f"(j.alarm->>'{name}')::boolean AS {name}" for name in _FLAGS)},
        {", ".join(f"(j.alarm->>'{name}')::{kind} AS {name}" for name, kind in _WHOLE.items())},
        {", ".join(f"(j.alarm->>'{name}')::timestamptz AS {name}" for name in _INSTANTS)}
    FROM alerts.journal AS j LEFT JOIN alerts.person AS p ON p.login = j.actor
    WHERE j.seq > %(after)s ORDER BY j.seq LIMIT %(limit)s
"""


def land(settings: Settings, *, batch: int = BATCH) -> int:
    """Bring the journal's lines that the lake does not hold yet into it, and return how many.

    Raises:
        VigieError: the application's database or the lake does not answer, or the two are not of one moment (see `append`).
    """
    lines = 0
    try:
        with psycopg.connect(settings.app_url.get_secret_value(), connect_timeout=3, application_name="vigie-alarm-journal") as pg:
            pg.autocommit = True
            written = _written(pg)
            held = alarm_journal.last_line(settings.lake)
            if written < held:
                raise VigieError(
                    f"the journal of alarms ends at line {written}, but the lake holds it up to line {held}",
                    remedy="the application's database is older than the lake: restore both from the same moment",
                )
            while written > held:
                landed = alarm_journal.append(settings.lake, lambda after: read(pg, after, batch))
                if landed is None:
                    break
                held = landed.last_seq
                lines += landed.lines
    except psycopg.Error as error:
        raise VigieError(
            f"the journal of alarms cannot be read: {str(error).strip()}", remedy="vigie status says whether the database runs"
        ) from error
    return lines


def read(pg: psycopg.Connection[tuple[object, ...]], after: int, limit: int) -> pa.Table:
    """Return lines of the journal after a number, in order, as `alarm_journal.append` takes them."""
    cursor = pg.execute(_SELECT, {"platform": PLATFORM, "after": after, "limit": limit})
    names = [column.name for column in cursor.description or []]
    rows = cursor.fetchall()
    return pa.table(
        {name: pa.array([row[i] for row in rows], type=_arrow(name)) for i, name in enumerate(names)}
    ).select(list(alarm_journal.COLUMNS))  # fmt: skip


def _arrow(name: str) -> pa.DataType:
    match tables.ALARM_JOURNAL[name]:
        case "BIGINT":
            return pa.int64()
        case "INTEGER":
            return pa.int32()
        case "BOOLEAN":
            return pa.bool_()
        case "TIMESTAMPTZ":
            return pa.timestamp("us", tz="UTC")
        case _:
            return pa.string()


def _written(pg: psycopg.Connection[tuple[object, ...]]) -> int:
    """Return the number of the journal's last line; 0 where there are no alarms yet, as in an instance that was never started."""
    if pg.execute("SELECT to_regclass('alerts.head')").fetchone() == (None,):
        return 0
    row = pg.execute("SELECT seq FROM alerts.head").fetchone()
    return int(str(row[0])) if row else 0
