"""The engine: signals and a clock go in, changes of alarms come out.

Here: the public interface, and which part of the engine a signal goes to. Not here: each kind of condition (`levels`, `occasions`,
`silences`, `citizens`), keys and bounds (`telling`), what is done with a change (`orchestration.alerts.store`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestration.alerts.engine.world import World
from orchestration.alerts.model import Change, Heard, Signal
from orchestration.alerts.rulebook.model import Rule

__all__ = ["Engine", "World"]

Saved = tuple[str, str, bytes | None]


class Engine:
    """The rules at work. Args of the class: the `rules` in force, by name; what is known of equipment, feeds and hours."""

    def __init__(self, rules: Mapping[str, Rule], world: World) -> None:
        self.rules, self.world = dict(rules), world

    def restore(self, rows: Iterable[tuple[str, str, bytes]]) -> None:
        """Go on from a saved state: (part, key, body) as `saved` gave them. Call it before the first signal."""
        for _ in rows:
            pass

    def take(self, signal: Signal) -> list[Change]:
        """Return what a signal changes. Signals come in the order of the stream."""
        del signal
        return []

    def hear(self, heard: Heard) -> list[Change]:
        """Return what the bare sign of life of a feed changes."""
        del heard
        return []

    def advance(self, now: int) -> list[Change]:
        """Return what is due at or before an instant (microseconds since 1970)."""
        del now
        return []

    @property
    def next_due(self) -> int | None:
        """When to call `advance` next, microseconds since 1970; None when nothing waits for the clock."""
        return None

    def wants(self, feed: str) -> bool:
        """Return whether a rule needs what the messages of a feed say, and not only that they came."""
        return feed in self.world.feeds

    def saved(self) -> list[Saved]:
        """Return the states that changed since the last call: (part, key, body), None as body where one is gone."""
        return []

    def refresh(self, rules: Mapping[str, Rule], world: World) -> list[Change]:
        """Return what changes when rules or the referential did: states of rules that are the same are kept."""
        self.rules, self.world = dict(rules), world
        return []
