"""Which kind of panel is drawn by what.

Here: the table of kinds. Not here: any of them (`figures`, `curves`, `grids`, `maps`); `texte` is no chart (`layout`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from dashboards.compiler.curves import barres, classement, courbe
from dashboards.compiler.drawing import Draft, Drawing
from dashboards.compiler.figures import chiffre, repartition
from dashboards.compiler.grids import chaleur, croise, tableau
from dashboards.compiler.maps import carte_communes, carte_points
from dashboards.sheets.model import Kind

DRAWN_BY: Final[Mapping[Kind, Callable[[Draft], Drawing]]] = {
    "chiffre": chiffre,
    "courbe": courbe,
    "barres": barres,
    "classement": classement,
    "repartition": repartition,
    "tableau": tableau,
    "croise": croise,
    "chaleur": chaleur,
    "carte_communes": carte_communes,
    "carte_points": carte_points,
}
# Heights where a sheet says none, in Superset's units of 8 pixels: a figure, a chart, what one reads row by row.
HEIGHTS: Final[Mapping[Kind, int]] = {
    "chiffre": 25, "courbe": 42, "barres": 42, "classement": 48, "repartition": 42, "tableau": 56, "croise": 50, "chaleur": 48,
    "carte_communes": 60, "carte_points": 60, "texte": 16,
}  # fmt: skip


def draw(draft: Draft) -> Drawing:
    """Return a panel's chart."""
    return DRAWN_BY[draft.panel.kind](draft)
