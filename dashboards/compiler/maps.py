"""Numbers where they are: `carte_communes`, `carte_points`.

Here: areas coloured by a measure, points sized and coloured by one. Not here: the ground below them, which the server draws
(`dashboards.server`); no tile comes from outside.
"""

from __future__ import annotations

from typing import Any, Final

from dashboards.compiler import looks
from dashboards.compiler.drawing import Draft, Drawing
from dashboards.sheets.checks import LATITUDE, LONGITUDE, OUTLINE
from dashboards.sheets.model import Color

# The server's own tiles.
GROUND: Final = "tile:///tuiles/{z}/{x}/{y}.png"
# Five shades are told apart at a glance; more are not.
_SHADES: Final = 5
# A threshold without end still needs one for the legend: past a percentage 100, past anything else three times its start. Values beyond
# keep the colour of the last.
_PERCENT: Final = "%"
_WHOLE_PERCENT: Final = 100.0
_FAR: Final = 3.0
# Pixels of a point: seen at the scale of a city, and not hiding its street.
_SMALLEST_POINT: Final = 4
_GREATEST_POINT: Final = 24
_FIXED_POINT_M: Final = 25


def carte_communes(draft: Draft) -> Drawing:
    """Return the outlines of communes, coloured by a measure: by its thresholds, else in shades."""
    panel, measure = draft.panel, draft.measure
    params = _shared(draft) | {
        "line_column": OUTLINE,
        "line_type": "json",
        "reverse_long_lat": False,
        "metric": measure.name,
        "point_radius_fixed": {"type": "fix", "value": 0},
        "filled": True,
        "stroked": True,
        "extruded": False,
        "fill_color_picker": looks.rgb("bleu", 0.6),
        "stroke_color_picker": {"r": 80, "g": 80, "b": 80, "a": 0.8},
        "line_width": 1,
        "line_width_unit": "pixels",
        "opacity": 75,
        "multiplier": 1,
        "num_buckets": _SHADES,
        "toggle_polygons": False,
        "table_filter": False,
        "linear_color_scheme": looks.SHADES,
        "color_scheme_type": "linear_palette",
        "filter_nulls": False,  # Superset would look for the measure among the columns
    }
    params |= _colors(draft)
    told = [c for c in (*panel.by, *panel.columns) if c != OUTLINE]
    return draft.drawing("deck_polygon", params, columns=[OUTLINE, *told], filters=[*draft.rows.filters, _known(OUTLINE)])


def carte_points(draft: Draft) -> Drawing:
    """Return points where things stand: as large as the measure, coloured by its thresholds, else by the second column of `par`."""
    panel, measure = draft.panel, draft.measure
    category = panel.by[1] if len(panel.by) > 1 and not panel.thresholds else None
    params = _shared(draft) | {
        "spatial": {"type": "latlong", "lonCol": LONGITUDE, "latCol": LATITUDE},
        "point_radius_fixed": {"type": "metric", "value": measure.name},
        "metric": measure.name,
        "point_unit": "square_m",
        "min_radius": _SMALLEST_POINT,
        "max_radius": _GREATEST_POINT,
        "multiplier": _FIXED_POINT_M,
        "dimension": category,
        "color_picker": looks.rgb("bleu", 0.75),
        "color_scheme_type": "fixed_color" if category is None else "categorical_palette",
    }
    params |= _colors(draft)
    told = list(dict.fromkeys((*panel.by, *panel.columns)))
    where = [*draft.rows.filters, _known(LONGITUDE), _known(LATITUDE)]
    columns = [LONGITUDE, LATITUDE, *told]
    return draft.drawing("deck_scatter", params, columns=columns, filters=where, orderby=[[measure.name, False]])


def _known(column: str) -> dict[str, Any]:
    return {"col": column, "op": "IS NOT NULL"}


def _shared(draft: Draft) -> dict[str, Any]:
    panel, measure = draft.panel, draft.measure
    told: list[dict[str, Any]] = [
        {"item_type": "column", "column_name": name, "verbose_name": draft.title(name), "label": draft.title(name)}
        for name in dict.fromkeys((*panel.by, *panel.columns))
    ]
    title = looks.titled(measure.label, measure.unit)
    told.append({"item_type": "metric", "metric_name": measure.name, "verbose_name": title, "label": title})
    return {
        "mapbox_style": GROUND,
        "autozoom": True,
        "viewport": {
            "longitude": draft.place.longitude,
            "latitude": draft.place.latitude,
            "zoom": draft.place.zoom,
            "bearing": 0,
            "pitch": 0,
        },
        "legend_position": "tr",
        "legend_format": looks.number(measure.decimals),
        "tooltip_contents": told,
        "js_columns": [],
        "js_data_mutator": "",
        "js_tooltip": "",
        "js_onclick_href": "",
    }


def _colors(draft: Draft) -> dict[str, Any]:
    """Return the colours of thresholds as maps take them; nothing where there are none."""
    found = looks.ranges(draft.panel.thresholds)
    if not found:
        return {}
    breakpoints = []
    for i, (low, high, threshold) in enumerate(found):
        start = low if low is not None else min(0.0, (high or 0.0) * _FAR)
        end = high if high is not None else _end(start, draft.measure.unit)
        breakpoints.append({"id": i, "color": looks.rgb(threshold.color), "minValue": start, "maxValue": end})
    last: Color = found[-1][2].color
    return {"color_scheme_type": "color_breakpoints", "color_breakpoints": breakpoints, "default_breakpoint_color": looks.rgb(last)}


def _end(start: float, unit: str) -> float:
    if unit == _PERCENT and start < _WHOLE_PERCENT:
        return _WHOLE_PERCENT
    return start * _FAR if start > 0 else start + _FAR
