"""One sheet as one dashboard: its charts, its layout, its filters, the tab that explains it.

Here: putting a sheet's parts together. Not here: the parts (`kinds`, `layout`, `filters`, `texts`), all sheets at once (`bundle`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboards.compiler import filters, layout, looks, texts
from dashboards.compiler.datasets import Words
from dashboards.compiler.drawing import Draft, Drawing, Place
from dashboards.compiler.kinds import HEIGHTS, draw
from dashboards.compiler.names import chart_name, slug, stable
from dashboards.sheets.catalogue import Table
from dashboards.sheets.model import COLUMNS, Color, Panel, Sheet

# A publication comes every quarter of an hour; results are kept for a minute: five minutes show it soon, at the cost of few queries.
REFRESH_S: Final = 300
# Words whose colour is known to all who read them; the rest take the palette's.
_STATUS_COLORS: Final[Mapping[str, Color]] = {
    "1 - Critique": "rouge", "2 - Haute": "orange", "3 - Moyenne": "bleu", "4 - Basse": "gris",
    "Surconsommation": "rouge", "Sous-consommation": "bleu", "Normal": "vert", "Sans référence": "gris", "Jour incomplet": "gris",
    "Télégéré": "bleu", "Non télégéré": "orange", "Non renseigné": "gris", "Rejetée": "gris", "Annulée": "gris",
}  # fmt: skip
# No scroll sideways on a laptop; questions of a figure stay within two lines there; long words break in tables.
CSS: Final = """.dashboard-content { overflow-x: hidden; }
.dashboard-markdown h3 { margin-top: 0; }
.dashboard-component-chart-holder .header-title { font-size: 14px; line-height: 1.3; }
.superset-legacy-chart-table td, .dashboard-component-chart-holder table td { overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class CompiledChart:
    """A chart of a dashboard: its number there from 1, its panel, and what it asks for."""

    number: int
    tab: str
    panel: Panel
    uuid: str
    dataset: str
    query_context: dict[str, Any]

    @property
    def title(self) -> str:
        """The question it answers."""
        return self.panel.title


@dataclass(frozen=True)
class Compiled:
    """A dashboard's files, by path in the bundle, and its charts."""

    files: dict[str, dict[str, Any]]
    charts: tuple[CompiledChart, ...]


def compile_dashboard(code: str, sheet: Sheet, tables: Mapping[str, Table], *, words: Words, place: Place) -> Compiled:
    """Return one sheet's charts and its dashboard."""
    start = filters.period(sheet)
    files: dict[str, dict[str, Any]] = {}
    charts: list[CompiledChart] = []
    tabs: list[tuple[str, list[layout.Block]]] = []
    for i, tab in enumerate(sheet.tabs, start=1):
        blocks: list[layout.Block] = []
        above = [texts.head(sheet)] if i == 1 else []
        above += [tab.intro] if tab.intro is not None else []
        if above:
            blocks.append(layout.Block("en tête", COLUMNS, None, text="\n\n".join(above)))
        for panel in tab.panels:
            height = panel.height if panel.height is not None else HEIGHTS[panel.kind]
            if panel.table is None:
                text = f"### {panel.title}\n\n{panel.text}"
                blocks.append(layout.Block(panel.title, panel.width, panel.height, text=text))
                continue
            table = tables[panel.table]
            name = chart_name(code, i, panel.title)
            drawing = draw(Draft(panel, table, words, start, place))
            uuid, dataset = stable("chart", name), stable("dataset", panel.table)
            context = _query_context(drawing)
            charts.append(CompiledChart(len(charts) + 1, tab.title, panel, uuid, dataset, context))
            blocks.append(layout.Block(panel.title, panel.width, height, uuid=uuid, number=len(charts)))
            files[f"charts/{code}/{i}-{slug(panel.title)}.yaml"] = {
                "version": "1.0.0",
                "uuid": uuid,
                "dataset_uuid": dataset,
                "slice_name": panel.title,
                "description": texts.chart_description(panel, table),
                "viz_type": drawing.viz_type,
                "params": drawing.params,
                "query_context": json.dumps(context, ensure_ascii=False),
                "cache_timeout": None,
            }
        tabs.append((tab.title, blocks))
    explained = [layout.Block(f"explication {n}", COLUMNS, None, text=t) for n, t in enumerate(texts.explanations(sheet, tables))]
    tabs.append((texts.EXPLAINED, explained))
    files[f"dashboards/{code}.yaml"] = {
        "version": "1.0.0",
        "uuid": stable("dashboard", code),
        "slug": code,
        "dashboard_title": sheet.title,
        "description": " ".join(sheet.audience.split()),
        "certified_by": sheet.owner,
        "certification_details": f"Convenu avec le service le {_day(sheet.designed_on)}",
        "published": True,
        "css": CSS,
        "position": layout.position(code, sheet.title, tabs),
        "metadata": _metadata(code, sheet, charts, tables, words),
    }
    return Compiled(files, tuple(charts))


def _query_context(drawing: Drawing) -> dict[str, Any]:
    return {
        "datasource": {"id": 0, "type": "table"},
        "force": False,
        "queries": [drawing.query],
        "form_data": {**drawing.params, "datasource": "0__table"},
        "result_format": "json",
        "result_type": "full",
    }


def _metadata(code: str, sheet: Sheet, charts: list[CompiledChart], tables: Mapping[str, Table], words: Words) -> dict[str, Any]:
    numbered = [(c.number, c.panel) for c in charts]
    return {
        "color_scheme": looks.PALETTE,
        "label_colors": {word: looks.COLORS[color] for word, color in _STATUS_COLORS.items()},
        "refresh_frequency": REFRESH_S,
        "timed_refresh_immune_slices": [],
        "expanded_slices": {},
        "default_filters": "{}",
        "cross_filters_enabled": True,
        "chart_configuration": {},
        "global_chart_configuration": {"scope": {"rootPath": ["ROOT_ID"], "excluded": []}, "chartsInScope": []},
        "filter_bar_orientation": "HORIZONTAL",
        "native_filter_configuration": filters.native_filters(code, sheet, numbered, tables, words),
    }


def _day(iso: str) -> str:
    year, month, day = iso.split("-")
    return f"{day}/{month}/{year}"
