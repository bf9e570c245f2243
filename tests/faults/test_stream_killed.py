"""Readers of the stream killed at random while messages flow: the lake holds each message once."""

from __future__ import annotations

import asyncio
import json
import pickle
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import aiomqtt
import pytest

from ingestion.stream import broker as streams
from ingestion.stream.names import MQTT_STREAM, PARTITIONS
from tests.effort import times
from tests.integration.test_stream_landing import METERS, meters
from tests.lakes import Lakes
from tests.streams import StreamServer

pytest_plugins = ("tests.lakes", "tests.streams")

MESSAGES: Final = times(20_000, thorough=100_000)
KILLS: Final = times(6, thorough=20)
METERS_COUNT: Final = 200
IN_FLIGHT: Final = 500


def payload(number: int) -> tuple[str, bytes]:
    """One reading: the meter and the hour say which message it is."""
    meter, hour = number % METERS_COUNT, number // METERS_COUNT
    start = f"{2020 + hour // 8000}-{1 + (hour // 24) % 28 % 12:02d}-{1 + (hour // 24) % 28:02d}T{hour % 24:02d}:00:00Z"
    document = {"compteur": f"m{meter}-{hour}", "mesures": [{"debut": start, "fin": start.replace(":00:00Z", ":30:00Z"), "wh": number}]}
    return f"compteurs/m{meter}", json.dumps(document).encode()


def publish_all(server: StreamServer, done: threading.Event) -> None:
    async def main() -> None:
        waiting = asyncio.Semaphore(IN_FLIGHT)
        async with aiomqtt.Client(
            server.host, server.mqtt_port, username="compteurs", password=server.passwords["compteurs"], max_inflight_messages=IN_FLIGHT
        ) as client:

            async def one(number: int) -> None:
                async with waiting:
                    await client.publish(*payload(number), qos=1, timeout=120)

            for first in range(0, MESSAGES, 5_000):
                await asyncio.gather(*(one(n) for n in range(first, min(first + 5_000, MESSAGES))))

    try:
        asyncio.run(main())
    finally:
        done.set()  # what went wrong is an unhandled exception of a thread, which fails the test


@pytest.mark.timeout(900)  # the messages take a minute to publish on a loaded machine, each reader two seconds to start
def test_each_message_stands_once_after_many_kills(stream_server: StreamServer, lakes: Lakes, tmp_path: Path) -> None:
    assert METERS  # the contract of the integration tests
    feed = meters(lakes)
    stream_server.add_feed("compteurs", ["compteurs/+"])
    stream_server.run(streams.ensure, ack_wait_s=3.0)
    configuration = tmp_path / "configuration"
    configuration.write_bytes(pickle.dumps((stream_server.broker, lakes.main, lakes.personal, {"compteurs": feed})))

    def reader(partition: int) -> subprocess.Popen[bytes]:
        log = (tmp_path / f"reader-{partition}.log").open("ab")
        command = [sys.executable, "-m", "tests.faults.stream_reader", str(configuration), str(partition)]
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).resolve().parents[2])

    published = threading.Event()
    publisher = threading.Thread(target=publish_all, args=(stream_server, published), daemon=True)
    publisher.start()
    readers = {p: reader(p) for p in range(PARTITIONS)}
    chance = random.Random(7)
    kills = 0
    try:
        while not (published.is_set() and kills == KILLS and all(r.poll() is not None for r in readers.values())):
            time.sleep(chance.uniform(0.5, 4.0) if kills < KILLS else 0.2)
            if kills < KILLS:
                victim = chance.randrange(PARTITIONS)
                readers[victim].kill()
                readers[victim].wait()
                kills += 1
                readers[victim] = reader(victim)
            for p, process in readers.items():
                if process.poll() is None:
                    continue
                assert process.returncode == 0, (tmp_path / f"reader-{p}.log").read_text()[-3000:]
                if not published.is_set() or kills < KILLS:
                    readers[p] = reader(p)
    finally:
        for process in readers.values():
            process.kill()
            process.wait()

    # What a killed reader held came again only if somebody was there to take it.
    assert all(lag.pending == lag.unacknowledged == 0 for lag in stream_server.run(streams.lag))
    assert lakes.query("SELECT count(*), count(DISTINCT stream_seq) FROM lake.raw.message WHERE stream = ?", [MQTT_STREAM]) == [
        (MESSAGES, MESSAGES)
    ]
    assert lakes.query("SELECT count(*), count(DISTINCT meter_ref), sum(energy_wh) FROM lake.raw.energy_reading") == [
        (MESSAGES, MESSAGES, float(MESSAGES * (MESSAGES - 1) // 2))
    ]
    assert lakes.query("SELECT sum(received), sum(stored), sum(duplicate), sum(rejected) FROM lake.raw.landing") == [
        (MESSAGES, MESSAGES, 0, 0)
    ]
