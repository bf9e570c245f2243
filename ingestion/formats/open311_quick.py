"""Open311 GeoReport v2: the quick way of what well-behaved servers send, straight from JSON to typed requests to columns.

Here: long lists of requests whose members are the norm's, each of its type, each once, dated with their offset. Not here: anything
else (`open311`, which reads the same message again and says what is wrong with it). Both ways give the same rows; a test holds them to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts.canonical import EARLIEST, LATEST
from ingestion.formats.open311_request import READ, channel_of, split_address
from ingestion.formats.wire import WireBatch, WireOptions

_UNSET: Final = msgspec.UNSET
_Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
_Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]
_Text = str | msgspec.UnsetType | None
_Code = str | int | msgspec.UnsetType | None
_Scalar = str | int | float | bool | msgspec.UnsetType | None


class _Request(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A request as GeoReport v2 defines it; members that are not read are scalars, so that every name of a message can be counted."""

    service_request_id: str | int
    requested_datetime: str
    status: _Text = _UNSET
    service_name: _Text = _UNSET
    description: _Text = _UNSET
    agency_responsible: _Text = _UNSET
    updated_datetime: _Text = _UNSET
    closed_datetime: _Text = _UNSET
    address: _Text = _UNSET
    lat: _Latitude | msgspec.UnsetType | None = _UNSET
    long: _Longitude | msgspec.UnsetType | None = _UNSET
    source: _Text = _UNSET
    parent_service_request_id: _Code = _UNSET
    service_code: _Code = _UNSET
    duplicate: _Scalar = _UNSET
    status_notes: _Scalar = _UNSET
    service_notice: _Scalar = _UNSET
    expected_datetime: _Scalar = _UNSET
    address_id: _Scalar = _UNSET
    zipcode: _Scalar = _UNSET
    media_url: _Scalar = _UNSET
    token: _Scalar = _UNSET
    jurisdiction_id: _Scalar = _UNSET


_NAMES: Final = _Request.__struct_fields__
_DECODER: Final = msgspec.json.Decoder(list[_Request])
# A table of its own costs what some hundred rows do; GeoReport v2 answers up to 1,000 requests at a time.
_FEWEST: Final = 200
_SHORTEST_INSTANT: Final = 17  # "2026-11-22T08:00Z"
_INSTANT: Final = pa.timestamp("us", "UTC")
_BOUNDS: Final = pa.scalar(EARLIEST, _INSTANT), pa.scalar(LATEST, _INSTANT)


class _CloserLook(Exception):
    """A message that is not for the quick way."""


def decode_quickly(payload: bytes, batch: WireBatch, after: int, options: WireOptions) -> int:
    """Append the reports of a message and return how many; 0, and nothing appended, when it takes a closer look."""
    if payload[:1] != b"[" or len(payload) > options.max_bytes or not (options.personal & READ) <= {"description"}:
        return 0
    try:
        requests = _DECODER.decode(payload)
        if not _FEWEST <= len(requests) <= options.max_records:
            return 0
        table = _table(payload, requests, after, has_description="description" not in options.personal)
    except (ValueError, RecursionError, _CloserLook):  # msgspec's and Arrow's errors are of this kind
        return 0
    batch.tables.append(("report", table))
    batch.checkpoint()
    return len(requests)


