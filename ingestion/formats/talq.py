"""TALQ 2.x (street lighting and other equipment of the street): what a gateway sends to its central management software.

Here: log reports, in every form that gateways write, and announcements; one pass over the usual ones. Not here: what an entry says
(`talq_entry`), what a device says (`talq_device`), units (`talq_names`), HTTP (the intake).

`decode` follows `ingestion.formats.wire.Decoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import numpy as np

from ingestion.formats.talq_device import is_announced, read_announced
from ingestion.formats.talq_entry import ATTRIBUTE, EVENT, UNCERTAIN, Scene, data_of, new_row, read_entry, source_of, zoned
from ingestion.formats.talq_names import REASONS
from ingestion.formats.wire import WireBatch, WireOptions
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


def _data(report: _FlatReport | _WrappedReport) -> list[_Attribute | _Event]:
    return [wrapped.data for wrapped in report.entries] if type(report) is _WrappedReport else report.entries  # type: ignore[return-value] # flat


def _read_usual(report: _FlatReport | _WrappedReport, scene: Scene, after: int) -> None:
    """Append what a usual report says, as `read_entry` would: its numbers at once, column by column; what else it holds goes there."""
    entries: list[Any] = list(report.entries)
    data: list[Any] = _data(report)
    sources = {address: source_of(address) for address in {one.srcAddress for one in data}}
    if len({device for device, _, _ in sources.values()}) < len(sources):  # a device speaks by several functions
        scene.shared = _shared(
            [{"srcAddress": one.srcAddress, "attributeName": getattr(one, "attributeName", None)} for one in data], scene
        )
    if _append_numbers(range(after + 1, after + 1 + len(data)), entries, data, scene, sources):
        return
    for position, entry, one in zip(range(after + 1, after + 1 + len(data)), entries, data, strict=True):
        if not _append_numbers((position,), [entry], [one], scene, sources):
            read_entry(scene, msgspec.to_builtins(entry), position)


def _append_numbers(
    positions: Sequence[int], entries: list[Any], data: list[Any], scene: Scene, sources: dict[str, tuple[str, str, str]]
) -> bool:
    """Append entries that hold numbers of known attributes; return whether nothing of them is unusual, else nothing was appended."""
    if set(map(type, data)) != {_Attribute}:
        return False
    values = [one.attributeValue for one in data]
    read: list[Any] = [value.value for value in values]
    names = [one.attributeName for one in data]
    known = scene.known
    if not (set(map(type, read)) <= _NUMBERS and set(names) <= known.keys() and -_EASY < min(read) <= max(read) < _EASY):
        return False
    addresses = [one.srcAddress for one in data]
    stamps: list[Any] = [value.timestamp or one.timestamp for value, one in zip(values, data, strict=True)]
    if _UNSET in (different := set(stamps)):
        stamps = [s or getattr(entry, "timestamp", None) for s, entry in zip(stamps, entries, strict=True)]
        different = set(stamps)
    moments = {s: zoned(s) if type(s) is str else None for s in different}
    if None in moments.values() or not all(device for device, _, _ in sources.values()) or max(map(len, sources)) > _SURELY_SHORT:
        return False
    devices = [sources[a][0] for a in addresses]
    properties = [known[n].property for n in names]
    if scene.shared or any(mark for _, _, mark in sources.values()):
        properties = [_marked(p, sources[a], scene) for p, a in zip(properties, addresses, strict=True)]
    hows = [known[n].conversion for n in names]
    numbers = [v * how.factor + how.offset for v, how in zip(read, hows, strict=True)]
    instants = [moments[s] for s in stamps]
    units = [how.canonical for how in hows]
    nothing = repeat(None)
    columns = zip(positions, devices, properties, instants, numbers, nothing, units, nothing, nothing, strict=False)
    scene.batch.observations.extend(map(new_row, columns))
    return True


def _marked(prop: str, source: tuple[str, str, str], scene: Scene) -> str:
    device, function, mark = source
    return f"{prop}@{function}" if mark or (function and (device, prop) in scene.shared) else prop


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
