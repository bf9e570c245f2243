"""TALQ 2.x (street lighting and other equipment of the street): what a gateway sends to its central management software.

Here: log reports, in every form that gateways write, and announcements; one pass over the usual ones. Not here: what an entry says
(`talq_entry`), what a device says (`talq_device`), units (`talq_names`), HTTP (the intake).

`decode` follows `ingestion.formats.wire.Decoder`.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import numpy as np

from ingestion.formats.talq_device import is_announced, read_announced
from ingestion.formats.talq_entry import ATTRIBUTE, EVENT, UNCERTAIN, Scene, data_of, read_entry, source_of, zoned
from ingestion.formats.talq_names import REASONS
from ingestion.formats.wire import ObservationRow, WireBatch, WireOptions
from ingestion.formats.wire_json import Unreadable, quoted, read_json, reject_unreadable
from ingestion.formats.wire_values import is_too_long

_UNSET: Final = msgspec.UNSET
_Text = str | msgspec.UnsetType
# An address longer than this could be past what the contracts hold: the slower way looks.
_SURELY_SHORT: Final = 8_192
_NUMBERS: Final = {float, int}
# Numbers that a double holds exactly, converted or not.
_EASY: Final = 2**53
_MEMBER: Final = int.from_bytes(b'":', "little")
# The norm has three; the intake adds two.
_MOST_PARAMETERS: Final = 16


class _Value(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An attribute's value, where it is no structure."""

    value: bool | int | float | str
    timestamp: _Text = _UNSET
    type: _Text = _UNSET


