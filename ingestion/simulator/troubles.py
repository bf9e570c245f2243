"""What goes wrong with equipment beside the lights: spans drawn by month, storms, the supply of a cabinet, a silent gateway.

Here: when which equipment is in trouble. Not here: what it says of it (each system), lights and papers (`failures`, `cases`).

Nobody writes work orders about this equipment: a trouble ends by itself, after as long as its repair takes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from ingestion.simulator.chance import generator, lognormal, uniform
from ingestion.simulator.clock import DAY, HOUR, MINUTE, at_local
from ingestion.simulator.equipment import Equipment
from ingestion.simulator.failures import months, step
from ingestion.simulator.world import World

FAILURE: Final = "failure"
LOST: Final = "communication-lost"
# No trouble lasts longer: what a window looks back for, and what lets a month be drawn alone.
LONGEST: Final = 8 * DAY
# A LoRaWAN gateway on a mobile network: twice a year, some hours; it keeps what it heard, and sends it within ten minutes.
GATEWAY_PER_YEAR: Final = 2.0
GATEWAY_LASTS: Final = (2 * HOUR, 0.7, 30 * MINUTE, 8 * HOUR)
CATCH_UP: Final = 600
_DAYS_A_YEAR: Final = 365.25


class Law(NamedTuple):
    """How often something happens to one asset, and how long it lasts (seconds: median, spread of the logarithm, least, most)."""

    kind: str
    word: str
    per_year: float
    lasts: tuple[float, float, float, float]
    # The share of it that a storm strikes while it rages.
    in_storm: float = 0.0


class Trouble(NamedTuple):
    """One asset in trouble in [started, ended).

    Attributes:
        asset: its number.
        kind: `failure`, `communication-lost`, or another word of the system's own.
        word: what happened, in the system's words; the system says it, or says nothing.
        started, ended: seconds since 1970.
        scenario: the scenario it belongs to.
        keeps: of a loss of communication, whether what was observed is sent later.
    """

    asset: int
    kind: str
    word: str
    started: int
    ended: int
    scenario: str | None = None
    keeps: bool = False


def everyday(world: World, feed: str, count: int, laws: Sequence[Law], start: int, end: int) -> Iterator[Trouble]:
    """Yield what happens by itself to `count` assets of a feed and is under way in [start, end)."""
    for law in laws:
        for year, month in months(start - LONGEST, end):
            first = dt.date(year, month, 1)
            days = (dt.date(*step((year, month), 1), 1) - first).days
            chance = generator(world.seed, "trouble", feed, law.word, year, month)
            hits = np.flatnonzero(chance.random(count) < -np.expm1(-law.per_year * days / _DAYS_A_YEAR))
            for asset, (when, long) in zip(hits.tolist(), chance.random((len(hits), 2)).tolist(), strict=True):
                began = at_local(first) + int(when * days * DAY)
                trouble = Trouble(asset, law.kind, law.word, began, began + _lasts(long, law.lasts))
                if trouble.started < end and trouble.ended > start:
                    yield trouble


def in_storms(world: World, feed: str, count: int, laws: Sequence[Law], start: int, end: int) -> Iterator[Trouble]:
    """Yield what storms do to `count` assets of a feed and is under way in [start, end): at least one asset is struck by each."""
    for law in laws:
        if law.in_storm == 0:
            continue
        for storm in world.scenarios.active(start - LONGEST, end, "storm"):
            began, calm = storm.phase("rising")[0], storm.phase("calming")[0]
            draws = [uniform(world.seed, "storm", feed, law.word, storm.start, asset) for asset in range(count)]
            bar = max(law.in_storm, min(draws) + 1e-9)
            for asset in (n for n, u in enumerate(draws) if u < bar):
                when = uniform(world.seed, "storm-when", feed, law.word, storm.start, asset)
                long = uniform(world.seed, "storm-long", feed, law.word, storm.start, asset)
                at = began + int(when * (calm - began))
                trouble = Trouble(asset, law.kind, law.word, at, at + _lasts(long, law.lasts), "storm")
                if trouble.started < end and trouble.ended > start:
                    yield trouble


def without_supply(world: World, equipment: Sequence[Equipment], start: int, end: int) -> Iterator[Trouble]:
    """Yield when what hangs on lighting cabinets has no supply because its cabinet is dark."""
    for e in equipment:
        if e.cabinet >= 0:
            for began, ended, scenario in world.dark_causes(e.cabinet, start, end):
                yield Trouble(e.number, LOST, "supply", began, ended, scenario)


def gateway_silences(world: World, start: int, end: int) -> Iterator[Trouble]:
    """Yield when LoRaWAN gateways are silent (`asset` is the gateway's number); what they hear is sent later."""
    law = (Law(LOST, "gateway", GATEWAY_PER_YEAR, GATEWAY_LASTS),)
    for t in everyday(world, "gateways", world.preset.stock.gateways, law, start, end):
        yield t._replace(keeps=True)
    for scenario in world.scenarios.active(start, end, "gateway-out"):
        # The first gateway: it hears at least one device of a small town too.
        began, ended = scenario.phase("silent")
        if began < end and ended > start:
            yield Trouble(0, LOST, "gateway", began, ended, "gateway-out", keeps=True)


def _lasts(u: float, law: tuple[float, float, float, float]) -> int:
    median, sigma, least, most = law
    return int(min(max(lognormal(u, median, sigma), least), most, LONGEST))
