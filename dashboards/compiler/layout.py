"""Where things stand on a page: tabs, rows of twelve columns, charts and texts, as Superset lays a dashboard out.

Here: filling rows, heights. Not here: what a chart draws (`kinds`), what texts say (`texts`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dashboards.compiler.names import short, slug, stable
from dashboards.sheets.model import COLUMNS

# Characters on a line of text across the twelve columns of a laptop's screen (1366 pixels), and the units of 8 pixels a line takes.
_LINE_CHARACTERS: Final = 165
_LINE_UNITS: Final = 3
# Around a text.
_MARGIN_UNITS: Final = 4
# No text needs less to be seen, and none more than a screen.
_LEAST_UNITS: Final = 8
_MOST_UNITS: Final = 90


@dataclass(frozen=True)
class Block:
    """A chart or a text, with its size.

    Attributes:
        title: the chart's question; of a text, what tells it from others on its tab.
        width: of twelve columns.
        height: in units of 8 pixels; None: as much as its text needs.
        uuid: of the chart; None: a text.
        number: of the chart in its dashboard, from 1: what stands for its id until Superset has given one.
        text: Markdown; None: a chart.
    """

    title: str
    width: int
    height: int | None
    uuid: str | None = None
    number: int = 0
    text: str | None = None


def fill(blocks: Iterable[Block]) -> list[list[Block]]:
    """Return blocks in rows, in their order, none wider than the page."""
    rows: list[list[Block]] = []
    for block in blocks:
        if not rows or sum(b.width for b in rows[-1]) + block.width > COLUMNS:
            rows.append([])
        rows[-1].append(block)
    return rows


def text_height(text: str, width: int) -> int:
    """Return the height a text needs, in units of 8 pixels."""
    per_line = max(20, _LINE_CHARACTERS * width // COLUMNS)
    lines = sum(max(1, math.ceil(len(line) / per_line)) for line in text.split("\n") if line.strip())
    gaps = sum(1 for line in text.split("\n") if line.startswith("#")) + text.count("\n\n")
    return min(_MOST_UNITS, max(_LEAST_UNITS, _MARGIN_UNITS + _LINE_UNITS * lines + gaps))


def position(code: str, title: str, tabs: Sequence[tuple[str, Sequence[Block]]]) -> dict[str, Any]:
    """Return a dashboard's layout.

    Args:
        code: of the sheet.
        title: of the dashboard.
        tabs: title and blocks of each, in order.
    """
    root, grid, all_tabs = "ROOT_ID", "GRID_ID", f"TABS-{slug(code)}"
    found: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        root: {"type": "ROOT", "id": root, "children": [grid]},
        grid: {"type": "GRID", "id": grid, "children": [all_tabs], "parents": [root]},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": title}},
        all_tabs: {"type": "TABS", "id": all_tabs, "children": [], "parents": [root, grid], "meta": {}},
    }
    for i, (tab_title, blocks) in enumerate(tabs, start=1):
        tab = f"TAB-{slug(code)}-{i}"
        above = [root, grid, all_tabs]
        meta = {"text": tab_title, "defaultText": "Titre de l'onglet", "placeholder": "Titre de l'onglet"}
        found[all_tabs]["children"].append(tab)
        found[tab] = {"type": "TAB", "id": tab, "children": [], "parents": above, "meta": meta}
        for j, blocks_of_row in enumerate(fill(blocks), start=1):
            row = f"ROW-{slug(code)}-{i}-{j}"
            found[tab]["children"].append(row)
            found[row] = {
                "type": "ROW",
                "id": row,
                "children": [],
                "parents": [*above, tab],
                "meta": {"background": "BACKGROUND_TRANSPARENT"},
            }
            height = max(_height(b) for b in blocks_of_row)
            for block in blocks_of_row:
                placed = _placed(code, i, block, [*above, tab, row], height)
                found[row]["children"].append(placed["id"])
                found[placed["id"]] = placed
    return found


def _height(block: Block) -> int:
    return block.height if block.height is not None else text_height(block.text or "", block.width)


def _placed(code: str, tab: int, block: Block, parents: list[str], height: int) -> dict[str, Any]:
    # What stands side by side has one height, or the page looks broken.
    meta: dict[str, Any] = {"width": block.width, "height": height}
    if block.uuid is None:
        kind = "MARKDOWN"
        meta["code"] = block.text
        key = short(stable("chart", f"{code}/{tab}/texte/{slug(block.title)}"))
    else:
        kind = "CHART"
        meta |= {"uuid": block.uuid, "chartId": block.number, "sliceName": block.title}
        key = short(block.uuid)
    return {"type": kind, "id": f"{kind}-{key}", "children": [], "parents": parents, "meta": meta}
