"""Nature: what the weather and the rivers are at any place and instant, whoever measures it.

Here: physical quantities as pure functions of (world, instants). Not here: instruments and what they say (`weather`, `rivers`,
`building_energy`, `warnings`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ingestion.simulator.chance import uniform
from ingestion.simulator.clock import DAY, HOUR
from ingestion.simulator.world import World

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_YEAR: Final = 365.2425 * DAY
# Normals of the plains of north-eastern France: 11.3 °C over the year, 3.5 in January, 20 in July; coldest in mid-January.
_MEAN_C: Final = 11.3
_SEASON_C: Final = 8.3
_COLDEST: Final = 15 * DAY
# Nine degrees between the small hours and the afternoon, in the mean of the year, coldest at 5:00 UTC.
_DAILY_C: Final = 4.5
_WARMEST_AT: Final = 14 * HOUR
_FRONTS_C: Final = 7.0  # warm and cold spells of some days
_GUSTS_C: Final = 0.6
# A heat wave of the level that is warned of in orange: days past 36 °C, nights that do not fall under 20.
_HEAT_WAVE_C: Final = 14.0
# Rain falls an hour in eight, 700 mm a year; a storm's band brings 12 mm/h.
_RAIN_FROM: Final = 0.7
_RAIN_MM_H: Final = 6.0
_STORM_MM_H: Final = 12.0
_FLOOD_MM_H: Final = 1.5
_WIND_MEAN: Final = 3.2
_STORM_WIND: Final = 21.0


def smooth(seed: int, at: Ints, period: int, *key: str | int) -> Floats:
    """Return a quantity that wanders between -1 and 1, a new value each `period` seconds, smooth between two.

    Args:
        seed: the world's.
        at: instants, seconds since 1970 (any shape).
        period: seconds between two drawn values.
        key: what it is about.
    """
    knot = at // period
    first = int(knot.min()) if at.size else 0
    last = int(knot.max()) + 1 if at.size else 0
    drawn = np.array([2 * uniform(seed, "smooth", *key, k) - 1 for k in range(first, last + 1)])
    share = (at % period) / period
    ease = share * share * (3 - 2 * share)
    found: Floats = drawn[knot - first] * (1 - ease) + drawn[np.minimum(knot - first + 1, last - first)] * ease
    return found


def temperature_c(world: World, at: Ints) -> Floats:
    """Return the air's temperature over the territory, °C."""
    season = -_SEASON_C * np.cos(2 * np.pi * (at - _COLDEST) / _YEAR)
    # Days are long and dry in summer: the nights differ more from them.
    daily = _DAILY_C * (1 - 0.4 * np.cos(2 * np.pi * (at - _COLDEST) / _YEAR)) * np.cos(2 * np.pi * (at - _WARMEST_AT) / DAY)
    fronts = _FRONTS_C * smooth(world.seed, at, 3 * DAY, "front") + _GUSTS_C * smooth(world.seed, at, 2 * HOUR, "air")
    found: Floats = _MEAN_C + season + daily + fronts + _HEAT_WAVE_C * world.scenarios.levels("heat-wave", at)
    return found


def rain_mm_h(world: World, at: Ints) -> Floats:
    """Return how hard it rains over the territory, millimetres an hour."""
    wet = np.maximum(0.0, smooth(world.seed, at, 9 * HOUR, "rain") - _RAIN_FROM)
    dry = 1 - world.scenarios.levels("heat-wave", at)
    storm, flood = world.scenarios.levels("storm", at), world.scenarios.levels("flood", at)
    found: Floats = _RAIN_MM_H * wet * dry + _STORM_MM_H * storm + _FLOOD_MM_H * flood
    return found


def wind_m_s(world: World, at: Ints) -> Floats:
    """Return the mean wind over the territory, metres a second."""
    calm = _WIND_MEAN * (1 + 0.6 * smooth(world.seed, at, DAY, "wind") + 0.3 * smooth(world.seed, at, HOUR, "breeze"))
    found: Floats = calm + _STORM_WIND * world.scenarios.levels("storm", at)
    return found


def degree_hours(world: World, at: Ints, base_c: float) -> Floats:
    """Return how many degrees the air is under a base, 0 where it is over: what a building is heated for."""
    return np.maximum(0.0, base_c - temperature_c(world, at))


def river_rise(world: World, at: Ints, river: int, delay: int) -> Floats:
    """Return how high a river stands between its usual level (0) and the crest of a great flood (1); a little under 0 when it is low.

    Args:
        world: the world.
        at: instants, seconds since 1970.
        river: which.
        delay: how much later than upstream the water passes here, seconds.
    """
    passed = at - delay
    season = 0.08 * np.cos(2 * np.pi * (passed - 30 * DAY) / _YEAR)
    wander = 0.05 * smooth(world.seed, passed, 6 * DAY, "river", river) + 0.012 * smooth(world.seed, passed, 12 * HOUR, "reach", river)
    # It rises with the flood's course, and never before the flood starts: what was told stays as it was told.
    flood = world.scenarios.levels("flood", passed)
    found: Floats = season + wander + flood * (0.92 - 0.05 * (river % 3))
    return found
