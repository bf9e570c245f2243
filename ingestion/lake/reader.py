"""Read-only access for queries that people write.

Here: the check of a query, by parsing, and a connection that cannot reach beyond the lake. Not here: who may ask
(`orchestration`), row-level security (the dashboards).

Three walls, because each alone was shown to leak: the role that reads the catalogue owns nothing and sees only the lake's
metadata; the connection is locked (no file outside the lake's data, no ATTACH, no SET); and a query is parsed against an
allow-list: one SELECT over published schemas. The last one is needed because `read_parquet` under the data path and
`postgres_query` on the catalogue's own attachment work inside the first two.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

import duckdb
import sqlglot
from sqlglot import exp

from ingestion.errors import VigieError, WrongUse
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, attach, literal, open_engine

PUBLISHED: Final = ("core", "indicators", "open_data")
# 100 kB: the longest query a dashboard generates has 8 kB; past this it is an attack on the parser.
MAX_QUERY: Final = 100_000
# Long enough for a full scan of a year (4 s), short enough that a mistake does not hold the machine.
DEFAULT_TIMEOUT_S: Final = 60.0

_FORBIDDEN_NODES: Final = (
    exp.Command, exp.DDL, exp.DML, exp.Into, exp.Parameter, exp.Placeholder, exp.Lock, exp.Pivot, exp.Describe, exp.Summarize,
)  # fmt: skip
# Functions that read something other than their arguments: files, settings, other databases, the environment.
_FORBIDDEN_FUNCTIONS: Final = (
    "read_", "parquet_", "sniff_", "glob", "getenv", "current_setting", "set_config", "postgres_", "mysql_", "sqlite_", "ducklake_",
    "duckdb_", "pragma_", "query", "iceberg_", "delta_", "st_read", "st_drivers", "copy", "which_secret", "nextval", "currval", "pg_",
    "sql_auto_complete", "seq_scan", "table_", "from_substrait", "json_execute_serialized_sql", "json_serialize_sql", "test_all_types",
    "summary", "checkpoint", "force_checkpoint", "arrow_scan", "pandas_scan", "python_", "has_", "write_log", "parse_duckdb_log",
    "enable_", "disable_", "http_", "add_parquet_key", "load_", "repeat_row", "histogram_values",
)  # fmt: skip
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ALLOWED_TABLE_FUNCTIONS: Final = frozenset({"unnest", "generate_series", "range"})


def check_query(sql: str, schemas: Sequence[str] = PUBLISHED) -> str:
    """Return the query, normalised, if it only reads published tables.

    Args:
        sql: one SELECT (WITH, UNION… included), in DuckDB's SQL.
        schemas: the schemas that may be read.

    Raises:
        WrongUse: the query cannot be parsed, or does anything else than read published tables.
    """
    if len(sql) > MAX_QUERY:
        raise WrongUse(f"the query is longer than {MAX_QUERY} characters", remedy="build a dbt model for it")
    try:
        return _checked(sql, schemas)
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise WrongUse(f"the query cannot be read: {str(error).splitlines()[0]}", remedy="write one SELECT, in DuckDB's SQL") from None


def _checked(sql: str, schemas: Sequence[str]) -> str:
    # A comment after the last semicolon is a statement of its own to the parser, an empty one.
    statements = [s for s in sqlglot.parse(sql, dialect="duckdb") if s is not None and not isinstance(s, exp.Semicolon)]
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise _refused("only one SELECT is allowed")
    query = statements[0]
    for node in query.walk():
        _check_node(node)
    _check_tables(query, schemas)
    # What runs is what was checked: the tree written out again, not the text that was parsed.
    return query.sql(dialect="duckdb", comments=False)


def _refused(why: str) -> WrongUse:
    return WrongUse(
        f"refused: {why}",
        remedy="this access is read-only: one SELECT over the tables of core, indicators and open_data (vigie sql --tables)",
    )


def _function_name(function: exp.Func) -> str:
    return (str(function.name) if type(function) is exp.Anonymous else function.sql_name()).lower()


def _check_node(node: exp.Expr) -> None:
    if isinstance(node, _FORBIDDEN_NODES):
        raise _refused(f"{type(node).__name__.upper()} is not allowed")
    if isinstance(node, exp.Func) and not isinstance(node, exp.Connector):
        name = _function_name(node)
        written = node.sql(dialect="duckdb").split("(", 1)[0].strip().lower()
        for candidate in (name, written):
            if candidate.startswith(_FORBIDDEN_FUNCTIONS) and candidate not in _ALLOWED_TABLE_FUNCTIONS:
                raise _refused(f"function {candidate}() is not allowed")


def _check_tables(query: exp.Query, schemas: Sequence[str]) -> None:
    for table in query.find_all(exp.Table):
        if isinstance(table.this, exp.Func):
            name = _function_name(table.this)
            if name in _ALLOWED_TABLE_FUNCTIONS or isinstance(table.this, (exp.Unnest, exp.GenerateSeries)):
                continue
            raise _refused(f"table function {name}() is not allowed")
        if table.args.get("version") is not None or table.args.get("when") is not None:
            raise _refused("published tables are read as they stand, without AT")
        if table.catalog and table.catalog != ALIAS:
            raise _refused(f"{table.sql(dialect='duckdb')} is not a published table")
        # A quoted path is a name too, and DuckDB would read the file: published tables and CTEs have plain names.
        if not _PLAIN_NAME.fullmatch(table.name):
            raise _refused(f"{table.sql(dialect='duckdb')} is not a table's name")
        if not table.db:
            if _is_cte(table):
                continue
            raise _refused(f"{table.sql(dialect='duckdb')}: name the schema ({', '.join(schemas)})")
        if table.db not in schemas:
            raise _refused(f"{table.sql(dialect='duckdb')} is not a published table")


def _is_cte(table: exp.Table) -> bool:
    """Whether a bare name means a CTE where it stands: one of an enclosing query, defined before (itself, when recursive).

    Out of its scope the same name would mean one of the engine's own views (`duckdb_views`, `sqlite_master`).
    """
    inside: exp.CTE | None = None
    node: exp.Expr | None = table
    while node is not None:
        with_ = node.args.get("with_")
        if isinstance(with_, exp.With):
            visible = list(with_.expressions)
            if inside is not None and any(cte is inside for cte in visible):
                own = next(i for i, cte in enumerate(visible) if cte is inside)
                visible = visible[: own + bool(with_.recursive)]
            if any(cte.alias_or_name.lower() == table.name.lower() for cte in visible):
                return True
        if isinstance(node, exp.CTE):
            inside = node
        node = node.parent
    return False


def open_reader(address: LakeAddress, *, limits: EngineLimits = EngineLimits()) -> duckdb.DuckDBPyConnection:
    """Open a locked connection for queries that people write; `address` must be the reader's. Whoever asked closes it.

    Raises:
        VigieError: the lake does not answer.
    """
    con = open_engine(address.extension_directory, limits)
    try:
        attach(con, address, read_only=True)
        # For every cursor of this engine, which else takes the machine's.
        con.execute("SET GLOBAL TimeZone = 'UTC'")
        # A table name must never mean a variable of this process.
        con.execute("SET python_enable_replacements = false")
        con.execute(f"SET allowed_directories = [{literal(address.data_path)}]")
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
        con.execute(f"USE {ALIAS}")
    except (VigieError, duckdb.Error):
        con.close()
        raise
    return con


@contextlib.contextmanager
def connect_reader(address: LakeAddress, *, limits: EngineLimits = EngineLimits()) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a locked connection for queries that people write, and close it; `address` must be the reader's.

    Raises:
        VigieError: the lake does not answer.
    """
    with contextlib.closing(open_reader(address, limits=limits)) as con:
        yield con


def run_query(
    address: LakeAddress,
    sql: str,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_rows: int | None = None,
    limits: EngineLimits = EngineLimits(),
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run a query of a person and return its column names and rows.

    Raises:
        WrongUse: the query is refused, or names what does not exist.
        VigieError: the lake does not answer, or the query ran longer than `timeout_s`.
    """
    checked = check_query(sql)
    with connect_reader(address, limits=limits) as con:
        cut = threading.Timer(timeout_s, con.interrupt)
        cut.start()
        try:
            cursor = con.execute(checked)
            rows = cursor.fetchall() if max_rows is None else cursor.fetchmany(max_rows)
        except duckdb.InterruptException:
            raise VigieError(f"the query was cut after {timeout_s:g} s", remedy="ask for less: a period, a commune, an aggregate") from None
        except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
            what = str(error).splitlines()[0]
            raise WrongUse(f"the query does not fit the tables: {what}", remedy="list them: vigie sql --tables") from None
        except duckdb.Error as error:
            raise VigieError(f"the query failed: {str(error).splitlines()[0]}") from None
        finally:
            cut.cancel()
        return [d[0] for d in cursor.description or []], rows
