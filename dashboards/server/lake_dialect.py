"""The lake for SQLAlchemy: one warm, locked connection per worker, and no statement that `vigie sql` would refuse.

Here: `duckdb+vigie:///lake`. Every statement, of a chart, a filter or a person, passes the one allow-list of readers
(`ingestion.lake.reader.check_query`) on its way to DuckDB, and is cut after a time. What Superset asks of schemas, tables and columns is
answered here, from the published schemas alone. Not here: who may see which rows (`rows`, `dashboards.access`).

Opening DuckDB and attaching the lake takes 0.2 to 0.8 s, and Superset opens a connection per query: one is kept for the worker, and each
query gets a cursor of it, which is a connection of its own to the same engine.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import duckdb
from duckdb_engine import DBAPI, ConnectionWrapper, CursorWrapper, Dialect
from duckdb_engine.datatypes import ISCHEMA_NAMES
from sqlalchemy import types
from sqlalchemy.dialects import registry
from sqlalchemy.exc import NoSuchTableError

from dashboards.server import instance, refusals, rows
from ingestion.errors import VigieError, WrongUse
from ingestion.lake.reader import PUBLISHED, check_query, open_reader
from ingestion.lake.session import ALIAS

_TRANSACTIONS: Final = frozenset({"begin", "begin transaction", "commit", "rollback"})

_BROKEN: Final = (duckdb.IOException, duckdb.FatalException, duckdb.ConnectionException, duckdb.InternalException)
# How DuckDB says that PostgreSQL, which keeps the lake's catalogue, is no longer where it was.
_LOST: Final = re.compile(
    r"server closed the connection|terminating connection|connection (?:to server|refused|reset)|no connection to", re.IGNORECASE
)

_lock: Final = threading.Lock()
_held: duckdb.DuckDBPyConnection | None = None
# How many were held before: who found one broken must not close the next, which another thread has opened meanwhile.
_generation = 0


class RefusedQuery(duckdb.Error):
    """A query the lake does not run, or that took too long, in French; DBAPI's error, so that Superset shows it where it was asked."""


class _Lost(RefusedQuery):
    """The connection that was held is of no use any more: PostgreSQL was started again, or the lake was made anew."""

    def __init__(self, why: object) -> None:
        super().__init__(f"Le lac de données ne répond pas ({str(why).splitlines()[0]}). Réessayez dans un instant.")


def register() -> None:
    """Make `duckdb+vigie://` known to SQLAlchemy."""
    registry.register("duckdb.vigie", __name__, "LakeDialect")


def cursor() -> duckdb.DuckDBPyConnection:
    """Return a connection to the worker's lake, locked; the first call opens it.

    Raises:
        RefusedQuery: the lake does not answer.
    """
    return _numbered_cursor()[0]


def _numbered_cursor() -> tuple[duckdb.DuckDBPyConnection, int]:
    global _held  # noqa: PLW0603 - one per worker, for as long as the worker lives
    with _lock:
        if _held is None:
            here = instance.load()
            try:
                _held = open_reader(here.lake, limits=here.limits)
            except (VigieError, duckdb.Error) as error:
                raise _Lost(error.message if isinstance(error, VigieError) else error) from None
        made, number = _held.cursor(), _generation
    # A cursor starts in DuckDB's own memory, not where the connection it comes from is.
    made.execute(f"USE {ALIAS}")
    return made, number


def forget(number: int | None = None) -> None:
    """Close the worker's connection, if it is still the one of this number: the next query opens another."""
    global _held, _generation  # noqa: PLW0603 - lets go of the one that this worker holds
    with _lock:
        if _held is not None and number in {None, _generation}:
            _held.close()
            _held = None
            _generation += 1


class _Cursor(CursorWrapper):
    """A cursor that runs what the allow-list lets through, for a bounded time, rows included."""

    def __init__(self, connection: _Connection) -> None:
        super().__init__(connection.con, connection)
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any] | None = None, context: Any = None) -> None:
        if statement.strip().rstrip(";").lower() in _TRANSACTIONS:
            return  # one SELECT is its own transaction
        try:
            checked = rows.narrowed(check_query(statement))
        except WrongUse as error:
            raise RefusedQuery(refusals.refused(error.message)) from None
        except rows.NotAllowed as error:
            raise RefusedQuery(f"Requête refusée : {error}") from None
        try:
            self._within_time(lambda: self._connection.con.execute(checked, list(parameters or ())))
        except _Lost:
            self._connection.renew()
            self._within_time(lambda: self._connection.con.execute(checked, list(parameters or ())))

    def executemany(self, *_: Any, **__: Any) -> None:
        raise RefusedQuery("Requête refusée : une requête à la fois")

    def fetchone(self) -> Any:
        return self._within_time(self._connection.con.fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        return self._within_time(lambda: self._connection.con.fetchmany() if size is None else self._connection.con.fetchmany(size))

    def fetchall(self) -> Any:
        return self._within_time(self._connection.con.fetchall)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.con, name)

    def _within_time(self, run: Callable[[], Any]) -> Any:
        timeout_s = instance.load().timeout_s
        cut = threading.Timer(timeout_s, self._connection.con.interrupt)
        cut.start()
        try:
            return run()
        except duckdb.InterruptException:
            raise RefusedQuery(f"Requête interrompue après {timeout_s:g} s : demandez moins (une période, une commune)") from None
        except _BROKEN as error:
            raise _Lost(error) from None
        except duckdb.Error as error:
            if _LOST.search(str(error)):
                raise _Lost(error) from None
            raise RefusedQuery(refusals.failed(error)) from None
        finally:
            cut.cancel()


