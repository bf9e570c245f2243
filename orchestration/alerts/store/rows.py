"""Alarms and journal lines as rows of PostgreSQL, and back.

Here: columns are the attributes of `Alarm`, by name. Not here: any statement that changes something (`store`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

import msgspec
from psycopg.types.json import Jsonb

from orchestration.alerts.lifecycle import snapshot
from orchestration.alerts.model import Alarm, Entry, Kind, Step

COLUMNS: Final = tuple(f.name for f in fields(Alarm))
_INSTANTS: Final = frozenset(f.name for f in fields(Alarm) if "datetime" in str(f.type) and "list" not in str(f.type))

SELECT_ALARM: Final = f"SELECT {', '.join(COLUMNS)} FROM alerts.alarm"
# Alarms and lines go to the database as one JSON document, however many there are: a statement of 70 parameters costs the client more.
INSERT_ALARMS: Final = (
    f"INSERT INTO alerts.alarm ({', '.join(COLUMNS)}) SELECT {', '.join(COLUMNS)} FROM jsonb_populate_recordset(NULL::alerts.alarm, %s)"
)
_CHANGED: Final = tuple(c for c in COLUMNS if c != "alarm_id")
UPDATE_ALARMS: Final = (
    f"UPDATE alerts.alarm AS a SET {', '.join(f'{c} = new.{c}' for c in _CHANGED)} "
    "FROM jsonb_populate_recordset(NULL::alerts.alarm, %s) AS new WHERE a.alarm_id = new.alarm_id"
)
SELECT_ENTRY: Final = "SELECT seq, alarm_id, kind, at, happened_at, actor, comment, details, alarm FROM alerts.journal"
INSERT_ENTRIES: Final = (
    "INSERT INTO alerts.journal (seq, alarm_id, kind, at, happened_at, actor, comment, details, alarm) "
    "SELECT seq, alarm_id, kind, at, happened_at, actor, comment, details, alarm FROM jsonb_populate_recordset(NULL::alerts.journal, %s)"
)


def alarms_document(alarms: Iterable[Alarm]) -> Jsonb:
    """Return alarms as the parameter of a statement."""
    return Jsonb([snapshot(alarm) for alarm in alarms], dumps=msgspec.json.encode)


def entries_document(entries: Iterable[Entry]) -> Jsonb:
    """Return journal lines as the parameter of a statement."""
    return Jsonb(list(entries), dumps=msgspec.json.encode)


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


def to_entry(row: Mapping[str, Any]) -> Entry:
    """Return the journal line of a row."""
    return Entry(
        Kind(row["kind"]), row["at"], row["actor"], row["alarm"], row["alarm_id"], row["seq"], row["happened_at"], row["comment"],
        row["details"],
    )  # fmt: skip
