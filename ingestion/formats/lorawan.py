"""LoRaWAN uplinks as ChirpStack v4 and The Things Stack v3 send them: a message to its events.

Here: messages (one event, arrays, lines of the storage integration), bounds, personal members taken out. Not here: JSON (`wire_json`),
what an event says (`lorawan_chirpstack`, `lorawan_things`).

`decode` follows `ingestion.formats.wire.Decoder`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ingestion.formats.lorawan_chirpstack import read_event
from ingestion.formats.lorawan_message import THINGS_MARK, read_chirpstack, read_things
from ingestion.formats.lorawan_names import REASONS
from ingestion.formats.lorawan_things import read_message
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES, Unreadable, read_json, reject_unreadable
from ingestion.formats.wire_personal import without_personal
from ingestion.formats.wire_values import to_json

# Members that say of which device, and what: twice in a message, a slower reader tells whether one object holds them twice.
_DEVICE: Final = b'"devEui"'
_OBJECT: Final = b'"object"'
_DEVICE_THINGS: Final = b'"dev_eui"'
_OBJECT_THINGS: Final = b'"decoded_payload"'
# How ChirpStack begins nearly all of its events: it spares looking for the mark of the other platform.
_CHIRPSTACK_BEGINS: Final = b'{"deduplicationId"'


def decode(
    payload: bytes,
    batch: WireBatch,
    *,
    after: int,
    received_at: int | None,
    topic: str | None = None,
    options: WireOptions,
) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`).

    >>> batch = WireBatch()
    >>> event = b'{"time": "2026-11-22T05:00:00Z", "deviceInfo": {"devEui": "70b3d57ed005b89a"}, "object": {"distance": 812}}'
    >>> decode(event, batch, after=0, received_at=0, options=WireOptions(units={"distance": "mm"}))
    1
    >>> batch.observations[0].asset_ref, batch.observations[0].property, batch.observations[0].value, batch.observations[0].unit
    ('70B3D57ED005B89A', 'distance', 0.812, 'm')
    """
    is_things = not payload.startswith(_CHIRPSTACK_BEGINS) and THINGS_MARK in payload
    device, values = (_DEVICE_THINGS, _OBJECT_THINGS) if is_things else (_DEVICE, _OBJECT)
    if (
        payload[:1] == b"{"
        and len(payload) <= options.max_bytes
        and not options.personal
        and payload.count(device) <= 1
        and payload.count(values) <= 1
        and _event(payload, after + 1, batch, is_things=is_things, received_at=received_at, topic=topic, options=options, is_whole=True)
    ):
        return 1
    try:
        document = read_json(payload, options)
    except Unreadable as error:
        return reject_unreadable(batch, after, error, payload, options)
    document = without_personal(document, options.personal)
    events = document if type(document) is list else [document]
    problem = "empty" if not events else "too_many" if len(events) > options.max_records else None
    if problem is not None:
        batch.reject(after + 1, problem, f"{len(events)} events: {REASONS[problem]}", to_json(document)[:QUOTED_BYTES])
        return 1
    for position, found in enumerate(events, start=after + 1):
        event = _inside(found)
        if type(event) is not dict:
            batch.reject(position, "not_an_event", REASONS["not_an_event"], to_json(found)[:QUOTED_BYTES])
            continue
        again = msgspec.json.encode(event)
        is_things = "end_device_ids" in event
        if not _event(again, position, batch, is_things=is_things, received_at=received_at, topic=topic, options=options):
            batch.reject(position, "invalid_event", _why(again, is_things=is_things), again.decode()[:QUOTED_BYTES])
    return len(events)


def _inside(found: Any) -> Any:
    """Return the event of what The Things Stack wraps it in, else what was found.

    The storage integration answers `{"result": {…}}`, a line an uplink; the console and the event stream write
    `{"name": "as.up.data.forward", "identifiers": […], "data": {…}}`.
    """
    if type(found) is not dict or "end_device_ids" in found:
        return found
    if set(found) == {"result"}:
        return found["result"]
    data = found.get("data")
    return data if type(data) is dict and "end_device_ids" in data else found


def _event(
    payload: bytes,
    position: int,
    batch: WireBatch,
    *,
    is_things: bool,
    received_at: int | None,
    topic: str | None,
    options: WireOptions,
    is_whole: bool = False,
) -> bool:
    """Append what an event says, at least a row or a reject; return whether its members have the types they must.

    `is_whole`: it is a whole message, which may be no event itself but hold some.
    """
    before = len(batch.observations), len(batch.assets), len(batch.rejects)
    try:
        if is_things:
            reason = read_message(read_things(payload), position, batch, received_at=received_at, options=options)
        else:
            reason = read_event(read_chirpstack(payload), position, batch, received_at=received_at, topic=topic, options=options)
    except (ValueError, RecursionError):  # msgspec.DecodeError, its ValidationError and UnicodeDecodeError are ValueErrors
        del batch.observations[before[0] :], batch.assets[before[1] :], batch.rejects[before[2] :]
        return False
    if reason is None and (len(batch.observations), len(batch.assets)) != before[:2]:
        return True
    if is_whole and reason == "no_device":  # the event may stand one level deeper
        return False
    # Nothing of it is stored: the record is rejected, with its values' reason where they share one.
    lost = batch.rejects[before[2] :]
    del batch.rejects[before[2] :]
    if reason is None or any(r.reason == reason for r in lost):
        reasons = {r.reason for r in lost}
        reason = reasons.pop() if len(reasons) == 1 else "no_value"
    detail = next((r.detail for r in lost if r.reason == reason), REASONS[reason])
    if reason == "no_device" and not is_things and b'"deviceInfo"' not in payload:
        reason, detail = "not_an_event", REASONS["not_an_event"]
    batch.reject(position, reason, detail, payload[:QUOTED_BYTES].decode("utf-8", "replace").replace("\0", "\ufffd"))
    return True


def _why(payload: bytes, *, is_things: bool) -> str:
    try:
        (read_things if is_things else read_chirpstack)(payload)
    except (ValueError, RecursionError) as error:
        return f"{REASONS['invalid_event']}: {error}"
    return REASONS["invalid_event"]
