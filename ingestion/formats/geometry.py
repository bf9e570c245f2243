"""Geometry: shapefiles and GeoJSON located in WGS84.

Here: everything that needs DuckDB's spatial extension. Not here: attributes.

Longitude comes first everywhere (`always_xy`), as GeoJSON has it.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import duckdb

from ingestion.errors import VigieError, WrongUse
from ingestion.formats.archives import Archive
from ingestion.formats.model import POSITION, Job, SourceTable, column_names, parquet_relation, sql_name, sql_string
from ingestion.formats.staging import BadRecords

if TYPE_CHECKING:
    from ingestion.feeds.model import FormatSpec

WGS84: Final = "EPSG:4326"
_GEOMETRY, _LONGITUDE, _LATITUDE, _X, _Y = "_geometry", "_longitude", "_latitude", "_x", "_y"
_PARTS: Final = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_SHP_HEADER_BYTES: Final = 100


def crs_of_geojson(document: Any) -> str | None:
    """Return the EPSG code of a legacy `crs` member; `None` for WGS84, the only one RFC 7946 knows."""
    crs = document.get("crs")
    name = crs.get("properties", {}).get("name") if isinstance(crs, dict) and isinstance(crs.get("properties"), dict) else None
    found = re.search(r"EPSG:(?::|[\d.]+:)?(\d+)$", name) if isinstance(name, str) else None
    return f"EPSG:{found.group(1)}" if found else None


def locate(
    con: duckdb.DuckDBPyConnection, job: Job, relation: str, columns: dict[str, str], crs: str | None, bad: BadRecords
) -> tuple[str, dict[str, str]]:
    """Add `_longitude` and `_latitude` (of the centroid, where it is no point) to records that have a `_geometry`.

    Where the coordinates are not WGS84, `_geometry` is reprojected and `_x`, `_y` hold the source's own coordinates.
    Records whose geometry is none go to `bad`.

    Returns:
        The new relation and its columns.
    """
    _load(con)
    source = _epsg(crs)
    geometry = f"TRY(ST_GeomFromGeoJSON({sql_name(_GEOMETRY)}))"
    kept = [c for c in columns if c not in {_GEOMETRY, _LONGITUDE, _LATITUDE, _X, _Y}]
    chosen = "".join(f"{sql_name(c)}, " for c in kept)
    parsed = f"SELECT *, {geometry} AS _g FROM {relation}"
    for position, original in con.execute(
        f"SELECT {POSITION}, {sql_name(_GEOMETRY)} FROM ({parsed}) WHERE _g IS NULL AND {sql_name(_GEOMETRY)} IS NOT NULL "
        f"ORDER BY {POSITION}"
    ).fetchall():
        bad.add(position, "invalid_geometry", "not a GeoJSON geometry", original)
    good = f"SELECT * FROM ({parsed}) WHERE _g IS NOT NULL OR {sql_name(_GEOMETRY)} IS NULL"
    target = job.workdir / "located.parquet"
    located = _located(source, keep_text=True)
    _copy(con, job, f"SELECT {chosen}{located}, {POSITION} FROM ({good})", target)
    added = {_GEOMETRY: "VARCHAR", _LONGITUDE: "DOUBLE", _LATITUDE: "DOUBLE"}
    if source is not None:
        added |= {_X: "DOUBLE", _Y: "DOUBLE"}
    return parquet_relation([target]), {c: columns[c] for c in kept} | added


def read_shapefiles(con: duckdb.DuckDBPyConnection, job: Job, archive: Archive, spec: FormatSpec) -> list[SourceTable]:
    """Stage the shapefiles of a zip, reprojected to WGS84.

    Raises:
        BadFile: a part is missing, truncated or damaged, or the projection is not known.
    """
    _load(con)
    layers = [n for n in archive.members if n.lower().endswith(".shp") and not n.startswith("__MACOSX/")]
    if spec.member is not None:
        wanted = set(archive.chosen(spec.member, []))
        layers = [n for n in layers if n in wanted]
        if not layers:
            raise job.refuse(f"no shapefile {spec.member!r} in the zip", "correct format.member (it names a .shp)")
    return [_read_shapefile(con, job, archive, name, spec, index) for index, name in enumerate(sorted(layers), start=1)]


def _read_shapefile(con: duckdb.DuckDBPyConnection, job: Job, archive: Archive, layer: str, spec: FormatSpec, index: int) -> SourceTable:
    stem = str(PurePosixPath(layer).with_suffix(""))
    folder = job.workdir / f"shape-{index:03d}"
    folder.mkdir(exist_ok=True)
    shp = folder / "layer.shp"
    for name in archive.members:
        path = PurePosixPath(name)
        if str(path.with_suffix("")).lower() == stem.lower() and path.suffix.lower() in _PARTS:
            archive.unpack(name, folder / f"layer{path.suffix.lower()}")
    for part in (".shx", ".dbf"):
        if not shp.with_suffix(part).exists():
            raise job.refuse(f"shapefile {layer!r} has no {part}", "pack the .shp, .shx, .dbf and .prj together")
    _check_lengths(job, shp, layer)
    prj = shp.with_suffix(".prj")
    crs = _epsg(spec.crs) or (prj.read_text("latin-1") if prj.exists() else None)
    if crs is None:
        if spec.crs is None:
            raise job.refuse(f"shapefile {layer!r} has no .prj: its projection is not known", "state format.crs, for instance EPSG:2154")
        crs = WGS84
    options = f", open_options = [{sql_string('ENCODING=' + spec.encoding)}]" if spec.encoding else ""
    reader = f"ST_Read({sql_string(str(shp))}{options})"
    target = folder / "records.parquet"
    notes = [f"projection {spec.crs or _name_of(crs)}"]
    try:
        described = con.execute(f"DESCRIBE SELECT * EXCLUDE (OGC_FID, geom) FROM {reader}").fetchall()
    except duckdb.Error as error:
        raise job.refuse(f"damaged shapefile {layer!r}: {str(error).splitlines()[0]}", "fetch it again") from error
    names = column_names([str(d[0]) for d in described], notes)
    chosen = "".join(f"{sql_name(str(d[0]))} AS {sql_name(n)}, " for d, n in zip(described, names, strict=True))
    # The driver gives geometries a type that carries its projection; bare ones are transformed as told.
    query = f"SELECT * EXCLUDE (geom), geom::GEOMETRY AS _g FROM {reader}"
    _copy(con, job, f"SELECT {chosen}{_located(crs, keep_text=False)}, OGC_FID + 1 AS {POSITION} FROM ({query})", target)
    columns = {n: str(d[1]) for d, n in zip(described, names, strict=True)}
    added = {_GEOMETRY: "VARCHAR", _LONGITUDE: "DOUBLE", _LATITUDE: "DOUBLE", _X: "DOUBLE", _Y: "DOUBLE"}
    return SourceTable(parquet_relation([target]), columns | added, "shapefile", notes=notes, member=layer)


def _located(source: str | None, *, keep_text: bool) -> str:
    """Return the SQL of the geometry columns, from a geometry `_g` in the projection `source` (`None`: WGS84)."""
    if source is None:
        moved, text = "_g", sql_name(_GEOMETRY) if keep_text else "ST_AsGeoJSON(_g)::VARCHAR"
    else:
        moved = f"ST_Transform(_g, {sql_string(source)}, {sql_string(WGS84)}, always_xy := true)"
        text = f"ST_AsGeoJSON({moved})::VARCHAR"
    out = f"{text} AS {_GEOMETRY}, ST_X(ST_Centroid({moved})) AS {_LONGITUDE}, ST_Y(ST_Centroid({moved})) AS {_LATITUDE}"
    return out if source is None else f"{out}, ST_X(ST_Centroid(_g)) AS {_X}, ST_Y(ST_Centroid(_g)) AS {_Y}"


def _copy(con: duckdb.DuckDBPyConnection, job: Job, query: str, target: Path) -> None:
    try:
        con.execute(f"COPY ({query}) TO {sql_string(str(target))} (FORMAT parquet, COMPRESSION lz4)")
    except duckdb.Error as error:
        raise job.refuse(
            f"coordinates that cannot be located: {str(error).splitlines()[0]}", "check format.crs and the file's projection"
        ) from error


def _check_lengths(job: Job, shp: Path, layer: str) -> None:
    """Refuse parts shorter than their headers say: the driver reads what is left without a word."""
    remedy = "fetch it again: it was cut"
    for path in (shp, shp.with_suffix(".shx")):
        head = path.read_bytes()[:_SHP_HEADER_BYTES]
        if len(head) < _SHP_HEADER_BYTES or struct.unpack(">i", head[24:28])[0] * 2 > path.stat().st_size:
            raise job.refuse(f"truncated shapefile {layer!r} ({path.suffix})", remedy)
    dbf = shp.with_suffix(".dbf")
    head = dbf.read_bytes()[:12]
    if len(head) < 12:  # noqa: PLR2004 - version, date, record count, header length, record length
        raise job.refuse(f"truncated shapefile {layer!r} (.dbf)", remedy)
    count, header, width = struct.unpack("<IHH", head[4:12])
    if header + count * width > dbf.stat().st_size:
        raise job.refuse(f"truncated shapefile {layer!r} (.dbf)", remedy)


def _epsg(code: str | None) -> str | None:
    """Return `EPSG:n`; `None` for WGS84 and for nothing."""
    if code is None:
        return None
    found = re.fullmatch(r"(?:EPSG:)?(\d{4,6})", code.strip(), re.IGNORECASE)
    if not found:
        raise WrongUse(f"format.crs: {code!r} is not an EPSG code", remedy="for instance EPSG:2154 for Lambert-93")
    return None if found.group(1) == "4326" else f"EPSG:{found.group(1)}"


def _name_of(wkt: str) -> str:
    found = re.match(r'\s*\w+\["([^"]+)"', wkt)
    return found.group(1) if found else wkt[:40]


def _load(con: duckdb.DuckDBPyConnection) -> None:
    try:
        con.execute("LOAD spatial")
    except duckdb.Error as error:
        raise VigieError(
            f"DuckDB's spatial extension is not installed: {str(error).splitlines()[0]}",
            remedy="run `vigie doctor`; it is installed from the wheel duckdb-extension-spatial",
        ) from error
