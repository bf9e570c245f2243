"""What a file becomes: source tables, and the bounds within which a file is read.

Here: the shapes the readers share. Not here: any reading.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from ingestion.errors import BadFile

POSITION: Final = "_position"
KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB


@dataclass(frozen=True)
class Bounds:
    """How much one file may cost. A file that asks for more is refused whole.

    Attributes:
        max_bytes: size as received. The largest public export met (a year of half-hourly meters) is 0.9 GiB.
        max_expanded_bytes: size once unpacked, all members together: it must fit the work folder of a small machine.
        max_expansion_ratio: unpacked over packed. Deflate reaches 1,032 on zeros; real exports of measures stay under 60.
        ratio_floor_bytes: below this unpacked size the ratio is not judged: nothing can be hurt by so little.
        max_members: members of an archive. A GTFS has 20, a month of meters 700.
        max_columns: columns of a table. The widest real table met has 67; beyond 2,000 the delimiter is wrong.
        max_record_bytes: one record of a text file. Past 4 MiB a quote was opened and never closed.
        max_cell_chars: one cell: 1 Mi holds the geometry of a commune to the metre.
        max_json_bytes: one JSON document, which is decoded in memory (about five times its size): 256 MiB keeps the
            whole under 2 GiB. NDJSON is read line by line and not concerned.
        max_workbook_bytes: a workbook unpacked, which is decoded in memory: 512 MiB is a million rows of ten columns.
        max_json_depth: nesting of a JSON document. Real ones stay under 12.
        seconds: time to open one file.
    """

    max_bytes: int = 2 * GIB
    max_expanded_bytes: int = 8 * GIB
    max_expansion_ratio: float = 200.0
    ratio_floor_bytes: int = 16 * MIB
    max_members: int = 1000
    max_columns: int = 2000
    max_record_bytes: int = 4 * MIB
    max_cell_chars: int = MIB
    max_json_bytes: int = 256 * MIB
    max_workbook_bytes: int = 512 * MIB
    max_json_depth: int = 64
    seconds: float = 900.0


@dataclass(frozen=True)
class SourceTable:
    """The records of one file, or of one member of an archive, readable from a DuckDB connection.

    Attributes:
        relation: SQL text that stands after FROM (give it an alias). It holds `columns` and `_position` BIGINT, the number
            of the record in the source, from 1, refused records counted. It reads files of the work folder: it is valid
            as long as that folder, from any connection, any number of times.
        columns: source column name to DuckDB type, in source order, `_position` left out. Text formats give VARCHAR
            holding exactly what is written.
        format: csv, xlsx, json, ndjson, geojson, parquet or shapefile.
        encoding: how the text was decoded; `None` for binary formats.
        bad_records: SQL text that stands after FROM: `_position` BIGINT, `reason`, `detail`, `original` VARCHAR, one row
            per record that could not be split into columns; `None` when there is none.
        notes: what was found out without being told, for people.
        member: name of the member inside the archive, if any.
    """

    relation: str
    columns: dict[str, str]
    format: str
    encoding: str | None = None
    bad_records: str | None = None
    notes: list[str] = field(default_factory=list)
    member: str | None = None


class Clock:
    """Refuses a file that takes too long."""

    def __init__(self, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def check(self) -> None:
        """Raise when the time is over.

        Raises:
            BadFile: the file took longer than its bound.
        """
        if time.monotonic() > self._deadline:
            raise BadFile(
                f"{self._name}: not read within {self._seconds:.0f} s",
                remedy="split the file, or raise the bound `seconds` if the machine is slow",
            )


@dataclass(frozen=True)
class Job:
    """One file being opened: what every reader needs to know of it.

    Attributes:
        path: the local file, already unpacked.
        name: how the file is named to people (with its archive, if any).
        workdir: a folder of its own, where readers stage what they decode.
        bounds: what it may cost.
        clock: the time it has left.
        member: its name inside the archive.
    """

    path: Path
    name: str
    workdir: Path
    bounds: Bounds
    clock: Clock
    member: str | None = None

    @property
    def suffix(self) -> str:
        """The suffix it is named with, gzip's left out: a hint, no more."""
        return PurePosixPath(self.name.lower().removesuffix(".gz")).suffix

    def refuse(self, what: str, remedy: str | None = None) -> BadFile:
        """Return the error that refuses this file, to be raised by the caller."""
        return BadFile(f"{self.name}: {what}", remedy=remedy)


def sql_string(text: str) -> str:
    """Return a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def sql_name(text: str) -> str:
    """Return a quoted SQL identifier."""
    return '"' + text.replace('"', '""') + '"'


def parquet_relation(paths: list[Path]) -> str:
    """Return SQL text that reads staged Parquet files; columns missing from some of them are NULL there."""
    files = ", ".join(sql_string(str(p)) for p in paths)
    return f"read_parquet([{files}], union_by_name = {'true' if len(paths) > 1 else 'false'})"


def column_names(written: Iterable[str | None], notes: list[str]) -> list[str]:
    """Return names that are unique and not empty, as Table Schema asks, and note what was changed.

    DuckDB compares names without regard to case, so `Date` and `date` are two columns of one name.
    """
    names: list[str] = []
    taken: set[str] = set()
    for index, raw in enumerate(written, start=1):
        name = raw if raw is not None and raw.strip() else f"_{index}"
        if raw is None or not raw.strip():
            notes.append(f"column {index} has no name: read as {name}")
        unique, suffix = name, 2
        while unique.casefold() in taken or unique.casefold() == POSITION:
            unique, suffix = f"{name}_{suffix}", suffix + 1
        if unique != name:
            notes.append(f"column {index} repeats the name {name!r}: read as {unique!r}")
        taken.add(unique.casefold())
        names.append(unique)
    return names
