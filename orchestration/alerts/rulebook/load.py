"""Reading a rule: a file to a `Rule`, or every problem that stands in the way, each with its line.

Here: the order of the steps. Not here: the shape (`model`), where rules are (`registry`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from ingestion.feeds.load_problem import ContractError, Problem
from ingestion.feeds.load_yaml import read_document
from orchestration.alerts.rulebook.model import Rule


def load_rule(path: Path) -> Rule:
    """Read one rule.

    Raises:
        ContractError: the file is not a rule, or one that cannot work: every problem, with its line.
    """
    document = read_document(path)
    problems = list(document.problems)
    rule: Rule | None = None
    try:
        rule = Rule.model_validate(document.data)
    except ValidationError as error:
        problems += [Problem(tuple(d["loc"]), d["msg"]) for d in error.errors(include_url=False)]
    if problems or rule is None:
        raise ContractError(path, [p if p.line else replace(p, line=document.line(p.path)) for p in problems])
    return rule
