"""What a sheet cannot say of a dashboard that people changed: found by compiling the sheet again, and named.

Here: comparing the server's charts and settings with what the changed sheet compiles to. Not here: changing the sheet (`dashboards.pull`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from dashboards.client import Document
from dashboards.compiler.bundle import compile_bundle
from dashboards.layout_read import tabs_of
from dashboards.sheets.catalogue import Table
from dashboards.sheets.model import Sheet

# Settings that Superset writes into a chart by itself: where it stands, what it was opened with.
_OWN: Final = frozenset(
    {"datasource", "slice_id", "dashboards", "dashboardId", "url_params", "slice_name", "viz_type", "extra_form_data", "query_context"}
)


def left_over(
    code: str, yaml: object, charts: Mapping[str, Document], tables: Mapping[str, Table], now: Document, time_zone: str
) -> Iterator[str]:
    """Yield in French what a changed sheet does not say of the dashboard it came from.

    Args:
        code: of the sheet.
        yaml: the changed sheet.
        charts: those of the server, by uuid.
        tables: the published tables.
        now: the dashboard as the server has it.
        time_zone: whose clocks people go by.
    """
    try:
        sheet = Sheet.model_validate(_plain(yaml))
        again = compile_bundle({code: sheet}, tables, time_zone=time_zone)
    except (ValidationError, KeyError, StopIteration) as error:
        yield f"la fiche ainsi changée ne tient pas ({' '.join(str(error).split())[:200]}) : corrigez-la avant de pousser"
        return
    fresh = again.files[f"dashboards/{code}.yaml"]
    made = {str(d["uuid"]): d for name, d in again.files.items() if name.startswith("charts/")}
    shown, said = tabs_of(now), tabs_of(fresh)
    if len(shown) != len(said):
        yield f"l'écran a {len(shown)} onglets, la fiche {len(said)} : ce qui dépasse n'est pas comparé"
    for tab, compiled in zip(shown, said, strict=False):
        ours = [b for b in compiled.blocks if b.text is None]
        theirs = [b for b in tab.blocks if b.text is None and b.key in charts]
        if len(ours) != len(theirs):
            yield f"l'onglet « {tab.title} » n'a pas les mêmes graphiques que sa fiche"
            continue
        for block, other in zip(theirs, ours, strict=True):
            yield from _chart_left_over(charts[block.key], made[other.key])
    for key in ("css", "published", "slug"):
        if now.get(key) != fresh.get(key):
            yield f"réglage du tableau de bord changé à l'écran, que la fiche ne dit pas : {key}"
    metadata, wanted = now.get("metadata") or {}, fresh["metadata"]
    for key in ("color_scheme", "refresh_frequency", "cross_filters_enabled", "label_colors"):
        if metadata.get(key) != wanted.get(key):
            yield f"réglage du tableau de bord changé à l'écran, que la fiche ne dit pas : {key}"


def _chart_left_over(chart: Document, compiled: Document) -> Iterator[str]:
    params, wanted = chart["params"], compiled["params"]
    differs = [key for key, value in wanted.items() if key not in _OWN and _bare(params.get(key)) != _bare(value)]
    added = [key for key, value in params.items() if key not in wanted and key not in _OWN and value not in (None, "", [], {}, False)]
    if chart["viz_type"] != compiled["viz_type"]:
        differs.append("viz_type")
    if chart["dataset_uuid"] != compiled["dataset_uuid"]:
        differs.append("table")
    if differs:
        yield f"« {chart['slice_name']} » : changé à l'écran, la fiche ne sait pas le dire : {', '.join(sorted(differs))}"
    if added:
        yield f"« {chart['slice_name']} » : réglé à l'écran, la fiche n'en dit rien : {', '.join(sorted(added))}"


def _bare(value: Any) -> Any:
    """Return a setting without the names that Superset gives to its parts."""
    if isinstance(value, list):
        return [_bare(v) for v in value]
    if isinstance(value, dict):
        return {
            k: _bare(v) for k, v in value.items() if k not in {"filterOptionName", "isExtra", "isNew", "datasourceWarning", "operatorId"}
        }
    return value


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(k): _plain(v) for k, v in node.items()}
    if isinstance(node, list):
        return [_plain(v) for v in node]
    return node
