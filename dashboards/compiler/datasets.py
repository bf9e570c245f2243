"""A published table as Superset's dataset: its columns and measures, in French, with their units.

Here: titles, formats, what is read in local time or in words. Not here: where an aggregation is defined (the meta of its model), who sees
which rows (`dashboards.access`). No dataset is a query of its own: a dataset is a published table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboards.compiler import looks
from dashboards.compiler.names import DATABASE, stable
from dashboards.sheets.catalogue import Column, Table
from dashboards.sheets.checks import is_number
from dashboards.sheets.words import word_sql

Words = Mapping[str, Mapping[str, str]]


def dataset(table: Table, *, main_time: str | None, time_zone: str, words: Words) -> dict[str, Any]:
    """Return a table's dataset.

    Args:
        table: the published table.
        main_time: the column that is its time; None: it has none.
        time_zone: instants are UTC in the lake, and read in this one.
        words: by column name, the French word of each code.
    """
    return {
        "version": "1.0.0",
        "uuid": stable("dataset", table.full_name),
        "database_uuid": DATABASE,
        "schema": table.schema,
        "table_name": table.name,
        "description": " ".join(part for part in (f"{table.label}.", table.description) if part),
        "main_dttm_col": main_time,
        "filter_select_enabled": True,
        "normalize_columns": False,
        "always_filter_main_dttm": False,
        "columns": [_column(c, time_zone, words) for c in table.columns.values()],
        "metrics": [
            {
                "metric_name": m.name,
                "verbose_name": looks.titled(m.label, m.unit),
                "expression": m.expression,
                "description": m.description,
                "d3format": looks.number(m.decimals),
            }
            for m in table.measures.values()
        ],
    }


def main_time(table: Table, uses: Mapping[str, int]) -> str | None:
    """Return the time of a table: the one that most panels read it by, else its first date or instant."""
    times = [c.name for c in table.columns.values() if c.is_time]
    return max(times, key=lambda name: uses.get(name, 0), default=None)


def has_words(column: Column, words: Words) -> bool:
    """Return whether a column is read in words: its codes are known, and of its type."""
    codes = words.get(column.name, {})
    return bool(codes) and not column.is_time and (not is_number(column) or all(code.isdigit() for code in codes))


def _column(column: Column, time_zone: str, words: Words) -> dict[str, Any]:
    data_type, expression = column.data_type.upper(), None
    if column.is_instant:
        # A column of the same name, worked out: filters and axes are in local time too.
        data_type, expression = "TIMESTAMP", f"timezone('{time_zone}', \"{column.name}\")"
    elif has_words(column, words):
        data_type, expression = "VARCHAR", word_sql(column.name, words[column.name])
    return {
        "column_name": column.name,
        "verbose_name": looks.titled(column.label, column.unit),
        "description": column.description or None,
        "type": data_type,
        "expression": expression,
        "is_dttm": column.is_time,
        "is_active": True,
        "groupby": True,
        "filterable": True,
    }
