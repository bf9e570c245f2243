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

from ingestion.formats.open311_request import READ, channel_of, split_address
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_columns import UNSET, CloserLook, columns_of, instants, texts

_Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
_Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]
_Text = str | msgspec.UnsetType | None
_Code = str | int | msgspec.UnsetType | None
_Scalar = str | int | float | bool | msgspec.UnsetType | None


class _Request(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A request as GeoReport v2 defines it; members that are not read are scalars, so that every name of a message can be counted."""

    service_request_id: str | int
    requested_datetime: str
    status: _Text = UNSET
    service_name: _Text = UNSET
    description: _Text = UNSET
    agency_responsible: _Text = UNSET
    updated_datetime: _Text = UNSET
    closed_datetime: _Text = UNSET
    address: _Text = UNSET
    lat: _Latitude | msgspec.UnsetType | None = UNSET
    long: _Longitude | msgspec.UnsetType | None = UNSET
    source: _Text = UNSET
    parent_service_request_id: _Code = UNSET
    service_code: _Code = UNSET
    duplicate: _Scalar = UNSET
    status_notes: _Scalar = UNSET
    service_notice: _Scalar = UNSET
    expected_datetime: _Scalar = UNSET
    address_id: _Scalar = UNSET
    zipcode: _Scalar = UNSET
    media_url: _Scalar = UNSET
    token: _Scalar = UNSET
    jurisdiction_id: _Scalar = UNSET


_DECODER: Final = msgspec.json.Decoder(list[_Request])
# A table of its own costs what some hundred rows do; GeoReport v2 answers up to 1,000 requests at a time.
_FEWEST: Final = 200


def decode_quickly(payload: bytes, batch: WireBatch, after: int, options: WireOptions) -> int:
    """Append the reports of a message and return how many; 0, and nothing appended, when it takes a closer look."""
    if payload[:1] != b"[" or len(payload) > options.max_bytes or not (options.personal & READ) <= {"description"}:
        return 0
    try:
        requests = _DECODER.decode(payload)
        if not _FEWEST <= len(requests) <= options.max_records:
            return 0
        table = _table(columns_of(payload, requests, READ), after, has_description="description" not in options.personal)
    except (ValueError, RecursionError, CloserLook):  # msgspec's and Arrow's errors are of this kind
        return 0
    batch.tables.append(("report", table))
    batch.checkpoint()
    return len(requests)


def _table(columns: dict[str, Sequence[Any]], after: int, *, has_description: bool) -> pa.Table:
    opened, revised, closed = instants(*(columns[f"{name}_datetime"] for name in ("requested", "updated", "closed")))
    status = pc.utf8_lower(texts(columns["status"]))
    is_closed = pc.fill_null(pc.equal(status, "closed"), fill_value=False)
    ids = texts(columns["service_request_id"])
    if opened.null_count or ids.null_count or pc.any(pc.and_(pc.equal(status, "open"), pc.is_valid(closed))).as_py():
        raise CloserLook
    longitude, latitude = _position(columns)
    street, commune = _addresses(texts(columns["address"]))
    found = {
        "_position": pa.array(range(after + 1, after + 1 + len(ids)), pa.int64()),
        "report_ref": ids,
        "channel": pa.array(map(channel_of, texts(columns["source"]).to_pylist()), pa.string()),
        "category": pc.coalesce(texts(columns["service_name"]), texts(columns["service_code"])),
        "opened_at": opened,
        "closed_at": pc.if_else(is_closed, pc.coalesce(closed, revised), closed),
        "status": status,
        "commune": commune,
        "street": street,
        "longitude": longitude,
        "latitude": latitude,
        "duplicate_of": texts(columns["parent_service_request_id"]),
        "owner_authority": texts(columns["agency_responsible"]),
        "revised_at": revised,
    }
    if has_description:
        found["description"] = texts(columns["description"])
    return pa.table({name: column for name, column in found.items() if column.null_count < len(column)})


def _position(columns: dict[str, Sequence[Any]]) -> tuple[pa.Array, pa.Array]:
    longitude, latitude = pa.array(columns["long"], pa.float64()), pa.array(columns["lat"], pa.float64())
    is_null_island = pc.and_(pc.equal(longitude, 0), pc.equal(latitude, 0))
    if pc.any(is_null_island).as_py() or not longitude.is_valid().equals(latitude.is_valid()):
        raise CloserLook
    return longitude, latitude


def _addresses(address: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return streets and communes."""
    apart = [(None, None) if a is None else split_address(a) for a in address.to_pylist()]
    streets, communes = zip(*apart, strict=True)
    return pa.array(streets, pa.string()), pa.array(communes, pa.string())
