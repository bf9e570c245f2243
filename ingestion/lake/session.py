"""Connections to a lake: extensions from their wheels, the catalogue attached, UTC everywhere.

Here: opening and describing connections. Not here: what is written (`writer`), what readers may ask (`reader`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import duckdb
import psycopg

from ingestion.errors import VigieError
from ingestion.lake.address import LakeAddress

ALIAS: Final = "lake"
# What every process needs; `spatial` (90 MB) is installed beside them and loaded only by the formats that need it.
EXTENSIONS: Final = ("ducklake", "postgres_scanner", "httpfs", "spatial")
# Batches of up to 1,000 rows stay in the catalogue until flushed: at 1,500 rows a commit was 6 times slower inlined
# than in a file, at 100 rows it was faster and left no small files.
INLINING_ROW_LIMIT: Final = 1000
# Appends never conflict with appends; maintenance may. DuckLake's default of 10 was exhausted by 6 writers at once.
# Each waits DuckLake's 100 ms: with its growing waits (half as much again each time) the thirtieth would hold our locks for hours.
MAX_RETRIES: Final = 100


@dataclass(frozen=True)
class EngineLimits:
    """What one DuckDB process may use; `None` leaves DuckDB's own choice."""

    memory_limit: str | None = None
    threads: int | None = None
    temp_directory: Path | None = None


def install_extensions(directory: Path) -> None:
    """Install DuckDB's extensions from their wheels into `directory`, once; safe when several processes start at once."""
    directory.mkdir(parents=True, exist_ok=True)
    stamp = directory / f".installed-{duckdb.__version__}"
    if stamp.exists():
        return
    from duckdb_extensions import import_extension  # noqa: PLC0415 - only the first start needs it

    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists():
            return
        with duckdb.connect(config={"extension_directory": str(directory)}) as con:
            for name in EXTENSIONS:
                import_extension(name, con=con)
        stamp.touch()


def open_engine(extension_directory: Path, limits: EngineLimits = EngineLimits()) -> duckdb.DuckDBPyConnection:
    """Open DuckDB in memory, in UTC, with the lake's extensions loaded and downloads switched off."""
    install_extensions(extension_directory)
    con = duckdb.connect(
        config={
            "extension_directory": str(extension_directory),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": str(limits.temp_directory or Path(tempfile.gettempdir()) / f"vigie-duckdb-{os.getpid()}"),
        }
    )
    con.execute("SET TimeZone = 'UTC'")
    if limits.memory_limit is not None:
        con.execute("SET memory_limit = ?", [limits.memory_limit])
    if limits.threads is not None:
        con.execute("SET threads = ?", [limits.threads])
    for name in ("ducklake", "postgres_scanner"):
        con.load_extension(name)
    return con


def attach(con: duckdb.DuckDBPyConnection, address: LakeAddress, *, alias: str = ALIAS, read_only: bool = False) -> None:
    """Attach a lake under `alias`.

    Raises:
        VigieError: the catalogue does not answer; the message never holds the password.
    """
    if address.s3 is not None:
        con.load_extension("httpfs")
        s3 = address.s3
        con.execute(
            f"CREATE OR REPLACE SECRET {alias}_s3 (TYPE s3, KEY_ID {literal(s3.access_key)}, SECRET {literal(s3.secret_key)}, "
            f"ENDPOINT {literal(s3.endpoint)}, REGION {literal(s3.region)}, URL_STYLE 'path', USE_SSL {s3.use_tls}, "
            f"SCOPE {literal(address.data_path)})"
        )
    options = [f"METADATA_SCHEMA {literal(address.metadata_schema)}"]
    if read_only:
        options.append("READ_ONLY")
    else:
        options += [f"DATA_PATH {literal(address.data_path)}", f"DATA_INLINING_ROW_LIMIT {INLINING_ROW_LIMIT}"]
    try:
        con.execute(f"ATTACH {literal('ducklake:postgres:' + address.dsn)} AS {alias} ({', '.join(options)})")
    except duckdb.Error as error:
        raise VigieError(
            f"the lake's catalogue does not answer: {_without_secrets(str(error), address)}",
            remedy="start the instance (vigie up), or look at what is wrong with it (vigie doctor)",
        ) from None
    con.execute(f"SET ducklake_max_retry_count = {MAX_RETRIES}")
    con.execute("SET ducklake_retry_backoff = 1.0")


def _without_secrets(message: str, address: LakeAddress) -> str:
    with contextlib.suppress(ValueError):
        password = unquote(urlsplit(address.catalogue_url).password or "")
        if password:
            message = message.replace(password, "***")
    return message.splitlines()[0] if message else "no message"


@contextlib.contextmanager
def connect(address: LakeAddress, *, limits: EngineLimits = EngineLimits(), read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB with the lake attached as `lake`, and close it.

    Raises:
        VigieError: the catalogue does not answer.
    """
    con = open_engine(address.extension_directory, limits)
    try:
        attach(con, address, read_only=read_only)
        yield con
    finally:
        con.close()


# PostgreSQL advisory locks of the catalogue's database. Any two numbers will do; they must never change.
LOCK_SPACE: Final = 0x7616
COMMIT_LOCK: Final = 1
MUTATE_LOCK: Final = 2
# Not the lock of builds: every command makes sure that its tables exist, and must not wait for a build to end.
CREATE_LOCK: Final = 3


@contextlib.contextmanager
def advisory_lock(address: LakeAddress, key: int, *, space: int = LOCK_SPACE) -> Iterator[None]:
    """Hold one advisory lock of the catalogue's PostgreSQL; a killed holder releases it with its connection.

    Raises:
        VigieError: the catalogue does not answer.
    """
    with advisory_locks(address, [key], space=space):
        yield


@contextlib.contextmanager
def advisory_locks(address: LakeAddress, keys: Iterable[int], *, space: int) -> Iterator[None]:
    """Hold several advisory locks of the catalogue's PostgreSQL, taken in the order given.

    Raises:
        VigieError: the catalogue does not answer.
    """
    with catalogue(address) as pg:
        for key in keys:
            pg.execute("SELECT pg_advisory_lock(%s, %s)", [space, key])
        yield


def catalogue(address: LakeAddress) -> psycopg.Connection[tuple[object, ...]]:
    """Open a connection to the catalogue's PostgreSQL, in autocommit.

    Raises:
        VigieError: the catalogue does not answer.
    """
    try:
        # Keepalives: a host that vanished must not hold a lock for the two hours of TCP's default.
        return psycopg.connect(
            address.dsn, autocommit=True, connect_timeout=10, keepalives_idle=30, keepalives_interval=10, keepalives_count=3
        )
    except psycopg.OperationalError as error:
        raise VigieError(
            f"the lake's catalogue does not answer: {_without_secrets(str(error), address)}",
            remedy="start the instance (vigie up), or look at what is wrong with it (vigie doctor)",
        ) from None


def literal(value: str) -> str:
    """Quote a text as a SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Quote a name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
