"""Opening a file: from whatever was received to source tables.

Here: the way from containers (gzip, zip) to the reader of each format, and the checks that hold for all. Not here: the readers.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb

from ingestion.feeds.model import FormatSpec
from ingestion.formats.columnar import read_parquet
from ingestion.formats.delimited import read_delimited
from ingestion.formats.model import Bounds, Clock, Job, SourceTable
from ingestion.formats.sniff import kind_of


def open_sources(
    con: duckdb.DuckDBPyConnection, path: Path, spec: FormatSpec, *, bounds: Bounds, workdir: Path
) -> list[SourceTable]:
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
    if kind == "empty":
        raise job.refuse("empty", "fetch it again; if its source had nothing to say, there is nothing to land")
    if kind == "parquet":
        return [read_parquet(con, job)]
    return [read_delimited(con, job, spec)]