def _table(payload: bytes, requests: list[_Request], after: int, *, has_description: bool) -> pa.Table:
    columns = _columns(payload, requests)
    opened, revised = _instants(columns["requested_datetime"]), _instants(columns["updated_datetime"])
    closed, status = _instants(columns["closed_datetime"]), pc.utf8_lower(_texts(columns["status"]))
    is_closed = pc.fill_null(pc.equal(status, "closed"), fill_value=False)
    if opened.null_count or pc.any(pc.and_(pc.equal(status, "open"), pc.is_valid(closed))).as_py():
        raise _CloserLook
    longitude, latitude = _position(columns)
    street, commune = _addresses(_texts(columns["address"]))
    ids = _texts(columns["service_request_id"])
    if ids.null_count:
        raise _CloserLook
    revised_at = revised.cast(pa.int64())
    found = {
        "_position": pa.array(range(after + 1, after + 1 + len(requests)), pa.int64()),
        "report_ref": ids,
        "channel": pa.array(map(channel_of, _texts(columns["source"]).to_pylist()), pa.string()),
        "category": pc.coalesce(_texts(columns["service_name"]), _texts(columns["service_code"])),
        "opened_at": opened.cast(pa.int64()),
        "closed_at": pc.if_else(is_closed, pc.coalesce(closed.cast(pa.int64()), revised_at), closed.cast(pa.int64())),
        "status": status,
        "commune": commune,
        "street": street,
        "longitude": longitude,
        "latitude": latitude,
        "duplicate_of": _texts(columns["parent_service_request_id"]),
        "owner_authority": _texts(columns["agency_responsible"]),
        "revised_at": revised_at,
    }
    if has_description:
        found["description"] = _texts(columns["description"])
    return pa.table({name: column for name, column in found.items() if column.null_count < len(column)})


def _columns(payload: bytes, requests: list[_Request]) -> dict[str, Sequence[Any]]:
    """Return the members' values by name, None where there is none.

    The decoder keeps the last of two members of one name: a message whose `":` and members do not add up takes a closer look.
    """
    columns: dict[str, Sequence[Any]] = {}
    members = 0
    for name, values in zip(_NAMES, zip(*map(msgspec.structs.astuple, requests), strict=True), strict=True):
        absent = values.count(_UNSET)
        members += len(values) - absent
        if name in READ:
            columns[name] = [None if v is _UNSET else v for v in values] if absent else values
    if payload.count(b'":') != members or _has_spaced_colon(payload):
        raise _CloserLook
    return columns


def _texts(values: Sequence[Any]) -> pa.Array:
    """Return texts without the spaces around them, None for those that say nothing."""
    if all(v is None for v in set(values)):
        return pa.nulls(len(values), pa.string())
    if int in set(map(type, values)):
        values = [None if v is None else str(v) for v in values]
    found = pa.array(values, pa.string())
    found = pc.utf8_trim_whitespace(found)
    return pc.if_else(pc.equal(found, ""), pa.scalar(None, pa.string()), found)


def _instants(values: Sequence[Any]) -> pa.Array:
    """Return instants that carry their offset and lie within the contract's bounds."""
    found = pa.array(values, pa.string())
    # Without an offset Arrow refuses; a day alone it takes for midnight, UTC.
    if pc.any(pc.less(pc.binary_length(found), _SHORTEST_INSTANT)).as_py():
        raise _CloserLook
    instants = found.cast(_INSTANT)
    if pc.any(pc.or_(pc.less(instants, _BOUNDS[0]), pc.greater_equal(instants, _BOUNDS[1]))).as_py():
        raise _CloserLook
    return instants


def _position(columns: dict[str, Sequence[Any]]) -> tuple[pa.Array, pa.Array]:
    longitude, latitude = pa.array(columns["long"], pa.float64()), pa.array(columns["lat"], pa.float64())
    is_null_island = pc.and_(pc.equal(longitude, 0), pc.equal(latitude, 0))
    if pc.any(is_null_island).as_py() or not longitude.is_valid().equals(latitude.is_valid()):
        raise _CloserLook
    return longitude, latitude


def _addresses(address: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return streets and communes."""
    apart = [(None, None) if a is None else split_address(a) for a in address.to_pylist()]
    streets, communes = zip(*apart, strict=True)
    return pa.array(streets, pa.string()), pa.array(communes, pa.string())


def _has_spaced_colon(payload: bytes) -> bool:
    """Whether a name may be followed by white space before its colon; most documents hold no such space at all, and are told at once."""
    return any(payload.find(space) >= 0 and payload.find(b'"' + space + b":") >= 0 for space in (b" ", b"\n", b"\r", b"\t"))
