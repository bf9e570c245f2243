"""Workbooks (XLSX, and XLS): one sheet, from its header down, as text.

Here: choosing the sheet, finding the header, dates in ISO form. Not here: what the cells mean.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.formats.archives import Archive
from ingestion.formats.model import POSITION, Job, SourceTable, column_names, parquet_relation
from ingestion.formats.staging import stage

if TYPE_CHECKING:
    from ingestion.feeds.model import FormatSpec

# A title above the table sits in one or two cells; a header fills most of the width.
_HEADER_FILL = 0.5
_SEARCHED_ROWS = 100


def read_workbook(con: duckdb.DuckDBPyConnection, job: Job, spec: FormatSpec) -> SourceTable:
    """Stage one sheet of a workbook. Empty cells are NULL, empty rows are no records.

    Raises:
        BadFile: damaged or encrypted, no such sheet, no header, over a bound.
    """
    bounds = replace(job.bounds, max_expanded_bytes=min(job.bounds.max_expanded_bytes, job.bounds.max_workbook_bytes))
    if zipfile.is_zipfile(job.path):
        Archive(replace(job, bounds=bounds)).check()
    elif job.path.stat().st_size > bounds.max_expanded_bytes:
        raise job.refuse(f"a workbook of more than {bounds.max_expanded_bytes} bytes", "export it as CSV")
    notes: list[str] = []
    table = _sheet(job, spec, notes)
    header_row = spec.header_row or _find_header(job, table)
    if header_row > table.num_rows:
        raise job.refuse(f"no row {header_row}, where the contract puts the header", "correct format.header_row")
    if header_row > 1 and spec.header_row is None:
        notes.append(f"header on row {header_row}: the rows above it were left out")
    if table.num_columns > job.bounds.max_columns:
        raise job.refuse(f"{table.num_columns} columns (at most {job.bounds.max_columns})")
    has_header = spec.columns is None or spec.header_row is not None
    body = table.slice(header_row if has_header else header_row - 1)
    written = [c[header_row - 1].as_py() for c in table.columns]
    # A column without a name and without a value is formatting, not data.
    kept = [i for i, name in enumerate(written) if name or body.column(i).null_count < body.num_rows]
    names = column_names(spec.columns or [written[i] for i in kept], notes)
    if len(names) != len(kept):
        raise job.refuse(f"format.columns names {len(names)} columns, the sheet has {len(kept)}", "name every column, in order")
    body = body.select(kept).rename_columns(names)
    blank = pa.nulls(body.num_rows, pa.bool_()).fill_null(True)
    for column in body.columns:
        blank = pc.and_(blank, pc.is_null(column))
    body = body.filter(pc.invert(blank))
    body = body.append_column(POSITION, pa.array(range(1, body.num_rows + 1), pa.int64()))
    staged = job.workdir / "records.parquet"
    stage(con, body.schema, iter(body.to_batches()), staged)
    return SourceTable(
        relation=parquet_relation([staged]),
        columns=dict.fromkeys(names, "VARCHAR"),
        format="xlsx",
        notes=notes,
        member=job.member,
    )


def _sheet(job: Job, spec: FormatSpec, notes: list[str]) -> pa.Table:
    import fastexcel  # noqa: PLC0415 - brings polars, and only workbooks need it

    try:
        # From memory: given a path, the reader believes the file's extension.
        book = fastexcel.read_excel(job.path.read_bytes())
        sheets = book.sheet_names
        wanted = _wanted(job, spec, sheets)
        batch = book.load_sheet(wanted, header_row=None, skip_rows=0, dtypes="string").to_arrow()
    except fastexcel.FastExcelError as error:
        raise job.refuse(
            f"not a readable workbook: {str(error).splitlines()[0]}", "open it and save it again as .xlsx, without a password"
        ) from error
    if spec.sheet is None and len(sheets) > 1:
        notes.append(f"sheet {wanted!r} read; the others are {', '.join(repr(s) for s in sheets if s != wanted)}")
    return pa.Table.from_batches([batch])


def _wanted(job: Job, spec: FormatSpec, sheets: list[str]) -> str:
    listed = ", ".join(repr(s) for s in sheets)
    if isinstance(spec.sheet, int):
        if not 1 <= spec.sheet <= len(sheets):
            raise job.refuse(f"no sheet number {spec.sheet} (it holds: {listed})", "correct format.sheet (1 is the first)")
        return sheets[spec.sheet - 1]
    if spec.sheet is not None and spec.sheet not in sheets:
        raise job.refuse(f"no sheet {spec.sheet!r} (it holds: {listed})", "correct format.sheet")
    return spec.sheet if spec.sheet is not None else sheets[0]


def _find_header(job: Job, table: pa.Table) -> int:
    """Return the number of the first row where most cells hold text, from 1."""
    rows = [list(row.values()) for row in table.slice(0, _SEARCHED_ROWS).to_pylist()]
    widest = max((sum(c is not None for c in row) for row in rows), default=0)
    for number, row in enumerate(rows, start=1):
        filled = [c for c in row if c is not None]
        if filled and len(filled) >= _HEADER_FILL * widest:
            return number
    raise job.refuse("the sheet is empty", "state format.sheet if the data stands in another one")
