"""The lake for SQLAlchemy: one warm, locked connection per worker, and no statement that `vigie sql` would refuse.

Here: `duckdb+vigie:///lake`. Every statement, of a chart, a filter or a person, passes the one allow-list of readers
(`ingestion.lake.reader.check_query`) on its way to DuckDB, and is cut after a time. What Superset asks of schemas, tables and columns is
answered here, from the published schemas alone. Not here: who may see which rows (`dashboards.access`).

Opening DuckDB and attaching the lake takes 0.2 to 0.8 s, and Superset opens a connection per query: one is kept for the worker, and each
query gets a cursor of it, which is a connection of its own to the same engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import duckdb
from duckdb_engine import DBAPI, ConnectionWrapper, CursorWrapper, Dialect
from duckdb_engine.datatypes import ISCHEMA_NAMES
from sqlalchemy import types
from sqlalchemy.dialects import registry
from sqlalchemy.exc import NoSuchTableError

from dashboards.server import instance
from ingestion.errors import VigieError, WrongUse
from ingestion.lake.reader import PUBLISHED, check_query, open_reader
from ingestion.lake.session import ALIAS

# Superset asks in English for what it shows in French: an error of the lake is in the reader's language.
_REFUSED: Final = "Requête refusée"
# A chart that needs longer is not read by anybody; the same bound as SQL Lab's.
TIMEOUT_S: Final = 30.0
_TRANSACTIONS: Final = frozenset({"begin", "begin transaction", "commit", "rollback"})

_lock: Final = threading.Lock()
_held: duckdb.DuckDBPyConnection | None = None


class RefusedQuery(duckdb.Error):
    """A query the lake does not run, or that took too long; DBAPI's error, so that Superset shows it where the query was asked."""


def register() -> None:
    """Make `duckdb+vigie://` known to SQLAlchemy."""
    registry.register("duckdb.vigie", __name__, "LakeDialect")


def cursor() -> duckdb.DuckDBPyConnection:
    """Return a connection to the worker's lake, locked; the first call opens it.

    Raises:
        RefusedQuery: the lake does not answer.
    """
    global _held  # noqa: PLW0603 - one per worker, for as long as the worker lives
    with _lock:
        if _held is None:
            here = instance.load()
            try:
                _held = open_reader(here.lake, limits=here.limits)
            except VigieError as error:
                raise RefusedQuery(f"Le lac de données ne répond pas : {error.message}") from None
        made = _held.cursor()
    # A cursor starts in DuckDB's own memory, not where the connection it comes from is.
    made.execute(f"USE {ALIAS}")
    return made


def forget() -> None:
    """Close the worker's connection: the next query opens another."""
    global _held  # noqa: PLW0603 - see above
    with _lock:
        if _held is not None:
            _held.close()
            _held = None


class _Cursor(CursorWrapper):  # type: ignore[misc] # the library has no types in Vigie's environment
    """A cursor that runs what the allow-list lets through, for a bounded time."""

    def __init__(self, con: duckdb.DuckDBPyConnection, connection: ConnectionWrapper) -> None:
        super().__init__(con, connection)
        self._con = con

    def execute(self, statement: str, parameters: Sequence[Any] | None = None, context: Any = None) -> None:  # noqa: ARG002 - the library's signature
        if statement.strip().rstrip(";").lower() in _TRANSACTIONS:
            return  # one SELECT is its own transaction
        try:
            checked = check_query(statement)
        except WrongUse as error:
            raise RefusedQuery(f"{_REFUSED} : {error.message}") from None
        self._within_time(lambda: self._con.execute(checked, list(parameters or ())))

    def executemany(self, *_: Any, **__: Any) -> None:
        raise RefusedQuery(f"{_REFUSED} : une requête à la fois")

    def _within_time(self, run: Callable[[], object]) -> None:
        cut = threading.Timer(TIMEOUT_S, self._con.interrupt)
        cut.start()
        try:
            run()
        except duckdb.InterruptException:
            raise RefusedQuery(f"Requête interrompue après {TIMEOUT_S:g} s : demandez moins (une période, une commune)") from None
        except duckdb.FatalException:
            forget()
            raise
        finally:
            cut.cancel()


class _Connection(ConnectionWrapper):  # type: ignore[misc] # as above
    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        super().__init__(con)
        self._con = con

    def cursor(self) -> _Cursor:
        return _Cursor(self._con, self)

    def begin(self) -> None:
        """Begin nothing: one SELECT is its own transaction."""

    commit = rollback = begin


class LakeDialect(Dialect):  # type: ignore[misc] # as above
    """DuckDB's dialect over the worker's connection, which knows of the published schemas alone."""

    driver = "vigie"
    supports_statement_cache = False

    @staticmethod
    def dbapi(**_: Any) -> type[DBAPI]:
        return DBAPI  # type: ignore[no-any-return] # as above

    def connect(self, *_: Any, **__: Any) -> _Connection:
        return _Connection(cursor())

    def do_rollback(self, connection: Any) -> None:
        """Nothing was begun."""

    do_commit = do_begin = do_rollback

    def get_schema_names(self, connection: Any, **_: Any) -> list[str]:  # noqa: ARG002 - SQLAlchemy's signature, here and below
        return list(PUBLISHED)

    def get_table_names(self, connection: Any, schema: str | None = None, **_: Any) -> list[str]:  # noqa: ARG002
        return []  # what is published is a view

    def get_view_names(self, connection: Any, schema: str | None = None, include: Any = None, **_: Any) -> list[str]:  # noqa: ARG002
        if schema not in PUBLISHED:
            return []
        rows = _ask("SELECT view_name FROM duckdb_views() WHERE database_name = ? AND schema_name = ? ORDER BY 1", [ALIAS, schema])
        return [str(name) for (name,) in rows]

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> bool:
        return table_name in self.get_view_names(connection, schema)

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[dict[str, Any]]:
        if schema not in PUBLISHED:
            raise NoSuchTableError(f"{schema}.{table_name}")
        rows = _ask(
            "SELECT column_name, data_type, comment FROM duckdb_columns() "
            "WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index",
            [ALIAS, schema, table_name],
        )
        if not rows:
            raise NoSuchTableError(f"{schema}.{table_name}")
        return [
            {"name": name, "type": _type(data_type), "nullable": True, "default": None, "autoincrement": False, "comment": comment}
            for name, data_type, comment in rows
        ]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> dict[str, Any]:  # noqa: ARG002
        return {"constrained_columns": [], "name": None}

    def _nothing(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        return []

    get_foreign_keys = get_indexes = get_unique_constraints = get_check_constraints = _nothing

    def get_table_comment(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Mapping[str, str | None]:  # noqa: ARG002
        rows = _ask(
            "SELECT comment FROM duckdb_views() WHERE database_name = ? AND schema_name = ? AND view_name = ?", [ALIAS, schema, table_name]
        )
        return {"text": rows[0][0] if rows else None}

    def get_view_definition(self, connection: Any, view_name: str, schema: str | None = None, **_: Any) -> str:  # noqa: ARG002
        return ""  # it names the schema that tables are built in, and nothing a reader could use


def _ask(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    con = cursor()
    try:
        return con.execute(sql, list(parameters)).fetchall()
    finally:
        con.close()


def _type(name: str) -> types.TypeEngine[Any]:
    found = ISCHEMA_NAMES.get(name.lower().split("(", 1)[0])
    return types.NullType() if found is None else (found() if isinstance(found, type) else found)
