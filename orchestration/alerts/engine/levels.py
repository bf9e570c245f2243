"""Conditions on what one property of one asset says: when they begin and end, with their delays.

Here: the state of one condition on one series, and the edges of levels. Not here: judging a value (`conditions`), events and counts
(`occasions`), telling (`telling`).

    normal --holds--> pending --on-delay--> active --over--> ending --off-delay--> normal
                         '--over--> normal     ^               |
                                               '-----holds-----'

A value between the level and where it clears says nothing: neither does it interrupt a delay. A value observed at the very instant an
on-delay is over still contradicts it, and is waited for (`GRACE`): equipment that is asked each quarter of an hour speaks just then. Late
data (older than `LATE` when published) wait `SETTLE` by the engine's clock before they raise: what a gateway kept and sends at once is
mostly over by its last value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from orchestration.alerts.engine.conditions import Condition
from orchestration.alerts.engine.telling import Telling
from orchestration.alerts.engine.timers import MINUTE, SECOND, Timers
from orchestration.alerts.model import AssetKey, Change, Observed
from orchestration.alerts.rulebook.model import Rule

LATE: Final = 15 * MINUTE
"""A value older than this when it was published was kept somewhere: a gateway that catches up sends hours."""
SETTLE: Final = 60 * SECOND
"""How long such a value may be contradicted before it raises: a gateway sends what it kept within seconds."""
GRACE: Final = 10 * SECOND
"""How long after an on-delay a value observed until then is waited for: messages take seconds. The alarm is dated without it."""
GRACE_SHARE: Final = 10
"""Of a short on-delay no more than one part in so many is added: who asks for ten seconds means seconds."""

NORMAL, PENDING, ACTIVE, ENDING = range(4)


class StateRow(msgspec.Struct, array_like=True):
    """A state as it is saved."""

    rule: str
    tag: str
    feed: str
    property: str
    phase: int
    since: int
    at: int
    due: int | None
    late: bool
    value: float | None
    text: str | None
    unit: str | None
    told: float | None
    extra: dict[str, Any] | None
    memory: Any


@dataclass(frozen=True)
class Hub:
    """What conditions speak to.

    Attributes:
        touched: told of an asset (source, ref) whose state a timer changed: it must be saved.
        group_touched: likewise of a silence.
    """

    timers: Timers
    telling: Telling
    touched: Callable[[AssetKey], None]
    group_touched: Callable[[Any], None]


class State:
    """One condition on one property of one asset.

    Attributes:
        phase: NORMAL, PENDING, ACTIVE or ENDING.
        since: when it began (pending, active).
        at: when it is due, or over, in the time of what was observed.
        due: when the engine's clock brings that; None when nothing waits.
        late: whether it waits because the value came late.
        told: the figure last told, for the deadband.
    """

    __slots__ = (
        "at", "due", "extra", "feed", "late", "memory", "phase", "property", "ref", "since", "source", "text", "told", "unit", "value",
        "watcher",
    )  # fmt: skip

    def __init__(self, watcher: Watcher, feed: str, source: str, ref: str, prop: str) -> None:
        self.watcher, self.feed, self.source, self.ref, self.property = watcher, feed, source, ref, prop
        self.phase, self.since, self.at, self.late = NORMAL, 0, 0, False
        self.due: int | None = None
        self.value: float | None = None
        self.text: str | None = None
        self.unit: str | None = None
        self.told: float | None = None
        self.extra: dict[str, Any] | None = None
        self.memory: Any = None

    @property
    def member(self) -> str:
        """Its name under a key of its rule."""
        return f"{self.source}|{self.ref}|{self.property}|{self.watcher.tag}"

    @property
    def is_blank(self) -> bool:
        """Whether forgetting it changes nothing."""
        return self.phase == NORMAL and self.memory is None

    def fire(self, now: int) -> None:
        """Go on when a delay is over."""
        self.watcher.fire(self, now)

    def row(self) -> StateRow:
        """Return it as it is saved."""
        w = self.watcher
        return StateRow(
            w.rule.rule, w.tag, self.feed, self.property, self.phase, self.since, self.at, self.due, self.late, self.value, self.text,
            self.unit, self.told, self.extra, w.condition.dump(self.memory),
        )  # fmt: skip

    def load(self, row: StateRow) -> None:
        """Take what was saved; what waited waits again."""
        self.phase, self.since, self.at, self.late = row.phase, row.since, row.at, row.late
        self.value, self.text, self.unit, self.told, self.extra = row.value, row.text, row.unit, row.told, row.extra
        self.memory = self.watcher.condition.load(row.memory)
        if row.due is not None:
            self.watcher.wait(self, row.due)


class Watcher:
    """A rule's condition on a property of a feed.

    Attributes:
        tag: tells conditions of one rule on one property apart: a fault.
        is_plain: whether a state is needed only once the condition holds.
    """

    def __init__(self, rule: Rule, condition: Condition, hub: Hub, tag: str = "") -> None:
        self.rule, self.condition, self.tag = rule, condition, tag
        self.hub = hub
        self.is_plain = condition.is_plain
        when = rule.when
        self._on_delay = round(getattr(when, "on_delay", _NO_DELAY).total_seconds() * SECOND)
        self._off_delay = round(getattr(when, "off_delay", _NO_DELAY).total_seconds() * SECOND)
        self._grace = min(GRACE, self._on_delay // GRACE_SHARE)
        self._deadband = float(getattr(when, "deadband", 0.0))

    def observe(self, state: State, seen: Observed, now: int) -> None:
        """Take an observation later than the last of its property."""
        holds = self.condition.judge(state, seen)
        if holds is None:
            return
        at = seen.observed_at
        if holds:
            if state.phase == ENDING and at >= state.at:
                self.end(state, state.at)
            state.value, state.text, state.unit = seen.value, seen.text, seen.unit
            match state.phase:
                case 0:  # NORMAL
                    state.phase, state.since = PENDING, at
                    state.late = seen.published_at - at > LATE
                    self._delay(state, seen.published_at, now)
                case 1:  # PENDING
                    if state.late and seen.published_at - at <= LATE:  # a fresh value says the same: nothing to wait for
                        state.late = False
                        self._delay(state, seen.published_at, now)
                    if not state.late and state.phase == PENDING and state.at <= min(at, now):  # it held: no other value is waited for
                        self.activate(state, now)
                case _:
                    state.phase, state.due = ACTIVE, None
                    self._more(state, at)
            return
        if state.phase == PENDING:
            if not state.late and at > state.at:  # it held for as long as it must, though the clock has not come there yet
                self.activate(state, now)
            else:
                self.clear(state)
        if state.phase == ACTIVE:
            state.phase, state.at = ENDING, at + self._off_delay
            if state.at <= now or not self._off_delay:
                self.end(state, state.at)
            else:
                self.wait(state, state.at)

    def _delay(self, state: State, published_at: int, now: int) -> None:
        """Let the on-delay run; what is due already is told."""
        state.at = state.since + self._on_delay
        due = max(state.at, published_at + SETTLE) if state.late else state.at + self._grace
        if due <= now or not (self._on_delay or state.late):
            self.activate(state, now)
        else:
            self.wait(state, due)

    def fire(self, state: State, now: int) -> None:
        """Go on when a delay is over."""
        self.hub.touched((state.source, state.ref))
        if state.phase == PENDING:
            self.activate(state, now)
        elif state.phase == ENDING:
            self.end(state, state.at)

    def activate(self, state: State, now: int) -> None:
        """Tell that it holds."""
        state.phase, state.due, state.late, state.told = ACTIVE, None, False, state.value
        self.hub.telling.on(state.member, self.change(state, state.at), now)

    def end(self, state: State, at: int) -> None:
        """Tell that it is over since `at`."""
        self.clear(state)
        self.hub.telling.off(self.rule.rule, state.member, at)

    def _more(self, state: State, at: int) -> None:
        if self._deadband and state.value is not None and (state.told is None or abs(state.value - state.told) > self._deadband):
            state.told = state.value
            self.hub.telling.more(state.member, self.change(state, at))

    @staticmethod
    def clear(state: State) -> None:
        """Make it normal, without telling."""
        state.phase, state.due, state.late = NORMAL, None, False
        state.value = state.text = state.unit = state.told = state.extra = None

    def wait(self, state: State, due: int) -> None:
        """Let it be called when it is due."""
        self.hub.timers.add(due, f"{self.rule.rule}|{state.member}", state)

    def change(self, state: State, at: int) -> Change:
        """Return what is told of it."""
        details: dict[str, Any] = {"feed": state.feed, **(state.extra or {})}
        if self.tag and self.rule.fault_type is None:
            details["fault_type"] = self.tag
        asset = (state.source, state.ref)
        return Change(
            key=self.hub.telling.key_for(self.rule, state.feed, asset, f"{state.source}|{state.ref}"),
            rule=self.rule.rule, at=at, is_active=True, since=state.since, asset=asset, property=state.property,
            value=state.value, text=state.text, unit=state.unit, details=details,
        )  # fmt: skip


class _Zero:
    @staticmethod
    def total_seconds() -> float:
        return 0.0


_NO_DELAY: Final = _Zero()
