"""Cameras of video protection: whether each works and is reached, as their management system tells. Never a picture.

Here: feed `sim-cameras`, NGSIv2 notifications over HTTP, every quarter of an hour and at each change. Not here: the network (`network`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from ingestion.simulator import ngsi_text as ngsi
from ingestion.simulator.clock import DAY, HOUR, MINUTE
from ingestion.simulator.equipment import equipment
from ingestion.simulator.speaker import Bools, Floats, Ints, Property, Speaker, Told
from ingestion.simulator.systems import Message
from ingestion.simulator.troubles import FAILURE, LOST, Law, Trouble, everyday, in_storms, without_supply
from ingestion.simulator.world import World

FEED: Final = "sim-cameras"
URN: Final = "urn:ngsi-ld:Camera:"
# A lens that fogs, a motor that jams, a dome that is broken: every fourteen months; the network every four.
_LAWS: Final = (
    Law(FAILURE, "defective", 0.85, (9 * HOUR, 1.0, 40 * MINUTE, 6 * DAY), in_storm=0.04),
    Law(LOST, "link", 3.0, (50 * MINUTE, 0.9, 18 * MINUTE, DAY), in_storm=0.12),
)


class Cameras(Speaker):
    """The cameras of a world."""

    feed = FEED
    properties = (Property("status", texts=("ok", "defective", "unreachable")), Property("reachable", is_flag=True))
    state = "status"
    words = {"defective": 1, "link": 2, "supply": 2}  # noqa: RUF012 - a constant of the class, as its base declares it
    period = 900
    together = 24
    tells_changes = True
    latency = 2

    def __init__(self, world: World) -> None:
        self._cameras = equipment(world, "cameras")
        super().__init__(world, [URN + c.code for c in self._cameras])

    def inventory(self) -> list[dict[str, object]]:
        """Return the cameras; one that hangs on a lighting mast has its cabinet as parent."""
        cabinets = self.world.territory.cabinets
        return [
            c.row(URN + c.code, "camera", model="Dôme IP PTZ", parent_ref=None if c.cabinet < 0 else cabinets[c.cabinet].ref)
            for c in self._cameras
        ]

    def troubles(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield defects, lost links, and what a dark cabinet takes along."""
        yield from everyday(self.world, FEED, len(self.refs), _LAWS, start, end)
        yield from in_storms(self.world, FEED, len(self.refs), _LAWS, start, end)
        yield from without_supply(self.world, self._cameras, start, end)

    def say(self, entity: Ints, observed: Ints) -> dict[str, Floats]:
        """Return that all is well."""
        return {"status": np.zeros(len(entity)), "reachable": np.ones(len(observed))}

    def afflict(self, values: dict[str, Floats], rows: Bools, trouble: Trouble) -> None:
        """Say the state; one that is not reached cannot be told to be defective."""
        super().afflict(values, rows, trouble)
        values["reachable"][rows] = np.where(values["status"][rows] == self.words["link"], 0.0, 1.0)

    def write(self, sent_at: int, told: Told) -> Message:
        """Return a notification."""
        texts = self.properties[0].texts
        entities = [
            ngsi.normalized_v2(
                self.refs[entity],
                "Camera",
                f"{ngsi.attribute_v2('status', 'Text', _quoted(texts[int(status)]), at)},"
                f"{ngsi.attribute_v2('reachable', 'Boolean', 'true' if reachable else 'false', at)}",
            )
            for entity, at, status, reachable in zip(
                told.entity.tolist(), told.observed.tolist(), told.values["status"].tolist(), told.values["reachable"].tolist(), strict=True
            )
        ]
        return Message(sent_at, FEED, None, ngsi.notification_v2("5f8a3c0e9d1b2a7c4e6f0102", entities))


def _quoted(text: str) -> str:
    return f'"{text}"'
