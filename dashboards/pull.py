"""What people changed in the browser, brought back into the sheets.

Here: comparing what a server shows with what the sheet compiles to, writing the difference into the sheet's YAML with its comments and
order, naming what a sheet cannot say. Not here: one chart's settings (`dashboards.readback`).

Only what differs from the compiled sheet is written: pulled after a push, a sheet stays as it is. Then the sheet is compiled again; what
still differs from the server is named, so that nothing is lost silently.
"""

from __future__ import annotations

import copy
import difflib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from dashboards import readback
from dashboards.client import Document, Superset
from dashboards.compiler.bundle import Bundle
from dashboards.compiler.names import stable
from dashboards.compiler.texts import EXPLAINED
from dashboards.layout_read import Placed, TabRead, tabs_of
from dashboards.left_over import left_over
from dashboards.sheets.catalogue import Table
from dashboards.sheets.model import PERIODS, Sheet
from ingestion.errors import VigieError, WrongUse
from ingestion.feeds.load_problem import did_you_mean

_PERIODS: Final = {written: words for words, written in PERIODS.items()}


@dataclass(frozen=True)
class Pulled:
    """A sheet as it stands, and as the browser's changes make it.

    Attributes:
        code: of the sheet.
        path: its file.
        before: its text.
        after: its text with the changes; the same when there are none.
        remarks: what was changed and a sheet cannot say, a line each, in French.
    """

    code: str
    path: Path
    before: str
    after: str
    remarks: tuple[str, ...]

    @property
    def diff(self) -> str:
        """The changes as a unified diff; empty when there are none."""
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), f"a/{self.path.name}", f"b/{self.path.name}"
        )
        return "".join(lines)

    def write(self) -> None:
        """Write the sheet with the changes."""
        if self.after != self.before:
            self.path.write_text(self.after, encoding="utf-8")

    def document(self) -> dict[str, Any]:
        """Return it as a part of a JSON document."""
        return {"code": self.code, "file": self.path.name, "diff": self.diff, "remarks": list(self.remarks)}


@dataclass
class _Work:
    """A sheet being changed: its YAML, what is known of its tables, what could not be said."""

    code: str
    yaml: Any
    tables: Mapping[str, Table]
    expected: Mapping[str, Document]
    charts: Mapping[str, Document]
    names: Mapping[str, str]
    remarks: list[str] = field(default_factory=list)


def pull(
    server: Superset,
    folder: Path,
    sheets: Mapping[str, Sheet],
    tables: Mapping[str, Table],
    bundle: Bundle,
    *,
    time_zone: str,
    codes: Sequence[str],
) -> list[Pulled]:
    """Return each sheet with what people changed in the browser.

    Args:
        server: signed in as an administrator.
        folder: of the sheets.
        sheets: by code.
        tables: the published tables.
        bundle: what the sheets compile to now.
        time_zone: it was compiled for.
        codes: of the sheets to bring back; empty: all.

    Raises:
        WrongUse: no sheet has such a code.
        VigieError: the server does not answer, or lacks a dashboard.
    """
    for code in codes:
        if code not in sheets:
            raise WrongUse(
                f"no sheet has the code {code!r}", remedy=did_you_mean(code, sheets, otherwise="list them: vigie dashboards list")
            )
    ids = {str(d["uuid"]): int(d["id"]) for d in server.all("/api/v1/dashboard/", "id", "uuid")}
    wanted = list(codes) or list(sheets)
    for code in wanted:
        if stable("dashboard", code) not in ids:
            raise VigieError(f"the server has no dashboard of {code}.yaml", remedy="push it first: vigie dashboards push")
    files = server.export_dashboards([ids[stable("dashboard", code)] for code in wanted])
    return [_pulled(code, folder / f"{code}.yaml", tables, bundle, files, time_zone) for code in wanted]


