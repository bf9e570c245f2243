"""Provoly: the quick way of long lists of work orders as maintenance systems send them, from JSON to typed orders to columns.

Here: lists of orders whose members are those of `ServiceWriteDto`, each of its type, each once, dated with their offset. Not here: anything
else (`provoly`, which reads the same message again and says what is wrong with it). Both ways give the same rows; a test holds them to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_columns import UNSET, CloserLook, columns_of, instants, texts

_Text = str | msgspec.UnsetType | None
_Scalar = str | int | float | bool | msgspec.UnsetType | None


class _Order(msgspec.Struct, forbid_unknown_fields=True, gc=False, rename="camel"):
    """A work order as it is sent."""

    id: str | int
    creation_date: str
    equipment: _Text = UNSET
    last_modification_date: _Text = UNSET
    start_date: _Text = UNSET
    end_date: _Text = UNSET
    close_date: _Text = UNSET
    status: Literal["CREATED", "ASKED", "IN_PROGRESS", "DONE", "CANCELLED"] | msgspec.UnsetType | None = UNSET
    category: Literal["PREV", "CURA"] | msgspec.UnsetType | None = UNSET
    description: _Text = UNSET
    domain: _Scalar = UNSET


_READ: Final = frozenset(_Order.__struct_encode_fields__) - {"domain"}
_DATES: Final = ("creationDate", "lastModificationDate", "startDate", "endDate", "closeDate")
_DECODER: Final = msgspec.json.Decoder(list[_Order])
_FEWEST: Final = 200  # a table of its own costs what some hundred rows do
_KINDS: Final = {"PREV": "preventive", "CURA": "curative"}


def decode_quickly(payload: bytes, batch: WireBatch, after: int, options: WireOptions) -> int:
    """Append the interventions of a message and return how many; 0, and nothing appended, when it takes a closer look."""
    if payload[:1] != b"[" or len(payload) > options.max_bytes or options.personal & _READ:
        return 0
    try:
        orders = _DECODER.decode(payload)
        if not _FEWEST <= len(orders) <= options.max_records:
            return 0
        table = _table(columns_of(payload, orders, _READ), after)
    except (ValueError, RecursionError, CloserLook):  # msgspec's and Arrow's errors are of this kind
        return 0
    batch.tables.append(("intervention", table))
    batch.checkpoint()
    return len(orders)


def _table(columns: dict[str, Sequence[Any]], after: int) -> pa.Table:
    ids = texts(columns["id"])
    requested, revised, begun, ended, closed = instants(*(columns[name] for name in _DATES))
    if ids.null_count or requested.null_count:
        raise CloserLook
    status = pa.array(columns["status"], pa.string())
    is_done = pc.fill_null(pc.equal(status, "DONE"), fill_value=False)
    is_started = pc.or_(is_done, pc.fill_null(pc.equal(status, "IN_PROGRESS"), fill_value=False))
    finished = pc.coalesce(closed, _facts(ended, revised))
    found = {
        "_position": pa.array(range(after + 1, after + 1 + len(ids)), pa.int64()),
        "intervention_ref": ids,
        "asset_ref": texts(columns["equipment"]),
        "kind": pa.array(map(_KINDS.get, columns["category"]), pa.string()),
        "requested_at": requested,
        "arrived_at": _where(is_started, _facts(begun, revised)),
        "restored_at": _where(is_done, finished),
        "status": status,
        "description": texts(columns["description"]),
        "revised_at": revised,
    }
    return pa.table({name: column for name, column in found.items() if column.null_count < len(column)})


def _facts(dates: pa.Array, revised: pa.Array) -> pa.Array:
    """Return dates of work that are not after the order's last change."""
    return _where(pc.fill_null(pc.less_equal(dates, revised), fill_value=False), dates)


def _where(condition: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(condition, values, pa.scalar(None, pa.int64()))
