"""Vigicrues: series of two months, a point each five minutes, as the service gives them.

Here: generated series. Not here: measuring.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from bench.formats.case import Case

_POINTS: Final = 60 * 24 * 12
_BEGIN_MS: Final = 1_784_415_600_000
_FIVE_MINUTES_MS: Final = 300_000


def _series(station: int) -> bytes:
    points = [[_BEGIN_MS + i * _FIVE_MINUTES_MS, round(0.4 + (i * 37 + station) % 211 / 100, 2)] for i in range(_POINTS)]
    code = f"F70000{station:02d}01"
    link = f"https://www.vigicrues.gouv.fr/services/station.json?CdStationHydro={code}"
    series = {"CdStationHydro": code, "LbStationHydro": "Troyes [Pont]", "Link": link, "GrdSerie": "H", "ObssHydro": points}
    return json.dumps({"VersionFlux": "Beta 0.4f", "Serie": series}, separators=(",", ":")).encode()


CASE: Final = Case("vigicrues", [_series(n) for n in range(30)], msgspec.json.Decoder().decode, "msgspec")
