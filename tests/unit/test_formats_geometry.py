"""Geometry: shapefiles and GeoJSON come out in WGS84, longitude first."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
from duckdb_extensions import import_extension

from ingestion.errors import BadFile, VigieError, WrongUse
from tests.unit.formats_support import bad, opened

_LAMBERT93 = (
    'PROJCS["RGF93_Lambert_93",GEOGCS["GCS_RGF_1993",DATUM["D_RGF_1993",SPHEROID["GRS_1980",6378137.0,298.257222101]],'
    'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Lambert_Conformal_Conic"],'
    'PARAMETER["False_Easting",700000.0],PARAMETER["False_Northing",6600000.0],PARAMETER["Central_Meridian",3.0],'
    'PARAMETER["Standard_Parallel_1",44.0],PARAMETER["Standard_Parallel_2",49.0],PARAMETER["Latitude_Of_Origin",46.5],UNIT["Meter",1.0]]'
)
# By the projection's definition its origin (700,000 E, 6,600,000 N) is exactly 3° E, 46.5° N.
_ORIGIN = (700_000.0, 6_600_000.0)


@pytest.fixture
def con(extension_directory: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"extension_directory": str(extension_directory)})
    import_extension("spatial", con=connection)
    return connection


def _records(con: duckdb.DuckDBPyConnection, relation: str) -> list[dict[str, Any]]:
    found = con.execute(f"SELECT * FROM {relation} ORDER BY _position")
    names = [d[0] for d in found.description]
    return [dict(zip(names, r, strict=True)) for r in found.fetchall()]


def _shapefile(points: list[tuple[float, float]], names: list[bytes]) -> dict[str, bytes]:
    """Return the parts of a point shapefile with one text attribute."""
    box = struct.pack(
        "<4d4d", min(p[0] for p in points), min(p[1] for p in points), max(p[0] for p in points), max(p[1] for p in points), 0, 0, 0, 0
    )

    def header(length: int) -> bytes:
        return struct.pack(">7i", 9994, 0, 0, 0, 0, 0, length // 2) + struct.pack("<2i", 1000, 1) + box

    shp = b"".join(struct.pack(">2i", n, 10) + struct.pack("<i2d", 1, x, y) for n, (x, y) in enumerate(points, start=1))
    shx = b"".join(struct.pack(">2i", (100 + 28 * n) // 2, 10) for n in range(len(points)))
    field = b"nom".ljust(11, b"\0") + b"C" + b"\0" * 4 + bytes([20, 0]) + b"\0" * 14
    dbf = struct.pack("<B3BIHH", 3, 124, 1, 1, len(points), 65, 21) + b"\0" * 20 + field + b"\r"
    dbf += b"".join(b" " + name.ljust(20) for name in names) + b"\x1a"
    return {
        "lampes.shp": header(100 + len(shp)) + shp,
        "lampes.shx": header(100 + len(shx)) + shx,
        "lampes.dbf": dbf,
        "lampes.prj": _LAMBERT93.encode(),
    }


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_a_shapefile_is_reprojected_and_keeps_its_own_coordinates(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    parts = _shapefile([_ORIGIN, (771_000.0, 6_278_801.5)], [b"LANTERNE", b"M\xe2t"])
    (table,) = opened(tmp_path, _zip(parts), "eclairage.zip", con=con, encoding="ISO-8859-1")
    first, second = _records(con, table.relation)
    assert (table.format, table.member, table.bad_records) == ("shapefile", "lampes.shp", None)
    assert (first["nom"], second["nom"]) == ("LANTERNE", "Mât")
    assert (first["_longitude"], first["_latitude"]) == (pytest.approx(3.0, abs=1e-9), pytest.approx(46.5, abs=1e-9))
    assert (first["_x"], first["_y"], first["_position"]) == (*_ORIGIN, 1)
    assert json.loads(first["_geometry"]) == {"type": "Point", "coordinates": pytest.approx([3.0, 46.5], abs=1e-9)}
    assert list(table.columns) == ["nom", "_geometry", "_longitude", "_latitude", "_x", "_y"]


def test_a_declared_projection_stands_for_a_missing_one(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    parts = _shapefile([_ORIGIN], [b"x"])
    del parts["lampes.prj"]
    with pytest.raises(BadFile, match=r"no \.prj") as caught:
        opened(tmp_path, _zip(parts), "eclairage.zip", con=con)
    assert "format.crs" in str(caught.value.remedy)
    (table,) = opened(tmp_path, _zip(parts), "eclairage.zip", con=con, crs="EPSG:2154")
    assert _records(con, table.relation)[0]["_latitude"] == pytest.approx(46.5, abs=1e-9)
    with pytest.raises(WrongUse, match="Lambert"):
        opened(tmp_path, _zip(parts), "eclairage.zip", con=con, crs="Lambert")


@pytest.mark.parametrize("part", [".shp", ".shx", ".dbf"])
def test_a_shapefile_that_is_cut_or_incomplete_is_refused(tmp_path: Path, con: duckdb.DuckDBPyConnection, part: str) -> None:
    parts = _shapefile([_ORIGIN] * 5, [b"x"] * 5)
    cut = {n: c[:-20] if n.endswith(part) else c for n, c in parts.items()}
    with pytest.raises(BadFile, match=rf"truncated shapefile 'lampes.shp' \({part}\)"):
        opened(tmp_path, _zip(cut), "eclairage.zip", con=con)
    if part != ".shp":
        with pytest.raises(BadFile, match=rf"has no {part}"):
            opened(tmp_path, _zip({n: c for n, c in parts.items() if not n.endswith(part)}), "eclairage.zip", con=con)


def _feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _collection(*features: Any, **more: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features, **more}).encode()


def test_geojson_gives_properties_geometry_and_centroid(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
    content = _collection(
        _feature({"type": "Point", "coordinates": [4.366, 48.95]}, nom="a", n={"x": 1}),
        _feature(square, nom="b"),
        _feature(None, nom="c"),
        _feature({"type": "Point", "coordinates": "?"}, nom="d"),
        {"type": "Nothing"},
    )
    (table,) = opened(tmp_path, content, "source.json", con=con)
    records = _records(con, table.relation)
    assert table.format == "geojson"
    assert [(r["nom"], r["_longitude"], r["_latitude"], r["_position"]) for r in records] == [
        ("a", 4.366, 48.95, 1),
        ("b", 1.0, 1.0, 2),
        ("c", None, None, 3),
    ]
    assert (records[0]["n.x"], json.loads(records[1]["_geometry"])) == ("1", square)
    assert [(p, r) for p, r, _ in bad(table)] == [(4, "invalid_geometry"), (5, "invalid_record")]


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:EPSG::2154", "EPSG:2154"])
def test_a_legacy_crs_is_reprojected(tmp_path: Path, con: duckdb.DuckDBPyConnection, name: str) -> None:
    crs = {"type": "name", "properties": {"name": name}}
    content = _collection(_feature({"type": "Point", "coordinates": list(_ORIGIN)}), crs=crs)
    (table,) = opened(tmp_path, content, "source.geojson", con=con)
    (record,) = _records(con, table.relation)
    assert (record["_longitude"], record["_latitude"]) == (pytest.approx(3.0, abs=1e-9), pytest.approx(46.5, abs=1e-9))
    assert (record["_x"], record["_y"]) == _ORIGIN
    assert json.loads(record["_geometry"])["coordinates"] == pytest.approx([3.0, 46.5], abs=1e-9)


def test_geojson_lines_are_read_too(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    lines = [json.dumps(_feature({"type": "Point", "coordinates": [n, 48]}, n=n)).encode() for n in range(3)]
    (table,) = opened(tmp_path, b"\n".join(lines), "source.geojson", con=con)
    assert [r["_longitude"] for r in _records(con, table.relation)] == [0.0, 1.0, 2.0]


def test_without_the_extension_the_remedy_is_told(tmp_path: Path) -> None:
    bare = duckdb.connect(config={"extension_directory": str(tmp_path / "none")})
    with pytest.raises(VigieError, match="spatial") as caught:
        opened(tmp_path, _collection(_feature(None)), "source.geojson", con=bare)
    assert "vigie doctor" in str(caught.value.remedy)
