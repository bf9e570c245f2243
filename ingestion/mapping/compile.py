"""A feed contract to SQL: one SELECT that reads a source table and says, record by record, what becomes of it.

Here: the compilation. Not here: cells (`cells`), the contracts' rules (`rules`), running and storing (`ingestion.landing`).

The SELECT keeps one row per source record: `_position`, the canonical columns, the measures of a wide table beside them,
and for a record that cannot be translated its `_reason`, `_detail` and `_original` (personal columns left out).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import dataframely as dy
import duckdb

from ingestion.contracts.canonical import Observation
from ingestion.contracts.units import COLUMN_UNITS, SPELLINGS, UNITS, Conversion, between, to_canonical
from ingestion.errors import WrongUse
from ingestion.feeds.model import Feed, FieldSpec, MapTo, Measure
from ingestion.lake.session import identifier, literal
from ingestion.mapping import cells
from ingestion.mapping.expressions import check_expression
from ingestion.mapping.rules import Rule, column_rules, contract_rules

# Canonical columns that the measures of a wide table fill.
FROM_MEASURES: Final = frozenset({"property", "value", "value_text", "unit"})

# What separates cells, and its name; a single column whose name holds one of them was split at something else.
_DELIMITERS: Final = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}

REASONS: Final = {
    "not_a_number": "is not a number",
    "not_an_instant": "is not a date or time in the formats of the contract, or does not exist in its time zone",
    "not_a_date": "is not a date in the formats of the contract",
    "not_a_boolean": "is neither of the contract's true or false values",
    "unknown_unit": "is not a unit this platform converts",
    "unknown_code": "is not among the values that the contract translates",
}


@dataclass(frozen=True)
class CompiledMeasure:
    """One measure of a wide table: where its value, its raw text, its failure and what is said of it stand in the compiled SELECT."""

    measure: Measure
    value: str
    raw: str
    reason: str
    detail: str
    unit: str | None


@dataclass(frozen=True)
class Compiled:
    """A feed contract compiled for one source table.

    Attributes:
        select: the SELECT, over the source table's relation.
        columns: canonical column to its SQL type, as the SELECT gives them.
        personal: canonical columns whose content must not enter the main lake.
        measures: for a wide table; their rows come out of the unpivoting.
    """

    select: str
    columns: dict[str, str]
    personal: tuple[str, ...]
    measures: tuple[CompiledMeasure, ...] = ()


@dataclass
class _Target:
    """One canonical column being compiled: its expression, and what it is when it cannot be read."""

    name: str
    expression: str
    failed: str | None
    reason: str
    shown: str
    personal: bool


@dataclass
class _Source:
    """The declared columns of a source table, as cells."""

    feed: Feed
    types: dict[str, str]
    used: dict[str, str] = field(default_factory=dict)

    def cell(self, column: str) -> tuple[str, str]:
        """Return (expression, type) of a source column's cell, and remember that it is used."""
        spec = self.feed.field(column)
        sql_type = self.types[column]
        missing = spec.missingValues if spec.missingValues is not None else self.feed.missingValues
        self.used[column] = cells.cell(identifier(column), sql_type, missing)
        return identifier(column), sql_type


