"""What each kind of condition says of one observation: it holds, it is over, or nothing.

Here: judging one value, with what must be remembered of earlier ones. Not here: delays and edges (`levels`), counts and events
(`occasions`), which equipment is asked (`routes`).

`judge` returns True (holds), False (over) or None (the observation says nothing of it). It may put into `state.memory` what it needs next
time, and into `state.extra` what the alarm should say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from ingestion.feeds.model import StateRule
from orchestration.alerts.engine.profile import Profile
from orchestration.alerts.model import Observed
from orchestration.alerts.rulebook.model import Bit, Deviation, Equals, Rate, Threshold

_MICROSECONDS: Final = 1_000_000
# What is kept of a span for a rate: of more values, neighbours are merged, which moves the span's edge by 1/256 at most.
_KEPT: Final = 256


class Remembering(Protocol):
    """The part of a state that a condition may use."""

    memory: Any
    extra: dict[str, Any] | None


class Condition(Protocol):
    """One condition, compiled.

    Attributes:
        is_plain: whether it needs no memory: then one that is not raised keeps no state at all.
    """

    is_plain: bool

    def judge(self, state: Remembering, seen: Observed) -> bool | None:
        """Return whether it holds."""
        ...

    def dump(self, memory: Any) -> Any:
        """Return a memory as MessagePack can hold it."""
        ...

    def load(self, saved: Any) -> Any:
        """Return a memory that `dump` gave."""
        ...


class _Forgetful:
    """A condition without memory."""

    is_plain = True

    @staticmethod
    def dump(memory: Any) -> Any:
        """Return the memory as it is."""
        return memory

    @staticmethod
    def load(saved: Any) -> Any:
        """Return the memory as it is."""
        return saved


def matcher(values: Sequence[str | float]) -> Callable[[Observed], bool]:
    """Return whether an observation is one of some values: figures by value, texts without regard to case.

    A figure may be told as a text, and a text that is a figure as one: `3` means both.
    """
    texts = frozenset(str(v).strip().casefold() for v in values)
    figures = frozenset(f for v in values if (f := _figure(v)) is not None)

    def matches(seen: Observed) -> bool:
        if seen.value is not None and seen.value in figures:
            return True
        return seen.text is not None and seen.text.strip().casefold() in texts

    return matches


def _figure(value: str | float) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


class ThresholdCondition(_Forgetful):
    """A figure passes a level. Between the level and where it clears, it says nothing (a Schmitt trigger)."""

    def __init__(self, when: Threshold) -> None:
        self._above = math.inf if when.above is None else when.above
        self._below = -math.inf if when.below is None else when.below
        self._over_high = self._above if when.clear is None or when.above is None else when.clear
        self._over_low = self._below if when.clear is None or when.below is None else when.clear

    def judge(self, state: Remembering, seen: Observed) -> bool | None:
        """Return whether the figure is past a level."""
        del state
        value = seen.value
        if value is None or value != value:  # noqa: PLR0124 - not a number is the one value that differs from itself
            return None
        if value > self._above or value < self._below:
            return True
        return False if self._over_low <= value <= self._over_high else None


class EqualsCondition(_Forgetful):
    """A property takes one of some values."""

    def __init__(self, when: Equals) -> None:
        self._raises = matcher(when.values)
        self._normal = None if when.normal is None else matcher(when.normal)

    def judge(self, state: Remembering, seen: Observed) -> bool | None:
        """Return whether it is one of the values."""
        del state
        if self._raises(seen):
            return True
        if seen.value is None and seen.text is None:
            return None
        return False if self._normal is None or self._normal(seen) else None


class BitCondition(_Forgetful):
    """A bit of a status word is set."""

    def __init__(self, when: Bit) -> None:
        self._bit = when.bit

    def judge(self, state: Remembering, seen: Observed) -> bool | None:
        """Return whether the bit is set; what is no whole number, or below zero, says nothing."""
        del state
        value = seen.value
        if value is None or value < 0 or not float(value).is_integer():
            return None
        return bool(int(value) >> self._bit & 1)


class FaultCondition(_Forgetful):
    """What a feed's contract calls failed. Texts are compared as the lake does: exactly."""

    def __init__(self, rules: Iterable[StateRule], states: Iterable[str]) -> None:
        raising = frozenset(states)
        self._states: dict[str, bool | None] = {}
        self._levels: list[tuple[float, float]] = []
        for rule in rules:
            # A failed asset is heard; of one that is not heard, nobody knows whether it works.
            told = {"failed": "failed" in raising, "ok": False, "communication_lost": "communication_lost" in raising or None}
            for state, texts in (("failed", rule.failed), ("ok", rule.ok), ("communication_lost", rule.communication_lost)):
                self._states.update(dict.fromkeys(texts, told[state]))
            if "failed" in raising and (rule.failed_below is not None or rule.failed_above is not None):
                low = -math.inf if rule.failed_below is None else rule.failed_below
                self._levels.append((low, math.inf if rule.failed_above is None else rule.failed_above))

    @property
    def can_raise(self) -> bool:
        """Whether any value can raise it."""
        return bool(self._levels) or True in self._states.values()

    def judge(self, state: Remembering, seen: Observed) -> bool | None:
        """Return whether the value is one that means failed (or not heard, as the rule asks)."""
        del state
        if seen.text is not None and seen.text in self._states:
            return self._states[seen.text]
        if seen.value is None or not self._levels or math.isnan(seen.value):
            return None
        return any(seen.value < low or seen.value > high for low, high in self._levels)


