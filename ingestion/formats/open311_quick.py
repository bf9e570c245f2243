"""Open311 GeoReport v2: the quick way of what well-behaved servers send, straight from JSON to typed requests.

Here: lists and single requests whose members are the norm's, each of its type, each once, dated with their offset. Not here: anything
else (`open311`, which reads the same message again and says what is wrong with it). Both ways give the same rows; a test holds them to it.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final

import msgspec

from ingestion.contracts.canonical import EARLIEST, LATEST
from ingestion.formats.open311_request import READ, split_address
from ingestion.formats.wire import ReportRow, WireBatch, WireOptions
from ingestion.formats.wire_local import micros

_UNSET: Final = msgspec.UNSET
_Instant = Annotated[dt.datetime, msgspec.Meta(tz=True)]
_Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
_Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]
_Text = str | msgspec.UnsetType | None
_Code = str | int | msgspec.UnsetType | None
_Scalar = str | int | float | bool | msgspec.UnsetType | None


class _Request(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A request as GeoReport v2 defines it; members that are not read are scalars, so that every name of a message can be counted."""

    service_request_id: str | int
    requested_datetime: _Instant
    status: _Text = _UNSET
    service_name: _Text = _UNSET
    service_code: _Code = _UNSET
    description: _Text = _UNSET
    agency_responsible: _Text = _UNSET
    updated_datetime: _Instant | msgspec.UnsetType | None = _UNSET
    closed_datetime: _Instant | msgspec.UnsetType | None = _UNSET
    address: _Text = _UNSET
    lat: _Latitude | msgspec.UnsetType | None = _UNSET
    long: _Longitude | msgspec.UnsetType | None = _UNSET
    source: _Text = _UNSET
    parent_service_request_id: _Code = _UNSET
    duplicate: _Scalar = _UNSET
    status_notes: _Scalar = _UNSET
    service_notice: _Scalar = _UNSET
    expected_datetime: _Scalar = _UNSET
    address_id: _Scalar = _UNSET
    zipcode: _Scalar = _UNSET
    media_url: _Scalar = _UNSET
    token: _Scalar = _UNSET
    jurisdiction_id: _Scalar = _UNSET


_MEMBERS: Final = len(_Request.__struct_fields__)
_LIST: Final = msgspec.json.Decoder(list[_Request])
_ONE: Final = msgspec.json.Decoder(_Request)
_CHECKPOINT: Final = 1_000
_SPACED_COLONS: Final = (b'" :', b'"\n:', b'"\r:', b'"\t:')


def decode_quickly(payload: bytes, batch: WireBatch, after: int, options: WireOptions) -> int:
    """Append the reports of a message and return how many; 0, and nothing appended, when it takes a closer look."""
    if len(payload) > options.max_bytes or not (options.personal & READ) <= {"description"}:
        return 0
    try:
        requests = _LIST.decode(payload) if payload[:1] == b"[" else [_ONE.decode(payload)]
    except (ValueError, RecursionError):  # msgspec.ValidationError and DecodeError are of this kind
        return 0
    if not requests or len(requests) > options.max_records or not _each_name_once(payload, requests):
        return 0
    has_description = "description" not in options.personal
    mark = batch.mark()
    for position, request in enumerate(requests, start=after + 1):
        row = _row(request, position, has_description=has_description)
        if row is None:
            batch.back_to(mark)
            return 0
        batch.reports.append(row)
    batch.checkpoint()
    return len(requests)


def _each_name_once(payload: bytes, requests: list[_Request]) -> bool:
    """Whether a message holds as many `":` as its requests hold members: the decoder keeps the last of two of one name."""
    members = _MEMBERS * len(requests) - sum(msgspec.structs.astuple(r).count(_UNSET) for r in requests)
    return payload.count(b'":') == members and not any(space in payload for space in _SPACED_COLONS)


def _row(request: _Request, position: int, *, has_description: bool) -> ReportRow | None:
    """Return the report of a request, None when it takes a closer look."""
    r = request
    ref, status = _read(r.service_request_id), _read(r.status)
    status = status.lower() if status is not None else None
    opened, revised, closed = r.requested_datetime, r.updated_datetime or None, r.closed_datetime or None
    longitude, latitude = r.long, r.lat
    if longitude is _UNSET or longitude is None:
        longitude, is_placed = None, latitude is _UNSET or latitude is None
        latitude = None
    else:
        is_placed = not (latitude is _UNSET or latitude is None or (longitude == 0 and latitude == 0))
    if ref is None or not is_placed or not EARLIEST <= opened < LATEST:
        return None
    if (revised and not EARLIEST <= revised < LATEST) or (closed and (status == "open" or not EARLIEST <= closed < LATEST)):
        return None
    if closed is None and status == "closed":
        closed = revised
    address, channel = _read(r.address), _read(r.source)
    street, commune = split_address(address) if address is not None else (None, None)
    updated_at = micros(revised) if revised else None
    return ReportRow(
        position,
        ref,
        channel.lower() if channel is not None else None,
        _read(r.service_name) or _read(r.service_code),
        None,
        _read(r.description) if has_description else None,
        micros(opened),
        updated_at if closed is revised else micros(closed) if closed else None,
        None,
        status,
        commune,
        None,
        street,
        longitude,
        latitude,  # type: ignore[arg-type] # a number: `is_placed` says so
        None,
        _read(r.parent_service_request_id),
        _read(r.agency_responsible),
        updated_at,
    )


def _read(value: Any) -> str | None:
    if type(value) is str:
        return value.strip() or None
    return str(value) if type(value) is int else None
