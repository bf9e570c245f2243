"""History, quickly: what the feeds of a world would have sent in a span, as canonical Parquet, and all that goes with it.

Here: columns to files. Not here: what they hold (`lights`, `meters`, `records`, `truth`), landing them.

A file holds what was sent in one UTC month, in the order it was sent, so that what was late or came twice is late or twice here
too. Names of files are in the order of time. The same world and span give the same bytes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.contracts.canonical import CONTRACTS
from ingestion.errors import WrongUse
from ingestion.simulator import inventory, lights, maps, meters, town, truth
from ingestion.simulator.clock import instant, seconds
from ingestion.simulator.papers import CALLS_FEED, ORDERS_FEED, REPORTS_FEED
from ingestion.simulator.records import Records
from ingestion.simulator.systems import System
from ingestion.simulator.world import World

# How far a step has come: its name, and from 0 to 1.
Progress = Callable[[str, float], None]
_LIGHTING: Final = {
    lights.FEED: "observation",
    meters.FEED: "energy_reading",
    REPORTS_FEED: "report",
    CALLS_FEED: "report",
    ORDERS_FEED: "intervention",
}
_ARROW: Final = {
    "VARCHAR": pa.string(),
    "DOUBLE": pa.float64(),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
}
_US: Final = 1_000_000
# Rows of one row group: five days of `chalons`; enough to compress, few enough to keep a writer under 200 MB.
_GROUP: Final = 1_000_000


@dataclass(frozen=True)
class HistoryFiles:
    """What was written.

    Attributes:
        folder: where.
        start: the span, from.
        end: the span, until (exclusive).
        canonical: feed to its canonical Parquet files, in the order of time.
        inventory: the file of feed `sim-patrimoine`.
        equipment: the file of feed `sim-equipements`.
        contracts: feed to its contract.
        declared: declared table to its CSV.
        truth: table of the truth to its Parquet.
        rows: feed to the rows written.
        maps: feed to its map: communes, streets.
    """

    folder: Path
    start: dt.datetime
    end: dt.datetime
    canonical: dict[str, tuple[Path, ...]]
    inventory: Path
    contracts: dict[str, Path]
    declared: dict[str, Path]
    truth: dict[str, Path]
    rows: dict[str, int]
    equipment: Path
    maps: dict[str, Path]

    def of(self, feed: str) -> list[Path]:
        """Return the files that a feed's history is landed from."""
        own = {inventory.FEED: self.inventory, inventory.EQUIPMENT_FEED: self.equipment, **self.maps}
        return [own[feed]] if feed in own else list(self.canonical[feed])


def write(world: World, folder: Path, start: dt.datetime, end: dt.datetime, *, progress: Progress | None = None) -> HistoryFiles:
    """Write what the feeds of a world send in [start, end), the files that go with it, and the truth.

    Args:
        world: the world.
        folder: where; made when it is not there. Files of the same names are replaced.
        start: with its zone; a whole second.
        end: likewise.
        progress: called as steps go on.

    Raises:
        WrongUse: an instant without zone, or an end that does not come after the start.
    """
    if start.tzinfo is None or end.tzinfo is None or end <= start:
        raise WrongUse(f"no span from {start} to {end}", remedy="give two instants with their zone, the second after the first")
    tell = progress or (lambda _step, _share: None)
    for name in ("canonical", "inventory", "feeds", "declared", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    first, last = seconds(start), seconds(end)
    stock = inventory.write_inventory(world, folder / "inventory")
    equipment = inventory.write_equipment(world, folder / "inventory")
    drawn = maps.write(world, folder / "inventory")
    contracts = inventory.write_contracts(world, folder / "feeds")
    declared = inventory.write_declared(world, folder / "declared")
    others = town.systems(world)
    contract_of = {**_LIGHTING, **{feed: system.contract for feed, system in others.items()}}
    files: dict[str, list[Path]] = {feed: [] for feed in contract_of}
    rows = dict.fromkeys(contract_of, 0)
    speakers, read, records = lights.Speakers(world), meters.Meters(world), Records(world)
    for begin, until in _months(first, last):
        steps: list[tuple[tuple[str, ...], Iterator[dict[str, pa.Table]]]] = [
            ((lights.FEED,), _observations(speakers, begin, until)),
            ((meters.FEED,), _readings(world, read, begin, until)),
            ((REPORTS_FEED, CALLS_FEED, ORDERS_FEED), _papers(records, begin, until)),
            *(((feed,), _told(system, begin, until)) for feed, system in others.items()),
        ]
        for feeds, tables in steps:
            schemas = {feed: _dictionary_schema(contract_of[feed]) for feed in feeds}
            for feed, (path, count) in _write_month(folder / "canonical", schemas, begin, tables).items():
                files[feed].append(path)
                rows[feed] += count
        tell("history", (until - first) / (last - first))
    told = truth.write(world, folder / "truth", start, end)
    tell("truth", 1.0)
    canonical = {k: tuple(v) for k, v in files.items()}
    return HistoryFiles(folder, start, end, canonical, stock, contracts, declared, told, rows, equipment, drawn)


def _months(start: int, end: int) -> Iterator[tuple[int, int]]:
    at = start
    while at < end:
        day = instant(at)
        after = seconds(dt.datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=dt.UTC))
        yield at, min(after, end)
        at = after


