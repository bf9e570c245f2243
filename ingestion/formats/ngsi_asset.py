"""NGSI-LD and NGSIv2: the row of the asset that an entity describes.

Here: which properties fill which column of the contract `asset`. Not here: observations (`ngsi_entity`).

A message that describes nothing (measures only) makes no asset row: the latest description stands, and an empty one would hide it.
Neither does a state alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ingestion.contracts.units import UNITS
from ingestion.formats.ngsi_names import DESCRIPTIONS, IDENTITIES, INSTALLED, MODELS, PARENTS, RATED_POWERS, STATUSES, UNIT_MEMBERS
from ingestion.formats.ngsi_shape import plain, single_text
from ingestion.formats.wire import AssetRow
from ingestion.formats.wire_values import NoGeometry, conversion, in_lake, instant_of, is_geometry, located

_ISO_DAY: Final = 10  # "2021-01-11"
# What an address says that the asset's row has no column for is kept; that it is an address is not worth a row.
_NOT_OF_ADDRESS: Final = frozenset(("addressLocality", "streetAddress", "type", "@type"))


def describe(
    position: int, ref: str, kind: str, entity: dict[str, Any], units: dict[str, str]
) -> tuple[AssetRow | None, dict[str, Any], bool]:
    """Return what an entity says of its asset.

    Returns:
        The row, None when the entity describes nothing; the properties that it took over, each with what is left of it for the
        observations (None: nothing); whether its location is no geometry.
    """
    if DESCRIPTIONS.isdisjoint(entity):
        return None, {}, False
    taken: dict[str, Any] = {}

    def first(names: Iterable[str]) -> str | None:
        for name in names:
            text = single_text(plain(entity[name])) if name in entity else None
            if text is not None:
                taken[name] = None
                return text
        return None

    is_lost = False
    longitude = latitude = geometry = commune = street = None
    if "location" in entity:
        where = entity["location"] if is_geometry(entity["location"]) else plain(entity["location"])
        try:
            longitude, latitude, geometry = located(where)
            taken["location"] = None
        except NoGeometry:
            is_lost = where is not None
            if is_lost:
                taken["location"] = None
    address = plain(entity["address"]) if "address" in entity else None
    if isinstance(address, dict):
        commune, street = single_text(address.get("addressLocality")), single_text(address.get("streetAddress"))
        if commune is not None or street is not None:
            kept = {k: v for k, v in address.items() if k not in _NOT_OF_ADDRESS}
            kept |= {
                k: address[k] for k, read in (("addressLocality", commune), ("streetAddress", street)) if read is None and k in address
            }
            taken["address"] = kept or None
    row = AssetRow(
        position,
        ref,
        kind,
        parent_ref=first(PARENTS),
        name=first(("name",)),
        commune=commune,
        street=street,
        longitude=longitude,
        latitude=latitude,
        geometry=geometry,
        rated_power_w=_rated_power(entity, units, taken),
        installed_on=_installed_on(entity, taken),
        model=first(MODELS),
        identity=first(IDENTITIES),
    )
    if not any(value is not None for value in row[3:]):
        return None, taken, is_lost
    status = next((s for s in (single_text(plain(entity[n])) for n in STATUSES if n in entity) if s is not None), None)
    return row._replace(status=status) if status is not None else row, taken, is_lost


def _rated_power(entity: dict[str, Any], units: dict[str, str], taken: dict[str, Any]) -> float | None:
    """Return the rated power in watts, where its unit is stated: a bare number is not guessed to be watts."""
    for name in RATED_POWERS:
        if name not in entity:
            continue
        attribute = entity[name]
        value = plain(attribute)
        if type(value) not in (int, float) or not 0 <= value <= 1e12:  # noqa: PLR2004 - a terawatt: no equipment has it
            continue
        stated = next((plain(attribute[m]) for m in UNIT_MEMBERS if m in attribute), None) if isinstance(attribute, dict) else None
        how = UNITS.get(units.get(name, "")) if stated is None else conversion(stated)
        if how is not None and how.canonical == "W":
            taken[name] = None
            return in_lake(value, how)
    return None


def _installed_on(entity: dict[str, Any], taken: dict[str, Any]) -> str | None:
    for name in INSTALLED:
        written = plain(entity[name]) if name in entity else None
        # The day as the source writes it: an instant moved to UTC could be the day before.
        if isinstance(written, str) and written[4:5] == "-" and instant_of(written) is not None and len(written[:_ISO_DAY]) == _ISO_DAY:
            taken[name] = None
            return written[:_ISO_DAY]
    return None
