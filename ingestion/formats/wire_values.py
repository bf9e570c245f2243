"""Values of wire formats: instants, units, geometries and texts.

Here: pure functions on single decoded values; what they cannot read is None, or has its own exception. Not here: which property is which.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from functools import lru_cache
from typing import Any, Final

import msgspec

from ingestion.contracts.canonical import EARLIEST, LATEST
from ingestion.contracts.unece import COMMON_CODES, looks_like_common_code
from ingestion.contracts.units import SPELLINGS, UNITS, Conversion

GEOMETRIES: Final = frozenset("Point LineString Polygon MultiPoint MultiLineString MultiPolygon GeometryCollection".split())
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_LENGTH: Final = 10  # "2021-01-11"
# The contracts' texts hold 32 KiB of UTF-8, and a character is at most four bytes.
_TEXT_BYTES: Final = 32_768
_SURELY_SHORT: Final = _TEXT_BYTES // 4
# What is kept of texts already read must stay small, whatever senders write: an interval of two instants with nanoseconds and zones
# has 71 characters, the longest spelling of a unit 10.
_LONGEST_INSTANT: Final = 80
_LONGEST_UNIT: Final = 32
# Letters that keyboards give for the signs of units: the Greek mu, and the Spanish ordinal for the degree.
_ALIKE: Final = {0x3BC: "\u00b5", 0xBA: "\u00b0"}
_ENCODER: Final = msgspec.json.Encoder()
_POINT_TEXT: Final = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*")


def to_json(value: Any) -> str:
    """Return a decoded value as JSON text."""
    return _ENCODER.encode(value).decode()


def is_too_long(text: str) -> bool:
    """Whether a text is longer than the contracts hold."""
    return len(text) > _SURELY_SHORT and len(text.encode()) > _TEXT_BYTES


@lru_cache(maxsize=65_536)  # the messages of one minute repeat their instants
def instant(text: str) -> int | None:
    """Return an ISO 8601 instant as microseconds since 1970, UTC; None when it is none, or outside 1900 to 2100.

    NGSI says that an instant without zone is UTC, and a day without time its midnight. Of an interval `a/b` it is the end: a value
    over an interval is known when it ends, and nothing may be known before it happened.

    >>> instant("1970-01-01T00:00:01.5Z"), instant("1970-01-01T02:00:00+02:00"), instant("1970-01-02"), instant("9999-12-31")
    (1500000, 0, 86400000000, None)
    >>> instant("1969-12-31T23:00:00Z/1970-01-01T00:00:00Z"), instant("2020-03-17TT08:45:00Z")
    (0, None)
    """
    text = text.rpartition("/")[2].strip().upper()  # RFC 3339 allows t and z
    if len(text) > _DAY_LENGTH and text[_DAY_LENGTH] not in "T ":
        return None  # the library takes any character between day and time
    try:
        read = dt.datetime.fromisoformat(text)
        moment = read.replace(tzinfo=dt.UTC) if read.tzinfo is None else read.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    if not EARLIEST <= moment < LATEST:
        return None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant_of(stated: Any) -> int | None:
    """Return the instant of a text, of `{"@value": …}`, or of an attribute whose value is one of these."""
    if type(stated) is dict:
        stated = stated.get("value", stated.get("@value"))
        if type(stated) is dict:
            stated = stated.get("@value")
    return instant(stated) if type(stated) is str and len(stated) <= _LONGEST_INSTANT else None


def in_lake(value: float, how: Conversion | None) -> float | None:
    """Return a number in the lake's unit; None when a double does not hold it."""
    try:
        number = float(value)
    except OverflowError:
        return None
    if how is not None and not how.is_identity:
        number = number * how.factor + how.offset
    return number if math.isfinite(number) else None


def number_of(text: str) -> float | None:
    """Return the number of a text whose type says that it is one (`"12.5"` of type `Number`); None when it is none."""
    try:
        return float(text) if "_" not in text else None  # Python reads 1_000
    except ValueError:
        return None


