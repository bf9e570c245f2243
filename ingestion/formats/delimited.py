"""Delimited text (CSV, TSV): records to text columns, exactly as written.

Here: the reading itself. Not here: encodings (`text_encoding`), delimiter and header (`dialect`).

Arrow's reader splits the records: it takes mixed line ends and quoted ones, keeps blanks, and numbers what it refuses.
DuckDB's own loses records when line ends are mixed, and gives no record numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from ingestion.errors import BadFile
from ingestion.formats.dialect import SAMPLE_CHARS, Dialect, find_dialect
from ingestion.formats.model import POSITION, Job, SourceTable, parquet_relation
from ingestion.formats.staging import BadRecords, stage
from ingestion.formats.text_encoding import BROKEN, NUL_MARK, TextEncoding, Utf8Stream, find_encoding, shown

if TYPE_CHECKING:
    from ingestion.feeds.model import FormatSpec

# A last record of our own, longer than chance: if it does not come out alone, a quote was still open at the end.
_SENTINEL: Final = "\x1dvigie-end-of-file\x1d"
# More control characters than this are no text: real exports hold a stray one here and there, random bytes 8 %.
_MAX_CONTROL_SHARE: Final = 0.05
_MAX_CONTROLS: Final = 8
_CONTROLS: Final = frozenset(map(chr, range(32))) - frozenset("\t\r\n\f\x0b\x1a\x1b\x1c\x1d\x1e\x1f")


def read_delimited(con: duckdb.DuckDBPyConnection, job: Job, spec: FormatSpec) -> SourceTable:
    """Stage a delimited file.

    Raises:
        BadFile: binary content, no header, a quote that swallows the file, over a bound.
        WrongUse: the contract states a dialect that cannot be.
    """
    encoding = find_encoding(job, spec.encoding)
    notes = [encoding.note] if encoding.note else []
    with Utf8Stream(job.path, encoding) as stream:
        head = stream.read(SAMPLE_CHARS * 4)
        sample, is_whole = head.decode("utf-8", "ignore"), not stream.read(1)
    is_whole = is_whole and len(sample) <= SAMPLE_CHARS
    sample = sample[:SAMPLE_CHARS]
    controls = sum(c in _CONTROLS or c == NUL_MARK for c in sample)
    if controls > _MAX_CONTROLS and controls > _MAX_CONTROL_SHARE * len(sample):
        raise job.refuse("binary content, not text", "check the file: it may be damaged, or packed in a format that is not read")
    dialect = find_dialect(job, spec, sample, is_whole=is_whole, notes=notes)
    bad = BadRecords(job)
    staged = job.workdir / "records.parquet"
    reader = _Reader(job, dialect, encoding, len(sample[: dialect.preamble_chars].encode()), bad)
    stage(con, reader.schema, reader.batches(), staged)
    return SourceTable(
        relation=parquet_relation([staged]),
        columns=dict.fromkeys(dialect.columns, "VARCHAR"),
        format="csv",
        encoding=encoding.name,
        bad_records=bad.close(),
        notes=notes,
        member=job.member,
    )


class _Reader:
    """One pass over a file: good records as batches with their positions, the others to `bad`."""

    def __init__(self, job: Job, dialect: Dialect, encoding: TextEncoding, skip_bytes: int, bad: BadRecords) -> None:

        self._job, self._dialect, self._encoding, self._skip_bytes, self._bad = job, dialect, encoding, skip_bytes, bad
        self.schema = pa.schema([*((c, pa.string()) for c in dialect.columns), (POSITION, pa.int64())])
        self._refused: list[int] = []  # Arrow's numbers of the records it could not split, header and sentinel counted
        self._header_rows = 1 if dialect.has_header else 0
        self._ended = False
        self._swallowed: BadFile | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the good records."""
        tail = ("\n" + self._dialect.delimiter.join([_SENTINEL] * len(self._dialect.columns)) + "\n").encode()
        following = 1  # Arrow's number of the next record
        with Utf8Stream(self._job.path, self._encoding, skip_bytes=self._skip_bytes, tail=tail) as stream:
            for batch in self._open(stream):
                self._job.clock.check()
                if not batch.num_rows:
                    continue
                pending = [n for n in self._refused if n >= following]
                numbers = np.arange(following, following + batch.num_rows + len(pending), dtype=np.int64)
                numbers = numbers[~np.isin(numbers, pending)][: batch.num_rows] if pending else numbers
                following = int(numbers[-1]) + 1
                keep = self._keep(batch, numbers)
                positions = pa.array(numbers - self._header_rows, type=pa.int64())
                good = pa.RecordBatch.from_arrays([*batch.columns, positions], schema=self.schema)
                yield good if keep.all() else good.filter(pa.array(keep))
        if self._swallowed is not None:
            raise self._swallowed
        if not self._ended:
            raise self._job.refuse("the end of the file was not reached", "report this file: it defeats the reader")

    def _open(self, stream: Utf8Stream) -> Iterator[pa.RecordBatch]:

        names = self._dialect.columns
        try:
            yield from arrow_csv.open_csv(
                pa.PythonFile(stream, mode="r"),
                # One thread: only then are refused records numbered. Parsing takes half the time of staging anyway.
                read_options=arrow_csv.ReadOptions(use_threads=False, block_size=self._job.bounds.max_record_bytes, column_names=names),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._dialect.delimiter,
                    quote_char=self._dialect.quote or False,
                    newlines_in_values=self._dialect.quote is not None,
                    invalid_row_handler=self._refuse,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
                ),
            )
        except pa.ArrowInvalid as error:
            if "straddling" in str(error):
                raise self._job.refuse(
                    f"a record is longer than {self._job.bounds.max_record_bytes} bytes: most likely a quote that is never closed",
                    'state format.quote ("" where quotes mean nothing), or have the export corrected',
                ) from error
            raise self._job.refuse(f"not readable as delimited text: {error}", "check the file") from error

    def _refuse(self, row: Any) -> str:
        number, text = row.number, row.text
        expected, actual = row.expected_columns, row.actual_columns
        self._refused.append(number)
        if number <= self._header_rows:
            return "skip"
        if _SENTINEL in text:
            self._unterminated(number, text)
            return "skip"
        reason = "missing_cells" if actual < expected else "too_many_cells"
        self._bad.add(number - self._header_rows, reason, f"{actual} cells, {expected} expected", shown(text))
        return "skip"

    def _keep(
        self, batch: pa.RecordBatch, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return which records of a batch are good, and record why the others are not."""
        keep = numbers > self._header_rows
        cells = [column[-1].as_py() for column in batch.columns]
        if _SENTINEL in cells[-1]:
            keep[-1] = False
            if cells == [_SENTINEL] * len(cells):
                self._ended = True
            else:
                self._unterminated(int(numbers[-1]), self._dialect.delimiter.join(cells))
        tests: list[tuple[str, str, Callable[[pa.Array], pa.Array]]] = []
        if not self._encoding.is_clean:
            tests.append(("invalid_bytes", f"bytes that are not {self._encoding.name}", lambda c: pc.match_substring(c, BROKEN)))
            tests.append(("nul_character", "a NUL character, which no database stores", lambda c: pc.match_substring(c, NUL_MARK)))
        if batch.nbytes > self._job.bounds.max_cell_chars:
            limit = self._job.bounds.max_cell_chars
            tests.append(("cell_too_long", f"a cell of more than {limit} characters", lambda c: pc.greater(pc.utf8_length(c), limit)))
        for reason, detail, test in tests:
            found = np.zeros(len(keep), dtype=np.bool_)
            for column in batch.columns:
                found |= test(column).to_numpy(zero_copy_only=False)
            for index in np.flatnonzero(found & keep):
                original = self._dialect.delimiter.join(column[int(index)].as_py() for column in batch.columns)
                self._bad.add(int(numbers[index]) - self._header_rows, reason, detail, shown(original))
            keep &= ~found
        return keep

    def _unterminated(self, number: int, text: str) -> None:
        """Handle the last record when a quote was still open at the end: one bad line, or a swallowed file."""
        self._ended = True
        position = number - self._header_rows
        written = text[: text.index(_SENTINEL)].removesuffix("\n")
        if "\n" in written.strip("\r\n") or position < 1:
            self._swallowed = self._job.refuse(
                f"a quote opened in record {position} is never closed: the rest of the file stands inside it",
                'fetch the file again if it was cut, or state format.quote ("" where quotes mean nothing)',
            )
        else:
            self._bad.add(position, "unterminated_quote", "the file ends inside a quoted cell", shown(written))