class RateCondition:
    """A figure rises or falls too fast: against the least and the greatest of the span before it.

    Its memory is two lists of (instant, value): an empty deque alone takes 600 bytes, and there is one for each asset.
    """

    is_plain = False

    def __init__(self, when: Rate) -> None:
        self._rises, self._falls = when.rises, when.falls
        self._over = round(when.over.total_seconds() * _MICROSECONDS)
        self._step = self._over // _KEPT

    def judge(self, state: Remembering, seen: Observed) -> bool | None:
        """Return whether it rose or fell by more than allowed within the span."""
        value, at = seen.value, seen.observed_at
        if value is None or not math.isfinite(value):
            return None
        if state.memory is None:
            state.memory = ([], [])
        lows, highs = state.memory
        for side in (lows, highs):
            while side and side[0][0] < at - self._over:
                del side[0]
        rose = value - lows[0][1] if lows else 0.0
        fell = highs[0][1] - value if highs else 0.0
        # Only what can still be the least (greatest) later is kept: lows rise, highs fall.
        while lows and lows[-1][1] >= value:
            lows.pop()
        while highs and highs[-1][1] <= value:
            highs.pop()
        sample = (at, value)
        for side in (lows, highs):
            if not side or at - side[-1][0] >= self._step:
                side.append(sample)
        holds = (self._rises is not None and rose > self._rises) or (self._falls is not None and fell > self._falls)
        if holds:
            state.extra = {"change": rose if self._rises is not None and rose > self._rises else -fell}
        return holds

    @staticmethod
    def dump(memory: Any) -> Any:
        """Return both sides."""
        return memory

    @staticmethod
    def load(saved: Any) -> Any:
        """Return both sides."""
        return None if saved is None else tuple([(int(t), v) for t, v in side] for side in saved)


class DeviationCondition:
    """A figure is far from what is usual. It is learned from while it deviates too: what stays is usual in the end."""

    is_plain = False

    def __init__(self, when: Deviation, bucket: Callable[[int], int]) -> None:
        self._when, self._bucket = when, bucket
        self._learn = round(when.learn.total_seconds() * _MICROSECONDS)

    def judge(self, state: Remembering, seen: Observed) -> bool | None:
        """Return whether the figure is off by more than the rule's sensitivity; None until enough was learned."""
        if seen.value is None or not math.isfinite(seen.value):
            return None
        if state.memory is None:
            state.memory = Profile(self._bucket, self._learn)
        profile: Profile = state.memory
        found = profile.judge(seen.observed_at, seen.value)
        profile.learn(seen.observed_at, seen.value)
        if found is None:
            return None
        score = {"above": found.score, "below": -found.score, "both": abs(found.score)}[self._when.direction]
        if score > self._when.sensitivity:
            # Operators compare it with a value they know: more digits than this are noise.
            state.extra = {"expected": float(f"{found.expected:.3g}"), "score": round(score, 1)}
            return True
        return False

    @staticmethod
    def dump(memory: Any) -> Any:
        """Return the profile's bytes."""
        return None if memory is None else memory.to_bytes()

    def load(self, saved: Any) -> Any:
        """Return the profile."""
        return None if saved is None else Profile.from_bytes(saved, self._bucket, self._learn)
