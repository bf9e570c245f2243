"""What the lakes hold of the last hours, for one open alarm and the map: measures of one property, where vehicles last were.

Here: two bounded reads. Not here: how they look (`orchestration.alerts.page`), history for rules (`orchestration.alerts.history`).

Both open the lake anew, which takes about a second: call them in a thread.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import msgspec

from ingestion.errors import VigieError
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect
from orchestration.alerts.model import Alarm

# One property of one asset over days is some megabytes; two operators look at once.
_LIMITS: Final = EngineLimits(memory_limit="256MB", threads=1)
SPAN: Final = dt.timedelta(hours=48)
"""How much is shown: two days, so that the same hour of yesterday is there to compare."""
# Before an alarm that is older: what it was like when all was well.
_BEFORE: Final = dt.timedelta(hours=6)
# An alarm may stand for months; the lake is read day by day, and a small curve of a fortnight still shows something.
_LONGEST: Final = dt.timedelta(days=14)
# The least and the greatest of each of so many spans: twice as many points, about one for each pixel of the curve.
_SPANS: Final = 150
# States change seldom; one that changed more often is chattering, and its last changes say so.
_CHANGES: Final = 200
# Clocks of devices go wrong by minutes or by a time zone; rows are looked for from a day before.
_SKEW: Final = dt.timedelta(days=1)


@dataclass(frozen=True)
class Measures:
    """What was observed of one property of one asset.

    Attributes:
        start, end: the span that was looked at.
        values: (instant, figure), in order: of dense series the least and the greatest of each span.
        states: (instant, text) at which the text changed, in order.
        unit: of the figures, where it has one.
    """

    start: dt.datetime
    end: dt.datetime
    values: tuple[tuple[dt.datetime, float], ...] = ()
    states: tuple[tuple[dt.datetime, str], ...] = ()
    unit: str | None = None


def span_of(alarm: Alarm, now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """Return what of the past is shown of an alarm: two days, or since some hours before it began; a fortnight at most."""
    return max(min(now - SPAN, alarm.started_at - _BEFORE), now - _LONGEST), now


def measures(lake: LakeAddress, asset: tuple[str, str], name: str, start: dt.datetime, end: dt.datetime) -> Measures:
    """Read what was observed of a property in [start, end].

    Args:
        lake: the lake, as its readers see it.
        asset: (source, asset_ref).
        name: the property.
        start: the beginning (UTC).
        end: the end (UTC).

    Raises:
        VigieError: the lake does not answer.
    """
    width = max((end - start).total_seconds() / _SPANS, 1.0)
    source = (
        f"SELECT observed_at, value, value_text, unit FROM {ALIAS}.raw.observation WHERE received_on >= ? AND source = ? "
        "AND asset_ref = ? AND property = ? AND observed_at >= ? AND observed_at <= ?"
    )
    parameters: list[Any] = [(start - _SKEW).date(), *asset, name, start, end]
    figures = f"""
        WITH seen AS ({source}), spanned AS (
            SELECT observed_at, value, unit, floor(epoch(observed_at) / {width!r}) AS span
            FROM seen WHERE value IS NOT NULL AND isfinite(value)
        )
        SELECT observed_at, value, unit FROM spanned
        QUALIFY row_number() OVER (PARTITION BY span ORDER BY value, observed_at) = 1
            OR row_number() OVER (PARTITION BY span ORDER BY value DESC, observed_at) = 1
        ORDER BY observed_at
    """
    changes = f"""
        WITH seen AS ({source}), changed AS (
            SELECT observed_at, value_text FROM seen WHERE value IS NULL AND value_text IS NOT NULL
            QUALIFY value_text IS DISTINCT FROM lag(value_text) OVER (ORDER BY observed_at)
        )
        SELECT observed_at, value_text FROM (SELECT * FROM changed ORDER BY observed_at DESC LIMIT {_CHANGES}) ORDER BY observed_at
    """
    with _reading(lake) as con:
        rows = con.execute(figures, parameters).fetchall()
        states = con.execute(changes, parameters).fetchall()
    unit = next((unit for _, _, unit in reversed(rows) if unit), None)
    return Measures(start, end, tuple((at, value) for at, value, _ in rows), tuple(states), unit)


@dataclass(frozen=True)
class Position:
    """Where a vehicle last said it was."""

    asset_ref: str
    longitude: float
    latitude: float
    at: dt.datetime


def positions(lake: LakeAddress, feeds: Sequence[str], since: dt.datetime) -> list[Position]:
    """Return the last place of each vehicle of some feeds that spoke since an instant.

    It reads the lake of personal data: a vehicle's place is its driver's. Call it for operators at work only, and keep nothing of it.
    Messages are NGSI entities (`location`, a GeoJSON point), as they were received; what else they hold is passed over.

    Raises:
        VigieError: the lake does not answer.
    """
    if not feeds:
        return []
    sql = (
        f"SELECT payload, is_base64, received_at FROM {ALIAS}.raw.personal_message WHERE feed IN (SELECT unnest(?)) AND received_on >= ? "
        "AND received_at >= ? ORDER BY received_at"
    )
    with _reading(lake) as con:
        rows = con.execute(sql, [list(feeds), since.date(), since]).fetchall()
    found: dict[str, Position] = {}
    for payload, is_base64, received_at in rows:
        for position in _places(payload, received_at, is_base64=is_base64):
            if position.asset_ref not in found or found[position.asset_ref].at <= position.at:
                found[position.asset_ref] = position
    return [p for _, p in sorted(found.items()) if p.at >= since]


def _places(payload: str, received_at: dt.datetime, *, is_base64: bool) -> Iterator[Position]:
    try:
        said = msgspec.json.decode(base64.b64decode(payload) if is_base64 else payload)
    except (msgspec.DecodeError, binascii.Error, UnicodeDecodeError):
        return  # it was rejected when it landed, and is counted there
    if isinstance(said, dict) and isinstance(said.get("data"), list):
        said = said["data"]  # a notification of a context broker
    for entity in said if isinstance(said, list) else [said]:
        if isinstance(entity, dict) and (place := _place(entity, received_at)) is not None:
            yield place


def _place(entity: Mapping[str, Any], received_at: dt.datetime) -> Position | None:
    said, ref = entity.get("location"), entity.get("id")
    if not isinstance(said, dict) or not isinstance(ref, str):
        return None
    point = said.get("value", said)
    try:
        longitude, latitude = map(float, point["coordinates"][:2])
        at = dt.datetime.fromisoformat(said["observedAt"]) if "observedAt" in said else received_at
    except (KeyError, TypeError, ValueError):
        return None
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):  # noqa: PLR2004 - the globe
        return None
    # A clock that runs ahead would hide every later place.
    return Position(ref, longitude, latitude, min(at if at.tzinfo else at.replace(tzinfo=dt.UTC), received_at))


@contextlib.contextmanager
def _reading(lake: LakeAddress) -> Iterator[duckdb.DuckDBPyConnection]:
    """Lend a connection to a lake; what DuckDB refuses is told as the platform's own error."""
    with connect(lake, limits=_LIMITS, read_only=True) as con:
        try:
            yield con
        except duckdb.Error as error:
            raise VigieError(f"the lake cannot be read: {str(error).splitlines()[0]}", remedy="vigie status") from error
