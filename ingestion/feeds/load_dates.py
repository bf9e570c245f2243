"""Rules on instants and dates of a contract: can each be read, and does nothing else pretend to be one?

Here: formats, zones, offsets. Not here: the other rules (`load_rules`), reading the dates (`ingestion.mapping`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import dataframely as dy

from ingestion.feeds.load_problem import KeyPath, Problem, shown
from ingestion.feeds.model import Feed, FieldSpec

# What DuckDB's strptime reads (its documentation, version 1.5); %- drops leading zeros.
_DIRECTIVES: Final = frozenset("aAbBcdfgGHIjmMnpSuUVwWxXyYzZ%")
# Table Schema's word for ISO 8601. Its `any` means a guess, and nothing is guessed here.
_ISO_FORMAT: Final = "default"


def date_rules(feed: Feed) -> Iterator[Problem]:
    """Yield what the date formats, zones and offsets of a contract cannot mean."""
    for i, pattern in enumerate(feed.dates):
        yield from _pattern(("dates", i), pattern, is_instant=False)
    fields = {f.name: (i, f) for i, f in enumerate(feed.fields)}
    for i, spec in fields.values():
        if spec.type in ("date", "datetime", "time"):
            for pattern in _listed(spec.format):
                yield from _pattern(("fields", i, "format"), pattern, is_instant=False)
    schema = feed.canonical.schema.columns()
    for name, how in feed.mapping.items():
        column = schema.get(name)
        path: KeyPath = ("mapping", name)
        is_instant, is_date = isinstance(column, dy.Datetime), isinstance(column, dy.Date)
        if column is None:
            continue
        if not is_instant:
            for key in ("time_zone", "offset"):
                if getattr(how, key) is not None:
                    yield Problem((*path, key), f"{name} is not an instant", f"take {key} out")
        if not is_instant and not is_date:
            if how.format is not None:
                yield Problem((*path, "format"), f"{name} is neither an instant nor a date", "take format out")
            continue
        if how.values is not None:
            yield Problem(
                (*path, "values"), f"{name} is {'an instant' if is_instant else 'a date'}: codes are not translated into it", "use sql"
            )
        for pattern in _listed(how.format):
            yield from _pattern((*path, "format"), pattern, is_instant=is_instant)
        if how.constant is not None:
            yield from _constant((*path, "constant"), how.constant)
        if how.column is not None and how.column in fields:
            yield from _readable(feed, path, name, fields[how.column][1], given=_listed(how.format))


def _readable(feed: Feed, path: KeyPath, name: str, spec: FieldSpec, *, given: list[str]) -> Iterator[Problem]:
    if given or _listed(spec.format) or feed.dates or spec.type in ("date", "datetime"):
        return
    what = f"{name} is read from {shown(spec.name)}, of type {spec.type}, and no date format is stated"
    remedy = "type: datetime on the field if it is ISO 8601, else format: (for instance '%d/%m/%Y %H:%M')"
    if spec.type in ("integer", "number"):
        remedy = "format: '%Y%m%d%H%M%S' for digits of a date, or sql: to_timestamp(…) for seconds since 1970"
    yield Problem(path, what, remedy)


def _pattern(path: KeyPath, pattern: str, *, is_instant: bool) -> Iterator[Problem]:
    if pattern == _ISO_FORMAT:
        return
    if pattern == "any":
        yield Problem(path, "format any is a guess", "state the pattern, or default for ISO 8601")
        return
    directives = re.findall(r"%(-?.?)", pattern)
    bare = {d.removeprefix("-") for d in directives}
    unknown = sorted(d for d in bare if d not in _DIRECTIVES or d == "")
    if unknown or not directives:
        what = f"{shown(pattern)} is not a strptime pattern" + (f" (unknown: %{unknown[0]})" if unknown else "")
        yield Problem(path, what, "for instance '%d/%m/%Y %H:%M:%S' (%d day, %m month, %Y year, %H hour, %M minute, %S second)")
        return
    if "I" in bare and "p" not in bare:
        yield Problem(path, f"{shown(pattern)} has a 12-hour clock without AM or PM", "write %H, or add %p")
    if "p" in bare and "H" in bare:
        yield Problem(path, f"{shown(pattern)} has AM or PM on a 24-hour clock", "write %I instead of %H")
    if is_instant and not (bare & {"Y", "y", "G", "c", "x"}):
        yield Problem(path, f"{shown(pattern)} has no year", 'join the date and the time: sql: "Date" || \' \' || "Time", with one format')


def _constant(path: KeyPath, value: object) -> Iterator[Problem]:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?", str(value)):
        yield Problem(path, f"{shown(value)} is not an ISO 8601 date", "for instance 2024-01-31, or 2024-01-31T06:15:00Z")


def _listed(patterns: str | list[str] | None) -> list[str]:
    return [] if patterns is None else [patterns] if isinstance(patterns, str) else patterns
