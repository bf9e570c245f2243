"""Doors and alarms of public buildings: who badges in, what the intrusion alarm says. The badge is personal.

Here: feed `sim-acces`, JSON over HTTP, an event each. Not here: the air of the buildings (`buildings`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import numpy as np

from ingestion.simulator.buildings import URN
from ingestion.simulator.chance import uniforms
from ingestion.simulator.clock import DAY, HOUR, MINUTE, local_text
from ingestion.simulator.equipment import equipment
from ingestion.simulator.rhythm import Profile, busy, scattered
from ingestion.simulator.speaker import Ints, Property, Speaker, Told
from ingestion.simulator.systems import Message, Scene
from ingestion.simulator.troubles import LOST, Law, Trouble, everyday
from ingestion.simulator.world import World

FEED: Final = "sim-acces"
INTRUSION: Final = "intrusion"
# Most come in before nine and after lunch.
_COME: Final[Profile] = (
    (0, 0.004),
    (6, 0.02),
    (7.5, 0.6),
    (8.5, 1.0),
    (9.5, 0.35),
    (12, 0.1),
    (13.5, 0.8),
    (14.5, 0.2),
    (18, 0.05),
    (24, 0.004),
)
_COME_OFF: Final[Profile] = ((0, 0.004), (9, 0.02), (18, 0.02), (24, 0.004))
# Badges of one building a day, at most, and those that a door refuses: forgotten, expired, another building's.
_BADGES: Final = 160
_REFUSED: Final = 0.03
_PEOPLE: Final = 900  # who have a badge
# An alarm that goes off: wind, a cleaner, a burglar: every four months and building, silenced within the hour.
_LAWS: Final = (Law(INTRUSION, INTRUSION, 3.0, (22 * MINUTE, 0.6, 4 * MINUTE, 3 * HOUR), in_storm=0.0),)
# A controller of doors without network keeps what happened; it is sent when it is back.
_SILENT: Final = (Law(LOST, "controller", 1.0, (2 * HOUR, 0.7, 10 * MINUTE, 8 * HOUR)),)
_GRANTED, _DENIED = 0, 1
_ALARM, _CALM = 0, 1
# How the controllers write it.
_RESULTS: Final = ("ACCEPTE", "REFUSE")
_ALARMS: Final = ("DECLENCHEE", "FIN")


class Access(Speaker):
    """The doors and alarms of a world's buildings."""

    feed = FEED
    properties = (Property("access", texts=("granted", "denied")), Property(INTRUSION, texts=("alarm", "calm")))

    def __init__(self, world: World) -> None:
        self._buildings = equipment(world, "buildings")
        super().__init__(world, [URN + b.code for b in self._buildings])

    def inventory(self) -> list[dict[str, object]]:
        """Return nothing: the buildings are described by `buildings`."""
        return []

    def silences(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield controllers without network: what they keep is sent later."""
        for t in everyday(self.world, FEED, len(self.refs), _SILENT, start, end):
            yield t._replace(keeps=True)

    def troubles(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield alarms."""
        yield from everyday(self.world, FEED, len(self.refs), _LAWS, start, end)

    def afflict(self, *_: object) -> None:
        """Change nothing: an alarm is an event of its own."""

    def take(self, start: int, end: int) -> Told:
        """Return the events of a UTC day: people who come in, alarms that go off and end."""
        # One badge of a building a second at most, and alarms at odd seconds: an instant tells one event.
        entity, at = scattered(self.world.seed, FEED, start // DAY, len(self.refs), _BADGES)
        share = busy(at, _COME, _COME_OFF) * (1 - 0.85 * self.world.scenarios.levels("lockdown", at))
        comes = uniforms(self.world.seed, "comes", entity, at) < share
        lots = np.arange(len(at), dtype=np.int64)
        refused = uniforms(self.world.seed, "refused", entity, at) < _REFUSED
        badge = np.where(refused, _DENIED, _GRANTED).astype(np.float64)
        alarms = sorted(
            {
                (t | 1, x.asset, code)
                for x in self.troubles(start, end)
                for t, code in ((x.started, _ALARM), (x.ended, _CALM))
                if start <= (t | 1) < end
            }
        )
        more = np.array(alarms, dtype=np.int64).reshape(-1, 3)
        entities, observed = np.concatenate([entity[comes], more[:, 1]]), np.concatenate([at[comes], more[:, 0]])
        nothing = np.full(len(more), np.nan), np.full(int(comes.sum()), np.nan)
        values = {
            "access": np.concatenate([badge[comes], nothing[0]]),
            INTRUSION: np.concatenate([nothing[1], more[:, 2].astype(np.float64)]),
        }
        lot = np.concatenate([lots[comes], len(lots) + np.arange(len(more))])
        return Told(entities, observed, observed + 1, lot, values)

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield alarms, which are told as they happen, and silent controllers."""
        for t in sorted(set(self.troubles(start, end))):
            yield Scene(FEED, self.refs[t.asset], t.kind, t.started, t.ended, t.started | 1, t.ended | 1, t.scenario)
        for t in sorted(set(self.silences(start, end))):
            yield Scene(FEED, self.refs[t.asset], t.kind, t.started, t.ended, None, None, t.scenario)

    def message_ids(self, told: Told) -> list[str]:
        """Return the controllers' event numbers."""
        return [self._event(e, at) for e, at in zip(told.entity.tolist(), told.observed.tolist(), strict=True)]

    def write(self, sent_at: int, told: Told) -> Message:
        """Return an event as an access controller tells it."""
        entity, at = int(told.entity[0]), int(told.observed[0])
        building, access = self._buildings[entity], float(told.values["access"][0])
        event: dict[str, object] = {"id": self._event(entity, at), "site": self.refs[entity], "horodatage": local_text(at)}
        if np.isnan(access):
            event |= {"type": "INTRUSION", "resultat": _ALARMS[int(told.values[INTRUSION][0])], "zone": f"Z{1 + at % 4}"}
        else:
            event |= {
                "type": "BADGE",
                "resultat": _RESULTS[int(access)],
                "lecteur": f"{building.code}-P{1 + at // 2 % 3}",
                "badge": self._badge(entity, at),
            }
        return Message(sent_at, FEED, None, json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())

    def _event(self, entity: int, at: int) -> str:
        return f"{self._buildings[entity].code}-{at}"

    def _badge(self, entity: int, at: int) -> str:
        person: Ints = np.array([entity], dtype=np.int64)
        u = uniforms(self.world.seed, "badge", person, np.array([at], dtype=np.int64))[0]
        return f"B-{1 + int(u * _PEOPLE):05d}"
