"""What the deliveries remember in the store: cursors, dead letters, what an alarm is called elsewhere.

Here: the statements. Not here: when they are made (`follower`, `provoly`, `work_orders`); `dead_letters` and `send_again` are also for
commands and pages.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg.types.json import Jsonb

from ingestion.errors import WrongUse
from orchestration.alerts.model import Entry
from orchestration.alerts.store.rows import SELECT_ENTRY, to_entry
from orchestration.alerts.store.store import Connect

CHANNEL: Final = "alerts_deliveries"
"""Notified when a dead letter is to be sent again."""
EVENT: Final = "event"
WORK_ORDER: Final = "work_order"
_AGAIN: Final = "again:"


@dataclass(frozen=True)
class Cursor:
    """How far a target is.

    Attributes:
        seq: every line up to it is dealt with.
        done: ranges (first, last) of lines after it that are dealt with too: those of alarms that wait for nobody.
        since: when the target was first known; what was over by then is no business of its.
    """

    seq: int
    done: tuple[tuple[int, int], ...] = ()
    since: dt.datetime | None = None


@dataclass(frozen=True)
class Remote:
    """What an alarm is called in a target: `kind` is `event`, `work_order`, `work_order-2` and so on."""

    target: str
    alarm_id: int
    kind: str
    remote_id: str | None = None
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeadLetter:
    """A line that was given up: `reason` says why, `body` holds what was sent or would have been."""

    dead_letter_id: int
    target: str
    seq: int
    at: dt.datetime
    tries: int
    reason: str
    body: dict[str, Any]


class Ledger:
    """The statements, each on a connection for its time. Args of the class: `connect`, as of the store."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    # --- cursors

    def begin(self, target: str, *, with_live: bool) -> Cursor:
        """Return a target's cursor; one that is new begins with what is said from now on.

        Args:
            target: its name.
            with_live: whether a new one is also told the last line of each alarm that lives now.
        """
        first = "coalesce((SELECT min(updated_seq) - 1 FROM alerts.alarm WHERE closed_at IS NULL), seq)" if with_live else "seq"
        with self._connect() as con, con.transaction():
            con.execute(
                "INSERT INTO alerts.delivery_cursor (target, seq, state) "
                f"SELECT %s, {first}, jsonb_build_object('since', now()) FROM alerts.head ON CONFLICT DO NOTHING",
                [target],
            )
            row = con.execute("SELECT seq, state FROM alerts.delivery_cursor WHERE target = %s", [target]).fetchone()
        if row is None:
            raise AssertionError("a line that was just written is there")
        state = row["state"]
        since = dt.datetime.fromisoformat(state["since"]) if "since" in state else None
        return Cursor(row["seq"], tuple((a, b) for a, b in state.get("done", [])), since)

    def save(self, target: str, cursor: Cursor) -> None:
        """Keep how far a target is; it never goes back."""
        state = {"done": [list(r) for r in cursor.done]} | ({"since": cursor.since.isoformat()} if cursor.since else {})
        with self._connect() as con:
            con.execute(
                "UPDATE alerts.delivery_cursor SET seq = %s, state = %s, updated_at = now() WHERE target = %s AND seq <= %s",
                [cursor.seq, Jsonb(state), target, cursor.seq],
            )

    # --- dead letters

    def bury(self, target: str, entry: Entry, tries: int, reason: str, body: dict[str, Any]) -> None:
        """Keep a line that was given up. Repeatable: of the same line the last reason holds."""
        with self._connect() as con, con.transaction():
            con.execute(
                "INSERT INTO alerts.dead_letter (target, seq, tries, reason, body) VALUES (%s, %s, %s, %s, %s) "
                "ON CONFLICT (target, seq) DO UPDATE SET at = now(), tries = alerts.dead_letter.tries + excluded.tries, "
                "reason = excluded.reason, body = excluded.body",
                [target, entry.seq, tries, reason, Jsonb(body)],
            )
            con.execute(_FORGET, [target, entry.alarm_id, f"{_AGAIN}{entry.seq}"])

    def again(self, target: str) -> list[Entry]:
        """Return the lines that somebody wants sent again, in order."""
        with self._connect() as con:
            rows = con.execute(
                f"{SELECT_ENTRY} WHERE seq IN (SELECT substr(kind, %s)::bigint FROM alerts.remote WHERE target = %s AND kind LIKE %s) "
                "ORDER BY seq",
                [len(_AGAIN) + 1, target, f"{_AGAIN}%"],
            )
            return [to_entry(row) for row in rows]

    def sent_again(self, target: str, entry: Entry) -> None:
        """Note that such a line was taken."""
        with self._connect() as con:
            con.execute(_FORGET, [target, entry.alarm_id, f"{_AGAIN}{entry.seq}"])

    # --- names elsewhere

    def remote(self, target: str, alarm_id: int, kind: str) -> Remote | None:
        """Return what an alarm is called in a target."""
        return next(iter(self._remotes("target = %s AND alarm_id = %s AND kind = %s", [target, alarm_id, kind])), None)

    def work_orders(self, target: str, statuses: Sequence[str]) -> list[Remote]:
        """Return a target's work orders in some states, the oldest first."""
        where = "target = %s AND kind LIKE %s AND state ->> 'status' = ANY(%s) ORDER BY alarm_id, kind"
        return self._remotes(where, [target, f"{WORK_ORDER}%", list(statuses)])

    def put(self, remote: Remote) -> None:
        """Keep what an alarm is called; what is kept lasts (committed when this returns)."""
        with self._connect() as con:
            con.execute(PUT, [remote.target, remote.alarm_id, remote.kind, remote.remote_id, Jsonb(remote.state)])

    def _remotes(self, where: str, parameters: Sequence[Any]) -> list[Remote]:
        sql = f"SELECT target, alarm_id, kind, remote_id, state FROM alerts.remote WHERE {where}"
        with self._connect() as con:
            return [Remote(**row) for row in con.execute(sql, parameters)]


