"""Electricity: what each cabinet takes, and what its meter says each half hour.

Here: power over time, readings and when they arrive. Not here: what was to be expected of it (`truth`).

Power is a sum of rectangles (from, until, watts): exact over any interval.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from ingestion.simulator import behaviour as b
from ingestion.simulator.chance import generator
from ingestion.simulator.clock import DAY, HOUR, at_local, local_days, sun
from ingestion.simulator.failures import Failure
from ingestion.simulator.presets import Preset
from ingestion.simulator.territory import Cabinet
from ingestion.simulator.world import World

FEED: Final = "sim-compteurs"
Span = tuple[float, float]
Rectangle = tuple[float, float, float]
STEP: Final = b.READING
_SLOTS: Final = DAY // STEP
Ints = npt.NDArray[np.int64]


def minus(spans: list[Span], holes: list[Span]) -> list[Span]:
    """Return what is left of spans without holes.

    >>> minus([(0, 10)], [(2, 3), (8, 12)])
    [(0, 2), (3, 8)]
    """
    left = spans
    for start, end in holes:
        cut = []
        for a, z in left:
            if end <= a or start >= z:
                cut.append((a, z))
                continue
            cut += [(x, y) for x, y in ((a, start), (end, z)) if x < y]
        left = cut
    return left


def common(spans: list[Span], others: list[Span]) -> list[Span]:
    """Return what spans share with others (which do not overlap each other)."""
    return [(max(a, c), min(z, d)) for a, z in spans for c, d in others if max(a, c) < min(z, d)]


def lit_spans(preset: Preset, cabinet: Cabinet, day: dt.date, *, with_switch: bool = True) -> list[Span]:
    """Return when a cabinet is switched on within a local day: two ends of the night, without its extinction.

    Args:
        preset: where the sun rises and sets.
        cabinet: its regime and how its switch deviates.
        day: the local day.
        with_switch: without it, as the sun commands.
    """
    midnight, after = at_local(day), at_local(day + dt.timedelta(days=1))
    rises, sets = sun(preset.latitude, preset.longitude, day)
    if with_switch:
        rises, sets = rises + cabinet.switch_off_s, sets + cabinet.switch_on_s
    regime = cabinet.regime
    dark: list[Span] = [(midnight, rises), (sets, after)]
    if regime.off_from is None or regime.off_until is None:
        return dark
    off, on = at_local(day, *regime.off_from), at_local(day, *regime.off_until)
    return minus(dark, [(off, on)] if off < on else [(midnight, on), (off, after)])


def rectangles(world: World, number: int, start: int, end: int, failures: list[Failure]) -> list[Rectangle]:
    """Return the power a cabinet takes in [start, end): rectangles (from, until, watts), some of them negative.

    Args:
        world: the world.
        number: the cabinet's.
        start: seconds since 1970.
        end: likewise.
        failures: those of this cabinet and of what hangs on it that are under way in [start, end).
    """
    cabinet = world.territory.cabinets[number]
    power = cabinet.commanded_w * cabinet.power_factor
    window: list[Span] = [(start, end)]
    lit = common([s for day in local_days(start, end) for s in lit_spans(world.preset, cabinet, day)], window)
    dark: list[Span] = [(x.started, x.ended) for x in failures if x.process == "cabinet-dark"]
    idle = b.CABINET_IDLE_W + b.LIGHT_IDLE_W * cabinet.remote_lights
    found = [(a, z, idle) for a, z in minus(window, dark)]
    lit_now = minus(lit, dark)
    found += [(a, z, power) for a, z in lit_now]
    for x in failures:
        own: list[Span] = [(x.started, x.ended)]
        if x.process == "lamp-out":
            share = float(world.territory.light_power_w[x.light]) / cabinet.rated_w
            found += [(a, z, -power * share) for a, z in common(lit_now, own)]
        elif x.process == "day-burner":
            share = 1.0 if x.feeder < 0 else world.territory.feeders[x.feeder].rated_w / cabinet.rated_w
            found += [(a, z, power * share) for a, z in minus(common(minus(window, lit), own), dark)]
        elif x.process == "drift":
            found += [(a, z, power * x.factor) for a, z in common(lit_now, own)]
    return found


def energy_wh(found: list[Rectangle], start: float, end: float) -> float:
    """Return the energy of rectangles within [start, end), watt hours."""
    return sum(watts * max(0.0, min(z, end) - max(a, start)) for a, z, watts in found) / HOUR


def by_cabinet(world: World, start: int, end: int) -> dict[int, list[Failure]]:
    """Return the failures of [start, end) that change what cabinets take, by cabinet."""
    found: dict[int, list[Failure]] = {}
    for case in world.cases(start, end):
        if case.failure.process in ("lamp-out", "cabinet-dark", "day-burner", "drift"):
            found.setdefault(case.failure.cabinet, []).append(case.failure)
    return found


@dataclass(frozen=True)
class Readings:
    """Readings in the order they arrive; columns of equal length: number of the cabinet, start (s), Wh, sent (s)."""

    meter: npt.NDArray[np.int32]
    start: Ints
    energy_wh: Ints
    sent: Ints


class Meters:
    """The meters of a world: one per cabinet, half-hours of UTC."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._read = lru_cache(maxsize=4)(self._read_day)

    def windows(self, start: int, end: int) -> Iterator[Readings]:
        """Yield the readings that arrive in [start, end), UTC day by UTC day."""
        for day in range(start // DAY, (end - 1) // DAY + 1):
            yield self._window(max(start, day * DAY), min(end, (day + 1) * DAY))

    def _window(self, start: int, end: int) -> Readings:
        # A reading of the day before may be late by 20 hours after its last half hour: nothing is older than that.
        parts = [self._read(day) for day in (start // DAY - 1, start // DAY)]
        columns = [np.concatenate([getattr(p, name) for p in parts]) for name in ("meter", "start", "energy_wh", "sent")]
        inside = np.flatnonzero((columns[3] >= start) & (columns[3] < end))
        order = inside[np.argsort(columns[3][inside], kind="stable")]
        return Readings(*(c[order] for c in columns))

    def true_wh(self, day: int) -> npt.NDArray[np.float64]:
        """Return the energy of each half hour of a UTC day (rows) and cabinet (columns), watt hours."""
        start, end = day * DAY, (day + 1) * DAY
        failures = by_cabinet(self._world, start, end)
        rows, cabinets = [], []
        for number in range(len(self._world.territory.cabinets)):
            own = rectangles(self._world, number, start, end, failures.get(number, []))
            rows += own
            cabinets += [number] * len(own)
        found = np.array(rows, dtype=np.float64)
        edges = start + np.arange(_SLOTS) * float(b.READING)
        shared = np.minimum(found[:, 1:2], edges + b.READING) - np.maximum(found[:, 0:1], edges)
        energy = np.clip(shared, 0, None) * found[:, 2:3] / HOUR
        total = np.zeros((len(self._world.territory.cabinets), _SLOTS))
        np.add.at(total, np.array(cabinets), energy)
        return np.maximum(total.T, 0.0)

    def values(self, day: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Return what the meters show for each half hour of a UTC day, whole watt hours, and which readings are ever sent."""
        missing = self._chance(day)[0] < b.READING_MISSING
        return np.rint(self.true_wh(day)).astype(np.int64), ~missing

    def _chance(self, day: int) -> npt.NDArray[np.float64]:
        return generator(self._world.seed, "readings", day).random((3, _SLOTS, len(self._world.territory.cabinets)))

    def _read_day(self, day: int) -> Readings:
        value, is_sent = self.values(day)
        _, late, twice = self._chance(day)
        count = value.shape[1]
        begin = np.broadcast_to(day * DAY + np.arange(_SLOTS, dtype=np.int64)[:, None] * b.READING, value.shape)
        # Concentrators pass their readings on one after another, within ten minutes.
        sent = begin + b.READING + np.arange(count, dtype=np.int64)[None, :] * 600 // count
        sent += np.where(late < b.READING_LATE, 60 + late / b.READING_LATE * b.READING_LATE_MOST, 0).astype(np.int64)
        meter = np.broadcast_to(np.arange(count, dtype=np.int32), value.shape)
        again = is_sent & (twice < b.READING_TWICE)
        columns = [np.concatenate([c[is_sent], c[again]]) for c in (meter, begin, value)]
        arrived = np.concatenate([sent[is_sent], sent[again] + 30 + (twice[again] / b.READING_TWICE * 600).astype(np.int64)])
        order = np.argsort(arrived, kind="stable")
        return Readings(columns[0][order], columns[1][order], columns[2][order], arrived[order])
