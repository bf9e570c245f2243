"""A chart read back as a panel: the reverse of `dashboards.compiler` for what a sheet can say.

Here: Superset's settings of one chart to the keys of a sheet. What it cannot say is no key here: `dashboards.pull` finds it by compiling
the sheet again. Not here: the layout, the filters of the whole dashboard (`dashboards.pull`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from dashboards.compiler import looks
from dashboards.sheets.catalogue import Table

Params = Mapping[str, Any]
Keys = dict[str, Any]

_KINDS: Final = {
    "big_number_total": "chiffre",
    "big_number": "chiffre",
    "pop_kpi": "chiffre",
    "echarts_timeseries_line": "courbe",
    "echarts_timeseries_bar": "barres",
    "pie": "repartition",
    "table": "tableau",
    "pivot_table_v2": "croise",
    "heatmap_v2": "chaleur",
    "deck_polygon": "carte_communes",
    "deck_scatter": "carte_points",
}
_GRAINS: Final = {step: grain for grain, step in looks.STEPS.items()}
_SHIFTS: Final = {shift: comparison for comparison, shift in looks.SHIFTS.items()}
_COLORS: Final = {shade.lower(): color for color, shade in looks.COLORS.items()}
_DEFAULT_LIMIT: Final = 100
_OF_BARS: Final = ("echarts_timeseries_line", "echarts_timeseries_bar")


def keys(viz_type: str, params: Params, table: Table) -> Keys:
    """Return what a sheet would say of a chart, in the sheet's own keys; a key whose value it cannot say is left out."""
    found: Keys = {"genre": _kind(viz_type, params)} if viz_type in _KINDS else {}
    found |= _columns(viz_type, params, table) | _order(params)
    metrics = params.get("metrics") if params.get("metrics") is not None else [params.get("metric")]
    if metrics and all(isinstance(m, str) for m in metrics):
        found["mesures"] = list(metrics)
    if params.get("time_grain_sqla") in _GRAINS:
        found["pas"] = _GRAINS[params["time_grain_sqla"]]
    shifts = params.get("time_compare")
    shift = shifts[0] if isinstance(shifts, list) and shifts else shifts
    if isinstance(shift, str) and shift in _SHIFTS:
        found["comparer"] = _SHIFTS[shift]
    if viz_type in _OF_BARS:
        found["empile"] = bool(params.get("stack"))
        found["cible"] = _target(params)
    limit = params.get("limit") if _is_over_time(viz_type, params, table) else params.get("row_limit")
    if isinstance(limit, int) and limit > 0:
        found["limite"] = limit
    return found


def simple_conditions(params: Params) -> list[Keys]:
    """Return the rows a chart keeps that a sheet can say (`ou`), but for those written in SQL."""
    found: list[Keys] = []
    for item in params.get("adhoc_filters") or []:
        if item.get("expressionType") != "SIMPLE":
            continue
        column, operator, value = item.get("subject"), item.get("operator"), item.get("comparator")
        said: dict[str, Keys] = {
            "IN": {"valeurs": list(value) if isinstance(value, list) else [value]},
            "==": {"valeurs": [value]},
            "NOT IN": {"sauf": list(value) if isinstance(value, list) else [value]},
            "!=": {"sauf": [value]},
            ">=": {"au_moins": value},
            "<=": {"au_plus": value},
            "IS NULL": {"valeurs": [None]},
            "IS NOT NULL": {"sauf": [None]},
        }
        if operator in said:
            found.append({"colonne": column, **said[operator]})
    return found


def thresholds(params: Params) -> list[tuple[float | None, str]] | None:
    """Return the colours of a chart's first measure: from which value on, and the colour; None: a sheet cannot say them."""
    every = params.get("conditional_formatting") or []
    first = [c for c in every if c.get("column") == every[0].get("column")] if every else []
    found: list[tuple[float | None, str]] = []
    for condition in first:
        color = _COLORS.get(str(condition.get("colorScheme")).lower())
        starts = {
            "<": None,
            "None": None,
            "≥": condition.get("targetValue"),
            ">": condition.get("targetValue"),
            "≤ x <": condition.get("targetValueLeft"),
        }
        if color is None or condition.get("operator") not in starts:
            return None
        found.append((starts[condition["operator"]], color))
    return found


def _kind(viz_type: str, params: Params) -> str:
    if viz_type == "echarts_timeseries_bar" and params.get("orientation") == "horizontal":
        return "classement"
    return _KINDS[viz_type]


def _is_over_time(viz_type: str, params: Params, table: Table) -> bool:
    column = table.columns.get(str(params.get("x_axis")))
    return viz_type in _OF_BARS and column is not None and column.is_time and "time_grain_sqla" in params


def _columns(viz_type: str, params: Params, table: Table) -> Keys:
    found: Keys
    axis, groups = params.get("x_axis"), params.get("groupby") or []
    if viz_type in _OF_BARS:
        found = {"temps": axis, "par": groups} if _is_over_time(viz_type, params, table) else {"par": [axis, *groups]}
    elif viz_type == "table" and params.get("query_mode") == "raw":
        found = {"colonnes": params.get("all_columns") or []}
    elif viz_type in {"table", "pie"}:
        found = {"par": groups}
    elif viz_type == "pivot_table_v2":
        found = {"par": params.get("groupbyRows") or [], "en_colonnes": params.get("groupbyColumns") or []}
    elif viz_type == "heatmap_v2":
        found = {"par": [groups] if isinstance(groups, str) else groups, "en_colonnes": [axis]}
    elif viz_type == "big_number":
        found = {"temps": axis}
    else:
        found = {}
    said = {key: value for key, value in found.items() if all(isinstance(v, str) for v in (value if isinstance(value, list) else [value]))}
    if "temps" not in said and isinstance(params.get("granularity_sqla"), str):
        said["temps"] = params["granularity_sqla"]
    return {key: list(value) if isinstance(value, list) else value for key, value in said.items()}


def _order(params: Params) -> Keys:
    name, upwards = params.get("timeseries_limit_metric"), not params.get("order_desc", True)
    if params.get("order_by_cols"):
        name, upwards = json.loads(params["order_by_cols"][0])
    return {"trier_par": f"-{name}" if upwards else name} if isinstance(name, str) else {}


def _target(params: Params) -> float | None:
    for layer in params.get("annotation_layers") or []:
        if layer.get("annotationType") == "FORMULA":
            try:
                return float(layer["value"])
            except ValueError:
                return None  # a formula, not a value: `dashboards.pull` names it
    return None
