"""The engine as a process: messages in, changes out, the clock, the state saved each second.

Here: what happens when. Not here: reading (`ingestion.stream.ordered`), the order of messages (`lanes`), decoding (`decoding`), storing
(`writing`), the rules (`orchestration.alerts.engine`).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import psycopg
from nats.aio.client import Client

from ingestion.errors import VigieError
from ingestion.stream import broker
from ingestion.stream.names import ALERTS, LANDED_DURABLE, LANDED_STREAM, PARTITIONS, STREAMS, durable
from ingestion.stream.ordered import Arrived, Ordered
from orchestration.alerts import outbox
from orchestration.alerts.drafting import Composer, titles
from orchestration.alerts.engine.core import Engine
from orchestration.alerts.engine.hours import TerritoryHours
from orchestration.alerts.engine.world import World
from orchestration.alerts.model import Change, Heard, Signal
from orchestration.alerts.model import Ordered as WorkOrder
from orchestration.alerts.runtime import contacts, directory
from orchestration.alerts.runtime.contracts import Books
from orchestration.alerts.runtime.decoding import FastFeed, Mapper
from orchestration.alerts.runtime.directory import Known
from orchestration.alerts.runtime.duties import Duties
from orchestration.alerts.runtime.lanes import FAST, MAPPED, Lane, Lanes
from orchestration.alerts.runtime.writing import Found, Saving, Writer
from orchestration.alerts.store.turn import connect
from orchestration.settings import Settings

_log = logging.getLogger(__name__)

SAVE_EVERY_S: Final = 1.0
# A message that the broker has stored reaches us within milliseconds, on a loaded machine within this: only then is silence silence.
_GRACE_US: Final = 250_000
# How long timers wait for a mapped batch that takes long.
_MAPPED_PATIENCE_US: Final = 5_000_000
# How often timers are looked at, at the latest.
_TICK_S: Final = 0.05
_BOOKS_EVERY_S: Final = 2.0
_LAKE_EVERY_S: Final = 30.0
# Some 10 ms of work: then what was read meanwhile is handed over, and changes go to the writer.
_SLICE: Final = 128
# A batch of the mapped lane: 0.1 s.
_MAPPED_BATCH: Final = 500
# A second's state and what waits: what takes longer is told again by the next engine.
_STOP_S: Final = 8.0


def microseconds() -> int:
    """Return the wall clock's time, microseconds since 1970."""
    return time.time_ns() // 1_000


