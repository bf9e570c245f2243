"""Messages of one feed to the staged tables that the lake writer takes, and how many records each message held.

Here: the choice between decoding and mapping. Not here: either of them (`ingestion.mapping`), committing (`landing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from ingestion.feeds.model import Feed
from ingestion.formats import Bounds, SourceTable
from ingestion.formats.json_records import read_messages
from ingestion.formats.wire import RejectRow
from ingestion.lake.duplicates import ROWS, Part
from ingestion.lake.session import identifier
from ingestion.lake.writer import PERSONAL, REJECTS
from ingestion.mapping import stage
from ingestion.mapping.decoded import DecodedStage, add_rejects, new_rejects
from ingestion.stream.messages import Message


@dataclass(frozen=True)
class StagedFeed:
    """The messages of one feed, staged.

    Attributes:
        parts: the tables of its rows, by contract.
        rejects: the table of its rejects.
        personal: the table of its personal columns; None when it has none.
        counts: how many source records each message holds, in order.
    """

    parts: tuple[Part, ...]
    rejects: str
    personal: str | None
    counts: list[int] = field(default_factory=list)

    @property
    def received(self) -> int:
        """Source records in all."""
        return sum(self.counts)


def stage_feed(con: duckdb.DuckDBPyConnection, feed: Feed, messages: Sequence[Message], *, number: int, workdir: Path) -> StagedFeed:
    """Stage messages of one feed, whatever they hold.

    Args:
        con: where the staged tables are made.
        feed: the contract.
        messages: the messages, in order.
        number: tells the tables of this feed from those of others of the same batch.
        workdir: a folder for what is staged on the way.

    Raises:
        WrongUse: the contract does not fit its own mapping.
    """
    if not feed.is_decoded:
        return _map(con, feed, messages, number, workdir)
    decoded = DecodedStage(con, feed, number)
    counts = [decoded.add(m.payload, m.published_at_us, m.topic, f"message {m.seq} on {m.topic}") for m in messages]
    return StagedFeed(decoded.close(), decoded.rejects, None, counts)


def stage_refused(con: duckdb.DuckDBPyConnection, messages: Sequence[Message], *, number: int, reason: str, detail: str) -> StagedFeed:
    """Stage messages that are refused without being looked at: each is one rejected record."""
    rejects = new_rejects(con, number)
    add_rejects(con, rejects, [RejectRow(i, "record", reason, detail) for i in range(1, len(messages) + 1)])
    return StagedFeed((), rejects, None, [1] * len(messages))


def _map(con: duckdb.DuckDBPyConnection, feed: Feed, messages: Sequence[Message], number: int, workdir: Path) -> StagedFeed:
    folder = workdir / f"feed-{number}"
    folder.mkdir()
    stage.prepare(con, feed.canonical)
    source, counts = read_messages((m.payload for m in messages), feed.format, workdir=folder, bounds=Bounds())
    received = stage.stage(con, feed, _with_absent(feed, source))
    if received != sum(counts):
        raise AssertionError(f"{feed.feed}: {received} records staged of {sum(counts)}")
    part = Part(feed.canonical, f"{ROWS}_{number}_{feed.contract}")
    names = {ROWS: part.rows, REJECTS: f"{REJECTS}_{number}", PERSONAL: f"{PERSONAL}_{number}"}
    for name, own in names.items():
        con.execute(f"DROP TABLE IF EXISTS {own}")
        con.execute(f"ALTER TABLE {name} RENAME TO {own}")
    return StagedFeed((part,), names[REJECTS], names[PERSONAL] if feed.personal_columns else None, counts)


def _with_absent(feed: Feed, source: SourceTable) -> SourceTable:
    """Add the declared columns that no message of this batch has: a key that is left out of a JSON message is no value."""
    absent = [f.name for f in feed.fields if f.name not in source.columns]
    if not absent:
        return source
    added = ", ".join(f"CAST(NULL AS VARCHAR) AS {identifier(n)}" for n in absent)
    return replace(
        source,
        relation=f"(SELECT *, {added} FROM {source.relation} AS present)",
        columns={**source.columns, **dict.fromkeys(absent, "VARCHAR")},
    )
