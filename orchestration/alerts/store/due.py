"""What the clock brings to alarms: shelvings that end, works that begin and end, escalations, children that stand again, floods that end.

Here: finding what is due, and doing it in one turn; doing it twice does nothing more. Not here: where an alarm is put (`grouping`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from orchestration.alerts import lifecycle
from orchestration.alerts.model import PLATFORM, Alarm, Priority
from orchestration.alerts.store import flood, grouping
from orchestration.alerts.store import suppressions as declarations
from orchestration.alerts.store.rows import SELECT_ALARM
from orchestration.alerts.store.suppressions import MAINTENANCE, OUT_OF_SERVICE, About, NoSuppression, Suppression, to_suppression
from orchestration.alerts.store.turn import Connection, Turn

# What one turn does of each kind: the next tick goes on. A turn holds up the engine: 500 alarms take some tenths of a second.
_AT_ONCE: Final = 500


def _always(at: dt.datetime) -> bool:
    del at
    return True


@dataclass(frozen=True)
class Policy:
    """What the command post has declared (`command-post.yaml`, read by `orchestration.alerts.post`).

    Attributes:
        open_channel: who is told when nobody acknowledges in opening hours: the supervisor.
        closed_channel: who is told outside: the person on call.
        is_open: whether the post is open at an instant.
        repeat: how long after an escalation comes the next.
        most: how many there are at most.
    """

    open_channel: str = "superviseur"
    closed_channel: str = "astreinte"
    is_open: Callable[[dt.datetime], bool] = _always
    repeat: dt.timedelta = dt.timedelta(minutes=15)
    most: int = 3

    def channel(self, at: dt.datetime) -> str:
        """Return who is told at an instant."""
        return self.open_channel if self.is_open(at) else self.closed_channel


_PRESENTED: Final = "closed_at IS NULL AND shelved_until IS NULL AND suppressed_by IS NULL AND NOT is_out_of_service AND parent_id IS NULL"
_SHELVED: Final = "closed_at IS NULL AND shelved_until <= %(now)s"
_ESCALATES: Final = f"{_PRESENTED} AND NOT is_acknowledged AND escalate_at <= %(now)s"
_RELEASES: Final = "releases_at <= %(now)s"
_STEADY: Final = "closed_at IS NULL AND is_chattering AND raised_at <= %(steady)s"
_FLOODED: Final = "closed_at IS NULL AND suppressed_by = 'flood'"
_ANY: Final = (
    "SELECT "
    + " OR ".join(f"EXISTS (SELECT FROM alerts.alarm WHERE {where})" for where in (_SHELVED, _ESCALATES, _RELEASES, _STEADY, _FLOODED))
    + " OR EXISTS (SELECT FROM alerts.head WHERE flood_id IS NOT NULL) OR EXISTS (SELECT FROM alerts.suppression WHERE lifted_at IS NULL"
    " AND (ends_at <= %(now)s OR applied_at IS NULL AND starts_at <= %(now)s)) AS is_due"
)


def _parameters(now: dt.datetime) -> dict[str, Any]:
    return {"now": now, "steady": now - lifecycle.STEADY_AFTER, "most": _AT_ONCE}


def is_due(con: Connection, now: dt.datetime) -> bool:
    """Return whether the clock brings anything: one statement on small indexes, without a turn."""
    row = con.execute(_ANY, _parameters(now), prepare=True).fetchone()
    return row is not None and bool(row["is_due"])


def tick(turn: Turn, policy: Policy) -> None:
    """Do what is due by the clock."""
    parameters = _parameters(turn.now)
    waiting = [
        turn.ask(f"{SELECT_ALARM} WHERE {where} ORDER BY alarm_id LIMIT %(most)s", parameters) for where in (_SHELVED, _STEADY, _RELEASES)
    ]
    shelved, chattering, releasing = (ask() for ask in waiting)
    _suppressions(turn)
    for alarm in shelved:
        turn.save(lifecycle.unshelved(alarm, PLATFORM, turn.now))
    grouping.replace_all(turn, [a for a in shelved if a.suppressed_by is None and a.is_active])
    for alarm in chattering:
        turn.save(lifecycle.steady(alarm, turn.now))
    _release(turn, [a.alarm_id for a in releasing])
    _flood(turn)
    for alarm in turn.select(f"{_ESCALATES} ORDER BY alarm_id LIMIT %(most)s", parameters):
        if alarm.is_presented and alarm.escalate_at is not None and alarm.escalate_at <= turn.now:
            again = turn.now + policy.repeat if alarm.escalation + 1 < policy.most else None
            turn.save(lifecycle.escalated(alarm, turn.now, to=policy.channel(turn.now), again_at=again))


def _release(turn: Turn, parents: list[int]) -> None:
    """Let what was listed under alarms that are over, and has not said that it is well, stand for itself."""
    if not parents:
        return
    children = turn.under(parents)
    for parent in turn.several(parents):
        parent.releases_at = None
        turn.save(lifecycle.Written(parent, turn.now))
    grouping.replace_all(turn, [c for c in children if c.suppressed_by in {"parent", "joined"}])


def _flood(turn: Turn) -> None:
    """Present what a flood holds, as there is room: the urgent ones while it lasts, then all that still hold."""
    over, is_calm = flood.standing(turn), flood.is_calm(turn)
    if over is not None and not is_calm:
        # A person closed the flood's alarm, and it went on under another.
        for alarm in turn.select(f"{_FLOODED} AND parent_id <> %(over)s LIMIT %(most)s", {"over": over.alarm_id, "most": _AT_ONCE}):
            if alarm.suppressed_by == "flood":
                grouping.hold(turn, alarm, "flood", alarm.suppress_reason or over.title, over)
        _admit(turn, f"{_FLOODED} AND is_active AND priority = {Priority.HIGH:d}")
        return
    for alarm in turn.select(f"{_FLOODED} AND NOT is_active AND NOT closes_by_hand LIMIT %(most)s", {"most": _AT_ONCE}):
        if alarm.suppressed_by == "flood" and alarm.closed_at is None:
            turn.save(lifecycle.closed(alarm, PLATFORM, turn.now, "Revenue à la normale pendant l'afflux."))
    if _admit(turn, f"{_FLOODED} AND (is_active OR closes_by_hand)"):
        flood.end(turn)


def _admit(turn: Turn, where: str) -> bool:
    """Present alarms that a flood holds, the most urgent first, as many as there is room for; returns whether none is left."""
    # More than there can ever be room for at once.
    waiting = turn.select(f"{where} ORDER BY priority, raised_at, alarm_id LIMIT %(most)s", {"most": 2 * flood.MOST})
    waiting = [a for a in waiting if a.suppressed_by == "flood" and a.closed_at is None]
    left = 0
    for alarm in waiting:
        if flood.room(turn, alarm) > 0:
            flood.count(turn, alarm)
            turn.save(lifecycle.unsuppressed(alarm, turn.now))
        else:
            left += 1
    return not left


def _suppressions(turn: Turn) -> None:
    """Suppress what stands where work begins; let stand what it suppressed where work ended or was put back."""
    begun, over = (turn.con.execute(sql, {"now": turn.now}, prepare=True) for sql in (declarations.BEGUN, declarations.OVER))
    beginning, ending = [to_suppression(row) for row in begun], [to_suppression(row) for row in over]
    for suppression in beginning:
        if suppression not in ending:
            apply(turn, suppression)
    for suppression in ending:
        lift(turn, suppression, PLATFORM)


def apply(turn: Turn, suppression: Suppression) -> None:
    """Suppress the live alarms that a suppression concerns: those that stand when it begins."""
    turn.con.execute("UPDATE alerts.suppression SET applied_at = %s WHERE suppression_id = %s", [turn.now, suppression.suppression_id])
    for alarm in _concerned(turn, suppression):
        if suppression.kind == OUT_OF_SERVICE:
            turn.save(lifecycle.out_of_service(alarm, suppression.declared_by, turn.now, suppression.reason))
        elif alarm.suppressed_by != MAINTENANCE:
            grouping.hold(turn, alarm, MAINTENANCE, suppression.reason, actor=suppression.declared_by)


def lift(turn: Turn, suppression: Suppression, actor: str) -> None:
    """Let stand for themselves the alarms that a suppression held, and no other one does."""
    turn.con.execute("UPDATE alerts.suppression SET lifted_at = %s WHERE suppression_id = %s", [turn.now, suppression.suppression_id])
    concerned = _concerned(turn, suppression)
    if suppression.kind == OUT_OF_SERVICE:
        concerned = [a for a in concerned if a.is_out_of_service]
        for alarm in concerned:
            turn.save(lifecycle.in_service(alarm, actor, turn.now))
    else:
        concerned = [a for a in concerned if a.suppressed_by == MAINTENANCE]
    grouping.replace_all(turn, concerned)


def declare(
    turn: Turn, kind: str, about: About, starts_at: dt.datetime, ends_at: dt.datetime | None, reason: str, actor: str,
    *, origin: str = "person",
) -> Suppression:  # fmt: skip
    """Write down a suppression; what it concerns is suppressed at once where it has begun.

    Raises:
        WrongUse: it cannot be meant (`suppressions.checked`).
    """
    declarations.checked(kind, about, turn.now, starts_at, ends_at, reason)
    values = {
        "kind": kind, "source": about.source, "asset_ref": about.asset_ref, "feed": about.feed, "rule": about.rule, "now": turn.now,
        "starts_at": starts_at, "ends_at": ends_at, "reason": reason.strip(), "declared_by": actor, "origin": origin,
    }  # fmt: skip
    suppression = to_suppression(turn.con.execute(declarations.INSERT, values).fetchall()[0])
    if starts_at <= turn.now:
        apply(turn, suppression)
    return suppression


def declared(turn: Turn, kind: str, suppression_id: int) -> Suppression:
    """Return a suppression that is in force, or to come.

    Raises:
        NoSuppression: there is none of that number and kind, or it is over.
    """
    sql = f"{declarations.SELECT} WHERE suppression_id = %s AND kind = %s AND lifted_at IS NULL"
    row = turn.con.execute(sql, [suppression_id, kind]).fetchone()
    if row is None:
        raise NoSuppression(f"there is no {kind} {suppression_id}, or it is over", remedy="list what is declared, and take its number")
    return to_suppression(row)


def of_file(turn: Turn) -> list[Suppression]:
    """Return the announced work of the territory's file that is not over."""
    return [to_suppression(row) for row in turn.con.execute(f"{declarations.SELECT} WHERE origin = 'file' AND lifted_at IS NULL")]


def call_off(turn: Turn, suppression: Suppression, actor: str) -> Suppression:
    """End a suppression now; what it held stands for itself."""
    ends_at = max(turn.now, suppression.starts_at)
    turn.con.execute(
        "UPDATE alerts.suppression SET ended_by = %s, ends_at = %s WHERE suppression_id = %s", [actor, ends_at, suppression.suppression_id]
    )
    lift(turn, suppression, actor)
    return replace(suppression, ends_at=ends_at, ended_by=actor, lifted_at=turn.now)


def _concerned(turn: Turn, suppression: Suppression) -> list[Alarm]:
    about = suppression.about
    found = turn.select(
        "closed_at IS NULL AND (%(rule)s::text IS NULL OR rule = %(rule)s) AND (%(feed)s::text IS NULL OR details ->> 'feed' = %(feed)s)",
        {"rule": about.rule, "feed": about.feed},
    )
    return [a for a in found if a.closed_at is None and about.concerns(a)]
