"""What a dashboard says of itself: for whom, to decide what, and what each number means.

Here: Markdown, out of the sheet and of the manifest alone. Not here: where it stands on the page (`layout`).
"""

from __future__ import annotations

from collections.abc import Mapping

from dashboards.compiler import looks
from dashboards.sheets.catalogue import Table
from dashboards.sheets.model import Panel, Sheet

EXPLAINED = "Comprendre"


def head(sheet: Sheet) -> str:
    """Return for whom a dashboard was made and what it serves to decide."""
    decisions = " · ".join(_plain(d).rstrip(".") for d in sheet.decisions)
    return f"**Pour qui.** {_plain(sheet.audience)}  \n**Pour décider.** {decisions}."


def chart_description(panel: Panel, table: Table) -> str:
    """Return what a chart says when it is asked: its question, its measures, its colours, how to read it."""
    parts = [panel.title]
    for name in panel.measures:
        measure = table.measures[name]
        parts.append(f"{looks.titled(measure.label, measure.unit)} : {measure.description}")
    if panel.thresholds and panel.measures:
        parts += [f"Couleur : {line}." for line in looks.threshold_words(panel, looks.unit_of(table.measures[panel.measures[0]]))]
    if panel.compare is not None:
        parts.append(f"Comparé à : {looks.SHIFT_WORDS[panel.compare]}.")
    if panel.may_be_empty is not None:
        parts.append(f"Rien ici peut être la bonne réponse : {panel.may_be_empty}")
    if panel.help is not None:
        parts.append(panel.help)
    return "\n\n".join(" ".join(part.split()) for part in parts)


def explanations(sheet: Sheet, tables: Mapping[str, Table]) -> list[str]:
    """Return, per table that a dashboard reads, what it holds and what the measures drawn from it mean."""
    found = [f"### Ce que montre ce tableau de bord\n\n{_questions(sheet)}\n\n{head(sheet)}\n\n**Responsable :** {_plain(sheet.owner)}."]
    for name in sheet.tables:
        table = tables[name]
        used = dict.fromkeys(m for p in sheet.panels if p.table == name for m in p.measures)
        lines = [f"### {_plain(table.label)}", _plain(table.description)]
        if table.owner:
            lines.append(f"**Responsable des données :** {_plain(table.owner)}.")
        if used:
            lines.append("\n".join(_measure(table, m) for m in used))
        lines.append(f"*Table publiée :* `{name}`")
        found.append("\n\n".join(line for line in lines if line))
    return found


def _questions(sheet: Sheet) -> str:
    return "\n".join(f"- {_plain(q)}" for q in sheet.questions)


def _measure(table: Table, name: str) -> str:
    measure = table.measures[name]
    return f"- **{_plain(looks.titled(measure.label, measure.unit))}** : {_plain(measure.description)}"


def _plain(text: str) -> str:
    """Return a text on one line, without what Markdown would take for its own."""
    joined = " ".join(text.split())
    return joined.replace("*", "\\*").replace("_", "\\_").replace("<", "\\<")
