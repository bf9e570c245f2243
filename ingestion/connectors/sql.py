"""Databases: a table or a query to JSON lines.

Here: one fetch of one source, read-only, streamed. Not here: what the rows mean.

SQLAlchemy directly: dlt's `sql_database` is a layer over the same calls that reads tables but no query. Values keep their
exact text: decimals as written, instants in ISO 8601 with their offset.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from ingestion.connectors.cursors import Progress
from ingestion.connectors.model import Cursor, Deadline, Fetched, FetchFailed, Limits, Secrets
from ingestion.errors import WrongUse
from ingestion.feeds.model import SqlConnector

_ROWS_AT_A_TIME = 5_000


def fetch_sql(connector: SqlConnector, secrets: Secrets, workdir: Path, cursor: Cursor | None, limits: Limits) -> Iterator[Fetched]:
    """Yield files of JSON lines, one line per row; nothing when there is nothing new.

    With an incremental cursor rows come in its order, so that each file can be landed with its own cursor; rows that have
    none come last, each time.

    Raises:
        FetchFailed: the database does not answer or refuses.
        WrongUse: the secret holds no address, or the contract's connector cannot be.
    """
    engine = _engine(connector, secrets, limits)
    url = engine.url
    what = "query" if connector.query else ".".join(filter(None, (connector.schema_name, connector.table)))
    origin = f"{url.get_backend_name()}://{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database or ''} {what}"
    progress = Progress(connector.incremental, cursor) if connector.incremental else None
    deadline = Deadline(origin, limits.seconds)
    try:
        with engine.connect() as opened:
            is_postgresql = engine.dialect.name == "postgresql"
            connection = opened.execution_options(postgresql_readonly=True) if is_postgresql else opened
            result = connection.execution_options(stream_results=True, max_row_buffer=_ROWS_AT_A_TIME).execute(_select(connector, progress))
            columns = list(result.keys())
            if len(set(columns)) < len(columns):
                raise WrongUse(f"{origin}: two columns of one name ({', '.join(columns)})", remedy="name them apart in the query (AS)")
            rows = _rows(result, columns, deadline)
            index = 0
            while (fetched := _write(rows, workdir / f"fetched-{index:05d}.ndjson", origin, connector, progress, limits)) is not None:
                yield fetched
                index += 1
    except sa.exc.SQLAlchemyError as error:
        raise FetchFailed(f"{origin}: {_said(error, url)}", remedy="check the secret's address, its rights, and the query") from None
    finally:
        engine.dispose()


def _engine(connector: SqlConnector, secrets: Secrets, limits: Limits) -> sa.Engine:
    try:
        url = sa.make_url(secrets(connector.secret))
        if url.get_backend_name() == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
            return sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": max(1, int(limits.timeout_seconds))})
        return sa.create_engine(url, poolclass=sa.NullPool)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError):
        # Without the cause: its text holds the address.
        raise WrongUse(
            f"secret {connector.secret}: not a database address", remedy="for instance postgresql://reader:password@host:5432/database"
        ) from None
    except ModuleNotFoundError as error:
        raise WrongUse(f"secret {connector.secret}: the driver {error.name} is not installed", remedy="install it beside Vigie") from None


def _select(connector: SqlConnector, progress: Progress | None) -> sa.Select[Any]:
    source: sa.FromClause | sa.TextClause
    if connector.table is not None:
        source = sa.table(connector.table, schema=connector.schema_name)
    else:
        source = sa.text(f"({(connector.query or '').rstrip().rstrip(';')}) AS source")
    select = sa.select(sa.text("*")).select_from(source)
    if progress and connector.incremental:
        column: sa.ColumnClause[Any] = sa.column(connector.incremental.cursor)
        select = select.where(sa.or_(column >= progress.since, column.is_(None))).order_by(sa.case((column.is_(None), 1), else_=0), column)
    return select


def _rows(result: sa.CursorResult[Any], columns: list[str], deadline: Deadline) -> Iterator[dict[str, Any]]:
    for rows in result.partitions(_ROWS_AT_A_TIME):
        deadline.check()
        for row in rows:
            yield dict(zip(columns, row, strict=True))


def _write(
    rows: Iterator[dict[str, Any]], target: Path, origin: str, connector: SqlConnector, progress: Progress | None, limits: Limits
) -> Fetched | None:
    count = 0
    encoder = msgspec.json.Encoder(enc_hook=_exact, decimal_format="string", uuid_format="canonical")
    with target.open("wb") as out:
        for row in rows:
            if progress and connector.incremental:
                if connector.incremental.cursor not in row:
                    raise WrongUse(
                        f"connector.incremental.cursor: there is no column {connector.incremental.cursor!r}",
                        remedy=f"the source has: {', '.join(row)}",
                    )
                progress.see(row[connector.incremental.cursor])
            out.write(encoder.encode({k: _plain(v) for k, v in row.items()}) + b"\n")
            count += 1
            if count >= limits.rows_per_file:
                break
    if not count:
        target.unlink()
        return None
    return Fetched(target, origin, progress.cursor if progress else None)


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it without losing anything."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(bytes(value)).decode()
        case _:
            return value


def _exact(value: Any) -> str:
    """Return the text of what JSON has no type for (network addresses, ranges, points…)."""
    return str(value)


def _said(error: sa.exc.SQLAlchemyError, url: sa.URL) -> str:
    """Return what the database said, without the address's password."""
    cause = getattr(error, "orig", None) or error
    text = " ".join(str(cause).split())[:500]
    return text.replace(url.password, "…") if isinstance(url.password, str) and url.password else text
