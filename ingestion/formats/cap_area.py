"""CAP: an `<area>` to what identifies it and to its geometry.

Here: geocodes, polygons, circles. Not here: what the alert says of it (`cap_rows`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2s
from itertools import pairwise
from typing import Any, Final

from ingestion.formats.wire_values import to_json

# An area may state several codes. Those that name one zone of a warning service, or one commune, come first; else the first written.
PREFERRED_SCHEMES: Final = ("EMMA_ID", "INSEE", "NUTS3", "NUTS2", "UGC", "SAME", "FIPS6", "WARNCELLID")
# ISO 3166: a country or a region of it, as is the DWD's `STATE`. Two warnings in it are not about the same place. Nor do the DWD's
# heights name one (`ALTITUDE`, and whether above or below: `SIGN`).
_NO_PLACE: Final = re.compile(r".*(?:3166|country[ _-]?code).*|STATE|ALTITUDE|SIGN", re.IGNORECASE | re.DOTALL)
# What the DWD takes out of an area's polygons is written among its codes.
HOLE_SCHEME: Final = "EXCLUDE_POLYGON"
# IUGG mean radius of the Earth, in kilometres: CAP's circles are in kilometres on WGS84, within 0.3 % of a sphere of it.
_EARTH_KM: Final = 6371.0088
# A polygon of 36 corners lies within 0.4 % of its circle's radius.
_CORNERS: Final = 36
_RING: Final = 4  # RFC 7946: a ring has four positions or more, the last being the first
_SPACED_COMMA: Final = re.compile(r"\s+,\s*|,\s+")
# Zones are repeated by every warning about them: what was read is kept, 1,024 geometries of 8 KiB at most.
_KEPT_CHARS: Final = 8_192
# A longer slug is cut, and a hash of the whole text keeps two of them apart.
_LONGEST_SLUG: Final = 80


class InvalidArea(Exception):
    """A polygon or a circle that is none; the argument is what people are told."""


@dataclass(slots=True)
class Area:
    """What an `<area>` states: texts as written."""

    description: str = ""
    polygons: list[str] = field(default_factory=list)
    circles: list[str] = field(default_factory=list)
    holes: list[str] = field(default_factory=list)
    geocodes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an area lies: its centre, and its GeoJSON where it is no point."""

    longitude: float | None = None
    latitude: float | None = None
    geometry: str | None = None


