"""A batch of messages into the lake, each once, whatever happens meanwhile.

Here: which messages are new, one transaction for rows, rejects, originals, ledger and cursor. Not here: pulling and acknowledging
(`partition`), decoding (`staging`).

Why each once: a message is in the lake if and only if `raw.message` holds its number, and both are written in one transaction. The
cursor spares the look-up for what comes in order, and is a fence: it is *updated*, so that of two writers of one partition (a lock
that was lost) one aborts.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from ingestion.errors import VigieError
from ingestion.feeds.model import Feed
from ingestion.lake import writer
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, COMMIT_LOCK, EngineLimits, advisory_lock, attach, open_engine
from ingestion.landing import contract_digest
from ingestion.stream.messages import Message
from ingestion.stream.staging import StagedFeed, stage_feed, stage_refused

# Two processes that land at once beside dbt on a small machine; 20,000 messages of five properties take 150 MB.
DEFAULT_LIMITS: Final = EngineLimits(memory_limit="256MB", threads=2)
POISON: Final = "poison"
UNKNOWN_FEED: Final = "unknown_feed"
_MESSAGES: Final = "staged_messages"
# Maintenance is done with one table within a second or two.
_WAITS_S: Final = (0.1, 0.3, 1.0, 3.0)


class Overtaken(VigieError):
    """Another process has stored messages of this partition meanwhile; what it stored is found when one looks again."""


@dataclass(frozen=True)
class Place:
    """One partition of one stream, and where it lands."""

    stream: str
    partition: int
    lake: LakeAddress
    personal: LakeAddress


class Landing:
    """A connection to the lake that lands batches of one place."""

    def __init__(self, place: Place, con: duckdb.DuckDBPyConnection, workdir: Path, now: Callable[[], dt.datetime]) -> None:
        self._place, self._con, self._workdir, self._now = place, con, workdir, now

    def land(self, messages: Sequence[Message], feeds: Mapping[str, Feed], *, poison: bool = False) -> list[writer.Landed]:
        """Land what is new of some messages.

        Args:
            messages: in any order; one may stand there twice.
            feeds: the contracts in force, by name. A message of another feed is stored as rejected.
            poison: the messages are refused without being decoded.

        Returns:
            What became of the records, per feed; empty when everything was there.

        Raises:
            Overtaken: another process landed messages of this partition meanwhile; nothing was landed here.
            VigieError: the lake does not answer, or its disk is full; nothing was landed.
        """
        started_at = self._now()
        with _told():
            cursor = self._cursor()
            fresh = self._fresh(messages, cursor)
        if not fresh:
            return []
        last_seq = max(m.seq for m in fresh)
        with tempfile.TemporaryDirectory(dir=self._workdir) as work, _told():
            batch = self._stage_batch(fresh, feeds, Path(work), started_at, poison=poison)
            with writer.feed_locks(self._place.lake, [s.provenance.feed for s in batch]):
                self._store_personal_messages(batch)
                return writer.commit(
                    self._con, self._place.lake, self._place.personal, batch,
                    also=lambda landed: self._finish(landed, batch[0].provenance, cursor, last_seq),
                )  # fmt: skip

    def land_again(self, messages: Sequence[Message], feed: Feed, landed_by: Mapping[int, writer.Counts]) -> list[writer.Landed]:
        """Land messages that the lake holds anew, with the contract of now: what was rejected may be stored this time.

        The ledger gains a line that says by how much the account changes; messages and rejects move to it.

        Args:
            messages: messages of this place that stand in `raw.message`, in order.
            feed: their feed.
            landed_by: what the ledger says of each, by number.

        Raises:
            VigieError: the lake does not answer; nothing was changed.
        """
        started_at = self._now()
        with tempfile.TemporaryDirectory(dir=self._workdir) as work, _told():
            (staged,) = self._stage_batch(messages, {feed.feed: feed}, Path(work), started_at)
            counts = [landed_by[m.seq] for m in messages]
            less = writer.Counts(*(sum(getattr(c, n) for c in counts) for n in vars(writer.Counts())))
            staged = replace(staged, less=less)
            with writer.feed_locks(self._place.lake, [feed.feed]):
                return writer.commit(
                    self._con, self._place.lake, self._place.personal, [staged],
                    also=lambda landed: self._move(landed, staged.provenance),
                )  # fmt: skip

    def _stage_batch(
        self, messages: Sequence[Message], feeds: Mapping[str, Feed], workdir: Path, started_at: dt.datetime, *, poison: bool = False
    ) -> list[writer.Staged]:
        by_feed: dict[str, list[Message]] = {}
        for message in messages:
            by_feed.setdefault(message.feed, []).append(message)
        held = {
            name: self._stage(feeds.get(name), found, number, workdir, poison=poison)
            for number, (name, found) in enumerate(sorted(by_feed.items()))
        }
        self._stage_messages(by_feed, held, {name for name, f in feeds.items() if not f.personal_columns})
        received_at = self._now()
        return [
            writer.Staged(
                self._provenance(name, feeds.get(name), by_feed[name], started_at, received_at),
                one.received, one.parts, one.rejects, one.personal,
            )
            for name, one in held.items()
        ]  # fmt: skip

    def _cursor(self) -> int:
        row = self._con.execute(
            f"SELECT last_seq FROM {ALIAS}.raw.stream_cursor WHERE stream = ? AND partition = ?",
            [self._place.stream, self._place.partition],
        ).fetchone()
        if row is None:
            raise VigieError(
                f"partition {self._place.partition} of {self._place.stream} has no cursor",
                remedy="this is a defect of the platform: its line is made when a partition is opened",
            )
        return int(row[0])

    def _fresh(self, messages: Sequence[Message], cursor: int) -> list[Message]:
        """Return the messages that the lake does not hold, in order, each once."""
        by_seq = {message.seq: message for message in messages}
        old = [seq for seq in by_seq if seq <= cursor]
        if old:
            # Delivered again, or late: after a reader died, what it held comes behind what was published since.
            stored = self._con.execute(
                f"SELECT stream_seq FROM {ALIAS}.raw.message WHERE stream = ? AND partition = ? AND stream_seq BETWEEN ? AND ?",
                [self._place.stream, self._place.partition, min(old), max(old)],
            ).fetchall()
            for (seq,) in stored:
                by_seq.pop(int(seq), None)
        return [by_seq[seq] for seq in sorted(by_seq)]

    def _stage(self, feed: Feed | None, messages: list[Message], number: int, workdir: Path, *, poison: bool) -> StagedFeed:
        if poison:
            detail = "its landing never came to an end: the process died each time; replay it once the defect is mended"
            return stage_refused(self._con, messages, number=number, reason=POISON, detail=detail)
        if feed is None:
            detail = f"there is no contract called {messages[0].feed}, or it is broken; replay it once it is right"
            return stage_refused(self._con, messages, number=number, reason=UNKNOWN_FEED, detail=detail)
        return stage_feed(self._con, feed, messages, number=number, workdir=workdir)

    def _provenance(
        self, name: str, feed: Feed | None, messages: Sequence[Message], started_at: dt.datetime, received_at: dt.datetime
    ) -> writer.Provenance:
        return writer.Provenance(
            feed=name,
            source=feed.source_system if feed else name,
            contract=feed.canonical if feed else None,
            landing_id=str(uuid.uuid4()),
            origin=f"{self._place.stream}/{self._place.partition}",
            started_at=started_at,
            received_at=received_at,
            contract_digest=contract_digest(feed) if feed else None,
            stream=self._place.stream,
            first_stream_seq=messages[0].seq,
            last_stream_seq=messages[-1].seq,
        )

    def _stage_messages(self, by_feed: Mapping[str, Sequence[Message]], staged: Mapping[str, StagedFeed], impersonal: set[str]) -> None:
        rows: list[tuple[object, ...]] = []
        for name, found in by_feed.items():
            position = 1
            for message, records in zip(found, staged[name].counts, strict=True):
                payload, is_base64 = _text(message.payload)
                rows.append(
                    (
                        name,
                        message.seq,
                        message.topic,
                        message.published_at_us,
                        payload,
                        is_base64,
                        position,
                        records,
                        name not in impersonal,
                    )
                )
                position += records
        names = ("feed", "stream_seq", "topic", "published_at_us", "payload", "is_base64", "first_position", "records", "is_personal")
        self._con.register("wire_messages", pa.table(dict(zip(names, (list(c) for c in zip(*rows, strict=True)), strict=True))))
        self._con.execute(f"CREATE OR REPLACE TEMP TABLE {_MESSAGES} AS SELECT * FROM wire_messages")
        self._con.unregister("wire_messages")

    def _store_personal_messages(self, landings: Sequence[writer.Staged]) -> None:
        """Write the messages that may hold personal data into the personal lake; without a ledger line nobody reads them."""
        if not self._con.execute(f"SELECT 1 FROM {_MESSAGES} WHERE is_personal LIMIT 1").fetchall():
            return
        attach(self._con, self._place.personal, alias=writer.PERSONAL_ALIAS)
        try:
            for staged in landings:
                made = staged.provenance
                self._con.execute(
                    f"INSERT INTO {writer.PERSONAL_ALIAS}.raw.personal_message SELECT feed, ?, ?, ?, stream_seq, payload, is_base64, ?, ? "
                    f"FROM {_MESSAGES} WHERE is_personal AND feed = ?",
                    [made.landing_id, self._place.stream, self._place.partition, made.received_at, made.received_on, made.feed],
                )
        finally:
            self._con.execute(f"DETACH {writer.PERSONAL_ALIAS}")

    def _finish(self, landed: Sequence[writer.Landed], made: writer.Provenance, cursor: int, last_seq: int) -> None:
        """Write the originals and move the cursor, in the transaction of the rows."""
        place = self._place
        if self._cursor() != cursor:
            raise Overtaken(f"partition {place.partition} of {place.stream} was landed by another process meanwhile")
        self._insert_messages(landed, made)
        self._con.execute(
            f"UPDATE {ALIAS}.raw.stream_cursor SET last_seq = ?, updated_at = ? WHERE stream = ? AND partition = ?",
            [max(cursor, last_seq), made.received_at, place.stream, place.partition],
        )

    def _move(self, landed: Sequence[writer.Landed], made: writer.Provenance) -> None:
        """Take the messages and their rejects away from where they stood: they are those of the new line now."""
        place = [self._place.stream, self._place.partition]
        ours = f"stream = ? AND partition = ? AND stream_seq IN (SELECT stream_seq FROM {_MESSAGES})"
        self._con.execute(
            f"CREATE OR REPLACE TEMP TABLE moved AS SELECT landing_seq, first_position, records FROM {ALIAS}.raw.message WHERE {ours}",
            place,
        )
        self._con.execute(
            f"DELETE FROM {ALIAS}.raw.rejected AS r USING moved AS m WHERE r.landing_seq = m.landing_seq AND r.feed = ? "
            "AND r.position >= m.first_position AND r.position < m.first_position + m.records",
            [made.feed],
        )
        self._con.execute(f"DELETE FROM {ALIAS}.raw.message WHERE {ours}", place)
        self._insert_messages(landed, made)

    def _insert_messages(self, landed: Sequence[writer.Landed], made: writer.Provenance) -> None:
        for one in landed:
            self._con.execute(
                f"INSERT INTO {ALIAS}.raw.message SELECT feed, ?, ?, ?, stream_seq, topic, make_timestamptz(published_at_us), "
                f"CASE WHEN NOT is_personal THEN payload END, is_base64, first_position, records, ?, ? FROM {_MESSAGES} WHERE feed = ?",
                [one.landing_seq, self._place.stream, self._place.partition, made.received_at, made.received_on, one.feed],
            )


class Landings:
    """The landings of one process, all through one connection to the lake: it is one place at a time that lands."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, lakes: tuple[LakeAddress, LakeAddress], work: Path, now: Callable[[], dt.datetime]
    ) -> None:
        self._con, self._lakes, self._work, self._now = con, lakes, work, now
        self._known: dict[tuple[str, int], Landing] = {}

    def of(self, stream: str, partition: int) -> Landing:
        """Return the landing of one partition of one stream."""
        if (stream, partition) not in self._known:
            place = Place(stream, partition, *self._lakes)
            _ensure_cursor(self._con, place)
            self._known[stream, partition] = Landing(place, self._con, self._work, self._now)
        return self._known[stream, partition]