def compile_feed(feed: Feed, types: dict[str, str], relation: str, con: duckdb.DuckDBPyConnection) -> Compiled:
    """Compile a feed contract for a source table.

    Args:
        feed: the contract.
        types: the source table's columns and DuckDB types.
        relation: its relation, which also has `_position`.
        con: used to find the types of the contract's own expressions; nothing is read.

    Raises:
        WrongUse: the source lacks a column that the contract reads, or an expression does not fit its columns.
    """
    _require_columns(feed, types)
    source = _Source(feed, types)
    targets = _with_units_of_rows(feed, [_target(name, how, source, con, relation) for name, how in feed.mapping.items()])
    measures = [_measure(i, m, source) for i, m in enumerate(feed.measures)]
    scope = _scope(feed, source)
    # Cells are settled only now that every use is known.
    declared = {f.name for f in feed.fields if f.name in types}
    kept = [c for c in types if c in declared and c not in feed.personal_columns]
    for column in kept:
        source.cell(column)

    mapped = {t.name for t in targets}
    skip = FROM_MEASURES if measures else frozenset[str]()
    contract = feed.canonical
    rules = contract_rules(contract, mapped, lambda n: _typed(n) if n in mapped else _absent(feed, n, contract.columns[n]), skip=skip)
    personal = tuple(t.name for t in targets if t.personal)

    cell_list = ", ".join(f"{expression} AS {identifier(c)}" for c, expression in source.used.items())
    level1 = f"SELECT _position{', ' + cell_list if cell_list else ''} FROM {relation} AS source"
    typed = [f"{t.expression} AS {_typed(t.name)}" for t in targets]
    typed += [f"{expression} AS {identifier(m.value)}" for m, expression in measures]
    level2 = f"SELECT *, {', '.join(typed)} FROM ({level1})"

    failures: list[tuple[str, str, str]] = []
    if scope is not None:
        # First: what else would be wrong with a record that the contract leaves out says nothing of the source.
        failures.append((f"NOT coalesce({scope}, false)", "out_of_scope", literal(f"outside the contract's filter: {feed.filter}")))
    failures += [(t.failed, t.reason, t.shown) for t in targets if t.failed is not None]
    failures += [(r.violated, r.reason, _rule_detail(r, personal)) for r in rules]
    if measures:
        nothing = " AND ".join(f"{_raw_is_empty(m.measure)}" for m, _ in measures)
        failures.append((f"({nothing})", "no_value", literal("every measure of the record is missing")))
    number = _case((condition, str(i)) for i, (condition, _, _) in enumerate(failures, start=1))
    level3 = f"SELECT *, {number} AS _failure FROM ({level2})"

    record = ", ".join(f"{literal(c)}: CAST({identifier(c)} AS VARCHAR)" for c in kept)
    out = ["_position"]
    out += [f"{_typed(n) if n in mapped else _absent(feed, n, t)} AS {identifier(n)}" for n, t in _row_columns(feed).items()]
    for compiled, _ in measures:
        spec = compiled.measure
        bad = _measure_failure(spec, compiled)
        out += [
            f"CASE WHEN {bad} IS NULL THEN {identifier(compiled.value)} END AS {identifier(compiled.value)}",
            f"{bad} AS {identifier(compiled.reason)}",
            f"CASE WHEN {bad} IS NOT NULL THEN CAST({identifier(spec.column)} AS VARCHAR) END AS {identifier(compiled.raw)}",
            f"CASE WHEN {bad} IS NOT NULL THEN {_measure_detail(feed, compiled)} END AS {identifier(compiled.detail)}",
        ]
    out.append(_case((f"_failure = {i}", literal(reason)) for i, (_, reason, _) in enumerate(failures, start=1)) + " AS _reason")
    out.append(_case((f"_failure = {i}", detail) for i, (_, _, detail) in enumerate(failures, start=1)) + " AS _detail")
    original = f"CASE WHEN _failure IS NOT NULL THEN CAST(to_json({{{record}}}) AS VARCHAR) END" if record else "CAST(NULL AS VARCHAR)"
    out.append(f"{original} AS _original")
    select = f"SELECT {', '.join(out)} FROM ({level3})"
    return Compiled(select, _row_columns(feed), personal, tuple(m for m, _ in measures))


def _row_columns(feed: Feed) -> dict[str, str]:
    columns = feed.canonical.columns
    if feed.measures:
        return {n: t for n, t in columns.items() if n not in FROM_MEASURES}
    return columns


