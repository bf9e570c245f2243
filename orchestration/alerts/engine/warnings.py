"""Warnings of authorities (CAP), from the rows of their messages to what is in force where.

Here: gathering the rows of a message, updates, cancellations, onset and expiry. Not here: reading CAP (`ingestion.formats.cap`), which
events and areas a rule is about, alarms (the engine).

A message comes as one `Observed` for each row (docs/formats/cap.md). It is complete when the clock has passed its `published_at`: then
its rows count at once, so that an update is one step and never an end and a beginning.

What ends a warning:

- another message names its alert in `references`: the row `warning_status` 0 of `alert:<id>` (an update, which may say the same of the
  area anew, or a cancellation). Matched with `Observed.message_id` of the warning's own rows;
- a level 0 of its area and hazard, of a message that names no alert: everything told of them before is over;
- the same alert again, which says something else of that area and hazard (some services keep the identifier);
- where rows have no `message_id`: any later message about that area and hazard;
- its expiry.

What was ended stays so though a feed that is asked every ten minutes goes on repeating it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from ingestion.formats.wire_values import instant
from orchestration.alerts.model import Observed

_STATUS: Final = "warning_status"
_PREFIX: Final = "warning."
_ALERT: Final = "alert:"
_NAMELESS: Final = "@"  # what stands for the alert where rows have no message_id, with the instant; no identifier of CAP begins so
# Nothing obliges a warning to say when it expires; vigilance of weather and floods looks two days ahead at most.
_LASTS: Final = 48 * 3_600_000_000
# A warning whose sender does not know how severe it is: told like a moderate one, rather than not.
_UNKNOWN: Final = 2
_EXTREME: Final = 4
# What was ended is remembered while feeds may repeat it, counted from when they last did: none keeps an entry for a week.
_REMEMBERED: Final = 7 * 24 * 3_600_000_000
# Rows `warning.<event>.<name>` that are kept.
_TEXTS: Final = frozenset("headline instruction description event sender_name web onset effective expires".split())


@dataclass(frozen=True, slots=True)
class WarningState:
    """What is in force of one hazard in one area, from an instant on.

    Attributes:
        at: from when on: the message's `published_at`, or when the onset came near, or the expiry. Never earlier than the last of the key.
        feed, source, area, event: which: `area` is the asset_ref, `event` the hazard (`wind`).
        level: 1 to 4 (severity); 0 when nothing is in force.
        was_active: whether something was in force before: then this is an update (or the end, when the level is 0).
        cancelled: at level 0, whether a message ended it (and not its expiry).
        headline, instruction, description, label, sender_name, web: texts of the alert, None where it has none; `label` is its own word for
            the event.
        onset, expires: of the period told, microseconds since 1970; at level 0, of the last one.
        message_ids: the alerts that are in force or near, the one told first; at level 0, the last ones. Empty where rows name none.
    """

    at: int
    feed: str
    source: str
    area: str
    event: str
    level: int
    was_active: bool
    cancelled: bool = False
    headline: str | None = None
    instruction: str | None = None
    description: str | None = None
    label: str | None = None
    sender_name: str | None = None
    web: str | None = None
    onset: int = 0
    expires: int = 0
    message_ids: tuple[str, ...] = ()

    def says_as(self, other: WarningState) -> bool:
        """Return whether people read the same in both, whatever alert says so and when."""
        return replace(self, at=0, was_active=False, message_ids=()) == replace(other, at=0, was_active=False, message_ids=())


_Key = tuple[str, str, str]  # source, area, event


@dataclass(slots=True)
class _Period:
    """What one alert says of one hazard in one area from one instant on."""

    ident: str
    area: str
    event: str
    starts: int
    level: int
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def onset(self) -> int:
        """When it begins; of an update of a warning under way, when that began."""
        stated = instant(self.texts.get("onset", "") or self.texts.get("effective", ""))
        return self.starts if stated is None else min(stated, self.starts)

    @property
    def expires(self) -> int:
        stated = instant(self.texts.get("expires", ""))
        return self.starts + _LASTS if stated is None else stated


@dataclass(slots=True)
class _Message:
    """The rows of one message, while they come."""

    ident: str
    feed: str
    source: str
    ends: list[str] = field(default_factory=list)
    over: list[tuple[str, str]] = field(default_factory=list)
    periods: list[_Period] = field(default_factory=list)


@dataclass(slots=True)
class _Told:
    """What was told of one hazard in one area, and what that came to last."""

    feed: str
    periods: list[_Period] = field(default_factory=list)
    last: WarningState | None = None


@dataclass(slots=True)
class _Saved:
    clock: int
    published: int
    messages: list[_Message]
    told: list[tuple[_Key, _Told]]
    ended: dict[str, int]
    forgot: int


class Warnings:
    """What one rule sees of warnings. Args of the class: from which `level` on, how long `ahead_us` before its onset one is told."""

    def __init__(self, level: int, ahead_us: int) -> None:
        self.level, self.ahead_us = level, ahead_us
        self._clock = self._published = self._forgot = 0
        self._messages: dict[tuple[str, str], _Message] = {}  # by source and alert, not complete yet
        self._told: dict[_Key, _Told] = {}
        self._of: dict[tuple[str, str], dict[_Key, None]] = {}  # where an alert (source, identifier) has periods
        self._ended: dict[str, int] = {}  # alerts, and alerts in an area, that are over: when they were last heard of
        self._timers: list[tuple[int, _Key]] = []  # heap; one that has nothing to say any more says nothing
        self._waiting: set[tuple[int, _Key]] = set()  # the same

    def take(self, row: Observed) -> list[WarningState]:
        """Take a row, in stream order; return what changed by messages complete before it. Rows that are no warning's change nothing."""
        is_status = row.property == _STATUS
        if not is_status and not row.property.startswith(_PREFIX):
            return []
        found = self.advance(row.published_at) if row.published_at > self._published else []
        self._published = max(self._published, row.published_at)
        ident = row.message_id or f"{_NAMELESS}{row.published_at}"
        message = self._messages.get((row.source, ident))
        if message is None:
            message = self._messages[row.source, ident] = _Message(ident, row.feed, row.source)
        if is_status:
            named = row.asset_ref.removeprefix(_ALERT)
            if row.value == 0 and named != ident and named not in message.ends:
                message.ends.append(named)
        else:
            _add(message, row)
        return found

    def advance(self, now: int) -> list[WarningState]:
        """Return what changed until `now`, in order: complete messages, onsets that came near, expiries."""
        found: list[WarningState] = []
        if self._messages and now > self._published:
            found += self._until(self._published)
            messages, self._messages = self._messages, {}
            for message in messages.values():
                found += self._apply(message)
        found += self._until(now)
        return found

    @property
    def next_due(self) -> int | None:
        """When `advance` has something to do next."""
        due = [self._timers[0][0]] if self._timers else []
        return min([*due, self._published + 1] if self._messages else due, default=None)

    def _until(self, now: int) -> list[WarningState]:
        found: list[WarningState] = []
        while self._timers and self._timers[0][0] <= now:
            at, key = due = heapq.heappop(self._timers)
            self._waiting.remove(due)
            found += self._judge(key, at, is_told=False)
        self._clock = max(self._clock, now)
        return found

    def _apply(self, message: _Message) -> list[WarningState]:
        """Let a complete message count."""
        now, ident = self._published, message.ident
        self._forget(now)
        touched: dict[_Key, None] = {}
        if ends := set(message.ends):
            self._ended |= {f"{message.source}|{other}": now for other in message.ends}
            for key in sorted({k for other in message.ends for k in self._of.get((message.source, other), ())}):
                told = self._told[key]
                self._put(key, told, [p for p in told.periods if p.ident not in ends])
                touched[key] = None
        if f"{message.source}|{ident}" in self._ended:
            self._ended[f"{message.source}|{ident}"] = now  # a feed repeats what was ended
        else:
            for area, event in message.over:
                self._end(message, (message.source, area, event), touched)
            self._tell(message, touched)
        return [state for key in touched for state in self._judge(key, now, is_told=True)]

    def _end(self, message: _Message, key: _Key, touched: dict[_Key, None]) -> None:
        """Take a level 0: everything told of an area and a hazard is over, unless the message names what is."""
        mark = "|".join((*key, message.ident, "over"))
        is_first = mark not in self._ended
        self._ended[mark] = self._published
        told = self._told.get(key)
        if message.ends or told is None or not is_first:  # repeated, it must not end what was told since
            return
        for period in told.periods:
            self._ended["|".join((*key, period.ident))] = self._published
        self._put(key, told, [])
        touched[key] = None

    def _tell(self, message: _Message, touched: dict[_Key, None]) -> None:
        """Put what a message says of areas in the place of what it, or a message without name, said before."""
        fresh: dict[_Key, list[_Period]] = {}
        for period in message.periods:
            fresh.setdefault((message.source, period.area, period.event), []).append(period)
        for key, periods in fresh.items():
            if (mark := "|".join((*key, message.ident))) in self._ended:
                self._ended[mark] = self._published
                continue
            told = self._told.setdefault(key, _Told(message.feed))
            is_nameless = message.ident.startswith(_NAMELESS)
            kept = [p for p in told.periods if p.ident != message.ident and not (is_nameless and p.ident.startswith(_NAMELESS))]
            told.feed = message.feed
            self._put(key, told, kept + [p for p in periods if p.level >= self.level])
            for period in periods:
                for at in (period.onset - self.ahead_us, period.expires):
                    if at > self._published and (at, key) not in self._waiting:
                        self._waiting.add((at, key))
                        heapq.heappush(self._timers, (at, key))
            touched[key] = None

    def _put(self, key: _Key, told: _Told, periods: list[_Period]) -> None:
        """Give an area other periods."""
        before, after = {p.ident for p in told.periods}, {p.ident for p in periods}
        told.periods = periods
        for ident in before - after:
            areas = self._of[key[0], ident]
            del areas[key]
            if not areas:
                del self._of[key[0], ident]
        for ident in sorted(after - before):
            self._of.setdefault((key[0], ident), {})[key] = None

    def _judge(self, key: _Key, at: int, *, is_told: bool) -> list[WarningState]:
        """Return what an area has from an instant on, if people read something else in it than in what it had."""
        told = self._told.get(key)
        if told is None:
            return []
        if any(p.expires <= at for p in told.periods):
            self._put(key, told, [p for p in told.periods if p.expires > at])
        near = [p for p in told.periods if p.onset - self.ahead_us <= at]
        near.sort(key=lambda p: (-p.level, p.onset, p.expires, p.ident))
        last, state = told.last, None
        was_active = last is not None and last.level > 0
        at = max(at, last.at) if last is not None else at
        if near:
            state = self._state(key, told.feed, near, at, was_active=was_active)
        elif last is not None and was_active:
            state = replace(last, at=at, level=0, was_active=True, cancelled=is_told)
        is_news = state is not None and (last is None or not state.says_as(last))
        told.last = state if state is not None and is_news else last
        if not told.periods and (told.last is None or told.last.level == 0):
            del self._told[key]
        return [state] if state is not None and is_news else []

    def _state(self, key: _Key, feed: str, near: list[_Period], at: int, *, was_active: bool) -> WarningState:
        source, area, event = key
        first = near[0]
        text = first.texts.get
        return WarningState(
            at,
            feed,
            source,
            area,
            event,
            first.level,
            was_active,
            headline=text("headline"),
            instruction=text("instruction"),
            description=text("description"),
            label=text("event"),
            sender_name=text("sender_name"),
            web=text("web"),
            onset=first.onset,
            expires=first.expires,
            message_ids=tuple(dict.fromkeys(p.ident for p in near if not p.ident.startswith(_NAMELESS))),
        )

    def _forget(self, now: int) -> None:
        if now - self._forgot >= _REMEMBERED // 100:  # looked through now and then, not at each message
            self._forgot = now
            self._ended = {mark: at for mark, at in self._ended.items() if now - at < _REMEMBERED}

    def to_bytes(self) -> bytes:
        """Return the state, rows of a message still incomplete included."""
        saved = _Saved(self._clock, self._published, list(self._messages.values()), list(self._told.items()), self._ended, self._forgot)
        return msgspec.msgpack.encode(saved)

    @classmethod
    def from_bytes(cls, body: bytes, level: int, ahead_us: int) -> Warnings:
        """Return the state as it was saved. Bytes that are none raise `msgspec.MsgspecError`."""
        saved = msgspec.msgpack.decode(body, type=_Saved)
        found = cls(level, ahead_us)
        found._clock, found._published, found._ended, found._forgot = saved.clock, saved.published, saved.ended, saved.forgot
        found._messages = {(m.source, m.ident): m for m in saved.messages}
        for key, told in saved.told:
            found._told[key] = _Told(told.feed, last=told.last)
            found._put(key, found._told[key], told.periods)
        found._waiting = {(at, k) for k, t in saved.told for p in t.periods for at in (p.onset - ahead_us, p.expires) if at > saved.clock}
        found._timers = sorted(found._waiting)
        return found


def _add(message: _Message, row: Observed) -> None:
    """Add a row of an area to its message: the level first, then its texts."""
    event, _, name = row.property.removeprefix(_PREFIX).partition(".")
    if not name:
        level = _UNKNOWN if row.value is None else max(0, min(_EXTREME, round(row.value)))
        if level == 0:
            message.over.append((row.asset_ref, event))
        else:
            message.periods.append(_Period(message.ident, row.asset_ref, event, row.observed_at, level))
    elif row.text is not None and name in _TEXTS:
        # Texts follow their level: the last period is looked at first.
        for period in reversed(message.periods):
            if (period.area, period.event, period.starts) == (row.asset_ref, event, row.observed_at):
                period.texts[name] = row.text
                break
