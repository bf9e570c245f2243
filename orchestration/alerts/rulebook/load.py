"""Reading a rule: a file to a `Rule`, or every problem that stands in the way, each with its line.

Here: the order of the steps, pydantic's errors in words. Not here: the shape (`model`), what contradicts itself (`checks`), where rules
are (`registry`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ingestion.errors import WrongUse
from ingestion.feeds.load_problem import ContractError, KeyPath, Problem, did_you_mean, listed, shown
from ingestion.feeds.load_yaml import read_document
from orchestration.alerts.rulebook import checks
from orchestration.alerts.rulebook.model import CONDITIONS, Rule

_DURATION_REMEDY: Final = "for instance PT15M, PT2H, P1D"


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
        problems += [_problem(d, document.data) for d in error.errors(include_url=False)]
    if rule is not None:
        problems += checks.rule_problems(rule, path.stem)
    if problems or rule is None:
        raise RuleError(path, [p if p.line else replace(p, line=document.line(p.path)) for p in problems])
    return rule


def _problem(detail: ErrorDetails, data: Any) -> Problem:
    path = _written(detail, data)
    kind, value = detail["type"], detail.get("input")
    quoted = "" if isinstance(value, dict | list) else f" (found {shown(value)})"
    match kind:
        case "extra_forbidden":
            known = _keys(path[:-1], data)
            return Problem(
                path, f"unknown key {shown(path[-1])}", did_you_mean(str(path[-1]), known, otherwise=f"keys here: {listed(known)}")
            )
        case "missing":
            return Problem(path, "is required")
        case "union_tag_not_found" | "union_tag_invalid":
            tag = value.get("type") if isinstance(value, dict) else None
            return Problem(path, f"is no kind of condition: {shown(tag)}", did_you_mean(str(tag), CONDITIONS, otherwise=listed(CONDITIONS)))
        case "literal_error":
            allowed = [w.strip("' ") for w in str(detail.get("ctx", {}).get("expected", "")).replace(" or ", ",").split(",")]
            return Problem(path, f"is none of {listed(allowed)}{quoted}", did_you_mean(str(value), allowed))
        case _:
            message = str(detail["msg"]).removeprefix("Value error, ")
            remedy = _DURATION_REMEDY if "ISO 8601" in message else None
            return Problem(path, message[:1].lower() + message[1:] + quoted, remedy)


def _written(detail: ErrorDetails, data: Any) -> KeyPath:
    """Drop from pydantic's location what is not in the file: the tag of the condition's kind."""
    path: list[str | int] = []
    here: Any = data
    for i, part in enumerate(detail["loc"]):
        is_inside = (isinstance(here, dict) and part in here) or (isinstance(here, list) and isinstance(part, int) and part < len(here))
        if not is_inside and ((part in CONDITIONS and path == ["when"]) or i < len(detail["loc"]) - 1):
            continue
        path.append(part)
        here = here[part] if is_inside else None
    return tuple(path)


def _keys(path: KeyPath, data: Any) -> list[str]:
    model: Any = Rule
    here: Any = data
    for part in path:
        here = here.get(part) if isinstance(here, dict) else here[part] if isinstance(here, list) and isinstance(part, int) else None
        if part == "when":
            model = CONDITIONS.get(str(here.get("type"))) if isinstance(here, dict) else None
        elif isinstance(part, str):
            fields = model.model_fields if model else {}
            model = _model(fields[part].annotation) if part in fields else None
    return list(model.model_fields) if model else []


def _model(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *(a for arg in get_args(annotation) for a in (arg, *get_args(arg)))):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
