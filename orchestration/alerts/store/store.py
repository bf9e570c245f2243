"""The alarms: what changes them, and reading them.

Here: the one way in for engine, pages, APIs and commands; each call is one turn (`turn`). Not here: what an event makes of one alarm
(`orchestration.alerts.lifecycle`), what several alarms have to do with each other (`grouping`), what the clock brings (`due`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from ingestion.errors import VigieError
from orchestration.alerts import lifecycle
from orchestration.alerts.drafting import Composer, Draft, describe
from orchestration.alerts.lifecycle import Written
from orchestration.alerts.model import PLATFORM, Alarm, Change, Entry, Priority
from orchestration.alerts.store import due, grouping, suppressions
from orchestration.alerts.store.around import Around, around
from orchestration.alerts.store.due import Policy
from orchestration.alerts.store.grouping import Compose
from orchestration.alerts.store.planned import Planned
from orchestration.alerts.store.rows import SELECT_ALARM, SELECT_ENTRY, to_alarm, to_entry
from orchestration.alerts.store.suppressions import MAINTENANCE, OUT_OF_SERVICE, About, Suppression, to_suppression
from orchestration.alerts.store.turn import NOTICES_LOSS, Connection, Turn, taken

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
        """Take a turn, for what needs several steps. Read `turn.entries` after it."""
        with self._connect() as con, taken(con, self._now) as turn:
            yield turn
            grouping.settle(turn)

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
            new = [c for c in changes if not lifecycle.told(last.get(c.key), c)]
            news = _News(turn, {id(c): compose(c) for c in new if c.is_active}, compose)
            for change in new:
                found = last.get(change.key)
                saved = None if lifecycle.told(found, change) else news.change(found, change)
                if saved is not None:
                    last[change.key] = saved
        return turn.entries

    def describe(self, compose: Composer) -> list[Entry]:
        """Say of live alarms what the referential has come to know of their equipment since they were raised. Repeatable."""
        unknown = "closed_at IS NULL AND asset_ref IS NOT NULL AND asset_id IS NULL"
        if not any(compose.directory.get((a.source or "", a.asset_ref or "")) for a in self.select(unknown)):
            return []
        with self.turn() as turn:
            for alarm in turn.select(f"{unknown} ORDER BY alarm_id"):
                key = (alarm.source or "", alarm.asset_ref or "")
                if (equipment := compose.directory.get(key)) is not None:
                    describe(alarm, equipment, compose.ancestors(key), compose.rules.get(alarm.rule))
                    turn.save(lifecycle.described(alarm, turn.now))
        return turn.entries

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
            saved = turn.save(action(alarm, turn.now))
            if saved.closed_at is not None:
                grouping.after_return(turn, saved)
        return saved, turn.entries

    def tick(self, policy: Policy) -> list[Entry]:
        """Do what is due by the clock: shelvings that end, escalations, announced work, chattering that ended, floods. Repeatable.

        Where nothing is due it takes no turn: call it each second.
        """
        with self._connect() as con:
            if not due.is_due(con, self._now()):
                return []
        with self.turn() as turn:
            due.tick(turn, policy)
        return turn.entries

    # --- suppression by design

    def declare_maintenance(
        self, about: About, *, starts_at: dt.datetime, ends_at: dt.datetime, reason: str, actor: str
    ) -> tuple[Suppression, list[Entry]]:
        """Announce work: alarms it concerns, those that stand and those to come, are suppressed while it lasts, and still recorded.

        Raises:
            WrongUse: it is about everything, has no reason, or ends before it begins, or in the past.
        """
        with self.turn() as turn:
            declared = due.declare(turn, MAINTENANCE, about, starts_at, ends_at, reason, actor)
        return declared, turn.entries

    def end_maintenance(self, suppression_id: int, actor: str) -> tuple[Suppression, list[Entry]]:
        """End announced work early, or call it off.

        Raises:
            NoSuppression: there is none of that number, or it is over.
        """
        return self._end(MAINTENANCE, suppression_id, actor)

    def put_out_of_service(self, about: About, *, reason: str, actor: str) -> tuple[Suppression, list[Entry]]:
        """Take equipment, a feed or a rule out of service: its alarms are recorded, and shown to nobody, until `put_back`.

        Raises:
            WrongUse: it is about everything, or has no reason.
        """
        with self.turn() as turn:
            declared = due.declare(turn, OUT_OF_SERVICE, about, turn.now, None, reason, actor)
        return declared, turn.entries

    def put_back(self, suppression_id: int, actor: str) -> tuple[Suppression, list[Entry]]:
        """Put back into service what was out of it.

        Raises:
            NoSuppression: there is none of that number, or it was put back.
        """
        return self._end(OUT_OF_SERVICE, suppression_id, actor)

    def suppressions(self, kind: str, *, is_over: bool = False) -> list[Suppression]:
        """Return announced work (`maintenance`) or what is `out_of_service`: present and to come, or over; the first to begin first."""
        where = "lifted_at IS NOT NULL" if is_over else "lifted_at IS NULL"
        with self._connect() as con:
            rows = con.execute(f"{suppressions.SELECT} WHERE kind = %s AND {where} ORDER BY starts_at, suppression_id", [kind])
            return [to_suppression(row) for row in rows]

    def sync_planned(self, works: Sequence[Planned]) -> list[Entry]:
        """Make the announced work that comes from the territory's file be what the file says now; what it no longer says is called off."""
        with self.turn() as turn:
            stored = {Planned(s.about, s.starts_at, s.ends_at, s.reason): s for s in due.of_file(turn) if s.ends_at is not None}
            wanted = {w for w in works if w.ends_at > turn.now}
            for work, suppression in stored.items():
                if work not in wanted and work.ends_at > turn.now:
                    due.call_off(turn, suppression, PLATFORM)
            for work in sorted(wanted - set(stored), key=str):
                due.declare(turn, MAINTENANCE, work.about, work.starts_at, work.ends_at, work.reason, PLATFORM, origin="file")
        return turn.entries

    def _end(self, kind: str, suppression_id: int, actor: str) -> tuple[Suppression, list[Entry]]:
        with self.turn() as turn:
            ended = due.call_off(turn, due.declared(turn, kind, suppression_id), actor)
        return ended, turn.entries

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

    def select(self, where: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Alarm]:
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


