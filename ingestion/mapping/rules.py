"""The canonical contracts' rules as SQL, for batches of many rows.

Here: the translation of each dataframely column and rule. Not here: the rules themselves (`ingestion.contracts`).

One declaration, two engines: rows that a decoder builds in Python are checked by `Schema.filter`, files of millions of
rows by this SQL inside the one pass that reads them (docs/decisions/0003). A property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import dataframely as dy

from ingestion.contracts.canonical import Contract
from ingestion.lake.session import literal

# Rules over several columns, by their name in the schema: the condition that holds for a good row.
_ROW_RULES: Final = {
    "has_value": ("({value} IS NOT NULL OR {value_text} IS NOT NULL)", ("value", "value_text")),
    "interval_is_positive": ("({end_at} > {start_at})", ("start_at", "end_at")),
}


@dataclass(frozen=True)
class Rule:
    """One way in which a row can break its contract.

    Attributes:
        reason: short code, stored with the reject.
        violated: SQL condition over canonical columns, true for a bad row.
        detail: SQL text that says what is wrong with it.
        columns: the canonical columns concerned.
    """

    reason: str
    violated: str
    detail: str
    columns: tuple[str, ...]


def column_rules(name: str, column: dy.Column, q: str) -> list[Rule]:
    """Return the rules of one column, whose expression is `q`; presence apart (a missing key is said by `missing_rule`)."""
    rules: list[Rule] = []

    def add(reason: str, violated: str, limit: str) -> None:
        # A column that fails its own test is quoted in the reason, shortened: a document in a name column is one reason, not 30 kB.
        rules.append(Rule(reason, violated, f"'{name} = ' || left(CAST({q} AS VARCHAR), 100) || {literal(limit)}", (name,)))

    match column:
        case dy.String():
            if column.max_length is not None:
                # Bytes, as dataframely counts.
                add("too_long", f"strlen({q}) > {column.max_length}", f"… is longer than {column.max_length} bytes")
        case dy.Enum():
            allowed = ", ".join(literal(c) for c in column.categories)
            add("unknown_value", f"{q} NOT IN ({allowed})", f" is none of {', '.join(column.categories)}")
        case dy.Float64():
            if not column.allow_inf or not column.allow_nan:
                add("not_finite", f"NOT isfinite({q})", " is not a finite number")
            if column.min is not None:
                add("out_of_range", f"{q} < {column.min!r}", f" is below {column.min:g}")
            if column.max is not None:
                add("out_of_range", f"{q} > {column.max!r}", f" is above {column.max:g}")
        case dy.Datetime():
            if column.min is not None:
                add("out_of_range", f"{q} < TIMESTAMPTZ '{column.min.isoformat()}'", f" is before {column.min:%Y-%m-%d}")
            if column.max is not None:
                add("out_of_range", f"{q} > TIMESTAMPTZ '{column.max.isoformat()}'", f" is after {column.max:%Y-%m-%d}")
        case dy.Date():
            if column.min is not None:
                add("out_of_range", f"{q} < DATE '{column.min.isoformat()}'", f" is before {column.min:%Y-%m-%d}")
            if column.max is not None:
                add("out_of_range", f"{q} > DATE '{column.max.isoformat()}'", f" is after {column.max:%Y-%m-%d}")
        case dy.Bool():
            pass
        case _:
            raise TypeError(f"no SQL rule for {column!r}")
    return rules


def missing_rule(name: str, q: str) -> Rule:
    """Return the rule that a required column, whose expression is `q`, holds something."""
    return Rule("missing", f"({q} IS NULL)", literal(f"{name} is missing"), (name,))


def contract_rules(contract: Contract, mapped: set[str], refer: Callable[[str], str], *, skip: frozenset[str] = frozenset()) -> list[Rule]:
    """Return every rule of a contract that concerns the columns a feed maps.

    Args:
        contract: the canonical contract.
        mapped: the canonical columns that the feed fills; the others are NULL and cannot break a bound.
        refer: a canonical column's name to the expression that holds it.
        skip: columns checked elsewhere (the value of a wide table's measures).
    """
    rules: list[Rule] = []
    for name, column in contract.schema.columns().items():
        if name in skip:
            continue
        if not column.nullable:  # a column that is not mapped holds its default; one that is must hold something in every row
            rules.append(missing_rule(name, refer(name)))
        if name in mapped:
            rules += column_rules(name, column, refer(name))
    for rule_name, (holds, needed) in _ROW_RULES.items():
        if hasattr(contract.schema, rule_name) and not skip.intersection(needed):
            expressions = {c: refer(c) for c in needed}
            rules.append(Rule(rule_name, f"NOT {holds.format(**expressions)}", _row_detail(expressions), needed))
    return rules


def _row_detail(expressions: dict[str, str]) -> str:
    parts = [f"'{c} = ' || coalesce(CAST({q} AS VARCHAR), 'nothing')" for c, q in expressions.items()]
    return " || ', ' || ".join(parts)