def _require_columns(feed: Feed, types: dict[str, str]) -> None:
    needed: set[str] = {m.column for m in feed.measures}
    declared = {f.name for f in feed.fields}
    for how in feed.mapping.values():
        if how.column is not None:
            needed.add(how.column)
        elif how.sql is not None:
            needed |= _expression_columns(how.sql, declared)
    if feed.filter is not None:
        needed |= _expression_columns(feed.filter, declared)
    absent = sorted(needed - set(types))
    if absent and len(types) == 1:
        only = next(iter(types))
        splits = max(_DELIMITERS, key=only.count)
        if only.count(splits):
            raise WrongUse(
                f"feed {feed.feed}: the source was read as one single column, {only!r}: its cells are separated by {_DELIMITERS[splits]}",
                remedy=f"write delimiter: {splits!r} under format in the contract, or take delimiter out: it is then found out",
            )
    if absent:
        raise WrongUse(
            f"feed {feed.feed}: the source has no column {', '.join(map(repr, absent))} (it has: {', '.join(map(repr, types))})",
            remedy="was a column renamed at the source? Correct the contract's fields and mapping, then check it (vigie feeds check)",
        )


def _expression_columns(sql: str, declared: set[str]) -> set[str]:
    try:
        return check_expression(sql, declared)
    except ValueError as error:
        raise WrongUse(f"{sql!r}: {error}", remedy="see « SQL expressions » in docs/feed-contract.md") from None


def _target(name: str, how: MapTo, source: _Source, con: duckdb.DuckDBPyConnection, relation: str) -> _Target:
    feed = source.feed
    column = feed.canonical.schema.columns()[name]
    if how.constant is not None:
        return _Target(name, _constant(how.constant, column), None, "", "", personal=False)
    if how.column is not None:
        spec, (expression, sql_type) = feed.field(how.column), source.cell(how.column)
        origin, personal = how.column, spec.classification == "personal"
    elif how.sql is not None:
        names = _expression_columns(how.sql, {f.name for f in feed.fields})
        personal = bool(names & feed.personal_columns)
        for used in names:
            source.cell(used)
        spec, expression, origin = FieldSpec(name=name), f"({how.sql})", f"{name} (expression)"
        sql_type = _type_of(how.sql, source, con, relation, name)
    else:
        raise TypeError(f"mapping.{name} has no origin; the contract's shape refuses it")
    empty = f"{expression} IS NULL"
    value, failed, reason = expression, None, ""
    if how.values is not None:
        known = ", ".join(literal(k) for k in how.values)
        other = _other(how, expression, sql_type)
        value = _case(((f"{cells.text(expression, sql_type)} = {literal(k)}", literal(v)) for k, v in how.values.items()), other)
        if how.other is None:
            failed, reason = f"{cells.text(expression, sql_type)} NOT IN ({known})", "unknown_code"
        sql_type = "VARCHAR"
        empty = "false" if how.other is not None else empty
    typed, why = _typed_value(value, sql_type, name, how, spec, feed)
    if failed is None and why:
        failed, reason = f"(NOT ({empty}) AND {_typed(name)} IS NULL)", why
    quoted = "'a value'" if personal else f"'\"' || left(CAST({expression} AS VARCHAR), 100) || '\"'"
    shown = f"{literal(origin + ': ')} || coalesce({quoted}, 'nothing') || {literal(' ' + REASONS.get(reason, reason))}"
    return _Target(name, typed, failed, reason, shown, personal)


def _with_units_of_rows(feed: Feed, targets: list[_Target]) -> list[_Target]:
    """Convert each value by the unit its own record states; a unit that is not known is a rejection, not a guess."""
    by_name = {t.name: t for t in targets}
    value, unit = by_name.get("value"), by_name.get("unit")
    if value is None or unit is None or feed.mapping["unit"].constant is not None or _unit_of(feed, "value") is not None:
        return targets
    codes = {**{code: code for code in UNITS}, **SPELLINGS}
    stated = unit.expression
    # A truth value, 0 or 1 with its text (`true`, `start`), has no unit.
    text = by_name.get("value_text")
    is_flag = "false" if text is None else f"({stated} IS NULL AND {value.expression} IN (0, 1) AND {text.expression} IS NOT NULL)"
    known = [(f"{stated} = {literal(s)}", _in_lake_unit(value.expression, UNITS[code])) for s, code in codes.items()]
    to_lake = _case([(is_flag, value.expression), *known])
    in_lake = _case((f"{stated} = {literal(s)}", literal(UNITS[code].canonical)) for s, code in codes.items())
    unknown = f"({value.expression} IS NOT NULL AND {_typed('unit')} IS NULL AND NOT coalesce({is_flag}, false))"
    shown = f"'unit: ' || coalesce('\"' || left({stated}, 100) || '\"', 'nothing') || {literal(' ' + REASONS['unknown_unit'])}"
    by_name["unit"] = replace(unit, expression=in_lake, failed=unknown, reason="unknown_unit", shown=shown)
    if value.failed is not None:
        # Whether a value can be read is judged before its unit is known.
        by_name["value"] = replace(value, expression=to_lake, failed=value.failed.replace(_typed("value"), f"({value.expression})"))
    return list(by_name.values())


