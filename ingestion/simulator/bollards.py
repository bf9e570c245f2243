"""Access bollards: raised or lowered, and how many vehicles passed.

Here: feed `sim-bornes`, NGSI-LD over MQTT, every quarter of an hour and at each change. Not here: car parks (`car_parks`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from ingestion.simulator import ngsi_text as ngsi
from ingestion.simulator.car_parks import flooded
from ingestion.simulator.chance import uniforms
from ingestion.simulator.clock import DAY, HOUR
from ingestion.simulator.equipment import equipment
from ingestion.simulator.rhythm import Profile, busy
from ingestion.simulator.speaker import Bools, Floats, Ints, Property, Speaker, Told
from ingestion.simulator.systems import Message
from ingestion.simulator.troubles import FAILURE, Law, Trouble, everyday
from ingestion.simulator.world import World

FEED: Final = "sim-bornes"
URN: Final = "urn:ngsi-ld:AccessBollard:"
CLOSED: Final = "closed"
# Hydraulics and loops under wheels and frost: twice a year and site.
_LAWS: Final = (Law(FAILURE, "fault", 2.0, (7 * HOUR, 0.9, HOUR, 4 * DAY)),)
# Deliveries: lowered from six to ten on working days.
_LOWERED: Final[Profile] = ((0, 0), (5.999, 0), (6, 1), (10, 1), (10.001, 0), (24, 0))
_NEVER: Final[Profile] = ((0, 0), (24, 0))
# Vehicles of a quarter of an hour at its busiest.
_PASSAGES: Final = 14.0


class Bollards(Speaker):
    """The sites of bollards of a world."""

    feed = FEED
    properties = (Property("status", texts=("raised", "lowered", "fault")), Property("passages", "1"))
    state = "status"
    words = {"fault": 2}  # noqa: RUF012 - a constant of the class, as its base declares it
    period = 900
    tells_changes = True

    def __init__(self, world: World) -> None:
        self._sites = equipment(world, "bollards")
        super().__init__(world, [URN + s.code for s in self._sites])

    def inventory(self) -> list[dict[str, object]]:
        """Return the sites."""
        return [s.row(URN + s.code, "bollard", model="Borne escamotable") for s in self._sites]

    def troubles(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield faults, and the sites that a flood keeps raised: nobody drives there."""
        yield from everyday(self.world, FEED, len(self.refs), _LAWS, start, end)
        for began, ended in flooded(self.world, start, end):
            for s in self._sites:
                if s.is_by_river:
                    yield Trouble(s.number, CLOSED, CLOSED, began, ended, "flood")

    def say(self, entity: Ints, observed: Ints) -> dict[str, Floats]:
        """Return the state and the passages of the quarter of an hour that ends."""
        lowered = busy(observed, _LOWERED, _NEVER)
        mean = _PASSAGES * busy(observed) * (0.4 + 0.6 * lowered) * (1 - 0.85 * self.world.scenarios.levels("lockdown", observed))
        passages = np.floor(2 * mean * uniforms(self.world.seed, "passages", entity, observed))
        return {"status": lowered, "passages": passages}

    def afflict(self, values: dict[str, Floats], rows: Bools, trouble: Trouble) -> None:
        """Say the fault; where the river stands it is raised, and nobody passes."""
        if trouble.word == CLOSED:
            values["status"][rows] = np.where(values["status"][rows] == self.words["fault"], values["status"][rows], 0.0)
        else:
            super().afflict(values, rows, trouble)
        values["passages"][rows] = 0.0

    def write(self, sent_at: int, told: Told) -> Message:
        """Return one site's entity."""
        entity, at = int(told.entity[0]), int(told.observed[0])
        status, passages = int(told.values["status"][0]), int(told.values["passages"][0])
        said = f"{ngsi.property_ld('status', _text(status), at)},{ngsi.property_ld('passages', str(passages), at)}"
        body = f'{{"id":"{self.refs[entity]}","type":"AccessBollard",{said}}}'
        return Message(sent_at, FEED, f"sim/bornes/{self._sites[entity].code}", body.encode())


def _text(status: int) -> str:
    return f'"{Bollards.properties[0].texts[status]}"'
