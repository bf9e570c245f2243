"""What the engine knows of each asset, and how all it knows is saved and taken back.

Here: assets, which states changed, rows of saved states, what becomes of states whose rule changed. Not here: what states mean (`levels`,
`silences`, `telling`…), where rows are stored (`orchestration.alerts.runtime`).

A row is (part, key, body), the body in MessagePack: `asset` (all about one asset), `key`, `rule`, `group` (a rule and a feed), `reports`
and `warnings` (a rule), `engine` (the clock).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from orchestration.alerts.engine.authorities import WarningRule
from orchestration.alerts.engine.citizens import ReportRule
from orchestration.alerts.engine.levels import ACTIVE, ENDING, PENDING, State, StateRow, Watcher
from orchestration.alerts.engine.routes import Routes, Watchers
from orchestration.alerts.engine.silences import FeedSilence, Group, GroupRow, Heard, HeardRow
from orchestration.alerts.engine.telling import KeyRow, RuleRow, Telling, digest, shape
from orchestration.alerts.engine.timers import SECOND, Timers
from orchestration.alerts.model import Observed
from orchestration.alerts.rulebook.model import Rule

Saved = tuple[str, str, bytes | None]
Rows = Mapping[str, Mapping[str, Any]]

# A key that has been quiet for longer need not be remembered: no gateway keeps values for a month.
_KEY_KEPT: Final = 30 * 24 * 3600 * SECOND


class AssetRow(msgspec.Struct, array_like=True):
    """All about one asset: its feed, when each property was last seen, what conditions and silences stand at, values dated ahead."""

    feed: str
    seen: dict[str, int]
    states: list[StateRow]
    heard: list[HeardRow]
    ahead: list[Observed]


class Series:
    """One property of one asset: when it was last observed, who watches it, the states that are not blank."""

    __slots__ = ("seen", "states", "watchers")

    def __init__(self, watchers: Watchers | None) -> None:
        self.watchers, self.seen = watchers, -1
        self.states: dict[Watcher, State] | None = None


class Asset:
    """One asset. `series` holds None for a property that no rule watches."""

    __slots__ = ("ahead", "feed", "groups", "heard", "series")

    def __init__(self, feed: str) -> None:
        self.feed = feed
        self.series: dict[str, Series | None] = {}
        self.groups: tuple[Group, ...] | None = None
        self.heard: dict[str, Heard] | None = None
        self.ahead: dict[tuple[str, int], Future] | None = None

    def move(self, feed: str) -> None:
        """Let it be spoken of by another feed from now on: other watchers, the same instants; what stood under the first goes on there."""
        self.feed, self.groups = feed, None
        self.series = {p: s for p, s in self.series.items() if s is not None}
        for series in self.series.values():
            if series is not None:
                series.watchers = None


class Future:
    """An observation that waits for its time."""

    __slots__ = ("_asset", "_judge", "due", "seen")

    def __init__(self, judge: Callable[[Asset, Observed], None], asset: Asset, seen: Observed) -> None:
        self._judge, self._asset, self.seen = judge, asset, seen
        self.due: int | None = None

    @property
    def name(self) -> str:
        """Its name among what waits."""
        return f"+{self.seen.source}|{self.seen.asset_ref}|{self.seen.property}"

    def fire(self, now: int) -> None:
        """Let it be judged."""
        del now
        if self._asset.ahead is not None:
            self._asset.ahead.pop((self.seen.property, self.seen.observed_at), None)
        self._judge(self._asset, self.seen)


@dataclass
class Parts:
    """The parts of an engine that have states."""

    rules: Mapping[str, Rule]
    assets: dict[tuple[str, str], Asset]
    telling: Telling
    routes: Routes
    reports: Mapping[str, ReportRule]
    warnings: Mapping[str, WarningRule]
    timers: Timers
    judge: Callable[[Asset, Observed], None]


@dataclass
class Keeper:
    """What changed since it was last saved."""

    _assets: set[tuple[str, str]] = field(default_factory=set)
    _groups: dict[str, Group | FeedSilence] = field(default_factory=dict)
    _small: dict[tuple[str, str], ReportRule | WarningRule] = field(default_factory=dict)
    _gone: list[tuple[str, str]] = field(default_factory=list)
    _clock: int = -1

    def touch(self, asset: tuple[str, str]) -> None:
        """Note that an asset changed."""
        self._assets.add(asset)

    def touch_group(self, group: Group | FeedSilence) -> None:
        """Note that a silence changed."""
        self._groups[f"{group.rule.rule}|{group.feed}"] = group

    def touch_reports(self, rule: ReportRule) -> None:
        """Note that the reports of a rule changed."""
        self._small["reports", rule.rule.rule] = rule

    def touch_warnings(self, rule: WarningRule) -> None:
        """Note that the warnings of a rule changed."""
        self._small["warnings", rule.rule.rule] = rule

    # --- saving

    def changed(self, now: int, parts: Parts) -> list[Saved]:
        """Return the rows that changed since the last call."""
        encode = msgspec.msgpack.encode
        rows: list[Saved] = [(part, key, None) for part, key in self._gone]
        for key in self._assets:
            asset = parts.assets.get(key)
            if asset is not None:
                rows.append(("asset", f"{key[0]}|{key[1]}", encode(_asset_row(asset))))
        rows += [("group", name, encode(group.row())) for name, group in self._groups.items()]
        rows += [(part, name, rule.dump()) for (part, name), rule in self._small.items()]
        rows += [("key", name, encode(row)) for name, row in parts.telling.key_rows()]
        rows += [("rule", name, encode(row)) for name, row in parts.telling.rule_rows()]
        if now != self._clock:
            rows.append(("engine", "clock", encode(now)))
        self._assets, self._groups, self._small, self._gone, self._clock = set(), {}, {}, [], now
        return rows

    @staticmethod
    def everything(now: int, parts: Parts) -> Rows:
        """Return all rows, not encoded."""
        routes = parts.routes
        silences: list[Group | FeedSilence] = [*routes.all_groups(), *routes.all_feed_silences()]
        return {
            "engine": {"clock": now},
            "asset": {f"{s}|{r}": _asset_row(a) for (s, r), a in parts.assets.items()},
            "group": {f"{g.rule.rule}|{g.feed}": g.row() for g in silences if g.last >= 0},
            "reports": {name: rule.dump() for name, rule in parts.reports.items()},
            "warnings": {name: rule.dump() for name, rule in parts.warnings.items()},
            "key": dict(parts.telling.key_rows(everything=True)),
            "rule": dict(parts.telling.rule_rows(everything=True)),
        }

    @staticmethod
    def decoded(rows: Iterable[tuple[str, str, bytes]]) -> Rows:
        """Return saved rows by part and key.

        Raises:
            msgspec.MsgspecError: a body is none of ours.
        """
        decoders: dict[str, Callable[[bytes], Any]] = {
            "engine": msgspec.msgpack.Decoder(int).decode, "asset": msgspec.msgpack.Decoder(AssetRow).decode,
            "group": msgspec.msgpack.Decoder(GroupRow).decode, "key": msgspec.msgpack.Decoder(KeyRow).decode,
            "rule": msgspec.msgpack.Decoder(RuleRow).decode, "reports": bytes, "warnings": bytes,
        }  # fmt: skip
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for part, key, body in rows:
            found[part][key] = decoders[part](body)
        return found

    # --- taking back

    def load(self, rows: Rows, parts: Parts) -> int:
        """Take rows into an engine that knows nothing yet; return its clock."""
        now: int = rows.get("engine", {}).get("clock", 0)
        fates = self._load_rules(rows.get("rule", {}), parts)
        holding = self._load_groups(rows.get("group", {}), parts, fates)
        for name, row in rows.get("asset", {}).items():
            source, _, ref = name.partition("|")
            holding |= self._load_asset((source, ref), row, parts, fates)
        for part, rules in (("reports", parts.reports), ("warnings", parts.warnings)):
            for name, body in rows.get(part, {}).items():
                if fates.get(name, _DROPPED) == _DROPPED:
                    self._gone.append((part, name))
                else:
                    holding |= {(name, member) for member in rules[name].load(body)}
        keys = rows.get("key", {})
        old = {n for n, r in keys.items() if not r.members and not r.is_told and r.last_at < now - _KEY_KEPT}
        self._gone += [("key", name) for name in sorted(old)]
        parts.telling.load_keys(((n, keys[n]) for n in sorted(keys) if n not in old), holding, now)
        return now

    def _load_rules(self, rows: Mapping[str, RuleRow], parts: Parts) -> dict[str, int]:
        """Return what becomes of the states of each rule."""
        fates = {}
        for name, row in rows.items():
            rule = parts.rules.get(name)
            if rule is None:
                self._gone.append(("rule", name))
                continue
            if row.shape == shape(rule):
                fates[name] = _KEPT if row.digest == digest(rule) else _CHANGED
                parts.telling.load_rule(name, row)
        return fates

    def _load_groups(self, rows: Mapping[str, GroupRow], parts: Parts, fates: Mapping[str, int]) -> set[tuple[str, str]]:
        holding = set()
        for name, row in rows.items():
            rule, _, feed = name.partition("|")
            silences: list[Group | FeedSilence] = [*parts.routes.groups(feed), *parts.routes.feed_silences(feed)]
            mine = next((s for s in silences if s.rule.rule == rule and rule in fates), None)
            if mine is None:
                self._gone.append(("group", name))
                continue
            mine.load_row(row)
            if row.is_on and isinstance(mine, FeedSilence):
                holding.add((rule, mine.member))
        return holding

    def _load_asset(self, key: tuple[str, str], row: AssetRow, parts: Parts, fates: Mapping[str, int]) -> set[tuple[str, str]]:
        holding = set()
        asset = parts.assets[key] = Asset(row.feed)
        for prop, seen in row.seen.items():
            series = asset.series[prop] = Series(None)
            series.seen = seen
        is_changed = False
        for saved in row.states:
            fate = fates.get(saved.rule, _DROPPED)
            state = self._state(key, saved, parts, fate) if fate != _DROPPED else None
            if state is None or fate == _CHANGED:
                is_changed = True
            if state is None or state.is_blank:
                continue
            series_of = asset.series.setdefault(saved.property, Series(None))
            if series_of is not None:
                series_of.states = series_of.states or {}
                series_of.states[state.watcher] = state
            if state.phase in {ACTIVE, ENDING}:
                holding.add((saved.rule, state.member))
        for heard in row.heard:
            group = next((g for g in parts.routes.groups_of_asset(heard.feed, *key) if g.rule.rule == heard.rule), None)
            if group is None or heard.rule not in fates:
                is_changed = True
                continue
            asset.heard = asset.heard or {}
            asset.heard[heard.rule] = known = group.load(heard, *key)
            if known.is_on:
                holding.add((heard.rule, known.member))
        for waiting in row.ahead:
            asset.ahead = asset.ahead or {}
            asset.ahead[waiting.property, waiting.observed_at] = future = Future(parts.judge, asset, waiting)
            parts.timers.add(waiting.observed_at, future.name, future)
        if is_changed:
            self.touch(key)
        return holding

    @staticmethod
    def _state(key: tuple[str, str], saved: StateRow, parts: Parts, fate: int) -> State | None:
        watchers = parts.routes.of_asset(saved.feed, saved.property, *key)
        watcher = next((w for w in watchers if w.rule.rule == saved.rule and w.tag == saved.tag), None)
        if watcher is None:
            return None
        state = State(watcher, saved.feed, *key, saved.property)
        if fate == _CHANGED and saved.phase == PENDING:
            saved = msgspec.structs.replace(saved, phase=0, due=None, late=False)
        elif fate == _CHANGED and saved.phase == ENDING:
            saved = msgspec.structs.replace(saved, phase=ACTIVE, due=None)
        state.load(saved)
        return state


_KEPT, _CHANGED, _DROPPED = range(3)


def _asset_row(asset: Asset) -> AssetRow:
    states = [s.row() for series in asset.series.values() if series and series.states for s in series.states.values() if not s.is_blank]
    heard = [HeardRow(name, h.group.feed, h.heard, h.lived, h.is_on) for name, h in asset.heard.items()] if asset.heard else []
    ahead = [f.seen for f in asset.ahead.values()] if asset.ahead else []
    return AssetRow(asset.feed, {p: s.seen for p, s in asset.series.items() if s is not None}, states, heard, ahead)
