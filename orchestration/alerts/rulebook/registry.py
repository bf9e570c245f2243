"""Which rules an instance has: those shipped, and its own, which replace shipped ones of the same name.

Here: where rules are. Not here: reading one (`load`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from orchestration.alerts.rulebook.checks import book_problems
from orchestration.alerts.rulebook.load import RuleError, load_rule
from orchestration.alerts.rulebook.model import Rule

SHIPPED: Final = Path(__file__).resolve().parents[1] / "rules"


@dataclass(frozen=True)
class RuleEntry:
    """One file of a rule: what it says, or why it cannot work."""

    name: str
    path: Path
    rule: Rule | None
    error: str | None
    is_shipped: bool


def list_rules(own: Path, *, shipped: Path = SHIPPED) -> list[RuleEntry]:
    """Return every rule by name; a broken one is listed with its error, and the others stay in force.

    Args:
        own: folder of the instance's rules; it may be missing.
        shipped: folder of the shipped ones.
    """
    found: dict[str, RuleEntry] = {}
    for folder, is_shipped in ((shipped, True), (own, False)):
        for path in sorted(folder.glob("*.yaml")):
            found[path.stem] = _entry(path, is_shipped=is_shipped)
    for name, problems in book_problems({e.name: e.rule for e in found.values() if e.rule is not None}).items():
        found[name] = replace(found[name], rule=None, error=str(RuleError(found[name].path, problems)))
    return [found[name] for name in sorted(found)]


def rules_in_force(own: Path, *, shipped: Path = SHIPPED) -> dict[str, Rule]:
    """Return the rules that are enabled and can work, by name."""
    return {e.name: e.rule for e in list_rules(own, shipped=shipped) if e.rule is not None and e.rule.enabled}


def _entry(path: Path, *, is_shipped: bool) -> RuleEntry:
    try:
        return RuleEntry(path.stem, path, load_rule(path), None, is_shipped)
    except RuleError as error:
        return RuleEntry(path.stem, path, None, str(error), is_shipped)
