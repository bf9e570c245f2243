"""Which rules a property of a feed's asset goes to: worked out once, so that no message is compared with every rule.

Here: from rules, contracts and equipment to watchers. Not here: what watchers do (`levels`, `occasions`, `silences`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ingestion.feeds.model import Feed
from orchestration.alerts.engine.conditions import (
    BitCondition,
    DeviationCondition,
    EqualsCondition,
    FaultCondition,
    RateCondition,
    ThresholdCondition,
)
from orchestration.alerts.engine.hours import bucket_of
from orchestration.alerts.engine.levels import Hub, Watcher
from orchestration.alerts.engine.occasions import CountWatcher, EventWatcher
from orchestration.alerts.engine.scope import Scope
from orchestration.alerts.engine.silences import FeedSilence, Group
from orchestration.alerts.engine.world import World
from orchestration.alerts.model import Equipment
from orchestration.alerts.rulebook.model import Bit, Count, Deviation, Equals, Event, Fault, Rate, Rule, Silence, Threshold

OnProperty = Threshold | Rate | Equals | Bit | Event | Count | Deviation
Watchers = tuple[Watcher, ...]


class Routes:
    """Args of the class: the rules, what is known, what watchers speak to."""

    def __init__(self, rules: Iterable[Rule], world: World, hub: Hub) -> None:
        self._world, self._hub = world, hub
        self._scopes: dict[str, Scope] = {}
        self._by_property: dict[str, list[Rule]] = defaultdict(list)
        self._faults: list[Rule] = []
        self._silences: list[tuple[Rule, Silence]] = []
        for rule in rules:
            self._scopes[rule.rule] = Scope(rule)
            match rule.when:
                case Fault():
                    self._faults.append(rule)
                case Silence():
                    self._silences.append((rule, rule.when))
                case Threshold() | Rate() | Equals() | Bit() | Event() | Count() | Deviation():
                    self._by_property[rule.when.property].append(rule)
                case _:
                    pass  # reports, warnings: `citizens`, `authorities`; indicators and the platform: not the engine's
        self._watchers: dict[tuple[str, str], Watchers] = {}
        # Equipment of a type in a commune is watched alike, unless a rule names codes.
        self._of_kind: dict[tuple[str, str, str | None, str | None], Watchers] = {}
        self._groups_of_kind: dict[tuple[str, str | None, str | None], tuple[Group, ...]] = {}
        self._shared: dict[Watchers, Watchers] = {}
        self._groups: dict[str, tuple[Group, ...]] = {}
        self._feeds: dict[str, tuple[FeedSilence, ...]] = {}

    def of_feed(self, name: str, prop: str) -> Watchers:
        """Return the watchers of a property of a feed, whatever the asset."""
        found = self._watchers.get((name, prop))
        if found is None:
            feed = self._world.feeds.get(name)
            made = [w for r in self._by_property.get(prop, ()) if self._scopes[r.rule].has_feed(name, feed) for w in self._watcher(r, feed)]
            if feed is not None:
                made += [w for r in self._faults if self._scopes[r.rule].has_feed(name, feed) for w in self._fault_watchers(r, feed, prop)]
            found = self._watchers[name, prop] = tuple(made)
        return found

    def of_asset(self, name: str, prop: str, source: str, ref: str) -> Watchers:
        """Return the watchers of a property of one asset."""
        of_feed = self.of_feed(name, prop)
        if not of_feed:
            return ()
        equipment = self._world.directory.get((source, ref))
        kind = (name, prop, equipment.asset_type, equipment.commune) if equipment else (name, prop, None, None)
        found = self._of_kind.get(kind)
        if found is None:
            found = tuple(w for w in of_feed if self._has(w.rule, ref, equipment))
            if not any(self._scopes[w.rule.rule].asks_code for w in of_feed):
                self._of_kind[kind] = found
        return self._shared.setdefault(found, found)

    def groups_of_asset(self, name: str, source: str, ref: str) -> tuple[Group, ...]:
        """Return the silences under which an asset of a feed is watched."""
        groups = self.groups(name)
        if not groups:
            return ()
        equipment = self._world.directory.get((source, ref))
        kind = (name, equipment.asset_type, equipment.commune) if equipment else (name, None, None)
        found = self._groups_of_kind.get(kind)
        if found is None:
            found = tuple(g for g in groups if self._has(g.rule, ref, equipment))
            if not any(self._scopes[g.rule.rule].asks_code for g in groups):
                self._groups_of_kind[kind] = found
        return found

    def groups(self, name: str) -> tuple[Group, ...]:
        """Return the silences of assets of a feed."""
        found = self._groups.get(name)
        if found is None:
            feed = self._world.feeds.get(name)
            found = self._groups[name] = tuple(
                Group(r, w, name, self._hub) for r, w in self._silences if w.of == "asset" and self._scopes[r.rule].has_feed(name, feed)
            )
        return found

    def feed_silences(self, name: str) -> tuple[FeedSilence, ...]:
        """Return the silences of a feed itself."""
        found = self._feeds.get(name)
        if found is None:
            feed = self._world.feeds.get(name)
            found = self._feeds[name] = tuple(
                FeedSilence(r, w, name, self._hub)
                for r, w in self._silences
                if w.of == "feed" and self._scopes[r.rule].has_feed(name, feed)
            )
        return found

    def all_groups(self) -> Iterable[Group]:
        """Return every silence of assets that was asked for."""
        return [g for groups in self._groups.values() for g in groups]

    def all_feed_silences(self) -> Iterable[FeedSilence]:
        """Return every silence of feeds that was asked for."""
        return [s for silences in self._feeds.values() for s in silences]

    def wants(self, name: str, feed: Feed) -> bool:
        """Return whether any of these rules needs what the feed's messages say of assets."""
        if feed.contract != "observation":
            return False
        if self.groups(name):
            return True
        # A table with measures has the properties it lists; what others have is known when it comes.
        listed = {m.property for m in feed.measures} if feed.measures and not feed.is_decoded and "property" not in feed.mapping else None
        if any(
            (listed is None or prop in listed) and self._scopes[r.rule].has_feed(name, feed)
            for prop, rules in self._by_property.items()
            for r in rules
        ):
            return True
        return any(self.of_feed(name, state.property) for state in feed.indicators.states)

    def _has(self, rule: Rule, ref: str, equipment: Equipment | None) -> bool:
        scope = self._scopes[rule.rule]
        return not scope.asks_equipment or scope.has_asset(ref, equipment)

    def _watcher(self, rule: Rule, feed: Feed | None) -> list[Watcher]:
        hub = self._hub
        match rule.when:
            case Threshold():
                return [Watcher(rule, ThresholdCondition(rule.when), hub)]
            case Rate():
                return [Watcher(rule, RateCondition(rule.when), hub)]
            case Equals():
                return [Watcher(rule, EqualsCondition(rule.when), hub)]
            case Bit():
                return [Watcher(rule, BitCondition(rule.when), hub)]
            case Event():
                return [EventWatcher(rule, rule.when, hub)]
            case Count():
                return [CountWatcher(rule, rule.when, hub)]
            case Deviation() if feed is not None:  # a feed without a contract has no place, hence no hours to learn by
                return [Watcher(rule, DeviationCondition(rule.when, bucket_of(feed.territory)), hub)]
            case _:
                return []

    def _fault_watchers(self, rule: Rule, feed: Feed, prop: str) -> list[Watcher]:
        if not isinstance(rule.when, Fault):
            raise TypeError(f"{rule.rule} is no rule on faults")
        made = []
        for fault in rule.when.fault_types:
            states = [s for s in feed.indicators.states if s.property == prop and s.fault_type == fault]
            condition = FaultCondition(states, rule.when.states)
            if condition.can_raise:
                made.append(Watcher(rule, condition, self._hub, tag=fault))
        return made
