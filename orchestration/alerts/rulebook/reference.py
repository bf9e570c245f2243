"""What is generated from a rule's model: the reference tables of docs/alert-rules.md.

Here: `python -m orchestration.alerts.rulebook.reference`; a test holds the page up to date. Not here: the texts, which stand under each
key of the model.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from ingestion.feeds.schema import DOCS, renewed, tables
from orchestration.alerts.model import PRIORITY_FR
from orchestration.alerts.rulebook import model as shape
from orchestration.alerts.rulebook.registry import SHIPPED, rules_in_force

PAGE: Final = DOCS / "alert-rules.md"
_BEGIN: Final = "<!-- generated: python -m orchestration.alerts.rulebook.reference -->"


def reference() -> str:
    """Return the reference of every key, and the list of the shipped rules, in Markdown."""
    sections: list[tuple[str, type[BaseModel]]] = [("The rule", shape.Rule)]
    sections += [(f"when, type: {name}", kind) for name, kind in shape.CONDITIONS.items()]
    sections += [
        ("scope", shape.Scope), ("procedure", shape.ProcedureStep), ("hides", shape.Hides), ("collapse", shape.Collapse),
        ("bound", shape.Bound),
    ]  # fmt: skip
    lines = tables(sections)
    lines += ["", "### The shipped rules", "", "| rule | title | kind | priority |", "|---|---|---|---|"]
    for name, rule in rules_in_force(SHIPPED / ".none").items():
        lines.append(f"| `{name}` | {rule.title} | {rule.when.type} | {int(rule.priority)} {PRIORITY_FR[rule.priority]} |")
    return "\n".join(lines).replace("|  |", "| The kind of condition. |").strip()


def with_reference(page: str) -> str:
    """Return the page with its generated part renewed."""
    return renewed(page, _BEGIN, reference())


if __name__ == "__main__":
    PAGE.write_text(with_reference(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
