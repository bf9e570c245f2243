"""Health checks of services: is it there, and does it do its work.

Here: one small class per kind of check. A check returns `None` when all is well, else what it saw. Not here: what to do
about it (`supervisor`).
"""

from __future__ import annotations

import datetime as dt
import http.client
import socket
from dataclasses import dataclass
from typing import Final, Protocol

import psycopg

from orchestration.services import databases, nats_server
from orchestration.settings import Settings

# Everything checked is on this machine or beside it; a healthy answer takes milliseconds, on a loaded machine a second.
_TIMEOUT_S: Final = 3.0


class Check(Protocol):
    """A health check; `started_at` (UTC) is when the service's process started."""

    def __call__(self, started_at: dt.datetime) -> str | None:
        """Return `None` when the service is healthy, else what is wrong."""


@dataclass(frozen=True)
class TcpCheck:
    """The service accepts connections."""

    host: str
    port: int

    def __call__(self, started_at: dt.datetime) -> str | None:
        """Return `None` when a connection is accepted."""
        del started_at
        try:
            with socket.create_connection((self.host, self.port), timeout=_TIMEOUT_S):
                return None
        except OSError as error:
            return f"port {self.port}: {error.strerror or error}"


@dataclass(frozen=True)
class HttpCheck:
    """The service answers 200 to a GET."""

    host: str
    port: int
    path: str

    def __call__(self, started_at: dt.datetime) -> str | None:
        """Return `None` when the answer is 200."""
        del started_at
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", self.path)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"port {self.port}: {error}"
        finally:
            connection.close()
        return None if status == http.client.OK else f"{self.path} answered {status}"


@dataclass(frozen=True)
class PostgresCheck:
    """PostgreSQL lets the owner in."""

    settings: Settings

    def __call__(self, started_at: dt.datetime) -> str | None:
        """Return `None` when a connection succeeds."""
        del started_at
        found, why = databases.answer(self.settings)
        return None if found == "yes" else why


@dataclass(frozen=True)
class BrokerCheck:
    """The broker lets clients in, and its streams can store."""

    settings: Settings

    def __call__(self, started_at: dt.datetime) -> str | None:
        """Return `None` when the broker says that it is well."""
        del started_at
        return nats_server.health(self.settings)


@dataclass(frozen=True)
class DaemonCheck:
    """Dagster's daemon has written its heartbeats since it started, and lately."""

    settings: Settings
    # Dagster's daemons write one every 30 s: three missed in a row is a daemon that hangs.
    oldest: dt.timedelta = dt.timedelta(seconds=100)

    def __call__(self, started_at: dt.datetime) -> str | None:
        """Return `None` when every kind of daemon of this start has a recent heartbeat."""
        url = self.settings.dagster_url.get_secret_value()
        # Dagster stores naive UTC.
        query = "SELECT max(timestamp) AT TIME ZONE 'UTC' FROM daemon_heartbeats"
        try:
            with psycopg.connect(url, connect_timeout=int(_TIMEOUT_S)) as connection:
                row = connection.execute(query).fetchone()
        except psycopg.Error as error:
            # psycopg quotes the whole address, password included, when it cannot parse it.
            return str(error).replace(url, "its database").strip().splitlines()[0]
        latest = row[0] if row else None
        if latest is None or latest < started_at:
            return "no heartbeat yet"
        age = dt.datetime.now(dt.UTC) - latest
        return None if age <= self.oldest else f"last heartbeat {age.total_seconds():.0f} s ago"


@dataclass(frozen=True)
class HeartbeatCheck:
    """A process of the alerts has written its heartbeat since it started, and lately."""

    settings: Settings
    name: str
    # Written each second: ten missed in a row is a process that hangs.
    oldest: dt.timedelta = dt.timedelta(seconds=10)

    def __call__(self, started_at: dt.datetime) -> str | None:
        """Return `None` when the heartbeat is recent, and says of no trouble."""
        url = self.settings.app_url.get_secret_value()
        query = "SELECT at, details ->> 'trouble' FROM alerts.heartbeat WHERE name = %s"
        try:
            with psycopg.connect(url, connect_timeout=int(_TIMEOUT_S)) as connection:
                row = connection.execute(query, [self.name]).fetchone()
        except psycopg.Error as error:
            return str(error).replace(url, "its database").strip().splitlines()[0]
        if row is None or row[0] < started_at:
            return "no heartbeat yet"
        age = dt.datetime.now(dt.UTC) - row[0]
        return f"last heartbeat {age.total_seconds():.0f} s ago" if age > self.oldest else row[1]
