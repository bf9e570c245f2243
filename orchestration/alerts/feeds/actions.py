"""What people and systems do with alarms, and the role each action takes: the same for the API and the page.

Here: who may, and the bounds of a request. Not here: what an action makes of an alarm (`orchestration.alerts.lifecycle`), who is who
(`orchestration.alerts.access`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ingestion.errors import VigieError
from orchestration.alerts import lifecycle
from orchestration.alerts.access import Who, require
from orchestration.alerts.lifecycle import Written
from orchestration.alerts.model import Alarm, Role
from orchestration.alerts.store.store import Store

LONGEST_ALONE: Final = dt.timedelta(hours=8)
"""How long an operator may shelve by themselves: what outlives the shift is a supervisor's to answer for (ISA-18.2, shelving)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one alarm of several: the alarm, or why not."""

    alarm_id: int
    alarm: Alarm | None
    error: str | None = None
    remedy: str | None = None


class Actions:
    """Actions on the alarms of a store.

    All raise `NotAllowed`, `NotThere` or `WrongUse`, and psycopg's errors; nothing was changed then.
    """

    def __init__(self, store: Store, *, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._store, self._now = store, now

    def acknowledge(self, who: Who, alarm_id: int, comment: str | None = None) -> Alarm:
        """Say that an alarm was seen."""
        require(who, Role.OPERATOR, "acknowledge")
        return self._act(alarm_id, lambda alarm, now: lifecycle.acknowledged(alarm, who.login, now, comment))

    def acknowledge_all(self, who: Who, alarm_ids: Iterable[int], comment: str | None = None) -> list[Outcome]:
        """Say that several were seen; one that cannot be (closed meanwhile) does not keep the others."""
        require(who, Role.OPERATOR, "acknowledge")
        outcomes = []
        for alarm_id in dict.fromkeys(alarm_ids):
            try:
                outcomes.append(Outcome(alarm_id, self.acknowledge(who, alarm_id, comment)))
            except VigieError as error:
                outcomes.append(Outcome(alarm_id, None, error.message, error.remedy))
        return outcomes

    def comment(self, who: Who, alarm_id: int, comment: str) -> Alarm:
        """Say something of an alarm."""
        require(who, Role.OPERATOR, "comment")
        return self._act(alarm_id, lambda alarm, now: lifecycle.commented(alarm, who.login, now, comment))

    def shelve(self, who: Who, alarm_id: int, until: dt.datetime, reason: str) -> Alarm:
        """Put an alarm aside until a moment; past a shift's length only a supervisor may."""
        require(who, Role.OPERATOR, "shelve")
        if until - self._now() > LONGEST_ALONE:
            require(who, Role.SUPERVISOR, f"shelve for longer than {LONGEST_ALONE.total_seconds() / 3600:.0f} hours")
        return self._act(alarm_id, lambda alarm, now: lifecycle.shelved(alarm, who.login, now, until, reason))

    def unshelve(self, who: Who, alarm_id: int) -> Alarm:
        """Show an alarm again."""
        require(who, Role.OPERATOR, "unshelve")
        return self._act(alarm_id, lambda alarm, now: lifecycle.unshelved(alarm, who.login, now))

    def close(self, who: Who, alarm_id: int, comment: str | None = None) -> Alarm:
        """Close an alarm; while its condition holds with a comment."""
        require(who, Role.OPERATOR, "close")
        return self._act(alarm_id, lambda alarm, now: lifecycle.closed(alarm, who.login, now, comment))

    def assign(self, who: Who, alarm_id: int, to: str | None) -> Alarm:
        """Say who takes an alarm on; None gives it back."""
        require(who, Role.OPERATOR, "assign")
        return self._act(alarm_id, lambda alarm, now: lifecycle.assigned(alarm, who.login, now, to))

    def step(self, who: Who, alarm_id: int, step: int, *, is_done: bool) -> Alarm:
        """Tick a step of the procedure (0 the first), or no longer."""
        require(who, Role.OPERATOR, "tick steps")
        return self._act(alarm_id, lambda alarm, now: lifecycle.stepped(alarm, who.login, now, step, is_done=is_done))

    def _act(self, alarm_id: int, action: Callable[[Alarm, dt.datetime], Written]) -> Alarm:
        return self._store.act(alarm_id, action)[0]
