"""Opening a file: from whatever was received to source tables.

Here: the way from containers (gzip, zip) to the reader of each format, and the checks that hold for all. Not here: the readers.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from ingestion.formats.archives import Archive, gunzip
from ingestion.formats.columnar import read_parquet
from ingestion.formats.delimited import read_delimited
from ingestion.formats.geometry import read_shapefiles
from ingestion.formats.json_records import read_json
from ingestion.formats.model import Bounds, Clock, Job, SourceTable
from ingestion.formats.sniff import Kind, kind_of
from ingestion.formats.workbook import read_workbook

if TYPE_CHECKING:
    from ingestion.feeds.model import FormatSpec


def open_sources(con: duckdb.DuckDBPyConnection, path: Path, spec: FormatSpec, *, bounds: Bounds, workdir: Path) -> list[SourceTable]:
    """Open a file and expose its records to DuckDB.

    Args:
        con: the connection that stages records (used while this runs, left as it was).
        path: a local file.
        spec: what the feed contract says of the format; what it does not say is found out from the content.
        bounds: what the file may cost.
        workdir: an existing folder for staged records; they are needed as long as the tables are read.

    Returns:
        One table, or one per member of an archive, in the order of their names.

    Raises:
        BadFile: the file as a whole cannot be trusted; the message names it and what to do.
        WrongUse: the contract's format cannot be.
    """
    # The path is part of the folder's name so that files of one name do not share it.
    own = workdir / f"open-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    own.mkdir(parents=True, exist_ok=True)
    job = Job(path, path.name, own, bounds, Clock(path.name, bounds.seconds))
    size = path.stat().st_size
    if size > bounds.max_bytes:
        raise job.refuse(f"{size} bytes (at most {bounds.max_bytes})", "split the file, or raise the bound `max_bytes`")
    return _open(con, job, spec)


def _open(con: duckdb.DuckDBPyConnection, job: Job, spec: FormatSpec) -> list[SourceTable]:
    kind = kind_of(job)
    if kind == "gzip":
        job = gunzip(job)
        kind = kind_of(job)
        if kind == "gzip":
            raise job.refuse("gzip inside gzip", "unpack it beforehand")
    if kind == "zip":
        archive = Archive(job)
        if not archive.is_workbook:
            return _open_members(con, job, archive, spec)
        kind = "workbook"
    return [_open_plain(con, job, kind, spec)]


def _open_members(con: duckdb.DuckDBPyConnection, job: Job, archive: Archive, spec: FormatSpec) -> list[SourceTable]:
    shapes = [n for n in archive.members if n.lower().endswith(".shp") and not n.startswith("__MACOSX/")]
    if shapes and spec.type in {"auto", "shapefile"}:
        return read_shapefiles(con, job, archive, spec)
    if spec.type == "shapefile":
        raise job.refuse("no shapefile in the zip", "correct format.type")
    notes: list[str] = []
    tables: list[SourceTable] = []
    for index, name in enumerate(archive.chosen(spec.member, notes), start=1):
        folder = job.workdir / f"member-{index:04d}"
        folder.mkdir(exist_ok=True)
        path = folder / "content"
        archive.unpack(name, path)
        inner = replace(job, path=path, name=f"{job.name}: {name}", workdir=folder, member=name)
        kind = kind_of(inner)
        if kind == "gzip":
            inner = gunzip(inner)
            kind = kind_of(inner)
        if kind == "zip":
            kind = "workbook" if Archive(inner).is_workbook else kind
        if kind in {"zip", "gzip"}:
            raise inner.refuse("an archive inside an archive", "unpack it beforehand")
        tables.append(_open_plain(con, inner, kind, spec))
    tables[0].notes.extend(notes)
    return tables


def _open_plain(con: duckdb.DuckDBPyConnection, job: Job, kind: Kind, spec: FormatSpec) -> SourceTable:
    declared = spec.type
    if kind == "empty":
        raise job.refuse("empty", "fetch it again; if its source had nothing to say, there is nothing to land")
    if kind == "xml":
        raise job.refuse("it is XML (KML, GML, RSS…), which no mapping reads", "ask for CSV, GeoJSON or a shapefile")
    expected = _EXPECTED[kind]
    if declared != "auto" and declared not in expected:
        raise job.refuse(f"the contract says {declared}, its content says {expected[0]}", "correct format.type, or the file")
    if kind == "parquet":
        table = read_parquet(con, job)
    elif kind == "workbook":
        table = read_workbook(con, job, spec)
    elif kind == "json":
        table = read_json(con, job, spec)
    else:
        table = read_delimited(con, job, spec)
    suffix = job.suffix
    if suffix in _SUFFIXES and table.format not in _SUFFIXES[suffix]:
        table.notes.insert(0, f"read as {table.format} although named {suffix}")
    return table


_EXPECTED: Final[dict[Kind, tuple[str, ...]]] = {
    "parquet": ("parquet",),
    "workbook": ("xlsx",),
    "json": ("json", "ndjson", "geojson"),
    "text": ("csv",),
    "zip": ("zip",),
    "gzip": ("gzip",),
}
_SUFFIXES: Final = {
    ".csv": ("csv",),
    ".tsv": ("csv",),
    ".txt": ("csv",),
    ".xlsx": ("xlsx",),
    ".xls": ("xlsx",),
    ".json": ("json", "ndjson", "geojson"),
    ".ndjson": ("ndjson",),
    ".jsonl": ("ndjson",),
    ".geojson": ("geojson",),
    ".parquet": ("parquet",),
}
