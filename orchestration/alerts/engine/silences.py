"""Silence of equipment and of feeds.

Here: who was heard when, and when that is too long ago. Not here: telling (`telling`).

An asset is silent when it has missed `missed` messages: `expected_every * missed` after the last, by the engine's clock. Time during
which its whole feed says nothing (beyond one period) is not counted: then nothing is known of the asset, and the feed's silence is one
alarm of the feed. So what was left of an asset's allowance is left when the feed speaks again. Assets and feeds are known once they spoke.

The time that counts is the feed's *lived* time: `now - paused`, which stands still while the feed is silent. One heap for each (rule, feed)
in lived time; only its first waits for the clock.
"""

from __future__ import annotations

import heapq
from typing import Final

import msgspec

from orchestration.alerts.engine.levels import Hub
from orchestration.alerts.model import Change
from orchestration.alerts.rulebook.model import Rule, Silence

_MICROSECONDS: Final = 1_000_000


class GroupRow(msgspec.Struct, array_like=True):
    """What is saved of a rule about a feed: when it was last heard, how long it was silent in all, whether that was told."""

    last: int
    paused: int
    is_on: bool


class HeardRow(msgspec.Struct, array_like=True):
    """What is saved of a rule about an asset."""

    rule: str
    feed: str
    heard: int
    lived: int
    is_on: bool


class Heard:
    """One asset under one rule: when it was heard, in the clock's time and in lived time."""

    __slots__ = ("entry", "group", "heard", "is_on", "lived", "ref", "source")

    def __init__(self, group: Group, source: str, ref: str) -> None:
        self.group, self.source, self.ref = group, source, ref
        self.heard = self.lived = 0
        self.entry = -1
        self.is_on = False

    @property
    def member(self) -> str:
        """Its name under a key of its rule."""
        return f"{self.source}|{self.ref}||"


class Group:
    """The assets of one feed under one rule."""

    def __init__(self, rule: Rule, when: Silence, feed: str, hub: Hub) -> None:
        self.rule, self.feed, self._hub = rule, feed, hub
        self.property = when.property
        self.period = round(when.expected_every.total_seconds() * _MICROSECONDS)
        self.span = self.period * when.missed
        self.last, self.paused = -1, 0
        self.due: int | None = None
        self._heap: list[tuple[int, str, Heard]] = []

    def feed_heard(self, at: int) -> bool:
        """The feed spoke. Returns whether that is news."""
        if at <= self.last:
            return False
        if self.last >= 0 and at - self.last > self.period:
            self.paused += at - self.last - self.period
        self.last = at
        if self.due is None:
            self._arm()
        return True

    def asset_heard(self, known: Heard | None, source: str, ref: str, at: int) -> Heard:
        """An asset spoke. `feed_heard` was called before."""
        if known is None or known.group is not self:
            was_on = known is not None and known.is_on
            if known is not None:
                known.entry = -1  # it speaks through another feed now
            fresh = Heard(self, source, ref)
            fresh.heard, fresh.lived, fresh.is_on = at, at - self.paused, was_on
            self._spoke(fresh, at)
            if fresh.entry < 0:
                self._push(fresh, fresh.lived + self.span)
            return fresh
        if at > known.heard:
            known.heard, known.lived = at, at - self.paused
            self._spoke(known, at)
        return known

    def _spoke(self, asset: Heard, at: int) -> None:
        if asset.is_on:
            asset.is_on = False
            self._hub.telling.off(self.rule.rule, asset.member, at)
            self._push(asset, asset.lived + self.span)

    def load(self, row: HeardRow, source: str, ref: str) -> Heard:
        """Take what was saved of an asset."""
        asset = Heard(self, source, ref)
        asset.heard, asset.lived, asset.is_on = row.heard, row.lived, row.is_on
        if not asset.is_on:
            self._push(asset, asset.lived + self.span)
        return asset

    def _push(self, asset: Heard, lived: int) -> None:
        asset.entry = lived
        heapq.heappush(self._heap, (lived, f"{asset.source}|{asset.ref}", asset))
        if self.due is None or lived + self.paused < self.due:
            self._arm()

    def _arm(self) -> None:
        if self._heap:
            self._hub.timers.add(self._heap[0][0] + self.paused, f"{self.rule.rule}|{self.feed}", self)

    def fire(self, now: int) -> None:
        """Look at who is due; while the feed itself is silent, nobody is."""
        while self._heap:
            lived, _, asset = self._heap[0]
            at = lived + self.paused
            if at > now:
                self._arm()
                return
            if at > self.last + self.period:
                return  # the feed is silent: `feed_heard` goes on
            heapq.heappop(self._heap)
            if asset.entry != lived or asset.group is not self:
                continue
            if asset.lived + self.span > lived:
                self._push(asset, asset.lived + self.span)
                continue
            asset.entry = -1
            asset.is_on = True
            self._hub.touched((asset.source, asset.ref))
            self._hub.telling.on(asset.member, self._change(asset, at), now)

    def _change(self, asset: Heard, at: int) -> Change:
        key = (asset.source, asset.ref)
        return Change(
            key=self._hub.telling.key_for(self.rule, self.feed, key, f"{asset.source}|{asset.ref}"),
            rule=self.rule.rule, at=at, is_active=True, since=asset.heard, asset=key, property=self.property, details={"feed": self.feed},
        )  # fmt: skip

    def load_row(self, row: GroupRow) -> None:
        """Take what was saved of it."""
        self.last, self.paused = row.last, row.paused

    def row(self) -> GroupRow:
        """Return what is saved of it."""
        return GroupRow(self.last, self.paused, is_on=False)


class FeedSilence:
    """One feed under one rule on feeds."""

    def __init__(self, rule: Rule, when: Silence, feed: str, hub: Hub) -> None:
        self.rule, self.feed, self._hub = rule, feed, hub
        self.span = round(when.expected_every.total_seconds() * _MICROSECONDS) * when.missed
        self.last, self.is_on = -1, False
        self.due: int | None = None

    @property
    def member(self) -> str:
        """Its name under a key of its rule."""
        return f"feed:{self.feed}"

    def feed_heard(self, at: int) -> bool:
        """The feed spoke. Returns whether that is news."""
        if at <= self.last:
            return False
        self.last = at
        if self.is_on:
            self.is_on = False
            self._hub.telling.off(self.rule.rule, self.member, at)
        if self.due is None:
            self.arm()
        return True

    def arm(self) -> None:
        """Wait until it would be silent."""
        if not self.is_on and self.last >= 0:
            self._hub.timers.add(self.last + self.span, f"{self.rule.rule}|{self.feed}", self)

    def fire(self, now: int) -> None:
        """Tell its silence, unless it spoke since this was arranged."""
        at = self.last + self.span
        if at > now:
            self.arm()
            return
        self.is_on = True
        self._hub.group_touched(self)
        key = self._hub.telling.key_for(self.rule, self.feed, None, self.feed)
        change = Change(key, self.rule.rule, at, is_active=True, since=self.last, details={"feed": self.feed})
        self._hub.telling.on(self.member, change, now)

    def load_row(self, row: GroupRow) -> None:
        """Take what was saved of it."""
        self.last, self.is_on = row.last, row.is_on
        self.arm()

    def row(self) -> GroupRow:
        """Return what is saved of it."""
        return GroupRow(self.last, 0, self.is_on)
