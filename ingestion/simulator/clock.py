"""The territory's clocks: local days, the sun, the hours of the command post.

Here: instants (seconds since 1970, UTC) from local dates and back, working time. Not here: what happens at them.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import holidays
from astral import Observer
from astral.sun import sunrise, sunset

ZONE: Final = ZoneInfo("Europe/Paris")
DAY: Final = 86_400
HOUR: Final = 3_600
MINUTE: Final = 60
# The command post's contract: open 7:30 to 17:00 on French working days.
OPENS: Final = dt.time(7, 30)
CLOSES: Final = dt.time(17, 0)
_SATURDAY: Final = 5


def seconds(instant: dt.datetime) -> int:
    """Return an aware instant as seconds since 1970."""
    return int(instant.timestamp())


def instant(at: float) -> dt.datetime:
    """Return seconds since 1970 as an instant in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC)


def utc_text(at: int) -> str:
    """Return an instant as NGSI-LD writes it: `2026-05-01T00:00:07Z`."""
    return instant(at).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_text(at: int) -> str:
    """Return an instant in local time with its offset, so that the hour that comes twice in autumn is told apart."""
    return dt.datetime.fromtimestamp(at, ZONE).isoformat()


def local_date(at: float) -> dt.date:
    """Return the local day of an instant."""
    return dt.datetime.fromtimestamp(at, ZONE).date()


@lru_cache(maxsize=20_000)
def at_local(day: dt.date, hour: int = 0, minute: int = 0) -> int:
    """Return the instant of a local time; one that the clocks skip in spring is read as an hour later."""
    return int(dt.datetime.combine(day, dt.time(hour, minute), tzinfo=ZONE).timestamp())


def local_days(start: int, end: int) -> list[dt.date]:
    """Return the local days that [start, end) touches."""
    if end <= start:
        return []
    first, last = local_date(start), local_date(end - 1)
    return [first + dt.timedelta(days=i) for i in range((last - first).days + 1)]


@lru_cache(maxsize=20_000)
def sun(latitude: float, longitude: float, day: dt.date) -> tuple[float, float]:
    """Return sunrise and sunset of a local day, in seconds since 1970."""
    place = Observer(latitude, longitude)
    return sunrise(place, day, tzinfo=ZONE).timestamp(), sunset(place, day, tzinfo=ZONE).timestamp()


@lru_cache(maxsize=200)
def _public(year: int) -> frozenset[dt.date]:
    return frozenset(holidays.country_holidays("FR", years=year))


def is_working(day: dt.date) -> bool:
    """Return whether the command post is open that day."""
    return day.weekday() < _SATURDAY and day not in _public(day.year)


@lru_cache(maxsize=20_000)
def hours(day: dt.date) -> tuple[int, int] | None:
    """Return when the command post opens and closes on a local day, or None."""
    return (at_local(day, OPENS.hour, OPENS.minute), at_local(day, CLOSES.hour, CLOSES.minute)) if is_working(day) else None


def next_open(at: int) -> int:
    """Return the first instant from `at` on at which the command post is open."""
    return add_open(at, 0)


def add_open(at: int, working: float) -> int:
    """Return the instant at which `working` seconds of opening time have passed since `at`."""
    day, left = local_date(at), int(working)
    while True:
        span = hours(day)
        if span is not None and at < span[1]:
            begin = max(at, span[0])
            if begin + left < span[1]:
                return begin + left
            left -= span[1] - begin
        day += dt.timedelta(days=1)


def open_seconds(start: int, end: int) -> int:
    """Return the seconds of opening time in [start, end)."""
    total = 0
    for day in local_days(start, end):
        span = hours(day)
        if span is not None:
            total += max(0, min(end, span[1]) - max(start, span[0]))
    return total
