"""Databases and roles of an instance: one database each for the lake's catalogue, the personal lake, Dagster and the application.

Here: making them, idempotently, on the embedded server as on a given one, and whether the server answers. Not here: tables.

The owner role makes everything. `vigie_reader` may connect to the lake's catalogue only, and only SELECT there: what
readers run (`vigie sql`, dashboards, APIs) can be sent to the catalogue's server by DuckDB, so the server itself must refuse.
`vigie_superset` owns the dashboard server's database and may connect to no other.
"""

from __future__ import annotations

from typing import Final, Literal

import psycopg
from psycopg import sql
from pydantic import SecretStr

from ingestion.errors import VigieError
from orchestration.settings import (
    APP_DATABASE,
    DAGSTER_DATABASE,
    LAKE_DATABASE,
    PERSONAL_DATABASE,
    READER_ROLE,
    SUPERSET_DATABASE,
    SUPERSET_ROLE,
    Settings,
)

MAINTENANCE_DATABASE: Final = "postgres"
DATABASES: Final = (LAKE_DATABASE, PERSONAL_DATABASE, DAGSTER_DATABASE, APP_DATABASE)

# A server on this machine or its network answers in milliseconds; past this it is not there.
_CONNECT_TIMEOUT_S: Final = 3
# Any number that is the same in every version: two preparations at once would both find a database missing.
_ADVISORY_LOCK: Final = 0x5649_4749_45  # "VIGIE"

Answer = Literal["yes", "no", "refused"]


def answer(settings: Settings) -> tuple[Answer, str]:
    """Return whether the instance's PostgreSQL answers its owner, and why not.

    `refused`: a server answers there, but not to us: another instance's, or the password changed.
    """
    try:
        with _connect(settings, MAINTENANCE_DATABASE):
            return "yes", ""
    except psycopg.OperationalError as error:
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        refused = "authentication failed" in text or "does not exist" in text or "no pg_hba.conf entry" in text
        return ("refused" if refused else "no"), text


def prepare(settings: Settings) -> None:
    """Make the databases, the reader's role and its rights, where they are missing. Repeatable; processes may race.

    Raises:
        VigieError: the server refuses.
    """
    try:
        with _connect(settings, MAINTENANCE_DATABASE) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
            _prepare_role(connection, READER_ROLE, settings.postgres_reader_password)
            connection.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(sql.Identifier(READER_ROLE)))
            for name in DATABASES:
                _prepare_database(connection, name)
            if settings.profile == "local":  # a given server's other databases are not ours to close
                for name in (MAINTENANCE_DATABASE, "template1"):
                    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
            _prepare_reader(connection, settings)
            _prepare_superset(connection, settings)
    except psycopg.Error as error:
        raise VigieError(
            f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port} could not be prepared: {str(error).strip()}",
            remedy=f"its role {settings.postgres_user} must be allowed to create databases and roles",
        ) from error


def _connect(settings: Settings, database: str) -> psycopg.Connection[tuple[object, ...]]:
    url = settings.database_url(database)
    return psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S, application_name="vigie")


def _prepare_role(connection: psycopg.Connection[tuple[object, ...]], name: str, secret: SecretStr) -> None:
    role = sql.Identifier(name)
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    # The verifier is computed here: the password itself could end in the server's log.
    password = secret.get_secret_value().encode()
    verifier = connection.pgconn.encrypt_password(password, name.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(verifier)))


def _prepare_superset(connection: psycopg.Connection[tuple[object, ...]], settings: Settings) -> None:
    """Superset migrates its own tables: it owns its database, and may enter no other."""
    _prepare_role(connection, SUPERSET_ROLE, settings.superset_password)
    _prepare_database(connection, SUPERSET_DATABASE)
    names = sql.Identifier(SUPERSET_DATABASE), sql.Identifier(SUPERSET_ROLE)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(*names))
    with _connect(settings, SUPERSET_DATABASE) as own:
        own.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        own.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(names[1]))


def _prepare_database(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
        # template0: whatever someone added to template1 does not enter ours.
        connection.execute(sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(sql.Identifier(name)))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def _prepare_reader(connection: psycopg.Connection[tuple[object, ...]], settings: Settings) -> None:
    reader, schema = sql.Identifier(READER_ROLE), sql.Identifier(settings.lake.metadata_schema)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(LAKE_DATABASE), reader))
    with _connect(settings, LAKE_DATABASE) as lake:
        lake.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        lake.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        lake.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, reader))
        lake.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(schema, reader))
        # DuckLake makes tables as it goes (inlined rows of each table): they must be readable too.
        lake.execute(sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT SELECT ON TABLES TO {}").format(schema, reader))
