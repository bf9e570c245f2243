"""One turn at the alarms: a transaction in which one writer alone reads, changes and writes the journal.

Here: taking turns, numbering, what was changed under what, telling readers. Not here: what is changed (`store`,
`orchestration.alerts.lifecycle`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row

from orchestration.alerts.lifecycle import Written
from orchestration.alerts.model import Alarm, Entry, Kind
from orchestration.alerts.store.rows import (
    INSERT_ALARMS,
    INSERT_ENTRIES,
    SELECT_ALARM,
    UPDATE_ALARMS,
    alarms_document,
    entries_document,
    to_alarm,
)

CHANNEL: Final = "alerts"
# Turns take milliseconds; who waits longer than this waits behind something that is broken.
_PATIENCE: Final = "10s"
# Lines that say that an alarm is there: they already show where the same turn has put it, so that nothing rings for what is hidden.
# A database that is gone without a word (its machine lost power, a cable) is given up after 15 s; Linux would wait for a quarter of an
# hour, and no alarm be written meanwhile.
NOTICES_LOSS: Final[Mapping[str, Any]] = {
    "connect_timeout": 3, "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}  # fmt: skip
_APPEARS: Final = frozenset({Kind.RAISED, Kind.REACTIVATED})
_WHERE_PUT: Final = ("suppressed_by", "suppress_reason", "parent_id", "is_out_of_service", "is_presented")

Connection = psycopg.Connection[dict[str, Any]]
Parameters = Sequence[Any] | Mapping[str, Any]


class _Under(NamedTuple):
    """Under which alarm a live one is listed, and whether it is active."""

    parent_id: int
    is_active: bool


@dataclass
class Moved:
    """What changed under one alarm in a turn: alarms that came and went, and by how many more are active."""

    came: list[Alarm] = field(default_factory=list)
    went: list[Alarm] = field(default_factory=list)
    active: int = 0


class Turn:
    """What one writer sees and changes. Made by `taken`.

    Attributes:
        con: the connection, inside the transaction, in pipeline mode: several statements may be sent before one is read.
        now: when the turn was taken: what is recorded in it bears this instant.
        entries: the lines written so far, numbered.
        presented: when alarms were last presented anew, the oldest first; whoever presents one adds `now`.
        offered: when alarms last came that would be presented, were there no flood.
        calm_since: since when few came, in a flood.
        flood_id: the alarm that groups others in a flood, if it was not seen to be over.
        shown: the alarms that this turn presents anew.
        leads: the alarms that this turn has listed others under.
    """

    def __init__(self, con: Connection, head: dict[str, Any], now: dt.datetime) -> None:
        self.con, self.now = con, now
        self._first_seq = self._seq = head["seq"]
        self._alarm_id = head["alarm_id"]
        self.presented: list[dt.datetime] = head["presented"]
        self.offered: list[dt.datetime] = head["offered"]
        self.calm_since: dt.datetime | None = head["calm_since"]
        self.flood_id: int | None = head["flood_id"]
        self.shown: set[int] = set()
        self.leads: set[int] = set()
        self._flood_before = self._flood_state()
        self._known: dict[int, Alarm] = {}
        self._under: dict[int, _Under | None] = {}
        self._new: dict[int, Alarm] = {}
        self._changed: dict[int, Alarm] = {}
        self.entries: list[Entry] = []

    # --- reading

    def last_of(self, keys: Iterable[str]) -> dict[str, Alarm]:
        """Return the last alarm of each key, live or closed, as this turn has left it."""
        wanted = list(dict.fromkeys(keys))
        sql = f"SELECT DISTINCT ON (key) * FROM ({SELECT_ALARM} WHERE key = ANY(%s)) AS of_keys ORDER BY key, alarm_id DESC"
        found = {alarm.key: alarm for alarm in self.select_sql(sql, [wanted])}
        for alarm in self._new.values():
            if alarm.key in wanted:
                found[alarm.key] = alarm
        return found

    def one(self, alarm_id: int) -> Alarm | None:
        """Return an alarm by its number."""
        return self._known.get(alarm_id) or next(iter(self.select("alarm_id = %s", [alarm_id])), None)

    def several(self, alarm_ids: Iterable[int]) -> list[Alarm]:
        """Return alarms by their numbers."""
        wanted = list(dict.fromkeys(alarm_ids))
        missing = [i for i in wanted if i not in self._known]
        if missing:
            self.select("alarm_id = ANY(%s)", [missing])
        return [self._known[i] for i in wanted if i in self._known]

    def under(self, alarm_ids: Iterable[int]) -> list[Alarm]:
        """Return the live alarms that are listed under others."""
        wanted = set(alarm_ids)
        if not wanted:
            return []
        self.select("parent_id = ANY(%s) AND closed_at IS NULL", [list(wanted)])
        return [a for a in self._known.values() if a.parent_id in wanted and a.closed_at is None]

    def select(self, where: str, parameters: Parameters = ()) -> list[Alarm]:
        """Return the alarms a condition holds of, as this turn has left them (the condition is tested on what was stored before it)."""
        return self.select_sql(f"{SELECT_ALARM} WHERE {where}", parameters)

    def select_sql(self, sql: str, parameters: Parameters) -> list[Alarm]:
        """Return the alarms of a statement that selects all their columns."""
        return self.ask(sql, parameters)()

    def ask(self, sql: str, parameters: Parameters) -> Callable[[], list[Alarm]]:
        """Send a statement that selects all columns of alarms; what is returned waits for them. Several wait together."""
        cursor = self.con.execute(sql, parameters, prepare=True)
        return lambda: [self._met(to_alarm(row)) for row in cursor]

    def _met(self, alarm: Alarm) -> Alarm:
        known = self._known.get(alarm.alarm_id)
        if known is not None:
            return known
        self._known[alarm.alarm_id] = alarm
        self._under[alarm.alarm_id] = _under(alarm)
        return alarm

    # --- changing

    def save(self, written: Written) -> Alarm:
        """Keep an alarm and its lines; a new alarm gets its number."""
        alarm = written.alarm
        if not alarm.alarm_id:
            self._alarm_id += 1
            alarm.alarm_id = self._alarm_id
            self._new[alarm.alarm_id] = self._known[alarm.alarm_id] = alarm
            self._under[alarm.alarm_id] = None
        elif alarm.alarm_id not in self._new:
            self._changed[alarm.alarm_id] = alarm
            self._known.setdefault(alarm.alarm_id, alarm)
        for entry in written.entries:
            self._seq += 1
            alarm.updated_seq = self._seq
            numbered = {**entry.alarm, "alarm_id": alarm.alarm_id, "updated_seq": self._seq}
            self.entries.append(replace(entry, seq=self._seq, alarm_id=alarm.alarm_id, alarm=numbered))
        return alarm

    def moved(self) -> dict[int, Moved]:
        """Return what changed under which alarm since the last call."""
        found: dict[int, Moved] = {}
        for alarm in (*self._new.values(), *self._changed.values()):
            was, now = self._under.get(alarm.alarm_id), _under(alarm)
            if was == now:
                continue
            self._under[alarm.alarm_id] = now
            is_same = was is not None and now is not None and was.parent_id == now.parent_id
            if was is not None:
                before = found.setdefault(was.parent_id, Moved())
                before.active -= was.is_active
                if not is_same:
                    before.went.append(alarm)
            if now is not None:
                after = found.setdefault(now.parent_id, Moved())
                after.active += now.is_active
                if not is_same:
                    after.came.append(alarm)
        return found

    # --- writing

    def write(self) -> None:
        """Send what changed to the database; the transaction's commit makes it so, and wakes the readers."""
        is_flood_changed = self._flood_state() != self._flood_before
        if not (self._new or self._changed or is_flood_changed):
            return
        if self._new:
            self.con.execute(INSERT_ALARMS, [alarms_document(self._new.values())], prepare=True)
        if self._changed:
            self.con.execute(UPDATE_ALARMS, [alarms_document(self._changed.values())], prepare=True)
        if self.entries:
            self.con.execute(INSERT_ENTRIES, [entries_document(self._as_put(e) for e in self.entries)], prepare=True)
        head = [self._seq, self._alarm_id, self.presented, self.offered, self.calm_since, self.flood_id]
        self.con.execute(_KEEP_HEAD, head, prepare=True)
        if self.entries:
            self.con.execute("SELECT pg_notify(%s, %s)", [CHANNEL, f"{self._first_seq + 1}:{self._seq}"], prepare=True)

    def _as_put(self, entry: Entry) -> Entry:
        alarm = self._known[entry.alarm_id]
        if entry.kind in _APPEARS and not alarm.is_presented:
            entry.alarm.update({name: getattr(alarm, name) for name in _WHERE_PUT})
        return entry

    def _flood_state(self) -> tuple[Any, ...]:
        return (tuple(self.presented), tuple(self.offered), self.calm_since, self.flood_id)