def _in_lake_unit(expression: str, unit: Conversion) -> str:
    return expression if unit.is_identity else cells.number(expression, "DOUBLE", unit=unit)


def _unit_of(feed: Feed, name: str) -> str | None:
    how = feed.mapping[name]
    return how.unit or (feed.field(how.column).unit if how.column is not None else None)


def _other(how: MapTo, expression: str, sql_type: str) -> str | None:
    if how.other == "keep":
        return cells.text(expression, sql_type)
    return f"CASE WHEN {expression} IS NOT NULL THEN {literal(how.other)} END" if how.other is not None else None


def _typed_value(value: str, sql_type: str, name: str, how: MapTo, spec: FieldSpec, feed: Feed) -> tuple[str, str]:
    """Return (expression, reason when it cannot be read) for one canonical column."""
    formats = _formats(how, spec, feed)
    match feed.canonical.schema.columns()[name]:
        case dy.Datetime():
            zone = how.time_zone or feed.time_zone
            return cells.instant(value, sql_type, zone=zone, formats=formats, offset=how.offset), "not_an_instant"
        case dy.Date():
            return cells.date(value, sql_type, formats=formats), "not_a_date"
        case dy.Float64():
            unit = how.unit or spec.unit
            conversion = (between(unit, COLUMN_UNITS[name]) if name in COLUMN_UNITS else to_canonical(unit)) if unit else None
            return _number(value, sql_type, spec, feed, conversion), "not_a_number"
        case dy.Bool():
            return cells.boolean(value, sql_type, true=spec.trueValues, false=spec.falseValues), "not_a_boolean"
        case _:
            return cells.text(value, sql_type), ""


def _number(value: str, sql_type: str, spec: FieldSpec, feed: Feed, unit: Conversion | None) -> str:
    return cells.number(
        value, sql_type, decimal=spec.decimalChar or feed.decimalChar, group=spec.groupChar, bare=spec.bareNumber, unit=unit
    )


def _formats(how: MapTo, spec: FieldSpec, feed: Feed) -> list[str]:
    for given in (how.format, spec.format):
        if given is not None:
            return [given] if isinstance(given, str) else given
    return feed.dates


def _measure(index: int, measure: Measure, source: _Source) -> tuple[CompiledMeasure, str]:
    expression, sql_type = source.cell(measure.column)
    spec = source.feed.field(measure.column)
    unit_code = measure.unit or spec.unit
    conversion = to_canonical(unit_code) if unit_code else None
    value = cells.text(expression, sql_type) if measure.text else _number(expression, sql_type, spec, source.feed, conversion)
    unit = conversion.canonical if conversion else None
    return CompiledMeasure(measure, f"_value_{index}", f"_raw_{index}", f"_bad_{index}", f"_said_{index}", unit), value


def _measure_failure(spec: Measure, compiled: CompiledMeasure) -> str:
    """SQL text: why one measure of a record is set aside, or NULL. Bounds are in the source's unit's canonical form."""
    raw, value = identifier(spec.column), identifier(compiled.value)
    if spec.text:
        rules = column_rules("value_text", Observation.columns()["value_text"], value)
        return _case((r.violated, literal(r.reason)) for r in rules)
    cases = [(f"{raw} IS NOT NULL AND {value} IS NULL", literal("not_a_number")), (f"NOT isfinite({value})", literal("not_finite"))]
    if spec.minimum is not None:
        cases.append((f"{value} < {spec.minimum!r}", literal("out_of_range")))
    if spec.maximum is not None:
        cases.append((f"{value} > {spec.maximum!r}", literal("out_of_range")))
    return _case(cases)


