"""From conditions that hold to changes that are told: keys, groups, calendar, and the bound of a rule.

Here: one live key for what a rule groups by, strictly later instants, what is held back outside the calendar or past the bound. Not here:
when a condition holds (`levels`, `silences`, `citizens`, `authorities`).

Members of a key are the conditions that hold under it; it is told when the first begins and when the last ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import msgspec

from orchestration.alerts.engine.timers import MINUTE, Timers
from orchestration.alerts.engine.world import World
from orchestration.alerts.model import AssetKey, Change
from orchestration.alerts.rulebook.model import Rule

CUT_OFF: Final = "regle-coupee"
# How often it is asked whether a rule's hours have come for what it holds back: nobody minds five minutes at dusk or at opening time.
_ASKED_EVERY: Final = 5 * MINUTE
_MICROSECONDS: Final = 1_000_000


class KeyRow(msgspec.Struct, array_like=True):
    """A key as it is saved."""

    rule: str
    members: list[str]
    last_at: int
    is_told: bool
    held: Change | None


class RuleRow(msgspec.Struct, array_like=True):
    """A rule as it is saved: what it was (`digest`, `shape`), and when it raised."""

    digest: str
    shape: str
    raises: list[int]
    is_cut: bool
    held_back: int


class _Key:
    """One key: who holds it up, what was told of it last."""

    __slots__ = ("held", "is_told", "last_at", "members", "name", "rule")

    def __init__(self, name: str, rule: str) -> None:
        self.name, self.rule = name, rule
        self.members: set[str] = set()
        self.last_at = -1
        self.is_told = False
        self.held: Change | None = None


class _Pace:
    """How much a rule has raised lately, and what it holds back."""

    __slots__ = ("_telling", "due", "held", "held_back", "is_cut", "per", "raises", "rule")

    def __init__(self, rule: Rule, telling: Telling) -> None:
        self.rule, self._telling = rule, telling
        self.per = round(rule.bound.per.total_seconds() * _MICROSECONDS)
        self.raises: deque[int] = deque()
        self.held: dict[str, _Key] = {}
        self.is_cut, self.held_back = False, 0
        self.due: int | None = None

    def fire(self, now: int) -> None:
        """Let go of what need not be held back any more."""
        self._telling.release(self, now)


class Telling:
    """What is told. Args of the class: `out` takes the changes, `timers` call back."""

    def __init__(self, rules: Iterable[Rule], world: World, timers: Timers, out: Callable[[Change], None]) -> None:
        self._world, self._timers, self._out = world, timers, out
        self._paces = {r.rule: _Pace(r, self) for r in rules}
        self._keys: dict[str, _Key] = {}
        self._key_of: dict[tuple[str, str], str] = {}
        self._dirty_keys: set[str] = set()
        self._dirty_rules: set[str] = set(self._paces)

    # --- what conditions say

    def on(self, member: str, change: Change, now: int) -> None:
        """A condition holds. `change.key` is what the rule groups by (`key_for`); `member` names the condition."""
        key = self._keys.get(change.key)
        if key is None:
            key = self._keys[change.key] = _Key(change.key, change.rule)
        self._key_of[change.rule, member] = key.name
        is_first = not key.members
        key.members.add(member)
        self._dirty_keys.add(key.name)
        if is_first:
            self._raise(key, change, now)

    def more(self, member: str, change: Change) -> None:
        """There is more to say of a condition that holds."""
        key = self._keys.get(self._key_of.get((change.rule, member), ""))
        if key is None or member not in key.members:
            return
        if key.held is not None:
            key.held = replace(change, key=key.name, at=key.held.at, since=key.held.since, is_update=False)
            self._dirty_keys.add(key.name)
        else:
            self._tell(key, replace(change, key=key.name, is_update=True))

    def off(self, rule: str, member: str, at: int) -> None:
        """A condition is over since `at`."""
        key = self._keys.get(self._key_of.pop((rule, member), ""))
        if key is None or member not in key.members:
            return
        key.members.discard(member)
        self._dirty_keys.add(key.name)
        if key.members:
            return
        if key.held is not None:
            key.held = None
            if (pace := self._paces.get(rule)) is not None:
                pace.held.pop(key.name, None)
        elif key.is_told:
            self._tell(key, Change(key.name, rule, at, is_active=False, since=at))

    def key_for(self, rule: Rule, feed: str, asset: AssetKey | None, own: str, commune: str | None = None) -> str:
        """Return the key of a condition: `own` (the asset's, the place's) unless the rule groups by something else.

        What has no parent stands for itself; what has no commune is grouped with its like.
        """
        equipment = self._world.directory.get(asset) if asset else None
        match rule.group_by:
            case "parent" if equipment is not None and equipment.parent is not None:
                return f"{rule.rule}|{equipment.parent[0]}|{equipment.parent[1]}"
            case "commune":
                return f"{rule.rule}|{commune or (equipment.commune if equipment else None) or ''}"
            case "feed":
                return f"{rule.rule}|{feed}"
            case "rule":
                return rule.rule
            case _:
                return f"{rule.rule}|{own}"

    # --- calendar and bound

    def _raise(self, key: _Key, change: Change, now: int) -> None:
        pace = self._paces[key.rule]
        if not self._is_time(pace.rule, change, change.at):
            self._hold(pace, key, change, _next_asking(now))
        elif pace.is_cut or not self._has_room(pace, now):
            if not pace.is_cut:
                pace.is_cut, pace.held_back = True, 0
            pace.held_back += 1
            self._hold(pace, key, change, pace.raises[0] + pace.per)
            if pace.held_back == 1:
                self._cut(pace, change, now)
        else:
            pace.raises.append(now)
            self._dirty_rules.add(key.rule)
            self._tell(key, change)

    def _has_room(self, pace: _Pace, now: int) -> bool:
        while pace.raises and pace.raises[0] <= now - pace.per:
            pace.raises.popleft()
        return len(pace.raises) < pace.rule.bound.raises

    def _is_time(self, rule: Rule, change: Change, at: int) -> bool:
        calendar = rule.scope.calendar
        feed = self._world.feeds.get(str(change.details.get("feed")))
        if calendar == "always" or feed is None:  # a feed without a contract has no place, hence no hours: rather told than lost
            return True
        if calendar in {"night", "day"}:
            return self._world.hours.is_night(feed, at) is (calendar == "night")
        return self._world.hours.is_open(feed, at) is (calendar == "open")

    def _hold(self, pace: _Pace, key: _Key, change: Change, until: int) -> None:
        key.held = change
        pace.held[key.name] = key
        self._dirty_rules.add(key.rule)
        if pace.due is None or until < pace.due:
            self._timers.add(until, f"~{key.rule}", pace)

    def _cut(self, pace: _Pace, change: Change, now: int) -> None:
        key = self._key_of_cut(pace)
        key.members = {pace.rule.rule}
        details = {"rule": pace.rule.rule, "count": len(pace.raises), "feed": change.details.get("feed")}
        self._tell(key, Change(key.name, CUT_OFF, now, is_active=True, since=now, details=details))

    def _key_of_cut(self, pace: _Pace) -> _Key:
        """Return the key of the alarm that a rule is cut off: the one under which `supervision` tells it too."""
        name = f"{CUT_OFF}|{pace.rule.rule}"
        return self._keys.setdefault(name, _Key(name, CUT_OFF))

    def release(self, pace: _Pace, now: int) -> None:
        """Tell what was held back and still holds, as far as calendar and bound allow."""
        again: list[int] = []
        is_blocked = False
        for key in sorted(pace.held.values(), key=_by_instant):
            change = key.held
            if change is None:
                raise AssertionError(f"{key.name} is held back without what it would say")
            was_time = self._is_time(pace.rule, change, change.at)
            if not was_time and not self._is_time(pace.rule, change, now):
                again.append(_next_asking(now))
                continue
            if not self._has_room(pace, now):
                is_blocked = True
                if not pace.is_cut:
                    pace.is_cut, pace.held_back = True, 1
                    self._cut(pace, change, now)
                break
            pace.raises.append(now)
            del pace.held[key.name]
            key.held = None
            self._tell(key, change if was_time else replace(change, at=now))
        self._dirty_rules.add(pace.rule.rule)
        if pace.is_cut:
            if self._has_room(pace, now) and not is_blocked:
                pace.is_cut = False
                key = self._key_of_cut(pace)
                key.members = set()
                self._tell(key, Change(key.name, CUT_OFF, now, is_active=False, since=now))
            else:
                again.append(pace.raises[0] + pace.per)
        if again:
            self._timers.add(min(again), f"~{pace.rule.rule}", pace)

    def _tell(self, key: _Key, change: Change) -> None:
        at = max(change.at, key.last_at + 1)
        key.last_at, key.is_told = at, change.is_active
        self._dirty_keys.add(key.name)
        self._out(change if at == change.at else replace(change, at=at))

    # --- saving

    def cut_off(self) -> list[str]:
        """Return the rules that are cut off."""
        return sorted(name for name, pace in self._paces.items() if pace.is_cut)

    def key_rows(self, *, everything: bool = False) -> Iterable[tuple[str, KeyRow]]:
        """Yield the keys that changed since the last call, or all of them."""
        names = sorted(self._keys if everything else self._dirty_keys)
        self._dirty_keys = set()
        for name in names:
            key = self._keys[name]
            yield name, KeyRow(key.rule, sorted(key.members), key.last_at, key.is_told, key.held)

    def rule_rows(self, *, everything: bool = False) -> Iterable[tuple[str, RuleRow]]:
        """Yield the rules that changed since the last call, or all of them."""
        names = sorted(self._paces if everything else self._dirty_rules)
        self._dirty_rules = set()
        for name in names:
            pace = self._paces[name]
            yield name, RuleRow(digest(pace.rule), shape(pace.rule), list(pace.raises), pace.is_cut, pace.held_back)

    def load_rule(self, name: str, row: RuleRow) -> None:
        """Take the saved pace of a rule that is still in force."""
        pace = self._paces[name]
        pace.raises, pace.is_cut, pace.held_back = deque(row.raises), row.is_cut, row.held_back

    def load_keys(self, rows: Iterable[tuple[str, KeyRow]], holding: set[tuple[str, str]], now: int) -> None:
        """Take saved keys. Members that hold no more (their rule or equipment is gone) end now.

        Args:
            rows: the saved keys.
            holding: (rule, member) of the conditions that hold.
            now: the engine's clock.
        """
        for name, row in rows:
            key = self._keys[name] = _Key(name, row.rule)
            key.members, key.last_at, key.is_told, key.held = set(row.members), row.last_at, row.is_told, row.held
            of_cut = row.rule == CUT_OFF
            if of_cut:
                if not any(m in self._paces and self._paces[m].is_cut for m in key.members) and key.is_told:
                    key.members = set()
                    self._tell(key, Change(name, row.rule, now, is_active=False, since=now))
                continue
            pace = self._paces.get(row.rule)
            for member in row.members:
                self._key_of[row.rule, member] = name
            if key.held is not None and pace is not None:
                pace.held[name] = key
            for member in row.members:
                if (row.rule, member) not in holding:
                    self.off(row.rule, member, now)
        for pace in self._paces.values():
            if pace.held or pace.is_cut:
                at = [pace.raises[0] + pace.per] if pace.raises and pace.is_cut else []
                if any(k.held and not self._is_time(pace.rule, k.held, k.held.at) for k in pace.held.values()) or not at:
                    at.append(_next_asking(now))
                self._timers.add(min(at), f"~{pace.rule.rule}", pace)


def _next_asking(now: int) -> int:
    return (now // _ASKED_EVERY + 1) * _ASKED_EVERY


def _by_instant(key: _Key) -> tuple[int, str]:
    return (key.held.at if key.held else 0, key.name)


def digest(rule: Rule) -> str:
    """Return what a rule is to the engine: rules of equal digests go on with each other's states."""
    return rule.model_dump_json(include={"when", "scope", "group_by"})


def shape(rule: Rule) -> str:
    """Return what must be the same for standing alarms of a changed rule to be carried over."""
    return f"{rule.when.type}|{rule.group_by}"
