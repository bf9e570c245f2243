"""What is sent, message by message: the bytes, by which feed, to which topic, and when.

Here: all feeds of a world merged into one row of messages. Not here: sending them (`live`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from ingestion.simulator import lights, meters
from ingestion.simulator.clock import HOUR, utc_text
from ingestion.simulator.records import Records
from ingestion.simulator.systems import Message
from ingestion.simulator.town import systems
from ingestion.simulator.world import World

CONTEXT: Final = "https://raw.githubusercontent.com/smart-data-models/dataModel.Streetlighting/master/context.jsonld"
# Messages are made an hour at a time: 2,170 lights are 9,000 messages, a few megabytes.
_AT_ONCE: Final = HOUR


class Wire:
    """The messages of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._speakers = lights.Speakers(world)
        self._meters = meters.Meters(world)
        self._records = Records(world)
        self._systems = systems(world)

    def messages(self, start: int, end: int) -> Iterator[Message]:
        """Yield every message sent in [start, end), seconds since 1970, in the order they are sent.

        Two windows that meet give together what one window over both gives.
        """
        for at in range(start, end, _AT_ONCE):
            until = min(at + _AT_ONCE, end)
            found = [*self._lights(at, until), *self._readings(at, until), *self._papers(at, until)]
            for system in self._systems.values():
                found += system.messages(at, until)
            yield from sorted(found, key=lambda m: (m.sent_at, m.feed))

    def _lights(self, start: int, end: int) -> Iterator[Message]:
        refs, count = self._speakers.refs, self._speakers.lights
        for s in self._speakers.windows(start, end):
            for entity, value, observed, sent in zip(
                s.entity.tolist(), s.value.tolist(), s.observed.tolist(), s.sent.tolist(), strict=True
            ):
                yield Message(
                    sent, lights.FEED, _topic(refs[entity]), entity_json(refs[entity], entity < count, lights.VALUES[value], observed)
                )

    def _readings(self, start: int, end: int) -> Iterator[Message]:
        cabinets = self._world.territory.cabinets
        for r in self._meters.windows(start, end):
            for meter, begin, energy, sent in zip(r.meter.tolist(), r.start.tolist(), r.energy_wh.tolist(), r.sent.tolist(), strict=True):
                ref = cabinets[meter].meter_ref
                yield Message(sent, meters.FEED, f"sim/compteurs/{ref}", _bytes(reading_json(ref, begin, energy)))

    def _papers(self, start: int, end: int) -> Iterator[Message]:
        for sent in self._records.windows(start, end):
            for s in sent:
                yield Message(s.at, s.feed, None, _bytes(s.message))


def entity_json(ref: str, is_light: bool, value: str, observed: int) -> bytes:  # noqa: FBT001 - a light or a cabinet, there is no third
    """Return the NGSI-LD entity a light or a cabinet sends: normalised, one property.

    Written by hand: 60 million of them are the same but for four words, none of which needs escaping.
    """
    kind, name = ("Streetlight", "status") if is_light else ("StreetlightControlCabinet", "powerState")
    return (
        f'{{"id":"{ref}","type":"{kind}","{name}":{{"type":"Property","value":"{value}","observedAt":"{utc_text(observed)}"}},'
        f'"@context":["{CONTEXT}"]}}'
    ).encode()


def reading_json(meter_ref: str, begin: int, energy_wh: int) -> dict[str, Any]:
    """Return a reading as a metering concentrator sends it: a point of a load curve, in the words of Enedis's R63."""
    return {
        "idPrm": meter_ref,
        "grandeurMetier": "CONS",
        "grandeurPhysique": "EA",
        "unite": "Wh",
        "d": utc_text(begin),
        "p": "PT30M",
        "v": str(energy_wh),
        "n": "B",
    }


def _topic(ref: str) -> str:
    return f"sim/eclairage/{ref.rsplit(':', 1)[1]}/etat"


def _bytes(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


__all__ = ["CONTEXT", "Message", "Wire", "entity_json", "reading_json"]
