"""The process: one task per target, started and ended as the file of targets says, and a sign of life each second.

Here: which tasks run. Not here: what they do (`follower`, `work_orders`), the shapes of targets (`targets`).

One process at a time sends: it holds an advisory lock on the connection it listens with, and begins anew when that connection is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import psycopg
from psycopg_pool import ConnectionPool

from ingestion.errors import VigieError
from orchestration.alerts.deliveries import outbound
from orchestration.alerts.deliveries.follower import Follower, Sender, patiently
from orchestration.alerts.deliveries.ledger import CHANNEL, Ledger
from orchestration.alerts.deliveries.provoly import ProvolySender
from orchestration.alerts.deliveries.provoly_client import ProvolyClient
from orchestration.alerts.deliveries.targets import FILE_NAME, AnyTarget, Cmms, Declared, Provoly, Topics, Webhook, load_targets
from orchestration.alerts.deliveries.topics import TopicSender
from orchestration.alerts.deliveries.webhook import WebhookSender
from orchestration.alerts.deliveries.work_orders import OVER, STATUS_FR, CmmsDesk, Desk, ProvolyDesk, look_after, send_wanted
from orchestration.alerts.heartbeat import beat
from orchestration.alerts.store.store import Store, open_pool
from orchestration.alerts.store.turn import CHANNEL as JOURNAL
from orchestration.alerts.store.turn import NOTICES_LOSS, Connection
from orchestration.settings import Settings

LOG: Final = logging.getLogger("vigie.deliveries")
_BEAT_S: Final = 1.0
# A wish is sent at once when the journal wakes us; what could not be sent is tried again so often.
_ORDERS_S: Final = 5.0
# After something of ours broke: long enough not to fill the log.
_BROKEN_S: Final = 5.0
# Told for so long after it was begun again: long enough to be seen, and no more once it lasts.
_BROKEN_TOLD_S: Final = 600.0
# Connections to the store: followers ask in threads, for milliseconds each.
_POOL: Final = 6
# Any number that is the same in every version: one process sends.
_ADVISORY_LOCK: Final = 0x5649_4745_44  # "VIGED"
_UNDER_WAY: Final = [status for status in STATUS_FR if status not in OVER and status != "WANTED"]


class Running:
    """One target's tasks. Args of the class: the `target`, what the `instance` is called, `settings`, `store`, `ledger`."""

    def __init__(self, target: AnyTarget, instance: str, settings: Settings, store: Store, ledger: Ledger) -> None:
        self.target, self._store, self._ledger = target, store, ledger
        self._http: httpx.AsyncClient = outbound.client(getattr(target, "timeout_s", 10.0))
        self.follower: Follower | None = None
        self.desk: Desk | None = None
        self.desk_trouble: str | None = None
        self.broken: str | None = None
        self._broke_at = 0.0
        self.wake = asyncio.Event()
        self._sender: Sender | None = None
        self._make(instance, settings)

    def _make(self, instance: str, settings: Settings) -> None:
        def secret(name: str) -> Any:
            return settings.secrets.get(name)

        match self.target:
            case Webhook():
                self._sender = WebhookSender(self.target, instance, self._http, secret)
            case Topics():
                self._sender = TopicSender(self.target, instance, lambda: settings.broker)
            case Provoly():
                client = ProvolyClient(self.target, self._http, secret, time.monotonic)
                self._sender = ProvolySender(self.target, instance, client, self._store, self._ledger)
                self.desk = ProvolyDesk(client)
            case Cmms():
                self.desk = CmmsDesk(self.target, self._http, secret)
        if self._sender is not None:
            self.follower = Follower(
                self.target.target, self._sender, self._store, self._ledger, give_up_after=self.target.give_up_after,
                with_live=isinstance(self.target, Provoly),
            )  # fmt: skip

    def notify(self) -> None:
        """Say that there is something new."""
        self.wake.set()
        if self.follower is not None:
            self.follower.wake.set()

    async def run(self) -> None:
        """Run until cancelled; what breaks is told, and begun again."""
        parts: list[Callable[[], Any]] = [p for p in (self.follower and self.follower.run, self.desk and self._orders) if p]
        try:
            await asyncio.gather(*(self._lasting(part) for part in parts))
        finally:
            if isinstance(self._sender, TopicSender):
                with contextlib.suppress(OSError):
                    await self._sender.close()
            await self._http.aclose()

    async def _lasting(self, part: Callable[[], Any]) -> None:
        while True:
            try:
                await part()
            except Exception as error:
                # Of our own making: this target says so and goes on; the others never notice.
                LOG.exception("target %s", self.target.target)
                self.broken = f"broke ({type(error).__name__}: see vigie logs deliveries), and was begun again"
                self._broke_at = time.monotonic()
                await asyncio.sleep(_BROKEN_S)

    async def _orders(self) -> None:
        """Send work orders that are wished for, and ask about those under way."""
        name, desk = self.target.target, self.desk
        if desk is None:
            raise AssertionError("only targets with a desk come here")
        asked_at = 0.0
        while True:
            self.wake.clear()
            try:
                wanted = await patiently(self._ledger.work_orders, name, ["WANTED"])
                self.desk_trouble = await send_wanted(self._store, wanted, desk) if wanted else None
                poll = getattr(self.target, "poll", dt.timedelta(minutes=1)).total_seconds()
                if time.monotonic() - asked_at >= poll:
                    asked_at = time.monotonic()
                    await look_after(self._store, await patiently(self._ledger.work_orders, name, _UNDER_WAY), desk)
            except psycopg.OperationalError as error:
                self.desk_trouble = f"the store does not answer ({type(error).__name__})"
            except VigieError as error:
                self.desk_trouble = error.message
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), _ORDERS_S)
            if self.desk_trouble is not None:
                await asyncio.sleep(1.0)  # alarms wake us all the time: one that is away is not asked more than once a second

    @property
    def details(self) -> dict[str, Any]:
        """What there is to say of the target."""
        told = dict(self.follower.details) if self.follower else {"trouble": None}
        notes = " ; ".join(self._sender.notes.values()) if isinstance(self._sender, ProvolySender) else ""
        if time.monotonic() - self._broke_at > _BROKEN_TOLD_S:
            self.broken = None
        trouble = self.broken or told["trouble"] or (self.desk_trouble and f"work orders: {self.desk_trouble}")
        return told | {"trouble": trouble} | ({"notes": notes} if notes else {})


