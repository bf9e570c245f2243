"""Junctions with signals: their state, the vehicles they count, the buses that ask for priority.

Here: feed `sim-carrefours`, OGC SensorThings over MQTT: an observation a message, its Datastream expanded. Not here: where buses are
(`buses`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from ingestion.simulator.chance import uniforms, wander
from ingestion.simulator.clock import DAY, HOUR, MINUTE, utc_text
from ingestion.simulator.equipment import equipment
from ingestion.simulator.rhythm import Profile, busy, scattered
from ingestion.simulator.speaker import Bools, Floats, Ints, Property, Speaker, Told
from ingestion.simulator.systems import Message
from ingestion.simulator.troubles import FAILURE, LOST, Law, Trouble, everyday, in_storms
from ingestion.simulator.world import World

FEED: Final = "sim-carrefours"
# A controller that falls back to flashing amber: twice in three years; one that loses its supply: every four; its modem: every two months.
_LAWS: Final = (
    Law(FAILURE, "flashing", 0.7, (5 * HOUR, 0.8, 20 * MINUTE, 2 * DAY), in_storm=0.05),
    Law(FAILURE, "dark", 0.25, (100 * MINUTE, 0.7, 20 * MINUTE, DAY), in_storm=0.04),
)
_SILENT: Final = (Law(LOST, "modem", 6.0, (30 * MINUTE, 0.8, 11 * MINUTE, 6 * HOUR)),)
_STATES: Final = ("normal", "flashing", "dark")
# Vehicles of five minutes at the busiest, of a small junction and of a large one.
_VEHICLES: Final = (40.0, 160.0)
# Buses that may ask for priority, of one junction a day; one request in twelve comes too late in the cycle.
_REQUESTS: Final = 130
_TOO_LATE: Final = 1 / 12
_SERVICE: Final[Profile] = (
    (0, 0),
    (5, 0),
    (6, 0.5),
    (7, 1),
    (9, 1),
    (10, 0.6),
    (16, 0.8),
    (18.5, 1),
    (20, 0.4),
    (22, 0.1),
    (23, 0),
    (24, 0),
)
_SERVICE_OFF: Final[Profile] = ((0, 0), (7, 0), (9, 0.4), (19, 0.4), (21, 0), (24, 0))
_COUNT: Final = '"observationType":"http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_CountObservation"'
_CATEGORY: Final = '"observationType":"http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_CategoryObservation"'
_NO_UNIT: Final = '"unitOfMeasurement":{"name":null,"symbol":null,"definition":null}'
# Property, number of its datastream within a junction, title, type.
_STREAMS: Final = {
    "status": (1, "État du carrefour", _CATEGORY),
    "vehicle_count": (2, "Véhicules comptés", _COUNT),
    "bus_priority": (3, "Priorité aux bus", _CATEGORY),
}


class Junctions(Speaker):
    """The junctions of a world."""

    feed = FEED
    properties = (
        Property("status", texts=_STATES),
        Property("vehicle_count", "{count}"),
        Property("bus_priority", texts=("granted", "refused")),
    )
    state = "status"
    words = {"flashing": 1, "dark": 2}  # noqa: RUF012 - a constant of the class, as its base declares it
    period = 300
    tells_changes = True

    def __init__(self, world: World) -> None:
        self._junctions = equipment(world, "junctions")
        super().__init__(world, [f"Things('{j.code}')" for j in self._junctions])

    def inventory(self) -> list[dict[str, object]]:
        """Return the junctions, called as their SensorThings server calls them."""
        return [
            j.row(ref, "junction", model="Contrôleur de carrefour", identity=j.code)
            for j, ref in zip(self._junctions, self.refs, strict=True)
        ]

    def troubles(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield what each junction's controller says of itself."""
        yield from everyday(self.world, FEED, len(self.refs), _LAWS, start, end)
        yield from in_storms(self.world, FEED, len(self.refs), _LAWS, start, end)

    def silences(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield modems that are not heard."""
        yield from everyday(self.world, FEED, len(self.refs), _SILENT, start, end)

    def say(self, entity: Ints, observed: Ints) -> dict[str, Floats]:
        """Return the state, and the vehicles of the five minutes that end."""
        seed, scenarios = self.world.seed, self.world.scenarios
        size = _VEHICLES[0] + (_VEHICLES[1] - _VEHICLES[0]) * uniforms(seed, "junction", entity)
        roads = 1 + 0.3 * scenarios.levels("market-day", observed) - 0.4 * scenarios.levels("storm", observed)
        roads *= 1 - 0.8 * scenarios.levels("lockdown", observed)
        count: Floats = size * busy(observed) * roads * (1 + 0.25 * wander(seed, "traffic", entity, observed, HOUR))
        nothing = np.full(len(entity), np.nan)
        return {"status": np.zeros(len(entity)), "vehicle_count": np.maximum(np.round(count), 0.0), "bus_priority": nothing}

    def take(self, start: int, end: int) -> Told:
        """Return states, counts and requests of a UTC day: a row an observation."""
        grid = super().take(start, end)
        regular = (grid.observed - start) // self.period * self.period == grid.observed - start - self._phase(grid.entity)
        nothing = np.full(len(grid.lot), np.nan)
        states = Told(grid.entity, grid.observed, grid.sent, 4 * grid.lot, {**grid.values, "vehicle_count": nothing})
        counts = Told(grid.entity, grid.observed, grid.sent, 4 * grid.lot + 1, {**grid.values, "status": nothing}).rows(regular)
        return _joined(states, counts, self._requests(start))

    def _phase(self, entity: Ints) -> Ints:
        return entity * self.period // len(self.refs)

    def _requests(self, start: int) -> Told:
        entity, at = scattered(self.world.seed, FEED, start // DAY, len(self.refs), _REQUESTS)
        share = busy(at, _SERVICE, _SERVICE_OFF) * (1 - 0.5 * self.world.scenarios.levels("lockdown", at))
        asked = uniforms(self.world.seed, "bus", entity, at) < share
        answer = (uniforms(self.world.seed, "granted", entity, at) < _TOO_LATE).astype(np.float64)
        nothing = np.full(len(at), np.nan)
        values = {"status": nothing, "vehicle_count": nothing, "bus_priority": answer}
        return Told(entity, at, at + self.latency, 4 * np.arange(len(at), dtype=np.int64) + 2, values).rows(asked)

    def afflict(self, values: dict[str, Floats], rows: Bools, trouble: Trouble) -> None:
        """Say the state where it is said; a dark junction counts nobody, and neither gives way to a bus."""
        said = rows & ~np.isnan(values["status"])
        super().afflict(values, said, trouble)
        if trouble.word == "dark":
            values["vehicle_count"][rows & ~np.isnan(values["vehicle_count"])] = 0.0
        values["bus_priority"][rows & ~np.isnan(values["bus_priority"])] = 1.0

    def message_ids(self, told: Told) -> list[str]:
        """Return the observations' identifiers."""
        return [
            self._identifier(e, at, lot) for e, at, lot in zip(told.entity.tolist(), told.observed.tolist(), told.lot.tolist(), strict=True)
        ]

    def _identifier(self, entity: int, at: int, lot: int) -> str:
        return f"{self._junctions[entity].code}-{at}-{lot % 4}"

    def write(self, sent_at: int, told: Told) -> Message:
        """Return one observation."""
        entity, at = int(told.entity[0]), int(told.observed[0])
        said, value = next((p, v) for p in self.properties if not np.isnan(v := float(told.values[p.name][0])))
        number, title, kind = _STREAMS[said.name]
        code = self._junctions[entity].code
        stream, stamp = 10 * entity + number, utc_text(at)
        result = f'"{said.texts[int(value)]}"' if said.texts else str(int(value))
        body = (
            f'{{"@iot.id":"{self._identifier(entity, at, int(told.lot[0]))}","phenomenonTime":"{stamp}","resultTime":"{stamp}",'
            f'"result":{result},"Datastream":{{"@iot.id":{stream},"name":"{title}",{kind},{_NO_UNIT},'
            f'"ObservedProperty":{{"@iot.id":{number},"name":"{said.name}"}},"Thing":{{"@iot.id":"{code}"}}}}}}'
        )
        return Message(sent_at, FEED, f"v1.1/Datastreams({stream})/Observations", body.encode())


def _joined(*parts: Told) -> Told:
    values = {name: np.concatenate([p.values[name] for p in parts]) for name in parts[0].values}
    entity, observed, sent, lot = (np.concatenate([getattr(p, n) for p in parts]) for n in ("entity", "observed", "sent", "lot"))
    return Told(entity, observed, sent, lot, values)
