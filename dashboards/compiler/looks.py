"""How numbers, dates and colours are written on the screen: the French manner, units everywhere, colours that the colour-blind tell apart.

Here: formats, titles with units, colours of thresholds. Not here: which chart takes which (`kinds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dashboards.sheets.catalogue import Column, Measure
from dashboards.sheets.model import Color, Grain, Panel, Threshold

# Steps of a time axis, as ISO 8601 writes them: what Superset calls a time grain.
STEPS: Final[dict[Grain, str]] = {
    "heure": "PT1H", "jour": "P1D", "semaine": "P1W", "mois": "P1M", "trimestre": "P3M", "annee": "P1Y",
}  # fmt: skip
# A day is written the French way; of a month its day would say nothing.
DATES: Final[dict[Grain | None, str]] = {
    "heure": "%d/%m/%Y %H:%M", "jour": "%d/%m/%Y", "semaine": "%d/%m/%Y",
    "mois": "%m/%Y", "trimestre": "%m/%Y", "annee": "%Y", None: "%d/%m/%Y",
}  # fmt: skip
INSTANT: Final = "%d/%m/%Y %H:%M"
# One palette for series: Superset's own, whose neighbours differ in lightness too.
PALETTE: Final = "supersetColors"
# Of heat maps and of areas: one hue from pale to dark, read in grey as well.
SHADES: Final = "schemeBlues"
COLORS: Final[dict[Color, str]] = {"vert": "#1e8449", "orange": "#d68910", "rouge": "#c0392b", "gris": "#7f8c8d", "bleu": "#0b5fa5"}
# What compares: as Superset keeps it in a chart. A period is shifted by its own length.
SHIFTS: Final = {"periode_precedente": "inherit", "annee_precedente": "1 year ago"}
SHIFT_WORDS: Final = {"periode_precedente": "période précédente", "annee_precedente": "un an plus tôt"}
_NO_UNIT: Final = frozenset({"", "1"})
_MONTH_COLUMNS: Final = ("month", "_month")


def titled(label: str, unit: str | None) -> str:
    """Return a title that says its unit.

    >>> titled("Durée moyenne", "h")
    'Durée moyenne (h)'
    """
    return label if unit is None or unit in _NO_UNIT else f"{label} ({unit})"


def unit_of(measure: Measure) -> str:
    """Return a measure's unit as it follows a figure; nothing for a plain ratio."""
    return "" if measure.unit in _NO_UNIT else measure.unit


def number(decimals: int) -> str:
    """Return d3's format of a number; the locale writes the comma and the spaces."""
    return f",.{decimals}f"


def plain(value: float, decimals: int) -> str:
    """Return a number as a French reader writes it, for texts that Superset does not format.

    >>> plain(1234.5, 1)
    '1 234,5'
    """
    return f"{value:,.{decimals}f}".replace(",", "\u202f").replace(".", ",")


def written(value: float) -> str:
    """Return a number of a sheet as short as it was written there: `72`, `2,5`."""
    return f"{value:g}".replace(".", ",")


def date_format(column: Column, grain: Grain | None = None) -> str:
    """Return how a date or instant is written, at the step it is grouped by."""
    if grain is not None:
        return DATES[grain]
    if column.name.endswith(_MONTH_COLUMNS):
        return DATES["mois"]
    return DATES[None] if column.data_type == "date" else INSTANT


def rgb(color: Color, alpha: float = 1.0) -> dict[str, float]:
    """Return a colour as maps take it: 0 to 255, and its opacity from 0 to 1."""
    code = COLORS[color]
    return {"r": int(code[1:3], 16), "g": int(code[3:5], 16), "b": int(code[5:7], 16), "a": alpha}


def ranges(thresholds: Sequence[Threshold]) -> list[tuple[float | None, float | None, Threshold]]:
    """Return each threshold with the values it holds for: from the first, to the second excluded; None: without end."""
    starts = [t.start for t in thresholds]
    return [(t.start, starts[i + 1] if i + 1 < len(starts) else None, t) for i, t in enumerate(thresholds)]


def conditions(panel: Panel, measures: Sequence[str]) -> list[dict[str, Any]]:
    """Return a panel's thresholds as Superset's conditional formats, for each of its measures."""
    found: list[dict[str, Any]] = []
    for name in measures:
        for low, high, threshold in ranges(panel.thresholds):
            how: dict[str, Any]
            if low is None and high is None:
                how = {"operator": "None"}
            elif low is None:
                how = {"operator": "<", "targetValue": high}
            elif high is None:
                how = {"operator": "≥", "targetValue": low}
            else:
                how = {"operator": "≤ x <", "targetValueLeft": low, "targetValueRight": high}
            found.append({"column": name, **how, "colorScheme": COLORS[threshold.color], "useGradient": False})
    return found


def threshold_words(panel: Panel, unit: str) -> list[str]:
    """Return what each colour means, a line each: `orange à partir de 10 % : …`."""
    after = f" {unit}" if unit else ""
    lines = []
    for low, high, threshold in ranges(panel.thresholds):
        if low is not None:
            where = f"à partir de {written(low)}{after}"
        elif high is not None:
            where = f"en dessous de {written(high)}{after}"
        else:
            where = "toujours"
        lines.append(f"{threshold.color} {where} : {threshold.reason}")
    return lines
