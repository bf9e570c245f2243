"""Instants of wire formats whose senders may write local times: naive ones are in the feed's zone.

Here: one pure function. Not here: instants of formats that say UTC where they say nothing (`wire_values.instant`).
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from ingestion.contracts.canonical import EARLIEST, LATEST

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# What is kept of texts already read must stay small, whatever senders write: an instant with nanoseconds and a zone has 35 characters.
_LONGEST: Final = 40
_DAY_LENGTH: Final = 10  # "2021-01-11"


def micros(moment: dt.datetime) -> int:
    """Return an aware instant as microseconds since 1970, UTC.

    >>> micros(dt.datetime(1970, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1))))
    3600000000
    """
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def local_instant(text: str, zone: str) -> int | None:
    """Return an ISO 8601 instant as microseconds since 1970, UTC; None when it is none, or outside 1900 to 2100.

    Without an offset it is a time of `zone` (IANA), a day without time its midnight. A local time that does not exist there (the hour
    skipped in spring) is None; one that exists twice (autumn) is the second, in standard time, as mapped files are read.

    >>> local_instant("1970-01-01T01:00:00+01:00", "UTC"), local_instant("1970-01-01 01:00", "Europe/Paris")
    (0, 0)
    >>> local_instant("2026-03-29T02:30:00", "Europe/Paris"), local_instant("12/03/2026", "Europe/Paris")
    (None, None)
    """
    return _read(text, zone) if len(text) <= _LONGEST else None


@lru_cache(maxsize=65_536)  # records of one export repeat their instants
def _read(text: str, zone: str) -> int | None:
    text = text.strip().upper()  # RFC 3339 allows t and z
    if len(text) < _DAY_LENGTH or (len(text) > _DAY_LENGTH and text[_DAY_LENGTH] not in "T "):
        return None  # weeks and compact days; the library takes any character between day and time
    try:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(zone), fold=1)
            there_and_back = moment.astimezone(dt.UTC).astimezone(moment.tzinfo)
            if there_and_back.replace(tzinfo=None, fold=0) != moment.replace(tzinfo=None, fold=0):
                return None
        moment = moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    return micros(moment) if EARLIEST <= moment < LATEST else None