@lru_cache(maxsize=4_096)  # the same events and areas come again and again
def slug(text: str) -> str:
    """Return a text as a part of a name: lower case, without accents, words joined by `_`.

    >>> slug("Vent violent"), slug("Pluie-inondation, Hérault"), slug("大雨"), slug("…")
    ('vent_violent', 'pluie_inondation_herault', '大雨', '')
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    words = re.sub(r"[^\w]+", "_", plain.casefold()).strip("_")
    if len(words) <= _LONGEST_SLUG:
        return words
    return f"{words[:_LONGEST_SLUG]}_{blake2s(text.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"


def refs_of(area: Area, sender: str) -> list[str]:
    """Return the asset references of an area.

    One, where a code names it, or none does; several, where it is a sum of zones (each with its code and none of its own).

    >>> refs_of(Area("Aube", geocodes=[("EMMA_ID", "FR018")]), "meteo@example.org")
    ['EMMA_ID:FR018']
    >>> refs_of(Area("Deux zones", geocodes=[("UGC", "A1"), ("UGC", "A2")]), "meteo@example.org")
    ['UGC:A1', 'UGC:A2']
    >>> refs_of(Area("Vallée de l'Aube"), "meteo@example.org")
    ['area:meteo_example_org/vallee_de_l_aube']
    """
    schemes: dict[str, list[str]] = {}
    for scheme, code in area.geocodes:
        if _NO_PLACE.fullmatch(scheme) is None and code not in schemes.setdefault(scheme, []):
            schemes[scheme].append(code)
    if not schemes:
        return [f"area:{slug(sender)}/{slug(area.description)}"]
    order = [s for s in PREFERRED_SCHEMES if s in schemes] + [s for s in schemes if s not in PREFERRED_SCHEMES]
    chosen = next((s for s in order if len(schemes[s]) == 1), order[0])
    return [f"{chosen}:{code}" for code in schemes[chosen]]


def place_of(area: Area) -> Place:
    """Return where an area lies; nowhere when it states neither polygon nor circle.

    Raises:
        InvalidArea: one of its polygons or circles is none.
    """
    if not area.polygons and not area.circles:
        return Place()
    shapes = tuple(area.polygons), tuple(area.circles), tuple(area.holes)
    small = sum(len(text) for texts in shapes for text in texts) <= _KEPT_CHARS
    return _kept_place(*shapes) if small else _place(*shapes)


def _place(polygons: Sequence[str], circles: Sequence[str], holes: Sequence[str]) -> Place:
    rings: list[list[list[float]]] = [_ring(text) for text in polygons]
    centres: list[tuple[float, float]] = []
    for text in circles:
        longitude, latitude, radius = _circle(text)
        ring = _around(longitude, latitude, radius)
        if ring is None:
            centres.append((longitude, latitude))
        else:
            rings.append(ring)
    points = [p for ring in rings for p in ring] + [[*c] for c in centres]
    west, east = min(p[0] for p in points), max(p[0] for p in points)
    south, north = min(p[1] for p in points), max(p[1] for p in points)
    shapes = [[ring] for ring in rings]
    for hole in map(_ring, holes):
        for shape in shapes:
            if any(_is_inside(corner, shape[0]) for corner in hole):
                shape.append(hole)
                break
    geometry: Any = None
    if len(shapes) == 1:
        geometry = {"type": "Polygon", "coordinates": shapes[0]}
    elif shapes:
        geometry = {"type": "MultiPolygon", "coordinates": shapes}
    return Place((west + east) / 2, (south + north) / 2, None if geometry is None else to_json(geometry))


_kept_place = lru_cache(maxsize=1_024)(_place)


def _is_inside(position: list[float], ring: list[list[float]]) -> bool:
    """Whether a position lies in a ring: a ray from it to the east crosses an odd number of its sides."""
    x, y = position
    crossed = False
    for (x1, y1), (x2, y2) in pairwise(ring):
        if (y1 > y) != (y2 > y) and x < x1 + (x2 - x1) * (y - y1) / (y2 - y1):
            crossed = not crossed
    return crossed


def _ring(text: str) -> list[list[float]]:
    """Return the ring of `latitude,longitude latitude,longitude …`, closed where the source left it open."""
    ring = [_position(pair) for pair in _joined(text).split()]
    if ring and ring[0] != ring[-1]:
        ring.append(ring[0])
    if len(ring) < _RING:
        raise InvalidArea(f"a polygon needs three corners: {text[:80]!r}")
    return ring


def _joined(text: str) -> str:
    """Return coordinates without the spaces that some senders write after (or before) a comma."""
    return _SPACED_COMMA.sub(",", text) if _SPACED_COMMA.search(text) else text


def _position(pair: str) -> list[float]:
    latitude, _, longitude = pair.partition(",")
    try:
        position = [float(longitude), float(latitude)]
    except ValueError:
        raise InvalidArea(f"{pair[:80]!r} is not latitude,longitude") from None
    if not (-180 <= position[0] <= 180 and -90 <= position[1] <= 90) or "_" in pair:  # noqa: PLR2004 - the bounds of the Earth
        raise InvalidArea(f"{pair[:80]!r} lies outside WGS84")
    return position


def _circle(text: str) -> tuple[float, float, float]:
    centre, _, written = _joined(text.strip()).partition(" ")
    try:
        radius = float(written)
    except ValueError:
        raise InvalidArea(f"{text[:80]!r} is not latitude,longitude radius") from None
    if not 0 <= radius < _EARTH_KM:
        raise InvalidArea(f"a radius of {written[:40]} km")
    longitude, latitude = _position(centre)
    return longitude, latitude, radius


def _around(longitude: float, latitude: float, radius_km: float) -> list[list[float]] | None:
    """Return a ring around a point; None where it is the point itself, or holds a pole or the antimeridian: GeoJSON has no such ring."""
    angle = radius_km / _EARTH_KM
    phi = math.radians(latitude)
    if angle == 0 or abs(phi) + angle >= math.pi / 2:
        return None
    ring = []
    for corner in range(_CORNERS):
        bearing = 2 * math.pi * corner / _CORNERS
        north = math.asin(math.sin(phi) * math.cos(angle) + math.cos(phi) * math.sin(angle) * math.cos(bearing))
        # Bearings are measured from the north, anticlockwise: RFC 7946 wants outer rings so.
        east = -math.atan2(math.sin(bearing) * math.sin(angle) * math.cos(phi), math.cos(angle) - math.sin(phi) * math.sin(north))
        ring.append([round(longitude + math.degrees(east), 6), round(math.degrees(north), 6)])
    if any(not -180 <= corner[0] <= 180 for corner in ring):  # noqa: PLR2004 - the antimeridian
        return None
    return [*ring, ring[0]]
