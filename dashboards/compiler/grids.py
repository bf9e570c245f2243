"""Numbers in rows and columns: `tableau`, `croise`, `chaleur`.

Here: tables of rows, tables of measures, crossed tables, heat maps. Not here: bars and lines (`curves`).
"""

from __future__ import annotations

import json
from typing import Any, Final

from dashboards.compiler import looks
from dashboards.compiler.drawing import Draft, Drawing
from dashboards.sheets.checks import is_number

# A page of a table on a laptop's screen; more rows are a click away.
_PAGE: Final = 20
# Pixels of a column: a date and its hour, a number and its title, a name; a text wraps in the last.
_WIDTHS: Final = {"time": 130, "number": 110, "text": 150}


def tableau(draft: Draft) -> Drawing:
    """Return rows as they are (`colonnes`), or measures of each group of rows (`par`)."""
    panel, columns = draft.panel, draft.table.columns
    shared: dict[str, Any] = {
        "table_timestamp_format": looks.INSTANT,
        "page_length": _PAGE,
        "include_search": panel.limit > _PAGE,
        "server_pagination": False,
        "show_cell_bars": False,
        "align_pn": False,
        "color_pn": False,
        "allow_rearrange_columns": False,
        "show_totals": False,  # a total of rates would be none
        "column_config": {
            **{name: _cell(draft, name) for name in (*panel.columns, *panel.by)},
            **{m.name: {"d3NumberFormat": looks.number(m.decimals), "columnWidth": _WIDTHS["number"]} for m in draft.measures},
        },
    }
    if not panel.measures:
        order = [] if panel.order is None else [[draft.order[0], draft.order[1]]]
        as_they_are = {"query_mode": "raw", "all_columns": list(panel.columns), "order_by_cols": [json.dumps(pair) for pair in order]}
        return draft.drawing("table", shared | as_they_are, columns=list(panel.columns), orderby=order, metrics=[])
    name, upwards = draft.order
    is_by_measure = name in draft.table.measures
    shown: dict[str, Any] = {
        "query_mode": "aggregate",
        "groupby": list(panel.by),
        "metrics": list(panel.measures),
        "percent_metrics": [],
        "timeseries_limit_metric": name if is_by_measure else _as_measure(name),
        "order_desc": not upwards,
        "conditional_formatting": looks.conditions(panel, panel.measures),
        "temporal_columns_lookup": {c: True for c in panel.by if columns[c].is_time},
    }
    return draft.drawing("table", shared | shown, columns=list(panel.by), orderby=[[name, upwards]])


def _as_measure(column: str) -> dict[str, Any]:
    """Return a column of a group as Superset orders groups by it: all rows of the group have it."""
    return {"expressionType": "SQL", "sqlExpression": f'MAX("{column}")', "label": f"ordre_{column}", "hasCustomLabel": True}


def _cell(draft: Draft, name: str) -> dict[str, Any]:
    column = draft.table.columns[name]
    if column.is_time:
        return {"d3TimeFormat": looks.date_format(column), "columnWidth": _WIDTHS["time"]}
    if is_number(column):
        whole = "int" in column.data_type
        return {"d3NumberFormat": looks.number(0 if whole else 2), "columnWidth": _WIDTHS["number"]}
    return {"columnWidth": _WIDTHS["text"]}


def croise(draft: Draft) -> Drawing:
    """Return measures crossed: `par` down, `en_colonnes` across. Without totals: those of rates would be none."""
    panel = draft.panel
    name, upwards = draft.order
    times = [c for c in (*panel.by, *panel.across) if draft.table.columns[c].is_time]
    params = {
        "groupbyRows": list(panel.by),
        "groupbyColumns": list(panel.across),
        "metrics": list(panel.measures),
        "metricsLayout": "COLUMNS",
        "aggregateFunction": "Sum",  # of one value per cell: there is nothing to add
        "rowTotals": False,
        "rowSubTotals": False,
        "colTotals": False,
        "colSubTotals": False,
        "transposePivot": False,
        "combineMetric": False,
        "valueFormat": draft.number,
        "date_format": looks.DATES[panel.grain] if panel.grain else _date(draft, times),
        "rowOrder": _pivot_order(name, upwards=upwards, is_by_measure=name in draft.table.measures and panel.order is not None),
        "colOrder": "key_a_to_z",
        "conditional_formatting": looks.conditions(panel, panel.measures),
        "temporal_columns_lookup": dict.fromkeys(times, True),
        "series_limit": 0,
        "order_desc": not upwards,
    }
    columns = [draft.time_axis(c) if c in times else c for c in (*panel.by, *panel.across)]
    return draft.drawing("pivot_table_v2", params, columns=columns, orderby=[[panel.measures[0], False]])


def _date(draft: Draft, times: list[str]) -> str:
    return looks.date_format(draft.table.columns[times[0]]) if times else looks.DATES[None]


def _pivot_order(name: str, *, upwards: bool, is_by_measure: bool) -> str:
    if is_by_measure:
        return "value_a_to_z" if upwards else "value_z_to_a"
    return "key_z_to_a" if name and upwards else "key_a_to_z"


def chaleur(draft: Draft) -> Drawing:
    """Return one measure by two columns as shades: `en_colonnes` along, `par` up."""
    panel, measure = draft.panel, draft.measure
    along, up = panel.across[0], panel.by[0]
    params = {
        "x_axis": along,
        "groupby": up,
        "metric": measure.name,
        "linear_color_scheme": looks.SHADES,
        "normalize_across": "heatmap",
        "normalized": False,
        "sort_x_axis": "alpha_asc",
        "sort_y_axis": "alpha_desc",  # from the top down, as one reads
        "value_bounds": [None, None],
        "y_axis_format": looks.number(measure.decimals),
        "x_axis_time_format": looks.date_format(draft.table.columns[along], panel.grain),
        "show_legend": True,
        "legend_type": "continuous",
        "show_percentage": False,
        "show_values": False,
        "left_margin": "auto",
        "bottom_margin": "auto",
        "xscale_interval": -1,
        "yscale_interval": 1,
        "border_color": {"r": 255, "g": 255, "b": 255, "a": 1},
        "border_width": 1,
    }
    columns = [draft.time_axis(along), up]
    return draft.drawing("heatmap_v2", params, columns=columns, orderby=[[along, True], [up, False]])
