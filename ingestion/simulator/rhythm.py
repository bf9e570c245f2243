"""The town's daily life: how busy an hour is, on working days and on others.

Here: local time and profiles over the day. Not here: what is counted (each system's own module).
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import numpy as np
import numpy.typing as npt

from ingestion.simulator.chance import generator
from ingestion.simulator.clock import DAY, HOUR, ZONE, is_working

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# A profile: (local hour, share) in straight lines, from 0 to 24.
Profile = tuple[tuple[float, float], ...]
# People out and about, cars on the road: two peaks on working days, one broad afternoon else.
TRAFFIC: Final[Profile] = ((0, 0.06), (4, 0.03), (6, 0.25), (8, 1.0), (10, 0.6), (12, 0.75), (14, 0.65), (17.5, 1.0), (20, 0.4), (24, 0.06))
TRAFFIC_OFF: Final[Profile] = ((0, 0.1), (4, 0.04), (8, 0.15), (11, 0.55), (14, 0.5), (17, 0.65), (20, 0.4), (24, 0.1))
# Presence in places of work and public buildings.
OFFICE: Final[Profile] = ((0, 0), (7, 0.02), (9, 0.9), (12, 1.0), (13, 0.6), (14, 0.95), (17, 0.8), (19, 0.1), (22, 0), (24, 0))
OFFICE_OFF: Final[Profile] = ((0, 0), (24, 0.0))


def local(at: Ints) -> tuple[Floats, Bools]:
    """Return the local hour of instants (0 to 24), and whether each is on a French working day."""
    # Offsets from UTC change at whole hours: one look an hour is exact.
    hours, back = np.unique(at // HOUR, return_inverse=True)
    clocks = [dt.datetime.fromtimestamp(int(h) * HOUR, ZONE) for h in hours]
    hour = np.array([c.hour for c in clocks], dtype=np.float64)[back] + (at % HOUR) / HOUR
    working = np.array([is_working(c.date()) for c in clocks], dtype=np.bool_)[back]
    return hour.reshape(at.shape), working.reshape(at.shape)


def busy(at: Ints, working: Profile = TRAFFIC, off: Profile = TRAFFIC_OFF) -> Floats:
    """Return how busy instants are, by a profile for working days and one for the others."""
    hour, is_on = local(at)
    found: Floats = np.where(is_on, _at(hour, working), _at(hour, off))
    return found


def scattered(seed: int, key: str, day: int, count: int, each: int) -> tuple[Ints, Ints]:
    """Return instants of a UTC day at which something may happen to `count` things, `each` times: who, and when.

    No two of one thing are at the same second, and all are at even ones; by thing, and of one in the order of time.
    """
    chance = generator(seed, "scattered", key, day)
    half_days = [np.sort(chance.choice(DAY // 2, each, replace=False)) for _ in range(count)]
    at = day * DAY + 2 * np.concatenate(half_days).astype(np.int64)
    return np.repeat(np.arange(count, dtype=np.int64), each), at


def _at(hour: Floats, profile: Profile) -> Floats:
    found: Floats = np.interp(hour, [h for h, _ in profile], [share for _, share in profile])
    return found
