"""Which rows a panel keeps: its conditions and its time, as a chart keeps them and as a query asks for them.

Here: `ou`, `temps`. Not here: filters of the whole dashboard (`filters`).

What Superset's simple filters say exactly is written as one; the rest (values *and* nothing written, all but some values, codes read in
words) as SQL over the table's own columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dashboards.compiler.datasets import Words, has_words
from dashboards.compiler.names import slug
from dashboards.sheets.catalogue import Table
from dashboards.sheets.model import Condition, Panel

Value = str | int | float | bool | None


@dataclass
class Rows:
    """The rows of a panel.

    Attributes:
        saved: as the chart keeps them (`adhoc_filters`).
        filters: as a query asks for them.
        where: what a query adds in SQL; empty: nothing.
    """

    saved: list[dict[str, Any]] = field(default_factory=list)
    filters: list[dict[str, Any]] = field(default_factory=list)
    where: str = ""


def rows(panel: Panel, table: Table, words: Words, *, period: str) -> Rows:
    """Return the rows of a panel.

    Args:
        panel: whose conditions and time.
        table: what it draws on.
        words: columns read in words are compared by their codes.
        period: the range its time starts with, as Superset writes it.
    """
    found = Rows()
    if panel.time is not None:
        _simple(found, panel.time, "TEMPORAL_RANGE", period)
    for condition in panel.where:
        _condition(found, condition, is_worded=has_words(table.columns[condition.column], words))
    return found


def _condition(found: Rows, condition: Condition, *, is_worded: bool) -> None:
    column, values, excepted = condition.column, condition.values, condition.excepted
    if values == (None,):
        _simple(found, column, "IS NULL", None)
    elif excepted == (None,):
        _simple(found, column, "IS NOT NULL", None)
    elif values and not is_worded and None not in values:
        _simple(found, column, "IN", list(values))
    elif values:
        written = [_literal(v) for v in values if v is not None]
        parts = [f'"{column}" IN ({", ".join(written)})'] if written else []
        parts += [f'"{column}" IS NULL'] if None in values else []
        _sql(found, " OR ".join(parts))
    if excepted and excepted != (None,):
        _sql(found, " AND ".join(f'"{column}" IS DISTINCT FROM {_literal(v)}' for v in excepted))
    for operator, bound in ((">=", condition.at_least), ("<=", condition.at_most)):
        if bound is not None and is_worded:
            _sql(found, f'"{column}" {operator} {_literal(bound)}')
        elif bound is not None:
            _simple(found, column, operator, bound)


def _simple(found: Rows, column: str, operator: str, value: Any) -> None:
    saved = {"clause": "WHERE", "expressionType": "SIMPLE", "subject": column, "operator": operator, "comparator": value}
    found.saved.append({**saved, "filterOptionName": f"filter_{slug(f'{column} {operator} {len(found.saved)}')}"})
    asked: dict[str, Any] = {"col": column, "op": operator}
    found.filters.append(asked if value is None else {**asked, "val": value})


def _sql(found: Rows, expression: str) -> None:
    saved = {"clause": "WHERE", "expressionType": "SQL", "sqlExpression": expression}
    found.saved.append({**saved, "filterOptionName": f"filter_sql_{len(found.saved)}"})
    found.where = f"{found.where} AND ({expression})" if found.where else f"({expression})"


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else repr(value)
