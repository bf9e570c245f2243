"""Warnings of authorities under one rule: which hazards and areas, and what an alarm says of them.

Here: one rule on warnings. Not here: what is in force where (`warnings`), telling (`telling`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import msgspec

from orchestration.alerts.engine.levels import Hub
from orchestration.alerts.engine.scope import Scope, fold, pattern
from orchestration.alerts.engine.timers import SECOND
from orchestration.alerts.engine.warnings import Warnings, WarningState
from orchestration.alerts.engine.world import World
from orchestration.alerts.model import Change, Observed
from orchestration.alerts.rulebook.model import Rule, Warning_

SEVERITIES: Final = {1: "Minor", 2: "Moderate", 3: "Severe", 4: "Extreme"}
_EXTREME: Final = 4
# An instruction is shown to operators, who have the whole text behind the link.
_LONGEST: Final = 1000


def _iso(at: int) -> str | None:
    return dt.datetime.fromtimestamp(at / SECOND, dt.UTC).isoformat() if at else None


def is_warning(prop: str) -> bool:
    """Return whether a property is one of a warning (docs/formats/cap.md)."""
    return prop.startswith("warning.") or prop == "warning_status"


class WarningRule:
    """One rule on warnings. Args of the class: `touched` is called when its state changes."""

    def __init__(self, rule: Rule, when: Warning_, world: World, hub: Hub, touched: Callable[[WarningRule], None]) -> None:
        self.rule, self._when, self._world, self._hub, self._touched = rule, when, world, hub, touched
        self.scope = Scope(rule)
        self._events = pattern(when.events, folded=True)
        self._ahead = round(when.ahead.total_seconds() * SECOND)
        self._warnings = Warnings(when.level, self._ahead)
        self._active: set[str] = set()
        self.due: int | None = None

    def take(self, row: Observed, now: int) -> None:
        """Take a row of a warning."""
        for state in self._warnings.take(row):
            self._say(state, now)
        self._wait()
        self._touched(self)

    def fire(self, now: int) -> None:
        """Go on when a message is complete, an onset near, or a warning over."""
        for state in self._warnings.advance(now):
            self._say(state, now)
        self._wait()
        self._touched(self)

    def _wait(self) -> None:
        due = self._warnings.next_due
        if due != self.due:
            self.due = None
            if due is not None:
                self._hub.timers.add(due, f"{self.rule.rule}|", self)

    def _say(self, state: WarningState, now: int) -> None:
        own = f"{state.source}|{state.area}|{state.event}"
        if not state.level:
            if own in self._active:
                self._active.discard(own)
                self._hub.telling.off(self.rule.rule, own, state.at)
            return
        equipment = self._world.directory.get((state.source, state.area))
        if self._events and not any(self._events.fullmatch(fold(e)) for e in (state.event, state.label) if e):
            return
        if not self.scope.has_asset(state.area, equipment):
            return
        details: dict[str, Any] = {
            "feed": state.feed, "event": state.event, "label": state.label, "severity": SEVERITIES[state.level], "level": state.level,
            "headline": state.headline or state.label or state.event, "onset": _iso(state.onset), "expires": _iso(state.expires),
            "area": equipment.label if equipment else state.area, "web": state.web, "sender": state.sender_name,
            "instruction": state.instruction[:_LONGEST] if state.instruction else None, "alerts": list(state.message_ids),
        }  # fmt: skip
        if state.level == _EXTREME and self._when.level < _EXTREME:
            # The rule's urgency is that of the level it begins at; what an authority calls extreme is one step more urgent.
            details["priority"] = max(1, int(self.rule.priority) - 1)
        key = self._hub.telling.key_for(self.rule, state.feed, (state.source, state.area), own)
        change = Change(
            key, self.rule.rule, state.at, is_active=True, since=state.at, asset=(state.source, state.area),
            property=f"warning.{state.event}", value=float(state.level), text=SEVERITIES[state.level],
            details={k: v for k, v in details.items() if v is not None}, title=state.headline,
        )  # fmt: skip
        if own in self._active:
            self._hub.telling.more(own, change)
        else:
            self._active.add(own)
            self._hub.telling.on(own, change, now)

    # --- saving

    def dump(self) -> bytes:
        """Return its state."""
        return msgspec.msgpack.encode((self._warnings.to_bytes(), sorted(self._active)))

    def load(self, body: bytes) -> set[str]:
        """Take a saved state; return the members that hold."""
        warnings, active = msgspec.msgpack.decode(body, type=tuple[bytes, list[str]])
        self._warnings = Warnings.from_bytes(warnings, self._when.level, self._ahead)
        self._active = set(active)
        self._wait()
        return self._active
