"""One turn at the alarms: a transaction in which one writer alone reads, changes and writes the journal.

Here: taking turns, numbering, telling readers. Not here: what is changed (`store`, `orchestration.alerts.lifecycle`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from orchestration.alerts.lifecycle import Written
from orchestration.alerts.model import Alarm, Entry
from orchestration.alerts.store.rows import INSERT_ALARM, INSERT_ENTRY, SELECT_ALARM, UPDATE_ALARM, entry_row, to_alarm, to_row

CHANNEL: Final = "alerts"
# Turns take milliseconds; who waits longer than this waits behind something that is broken.
_PATIENCE: Final = "10s"

Connection = psycopg.Connection[dict[str, Any]]


class Turn:
    """What one writer sees and changes. Made by `taken`.

    Attributes:
        con: the connection, inside the transaction.
        now: when the turn was taken: what is recorded in it bears this instant.
        entries: the lines written so far, numbered.
    """

    def __init__(self, con: Connection, seq: int, alarm_id: int, now: dt.datetime) -> None:
        self.con, self.now = con, now
        self._first_seq = self._seq = seq
        self._alarm_id = alarm_id
        self._new: dict[int, Alarm] = {}
        self._changed: dict[int, Alarm] = {}
        self.entries: list[Entry] = []

    def last_of(self, keys: Sequence[str]) -> dict[str, Alarm]:
        """Return the last alarm of each key, live or closed, as this turn has left it."""
        sql = f"SELECT DISTINCT ON (key) * FROM ({SELECT_ALARM} WHERE key = ANY(%s)) AS of_keys ORDER BY key, alarm_id DESC"
        return {alarm.key: alarm for alarm in self.select_sql(sql, [list(keys)])}

    def one(self, alarm_id: int) -> Alarm | None:
        """Return an alarm by its number."""
        return next(iter(self.select("alarm_id = %s", [alarm_id])), None)

    def select(self, where: str, parameters: Sequence[Any] = ()) -> list[Alarm]:
        """Return the alarms a condition holds of, as this turn has left them (the condition is tested on what was stored before it)."""
        return self.select_sql(f"{SELECT_ALARM} WHERE {where}", parameters)

    def select_sql(self, sql: str, parameters: Sequence[Any]) -> list[Alarm]:
        """Return the alarms of a statement that selects all their columns."""
        found = [to_alarm(row) for row in self.con.execute(sql, parameters)]
        return [self._changed.get(a.alarm_id) or self._new.get(a.alarm_id) or a for a in found]

    def save(self, written: Written) -> Alarm:
        """Keep an alarm and its lines; a new alarm gets its number."""
        alarm = written.alarm
        if not alarm.alarm_id:
            self._alarm_id += 1
            alarm.alarm_id = self._alarm_id
            self._new[alarm.alarm_id] = alarm
        elif alarm.alarm_id not in self._new:
            self._changed[alarm.alarm_id] = alarm
        for entry in written.entries:
            self._seq += 1
            alarm.updated_seq = self._seq
            numbered = {**entry.alarm, "alarm_id": alarm.alarm_id, "updated_seq": self._seq}
            self.entries.append(replace(entry, seq=self._seq, alarm_id=alarm.alarm_id, alarm=numbered))
        return alarm

    def write(self) -> None:
        """Send what changed to the database; the transaction's commit makes it so, and wakes the readers."""
        if not (self._new or self._changed):
            return
        with self.con.pipeline(), self.con.cursor() as cursor:
            if self._new:
                cursor.executemany(INSERT_ALARM, [to_row(a) for a in self._new.values()])
            if self._changed:
                cursor.executemany(UPDATE_ALARM, [to_row(a) for a in self._changed.values()])
            if self.entries:
                cursor.executemany(INSERT_ENTRY, [entry_row(e) for e in self.entries])
            cursor.execute("UPDATE alerts.head SET seq = %s, alarm_id = %s", [self._seq, self._alarm_id])
            if self.entries:
                cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, f"{self._first_seq + 1}:{self._seq}"])


@contextlib.contextmanager
def taken(con: Connection, now: dt.datetime | None = None) -> Iterator[Turn]:
    """Take a turn: what is saved in it is committed at its end, or nothing is.

    Args:
        con: a connection with `dict_row`.
        now: what time it is; the clock's time if absent.

    Raises:
        psycopg.Error: the database refuses, is gone, or another writer holds the turn for too long; nothing was changed.
    """
    with con.transaction():
        con.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
        row = con.execute("SELECT seq, alarm_id FROM alerts.head FOR UPDATE").fetchone()
        if row is None:
            raise AssertionError("alerts.head is empty: the schema makes its line")
        turn = Turn(con, row["seq"], row["alarm_id"], now or dt.datetime.now(dt.UTC))
        yield turn
        turn.write()


def connect(url: str, *, name: str) -> Connection:
    """Open a connection of its own, for a process that goes on when the database was away.

    Raises:
        psycopg.OperationalError: it does not answer.
    """
    return psycopg.connect(url, autocommit=True, row_factory=dict_row, connect_timeout=3, application_name=name)
