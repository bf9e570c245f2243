"""One target follows the journal: each alarm's lines in order, alarms beside each other, retries, dead letters, a cursor that lasts.

Here: when a line is handed to its sender, and what becomes of it. Not here: sending (`webhook`, `topics`, `provoly`), the process.

Every line after the cursor waits in the lane of its alarm; a lane that fails waits longer and longer, alone. The cursor stands before the
oldest line that waits; what is done beyond it is saved as ranges. So a process that was killed sends again at most what it had
sent in the last quarter of a second, and never passes over a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import psycopg

from ingestion.errors import VigieError
from orchestration.alerts.deliveries.ledger import Cursor, Ledger
from orchestration.alerts.deliveries.outbound import Refused, TryLater
from orchestration.alerts.model import Entry
from orchestration.alerts.store.store import PAGE, Store

LOG: Final = logging.getLogger("vigie.deliveries")
T = TypeVar("T")

# Lines held in memory: a day of a busy post. What comes after waits in the journal.
WINDOW: Final = 5_000
# Requests of one target at once: enough for a flood, few enough for a hypervisor on one core.
AT_ONCE: Final = 8
# The first retry after a second (a restart of theirs), then twice as long each time, up to five minutes (an operator who looks).
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 300.0
# A line that is old already when it is first tried (we were away ourselves) still gets this many tries.
_LEAST_TRIES: Final = 3
_SAVE_EVERY_S: Final = 0.25
# A wake-up that got lost costs so much; most come by NOTIFY.
_LOOK_EVERY_S: Final = 1.0
_STORE_PAUSE_S: Final = 1.0


class Sender(Protocol):
    """What a target does with lines.

    Attributes:
        last_only: whether only the last waiting line of an alarm matters: the state, not the story.
        settle_s: how long a line rests first.
    """

    last_only: bool
    settle_s: float

    def wants(self, entry: Entry) -> bool:
        """Return whether a line is for this target."""
        ...

    async def send(self, entry: Entry) -> None:
        """Send a line; the same one may be handed over again.

        Raises:
            TryLater: it was not taken, and may be later.
            Refused: it never will be.
        """
        ...

    def body(self, entry: Entry) -> dict[str, Any]:
        """Return what is kept of a line that was given up."""
        ...


@dataclass
class _Lane:
    """The lines of one alarm that wait; `trouble` is why the first was not taken."""

    entries: list[Entry] = field(default_factory=list)
    again: set[int] = field(default_factory=set)
    tries: int = 0
    failing_since: dt.datetime | None = None
    is_away: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Follower:
    """One target.

    Args of the class: `name`; `sender`; the `store` and the `ledger`; `give_up_after` of a line; `now`, the clock; `jitter`, a number
    from 0.5 to 1 by which pauses are shortened, so that targets that fell together do not come back together.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        store: Store,
        ledger: Ledger,
        *,
        give_up_after: dt.timedelta,
        with_live: bool = False,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),  # noqa: S311 - spreads load, protects nothing
        first_pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        self.name, self.sender, self._store, self._ledger = name, sender, store, ledger
        self._give_up_after, self._with_live = give_up_after, with_live
        self._now, self._jitter, self._first_pause_s = now, jitter, first_pause_s
        self.wake = asyncio.Event()
        self.trouble: str | None = None
        self._cursor: Cursor | None = None
        self._read_to = 0
        self._waiting: set[int] = set()
        self._lanes: dict[int, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._not_before = 0.0
        self._is_dirty = False
        self._broken: BaseException | None = None

    @property
    def details(self) -> dict[str, Any]:
        """What there is to say in `vigie status`."""
        return {"seq": self._position().seq if self._cursor else None, "waiting": len(self._waiting), "trouble": self.trouble}

    async def run(self) -> None:
        """Follow until cancelled; what was done is saved."""
        self._cursor = await patiently(self._ledger.begin, self.name, with_live=self._with_live)
        self._read_to = self._cursor.seq
        saver = asyncio.create_task(self._save_often())
        try:
            while True:
                self.wake.clear()
                if self._broken is not None:
                    raise self._broken
                await self._read()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), _LOOK_EVERY_S)
        finally:
            for task in [saver, *self._tasks]:
                task.cancel()
            await asyncio.gather(saver, *self._tasks, return_exceptions=True)
            with contextlib.suppress(psycopg.OperationalError):  # saved at the last quarter of a second, then
                self._ledger.save(self.name, self._position())

    async def _read(self) -> None:
        """Take what the journal holds, as far as there is room, and what is to be sent again."""
        if self._cursor is None:
            raise AssertionError("run() knows the cursor first")
        while len(self._waiting) < WINDOW:
            entries = await patiently(self._store.journal_after, self._read_to)
            done = self._cursor.done
            for entry in entries:
                if self.sender.wants(entry) and not any(a <= entry.seq <= b for a, b in done):
                    self._enqueue(entry)
                self._read_to, self._is_dirty = entry.seq, True
            if len(entries) < PAGE:
                break
        for entry in await patiently(self._ledger.again, self.name):
            lane = self._lanes.get(entry.alarm_id)
            if lane is None or entry.seq not in lane.again:
                self._enqueue(entry, again=True)

    def _enqueue(self, entry: Entry, *, again: bool = False) -> None:
        lane = self._lanes.get(entry.alarm_id)
        if lane is None:
            lane = self._lanes[entry.alarm_id] = _Lane()
            task = asyncio.create_task(self._drain(entry.alarm_id, lane))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        lane.entries.append(entry)
        if again:
            lane.again.add(entry.seq)
        else:
            self._waiting.add(entry.seq)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error
            self.wake.set()

    async def _drain(self, alarm_id: int, lane: _Lane) -> None:
        while lane.entries:
            rest = self.sender.settle_s - (self._now() - lane.entries[0].at).total_seconds()
            if rest > 0:
                await asyncio.sleep(rest)
            async with self._slots:
                await self._pause_of_all()
                taken = [*lane.entries] if self.sender.last_only else lane.entries[:1]
                entry = taken[-1]
                failure = await self._try(entry, lane)
            if failure is None:
                await self._finish(lane, taken)
            elif self._is_hopeless(taken[0], lane, failure):
                LOG.warning("%s: line %s given up: %s", self.name, entry.seq, failure.message)
                await patiently(self._ledger.bury, self.name, entry, lane.tries, failure.message, self.sender.body(entry))
                await self._finish(lane, taken, is_given_up=True)
            else:
                await self._rest(lane, failure)
        del self._lanes[alarm_id]

    async def _try(self, entry: Entry, lane: _Lane) -> TryLater | Refused | None:
        lane.tries += 1
        try:
            await self.sender.send(entry)
        except (TryLater, Refused) as failure:
            return failure
        except psycopg.OperationalError as error:
            return TryLater(f"the store does not answer ({type(error).__name__})")
        except VigieError as error:  # a secret that is not set, for one: somebody will mend it
            return TryLater(str(error))
        except Exception as error:
            # One line that we cannot put into words must hold up neither the others nor the process.
            LOG.exception("%s: line %s", self.name, entry.seq)
            return TryLater(f"could not be sent: {type(error).__name__}, see vigie logs deliveries")
        return None

    def _is_hopeless(self, first: Entry, lane: _Lane, failure: TryLater | Refused) -> bool:
        if isinstance(failure, Refused):
            return True
        # What is sent again is old already: its time runs from now on.
        start = (lane.failing_since or self._now()) if first.seq in lane.again else first.at
        return lane.tries >= _LEAST_TRIES and self._now() - start > self._give_up_after

    async def _finish(self, lane: _Lane, taken: Sequence[Entry], *, is_given_up: bool = False) -> None:
        for entry in taken:
            if entry.seq in lane.again and not (is_given_up and entry is taken[-1]):
                await patiently(self._ledger.sent_again, self.name, entry)
            lane.again.discard(entry.seq)
            self._waiting.discard(entry.seq)
        del lane.entries[: len(taken)]
        lane.tries, lane.failing_since, lane.is_away, self._is_dirty = 0, None, False, True
        if not is_given_up:
            self.trouble = None
            for other in self._lanes.values():
                if other.is_away:
                    other.woken.set()
        if len(self._waiting) < WINDOW // 2:
            self.wake.set()  # there is room again

    async def _rest(self, lane: _Lane, failure: TryLater | Refused) -> None:
        after_s = failure.after_s if isinstance(failure, TryLater) else None
        lane.is_away = isinstance(failure, TryLater) and failure.is_away
        lane.failing_since = lane.failing_since or self._now()
        pause = self._jitter() * min(self._first_pause_s * 2 ** min(lane.tries - 1, 20), _LONGEST_PAUSE_S)
        if after_s is not None:
            pause = max(pause, after_s)
            if lane.is_away:
                self._not_before = max(self._not_before, asyncio.get_running_loop().time() + after_s)
        if self.trouble is None:
            LOG.warning("%s: %s; tried again in %.0f s", self.name, failure.message, pause)
        self.trouble = failure.message
        lane.woken.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(lane.woken.wait(), pause)

    async def _pause_of_all(self) -> None:
        """Wait as long as the target asked everybody to (`Retry-After`)."""
        rest = self._not_before - asyncio.get_running_loop().time()
        if rest > 0:
            await asyncio.sleep(rest)

    def _position(self) -> Cursor:
        if self._cursor is None:
            raise AssertionError("run() knows the cursor first")
        seq, done = position(self._waiting, self._read_to, self._cursor)
        return Cursor(seq, done, self._cursor.since)

    async def _save_often(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_EVERY_S)
            if self._is_dirty:
                self._is_dirty = False
                await patiently(self._ledger.save, self.name, self._position())


def position(waiting: set[int], read_to: int, known: Cursor) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return the cursor, and the ranges done beyond it, from the lines that wait.

    >>> position({5, 6, 9}, 12, Cursor(2))
    (4, ((7, 8), (10, 12)))
    >>> position(set(), 12, Cursor(2, ((20, 21),)))
    (12, ((20, 21),))
    """
    done: list[tuple[int, int]] = []
    if waiting:
        order = sorted(waiting)
        for one, following in zip(order, [*order[1:], read_to + 1], strict=True):
            if following - one > 1:
                done.append((one + 1, following - 1))
        seq = order[0] - 1
    else:
        seq = read_to
    # What an earlier process had done beyond what this one has read so far.
    beyond = [(max(a, read_to + 1), b) for a, b in known.done if b > read_to]
    return seq, tuple(done + beyond)


async def patiently(call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call something of the store in a thread, again and again while the database does not answer."""
    while True:
        try:
            return await asyncio.to_thread(call, *arguments, **options)
        except psycopg.OperationalError as error:
            LOG.warning("the store does not answer: %s", type(error).__name__)
            await asyncio.sleep(_STORE_PAUSE_S)
