"""A full disk stops the intake with a clear state, loses nothing acknowledged, and ends by itself once there is room.

The test runs itself again inside a mount namespace of its own, where the home is a small file system in memory.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import aiomqtt
import pytest

from ingestion.stream import broker as streams
from ingestion.stream.names import INTAKE_STREAM, MQTT_HEADER, MQTT_STREAM, PARTITIONS, durable
from orchestration.services import nats_server
from orchestration.settings import create_local
from tests.conftest import ROOT
from tests.stream_instance import StreamInstance

SMALL_DISK = "SMALL_DISK"
_DISK_MB = 220
_BALLAST_MB = 195
_MESSAGE = 100_000


def test_a_full_disk_stops_the_intake_and_room_starts_it(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--map-root-user", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a mount namespace")
    script = f'mount -t tmpfs -o size={_DISK_MB}m tmpfs "$0" && exec "$@"'
    command = [sys.executable, "-m", "pytest", __file__, "-q", "-p", "no:cacheprovider", "-k", "on_a_small_disk"]
    done = subprocess.run(
        [unshare, "--map-root-user", "--mount", "sh", "-c", script, str(tmp_path), *command],
        cwd=ROOT, env=os.environ | {SMALL_DISK: str(tmp_path)}, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "1 passed" in done.stdout


@pytest.mark.skipif(SMALL_DISK not in os.environ, reason="the test above runs it, on a small disk")
def test_on_a_small_disk() -> None:
    disk = Path(os.environ[SMALL_DISK])
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(_BALLAST_MB * 1024 * 1024))
    instance = StreamInstance(create_local(disk / "home"))
    instance.write_contract("lights", ["lights/#"])
    try:
        instance.start()
        _fill_and_recover(instance, ballast)
    finally:
        instance.stop()


def _fill_and_recover(instance: StreamInstance, ballast: Path) -> None:
    acknowledged = {_publish(instance, 0)}
    http = set()
    for number in range(1, _DISK_MB * 10):
        answer = instance.post("lights", _message(number))
        if answer.status != 202:
            break
        http.add(number)
    assert answer.status == 503
    assert len(http) > 20, "the disk was full before it was filled"
    instance.until(lambda: instance.get("/health").status == 503, "health says so")
    instance.until(lambda: "no space left" in str(nats_server.health(instance.settings)), "the broker says why")
    instance.until(lambda: "no space left" in str(instance.get("/health").document.get("error")), "health says why")
    with pytest.raises(aiomqtt.MqttError):
        _publish(instance, -1)

    assert nats_server.heal(instance.settings) is None, "there is no room yet"
    assert instance.broker_process is not None
    assert instance.broker_process.poll() is None
    ballast.unlink()
    # The intake sees that there is room, and ends the broker; its supervisor starts it again.
    instance.until(lambda: instance.broker_process is not None and instance.broker_process.poll() is not None, "the broker is ended")
    instance.start_broker()
    instance.until(lambda: instance.post("lights", _message(10_000)).status == 202, "it stores again")
    acknowledged.add(_publish(instance, 1))
    instance.until(lambda: instance.get("/health").status == 200, "health says so")
    assert asyncio.run(_numbers(instance, MQTT_STREAM)) >= acknowledged
    assert asyncio.run(_numbers(instance, INTAKE_STREAM)) >= http | {10_000}


def _message(number: int) -> bytes:
    return b"%d " % number + b"x" * _MESSAGE


def _publish(instance: StreamInstance, number: int) -> int:
    async def main() -> int:
        async with aiomqtt.Client(
            instance.host, instance.mqtt_port, username="lights", password=instance.passwords["lights"], identifier="d", timeout=3
        ) as mqtt:
            await mqtt.publish("lights/a", _message(number), qos=1)
        return number

    return asyncio.run(main())


async def _numbers(instance: StreamInstance, stream: str) -> set[int]:
    nc = await streams.connect(instance.broker, reconnects=False)
    found = set()
    deadline = time.monotonic() + 60
    for partition in range(PARTITIONS):
        reader = await nc.jetstream().pull_subscribe_bind(durable("lake", partition), stream)
        while (await reader.consumer_info()).num_pending:
            assert time.monotonic() < deadline
            for message in await reader.fetch(20, timeout=10):
                await message.ack()
                if stream == MQTT_STREAM or MQTT_HEADER not in (message.headers or {}):
                    found.add(int(message.data.split(b" ")[0]))
    await nc.close()
    return found
