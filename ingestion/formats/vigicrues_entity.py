"""Vigicrues: territories, sections and stations (TerEntVigiCru, TronEntVigiCru, StaEntVigiCru) to assets.

Here: one entity. Not here: documents (`vigicrues`), the vigilance of sections (`vigicrues_section`).
"""

from __future__ import annotations

from typing import Any, Final

from ingestion.formats.vigicrues_lambert import to_wgs84
from ingestion.formats.wire import AssetRow, WireBatch
from ingestion.formats.wire_json import QUOTED_BYTES
from ingestion.formats.wire_values import NoGeometry, is_too_long, number_of, to_json

# `TypEntVigiCru`, of the Sandre dictionary of flood vigilance (VIC 1.1).
TYPES: Final = {"5": "flood_territory", "7": "hydrometric_station", "8": "river_section"}
# `ProjCoordStationHydro`, of Sandre's nomenclature 22.
_LAMBERT_93: Final = frozenset({"26", "2154", "EPSG:2154"})
_WGS84: Final = frozenset({"31", "4326", "EPSG:4326"})
# What the service writes where nobody filled a member in.
_PLACEHOLDER: Final = "a renseigner"


def read_entity(entity: Any, position: int, batch: WireBatch) -> None:
    """Append one entity, or reject it."""
    if type(entity) is not dict:
        batch.reject(position, "not_an_entity", "an element that is no entity", to_json(entity)[:QUOTED_BYTES])
        return
    code, kind = _text(entity, "CdEntVigiCru", "CdStationHydro"), TYPES.get(_text(entity, "TypEntVigiCru") or "")
    name = _text(entity, "LbEntVigiCru", "LbStationHydro")
    above = entity.get("aNPlusUn")
    above = above[0] if type(above) is list and above else above
    parent = _text(above, "CdEntVigiCruSuperieur") if type(above) is dict else None
    problem = "no_entity" if code is None else "unknown_type" if kind is None else None
    if any(text is not None and is_too_long(text) for text in (code, name, parent)):
        problem = "text_too_long"
    if problem is not None or code is None or kind is None:
        detail = "neither a territory (5), a station (7) nor a section (8) with its code"
        batch.reject(position, problem or "no_entity", detail, to_json(entity)[:QUOTED_BYTES])
        return
    longitude, latitude = _place(entity, position, batch)
    batch.assets.append(AssetRow(position, code, kind, parent, name, longitude=longitude, latitude=latitude))


def _place(entity: dict[str, Any], position: int, batch: WireBatch) -> tuple[float | None, float | None]:
    written = _text(entity, "CoordXStationHydro"), _text(entity, "CoordYStationHydro")
    if written == (None, None):
        return None, None
    x, y = (number_of(text) if text is not None else None for text in written)
    projection = _text(entity, "ProjCoordStationHydro")
    try:
        return _in_wgs84(x, y, projection)
    except NoGeometry:
        detail = f"coordinates {written} in projection {projection}: neither Lambert-93 (26) nor WGS84 (31), or outside"
        batch.reject(position, "invalid_geometry", detail[:400], to_json(written)[:400], scope="value")
        return None, None


def _in_wgs84(x: float | None, y: float | None, projection: str | None) -> tuple[float, float]:
    if x is None or y is None:
        raise NoGeometry
    if projection in _LAMBERT_93:
        return to_wgs84(x, y)
    if projection not in _WGS84 or not (-180 <= x <= 180 and -90 <= y <= 90):  # noqa: PLR2004 - the bounds of the Earth
        raise NoGeometry
    return x, y


def _text(entity: dict[str, Any], *names: str) -> str | None:
    for name in names:
        written = entity.get(name)
        if type(written) in (str, int, float) and str(written).strip() and not str(written).strip().lower().startswith(_PLACEHOLDER):
            return str(written).strip()
    return None