def _measure_detail(feed: Feed, compiled: CompiledMeasure) -> str:
    """SQL text: what is wrong with a value that is set aside; a value that was converted is told in both units."""
    spec = compiled.measure
    raw, value = identifier(spec.column), identifier(compiled.value)
    if spec.text:
        return f"{literal(spec.column + ': ')} || left(CAST({raw} AS VARCHAR), 100) || '…'"
    source_unit, unit = spec.unit or feed.field(spec.column).unit, _suffix(compiled.unit)
    written = f"{literal(spec.column + ' ')} || left(CAST({raw} AS VARCHAR), 100)"
    figure = f"{written} || {literal(_suffix(source_unit))}"
    if source_unit != compiled.unit:
        # Twelve digits: 0.1 degF is no 37.839999999999996 to a reader.
        figure += f" || ' = ' || format('{{:.12g}}', {value}) || {literal(unit)}"
    bounds = [
        (f"{value} {sign} {bound!r}", literal(f", {where} the {word} of {bound:.12g}{unit}"))
        for word, where, sign, bound in (("minimum", "below", "<", spec.minimum), ("maximum", "above", ">", spec.maximum))
        if bound is not None
    ]
    within = f"{figure} || {_case(bounds, literal(''))}"
    unread = [(f"{value} IS NULL", f"{written} || ' is not a number'"), (f"NOT isfinite({value})", f"{written} || ' is not finite'")]
    return _case(unread, within)


def _suffix(unit: str | None) -> str:
    return f" {unit}" if unit not in (None, "1") else ""


def _raw_is_empty(measure: Measure) -> str:
    return f"{identifier(measure.column)} IS NULL"


def _scope(feed: Feed, source: _Source) -> str | None:
    if feed.filter is None:
        return None
    for column in _expression_columns(feed.filter, {f.name for f in feed.fields}):
        source.cell(column)
    return f"({feed.filter})"


def _type_of(sql: str, source: _Source, con: duckdb.DuckDBPyConnection, relation: str, name: str) -> str:
    cell_list = ", ".join(f"{e} AS {identifier(c)}" for c, e in source.used.items()) or "1 AS _nothing"
    try:
        described = con.execute(f"DESCRIBE SELECT ({sql}) AS value FROM (SELECT {cell_list} FROM {relation} AS source)").fetchall()
    except duckdb.Error as error:
        raise WrongUse(
            f"mapping.{name}.sql: {str(error).splitlines()[0]}",
            remedy="columns of a text file are text in an expression: cast them (TRY_CAST(x AS DOUBLE))",
        ) from None
    return str(described[0][1])


def _constant(value: str | float, column: dy.Column) -> str:
    match column:
        case dy.Datetime():
            return f"CAST({literal(str(value))} AS TIMESTAMPTZ)"
        case dy.Date():
            return f"CAST({literal(str(value))} AS DATE)"
        case dy.Float64():
            return f"CAST({literal(str(value))} AS DOUBLE)"
        case dy.Bool():
            return f"CAST({literal(str(value))} AS BOOLEAN)"
        case _:
            return literal(str(value))


def _absent(feed: Feed, name: str, sql_type: str) -> str:
    default = feed.canonical.defaults.get(name)
    return literal(default) if default is not None else f"CAST(NULL AS {sql_type})"


def _typed(name: str) -> str:
    return identifier(f"_to_{name}")


def _rule_detail(rule: Rule, personal: tuple[str, ...]) -> str:
    return literal(f"{', '.join(rule.columns)}: {rule.reason}") if set(rule.columns) & set(personal) else rule.detail


def _case(branches: Iterable[tuple[str, str]], otherwise: str | None = None) -> str:
    body = " ".join(f"WHEN {condition} THEN {value}" for condition, value in branches)
    if not body:
        return otherwise or "NULL"
    return f"CASE {body}{' ELSE ' + otherwise if otherwise else ''} END"