@contextlib.contextmanager
def open_landings(
    lake: LakeAddress,
    personal: LakeAddress,
    *,
    limits: EngineLimits = DEFAULT_LIMITS,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> Iterator[Landings]:
    """Open a connection that lands batches.

    Raises:
        VigieError: the lake does not answer.
    """
    parent = limits.temp_directory
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vigie-stream-", dir=parent) as work:
        con = open_engine(lake.extension_directory, EngineLimits(limits.memory_limit, limits.threads, Path(work) / "spill"))
        try:
            attach(con, lake)
            yield Landings(con, (lake, personal), Path(work), now)
        finally:
            con.close()


def _ensure_cursor(con: duckdb.DuckDBPyConnection, place: Place) -> None:
    """Make the place's line, once, and alone: an append would meet the updates of other partitions' lines."""
    line = [place.stream, place.partition]
    query = f"SELECT 1 FROM {ALIAS}.raw.stream_cursor WHERE stream = ? AND partition = ?"
    if con.execute(query, line).fetchone() is not None:
        return
    with advisory_lock(place.lake, COMMIT_LOCK):
        if con.execute(query, line).fetchone() is None:
            con.execute(f"INSERT INTO {ALIAS}.raw.stream_cursor VALUES (?, ?, 0, now())", line)


def retried(land: Callable[[], list[writer.Landed]]) -> list[writer.Landed]:
    """Land, again where another process was faster: a reader whose lock was lost, maintenance that rewrites the same file.

    Raises:
        Overtaken: it was so each time.
        VigieError: as `land`.
    """
    for wait in _WAITS_S:
        try:
            return land()
        except Overtaken:
            time.sleep(wait)
    return land()


def _text(payload: bytes) -> tuple[str, bool]:
    """Return a payload as text, and whether that is base 64: what is no UTF-8, or holds a NUL, which PostgreSQL does not store."""
    if b"\x00" not in payload:
        with contextlib.suppress(UnicodeDecodeError):
            return payload.decode(), False
    return base64.b64encode(payload).decode(), True


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn the engine's errors into those that people read."""
    try:
        yield
    except duckdb.TransactionException as error:
        raise Overtaken(f"another process changed the same rows meanwhile: {_first_line(error)}") from error
    except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
        raise VigieError(
            f"the lake cannot be written: {_first_line(error)}",
            remedy="make room on the disk or in memory (vigie doctor says how much is left); what is in the stream waits, nothing is lost",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
