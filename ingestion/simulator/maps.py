"""The map of a territory, as its GIS exports it: communes and streets, GeoJSON in WGS84.

Here: two files written whole. Not here: where borders run (`ground`), what stands in the streets (`territory`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from ingestion.simulator.ground import outlines
from ingestion.simulator.territory import Feeder
from ingestion.simulator.world import World

COMMUNES_FEED: Final = "sim-communes"
STREETS_FEED: Final = "sim-voies"
FEEDS: Final = (COMMUNES_FEED, STREETS_FEED)
# A street of one light goes on for some 30 m: a line has two ends.
_ONE_LIGHT_DEG: Final = 0.0003


def write(world: World, folder: Path) -> dict[str, Path]:
    """Write both files; returns them by feed."""
    return {COMMUNES_FEED: _write(folder, COMMUNES_FEED, _communes(world)), STREETS_FEED: _write(folder, STREETS_FEED, _streets(world))}


def _write(folder: Path, feed: str, features: list[dict[str, Any]]) -> Path:
    path = folder / f"{feed}.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False), encoding="utf-8")
    return path


def _communes(world: World) -> list[dict[str, Any]]:
    rings = outlines(world.preset.communes, world.seed)
    return [
        _feature({"type": "Polygon", "coordinates": [ring.tolist()]}, code=f"COM-{n:02d}", nom=name, gestionnaire=f"Commune de {name}")
        for n, (name, ring) in enumerate(rings.items(), start=1)
    ]


def _streets(world: World) -> list[dict[str, Any]]:
    """Return a feature for each name of a street in a commune: the lines along its lights, of one cabinet or of several."""
    t = world.territory
    streets: dict[tuple[str, str], list[Feeder]] = defaultdict(list)
    for feeder in t.feeders:
        streets[t.cabinets[feeder.cabinet].commune, feeder.street].append(feeder)
    found = []
    for n, ((commune, street), feeders) in enumerate(sorted(streets.items()), start=1):
        lines = [_line(world, feeder) for feeder in feeders]
        shape = {"type": "LineString", "coordinates": lines[0]} if len(lines) == 1 else {"type": "MultiLineString", "coordinates": lines}
        # The main roads are the agglomeration's: whoever owns the lights of a street's first cabinet.
        owner = t.cabinets[feeders[0].cabinet].authority
        found.append(_feature(shape, code=f"VOIE-{n:04d}", nom=street, commune=commune, gestionnaire=owner))
    return found


def _line(world: World, feeder: Feeder) -> list[list[float]]:
    t = world.territory
    first, last = feeder.lights[0], feeder.lights[-1]
    start = [float(t.longitude[first]), float(t.latitude[first])]
    end = [float(t.longitude[last]), float(t.latitude[last])]
    return [start, end if end != start else [round(start[0] + _ONE_LIGHT_DEG, 6), start[1]]]


def _feature(geometry: dict[str, Any], **properties: str) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": geometry}
