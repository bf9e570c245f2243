"""One number, and shares of a whole: `chiffre`, `repartition`.

Here: what Superset calls big numbers and pies. Not here: numbers along a time (`curves`).
"""

from __future__ import annotations

from typing import Any, Final

from dashboards.compiler import looks
from dashboards.compiler.drawing import Draft, Drawing

# Below three hundredths of the circle a label would lie over its neighbour's.
_SMALLEST_LABELLED_PERCENT: Final = 3
# What a bigger figure does to a person who reads it, as Superset names the two manners of colouring a change.
_MORE_IS: Final = {"higher": "Green", "lower": "Red"}


def chiffre(draft: Draft) -> Drawing:
    """Return one measure of the whole period: compared with another period, with the course of it, or alone."""
    panel, measure = draft.panel, draft.measure
    params: dict[str, Any] = {
        "metric": measure.name,
        "y_axis_format": looks.number(measure.decimals),
        "header_font_size": 0.4,
        "subtitle": _subtitle(draft),
        "subtitle_font_size": 0.15,
        "show_metric_name": False,
    }
    if panel.compare is not None:
        is_judged = measure.is_better in _MORE_IS
        params |= {
            "time_compare": draft.shifts[0],
            "subtitle_font_size": 0.3,
            "percentDifferenceFormat": "+,.1%",
            "comparison_color_enabled": is_judged,
            "comparison_color_scheme": _MORE_IS.get(measure.is_better, "Green"),
            "subheader_font_size": 0.125,
            "column_config": {
                # What stands beside the figure: the other period's, and the change; there is no room for the gap itself.
                "Previous value": {"customColumnName": "avant", "displayTypeIcon": False},
                "Delta": {"visible": False},
                "Percent change": {"displayTypeIcon": False},
            },
        }
        return draft.drawing("pop_kpi", params, time_offsets=draft.shifts)
    if panel.time is not None and panel.grain is not None:
        params |= {
            "x_axis": panel.time,
            # The figure is that of the whole period, worked out on its rows; the curve behind is its course.
            "aggregation": "raw",
            "show_trend_line": True,
            "start_y_axis_at_zero": True,
            "time_format": looks.DATES[panel.grain],
            "rolling_type": "None",
        }
        return draft.drawing("big_number", params, columns=[draft.time_axis(panel.time)], row_limit=None)
    params |= {"conditional_formatting": looks.conditions(panel, panel.measures), "time_format": looks.DATES[None]}
    return draft.drawing("big_number_total", params)


def _subtitle(draft: Draft) -> str:
    """Return what stands below a figure: its unit, its target, what it is compared with."""
    unit = looks.unit_of(draft.measure)
    parts = [unit] if unit else []
    if draft.panel.target is not None:
        parts.append(f"objectif : {looks.written(draft.panel.target)}")
    if draft.panel.compare is not None:
        parts.append(f"avant : {looks.SHIFT_WORDS[draft.panel.compare]}")
    return " · ".join(parts)


def repartition(draft: Draft) -> Drawing:
    """Return the shares of a measure among the values of one or more columns, as a ring."""
    panel, measure = draft.panel, draft.measure
    params = {
        "groupby": list(panel.by),
        "metric": measure.name,
        "sort_by_metric": True,
        "donut": True,
        "innerRadius": 45,
        "outerRadius": 70,
        "show_labels": True,
        "label_type": "key_percent",
        "labels_outside": True,
        "label_line": True,
        "show_labels_threshold": _SMALLEST_LABELLED_PERCENT,
        "show_total": False,  # of a rate there is none
        "number_format": looks.number(measure.decimals),
        "date_format": looks.DATES[None],
        "show_legend": True,
        "legendType": "scroll",
        "legendOrientation": "bottom",
        "legendMargin": None,
    }
    return draft.drawing("pie", params, columns=list(panel.by), orderby=[[measure.name, False]])
