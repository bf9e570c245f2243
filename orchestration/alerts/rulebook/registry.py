"""Which rules an instance has: those shipped, and its own, which replace shipped ones of the same name.

Here: where rules are, what is in force while an own one is broken. Not here: reading one (`load`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ingestion.feeds.load_problem import Problem
from orchestration.alerts.rulebook.checks import book_problems
from orchestration.alerts.rulebook.load import RuleError, load_rule
from orchestration.alerts.rulebook.model import Platform, Rule

SHIPPED: Final = Path(__file__).resolve().parents[1] / "rules"


@dataclass(frozen=True)
class RuleEntry:
    """One file of a rule: what it says, or why it cannot work.

    Attributes:
        instead: the shipped rule of the same name, which stays in force while the instance's own cannot work.
    """

    name: str
    path: Path
    rule: Rule | None
    error: str | None
    is_shipped: bool
    instead: Rule | None = None

    @property
    def in_force(self) -> Rule | None:
        """The rule that is evaluated: this one, or the shipped one instead; None where it is switched off, or nothing can work."""
        rule = self.rule or self.instead
        return rule if rule is not None and rule.enabled else None


def list_rules(own: Path, *, shipped: Path = SHIPPED) -> list[RuleEntry]:
    """Return every rule by name; a broken one is listed with its error, and the others stay in force.

    Args:
        own: folder of the instance's rules; it may be missing.
        shipped: folder of the shipped ones.
    """
    found = {path.stem: _entry(path, is_shipped=True) for path in sorted(shipped.glob("*.yaml"))}
    for path in sorted(own.glob("*.yaml")):
        ours = found.get(path.stem)
        found[path.stem] = _own(path, ours.rule if ours is not None else None)
    known = {name: rule for name, e in found.items() if (rule := e.rule or e.instead) is not None}
    for name, problems in book_problems(known).items():
        if found[name].rule is not None:
            found[name] = replace(found[name], rule=None, error=str(RuleError(found[name].path, problems)))
    return [found[name] for name in sorted(found)]


def rules_in_force(own: Path, *, shipped: Path = SHIPPED) -> dict[str, Rule]:
    """Return the rules that are enabled and can work, by name."""
    return {e.name: rule for e in list_rules(own, shipped=shipped) if (rule := e.in_force) is not None}


@functools.cache
def platform_rules() -> Mapping[str, Rule]:
    """Return the shipped rules by which the platform speaks of itself: its words for them, whatever an instance has."""
    rules = (load_rule(path) for path in sorted(SHIPPED.glob("*.yaml")))
    return MappingProxyType({rule.rule: rule for rule in rules if isinstance(rule.when, Platform)})


def _entry(path: Path, *, is_shipped: bool) -> RuleEntry:
    try:
        return RuleEntry(path.stem, path, load_rule(path), None, is_shipped)
    except RuleError as error:
        return RuleEntry(path.stem, path, None, str(error), is_shipped)


def _own(path: Path, shipped: Rule | None) -> RuleEntry:
    """Return an instance's own rule; the name of a rule about the platform belongs to what it watches."""
    entry = replace(_entry(path, is_shipped=False), instead=shipped)
    if entry.rule is not None and shipped is not None and isinstance(shipped.when, Platform) and entry.rule.when != shipped.when:
        problem = Problem(
            ("when",), f"must stay what it is: {{type: platform, what: {shipped.when.what}}}", "give a rule of yours another name"
        )
        return replace(entry, rule=None, error=str(RuleError(path, [problem])))
    return entry
