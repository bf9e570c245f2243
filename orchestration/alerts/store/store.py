"""The alarms: what changes them, and reading them.

Here: the one way in for engine, pages, APIs and commands; each call is one turn (`turn`). Not here: what an event makes of one alarm
(`orchestration.alerts.lifecycle`), what several alarms have to do with each other (`grouping`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from psycopg_pool import ConnectionPool

from ingestion.errors import VigieError
from orchestration.alerts import lifecycle
from orchestration.alerts.drafting import Draft
from orchestration.alerts.lifecycle import Written
from orchestration.alerts.model import Alarm, Change, Entry
from orchestration.alerts.store import grouping
from orchestration.alerts.store.rows import SELECT_ALARM, SELECT_ENTRY, to_alarm, to_entry
from orchestration.alerts.store.turn import Connection, Turn, taken

Compose = Callable[[Change], Draft]
Connect = Callable[[], contextlib.AbstractContextManager[Connection]]
# One page of the journal: what a feed sends at once.
PAGE: Final = 500


class NotThere(VigieError):
    """There is no alarm of that number."""


class Store:
    """The alarms of an instance.

    Args of the class: `connect` lends a connection for the time of one call: a pool's `connection`, or `one` of a process's own;
    `now` is the clock.
    """

    def __init__(self, connect: Connect, *, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._connect, self._now = connect, now

    @contextlib.contextmanager
    def turn(self) -> Iterator[Turn]:
        """Take a turn, for what needs several steps."""
        with self._connect() as con, taken(con, self._now()) as turn:
            yield turn

    # --- what the engine says

    def apply(self, changes: Sequence[Change], compose: Compose) -> list[Entry]:
        """Make alarms of what rules say, in order; what was told before changes nothing. Returns the lines it wrote.

        Args:
            changes: what rules say.
            compose: the alarm as rule and equipment describe it.

        Raises:
            psycopg.Error: the database does not answer: nothing was changed, and the same changes can be applied again.
        """
        with self.turn() as turn:
            last = turn.last_of([c.key for c in changes])
            for change in changes:
                found = last.get(change.key)
                if lifecycle.told(found, change):
                    continue
                saved = self._change(turn, found, change, compose)
                if saved is not None:
                    last[change.key] = saved
            return turn.entries

    @staticmethod
    def _change(turn: Turn, found: Alarm | None, change: Change, compose: Compose) -> Alarm | None:
        live = found if found is not None and found.closed_at is None else None
        if not change.is_active:
            if live is None:
                return None
            alarm = turn.save(lifecycle.returned(live, lifecycle.instant(change.at), turn.now))
            grouping.after_return(turn, alarm)
            return alarm
        if live is None and change.is_update:
            return None
        draft = compose(change)
        if live is None:
            alarm = turn.save(lifecycle.raised(found, draft.alarm, turn.now))
            grouping.after_raise(turn, alarm, draft)
        else:
            alarm = turn.save(lifecycle.reactivated(live, draft.alarm, turn.now))
            grouping.after_reactivation(turn, alarm, draft)
        return alarm

    # --- what people do

    def act(self, alarm_id: int, action: Callable[[Alarm, dt.datetime], Written]) -> tuple[Alarm, list[Entry]]:
        """Let somebody do something with an alarm: `store.act(7, lambda a, now: lifecycle.acknowledged(a, "anne", now))`.

        Raises:
            NotThere: there is no such alarm.
            WrongUse: the action is refused.
        """
        with self.turn() as turn:
            alarm = turn.one(alarm_id)
            if alarm is None:
                raise NotThere(f"there is no alarm {alarm_id}", remedy="vigie alerts list shows those that live")
            written = action(alarm, turn.now)
            saved = turn.save(written)
            if saved.closed_at is not None:
                grouping.after_return(turn, saved)
            return saved, turn.entries

    def tick(self, policy: grouping.Policy) -> list[Entry]:
        """Do what is due by the clock: shelvings that end, escalations, announced work, chattering that ended, floods. Repeatable."""
        with self.turn() as turn:
            grouping.tick(turn, policy)
            return turn.entries

    # --- reading

    def get(self, alarm_id: int) -> Alarm:
        """Return an alarm.

        Raises:
            NotThere: there is no such alarm.
        """
        found = self.select("alarm_id = %s", [alarm_id])
        if not found:
            raise NotThere(f"there is no alarm {alarm_id}", remedy="vigie alerts list shows those that live")
        return found[0]

    def live(self) -> list[Alarm]:
        """Return every alarm that is not closed, the most urgent first, the oldest first among equals."""
        return self.select("closed_at IS NULL ORDER BY priority, raised_at, alarm_id")

    def select(self, where: str, parameters: Sequence[Any] = ()) -> list[Alarm]:
        """Return the alarms a condition holds of; `where` is SQL of ours, never of a caller's input."""
        with self._connect() as con:
            return [to_alarm(row) for row in con.execute(f"{SELECT_ALARM} WHERE {where}", parameters)]

    def journal_of(self, alarm_id: int) -> list[Entry]:
        """Return an alarm's journal, the first line first."""
        return self._entries("alarm_id = %s ORDER BY seq", [alarm_id])

    def journal_after(self, seq: int, *, limit: int = PAGE) -> list[Entry]:
        """Return the lines after one, in order, at most so many: what a feed that has `seq` has missed."""
        return self._entries("seq > %s ORDER BY seq LIMIT %s", [seq, limit])

    def last_seq(self) -> int:
        """Return the number of the last line; 0 when there is none."""
        with self._connect() as con:
            row = con.execute("SELECT seq FROM alerts.head").fetchone()
            return int(row["seq"]) if row else 0

    def _entries(self, where: str, parameters: Sequence[Any]) -> list[Entry]:
        with self._connect() as con:
            return [to_entry(row) for row in con.execute(f"{SELECT_ENTRY} WHERE {where}", parameters)]


def open_pool(url: str, *, name: str, size: int = 4) -> ConnectionPool[Connection]:
    """Return a pool of connections for `Store`; it fills in the background, and makes connections anew when the database was away."""
    from psycopg.rows import dict_row  # noqa: PLC0415 - beside its only use

    return ConnectionPool(
        url, min_size=1, max_size=size, open=True, timeout=5, max_lifetime=3600, name=name, reconnect_timeout=0,
        kwargs={"autocommit": True, "row_factory": dict_row, "application_name": name, "connect_timeout": 3},
        check=ConnectionPool.check_connection,
    )  # fmt: skip
