"""Open311 GeoReport v2 (and the v2.1 draft): service requests, JSON or XML, to reports.

Here: what a message is (a list, one request, an envelope), and what is no request. Not here: JSON and XML (`wire_json`, `wire_xml`),
what a request says (`open311_request`), the quick way of well-formed lists (`open311_quick`).

`decode` follows `ingestion.formats.wire.Decoder`.
"""

from __future__ import annotations

from typing import Any, Final

from lxml import etree

from ingestion.formats.open311_quick import decode_quickly
from ingestion.formats.open311_request import REASONS, attribute_names, read_request
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES, Unreadable, read_json, reject_unreadable
from ingestion.formats.wire_values import to_json
from ingestion.formats.wire_xml import local_name, read_xml

_LISTS: Final = ("service_requests", "requests")
_CONTAINERS: Final = (dict, list)
# What GeoReport v1 and the discovery of an endpoint answer: other documents than v2's.
_OTHER_ROOTS: Final = frozenset({"reports", "feed", "discovery"})
# Rows are let go between records, so that a long export is not held whole.
_CHECKPOINT: Final = 1_000


def decode(
    payload: bytes,
    batch: WireBatch,
    *,
    after: int,
    received_at: int | None,  # noqa: ARG001 - a request says itself when it was made; other formats need it
    topic: str | None = None,  # noqa: ARG001 - likewise
    options: WireOptions,
) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`).

    >>> batch = WireBatch()
    >>> message = b'[{"service_request_id": 7, "status": "open", "requested_datetime": "2026-03-01T08:00:00+01:00"}]'
    >>> decode(message, batch, after=0, received_at=None, options=WireOptions())
    1
    >>> batch.reports[0].report_ref, batch.reports[0].status, batch.reports[0].opened_at
    ('7', 'open', 1772348400000000)
    """
    quick = decode_quickly(payload, batch, after, options)
    if quick:
        return quick
    try:
        records = _of_xml(payload, options) if _is_xml(payload) else _of_json(read_json(payload, options))
    except Unreadable as error:
        return reject_unreadable(batch, after, error, payload, options)
    if len(records) > options.max_records:
        batch.reject(after + 1, "too_many", f"{len(records)} requests: {REASONS['too_many']} ({options.max_records})")
        return 1
    for position, record in enumerate(records, start=after + 1):
        if position % _CHECKPOINT == 0:
            batch.checkpoint()
        _read(_without_personal(record, options.personal), position, batch, options)
    return len(records)


def _read(record: Any, position: int, batch: WireBatch, options: WireOptions) -> None:
    if type(record) is not dict:
        # What it holds cannot be told apart, and may be personal.
        batch.reject(position, "not_a_request", REASONS["not_a_request"], None if options.personal else to_json(record)[:QUOTED_BYTES])
        return
    reason = _no_request(record)
    if reason is not None:
        batch.reject(position, reason, REASONS[reason], to_json(record)[:QUOTED_BYTES])
        return
    read_request(record, position, batch, options)


def _without_personal(value: Any, personal: frozenset[str]) -> Any:
    """Return a record without its personal members, and without attributes (`{"code": "phone", "value": …}`) that are called so."""
    if type(value) is list:
        return [_without_personal(v, personal) for v in value if not _is_named(v, personal)]
    if type(value) is dict:
        return {
            k: _without_personal(v, personal) if type(v) in _CONTAINERS else v
            for k, v in value.items()
            if k not in personal and not (type(v) is dict and _is_named(v, personal))
        }
    return value


def _is_named(value: Any, personal: frozenset[str]) -> bool:
    return type(value) is dict and not personal.isdisjoint(attribute_names(value))


def _no_request(record: dict[str, Any]) -> str | None:
    """Return why a record is no service request of v2, None where it may be one."""
    if "service_request_id" in record:
        return None
    if record.get("token"):  # some servers state it beside what they know already
        return "token"
    if "requested_datetime" in record or "status" in record:
        return "no_id"
    if "code" in record and "description" in record and "datatype" not in record:
        return "error_answer"
    if "code" in record and "description" not in record and len(record) == 1:  # the description is personal, and was taken out
        return "error_answer"
    if "datatype" in record or "attributes" in record or "service_code" in record:
        return "reference_information"
    return "no_id"


def _is_xml(payload: bytes) -> bool:
    return payload.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def _of_json(document: Any) -> list[Any]:
    """Return the records of a JSON document; what is no envelope is its own record.

    Raises:
        Unreadable: it is a document of another specification, or holds nothing.
    """
    if type(document) is dict:
        # `{"service_requests": {"request": […]}}` is what converters make of the XML.
        for name in (*_LISTS, "request", "services", "service", "service_definition", "errors", "error"):
            if name in document and "service_request_id" not in document:
                inner = document[name]
                return _of_json(inner) if type(inner) in (dict, list) else [inner]
        if _OTHER_ROOTS & document.keys():
            raise Unreadable("not_georeport_v2", REASONS["not_georeport_v2"])
        return [document]
    if type(document) is not list:
        return [document]
    if not document:
        raise Unreadable("empty", REASONS["empty"])
    if document[0] in ("reports", "feed"):  # JsonML of version 1
        raise Unreadable("not_georeport_v2", REASONS["not_georeport_v2"])
    return [r["request"] if type(r) is dict and len(r) == 1 and type(r.get("request")) is dict else r for r in document]


def _of_xml(payload: bytes, options: WireOptions) -> list[Any]:
    """Return the records of an XML document.

    Raises:
        Unreadable: it cannot be read, is a document of another specification, or holds nothing.
    """
    root = read_xml(payload, options)
    name = local_name(root)
    if name in (*_LISTS, "services", "errors"):
        records = [_record(child) for child in root]
        if not records:
            raise Unreadable("empty", REASONS["empty"])
        return records
    if name in ("request", "service", "service_definition", "error") or any(local_name(c) == "service_code" for c in root):
        return [_record(root)]
    raise Unreadable("not_georeport_v2", REASONS["not_georeport_v2"])


def _record(element: etree._Element) -> Any:
    """Return an element's children as members: texts, nested objects, lists where a name is there several times."""
    children = list(element)
    if not children:
        text = (element.text or "").strip()
        return text or None
    members: dict[str, Any] = {}
    several: set[str] = set()
    for child in children:
        name, value = local_name(child), _record(child)
        if name in several:
            members[name].append(value)
        elif name in members:
            several.add(name)
            members[name] = [members[name], value]
        else:
            members[name] = value
    return members
