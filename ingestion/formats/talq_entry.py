"""TALQ: one log entry to observations.

Here: addresses, instants, the values of attributes, events and state changes. Not here: messages (`talq`), units (`talq_names`).

An entry comes as a dictionary when its message is unusual; the usual ones are read without it, by the same functions.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final

from ingestion.contracts.units import Conversion
from ingestion.formats.talq_names import PERCENT, PERCENT_TYPE, REASONS, Attribute, attributes
from ingestion.formats.wire import ObservationRow, WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES
from ingestion.formats.wire_values import in_lake, instant, is_too_long, number_of, to_json

ATTRIBUTE, EVENT, STATE_CHANGE = "AttributeLogData", "EventLogData", "StateChangeEventLogData"
TYPES: Final = frozenset((ATTRIBUTE, EVENT, STATE_CHANGE))
# How an event is told: it begins, it ends, or it has no duration (`controller rebooted`).
START, STOP, OCCURRED = "start", "stop", "occurred"
UNCERTAIN: Final = "uncertain"
# Past 2^53 a double does not hold every integer: the digits are kept as text beside it.
_EXACT: Final = 2**53
_LONGEST_INSTANT: Final = 80
_QUOTED: Final = 120  # characters of a value that a reject's detail repeats; its original has them all
# A function of which a device has several is numbered: fLampMonitor_2, lampMonitor3. One and two digits: more is a serial number.
_ORDINAL: Final = re.compile(r"[A-Za-z]+(?:[ _-]?[A-Za-z]+)*[ _-]?0*([2-9]|[1-9][0-9])")
# An instant that says its zone.
_ZONED: Final = re.compile(r".{10}[T ].*(?:Z|[+-]\d{2}:?\d{2})", re.IGNORECASE | re.DOTALL)
# NamedTuple's own constructor is a Python function; rows are many.
new_row: Final = partial(tuple.__new__, ObservationRow)


class Refused(Exception):
    """An entry of which nothing can be stored: its reason, and what people are told."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass
class Scene:
    """What the entries of one message share.

    Attributes:
        batch: what is appended to.
        options: what the feed's contract says.
        received_at: when the broker stored the message, microseconds since 1970.
        shared: device and property that more than one function of the device reports in this message.
        known: attributes by name.
    """

    batch: WireBatch
    options: WireOptions
    received_at: int | None
    shared: frozenset[tuple[str, str]] = frozenset()
    known: dict[str, Attribute] = field(init=False)

    def __post_init__(self) -> None:
        self.known = attributes(tuple(sorted(self.options.units.items())))

    def add(self, *row: Any) -> None:
        """Append an observation: its columns in order."""
        self.batch.observations.append(new_row(row))

    def refuse_value(self, position: int, reason: str, name: str, value: Any, told: str | None = None) -> None:
        """Set one value of an entry aside."""
        text = to_json(value)
        detail = f"{name}: {told or f'{text[:_QUOTED]} {REASONS[reason]}'}"
        self.batch.reject(position, reason, detail, to_json({name: value})[:QUOTED_BYTES], scope="value")


@lru_cache(maxsize=65_536)  # a city's devices and functions, each read again and again
def source_of(address: str) -> tuple[str, str, str]:
    """Return the device, the function and what a property of it is marked with.

    >>> source_of("lamp-7"), source_of("lamp-7/fLampMonitorId_1"), source_of("lamp-7/fLampMonitorId_2")
    (('lamp-7', '', ''), ('lamp-7', 'fLampMonitorId_1', ''), ('lamp-7', 'fLampMonitorId_2', '@fLampMonitorId_2'))
    """
    device, _, function = address.strip().strip("/").partition("/")
    return device, function, f"@{function}" if _ORDINAL.fullmatch(function) else ""


