"""Car parks: how many places are free, as their guidance system tells.

Here: feed `sim-parkings`, NGSI-LD notifications over HTTP, every five minutes. Not here: bollards (`bollards`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from ingestion.simulator import ngsi_text as ngsi
from ingestion.simulator.chance import uniform, wander
from ingestion.simulator.clock import DAY, HOUR
from ingestion.simulator.equipment import equipment
from ingestion.simulator.rhythm import Profile, busy
from ingestion.simulator.speaker import Bools, Floats, Ints, Property, Speaker, Told
from ingestion.simulator.systems import Message
from ingestion.simulator.troubles import FAILURE, Law, Trouble, everyday
from ingestion.simulator.world import World

FEED: Final = "sim-parkings"
URN: Final = "urn:ngsi-ld:OffStreetParking:"
# A counting loop or a barrier that fails: two years in three.
_LAWS: Final = (Law(FAILURE, "faulty", 0.66, (10 * HOUR, 0.8, HOUR, 4 * DAY)),)
CLOSED: Final = "closed"
# The river reaches the lowest car parks at two thirds of the crest.
FLOODS_AT: Final = 0.65
# Share of places taken, on working days and on others.
_TAKEN: Final[Profile] = (
    *((0, 0.18), (6, 0.2), (8, 0.55), (10, 0.85), (12, 0.8), (14, 0.82), (16, 0.88), (18, 0.65), (20, 0.4)),
    (24, 0.18),
)
_TAKEN_OFF: Final[Profile] = ((0, 0.2), (8, 0.2), (11, 0.5), (13, 0.4), (16, 0.75), (19, 0.45), (24, 0.2))
_LEAST_PLACES: Final = 60
_MORE_PLACES: Final = 540


class CarParks(Speaker):
    """The car parks of a world."""

    feed = FEED
    properties = (Property("status", texts=("open", "faulty", CLOSED)), Property("free_places", "1"), Property("capacity", "1"))
    state = "status"
    words = {"faulty": 1, CLOSED: 2}  # noqa: RUF012 - a constant of the class, as its base declares it
    period = 300
    tells_changes = True
    latency = 2

    def __init__(self, world: World) -> None:
        self._parks = equipment(world, "car_parks")
        super().__init__(world, [URN + p.code for p in self._parks])
        self._capacity = np.array(
            [_LEAST_PLACES + 10 * int(uniform(world.seed, "places", p.number) * _MORE_PLACES / 10) for p in self._parks], dtype=np.float64
        )

    def inventory(self) -> list[dict[str, object]]:
        """Return the car parks."""
        return [p.row(URN + p.code, "car_park", model=f"{int(c)} places") for p, c in zip(self._parks, self._capacity, strict=True)]

    def troubles(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield failed counts, and those that a flood closes."""
        yield from everyday(self.world, FEED, len(self.refs), _LAWS, start, end)
        for began, ended in flooded(self.world, start, end):
            for p in self._parks:
                if p.is_by_river:
                    yield Trouble(p.number, CLOSED, CLOSED, began, ended, "flood")

    def say(self, entity: Ints, observed: Ints) -> dict[str, Floats]:
        """Return the free places: daily life, a busy market, an empty town."""
        scenarios, seed = self.world.scenarios, self.world.seed
        taken = busy(observed, _TAKEN, _TAKEN_OFF)
        taken += 0.1 * wander(seed, "parked", entity, observed, 3 * HOUR) + 0.03 * wander(seed, "cars", entity, observed, 600)
        market = scenarios.levels("market-day", observed)
        taken = np.maximum(taken, market * (0.97 + 0.04 * wander(seed, "market", entity, observed, 1_200)))
        # What is left are the neighbours' cars.
        taken *= 1 - 0.8 * scenarios.levels("lockdown", observed)
        capacity = self._capacity[entity]
        free = np.round(capacity * (1 - np.clip(taken, 0.02, 1.0)))
        return {"status": np.zeros(len(entity)), "free_places": free, "capacity": capacity}

    def afflict(self, values: dict[str, Floats], rows: Bools, trouble: Trouble) -> None:
        """Say the state: what is closed has no free place, what cannot count says none."""
        super().afflict(values, rows, trouble)
        values["free_places"][rows] = np.where(values["status"][rows] == self.words[CLOSED], 0.0, np.nan)

    def write(self, sent_at: int, told: Told) -> Message:
        """Return a notification about one car park."""
        entity, at = int(told.entity[0]), int(told.observed[0])
        status, free, capacity = (float(told.values[p.name][0]) for p in self.properties)
        parts = [ngsi.property_ld("status", f'"{self.properties[0].texts[int(status)]}"', at)]
        if not np.isnan(free):
            parts.append(ngsi.property_ld("availableSpotNumber", str(int(free)), at))
        parts.append(ngsi.property_ld("totalSpotNumber", str(int(capacity)), at))
        body = f'{{"id":"{self.refs[entity]}","type":"OffStreetParking",{",".join(parts)}}}'
        number = f"{self._parks[entity].code}-{at}"
        return Message(sent_at, FEED, None, ngsi.notification_ld("parkings", number, at, [body]), content_type="application/ld+json")


def flooded(world: World, start: int, end: int) -> list[tuple[int, int]]:
    """Return when floods stand where the lowest streets are, in [start, end)."""
    found = []
    for s in world.scenarios.active(start, end, "flood"):
        (_, rises, full), (_, _, falls), (_, _, over) = s.spans()
        began = rises + int(FLOODS_AT * (full - rises))
        ended = falls + int((1 - FLOODS_AT) * (over - falls))
        if began < end and ended > start:
            found.append((began, ended))
    return found
