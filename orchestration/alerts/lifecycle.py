"""The life cycle of one alarm (ISA-18.2): what each event makes of it, and the lines it writes in the journal.

Here: pure functions of one alarm. Not here: storing (`store`), what several alarms have to do with each other (`store.grouping`),
when the condition holds (`engine`).

    normal --raise--> unack_active --acknowledge--> ack_active --return--> closed
                         |    ^                        |
                       return raise                  (by hand: stays until closed)
                         v    |
                      returned_unack --acknowledge--> closed

Shelved, suppressed and out of service lie over these: the states keep running beneath and are recorded.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import fields, replace
from typing import Any, Final

from ingestion.errors import WrongUse
from orchestration.alerts.model import PLATFORM, Alarm, Change, Entry, Kind, State, Step

# ISA-18.2: an alarm that comes back three times within ten minutes chatters; it is steady again after an hour without.
CHATTER_COUNT: Final = 3
CHATTER_WITHIN: Final = dt.timedelta(minutes=10)
STEADY_AFTER: Final = dt.timedelta(hours=1)
# What an alarm explained may take so long to say that it is well: a lamp reports every quarter of an hour, and may be late by some minutes.
SETTLES_AFTER: Final = dt.timedelta(minutes=20)
# What is kept of past activations: enough to see chattering.
_RECENT: Final = 10
# Longer than any work: what is put aside for longer is out of service, which a supervisor says.
LONGEST_SHELVING: Final = dt.timedelta(days=7)
# Who is suppressed by one of these was shown to nobody: once normal again, nobody is asked to acknowledge it. What a flood hid is
# kept until the flood is over (`store.flood`): operators may look at what it groups.
_CLOSES_UNSEEN: Final = frozenset({"parent", "joined", "maintenance"})
_FIELDS: Final = tuple(f.name for f in fields(Alarm))
_SCALARS: Final = (str, int, float)


def instant(microseconds: int) -> dt.datetime:
    """Return an instant of a signal as one of an alarm."""
    return dt.datetime.fromtimestamp(microseconds / 1_000_000, dt.UTC)


def snapshot(alarm: Alarm) -> dict[str, Any]:
    """Return an alarm as a JSON document: what the journal keeps, and every feed sends."""
    document = {name: _plain(getattr(alarm, name)) for name in _FIELDS}
    document["state"] = str(alarm.state)
    document["is_presented"] = alarm.is_presented
    return document


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, _SCALARS):
        return value
    match value:
        case dt.datetime():
            return value.isoformat()
        case dict():
            return {k: _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case Step():
            return {"text": value.text, "call": value.call, "done_at": _plain(value.done_at), "done_by": value.done_by}
        case _:
            return value


class Written:
    """An alarm that changes, and the lines of the journal it gains."""

    def __init__(self, alarm: Alarm, now: dt.datetime) -> None:
        self.alarm, self.now = alarm, now
        self.entries: list[Entry] = []

    def log(
        self, kind: Kind, actor: str = PLATFORM, *, comment: str | None = None, happened_at: dt.datetime | None = None, **details: Any
    ) -> None:
        """Write a line."""
        self.entries.append(
            Entry(kind, self.now, actor, snapshot(self.alarm), self.alarm.alarm_id, 0, happened_at, comment, _plain(details))
        )


def told(alarm: Alarm | None, change: Change) -> bool:
    """Return whether the store knows a change already: it is not later than the last of its key."""
    return alarm is not None and instant(change.at) <= alarm.changed_at


def raised(previous: Alarm | None, draft: Alarm, now: dt.datetime) -> Written:
    """Return the new alarm of a key.

    Args:
        previous: the last alarm of the key, closed; what chattered goes on chattering.
        draft: the alarm as its rule and equipment describe it.
        now: when it is recorded.
    """
    alarm = replace(draft, recorded_at=now)
    alarm.recent = [*(previous.recent if previous else []), alarm.raised_at][-_RECENT:]
    written = Written(alarm, now)
    written.log(Kind.RAISED, happened_at=alarm.raised_at)
    _chatters(written)
    return written


def reactivated(alarm: Alarm, draft: Alarm, now: dt.datetime) -> Written:
    """Return a live alarm whose condition came true again, or says more (`draft` holds the newest words)."""
    was_active = alarm.is_active
    for name in ("message", "title", "value", "value_text", "unit", "area", "observed_property"):
        if getattr(draft, name) is not None:
            setattr(alarm, name, getattr(draft, name))
    alarm.details = {**alarm.details, **draft.details}
    alarm.changed_at = draft.changed_at
    written = Written(alarm, now)
    if was_active:
        if draft.priority < alarm.priority:
            worsened(alarm, draft.priority, draft.escalate_at)
        written.log(Kind.UPDATED, happened_at=draft.raised_at)
        return written
    alarm.is_active, alarm.returned_at, alarm.is_acknowledged = True, None, False
    alarm.acknowledged_at = alarm.acknowledged_by = None
    alarm.started_at, alarm.raised_at = draft.started_at, draft.raised_at
    alarm.activations += 1
    alarm.releases_at = None
    if draft.asset_id is not None:  # equipment moves from one supply to another; what the referential no longer knows stays where it was
        alarm.ancestors = draft.ancestors
    if not alarm.is_chattering:  # what chatters rings and is escalated once
        alarm.escalate_at, alarm.escalation = draft.escalate_at, 0
    alarm.recent = [*alarm.recent, draft.raised_at][-_RECENT:]
    written.log(Kind.REACTIVATED, happened_at=draft.raised_at)
    _chatters(written)
    return written


def worsened(alarm: Alarm, priority: int, escalate_at: dt.datetime | None) -> None:
    """Make an alarm more urgent than it was; whoever acknowledged it has not seen this."""
    alarm.priority, alarm.is_acknowledged = priority, False
    alarm.acknowledged_at = alarm.acknowledged_by = None
    alarm.escalate_at, alarm.escalation = escalate_at, 0


def joined_by(first: Alarm, other: Alarm) -> None:
    """Let an alarm be as urgent as another that is one with it: its priority, and the nearer of their deadlines."""
    if other.priority < first.priority:
        worsened(first, other.priority, other.escalate_at)
    for name in ("arrive_by", "safe_by", "restore_by"):
        given = [at for at in (getattr(first, name), getattr(other, name)) if at is not None]
        setattr(first, name, min(given, default=None))


def _chatters(written: Written) -> None:
    alarm = written.alarm
    last = [at for at in alarm.recent if alarm.raised_at - at <= CHATTER_WITHIN]
    if not alarm.is_chattering and len(last) >= CHATTER_COUNT:
        alarm.is_chattering = True
        written.log(Kind.CHATTERING, happened_at=alarm.raised_at, activations=len(last))


def steady(alarm: Alarm, now: dt.datetime) -> Written:
    """Return an alarm that no longer chatters; nothing is written of one that did not."""
    written = Written(alarm, now)
    if alarm.is_chattering:
        alarm.is_chattering = False
        written.log(Kind.STEADY)
    return written


def returned(alarm: Alarm, at: dt.datetime, now: dt.datetime) -> Written:
    """Return an alarm whose condition is over.

    Acknowledged, or shown to nobody (suppressed, out of service), it closes by itself unless its rule says otherwise. What is listed
    under it may stand for itself after `SETTLES_AFTER`.
    """
    written = Written(alarm, now)
    alarm.changed_at = at
    if not alarm.is_active:
        return written
    alarm.is_active, alarm.returned_at = False, at
    if alarm.hides or alarm.hidden:
        alarm.releases_at = now + SETTLES_AFTER
    written.log(Kind.RETURNED, happened_at=at)
    is_settled = alarm.is_acknowledged or alarm.is_out_of_service or alarm.suppressed_by in _CLOSES_UNSEEN
    if is_settled and not alarm.closes_by_hand:
        _close(written, PLATFORM, None)
    return written


def acknowledged(alarm: Alarm, actor: str, now: dt.datetime, comment: str | None = None) -> Written:
    """Return an alarm that a person has seen; one that is over closes.

    Acknowledging what is acknowledged writes nothing: two operators may press at once.

    Raises:
        WrongUse: it is closed.
    """
    _must_live(alarm)
    written = Written(alarm, now)
    if alarm.is_acknowledged:
        return written
    alarm.is_acknowledged, alarm.acknowledged_at, alarm.acknowledged_by, alarm.escalate_at = True, now, actor, None
    written.log(Kind.ACKNOWLEDGED, actor, comment=comment)
    if not alarm.is_active and not alarm.closes_by_hand:
        _close(written, actor, None)
    return written


def shelved(alarm: Alarm, actor: str, now: dt.datetime, until: dt.datetime, reason: str) -> Written:
    """Return an alarm that is put aside for a while, with the reason.

    Raises:
        WrongUse: it is closed, `until` is past or too far, or there is no reason.
    """
    _must_live(alarm)
    if not reason.strip():
        raise WrongUse("an alarm is shelved for a reason", remedy="say why, in a few words")
    if not now < until <= now + LONGEST_SHELVING:
        raise WrongUse(
            f"an alarm is shelved until a moment within {LONGEST_SHELVING.days} days", remedy="choose another, or declare it out of service"
        )
    written = Written(alarm, now)
    alarm.shelved_until, alarm.shelved_by, alarm.shelve_reason = until, actor, reason.strip()
    written.log(Kind.SHELVED, actor, comment=reason.strip(), until=until)
    return written


def unshelved(alarm: Alarm, actor: str, now: dt.datetime) -> Written:
    """Return an alarm that is shown again; nothing is written of one that was not shelved."""
    written = Written(alarm, now)
    if alarm.shelved_until is not None:
        alarm.shelved_until = alarm.shelved_by = alarm.shelve_reason = None
        escalates_anew(alarm, now)
        written.log(Kind.UNSHELVED, actor)
    return written


def suppressed(alarm: Alarm, by: str, reason: str, now: dt.datetime, *, parent_id: int | None = None, actor: str = PLATFORM) -> Written:
    """Return an alarm that is suppressed by design: `by` is parent, joined, maintenance or flood. Of what is so nothing is written."""
    written = Written(alarm, now)
    if (alarm.suppressed_by, alarm.parent_id) != (by, parent_id):
        alarm.suppressed_by, alarm.suppress_reason, alarm.parent_id = by, reason, parent_id
        written.log(Kind.SUPPRESSED, actor, comment=reason, by=by, parent_id=parent_id)
    return written


def unsuppressed(alarm: Alarm, now: dt.datetime, *, actor: str = PLATFORM) -> Written:
    """Return an alarm that stands for itself again; the time it has before it is escalated begins anew."""
    written = Written(alarm, now)
    if alarm.suppressed_by is not None:
        alarm.suppressed_by = alarm.suppress_reason = alarm.parent_id = None
        escalates_anew(alarm, now)
        written.log(Kind.UNSUPPRESSED, actor)
    return written


def escalates_anew(alarm: Alarm, now: dt.datetime) -> None:
    """Give an alarm that is shown only now the time it would have had: nobody could acknowledge it before."""
    if alarm.escalate_at is not None and not alarm.escalation:
        alarm.escalate_at = max(alarm.escalate_at, now + (alarm.escalate_at - alarm.raised_at))


def out_of_service(alarm: Alarm, actor: str, now: dt.datetime, reason: str) -> Written:
    """Return an alarm whose equipment or rule is out of service; nothing is written of one that is already."""
    written = Written(alarm, now)
    if not alarm.is_out_of_service:
        alarm.is_out_of_service, alarm.suppress_reason = True, reason
        written.log(Kind.OUT_OF_SERVICE, actor, comment=reason)
    return written


def in_service(alarm: Alarm, actor: str, now: dt.datetime) -> Written:
    """Return an alarm whose equipment or rule is in service again; nothing is written of one that was not out of it."""
    written = Written(alarm, now)
    if alarm.is_out_of_service:
        alarm.is_out_of_service = False
        if alarm.suppressed_by is None:
            alarm.suppress_reason = None
        escalates_anew(alarm, now)
        written.log(Kind.IN_SERVICE, actor)
    return written


def assigned(alarm: Alarm, actor: str, now: dt.datetime, to: str | None) -> Written:
    """Return an alarm that somebody takes on; None gives it back.

    Raises:
        WrongUse: it is closed.
    """
    _must_live(alarm)
    written = Written(alarm, now)
    if alarm.assigned_to != to:
        alarm.assigned_to = to
        written.log(Kind.ASSIGNED, actor, to=to)
    return written


def commented(alarm: Alarm, actor: str, now: dt.datetime, comment: str) -> Written:
    """Return an alarm somebody has said something of; closed ones may be commented too.

    Raises:
        WrongUse: there is no comment.
    """
    if not comment.strip():
        raise WrongUse("the comment is empty", remedy="write something")
    written = Written(alarm, now)
    written.log(Kind.COMMENTED, actor, comment=comment.strip())
    return written


def stepped(alarm: Alarm, actor: str, now: dt.datetime, step: int, *, is_done: bool) -> Written:
    """Return an alarm of whose procedure a step (0 the first) is ticked, or no longer.

    Raises:
        WrongUse: it is closed, or has no such step.
    """
    _must_live(alarm)
    if not 0 <= step < len(alarm.procedure):
        raise WrongUse(f"alarm {alarm.alarm_id} has no step {step + 1}", remedy=f"it has {len(alarm.procedure)}")
    written = Written(alarm, now)
    old = alarm.procedure[step]
    if (old.done_at is not None) == is_done:
        return written
    alarm.procedure = [*alarm.procedure]
    alarm.procedure[step] = replace(old, done_at=now if is_done else None, done_by=actor if is_done else None)
    written.log(Kind.STEP, actor, step=step, text=old.text, is_done=is_done)
    return written


def escalated(alarm: Alarm, now: dt.datetime, *, to: str, again_at: dt.datetime | None = None) -> Written:
    """Return an alarm that nobody acknowledged in time: it goes to the second channel."""
    written = Written(alarm, now)
    alarm.escalation += 1
    alarm.escalate_at = again_at
    written.log(Kind.ESCALATED, to=to, escalation=alarm.escalation)
    return written


def closed(alarm: Alarm, actor: str, now: dt.datetime, comment: str | None = None) -> Written:
    """Return an alarm that a person closes; while its condition holds they say why.

    Raises:
        WrongUse: it is closed, or its condition holds and there is no comment.
    """
    _must_live(alarm)
    if alarm.is_active and not (comment or "").strip():
        raise WrongUse("the condition still holds", remedy="say why it is closed all the same, or wait until it is over")
    written = Written(alarm, now)
    _close(written, actor, (comment or "").strip() or None)
    return written


def described(alarm: Alarm, now: dt.datetime) -> Written:
    """Return an alarm whose equipment the referential has come to know."""
    written = Written(alarm, now)
    written.log(Kind.UPDATED, referential=True)
    return written


def work_order(alarm: Alarm, actor: str, now: dt.datetime, order: dict[str, Any]) -> Written:
    """Return an alarm with a work order (`target`, `ref`, `status`…) that was asked for, or whose state changed."""
    written = Written(alarm, now)
    others = [o for o in alarm.work_orders if (o.get("target"), o.get("ref")) != (order.get("target"), order.get("ref"))]
    if len(others) < len(alarm.work_orders) and order in alarm.work_orders:
        return written
    alarm.work_orders = [*others, order]
    written.log(Kind.WORK_ORDER, actor, **order)
    return written


def _close(written: Written, actor: str, comment: str | None) -> None:
    alarm = written.alarm
    alarm.closed_at, alarm.closed_by, alarm.escalate_at = written.now, actor, None
    if alarm.releases_at is None and (alarm.hides or alarm.hidden):
        alarm.releases_at = written.now + SETTLES_AFTER
    written.log(Kind.CLOSED, actor, comment=comment)


def _must_live(alarm: Alarm) -> None:
    if alarm.state is State.CLOSED:
        raise WrongUse(f"alarm {alarm.alarm_id} is closed", remedy="its journal can still be read and commented")
