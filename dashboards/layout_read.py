"""A dashboard's layout read back: its tabs, and what stands on each in the order it is read.

Here: Superset's tree of positions to tabs and blocks. Not here: making one (`dashboards.compiler.layout`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Placed:
    """A chart or a text where it stands.

    Attributes:
        key: uuid of the chart; of a text, its id on the page.
        title: what stands above a chart; empty of a text.
        width: of twelve columns.
        height: in units of 8 pixels.
        text: Markdown; None: a chart.
    """

    key: str
    title: str
    width: int
    height: int
    text: str | None


@dataclass(frozen=True)
class TabRead:
    """A tab: its id on the page, its title, what stands on it."""

    key: str
    title: str
    blocks: tuple[Placed, ...]


def tabs_of(dashboard: Mapping[str, Any]) -> list[TabRead]:
    """Return a dashboard's tabs; what stands outside of any is a tab without a title."""
    position: Mapping[str, Any] = dashboard.get("position") or {}
    found: list[TabRead] = []
    outside: list[Placed] = []
    for node in _children(position, "GRID_ID"):
        if node["type"] == "TABS":
            tabs = [n for n in _children(position, node["id"]) if n["type"] == "TAB"]
            found += [TabRead(t["id"], str(t["meta"].get("text", "")), tuple(_blocks(position, t["id"]))) for t in tabs]
        else:
            outside += [b for b in (_placed(node), *_blocks(position, node["id"])) if b is not None]
    return [*found, TabRead("GRID_ID", "", tuple(outside))] if outside else found


def _children(position: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    for child in position.get(key, {}).get("children", ()):
        if child in position:
            yield position[child]


def _blocks(position: Mapping[str, Any], key: str) -> Iterator[Placed]:
    for node in _children(position, key):
        placed = _placed(node)
        if placed is not None:
            yield placed
        yield from _blocks(position, node["id"])


def _placed(node: Mapping[str, Any]) -> Placed | None:
    meta = node.get("meta", {})
    if node["type"] == "CHART":
        title = meta.get("sliceNameOverride") or meta.get("sliceName") or ""
        return Placed(str(meta.get("uuid")), str(title), int(meta["width"]), int(meta["height"]), None)
    if node["type"] == "MARKDOWN":
        return Placed(str(node["id"]), "", int(meta["width"]), int(meta["height"]), str(meta.get("code", "")))
    return None
