"""A rule tried on history: when it would have raised, how often, and what it would have added to the operators' load.

Here: running one rule by itself over signals in order. Not here: reading them from the lake, printing (`vigie alerts try`).

What the trial does not know: parents that would have hidden its alarms, and floods. It is the most that the rule would have shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from orchestration.alerts.engine.core import Engine
from orchestration.alerts.engine.telling import CUT_OFF
from orchestration.alerts.engine.timers import MINUTE
from orchestration.alerts.engine.world import World
from orchestration.alerts.model import AssetKey, Change, Heard, Signal
from orchestration.alerts.rulebook.model import Rule

_DAY: Final = 24 * 60 * MINUTE
# The span in which EEMUA 191 counts what an operator can take in: about one alarm on average, ten at the very most.
TEN_MINUTES: Final = 10 * MINUTE


@dataclass(slots=True)
class Raise:
    """One alarm that would have been raised.

    Attributes:
        at: when, microseconds since 1970.
        until: when it would have returned to normal; None while it still held at the end.
        since: when its condition began.
    """

    key: str
    at: int
    since: int
    asset: AssetKey | None
    observed_property: str | None
    value: float | None
    text: str | None
    unit: str | None
    details: dict[str, Any]
    until: int | None = None

    @property
    def lasted(self) -> int | None:
        """How long it held, microseconds."""
        return None if self.until is None else self.until - self.at


@dataclass(frozen=True, slots=True)
class Trial:
    """What a rule would have done from `start` to `end` (microseconds since 1970, the end exclusive).

    Attributes:
        raises: the alarms, in the order in which they would have been told.
        updates: how often it would have said more of one.
        signals: how many signals it was tried on, those before the start included.
        worst: the most alarms within ten minutes, and when those began; (0, None) when there was none.
        cut_off: when its bound would have cut it off: what it held back longer than the trial is not in `raises`.
    """

    rule: str
    start: int
    end: int
    signals: int = 0
    updates: int = 0
    raises: list[Raise] = field(default_factory=list)
    worst: tuple[int, int | None] = (0, None)
    cut_off: list[int] = field(default_factory=list)

    @property
    def per_day(self) -> float:
        """Alarms per day."""
        return len(self.raises) * _DAY / (self.end - self.start)

    def load(self, operators: int) -> float:
        """Return the alarms per ten minutes that it adds to each of the operators present, on average.

        Raises:
            ValueError: nobody is present.
        """
        if operators < 1:
            raise ValueError("load is per operator: at least one must be present")
        return len(self.raises) * TEN_MINUTES / (self.end - self.start) / operators


def try_rule(rule: Rule, signals: Iterable[Signal | Heard], world: World, start: int, end: int) -> Trial:
    """Return what a rule would have done.

    Args:
        rule: the rule; it is tried even if it is not enabled.
        signals: in the order of the stream (`published_at`); those before the start teach it what is usual and who speaks, those from
            the end on are not read.
        world: what is known of equipment, feeds and hours.
        start: the beginning of the span looked at, microseconds since 1970.
        end: its end, exclusive.

    Raises:
        ValueError: the span is empty.
    """
    if end <= start:
        raise ValueError("the trial ends before it begins")
    engine = Engine({rule.rule: rule.model_copy(update={"enabled": True})}, world)
    tally = _Tally(rule.rule, start, end)
    count = 0
    for signal in signals:
        if signal.published_at >= end:
            break
        count += 1
        tally.count(engine.advance(signal.published_at))
        tally.count(engine.hear(signal) if isinstance(signal, Heard) else engine.take(signal))
    tally.count(engine.advance(end - 1))
    return Trial(rule.rule, start, end, count, tally.updates, tally.raises, _worst(tally.raises), tally.cut_off)


class _Tally:
    def __init__(self, rule: str, start: int, end: int) -> None:
        self._rule, self._start, self._end = rule, start, end
        self._open: dict[str, Raise] = {}
        self.raises: list[Raise] = []
        self.updates = 0
        self.cut_off: list[int] = []

    def count(self, changes: Iterable[Change]) -> None:
        for change in changes:
            is_within = self._start <= change.at < self._end
            if change.rule == CUT_OFF:
                if change.is_active and is_within:
                    self.cut_off.append(change.at)
            elif change.is_update:
                self.updates += is_within
            elif not change.is_active:
                if (found := self._open.pop(change.key, None)) is not None:
                    found.until = change.at
            elif is_within:
                self._open[change.key] = found = Raise(
                    change.key,
                    change.at,
                    change.since,
                    change.asset,
                    change.property,
                    change.value,
                    change.text,
                    change.unit,
                    change.details,
                )
                self.raises.append(found)


def _worst(raises: Iterable[Raise]) -> tuple[int, int | None]:
    """Return the most alarms within ten minutes, and when they began."""
    window: deque[int] = deque()
    worst: tuple[int, int | None] = (0, None)
    for at in sorted(r.at for r in raises):
        window.append(at)
        while window[0] <= at - TEN_MINUTES:
            window.popleft()
        if len(window) > worst[0]:
            worst = (len(window), window[0])
    return worst
