"""The engine: signals and a clock go in, changes of alarms come out.

Here: the public interface, order and time of signals, and which part of the engine a signal goes to. Not here: each kind of condition
(`levels`, `occasions`, `silences`, `citizens`, `authorities`), keys and bounds (`telling`), saved states (`keeping`), what is done with a
change (`orchestration.alerts.store`).

An observation dated more than `AHEAD` after it was published is not judged before its time: it waits until the engine's clock is there
(clocks of equipment run fast; forecasts are dated ahead). What is dated more than `FARTHEST` ahead, or is one of too many that wait for
one asset, is never judged, and counted in `passed_over`; it is a sign of life all the same. Warnings are dated ahead by design, and
judged at once.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestration.alerts.engine.authorities import WarningRule, is_warning
from orchestration.alerts.engine.citizens import ReportRule
from orchestration.alerts.engine.keeping import Asset, Future, Keeper, Parts, Rows, Saved, Series
from orchestration.alerts.engine.levels import Hub, State
from orchestration.alerts.engine.occasions import EventWatcher
from orchestration.alerts.engine.routes import Routes
from orchestration.alerts.engine.telling import Telling
from orchestration.alerts.engine.timers import MINUTE, Timers
from orchestration.alerts.engine.world import World
from orchestration.alerts.model import Change, Heard, Observed, Reported, Signal
from orchestration.alerts.rulebook.model import Indicator, Platform, Report, Rule, Warning_

__all__ = ["AHEAD", "Engine", "World"]

AHEAD: Final = 5 * MINUTE
"""Clocks of equipment are minutes off when they are kept badly; more is meant, or wrong."""
FARTHEST: Final = 2 * 24 * 60 * MINUTE
"""Forecasts and wrong time zones stay within two days; beyond, a date is nonsense (1970 + 2^32 s)."""
MOST_AHEAD: Final = 96
"""Values that may wait for one asset: a day of quarters of an hour."""


class Engine:
    """The rules at work. Args of the class: the `rules` in force, by name; what is known of equipment, feeds and hours.

    Attributes:
        rules: the rules it evaluates: those that are enabled, but for indicators and the platform's own, which others raise.
        passed_over: how many observations were dated too far ahead to be judged.
    """

    def __init__(self, rules: Mapping[str, Rule], world: World) -> None:
        self._now = 0
        self._out: list[Change] = []
        self._keeper = Keeper()
        self.passed_over = 0
        self._compile(rules, world)

    def _compile(self, rules: Mapping[str, Rule], world: World) -> None:
        self.world = world
        self.rules = {
            name: rule for name, rule in sorted(rules.items()) if rule.enabled and not isinstance(rule.when, Indicator | Platform)
        }
        self._timers = Timers()
        self._telling = Telling(self.rules.values(), world, self._timers, self._out.append)
        keeper = self._keeper
        hub = Hub(self._timers, self._telling, keeper.touch, keeper.touch_group)
        self._assets: dict[tuple[str, str], Asset] = {}
        self._routes = Routes(self.rules.values(), world, hub)
        self._reports = {
            name: ReportRule(rule, rule.when, world, hub, keeper.touch_reports)
            for name, rule in self.rules.items()
            if isinstance(rule.when, Report)
        }
        self._warnings = {
            name: WarningRule(rule, rule.when, world, hub, keeper.touch_warnings)
            for name, rule in self.rules.items()
            if isinstance(rule.when, Warning_)
        }
        self._parts = Parts(self.rules, self._assets, self._telling, self._routes, self._reports, self._warnings, self._timers, self.judge)

    # --- signals and time

    def take(self, signal: Signal) -> list[Change]:
        """Return what a signal changes. Signals come in the order of the stream; what is due before is told first."""
        self._run(signal.published_at)
        if isinstance(signal, Observed):
            self._hear(signal.feed, signal.published_at)
            self._observed(signal)
        elif isinstance(signal, Reported):
            self._hear(signal.feed, signal.published_at)
            for rule in self._reports.values():
                rule.take(signal, self._now)
        return self._flush()

    def hear(self, heard: Heard) -> list[Change]:
        """Return what the bare sign of life of a feed changes."""
        self._run(heard.published_at)
        self._hear(heard.feed, heard.published_at)
        return self._flush()

    def advance(self, now: int) -> list[Change]:
        """Return what is due at or before an instant (microseconds since 1970)."""
        self._run(now)
        return self._flush()

    @property
    def next_due(self) -> int | None:
        """When to call `advance` next, microseconds since 1970; None when nothing waits for the clock.

        It may turn out that nothing changes then: who was heard since is looked at only when it is due.
        """
        return self._now if self._out else self._timers.next_due

    def _run(self, now: int) -> None:
        while (found := self._timers.pop(now)) is not None:
            due, owner = found
            self._now = max(self._now, due)
            owner.fire(self._now)
        self._now = max(self._now, now)

    def _flush(self) -> list[Change]:
        if not self._out:
            return []
        changes = list(self._out)
        self._out.clear()
        return changes

    # --- what is observed

    def _hear(self, feed: str, at: int) -> None:
        for group in self._routes.groups(feed):
            if group.feed_heard(at):
                self._keeper.touch_group(group)
        for silence in self._routes.feed_silences(feed):
            if silence.feed_heard(at):
                self._keeper.touch_group(silence)

    def _observed(self, seen: Observed) -> None:
        key = (seen.source, seen.asset_ref)
        asset = self._assets.get(key)
        if asset is None:
            asset = self._assets[key] = Asset(seen.feed)
        elif asset.feed != seen.feed:
            asset.move(seen.feed)
        groups = asset.groups
        if groups is None:
            groups = asset.groups = self._routes.groups_of_asset(seen.feed, *key)
        for group in groups:
            if group.property is None or group.property == seen.property:
                if asset.heard is None:
                    asset.heard = {}
                name = group.rule.rule
                asset.heard[name] = group.asset_heard(asset.heard.get(name), *key, seen.published_at)
                self._keeper.touch(key)
        if is_warning(seen.property):
            self._warned(seen)
        elif seen.observed_at <= seen.published_at + AHEAD:
            self.judge(asset, seen)
        elif self._watchers(asset, seen):
            self._ahead(asset, seen)

    def _watchers(self, asset: Asset, seen: Observed) -> Series | None:
        """Return the series of an observation; None when no rule watches it."""
        series = asset.series.get(seen.property, _UNKNOWN)
        if series is None:
            return None
        if series is _UNKNOWN or series.watchers is None:
            watchers = self._routes.of_asset(seen.feed, seen.property, seen.source, seen.asset_ref)
            if series is _UNKNOWN:
                series = asset.series[seen.property] = Series(watchers) if watchers else None
            else:
                series.watchers = watchers
        return series

    def judge(self, asset: Asset, seen: Observed) -> None:
        """Let the rules judge an observation whose time has come."""
        series = self._watchers(asset, seen)
        if series is None:
            return
        is_later = seen.observed_at > series.seen
        if is_later:
            series.seen = seen.observed_at
        states = series.states
        for watcher in series.watchers or ():
            if not is_later and not isinstance(watcher, EventWatcher):
                continue
            state = states.get(watcher) if states else None
            if state is None:
                if watcher.is_plain and not watcher.condition.judge(_BLANK, seen):
                    continue
                state = State(watcher, seen.feed, seen.source, seen.asset_ref, seen.property)
                watcher.observe(state, seen, self._now)
                if not state.is_blank:
                    if states is None:
                        states = series.states = {}
                    states[watcher] = state
            elif states is not None:
                watcher.observe(state, seen, self._now)
                if state.is_blank:
                    del states[watcher]
        self._keeper.touch((seen.source, seen.asset_ref))

    def _ahead(self, asset: Asset, seen: Observed) -> None:
        if asset.ahead is None:
            asset.ahead = {}
        known = (seen.property, seen.observed_at)
        if known in asset.ahead:
            return
        if seen.observed_at > seen.published_at + FARTHEST or len(asset.ahead) >= MOST_AHEAD:
            self.passed_over += 1
            return
        asset.ahead[known] = future = Future(self.judge, asset, seen)
        self._timers.add(seen.observed_at, future.name, future)
        self._keeper.touch((seen.source, seen.asset_ref))

    def _warned(self, seen: Observed) -> None:
        feed = self.world.feeds.get(seen.feed)
        for rule in self._warnings.values():
            if rule.scope.has_feed(seen.feed, feed):
                rule.take(seen, self._now)

    # --- what it needs to know, what it knows

    def wants(self, feed: str) -> bool:
        """Return whether a rule needs what the messages of a feed say, and not only that they came."""
        contract = self.world.feeds.get(feed)
        if contract is None:
            return False
        if any(rule.wants(feed, contract) for rule in self._reports.values()):
            return True
        may_warn = contract.contract == "observation" and contract.is_decoded
        if may_warn and any(rule.scope.has_feed(feed, contract) for rule in self._warnings.values()):
            return True
        return self._routes.wants(feed, contract)

    @property
    def cut_off(self) -> list[str]:
        """The rules that are cut off at present."""
        return self._telling.cut_off()

    def saved(self) -> list[Saved]:
        """Return the states that changed since the last call: (part, key, body), None as body where one is gone."""
        return self._keeper.changed(self._now, self._parts)

    def restore(self, rows: Iterable[tuple[str, str, bytes]]) -> None:
        """Go on from a saved state: (part, key, body) as `saved` gave them. Call it before the first signal.

        What changed rules end or drop is told by the next call.

        Raises:
            msgspec.MsgspecError: a body is none of ours.
        """
        with _without_collecting():
            self._load(self._keeper.decoded(rows))

    def refresh(self, rules: Mapping[str, Rule], world: World) -> list[Change]:
        """Return what changes when rules or the referential did.

        Conditions of rules that are the same go on. Alarms of a rule that is gone, or of equipment that is not in its scope any more, end.
        A changed rule keeps what is active and drops what was pending.
        """
        with _without_collecting():
            rows = self._keeper.everything(self._now, self._parts)
            self._compile(rules, world)
            self._load(rows)
        return self._flush()

    def _load(self, rows: Rows) -> None:
        self._now = max(self._now, self._keeper.load(rows, self._parts))


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Make many objects that all live: looking for garbage among them takes longer than making them."""
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_collecting:
            gc.enable()


@dataclass(slots=True)
class _Blank:
    """The state of a condition that has none: what is put into it is lost."""

    memory: Any = None
    extra: dict[str, Any] | None = None


_BLANK: Final = _Blank()
_UNKNOWN: Final = Series(())
