"""Floods: operators get no more alarms than they can read; the others are grouped under one, and stand for themselves later.

Here: who is presented, when a flood begins and ends. Not here: other reasons to hide an alarm (`grouping`).

EEMUA 191: a person handles about one alarm in ten minutes for long, and at most ten in ten minutes for a while; past it is a flood.
All operators of a post look at the same wall, so the bound does not grow with their number.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections import Counter
from typing import Any, Final

from orchestration.alerts import lifecycle
from orchestration.alerts.drafting import Composer
from orchestration.alerts.model import Alarm, AssetKey, Change, Equipment, Priority
from orchestration.alerts.rulebook.load import load_rule
from orchestration.alerts.rulebook.registry import SHIPPED
from orchestration.alerts.store.turn import Moved, Turn

RULE: Final = "afflux"
KEY: Final = f"vigie|{RULE}"
SPAN: Final = dt.timedelta(minutes=10)
MOST: Final = 10
# The alarm of the flood is the ninth, and the tenth is kept for a critical one, or for the cause of many.
ROOM: Final = MOST - 2
# The flood is over when fewer than half as many have come for as long.
CALM: Final = MOST // 2
# What is kept of past instants: there is no room from 10 on, and it is not calm from 5 on; the newest tell as much as all of them.
_KEPT: Final = MOST + 2


def admit(turn: Turn, alarm: Alarm) -> Alarm | None:
    """Decide whether an alarm is presented now.

    Returns:
        The alarm of the flood, under which it must go; None if it is presented, which counts.
    """
    turn.offered = [*_recent(turn, turn.offered)[-_KEPT:], turn.now]
    if alarm.priority == Priority.CRITICAL or alarm.key == KEY:
        count(turn, alarm)
        return None
    flood = standing(turn)
    # While it lasts, what room there is belongs to the urgent ones.
    if room(turn, alarm) > 0 and (flood is None or alarm.priority == Priority.HIGH):
        count(turn, alarm)
        return None
    return flood or _begin(turn)


def count(turn: Turn, alarm: Alarm) -> None:
    """Count an alarm as presented now."""
    turn.shown.add(alarm.alarm_id)
    turn.presented = [*_recent(turn, turn.presented)[-_KEPT:], turn.now]


def uncount(turn: Turn, alarm: Alarm) -> None:
    """Take back that an alarm was presented in this turn, which hides it after all: nobody has seen it."""
    if alarm.alarm_id in turn.shown:
        turn.shown.discard(alarm.alarm_id)
        turn.presented.remove(turn.now)
        turn.offered.remove(turn.now)


def room(turn: Turn, alarm: Alarm) -> int:
    """Return how many alarms like one, that is not critical, may be presented now: what explains others may take the last place."""
    most = MOST if alarm.hidden or alarm.alarm_id in turn.leads else ROOM
    return most - len(_recent(turn, turn.presented))


def standing(turn: Turn) -> Alarm | None:
    """Return the alarm of the flood that lasts."""
    found = turn.one(turn.flood_id) if turn.flood_id is not None else None
    return found if found is not None and found.closed_at is None and found.is_active else None


def is_calm(turn: Turn) -> bool:
    """Return whether few have come for long enough; remembers since when."""
    if standing(turn) is None:
        return True
    if len(_recent(turn, turn.offered)) >= CALM:
        turn.calm_since = None
    elif turn.calm_since is None:
        turn.calm_since = turn.now
    return turn.calm_since is not None and turn.now - turn.calm_since >= SPAN


def end(turn: Turn) -> None:
    """End the flood: nothing active is left under its alarm."""
    flood = standing(turn)
    if flood is not None:
        turn.save(lifecycle.returned(flood, turn.now, turn.now))
    turn.flood_id = turn.calm_since = None


def describe(flood: Alarm, moved: Moved) -> None:
    """Say in the alarm of a flood what it groups: counts by domain, rule and commune, and how many."""
    counts: dict[str, Counter[str]] = {}
    for column in ("domain", "rule", "commune"):
        counter = Counter(flood.details.get(column) or {})
        counter.update(getattr(a, column) or "—" for a in moved.came)
        counter.subtract(getattr(a, column) or "—" for a in moved.went)
        counts[column] = Counter({k: n for k, n in counter.items() if n > 0})
    flood.details = {**flood.details, "count": flood.hidden, **{k: dict(c.most_common()) for k, c in counts.items()}}
    flood.message = _compose(microseconds(flood.raised_at), flood.details).message


def _begin(turn: Turn) -> Alarm:
    last = turn.last_of([KEY]).get(KEY)
    draft = _compose(microseconds(turn.now), {"count": 0})
    if last is not None and last.closed_at is None:
        flood = turn.save(lifecycle.reactivated(last, draft, turn.now))
    else:
        flood = turn.save(lifecycle.raised(last, draft, turn.now))
    turn.flood_id, turn.calm_since = flood.alarm_id, None
    count(turn, flood)
    return flood


def microseconds(instant: dt.datetime) -> int:
    """Return an instant of an alarm as one of a change, in microseconds since 1970."""
    return round(instant.timestamp() * 1_000_000)


def _compose(at: int, details: dict[str, Any]) -> Alarm:
    return _composer()(Change(KEY, RULE, at, is_active=True, since=at, details=details)).alarm


@functools.cache
def _composer() -> Composer:
    return Composer({RULE: load_rule(SHIPPED / f"{RULE}.yaml")}, _Nothing())


class _Nothing:
    """A flood is about no equipment."""

    def get(self, key: AssetKey) -> Equipment | None:
        del key
        return None


def _recent(turn: Turn, instants: list[dt.datetime]) -> list[dt.datetime]:
    return [at for at in instants if at > turn.now - SPAN]
