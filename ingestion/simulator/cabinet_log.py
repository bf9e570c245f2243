"""The log of piloted cabinets: doors, breakers, supply, lamps: what their gateway reports to the lighting's management software.

Here: feed `sim-telegestion`, TALQ 2.7 log reports over HTTP, an event each, start and end. Not here: the same failures sample by sample
(`lights`): both tell of one world.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from ingestion.simulator.chance import uniform
from ingestion.simulator.clock import DAY, HOUR, MINUTE, utc_text
from ingestion.simulator.lorawan_text import identifier
from ingestion.simulator.speaker import Property, Speaker, Told
from ingestion.simulator.systems import Message, Scene
from ingestion.simulator.troubles import Law, everyday
from ingestion.simulator.world import World

FEED: Final = "sim-telegestion"
VERSION: Final = "2.7.1"
DOOR: Final = "cabinetDoorOpen"
BREAKER: Final = "circuitBreakerTripped"
SUPPLY: Final = "supplyLoss"
LAMP: Final = "lampFailure"
_EVENTS: Final = (DOOR, BREAKER, SUPPLY, LAMP)
# A door that was not shut, a lock that was forced: once in two years and cabinet; somebody passes within a day or two.
_LAWS: Final = (Law("door-open", DOOR, 0.5, (9 * HOUR, 1.0, 20 * MINUTE, 3 * DAY)),)
# Of what leaves a cabinet dark, what trips its breaker; else the network's own supply is gone.
_TRIPS: Final = 0.6
# Controllers poll their inputs once a minute; a lamp is judged once it should have been burning for two.
_NOTICE: Final = 20
_NOTICE_LAMP: Final = 2 * MINUTE
_SHUT_AFTER: Final = 10 * MINUTE


class Happening(NamedTuple):
    """What a cabinet or a light goes through: the event, when it starts and ends (seconds since 1970), and the scenario it belongs to."""

    entity: int
    event: int
    started: int
    ended: int
    scenario: str | None


class CabinetLog(Speaker):
    """The log of a world's piloted cabinets and their lights."""

    feed = FEED
    properties = tuple(Property(name, texts=("stop", "start"), is_flag=True) for name in _EVENTS)

    def __init__(self, world: World) -> None:
        t = world.territory
        self._cabinets = [int(c) for c in t.remote_cabinets]
        super().__init__(world, [t.cabinets[c].ref for c in self._cabinets] + [t.light_ref(int(i)) for i in t.remote])
        self._of_cabinet = {c: i for i, c in enumerate(self._cabinets)}
        self._of_light = {int(light): len(self._cabinets) + i for i, light in enumerate(t.remote)}
        self._behind = self._cabinets + [int(t.light_cabinet[int(i)]) for i in t.remote]
        self._gateway = identifier(world.seed, "talq-gateway")

    def inventory(self) -> list[dict[str, object]]:
        """Return nothing: cabinets and lights are in the inventory of the lighting."""
        return []

    def take(self, start: int, end: int) -> Told:
        """Return the events of a UTC day."""
        edges = sorted(
            {
                (at, h.entity, h.event, flag)
                for h in self._happenings(start, end)
                for at, flag in ((h.started, 1), (h.ended, 0))
                if start <= at < end
            }
        )
        found = np.array(edges, dtype=np.int64).reshape(-1, 4)
        values = {name: np.where(found[:, 2] == event, found[:, 3].astype(np.float64), np.nan) for event, name in enumerate(_EVENTS)}
        sent = np.array([self._reported(int(entity), int(at)) for at, entity, *_ in edges], dtype=np.int64)
        return Told(found[:, 1], found[:, 0], sent, np.arange(len(found), dtype=np.int64), values)

    def _reported(self, entity: int, at: int) -> int:
        """Return when an event is reported: at once, or when the cabinet's concentrator is back."""
        cabinet = self._behind[entity]
        for _, ended in (*self.world.lost_spans(cabinet, at, at + 1), *self.world.kept_spans(cabinet, at, at + 1)):
            at = max(at, ended + MINUTE)
        return at + 1

    def _happenings(self, start: int, end: int) -> Iterator[Happening]:
        for t in everyday(self.world, FEED, len(self._cabinets), _LAWS, start, end):
            yield Happening(t.asset, 0, t.started, t.ended, None)
        # A door is shut some minutes after its cabinet is repaired.
        for case in self.world.cases(start - HOUR, end):
            x = case.failure
            if not x.is_remote:
                continue
            if x.process == "cabinet-dark":
                entity = self._of_cabinet[x.cabinet]
                yield Happening(entity, 2, x.started + _NOTICE, x.ended + _NOTICE, x.scenario)
                if uniform(self.world.seed, "trips", x.key) < _TRIPS:
                    yield Happening(entity, 1, x.started + _NOTICE, x.ended, x.scenario)
                if case.order is not None and case.order.arrived is not None:
                    yield Happening(entity, 0, case.order.arrived + MINUTE, x.ended + _SHUT_AFTER, x.scenario)
            elif x.process == "lamp-out":
                began = x.started + _NOTICE_LAMP
                for _, lit in self.world.dark_spans(x.cabinet, began, began + 1):
                    began = max(began, lit + _NOTICE_LAMP)
                if began < x.ended:
                    yield Happening(self._of_light[x.light], 3, began, x.ended + _NOTICE_LAMP, x.scenario)

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield every event that lasts in [start, end): what the log says of it, as it happened."""
        for h in sorted(set(self._happenings(start, end)), key=lambda h: (h.started, h.entity, h.event)):
            if h.started < end and h.ended > start:
                yield Scene(FEED, self.refs[h.entity], _EVENTS[h.event], h.started, h.ended, h.started, h.ended, h.scenario)

    def write(self, sent_at: int, told: Told) -> Message:
        """Return a log report of one event."""
        entity, at = int(told.entity[0]), int(told.observed[0])
        name, flag = next((p.name, v) for p in self.properties if not np.isnan(v := float(told.values[p.name][0])))
        data = {
            "type": "EventLogData",
            "eventType": name,
            "srcAddress": self.refs[entity],
            "timestamp": utc_text(at),
            "startEndFlag": bool(flag),
        }
        report = {"address": "journal-armoires", "entries": [{"cmsRefId": "evenements", "timestamp": utc_text(at), "data": data}]}
        request = identifier(self.world.seed, "talq", entity, at, name)
        return Message(
            sent_at,
            FEED,
            None,
            json.dumps(report, separators=(",", ":")).encode(),
            path=f"/talq/{FEED}/log-reports?clientAddress={self._gateway}&talqRequestId={request}",
            headers=(("talq-api-version", VERSION),),
        )
