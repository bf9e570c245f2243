"""The ground of a territory: the communes' outlines, which tile it, and places that keep within one.

Here: outlines, drawn once from (communes, seed). Not here: what stands on them (`territory`), the file a GIS exports of them (`maps`).

Each commune holds what is nearer to its centre than to any other's, the wide ones counted as somewhat nearer (a power diagram),
within the hull of all. Then the whole plane is warped a little, so that borders wander as real ones do: two neighbours still share theirs.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from ingestion.simulator.chance import generator
from ingestion.simulator.presets import Commune

Points = npt.NDArray[np.float64]

KM_PER_DEGREE: Final = 111.2
# Of the square of its reach, what a commune gains on its neighbours. With all of it the small ones beside a city would lose their centre.
_GAIN: Final = 0.25
# Fields around the houses: how far the territory goes past the reach of its outermost communes, km.
_FIELDS_KM: Final = 1.2
_HULL_SIDES: Final = 24
# A corner each 150 m: a border is smooth on a map of the town, and an outline stays below 10 kB.
_STEP_KM: Final = 0.15
# Waves of the warp: length and height, km. Heights x 2 pi / lengths sum to 0.6: below 1 the plane never folds, so outlines never cross.
_WAVES: Final = ((4.0, 0.18), (1.5, 0.05), (0.6, 0.011))
# How far from the border things stand, km: what hangs on a mast stands within 15 m of it.
MARGIN_KM: Final = 0.03
# A group of lights moves towards its commune's centre by tenths of the way, then draws closer by tenths, until it keeps within.
_TENTHS: Final = 10
_CLOSER: Final = 0.9
_MOST_CLOSER: Final = 60


@lru_cache(maxsize=8)
def outlines(communes: tuple[Commune, ...], seed: int) -> dict[str, Points]:
    """Return each commune's outline, by its name: a ring of (longitude, latitude), counter-clockwise, its first corner again last."""
    x0, y0 = communes[0].longitude, communes[0].latitude
    sites = _to_km(np.array([(c.longitude, c.latitude) for c in communes]), x0, y0)
    gains = np.array([_GAIN * c.reach_km**2 for c in communes])
    around = np.array([(math.cos(a), math.sin(a)) for a in np.linspace(0, 2 * math.pi, _HULL_SIDES, endpoint=False)])
    hull = _hull(np.concatenate([site + around * (c.reach_km * 1.25 + _FIELDS_KM) for site, c in zip(sites, communes, strict=True)]))
    found = {}
    for n, commune in enumerate(communes):
        cell = hull
        for other in range(len(communes)):
            if other != n:
                normal = sites[other] - sites[n]
                reach = (sites[other] @ sites[other] - sites[n] @ sites[n] + gains[n] - gains[other]) / 2
                cell = _clip(cell, normal, float(reach))
        ring = _warp(_corners(np.round(cell, 6)), seed)
        found[commune.name] = np.round(_to_degrees(np.concatenate([ring, ring[:1]]), x0, y0), 6)
    return found


def is_within(points: Points, ring: Points, margin_km: float = 0.0) -> npt.NDArray[np.bool_]:
    """Return which points (longitude, latitude) lie in a ring, no nearer to it than a margin."""
    x0, y0 = float(ring[0, 0]), float(ring[0, 1])
    p, r = _to_km(points, x0, y0)[:, None, :], _to_km(ring, x0, y0)
    a, b = r[:-1], r[1:]
    # Crossings of the half line that leaves the point eastwards.
    straddles = (a[:, 1] > p[..., 1]) != (b[:, 1] > p[..., 1])
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    crosses = straddles & (p[..., 0] < a[:, 0] + (p[..., 1] - a[:, 1]) / rise * (b[:, 0] - a[:, 0]))
    inside: npt.NDArray[np.bool_] = crosses.sum(axis=1) % 2 == 1
    if margin_km:
        (dx, dy), x, y = (b - a).T, p[..., 0] - a[:, 0], p[..., 1] - a[:, 1]
        along = np.clip((x * dx + y * dy) / np.maximum(dx * dx + dy * dy, 1e-18), 0, 1)
        apart = (x - along * dx) ** 2 + (y - along * dy) ** 2
        inside &= apart.min(axis=1) >= margin_km**2
    return inside


