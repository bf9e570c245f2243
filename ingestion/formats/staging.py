"""Staging: record batches to Parquet in the work folder, where DuckDB reads them in parallel and as often as needed.

Here: how decoded records and refused records are put down. Not here: decoding.

Why not a view over the file itself: numbering records needs them in order, and `row_number()` over `read_csv` runs on one
thread (6 M rows of 8 columns, 403 MB, 4 cores: 5.3 s, against 2.0 s to stage and 0.1 s to read back).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.formats.model import POSITION, Job, parquet_relation, sql_string

_BAD_SCHEMA = pa.schema([(POSITION, pa.int64()), ("reason", pa.string()), ("detail", pa.string()), ("original", pa.string())])
# Enough to recognise a record; the whole line of a file read with the wrong delimiter would copy the file into the rejects.
_MAX_ORIGINAL_CHARS = 8192
_FLUSH_EVERY = 10_000


class BadRecords:
    """Collects the records that could not be split into columns; memory stays small however many there are."""

    def __init__(self, job: Job) -> None:
        self._path = job.workdir / "bad_records.parquet"
        self._rows: list[dict[str, object]] = []
        self._writer: pq.ParquetWriter | None = None
        self.count = 0

    def add(self, position: int, reason: str, detail: str, original: str) -> None:
        """Record one refused record; `position` counts from 1."""
        self.count += 1
        text = original[:_MAX_ORIGINAL_CHARS].replace("\x00", "�")
        self._rows.append({POSITION: position, "reason": reason, "detail": detail, "original": text})
        if len(self._rows) >= _FLUSH_EVERY:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, _BAD_SCHEMA)
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=_BAD_SCHEMA))
        self._rows.clear()

    def close(self) -> str | None:
        """Finish, and return the SQL text that reads them; `None` when there is none."""
        if not self.count:
            return None
        if self._rows:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        return parquet_relation([self._path])


def stage(con: duckdb.DuckDBPyConnection, schema: pa.Schema, batches: Iterator[pa.RecordBatch], path: Path) -> None:
    """Write record batches to a Parquet file on every core.

    Raises:
        Exception: whatever the iterator raises, unchanged.
    """
    failures: list[BaseException] = []

    def watched() -> Iterator[pa.RecordBatch]:
        # DuckDB turns an exception of the stream into an error of its own: keep the real one.
        try:
            yield from batches
        except BaseException as error:
            failures.append(error)
            raise

    name = f"_staging_{path.parent.name}_{path.stem}"
    con.register(name, pa.RecordBatchReader.from_batches(schema, watched()))
    try:
        # LZ4: read back once or twice and thrown away, so speed counts and size hardly does.
        con.execute(f'COPY (SELECT * FROM "{name}") TO {sql_string(str(path))} (FORMAT parquet, COMPRESSION lz4)')
    except duckdb.Error:
        if failures:
            raise failures[0] from None
        raise
    finally:
        con.unregister(name)
