"""What the clock and the papers bring, beside the rules: escalations, shelvings that end, announced works, work orders that feeds tell of.

Here: doing it each second, on a connection of its own. Not here: what is done (`orchestration.alerts.store`,
`orchestration.alerts.deliveries.work_orders`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import psycopg

from ingestion.errors import VigieError
from ingestion.feeds.model import Feed
from orchestration.alerts.deliveries.work_orders import note_order
from orchestration.alerts.drafting import Composer
from orchestration.alerts.model import Ordered
from orchestration.alerts.post import Post, load_post
from orchestration.alerts.store.planned import read_planned
from orchestration.alerts.store.store import Store
from orchestration.alerts.store.turn import Connection, connect
from orchestration.settings import Settings

_log = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
# Files that people edit: what is announced holds within half a minute.
_FILES_EVERY_S: Final = 30.0


class Duties:
    """Does what is due. Args of the class: the instance; the contracts in force, asked for when needed.

    Attributes:
        trouble: what is wrong with what the territory declared; None when nothing is.
        refused: work orders that could not be linked, as the log says.
    """

    def __init__(self, settings: Settings, feeds: Callable[[], Mapping[str, Feed]]) -> None:
        self._settings, self._feeds = settings, feeds
        self._orders: deque[Ordered] = deque()
        self._con: Connection | None = None
        self._store = Store(self._lent)
        self._looked = float("-inf")
        self._compose: Composer | None = None
        self.trouble: str | None = None
        self.refused = 0
        self.post: Post = load_post(settings.alerts_path / ".none")
        with contextlib.suppress(VigieError):
            self.post = load_post(settings.alerts_path)

    def take(self, ordered: Ordered) -> None:
        """Remember a work order, to be linked to its alarm."""
        self._orders.append(ordered)

    @property
    def waiting(self) -> int:
        """How many work orders are not linked yet: until then their messages are not acknowledged."""
        return len(self._orders)

    def describe(self, compose: Composer) -> None:
        """Have live alarms say what a new referential knows of their equipment."""
        self._compose = compose

    async def run(self) -> None:
        """Do what is due each second, until cancelled; while the database is away, try again."""
        while True:
            try:
                await asyncio.to_thread(self._once)
            except psycopg.Error as error:
                self._close()
                _log.warning("what is due waits: %s", str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
            await asyncio.sleep(_EVERY_S)

    def _once(self) -> None:
        while self._orders:
            try:
                note_order(self._store, self._orders[0])
            except (psycopg.OperationalError, psycopg.InterfaceError):
                raise
            except (psycopg.Error, VigieError, KeyError, ValueError, TypeError):
                # Tried for ever it would hold up escalations, and the saving of the engine's state.
                self.refused += 1
                _log.exception("a work order cannot be linked to its alarm, and is left out: %s", self._orders[0].intervention_ref)
            self._orders.popleft()
        if time.monotonic() - self._looked >= _FILES_EVERY_S:
            self._looked = time.monotonic()
            self._look_at_files()
        if (compose := self._compose) is not None:
            self._store.describe(compose)
            self._compose = None
        self._store.tick(self.post.policy())

    def _look_at_files(self) -> None:
        try:
            self.post = load_post(self._settings.alerts_path)
            works, unknown = read_planned(self._settings.declared_path, {name: feed.time_zone for name, feed in self._feeds().items()})
        except VigieError as error:  # what stood before holds on
            self.trouble = error.message
            return
        self.trouble = f"planned_maintenance.csv names feeds that are not in force: {', '.join(unknown)}" if unknown else None
        self._store.sync_planned(works)

    @contextlib.contextmanager
    def _lent(self) -> Iterator[Connection]:
        if self._con is None or self._con.closed:
            self._con = connect(self._settings.app_url.get_secret_value(), name="vigie-duties")
        yield self._con

    def _close(self) -> None:
        if self._con is not None:
            self._con.close()
            self._con = None