def conversion(written: Any) -> Conversion | None:
    """Return how a unit as messages write it converts to the lake's: a common code, else a UCUM code, else a known spelling.

    >>> conversion("KWT").factor, conversion("Cel").canonical, conversion("°C").canonical, conversion("GJ"), conversion("XYZ")
    (1000.0, 'Cel', 'Cel', None, None)
    """
    return _conversion(written) if type(written) is str and len(written) <= _LONGEST_UNIT else None


@lru_cache(maxsize=4_096)
def _conversion(written: str) -> Conversion | None:
    written = written.strip().translate(_ALIKE)
    code = written if written in UNITS else SPELLINGS.get(written)
    if looks_like_common_code(written):
        code = COMMON_CODES.get(written)
    return UNITS[code] if code is not None else None


def is_geometry(value: Any) -> bool:
    """Whether a decoded value is written as a GeoJSON geometry."""
    if not isinstance(value, dict) or not ("coordinates" in value or "geometries" in value):
        return False
    kind = value.get("type")
    return isinstance(kind, str) and kind in GEOMETRIES


class NoGeometry(Exception):
    """A value that should be a geometry is none."""


def located(value: Any) -> tuple[float, float, str | None]:
    """Return longitude, latitude and, where it is no point, the GeoJSON of a location.

    A location is a GeoJSON geometry, or the text `latitude,longitude` of NGSIv2 (`geo:point`). What is no point lies at the centre of
    its bounds.

    >>> located({"type": "Point", "coordinates": [4.36, 48.95, 120.0]}), located("48.95, 4.36")
    ((4.36, 48.95, None), (4.36, 48.95, None))
    >>> located({"type": "LineString", "coordinates": [[4, 48], [5, 50]]})
    (4.5, 49.0, '{"type":"LineString","coordinates":[[4,48],[5,50]]}')

    Raises:
        NoGeometry: it is neither, or lies outside WGS84.
    """
    if isinstance(value, str):
        written = _POINT_TEXT.fullmatch(value)
        if written is None:
            raise NoGeometry
        longitude, latitude = float(written[2]), float(written[1])
        _check(longitude, latitude)
        return longitude, latitude, None
    if not is_geometry(value):
        raise NoGeometry
    if value["type"] == "Point":
        return *_position(value.get("coordinates")), None
    points: list[tuple[float, float]] = []
    if value["type"] == "GeometryCollection":
        parts = value.get("geometries")
        if not isinstance(parts, list) or not all(is_geometry(p) for p in parts):
            raise NoGeometry
        for part in parts:
            _positions(part.get("coordinates"), points)
    else:
        _positions(value.get("coordinates"), points)
    if not points:
        raise NoGeometry
    longitudes, latitudes = zip(*points, strict=True)
    centre = (min(longitudes) + max(longitudes)) / 2, (min(latitudes) + max(latitudes)) / 2
    return *centre, to_json(value)


def _positions(coordinates: Any, points: list[tuple[float, float]]) -> None:
    if not isinstance(coordinates, list):
        raise NoGeometry
    if coordinates and not isinstance(coordinates[0], list):
        points.append(_position(coordinates))
        return
    for inner in coordinates:
        _positions(inner, points)


def _position(coordinates: Any) -> tuple[float, float]:
    if not isinstance(coordinates, list) or len(coordinates) < 2:  # noqa: PLR2004 - longitude and latitude
        raise NoGeometry
    longitude, latitude = coordinates[0], coordinates[1]
    if type(longitude) not in (int, float) or type(latitude) not in (int, float):
        raise NoGeometry
    _check(longitude, latitude)
    return float(longitude), float(latitude)


def _check(longitude: float, latitude: float) -> None:
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):  # noqa: PLR2004 - the bounds of the Earth
        raise NoGeometry
