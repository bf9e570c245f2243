"""What all open pages show: the live alarms, and whether the platform sees anything at all.

Here: one copy in memory for every page of the process, kept in step with the journal. Not here: which of it a page shows (`view`).

The copy is read whole when the process starts, whenever the database comes back, and every half minute, so that no page goes on showing
what is no longer so.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool

from ingestion.feeds.model import Feed
from ingestion.feeds.registry import list_feeds
from orchestration.alerts.access import Access
from orchestration.alerts.heartbeat import beats
from orchestration.alerts.model import Alarm, Entry
from orchestration.alerts.post import SHIPPED, Post, PostError, load_post
from orchestration.alerts.store.rows import from_snapshot
from orchestration.alerts.store.store import Connect, Store
from orchestration.settings import Settings
from orchestration.web.live import Live

_LOG: Final = logging.getLogger(__name__)

# The engine says each second that it lives. Five missed: something is slow; fifteen: the sensor that watches it raises an alarm too.
ENGINE_LATE: Final = dt.timedelta(seconds=5)
ENGINE_SILENT: Final = dt.timedelta(seconds=15)
# As the platform's own alarm on a backlog: a minute is more than any pause of a healthy machine.
BEHIND: Final = dt.timedelta(seconds=60)
# Signs of life are read so often: people see within two seconds that they see nothing.
_LOOK_S: Final = 2.0
# What the journal does not say (nothing today) shows after so long at the latest.
_WHOLE_S: Final = 30.0
# Contracts and the command post change when somebody edits a file.
_FEEDS_S: Final = 60.0

_AWAY: Final = (psycopg.Error, PoolTimeout)


@dataclass(frozen=True, slots=True)
class FeedContact:
    """When a feed was last heard. `freshness` is what its contract declares; None when it declares none. `at` None: never heard."""

    name: str
    title: str
    at: dt.datetime | None
    freshness: dt.timedelta | None

    def level(self, now: dt.datetime) -> str:
        """Return `good`, `late` (past its freshness), `silent` (past three times it, or never heard), or `unknown` without one."""
        if self.at is None:
            return "silent"
        if self.freshness is None:
            return "unknown"
        age = now - self.at
        if age <= self.freshness:
            return "good"
        return "late" if age <= 3 * self.freshness else "silent"


@dataclass(frozen=True)
class Health:
    """Whether the platform sees anything.

    Attributes:
        store_error: why the alarms cannot be read; None when they can.
        store_at: when they last could be.
        engine_at: the last sign of life of the rules; None when they never gave one.
        engine: what they said with it.
        feeds: the last contact of each feed.
        looked_at: when this was looked at.
    """

    store_error: str | None = "pas encore lu"
    store_at: dt.datetime | None = None
    engine_at: dt.datetime | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)
    feeds: tuple[FeedContact, ...] = ()
    looked_at: dt.datetime | None = None

    def blind(self, now: dt.datetime) -> str | None:
        """Return why what the page shows must not be believed, in French; None when it may."""
        if self.store_error is not None:
            return "Les alarmes ne peuvent plus être lues : la base ne répond pas."
        if self.engine_at is None:
            return "Les règles n'ont jamais donné signe de vie : rien n'est surveillé."
        if now - self.engine_at > ENGINE_SILENT:
            return "Les règles ne donnent plus signe de vie : aucune nouvelle alarme ne peut apparaître."
        return None

    def doubts(self, now: dt.datetime) -> list[str]:
        """Return what makes what the page shows incomplete or late, in French sentences; none when all is well."""
        if self.engine_at is None:
            return []  # blind, which says more
        found = []
        if now - self.engine_at > ENGINE_LATE:
            found.append("Les règles sont lentes à donner signe de vie.")
        if trouble := self.engine.get("trouble"):
            found.append(f"Les règles signalent un ennui, des alarmes peuvent manquer : {trouble}.")
        lag = dt.timedelta(milliseconds=float(self.engine.get("lag_ms") or 0))
        if lag > BEHIND:
            found.append(f"Les règles ont {int(lag.total_seconds() // 60)} min de retard : ce qui est affiché est ancien.")
        if cut := self.engine.get("cut"):
            found.append(f"Règles coupées parce qu'elles s'emballaient : {', '.join(map(str, cut))}.")
        return found


Listener = Callable[[list[Entry]], None]


class Board:
    """The live alarms and the platform's health, shared by all pages of the process. `run` keeps it in step until cancelled.

    Args of the class: the `store`; `connect` lends a connection for signs of life; `live` is the journal as it grows; `access` says
    who people are; the instance's `settings` name its feeds.

    Attributes:
        alarms: those that are not closed, by number.
        names: what people are called, by login.
        post: the command post: its name, zone, directory.
        post_error: why its file cannot be used; None when it can.
        health: whether the platform sees anything.
        seq: number of the last line of the journal that they reflect.
        settings: the instance's.
    """

    def __init__(self, store: Store, connect: Connect, live: Live, access: Access, settings: Settings) -> None:
        self.access = access
        self.store, self._connect, self._live, self.settings = store, connect, live, settings
        self.names: Mapping[str, str] = {}
        self.alarms: dict[int, Alarm] = {}
        self.health = Health()
        self.seq = 0
        self.post: Post
        self.post_error: str | None
        self._read_post()
        self._listeners: set[Listener] = set()
        self._feeds: dict[str, tuple[str, dt.timedelta | None]] = {}
        self._feeds_stamp: list[tuple[str, int]] | None = None

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call a page with the lines of the journal that changed the board; an empty list says: look again. Returns what ends it."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    async def run(self) -> None:
        """Follow the journal and the signs of life until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._watch())

    def contacts(self, name: str) -> str | None:
        """Return how to reach somebody a procedure says to call; None when the directory does not say."""
        found = self.post.contact(name)
        return " · ".join(p for p in (found.phone, found.email, found.note) if p) or None if found else None

    def _read_post(self) -> None:
        """Read `command-post.yaml`; while it cannot work, the shipped one stands in, and pages say so."""
        try:
            self.post, self.post_error = load_post(self.settings.alerts_path), None
        except PostError as error:
            _LOG.error("%s", error)
            self.post, self.post_error = load_post(SHIPPED.parent), str(error)

    # --- the journal

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        whole_at = 0.0
        while True:
            try:
                if loop.time() >= whole_at:
                    await self._read_whole()
                    whole_at = loop.time() + _WHOLE_S
                lines = await self._live.after(self.seq)
            except _AWAY as error:
                self._lost(error)
                whole_at = 0.0
                await asyncio.sleep(1.0)  # the pool itself waits up to 5 s; this only keeps a refusal at once from spinning
                continue
            if lines:
                self._take([line.entry for line in lines])
            else:
                await self._live.wait(self.seq, whole_at - loop.time())

    async def _read_whole(self) -> None:
        # The number first: what is written in between is read again as lines, which hold the whole alarm.
        seq = await run_in_threadpool(self.store.last_seq)
        live = await run_in_threadpool(self.store.live)
        self.alarms, self.seq = {a.alarm_id: a for a in live}, seq
        self._tell([])

    def _take(self, entries: list[Entry]) -> None:
        for entry in entries:
            alarm = from_snapshot(entry.alarm)
            if alarm.closed_at is None:
                self.alarms[alarm.alarm_id] = alarm
            else:
                self.alarms.pop(alarm.alarm_id, None)
        self.seq = entries[-1].seq
        self._tell(entries)

    def _tell(self, entries: list[Entry]) -> None:
        for listener in tuple(self._listeners):
            listener(entries)

    # --- signs of life

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        feeds_at = 0.0
        while True:
            if loop.time() >= feeds_at:
                with contextlib.suppress(OSError):  # a file that is being replaced: the next look finds it
                    self._feeds = await run_in_threadpool(self._declared)
                    await run_in_threadpool(self._read_post)
                feeds_at = loop.time() + _FEEDS_S
            try:
                found, self.names = await run_in_threadpool(self._look)
            except _AWAY as error:
                self._lost(error)
            else:
                now = dt.datetime.now(dt.UTC)
                engine_at, engine = found.get("engine", (None, {}))
                self.health = Health(None, now, engine_at, engine, self._contacts(found), now)
            self._tell([])
            await asyncio.sleep(_LOOK_S)

    def _lost(self, error: Exception) -> None:
        said = str(error).strip().splitlines()
        _LOG.warning("the alarms cannot be read: %s", said[0] if said else type(error).__name__)
        old = self.health
        self.health = Health(said[0] if said else type(error).__name__, old.store_at, old.engine_at, old.engine, old.feeds, old.looked_at)
        self._tell([])

    def _look(self) -> tuple[dict[str, tuple[dt.datetime, dict[str, Any]]], dict[str, str]]:
        with self._connect() as con:
            people = con.execute("SELECT login, name FROM alerts.person").fetchall()
            return beats(con), {row["login"]: row["name"] for row in people}

    def _declared(self) -> dict[str, tuple[str, dt.timedelta | None]]:
        folder = self.settings.feeds_path
        stamp = sorted((p.name, p.stat().st_mtime_ns) for p in folder.glob("*.yaml"))
        if stamp == self._feeds_stamp:
            return self._feeds
        self._feeds_stamp = stamp
        # The instance's own only: an example that is not used is not silent.
        entries = list_feeds(folder, examples=folder)
        return {e.name: (e.feed.title, e.feed.freshness) for e in entries if e.feed is not None and speaks_to_rules(e.feed)}

    def _contacts(self, found: Mapping[str, tuple[dt.datetime, dict[str, Any]]]) -> tuple[FeedContact, ...]:
        heard = {name.removeprefix("feed:"): at for name, (at, _) in found.items() if name.startswith("feed:")}
        return tuple(FeedContact(n, title or n, heard.get(n), freshness) for n, (title, freshness) in sorted(self._feeds.items()))


def speaks_to_rules(feed: Feed) -> bool:
    """Return whether a feed reaches the rules: a stream does, and batches whose contract says `alerts: true`."""
    return feed.alerts or feed.connector.type == "stream"
