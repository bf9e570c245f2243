"""Messages into signals: at once where the format says by itself what a message holds, in small batches through DuckDB elsewhere.

Here: both ways, of one feed or of several. Not here: which messages are decoded when (`lanes`), the rules of rows (`signals`).

Nothing that a sender writes raises an error here: what cannot be read says nothing; the lake keeps it, with the reason.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import duckdb

from ingestion.errors import VigieError
from ingestion.feeds.model import Feed
from ingestion.formats.registry import decoder_for
from ingestion.formats.wire import WireBatch
from ingestion.lake.session import EngineLimits, identifier, open_engine
from ingestion.mapping.decoded import options_of
from ingestion.stream.messages import Message
from ingestion.stream.ordered import Arrived
from ingestion.stream.staging import stage_feed
from orchestration.alerts.model import Signal
from orchestration.alerts.runtime.signals import CONTRACTS_OF_SIGNALS, Maker

_log = logging.getLogger(__name__)
# Batches are at most a few thousand messages; the lake's own readers use as much.
_LIMITS: Final = EngineLimits(memory_limit="256MB", threads=1)


class FastFeed:
    """Decodes the messages of one feed whose format is decoded. Args of the class: the feed's contract."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._decode = decoder_for(feed.format.type)
        self._options = options_of(feed)
        self._maker = Maker(feed)

    def signals(self, message: Arrived) -> list[Signal]:
        """Return what one message says."""
        payload = message.payload
        if b"\\u0000" in payload:  # the lake refuses such a message whole
            return []
        batch = WireBatch()
        try:
            self._decode(payload, batch, after=0, received_at=message.published_at, topic=message.topic, options=self._options)
        except Exception:  # noqa: BLE001 - a decoder's defect must not stop the alarms; the lake keeps the message, with the reason
            _log.exception("message %d on %s shows a defect of the decoder", message.seq, message.topic)
            return []
        at, maker = message.published_at, self._maker
        refused = {r.position for r in batch.rejects if r.scope == "record"}
        made = (maker.observed(row, at) for row in batch.observations if row.position not in refused)
        found: list[Signal] = [signal for signal in made if signal is not None]
        for contract, rows in (("report", batch.reports), ("intervention", batch.interventions)):
            if rows:
                found += maker.signals(contract, (r._asdict() for r in rows if r.position not in refused), at)
        for contract, table in batch.tables:
            found += maker.signals(contract, (r for r in table.to_pylist() if r["_position"] not in refused), at)
        return found


class Mapper:
    """Decodes messages of mapped feeds, in one worker thread. Args of the class: where DuckDB's extensions are."""

    def __init__(self, extension_directory: Path) -> None:
        self._extensions = extension_directory

    @cached_property
    def _con(self) -> duckdb.DuckDBPyConnection:
        return open_engine(self._extensions, _LIMITS)

    def signals(self, feeds: Mapping[str, Feed], messages: Sequence[Arrived]) -> list[tuple[Arrived, list[Signal]]]:
        """Return what each message says, in the order given. A feed that cannot be mapped says nothing, and the log says why."""
        by_feed: dict[str, list[Arrived]] = {}
        for message in messages:
            by_feed.setdefault(message.feed, []).append(message)
        found: dict[int, list[Signal]] = {}
        for name, some in by_feed.items():
            if (feed := feeds.get(name)) is None or feed.contract not in CONTRACTS_OF_SIGNALS:
                continue
            try:
                for message, signals in zip(some, self._mapped(feed, some), strict=True):
                    found[id(message)] = signals
            except (VigieError, duckdb.Error, OSError) as error:
                _log.warning("feed %s: %d messages say nothing to the alarms: %s", name, len(some), str(error).splitlines()[0])
        return [(message, found.get(id(message), [])) for message in messages]

    def close(self) -> None:
        """Let DuckDB go."""
        if "_con" in self.__dict__:
            self._con.close()

    def _mapped(self, feed: Feed, messages: Sequence[Arrived]) -> list[list[Signal]]:
        con = self._con
        with tempfile.TemporaryDirectory(prefix="vigie-alerts-") as work:
            as_stored = [Message(m.seq, m.feed, m.topic, m.payload, m.published_at) for m in messages]
            staged = stage_feed(con, feed, as_stored, number=0, workdir=Path(work))
        maker, found = Maker(feed), [list[Signal]() for _ in messages]
        ends, end = [], 0
        for count in staged.counts:
            end += count
            ends.append(end)
        for part in staged.parts:
            at = 0
            for row in self._rows(con, part.rows, part.contract.columns):
                while row["_position"] > ends[at]:
                    at += 1
                found[at] += maker.signals(part.contract.name, [row], messages[at].published_at)
            con.execute(f"DROP TABLE {part.rows}")
        con.execute(f"DROP TABLE IF EXISTS {staged.rejects}")
        if staged.personal:
            con.execute(f"DROP TABLE IF EXISTS {staged.personal}")
        return found

    @staticmethod
    def _rows(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]) -> list[dict[str, Any]]:
        return rows_of(con, f"SELECT {_selected(columns, '_position')} FROM {table} ORDER BY _position")


def _selected(columns: Mapping[str, str], *more: str) -> str:
    """Return the columns of a SELECT, instants as microseconds since 1970."""
    return ", ".join([
        *more, *(f"epoch_us({identifier(n)}) AS {identifier(n)}" if t == "TIMESTAMPTZ" else identifier(n) for n, t in columns.items())
    ])  # fmt: skip


def rows_of(con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Return a query's rows, columns by name."""
    cursor = con.execute(sql, list(parameters))
    names = [d[0] for d in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def selected(columns: Mapping[str, str]) -> str:
    """Return the columns of a contract for a SELECT, instants as microseconds since 1970."""
    return _selected(columns)
