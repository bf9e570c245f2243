"""Nights by the sun, hours of the command post, hours and kinds of days: what is usual depends on them.

Here: `world.Hours` for the territory of each feed, and the buckets of a learned profile. Not here: who is on call, the calendar of the
models (`ingestion.reference`), rules.

Everything is kept once computed, by local day: a rule at night asks at each observation.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import holidays
from astral import Observer
from astral.sun import elevation, sunrise, sunset

from ingestion.feeds.model import Feed, Territory
from ingestion.reference import CONTRACT_CLOSES, CONTRACT_OPENS

KINDS: Final = 3
"""Kinds of days: a working day, a Saturday, a Sunday or public holiday."""
BUCKETS: Final = KINDS * 24
"""Hours of the kinds of days: bucket `kind * 24 + hour`."""
_SATURDAY: Final = 5
_SUNDAY: Final = 6
# Offsets of all time zones are whole quarters of an hour: within one, the local hour and day are the same.
_QUARTER: Final = 900_000_000
_SECOND: Final = 1_000_000
# A day of history tried at once, for a few territories; beyond, the oldest are computed anew.
_KEPT: Final = 4_096
# The upper edge of the sun, bent by the air, is at the horizon: the usual definition of sunrise.
_HORIZON: Final = -0.833


@dataclass(frozen=True)
class PostHours:
    """When the command post is open, in local time: the contract's hours by default.

    Attributes:
        opens: from this time on.
        closes: until this time, exclusive; midnight stands for the end of the day.
        weekdays: on these days, 0 Monday to 6 Sunday.
        on_holidays: whether it is open on public holidays as well.

    Raises:
        ValueError: it closes before it opens, or a weekday is none.
    """

    opens: dt.time = CONTRACT_OPENS
    closes: dt.time = CONTRACT_CLOSES
    weekdays: frozenset[int] = frozenset(range(_SATURDAY))
    on_holidays: bool = False

    def __post_init__(self) -> None:
        if self.closes != dt.time(0) and self.closes <= self.opens:
            raise ValueError(f"the command post closes at {self.closes:%H:%M}, before it opens at {self.opens:%H:%M}")
        if not self.weekdays <= frozenset(range(_SUNDAY + 1)):
            raise ValueError("a weekday is a number from 0 (Monday) to 6 (Sunday)")

    def holds(self, local: dt.datetime, *, is_holiday: bool) -> bool:
        """Return whether it is open at a local time."""
        if local.weekday() not in self.weekdays or (is_holiday and not self.on_holidays):
            return False
        return self.opens <= local.time() and (self.closes == dt.time(0) or local.time() < self.closes)


class TerritoryHours:
    """`world.Hours`, from each feed's territory. Args of the class: the hours of the command post."""

    def __init__(self, post: PostHours = PostHours()) -> None:
        self.post = post

    def is_night(self, feed: Feed, at: int) -> bool:
        """Return whether the sun is down at an instant (microseconds since 1970) at the feed's territory."""
        place = feed.territory
        rises, sets = _sun(place.latitude, place.longitude, place.time_zone, _local(place.time_zone, at).date())
        return not rises <= at < sets

    def is_open(self, feed: Feed, at: int) -> bool:
        """Return whether the command post is open then, by the clocks and holidays of the feed's territory."""
        local = _local(feed.territory.time_zone, at)
        return self.post.holds(local, is_holiday=local.date() in _public(feed.territory.holidays, local.year))


def bucket_of(territory: Territory) -> Callable[[int], int]:
    """Return the bucket (0 to BUCKETS - 1) of an instant (microseconds since 1970): hour of day and kind of day there."""
    return _bucket_of(territory.time_zone, territory.holidays)


@lru_cache(maxsize=_KEPT)
def _bucket_of(zone: str, calendar: str) -> Callable[[int], int]:
    @lru_cache(maxsize=_KEPT)
    def of_quarter(quarter: int) -> int:
        local = _local(zone, quarter * _QUARTER)
        weekday = local.weekday()
        if weekday == _SUNDAY or local.date() in _public(calendar, local.year):
            return 48 + local.hour
        return (24 if weekday == _SATURDAY else 0) + local.hour

    return lambda at: of_quarter(at // _QUARTER)


def _local(zone: str, at: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at // _SECOND, ZoneInfo(zone))


@lru_cache(maxsize=256)
def _public(calendar: str, year: int) -> frozenset[dt.date]:
    """Return the public holidays of a year: a country code, or country-subdivision."""
    country, _, subdivision = calendar.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))


@lru_cache(maxsize=_KEPT)
def _sun(latitude: float, longitude: float, zone: str, day: dt.date) -> tuple[float, float]:
    """Return sunrise and sunset of a local day in microseconds since 1970; all or nothing of it where the sun stays up or down."""
    place, local = Observer(latitude, longitude), ZoneInfo(zone)
    try:
        return (
            sunrise(place, day, tzinfo=local).timestamp() * _SECOND,
            sunset(place, day, tzinfo=local).timestamp() * _SECOND,
        )
    except ValueError:  # astral's way to say that the sun does not cross the horizon that day
        noon = dt.datetime.combine(day, dt.time(12), tzinfo=local)
        is_up = elevation(place, noon) > _HORIZON
        return (float("-inf"), float("inf")) if is_up else (float("inf"), float("-inf"))
