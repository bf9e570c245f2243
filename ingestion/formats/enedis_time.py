"""Times of Enedis flows: instants with and without offset, steps, days.

Here: from texts to microseconds since 1970, UTC, by column. Not here: which side of an interval an instant is (`enedis_curve`).

Some flows write the local time alone (`2026-10-25 02:30:00`). The hour that autumn repeats then stands twice in a whole curve, and the
order of its points tells which is which; a time that spring skips is none.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from ingestion.contracts.canonical import EARLIEST, LATEST

Step = int | Literal["day"] | None

_STAMP: Final = pl.Datetime("us")
_AWARE: Final = "%Y-%m-%dT%H:%M:%S%z"
_NAIVE: Final = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")
_AWARE_LENGTH: Final = len("2026-01-01T00:00:00+01:00")
_SIGN: Final = 19
_MARKS: Final = ((4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (22, ":"))
_PAIRS: Final = (0, 2, 5, 8, 11, 14, 17, 20, 23)
_DIGITS: Final = [at for pair in _PAIRS for at in (pair, pair + 1)]
_DURATION: Final = re.compile(r"PT(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,5})S)?")
_DAYS: Final = frozenset({"P1D", "PT24H"})
_MINUTES: Final = re.compile(r"\d{1,4}")
_MINUTE_US: Final = 60_000_000
_DAY_US: Final = 24 * 60 * _MINUTE_US
_FRENCH_DAY: Final = re.compile(r"(\d\d)/(\d\d)/(\d{4})")
# `2026-01-01T00:00:00.000000+01:00` has 32 characters; texts past this are no instants, and are not looked at.
_LONGEST: Final = 40
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@lru_cache(maxsize=1_024)
def step_of(text: str | None) -> Step:
    """Return a step in microseconds, `day` for a calendar day, None when it is none.

    Bare digits are minutes, as R4x writes its `Granularite`.

    >>> step_of("PT30M"), step_of("PT1H"), step_of("10"), step_of("P1D"), step_of("PT0M"), step_of("P1M")
    (1800000000, 3600000000, 600000000, 'day', None, None)
    """
    if text is None:
        return None
    text = text.strip().upper()
    if text in _DAYS:
        return "day"
    if _MINUTES.fullmatch(text):
        length = int(text) * _MINUTE_US
    else:
        found = _DURATION.fullmatch(text)
        if found is None:
            return None
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        length = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000
    return length if 0 < length <= _DAY_US else None


def instants(written: Any, curve: Any, zone: str) -> tuple[pl.Series, pl.Series | None]:
    """Return instants in microseconds since 1970, UTC, and why there is none (null where there is one, None when all are).

    Args:
        written: texts, a list or a series.
        curve: the curve of each (array): order tells something among points of one curve only.
        zone: the zone of those without offset.
    """
    fast = _all_aware(written) if type(written) is list else None
    if fast is not None:
        return fast, None
    texts = written if isinstance(written, pl.Series) else pl.Series([t if type(t) is str else _odd(t) for t in written], dtype=pl.String)
    texts = texts.str.strip_chars()
    utc, naive = _read(texts)
    problem = pl.Series([None], dtype=pl.String).new_from_index(0, len(utc))
    if naive.null_count() < len(naive):
        placed, problem = _placed(naive, pl.Series(curve), zone)
        utc = utc.fill_null(placed)
    if utc.null_count() == 0:
        return utc.cast(pl.Int64), None
    missing = pl.when(texts.is_null() | (texts == "")).then(pl.lit("no_instant")).otherwise(pl.lit("not_an_instant"))
    problem = pl.select(pl.when(utc.is_null()).then(pl.coalesce(problem, missing))).to_series()
    return utc.cast(pl.Int64), problem


def _odd(value: Any) -> str | None:
    return None if value is None else "?"  # neither a text nor nothing: no instant


def _all_aware(texts: list[Any]) -> pl.Series | None:
    """Return instants that all are written `2026-01-01T00:00:00+01:00`, five times faster than one by one; None when one is not."""
    try:
        if set(map(len, texts)) != {_AWARE_LENGTH}:
            return None
        letters = np.frombuffer("".join(texts).encode("ascii"), dtype=np.uint8).reshape(-1, _AWARE_LENGTH)
    except (TypeError, UnicodeEncodeError):
        return None
    west = letters[:, _SIGN] == ord("-")
    if not (west | (letters[:, _SIGN] == ord("+"))).all() or any((letters[:, at] != ord(mark)).any() for at, mark in _MARKS):
        return None
    digits = letters - np.uint8(ord("0"))
    if (digits[:, _DIGITS] > 9).any():  # noqa: PLR2004 - what is no digit is past 9, or wraps around to more
        return None
    # Two digits fit a byte.
    century, years, month, day, hour, minute, second, zone_hour, zone_minute = (digits[:, at] * 10 + digits[:, at + 1] for at in _PAIRS)
    year = century.astype(np.int64) * 100 + years
    if (month < 1).any() or (month > 12).any() or (hour > 23).any() or (minute > 59).any() or (second > 59).any():  # noqa: PLR2004 - of clocks
        return None
    if (zone_hour > 23).any() or (zone_minute > 59).any() or (year < EARLIEST.year + 1).any() or (year >= LATEST.year - 1).any():  # noqa: PLR2004 - of clocks
        return None
    months = (year - 1970) * 12 + month - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) - first
    if (day < 1).any() or (day > length).any():
        return None
    offset = np.where(west, -1, 1) * (zone_hour * np.int64(60) + zone_minute)
    minutes = (first + day - 1) * 1440 + hour * np.int64(60) + minute - offset
    return pl.Series((minutes * 60 + second) * 1_000_000, dtype=pl.Int64)


def _read(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the UTC times of texts with an offset, and the local times of those without; both null where there is no instant."""
    utc = texts.str.to_datetime(_AWARE, strict=False, time_unit="us").dt.replace_time_zone(None)
    naive = pl.Series([None], dtype=_STAMP).new_from_index(0, len(texts))
    for written in _NAIVE:
        if not _is_left(texts, utc, naive):
            break
        naive = naive.fill_null(texts.str.to_datetime(written, strict=False, time_unit="us"))
    if _is_left(texts, utc, naive):
        rest = [_moment(t) if t is not None else (None, None) for t in texts.to_list()]
        utc = utc.fill_null(pl.Series([m[0] for m in rest], dtype=_STAMP))
        naive = naive.fill_null(pl.Series([m[1] for m in rest], dtype=_STAMP))
    return _within(utc), _within(naive)


