"""Vigicrues: series, vigilance and entities; whole and broken.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

import json
from typing import Any, Final

PAIRS: Final = [[1_795_000_000_000, 1.27], [1_795_000_300_000, -0.05]]
LINE: Final = {"type": "MultiLineString", "coordinates": [[[4.0, 48.2], [4.2, 48.4]], [[4.2, 48.4], [4.4, 48.6]]]}
MAP_AT: Final = "2026-11-20T09:04:15+00:00"


def series(points: Any, **changes: Any) -> bytes:
    """Return a series of observations."""
    said = {"CdStationHydro": "F700000103", "LbStationHydro": "Paris [Austerlitz]", "GrdSerie": "H", **changes, "ObssHydro": points}
    return json.dumps({"VersionFlux": "Beta 0.4f", "Serie": said}, ensure_ascii=False).encode()


def section(level: Any = 3, geometry: Any = LINE, **changes: Any) -> dict[str, Any]:
    """Return one section of the map, as the service names its members today."""
    properties = {"CdEntCru": "LO18", "typentcru": "8", "lbentcru": "Meuse frontalière - Semoy", "cdensup_1": "2", "NivInfViCr": level}
    return {"type": "Feature", "properties": {**properties, **changes}, "geometry": geometry}


def vigilance(*sections: Any, **members: Any) -> bytes:
    """Return a map of vigilance."""
    stated = {"type": "FeatureCollection", "name": "InfoVigiCru", "DtHrInfoVigiCru": MAP_AT}
    return json.dumps({**stated, **members, "features": list(sections)}, ensure_ascii=False).encode()


STATION: Final = {
    "CdEntVigiCru": "F700000103",
    "TypEntVigiCru": "7",
    "LbEntVigiCru": "Paris [Austerlitz]",
    "CdCommune": "A renseigner obligatoirement",
    "CoordXStationHydro": "700000",
    "CoordYStationHydro": "6600000",
    "ProjCoordStationHydro": "26",
    "aNPlusUn": {"CdEntVigiCruSuperieur": "SM12", "TypEntVigiCruSuperieur": "8"},
}


def entities(*found: Any) -> bytes:
    """Return a list of entities."""
    return json.dumps({"Scenario": {"CodeScenario": "x"}, "ListEntVigiCru": list(found)}).encode()


TOPIC: Final[str | None] = "observations.json?CdStationHydro=F700000103"
GOOD: Final = [
    series(PAIRS),
    series([{"DtObsHydro": "2026-11-20T06:00:00+00:00", "ResObsHydro": 1.27}, {"DtObsHydro": 1_795_000_000_000, "ResObsHydro": "11.2"}]),
    series(PAIRS, GrdSerie="Q"),
    vigilance(section(), section(1, None), section("2", LbEntCru="Oise")),
    json.dumps(section(4)).encode(),
    entities(STATION, {"CdEntVigiCru": "2", "TypEntVigiCru": "5", "LbEntVigiCru": "Meuse-Moselle"}),
]
BAD: Final = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b"{}",
    b'{"error_msg": "Cette station n\'existe pas", "code": 400}',
    b'{"Simul": {"CdStationHydro": "F700000103", "Prevs": []}}',
    series([]),
    series(None),
    series([[1_795_000_000_000, None]]),
    series([[None, 1.2]]),
    series([[1_795_000_000, 1.2]]).replace(b"1795000000", b"99999999999999999999"),
    series(["x", [1], {}]),
    series([{"DtObsHydro": "2026-11-20T06:00:00", "ResObsHydro": 1.27}]),
    series(PAIRS, GrdSerie="T"),
    series(PAIRS, CdStationHydro=""),
    series(PAIRS).replace(b'"GrdSerie": "H"', b'"GrdSerie": "H", "GrdSerie": "Q"'),
    series(PAIRS).replace(b'"GrdSerie": "H"', b'"GrdSerie": "H", "Grd\\u0053erie": "Q"'),
    series(PAIRS)[:-2] + b', "ObssHydro": [[1795000000000, 9.9]]}}',
    vigilance(),
    vigilance("x"),
    vigilance(section(5)),
    vigilance(section(CdEntCru="")),
    vigilance(section(geometry={"type": "LineString", "coordinates": [[770_000.0, 6_840_000.0], [771_000.0, 6_841_000.0]]})),
    vigilance(section(), crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}),
    entities({"CdEntVigiCru": "x", "TypEntVigiCru": "9"}),
    entities("x"),
    entities({**STATION, "ProjCoordStationHydro": None}),
    b"[" * 2000 + b"]" * 2000,
]
