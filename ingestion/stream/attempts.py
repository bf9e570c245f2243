"""Batches that their process did not survive: found again, tried in ever smaller parts, down to the message that kills.

Here: the mark that is set before messages are decoded and taken away after it. It stands in PostgreSQL, beside the catalogue, as it must
survive the process. An error that is told (a full disk, a server that restarts) takes the mark away too: it is no message's fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from ingestion.stream.messages import Message

# A batch whose process died once is tried whole again: a machine that restarts kills any batch. From the second death on in tenths.
_PARTS: Final = 10
# A message alone in its batch whose process died this often is set aside. Random kills would have to meet the same few
# milliseconds as often in a row.
MAX_TRIES: Final = 5
# Any number will do; it must never change.
_CREATION_LOCK: Final = 0x7616_0001


@dataclass(frozen=True)
class Mark:
    """A range of messages that were being tried when their process died, and how often that happened."""

    first_seq: int
    last_seq: int
    tries: int

    def holds(self, seq: int) -> bool:
        """Whether a message is in the range."""
        return self.first_seq <= seq <= self.last_seq

    @property
    def is_poison(self) -> bool:
        """Whether it is a single message that has killed its process often enough."""
        return self.first_seq == self.last_seq and self.tries >= MAX_TRIES


@dataclass(frozen=True)
class Part:
    """Messages to be tried together; `mark`, the range of dead tries they come from."""

    messages: list[Message]
    mark: Mark | None = None


def parts(messages: Sequence[Message], marks: Sequence[Mark]) -> Iterator[Part]:
    """Split messages (in order) into what is tried together: what killed nobody yet at once, the rest in parts.

    >>> made = [Message(n, "f", "t", b"", 0) for n in range(1, 41)]
    >>> [(len(p.messages), p.mark and p.mark.tries) for p in parts(made, [Mark(21, 40, 2)])][:3]
    [(20, None), (2, 2), (2, 2)]
    """
    by_mark: dict[Mark | None, list[Message]] = {None: []}
    for message in messages:
        mark = next((m for m in marks if m.holds(message.seq)), None)
        by_mark.setdefault(mark, []).append(message)
    for mark, found in by_mark.items():
        size = len(found) if mark is None or mark.tries <= 1 else max(1, (mark.last_seq - mark.first_seq + 1) // _PARTS)
        for at in range(0, len(found), max(size, 1)):
            yield Part(found[at : at + size], mark)


class Attempts:
    """The marks of one partition of one stream, kept through the connection that holds the partition's lock."""

    def __init__(self, pg: psycopg.Connection[tuple[object, ...]], stream: str, partition: int) -> None:
        self._pg, self._key = pg, (stream, partition)

    @staticmethod
    def prepare(pg: psycopg.Connection[tuple[object, ...]]) -> None:
        """Make the table, once."""
        with pg.transaction():
            pg.execute("SELECT pg_advisory_xact_lock(%s)", [_CREATION_LOCK])
            pg.execute("CREATE SCHEMA IF NOT EXISTS vigie_stream")
            pg.execute(
                "CREATE TABLE IF NOT EXISTS vigie_stream.attempt (stream text, partition int, first_seq bigint, last_seq bigint, "
                "tries int, PRIMARY KEY (stream, partition, first_seq))"
            )

    def marks(self) -> list[Mark]:
        """Return the ranges whose process died, in order."""
        rows = self._pg.execute(
            "SELECT first_seq, last_seq, tries FROM vigie_stream.attempt WHERE stream = %s AND partition = %s ORDER BY first_seq", self._key
        ).fetchall()
        return [Mark(int(str(first)), int(str(last)), int(str(tries))) for first, last, tries in rows]

    def begin(self, part: Part) -> Mark:
        """Mark messages as being tried; what remains of the range they come from keeps its own count."""
        now = Mark(part.messages[0].seq, part.messages[-1].seq, 1 if part.mark is None else part.mark.tries + 1)
        with self._pg.transaction():
            if (old := part.mark) is not None:
                self._forget([old])
                rest = (Mark(old.first_seq, now.first_seq - 1, old.tries), Mark(now.last_seq + 1, old.last_seq, old.tries))
                self._put(mark for mark in rest if mark.first_seq <= mark.last_seq)
            self._put([now])
        return now

    def end(self, mark: Mark) -> None:
        """Take a mark away: its messages are stored, or an error that is told stopped them."""
        self._forget([mark])

    def clear(self) -> None:
        """Take every mark away: nothing waits in the stream any more."""
        self._pg.execute("DELETE FROM vigie_stream.attempt WHERE stream = %s AND partition = %s", self._key)

    def _forget(self, marks: Iterable[Mark]) -> None:
        for mark in marks:
            self._pg.execute(
                "DELETE FROM vigie_stream.attempt WHERE stream = %s AND partition = %s AND first_seq = %s", [*self._key, mark.first_seq]
            )

    def _put(self, marks: Iterable[Mark]) -> None:
        for mark in marks:
            self._pg.execute(
                "INSERT INTO vigie_stream.attempt AS a VALUES (%s, %s, %s, %s, %s) ON CONFLICT (stream, partition, first_seq) DO UPDATE "
                "SET last_seq = greatest(a.last_seq, excluded.last_seq), tries = greatest(a.tries, excluded.tries)",
                [*self._key, mark.first_seq, mark.last_seq, mark.tries],
            )