def _pulled(
    code: str,
    path: Path,
    tables: Mapping[str, Table],
    bundle: Bundle,
    files: Mapping[str, Document],
    time_zone: str,
) -> Pulled:
    uuid = stable("dashboard", code)
    now = next(d for name, d in files.items() if name.startswith("dashboards/") and d.get("uuid") == uuid)
    charts = {str(d["uuid"]): d for name, d in files.items() if name.startswith("charts/")}
    names = {str(d["uuid"]): f"{d['schema']}.{d['table_name']}" for name, d in files.items() if name.startswith("datasets/")}
    compiled = bundle.files[f"dashboards/{code}.yaml"]
    expected = {str(d["uuid"]): d for name, d in bundle.files.items() if name.startswith(f"charts/{code}/")}
    before = path.read_text(encoding="utf-8")
    yaml = _yaml()
    work = _Work(code, yaml.load(before), tables, expected, charts, names)
    untouched = copy.deepcopy(work.yaml)
    if now["dashboard_title"] != compiled["dashboard_title"]:
        work.yaml["titre"] = now["dashboard_title"]
    _tabs(work, tabs_of(compiled), tabs_of(now))
    _filters(work, compiled, now)
    if work.yaml == untouched:
        after = before
    else:
        out = io.StringIO()
        yaml.dump(work.yaml, out)
        after = out.getvalue()
    remarks = [*work.remarks, *left_over(code, work.yaml, work.charts, tables, now, time_zone)]
    return Pulled(code, path, before, after, tuple(dict.fromkeys(remarks)))


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000  # nothing is folded anew: a diff shows what changed
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _tabs(work: _Work, compiled: Sequence[TabRead], now: Sequence[TabRead]) -> None:
    """Bring back titles, order and content of the tabs, but for the one that explains the measures."""
    said = {tab.key: (tab, node) for tab, node in zip(compiled, work.yaml["onglets"], strict=False)}
    panels = _panels_of(compiled, work.yaml["onglets"])
    placed = {block.key: block for tab in compiled for block in tab.blocks}
    generated = placed.keys() - panels.keys()
    kept = []
    for tab in now:
        if tab.title == EXPLAINED or (tab.key in placed):
            continue
        was, node = said.get(tab.key, (None, None))
        if node is None:
            node = {"titre": tab.title, "panneaux": []}
        elif was is not None and was.title != tab.title:
            node["titre"] = tab.title
        blocks = []
        for block in tab.blocks:
            if block.key in generated:
                if block.text != placed[block.key].text:
                    work.remarks.append("le texte d'en-tête a changé : il vient de `pour`, `decisions` et `intro` de la fiche")
                continue
            panel = panels[block.key] if block.key in panels else _new_panel(work, block)
            if panel is not None:
                _panel(work, panel, placed.get(block.key), block)
                blocks.append(panel)
        if [id(b) for b in blocks] != [id(b) for b in node["panneaux"]]:
            node["panneaux"][:] = blocks
        kept.append(node)
    if [id(n) for n in kept] != [id(n) for n in work.yaml["onglets"]]:
        work.yaml["onglets"][:] = kept


def _panels_of(compiled: Sequence[TabRead], nodes: Sequence[Any]) -> dict[str, Any]:
    """Return the sheet's panel of each block that one made, by the block's key."""
    found: dict[str, Any] = {}
    for tab, node in zip(compiled, nodes, strict=False):
        panels = list(node["panneaux"])
        # What the compiler adds to a tab stands first: the sheet's own panels are the last ones.
        for block, panel in zip(tab.blocks[len(tab.blocks) - len(panels) :], panels, strict=True):
            found[block.key] = panel
    return found


def _new_panel(work: _Work, block: Placed) -> dict[str, Any] | None:
    """Return a panel for what was added in the browser; None: a sheet cannot say it."""
    if block.text is not None:
        title, text = _split(block.text)
        return {"titre": title or "Texte", "genre": "texte", "texte": text, "largeur": block.width}
    chart = work.charts.get(block.key)
    table = None if chart is None else work.tables.get(work.names.get(str(chart["dataset_uuid"]), ""))
    if chart is None or table is None:
        work.remarks.append("un graphique ajouté ne vient pas d'une table publiée : il n'est pas repris")
        return None
    keys = readback.keys(chart["viz_type"], chart["params"], table)
    if "genre" not in keys:
        work.remarks.append(f"« {chart['slice_name']} » : la fiche ne connaît pas ce genre de graphique ({chart['viz_type']})")
        return None
    panel: dict[str, Any] = {"titre": chart["slice_name"], "genre": keys.pop("genre"), "table": table.full_name}
    panel |= {key: value for key, value in keys.items() if value not in (None, False, [])}
    conditions = readback.simple_conditions(chart["params"])
    panel |= ({"ou": conditions} if conditions else {}) | {"largeur": block.width, "hauteur": block.height}
    return CommentedMap((key, _flowing(value)) for key, value in panel.items())