class _Info(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What people are told of an event."""

    description: _Text = _UNSET
    lang: _Text = _UNSET


class _Attribute(msgspec.Struct, forbid_unknown_fields=True, gc=False, tag_field="type", tag=ATTRIBUTE):
    """A usual entry that logs a value."""

    srcAddress: str  # noqa: N815 - TALQ's name
    attributeName: str  # noqa: N815 - TALQ's name
    attributeValue: _Value  # noqa: N815 - TALQ's name
    timestamp: _Text = _UNSET


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False, tag_field="type", tag=EVENT):
    """A usual entry that logs an event."""

    srcAddress: str  # noqa: N815 - TALQ's name
    eventType: str  # noqa: N815 - TALQ's name
    timestamp: _Text = _UNSET
    startEndFlag: bool | msgspec.UnsetType = _UNSET  # noqa: N815 - TALQ's name
    info: list[_Info] | msgspec.UnsetType = _UNSET


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An entry as the OpenAPI has it."""

    data: _Attribute | _Event
    cmsRefId: _Text = _UNSET  # noqa: N815 - TALQ's name
    timestamp: _Text = _UNSET


class _FlatReport(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    entries: list[_Attribute | _Event]
    address: _Text = _UNSET


class _WrappedReport(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    entries: list[_Wrapped]
    address: _Text = _UNSET


_FLAT: Final = msgspec.json.Decoder(_FlatReport)
_ENCODER: Final = msgspec.json.Encoder()
_WRAPPED: Final = msgspec.json.Decoder(_WrappedReport)


def decode(payload: bytes, batch: WireBatch, *, after: int, received_at: int | None, topic: str | None = None, options: WireOptions) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`).

    >>> batch = WireBatch()
    >>> entry = '{"type": "EventLogData", "srcAddress": "lamp-7", "eventType": "lampFailure", "startEndFlag": true}'
    >>> decode(f'{{"entries": [{entry}]}}'.encode(), batch, after=0, received_at=0, options=WireOptions())
    1
    >>> batch.observations[0][1:6]
    ('lamp-7', 'lampFailure', 0, 1.0, 'start')
    """
    report = _usual(payload, options)
    if report is not None:
        _read_usual(report, Scene(batch, options, received_at), after)
        return len(report.entries)
    try:
        document = read_json(payload, options)
    except Unreadable as error:
        return reject_unreadable(batch, after, error, payload, options)
    elements = _elements(document)
    scene, query = Scene(batch, options, received_at), _query(topic)
    if len(elements) > options.max_records:
        batch.reject(after + 1, "too_many", f"{len(elements)} entries: {REASONS['too_many']}", quoted(payload, options))
        return 1
    if not elements:
        return _read_empty(scene, after, query, quoted(payload, options))
    scene.shared = _shared([data for e in elements if type(e) is dict for data, _ in (data_of(e),)], scene)
    for position, element in enumerate(elements, start=after + 1):
        if is_announced(element) or ("deviceAddress" in query and type(element) is dict):
            read_announced(scene, element, position, query)
        else:
            read_entry(scene, element, position)
    return len(elements)


def _usual(payload: bytes, options: WireOptions) -> _FlatReport | _WrappedReport | None:
    """Return a report of plain values and events; None when it holds anything else, or may break a bound: the slower way looks."""
    if len(payload) > options.max_bytes or options.personal or b"\\u0000" in payload:
        return None
    try:
        report: _FlatReport | _WrappedReport = (_WRAPPED if b'"data"' in payload else _FLAT).decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not 0 < len(report.entries) <= options.max_records:
        return None
    # The decoder keeps the last of two members of one name: written again, the report then holds fewer.
    return report if _members(payload) == _members(_ENCODER.encode(report)) else None


def _members(payload: bytes) -> int:
    """Return how often `":` stands in a JSON text: once a member, unless white space comes between (`bytes.count` takes thrice as long)."""
    pairs = np.frombuffer(payload, "<u2", len(payload) // 2)
    shifted = np.frombuffer(payload, "<u2", (len(payload) - 1) // 2, 1)
    return int(np.count_nonzero(pairs == _MEMBER) + np.count_nonzero(shifted == _MEMBER))


class _Devices(dict[str, str]):
    """Devices of addresses whose function needs no mark."""

    def __missing__(self, address: str) -> str:
        device, _, mark = source_of(address)
        if not device or mark or len(address) > _SURELY_SHORT:
            raise KeyError(address)
        self[address] = device
        return device


class _Moments(dict[str, int]):
    """Instants of texts that say their zone."""

    def __missing__(self, stated: Any) -> int:
        at = zoned(stated) if type(stated) is str else None
        if at is None:
            raise KeyError(stated)
        self[stated] = at
        return at


def _read_usual(report: _FlatReport | _WrappedReport, scene: Scene, after: int) -> None:
    """Append what a usual report says, as `read_entry` would; an entry that is not quite usual goes there."""
    entries: list[Any] = report.entries
    data: list[Any] = [wrapped.data for wrapped in entries] if type(report) is _WrappedReport else entries
    devices, moments, known = _Devices(), _Moments(), scene.known
    addresses = {one.srcAddress for one in data}
    if len({source_of(address)[0] for address in addresses}) < len(addresses):  # a device speaks by several functions
        scene.shared = _shared(
            [{"srcAddress": one.srcAddress, "attributeName": getattr(one, "attributeName", None)} for one in data], scene
        )
        known = known if not scene.shared else {n: a for n, a in known.items() if a.property not in {prop for _, prop in scene.shared}}
    append, new, position = scene.batch.observations.append, tuple.__new__, after
    for one in data:
        position += 1
        try:
            value = one.attributeValue
            number = value.value
            if type(number) in _NUMBERS and -_EASY < number < _EASY:
                prop, _, factor, offset, unit = known[one.attributeName]
                device, at = devices[one.srcAddress], moments[value.timestamp or one.timestamp]
                append(new(ObservationRow, (position, device, prop, at, number * factor + offset, None, unit, None, None)))
                continue
        except (AttributeError, KeyError):  # an event; an address, an attribute or an instant that needs a closer look
            pass
        read_entry(scene, msgspec.to_builtins(entries[position - after - 1]), position)


def _shared(logged: list[dict[str, Any]], scene: Scene) -> frozenset[tuple[str, str]]:
    """Return the devices and properties that more than one function of the device reports."""
    found: dict[tuple[str, str], str] = {}
    shared = set()
    for one in logged:
        address, name = one.get("srcAddress"), one.get("attributeName")
        if type(address) is not str or type(name) is not str:
            continue
        device, function, _ = source_of(address)
        attribute = scene.known.get(name)
        key = (device, attribute.property if attribute is not None else name)
        if found.setdefault(key, function) != function:
            shared.add(key)
    return frozenset(shared)


def _elements(document: Any) -> list[Any]:
    """Return the entries of a report or of several, or what else a message lists."""
    found = []
    for one in document if type(document) is list else [document]:
        if type(one) is dict and "entries" in one:
            entries = one["entries"]
            found += entries if type(entries) is list else [] if entries is None else [entries]
        else:
            found.append(one)
    return found


def _read_empty(scene: Scene, after: int, query: dict[str, str], original: str | None) -> int:
    """Append that a report held nothing, which the norm allows: the gateway lives."""
    gateway = query.get("clientAddress", "").strip()
    if not gateway or scene.received_at is None or is_too_long(gateway):
        scene.batch.reject(after + 1, "empty", REASONS["empty"], original)
    else:
        scene.add(after + 1, gateway, "log_report", scene.received_at, 0.0, None, "{count}", UNCERTAIN, None)
    return 1


def _query(topic: str | None) -> dict[str, str]:
    """Return the query that ends a topic (`log-reports?clientAddress=…`)."""
    return dict(parse_qsl((topic or "").partition("?")[2].replace("\0", ""), max_num_fields=_MOST_PARAMETERS)) if topic else {}
