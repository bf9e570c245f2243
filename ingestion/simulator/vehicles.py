"""The municipal fleet: what each vehicle does, and where it is, which is personal: it says where its driver is.

Here: feed `sim-flotte`, NGSI-LD over MQTT, every five minutes. Not here: buses (`buses`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from ingestion.simulator import ngsi_text as ngsi
from ingestion.simulator.chance import uniforms, wander
from ingestion.simulator.clock import DAY, HOUR, MINUTE
from ingestion.simulator.equipment import equipment
from ingestion.simulator.rhythm import Profile, busy
from ingestion.simulator.speaker import Floats, Ints, Property, Speaker, Told
from ingestion.simulator.systems import Message
from ingestion.simulator.troubles import FAILURE, LOST, Law, Trouble, everyday
from ingestion.simulator.world import World

FEED: Final = "sim-flotte"
URN: Final = "urn:ngsi-ld:Vehicle:"
# A breakdown a year; a box that loses its network in a valley or an underground depot: every three weeks.
_LAWS: Final = (Law(FAILURE, "broken_down", 1.0, (2 * DAY, 0.7, 4 * HOUR, 7 * DAY)),)
_SILENT: Final = (Law(LOST, "network", 17.0, (40 * MINUTE, 0.8, 12 * MINUTE, 8 * HOUR)),)
# Share of the fleet on the road.
_OUT: Final[Profile] = ((0, 0.02), (5, 0.08), (7, 0.4), (9, 0.7), (11.5, 0.65), (12.5, 0.3), (14, 0.65), (16.5, 0.5), (18, 0.1), (24, 0.02))
_OUT_OFF: Final[Profile] = ((0, 0.02), (7, 0.1), (12, 0.12), (18, 0.04), (24, 0.02))
_REACH_DEG: Final = 0.02  # a round stays within some two kilometres of the depot


class Vehicles(Speaker):
    """The vehicles of a world."""

    feed = FEED
    properties = (Property("status", texts=("parked", "moving", "broken_down")),)
    state = "status"
    words = {"broken_down": 2}  # noqa: RUF012 - a constant of the class, as its base declares it
    period = 300

    def __init__(self, world: World) -> None:
        self._vehicles = equipment(world, "vehicles")
        super().__init__(world, [URN + v.code for v in self._vehicles])
        self._depots = np.array([[v.longitude for v in self._vehicles], [v.latitude for v in self._vehicles]])

    def inventory(self) -> list[dict[str, object]]:
        """Return the vehicles, without a place: it is their driver's."""
        nowhere = {"longitude": None, "latitude": None, "street": None}
        return [v.row(URN + v.code, "vehicle", **{**nowhere, "name": f"Véhicule {v.number + 1}"}) for v in self._vehicles]

    def troubles(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield breakdowns."""
        yield from everyday(self.world, FEED, len(self.refs), _LAWS, start, end)

    def silences(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield lost networks: what was not sent is lost."""
        yield from everyday(self.world, FEED, len(self.refs), _SILENT, start, end)

    def say(self, entity: Ints, observed: Ints) -> dict[str, Floats]:
        """Return who is on the road, a quarter of an hour at a time, and where."""
        share = busy(observed, _OUT, _OUT_OFF) * (1 - 0.5 * self.world.scenarios.levels("lockdown", observed))
        seed = self.world.seed
        return {
            "status": (uniforms(seed, "drives", entity, observed // 900) < share).astype(np.float64),
            # About its depot; no property of the lake: see `properties`.
            "longitude": np.round(self._depots[0][entity] + _REACH_DEG * wander(seed, "east", entity, observed, HOUR), 5),
            "latitude": np.round(self._depots[1][entity] + _REACH_DEG * wander(seed, "north", entity, observed, HOUR), 5),
        }

    def write(self, sent_at: int, told: Told) -> Message:
        """Return one vehicle's entity, with its position."""
        entity, at = int(told.entity[0]), int(told.observed[0])
        status = self.properties[0].texts[int(told.values["status"][0])]
        longitude, latitude = float(told.values["longitude"][0]), float(told.values["latitude"][0])
        place = f'"location":{{"type":"GeoProperty","value":{{"type":"Point","coordinates":[{longitude},{latitude}]}}'
        said = ngsi.property_ld("status", f'"{status}"', at)
        body = f'{{"id":"{self.refs[entity]}","type":"Vehicle",{said},{place},"observedAt":"{ngsi.stamp(at)}"}}}}'
        return Message(sent_at, FEED, f"sim/flotte/{self._vehicles[entity].code}", body.encode())
