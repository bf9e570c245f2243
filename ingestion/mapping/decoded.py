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
from ingestion.formats.registry import decoder_for
from ingestion.formats.wire import RejectRow, WireBatch, WireOptions
from ingestion.lake.duplicates import ROWS, Part
from ingestion.lake.session import identifier, literal
from ingestion.lake.writer import REJECTS
from ingestion.mapping.rules import Rule, contract_rules

_log = logging.getLogger(__name__)

_ARROW: Final = {"VARCHAR": pa.string(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(), UTC_INSTANT: pa.int64(), "DATE": pa.string()}
_REJECT_COLUMNS: Final = {"_position": "BIGINT", "scope": "VARCHAR", "reason": "VARCHAR", "detail": "VARCHAR", "original": "VARCHAR"}
# What a reject quotes of a message, at most: enough to recognise it; the message itself stands in raw.message or the file.
_QUOTED_CHARS: Final = 8_192
# Of these one record may give several rows, and one that breaks a rule does not take the others along.
_OF_ONE_RECORD_SEVERAL: Final = frozenset({"observation", "asset"})
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
        self._batch = self._new_batch()
        self._parts: dict[str, Part] = {}
        self.rejects = new_rejects(con, number)
        self.received = 0
        self._make(feed.canonical)

    def add(self, payload: bytes, received_at: int | None, topic: str, where: str) -> int:
        """Decode one message and return how many records it holds, at least one.

        Args:
            payload: its bytes.
            received_at: when the broker stored it, microseconds since 1970; None for a message of a file.
            topic: where it was sent, or the name of its file.
            where: what it is called in the log.
        """
        records = self._decoded(payload, received_at, topic, where)
        self.received += records
        self._relieve()
        return records

    def _new_batch(self) -> WireBatch:
        return WireBatch(on_full=self._relieve)

    def _relieve(self) -> None:
        """Let rows and rejects go once there are many."""
        held = sum(len(rows) for _, rows in self._batch.rows()) + sum(t.num_rows for _, t in self._batch.tables)
        if held + len(self._batch.rejects) >= _FLUSH_ROWS:
            self._flush()

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

    def _decoded(self, payload: bytes, received_at: int | None, topic: str, where: str) -> int:
        batch, after = self._batch, self.received
        if b"\\u0000" in payload:
            batch.reject(after + 1, "nul_character", "a NUL character, which no database stores", self._quoted(payload))
            return 1
        mark = batch.mark()
        try:
            return self._decode(payload, batch, after=after, received_at=received_at, topic=topic, options=self._options)
        except Exception as error:  # noqa: BLE001 - a decoder's defect must not stop the stream: the message is kept, with the reason
            _log.exception("%s shows a defect of the decoder", where)
            batch.back_to(mark)
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
        batch = self._batch
        add_rejects(self._con, self.rejects, batch.rejects)
        for name, rows in batch.rows():
            if rows:
                part = self._make(CONTRACTS[name])
                self._fill(part, _columns(part.contract, rows))
                rows.clear()
        for name, table in batch.tables:
            self._fill(self._make(CONTRACTS[name]), table)
        batch.tables.clear()
        batch.rejects.clear()

    def _fill(self, part: Part, table: pa.Table) -> None:
        """Add rows of one contract, and set aside what breaks its rules: a value of an observation, else the record."""
        self._con.register("wire_rows", table)
        typed = ", ".join(self._expression(n, t, table) for n, t in {"_position": "BIGINT", **part.contract.columns}.items())
        self._con.execute(f"CREATE OR REPLACE TEMP TABLE wire_checked AS SELECT {typed} FROM wire_rows")
        self._con.unregister("wire_rows")
        rules = [*contract_rules(part.contract, set(table.column_names), identifier), *self._bounds(part.contract)]
        broken = " OR ".join(f"coalesce({r.violated}, false)" for r in rules)
        reason = " ".join(f"WHEN {r.violated} THEN {literal(r.reason)}" for r in rules)
        detail = " ".join(f"WHEN {r.violated} THEN {r.detail}" for r in rules)
        scope = "value" if part.contract.name in _OF_ONE_RECORD_SEVERAL else "record"
        self._con.execute(
            f"INSERT INTO {self.rejects} SELECT _position, '{scope}', CASE {reason} END, left(CASE {detail} END, 500), NULL "
            f"FROM wire_checked WHERE {broken}"
        )
        # A record that was refused is refused whole.
        refused = f"SELECT _position FROM {self.rejects} WHERE scope = 'record'"
        self._con.execute(f"INSERT INTO {part.rows} SELECT * FROM wire_checked WHERE NOT ({broken}) AND _position NOT IN ({refused})")

    def _expression(self, name: str, sql_type: str, table: pa.Table) -> str:
        column = identifier(name)
        if name not in table.column_names:
            return f"CAST(NULL AS {sql_type}) AS {column}"
        if name == "property" and self._feed.measures:
            named = " ".join(f"WHEN {literal(m.column)} THEN {literal(m.property)}" for m in self._feed.measures)
            return f"CASE {column} {named} ELSE {column} END AS {column}"
        match sql_type:
            case "TIMESTAMPTZ":
                return f"make_timestamptz({column}) AS {column}"
            case "DATE":
                return f"TRY_CAST({column} AS DATE) AS {column}"
            case _:
                return f"CAST({column} AS {sql_type}) AS {column}"

    def _bounds(self, contract: Contract) -> list[Rule]:
        """Return the bounds that the feed declares for properties."""
        if contract.name != "observation":
            return []
        return [
            Rule("out_of_range", f"(property = {literal(m.property)} AND value {sign} {bound!r})",
                 f"property || ' = ' || CAST(value AS VARCHAR) || ' is {what} {bound:g}'", ("value",))
            for m in self._feed.measures
            for bound, sign, what in ((m.minimum, "<", "below"), (m.maximum, ">", "above"))
            if bound is not None
        ]  # fmt: skip


def _columns(contract: Contract, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Return rows as a table; instants stay microseconds."""
    types = {"_position": "BIGINT", **contract.columns}
    values = zip(*rows, strict=True)
    return pa.table({n: pa.array(v, _ARROW.get(t, pa.int64())) for (n, t), v in zip(types.items(), values, strict=True)})


def options_of(feed: Feed) -> WireOptions:
    """Return what a feed's contract says beside its messages."""
    units = {f.name: f.unit for f in feed.fields if f.unit is not None}
    units |= {m.column: m.unit for m in feed.measures if m.unit is not None}
    return WireOptions(time_zone=feed.time_zone, contract=feed.contract, units=units, personal=feed.personal_columns)


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
