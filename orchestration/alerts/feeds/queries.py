"""Which alarms are asked for, and the pages they come in.

Here: filters as SQL, cursors, the figures of load. Not here: addresses (`api`).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from dataclasses import dataclass
from typing import Any, Final

from ingestion.errors import WrongUse
from orchestration.alerts.model import Alarm, State
from orchestration.alerts.store.store import Connect, Store

_STATES: Final = {
    State.CLOSED: "closed_at IS NOT NULL",
    State.RETURNED: "(closed_at IS NULL AND NOT is_active)",
    State.ACKNOWLEDGED: "(closed_at IS NULL AND is_active AND is_acknowledged)",
    State.UNACKNOWLEDGED: "(closed_at IS NULL AND is_active AND NOT is_acknowledged)",
}
_PRESENTED: Final = (
    "(closed_at IS NULL AND shelved_until IS NULL AND suppressed_by IS NULL AND NOT is_out_of_service AND parent_id IS NULL)"
)
# The wall's order: the most urgent first, the oldest first among equals.
_ORDER: Final = "priority, raised_at, alarm_id"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; None asks for all. Without states: those that are not closed."""

    states: tuple[State, ...] = ()
    priorities: tuple[int, ...] = ()
    domains: tuple[str, ...] = ()
    commune: str | None = None
    rule: str | None = None
    asset: str | None = None
    since: dt.datetime | None = None
    is_presented: bool | None = None
    is_shelved: bool | None = None
    is_suppressed: bool | None = None
    text: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Return a condition, and its parameters."""
        conditions, parameters = ["closed_at IS NULL"], list[Any]()
        if self.states:
            conditions = [f"({' OR '.join(_STATES[s] for s in dict.fromkeys(self.states))})"]
        for sql, value in (
            ("priority = ANY(%s)", list(self.priorities) or None),
            ("domain = ANY(%s)", list(self.domains) or None),
            ("commune ILIKE %s", _escaped(self.commune)),
            ("rule = %s", self.rule),
            ("raised_at >= %s", self.since),
        ):
            if value is not None:
                conditions.append(sql)
                parameters.append(value)
        if self.asset is not None:
            conditions.append("%s IN (asset_ref, asset_id, source || '|' || asset_ref)")
            parameters.append(self.asset)
        for word in (self.text or "").split():
            conditions.append("concat_ws(' ', title, message, asset_name, asset_ref, street, commune) ILIKE %s")
            parameters.append(f"%{_escaped(word)}%")
        for sql, holds in (
            (_PRESENTED, self.is_presented), ("shelved_until IS NOT NULL", self.is_shelved),
            ("suppressed_by IS NOT NULL", self.is_suppressed),
        ):  # fmt: skip
            if holds is not None:
                conditions.append(f"({sql})" if holds else f"NOT ({sql})")
        return " AND ".join(conditions), parameters


def page(store: Store, wanted: Wanted, *, limit: int, cursor: str | None = None) -> tuple[list[Alarm], str | None]:
    """Return a page of alarms and the cursor of the next; None when there is none.

    Raises:
        WrongUse: the cursor is not one of ours.
    """
    where, parameters = wanted.where()
    if cursor is not None:
        where += f" AND ({_ORDER}) > (%s, %s, %s)"
        parameters += _place(cursor)
    found = store.select(f"{where} ORDER BY {_ORDER} LIMIT %s", [*parameters, limit + 1])
    return found[:limit], _cursor(found[limit - 1]) if len(found) > limit else None


def load(connect: Connect, *, hours: int, now: dt.datetime) -> list[dict[str, Any]]:
    """Return what was raised and what operators were shown, by spans of ten minutes, the oldest first."""
    sql = """
        WITH raised AS (
            SELECT j.seq, j.at, (j.alarm->>'priority')::int AS priority,
                (j.alarm->>'is_presented')::boolean AND NOT EXISTS (
                    -- told in the same turn: it was never seen
                    SELECT FROM alerts.journal AS hid
                    WHERE hid.alarm_id = j.alarm_id AND hid.seq > j.seq AND hid.at = j.at AND hid.kind IN ('suppressed', 'out_of_service')
                ) AS is_presented
            FROM alerts.journal AS j
            WHERE j.at >= %(start)s AND j.kind IN ('raised', 'reactivated')
        ),
        spans AS (SELECT generate_series(%(start)s, %(end)s, interval '10 minutes') AS span)
        SELECT span, count(seq) AS raised, count(seq) FILTER (WHERE is_presented) AS presented,
            count(seq) FILTER (WHERE is_presented AND priority = 1) AS critical
        FROM spans LEFT JOIN raised ON at >= span AND at < span + interval '10 minutes'
        GROUP BY span ORDER BY span
    """
    end = now.replace(minute=now.minute // 10 * 10, second=0, microsecond=0)
    with connect() as con:
        rows = con.execute(sql, {"start": end - dt.timedelta(hours=hours), "end": end}).fetchall()
    return [{"start": r["span"].astimezone(dt.UTC).isoformat(), **{k: r[k] for k in ("raised", "presented", "critical")}} for r in rows]


def _escaped(text: str | None) -> str | None:
    """Return a text that ILIKE takes by the letter."""
    return None if text is None else text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _cursor(alarm: Alarm) -> str:
    place = json.dumps([alarm.priority, alarm.raised_at.isoformat(), alarm.alarm_id])
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str) -> list[Any]:
    try:
        priority, raised_at, alarm_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return [int(priority), dt.datetime.fromisoformat(raised_at), int(alarm_id)]
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise WrongUse("the cursor is not one of this API", remedy="send `next` of the last page as it is") from error
