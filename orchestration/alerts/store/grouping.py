"""What alarms have to do with each other: announced work, parents that explain, neighbours that join, many that are one, floods.

Here: where each alarm of a turn is put, and what is told of those that others are listed under. Not here: one alarm by itself
(`orchestration.alerts.lifecycle`), what the clock brings (`due`), finding what stands around (`around`).

The first reason that holds puts an alarm aside: out of service, announced work, a parent, a neighbour it joins, others of its rule under
one parent, a flood. A critical one is hidden by no parent and no flood.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final

from orchestration.alerts import lifecycle
from orchestration.alerts.drafting import Draft
from orchestration.alerts.model import PLATFORM, Alarm, Change, Kind, Priority
from orchestration.alerts.rulebook.model import Collapse, Rule
from orchestration.alerts.store import flood
from orchestration.alerts.store.around import Around, Wish, around
from orchestration.alerts.store.suppressions import MAINTENANCE, OUT_OF_SERVICE
from orchestration.alerts.store.turn import Moved, Turn

Compose = Callable[[Change], Draft]
# What a journal line lists by number; of more, it says how many.
_LISTED: Final = 50


def wish(draft: Draft) -> Wish:
    """Return what must be known around an alarm of a rule."""
    rule = draft.rule
    return Wish(draft.alarm, rule.hides.within if rule.hides else None, is_collapsible=rule.collapse is not None)


def place(turn: Turn, near: Around, alarm: Alarm, rule: Rule | None = None, compose: Compose | None = None) -> None:
    """Put an alarm that is due to be shown where it belongs: aside, under another, or before the operators.

    Args:
        turn: the turn.
        near: what stands around it.
        alarm: the alarm, saved in this turn or stored.
        rule: its rule, where the alarm was just raised: what it takes and collapses into.
        compose: makes the alarm of several that are one; with `rule`.
    """
    near.add(alarm)
    if alarm.closed_at is not None:
        return
    if (s := near.suppression_of(alarm, OUT_OF_SERVICE)) is not None:
        turn.save(lifecycle.out_of_service(alarm, s.declared_by, turn.now, s.reason))
        return
    if (s := near.suppression_of(alarm, MAINTENANCE)) is not None:
        hold(turn, alarm, MAINTENANCE, s.reason, actor=s.declared_by)
        return
    parent = near.explains(alarm)
    if parent is not None:
        hold(turn, alarm, "parent", _because(parent), parent)
        return
    _take(turn, near, alarm, rule.hides.within if rule and rule.hides else None)
    first = None if "collapse" in alarm.details else near.joined_to(alarm)
    if first is not None:
        lifecycle.joined_by(first, alarm)
        hold(turn, alarm, "joined", _because(first), first)
        return
    if rule is not None and rule.collapse is not None and compose is not None and alarm.ancestors and alarm.priority != Priority.CRITICAL:
        group = _group(turn, near, alarm, rule, rule.collapse, compose)
        if group is not None:
            hold(turn, alarm, "parent", _because(group), group)
            return
    present(turn, alarm)


def present(turn: Turn, alarm: Alarm) -> None:
    """Present an alarm, unless operators have more than they can read: then the flood holds it. What is shelved is not presented."""
    if alarm.shelved_until is None:
        over = flood.admit(turn, alarm)
        if over is not None:
            hold(turn, alarm, "flood", _because(over), over)
            return
    if alarm.suppressed_by is not None:
        turn.save(lifecycle.unsuppressed(alarm, turn.now))


def hold(turn: Turn, alarm: Alarm, by: str, reason: str, under: Alarm | None = None, *, actor: str = PLATFORM) -> None:
    """Suppress an alarm by design; what was explained by it goes under the same one as it."""
    flood.uncount(turn, alarm)
    turn.save(lifecycle.suppressed(alarm, by, reason, turn.now, parent_id=under.alarm_id if under else None, actor=actor))
    if under is None:
        return
    turn.leads.add(under.alarm_id)
    if by not in {"parent", "joined"} or not (alarm.hidden or alarm.alarm_id in turn.leads):
        return
    for child in turn.under([alarm.alarm_id]):
        turn.save(lifecycle.suppressed(child, child.suppressed_by or by, reason, turn.now, parent_id=under.alarm_id))


def _take(turn: Turn, near: Around, alarm: Alarm, within: dt.timedelta | None) -> None:
    if within is None:
        return
    for child in near.explained_by(alarm, alarm.raised_at - within):
        hold(turn, child, "parent", _because(alarm), alarm)


def _group(turn: Turn, near: Around, alarm: Alarm, rule: Rule, collapse: Collapse, compose: Compose) -> Alarm | None:
    """Return the new alarm of several of a rule under one parent, once there are enough; those that stand go under it."""
    parent = alarm.ancestors[-1 if collapse.under == "farthest" else 0]
    siblings = near.siblings(rule.rule, parent, alarm.raised_at - collapse.within)
    if len(siblings) < collapse.at_least:
        return None
    source, _, ref = parent.partition("|")
    key, at = f"{rule.rule}|groupe|{parent}", flood.microseconds(alarm.raised_at)
    details: dict[str, Any] = {"count": len(siblings), "collapse": {"at_least": collapse.at_least, "title": collapse.title}}
    if "feed" in alarm.details:
        details["feed"] = alarm.details["feed"]
    since = flood.microseconds(min(a.started_at for a in siblings))
    draft = compose(Change(key, rule.rule, at, is_active=True, since=since, asset=(source, ref), details=details))
    draft.alarm.hides = [rule.rule]
    draft.alarm.details["parent"] = draft.alarm.asset_name or ref
    _entitle(draft.alarm, len(siblings))
    last = turn.last_of([key]).get(key)
    if last is None or last.closed_at is not None:
        group = turn.save(lifecycle.raised(last, draft.alarm, turn.now))
    else:
        group = turn.save(lifecycle.reactivated(last, draft.alarm, turn.now))
    for sibling in siblings:
        if sibling is not alarm:
            hold(turn, sibling, "parent", _because(group), group)
    near.add(group)
    place(turn, around(turn, [Wish(group)]), group)
    return group


def _entitle(group: Alarm, count: int) -> None:
    said = {"count": count, "parent": group.details.get("parent") or "—"}
    group.title = str(group.details["collapse"]["title"]).format_map(said)
    group.message = f"{group.title}."


def _because(parent: Alarm) -> str:
    place_of = parent.asset_name or parent.asset_ref
    return f"{parent.title} ({place_of})" if place_of else parent.title


def settle(turn: Turn) -> None:
    """Tell the alarms that others are listed under what came and went; a group of which few are left active is over. At a turn's end."""
    while moved := turn.moved():
        parents = {a.alarm_id: a for a in turn.several(moved)}
        for parent_id, change in moved.items():
            _tell(turn, parents[parent_id], change)


