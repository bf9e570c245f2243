"""The journal as it grows, for every page and every client of this process.

Here: one listener, the last lines in memory, followers who each keep their own place. Not here: how lines are sent
(`orchestration.alerts.feeds.events`, `orchestration.alerts.page`).

A follower has a number, and is given what comes after it: from memory when it is there, else from the journal. So a slow one falls
behind without costing memory and misses nothing, and nobody is told a line twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads
from starlette.concurrency import run_in_threadpool

from orchestration.alerts.model import Entry
from orchestration.alerts.store.rows import SELECT_ENTRY, to_entry
from orchestration.alerts.store.store import PAGE, Store
from orchestration.alerts.store.turn import CHANNEL, NOTICES_LOSS

_LOG: Final = logging.getLogger("vigie.web")

# Lines kept in memory, a few kilobytes each: a reader that stalls for some seconds in a flood is served without asking the database.
KEPT: Final = 2_000
# Nothing heard for so long: the journal is read all the same, which finds a dead connection.
_QUIET_S: Final = 5.0
# Between two tries to connect: the database restarts within some seconds.
_RETRY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the journal, and the event that is sent of it, encoded once for all."""

    entry: Entry
    event: bytes


def encoded(entry: Entry) -> bytes:
    """Return a line of the journal as a Server-Sent Event."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (entry.seq, entry.kind.value.encode(), msgspec.json.encode(document(entry)))


def document(entry: Entry) -> dict[str, Any]:
    """Return a line of the journal as the JSON that every feed sends."""
    return {
        "seq": entry.seq, "alarm_id": entry.alarm_id, "kind": entry.kind.value, "at": entry.at.isoformat(),
        "happened_at": entry.happened_at.isoformat() if entry.happened_at else None, "actor": entry.actor, "comment": entry.comment,
        "details": entry.details, "alarm": entry.alarm,
    }  # fmt: skip


class Live:
    """The journal of an instance, as it grows. Make one per process, `start` it in the loop that follows it.

    Args of the class: `url` of the database, `store` for what is no longer in memory, `kept` lines in memory.

    Attributes:
        last: number of the last line read; None until the database was reached.
        trouble: why nothing is heard now; None when all is well.
    """

    def __init__(self, url: str, store: Store, *, kept: int = KEPT) -> None:
        self._address, self._store = make_conninfo(url, application_name="vigie-live", **NOTICES_LOSS), store
        self._lines: deque[Line] = deque(maxlen=kept)
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.last: int | None = None
        self.trouble: str | None = "not started"

    async def start(self) -> None:
        """Begin to listen. Does not wait for the database: followers do."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="live")

    async def stop(self) -> None:
        """Stop listening; followers wait on, until they are told to end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def ready(self, timeout_s: float) -> int:
        """Wait until the journal was read once; return the number of its last line.

        Raises:
            TimeoutError: the database was not reached.
        """
        async with asyncio.timeout(timeout_s):
            while self.last is None:
                await self._bell.wait()
        return self.last

    async def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until there is a line after one; return False when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.last is None or self.last <= after:
                    await self._bell.wait()
        except TimeoutError:
            return False
        return True

    async def after(self, seq: int) -> Sequence[Line]:
        """Return lines after one, in order, without gaps: those that are there, a page at most; none when it is the last.

        Raises:
            psycopg.Error: they are no longer in memory, and the database does not answer.
        """
        if self.last is None or seq >= self.last:
            return ()
        if self._lines and self._lines[0].entry.seq <= seq + 1:
            behind = self.last - seq
            return [self._lines[i] for i in range(len(self._lines) - behind, min(len(self._lines), len(self._lines) - behind + PAGE))]
        return [Line(entry, encoded(entry)) for entry in await run_in_threadpool(self._store.journal_after, seq)]

    async def entries(self, after: int | None = None) -> AsyncIterator[Entry]:
        """Follow the journal for ever: each line after a number, or from now on.

        It goes on when the database was away. For a page: `async for entry in live.entries(): …`, in a task that ends with the page.
        """
        while self.last is None:
            await self._bell.wait()
        seq = self.last if after is None else after
        while True:
            try:
                lines = await self.after(seq)
            except psycopg.Error:
                await asyncio.sleep(_RETRY_S)
                continue
            for line in lines:
                yield line.entry
                seq = line.entry.seq
            if not lines:
                await self.wait(seq, _QUIET_S)

    # --- the listener

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                self.trouble = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                _LOG.warning("the journal of alarms is not heard: %s", self.trouble)
                await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        con = await psycopg.AsyncConnection.connect(self._address, autocommit=True, row_factory=dict_row)
        async with con:
            set_json_loads(msgspec.json.decode, con)
            await con.execute(f"LISTEN {CHANNEL}")
            if self.last is None:
                row = await (await con.execute("SELECT seq FROM alerts.head")).fetchone()
                self.last = int(row["seq"]) if row else 0
                self._ring()
            self.trouble = None
            while True:
                await self._read(con)
                await self._notice(con)

    async def _notice(self, con: psycopg.AsyncConnection[dict[str, Any]]) -> None:
        """Wait for a notice of lines that were not read yet; a while at most."""
        async with contextlib.aclosing(con.notifies(timeout=_QUIET_S)) as notices:
            async for notice in notices:
                if self.last is None or _last_of(notice.payload) > self.last:
                    return

    async def _read(self, con: psycopg.AsyncConnection[dict[str, Any]]) -> None:
        while True:
            cursor = await con.execute(f"{SELECT_ENTRY} WHERE seq > %s ORDER BY seq LIMIT %s", [self.last, PAGE], prepare=True)
            rows = await cursor.fetchall()
            for row in rows:
                entry = to_entry(row)
                self._lines.append(Line(entry, encoded(entry)))
                self.last = entry.seq
            if rows:
                self._ring()
            if len(rows) < PAGE:
                return

    def _ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()


def _last_of(payload: str) -> int:
    """Return the last number of a notice (`first:last`).

    >>> _last_of("7:12")
    12
    """
    return int(payload.rpartition(":")[2])
