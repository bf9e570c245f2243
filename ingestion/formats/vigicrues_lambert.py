"""Lambert-93 (EPSG:2154) to longitude and latitude.

Here: one point, in closed form: two dozen stations need no DuckDB. Not here: geometries of files (`geometry`).

RGF93 and WGS84 differ by less than a metre. Formulas and constants: IGN, NTG 71 (algorithms 2 and 4).
"""

from __future__ import annotations

import math
from typing import Final

from ingestion.formats.wire_values import NoGeometry

_N: Final = 0.7256077650532670  # exponent of the projection
_C: Final = 11_754_255.426096  # its constant, m
_X_POLE: Final = 700_000.0  # m
_Y_POLE: Final = 12_655_612.049876  # m
_E: Final = 0.0818191910428158  # first eccentricity of GRS80
_MERIDIAN: Final = math.radians(3)
# Where the projection is used, generously (m): metropolitan France and what flows into it.
_X, _Y = (-400_000.0, 1_600_000.0), (5_600_000.0, 7_600_000.0)
_ITERATIONS: Final = 8  # each gains two decimal places and more; eight are past a double


def to_wgs84(x: float, y: float) -> tuple[float, float]:
    """Return longitude and latitude in degrees.

    >>> longitude, latitude = to_wgs84(700_000, 6_600_000)
    >>> round(longitude, 9), round(latitude, 9)
    (3.0, 46.5)

    Raises:
        NoGeometry: the point lies far from where the projection is used.
    """
    if not (_X[0] <= x <= _X[1] and _Y[0] <= y <= _Y[1]):
        raise NoGeometry
    radius = math.hypot(x - _X_POLE, y - _Y_POLE)
    longitude = _MERIDIAN + math.atan((x - _X_POLE) / (_Y_POLE - y)) / _N
    isometric = -math.log(radius / _C) / _N
    latitude = 2 * math.atan(math.exp(isometric)) - math.pi / 2
    for _ in range(_ITERATIONS):
        sine = _E * math.sin(latitude)
        latitude = 2 * math.atan(((1 + sine) / (1 - sine)) ** (_E / 2) * math.exp(isometric)) - math.pi / 2
    return math.degrees(longitude), math.degrees(latitude)
