"""Partitions of the stream, from the broker to the lake: the loop that a process runs.

Here: who reads it, when, in which parts, when to stop. Not here: what a landing is (`landing`), Dagster.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import psycopg
from nats.aio.client import Client

from ingestion.feeds.model import Feed
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import LOCK_SPACE, EngineLimits, catalogue
from ingestion.lake.writer import Landed
from ingestion.stream import broker
from ingestion.stream.attempts import Attempts, Part, parts
from ingestion.stream.landing import DEFAULT_LIMITS, Landing, Landings, open_landings, retried
from ingestion.stream.messages import BATCH_MESSAGES, Durable, Message, acknowledge
from ingestion.stream.names import STREAMS, Broker

CONSUMER: Final = "lake"
# What an operator calls at once, and few enough landings for the lake: 1,440 a day and partition.
LAND_EVERY_S: Final = 60.0
# A partition that has been quiet this long is left; the schedule looks again each minute.
IDLE_S: Final = 150.0
# Ten seconds of one process. A small city never gets there, and spares itself three processes of half a gigabyte.
TOO_MANY: Final = 100_000
_POLL_S: Final = 1.0
_PARTITION_LOCK_SPACE: Final = LOCK_SPACE + 2


@dataclass
class Report:
    """What a run did, in source records.

    Attributes:
        partitions: those it read: whose lock it got.
        falls_behind: it ended because more waited than one process should read: each partition is for a process of its own.
    """

    partitions: list[int] = field(default_factory=list)
    falls_behind: bool = False
    landings: int = 0
    messages: int = 0
    feeds: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, landed: Landed) -> None:
        """Add one landing of one feed."""
        totals = self.feeds.setdefault(landed.feed, dict.fromkeys(("received", "stored", "duplicate", "rejected", "rejected_values"), 0))
        for name in totals:
            totals[name] += getattr(landed, name)


@dataclass(frozen=True)
class Pace:
    """How a run goes about it.

    Attributes:
        land_every_s: how long messages may wait for a landing.
        batch: how many waiting messages are landed without waiting.
        run_for_s: when the run ends though there is more: a fresh process reads fresh contracts.
        idle_for_s: how long without a message before it ends; 0 for once through what waits.
        too_many: how many messages may wait in all before a run of several partitions leaves them to a process each.
    """

    land_every_s: float = LAND_EVERY_S
    batch: int = BATCH_MESSAGES
    run_for_s: float = 3600.0
    idle_for_s: float = IDLE_S
    too_many: int = TOO_MANY


ONCE: Final = Pace(land_every_s=0.0, idle_for_s=0.0)


@contextlib.contextmanager
def partition_locks(lake: LakeAddress, partitions: Sequence[int]) -> Iterator[tuple[psycopg.Connection[tuple[object, ...]], list[int]]]:
    """Hold the locks of partitions; yield the connection that holds them, and those that no other process holds."""
    with catalogue(lake) as pg:
        query = "SELECT pg_try_advisory_lock(%s, %s)"
        yield pg, [p for p in partitions if (pg.execute(query, [_PARTITION_LOCK_SPACE, p]).fetchone() or [False])[0]]


def partitions_being_read(lake: LakeAddress) -> set[int]:
    """Return the partitions whose lock some process holds."""
    with catalogue(lake) as pg:
        rows = pg.execute(
            "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2 AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [_PARTITION_LOCK_SPACE],
        ).fetchall()
    return {int(str(r[0])) for r in rows}


def read_partitions(
    at: Broker,
    lake: LakeAddress,
    personal: LakeAddress,
    feeds: Callable[[], Mapping[str, Feed]],
    partitions: Sequence[int],
    *,
    pace: Pace = Pace(),
    limits: EngineLimits = DEFAULT_LIMITS,
    landed: Callable[[Landed], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Land what arrives in partitions until they have been quiet for a while, or the run's time is over.

    Args:
        at: the broker.
        lake: the main lake.
        personal: the personal lake.
        feeds: gives the contracts in force, asked before each round.
        partitions: which ones; those that another process reads are left to it.
        pace: how often, how long.
        limits: what the engine may use.
        landed: told each landing of each feed.
        stop: asked between rounds whether to end now.

    Raises:
        VigieError: the broker or the lake does not answer, or the disk is full: what was not landed stays in the stream.
    """
    report = Report()

    def tell(one: Landed) -> None:
        report.add(one)
        landed(one)

    with partition_locks(lake, partitions) as (pg, free):
        report.partitions = free
        if not free:
            return report
        Attempts.prepare(pg)
        with open_landings(lake, personal, limits=limits) as landings:
            asyncio.run(_read(_Reading(at, pg, landings, feeds, pace, report, tell, stop)))
    return report