def _panel(work: _Work, panel: Any, was: Placed | None, now: Placed) -> None:
    """Bring back a panel's size and content."""
    if was is None:
        return
    for key, before, after in (("largeur", was.width, now.width), ("hauteur", was.height, now.height)):
        if before != after:
            _set(panel, key, after)
    if now.text is not None:
        if now.text != was.text:
            title, text = _split(now.text)
            panel["texte"] = text
            if title is not None:
                panel["titre"] = title
        return
    chart, compiled = work.charts.get(now.key), work.expected[now.key]
    if chart is None:
        return
    title = now.title if now.title != was.title and now.title != chart["slice_name"] else str(chart["slice_name"])
    if title != compiled["slice_name"]:
        panel["titre"] = title
    table = work.tables[panel["table"]]
    said, says = (readback.keys(c["viz_type"], c["params"], table) for c in (compiled, chart))
    for name in sorted(said.keys() | says.keys()):
        if said.get(name) != says.get(name):
            _set(panel, name, says.get(name))
    _conditions(panel, compiled["params"], chart["params"])
    _thresholds(panel, compiled["params"], chart["params"])


def _set(panel: Any, key: str, value: Any) -> None:
    if value in (None, False, []):
        panel.pop(key, None)
    elif key in panel or not isinstance(panel, CommentedMap):
        panel[key] = _flowing(value)
    else:  # before the last key: a comment below it belongs to what follows
        panel.insert(max(0, len(panel) - 1), key, _flowing(value))


def _flowing(value: Any) -> Any:
    """Return a value as sheets write it: short lists and conditions on one line."""
    if isinstance(value, list):
        items = CommentedSeq(_flowing(item) for item in value)
        if not any(isinstance(item, dict) for item in value):
            items.fa.set_flow_style()
        return items
    if isinstance(value, dict):
        node = CommentedMap((key, _flowing(item)) for key, item in value.items())
        node.fa.set_flow_style()
        return node
    return value


def _conditions(panel: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    was, now = readback.simple_conditions(before), readback.simple_conditions(after)
    if was != now:
        written = [c for c in panel.get("ou", ()) if not any(s["colonne"] == c["colonne"] for s in was)]
        _set(panel, "ou", [*written, *now])


def _thresholds(panel: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    was, now = readback.thresholds(before), readback.thresholds(after)
    if was == now or now is None:
        return
    reasons = {t["couleur"]: t["raison"] for t in panel.get("seuils", ())}
    said = [
        ({} if start is None else {"a_partir_de": start})
        | {"couleur": color, "raison": reasons.get(color, "choisi à l'écran : à justifier")}
        for start, color in now
    ]
    _set(panel, "seuils", said)


def _split(text: str) -> tuple[str | None, str]:
    """Return a text's title and the rest, as the compiler put them together."""
    first, _, rest = text.partition("\n")
    return (first.removeprefix("### ").strip(), rest.strip()) if first.startswith("### ") else (None, text)


def _filters(work: _Work, compiled: Document, now: Document) -> None:
    was = {f["id"]: f for f in compiled["metadata"].get("native_filter_configuration", ())}
    is_now = {f["id"]: f for f in (now.get("metadata") or {}).get("native_filter_configuration", ())}
    nodes = dict(zip(was, work.yaml.get("filtres", ()), strict=True))
    for key, node in nodes.items():
        if key not in is_now:
            work.yaml["filtres"].remove(node)
            continue
        if is_now[key]["name"] != was[key]["name"]:
            node["titre"] = is_now[key]["name"]
        before, after = _default(was[key]), _default(is_now[key])
        if before != after:
            _set(node, "defaut", _PERIODS.get(after, after) if isinstance(after, str) else after)
    for key in is_now.keys() - was.keys():
        work.remarks.append(f"le filtre « {is_now[key]['name']} », ajouté à l'écran, est à écrire dans `filtres`")


def _default(configured: Mapping[str, Any]) -> Any:
    return (configured.get("defaultDataMask") or {}).get("filterState", {}).get("value")
