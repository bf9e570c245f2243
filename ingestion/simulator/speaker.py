"""What systems that send observations share: samples by day, what hides them, how they arrive, as messages and as rows.

Here: everything but what is measured and how it is written. Not here: any system (`cameras`, `car_parks`…), lights (`lights`).

A system says what its equipment would say at any instant (`say`), what goes wrong with it (`troubles`: it is said; `silences`: it is not
heard), and writes one message (`write`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingestion.simulator import behaviour as b
from ingestion.simulator.chance import uniforms
from ingestion.simulator.clock import DAY
from ingestion.simulator.systems import Message, Scene
from ingestion.simulator.troubles import CATCH_UP, GATEWAY_LASTS, Trouble
from ingestion.simulator.world import World

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_US: Final = 1_000_000
# Days held while messages are made: what is late, today, and one more for windows over midnight; while scenes are, a week of troubles.
_DAYS_SPEAKING: Final = 3
_DAYS_OF_SCENES: Final = 16
# Whoever was in trouble and is silent now may still be silenced: for its first word afterwards, so long is looked.
_LOOK: Final = 3 * DAY
if GATEWAY_LASTS[-1] + CATCH_UP + b.LATE_MOST + b.TWICE_WITHIN >= DAY:
    raise AssertionError("a message may be late by a day: a window would miss it")


class Property(NamedTuple):
    """One property that is said: the lake's name and unit; its texts where it is one of some words; a flag is 0 or 1 and a text."""

    name: str
    unit: str | None = None
    texts: tuple[str, ...] = ()
    is_flag: bool = False


@dataclass(frozen=True)
class Told:
    """Samples; columns of equal length, a row an asset at an instant.

    Attributes:
        entity: number among the system's `refs`.
        observed: seconds since 1970.
        sent: likewise.
        lot: samples of one number go in one message.
        values: property to its values; of one with texts, the number among them; NaN: not said.
    """

    entity: Ints
    observed: Ints
    sent: Ints
    lot: Ints
    values: dict[str, Floats]

    def rows(self, chosen: Bools | Ints | slice) -> Told:
        """Return some of the samples."""
        values = {name: column[chosen] for name, column in self.values.items()}
        return Told(self.entity[chosen], self.observed[chosen], self.sent[chosen], self.lot[chosen], values)


