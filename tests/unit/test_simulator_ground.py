"""The simulated territory's map: communes tile it, and all that stands in one stands within its outline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ingestion.feeds.load import load_feed
from ingestion.lake.session import open_engine
from ingestion.landing import preview
from ingestion.simulator import inventory, maps, town
from ingestion.simulator.ground import is_within, outlines, settle
from ingestion.simulator.presets import Commune, preset
from ingestion.simulator.world import World

# A square of 0.02 by 0.02 degrees on the equator, where a degree is 111.2 km both ways: 2.2 km.
_SQUARE = np.array([(0.0, 0.0), (0.02, 0.0), (0.02, 0.02), (0.0, 0.02), (0.0, 0.0)])
_CENTRE = Commune("Carré", 0.01, 0.01, 1.0, 1.0)


@pytest.mark.parametrize("name", ["chalons", "dijon"])
@pytest.mark.parametrize("seed", [1, 2])
def test_communes_tile_the_territory(name: str, seed: int, extension_directory: Path) -> None:
    communes = preset(name).communes
    rings = outlines(communes, seed)
    assert list(rings) == [c.name for c in communes]
    with open_engine(extension_directory) as con:
        con.execute("LOAD spatial")
        con.execute("CREATE TABLE cell (name VARCHAR, shape GEOMETRY)")
        for commune, ring in rings.items():
            shape = json.dumps({"type": "Polygon", "coordinates": [ring.tolist()]})
            con.execute("INSERT INTO cell VALUES (?, ST_GeomFromGeoJSON(?))", [commune, shape])
        assert con.execute("SELECT count(*) FILTER (WHERE NOT ST_IsValid(shape)) FROM cell").fetchall() == [(0,)]
        overlaps = con.execute(
            "SELECT a.name, b.name FROM cell AS a JOIN cell AS b ON a.name < b.name WHERE ST_Area(ST_Intersection(a.shape, b.shape)) > 0"
        ).fetchall()
        assert overlaps == []
        # One polygon without a hole: nothing of the territory is nobody's.
        assert con.execute(
            "SELECT ST_GeometryType(u), ST_NumInteriorRings(u) FROM (SELECT ST_Union_Agg(shape) AS u FROM cell)"
        ).fetchall() == [("POLYGON", 0)]
    for place in communes:
        assert is_within(np.array([(place.longitude, place.latitude)]), rings[place.name]).all(), place.name


@pytest.mark.parametrize(("name", "seed"), [("chalons", 1), ("dijon", 3), (120, 2)])
def test_all_that_stands_in_a_commune_stands_within_its_outline(name: str | int, seed: int) -> None:
    world = World(name, seed)
    rings = outlines(world.preset.communes, seed)
    t = world.territory
    places: dict[str, list[tuple[float, float]]] = {commune: [] for commune in rings}
    for light in range(len(t.light_codes)):
        places[t.cabinets[int(t.light_cabinet[light])].commune].append((float(t.longitude[light]), float(t.latitude[light])))
    for cabinet in t.cabinets:
        places[cabinet.commune].append((cabinet.longitude, cabinet.latitude))
    for feeder in t.feeders:
        places[t.cabinets[feeder.cabinet].commune].append((feeder.longitude, feeder.latitude))
    for system in town.systems(world).values():
        for row in system.inventory():
            if row.get("commune") and row.get("longitude") is not None:
                places[str(row["commune"])].append((float(str(row["longitude"])), float(str(row["latitude"]))))
    outside = {commune: int((~is_within(np.array(own), rings[commune])).sum()) for commune, own in places.items() if own}
    assert sum(map(len, places.values())) > len(t.light_codes)
    assert not any(outside.values()), outside


def test_the_same_seed_draws_the_same_map(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = maps.write(World(120, 5), tmp_path / "one"), maps.write(World(120, 5), tmp_path / "two")
    for feed in maps.FEEDS:
        assert one[feed].read_bytes() == two[feed].read_bytes()
    communes = preset(120).communes
    assert not np.array_equal(outlines(communes, 5)["Sarry"], outlines(communes, 6)["Sarry"])


def test_maps_land_without_a_rejection(tmp_path: Path, extension_directory: Path) -> None:
    world = World(120, 2)
    files = maps.write(world, tmp_path)
    streets = {(world.territory.cabinets[f.cabinet].commune, f.street) for f in world.territory.feeders}
    for name, count in ((maps.COMMUNES_FEED, 10), (maps.STREETS_FEED, len(streets))):
        feed = load_feed(inventory.CONTRACTS / f"{name}.yaml")
        seen = preview(feed, files[name], extension_directory=extension_directory)
        assert (seen.received, seen.rejects) == (count, []), name


def test_a_point_is_within_by_hand() -> None:
    points = np.array([(0.01, 0.01), (0.0199, 0.01), (0.021, 0.01), (0.01, -0.0001)])
    assert is_within(points, _SQUARE).tolist() == [True, True, False, False]
    # 0.0001 degree is 11 m: nearer to the border than 30.
    assert is_within(points, _SQUARE, 0.03).tolist() == [True, False, False, False]


def test_a_group_moves_by_tenths_of_the_way() -> None:
    inside = np.array([(0.008, 0.01), (0.012, 0.01)])
    assert settle(inside, _CENTRE, _SQUARE) is inside
    # Its first point is 0.009 degree east of the centre, its last 0.011: past the border. Two tenths of the way are 0.0018: within by
    # 0.0008 degree (89 m); one would leave 0.0001 outside.
    east = np.array([(0.019, 0.01), (0.021, 0.01)])
    assert settle(east, _CENTRE, _SQUARE) == pytest.approx(np.array([(0.0172, 0.01), (0.0192, 0.01)]))


def test_a_group_too_wide_draws_together() -> None:
    wide = np.array([(0.01, 0.01), (0.0205, 0.01)])
    # 0.0105 x 0.9 = 0.00945: within by 0.00055 degree (61 m).
    assert settle(wide, _CENTRE, _SQUARE) == pytest.approx(np.array([(0.01, 0.01), (0.01945, 0.01)]))
