"""What a rule contradicts or leaves out: found before it is live, each with its key.

Here: rules between keys. Not here: types of single values (`model`), reading (`load`).
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import string
from collections.abc import Iterator, Mapping
from typing import Final

import sqlglot
from sqlglot import errors as sqlglot_errors

from ingestion.feeds.load_problem import KeyPath, Problem, did_you_mean, listed, shown
from orchestration.alerts.faults import fault_types
from orchestration.alerts.model import Priority
from orchestration.alerts.rulebook.model import (
    Count,
    Deviation,
    Equals,
    Event,
    Fault,
    Indicator,
    Platform,
    Rate,
    Report,
    Rule,
    Silence,
    Threshold,
)

# What a message may name; `drafting.message` fills them in.
WORDS: Final = frozenset(
    "asset value text unit commune street since expected count headline category subcategory severity expires target reason rule parent "
    "feed domain minutes".split()
)
_ZERO: Final = dt.timedelta(0)
# What says that alarms are missing: without it, silence would be taken for calm.
_ALWAYS: Final = frozenset({"engine", "rule-cut-off", "flood"})
# Longer than any shift: who is told a day later was not told.
_LONGEST_DELAY: Final = dt.timedelta(days=2)


def rule_problems(rule: Rule, stem: str) -> Iterator[Problem]:
    """Yield what is wrong with a rule; lines are added by the caller.

    Args:
        rule: the rule.
        stem: the name of its file, without ending.
    """
    if rule.rule != stem:
        yield Problem(("rule",), f"is {shown(rule.rule)}, but the file is called {stem}.yaml", "give both the same name")
    yield from _words(rule)
    yield from _durations(rule)
    yield from _faults(rule)
    yield from _condition(rule)
    yield from _consequences(rule)


def book_problems(rules: Mapping[str, Rule]) -> dict[str, list[Problem]]:
    """Return what is wrong between rules, by rule: patterns that match none, two that watch the same of the platform."""
    found: dict[str, list[Problem]] = {}
    watched: dict[str, str] = {}
    for name, rule in sorted(rules.items()):
        for i, pattern in enumerate(rule.hides.rules if rule.hides else ()):
            if not fnmatch.filter(rules, pattern):
                found.setdefault(name, []).append(Problem(("hides", "rules", i), f"{shown(pattern)} is the name of no rule"))
        if isinstance(rule.when, Platform) and rule.enabled and (other := watched.setdefault(rule.when.what, name)) != name:
            found.setdefault(name, []).append(Problem(("when", "what"), f"{rule.when.what} is watched by {other} already"))
    return found


def _words(rule: Rule) -> Iterator[Problem]:
    templates: list[tuple[KeyPath, str]] = [(("message",), rule.message)]
    if rule.collapse:
        templates.append((("collapse", "title"), rule.collapse.title))
    for path, text in templates:
        try:
            names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        except ValueError as error:
            yield Problem(path, f"is no template: {error}", "write {{ and }} for braces that are to be read")
            continue
        for name in names:
            if name not in WORDS:
                yield Problem(path, f"names {{{name}}}, which no alarm has", did_you_mean(name, WORDS, otherwise=listed(sorted(WORDS))))
    for key in ("title", "message"):
        if not getattr(rule, key).strip():
            yield Problem((key,), "is empty")


def _durations(rule: Rule) -> Iterator[Problem]:
    given: list[tuple[KeyPath, dt.timedelta | None, bool]] = [
        (("respond_within",), rule.respond_within, True),
        (("bound", "per"), rule.bound.per, True),
        (("escalate_after",), rule.escalate_after, True),
        (("hides", "within"), rule.hides.within if rule.hides else None, True),
        (("collapse", "within"), rule.collapse.within if rule.collapse else None, True),
    ]
    for key in ("on_delay", "off_delay", "over", "within", "expected_every", "lasts", "learn", "ahead"):
        value = getattr(rule.when, key, None)
        given.append((("when", key), value, key not in {"on_delay", "off_delay", "ahead"}))
        if key in {"on_delay", "off_delay"} and value is not None and value > _LONGEST_DELAY:
            yield Problem(("when", key), "is longer than two days", "a slow evil is an indicator: type: indicator")
    for path, value, must_be_positive in given:
        if value is not None and (value < _ZERO or (must_be_positive and value == _ZERO)):
            yield Problem(path, "must be longer than nothing" if must_be_positive else "must not be negative")


def _faults(rule: Rule) -> Iterator[Problem]:
    known = sorted(fault_types())
    written: list[tuple[KeyPath, str]] = [(("fault_type",), rule.fault_type)] if rule.fault_type else []
    written += [(("when", "fault_types", i), name) for i, name in enumerate(getattr(rule.when, "fault_types", ()))]
    for path, name in written:
        if name not in known:
            yield Problem(
                path, f"{shown(name)} is no fault of the referential", did_you_mean(name, known, otherwise=listed(known, most=100))
            )


def _condition(rule: Rule) -> Iterator[Problem]:
    match rule.when:
        case Threshold(above=above, below=below, clear=clear):
            yield from _levels(above, below, clear)
        case Rate(rises=None, falls=None):
            yield Problem(("when",), "says neither rises nor falls: it would never raise", "rises: 0.5")
        case Equals(values=values, normal=list() as normal) if {str(v).casefold() for v in values} & {str(v).casefold() for v in normal}:
            yield Problem(("when", "normal"), "holds a value that raises")
        case Event(codes=codes, ends=ends) if codes and {str(v).casefold() for v in codes} & {str(v).casefold() for v in ends}:
            yield Problem(("when", "ends"), "holds a code that raises")
        case Silence(of="feed", property=str()):
            yield Problem(("when", "property"), "says which property, but it is the feed that is silent", "leave it out, or of: asset")
        case Silence(of="asset", property=None) if not (rule.scope.feeds or rule.scope.domains or rule.scope.asset_types):
            yield Problem(("scope",), "would watch every equipment of the territory at the same pace", "name feeds, domains or asset_types")
        case Report(categories=[], keywords=[], fault_types=[], at_least=1):
            yield Problem(("when",), "would raise at every report", "categories, keywords, fault_types, or at_least: 3")
        case Indicator() as indicator:
            yield from _query(indicator)
        case Deviation(learn=learn) if learn < dt.timedelta(days=3):
            yield Problem(("when", "learn"), "is shorter than three days: no habit is known by then", "P14D")
        case Count() | Fault() | _:
            pass


def _levels(above: float | None, below: float | None, clear: float | None) -> Iterator[Problem]:
    if above is None and below is None:
        yield Problem(("when",), "says neither above nor below: it would never raise", "above: 30")
    elif above is not None and below is not None:
        if above <= below:
            yield Problem(("when", "above"), "is not above `below`: every figure would raise", "raise between two levels with two rules")
        if clear is not None and not below <= clear <= above:
            yield Problem(("when", "clear"), "must lie between below and above")
    elif clear is not None and above is not None and clear > above:
        yield Problem(
            ("when", "clear"), f"is {clear:g}, over the level that raises ({above:g}): it would end at once", f"clear: {above:g} or less"
        )
    elif clear is not None and below is not None and clear < below:
        yield Problem(
            ("when", "clear"), f"is {clear:g}, under the level that raises ({below:g}): it would end at once", f"clear: {below:g} or more"
        )


def _query(indicator: Indicator) -> Iterator[Problem]:
    try:
        condition = sqlglot.parse_one(f"SELECT 1 FROM t WHERE {indicator.where}", dialect="duckdb")
    except sqlglot_errors.SqlglotError as error:
        first = str(error).splitlines()[0] if str(error) else "it does not parse"
        yield Problem(("when", "where"), f"is no condition of SQL: {first}", "verdict = 'over' and excess_pct > 30")
        return
    if len(list(condition.find_all(sqlglot.exp.Select))) != 1 or condition.find(sqlglot.exp.Union) is not None:
        yield Problem(("when", "where"), "holds a query of its own", "a condition over the columns of the table")


def _consequences(rule: Rule) -> Iterator[Problem]:
    if rule.priority is Priority.CRITICAL and not rule.procedure:
        yield Problem(("procedure",), "is missing: a critical alarm without a word of what to do", "two or three steps, with whom to call")
    if isinstance(rule.when, Platform) and rule.when.what in _ALWAYS and not rule.enabled:
        yield Problem(
            ("enabled",),
            "cannot be false: this rule says that alarms are missing",
            "put it out of service for a while: vigie alerts out-of-service",
        )
    if isinstance(rule.when, Platform | Indicator) and rule.collapse:
        yield Problem(("collapse",), "is for alarms of equipment")