class _Connection(ConnectionWrapper):
    def __init__(self) -> None:
        self.con, self._number = _numbered_cursor()
        super().__init__(self.con)

    def renew(self) -> None:
        """Let go of the worker's connection, which broke, and stand on another."""
        forget(self._number)
        self.con, self._number = _numbered_cursor()

    def cursor(self) -> _Cursor:
        return _Cursor(self)

    def begin(self) -> None:
        """Begin nothing: one SELECT is its own transaction."""

    commit = rollback = begin

    def close(self) -> None:
        self.con.close()
        self.closed = True


class LakeDialect(Dialect):
    """DuckDB's dialect over the worker's connection, which knows of the published schemas alone."""

    driver = "vigie"
    supports_statement_cache = False

    @staticmethod
    def dbapi(**_: Any) -> type[DBAPI]:
        return DBAPI

    def connect(self, *_: Any, **__: Any) -> _Connection:
        return _Connection()

    def do_rollback(self, connection: Any) -> None:
        """Nothing was begun."""

    do_commit = do_begin = do_rollback

    def get_schema_names(self, connection: Any, **_: Any) -> list[str]:
        return list(PUBLISHED)

    def get_table_names(self, connection: Any, schema: str | None = None, **_: Any) -> list[str]:
        return []  # what is published is a view

    def get_view_names(self, connection: Any, schema: str | None = None, include: Any = None, **_: Any) -> list[str]:
        if schema not in PUBLISHED:
            return []
        found = ask("SELECT view_name FROM duckdb_views() WHERE database_name = ? AND schema_name = ? ORDER BY 1", [ALIAS, schema])
        return [str(name) for (name,) in found]

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> bool:
        return table_name in self.get_view_names(connection, schema)

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[dict[str, Any]]:
        if schema not in PUBLISHED:
            raise NoSuchTableError(f"{schema}.{table_name}")
        found = ask(
            "SELECT column_name, data_type, comment FROM duckdb_columns() "
            "WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index",
            [ALIAS, schema, table_name],
        )
        if not found:
            raise NoSuchTableError(f"{schema}.{table_name}")
        return [
            {"name": name, "type": _type(data_type), "nullable": True, "default": None, "autoincrement": False, "comment": comment}
            for name, data_type, comment in found
        ]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> dict[str, Any]:
        return {"constrained_columns": [], "name": None}

    def _nothing(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[dict[str, Any]]:
        return []

    get_foreign_keys = get_indexes = get_unique_constraints = get_check_constraints = _nothing

    def get_table_comment(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Mapping[str, str | None]:
        found = ask(
            "SELECT comment FROM duckdb_views() WHERE database_name = ? AND schema_name = ? AND view_name = ?", [ALIAS, schema, table_name]
        )
        return {"text": found[0][0] if found else None}

    def get_view_definition(self, connection: Any, view_name: str, schema: str | None = None, **_: Any) -> str:
        return ""  # it names the schema that tables are built in, and nothing a reader could use


def ask(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of a query of our own, which no check stands before.

    Raises:
        RefusedQuery: the lake does not answer.
        duckdb.Error: the query failed.
    """
    for is_last in (False, True):
        con, number = _numbered_cursor()
        try:
            return con.execute(sql, list(parameters)).fetchall()
        except duckdb.Error as error:
            if not (isinstance(error, _BROKEN) or _LOST.search(str(error))):
                raise
            forget(number)
            if is_last:
                raise _Lost(error) from None
        finally:
            con.close()
    raise AssertionError("two attempts return or raise")


def _type(name: str) -> types.TypeEngine[Any]:
    found = ISCHEMA_NAMES.get(name.lower().split("(", 1)[0])
    return types.NullType() if found is None else (found() if isinstance(found, type) else found)