def settle(points: Points, commune: Commune, ring: Points) -> Points:
    """Return a group of points, moved into its commune's outline where part of it stood outside, drawn together where it is too wide.

    Args:
        points: (longitude, latitude), the one that the group hangs on first.
        commune: whose it is.
        ring: its outline.
    """
    if _stands(points, ring):
        return points
    centre = np.array((commune.longitude, commune.latitude))
    way = centre - points[0]
    for tenth in range(1, _TENTHS + 1):
        moved: Points = points + way * tenth / _TENTHS
        if _stands(moved, ring):
            return moved
    for n in range(1, _MOST_CLOSER + 1):
        closer: Points = centre + (moved - centre) * _CLOSER**n
        if _stands(closer, ring):
            return closer
    return closer  # within two metres of the centre, which lies in its outline


def _stands(points: Points, ring: Points) -> bool:
    # One light in eight, and without the margin, tells most groups that do not: a tenth of the time.
    return bool(is_within(points[::8], ring).all() and is_within(points, ring, MARGIN_KM).all())


def _to_km(degrees: Points, x0: float, y0: float) -> Points:
    """Return kilometres east and north of a place; at 48° N true to a metre over the ten kilometres that a territory spans."""
    km: Points = (degrees - np.array((x0, y0))) * _scale(y0)
    return km


def _to_degrees(km: Points, x0: float, y0: float) -> Points:
    degrees: Points = km / _scale(y0) + np.array((x0, y0))
    return degrees


def _scale(latitude: float) -> Points:
    """Return the kilometres of a degree, eastwards and northwards."""
    return np.array((KM_PER_DEGREE * math.cos(math.radians(latitude)), KM_PER_DEGREE))


def _hull(points: Points) -> Points:
    """Return the corners of the convex hull, counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted({(round(float(x), 6), round(float(y), 6)) for x, y in points})
    chains = []
    for way in (ordered, ordered[::-1]):
        chain: list[tuple[float, float]] = []
        for p in way:
            while len(chain) > 1 and _turns_right(chain[-2], chain[-1], p):
                chain.pop()
            chain.append(p)
        chains.append(chain[:-1])
    return np.array(chains[0] + chains[1])


def _turns_right(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0


def _clip(cell: Points, normal: Points, reach: float) -> Points:
    """Return what of a convex cell lies where `normal . p <= reach`."""
    beyond = cell @ normal - reach
    kept: list[Points] = []
    for n in range(len(cell)):
        after = (n + 1) % len(cell)
        if beyond[n] <= 0:
            kept.append(cell[n])
        if (beyond[n] < 0 < beyond[after]) or (beyond[after] < 0 < beyond[n]):
            kept.append(cell[n] + (cell[after] - cell[n]) * beyond[n] / (beyond[n] - beyond[after]))
    return np.array(kept).reshape(-1, 2)


def _corners(cell: Points) -> Points:
    """Return a cell with more corners along its sides; those of a side are the same for both of its neighbours."""
    ring: list[Points] = []
    for n in range(len(cell)):
        start, end = cell[n], cell[(n + 1) % len(cell)]
        parts = max(1, math.ceil(round(math.dist(start, end), 4) / _STEP_KM))
        is_forward = tuple(start) <= tuple(end)
        low, high = (start, end) if is_forward else (end, start)
        between = [low + (high - low) * k / parts for k in range(1, parts)]
        ring += [start, *(between if is_forward else between[::-1])]
    return np.array(ring)


def _warp(points: Points, seed: int) -> Points:
    chance = generator(seed, "ground")
    moved = points.copy()
    for length, height in _WAVES:
        # Two waves that cross, for each axis.
        bearings, phases = chance.random(4) * 2 * math.pi, chance.random(4) * 2 * math.pi
        for axis in (0, 1):
            for n in (2 * axis, 2 * axis + 1):
                way = points @ np.array((math.cos(bearings[n]), math.sin(bearings[n])))
                moved[:, axis] += height / 2 * np.sin(way * 2 * math.pi / length + phases[n])
    return moved
