"""LoRaWAN uplinks: which names mean what, and why something is refused.

Here: the declared lists that decoding follows, each with its reason. Not here: reading (`lorawan_rows`).
"""

from __future__ import annotations

from typing import Final

from ingestion.formats import wire_json

REASONS: Final[dict[str, str]] = {
    # records
    **wire_json.REASONS,
    "empty": "the message holds no event",
    "too_many": "the message holds more events than a message may",
    "not_an_event": "is no event of a device: neither ChirpStack v4 (`deviceInfo`) nor The Things Stack v3 (`end_device_ids`) writes it so",
    "invalid_event": "a member has not the type that the platform gives it",
    "unknown_event": "the device's event is of no kind that is known: neither its topic nor its members say which",
    "no_device": "nothing says which device: no DevEUI of sixteen hexadecimal digits, no device identifier",
    "no_value": "nothing of the event is a value",
    # records and values
    "no_instant": "nothing says when: neither the event nor the arrival",
    "not_an_instant": "is no instant between 1900 and 2100 with its zone",
    # values
    "no_decoded_payload": (
        "the device's payload was not decoded: set a codec in its device profile (ChirpStack), "
        "or an uplink payload formatter for it or its application (The Things Stack)"
    ),
    "encrypted": "the payload is still encrypted: the platform is told to skip payload crypto for this device",
    "not_an_object": "what the codec returned is no JSON object",
    "not_a_number": "is a number past a double",
    "too_many_values": "a frame has at most 242 bytes, and no real codec makes that many values of it",
    "text_too_long": "a text of more than 32 KiB, or a name of more than 4,096 characters",
    "not_a_day": "is no day written as 2026-01-31",
    "no_name": "a value without a name",
    "invalid_geometry": "no WGS84 longitude and latitude",
}

# Objects inside a codec's object become `a.b.c`; what lies deeper (LoRa Cloud's answers have four levels) is JSON text.
FLATTEN_DEPTH: Final = 4
# A LoRaWAN frame has at most 242 bytes of payload; a datalogger's codec makes some 100 values of it.
MAX_VALUES: Final = 1_000
# What the platform measures itself; a codec's value of the same name is `object.rssi`.
RADIO: Final = frozenset({"rssi", "snr"})
# Tags (ChirpStack) and attributes (The Things Stack) that fill the asset's column of the same name.
ASSET_TAGS: Final = frozenset(
    ("asset_type", "parent_ref", "commune", "street", "longitude", "latitude", "installed_on", "model", "owner_authority", "identity")
)

# --- ChirpStack v4
CHIRPSTACK_EVENTS: Final = frozenset(("up", "join", "ack", "txack", "log", "status", "location", "integration"))

# --- The Things Stack v3: the member that tells the kind of message, and the state of the downlink that it reports
DOWNLINKS: Final = {
    "downlink_ack": "acknowledged",
    "downlink_nack": "not_acknowledged",
    "downlink_sent": "sent",
    "downlink_failed": "failed",
    "downlink_queued": "queued",
    "downlink_queue_invalidated": "invalidated",
}
# Normalized payload (TheThingsNetwork/lorawan-devices, lib/payload.json): path to property and unit, which the schema fixes. What it
# holds besides (later versions add metering, motion, position) keeps its path, and takes the unit that the contract states.
NORMALIZED: Final[dict[str, tuple[str, str]]] = {
    "air.temperature": ("air_temperature", "Cel"),
    "air.relativeHumidity": ("relative_humidity", "%"),
    "air.pressure": ("atmospheric_pressure", "hPa"),
    "air.co2": ("co2", "[ppm]"),
    "air.lightIntensity": ("illuminance", "lx"),
    "wind.speed": ("wind_speed", "m/s"),
    "wind.direction": ("wind_direction", "deg"),
    "soil.depth": ("soil_depth", "cm"),
    "soil.moisture": ("soil_moisture", "%"),
    "soil.temperature": ("soil_temperature", "Cel"),
    "soil.ec": ("soil_conductivity", "mS/cm"),  # stated in dS/m, which is mS/cm
    "soil.pH": ("soil_ph", "[pH]"),
    "soil.n": ("soil_nitrogen", "[ppm]"),
    "soil.p": ("soil_phosphorus", "[ppm]"),
    "soil.k": ("soil_potassium", "[ppm]"),
}
# What the platform states with a unit of its own, and of which it therefore says more than a codec.
STATED: Final = frozenset(name for name, _ in NORMALIZED.values()) | {"longitude", "latitude", "altitude", "location_accuracy"}
