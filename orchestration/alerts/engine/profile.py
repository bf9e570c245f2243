"""The learned hourly profile of one series: what is usual at that hour of that kind of day, and how far off a value is.

Here: learning and judging one (asset, property), in bounded memory. Not here: delays, edges, which side raises (the engine), hours of a
territory (`hours.bucket_of`).

    expected = level of the bucket + shift          (bucket: hour of day and kind of day)
    spread   = the bucket's usual error, held near the series' own, never below a floor
    score    = (value - expected) / spread

Every error is cut at a few spreads before it is learned (winsorised), so an anomaly of hours hardly moves what is usual, and one of days
does: the level follows, and the spread widens until it has. `shift` is common to all buckets, so a new regime that began on a Monday is
usual on Saturday too.

An hour counts alike however many values it holds: series of five minutes and of an hour learn at one pace.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from orchestration.alerts.engine.hours import BUCKETS

_HOUR: Final = 3_600_000_000
_QUARTER: Final = _HOUR // 4
# The standard deviation of normal errors, in their mean size.
_SIGMA: Final = math.sqrt(math.pi / 2)
_AGAIN: Final = 0.95  # hours of a bucket after which a value is of another day: values do not come at even pace
_KNOWN: Final = 3.0  # hours of a bucket from which on its own spread tells what is an outlier
_SCALED: Final = 12  # errors that make a scale
_CHANGES: Final = 5  # changes of value of which the smallest is the series' quantisation: one jump is not
_MOST: Final = 65_535  # what a counter of two bytes holds


class Judgement(NamedTuple):
    """How a value stands to what is usual.

    Attributes:
        expected: what is usual, in the series' unit.
        spread: the usual distance from it (about one standard deviation), in the series' unit; above 0.
        score: signed distance in spreads: compare with a rule's `sensitivity`.
    """

    expected: float
    spread: float
    score: float


@dataclass(frozen=True, slots=True)
class Settings:
    """How profiles learn; the same for all series (chosen by `bench.detection`).

    Attributes:
        memory: share of a bucket's level and spread that one more hour in it replaces.
        drift: share of a day's mean error that the shift common to all buckets takes up, a day.
        cut: errors are learned up to so many spreads.
        pool: how many hours in a bucket make its own spread count as much as the series'.
        floor: no spread is below this share of the usual magnitude: sensors' accuracy.
        least: values it must have seen before it judges: less is no habit, whatever the span.
    """

    memory: float = 0.15
    drift: float = 0.3
    cut: float = 3.0
    pool: float = 12.0
    floor: float = 0.01
    least: int = 48


SETTINGS: Final = Settings()


class _Saved(msgspec.Struct, array_like=True):
    """The state as it is stored: three packed arrays, then what the class names likewise."""

    levels: bytes
    spreads: bytes
    counts: bytes
    first: int
    last: int
    seen: int
    before: float
    step: float
    middle: float
    wide: float
    size: float
    scale: float
    scaled: int
    shift: float
    changes: int


class Profile:
    """What is usual of one series. Args of the class: `bucket` of an instant, how long to `learn_us` before it judges."""

    __slots__ = (
        "_bucket",
        "_counts",  # values of each bucket
        "_learn_us",
        "_levels",
        "_settings",
        "_spreads",
        "before",  # the last value
        "changes",  # values unlike the one before
        "first",
        "last",
        "middle",  # the level of the whole series, whatever the hour
        "scale",  # usual size of errors, whatever the bucket
        "scaled",  # errors that it is of
        "seen",
        "shift",
        "size",  # usual magnitude of values
        "step",  # smallest step between two values: quantisation
        "wide",  # usual distance from `middle`
    )

    def __init__(self, bucket: Callable[[int], int], learn_us: int, settings: Settings = SETTINGS) -> None:
        self._bucket, self._learn_us, self._settings = bucket, learn_us, settings
        self._levels, self._spreads = array("d", bytes(8 * BUCKETS)), array("f", bytes(4 * BUCKETS))
        self._counts = array("H", bytes(2 * BUCKETS))
        self.first = self.last = self.seen = self.scaled = self.changes = 0
        self.before = self.middle = self.wide = self.size = self.scale = self.shift = 0.0
        self.step = math.inf

    @property
    def is_ready(self) -> bool:
        """Whether it has learned long enough to judge."""
        return self.seen >= self._settings.least and self.last - self.first >= self._learn_us

    def judge(self, at_us: int, value: float) -> Judgement | None:
        """Return how a value stands to what is usual then; None while it has not learned long enough, or for no finite number."""
        if not self.is_ready or not math.isfinite(value):
            return None
        expected, spread = self._usual(self._bucket(at_us), value)
        expected = self._towards(at_us, expected, value)
        return Judgement(expected, spread, (value - expected) / spread)

    def learn(self, at_us: int, value: float) -> None:
        """Take a value into what is usual. Judge first: a value must not vouch for itself.

        What is not later than the last one, or no finite number, is passed over.
        """
        if not math.isfinite(value) or (self.seen and at_us <= self.last):
            return
        if not self.seen:
            self.first, self.before, self.middle, self.size = at_us, value, value, abs(value)
        # A gap counts as an hour: that is all that was seen of it.
        hours = min(1.0, (at_us - self.last) / _HOUR) if self.seen else 1.0
        number, settings = self._bucket(at_us), self._settings
        expected, spread = self._usual(number, value)
        error = value - expected
        if self.seen >= settings.least:  # until then there is no spread to cut at; of a young bucket, the whole series'
            limit = settings.cut * (spread if self._visits(number) >= _KNOWN else max(spread, self.wide))
            error = max(-limit, min(limit, error))
        self._learn_bucket(number, expected, error, hours)
        self._learn_whole(value, hours)
        if self.is_ready:
            self.shift += hours / 24 * settings.drift * error
        self.last = at_us
        self.seen += 1

    def _visits(self, number: int) -> float:
        """Return how many hours of a bucket it has seen, from as many values an hour as the series has had."""
        count = self._counts[number]
        return min(float(count), count * max(1.0, (self.last - self.first) / _HOUR) / self.seen) if count else 0.0

    def _learn_bucket(self, number: int, expected: float, error: float, hours: float) -> None:
        """Move a bucket towards a value: the mean of all at first, then of the last ones."""
        count, visits, memory, size = self._counts[number], self._visits(number), self._settings.memory, abs(error) * _SIGMA
        rate = max(1 / (count + 1), hours * memory)
        self._levels[number] = expected - self.shift + rate * error
        if visits >= _AGAIN:  # within its first hour, values say nothing of how days differ
            rate = max(1 / (1 + count - count / visits), hours * memory)
            self._spreads[number] += rate * (size - self._spreads[number])
            self.scaled += 1
            self.scale += max(1 / self.scaled, hours * memory / 24) * (size - self.scale)
        self._counts[number] = min(_MOST, count + 1)

    def _learn_whole(self, value: float, hours: float) -> None:
        """Move what is usual of the whole series, whatever the hour."""
        settings = self._settings
        rate = max(1 / (self.seen + 1), hours * settings.memory / 24)
        error = value - self.middle
        if self.seen >= settings.least and self.wide > 0:
            error = max(-settings.cut * self.wide, min(settings.cut * self.wide, error))
        self.middle += rate * error
        self.wide += rate * (abs(error) * _SIGMA - self.wide)
        self.size += rate * (abs(self.middle + error) - self.size)
        if value != self.before:
            self.changes += 1
            self.step = min(self.step, abs(value - self.before))
        self.before = value

    def _usual(self, number: int, value: float) -> tuple[float, float]:
        """Return the level and the spread of a bucket; those of its like, with the spread of the whole series, while it has none."""
        settings, count = self._settings, self._counts[number]
        # What has always been 0 has no scale but the value at hand: its first other value is one spread off, and is not judged by that.
        floor = max(settings.floor * self.size, self.step if self.changes >= _CHANGES else 0.0) or abs(value - self.before) or 1.0
        if not count:
            return self._borrowed(number) + self.shift, max(floor, self.wide, self.scale)
        visits, scale = self._visits(number), self.scale if self.scaled >= _SCALED else max(self.scale, self.wide)
        again = max(0.0, visits - 1)
        spread = (again * self._spreads[number] + settings.pool * scale) / (again + settings.pool)
        # The level is itself a mean of few hours.
        return self._levels[number] + self.shift, max(floor, spread * math.sqrt(1 + 1 / max(1.0, visits)))

    def _towards(self, at_us: int, expected: float, value: float) -> float:
        """Return what of the way to the nearer hour beside is nearest to the value.

        Lights go on and offices open within an hour, and not at one minute: near its edge, what lies between two hours is usual.
        """
        quarter = at_us // _QUARTER
        beside = self._bucket((quarter + (2 if at_us % _HOUR * 2 >= _HOUR else -2)) * _QUARTER)
        if not self._counts[beside]:
            return expected
        other = self._levels[beside] + self.shift
        return max(min(expected, other), min(max(expected, other), value))

    def _borrowed(self, number: int) -> float:
        """Return the level of the same hour of another kind of day, else of the hours beside it, else of the whole series."""
        kind, hour = divmod(number, 24)
        same = [other * 24 + hour for other in range(BUCKETS // 24)]
        beside = [kind * 24 + (hour - 1) % 24, kind * 24 + (hour + 1) % 24]
        for candidates in (same, beside):
            known = [c for c in candidates if self._counts[c]]
            if known:
                return sum(self._levels[c] for c in known) / len(known)
        return self.middle - self.shift

    def to_bytes(self) -> bytes:
        """Return the state, about a kilobyte."""
        rest = {name: getattr(self, name) for name in _Saved.__struct_fields__[3:]}
        saved = _Saved(self._levels.tobytes(), self._spreads.tobytes(), self._counts.tobytes(), **rest)
        return msgspec.msgpack.encode(saved)

    @classmethod
    def from_bytes(cls, body: bytes, bucket: Callable[[int], int], learn_us: int, settings: Settings = SETTINGS) -> Profile:
        """Return a profile as it was saved.

        Raises:
            msgspec.MsgspecError: the bytes are none.
            ValueError: they are of other buckets.
        """
        saved = msgspec.msgpack.decode(body, type=_Saved)
        profile = cls(bucket, learn_us, settings)
        profile._levels, profile._spreads = array("d", saved.levels), array("f", saved.spreads)
        profile._counts = array("H", saved.counts)
        if not len(profile._levels) == len(profile._spreads) == len(profile._counts) == BUCKETS:
            raise ValueError("a profile of other buckets")
        for name in _Saved.__struct_fields__[3:]:
            setattr(profile, name, getattr(saved, name))
        return profile
