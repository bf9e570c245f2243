"""Rules between the keys of a contract: does it say something that can be done, and all that is needed for it?

Here: columns, keys, units, expressions, schedules, indicator rules. Not here: types of single values (`load_shape`), what
instants and formats may say (`load_dates`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import urlsplit

import dataframely as dy

from ingestion.contracts.units import COLUMN_UNITS, UNITS, quantity, same_quantity
from ingestion.feeds.load_dates import date_rules
from ingestion.feeds.load_problem import KeyPath, Problem, did_you_mean, listed, shown, unit_remedy
from ingestion.feeds.model import WIRE_FORMATS, Feed, MapTo, RestConnector, StreamConnector
from ingestion.formats.registry import FORMATS

# The measures of a wide table fill these.
_FROM_MEASURES: Final = frozenset({"property", "value", "value_text", "unit"})
# Without a unit these would be guessed: longitude and latitude are degrees everywhere.
_NEEDS_UNIT: Final = frozenset({"energy_wh", "rated_power_w", "suspended_minutes"})

_CRON_FIELDS: Final = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("day of the week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)


def rule_problems(feed: Feed) -> Iterator[Problem]:
    """Yield what the keys of a contract contradict or leave out; lines are added by the caller."""
    how = (_decoded,) if feed.is_decoded else (_columns, _required, _mapping_values, _units, _measures, date_rules, _expressions)
    for rules in (_fields, *how, _stream, _indicators, _operation):
        yield from rules(feed)


def fault_problems(feed: Feed, fault_types: Collection[str]) -> Iterator[Problem]:
    """Yield the fault types of a contract that the referential does not hold."""
    rules = feed.indicators
    written: list[tuple[KeyPath, object]] = [(("indicators", "states", i, "fault_type"), r.fault_type) for i, r in enumerate(rules.states)]
    written += [(("indicators", "faults", i, "fault_type"), r.fault_type) for i, r in enumerate(rules.faults)]
    how = feed.mapping.get("fault_type")
    if how is not None:
        written += [(("mapping", "fault_type", "values", k), v) for k, v in (how.values or {}).items()]
        written += [(("mapping", "fault_type", key), getattr(how, key)) for key in ("constant", "other")]
    known = sorted(fault_types)
    for path, value in written:
        if value is not None and str(value) not in known and (path[-1], value) != ("other", "keep"):
            remedy = did_you_mean(str(value), known, otherwise=f"one of {listed(known, most=100)}")
            yield Problem(path, f"{shown(value)} is no fault type of the referential", remedy)


def _decoded(feed: Feed) -> Iterator[Problem]:
    """Check a contract whose messages are decoded: what they hold stands in them, not in a mapping."""
    what = f"messages of format {feed.format.type} say by themselves what they hold"
    contracts = FORMATS[feed.format.type].contracts
    if feed.contract not in contracts:
        yield Problem(("contract",), f"messages of format {feed.format.type} are no {feed.contract}", f"contract: {listed(contracts)}")
    if feed.measures and "observation" not in contracts:
        yield Problem(("measures",), f"format {feed.format.type} holds no observations", "take measures out")
    for key in ("mapping", "filter"):
        if getattr(feed, key):
            yield Problem((key,), what, f"take {key} out, or declare format: {{type: json}} and map the columns")


def _stream(feed: Feed) -> Iterator[Problem]:
    if not isinstance(feed.connector, StreamConnector):
        return
    if feed.format.type not in WIRE_FORMATS | {"auto", "json"}:
        yield Problem(("format", "type"), f"messages cannot be {feed.format.type}", f"json, or one of {listed(sorted(WIRE_FORMATS))}")
    if feed.schedule is not None:
        yield Problem(("schedule",), "a stream is not fetched: it lands as it comes", "take schedule out")


def _fields(feed: Feed) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for i, spec in enumerate(feed.fields):
        if spec.name in seen:
            yield Problem(("fields", i, "name"), f"field {shown(spec.name)} is declared twice", "keep one of them")
        seen.setdefault(spec.name, i)
        if spec.groupChar is not None and spec.groupChar == (spec.decimalChar or feed.decimalChar):
            yield Problem(("fields", i, "groupChar"), "is also the decimal mark", "1.234,5: groupChar '.', decimalChar ','")
    if feed.format.columns is not None:
        for i, name in enumerate(seen):
            if name not in feed.format.columns:
                yield Problem(("fields", i, "name"), f"{shown(name)} is not among format.columns", did_you_mean(name, feed.format.columns))


def _columns(feed: Feed) -> Iterator[Problem]:
    declared = [f.name for f in feed.fields]
    for name, how in feed.mapping.items():
        if name not in feed.canonical.columns:
            remedy = did_you_mean(name, feed.canonical.columns, otherwise=f"columns of {feed.contract}: {listed(feed.canonical.columns)}")
            yield Problem(("mapping", name), f"contract {feed.contract} has no column {shown(name)}", remedy)
        if how.column is not None and how.column not in declared:
            yield _undeclared(("mapping", name, "column"), how.column, declared)
    for i, measure in enumerate(feed.measures):
        if measure.column not in declared:
            yield _undeclared(("measures", i, "column"), measure.column, declared)
    for name in feed.canonical.key:
        how_key = feed.mapping.get(name)
        if how_key is not None and how_key.column in feed.personal_columns:
            yield _personal_key(("mapping", name), name, str(how_key.column))
    keys = [feed.mapping.get(name) for name in feed.canonical.key]
    if not feed.measures and all(how is not None and how.constant is not None for how in keys):
        what = f"every row would have the same key ({listed(feed.canonical.key)} are constants)"
        yield Problem(("mapping", feed.canonical.key[0]), what, "map one of them from the column that tells rows apart")


def _undeclared(path: KeyPath, column: str, declared: list[str]) -> Problem:
    return Problem(
        path, f"column {shown(column)} is not in fields", did_you_mean(column, declared, otherwise=f"fields: {listed(declared)}")
    )


def _personal_key(path: KeyPath, name: str, column: str) -> Problem:
    return Problem(
        path,
        f"{name} identifies rows in the lake, and column {shown(column)} is personal",
        "use an identifier that names no person (the hash of a name still does), or state why it is not personal: classification: internal",
    )


def _required(feed: Feed) -> Iterator[Problem]:
    covered = set(feed.mapping) | (_FROM_MEASURES if feed.measures else set())
    for name in feed.canonical.required:
        if name not in covered:
            remedy = f"contract {feed.contract} needs {listed(feed.canonical.required)}"
            if name == "property":
                remedy = "list measures (one per column of a wide table), or map property and value"
            yield Problem(("mapping", name), f"required column {name} is not mapped", remedy)
    if feed.contract != "observation":
        return
    if feed.measures:
        for name in sorted(_FROM_MEASURES & set(feed.mapping)):
            yield Problem(("mapping", name), f"{name} comes from measures", "take it out, or take measures out")
    elif "property" in covered and not covered & {"value", "value_text"}:
        yield Problem(("mapping", "value"), "an observation without value", "map value (a number) or value_text")


def _mapping_values(feed: Feed) -> Iterator[Problem]:
    """Check constants and translated codes against what their column may hold."""
    schema = feed.canonical.schema.columns()
    for name, how in feed.mapping.items():
        column = schema.get(name)
        if column is None:
            continue
        results: list[tuple[KeyPath, object]] = [(("mapping", name, "values", k), v) for k, v in (how.values or {}).items()]
        if how.other not in (None, "keep"):
            results.append((("mapping", name, "other"), how.other))
        if how.constant is not None:
            results.append((("mapping", name, "constant"), how.constant))
        for path, value in results:
            yield from _fits(path, value, column)


def _fits(path: KeyPath, value: object, column: dy.Column) -> Iterator[Problem]:
    text = str(value)
    match column:
        case dy.Enum():
            if text not in column.categories:
                yield Problem(path, f"{shown(text)} is none of {listed(column.categories)}", did_you_mean(text, column.categories))
        case dy.Float64():
            if isinstance(value, bool) or not _is_number(text):
                yield Problem(path, f"{shown(text)} is not a number", "this column holds numbers")
        case dy.Bool():
            if text.casefold() not in ("true", "false"):
                yield Problem(path, f"{shown(text)} is neither true nor false", "write true or false")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _units(feed: Feed) -> Iterator[Problem]:
    schema = feed.canonical.schema.columns()
    for name, how in feed.mapping.items():
        if name not in schema:
            continue
        path: KeyPath = ("mapping", name, "unit")
        kept = COLUMN_UNITS.get(name)
        unit = how.unit or _field_unit(feed, how)
        if how.constant is not None:
            if how.unit is not None:
                yield Problem(
                    path, "a constant is written in the lake's unit", f"take unit out{f' and write it in {kept}' if kept else ''}"
                )
        elif not isinstance(schema[name], dy.Float64):
            if how.unit is not None:
                yield Problem(path, f"{name} is not a number: it has no unit", "take unit out")
        elif kept is None:
            if unit is None and not (feed.contract == "observation" and "unit" in feed.mapping):
                yield Problem(path, "a value without unit", "write its UCUM unit (docs/units.md), 1 for a number without unit")
        elif unit is None:
            if name in _NEEDS_UNIT:
                yield Problem(path, f"{name} needs the unit of its source", f"one of {listed(same_quantity(kept))}")
        elif UNITS[unit].canonical != UNITS[kept].canonical:
            what = f"{unit} is {quantity(unit)}, and {name} is {quantity(kept)}"
            yield Problem(path, what, f"one of {listed(same_quantity(kept))}")
    how_unit = feed.mapping.get("unit")
    if feed.contract == "observation" and how_unit is not None:
        yield from _unit_column(feed, how_unit)


def _field_unit(feed: Feed, how: MapTo) -> str | None:
    return next((f.unit for f in feed.fields if f.name == how.column), None)


def _unit_column(feed: Feed, how: MapTo) -> Iterator[Problem]:
    """Check an observation's unit column: nothing converts by row, so it must say the lake's units."""
    written: list[tuple[KeyPath, object]] = [(("mapping", "unit", "values", k), v) for k, v in (how.values or {}).items()]
    if how.constant is not None:
        written.append((("mapping", "unit", "constant"), how.constant))
    for path, value in written:
        code = str(value)
        if code not in UNITS:
            yield Problem(path, f"{shown(code)} is not a UCUM unit this platform converts", unit_remedy(code))
        elif not UNITS[code].is_identity:
            yield Problem(
                path, f"the lake keeps {quantity(code)} in {UNITS[code].canonical}", f"write unit: {code} under mapping.value: it converts"
            )
    value_unit = feed.mapping["value"].unit if "value" in feed.mapping else None
    if value_unit is not None and how.constant is not None and UNITS[value_unit].canonical != how.constant:
        what = f"value is converted to {UNITS[value_unit].canonical}, and unit says {shown(how.constant)}"
        yield Problem(("mapping", "unit", "constant"), what, f"write {UNITS[value_unit].canonical}")


def _measures(feed: Feed) -> Iterator[Problem]:
    if feed.measures and feed.contract != "observation":
        yield Problem(("measures",), f"contract {feed.contract} has no measures", "map its columns, or take contract: observation")
        return
    seen: set[str] = set()
    for i, measure in enumerate(feed.measures):
        unit = measure.unit or next((f.unit for f in feed.fields if f.name == measure.column), None)
        if measure.property in seen:
            yield Problem(("measures", i, "property"), f"{shown(measure.property)} is measured twice in a row", "name each property apart")
        seen.add(measure.property)
        if measure.text:
            for key in ("unit", "minimum", "maximum"):
                if getattr(measure, key) is not None:
                    yield Problem(("measures", i, key), f"a text has no {key}", f"take {key} out, or text")
        elif unit is None:
            yield Problem(
                ("measures", i, "unit"),
                "a measure without unit",
                "its UCUM unit (docs/units.md), 1 for a number without unit, or text: true",
            )
        if measure.minimum is not None and measure.maximum is not None and measure.minimum > measure.maximum:
            yield Problem(("measures", i, "minimum"), "is above maximum", "exchange them")


def _expressions(feed: Feed) -> Iterator[Problem]:
    written: list[tuple[KeyPath, str]] = [(("mapping", n, "sql"), h.sql) for n, h in feed.mapping.items() if h.sql is not None]
    if feed.filter is not None:
        written.append((("filter",), feed.filter))
    if not written:
        return
    from ingestion.mapping.expressions import check_expression  # noqa: PLC0415 - sqlglot takes 0.3 s, most contracts have no SQL

    declared = {f.name for f in feed.fields}
    for path, sql in written:
        try:
            named = check_expression(sql, declared)
        except ValueError as error:
            absent = re.search(r"column '(.+?)' is not declared", str(error))
            remedy = did_you_mean(absent[1], declared) if absent else None
            yield Problem(path, str(error), remedy or "see « SQL expressions » in docs/feed-contract.md")
            continue
        personal = sorted(named & feed.personal_columns)
        if personal and len(path) > 1 and path[1] in feed.canonical.key:
            yield _personal_key(path, str(path[1]), personal[0])


def _indicators(feed: Feed) -> Iterator[Problem]:
    rules = feed.indicators
    homes: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
        ("states", bool(rules.states), ("observation",)),
        ("faults", bool(rules.faults), ("report", "intervention")),
        ("baselines", bool(rules.baselines), ("energy_reading",)),
    )
    for key, is_given, contracts in homes:
        if is_given and feed.contract not in contracts:
            yield Problem(("indicators", key), f"{key} go with {' or '.join(contracts)}, not {feed.contract}", "take them out")
    if feed.contract != "observation":
        return
    measured = {m.property: m for m in feed.measures}
    for i, rule in enumerate(rules.states):
        path: KeyPath = ("indicators", "states", i)
        measure = measured.get(rule.property)
        texts = rule.failed + rule.ok + rule.communication_lost
        has_bound = rule.failed_below is not None or rule.failed_above is not None
        # Of a format that is decoded, measures only rename: its messages hold other properties too.
        if measured and measure is None and not feed.is_decoded:
            yield Problem((*path, "property"), f"no measure gives {shown(rule.property)}", did_you_mean(rule.property, measured))
        elif measure is not None and texts and not measure.text:
            yield Problem(path, f"{rule.property} is a number", "use failed_below or failed_above, or text: true on the measure")
        elif measure is not None and has_bound and measure.text:
            yield Problem(path, f"{rule.property} is a text", "list its failed values")
        if not (rule.failed or rule.communication_lost or has_bound):
            yield Problem(path, "says of no value that it is a failure", "give failed, communication_lost, failed_below or failed_above")
        twice = sorted({t for t in texts if texts.count(t) > 1})
        if twice:
            yield Problem(path, f"{listed(twice)}: two meanings for one value", "keep each value in one list")


def _operation(feed: Feed) -> Iterator[Problem]:
    if feed.schedule is not None:
        fault = cron_fault(feed.schedule)
        if fault is not None:
            yield Problem(("schedule",), fault, "five fields: minute hour day month weekday; 15 6 * * * is each day at 6:15")
    for key, duration in (("freshness", feed.freshness), ("retention", feed.retention), ("message_retention", feed.message_retention)):
        if duration is not None and duration.total_seconds() <= 0:
            yield Problem((key,), "must be longer than nothing", "for instance P1D")
    if feed.indicators.flap_window.total_seconds() < 0:
        yield Problem(("indicators", "flap_window"), "must not be negative", "for instance PT30M")
    connector = feed.connector
    address = connector.base_url if isinstance(connector, RestConnector) else getattr(connector, "path", None)
    if address is not None and "://" in address and "@" in urlsplit(address).netloc:
        key = "base_url" if isinstance(connector, RestConnector) else "path"
        yield Problem(
            ("connector", key), "holds a user or a password", "name a secret instead (secret: …, or auth: …): contracts are shared"
        )
    if isinstance(connector, RestConnector):
        for group, given in (("headers", connector.headers), ("params", connector.params)):
            for name in given:
                if re.search(r"auth|token|secret|passw|api.?key|^key$|cookie", name, re.IGNORECASE):
                    yield Problem(
                        ("connector", group, name), "looks like a credential", "use auth, which names a secret: contracts are shared"
                    )


def cron_fault(expression: str) -> str | None:
    """Return what is wrong with a cron expression of five fields, or None.

    >>> cron_fault("*/15 6-20 * * mon-fri") is None
    True
    >>> cron_fault("0 25 * * *")
    "hour '25' is not between 0 and 23"
    """
    fields = expression.split()
    if len(fields) != len(_CRON_FIELDS):
        return f"has {len(fields)} fields"
    for written, (name, least, most, words) in zip(fields, _CRON_FIELDS, strict=True):
        for part in written.casefold().split(","):
            span, _, step = part.partition("/")
            if "/" in part and not (step.isdigit() and int(step) > 0):
                return f"{name} {written!r}: a step is a number above 0"
            if span == "*":
                continue
            bounds = [str(words.index(b) + least) if b in words else b for b in span.split("-")]
            if len(bounds) > 2 or not all(b.isdigit() and least <= int(b) <= most for b in bounds):  # noqa: PLR2004 - from-to
                return f"{name} {written!r} is not between {least} and {most}"
            if len(bounds) == 2 and int(bounds[0]) > int(bounds[1]):  # noqa: PLR2004 - from-to
                return f"{name} {written!r} runs backwards"
    return None
