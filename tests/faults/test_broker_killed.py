"""The broker killed again and again while devices and systems publish: nothing that was acknowledged to them is lost."""

from __future__ import annotations

import asyncio
import http.client
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Final

import aiomqtt
import pytest
from nats.aio.client import Client

from ingestion.stream import broker as streams
from ingestion.stream.names import INTAKE_STREAM, MQTT_HEADER, MQTT_STREAM, PARTITIONS, durable
from tests.effort import times
from tests.stream_instance import StreamInstance

pytest_plugins = ("tests.stream_instance",)

KILLS: Final = times(20, thorough=100)
# Publications of one device under way at once: a kill then finds some stored and not acknowledged, and the reverse if it can be.
_WINDOW: Final = 8
# A device or system waits this long for an answer before it sends again.
_PATIENCE_S: Final = 10


@dataclass
class Sender:
    """Sends numbered messages, each again and again until it is acknowledged; at least once.

    Attributes:
        name: what its messages begin with.
        acknowledged: those that were; what the test looks for.
        sent: how many times one was sent.
    """

    name: str
    instance: StreamInstance
    stop: threading.Event
    acknowledged: set[bytes] = field(default_factory=set)
    sent: int = 0
    numbers: int = 0

    def next(self) -> bytes:
        self.numbers += 1
        return f"{self.name}-{self.numbers}".encode()


class Device(Sender):
    """Over MQTT, QoS 1."""

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        waiting: list[bytes] = []
        while not self.stop.is_set():
            try:
                async with aiomqtt.Client(
                    self.instance.host, self.instance.mqtt_port, username="lights", password=self.instance.passwords["lights"],
                    identifier=self.name, timeout=_PATIENCE_S,
                ) as mqtt:  # fmt: skip
                    while not self.stop.is_set():
                        waiting += [self.next() for _ in range(_WINDOW - len(waiting))]
                        results = await asyncio.gather(*(self._publish(mqtt, message) for message in waiting), return_exceptions=True)
                        failed = [error for error in results if error is not None]
                        waiting = [message for message in waiting if message not in self.acknowledged]
                        if failed:
                            break
            except (aiomqtt.MqttError, OSError):
                await asyncio.sleep(0.01)  # the broker is away: a device tries again

    async def _publish(self, mqtt: aiomqtt.Client, message: bytes) -> None:
        self.sent += 1
        await mqtt.publish(f"lights/{message[-1] - 48}/state", message, qos=1)
        self.acknowledged.add(message)


class System(Sender):
    """Over HTTP, through the intake."""

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self.instance.passwords['lights']}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.instance.host, self.instance.settings.intake_port, timeout=_PATIENCE_S)
        message = self.next()
        while not self.stop.is_set():
            self.sent += 1
            try:
                connection.request("POST", "/ingest/lights", message, headers | {"X-Partition-Key": str(message[-1] - 48)})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            if answer.status == http.client.ACCEPTED:
                self.acknowledged.add(message)
                message = self.next()
            else:
                assert answer.status in {429, 503}, answer.status
                time.sleep(0.02)
        connection.close()


async def _drain(nc: Client, stream: str) -> list[tuple[bytes, bool]]:
    """Take and acknowledge all that a stream's durables hold: (message, whether it came over MQTT)."""
    js = nc.jetstream()
    found: list[tuple[bytes, bool]] = []
    for partition in range(PARTITIONS):
        reader = await js.pull_subscribe_bind(durable("lake", partition), stream)
        while (await reader.consumer_info()).num_pending:
            messages = await reader.fetch(5_000, timeout=5)
            for message in messages:
                await message.ack()
            found += [(message.data, MQTT_HEADER in (message.headers or {})) for message in messages]
        await nc.flush()
    return found


@pytest.mark.timeout(600)  # up to a hundred starts of the broker on a machine that may be busy
def test_nothing_acknowledged_is_lost_over_many_kills(stream_instance: StreamInstance) -> None:
    stream_instance.write_contract("lights", ["lights/+/state"])
    stream_instance.start()
    stop = threading.Event()
    devices = [Device(f"device{n}", stream_instance, stop) for n in range(2)]
    systems = [System(f"system{n}", stream_instance, stop) for n in range(2)]
    threads = [threading.Thread(target=sender.run) for sender in (*devices, *systems)]
    chance = random.Random(20261122)
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            # From "hardly up" to "the intake is connected again and all publish".
            time.sleep(chance.uniform(0.02, 1.5))
            stream_instance.kill_broker()
            stream_instance.start_broker()
        stream_instance.until(lambda: stream_instance.get("/health").status == 200, "the intake is well again")
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)

    from_mqtt = asyncio.run(_drained(stream_instance, MQTT_STREAM))
    from_intake = asyncio.run(_drained(stream_instance, INTAKE_STREAM))
    by_device = {message for message, _ in from_mqtt}
    by_system = {message for message, is_mqtt in from_intake if not is_mqtt}
    acknowledged = [set().union(*(sender.acknowledged for sender in senders)) for senders in (devices, systems)]
    copies = {message for message, is_mqtt in from_intake if is_mqtt}
    print(
        f"{KILLS} kills; MQTT: {sum(d.sent for d in devices)} sent, {len(acknowledged[0])} acknowledged, {len(from_mqtt)} stored; "
        f"HTTP: {sum(s.sent for s in systems)} sent, {len(acknowledged[1])} acknowledged, "
        f"{sum(not is_mqtt for _, is_mqtt in from_intake)} stored; "
        f"acknowledged over MQTT and missing from the capture: {len(acknowledged[0] - copies)}"
    )
    assert min(len(sender.acknowledged) for sender in (*devices, *systems)) > 5 * KILLS, "too little was sent to prove anything"
    assert acknowledged[0] - by_device == set()
    assert acknowledged[1] - by_system == set()


async def _drained(instance: StreamInstance, stream: str) -> list[tuple[bytes, bool]]:
    nc = await streams.connect(instance.broker, reconnects=False)
    try:
        return await _drain(nc, stream)
    finally:
        await nc.close()
