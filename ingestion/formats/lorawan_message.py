"""LoRaWAN uplinks: the members that are read of an event of ChirpStack v4 and of a message of The Things Stack v3.

Here: their shapes, as types that the JSON library fills in one pass. Not here: what becomes of them (`lorawan_chirpstack`,
`lorawan_things`).

Both platforms write protobuf as JSON: a member that is absent has its type's zero (`false`, 0, "").
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

# A member kept as bytes for a later look cannot be None as well: absent it is empty, and null its four letters.
ABSENT: Final = Raw()
_NOTHING: Final = (b"", b"null")


def is_stated(raw: Raw) -> bool:
    """Whether a member is there, and not null."""
    return bytes(raw) not in _NOTHING


class Place(Struct):
    """A position, WGS84 degrees; altitude and accuracy in metres."""

    latitude: float = 0.0
    longitude: float = 0.0
    altitude: float | None = None
    accuracy: float | None = None
    source: str | None = None


class LoRa(Struct):
    """That the modulation is LoRa; with what parameters is not read."""


class Modulation(Struct):
    """How the frame was sent: `lora` is there when it was LoRa (else FSK, LR-FHSS), whose absent SNR is 0 dB."""

    lora: LoRa | None = None


# --- ChirpStack v4 (api/proto/integration/integration.proto)


class DeviceInfo(Struct, rename="camel"):
    """Which device, and what its profile and its owner say of it."""

    dev_eui: str | None = None
    device_name: str | None = None
    device_profile_name: str | None = None
    tags: dict[str, str] | None = None


class Reception(Struct, rename="camel"):
    """How one gateway heard a frame: dBm, dB."""

    rssi: float | None = None
    snr: float | None = None
    gw_time: str | None = None
    ns_time: str | None = None


class Transmission(Struct):
    """How the frame was sent."""

    modulation: Modulation | None = None


class ChirpStackEvent(Struct, rename="camel"):
    """Any event of a device: the members of all kinds together."""

    deduplication_id: str | None = None
    time: str | None = None
    device_info: DeviceInfo | None = None
    dev_addr: str | None = None
    # up
    f_port: int = 0
    data: str | None = None
    object: Raw = ABSENT
    rx_info: list[Reception] | None = None
    tx_info: Transmission | None = None
    # status
    margin: float | None = None
    battery_level: float | None = None
    battery_level_unavailable: bool = False
    external_power_source: bool = False
    # log
    level: str | None = None
    code: str | None = None
    description: str | None = None
    context: dict[str, str] | None = None
    # ack, txack
    queue_item_id: str | None = None
    acknowledged: bool | None = None
    downlink_id: int | None = None
    # location, integration
    location: Place | None = None
    integration_name: str | None = None
    event_type: str | None = None


# --- The Things Stack v3 (api/ttn/lorawan/v3/messages.proto)


class ApplicationIds(Struct):
    """Which application."""

    application_id: str | None = None


class DeviceIds(Struct):
    """Which device: an identifier within an application, and the DevEUI where it is known."""

    device_id: str | None = None
    application_ids: ApplicationIds | None = None
    dev_eui: str | None = None
    dev_addr: str | None = None


class RxMetadata(Struct):
    """How one antenna of one gateway heard a frame: dBm, dB."""

    rssi: float | None = None
    channel_rssi: float | None = None
    snr: float | None = None


class Settings(Struct):
    """How the frame was sent."""

    data_rate: Modulation | None = None


class VersionIds(Struct):
    """Brand and model of a device of the Device Repository."""

    brand_id: str | None = None
    model_id: str | None = None


class Battery(Struct):
    """The battery as the device last answered (DevStatusAns), percent."""

    value: float = 0.0
    received_at: str | None = None


class Uplink(Struct):
    """`uplink_message` and `uplink_normalized`."""

    session_key_id: str | None = None
    f_port: int = 0
    f_cnt: int = 0
    frm_payload: str | None = None
    decoded_payload: Raw = ABSENT
    decoded_payload_warnings: list[str] | None = None
    # A list of measurements in an uplink; one measurement in a message of its own (`uplink_normalized`).
    normalized_payload: Raw = ABSENT
    normalized_payload_warnings: list[str] | None = None
    rx_metadata: list[RxMetadata] | None = None
    settings: Settings | None = None
    received_at: str | None = None
    app_s_key: Raw = ABSENT
    last_battery_percentage: Battery | None = None
    locations: dict[str, Place] | None = None
    version_ids: VersionIds | None = None
    attributes: dict[str, str] | None = None


class JoinAccept(Struct):
    """`join_accept`."""

    session_key_id: str | None = None
    received_at: str | None = None


class Failure(Struct):
    """Why a downlink failed."""

    name: str | None = None
    message_format: str | None = None


class Downlink(Struct):
    """Any message about a downlink; the failed one wraps its error."""

    error: Failure | None = None


class LocationSolved(Struct):
    """`location_solved`."""

    service: str | None = None
    location: Place | None = None


class ServiceData(Struct):
    """`service_data`: what an integration (LoRa Cloud…) says of the device."""

    service: str | None = None
    data: Raw = ABSENT


class ThingsMessage(Struct):
    """Any message of a device: one of the last members is there."""

    end_device_ids: DeviceIds | None = None
    correlation_ids: list[str] | None = None
    received_at: str | None = None
    simulated: bool = False
    uplink_message: Uplink | None = None
    uplink_normalized: Uplink | None = None
    join_accept: JoinAccept | None = None
    downlink_ack: Downlink | None = None
    downlink_nack: Downlink | None = None
    downlink_sent: Downlink | None = None
    downlink_failed: Downlink | None = None
    downlink_queued: Downlink | None = None
    downlink_queue_invalidated: Downlink | None = None
    location_solved: LocationSolved | None = None
    service_data: ServiceData | None = None


read_chirpstack: Final = msgspec.json.Decoder(ChirpStackEvent).decode
read_things: Final = msgspec.json.Decoder(ThingsMessage).decode
# What only a message of The Things Stack holds: it tells the platforms apart before anything is parsed.
THINGS_MARK: Final = b'"end_device_ids"'
