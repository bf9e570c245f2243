"""LoRaWAN uplinks: an event of ChirpStack v4 to rows.

Here: which event it is, and what becomes of it. Not here: rows (`lorawan_rows`), messages (`lorawan`).
"""

from __future__ import annotations

from ingestion.formats.lorawan_message import ChirpStackEvent, DeviceInfo, is_stated
from ingestion.formats.lorawan_names import CHIRPSTACK_EVENTS, REASONS
from ingestion.formats.lorawan_rows import DeviceRows, eui
from ingestion.formats.wire import WireBatch, WireOptions

_NOBODY = DeviceInfo()


def read_event(
    event: ChirpStackEvent, position: int, batch: WireBatch, *, received_at: int | None, topic: str | None, options: WireOptions
) -> str | None:
    """Append what an event says, and return why it says nothing: a reason, None when all is well.

    Args:
        event: decoded JSON.
        position: of the record.
        batch: what is appended to.
        received_at: when the broker stored it, microseconds since 1970, UTC.
        topic: where it was sent: it names the event and the device.
        options: what the feed's contract says.
    """
    info = event.device_info or _NOBODY
    ref = eui(info.dev_eui if info.dev_eui is not None else _segment(topic, "device"))
    if ref is None:
        return "no_device"
    kind = named_event(topic) or _kind(event)
    if kind is None:
        return "unknown_event"
    rows = DeviceRows(ref, position, batch, options)
    if event.time:
        stated: tuple[str | None, ...] = (event.time,)
    else:
        heard = event.rx_info or ()
        stated = (*(r.gw_time for r in heard), *(r.ns_time for r in heard))
    if not rows.date(stated, received_at):
        batch.reject(position, *rows.undated)
        return rows.undated[0]
    rows.message_id = event.deduplication_id or (event.context or {}).get("deduplication_id") or event.queue_item_id
    _READ[kind](event, rows)
    if event.device_info is not None:
        rows.asset(info.device_name, info.device_profile_name, ref, info.tags or {}, None)
    return None


def named_event(topic: str | None) -> str | None:
    """Return the event that a topic or the query of a webhook names.

    >>> named_event("application/1/device/0101010101010101/event/up"), named_event("ingest/capteurs?event=join"), named_event("a.json")
    ('up', 'join', None)
    """
    if topic is None:
        return None
    path, _, query = topic.partition("?")
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        if name == "event" and value in CHIRPSTACK_EVENTS:
            return value
    found = _segment(path, "event")
    return found if found in CHIRPSTACK_EVENTS else None


def _segment(topic: str | None, before: str) -> str | None:
    """Return what follows a segment of a topic: `…/device/<devEui>/event/<kind>`."""
    if topic is None:
        return None
    parts = topic.partition("?")[0].split("/")
    return parts[parts.index(before) + 1] if before in parts[:-1] else None


def _kind(event: ChirpStackEvent) -> str | None:
    """Return which event it is by its members, in the order that tells them apart: a file says it nowhere else."""
    if event.integration_name is not None or event.event_type is not None:
        return "integration"
    if event.downlink_id is not None:
        return "txack"
    if event.queue_item_id is not None or event.acknowledged is not None:
        return "ack"
    if event.rx_info is not None or is_stated(event.object) or event.data is not None or event.tx_info is not None:
        return "up"
    if event.location is not None:
        return "location"
    if event.code is not None or event.description is not None or event.level is not None:
        return "log"
    if event.margin is not None or event.battery_level is not None or event.battery_level_unavailable or event.external_power_source:
        return "status"
    return "join" if event.dev_addr is not None else None


def _up(event: ChirpStackEvent, rows: DeviceRows) -> None:
    if is_stated(event.object):
        if rows.codec(event.object) == 0 and event.data and bytes(event.object) == b"{}":
            rows.refuse("object", "no_decoded_payload", {"fPort": event.f_port, "data": event.data})
    elif event.data:
        rows.refuse("object", "no_decoded_payload", {"fPort": event.f_port, "data": event.data})
    modulation = event.tx_info.modulation if event.tx_info is not None else None
    rows.radio([(r.rssi, r.snr) for r in event.rx_info or ()], is_lora=modulation is not None and modulation.lora is not None)


def _join(event: ChirpStackEvent, rows: DeviceRows) -> None:
    rows.keep("join", 1.0, event.dev_addr or "true")


def _ack(event: ChirpStackEvent, rows: DeviceRows) -> None:
    rows.keep("downlink", None, "acknowledged" if event.acknowledged else "not_acknowledged")


def _txack(_event: ChirpStackEvent, rows: DeviceRows) -> None:
    rows.keep("downlink", None, "sent")


def _log(event: ChirpStackEvent, rows: DeviceRows) -> None:
    rows.keep("log.level", None, event.level or "INFO")
    rows.keep("log.code", None, event.code or "UNKNOWN")
    if event.description:
        rows.keep("log.description", None, event.description)


def _status(event: ChirpStackEvent, rows: DeviceRows) -> None:
    # ChirpStack makes 0 to 100 % of 1 to 254: an absent level is not 0 but unknown, or external power.
    if event.battery_level is not None and not event.battery_level_unavailable:
        rows.keep("battery_level", event.battery_level, None, "%")
    rows.keep("external_power", *((1.0, "true") if event.external_power_source else (0.0, "false")))
    rows.keep("margin", event.margin or 0.0, None, "dB")


def _location(event: ChirpStackEvent, rows: DeviceRows) -> None:
    if event.location is None:
        rows.refuse("location", "invalid_geometry", None, f"location: {REASONS['invalid_geometry']}")
        return
    rows.place(event.location)


def _integration(event: ChirpStackEvent, rows: DeviceRows) -> None:
    prefix = ".".join(filter(None, (event.integration_name, event.event_type)))
    if is_stated(event.object):
        rows.codec(event.object, f"{prefix}." if prefix else "")


_READ = {
    "up": _up,
    "join": _join,
    "ack": _ack,
    "txack": _txack,
    "log": _log,
    "status": _status,
    "location": _location,
    "integration": _integration,
}
