"""The dialect of a delimited text file: delimiter, quote, where the header stands, the columns' names.

Here: finding out from a sample what the contract does not state. Not here: reading the records.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from ingestion.errors import WrongUse
from ingestion.formats.model import Job, column_names

if TYPE_CHECKING:
    from ingestion.feeds.model import FormatSpec

# Below 128 KiB, the longest cell that Python's csv reads, so that no cell of the sample can be too long for it.
SAMPLE_CHARS: Final = 120_000
_SAMPLE_RECORDS: Final = 500
_DELIMITERS: Final = ",;\t|"
_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
_NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written.

    Attributes:
        delimiter: one ASCII character.
        quote: the quote character, `None` where quotes mean nothing.
        columns: unique names, in order.
        has_header: whether the first record after the preamble names the columns.
        preamble_chars: characters that stand above the header.
    """

    delimiter: str
    quote: str | None
    columns: list[str]
    has_header: bool
    preamble_chars: int


@dataclass(frozen=True)
class _Record:
    cells: list[str]
    start: int  # offset of its first character
    line: int  # from 1


def find_dialect(job: Job, spec: FormatSpec, sample: str, *, is_whole: bool, notes: list[str]) -> Dialect:
    """Return the dialect stated by the contract, completed from the sample.

    Raises:
        WrongUse: the contract states a dialect that cannot be.
        BadFile: no header can be found, or there are too many columns.
    """
    quote = '"' if spec.quote is None else spec.quote or None
    delimiter = spec.delimiter or _sniff_delimiter(sample, quote, is_whole=is_whole)
    for name, character in (("delimiter", delimiter), ("quote", quote or "x")):
        if not character.isascii() or character in "\r\n\0":
            raise WrongUse(f"format.{name}: {character!r} cannot be one", remedy="give one ASCII character, for instance ; or \\t")
    if spec.delimiter is None:
        notes.append(f"delimiter {_NAMES.get(delimiter, repr(delimiter))}")
    start, records = _records_from_header(job, spec, sample, delimiter, quote, is_whole=is_whole, notes=notes)
    has_header = spec.columns is None or spec.header_row is not None
    if not records:
        raise job.refuse("no header: there is no line of text", "check that the export has run")
    header, data = (records[0].cells, records[1:]) if has_header else (None, records)
    names = _names(spec, header, data, notes)
    if len(names) > job.bounds.max_columns:
        raise job.refuse(
            f"{len(names)} columns (at most {job.bounds.max_columns})", "state format.delimiter if it was read with a wrong one"
        )
    return Dialect(delimiter, quote, names, has_header, start)


def _records(sample: str, delimiter: str, quote: str | None, *, is_whole: bool) -> list[_Record]:
    """Split the sample; blank lines are no records, and what the end of the sample cuts is left out."""
    starts = [0]

    def lines() -> Iterator[str]:
        for match in _LINE.finditer(sample):
            if match.end() > match.start():
                starts.append(match.end())
                yield match.group()

    if quote is None:
        reader = csv.reader(lines(), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines(), delimiter=delimiter, quotechar=quote)
    records: list[_Record] = []
    before = 0
    for cells in islice(reader, _SAMPLE_RECORDS):
        if cells:
            records.append(_Record(cells, starts[before], before + 1))
        before = reader.line_num
    reached_end = before == len(starts) - 1 and starts[before] >= len(sample)
    return records[:-1] if reached_end and not is_whole and len(records) > 1 else records


def _sniff_delimiter(sample: str, quote: str | None, *, is_whole: bool) -> str:
    def score(delimiter: str) -> tuple[bool, bool, float, int]:
        widths = [len(r.cells) for r in _records(sample, delimiter, quote, is_whole=is_whole)]
        if not widths:
            return (False, False, 0.0, 0)
        width, count = Counter(widths).most_common(1)[0]
        # The header must be split too: decimal commas split every record of a file but not its header.
        return (width > 1, abs(widths[0] - width) <= 1 and widths[0] > 1, count / len(widths), width)

    return max(_DELIMITERS, key=score)


def _records_from_header(
    job: Job, spec: FormatSpec, sample: str, delimiter: str, quote: str | None, *, is_whole: bool, notes: list[str]
) -> tuple[int, list[_Record]]:
    """Return the offset of the header (of the first record where there is none) and the records from there on."""
    if spec.header_row is not None:
        ends = [m.end() for m in _LINE.finditer(sample)]
        if spec.header_row > len(ends):
            raise job.refuse(f"no line {spec.header_row}, where the contract puts the header", "correct format.header_row")
        start = ends[spec.header_row - 2] if spec.header_row > 1 else 0
        return start, _records(sample[start:], delimiter, quote, is_whole=is_whole)
    records = _records(sample, delimiter, quote, is_whole=is_whole)
    if spec.columns is not None or not records:
        return 0, records
    width = Counter(len(r.cells) for r in records).most_common(1)[0][0]
    candidates = [i for i, r in enumerate(records) if abs(len(r.cells) - width) <= 1 and (width == 1 or len(r.cells) > 1)]
    filled = [i for i in candidates if 2 * sum(bool(c.strip()) for c in records[i].cells) >= width]
    index = next(iter(filled or candidates), 0)
    if index:
        notes.append(f"header on line {records[index].line}: the lines above it were left out")
    return records[index].start if index else 0, records[index:]


def _names(spec: FormatSpec, header: list[str] | None, data: list[_Record], notes: list[str]) -> list[str]:
    widths = Counter(len(r.cells) for r in data)
    width = widths.most_common(1)[0][0] if widths else None
    if spec.columns is not None:
        if width is not None and len(spec.columns) != width:
            raise WrongUse(
                f"format.columns names {len(spec.columns)} columns, the file has {width}",
                remedy="name every column of the file, in order",
            )
        return column_names(spec.columns, notes)
    written: list[str | None] = list(header or [])
    if width == len(written) + 1:
        if all(not r.cells[-1] for r in data if len(r.cells) == width):
            notes.append("every record ends with a delimiter that the header has not")
            written = [*written, None]
        else:
            notes.append("the header names one column less than there are: the first one is taken as row names, as R writes them")
            written = [None, *written]
    elif width == len(written) - 1 and not (written[-1] or "").strip():
        notes.append("the header ends with a delimiter that the records have not")
        written = written[:-1]
    return column_names(written, notes)
