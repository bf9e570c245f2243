"""Alarms and journal lines as rows of PostgreSQL, and back.

Here: columns are the attributes of `Alarm`, by name. Not here: any statement that changes something (`store`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from psycopg.types.json import Jsonb

from orchestration.alerts.model import Alarm, Entry, Kind, Step

COLUMNS: Final = tuple(f.name for f in fields(Alarm))
_JSON: Final = frozenset({"details", "procedure", "work_orders"})
_INSTANTS: Final = frozenset(f.name for f in fields(Alarm) if "datetime" in str(f.type) and "list" not in str(f.type))

SELECT_ALARM: Final = f"SELECT {', '.join(COLUMNS)} FROM alerts.alarm"
INSERT_ALARM: Final = f"INSERT INTO alerts.alarm ({', '.join(COLUMNS)}) VALUES ({', '.join(f'%({c})s' for c in COLUMNS)})"
UPDATE_ALARM: Final = (
    f"UPDATE alerts.alarm SET {', '.join(f'{c} = %({c})s' for c in COLUMNS if c != 'alarm_id')} WHERE alarm_id = %(alarm_id)s"
)
SELECT_ENTRY: Final = "SELECT seq, alarm_id, kind, at, happened_at, actor, comment, details, alarm FROM alerts.journal"
INSERT_ENTRY: Final = (
    "INSERT INTO alerts.journal (seq, alarm_id, kind, at, happened_at, actor, comment, details, alarm) VALUES "
    "(%(seq)s, %(alarm_id)s, %(kind)s, %(at)s, %(happened_at)s, %(actor)s, %(comment)s, %(details)s, %(alarm)s)"
)


def to_row(alarm: Alarm) -> dict[str, Any]:
    """Return an alarm as the parameters of a statement."""
    row = {name: getattr(alarm, name) for name in COLUMNS}
    row["procedure"] = [{**asdict(s), "done_at": s.done_at.isoformat() if s.done_at else None} for s in alarm.procedure]
    return {name: Jsonb(value) if name in _JSON else value for name, value in row.items()}


def to_alarm(row: Mapping[str, Any]) -> Alarm:
    """Return the alarm of a row."""
    values = {name: row[name] for name in COLUMNS}
    values["procedure"] = [_step(step) for step in row["procedure"]]
    return Alarm(**values)


def from_snapshot(document: Mapping[str, Any]) -> Alarm:
    """Return the alarm of a journal line, as it stood then."""
    values = {name: document[name] for name in COLUMNS if name in document}
    for name in _INSTANTS:
        if values.get(name) is not None:
            values[name] = dt.datetime.fromisoformat(values[name])
    values["recent"] = [dt.datetime.fromisoformat(at) for at in document.get("recent", [])]
    values["procedure"] = [_step(step) for step in document.get("procedure", [])]
    return Alarm(**values)


def _step(step: Mapping[str, Any]) -> Step:
    done_at = step.get("done_at")
    return Step(step["text"], step.get("call"), dt.datetime.fromisoformat(done_at) if done_at else None, step.get("done_by"))


def entry_row(entry: Entry) -> dict[str, Any]:
    """Return a journal line as the parameters of a statement."""
    return {
        "seq": entry.seq, "alarm_id": entry.alarm_id, "kind": str(entry.kind), "at": entry.at, "happened_at": entry.happened_at,
        "actor": entry.actor, "comment": entry.comment, "details": Jsonb(entry.details), "alarm": Jsonb(entry.alarm),
    }  # fmt: skip


def to_entry(row: Mapping[str, Any]) -> Entry:
    """Return the journal line of a row."""
    return Entry(
        Kind(row["kind"]), row["at"], row["actor"], row["alarm"], row["alarm_id"], row["seq"], row["happened_at"], row["comment"],
        row["details"],
    )  # fmt: skip
