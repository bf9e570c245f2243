"""JSON, NDJSON and GeoJSON: records to text columns.

Here: documents and lines to staged records. Not here: flattening (`flatten`), geometry (`geometry`).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.formats.flatten import Flat, NoSuchPath, TooDeep, decode, flatten, records, text, to_json
from ingestion.formats.geometry import crs_of_geojson, locate
from ingestion.formats.model import POSITION, Bounds, Clock, Job, SourceTable, parquet_relation, sql_name
from ingestion.formats.staging import BadRecords
from ingestion.formats.text_encoding import BROKEN, TextEncoding, Utf8Stream, find_encoding, shown

if TYPE_CHECKING:
    from ingestion.feeds.model import FormatSpec

# Records held before they are written: enough for Parquet to compress, little enough to hold.
_CHUNK_RECORDS: Final = 20_000
# Of a message that is too long or too deep, what its reject quotes.
_SHOWN_BYTES: Final = 8_192
_NUL: Final = b"\\u0000"
_LINE_SUFFIXES: Final = frozenset({".ndjson", ".jsonl"})
_NOT_JSON: Final = "fetch it again; if each line is a document of its own, state format.type: ndjson"


def read_json(con: duckdb.DuckDBPyConnection, job: Job, spec: FormatSpec) -> SourceTable:
    """Stage a JSON document, a file of JSON lines, or GeoJSON.

    Raises:
        BadFile: not JSON, trailing garbage, too deep, no such records path, over a bound.
    """
    encoding = find_encoding(job, spec.encoding)
    notes = [encoding.note] if encoding.note else []
    staged = _Staged(job)
    # Lines come first: what is two documents is no document, and GeoJSON comes as lines too (one feature each).
    if spec.type == "ndjson" or _is_lines(job, encoding):
        kind = "ndjson"
        is_geojson = _stage_lines(job, spec, encoding, staged, notes)
        crs = spec.crs
    else:
        document = _document(job, encoding)
        is_geojson = spec.type in {"auto", "geojson"} and spec.records is None and _is_geojson(document)
        kind = "geojson" if is_geojson else "json"
        crs = spec.crs or (crs_of_geojson(document) if is_geojson else None)
        _stage_document(job, spec, document, staged, notes)
    if spec.type == "geojson" and not is_geojson:
        raise job.refuse("not GeoJSON: there is no feature in it", "state format.type: json")
    relation, columns = staged.close()
    if is_geojson and columns:
        relation, columns = locate(con, job, relation, columns, crs, staged.bad)
    return SourceTable(
        relation=relation,
        columns=columns,
        format=kind,
        encoding=encoding.name,
        bad_records=staged.bad.close(),
        notes=[*notes, *staged.notes],
        member=job.member,
    )


def read_messages(payloads: Iterable[bytes], spec: FormatSpec, *, workdir: Path, bounds: Bounds) -> tuple[SourceTable, list[int]]:
    """Stage messages that are JSON documents of their own, one after another.

    Args:
        payloads: the messages.
        spec: what the feed contract says of the format: where the records stand in a message.
        workdir: an existing folder for staged records, needed as long as the table is read.
        bounds: what a message may cost.

    Returns:
        The records of all messages, and how many each message holds: at least one, a message that cannot be read being one refused
        record.
    """
    job = Job(workdir / "messages", "messages", workdir, bounds, Clock("messages", bounds.seconds))
    staged = _Staged(job)
    counts: list[int] = []
    for payload in payloads:
        before = staged.position
        try:
            if len(payload) > bounds.max_record_bytes:
                staged.refuse("too_long", f"longer than {bounds.max_record_bytes} bytes", payload[:_SHOWN_BYTES])
            else:
                # Counted in full before any is staged: what breaks in the middle of a message is one refused message.
                for context, record in list(records(decode(payload), spec.records, bounds.max_json_depth)):
                    staged.add(context, record, _plain)
        except NoSuchPath:
            staged.refuse("no_record", f"there is nothing at {spec.records}", payload)
        except (TooDeep, RecursionError):
            staged.refuse("too_deep", f"nested deeper than {bounds.max_json_depth}", payload[:_SHOWN_BYTES])
        except (msgspec.DecodeError, ValueError) as error:
            staged.refuse("invalid_json", str(error), payload)
        if staged.position == before:
            staged.refuse("no_record", "the message holds no record", payload)
        counts.append(staged.position - before)
    relation, columns = staged.close()
    return SourceTable(relation, columns, "json", bad_records=staged.bad.close(), notes=staged.notes), counts


def _document(job: Job, encoding: TextEncoding) -> Any:
    size = job.path.stat().st_size
    if size > job.bounds.max_json_bytes:
        raise job.refuse(
            f"a JSON document of {size} bytes (at most {job.bounds.max_json_bytes})", "ask for JSON lines, or for smaller pages"
        )
    with Utf8Stream(job.path, encoding) as stream:
        data = stream.read()
    if not encoding.is_clean and BROKEN.encode() in data:
        raise job.refuse(f"bytes that are not {encoding.name}", "correct format.encoding")
    try:
        return decode(data)
    except RecursionError as error:
        raise _too_deep(job) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise job.refuse(f"not JSON, or cut: {error}", _NOT_JSON) from error


def _too_deep(job: Job) -> Exception:
    return job.refuse(f"nested deeper than {job.bounds.max_json_depth}", "it is no data that this platform reads")


def _is_geojson(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return (value.get("type") == "FeatureCollection" and isinstance(value.get("features"), list)) or _is_feature(value)


def _is_feature(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "Feature" and "geometry" in value


def _stage_document(job: Job, spec: FormatSpec, document: Any, staged: _Staged, notes: list[str]) -> None:
    if spec.type in {"auto", "geojson"} and spec.records is None and _is_geojson(document):
        found: Iterator[tuple[Flat, Any]] = (({}, f) for f in document.get("features", [document]))
        make = _feature
    else:
        path = spec.records or _only_array(document, notes)
        found, make = records(document, path, job.bounds.max_json_depth), _plain
    try:
        for context, value in found:
            staged.add(context, value, make)
    except NoSuchPath as error:
        keys = ", ".join(list(document)[:20]) if isinstance(document, dict) else "an array"
        raise job.refuse(f"format.records: there is no {error} (at the top: {keys})", "correct format.records") from error
    except (TooDeep, RecursionError) as error:
        raise _too_deep(job) from error


def _only_array(document: Any, notes: list[str]) -> str | None:
    """Return the one member of an object that is an array of objects: what `{"count": 3, "results": […]}` is about."""
    if not isinstance(document, dict):
        return None
    found = [k for k, v in document.items() if isinstance(v, list) and v and all(isinstance(i, dict) for i in v)]
    if len(found) != 1 or "." in found[0]:
        return None
    name: str = found[0]
    notes.append(f"records are the elements of {name!r}")
    return name


def _lines(job: Job, encoding: TextEncoding) -> Iterator[bytes]:
    with io.BufferedReader(Utf8Stream(job.path, encoding)) as stream:
        while line := stream.readline(job.bounds.max_record_bytes + 1):
            if len(line) > job.bounds.max_record_bytes:
                raise job.refuse(f"a line is longer than {job.bounds.max_record_bytes} bytes", "state format.type: json")
            if line.strip():
                yield line


def _is_lines(job: Job, encoding: TextEncoding) -> bool:
    """Whether the first line is a whole JSON value and another follows.

    A single line is a document as well as a line; only then does the name decide (`.ndjson`, `.jsonl`).
    """
    with io.BufferedReader(Utf8Stream(job.path, encoding)) as stream:
        line = b"\n"
        while line and not line.strip():
            line = stream.readline(job.bounds.max_record_bytes + 1)
        if len(line) > job.bounds.max_record_bytes:
            return False
        try:
            value = decode(line)
        except (ValueError, RecursionError):
            return False
        if job.suffix in _LINE_SUFFIXES:
            return isinstance(value, dict | list)
        following = next((part for part in iter(lambda: stream.read(4096), b"") if part.strip()), b"")
        return isinstance(value, dict | list) and following.strip().startswith((b"{", b"["))


def _stage_lines(job: Job, spec: FormatSpec, encoding: TextEncoding, staged: _Staged, notes: list[str]) -> bool:
    make = None
    found_path = spec.records is None
    for line in _lines(job, encoding):
        try:
            if not encoding.is_clean and BROKEN.encode() in line:
                staged.refuse("invalid_bytes", f"bytes that are not {encoding.name}", line)
                continue
            value = decode(line)
            if make is None:
                make = _feature if spec.type in {"auto", "geojson"} and _is_feature(value) else _plain
            for context, record in records(value, spec.records, job.bounds.max_json_depth):
                staged.add(context, record, make)
            found_path = True
        except NoSuchPath:
            staged.refuse("no_record", f"there is nothing at {spec.records}", line)
        except (TooDeep, RecursionError):
            staged.refuse("too_deep", f"nested deeper than {job.bounds.max_json_depth}", line)
        except (msgspec.DecodeError, ValueError) as error:
            staged.refuse("invalid_json", str(error), line)
    if not found_path:
        raise job.refuse(f"format.records: no line has anything at {spec.records}", "correct format.records")
    notes.append("one document a line")
    return make is _feature


def _plain(value: Any, depth: int) -> Flat:
    return flatten(value, depth)


def _feature(value: Any, depth: int) -> Flat:
    if not _is_feature(value):
        raise ValueError("not a GeoJSON feature")
    geometry = value["geometry"]
    own = flatten(value.get("properties") or {}, depth)
    if "id" in value:
        own.setdefault("_id", text(value["id"]))
    own["_geometry"] = None if geometry is None else to_json(geometry)
    return own


class _Staged:
    """Records on their way to Parquet, a chunk at a time; columns may appear on the way."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._names: dict[str, str] = {}
        self._taken: set[str] = {POSITION}
        self._columns: dict[str, list[str | None]] = {}
        self._positions: list[int] = []
        self._paths: list[Path] = []
        self._hidden: set[str] = set()
        self.position = 0
        self.bad = BadRecords(job)
        self.notes: list[str] = []

    def add(self, context: Flat, value: Any, make: Any) -> None:
        """Add one record, or refuse it."""
        self.position += 1
        try:
            flat: Flat = make(value, self._job.bounds.max_json_depth)
        except (TooDeep, RecursionError):
            self._refuse_value("too_deep", f"nested deeper than {self._job.bounds.max_json_depth}", value)
            return
        except ValueError as error:
            self._refuse_value("invalid_record", str(error), value)
            return
        if context:
            self._hidden.update(context.keys() & flat.keys())
            flat = {**context, **flat}
        for cell in flat.values():
            if cell is not None and "\x00" in cell:
                self._refuse_value("nul_character", "a NUL character, which no database stores", value)
                return
            if cell is not None and len(cell) > self._job.bounds.max_cell_chars:
                detail = f"a cell of more than {self._job.bounds.max_cell_chars} characters"
                self._refuse_value("cell_too_long", detail, value)
                return
        row = len(self._positions)
        for key, cell in flat.items():
            column = self._columns.get(key)
            if column is None:
                column = self._columns[key] = [None] * row
                self._name(key)
            elif len(column) < row:
                column.extend([None] * (row - len(column)))
            column.append(cell)
        self._positions.append(self.position)
        if len(self._positions) >= _CHUNK_RECORDS:
            self._flush()

    def refuse(self, reason: str, detail: str, line: bytes) -> None:
        """Refuse a line that is no record."""
        self.position += 1
        self.bad.add(self.position, reason, detail, shown(line.decode("utf-8", "replace").rstrip("\r\n")))

    def _refuse_value(self, reason: str, detail: str, value: Any) -> None:
        try:
            original = to_json(value)
        except RecursionError:
            original = ""
        self.bad.add(self.position, reason, detail, original)

    def _name(self, key: str) -> None:
        if key in self._names:
            return
        if len(self._names) >= self._job.bounds.max_columns:
            raise self._job.refuse(
                f"more than {self._job.bounds.max_columns} columns",
                "if keys are data, state format.records with * in their place",
            )
        stem = key.replace("\x00", "") or "_"
        name, suffix = stem, 2
        while name.casefold() in self._taken:
            name, suffix = f"{stem}_{suffix}", suffix + 1
        if name != key:
            self.notes.append(f"field {key!r} is read as {name!r}")
        self._taken.add(name.casefold())
        self._names[key] = name

    def _flush(self) -> None:
        self._job.clock.check()
        rows = len(self._positions)
        columns = {self._names[k]: c + [None] * (rows - len(c)) for k, c in self._columns.items()}
        arrays = {name: pa.array(values, pa.string()) for name, values in columns.items()}
        table = pa.table({**arrays, POSITION: pa.array(self._positions, pa.int64())})
        path = self._job.workdir / f"records-{len(self._paths):05d}.parquet"
        pq.write_table(table, path, compression="lz4")
        self._paths.append(path)
        self._columns, self._positions = {}, []

    def close(self) -> tuple[str, dict[str, str]]:
        """Finish, and return the relation and its columns."""
        if self._positions:
            self._flush()
        if self._hidden:
            self.notes.append(f"the records' own fields hide those of what encloses them: {', '.join(sorted(self._hidden))}")
        if not self._paths:
            return f"(SELECT NULL::BIGINT AS {POSITION} WHERE false)", {}
        # Named one by one: columns that appear late would otherwise follow the position.
        chosen = ", ".join(sql_name(n) for n in (*self._names.values(), POSITION))
        return f"(SELECT {chosen} FROM {parquet_relation(self._paths)})", dict.fromkeys(self._names.values(), "VARCHAR")
