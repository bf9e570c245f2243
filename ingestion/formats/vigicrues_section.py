"""Vigicrues: the vigilance of river sections (InfoVigiCru.geojson) to assets and observations.

Here: one feature. Not here: documents (`vigicrues`), Lambert-93 (`vigicrues_lambert`).
"""

from __future__ import annotations

from typing import Any, Final

from ingestion.formats.vigicrues_lambert import to_wgs84
from ingestion.formats.wire import AssetRow, ObservationRow, WireBatch
from ingestion.formats.wire_json import QUOTED_BYTES
from ingestion.formats.wire_values import NoGeometry, instant, is_too_long, located, to_json

SECTION: Final = "river_section"
PROPERTY: Final = "flood_vigilance"
COLOURS: Final = {1: "vert", 2: "jaune", 3: "orange", 4: "rouge"}
# Members by their lower-case spelling: the service has changed the case of most, and the first names those of v1.1.
_CODES: Final = ("cdentcru", "cdentvigicru")
_NAMES: Final = ("lbentcru", "lbentvigicru", "nomentvigicru")
_LEVELS: Final = ("nivinfvicr", "nivinfovigicru", "nivsituvigicruent")
_PARENTS: Final = ("cdensup_1", "cdentvigicrusuperieur")
_DATES: Final = ("DtHrInfoVigiCru", "dthrinfovigicru")
_LAMBERT_93: Final = "EPSG:2154"
_WGS84: Final = (None, "EPSG:4326")
# `[x, y]` of a projection: no longitude is that far.
_FARTHEST: Final = 180


def stated_at(document: dict[str, Any]) -> int | None:
    """Return when the map was issued, in microseconds; None when it does not say."""
    for name in _DATES:
        written = document.get(name)
        if type(written) is str and len(written) <= 40:  # noqa: PLR2004 - longer texts are no instants
            return instant(written)
    return None


def read_section(
    feature: Any, position: int, batch: WireBatch, *, document: dict[str, Any], stated: int | None, received: int | None
) -> None:
    """Append a section and its level of vigilance.

    The level dates from when the map was issued; where the map does not say (before 2024 it did not), from its arrival, and its
    quality is then `uncertain`.
    """
    properties = feature.get("properties") if type(feature) is dict else None
    if type(properties) is not dict:
        batch.reject(position, "not_a_section", "an element that is no feature with properties", to_json(feature)[:QUOTED_BYTES])
        return
    said = {name.lower(): value for name, value in properties.items()}
    code = _text(said, _CODES)
    if code is None:
        batch.reject(position, "no_section", "the feature names no section (CdEntCru)", to_json(properties)[:QUOTED_BYTES])
        return
    name, parent = _text(said, _NAMES), _text(said, _PARENTS)
    if any(text is not None and is_too_long(text) for text in (code, name, parent)):
        batch.reject(position, "text_too_long", "a text longer than the lake holds", to_json(properties)[:QUOTED_BYTES])
        return
    longitude, latitude, geometry = _geometry(feature.get("geometry"), document, position, batch)
    asset = AssetRow(position, code, SECTION, parent, name, longitude=longitude, latitude=latitude, geometry=geometry)
    batch.assets.append(asset)
    _level(said, code, position, batch, stated, received)


def _level(said: dict[str, Any], code: str, position: int, batch: WireBatch, stated: int | None, received: int | None) -> None:
    written = next((said[name] for name in _LEVELS if said.get(name) is not None), None)
    text = str(written).strip() if type(written) in (int, str) else ""
    level = int(text) if text in {"1", "2", "3", "4"} else None
    at = stated if stated is not None else received
    if level is None:
        detail = f"{to_json(written)[:40]} is none of the four levels of vigilance"
        batch.reject(position, "unknown_level", detail, to_json(said)[:QUOTED_BYTES], scope="value")
    elif at is None:
        detail = "the map does not say when it was issued (DtHrInfoVigiCru), and a file has no arrival"
        batch.reject(position, "no_instant", detail, to_json(said)[:QUOTED_BYTES], scope="value")
    else:
        quality = None if stated is not None else "uncertain"
        batch.observations.append(ObservationRow(position, code, PROPERTY, at, float(level), COLOURS[level], "1", quality))


def _geometry(geometry: Any, document: dict[str, Any], position: int, batch: WireBatch) -> tuple[float | None, float | None, str | None]:
    if geometry is None:
        return None, None, None
    projection = _projection(document)
    try:
        return located(_in_wgs84(geometry, projection))
    except (NoGeometry, RecursionError):
        detail = "neither a geometry in WGS84, nor in Lambert-93 (EPSG:2154) with a `crs` that says so"
        if projection in _WGS84 and _is_projected(geometry):
            detail = "its coordinates are of a projection, and the document does not say which (`crs`)"
        batch.reject(position, "invalid_geometry", detail, to_json(geometry)[:QUOTED_BYTES], scope="value")
        return None, None, None


def _in_wgs84(geometry: Any, projection: str | None) -> Any:
    """Return a geometry in WGS84.

    Raises:
        NoGeometry: it is none, or of a projection that is not read.
    """
    if projection in _WGS84:
        return geometry
    if projection != _LAMBERT_93 or type(geometry) is not dict:
        raise NoGeometry
    return {**geometry, "coordinates": _moved(geometry.get("coordinates"))}


def _projection(document: dict[str, Any]) -> str | None:
    if "crs" not in document:
        return None
    from ingestion.formats.geometry import crs_of_geojson  # noqa: PLC0415 - it brings DuckDB, which only old documents need

    return crs_of_geojson(document)


def _moved(coordinates: Any) -> Any:
    """Return coordinates in Lambert-93 as longitudes and latitudes.

    Raises:
        NoGeometry: they are none.
    """
    if type(coordinates) is not list:
        raise NoGeometry
    if coordinates and type(coordinates[0]) is not list:
        if len(coordinates) < 2 or any(type(number) not in (int, float) for number in coordinates):  # noqa: PLR2004 - x and y
            raise NoGeometry
        return list(to_wgs84(coordinates[0], coordinates[1]))
    return [_moved(inner) for inner in coordinates]


def _is_projected(geometry: Any) -> bool:
    found = geometry.get("coordinates") if type(geometry) is dict else None
    while type(found) is list and found:
        found = found[0]
    return isinstance(found, int | float) and abs(found) > _FARTHEST


def _text(said: dict[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        written = said.get(name)
        if type(written) in (str, int) and str(written).strip():
            return str(written).strip()
    return None
