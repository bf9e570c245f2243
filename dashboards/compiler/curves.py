"""Measures along an axis: `courbe`, `barres`, `classement`.

Here: what Superset calls time-series charts, over a time or over categories. Not here: one number of a whole period (`figures`).
"""

from __future__ import annotations

from typing import Any, Final

from dashboards.compiler import looks
from dashboards.compiler.drawing import MOST_ROWS, Draft, Drawing

# Pixels an axis title needs beside numbers of seven characters and below dates.
_VALUES_MARGIN: Final = 60
_NAMES_MARGIN: Final = 30


def courbe(draft: Draft) -> Drawing:
    """Return measures over time, a line each, or a line for each value of the columns they are broken down by."""
    return _over_time(draft, "echarts_timeseries_line", {"seriesType": "line", "markerEnabled": True, "markerSize": 4})


def barres(draft: Draft) -> Drawing:
    """Return measures as bars: over time where the panel has a step, else over the values of its first column."""
    stack = {"stack": "Stack" if draft.panel.is_stacked else None, "orientation": "vertical"}
    if draft.panel.time is not None and draft.panel.grain is not None:
        return _over_time(draft, "echarts_timeseries_bar", stack)
    return _over_names(draft, stack)


def classement(draft: Draft) -> Drawing:
    """Return a ranking: horizontal bars, the greatest on top."""
    return _over_names(draft, {"stack": "Stack" if draft.panel.is_stacked else None, "orientation": "horizontal"})


def _over_time(draft: Draft, viz_type: str, params: dict[str, Any]) -> Drawing:
    panel = draft.panel
    grain = panel.grain or "jour"
    column = str(panel.time)
    order, upwards = draft.order
    by_measure = order if order in draft.table.measures else panel.measures[0]
    # `limite` bounds the series of a panel that is broken down; the points of one that is not are bounded by time.
    series = panel.limit if panel.by else 0
    params |= _shared(draft) | {
        "x_axis": column,
        "groupby": list(panel.by),
        "limit": series,
        "timeseries_limit_metric": by_measure,
        "order_desc": not upwards,
        "row_limit": MOST_ROWS,
        "truncate_metric": True,
        "show_empty_columns": True,
        "x_axis_time_format": looks.DATES[grain],
        "tooltipTimeFormat": looks.DATES[grain],
        "x_axis_title": "",
        "x_axis_title_margin": 0,
        "y_axis_title": draft.axis,
        "y_axis_title_margin": _VALUES_MARGIN,
        "annotation_layers": _target(draft),
        "time_compare": draft.shifts,
        "comparison_type": "values",
    }
    return draft.drawing(
        viz_type,
        params,
        columns=[draft.time_axis(column), *panel.by],
        orderby=[[by_measure, upwards]],
        series_columns=list(panel.by),
        series_limit=series,
        series_limit_metric=by_measure,
        time_offsets=draft.shifts,
        row_limit=MOST_ROWS,
    )


def _over_names(draft: Draft, params: dict[str, Any]) -> Drawing:
    panel = draft.panel
    column, *others = panel.by
    order, upwards = draft.order
    # Bars lie from the bottom up when they are horizontal: what comes last in the order of the axis is on top.
    is_horizontal = params["orientation"] == "horizontal"
    by_measure = order if order in draft.table.measures else panel.measures[0]
    is_by_name = order not in draft.table.measures
    single = len(panel.measures) == 1 and not others
    sorting: dict[str, Any]
    if single:
        sorting = {"x_axis_sort": column if is_by_name else by_measure, "x_axis_sort_asc": upwards != is_horizontal}
    else:
        sorting = {"x_axis_sort_series": "name" if is_by_name else "sum", "x_axis_sort_series_ascending": upwards != is_horizontal}
    values, names = (draft.axis, _VALUES_MARGIN), (draft.title(column), _NAMES_MARGIN)
    params |= (
        _shared(draft)
        | sorting
        | {
            "x_axis": column,
            "xAxisForceCategorical": True,
            "groupby": others,
            "timeseries_limit_metric": by_measure,
            "order_desc": not upwards,
            "truncate_metric": True,
            "x_axis_title": names[0],
            "x_axis_title_margin": names[1] if not is_horizontal else 0,
            "y_axis_title": values[0],
            "y_axis_title_margin": values[1] if not is_horizontal else _NAMES_MARGIN,
            "annotation_layers": _target(draft),
            "show_value": single,
            "show_legend": not single,
            "only_total": True,
        }
    )
    if is_horizontal:
        params["x_axis_title"] = ""  # the question says of what
    return draft.drawing(
        "echarts_timeseries_bar",
        params,
        columns=[draft.time_axis(column), *others],
        orderby=[[by_measure if not is_by_name else column, upwards]],
        series_columns=others,
    )


def _shared(draft: Draft) -> dict[str, Any]:
    is_alone = len(draft.panel.measures) == 1 and not draft.panel.by and draft.panel.compare is None
    return {
        "metrics": list(draft.panel.measures),
        "y_axis_format": draft.number,
        "y_axis_title_position": "Left",
        "y_axis_bounds": [None, None],
        "truncateYAxis": False,
        "rich_tooltip": True,
        "tooltipSortByMetric": True,
        "showTooltipTotal": False,
        "show_legend": not is_alone,
        "legendType": "scroll",
        "legendOrientation": "top",
        "show_value": False,
        "zoomable": False,
        "minorTicks": False,
        "rolling_type": None,
        "sort_series_type": "sum",
    }


def _target(draft: Draft) -> list[dict[str, Any]]:
    """Return the line of the value to reach, drawn across the whole axis."""
    target = draft.panel.target
    if target is None:
        return []
    unit = looks.unit_of(draft.measure)
    return [
        {
            "annotationType": "FORMULA",
            "sourceType": "",
            "name": f"Objectif : {looks.written(target)}{f' {unit}' if unit else ''}",
            "value": repr(float(target)),
            "style": "dashed",
            "opacity": "",
            "color": looks.COLORS["rouge"],
            "width": 2,
            "show": True,
            "showLabel": False,
            "showMarkers": False,
            "hideLine": False,
            "overrides": {"time_range": None},
            "timeColumn": "",
            "titleColumn": "",
            "descriptionColumns": [],
            "intervalEndColumn": "",
        }
    ]
