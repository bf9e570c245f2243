"""Public buildings: warmth, humidity and carbon dioxide of the air in them, as a LoRaWAN sensor in each measures.

Here: feed `sim-batiments`, ChirpStack v4 over MQTT, every quarter of an hour. Not here: electricity (`building_energy`), who comes in
(`access`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Final

import numpy as np

from ingestion.simulator.chance import uniforms, wander
from ingestion.simulator.clock import DAY, HOUR, utc_text
from ingestion.simulator.equipment import equipment
from ingestion.simulator.lorawan_text import battery, behind_gateways, eui, identifier, radio, tags
from ingestion.simulator.nature import temperature_c
from ingestion.simulator.rhythm import OFFICE, OFFICE_OFF, Profile, busy
from ingestion.simulator.speaker import Bools, Floats, Ints, Property, Speaker, Told
from ingestion.simulator.systems import Message
from ingestion.simulator.troubles import FAILURE, LOST, Law, Trouble, everyday
from ingestion.simulator.world import World

FEED: Final = "sim-batiments"
URN: Final = "urn:ngsi-ld:Building:"
_BLOCK: Final = "70B3D5F0A1"
COLD: Final = "heating-off"
# A boiler or a pump that stops: once a year and building, mended within a day or two; nobody says it but the warmth.
_LAWS: Final = (Law(FAILURE, COLD, 1.0, (18 * HOUR, 0.7, 3 * HOUR, 4 * DAY)),)
_COLDER_C: Final = 5.0
# A sensor that lost its network or its cell: every three years, for days.
_SILENT: Final = (Law(LOST, "sensor", 0.33, (2 * DAY, 0.6, 6 * HOUR, 7 * DAY)),)
# Heated by the clock on working days, °C.
_SET_C: Final[Profile] = ((0, 17.4), (5, 17.0), (8, 20.2), (17, 20.8), (21, 18.2), (24, 17.4))
_SET_OFF_C: Final[Profile] = ((0, 16.8), (24, 16.8))
# Outdoors 420 ppm; a full room of an old school is at 1,800.
_OUTDOORS_PPM: Final = 420.0
_FULL_PPM: Final = 1_000.0


class Buildings(Speaker):
    """The buildings of a world, a sensor each."""

    feed = FEED
    properties = (
        Property("air_temperature", "Cel"),
        Property("relative_humidity", "%"),
        Property("co2", "[ppm]"),
        Property("battery_level", "%"),
        Property("rssi", "dBm"),
        Property("snr", "dB"),
    )
    period = 900

    def __init__(self, world: World) -> None:
        self._buildings = equipment(world, "buildings")
        super().__init__(world, [eui(_BLOCK, b.number) for b in self._buildings])
        self._devices = [self._device(number) for number in range(len(self.refs))]
        self._application = identifier(world.seed, "application")

    def inventory(self) -> list[dict[str, object]]:
        """Return the buildings; their sensors are described by what they send."""
        return [b.row(URN + b.code, "building", model="Bâtiment public") for b in self._buildings]

    def troubles(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield heatings that stopped: they show in the warmth alone."""
        yield from everyday(self.world, FEED, len(self.refs), _LAWS, start, end)

    def silences(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield sensors and gateways that are silent."""
        yield from everyday(self.world, FEED, len(self.refs), _SILENT, start, end)
        yield from behind_gateways(self.world, self._buildings, start, end)

    def say(self, entity: Ints, observed: Ints) -> dict[str, Floats]:
        """Return the air of rooms: heated by the clock, warm after hot days, stale where people are."""
        seed, scenarios = self.world.seed, self.world.scenarios
        slots, back = np.unique(observed, return_inverse=True)
        outdoors = temperature_c(self.world, slots)
        # Walls keep the night's coolness, and the heat of the days before.
        mass = np.mean([temperature_c(self.world, slots - h * HOUR) for h in (2, 8, 14, 20, 26)], axis=0)
        free = 0.3 * outdoors + 0.7 * mass + 4
        indoor = np.maximum(busy(observed, _SET_C, _SET_OFF_C), free[back])
        people = busy(observed, OFFICE, OFFICE_OFF) * (1 - 0.9 * scenarios.levels("lockdown", observed))
        crowd = 0.5 + uniforms(seed, "crowd", entity)
        return {
            "air_temperature": np.round(
                indoor + 1.2 * (uniforms(seed, "wing", entity) - 0.5) + 0.4 * wander(seed, "air", entity, observed, HOUR), 1
            ),
            "relative_humidity": np.round(48 + 9 * wander(seed, "damp", entity, observed, 5 * HOUR) - 0.4 * (indoor - 20), 1),
            "co2": np.round(_OUTDOORS_PPM + _FULL_PPM * people * crowd * (0.8 + 0.2 * wander(seed, "room", entity, observed, HOUR))),
            "battery_level": battery(seed, entity, observed),
            **dict(zip(("rssi", "snr"), radio(seed, entity, observed), strict=True)),
        }

    def afflict(self, values: dict[str, Floats], rows: Bools, trouble: Trouble) -> None:  # noqa: ARG002 - one trouble, one effect
        """Cool a building whose heating stopped, never below what the walls keep."""
        column = values["air_temperature"]
        column[rows] = np.round(np.maximum(column[rows] - _COLDER_C, np.minimum(column[rows], 9.0)), 1)

    def message_ids(self, told: Told) -> list[str]:
        """Return the deduplication identifiers of uplinks."""
        return [self._uplink(e, at) for e, at in zip(told.entity.tolist(), told.observed.tolist(), strict=True)]

    def write(self, sent_at: int, told: Told) -> Message:
        """Return an uplink of ChirpStack."""
        entity, at = int(told.entity[0]), int(told.observed[0])
        celsius, humidity, co2, cell, rssi, snr = (float(told.values[p.name][0]) for p in self.properties)
        frame = base64.b64encode(
            int(celsius * 10).to_bytes(2, "big", signed=True)
            + bytes([int(humidity * 2) % 256])
            + int(co2).to_bytes(2, "big")
            + bytes([int(cell)])
        ).decode()
        said = f'{{"temperature":{celsius},"humidity":{humidity},"co2":{int(co2)},"battery":{int(cell)}}}'
        gateway = eui("0016C001F0", self._buildings[entity].gateway).lower()
        body = (
            f'{{"deduplicationId":"{self._uplink(entity, at)}","time":"{utc_text(at)[:-1]}.000000000+00:00",'
            f'"deviceInfo":{self._devices[entity]},"devAddr":"{0x01A00000 + entity:08x}","adr":true,"dr":5,'
            f'"fCnt":{at // self.period % 65_536},"fPort":2,"confirmed":false,"data":"{frame}","object":{said},'
            f'"rxInfo":[{{"gatewayId":"{gateway}","uplinkId":{at % 2**31},"rssi":{int(rssi)},"snr":{snr},"crcStatus":"CRC_OK"}}],'
            '"txInfo":{"frequency":868100000,"modulation":{"lora":{"bandwidth":125000,"spreadingFactor":7,"codeRate":"CR_4_5"}}}}'
        )
        return Message(sent_at, FEED, f"application/{self._application}/device/{self.refs[entity].lower()}/event/up", body.encode())

    def _uplink(self, entity: int, at: int) -> str:
        return identifier(self.world.seed, FEED, entity, at)

    def _device(self, number: int) -> str:
        building = self._buildings[number]
        seed = self.world.seed
        info = {
            "tenantId": identifier(seed, "tenant"),
            "tenantName": "Collectivité",
            "applicationId": identifier(seed, "application"),
            "applicationName": "batiments",
            "deviceProfileId": identifier(seed, "profile"),
            "deviceProfileName": "Sonde d'ambiance CO2",
            "deviceName": f"Sonde {building.code}",
            "devEui": self.refs[number].lower(),
            "tags": tags(building, "indoor_sensor", URN + building.code),
        }
        return json.dumps(info, ensure_ascii=False, separators=(",", ":"))
