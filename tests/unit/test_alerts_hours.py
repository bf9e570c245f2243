"""Nights, opening hours and buckets follow the territory's own sun, clocks and holidays."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.feeds.model import Feed
from ingestion.feeds.registry import find_feed
from orchestration.alerts.engine.hours import BUCKETS, PostHours, TerritoryHours, bucket_of

HOURS = TerritoryHours()


@pytest.fixture(scope="module")
def troyes(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    """A shipped contract: Troyes, 48.2973 N, 4.0744 E, Europe/Paris, holidays of France."""
    return find_feed("vigilance-cap", Path(tmp_path_factory.mktemp("feeds")))


def elsewhere(feed: Feed, **place: object) -> Feed:
    return feed.model_copy(update={"territory": feed.territory.model_copy(update=place)})


def at(text: str, zone: str = "Europe/Paris") -> int:
    """Return a local time (or one with an offset) in microseconds since 1970."""
    local = dt.datetime.fromisoformat(text)
    return int((local if local.tzinfo else local.replace(tzinfo=ZoneInfo(zone))).timestamp()) * 1_000_000


# By hand: cos H = (sin -0.833° - sin φ sin δ) / (cos φ cos δ), δ = ±23.44°. Midsummer: H = 8 h 03, noon 13:45; midwinter: 4 h 10, 12:42.
@pytest.mark.parametrize(
    ("when", "is_night"),
    [
        ("2026-06-21T05:33", True),
        ("2026-06-21T05:53", False),
        ("2026-06-21T21:38", False),
        ("2026-06-21T21:58", True),
        ("2026-12-21T08:22", True),
        ("2026-12-21T08:42", False),
        ("2026-12-21T16:41", False),
        ("2026-12-21T17:01", True),
        ("2026-06-22T00:00", True),
        ("2026-10-25T02:30+02:00", True),
        ("2026-10-25T02:30+01:00", True),
    ],
)
def test_night_by_the_sun(troyes: Feed, when: str, is_night: bool) -> None:
    assert HOURS.is_night(troyes, at(when)) is is_night


def test_beyond_the_polar_circle(troyes: Feed) -> None:
    tromso = elsewhere(troyes, latitude=69.65, longitude=18.96, time_zone="Europe/Oslo", holidays="NO")
    assert not HOURS.is_night(tromso, at("2026-06-21T00:30", "Europe/Oslo"))
    assert HOURS.is_night(tromso, at("2026-12-21T12:00", "Europe/Oslo"))


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-11-23T07:29:59", False),  # a Monday
        ("2026-11-23T07:30:00", True),
        ("2026-11-23T16:59:59", True),
        ("2026-11-23T17:00:00", False),
        ("2026-11-21T10:00", False),  # a Saturday
        ("2026-11-22T10:00", False),  # a Sunday
        ("2026-11-11T10:00", False),  # a Wednesday, Armistice
        ("2026-07-14T10:00", False),  # a Tuesday, 14 July
        ("2026-03-27T07:30+01:00", True),  # Friday before summer time: 06:30 UTC
        ("2026-03-30T07:30+02:00", True),  # Monday after: 05:30 UTC
        ("2026-03-30T05:29:59+00:00", False),
        ("2026-10-26T06:29:59+00:00", False),  # Monday after winter time came back
        ("2026-10-26T06:30:00+00:00", True),
    ],
)
def test_the_hours_of_the_command_post(troyes: Feed, when: str, is_open: bool) -> None:
    assert HOURS.is_open(troyes, at(when)) is is_open


def test_holidays_are_the_territory_s_own(troyes: Feed) -> None:
    metz = elsewhere(troyes, holidays="FR-57")  # 26 December is a holiday in Moselle
    monday = at("2022-12-26T10:00")
    assert HOURS.is_open(troyes, monday)
    assert not HOURS.is_open(metz, monday)


def test_other_hours_of_a_post(troyes: Feed) -> None:
    always = TerritoryHours(PostHours(dt.time(0), dt.time(0), frozenset(range(7)), on_holidays=True))
    assert all(always.is_open(troyes, at(w)) for w in ("2026-11-22T00:00", "2026-07-14T23:59:59", "2026-11-11T12:00"))
    with pytest.raises(ValueError, match="before it opens"):
        PostHours(dt.time(17), dt.time(7))
    with pytest.raises(ValueError, match="weekday"):
        PostHours(weekdays=frozenset({7}))


@pytest.mark.parametrize(
    ("when", "bucket"),
    [
        ("2026-11-23T00:00", 0),
        ("2026-11-23T23:59", 23),
        ("2026-11-21T08:10", 24 + 8),
        ("2026-11-22T08:10", 48 + 8),
        ("2026-11-11T08:10", 48 + 8),  # Armistice is like a Sunday
        ("2026-10-25T02:30+02:00", 48 + 2),  # the hour that comes twice
        ("2026-10-25T02:30+01:00", 48 + 2),
        ("2026-03-29T03:10+02:00", 48 + 3),  # the hour after the one that is skipped
    ],
)
def test_buckets(troyes: Feed, when: str, bucket: int) -> None:
    assert bucket_of(troyes.territory)(at(when)) == bucket


def test_buckets_where_offsets_are_quarters(troyes: Feed) -> None:
    kathmandu = elsewhere(troyes, time_zone="Asia/Kathmandu", holidays="NP").territory  # UTC+5:45
    assert bucket_of(kathmandu)(at("2026-11-23T06:14:59+00:00")) == 11
    assert bucket_of(kathmandu)(at("2026-11-23T06:15:00+00:00")) == 12


@given(st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2060, 1, 1)))  # noqa: DTZ001 - of UTC, see below
def test_a_bucket_has_the_hour_that_clocks_show(troyes: Feed, when: dt.datetime) -> None:
    instant = when.replace(tzinfo=dt.UTC)
    number = bucket_of(troyes.territory)(int(instant.timestamp()) * 1_000_000)
    local = instant.astimezone(ZoneInfo("Europe/Paris"))
    assert 0 <= number < BUCKETS
    assert number % 24 == local.hour
    if local.weekday() == 6:
        assert number >= 48
