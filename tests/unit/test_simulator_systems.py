"""The systems of the simulated territory: each says in its format what it must become, whole in any window, and as it happened.

Here: every system of the town, small. Not here: lights, meters and papers (`test_simulator_history`), effects of scenarios
(`test_simulator_scenarios`).
"""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingestion.contracts.canonical import CONTRACTS
from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed
from ingestion.formats.registry import FORMATS
from ingestion.mapping.decoded import DecodedStage
from ingestion.simulator import history, inventory, town
from ingestion.simulator.clock import DAY, HOUR, seconds
from ingestion.simulator.systems import Message
from ingestion.simulator.world import World

# Over the night in which the clocks change, and a week-end.
_START = seconds(dt.datetime(2026, 3, 27, tzinfo=dt.UTC))
_END = _START + 3 * DAY
_SPEAKING = [feed for feed in town.SYSTEMS if list(town.systems(World(100, 3))[feed].messages(_START, _START + DAY))]


@pytest.fixture(scope="module")
def world() -> World:
    return World(300, 8)


@pytest.fixture(scope="module")
def feeds(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Feed]:
    return {name: load_feed(path) for name, path in inventory.write_contracts(world, tmp_path_factory.mktemp("feeds")).items()}


@pytest.mark.parametrize("feed", _SPEAKING)
def test_windows_that_meet_say_what_one_says(feed: str) -> None:
    whole = town.systems(World(100, 3))[feed]
    parts = town.systems(World(100, 3))[feed]
    edges = [_START, _START + 5 * HOUR + 7, _START + DAY, _START + DAY + 11 * HOUR + 30, _END]
    spoken = [m for a, z in itertools.pairwise(edges) for m in parts.messages(a, z)]
    assert spoken == list(whole.messages(_START, _END))
    assert [m.sent_at for m in spoken] == sorted(m.sent_at for m in spoken)
    assert {m.feed for m in spoken} == {feed}
    assert all(_START <= m.sent_at < _END for m in spoken)


@pytest.mark.parametrize("feed", _SPEAKING)
def test_another_seed_is_another_town(feed: str) -> None:
    one, other = (list(town.systems(World(100, seed))[feed].messages(_START, _START + DAY)) for seed in (3, 4))
    assert one != other


@pytest.mark.parametrize("feed", _SPEAKING)
def test_each_message_becomes_the_rows_it_must(feed: str, world: World, feeds: dict[str, Feed]) -> None:
    system = town.systems(world)[feed]
    messages = list(system.messages(_START, _END))
    expected = [row for table in system.tables(_START, _END) for row in _complete(table, system.contract)]
    assert feeds[feed].contract == system.contract
    found = _decoded(feeds[feed], messages)
    for one, other in zip(found, expected, strict=False):
        assert one == other
    assert len(found) == len(expected)


def _complete(table: pa.Table, contract: str) -> list[dict[str, Any]]:
    schema = history.arrow_schema(contract)
    own = set(table.column_names)
    columns = [table[f.name].cast(f.type) if f.name in own else pa.nulls(table.num_rows, f.type) for f in schema]
    rows: list[dict[str, Any]] = pa.table(columns, schema=schema).to_pylist()
    return rows


def _decoded(feed: Feed, messages: list[Message]) -> list[dict[str, Any]]:
    """Return what the platform stores of messages, in their order, and assert that it refuses none."""
    assert feed.format.type in FORMATS
    with duckdb.connect() as con:
        stage = DecodedStage(con, feed)
        for message in messages:
            stage.add(message.payload, message.sent_at * 1_000_000, message.topic or _topic(message), "")
        parts = {p.contract.name: p for p in stage.close()}
        assert con.execute(f"SELECT * FROM {stage.rejects}").fetchall() == []
        con.execute("SET TimeZone = 'UTC'")
        columns = ", ".join(CONTRACTS[feed.contract].columns)
        rows: list[dict[str, Any]] = (
            con.execute(f"SELECT {columns} FROM {parts[feed.contract].rows} ORDER BY _position, rowid").to_arrow_table().to_pylist()
        )
    return rows


def _topic(message: Message) -> str:
    """Return what a decoder is told of a message over HTTP: its path and query."""
    return (message.path or f"/ingest/{message.feed}").lstrip("/")


def test_all_equipment_is_in_the_inventory(world: World, tmp_path: Path) -> None:
    path = inventory.write_equipment(world, tmp_path)
    with duckdb.connect() as con:
        listed = con.execute(f"SELECT asset_ref FROM read_csv('{path}', all_varchar = true)").fetchall()
    refs = [ref for (ref,) in listed]
    assert len(set(refs)) == len(refs)
    for feed in _SPEAKING:
        system = town.systems(world)[feed]
        if system.contract == "observation":
            told = {ref for table in system.tables(_START, _START + DAY) for ref in table["asset_ref"].to_pylist()}
            lighting = {world.territory.light_ref(int(i)) for i in world.territory.remote} | {c.ref for c in world.territory.cabinets}
            assert told <= set(refs) | lighting, feed
