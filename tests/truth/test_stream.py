"""What is spoken to the real ports becomes the rows of history: two ways into the lake, one content.

Here: some hours of a small town over MQTT and HTTP, read by the stream's own reader. Not here: kills (`tests/faults`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from ingestion.contracts.canonical import CONTRACTS
from ingestion.feeds.registry import valid_feeds
from ingestion.lake.session import EngineLimits, connect
from ingestion.simulator import history, inventory, town
from ingestion.simulator.clock import seconds
from ingestion.simulator.live import Endpoints, speak
from ingestion.simulator.wire import Wire
from ingestion.simulator.world import World
from ingestion.stream.names import PARTITIONS
from ingestion.stream.partition import Pace, read_partitions
from orchestration.services.prepare import prepare
from orchestration.settings import Settings
from tests.stream_instance import StreamInstance

pytest_plugins = ("tests.stream_instance",)

# A Tuesday's working hours: all systems that speak, and people who write, call and repair.
SINCE = dt.datetime(2026, 3, 3, 6, tzinfo=dt.UTC)
UNTIL = SINCE + dt.timedelta(hours=6)
LIGHTS = 2_000
LIMITS = EngineLimits(memory_limit="512MB", threads=2)
# Other systems whose records are a row each; of the rest a record is several.
ONE_ROW_EACH = frozenset(("sim-acces", "sim-carrefours", "sim-flotte"))
# Once through what waits: everything was acknowledged before.
ONCE = Pace(idle_for_s=0)


@pytest.mark.timeout(400)
def test_what_is_spoken_to_the_ports_becomes_the_rows_of_history(
    instance: Settings, stream_instance: StreamInstance, tmp_path: Path
) -> None:
    world = World(LIGHTS)
    files = history.write(world, tmp_path / "history", SINCE, UNTIL)
    inventory.write_contracts(world, instance.feeds_path)
    prepare(instance)
    stream_instance.start()
    ports = Endpoints(instance.broker_host, instance.mqtt_port, instance.intake_url, stream_instance.passwords)
    reached = asyncio.run(speak(world, ports, since=SINCE, until=UNTIL, speed=math.inf, stop=lambda: False))
    spoken = Counter(m.feed for m in Wire(world).messages(seconds(SINCE), seconds(UNTIL)))
    assert (reached.sent_until, reached.messages) == (UNTIL, spoken.total())
    feeds = {feed.feed: feed for feed in valid_feeds(instance.feeds_path)}
    read_partitions(instance.broker, instance.lake, instance.personal_lake, lambda: feeds, range(PARTITIONS), pace=ONCE, limits=LIMITS)
    with connect(instance.lake, limits=LIMITS, read_only=True) as con:
        for feed in spoken:
            paths = files.canonical[feed]
            contract = feeds[feed].contract
            columns = ", ".join(CONTRACTS[contract].columns)
            with duckdb.connect() as own:
                own.execute("SET TimeZone = 'UTC'")
                sent = own.execute(f"SELECT DISTINCT {columns} FROM read_parquet(?) ORDER BY ALL", [[str(p) for p in paths]]).fetchall()
            assert sent, feed
            stored = con.execute(f"SELECT {columns} FROM lake.raw.{contract} WHERE feed = ? ORDER BY ALL", [feed]).fetchall()
            assert stored == sent, feed
            # What was sent twice is counted, once stored.
            (account,) = con.execute(
                "SELECT sum(received), sum(stored), sum(duplicate), sum(rejected) FROM lake.raw.landing WHERE feed = ?", [feed]
            ).fetchall()
            received, kept, duplicate, rejected = (int(n) for n in account)
            assert (received, rejected) == (kept + duplicate, 0), feed
            if feed not in town.SYSTEMS or feed in ONE_ROW_EACH:
                assert (received, kept) == (files.rows[feed], len(sent)), feed
