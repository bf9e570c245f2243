"""Vigicrues: observations of stations, vigilance of river sections, and the entities they belong to.

Here: telling the documents apart, and observations. Not here: vigilance (`vigicrues_section`), territories, sections and stations as
such (`vigicrues_entity`), paging (the REST connector).

`decode` follows `ingestion.formats.wire.Decoder`. The service states no units: its documentation does, levels in m (Hub'Eau says mm)
and flows in m3/s.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts.canonical import EARLIEST, LATEST
from ingestion.formats.vigicrues_entity import read_entity
from ingestion.formats.vigicrues_section import read_section, stated_at
from ingestion.formats.wire import ObservationRow, WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES, Unreadable, read_json, reject_unreadable, without
from ingestion.formats.wire_values import instant, is_too_long, number_of, to_json

REASONS: Final[dict[str, str]] = {
    "empty": "no record in the message",
    "unknown_document": "no document of Vigicrues that is read (observations, InfoVigiCru, lists of entities)",
    "not_an_observation": "forecasts are not stored as observations",
    "source_error": "the service answers with an error",
    "no_station": "the series names no station",
    "unknown_quantity": "neither a level (H) nor a flow (Q): its unit is not known",
    "not_a_point": "an element of the series that is no instant and value",
    "no_instant": "the point states no instant",
    "not_an_instant": "the instant of the point cannot be read",
    "no_zone": "the instant of the point has no offset: its zone is not known",
    "no_value": "the point states no value",
    "not_a_number": "the value of the point is no number",
    "text_too_long": "a text longer than the lake holds",
}
_QUANTITIES: Final = {"H": ("water_level", "m"), "Q": ("discharge", "m3/s")}
_EARLIEST_MS, _LATEST_MS = (int(at.timestamp()) * 1000 for at in (EARLIEST, LATEST))
_OFFSET: Final = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$", re.IGNORECASE)
_LONGEST_INSTANT: Final = 40
_ENTITY_LISTS: Final = ("ListEntVigiCru", "TerEntVigiCru", "TronEntVigiCru", "StaEntVigiCru")
_POINTS: Final = b'"ObssHydro"'


class _Series(msgspec.Struct, gc=False):
    CdStationHydro: str
    GrdSerie: str
    ObssHydro: list[tuple[int, float | None]]


class _Observations(msgspec.Struct, gc=False):
    Serie: _Series


_DECODER: Final = msgspec.json.Decoder(_Observations)


def decode(
    payload: bytes,
    batch: WireBatch,
    *,
    after: int,
    received_at: int | None,
    topic: str | None = None,  # noqa: ARG001 - a document says itself what it is; other formats need it
    options: WireOptions,
) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`).

    >>> batch = WireBatch()
    >>> series = b'{"Serie": {"CdStationHydro": "F700000103", "GrdSerie": "H", "ObssHydro": [[1000, 1.27], [2000, 1.28]]}}'
    >>> decode(series, batch, after=0, received_at=None, options=WireOptions())
    2
    >>> batch.tables[0][1].select(["property", "observed_at", "value", "unit"]).to_pylist()[0]
    {'property': 'water_level', 'observed_at': 1000000, 'value': 1.27, 'unit': 'm'}
    """
    if not options.personal and len(payload) <= options.max_bytes:
        count = _plain_series(payload, batch, after, options)
        if count:
            return count
    try:
        document = without(read_json(payload, options), options.personal)
        return _read(document, batch, after, received_at)
    except Unreadable as error:
        return reject_unreadable(batch, after, error, payload, options)


def _plain_series(payload: bytes, batch: WireBatch, after: int, options: WireOptions) -> int:
    """Append a series of pairs by column, and return how many it holds; 0, and append nothing, when it is anything else."""
    try:
        series = _DECODER.decode(payload).Serie
    except (ValueError, RecursionError):
        return 0
    quantity = _QUANTITIES.get(series.GrdSerie)
    count = len(series.ObssHydro)
    station = series.CdStationHydro.strip()
    if quantity is None or not count or not station or is_too_long(station) or _may_repeat_a_name(payload, options):
        return 0
    at, values = zip(*series.ObssHydro, strict=True)
    value = pa.array(values, pa.float64())
    try:
        milliseconds = pa.array(at, pa.int64())
    except OverflowError:
        return 0
    bounds = pc.min_max(milliseconds).as_py()
    if value.null_count or bounds["min"] < _EARLIEST_MS or bounds["max"] >= _LATEST_MS:
        return 0
    table = {
        "_position": pa.array(np.arange(after + 1, after + 1 + count)),
        "asset_ref": pa.repeat(pa.scalar(station), count),
        "property": pa.repeat(pa.scalar(quantity[0]), count),
        "observed_at": pc.multiply(milliseconds, 1000),
        "value": value,
        "unit": pa.repeat(pa.scalar(quantity[1]), count),
    }
    batch.tables.append(("observation", pa.table(table)))
    return count


