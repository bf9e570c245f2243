"""Parquet: typed columns, read where they are.

Here: checking the file and numbering its records. Not here: anything about text.
"""

from __future__ import annotations

import duckdb

from ingestion.formats.model import POSITION, Job, SourceTable, column_names, sql_name, sql_string


def read_parquet(con: duckdb.DuckDBPyConnection, job: Job) -> SourceTable:
    """Expose a Parquet file; nothing is copied.

    Raises:
        BadFile: truncated or damaged, or over a bound.
    """
    path = sql_string(str(job.path))
    try:
        described = con.execute(f"DESCRIBE SELECT * FROM read_parquet({path})").fetchall()
        expanded = con.execute(f"SELECT coalesce(sum(total_uncompressed_size), 0) FROM parquet_metadata({path})").fetchone()
        # The footer alone says nothing of the pages: read one value of each column's last row group before trusting it.
        columns = ", ".join(f"max({sql_name(name)} IS NULL)" for name, *_ in described)
        con.execute(f"SELECT {columns} FROM read_parquet({path})").fetchone()
    except duckdb.Error as error:
        raise job.refuse(f"damaged Parquet: {str(error).splitlines()[0]}", "fetch the file again") from error
    if expanded and expanded[0] > job.bounds.max_expanded_bytes:
        raise job.refuse(f"{expanded[0]} bytes once unpacked (at most {job.bounds.max_expanded_bytes})", "split the file")
    if len(described) > job.bounds.max_columns:
        raise job.refuse(f"{len(described)} columns (at most {job.bounds.max_columns})")
    notes: list[str] = []
    names = column_names([str(name) for name, *_ in described], notes)
    chosen = ", ".join(f"{sql_name(str(d[0]))} AS {sql_name(n)}" for d, n in zip(described, names, strict=True))
    return SourceTable(
        relation=f"(SELECT {chosen}, file_row_number + 1 AS {POSITION} FROM read_parquet({path}, file_row_number = true))",
        columns={n: str(d[1]) for d, n in zip(described, names, strict=True)},
        format="parquet",
        notes=notes,
        member=job.member,
    )