class Deliveries:
    """All targets. Args of the class: the `settings` of the instance."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = settings.alerts_path / FILE_NAME
        self._seen: tuple[int, int] | None = None
        self._is_read = False
        self._declared = Declared()
        self._problem: str | None = None
        self._running: dict[str, tuple[Running, asyncio.Task[None]]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        url = self._settings.app_url.get_secret_value()
        pool = open_pool(url, name="vigie-deliveries", size=_POOL)
        try:
            while not stop.is_set():
                try:
                    con = await psycopg.AsyncConnection.connect(url, autocommit=True, application_name="vigie-deliveries", **NOTICES_LOSS)
                except psycopg.OperationalError as error:
                    LOG.warning("the store does not answer: %s", type(error).__name__)
                    await _until(stop, _BEAT_S)
                    continue
                async with con:
                    with contextlib.suppress(psycopg.OperationalError):
                        await self._lead(con, pool, stop)
                    await self._end(list(self._running))
        finally:
            await asyncio.to_thread(pool.close)

    async def _lead(self, con: psycopg.AsyncConnection[Any], pool: ConnectionPool[Connection], stop: asyncio.Event) -> None:
        while not stop.is_set():
            row = await (await con.execute("SELECT pg_try_advisory_lock(%s)", [_ADVISORY_LOCK])).fetchone()
            if row is not None and row[0]:
                break
            LOG.warning("another process is sending: waiting")
            await _until(stop, _BEAT_S)
        await con.execute(f"LISTEN {JOURNAL}")
        await con.execute(f"LISTEN {CHANNEL}")
        store, ledger = Store(pool.connection), Ledger(pool.connection)
        next_beat = 0.0
        while not stop.is_set():
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + _BEAT_S
                await self._declare(store, ledger)
                await asyncio.to_thread(self._beat, pool)
            # Lasts until something is said, or a short while: asked to stop, nobody waits for us.
            async for _ in con.notifies(timeout=0.2, stop_after=1):
                for running, _task in self._running.values():
                    running.notify()

    async def _declare(self, store: Store, ledger: Ledger) -> None:
        """Start and end tasks as the file says; one that cannot be read leaves what is in force."""
        try:
            stat = self._file.stat()
            signature: tuple[int, int] | None = (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            signature = None
        if not self._is_read or signature != self._seen:
            self._seen, self._is_read = signature, True
            try:
                declared = await asyncio.to_thread(load_targets, self._file)
            except VigieError as error:
                self._problem = str(error)
                LOG.error("%s", error)  # noqa: TRY400 - the message says all there is
            else:
                self._problem = None
                was_called, self._declared = self._declared.instance, declared
                changed = [
                    name
                    for name, (running, _) in self._running.items()
                    if declared.get(name) != running.target or was_called != declared.instance
                ]
                await self._end(changed)
        for target in self._declared.targets:
            if target.target not in self._running:
                running = Running(target, self._declared.instance, self._settings, store, ledger)
                self._running[target.target] = (running, asyncio.create_task(running.run()))

    async def _end(self, names: list[str]) -> None:
        tasks = [self._running.pop(name)[1] for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _beat(self, pool: ConnectionPool[Connection]) -> None:
        now = dt.datetime.now(dt.UTC)
        targets = {name: running.details for name, (running, _) in self._running.items()}
        # A target that is away is its own trouble: this process does what it should, and `vigie up` need not wait for the target.
        ours = {"targets": len(targets)} | ({"problem": self._problem} if self._problem else {})
        with pool.connection() as con:
            beat(con, [("deliveries", now, ours), *((f"target:{name}", now, details) for name, details in targets.items())])
            # A target that is no longer declared is not late: it is gone.
            gone = "DELETE FROM alerts.heartbeat WHERE name LIKE 'target:%%' AND NOT name = ANY(%s)"
            con.execute(gone, [[f"target:{name}" for name in targets]])


async def _until(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
