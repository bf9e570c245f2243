"""Conditions on things that happen, and not on a level: event codes, and how often something occurs.

Here: when an event counts as over, how many fit in a span. Not here: levels (`levels`), telling (`telling`).
"""

from __future__ import annotations

from typing import Any, Final

from orchestration.alerts.engine.conditions import matcher
from orchestration.alerts.engine.levels import ACTIVE, ENDING, NORMAL, PENDING, SETTLE, Hub, State, Watcher
from orchestration.alerts.engine.levels import LATE as _LATE
from orchestration.alerts.model import Observed
from orchestration.alerts.rulebook.model import Count, Event, Rule

_MICROSECONDS: Final = 1_000_000


class _Happens:
    """What an event or a count remembers: plain lists."""

    is_plain = False

    @staticmethod
    def judge(state: Any, seen: Observed) -> None:
        """Say nothing: an occasion is no level."""
        del state, seen

    @staticmethod
    def dump(memory: Any) -> Any:
        """Return the memory as it is."""
        return memory

    @staticmethod
    def load(saved: Any) -> Any:
        """Return the memory as it is."""
        return saved


class EventWatcher(Watcher):
    """An event code. `memory` is the instant of the last one: the same event again says nothing.

    With codes that end it, only they do; without, it is over when it lasted as long as the rule says since the last time.
    Events are not passed over for being older than another value of their property, only for being older than the last event of the rule.
    """

    def __init__(self, rule: Rule, when: Event, hub: Hub) -> None:
        super().__init__(rule, _Happens(), hub)
        self._raises = matcher(when.codes) if when.codes else _anything
        self._ends = matcher(when.ends) if when.ends else None
        self._lasts = round(when.lasts.total_seconds() * _MICROSECONDS)

    def observe(self, state: State, seen: Observed, now: int) -> None:
        """Take an observation, whatever its order."""
        at = seen.observed_at
        if state.memory is not None and at <= state.memory:
            return
        if self._ends is not None and self._ends(seen):
            state.memory = at
            if state.phase == ACTIVE:
                self.end(state, at)
            else:
                self.clear(state)
        elif self._raises(seen):
            state.memory = at
            state.value, state.text, state.unit = seen.value, seen.text, seen.unit
            self._happened(state, seen, now)

    def _happened(self, state: State, seen: Observed, now: int) -> None:
        at = seen.observed_at
        match state.phase:
            case 0:  # NORMAL
                state.phase, state.since, state.at = PENDING, at, at
                state.late = seen.published_at - at > _LATE
                if state.late:
                    self.wait(state, seen.published_at + SETTLE)
                else:
                    self.activate(state, now)
                    self._let_pass(state, now)
            case 1:  # PENDING: late ones; a fresh one needs no waiting
                if seen.published_at - at <= _LATE:
                    self.activate(state, now)
                    self._let_pass(state, now)
            case _:
                self.hub.telling.more(state.member, self.change(state, at))
                self._let_pass(state, now)

    def _let_pass(self, state: State, now: int) -> None:
        """Let an event without an end last."""
        if self._ends is None:
            over = state.memory + self._lasts
            if over <= now:
                self.end(state, over)
            else:
                self.wait(state, over)

    def fire(self, state: State, now: int) -> None:
        """Raise what came late, or end what lasted long enough."""
        if state.phase == PENDING:
            super().fire(state, now)
            self._let_pass(state, now)
        elif state.phase == ACTIVE:
            self.hub.touched((state.source, state.ref))
            self.end(state, state.memory + self._lasts)


class CountWatcher(Watcher):
    """Something happens too often. `memory` is [last value or text, instants of the last occasions, at most as many as raise].

    It looks at what was observed when, not at when it came: occasions that all lie further back than the span raise nothing.
    """

    def __init__(self, rule: Rule, when: Count, hub: Hub) -> None:
        super().__init__(rule, _Happens(), hub)
        self._counts = matcher(when.values) if when.values else None
        self._at_least = when.at_least
        self._within = round(when.within.total_seconds() * _MICROSECONDS)

    def observe(self, state: State, seen: Observed, now: int) -> None:
        """Take an observation later than the last of its property."""
        at = seen.observed_at
        said = seen.text if seen.value is None else seen.value
        if state.memory is None:
            state.memory = [None, []]
        last, instants = state.memory
        state.memory[0] = said
        if not (self._counts(seen) if self._counts else last is not None and said is not None and said != last):
            return
        instants.append(at)
        del instants[: -self._at_least]
        if len(instants) < self._at_least or instants[0] <= at - self._within:
            return
        over = instants[0] + self._within
        state.value, state.text, state.unit = seen.value, seen.text, seen.unit
        if state.phase == NORMAL and over > now:
            state.since, state.at = instants[0], at
            state.extra = {"count": len(instants)}
            self.activate(state, now)
        if state.phase == ACTIVE:
            self.wait(state, over)

    def fire(self, state: State, now: int) -> None:
        """End it when too few are left in the span."""
        self.hub.touched((state.source, state.ref))
        if state.phase in {ACTIVE, ENDING}:
            self.end(state, now)


def _anything(seen: Observed) -> bool:
    return seen.value is not None or seen.text is not None
