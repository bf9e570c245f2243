"""One source cell to one typed value, in SQL: text, number, boolean, date, instant.

Here: the expressions, for whatever type the source has. Not here: which cell goes where (`compile`).

Every function returns an expression that is NULL where the cell cannot be read; the caller tells a cell that was empty
from one that could not be read by looking at the cell itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from ingestion.contracts.units import Conversion
from ingestion.lake.session import literal

# Table Schema's default spellings of booleans, and those of French exports.
TRUE_VALUES: Final = ("true", "True", "TRUE", "1", "oui", "Oui", "OUI", "yes", "Yes", "YES", "vrai", "Vrai", "VRAI", "O", "Y")
FALSE_VALUES: Final = ("false", "False", "FALSE", "0", "non", "Non", "NON", "no", "No", "NO", "faux", "Faux", "FAUX", "N")

_ISO_FORMATS: Final = frozenset({"default", "any"})
_TEXT_TYPES: Final = ("VARCHAR",)


def is_text(sql_type: str) -> bool:
    """Whether a source column holds text as written, rather than a typed value."""
    return sql_type.upper() in _TEXT_TYPES


def cell(column: str, sql_type: str, missing: Sequence[str]) -> str:
    """Return a source cell with surrounding blanks removed and missing-value tokens turned into NULL."""
    if not is_text(sql_type):
        tokens = [t for t in missing if t]
        return f"CASE WHEN CAST({column} AS VARCHAR) IN ({_list(tokens)}) THEN NULL ELSE {column} END" if tokens else column
    # An empty cell is never a value: Table Schema's missingValues holds '' unless a feed says otherwise.
    tokens = sorted({t.strip() for t in missing} | {""})
    test = f"trim({column}) = ''" if tokens == [""] else f"trim({column}) IN ({_list(tokens)})"
    return f"CASE WHEN {test} THEN NULL ELSE trim({column}) END"


def text(expression: str, sql_type: str) -> str:
    """Return a value as text."""
    return expression if is_text(sql_type) else f"CAST({expression} AS VARCHAR)"


def number(
    expression: str, sql_type: str, *, decimal: str = ".", group: str | None = None, bare: bool = True, unit: Conversion | None = None
) -> str:
    """Return a value as DOUBLE, in the canonical unit."""
    value = expression
    if is_text(sql_type):
        if group is not None:
            value = f"replace({value}, {literal(group)}, '')"
        if decimal != ".":
            # With a decimal comma, a point is not a decimal point: 1.234 must not be read as 1,234.
            value = f"CASE WHEN contains({value}, '.') THEN NULL ELSE replace({value}, {literal(decimal)}, '.') END"
        if not bare:
            value = f"regexp_extract({value}, '[-+]?[0-9]*\\.?[0-9]+([eE][-+]?[0-9]+)?')"
        # DuckDB reads 1_000 as a thousand, as Python does; no equipment writes it.
        value = f"CASE WHEN contains({value}, '_') THEN NULL ELSE {value} END"
    value = f"TRY_CAST({value} AS DOUBLE)"
    if unit is None or unit.is_identity:
        return value
    if unit.offset == 0.0:
        return f"({value} * {unit.factor!r})"
    # Rounded to the ninth decimal: 273.15 K must be 0 °C, not 5.7e-14.
    return f"round({value} * {unit.factor!r} + {unit.offset!r}, 9)"


def boolean(expression: str, sql_type: str, *, true: Sequence[str] | None = None, false: Sequence[str] | None = None) -> str:
    """Return a value as BOOLEAN."""
    if not is_text(sql_type):
        return f"TRY_CAST({expression} AS BOOLEAN)"
    return (
        f"CASE WHEN {expression} IN ({_list(true or TRUE_VALUES)}) THEN true "
        f"WHEN {expression} IN ({_list(false or FALSE_VALUES)}) THEN false END"
    )


def date(expression: str, sql_type: str, *, formats: Sequence[str]) -> str:
    """Return a value as DATE."""
    if not is_text(sql_type):
        return f"TRY_CAST({expression} AS DATE)"
    tried = [
        f"CASE WHEN {_not_a_word(expression)} THEN TRY_CAST(TRY_CAST({expression} AS TIMESTAMP) AS DATE) END"
        if f in _ISO_FORMATS
        else f"CAST(try_strptime({expression}, {literal(f)}) AS DATE)"
        for f in formats or ("default",)
    ]
    return _first(tried)


def instant(expression: str, sql_type: str, *, zone: str, formats: Sequence[str], offset: dt.timedelta | None = None) -> str:
    """Return a value as TIMESTAMPTZ; a time that carries no zone is read in `zone`.

    A local time that does not exist there (the hour skipped in spring) is NULL. One that exists twice (autumn) is read as
    the second, in standard time, since nothing in the text tells them apart.
    """
    kind = sql_type.upper()
    if is_text(sql_type):
        value = _first([_parsed(expression, f, zone) for f in formats or ("default",)])
    elif kind == "TIMESTAMP WITH TIME ZONE":
        value = expression
    elif kind.startswith(("TIMESTAMP", "DATE")):
        value = _localised(f"CAST({expression} AS TIMESTAMP)", zone)
    else:
        # A number is an epoch; which one (seconds, milliseconds) only an expression of the contract can say.
        value = "CAST(NULL AS TIMESTAMPTZ)"
    if offset:
        value = f"({value} + to_microseconds({int(offset / dt.timedelta(microseconds=1))}))"
    return value


def _parsed(expression: str, pattern: str, zone: str) -> str:
    if pattern in _ISO_FORMATS:
        aware = _aware(expression)
        if _is_utc(zone):
            return f"CASE WHEN {_not_a_word(expression)} THEN {aware} END"
        # Past the date (ten characters), a sign can only be an offset; a letter at the end, a Z or the name of a zone.
        tail = f"substr({expression}, 11)"
        has_offset = f"(right({expression}, 1) >= 'A' OR contains({tail}, '+') OR contains({tail}, '-'))"
        naive = _localised(f"TRY_CAST({expression} AS TIMESTAMP)", zone)
        return f"CASE WHEN NOT {_not_a_word(expression)} THEN NULL WHEN {has_offset} THEN {aware} ELSE {naive} END"
    naive = f"try_strptime({expression}, {literal(pattern)})"
    if "%z" in pattern or "%Z" in pattern:
        return f"timezone('UTC', CAST({naive} AS TIMESTAMP))"
    return _localised(naive, zone)


def _aware(expression: str) -> str:
    """Read a time that says its offset; ISO 8601 allows it to end with the minute (`12:00Z`), which DuckDB does not read."""
    to_seconds = rf"regexp_replace({expression}, '^(.{{10}}[T ]\d\d:\d\d)(Z|[-+][0-9:]+)$', '\1:00\2')"
    return f"coalesce(TRY_CAST({expression} AS TIMESTAMPTZ), TRY_CAST({to_seconds} AS TIMESTAMPTZ))"


def _localised(naive: str, zone: str) -> str:
    if _is_utc(zone):
        return f"timezone('UTC', {naive})"
    z = literal(zone)
    return f"CASE WHEN timezone({z}, timezone({z}, {naive})) = {naive} THEN timezone({z}, {naive}) END"


def _not_a_word(expression: str) -> str:
    """Return the test that keeps DuckDB from reading 'epoch' and 'infinity' as instants: digits and signs sort before letters."""
    return f"{expression} < 'A'"


def _is_utc(zone: str) -> bool:
    return zone in {"UTC", "Etc/UTC", "Etc/GMT", "GMT"}


def _first(expressions: list[str]) -> str:
    return expressions[0] if len(expressions) == 1 else f"coalesce({', '.join(expressions)})"


def _list(values: Sequence[str]) -> str:
    return ", ".join(literal(v) for v in values)
