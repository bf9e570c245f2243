"""OGC SensorThings: the observations of one datastream, from members to rows or columns.

Here: instants, results, quality; columns where a page holds many numbers. Not here: which datastream (`sensorthings_stream`), pages
(`sensorthings`).
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts.canonical import EARLIEST, LATEST
from ingestion.formats.sensorthings_names import COLUMNAR, REASONS
from ingestion.formats.sensorthings_stream import Part, Stream, unknown_part
from ingestion.formats.wire import ObservationRow, WireBatch, WireOptions
from ingestion.formats.wire_values import in_lake, instant, is_too_long, number_of, to_json

_NUMBERS: Final = frozenset((float, int))
_EXACT: Final = 2**53  # past it a double does not hold every integer: the digits are kept as text beside it
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EARLIEST: Final = int((EARLIEST - _EPOCH).total_seconds()) * 1_000_000
_LATEST: Final = int((LATEST - _EPOCH).total_seconds()) * 1_000_000
_QUOTED: Final = 120  # characters of a value that a reject's detail repeats
_ORIGINAL: Final = 4_096  # characters of a reject's original: the message itself stands in raw.message or the file
_LONGEST_INSTANT: Final = 80  # an interval of two instants with nanoseconds and zones has 71 characters
_DAY_LENGTH: Final = 10  # "2021-01-11"
_UNCERTAIN: Final = "uncertain"


@dataclass
class Series:
    """Observations of one datastream, in columns of equal length.

    Attributes:
        positions: of the records.
        times: phenomenonTime, else resultTime.
        results, qualities, ids: as written.
    """

    positions: list[int] = field(default_factory=list)
    times: list[str | None] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    qualities: list[Any] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)


@lru_cache(maxsize=65_536)  # the datastreams of a Thing repeat their instants
def moment(text: str, time_zone: str) -> int | None:
    """Return an instant, or the end of an interval, as microseconds since 1970, UTC; None when it is none.

    Without zone it is in the contract's; an hour that the clock shows twice or never is none.

    >>> moment("1970-01-01T00:00:00Z/1970-01-01T01:00:00+01:00", "UTC"), moment("1970-01-01T01:00:00", "Europe/Paris")
    (0, 0)
    >>> moment("2026-10-25T02:30:00", "Europe/Paris"), moment("2026-03-29T02:30:00", "Europe/Paris")
    (None, None)
    """
    if len(text) > _LONGEST_INSTANT:
        return None
    at = instant(text)
    if at is None:
        return None
    end = text.rpartition("/")[2].strip().upper()
    zone = end[_DAY_LENGTH:]
    if "Z" in zone or "+" in zone or "-" in zone:
        return at
    local = _EPOCH.replace(tzinfo=None) + dt.timedelta(microseconds=at)
    here = ZoneInfo(time_zone)
    early, late = (local.replace(tzinfo=here, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    return (early - _EPOCH) // dt.timedelta(microseconds=1) if early == late else None


def append(batch: WireBatch, stream: Stream, series: Series, received: int | None, options: WireOptions) -> None:
    """Append the observations of one datastream: each is a row at least, or a reject."""
    many = _instants(series.times) if len(series.times) >= COLUMNAR else None
    dated = [_dated(text, received, options) for text in series.times] if many is None else []
    if not stream.is_multi:
        _append(batch, stream, stream.parts[0], series, series.results, many, dated, "record")
        return
    width = len(stream.parts) or max((len(r) for r in series.results if type(r) is list), default=0)
    parts = stream.parts or tuple(unknown_part(stream.ref, n, options) for n in range(1, width + 1))
    whole = [n for n, r in enumerate(series.results) if type(r) is list and len(r) == width and width > 0]
    if len(whole) < len(series.results):
        kept = set(whole)
        for n, result in enumerate(series.results):
            if n not in kept:
                _refuse(batch, series.positions[n], "record", stream.ref, "not_a_list", result)
        series = Series(
            [series.positions[n] for n in whole],
            [series.times[n] for n in whole],
            [series.results[n] for n in whole],
            [series.qualities[n] for n in whole],
            [series.ids[n] for n in whole],
        )
        many, dated = None, [_dated(text, received, options) for text in series.times]
    for n, part in enumerate(parts):
        _append(batch, stream, part, series, [r[n] for r in series.results], many, dated, "value")


def _instants(times: list[str | None]) -> pa.Array | None:
    """Return all instants at once, microseconds since 1970; None when one of them needs a closer look."""
    try:
        found = pa.array(times, pa.string()).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    bounds = pc.min_max(found)
    is_plain = found.null_count == 0 and bounds["min"].as_py() >= _EARLIEST and bounds["max"].as_py() < _LATEST
    return found if is_plain else None


def _dated(text: str | None, received: int | None, options: WireOptions) -> int | str:
    """Return an instant, or the reason why there is none."""
    if text is None:
        return received if received is not None else "no_instant"
    at = moment(text, options.time_zone)
    return at if at is not None else "not_an_instant"


def _append(
    batch: WireBatch,
    stream: Stream,
    part: Part,
    series: Series,
    results: list[Any],
    many: pa.Array | None,
    dated: list[int | str],
    scope: str,
) -> None:
    if many is not None and part.problem is None and _NUMBERS.issuperset(map(type, results)):
        table = _table(stream, part, series, results, many)
        if table is not None:
            batch.tables.append(("observation", table))
            return
    if many is not None:
        dated = many.to_pylist()
    unit = part.how.canonical if part.how is not None else None
    for position, at, text, result, quality, entity_id in zip(
        series.positions, dated, series.times, results, series.qualities, series.ids, strict=True
    ):
        number: float | None = None
        words: str | None = None
        kind = type(result)
        reason = at if type(at) is str else None
        if kind is str and part.reads_text and (read := number_of(result)) is not None:
            result, kind = read, float  # noqa: PLW2901 - some servers write numbers as texts
        if kind is float or kind is int:
            number = in_lake(result, part.how)
            words = str(result) if kind is int and not -_EXACT <= result <= _EXACT else None
            reason = reason or part.problem or ("not_a_number" if number is None else None)
        elif kind is bool:
            number, words = (1.0, "true") if result else (0.0, "false")
        elif kind is str and result.strip():
            words = result
            reason = reason or ("not_a_number" if part.is_measured else "text_too_long" if is_too_long(result) else None)
        elif result is None or kind is str:
            reason = "no_result"
        else:
            words = to_json(result)
            reason = reason or ("text_too_long" if is_too_long(words) else None)
        if reason is not None:
            shown = text if reason == "not_an_instant" else result
            _refuse(batch, position, scope, part.property, reason, shown)
            continue
        batch.observations.append(
            ObservationRow(
                position,
                stream.asset_ref,
                part.property,
                int(at),
                number,
                words,
                unit if kind is float or kind is int else None,
                _quality(quality) if text is not None or quality is not None else _UNCERTAIN,
                _identifier(entity_id),
            )
        )


def _table(stream: Stream, part: Part, series: Series, results: list[Any], at: pa.Array) -> pa.Table | None:
    """Return the rows of many numbers as columns; None when one of them needs a closer look."""
    try:
        values = pa.array(results, pa.float64())
        numbers = pa.array(series.ids, pa.int64()) if set(map(type, series.ids)) == {int} else None
    except (pa.ArrowInvalid, OverflowError):  # an integer past 2^53, an identifier past 2^63
        return None
    if part.how is not None and not part.how.is_identity:
        values = pc.add(pc.multiply(values, part.how.factor), part.how.offset)
    if not math.isfinite(pc.sum(pc.abs(values)).as_py()) or series.qualities.count(None) != len(series.qualities):
        return None
    columns = {
        "_position": pa.array(series.positions, pa.int64()),
        "asset_ref": pa.repeat(stream.asset_ref, len(results)),
        "property": pa.repeat(part.property, len(results)),
        "observed_at": at,
        "value": values,
    }
    if part.how is not None:
        columns["unit"] = pa.repeat(part.how.canonical, len(results))
    if numbers is not None:
        columns["message_id"] = numbers.cast(pa.string())
    elif any(i is not None for i in series.ids):
        columns["message_id"] = pa.array([_identifier(i) for i in series.ids], pa.string())
    return pa.table(columns)


def _quality(stated: Any) -> str | None:
    """Return a resultQuality as a text: the code of a DQ_Status, else itself."""
    if stated is None:
        return None
    if type(stated) is dict and type(stated.get("DQ_Status")) is dict and "code" in stated["DQ_Status"]:
        stated = stated["DQ_Status"]["code"]
    text = stated if type(stated) is str else to_json(stated)
    return text if not is_too_long(text) else None


def _identifier(entity_id: Any) -> str | None:
    return entity_id if type(entity_id) is str else str(entity_id) if type(entity_id) is int else None


def _refuse(batch: WireBatch, position: int, scope: str, prop: str, reason: str, original: Any) -> None:
    written = to_json(original)
    batch.reject(position, reason, f"{prop}: {written[:_QUOTED]} {REASONS[reason]}", to_json({prop: original})[:_ORIGINAL], scope=scope)