class Runtime:
    """One engine at work. Args of the class: the instance."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.books = Books(settings)
        self.known = Known({})
        self.duties = Duties(settings, lambda: self.books.book.feeds)
        self.engine = Engine({}, World(self.known, TerritoryHours()))
        self.writer = Writer(settings.app_url.get_secret_value(), told=self._from_thread)
        self.mapper = Mapper(settings.extension_directory)
        self.lanes = Lanes([])
        self.messages = 0
        self.lag_us = 0
        self.trouble: str | None = "starting"
        self._compose = Composer({}, self.known)
        self._fast: dict[str, FastFeed | None] = {}
        self._heard: dict[str, int] = {}
        self._clock = 0
        self._told: list[Change] = []
        self._woken = asyncio.Event()
        self._mapped_woken = asyncio.Event()
        self._saved_cursors: object = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    # --- life

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for the turn of this engine, go on from what was saved, and work until asked to stop.

        Raises:
            VigieError: another engine has taken over.
        """
        self._loop = asyncio.get_running_loop()
        found = await self._take_over(stop)
        if found is None:
            return
        self._restore(found)
        self.writer.start()
        async with asyncio.TaskGroup() as group:
            works: list[Callable[[], Coroutine[Any, Any, None]]] = [
                self._read, self._take, self._take_mapped, self._tick, self._save, self._keep_books, self._look_at_lake,
                self.duties.run,
            ]  # fmt: skip
            tasks = [group.create_task(work()) for work in works]
            while not stop.is_set() and self.writer.failure is None and not any(t.done() for t in tasks):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 0.2)
            self._stopping = True
            for lane in self.lanes.lanes:
                lane.durable.close()
            for task in tasks:
                task.cancel()
        self._flush()
        if not self.writer.is_saving and not self.duties.waiting:
            self._save_now()
        await asyncio.to_thread(self.writer.stop, _STOP_S)
        self.mapper.close()
        if self.writer.failure is not None:
            raise self.writer.failure

    async def _take_over(self, stop: asyncio.Event) -> Found | None:
        while not stop.is_set():
            try:
                found = await asyncio.to_thread(self.writer.take_over, stop.is_set)
                if found is not None:
                    self.known = await asyncio.to_thread(self._load_directory)
            except psycopg.Error as error:
                _log.warning("the alarms' database does not answer: %s", str(error).strip().splitlines()[0])
                await asyncio.sleep(0.5)
            else:
                return found
        return None

    def _load_directory(self) -> Known:
        with connect(self.settings.app_url.get_secret_value(), name="vigie-engine-directory") as con:
            return directory.load(con)

    def _restore(self, found: Found) -> None:
        self.books.read()
        book = self.books.book
        self.engine = Engine(book.rules, self._world())
        self.engine.restore(found.state)
        self._compose = self._composer()
        places = [(s, durable(ALERTS, p), p) for s in STREAMS for p in range(PARTITIONS)] + [(LANDED_STREAM, LANDED_DURABLE, 0)]
        lanes = []
        for stream, name, partition in places:
            saved = {lane: found.cursors.get((stream, partition, lane), 0) for lane in (FAST, MAPPED)}
            reader = Ordered(stream, name, partition, after=min(saved.values()), arrived=self._woken.set)
            lanes.append(Lane(reader, saved))
        self.lanes = Lanes(lanes)
        # What was restored lives as long as the process: a full collection would stop the alarms for a second.
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 1_000)

    def _world(self) -> World:
        return World(self.known, TerritoryHours(self.duties.post.hours.hours()), self.books.book.feeds)

    def _composer(self) -> Composer:
        book = self.books.book
        return Composer(book.rules, self.known, {name: feed.domain for name, feed in book.feeds.items()}, titles(book.feeds))

    def _from_thread(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    # --- reading

    async def _read(self) -> None:
        """Keep the connection to the broker, and read every durable through it."""
        while not self._stopping:
            try:
                nc = await broker.connect(self.settings.broker, name="vigie-alerts")
            except VigieError as error:
                self.trouble = error.message
                await asyncio.sleep(0.5)
                continue
            try:
                await self._ensured(nc)
                async with asyncio.TaskGroup() as group:
                    for lane in self.lanes.lanes:
                        group.create_task(lane.durable.run(nc))
                    group.create_task(self._watch(nc))
            finally:
                await nc.close()

    async def _ensured(self, nc: Client) -> None:
        """Make sure that the durables stand: on an instance that is older than the alerts, nobody else did."""
        while not self._stopping:
            try:
                await broker.ensure(nc, consumers=("lake", ALERTS))
            except VigieError as error:
                self.trouble = error.message
                await asyncio.sleep(0.5)
            else:
                self.trouble = None
                return

    async def _watch(self, nc: Client) -> None:
        while not self._stopping:
            await asyncio.sleep(_BOOKS_EVERY_S)
            troubles = [lane.durable.trouble for lane in self.lanes.lanes if lane.durable.trouble]
            self.trouble = troubles[0] if troubles else None
            if troubles and nc.is_connected:
                await self._ensured(nc)

    # --- taking

    async def _take(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            count = 0
            while not self.writer.is_full and (found := self.lanes.next(microseconds())) is not None:
                self._take_one(*found)
                count += 1
                if count % _SLICE == 0:
                    self._flush()
                    await asyncio.sleep(0)
            self._flush()
            for lane in self.lanes.lanes:
                lane.durable.ask()

    def _take_one(self, lane: Lane, message: Arrived) -> None:
        seq = message.seq
        if seq <= lane.taken:  # the stream was made anew
            lane.saved = dict.fromkeys(lane.saved, 0)
        lane.taken = seq
        if message.is_copy:
            return
        self.messages += 1
        at, name = message.published_at, message.feed
        self.lag_us = microseconds() - at
        is_new = seq > lane.saved[FAST]
        if is_new:
            self._advance(at)
        if lane.durable.stream == LANDED_STREAM:
            if is_new:
                self._take_all(outbox.signals(message, self.books.book.feeds))
            return
        if is_new:
            self._heard[name] = at
            self._told += self.engine.hear(Heard(name, at))
        if name not in self._fast:
            self._fast[name] = self._fast_feed(name)
        if not self._wants(name):
            return
        fast = self._fast[name]
        if fast is not None:
            if is_new:
                self._take_all(fast.signals(message))
        elif seq > lane.saved[MAPPED] and name in self.books.book.feeds:
            self.lanes.hold(lane, message)
            self._mapped_woken.set()

    def _wants(self, name: str) -> bool:
        feed = self.books.book.feeds.get(name)
        return self.engine.wants(name) or (feed is not None and feed.contract == "intervention")

    def _fast_feed(self, name: str) -> FastFeed | None:
        feed = self.books.book.feeds.get(name)
        return FastFeed(feed) if feed is not None and feed.is_decoded else None

    def _take_all(self, signals: list[Signal]) -> None:
        take, told = self.engine.take, self._told
        for signal in signals:
            if isinstance(signal, WorkOrder):
                self.duties.take(signal)
            elif changes := take(signal):
                told += changes

    async def _take_mapped(self) -> None:
        while True:
            await self._mapped_woken.wait()
            self._mapped_woken.clear()
            while batch := self.lanes.batch(_MAPPED_BATCH):
                feeds = self.books.book.feeds
                for _, signals in await asyncio.to_thread(self.mapper.signals, feeds, batch):
                    self._take_all(signals)
                self.lanes.done()
                self._flush()
                self._woken.set()

    def _advance(self, to: int) -> None:
        if to > self._clock:
            self._clock = to
            if changes := self.engine.advance(to):
                self._told += changes

    def _flush(self) -> None:
        if self._told:
            told, self._told = self._told, []
            self.writer.tell(told, self._compose)

    # --- the clock

    async def _tick(self) -> None:
        """Let the wall clock move the engine's, where nothing waits."""
        while True:
            await asyncio.sleep(_TICK_S)
            if not self.lanes.is_quiet or self.writer.is_full:
                continue
            now = microseconds() - _GRACE_US
            if (oldest := self.lanes.oldest_mapped) is not None:
                now = max(min(now, oldest), now - _MAPPED_PATIENCE_US)
            due = self.engine.next_due
            if due is not None and due <= now:
                self._advance(now)
                self._flush()

    # --- saving

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            # A work order is linked before its message is passed over.
            if not self.writer.is_saving and not self.duties.waiting:
                self._save_now()

    def _save_now(self) -> None:
        self._flush()
        cursors = {place: seq for lane in self.lanes.lanes for place, seq in lane.cursors().items()}
        heard, self._heard = self._heard, {}
        beats: list[tuple[str, dt.datetime, dict[str, Any]]] = [("engine", dt.datetime.now(dt.UTC), self._details())]
        beats += [(f"feed:{name}", dt.datetime.fromtimestamp(at / 1e6, dt.UTC), {}) for name, at in heard.items()]
        saving = Saving(self.engine.saved(), cursors, beats, self.writer.told)
        self.writer.save(saving, lambda: self._call(self._saved, cursors))

    def _call(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _saved(self, cursors: dict[tuple[str, int, str], int]) -> None:
        """Tell the broker what is in the saved state."""
        for lane in self.lanes.lanes:
            reader = lane.durable
            floor = min(cursors[reader.stream, reader.partition, FAST], cursors[reader.stream, reader.partition, MAPPED])
            reader.acknowledge(floor)

    def _details(self) -> dict[str, Any]:
        refused = self.writer.refused + self.duties.refused
        trouble = self.trouble or self.writer.trouble or self.duties.trouble
        if trouble is None and refused:
            trouble = f"{refused} changes or work orders could not be stored (vigie logs alerts)"
        waiting = self.lanes.waiting
        return {
            "trouble": trouble,
            "backlog": waiting,
            "lag_ms": self.lag_us // 1_000 if waiting else 0,
            "messages": self.messages,
            "rules": len(self.engine_rules),
            "cut": self.engine.cut_off,
            "uncommitted": self.writer.waiting,
            "problems": self.books.book.problems,
        }

    @property
    def engine_rules(self) -> dict[str, Any]:
        """The rules in force."""
        return self.books.book.rules

    # --- what changes beside the stream

    async def _keep_books(self) -> None:
        while True:
            await asyncio.sleep(_BOOKS_EVERY_S)
            if await asyncio.to_thread(self.books.read):
                _log.info("rules or contracts changed: %d rules, %d feeds", len(self.books.book.rules), len(self.books.book.feeds))
                self._refresh()

    async def _look_at_lake(self) -> None:
        """Copy a new publication's equipment; publish what landed in batch."""
        while True:
            try:
                if await asyncio.to_thread(self._copy_directory):
                    self.known = await asyncio.to_thread(self._load_directory)
                    self._refresh()
                    self.duties.describe(self._compose)
                await asyncio.to_thread(outbox.catch_up, self.settings, self.books.book.feeds)
                landed = await asyncio.to_thread(contacts.last_landings, self.settings.lake, dt.datetime.now(dt.UTC))
                for name in landed.keys() & self.books.book.feeds.keys():
                    self._heard[name] = max(self._heard.get(name, 0), int(landed[name].timestamp() * 1e6))
            except (VigieError, psycopg.Error) as error:
                _log.warning("%s", str(error).strip().splitlines()[0])
            await asyncio.sleep(_LAKE_EVERY_S)

    def _copy_directory(self) -> bool:
        with connect(self.settings.app_url.get_secret_value(), name="vigie-engine-directory") as con:
            return directory.copy(con, self.settings.lake)

    def _refresh(self) -> None:
        """Give the engine the rules, contracts and equipment of now."""
        before = self._compose
        self._flush()
        now = self._composer()
        # A rule that went says the end of its alarms: it must still be known for that.
        self._compose = Composer({**before.rules, **now.rules}, self.known, now.domains, now.titles)
        self._told += self.engine.refresh(self.books.book.rules, self._world())
        self._flush()
        self._compose = now
        self._fast.clear()