PUT: Final = (
    "INSERT INTO alerts.remote (target, alarm_id, kind, remote_id, state) VALUES (%s, %s, %s, %s, %s) ON CONFLICT "
    "(target, alarm_id, kind) DO UPDATE SET remote_id = excluded.remote_id, state = excluded.state, updated_at = now()"
)
_FORGET: Final = "DELETE FROM alerts.remote WHERE target = %s AND alarm_id = %s AND kind = %s"


def dead_letters(connect: Connect, *, target: str | None = None, limit: int = 100) -> list[DeadLetter]:
    """Return dead letters, the newest first."""
    sql = "SELECT dead_letter_id, target, seq, at, tries, reason, body FROM alerts.dead_letter"
    with connect() as con:
        rows = con.execute(
            f"{sql} WHERE %s::text IS NULL OR target = %s ORDER BY at DESC, dead_letter_id DESC LIMIT %s", [target, target, limit]
        )
        return [DeadLetter(**row) for row in rows]


def send_again(connect: Connect, dead_letter_ids: Sequence[int]) -> int:
    """Have dead letters sent again; return how many. They leave the list, and come back when they are refused again.

    Raises:
        WrongUse: one of them is not there (any more): none is sent.
    """
    with connect() as con, con.transaction():
        rows = con.execute(
            "DELETE FROM alerts.dead_letter d USING alerts.journal j WHERE d.dead_letter_id = ANY(%s) AND j.seq = d.seq "
            "RETURNING d.target, d.seq, j.alarm_id",
            [list(dead_letter_ids)],
        ).fetchall()
        if len(rows) != len(set(dead_letter_ids)):
            raise WrongUse("one of these dead letters is not there", remedy="list them again: it may have been sent meanwhile")
        for row in rows:
            con.execute(PUT, [row["target"], row["alarm_id"], f"{_AGAIN}{row['seq']}", None, Jsonb({})])
        con.execute("SELECT pg_notify(%s, '')", [CHANNEL])
    return len(rows)
