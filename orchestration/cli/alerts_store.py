"""What the commands of `vigie alerts` share: the instance and its alarms, held ready for the time of a command.

Here: opening, in whose name. Not here: any command.
"""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.cli.data import ready_instance

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from orchestration.alerts.store.store import Store
    from orchestration.alerts.store.turn import Connection
    from orchestration.settings import Settings

As = Annotated[str | None, typer.Option("--as", help="In whose name.", show_default="the user of this machine")]


@contextlib.contextmanager
def opened_pool() -> Iterator[tuple[Settings, ConnectionPool[Connection]]]:
    """Hold the instance and a connection to its alarms ready."""
    from orchestration.alerts.store.store import open_pool

    with ready_instance(create=False) as settings:
        pool = open_pool(settings.app_url.get_secret_value(), name="vigie-command", size=1)
        try:
            yield settings, pool
        finally:
            pool.close()


@contextlib.contextmanager
def opened() -> Iterator[tuple[Settings, Store]]:
    """Hold the instance and its alarms ready."""
    from orchestration.alerts.store.store import Store

    with opened_pool() as (settings, pool):
        yield settings, Store(pool.connection)


def actor(given: str | None) -> str:
    """Return in whose name a command acts."""
    return given or getpass.getuser()
