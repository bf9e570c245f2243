"""Which lines of the journal are told to others as CAP messages, and what each is to those before it.

Here: chains of Alert, Update and Cancel. Not here: XML (`cap`, `atom`).

An alarm *stands* for others while its condition holds and it speaks for itself: not closed, not suppressed, not under another, not out of
service. It begins to stand: Alert. Something they should know happens while it stands: Update. It stands no longer: Cancel. Shelving
tidies the operators' list, and is nobody else's business. Lines of one turn are one: a lamp that is put under its dark cabinet as it is
raised is never told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from orchestration.alerts.feeds.cap import Issuer, Message, MessageType
from orchestration.alerts.model import Kind
from orchestration.alerts.store.rows import SELECT_ENTRY, to_entry
from orchestration.alerts.store.store import Connect
from orchestration.alerts.store.turn import Connection

# What others should know of an alarm that goes on standing: it is worse, it came back, somebody deals with it.
_TELLING: Final = (Kind.UPDATED, Kind.REACTIVATED, Kind.ACKNOWLEDGED, Kind.ESCALATED, Kind.WORK_ORDER)
# What can begin or end standing; other lines cannot change what is told, and are not read.
_TURNING: Final = (
    *_TELLING, Kind.RAISED, Kind.RETURNED, Kind.CLOSED, Kind.SUPPRESSED, Kind.UNSUPPRESSED, Kind.OUT_OF_SERVICE, Kind.IN_SERVICE,
)  # fmt: skip
# A message names those before it; past so many, the first and the newest are enough to find the chain.
_REFERENCES: Final = 50
_STANDS: Final = (
    "(j.alarm->>'is_active')::boolean AND j.alarm->>'closed_at' IS NULL AND j.alarm->>'suppressed_by' IS NULL "
    "AND j.alarm->>'parent_id' IS NULL AND NOT (j.alarm->>'is_out_of_service')::boolean"
)
_TURNS: Final = f"""
    SELECT t.alarm_id, t.seq, t.at, t.tells, {_STANDS} AS stands
    FROM (
        SELECT alarm_id, at, max(seq) AS seq, bool_or(kind = ANY(%(telling)s)) AS tells
        FROM alerts.journal WHERE alarm_id = ANY(%(alarm_ids)s) AND kind = ANY(%(turning)s) GROUP BY alarm_id, at
    ) AS t JOIN alerts.journal AS j ON j.seq = t.seq
    ORDER BY t.alarm_id, t.seq
"""


class TurnLine(NamedTuple):
    """What one turn made of one alarm."""

    alarm_id: int
    seq: int
    at: dt.datetime
    tells: bool
    stands: bool


def chain(turns: Iterable[TurnLine]) -> list[Message]:
    """Return the messages of one alarm, from its turns in order."""
    messages: list[Message] = []
    before: list[tuple[int, dt.datetime]] = []
    for turn in turns:
        if not turn.stands and not before:
            continue
        if turn.stands and before and not turn.tells:
            continue
        kind = MessageType.ALERT if not before else MessageType.UPDATE if turn.stands else MessageType.CANCEL
        named = before if len(before) <= _REFERENCES else [before[0], *before[-_REFERENCES + 1 :]]
        messages.append(Message(turn.alarm_id, turn.seq, turn.at, kind, tuple(named)))
        before = [*before, (turn.seq, turn.at)] if turn.stands else []
    return messages


def of_alarm(connect: Connect, alarm_id: int) -> list[Message]:
    """Return the messages of an alarm, the first first; none when it never stood for others."""
    with connect() as con:
        return _messages(con, [alarm_id])


def newest(connect: Connect, count: int) -> list[Message]:
    """Return the newest messages of all alarms, the newest first."""
    with connect() as con:
        # Not every turning line is a message: of three times as many, enough are, or the rest is older than anybody asks for.
        recent = con.execute(
            "SELECT DISTINCT alarm_id FROM (SELECT alarm_id FROM alerts.journal WHERE kind = ANY(%s) ORDER BY seq DESC LIMIT %s) AS last",
            [_kinds(_TURNING), count * 3],
        )
        messages = _messages(con, [row["alarm_id"] for row in recent])
    return sorted(messages, key=lambda message: -message.seq)[:count]


def alarms(connect: Connect, messages: Sequence[Message]) -> dict[int, dict[str, Any]]:
    """Return the alarm of each message as it stood then (`lifecycle.snapshot`), by the message's number."""
    with connect() as con:
        rows = con.execute(f"{SELECT_ENTRY} WHERE seq = ANY(%s)", [[message.seq for message in messages]])
        return {row["seq"]: to_entry(row).alarm for row in rows}


def issuer(connect: Connect) -> Issuer:
    """Return who sends: named by what tells this database from every other, for as long as it lives."""
    with connect() as con:
        row = con.execute("SELECT to_hex(system_identifier) AS instance FROM pg_control_system()").fetchone()
    if row is None:
        raise AssertionError("PostgreSQL always has a system identifier")
    return Issuer(row["instance"])


def _messages(con: Connection, alarm_ids: list[int]) -> list[Message]:
    rows = con.execute(_TURNS, {"alarm_ids": alarm_ids, "telling": _kinds(_TELLING), "turning": _kinds(_TURNING)})
    turns = [TurnLine(r["alarm_id"], r["seq"], r["at"], r["tells"], r["stands"]) for r in rows]
    return [message for _, of_one in groupby(turns, key=lambda turn: turn.alarm_id) for message in chain(of_one)]


def _kinds(kinds: Iterable[Kind]) -> list[str]:
    return [kind.value for kind in kinds]
