"""What the rules say, into the store, at once; and the engine's state after it, each second. Two threads, each with its connection.

Here: committing in the order told, one engine at a time, outlasting an absent PostgreSQL. Not here: what a change makes of an alarm
(`orchestration.alerts.store`), when the state is saved (`process`).

While one commit runs the next batch gathers. While PostgreSQL is away everything is kept and tried again: nothing is dropped, nothing is
acknowledged to the broker, and whoever reads it stops once too much waits (`Writer.is_full`).

One engine at a time: the writer's connection holds an advisory lock of PostgreSQL. Should it be lost, a token in the saved state tells
whether another engine went on meanwhile: then this one must end.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from ingestion.errors import VigieError
from orchestration.alerts import heartbeat
from orchestration.alerts.drafting import Draft
from orchestration.alerts.model import Change
from orchestration.alerts.store.store import Store
from orchestration.alerts.store.turn import Connection, connect

_log = logging.getLogger(__name__)

# Any number that is the same in every version.
_LOCK: Final = 0x5649_4745  # "VIGE"
_LOCK_EVERY_S: Final = 0.5
# One turn takes some 5 ms and a quarter of one per change: more would let the first of them wait for the last.
_BATCH: Final = 200
# Changes that wait for PostgreSQL, of 1 kB each. Past it nothing more is read: the broker keeps it.
FULL: Final = 20_000
# PostgreSQL starts in a second or two.
_AGAIN_S: Final = 0.2
_PART: Final = "runtime"
_TOKEN: Final = "run"  # noqa: S105 - the name of a line, not a secret

Compose = Callable[[Change], Draft]
Cursor = tuple[str, int, str]
"""(stream, partition, lane): `fast` or `mapped`."""
State = tuple[str, str, bytes | None]


class Overtaken(VigieError):
    """Another engine has gone on from the saved state: this one must end."""


@dataclass(frozen=True)
class Found:
    """What an engine goes on from: its saved state, and how far each lane was."""

    state: list[tuple[str, str, bytes]]
    cursors: dict[Cursor, int]


@dataclass(frozen=True)
class Saving:
    """What is saved together: states that changed (None: gone), cursors, signs of life; `after` so many changes are committed."""

    state: Sequence[State]
    cursors: Mapping[Cursor, int]
    beats: Sequence[tuple[str, Any, Mapping[str, Any]]]
    after: int


class _Link:
    """A connection of one thread, made anew when it was lost."""

    def __init__(self, url: str, name: str, prepared: Callable[[Connection], None]) -> None:
        self._url, self.name, self._prepared = url, name, prepared
        self._con: Connection | None = None

    @contextlib.contextmanager
    def lent(self) -> Iterator[Connection]:
        """Lend the connection for one call."""
        con = self._con
        if con is None or con.closed:
            con = connect(self._url, name=self.name)
            try:
                self._prepared(con)
            except BaseException:
                con.close()
                raise
            self._con = con
        yield con

    def drop(self) -> None:
        """Close it: what went wrong on it may go wrong again."""
        if self._con is not None:
            with contextlib.suppress(psycopg.Error):
                self._con.close()
            self._con = None


class Writer:
    """The two threads.

    Args of the class: the address of the application's database; what is called in these threads when something was done or failed.

    Attributes:
        refused: changes that the store cannot hold, as the log says.
        failure: why this engine must end; None while it need not.
    """

    def __init__(self, url: str, *, told: Callable[[], None] = lambda: None) -> None:
        self._token = uuid.uuid4().hex
        self._told = told
        self._stop = threading.Event()
        self._changes: deque[tuple[Change, Compose]] = deque()
        self._work = threading.Condition()
        self._saving: tuple[Saving, Callable[[], None]] | None = None
        self._taken = self._committed = 0
        self._owns = False
        self._locked = _Link(url, "vigie-engine", self._lock)
        self._saver = _Link(url, "vigie-engine-state", lambda _: None)
        self._threads: list[threading.Thread] = []
        self._troubles: dict[str, str] = {}
        self.refused = 0
        self.failure: VigieError | None = None

    # --- called by the engine's thread

    def take_over(self, stop: Callable[[], bool]) -> Found | None:
        """Wait until no other engine runs, and return what it left; None when asked to stop before.

        Raises:
            psycopg.Error: PostgreSQL does not answer.
        """
        while not stop():
            try:
                with self._locked.lent() as con:
                    return self._found(con)
            except _HeldError:
                time.sleep(_LOCK_EVERY_S)
        return None

    def start(self) -> None:
        """Start the threads."""
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._commit_all, "commits"), (self._save_all, "state"))
        ]
        for thread in self._threads:
            thread.start()

    def tell(self, changes: Iterable[Change], compose: Compose) -> None:
        """Commit changes, in order, as soon as possible; returns at once."""
        with self._work:
            for change in changes:
                self._changes.append((change, compose))
                self._taken += 1
            self._work.notify_all()

    @property
    def trouble(self) -> str | None:
        """Why changes or the state are not stored now; None when they are."""
        return next(iter(self._troubles.values()), None)

    @property
    def told(self) -> int:
        """How many changes it was told: what a saving waits for."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many changes are not committed."""
        return self._taken - self._committed

    @property
    def is_full(self) -> bool:
        """Whether too much waits for more to be read."""
        return self.waiting >= FULL

    @property
    def is_saving(self) -> bool:
        """Whether a saving is under way: one at a time, as what it holds is not asked for twice."""
        return self._saving is not None

    def save(self, saving: Saving, done: Callable[[], None]) -> None:
        """Save, once what was told before is committed; `done` is called in the saver's thread when it is."""
        with self._work:
            if self._saving is not None:
                raise AssertionError("a saving is under way")
            self._saving = (saving, done)
            self._work.notify_all()

    def stop(self, timeout_s: float) -> None:
        """End the threads once all is committed and saved, or the time is over (what is left is told again by the next engine)."""
        deadline = time.monotonic() + timeout_s
        with self._work:
            self._work.wait_for(lambda: (not self.waiting and self._saving is None) or self.failure is not None, timeout=timeout_s)
            self._stop.set()
            self._work.notify_all()
        for thread in self._threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        self._locked.drop()
        self._saver.drop()

    # --- threads

    def _watched(self, work: Callable[[], None]) -> None:
        """Run a thread's work; a defect ends the engine, which the supervisor starts again, and not this thread alone."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, going on without this thread would lose alarms in silence
            _log.exception("the engine must end")
            self.failure = VigieError(
                f"a defect of the platform: {type(error).__name__}: {error}", remedy="nothing is lost; vigie logs alerts says where"
            )
            self._told()

    def _commit_all(self) -> None:
        store = Store(self._locked.lent)
        while (batch := self._next()) is not None:
            self._until_done(self._locked, lambda b=batch: self._apply(store, b))  # type: ignore[misc] # mypy infers no type for the default
            with self._work:
                for _ in batch:
                    self._changes.popleft()
                self._committed += len(batch)
                self._work.notify_all()

    def _next(self) -> list[tuple[Change, Compose]] | None:
        with self._work:
            self._work.wait_for(lambda: self._changes or self._stop.is_set())
            if self._stop.is_set() or self.failure is not None:
                return None
            compose = self._changes[0][1]
            found: list[tuple[Change, Compose]] = []
            for one in self._changes:
                if one[1] is not compose or len(found) >= _BATCH:
                    break
                found.append(one)
            return found

    def _apply(self, store: Store, batch: Sequence[tuple[Change, Compose]]) -> None:
        """Commit a batch; one that the store cannot hold is looked at change by change, and what is at fault is told loudly."""
        compose = batch[0][1]
        try:
            store.apply([c for c, _ in batch], compose)
        except (psycopg.OperationalError, psycopg.InterfaceError, Overtaken, _HeldError) as error:
            # What is too large for an index stays so: tried again, it would hold up every alarm after it.
            if not isinstance(error, psycopg.errors.ProgramLimitExceeded):
                raise
            self._leave_out(store, batch, error)
        except (psycopg.Error, KeyError, ValueError, TypeError) as error:
            self._leave_out(store, batch, error)

    def _leave_out(self, store: Store, batch: Sequence[tuple[Change, Compose]], error: Exception) -> None:
        if len(batch) > 1:
            for one in batch:
                self._apply(store, [one])
            return
        self.refused += 1
        _log.error("a change cannot be stored, and is left out: %.2000s", batch[0][0], exc_info=error)

    def _save_all(self) -> None:
        while True:
            with self._work:
                self._work.wait_for(self._may_save)
                if self._stop.is_set() and self._saving is None:
                    return
                if self._saving is None or self.failure is not None:
                    return
                saving, done = self._saving
            if not self._until_done(self._saver, lambda s=saving: self._write(s)):  # type: ignore[misc] # mypy infers no type for the default
                return
            with self._work:
                self._saving = None
                self._work.notify_all()
            done()

    def _may_save(self) -> bool:
        if self._stop.is_set() or self.failure is not None:
            return True
        return self._saving is not None and self._committed >= self._saving[0].after

    def _until_done(self, link: _Link, work: Callable[[], None]) -> bool:
        """Do something, again and again while PostgreSQL is away; return whether it was done."""
        while True:
            try:
                work()
            except Overtaken as error:
                self.failure = error
            except (psycopg.Error, _HeldError) as error:
                told = str(error).strip().splitlines() or [type(error).__name__]
                if link.name not in self._troubles:
                    _log.warning("%s: nothing is stored, and it is tried again: %s", link.name, told[0])
                self._troubles[link.name] = f"alarms are not stored: {told[0]}"
                link.drop()
            else:
                if self._troubles.pop(link.name, None) is not None:
                    _log.info("%s: what waited is stored", link.name)
                self._told()
                return True
            self._told()
            if self.failure is not None or self._stop.wait(_AGAIN_S):
                return False

    # --- on a connection

    def _lock(self, con: Connection) -> None:
        row = con.execute("SELECT pg_try_advisory_lock(%s) AS got", [_LOCK]).fetchone()
        if row is None or not row["got"]:
            raise _HeldError("another engine runs")
        if self._owns:
            self._must_be_ours(con)
        else:
            con.execute(
                "INSERT INTO alerts.engine_state VALUES (%s, %s, %s) ON CONFLICT (part, key) DO UPDATE SET body = excluded.body",
                [_PART, _TOKEN, self._token.encode()],
            )
            self._owns = True

    def _must_be_ours(self, con: Connection, *, lock: str = "") -> None:
        row = con.execute(f"SELECT body FROM alerts.engine_state WHERE part = %s AND key = %s {lock}", [_PART, _TOKEN]).fetchone()
        if row is None or bytes(row["body"]) != self._token.encode():
            raise Overtaken(
                "another engine has taken over", remedy="nothing is lost: only one may run; the supervisor starts this one again"
            )

    @staticmethod
    def _found(con: Connection) -> Found:
        state = [
            (r["part"], r["key"], bytes(r["body"]))
            for r in con.execute("SELECT part, key, body FROM alerts.engine_state WHERE part <> %s", [_PART], binary=True)
        ]
        rows = con.execute("SELECT stream, partition, lane, seq FROM alerts.engine_cursor")
        return Found(state, {(r["stream"], r["partition"], r["lane"]): r["seq"] for r in rows})

    def _write(self, saving: Saving) -> None:
        with self._saver.lent() as con:
            with con.transaction():
                # Locked: an engine that takes over waits for this save, and finds it whole.
                self._must_be_ours(con, lock="FOR UPDATE")
                if saving.state:
                    con.execute("CREATE TEMP TABLE IF NOT EXISTS saving (part text, key text, body bytea) ON COMMIT DELETE ROWS")
                    with con.cursor() as cursor, cursor.copy("COPY saving FROM STDIN (FORMAT BINARY)") as copy:
                        copy.set_types(["text", "text", "bytea"])
                        for row in saving.state:
                            copy.write_row(row)
                    con.execute(
                        "INSERT INTO alerts.engine_state SELECT part, key, body FROM saving WHERE body IS NOT NULL "
                        "ON CONFLICT (part, key) DO UPDATE SET body = excluded.body"
                    )
                    con.execute(
                        "DELETE FROM alerts.engine_state AS s USING saving AS n WHERE n.body IS NULL AND (s.part, s.key) = (n.part, n.key)"
                    )
                with con.cursor() as cursor:
                    cursor.executemany(
                        "INSERT INTO alerts.engine_cursor VALUES (%s, %s, %s, %s) ON CONFLICT (stream, partition, lane) "
                        "DO UPDATE SET seq = excluded.seq",
                        [(*place, seq) for place, seq in saving.cursors.items()],
                    )
            heartbeat.beat(con, saving.beats)


class _HeldError(Exception):
    """Another engine holds the lock."""
