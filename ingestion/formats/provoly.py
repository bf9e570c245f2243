"""Provoly: work orders (`POST /services`) to interventions, equipment (`/equipments`) to assets.

Here: what a message is (a list, one record, a page), and which kind each record is of. Not here: JSON (`wire_json`), what a record
says (`provoly_record`), the quick way of well-formed lists (`provoly_quick`).

`decode` follows `ingestion.formats.wire.Decoder`.
"""

from __future__ import annotations

from typing import Any, Final

from ingestion.formats.provoly_quick import decode_quickly
from ingestion.formats.provoly_record import REASONS, read_equipment, read_order
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES, Unreadable, read_json, reject_unreadable, without
from ingestion.formats.wire_values import to_json

# What lists are wrapped in: Spring's and Quarkus' pages, and the resources' own names.
_ENVELOPES: Final = ("content", "items", "data", "results", "list", "services", "equipments", "equipment")
_CHECKPOINT: Final = 1_000
# `ServiceWriteDto` requires these of an order; equipment has no dates, and an order no family.
_OF_ORDER: Final = frozenset({"creationDate", "lastModificationDate", "startDate", "endDate", "closeDate"})
_OF_EQUIPMENT: Final = frozenset({"family", "level", "parent", "entity"})
# Events of the supervision (`/events`): alerts and calls of operators, which are neither.
_OF_EVENT: Final = frozenset({"criticality", "procedureId", "procedureProgress", "linkedEvents"})


def decode(
    payload: bytes,
    batch: WireBatch,
    *,
    after: int,
    received_at: int | None,  # noqa: ARG001 - an order says itself when it was asked for; other formats need it
    topic: str | None = None,  # noqa: ARG001 - likewise
    options: WireOptions,
) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`).

    >>> batch = WireBatch()
    >>> order = b'{"id": "DI00000007", "equipment": "C-306", "creationDate": "2026-03-01T08:00:00Z", "status": "ASKED", "category": "CURA"}'
    >>> decode(order, batch, after=0, received_at=None, options=WireOptions(contract="intervention"))
    1
    >>> batch.interventions[0].intervention_ref, batch.interventions[0].asset_ref, batch.interventions[0].kind
    ('DI00000007', 'C-306', 'curative')
    """
    quick = decode_quickly(payload, batch, after, options)
    if quick:
        return quick
    try:
        records = _records(read_json(payload, options))
    except Unreadable as error:
        return reject_unreadable(batch, after, error, payload, options)
    if len(records) > options.max_records:
        batch.reject(after + 1, "too_many", f"{len(records)} records: {REASONS['too_many']} ({options.max_records})")
        return 1
    for position, found in enumerate(records, start=after + 1):
        if position % _CHECKPOINT == 0:
            batch.checkpoint()
        record = without(found, options.personal)
        reason = _read(record, position, batch, options)
        if reason is not None:
            quoted = to_json(record)[:QUOTED_BYTES] if type(record) is dict or not options.personal else None
            batch.reject(position, reason, REASONS[reason], quoted)
    return len(records)


def _records(document: Any) -> list[Any]:
    """Return the records of a document; what is no envelope is its own record.

    Raises:
        Unreadable: it holds none.
    """
    if type(document) is dict and "id" not in document:
        document = next((document[name] for name in _ENVELOPES if type(document.get(name)) is list), document)
    records = document if type(document) is list else [document]
    if not records or records == [{}]:
        raise Unreadable("empty", REASONS["empty"])
    return records


def _read(record: Any, position: int, batch: WireBatch, options: WireOptions) -> str | None:
    """Append what a record says; return why it is none of ours."""
    if type(record) is not dict:
        return "not_a_record"
    names = record.keys()
    if names & _OF_EVENT:
        return "event"
    is_order, is_equipment = bool(names & _OF_ORDER), bool(names & _OF_EQUIPMENT)
    if not is_order and not is_equipment:
        # The shortest shapes: an identifier and a status, an identifier and a type.
        is_order = "equipment" in record or ("status" in record and "category" in record)
        is_equipment = not is_order and "id" in record and ("name" in record or "code" in record)
    if is_order and (not is_equipment or options.contract == "intervention"):
        read_order(record, position, batch, options)
    elif is_equipment:
        read_equipment(record, position, batch, options)
    else:
        return "unknown_kind"
    return None