def day_after(at: pl.Series, zone: str) -> pl.Series:
    """Return the same local time one calendar day later, in microseconds since 1970."""
    local = at.cast(_STAMP).dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return _zoned(local + dt.timedelta(days=1), zone, "earliest").cast(pl.Int64)


@lru_cache(maxsize=4_096)
def local_midnight(day: Any, zone: str) -> int | None:
    """Return the beginning of a day as written (ISO or French, a time is left out); None when it is none."""
    if type(day) is not str or not day:
        return None
    utc, naive = _moment(day)
    if utc is not None:
        return _microseconds(utc)
    if naive is None:
        return None
    midnight = pl.Series([naive.replace(hour=0, minute=0, second=0, microsecond=0)], dtype=_STAMP)
    placed = _zoned(midnight, zone, "earliest").cast(pl.Int64)[0]
    return int(placed) if placed is not None else None


def _placed(naive: pl.Series, curve: pl.Series, zone: str) -> tuple[pl.Series, pl.Series]:
    """Return local times in UTC, and why some have no place there."""
    earliest, latest = _zoned(naive, zone, "earliest"), _zoned(naive, zone, "latest")
    skipped = naive.is_not_null() & earliest.is_null()
    repeated = (earliest != latest).fill_null(value=False)
    problem = pl.select(pl.when(skipped).then(pl.lit("skipped_local_time"))).to_series()
    if not repeated.any():
        return earliest, problem
    frame = pl.DataFrame({"naive": naive, "curve": curve, "repeated": repeated}).with_row_index("row")
    touched = frame.filter(pl.col("repeated")).select("curve", pl.col("naive").dt.date().alias("day")).unique()
    days = frame.with_columns(pl.col("naive").dt.date().alias("day")).join(touched, on=["curve", "day"], how="semi")
    is_later: dict[int, bool] = {}
    for _, points in days.sort("row").group_by("curve", "day", maintain_order=True):
        is_later |= _told_apart(list(points.select("row", "naive", "repeated").iter_rows()))
    later = pl.Series([is_later.get(row, False) for row in range(len(naive))], dtype=pl.Boolean)
    known = pl.Series([row in is_later for row in range(len(naive))], dtype=pl.Boolean)
    lost = repeated & ~known
    placed = pl.select(pl.when(lost).then(None).when(later).then(latest).otherwise(earliest)).to_series()
    return placed, pl.select(pl.when(lost).then(pl.lit("ambiguous_local_time")).otherwise(problem)).to_series()


def _told_apart(points: list[tuple[int, dt.datetime, bool]]) -> dict[int, bool]:
    """Return which of the repeated times of one curve's day are the later ones (row to whether it is), where their order tells.

    It does when the day's other points rise, or fall, throughout, and a time stands exactly twice.
    """
    others = [naive for _, naive, repeated in points if not repeated]
    pairs = list(itertools.pairwise(others))
    is_rising = bool(pairs) and all(a < b for a, b in pairs)
    is_falling = bool(pairs) and all(a > b for a, b in pairs)
    if not (is_rising or is_falling):
        return {}
    rows: dict[dt.datetime, list[int]] = {}
    for row, naive, repeated in points:
        if repeated:
            rows.setdefault(naive, []).append(row)
    found: dict[int, bool] = {}
    for both in rows.values():
        if len(both) == 2:  # noqa: PLR2004 - once in summer time and once in winter time
            found |= {both[0]: is_falling, both[1]: is_rising}
    return found


def _zoned(naive: pl.Series, zone: str, side: Literal["earliest", "latest"]) -> pl.Series:
    placed = naive.dt.replace_time_zone(zone, ambiguous=side, non_existent="null")
    return placed.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _is_left(texts: pl.Series, utc: pl.Series, naive: pl.Series) -> bool:
    return bool((texts.is_not_null() & utc.is_null() & naive.is_null()).any())


def _within(read: pl.Series) -> pl.Series:
    """Return instants within the lake's bounds; null outside."""
    inside = (read >= EARLIEST.replace(tzinfo=None)) & (read < LATEST.replace(tzinfo=None))
    return read if inside.all() else pl.select(pl.when(inside).then(read)).to_series()


@lru_cache(maxsize=4_096)
def _moment(text: str) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Return the UTC time (without zone) of a text with an offset, or the local time of one without; (None, None) when it is neither."""
    if len(text) > _LONGEST:
        return None, None
    try:
        read = dt.datetime.fromisoformat(_FRENCH_DAY.sub(r"\3-\2-\1", text.strip(), count=1))
        if read.tzinfo is None:
            return None, read
        return read.astimezone(dt.UTC).replace(tzinfo=None), None
    except (ValueError, OverflowError):
        return None, None


def _microseconds(utc: dt.datetime) -> int:
    since = utc.replace(tzinfo=dt.UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