def _may_repeat_a_name(payload: bytes, options: WireOptions) -> bool:
    """Whether a document of pairs may name a member twice. Pairs hold no quote: names stand before them and behind, and are read."""
    begin, end = payload.find(_POINTS) + len(_POINTS), payload.rfind(b"]")
    if b'"' in payload[begin:end]:
        return True
    try:
        read_json(payload[:begin] + b":[" + payload[end:], options)
    except Unreadable:
        return True
    return False


def _read(document: Any, batch: WireBatch, after: int, received_at: int | None) -> int:
    """Translate any document, record by record.

    Raises:
        Unreadable: it is none that is read.
    """
    if type(document) is not dict:
        raise Unreadable("unknown_document", f"{REASONS['unknown_document']}: {to_json(document)[:200]}")
    if type(document.get("Serie")) is dict:
        return _series(document["Serie"], batch, after)
    if document.get("type") in ("FeatureCollection", "Feature"):
        return _sections(document, batch, after, received_at)
    for name in _ENTITY_LISTS:
        if type(document.get(name)) is list:
            return _entities(document[name], batch, after)
    if "Simul" in document:
        raise Unreadable("not_an_observation", REASONS["not_an_observation"])
    if "error_msg" in document or ("message" in document and "code" in document):
        raise Unreadable("source_error", f"{REASONS['source_error']}: {to_json(document)[:200]}")
    raise Unreadable("unknown_document", f"{REASONS['unknown_document']}: {to_json(sorted(document))[:200]}")


def _sections(document: dict[str, Any], batch: WireBatch, after: int, received_at: int | None) -> int:
    features = document.get("features") if document["type"] == "FeatureCollection" else [document]
    if type(features) is not list or not features:
        raise Unreadable("empty", REASONS["empty"])
    at = stated_at(document)
    for position, feature in enumerate(features, start=after + 1):
        read_section(feature, position, batch, document=document, stated=at, received=received_at)
    return len(features)


def _entities(entities: list[Any], batch: WireBatch, after: int) -> int:
    if not entities:
        raise Unreadable("empty", REASONS["empty"])
    for position, entity in enumerate(entities, start=after + 1):
        read_entity(entity, position, batch)
    return len(entities)


def _series(series: dict[str, Any], batch: WireBatch, after: int) -> int:
    """Translate the points of a series one by one: with nulls, as objects, with texts.

    Raises:
        Unreadable: nothing of the series can be stored.
    """
    station, quantity, points = series.get("CdStationHydro"), series.get("GrdSerie"), series.get("ObssHydro")
    if type(station) is not str or not station.strip():
        raise Unreadable("no_station", REASONS["no_station"])
    if is_too_long(station):
        raise Unreadable("text_too_long", REASONS["text_too_long"])
    what = _QUANTITIES.get(quantity) if type(quantity) is str else None
    if what is None:
        raise Unreadable("unknown_quantity", f"{str(quantity)[:40]!r}: {REASONS['unknown_quantity']}")
    if type(points) is not list or not points:
        raise Unreadable("empty", REASONS["empty"])
    for position, point in enumerate(points, start=after + 1):
        found = _point(point)
        if isinstance(found, str):
            original = to_json({"CdStationHydro": station, "GrdSerie": quantity, "point": point})[:QUOTED_BYTES]
            batch.reject(position, found, REASONS[found], original)
        else:
            batch.observations.append(ObservationRow(position, station.strip(), what[0], found[0], found[1], None, what[1]))
    return len(points)


def _point(point: Any) -> tuple[int, float] | str:
    """Return the instant and value of a point, or the reason why it has none."""
    if type(point) is dict:
        at, value = point.get("DtObsHydro"), point.get("ResObsHydro")
    elif type(point) is list and len(point) == 2:  # noqa: PLR2004 - instant and value
        at, value = point
    else:
        return "not_a_point"
    moment = _moment(at)
    if isinstance(moment, str):
        return moment
    number = _number(value)
    return number if isinstance(number, str) else (moment, number)


def _moment(at: Any) -> int | str:
    """Return an instant in microseconds: of milliseconds since 1970, or of a text with its offset; or the reason why it is none."""
    if at is None or at == "":
        return "no_instant"
    if type(at) is int or type(at) is float:
        return int(at * 1000) if _EARLIEST_MS <= at < _LATEST_MS else "not_an_instant"
    if type(at) is not str or len(at) > _LONGEST_INSTANT:
        return "not_an_instant"
    moment = instant(at)
    if moment is None:
        return "not_an_instant"
    return moment if _OFFSET.search(at.strip()) else "no_zone"


def _number(value: Any) -> float | str:
    if value is None or value == "":
        return "no_value"
    try:
        number = number_of(value) if type(value) is str else float(value) if type(value) in (int, float) else None
    except OverflowError:
        return "not_a_number"
    return number if number is not None and np.isfinite(number) else "not_a_number"