class Speaker:
    """A system that sends observations. See `systems.System` for what it is asked."""

    feed: ClassVar[str]
    contract: ClassVar[str] = "observation"
    properties: ClassVar[tuple[Property, ...]]
    # Which property says the state, and which of its texts each word of a trouble is; the others say that all is well.
    state: ClassVar[str] = ""
    words: ClassVar[dict[str, int]] = {}
    period: ClassVar[int]
    # Assets of one message; whether a change of state is said at once.
    together: ClassVar[int] = 1
    tells_changes: ClassVar[bool] = False
    latency: ClassVar[int] = 1

    def __init__(self, world: World, refs: list[str]) -> None:
        self.world: Final = world
        self.refs: Final = refs
        self._told = lru_cache(maxsize=_DAYS_SPEAKING)(self._observe)

    # --- what a system says of itself

    def inventory(self) -> list[dict[str, object]]:
        """Return its equipment, as rows of contract `asset`."""
        raise NotImplementedError

    def say(self, entity: Ints, observed: Ints) -> dict[str, Floats]:
        """Return what assets would say at instants if all were well: a column for each property."""
        raise NotImplementedError

    def write(self, sent_at: int, told: Told) -> Message:
        """Return the message of some samples of one lot."""
        raise NotImplementedError

    def troubles(self, start: int, end: int) -> Iterable[Trouble]:  # noqa: ARG002 - most systems have some
        """Return what is wrong in [start, end) and is said."""
        return ()

    def silences(self, start: int, end: int) -> Iterable[Trouble]:  # noqa: ARG002 - likewise
        """Return who is not heard in [start, end)."""
        return ()

    def afflict(self, values: dict[str, Floats], rows: Bools, trouble: Trouble) -> None:
        """Change what the asset of a trouble says while it lasts: its state, the graver where two meet."""
        column = values[self.state]
        column[rows] = np.maximum(column[rows], self.words[trouble.word])

    def message_ids(self, told: Told) -> list[str] | None:  # noqa: ARG002 - LoRaWAN has them
        """Return the identifiers of messages that the rows keep; None where they keep none."""
        return None

    # --- systems.System

    def messages(self, start: int, end: int) -> Iterator[Message]:
        """Yield what is sent in [start, end), in order."""
        for told in self._windows(start, end):
            if not len(told.sent):
                continue
            ends = np.flatnonzero((np.diff(told.sent) != 0) | (np.diff(told.lot) != 0)) + 1
            first = 0
            for last in (*ends.tolist(), len(told.sent)):
                yield self.write(int(told.sent[first]), told.rows(slice(first, last)))
                first = last

    def tables(self, start: int, end: int) -> Iterator[pa.Table]:
        """Yield the observations that it must become, in order."""
        for told in self._windows(start, end):
            if len(told.sent):
                yield self._table(told)

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield what its equipment goes through in [start, end)."""
        days = lru_cache(maxsize=_DAYS_OF_SCENES)(self._observe)
        texts = next((p.texts for p in self.properties if p.name == self.state), ())
        # Whatever is not the word of a trouble says that all is well: a vehicle is parked, or moves.
        well = set(range(len(texts))) - set(self.words.values())
        for t in sorted(set(self.troubles(start, end)), key=_order):
            until = t.ended + _LOOK
            first = self._first(days, t.asset, {self.words[t.word]} if t.word in self.words else set(), t.started, t.ended)
            again = None if first is None else self._first(days, t.asset, well, t.ended, until)
            yield Scene(self.feed, self.refs[t.asset], t.kind, t.started, t.ended, first, again, t.scenario)
        for t in sorted(set(self.silences(start, end)), key=_order):
            yield Scene(self.feed, self.refs[t.asset], t.kind, t.started, t.ended, None, None, t.scenario)

    # --- samples

    def _first(self, days: Callable[[int], Told], entity: int, codes: set[int], start: int, until: int) -> int | None:
        """Return the first sample of an asset in [start, until) that says one of some states."""
        if not codes:
            return None
        for day in range(start // DAY, (until - 1) // DAY + 1):
            told = days(day)
            rows = (told.entity == entity) & (told.observed >= start) & (told.observed < until)
            rows &= np.isin(told.values[self.state], sorted(codes))
            if rows.any():
                return int(told.observed[rows].min())
        return None

    def _windows(self, start: int, end: int) -> Iterator[Told]:
        for day in range(start // DAY, (end - 1) // DAY + 1):
            yield self._window(max(start, day * DAY), min(end, (day + 1) * DAY))

    def _window(self, start: int, end: int) -> Told:
        # Nothing is late by a day: see `behaviour` and `troubles`.
        parts = []
        for day in (start // DAY - 1, start // DAY):
            whole = self._told(day)
            low, high = np.searchsorted(whole.sent, (start, end), side="left")
            parts.append(whole.rows(slice(int(low), int(high))))
        if not len(parts[0].sent):
            return parts[1]
        # A lot is a day's: those of the day before come before, also where both are sent in one second.
        lots = np.concatenate([parts[0].lot - 2**40, parts[1].lot])
        sent = np.concatenate([p.sent for p in parts])
        values = {name: np.concatenate([p.values[name] for p in parts]) for name in parts[0].values}
        entity, observed = (np.concatenate([getattr(p, n) for p in parts]) for n in ("entity", "observed"))
        both = Told(entity, observed, sent, lots, values)
        return both.rows(np.lexsort((lots, sent)))

    def _observe(self, day: int) -> Told:
        """Return all samples taken on a UTC day, in the order they arrive."""
        start, end = day * DAY, (day + 1) * DAY
        taken = self.take(start, end)
        for t in sorted(set(self.troubles(start, end)), key=_order):
            self.afflict(taken.values, (taken.entity == t.asset) & (taken.observed >= t.started) & (taken.observed < t.ended), t)
        return self._arrive(self._hide(taken, start, end), day)

    def take(self, start: int, end: int) -> Told:
        """Return what is observed in [start, end), a UTC day, if all is well and all is heard: each asset each period, and at changes."""
        count = len(self.refs)
        groups = -(-count // self.together)
        entity = np.arange(count, dtype=np.int64)
        group = entity // self.together
        slots = np.arange((end - start) // self.period, dtype=np.int64)[:, None]
        observed = start + slots * self.period + (group * self.period // groups)[None, :]
        lot = slots * groups + group[None, :]
        entities = np.broadcast_to(entity, observed.shape).ravel()
        at, lots = observed.ravel(), lot.ravel()
        if self.tells_changes:
            changes = sorted({(t, x.asset) for x in self.troubles(start, end) for t in (x.started, x.ended) if start <= t < end})
            more = np.array(changes, dtype=np.int64).reshape(-1, 2)
            entities, at = np.concatenate([entities, more[:, 1]]), np.concatenate([at, more[:, 0]])
            lots = np.concatenate([lots, lot.size + np.arange(len(more))])
        return Told(entities, at, at + self.latency, lots, self.say(entities, at))

    def _hide(self, taken: Told, start: int, end: int) -> Told:
        is_heard, sent = np.ones(len(taken.sent), dtype=np.bool_), taken.sent.copy()
        for t in sorted(set(self.silences(start, end)), key=_order):
            rows = (taken.entity == t.asset) & (taken.observed >= t.started) & (taken.observed < t.ended)
            if t.keeps:
                # What was kept is sent in its order, all within the catch-up.
                share = (taken.observed[rows] - t.started) / (t.ended - t.started)
                sent[rows] = np.maximum(sent[rows], t.ended + (share * CATCH_UP).astype(np.int64))
            else:
                is_heard &= ~rows
        return Told(taken.entity, taken.observed, sent, taken.lot, taken.values).rows(is_heard)

    def _arrive(self, taken: Told, day: int) -> Told:
        """Make some messages late, and some come twice."""
        days = np.full(len(taken.lot), day, dtype=np.int64)
        late, twice = (uniforms(self.world.seed, f"{self.feed}-{what}", days, taken.lot) for what in ("late", "twice"))
        delay = 60 + -np.log(np.maximum(late, 1e-9) / b.LATE) * b.LATE_MEAN
        sent = taken.sent + np.where(late < b.LATE, np.minimum(delay, b.LATE_MOST), 0).astype(np.int64)
        first = Told(taken.entity, taken.observed, sent, taken.lot, taken.values)
        again = first.rows(twice < b.TWICE)
        after = 1 + (twice[twice < b.TWICE] / b.TWICE * b.TWICE_WITHIN).astype(np.int64)
        values = {name: np.concatenate([column, again.values[name]]) for name, column in first.values.items()}
        both = Told(
            np.concatenate([first.entity, again.entity]),
            np.concatenate([first.observed, again.observed]),
            np.concatenate([first.sent, again.sent + after]),
            np.concatenate([first.lot, again.lot]),
            values,
        )
        return both.rows(np.lexsort((both.lot, both.sent)))

    # --- rows

    def _table(self, told: Told) -> pa.Table:
        columns = [p for p in self.properties if p.name in told.values]
        value = np.stack([told.values[p.name] for p in columns], axis=1)
        said = ~np.isnan(value)
        row, column = np.nonzero(said)
        is_text = np.array([bool(p.texts) and not p.is_flag for p in columns])[column]
        found = value[row, column]
        texts, offset = _texts(columns)
        flags = np.array([p.is_flag for p in columns])[column]
        has_text = is_text | flags
        codes = np.where(has_text, found + np.array(offset)[column], 0).astype(np.int32)
        ids = self.message_ids(told)
        return pa.table(
            {
                "asset_ref": _coded(told.entity[row], self.refs),
                "property": _coded(column, [p.name for p in columns]),
                "observed_at": pa.array(told.observed[row] * _US).cast(pa.timestamp("us", "UTC")),
                "value": pa.array(found, mask=is_text),
                "value_text": pa.DictionaryArray.from_arrays(pa.array(codes, mask=~has_text), pa.array(texts)),
                "unit": pa.DictionaryArray.from_arrays(pa.array(column.astype(np.int32)), pa.array([p.unit for p in columns], pa.string())),
                **({} if ids is None else {"message_id": pa.array(ids).take(pa.array(row))}),
            }
        )


def _texts(columns: list[Property]) -> tuple[list[str], list[int]]:
    """Return the texts of all properties in a row, and where those of each begin."""
    texts: list[str] = []
    offsets = []
    for p in columns:
        offsets.append(len(texts))
        texts += p.texts or (("false", "true") if p.is_flag else ())
    return texts, offsets


def _coded(codes: Ints, texts: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(texts))


def _order(t: Trouble) -> tuple[int, int, str]:
    return t.started, t.asset, t.word