@dataclass
class _Reading:
    at: Broker
    pg: psycopg.Connection[tuple[object, ...]]
    landings: Landings
    feeds: Callable[[], Mapping[str, Feed]]
    pace: Pace
    report: Report
    tell: Callable[[Landed], None]
    stop: Callable[[], bool]


async def _read(reading: _Reading) -> None:
    pace, report = reading.pace, reading.report
    async with AsyncExitStack() as stack:
        nc = await broker.connect(reading.at, name=f"lake-{'-'.join(map(str, report.partitions))}")
        stack.push_async_callback(nc.close)
        durables = [Durable(nc, stream, CONSUMER, partition) for partition in report.partitions for stream in STREAMS]
        for durable in durables:
            await durable.open()
        began = heard = time.monotonic()
        due = began  # the first round is due at once: what waits has waited long enough
        is_clean = False
        while not reading.stop():
            waiting = [await d.waiting() for d in durables]
            pending, now = sum(w.pending for w in waiting), time.monotonic()
            if any(w.pending or w.unacknowledged for w in waiting):
                heard, is_clean = now, False
                if len(report.partitions) > 1 and pending > pace.too_many:
                    report.falls_behind = True
                    return
                if now >= due or pending >= pace.batch:
                    due = now + pace.land_every_s
                    for durable, one in zip(durables, waiting, strict=True):
                        # Also where nothing is pending: what a dead reader held is delivered again only to somebody who asks.
                        if one.pending or one.unacknowledged:
                            await _drain(reading, nc, durable)
                    if pace.idle_for_s == 0 and not pending:
                        return  # once through: what a dead reader still holds comes again later
                    if pending:
                        continue
            else:
                if not is_clean:
                    # Everything that was ever published is stored: nothing is under suspicion any more.
                    for durable in durables:
                        await asyncio.to_thread(Attempts(reading.pg, durable.stream, durable.partition).clear)
                    is_clean = True
                if now - heard >= pace.idle_for_s:
                    return
            if now - began >= pace.run_for_s:
                return
            await asyncio.sleep(_POLL_S)


async def _drain(reading: _Reading, nc: Client, durable: Durable) -> None:
    """Land what waits in one durable now, batch after batch."""
    attempts = Attempts(reading.pg, durable.stream, durable.partition)
    feeds = await asyncio.to_thread(reading.feeds)
    marks = await asyncio.to_thread(attempts.marks)
    landing = await asyncio.to_thread(reading.landings.of, durable.stream, durable.partition)
    upcoming: asyncio.Task[list[Message]] | None = asyncio.create_task(durable.pull(messages=reading.pace.batch))
    try:
        while upcoming is not None:
            messages = sorted(await upcoming, key=lambda m: m.seq)
            # While one batch is stored, which is the engine's work, the next one comes in.
            goes_on = bool(messages) and durable.has_more and not reading.stop()
            upcoming = asyncio.create_task(durable.pull(messages=reading.pace.batch)) if goes_on else None
            reading.report.messages += len(messages)
            for part in parts(messages, marks):
                done = await asyncio.to_thread(_try, attempts, landing, feeds, part)
                await acknowledge(nc, part.messages)
                reading.report.landings += bool(done)
                for one in done:
                    reading.tell(one)
    finally:
        if upcoming is not None:
            upcoming.cancel()  # what it holds was not acknowledged, and is delivered again


def _try(attempts: Attempts, landing: Landing, feeds: Mapping[str, Feed], part: Part) -> list[Landed]:
    """Land one part under its mark."""
    poison = part.mark is not None and part.mark.is_poison
    mark = attempts.begin(part)
    # A batch is hundreds of thousands of objects that all live until its end: looking for garbage among them costs a fifth of it.
    gc.disable()
    try:
        return retried(lambda: landing.land(part.messages, feeds, poison=poison))
    finally:
        gc.enable()
        # Also when an error is told: it is the disk's, or a server's. What kills the process comes never here.
        attempts.end(mark)