class _News:
    """What rules say in one turn: what stands around the alarms is looked up once for all of them, when the first must be placed."""

    def __init__(self, turn: Turn, drafts: Mapping[int, Draft], compose: Compose) -> None:
        self._turn, self._drafts, self._compose = turn, drafts, compose
        self._near: Around | None = None

    def change(self, found: Alarm | None, change: Change) -> Alarm | None:
        """Make of a change what it means for the last alarm of its key; returns the alarm, if there is one."""
        turn, live = self._turn, found if found is not None and found.closed_at is None else None
        if not change.is_active:
            if live is None:
                return None
            alarm = turn.save(lifecycle.returned(live, lifecycle.instant(change.at), turn.now))
            grouping.after_return(turn, alarm)
            return alarm
        if live is None and change.is_update:
            return None
        draft = self._drafts[id(change)]
        if live is None:
            alarm = turn.save(lifecycle.raised(found, draft.alarm, turn.now))
            self._place(alarm, draft)
            return alarm
        was_active, was_shown = live.is_active, live.is_presented
        alarm = turn.save(lifecycle.reactivated(live, draft.alarm, turn.now))
        if was_active:
            is_due = alarm.priority == Priority.CRITICAL and alarm.suppressed_by in {"parent", "flood"}
        else:  # what chatters does not ring again; what a flood holds stays there
            is_due = not (alarm.is_chattering and was_shown) and alarm.suppressed_by != "flood"
        if is_due:
            self._place(alarm, draft)
        return alarm

    def _place(self, alarm: Alarm, draft: Draft) -> None:
        if self._near is None:
            self._near = around(self._turn, [grouping.wish(d) for d in self._drafts.values()])
        grouping.place(self._turn, self._near, alarm, draft.rule, self._compose)


def open_pool(url: str, *, name: str, size: int = 4) -> ConnectionPool[Connection]:
    """Return a pool of connections for `Store`; it fills in the background, and makes connections anew when the database was away."""
    return ConnectionPool(
        url, min_size=1, max_size=size, open=True, timeout=5, max_lifetime=3600, name=name, reconnect_timeout=0,
        kwargs={"autocommit": True, "row_factory": dict_row, "application_name": name, **NOTICES_LOSS},
        check=ConnectionPool.check_connection,
    )  # fmt: skip
