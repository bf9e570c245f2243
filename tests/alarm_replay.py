"""Hours of a simulated territory through the rules and the store, at the pace of the machine: what operators would have seen.

Here: the messages of a world, decoded and evaluated as the engine's process does, with the broker's clock. Not here: what a test expects.

Mapped feeds (reports, calls) go through DuckDB an hour at a time; a feed that is asked is left out, as its answers come by the lake.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed
from ingestion.simulator.clock import HOUR
from ingestion.simulator.inventory import CONTRACTS, FEEDS
from ingestion.simulator.town import systems
from ingestion.simulator.wire import Wire
from ingestion.simulator.world import World
from ingestion.stream.ordered import Arrived
from orchestration.alerts.drafting import Composer
from orchestration.alerts.engine.core import Engine
from orchestration.alerts.engine.hours import TerritoryHours
from orchestration.alerts.engine.world import World as Known
from orchestration.alerts.lifecycle import instant
from orchestration.alerts.model import AssetKey, Change, Entry, Equipment, Kind, Signal
from orchestration.alerts.rulebook.registry import SHIPPED, rules_in_force
from orchestration.alerts.runtime.decoding import FastFeed, Mapper
from orchestration.alerts.store.store import Store

_SECOND: Final = 1_000_000
# How often what is due by the clock is done, in simulated seconds: the process does it each second.
_TICK_S: Final = 20
_SYSTEM: Final = "simulation"


@dataclass
class Replay:
    """A territory whose messages are judged.

    Attributes:
        world: what speaks.
        store: where its alarms stand; its clock must be `now`.
        extensions: where DuckDB's extensions are.
        at: the clock, microseconds since 1970.
    """

    world: World
    extensions: Path
    at: int = 0
    equipment: dict[AssetKey, Equipment] = field(default_factory=dict)
    feeds: dict[str, Feed] = field(default_factory=dict)
    seen: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.feeds = {feed: load_feed(path) for feed, path in _contracts().items()}
        self.equipment = {e.source_key: e.equipment for e in _equipment(self.world, self.feeds)}
        rules = rules_in_force(SHIPPED / ".none")
        self.engine = Engine(rules, Known(self, TerritoryHours(), self.feeds))
        self.compose = Composer(rules, self, {name: f.domain for name, f in self.feeds.items()})

    def get(self, key: AssetKey) -> Equipment | None:
        return self.equipment.get(key)

    def now(self) -> dt.datetime:
        return instant(self.at)

    def run(self, store: Store, start: int, end: int, policy: Any) -> None:
        """Judge what is sent in [start, end), seconds since 1970."""
        fast = {name: FastFeed(feed) for name, feed in self.feeds.items() if feed.is_decoded}
        mapper = Mapper(self.extensions)
        ticked = start
        try:
            for sent_at, signals in self._signals(fast, mapper, start, end):
                while ticked + _TICK_S <= sent_at:
                    ticked += _TICK_S
                    self._tell(store, ticked * _SECOND, self.engine.advance(ticked * _SECOND))
                    self.seen += store.tick(policy)
                changes = self.engine.advance(sent_at * _SECOND)
                for signal in signals:
                    changes += self.engine.take(signal)
                self._tell(store, sent_at * _SECOND, changes)
            self._tell(store, end * _SECOND, self.engine.advance(end * _SECOND))
            self.seen += store.tick(policy)
        finally:
            mapper.close()

    def presented(self) -> Iterator[tuple[dt.datetime, Entry]]:
        """Yield what operators were shown anew, and when: raised, come back, or no longer hidden."""
        for entry in self.seen:
            if entry.kind in {Kind.RAISED, Kind.REACTIVATED, Kind.UNSUPPRESSED} and entry.alarm["is_presented"]:
                yield entry.at, entry

    def worst_ten_minutes(self) -> int:
        """Return how many alarms were newly presented in the worst ten minutes."""
        instants = sorted(at for at, _ in self.presented())
        return max((sum(1 for other in instants if at <= other < at + dt.timedelta(minutes=10)) for at in instants), default=0)

    def rules_seen(self) -> Counter[str]:
        """Return how many alarms each rule presented."""
        return Counter(e.alarm["rule"] for _, e in self.presented())

    def _tell(self, store: Store, at: int, changes: list[Change]) -> None:
        self.at = at
        if changes:
            self.seen += store.apply(changes, self.compose)

    def _signals(self, fast: Mapping[str, FastFeed], mapper: Mapper, start: int, end: int) -> Iterator[tuple[int, list[Signal]]]:
        wire = Wire(self.world)
        for begin in range(start, end, HOUR):
            messages = [
                (m.sent_at, Arrived(n, m.feed, m.topic or m.path or "", m.payload, m.sent_at * _SECOND, False))
                for n, m in enumerate(wire.messages(begin, min(begin + HOUR, end)))
                if self.engine.wants(m.feed)
            ]
            mapped = {id(m): s for m, s in mapper.signals(self.feeds, [m for _, m in messages if m.feed not in fast])}
            for sent_at, message in messages:
                yield sent_at, fast[message.feed].signals(message) if message.feed in fast else mapped[id(message)]


@dataclass(frozen=True)
class _Known:
    source_key: AssetKey
    equipment: Equipment


def _contracts() -> dict[str, Path]:
    return {feed: CONTRACTS / f"{feed}.yaml" for feed in FEEDS}


def _equipment(world: World, feeds: Mapping[str, Feed]) -> Iterator[_Known]:
    t = world.territory
    for cabinet in t.cabinets:
        yield _known(
            cabinet.ref, "cabinet", f"Armoire {cabinet.code}", "EP", cabinet.commune, cabinet.street, (cabinet.longitude, cabinet.latitude)
        )
    for feeder in t.feeders:
        cabinet = t.cabinets[feeder.cabinet]
        place = (feeder.longitude, feeder.latitude)
        yield _known(feeder.ref, "feeder", f"Départ {feeder.code}", "EP", cabinet.commune, feeder.street, place, cabinet.ref)
    for light, code in enumerate(t.light_codes):
        feeder = t.feeders[int(t.light_feeder[light])]
        place = (float(t.longitude[light]), float(t.latitude[light]))
        commune = t.cabinets[feeder.cabinet].commune
        yield _known(t.light_ref(light), "streetlight", f"Point lumineux {code}", "EP", commune, feeder.street, place, feeder.ref)
    for feed, system in systems(world).items():
        for row in system.inventory():
            at = (row.get("longitude"), row.get("latitude"))
            ref, name = str(row["asset_ref"]), row.get("name")
            yield _known(
                ref, str(row["asset_type"]), str(name) if name else ref, feeds[feed].domain, row.get("commune"), row.get("street"), at,
                row.get("parent_ref"),
            )  # fmt: skip


def _known(ref: str, kind: str, name: str, domain: str, commune: Any, street: Any, place: Any, parent: Any = None) -> _Known:
    own, above = (_SYSTEM, ref), (_SYSTEM, str(parent)) if parent else None
    # The simulator's places are numpy's; the referential gives plain figures.
    longitude, latitude = (None if degrees is None else float(degrees) for degrees in place)
    return _Known(own, Equipment(_SYSTEM, ref, ref, kind, name, domain, commune, street, longitude, latitude, above))