def _tell(turn: Turn, parent: Alarm, change: Moved) -> None:
    parent.hidden += len(change.came) - len(change.went)
    parent.hidden_active += change.active
    if parent.key == flood.KEY:
        flood.describe(parent, change)
    elif "collapse" in parent.details and parent.is_active and parent.hidden:
        _entitle(parent, parent.hidden)
    is_held = parent.closed_at is None and parent.is_active
    if not is_held and parent.hidden and parent.releases_at is None and parent.key != flood.KEY:
        parent.releases_at = turn.now + lifecycle.SETTLES_AFTER
    written = lifecycle.Written(parent, turn.now)
    if parent.closed_at is None:
        children = [a.alarm_id for a in change.came[:_LISTED]]
        written.log(
            Kind.JOINED if change.came else Kind.UPDATED, came=len(change.came), went=len(change.went), children=children,
            hidden=parent.hidden, hidden_active=parent.hidden_active,
        )  # fmt: skip
    turn.save(written)
    if is_held and "collapse" in parent.details and 2 * parent.hidden_active < parent.details["collapse"]["at_least"]:
        turn.save(lifecycle.returned(parent, turn.now, turn.now))


def after_return(turn: Turn, alarm: Alarm) -> None:
    """Show at once what is critical and was listed under an alarm that is over; the rest has time to say that it is well."""
    if alarm.hidden or alarm.alarm_id in turn.leads:
        replace_all(turn, [c for c in turn.under([alarm.alarm_id]) if c.priority == Priority.CRITICAL and c.is_active])


def replace_all(turn: Turn, alarms: Sequence[Alarm]) -> None:
    """Put alarms where they belong now that what held them is over; the most urgent first, what explains others before them."""
    if not alarms:
        return
    near = around(turn, [Wish(a) for a in alarms])
    for alarm in sorted(alarms, key=lambda a: (len(a.ancestors), a.priority, a.raised_at, a.alarm_id)):
        place(turn, near, alarm)
