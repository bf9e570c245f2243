"""The systems of the simulated territory: each says in its format what it must become, whole in any window, and as it happened.

Here: every system of the town, small. Not here: lights, meters and papers (`test_simulator_history`), effects of scenarios
(`test_simulator_scenarios`).
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.contracts.canonical import CONTRACTS
from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed
from ingestion.landing import preview
from ingestion.mapping.canonical import canonical_feed
from ingestion.simulator import cabinet_log, history, inventory, town
from ingestion.simulator.clock import DAY, HOUR, instant, seconds
from ingestion.simulator.presets import Stock, preset
from ingestion.simulator.scenarios import Scenario
from ingestion.simulator.speaker import Speaker
from ingestion.simulator.systems import Message
from ingestion.simulator.world import World
from ingestion.stream.messages import Message as Received
from ingestion.stream.staging import stage_feed

# Over the night in which the clocks change, and a week-end.
_START = seconds(dt.datetime(2026, 3, 27, tzinfo=dt.UTC))
# What happens seldom is looked for longer.
_SPAN = {cabinet_log.FEED: 60 * DAY}


def _town(seed: int = 8, scenarios: tuple[Scenario, ...] = ()) -> World:
    """A town of few lights and some of everything else."""
    return World(replace(preset(400), remote=200, stock=Stock(30, 6, 3, 5, 4, 6, 7, 3, 6, 9, 2, 2)), seed, scenarios=scenarios)


_SPEAKING = [feed for feed, system in town.systems(_town()).items() if isinstance(system, Speaker)]


@pytest.fixture(scope="module")
def world() -> World:
    return _town()


@pytest.fixture(scope="module")
def feeds(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Feed]:
    return {name: load_feed(path) for name, path in inventory.write_contracts(world, tmp_path_factory.mktemp("feeds")).items()}


def _end(feed: str) -> int:
    return _START + _SPAN.get(feed, 3 * DAY)


@pytest.mark.parametrize("feed", _SPEAKING)
def test_windows_that_meet_say_what_one_says(feed: str) -> None:
    whole, parts = town.systems(_town())[feed], town.systems(_town())[feed]
    end = _end(feed)
    edges = [_START, _START + 5 * HOUR + 7, _START + DAY, _START + DAY + 11 * HOUR + 30, end]
    spoken = [m for a, z in itertools.pairwise(edges) for m in parts.messages(a, z)]
    assert spoken == list(whole.messages(_START, end))
    assert len(spoken) > 5
    assert [m.sent_at for m in spoken] == sorted(m.sent_at for m in spoken)
    assert {m.feed for m in spoken} == {feed}
    assert all(_START <= m.sent_at < end for m in spoken)


@pytest.mark.parametrize("feed", _SPEAKING)
def test_another_seed_is_another_town(feed: str) -> None:
    one, other = (list(town.systems(_town(seed))[feed].messages(_START, _end(feed))) for seed in (3, 4))
    assert one != other


@pytest.mark.parametrize("feed", _SPEAKING)
def test_each_message_becomes_the_rows_it_must(feed: str, world: World, feeds: dict[str, Feed], tmp_path: Path) -> None:
    system = town.systems(world)[feed]
    messages = list(system.messages(_START, _end(feed)))
    expected = [row for table in system.tables(_START, _end(feed)) for row in _complete(table, system.contract)]
    assert feeds[feed].contract == system.contract
    found = _decoded(feeds[feed], messages, tmp_path)
    for one, other in zip(found, expected, strict=False):
        assert one == other
    assert len(found) == len(expected)


@pytest.mark.parametrize("feed", _SPEAKING)
def test_few_messages_come_twice(feed: str, world: World) -> None:
    system = town.systems(world)[feed]
    end = _START + 60 * DAY
    messages = list(system.messages(_START, end))
    payloads = [(m.topic, m.payload) for m in messages]
    twice = len(payloads) - len(set(payloads))
    # Two in a thousand: ten times as many would be a defect, none at all as well, where there are enough of them.
    assert twice <= 0.02 * len(payloads)
    assert twice > 0 or len(payloads) < 3_000


def _complete(table: pa.Table, contract: str) -> list[dict[str, Any]]:
    schema = history.arrow_schema(contract)
    own = set(table.column_names)
    columns = [table[f.name].cast(f.type) if f.name in own else pa.nulls(table.num_rows, f.type) for f in schema]
    rows: list[dict[str, Any]] = pa.table(columns, schema=schema).to_pylist()
    return rows


def _decoded(feed: Feed, messages: list[Message], workdir: Path) -> list[dict[str, Any]]:
    """Return what the platform stores of messages, in their order, and assert that it refuses none."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        staged = stage_feed(con, feed, [_received(i, m) for i, m in enumerate(messages)], number=0, workdir=workdir)
        assert con.execute(f"SELECT * FROM {staged.rejects}").fetchall() == []
        (rows,) = (p.rows for p in staged.parts if p.contract.name == feed.contract)
        columns = ", ".join(CONTRACTS[feed.contract].columns)
        found: list[dict[str, Any]] = con.execute(f"SELECT {columns} FROM {rows} ORDER BY _position, rowid").to_arrow_table().to_pylist()
    return found


def _received(number: int, m: Message) -> Received:
    """A message as the broker hands it over; over HTTP its topic is the path, with the query."""
    topic = m.topic or (m.path or f"/ingest/{m.feed}").lstrip("/")
    return Received(number, m.feed, topic, m.payload, m.sent_at * 1_000_000)


def test_history_lands_without_a_rejection(world: World, feeds: dict[str, Feed], tmp_path: Path, extension_directory: Path) -> None:
    """By the way that canonical files take: what a decoder may store, history may too."""
    end = _START + DAY
    files = history.write(world, tmp_path, instant(_START), instant(end))
    for feed in town.SYSTEMS:
        (path,) = files.canonical[feed]
        read = canonical_feed(feeds[feed], pq.read_schema(path).names)
        seen = preview(read, path, extension_directory=extension_directory)
        assert seen.rejects == [], feed
        assert seen.received == files.rows[feed], feed


def test_all_that_speaks_is_described(world: World, feeds: dict[str, Feed], tmp_path: Path) -> None:
    """By the inventories, or by its own messages, which name what it is part of."""
    path = inventory.write_equipment(world, tmp_path)
    with duckdb.connect() as con:
        listed = con.execute(f"SELECT asset_ref FROM read_csv('{path}', all_varchar = true)").fetchall()
    refs = [ref for (ref,) in listed]
    assert len(set(refs)) == len(refs)
    known = {*refs, *(world.territory.light_ref(int(i)) for i in world.territory.remote), *(c.ref for c in world.territory.cabinets)}
    for feed in _SPEAKING:
        system = town.systems(world)[feed]
        described = _described(feeds[feed], list(system.messages(_START, _START + DAY)), tmp_path / feed)
        told = {ref for table in system.tables(_START, _START + DAY) for ref in table["asset_ref"].to_pylist()}
        assert told <= known | set(described), feed
        assert set(described.values()) <= known, feed


def _described(feed: Feed, messages: list[Message], workdir: Path) -> dict[str, str]:
    """Return the assets that messages describe, and the parent of each."""
    workdir.mkdir()
    with duckdb.connect() as con:
        staged = stage_feed(con, feed, [_received(i, m) for i, m in enumerate(messages)], number=0, workdir=workdir)
        rows = [p.rows for p in staged.parts if p.contract.name == "asset"]
        return {ref: parent for r in rows for ref, parent in con.execute(f"SELECT DISTINCT asset_ref, parent_ref FROM {r}").fetchall()}
