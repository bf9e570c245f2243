"""Hub'Eau hydrometry (v2, v1): observations in real time, elaborated observations, stations and sites.

Here: envelopes, bare records and GeoJSON to records, and what an observation becomes. Not here: what describes a station
(`hubeau_station`), paging (the REST connector).

`decode` follows `ingestion.formats.wire.Decoder`. The API states no units: they are fixed by its documentation, levels in mm, flows
in L/s; instants are UTC ("TU").
"""

from __future__ import annotations

import math
from typing import Any, Final

from ingestion.formats.hubeau_plain import PER_UNIT, quality_of, quantity_of, read_plain
from ingestion.formats.hubeau_station import read_station
from ingestion.formats.wire import ObservationRow, WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES, Unreadable, read_json, reject_unreadable, without
from ingestion.formats.wire_values import instant, is_too_long, number_of, to_json

REASONS: Final[dict[str, str]] = {
    "empty": "no record in the message",
    "too_many": "more records than a message may hold",
    "not_a_record": "an element that is no record",
    "unknown_record": "neither an observation (date_obs, date_obs_elab) nor a station or a site",
    "no_station": "neither a station nor a site is named",
    "unknown_quantity": "its unit is not known",
    "no_instant": "the observation states no instant",
    "not_an_instant": "the instant of the observation cannot be read",
    "no_value": "the observation states no result",
    "not_a_number": "the result is no number",
    "source_error": "the API answers with an error",
    "text_too_long": "a text longer than the lake holds",
}

_LONGEST_INSTANT: Final = 40
# What the API's GeoJSON calls `libelle_statut`.
_MISSPELT_STATUS: Final = "code_slibelle_statuttatut"


def decode(
    payload: bytes,
    batch: WireBatch,
    *,
    after: int,
    received_at: int | None,  # noqa: ARG001 - an observation without instant is refused: it is never dated by its arrival
    topic: str | None = None,  # noqa: ARG001 - a record says itself what it is; other formats need it
    options: WireOptions,
) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`).

    >>> batch = WireBatch()
    >>> record = b'{"code_station":"H400000101","grandeur_hydro":"H","date_obs":"1970-01-01T00:00:01Z","resultat_obs":491.0}'
    >>> decode(record, batch, after=0, received_at=None, options=WireOptions())
    1
    >>> batch.observations[0][1:7]
    ('H400000101', 'water_level', 1000000, 0.491, None, 'm')
    """
    if not options.personal and len(payload) <= options.max_bytes:
        count = read_plain(payload, batch, after, options.max_records)
        if count:
            return count
    try:
        records = _records(read_json(payload, options), options)
    except Unreadable as error:
        return reject_unreadable(batch, after, error, payload, options)
    for position, record in enumerate(records, start=after + 1):
        if type(record) is not dict:
            batch.reject(position, "not_a_record", REASONS["not_a_record"], to_json(record)[:QUOTED_BYTES])
            continue
        said = without(record, options.personal)
        if "date_obs" in said:
            problem = _observation(said, position, batch)
        elif "date_obs_elab" in said:
            problem = _elaborated(said, position, batch)
        else:
            problem = read_station(said, position, batch)
        if problem is not None:
            batch.reject(position, problem, _detail(problem, said), to_json(said)[:QUOTED_BYTES])
    return len(records)


def _records(document: Any, options: WireOptions) -> list[Any]:
    """Return the records of a message.

    Raises:
        Unreadable: there is none, or there are too many.
    """
    if type(document) is dict:
        if type(document.get("data")) is list:
            document = document["data"]
        elif type(document.get("features")) is list:
            document = [_of_feature(feature) for feature in document["features"]]
        elif document.get("type") == "Feature":
            document = [_of_feature(document)]
        elif (
            "code_station" not in document
            and "code_site" not in document
            and ("message" in document or "error" in document or "code" in document)
        ):
            raise Unreadable("source_error", f"{REASONS['source_error']}: {to_json(document)[:200]}")
        else:
            document = [document]
    if type(document) is not list or not document:
        raise Unreadable("empty", REASONS["empty"])
    if len(document) > options.max_records:
        raise Unreadable("too_many", f"{len(document):,} records: {REASONS['too_many']} ({options.max_records:,})")
    return document


def _of_feature(feature: Any) -> Any:
    properties = feature.get("properties") if type(feature) is dict else None
    return properties if type(properties) is dict else feature


def _observation(said: dict[str, Any], position: int, batch: WireBatch) -> str | None:
    """Append an observation in real time, and return None, or why it cannot be."""
    # Flows of a whole site, and not of one of its stations, come without station.
    place = said.get("code_station") or said.get("code_site")
    if not place or type(place) is not str:
        return "no_station"
    quantity = quantity_of(said.get("grandeur_hydro"))
    if quantity is None:
        return "unknown_quantity"
    at = said["date_obs"]
    moment = instant(at) if type(at) is str and len(at) <= _LONGEST_INSTANT else None
    if moment is None:
        return "not_an_instant" if at else "no_instant"
    value = _number(said.get("resultat_obs"))
    if isinstance(value, str):
        return value
    status = _first(said, "libelle_statut", _MISSPELT_STATUS, "code_statut", "statut_serie")
    qualification = _first(said, "libelle_qualification_obs", "code_qualification_obs")
    quality = quality_of(status, qualification)
    if is_too_long(place) or (quality is not None and is_too_long(quality)):
        return "text_too_long"
    batch.observations.append(ObservationRow(position, place, quantity.property, moment, value / PER_UNIT, None, quantity.unit, quality))
    return None


def _elaborated(said: dict[str, Any], position: int, batch: WireBatch) -> str | None:
    """Append an elaborated observation, at the beginning of its day or month, and return None, or why it cannot be."""
    renamed = {
        "code_station": said.get("code_station"),
        "code_site": said.get("code_site"),
        "grandeur_hydro": said.get("grandeur_hydro_elab"),
        "date_obs": said.get("date_obs_elab"),
        "resultat_obs": said.get("resultat_obs_elab"),
        "libelle_statut": _first(said, "libelle_statut", "code_statut"),
        "libelle_qualification_obs": _first(said, "libelle_qualification", "code_qualification"),
    }
    return _observation(renamed, position, batch)


def _first(said: dict[str, Any], *names: str) -> Any:
    return next((said[name] for name in names if said.get(name) is not None), None)


def _number(stated: Any) -> float | str:
    """Return a result, or the reason why there is none."""
    if type(stated) is float or type(stated) is int:
        value: float | None = stated
    elif stated is None or stated == "":
        return "no_value"
    else:
        value = number_of(stated.strip()) if type(stated) is str else None
    try:
        return float(value) if value is not None and math.isfinite(value) else "not_a_number"
    except OverflowError:
        return "not_a_number"


def _detail(reason: str, said: dict[str, Any]) -> str:
    if reason == "unknown_quantity":
        return f"{str(said.get('grandeur_hydro', said.get('grandeur_hydro_elab')))[:40]!r}: {REASONS[reason]}"
    return REASONS.get(reason, reason)
