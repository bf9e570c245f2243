"""Reading a rule: a file to a `Rule`, or every problem that stands in the way, each with its line.

Here: the order of the steps. Not here: the shape (`model`), what contradicts itself (`checks`), where rules are (`registry`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from ingestion.errors import WrongUse
from ingestion.feeds.load_model import model_problem
from ingestion.feeds.load_problem import ContractError, Problem
from ingestion.feeds.load_yaml import read_document
from orchestration.alerts.rulebook import checks
from orchestration.alerts.rulebook.model import CONDITIONS, Rule


class RuleError(WrongUse):
    """A rule cannot work: every problem found, by line."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.key, p.what)))
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        lines = "\n".join(f"  {path}:{p}".replace(f"{path}:line ", f"{path}:") for p in self.problems)
        super().__init__(f"{path}: {count}\n{lines}", remedy=f"correct {path.name}, then: vigie alerts rules check {path}")


def load_rule(path: Path) -> Rule:
    """Read one rule.

    Raises:
        RuleError: the file is not a rule, or one that cannot work: every problem, with its line.
    """
    try:
        document = read_document(path)
    except ContractError as error:
        raise RuleError(path, error.problems) from None
    problems = list(document.problems)
    rule: Rule | None = None
    try:
        rule = Rule.model_validate(document.data)
    except ValidationError as error:
        problems += [model_problem(d, document.data, Rule, kinds_at="when", kinds=CONDITIONS) for d in error.errors(include_url=False)]
    if rule is not None:
        problems += checks.rule_problems(rule, path.stem)
    if problems or rule is None:
        raise RuleError(path, [p if p.line else replace(p, line=document.line(p.path)) for p in problems])
    return rule
