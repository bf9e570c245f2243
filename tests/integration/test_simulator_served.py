"""A simulated outside world is pulled into a lake: rows land once, asked twice brings nothing new, silence is a failure that says so.

Here: the connectors against the served world, landing. Not here: the rows themselves (`tests/unit/test_simulator_asked`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingestion.connectors import fetch
from ingestion.connectors.model import FetchFailed, Limits
from ingestion.contracts.canonical import CONTRACTS
from ingestion.feeds.model import Feed, RestConnector
from ingestion.lake.writer import Landed
from ingestion.simulator import served, town
from ingestion.simulator.clock import DAY, HOUR, seconds
from ingestion.simulator.scenarios import Scenario
from ingestion.simulator.world import World
from tests.lakes import Lakes
from tests.outside import Outside

pytest_plugins = ("tests.lakes", "tests.outside")

_NOW = seconds(dt.datetime(2026, 2, 24, 15, tzinfo=dt.UTC))
_LIMITS = Limits(attempts=1, timeout_seconds=10, backoff_seconds=0.01)
_FEEDS = (*sorted(served.asked(World(100, 3))), *served.dropped(World(100, 3)))


def _pull(lakes: Lakes, feed: Feed, folder: Path, cursor: dict[str, Any] | None) -> list[tuple[Landed, dict[str, Any] | None]]:
    folder.mkdir()
    found = fetch(feed, secrets=lambda name: name, workdir=folder, cursor=cursor, paths=None, limits=_LIMITS)
    return [(lakes.land(feed, one.path, origin=one.origin, cursor=one.cursor), one.cursor) for one in found]


def _world() -> World:
    return World(800, 8, scenarios=(Scenario("flood", _NOW - 6 * HOUR),))


def _recent(feed: Feed) -> Feed:
    """Return a contract that begins a day ago: a month of it would only take longer."""
    connector = feed.connector
    if not isinstance(connector, RestConnector) or connector.window is None:
        return feed
    initial = dt.datetime.fromtimestamp(_NOW - DAY, dt.UTC).isoformat()
    window = connector.window.model_copy(update={"initial": initial, "span": None, "end_param": None})
    return feed.model_copy(update={"connector": connector.model_copy(update={"window": window})})


@pytest.mark.parametrize("name", _FEEDS)
def test_a_pull_lands_rows_once_and_a_second_one_nothing_new(
    name: str, lakes: Lakes, outside: Callable[[World], Outside], tmp_path: Path
) -> None:
    world = _world()
    server = outside(world)
    server.now = _NOW
    served.drop(world, tmp_path, _NOW - DAY, _NOW)
    feed = _recent(server.feed(name, tmp_path))
    first = _pull(lakes, feed, tmp_path / "first", None)
    assert sum(one.stored for one, _ in first) == sum(one.received for one, _ in first) > 0
    assert sum(one.rejected + one.rejected_values for one, _ in first) == 0
    contract = CONTRACTS[feed.contract]
    keys = ", ".join(contract.key)
    rows, different = lakes.query(f"SELECT count(*), count(DISTINCT ({keys})) FROM lake.raw.{contract.name} WHERE feed = ?", [name])[0]
    assert rows == different > 0
    second = _pull(lakes, feed, tmp_path / "second", first[-1][1])
    assert sum(one.stored for one, _ in second) == 0
    assert lakes.query(f"SELECT count(*) FROM lake.raw.{contract.name} WHERE feed = ?", [name]) == [(rows,)]


def test_a_history_and_what_is_pulled_after_it_agree(lakes: Lakes, outside: Callable[[World], Outside], tmp_path: Path) -> None:
    """What history told of gauges and stations is what they answer: pulled after it, it is nothing new."""
    world = _world()
    server = outside(world)
    server.now = _NOW
    for name in ("sim-rivieres", "sim-meteo"):
        feed = _recent(server.feed(name, tmp_path))
        path = tmp_path / f"{name}.parquet"
        tables = list(town.systems(world)[name].tables(_NOW - DAY - 8 * HOUR, _NOW + 1))
        with pq.ParquetWriter(path, tables[0].schema, store_schema=False) as writer:
            for table in tables:
                writer.write_table(table)
        lakes.land(feed, path, canonical=True)
        told = lakes.query("SELECT count(*) FROM lake.raw.observation WHERE feed = ?", [name])
        assert sum(one.received for one, _ in _pull(lakes, feed, tmp_path / f"{name}-pulled", None)) > 0
        assert lakes.query("SELECT count(*) FROM lake.raw.observation WHERE feed = ?", [name]) == told


def test_a_world_that_is_silent_is_a_failure_that_says_so(lakes: Lakes, outside: Callable[[World], Outside], tmp_path: Path) -> None:
    server = outside(_world())
    feed = server.feed("sim-meteo", tmp_path)
    server.close()
    with pytest.raises(FetchFailed, match=r"127\.0\.0\.1:\d+/sim-meteo/v1\.1/Observations: ConnectionError"):
        _pull(lakes, feed, tmp_path / "silent", None)
    assert lakes.query("SELECT count(*) FROM lake.raw.landing") == [(0,)]
