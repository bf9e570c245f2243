"""LoRaWAN uplinks: a message of The Things Stack v3 to rows.

Here: which message it is, and what becomes of it. Not here: rows (`lorawan_rows`), messages (`lorawan`).
"""

from __future__ import annotations

from ingestion.formats.lorawan_message import DeviceIds, ThingsMessage, Uplink, is_stated
from ingestion.formats.lorawan_names import DOWNLINKS, NORMALIZED
from ingestion.formats.lorawan_rows import DeviceRows, eui, moment
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_values import to_json

_NOBODY = DeviceIds()
_SIMULATED = "simulated"
_OTHERS = ("location_solved", "service_data", *DOWNLINKS)
_NO_VALUES = (b"", b"null", b"{}")


def read_message(message: ThingsMessage, position: int, batch: WireBatch, *, received_at: int | None, options: WireOptions) -> str | None:
    """Append what a message says, and return why it says nothing: a reason, None when all is well.

    Args:
        message: decoded JSON.
        position: of the record.
        batch: what is appended to.
        received_at: when the broker stored it, microseconds since 1970, UTC.
        options: what the feed's contract says.
    """
    ids = message.end_device_ids or _NOBODY
    code = eui(ids.dev_eui)
    ref = code
    if ref is None and ids.device_id:  # a device activated by personalization may have no DevEUI
        ref = "@".join(filter(None, (ids.device_id, ids.application_ids.application_id if ids.application_ids is not None else None)))
    if ref is None:
        return "no_device"
    rows = DeviceRows(ref, position, batch, options)
    uplink = message.uplink_message or message.uplink_normalized
    inner = uplink or message.join_accept
    if inner is None and all(getattr(message, member) is None for member in _OTHERS):
        return "unknown_event"
    # The network server's clock before the application server's. A gateway's own may be wrong by years, and is not asked.
    if not rows.date((inner.received_at if inner is not None else None, message.received_at), received_at):
        batch.reject(position, *rows.undated)
        return rows.undated[0]
    if message.simulated:
        rows.quality = _SIMULATED
    ids_of_message = message.correlation_ids or ()
    rows.message_id = next((c for c in ids_of_message if c.startswith("as:up:")), ids_of_message[0] if ids_of_message else None)
    if uplink is not None:
        _uplink(uplink, rows)
        version = uplink.version_ids
        model = " ".join(filter(None, (version.brand_id, version.model_id))) if version is not None else None
        user = (uplink.locations or {}).get("user")
        rows.asset(ids.device_id, model, code, uplink.attributes or {}, (user.longitude, user.latitude) if user is not None else None)
        return None
    _event(message, rows)
    return None


def _uplink(uplink: Uplink, rows: DeviceRows) -> None:
    if uplink.session_key_id:
        # The frame itself: the same whichever integration delivers it, and however often.
        rows.message_id = f"{uplink.session_key_id}:{uplink.f_cnt}"
    found, since = 0, len(rows.batch.observations)
    if is_stated(uplink.decoded_payload):
        found += rows.codec(uplink.decoded_payload)
    if is_stated(uplink.normalized_payload):
        found = rows.normalized(uplink.normalized_payload, NORMALIZED, since)
    if uplink.frm_payload and found == 0 and bytes(uplink.decoded_payload) in _NO_VALUES:
        reason = "encrypted" if is_stated(uplink.app_s_key) else "no_decoded_payload"
        rows.refuse("decoded_payload", reason, {"f_port": uplink.f_port, "frm_payload": uplink.frm_payload})
    for name, warnings in (
        ("decoded_payload_warnings", uplink.decoded_payload_warnings),
        ("normalized_payload_warnings", uplink.normalized_payload_warnings),
    ):
        if warnings:
            rows.keep(name, None, to_json(warnings))
    data_rate = uplink.settings.data_rate if uplink.settings is not None else None
    heard = [(r.rssi if r.rssi is not None else r.channel_rssi, r.snr) for r in uplink.rx_metadata or ()]
    rows.radio(heard, is_lora=data_rate is not None and data_rate.lora is not None)
    for service, place in (uplink.locations or {}).items():
        if service != "user":  # what the device or a solver finds out; `user` is where it was installed, and describes the asset
            rows.place(place, since)
            break
    _battery(uplink, rows)


def _battery(uplink: Uplink, rows: DeviceRows) -> None:
    """Append the last battery status: it repeats in each uplink, and is one observation at its own instant."""
    battery = uplink.last_battery_percentage
    if battery is None:
        return
    at, message_id = rows.at, rows.message_id
    rows.at = moment(battery.received_at) if battery.received_at else None
    rows.message_id = None
    if rows.at is None:
        rows.refuse("battery_level", "not_an_instant", battery.received_at or "")
    else:
        rows.keep("battery_level", battery.value, None, "%")
    rows.at, rows.message_id = at, message_id


def _event(message: ThingsMessage, rows: DeviceRows) -> None:
    """Append what a message other than an uplink says."""
    if message.join_accept is not None:
        address = message.end_device_ids.dev_addr if message.end_device_ids is not None else None
        rows.keep("join", 1.0, address or "true")
    solved = message.location_solved
    if solved is not None and solved.location is not None:
        rows.place(solved.location)
    service = message.service_data
    if service is not None and is_stated(service.data):
        rows.codec(service.data, f"{service.service}." if service.service else "")
    for member, state in DOWNLINKS.items():
        downlink = getattr(message, member)
        if downlink is not None:
            rows.keep("downlink", None, state)
            if downlink.error is not None:
                rows.keep("downlink.error", None, downlink.error.message_format or downlink.error.name or "unknown")