def moment(stated: Any, time_zone: str) -> int | None:
    """Return an instant in microseconds since 1970; None when nothing is stated.

    >>> moment("2026-01-05T07:00:00+01:00", "UTC"), moment("2026-01-05T07:00:00", "Europe/Paris"), moment(None, "UTC")
    (1767592800000000, 1767592800000000, None)

    Raises:
        Refused: it is no instant, or a local time that is two instants or none.
    """
    if stated is None or stated == "":
        return None
    if type(stated) is str and len(stated) <= _LONGEST_INSTANT and "/" not in stated:
        at = zoned(stated)
        if at is None:
            at = _local(stated, time_zone)
        if at is not None:
            return at
    raise Refused("not_an_instant", f"{to_json(stated)[:_QUOTED]} {REASONS['not_an_instant']}")


@lru_cache(maxsize=65_536)  # the messages of one minute repeat their instants
def zoned(stated: str) -> int | None:
    """Return an instant that says its zone in microseconds since 1970; None when it is none, or says no zone."""
    return instant(stated) if len(stated) <= _LONGEST_INSTANT and _ZONED.fullmatch(stated.strip()) else None


@lru_cache(maxsize=4_096)
def _local(stated: str, time_zone: str) -> int | None:
    """Return the instant of a time without zone, in the zone that the contract states."""
    as_utc = instant(stated) if not _ZONED.fullmatch(stated.strip()) else None
    if as_utc is None:
        return None
    zone = zoneinfo.ZoneInfo(time_zone)
    naive = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=as_utc)  # noqa: DTZ001 - a wall clock's time
    found = {naive.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1)}
    if len(found) > 1:
        raise Refused("ambiguous_time", f"{stated} {REASONS['ambiguous_time']}")
    return (found.pop() - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def read_entry(scene: Scene, entry: Any, position: int) -> None:
    """Append what an entry says, or its rejection.

    Args:
        scene: of its message.
        entry: decoded JSON, with `data` or flat.
        position: of the record.
    """
    batch = scene.batch
    before = len(batch.observations), len(batch.rejects)
    try:
        _read(scene, entry, position)
    except Refused as refused:
        del batch.observations[before[0] :], batch.rejects[before[1] :]
        batch.reject(position, refused.reason, refused.detail, quoted_entry(scene, entry))
        return
    if len(batch.observations) == before[0]:
        # Nothing of it is stored: the record is rejected, with its values' reason.
        lost = batch.rejects[before[1] :]
        del batch.rejects[before[1] :]
        reason, detail = (lost[0].reason, lost[0].detail) if lost else ("no_value", REASONS["no_value"])
        batch.reject(position, reason, detail, quoted_entry(scene, entry))


def refuse_nul(element: Any) -> None:
    """Refuse what holds a NUL.

    Raises:
        Refused: it does, somewhere.
    """
    if "\\u0000" in to_json(element):
        raise Refused("nul_character", REASONS["nul_character"])


def data_of(entry: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return what an entry logs, and the instant of what it is wrapped in: `{"cmsRefId": …, "data": {…}}`, or flat."""
    data = entry.get("data")
    return (data, entry.get("timestamp")) if type(data) is dict else (entry, None)


def _read(scene: Scene, entry: Any, position: int) -> None:
    if type(entry) is not dict:
        raise Refused("not_an_entry", f"{to_json(entry)[:_QUOTED]} {REASONS['not_an_entry']}")
    data, outer = data_of(entry)
    kind = data.get("type")
    if kind is None:  # the excerpt's defaults: each kind has members of its own
        kind = ATTRIBUTE if "attributeName" in data else STATE_CHANGE if "command" in data else EVENT if "eventType" in data else None
    if type(kind) is not str or kind not in TYPES:
        raise Refused("unknown_type", f"{to_json(kind)[:_QUOTED]} {REASONS['unknown_type']}")
    name = data.get("attributeName" if kind == ATTRIBUTE else "eventType")
    if type(name) is not str or not name.strip():
        raise Refused("no_name", REASONS["no_name"])
    refuse_nul(entry)
    address = data.get("srcAddress")
    if type(address) is not str or not source_of(address)[0]:
        raise Refused("no_address", REASONS["no_address"])
    if is_too_long(address) or is_too_long(name):
        raise Refused("text_too_long", REASONS["text_too_long"])
    if name in scene.options.personal:
        raise Refused("personal", f"{name}: {REASONS['personal']}")
    stated = data.get("timestamp")
    logged = stated if stated not in (None, "") else outer
    if kind == ATTRIBUTE:
        found = data.get("attributeValue")
        attribute = found if type(found) is dict else {"value": found}
        read_attribute(scene, position, address, name.strip(), attribute, logged)
        return
    at, quality = dated(scene, None, logged)
    device, _, mark = source_of(address)
    event = f"{name.strip()}{mark}"
    if kind == STATE_CHANGE:
        scene.add(position, device, event, at, 1.0, OCCURRED, None, quality, None)
        for member in ("command", "state"):
            if data.get(member) not in (None, "", {}):
                read_value(scene, position, device, f"{event}.{member}", f"{name.strip()}.{member}", data[member], at, quality)
        return
    read_event(scene, position, device, event, data.get("startEndFlag"), data.get("info"), at, quality)
    _logged_with(scene, position, address, event, data.get("attributes"), (at, quality))


def dated(scene: Scene, measured: Any, logged: Any) -> tuple[int, str | None]:
    """Return the instant of a value and its quality: when it was measured, else logged, else arrived (`uncertain`).

    Raises:
        Refused: what is stated cannot be read (another instant does not stand in for it), or nothing is.
    """
    zone = scene.options.time_zone
    at = moment(measured, zone)
    if at is None:
        at = moment(logged, zone)
    if at is not None:
        return at, None
    if scene.received_at is None:
        raise Refused("no_instant", REASONS["no_instant"])
    return scene.received_at, UNCERTAIN


def read_attribute(scene: Scene, position: int, address: str, name: str, attribute: dict[str, Any], logged: Any) -> None:
    """Append the value of an attribute: `{"type": …, "value": …, "timestamp": …}`.

    Raises:
        Refused: it cannot be dated.
    """
    at, quality = dated(scene, attribute.get("timestamp"), logged)
    device, function, mark = source_of(address)
    known = scene.known.get(name)
    prop = known.property if known is not None else name
    if function and not mark and (device, prop) in scene.shared:
        mark = f"@{function}"
    how = PERCENT if known is None and attribute.get("type") == PERCENT_TYPE else None
    read_value(scene, position, device, f"{prop}{mark}", name, attribute.get("value"), at, quality, how)


def read_event(scene: Scene, position: int, device: str, event: str, flag: Any, info: Any, at: int, quality: str | None) -> None:
    """Append an event, and what people are told of it."""
    if flag is None:
        told, value = OCCURRED, 1.0
    elif type(flag) is bool:
        told, value = (START, 1.0) if flag else (STOP, 0.0)
    elif type(flag) is str and flag.lower() in ("true", "false"):  # the model itself writes its default as a text
        told, value = (START, 1.0) if flag.lower() == "true" else (STOP, 0.0)
    else:
        raise Refused("not_an_entry", f"startEndFlag {to_json(flag)[:_QUOTED]} is neither true nor false")
    scene.add(position, device, event, at, value, told, None, quality, None)
    for one in info if type(info) is list else []:
        text = one.get("description") if type(one) is dict else None
        if type(text) is not str or not text.strip():
            continue
        language = one.get("lang")
        prop = f"{event}.info.{language}" if type(language) is str and language and len(info) > 1 else f"{event}.info"
        if is_too_long(text) or is_too_long(prop):
            scene.refuse_value(position, "text_too_long", f"{event}.info", text[:QUOTED_BYTES], REASONS["text_too_long"])
        else:
            scene.add(position, device, prop, at, None, text, None, quality, None)


def _logged_with(scene: Scene, position: int, address: str, event: str, logged: Any, when: tuple[int, str | None]) -> None:
    """Append the attributes that are logged together with an event: `event.tag`, or `event.1` and so on."""
    for number, one in enumerate(logged if type(logged) is list else [], start=1):
        found = one.get("value") if type(one) is dict else None
        tag = one.get("tag") if type(one) is dict else None
        tag = tag.strip() if type(tag) is str and tag.strip() else str(number)
        if tag in scene.options.personal:
            continue
        value, measured = (found["value"], found.get("timestamp")) if type(found) is dict and "value" in found else (found, None)
        other = one.get("srcAddress") if type(one) is dict else None
        source = other if type(other) is str and source_of(other)[0] else address
        try:
            at = moment(measured, scene.options.time_zone)
        except Refused as refused:
            scene.refuse_value(position, refused.reason, f"{event}.{tag}", one, refused.detail)
            continue
        at, quality = (at, None) if at is not None else when
        read_value(scene, position, source_of(source)[0], f"{event}.{tag}", tag, value, at, quality)


def read_value(
    scene: Scene, position: int, device: str, prop: str, name: str, value: Any, at: int, quality: str | None, how: Conversion | None = None
) -> None:
    """Append one value: a number in the lake's unit, a truth value as 1 or 0, a text, or JSON; or set it aside.

    Args:
        scene: of its message.
        position: of the record.
        device: its address.
        prop: what the observation is called.
        name: what the data model or the contract calls the attribute.
        value: decoded JSON.
        at: microseconds since 1970.
        quality: of the instant.
        how: how its numbers convert, where neither the model nor the contract knows the name.
    """
    kind = type(value)
    known = scene.known.get(name)
    how = known.conversion if known is not None else how
    if kind is str and how is not None:  # numbers that some gateways write as texts
        number = number_of(value)
        if number is not None:
            value, kind = number, float
    if is_too_long(prop):
        scene.refuse_value(position, "text_too_long", name[:_QUOTED], None, REASONS["text_too_long"])
    elif kind is float or kind is int:
        if how is None:
            scene.refuse_value(position, "unknown_unit", name, value)
            return
        number = in_lake(value, how)
        if number is None:
            scene.refuse_value(position, "not_a_number", name, str(value)[:_QUOTED])
            return
        digits = str(value) if kind is int and abs(value) > _EXACT else None
        scene.add(position, device, prop, at, number, digits, how.canonical, quality, None)
    elif kind is bool:
        scene.add(position, device, prop, at, 1.0 if value else 0.0, "true" if value else "false", None, quality, None)
    elif value is None or value in ("", [], {}):
        scene.refuse_value(position, "no_value", name, value, REASONS["no_value"])
    else:
        _text(scene, position, device, prop, name, value, at, quality)


def _text(scene: Scene, position: int, device: str, prop: str, name: str, value: Any, at: int, quality: str | None) -> None:
    if type(value) is dict:
        if scene.options.personal.intersection(value):
            value = {k: v for k, v in value.items() if k not in scene.options.personal}
        # Numbers inside a structure (the level of a state) have a unit where the contract says so: `fields: actualLightState.level`.
        for member, inner in value.items():
            if type(inner) in (int, float) and f"{name}.{member}" in scene.known:
                read_value(scene, position, device, f"{prop}.{member}", f"{name}.{member}", inner, at, quality)
    text = value if type(value) is str else to_json(value)
    if is_too_long(text):
        scene.refuse_value(position, "text_too_long", name, text[:_QUOTED], REASONS["text_too_long"])
    else:
        scene.add(position, device, prop, at, None, text, None, quality, None)


def quoted_entry(scene: Scene, entry: Any) -> str | None:
    """Return what a reject quotes of an entry, without what the contract declares personal."""
    personal = scene.options.personal
    if personal and type(entry) is dict:
        name = data_of(entry)[0].get("attributeName")
        if type(name) is str and name in personal:
            return None
        entry = without(entry, personal)
    return to_json(entry)[:QUOTED_BYTES]


def without(value: Any, names: frozenset[str]) -> Any:
    """Return a document without members of these names, and without tagged attributes of these names."""
    if type(value) is list:
        return [without(v, names) for v in value if not (type(v) is dict and type(v.get("tag")) is str and v["tag"] in names)]
    if type(value) is dict:
        return {k: without(v, names) for k, v in value.items() if k not in names}
    return value