def arrow_schema(contract: str) -> pa.Schema:
    """Return the columns of a canonical contract as Arrow has them."""
    return pa.schema([(name, _ARROW[kind]) for name, kind in CONTRACTS[contract].columns.items()])


def _write_month(
    folder: Path, schemas: dict[str, pa.Schema], begin: int, tables: Iterable[dict[str, pa.Table]]
) -> dict[str, tuple[Path, int]]:
    paths = {}
    for feed in schemas:
        (folder / feed).mkdir(exist_ok=True)
        paths[feed] = folder / feed / f"{instant(begin):%Y-%m}.parquet"
    # Without Arrow's own schema in it, a text is a text for every reader, however it was encoded here.
    writers = {feed: pq.ParquetWriter(path, schemas[feed], compression="zstd", store_schema=False) for feed, path in paths.items()}
    count = dict.fromkeys(schemas, 0)
    waiting: dict[str, list[pa.Table]] = {feed: [] for feed in schemas}
    try:
        for parts in tables:
            for feed, table in parts.items():
                waiting[feed].append(table)
                count[feed] += table.num_rows
                if sum(t.num_rows for t in waiting[feed]) >= _GROUP:
                    _flush(writers[feed], waiting[feed])
        for feed in schemas:
            _flush(writers[feed], waiting[feed])
    finally:
        for writer in writers.values():
            writer.close()
    return {feed: (paths[feed], count[feed]) for feed in schemas}


def _flush(writer: pq.ParquetWriter, waiting: list[pa.Table]) -> None:
    if waiting:
        writer.write_table(pa.concat_tables(waiting), row_group_size=_GROUP)
        waiting.clear()


def _dictionary_schema(contract: str) -> pa.Schema:
    """Return the schema in which this module builds tables: codes of texts instead of texts, where there are millions of rows."""
    encoded = {"observation": ("asset_ref", "property", "value_text"), "energy_reading": ("meter_ref", "direction", "quality")}
    fields = [
        pa.field(f.name, pa.dictionary(pa.int32(), pa.string())) if f.name in encoded.get(contract, ()) else f
        for f in arrow_schema(contract)
    ]
    return pa.schema(fields)


def _table(contract: str, columns: dict[str, pa.Array], length: int) -> pa.Table:
    schema = _dictionary_schema(contract)
    return pa.table([columns.get(f.name, pa.nulls(length, f.type)) for f in schema], schema=schema)


def _coded(codes: Any, texts: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), texts)


def _instants(at: Any) -> pa.Array:
    return pa.array(np.asarray(at, dtype=np.int64) * _US).cast(pa.timestamp("us", "UTC"))


def _told(system: System, start: int, end: int) -> Iterator[dict[str, pa.Table]]:
    """Yield a system's rows, with all the columns of its contract."""
    schema = _dictionary_schema(system.contract)
    for table in system.tables(start, end):
        own = set(table.column_names)
        columns = [table[f.name].cast(f.type) if f.name in own else pa.nulls(table.num_rows, f.type) for f in schema]
        yield {system.feed: pa.table(columns, schema=schema)}


def _observations(speakers: lights.Speakers, start: int, end: int) -> Iterator[dict[str, pa.Table]]:
    refs, properties, values = (pa.array(texts) for texts in (speakers.refs, lights.PROPERTIES, lights.VALUES))
    for s in speakers.windows(start, end):
        columns = {
            "asset_ref": _coded(s.entity, refs),
            "property": _coded((s.entity >= speakers.lights).astype(np.int32), properties),
            "observed_at": _instants(s.observed),
            "value_text": _coded(s.value.astype(np.int32), values),
        }
        yield {lights.FEED: _table("observation", columns, len(s.sent))}


def _readings(world: World, read: meters.Meters, start: int, end: int) -> Iterator[dict[str, pa.Table]]:
    refs = pa.array([c.meter_ref for c in world.territory.cabinets])
    for r in read.windows(start, end):
        zeros = np.zeros(len(r.sent), dtype=np.int32)
        columns = {
            "meter_ref": _coded(r.meter, refs),
            "start_at": _instants(r.start),
            "end_at": _instants(r.start + meters.STEP),
            "energy_wh": pa.array(r.energy_wh.astype(np.float64)),
            "direction": _coded(zeros, pa.array(["consumption"])),
            "quality": _coded(zeros, pa.array(["B"])),
        }
        yield {meters.FEED: _table("energy_reading", columns, len(r.sent))}


def _papers(records: Records, start: int, end: int) -> Iterator[dict[str, pa.Table]]:
    for sent in records.windows(start, end):
        found = {}
        for feed in (REPORTS_FEED, CALLS_FEED, ORDERS_FEED):
            rows = [s.row for s in sent if s.feed == feed]
            schema = arrow_schema(_LIGHTING[feed])
            columns = {
                f.name: pa.array([None if r[f.name] is None else r[f.name] * _US for r in rows], f.type)
                if pa.types.is_timestamp(f.type)
                else pa.array([r[f.name] for r in rows], f.type)
                for f in schema
            }
            found[feed] = pa.table(columns, schema=schema)
        yield found
