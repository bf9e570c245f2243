"""Hub'Eau hydrometry: observations that are written as the API writes them, into typed records and straight to rows.

Here: quantities, and the fast path. Not here: whatever else a message may be: it is read member by member (`hubeau`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from ingestion.formats.wire import ObservationRow, WireBatch
from ingestion.formats.wire_values import instant, is_too_long


class Quantity(NamedTuple):
    """What the API calls a quantity: the lake's property and unit. mm to m and L/s to m3/s both divide by a thousand."""

    property: str
    unit: str


PER_UNIT: Final = 1000.0
_LEVEL, _FLOW = "m", "m3/s"
# `grandeur_hydro`; and `grandeur_hydro_elab`, whose case the API does not hold to (QIXM, QixM). v1 said QmJ for QmnJ.
QUANTITIES: Final[dict[str, Quantity]] = {
    "h": Quantity("water_level", _LEVEL),
    "q": Quantity("discharge", _FLOW),
    "qmj": Quantity("discharge_mean_1d", _FLOW),
    "qmnj": Quantity("discharge_mean_1d", _FLOW),
    "qmm": Quantity("discharge_mean_1mo", _FLOW),
    "qixnj": Quantity("discharge_max_1d", _FLOW),
    "qinnj": Quantity("discharge_min_1d", _FLOW),
    "qixm": Quantity("discharge_max_1mo", _FLOW),
    "qinm": Quantity("discharge_min_1mo", _FLOW),
    "hixnj": Quantity("water_level_max_1d", _LEVEL),
    "hixm": Quantity("water_level_max_1mo", _LEVEL),
}
# Texts longer than these are read member by member, where each has its bounds; real ones stay under half.
_LONGEST: Final = 128
_TIMELY: Final = (b'"date_obs"', b'"resultat_obs"', b'"code_station"', b'"grandeur_hydro"')
_ELABORATED: Final = (b'"date_obs_elab"', b'"resultat_obs_elab"', b'"code_station"', b'"grandeur_hydro_elab"')
_Text = str | None
_Code = str | int | None


class _Record(msgspec.Struct, gc=False):
    code_site: _Text = None
    code_station: _Text = None
    grandeur_hydro: _Text = None
    date_obs: _Text = None
    resultat_obs: float | None = None
    libelle_statut: _Text = None
    libelle_qualification_obs: _Text = None
    code_statut: _Code = None
    statut_serie: _Code = None
    code_qualification_obs: _Code = None
    grandeur_hydro_elab: _Text = None
    date_obs_elab: _Text = None
    resultat_obs_elab: float | None = None
    libelle_qualification: _Text = None
    code_qualification: _Code = None


class _Message(_Record, gc=False):
    """A record, or the page that holds some."""

    data: list[_Record] | None = None


_DECODER: Final = msgspec.json.Decoder(_Message)


def read_plain(payload: bytes, batch: WireBatch, after: int, max_records: int) -> int:
    """Append the observations of a message, and return how many it holds; 0, and append nothing, when it is not plain.

    Plain is: a record or a page of v1 or v2, each member of its type, each observation whole. No name that matters stands twice: it
    is found as often as there are records.
    """
    try:
        message = _DECODER.decode(payload)
    except (ValueError, RecursionError):
        return 0
    records: list[Any] = [message] if message.data is None else message.data
    if not records or len(records) > max_records or b"\\" in payload:
        return 0
    count = len(records)
    is_timely = records[0].date_obs is not None
    for name in _TIMELY if is_timely else _ELABORATED:
        if payload.count(name) != count:
            return 0
    rows = _rows(records, after) if is_timely else _elaborated_rows(records, after)
    if rows is None:
        return 0
    batch.observations += rows
    return count


def _rows(records: list[Any], after: int) -> list[ObservationRow] | None:
    rows = []
    for position, record in enumerate(records, after + 1):
        quantity = _QUANTITY.get(record.grandeur_hydro)
        at, value, place = record.date_obs, record.resultat_obs, record.code_station or record.code_site
        if quantity is None or at is None or value is None or not place or len(place) > _LONGEST or len(at) > _LONGEST:
            return None
        moment = instant(at)
        if moment is None:
            return None
        status = record.libelle_statut
        if status is None:
            status = record.code_statut if record.code_statut is not None else record.statut_serie
        qualification = record.libelle_qualification_obs
        if qualification is None:
            qualification = record.code_qualification_obs
        quality = quality_of(status, qualification)
        rows.append(ObservationRow(position, place, quantity[0], moment, value / PER_UNIT, None, quantity[1], quality))
    return rows


def _elaborated_rows(records: list[Any], after: int) -> list[ObservationRow] | None:
    rows = []
    for position, record in enumerate(records, after + 1):
        quantity = quantity_of(record.grandeur_hydro_elab)
        at, value, place = record.date_obs_elab, record.resultat_obs_elab, record.code_station or record.code_site
        if quantity is None or at is None or value is None or not place or len(place) > _LONGEST or len(at) > _LONGEST:
            return None
        moment = instant(at)
        if moment is None:
            return None
        status = record.libelle_statut if record.libelle_statut is not None else record.code_statut
        qualification = record.libelle_qualification if record.libelle_qualification is not None else record.code_qualification
        quality = quality_of(status, qualification)
        rows.append(ObservationRow(position, place, quantity.property, moment, value / PER_UNIT, None, quantity.unit, quality))
    return rows


def quantity_of(code: Any) -> Quantity | None:
    """Return what a quantity's code means; None for another."""
    return QUANTITIES.get(code.strip().lower()) if type(code) is str else None


# The two of observations in real time, as the API writes them.
_QUANTITY: Final[dict[Any, Quantity]] = {"H": QUANTITIES["h"], "Q": QUANTITIES["q"]}


@lru_cache(maxsize=1_024)  # a dozen words, of statuses and qualifications
def quality_of(status: Any, qualification: Any) -> str | None:
    """Return status and qualification as the source words them, else as it codes them.

    >>> quality_of("Brute", "Non qualifiée"), quality_of(4, None), quality_of(None, None)
    ('Brute, Non qualifiée', '4', None)
    """
    said = [str(part) for part in (status, qualification) if type(part) in (str, int) and part != ""]
    quality = ", ".join(said)
    return quality if quality and not is_too_long(quality) else None
