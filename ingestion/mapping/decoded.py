"""Messages of a format that says itself what it holds, decoded into the staged tables that the lake writer takes.

Here: running a decoder over many messages, the contracts' rules in bulk, the account of what each message held. Not here: formats
(`ingestion.formats`), mapping of columns (`stage`), committing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa

from ingestion.contracts.canonical import CONTRACTS, UTC_INSTANT, Contract
from ingestion.feeds.model import Feed
from ingestion.formats.wire import RejectRow, WireBatch, WireOptions
from ingestion.formats.wire_decoders import decoder_for
from ingestion.lake.duplicates import ROWS, Part
from ingestion.lake.session import identifier, literal
from ingestion.lake.writer import REJECTS
from ingestion.mapping.rules import contract_rules

_log = logging.getLogger(__name__)

_ARROW: Final = {"VARCHAR": pa.string(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(), UTC_INSTANT: pa.int64(), "DATE": pa.string()}
_REJECT_COLUMNS: Final = {"_position": "BIGINT", "scope": "VARCHAR", "reason": "VARCHAR", "detail": "VARCHAR", "original": "VARCHAR"}
# What a reject quotes of a message, at most: enough to recognise it; the message itself stands in raw.message or the file.
_QUOTED_CHARS: Final = 8_192
# Rows held before they become a table: 200,000 take 100 MB.
_FLUSH_ROWS: Final = 200_000


class DecodedStage:
    """The staged tables of one feed's messages, filled message by message.

    Args of the class: `con`, where the tables are made; `feed`, the contract; `number`, which tells its tables from those of other
    feeds of the same transaction; `options`, what the contract says beside the messages.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, feed: Feed, number: int = 0, options: WireOptions | None = None) -> None:
        self._con, self._feed, self._number = con, feed, number
        self._options = options or options_of(feed)
        self._decode = decoder_for(feed.format.type)
        self._batch = WireBatch()
        self._parts: dict[str, Part] = {}
        self.rejects = new_rejects(con, number)
        self.received = 0
        self._make(feed.canonical)

    def add(self, payload: bytes, received_at: int | None, where: str) -> int:
        """Decode one message and return how many records it holds, at least one.

        Args:
            payload: its bytes.
            received_at: when the broker stored it, microseconds since 1970; None for a message of a file.
            where: what it is called in the log.
        """
        records = self._decoded(payload, received_at, where)
        self.received += records
        if len(self._batch.observations) >= _FLUSH_ROWS:
            self._flush()
        return records

    def close(self) -> tuple[Part, ...]:
        """Finish, and return the tables of the rows, by contract."""
        self._flush()
        parts = tuple(self._parts.values())
        rows = " UNION ALL ".join(f"SELECT _position FROM {part.rows}" for part in parts)
        refused = f"SELECT _position FROM {self.rejects} WHERE scope = 'record'"
        # None is lost without a word: a record of which nothing is left was refused.
        self._con.execute(
            f"INSERT INTO {self.rejects} SELECT p, 'record', 'no_value', 'nothing of the record could be read', NULL "
            f"FROM range(1, {self.received + 1}) AS r(p) WHERE p NOT IN ({rows}) AND p NOT IN ({refused})"
        )
        return parts

    def _decoded(self, payload: bytes, received_at: int | None, where: str) -> int:
        batch, after = self._batch, self.received
        if b"\\u0000" in payload:
            batch.reject(after + 1, "nul_character", "a NUL character, which no database stores", self._quoted(payload))
            return 1
        kept = len(batch.observations), len(batch.assets), len(batch.rejects)
        try:
            return self._decode(payload, batch, after=after, received_at=received_at, options=self._options)
        except Exception as error:  # noqa: BLE001 - a decoder's defect must not stop the stream: the message is kept, with the reason
            _log.exception("%s shows a defect of the decoder", where)
            del batch.observations[kept[0] :], batch.assets[kept[1] :], batch.rejects[kept[2] :]
            batch.reject(after + 1, "decoder_defect", f"{type(error).__name__}: {error}", self._quoted(payload))
            return 1

    def _quoted(self, payload: bytes) -> str | None:
        return None if self._options.personal else payload[:_QUOTED_CHARS].decode("utf-8", "replace").replace("\x00", "�")

    def _make(self, contract: Contract) -> Part:
        part = self._parts.get(contract.name)
        if part is None:
            part = self._parts[contract.name] = Part(contract, f"{ROWS}_{self._number}_{contract.name}")
            columns = ", ".join(f"{identifier(c)} {t}" for c, t in contract.columns.items())
            self._con.execute(f"CREATE OR REPLACE TEMP TABLE {part.rows} (_position BIGINT, {columns})")
        return part

    def _flush(self) -> None:
        batch, self._batch = self._batch, WireBatch()
        add_rejects(self._con, self.rejects, batch.rejects)
        for name, rows in (("observation", batch.observations), ("asset", batch.assets)):
            if rows:
                self._fill(self._make(CONTRACTS[name]), rows)

    def _fill(self, part: Part, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows of one contract, and set aside what breaks its rules: a value, whose record keeps its others."""
        types = {"_position": "BIGINT", **part.contract.columns}
        arrays = {n: pa.array(v, _ARROW.get(t, pa.int64())) for (n, t), v in zip(types.items(), zip(*rows, strict=True), strict=True)}
        self._con.register("wire_rows", pa.table(arrays))
        typed = ", ".join(_typed(n, t) for n, t in types.items())
        self._con.execute(f"CREATE OR REPLACE TEMP TABLE wire_checked AS SELECT {typed} FROM wire_rows")
        self._con.unregister("wire_rows")
        rules = contract_rules(part.contract, set(part.contract.columns), identifier)
        broken = " OR ".join(f"coalesce({r.violated}, false)" for r in rules)
        reason = " ".join(f"WHEN {r.violated} THEN {literal(r.reason)}" for r in rules)
        detail = " ".join(f"WHEN {r.violated} THEN {r.detail}" for r in rules)
        self._con.execute(
            f"INSERT INTO {self.rejects} SELECT _position, 'value', CASE {reason} END, left(CASE {detail} END, 500), NULL "
            f"FROM wire_checked WHERE {broken}"
        )
        # A record that was refused is refused whole.
        refused = f"SELECT _position FROM {self.rejects} WHERE scope = 'record'"
        self._con.execute(f"INSERT INTO {part.rows} SELECT * FROM wire_checked WHERE NOT ({broken}) AND _position NOT IN ({refused})")


def options_of(feed: Feed) -> WireOptions:
    """Return what a feed's contract says beside its messages."""
    return WireOptions(units={f.name: f.unit for f in feed.fields if f.unit is not None}, personal=feed.personal_columns)


def new_rejects(con: duckdb.DuckDBPyConnection, number: int) -> str:
    """Make the table of a feed's rejects and return its name."""
    table = f"{REJECTS}_{number}"
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({', '.join(f'{c} {t}' for c, t in _REJECT_COLUMNS.items())})")
    return table


def add_rejects(con: duckdb.DuckDBPyConnection, table: str, rejects: Sequence[RejectRow]) -> None:
    """Add rejects to their table."""
    if not rejects:
        return
    types = [pa.int64(), *[pa.string()] * (len(_REJECT_COLUMNS) - 1)]
    columns = zip(_REJECT_COLUMNS, zip(*rejects, strict=True), types, strict=True)
    con.register("wire_rejects", pa.table({name: pa.array(values, of) for name, values, of in columns}))
    con.execute(f"INSERT INTO {table} SELECT * FROM wire_rejects")
    con.unregister("wire_rejects")


def _typed(name: str, sql_type: str) -> str:
    column = identifier(name)
    match sql_type:
        case "TIMESTAMPTZ":
            return f"make_timestamptz({column}) AS {column}"
        case "DATE":
            return f"TRY_CAST({column} AS DATE) AS {column}"
        case _:
            return column
