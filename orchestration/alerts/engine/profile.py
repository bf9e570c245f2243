"""The learned hourly profile of one series: what is usual at that hour of that kind of day, and how far off a value is.

Here: learning and judging one (asset, property), in bounded memory. Not here: delays, edges, which side raises (the engine), hours of a
territory (`hours.bucket_of`).

    expected = shift + level of the bucket          (bucket: hour of day and kind of day)
    spread   = the bucket's usual error, held near the series' own, never below a floor
    score    = (value - expected) / (spread * unrest)

Every error is cut at a few spreads before it is learned (winsorised), so an anomaly of hours hardly moves what is usual, and one of days
does: the level follows, and the spread widens until it has. `shift` is common to all buckets, so a new regime that began on a Monday is
usual on Saturday too. `unrest` is the worst score of a usual day where that is much: a series that has bursts each day is not one that
deviates each day.
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
_DAY: Final = 24 * _HOUR


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
    """How profiles learn; the same for all series (tuned by `bench.detection`).

    Attributes:
        memory: share of a bucket's level that one more hour in it replaces.
        drift: share of a day's mean error that the shift common to all hours takes up, a day.
        cut: errors are learned up to so many spreads.
        pool: a bucket's spread counts like so many values of the whole series' at first.
        floor: no spread is below this share of the usual magnitude: sensors' accuracy.
        rest: the worst score of a day that is nothing special; above, the day's worst is measured in it.
        least: values it must have seen before it judges.
    """

    memory: float = 0.15
    drift: float = 0.3
    cut: float = 3.0
    pool: float = 24.0
    floor: float = 0.005
    rest: float = 3.0
    least: int = 48


SETTINGS: Final = Settings()


class Profile:
    """What is usual of one series. Args of the class: `bucket` of an instant, how long to `learn_us` before it judges."""

    def __init__(self, bucket: Callable[[int], int], learn_us: int, settings: Settings = SETTINGS) -> None:
        self._bucket, self._learn_us, self._settings = bucket, learn_us, settings

    def judge(self, at_us: int, value: float) -> Judgement | None:
        """Return how a value stands to what is usual then; None while it has not learned long enough, or for no finite number."""
        raise NotImplementedError

    def learn(self, at_us: int, value: float) -> None:
        """Take a value into what is usual. Judge first: the value must not vouch for itself. What is not later than the last is passed over."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """Return the state."""
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, body: bytes, bucket: Callable[[int], int], learn_us: int, settings: Settings = SETTINGS) -> Profile:
        """Return a profile as it was saved.

        Raises:
            msgspec.MsgspecError: the bytes are none.
        """
        raise NotImplementedError
