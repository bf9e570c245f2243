"""Filters of a whole dashboard, as Superset keeps them: the period, and values of columns that narrow one another.

Here: what each starts with, which charts it leaves alone. Not here: rows that one panel keeps (`rows`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboards.compiler.datasets import Words, has_words
from dashboards.compiler.names import short, slug, stable
from dashboards.sheets.catalogue import Table
from dashboards.sheets.model import PERIODS, Filter, Panel, Sheet


def period(sheet: Sheet) -> str | None:
    """Return the range a sheet's panels start with, as Superset writes it; None: all of time."""
    said = next((f.default for f in sheet.filters if f.kind == "periode"), None)
    if not isinstance(said, str) or said == "tout":
        return None
    return PERIODS.get(said, said)


def filter_id(code: str, title: str) -> str:
    """Return the id of a filter on its page, the same at every push."""
    return f"NATIVE_FILTER-{short(stable('chart', f'{code}/filtre/{slug(title)}'))}"


def native_filters(
    code: str, sheet: Sheet, charts: Sequence[tuple[int, Panel]], tables: Mapping[str, Table], words: Words
) -> list[dict[str, Any]]:
    """Return a sheet's filters.

    Args:
        code: of the sheet.
        sheet: whose filters.
        charts: the panels that are charts, each with its number in the dashboard.
        tables: the published tables by full name.
        words: defaults are written as codes, and chosen as words.
    """
    return [_filter(code, sheet, f, charts, tables, words) for f in sheet.filters]


def holds_for(chosen: Filter, panel: Panel, table: Table) -> bool:
    """Return whether a filter narrows a panel: it has a time, or its table has the column."""
    return panel.time is not None if chosen.kind == "periode" else chosen.column in table.columns


def _filter(
    code: str, sheet: Sheet, chosen: Filter, charts: Sequence[tuple[int, Panel]], tables: Mapping[str, Table], words: Words
) -> dict[str, Any]:
    left_alone = [number for number, panel in charts if not holds_for(chosen, panel, tables[str(panel.table)])]
    shared: dict[str, Any] = {
        "id": filter_id(code, chosen.title),
        "name": chosen.title,
        "type": "NATIVE_FILTER",
        "description": "",
        "scope": {"rootPath": ["ROOT_ID"], "excluded": left_alone},
        "cascadeParentIds": [filter_id(code, title) for title in chosen.within],
    }
    if chosen.kind == "periode":
        start = period(sheet)
        # What is compared has a start and an end: the period may change, and not be emptied.
        is_needed = any(p.compare is not None for p in sheet.panels)
        mask = {"time_range": start} if start is not None else {}
        return shared | {
            "filterType": "filter_time",
            "targets": [{}],
            "controlValues": {"enableEmptyFilter": is_needed and start is not None},
            "defaultDataMask": {"extraFormData": mask, "filterState": {"value": start} if start is not None else {}, "ownState": {}},
        }
    column = str(chosen.column)
    table = _source(chosen, charts, tables)
    values = _values(chosen, table, words)
    asked = {"filters": [{"col": column, "op": "IN", "val": values}]} if values else {}
    return shared | {
        "filterType": "filter_select",
        "targets": [{"datasetUuid": stable("dataset", table.full_name), "column": {"name": column}}],
        "controlValues": {
            "multiSelect": not chosen.is_single,
            "enableEmptyFilter": False,
            "defaultToFirstItem": False,
            "inverseSelection": False,
            "searchAllOptions": True,  # a city has more streets than a list shows: what is typed is asked of the server
            "sortAscending": True,
        },
        "defaultDataMask": {
            "extraFormData": asked,
            "filterState": {"value": values, "label": ", ".join(str(v) for v in values)} if values else {},
            "ownState": {},
        },
    }


def _source(chosen: Filter, charts: Sequence[tuple[int, Panel]], tables: Mapping[str, Table]) -> Table:
    if chosen.table is not None:
        return tables[chosen.table]
    return next(tables[str(p.table)] for _, p in charts if chosen.column in tables[str(p.table)].columns)


def _values(chosen: Filter, table: Table, words: Words) -> list[str]:
    default = chosen.default
    codes = [] if default is None else [default] if isinstance(default, str) else list(default)
    column = table.columns[str(chosen.column)]
    said = words.get(column.name, {}) if has_words(column, words) else {}
    return list(dict.fromkeys(said.get(code, code) for code in codes))
