"""Hub'Eau hydrometry: stations and sites, from the referential or from its extracts, to assets.

Here: one record. Not here: messages, observations (`hubeau`).
"""

from __future__ import annotations

from typing import Any, Final

from ingestion.formats.wire import AssetRow, WireBatch
from ingestion.formats.wire_values import instant, is_too_long, number_of, to_json

STATION: Final = "hydrometric_station"
SITE: Final = "hydrometric_site"
_DAY: Final = 10  # "1953-01-01", of an instant
_IN_SERVICE: Final = {True: "en service", False: "hors service"}


def read_station(said: dict[str, Any], position: int, batch: WireBatch) -> str | None:
    """Append what describes a station or a site, and return None, or why there is nothing to describe.

    A record is of a station when it describes one (`libelle_station`, coordinates…), else of its site.
    """
    if any(name.endswith("_station") and name != "code_station" for name in said):
        kind, suffix, reference, parent = STATION, "station", _text(said, "code_station"), _text(said, "code_site")
    elif any(name.endswith("_site") and name != "code_site" for name in said):
        kind, suffix, reference, parent = SITE, "site", _text(said, "code_site"), None
    else:
        return "unknown_record"
    if reference is None:
        return "no_station"
    name, model = _text(said, f"libelle_{suffix}"), _text(said, f"type_{suffix}")
    commune = _text(said, "libelle_commune", f"libelle_commune_{suffix}")
    if any(text is not None and is_too_long(text) for text in (reference, parent, name, model, commune)):
        return "text_too_long"
    longitude, latitude = _position(said, suffix, position, batch)
    batch.assets.append(
        AssetRow(
            position,
            reference,
            kind,
            parent_ref=parent,
            name=name,
            commune=commune,
            model=model,
            longitude=longitude,
            latitude=latitude,
            installed_on=_day(said, f"date_ouverture_{suffix}", position, batch),
            status=_IN_SERVICE.get(said["en_service"]) if type(said.get("en_service")) is bool else None,
            effective_at=_moment(said.get(f"date_maj_{suffix}")),
        )
    )
    return None


def _position(said: dict[str, Any], suffix: str, position: int, batch: WireBatch) -> tuple[float | None, float | None]:
    """Return longitude and latitude in WGS84; none, with a word, where there is no such place."""
    written = said.get(f"longitude_{suffix}"), said.get(f"latitude_{suffix}")
    if written == (None, None):
        return None, None
    longitude, latitude = map(_number, written)
    if longitude is None or latitude is None or not (-180 <= longitude <= 180 and -90 <= latitude <= 90):  # noqa: PLR2004 - the bounds of the Earth
        batch.reject(position, "invalid_geometry", "longitude and latitude of no place on Earth", to_json(written), scope="value")
        return None, None
    return longitude, latitude


def _day(said: dict[str, Any], name: str, position: int, batch: WireBatch) -> str | None:
    written = said.get(name)
    if written in (None, ""):
        return None
    if type(written) is str and instant(written[:_DAY]) is not None:
        return written[:_DAY]
    batch.reject(position, "not_an_instant", f"{name}: no day", to_json(written)[:200], scope="value")
    return None


def _moment(written: Any) -> int | None:
    return instant(written) if type(written) is str and len(written) <= 40 else None  # noqa: PLR2004 - longer texts are no instants


def _number(written: Any) -> float | None:
    if type(written) is str:
        return number_of(written.strip())
    try:
        return float(written) if type(written) in (int, float) else None
    except OverflowError:
        return None


def _text(said: dict[str, Any], *names: str) -> str | None:
    for name in names:
        written = said.get(name)
        if type(written) is str and written.strip():
            return written.strip()
    return None
