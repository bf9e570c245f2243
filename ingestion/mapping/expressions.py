"""SQL expressions written in a feed contract: what they may say.

Here: one check, by parsing, against an allow-list. Not here: how an expression is used (`compile`).

An expression runs in the process that writes the lake, so nothing in it may reach beyond the record: scalar functions over
declared columns, and the window functions that number or compare records of the same file. No sub-query, no table, no
setting, no function that reads a file, the environment or the clock.
"""

from __future__ import annotations

from typing import Final

import sqlglot
from sqlglot import exp

# 4,000 characters: the longest expression of the shipped examples has 400.
MAX_LENGTH: Final = 4_000

# DuckDB's names of what is allowed. Nothing here reads files, settings, the clock or random numbers, or builds values
# much larger than its input.
FUNCTIONS: Final = frozenset(
    """
    abs ceil ceiling floor round sign sqrt ln log log10 log2 exp pow power mod greatest least trunc isfinite isnan
    degrees radians sin cos tan atan2
    concat concat_ws length len lower upper lcase ucase trim ltrim rtrim left right substr substring replace translate
    strip_accents reverse starts_with ends_with prefix suffix contains strpos instr position split_part string_split
    str_split regexp_matches regexp_replace regexp_extract regexp_full_match regexp_split_to_array ascii chr unicode
    md5 sha256 hex format printf to_base base64 encode decode url_decode nfc_normalize
    coalesce nullif ifnull if case typeof
    strptime try_strptime strftime make_date make_time make_timestamp make_timestamptz epoch_ms epoch to_timestamp
    date_trunc date_part date_add date_sub date_diff datediff datetrunc datepart extract year month day hour minute
    second quarter week isodow dayofweek dayofyear last_day timezone to_days to_hours to_minutes to_seconds
    to_milliseconds to_months to_years
    json_extract json_extract_string json_extract_path json_extract_path_text json_array_length json_valid json_type
    list_extract list_element array_extract list_contains array_length element_at
    row_number rank dense_rank lag lead first_value last_value count
    """.split()
)

_FORBIDDEN_NODES: Final = (
    exp.Subquery,
    exp.Select,
    exp.Query,
    exp.Table,
    exp.Star,
    exp.Command,
    exp.Parameter,
    exp.Placeholder,
    exp.Lambda,
    exp.DDL,
    exp.DML,
)


def check_expression(sql: str, columns: set[str]) -> set[str]:
    """Check an expression and return the source columns it names.

    Args:
        sql: the expression, in DuckDB's SQL.
        columns: the columns the contract declares.

    Raises:
        ValueError: the expression cannot be parsed, or says something that is not allowed; the message names it.
    """
    if len(sql) > MAX_LENGTH:
        raise ValueError(f"the expression is longer than {MAX_LENGTH} characters")
    try:
        statements = sqlglot.parse(f"SELECT {sql} AS value", dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise ValueError(f"this SQL cannot be read: {_first_line(error)}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise ValueError("one expression is expected, not a statement")
    select = statements[0]
    extra = [name for name, value in select.args.items() if value and name not in ("expressions", "kind")]
    if extra or len(select.expressions) != 1:
        raise ValueError("one expression is expected, without FROM, WHERE or a second column")
    return _walk(select.expressions[0].this if isinstance(select.expressions[0], exp.Alias) else select.expressions[0], columns)


def _walk(root: exp.Expression, columns: set[str]) -> set[str]:
    named: set[str] = set()
    for node in root.walk():
        if isinstance(node, _FORBIDDEN_NODES):
            raise ValueError(f"{node.sql(dialect='duckdb')!r}: only scalar functions over the record's columns are allowed")
        if isinstance(node, exp.Column):
            if node.table:
                raise ValueError(f"{node.sql(dialect='duckdb')!r}: name the column alone")
            if node.name not in columns:
                raise ValueError(f"column {node.name!r} is not declared in fields")
            named.add(node.name)
        elif isinstance(node, exp.Func) and not isinstance(node, (exp.And, exp.Or, exp.Xor, exp.Cast, exp.TryCast, exp.Case)):
            name = _function_name(node)
            if name not in FUNCTIONS:
                raise ValueError(f"function {name}() is not allowed in a contract")
    return named


def _function_name(node: exp.Func) -> str:
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower()
    # The name as DuckDB would write it: that is what the engine will run.
    rendered = node.sql(dialect="duckdb")
    head = rendered.split("(", 1)[0].strip().lower()
    return head if head.isidentifier() else node.sql_name().lower()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
