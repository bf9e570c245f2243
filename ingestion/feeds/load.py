"""Reading a feed contract: a file to a `Feed`, or every problem that stands in the way, each with its line and remedy.

Here: the order of the steps. Not here: the steps (`load_yaml`, `load_shape`, `load_rules`), where contracts are
(`registry`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ingestion.feeds.load_problem import ContractError, KeyPath, Problem
from ingestion.feeds.load_rules import fault_problems, rule_problems
from ingestion.feeds.load_shape import read_shape
from ingestion.feeds.load_yaml import read_document
from ingestion.feeds.model import Feed

__all__ = ["ContractError", "Problem", "load_feed"]


def load_feed(path: Path, *, fault_types: Collection[str] | None = None) -> Feed:
    """Read one feed contract.

    Args:
        path: its YAML.
        fault_types: the faults there are, where the caller knows them: another one in the contract is then a problem.

    Raises:
        ContractError: the file is not a contract, or a contract with problems: all of them, with line and remedy.
    """
    document = read_document(path)
    shape = read_shape(document)
    problems = [*document.problems, *shape.problems]
    if shape.feed is not None:
        found = [*rule_problems(shape.feed), *(fault_problems(shape.feed, fault_types) if fault_types is not None else ())]
        problems += [p for p in found if not _is_consequence(p.path, shape.touched)]
    if problems or shape.feed is None:
        raise ContractError(path, [p if p.line else replace(p, line=document.line(p.path)) for p in problems])
    return shape.feed


def _is_consequence(path: KeyPath, touched: set[KeyPath]) -> bool:
    if ("fields",) in touched and path[-1:] in (("column",), ("sql",)):
        return True
    return any(path[:n] in touched for n in range(1, len(path) + 1))