_TAKE: Final = "SELECT seq, alarm_id, presented, offered, calm_since, flood_id FROM alerts.head FOR UPDATE"
_KEEP_HEAD: Final = (
    "UPDATE alerts.head SET seq = %s, alarm_id = %s, presented = %s::timestamptz[], offered = %s::timestamptz[], "
    "calm_since = %s::timestamptz, flood_id = %s::bigint"
)


def _under(alarm: Alarm) -> _Under | None:
    return _Under(alarm.parent_id, alarm.is_active) if alarm.parent_id is not None and alarm.closed_at is None else None


@contextlib.contextmanager
def taken(con: Connection, now: Callable[[], dt.datetime] | None = None) -> Iterator[Turn]:
    """Take a turn: what is saved in it is committed at its end, or nothing is.

    Args:
        con: a connection with `dict_row`.
        now: the clock, read once the turn is taken: who waited does not write before those who went first.

    Raises:
        psycopg.Error: the database refuses, is gone, or another writer holds the turn for too long; nothing was changed.
    """
    with con.pipeline(), con.transaction():
        con.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'", prepare=False)
        row = con.execute(_TAKE, prepare=True).fetchone()
        if row is None:
            raise AssertionError("alerts.head is empty: the schema makes its line")
        turn = Turn(con, row, now() if now else dt.datetime.now(dt.UTC))
        yield turn
        turn.write()


def connect(url: str, *, name: str) -> Connection:
    """Open a connection of its own, for a process that goes on when the database was away.

    Raises:
        psycopg.OperationalError: it does not answer.
    """
    return psycopg.connect(url, autocommit=True, row_factory=dict_row, application_name=name, **NOTICES_LOSS)
