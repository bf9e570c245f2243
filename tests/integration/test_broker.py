"""The broker's streams: who may send what, what becomes of it, what is kept, on a real broker."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import aiomqtt
import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from ingestion.errors import VigieError
from ingestion.stream import broker as streams
from ingestion.stream.names import INTAKE_STREAM, MQTT_HEADER, MQTT_STREAM, PARTITIONS, STREAMS, Broker, durable, feed_and_topic
from tests.streams import StreamServer

pytest_plugins = ("tests.streams",)

Stored = dict[tuple[str, str], list[bytes]]


def publish(server: StreamServer, feed: str, *messages: tuple[str, bytes, int], client: str = "device") -> None:
    """Publish (topic, payload, QoS) as a feed's device; return once each is acknowledged."""

    async def main() -> None:
        async with aiomqtt.Client(
            server.host, server.mqtt_port, username=feed, password=server.passwords[feed], identifier=client, timeout=10
        ) as mqtt:
            for topic, payload, qos in messages:
                await mqtt.publish(topic, payload, qos=qos)

    asyncio.run(main())


async def drain(nc: Client, stream: str) -> list[tuple[int, Any]]:
    """Fetch and acknowledge all that waits in a stream's durables: (partition, message)."""
    js = nc.jetstream()
    found = []
    for partition in range(PARTITIONS):
        reader = await js.pull_subscribe_bind(durable("lake", partition), stream)
        waiting = (await reader.consumer_info()).num_pending or 0
        while waiting:
            messages = await reader.fetch(min(waiting, 5_000), timeout=10)
            for message in messages:
                await message.ack_sync()
            found += [(partition, message) for message in messages]
            waiting -= len(messages)
    return found


def stored(server: StreamServer, stream: str) -> Stored:
    """Drain a stream: (feed, topic) to payloads in order."""
    found: Stored = {}
    for _, message in server.run(drain, stream):
        found.setdefault(feed_and_topic(message.subject), []).append(message.data)
    return found


def test_the_whole_topic_comes_back_whatever_the_filter(stream_server: StreamServer) -> None:
    stream_server.add_feed("lights", ["lights/#", "cab/+/lamp/+/state", "v1.0/+/up"])
    topics = ["lights", "lights/a", "lights/a.b/c d".replace(" ", "_"), "cab/7.1/lamp/12/state", "v1.0/x/up"]
    publish(stream_server, "lights", *((topic, topic.encode(), 1) for topic in topics))
    assert stored(stream_server, MQTT_STREAM) == {("lights", topic): [topic.encode()] for topic in topics}


def test_messages_of_one_topic_stay_in_order_in_one_partition_and_topics_spread(stream_server: StreamServer) -> None:
    stream_server.add_feed("lights", ["lights/+/state"])
    sent = [(f"lights/{i % 40}/state", b"%d" % i, 1) for i in range(200)]
    publish(stream_server, "lights", *sent)
    partitions: dict[str, set[int]] = {}
    payloads: dict[str, list[int]] = {}
    for partition, message in stream_server.run(drain, MQTT_STREAM):
        _, topic = feed_and_topic(message.subject)
        partitions.setdefault(topic, set()).add(partition)
        payloads.setdefault(topic, []).append(int(message.data))
    assert all(len(found) == 1 for found in partitions.values())
    assert set().union(*partitions.values()) == set(range(PARTITIONS))
    assert payloads == {f"lights/{n}/state": list(range(n, 200, 40)) for n in range(40)}


def test_qos_0_stands_in_the_intake_and_qos_1_in_both(stream_server: StreamServer) -> None:
    stream_server.add_feed("lights", ["lights/#"])
    publish(stream_server, "lights", ("lights/a", b"zero", 0), ("lights/a", b"one", 1))
    assert stored(stream_server, MQTT_STREAM) == {("lights", "lights/a"): [b"one"]}
    found = [(message.headers[MQTT_HEADER], message.data) for _, message in stream_server.run(drain, INTAKE_STREAM)]
    assert found == [("0", b"zero"), ("1", b"one")]


def test_a_feed_reaches_its_own_topics_only_and_reads_nothing(stream_server: StreamServer) -> None:
    stream_server.add_feed("lights", ["lights/#"])
    stream_server.add_feed("bins", ["bins/#"])
    publish(stream_server, "lights", ("bins/1", b"x", 1), ("in/0/bins/1", b"x", 1), ("in/99/lights/1", b"x", 1), ("http/bins/1", b"x", 1))
    assert stored(stream_server, MQTT_STREAM) == stored(stream_server, INTAKE_STREAM) == {}
    assert stream_server.log.read_text().count("Publish Violation") == 4

    async def listen() -> Any:
        async with aiomqtt.Client(
            stream_server.host, stream_server.mqtt_port, username="lights", password=stream_server.passwords["lights"], identifier="spy"
        ) as mqtt:
            return await mqtt.subscribe("lights/#")

    assert [code.is_failure for code in asyncio.run(listen())] == [True]


def test_qos_2_is_refused(stream_server: StreamServer) -> None:
    stream_server.add_feed("lights", ["lights/#"])
    with pytest.raises(aiomqtt.MqttError):
        publish(stream_server, "lights", ("lights/a", b"two", 2))
    assert stored(stream_server, MQTT_STREAM) == {}


def test_a_feed_joins_and_changes_topics_while_connections_stay(stream_server: StreamServer) -> None:
    stream_server.add_feed("lights", ["lights/#"])

    async def main() -> None:
        async with aiomqtt.Client(
            stream_server.host, stream_server.mqtt_port, username="lights", password=stream_server.passwords["lights"], identifier="old"
        ) as mqtt:
            await mqtt.publish("lights/a", b"before", qos=1)
            await asyncio.to_thread(stream_server.add_feed, "bins", ["bins/+"])
            await mqtt.publish("lights/a", b"after", qos=1)

    asyncio.run(main())
    publish(stream_server, "bins", ("bins/1", b"full", 1))
    assert stored(stream_server, MQTT_STREAM) == {("lights", "lights/a"): [b"before", b"after"], ("bins", "bins/1"): [b"full"]}


def test_a_new_password_closes_connections_made_with_the_old_one(stream_server: StreamServer) -> None:
    stream_server.add_feed("lights", ["lights/#"])
    stream_server.add_feed("bins", ["bins/#"])

    def client(feed: str) -> aiomqtt.Client:
        return aiomqtt.Client(
            stream_server.host, stream_server.mqtt_port, username=feed, password=stream_server.passwords[feed], identifier=feed, timeout=10
        )

    async def until_closed() -> None:
        async with client("lights") as mqtt:
            await mqtt.publish("lights/a", b"before", qos=1)
            stream_server.users["lights"] = replace(stream_server.users["lights"], password="another")
            await asyncio.to_thread(stream_server.reload)
            for _ in range(1_000):
                await mqtt.publish("lights/a", b"after", qos=1)

    async def main() -> None:
        async with client("bins") as other:
            with pytest.raises(aiomqtt.MqttError):
                await until_closed()
            await other.publish("bins/1", b"stays", qos=1)

    asyncio.run(main())
    found = stored(stream_server, MQTT_STREAM)
    assert found[("bins", "bins/1")] == [b"stays"]
    assert found[("lights", "lights/a")][0] == b"before"
    assert len(found[("lights", "lights/a")]) < 1_000


def test_ensure_changes_nothing_that_stands_and_mends_what_differs(stream_server: StreamServer) -> None:
    async def shape(nc: Client) -> list[Any]:
        js = nc.jetstream()
        infos = [await js.stream_info(stream) for stream in STREAMS]
        return [(i.config, i.created, [(c.name, c.created, c.config) for c in await js.consumers_info(i.config.name)]) for i in infos]

    async def widen(nc: Client) -> None:
        js = nc.jetstream()
        await js.update_stream(StreamConfig(**{**(await js.stream_info(INTAKE_STREAM)).config.__dict__, "max_bytes": 1_000_000}))
        await js.delete_consumer(MQTT_STREAM, "lake-2")

    before = stream_server.run(shape)
    stream_server.run(streams.ensure)
    assert stream_server.run(shape) == before
    assert [len(consumers) for _, _, consumers in before] == [PARTITIONS, PARTITIONS]
    assert {config.max_bytes for config, _, _ in before} == {int(1024**3 * 0.45)}
    stream_server.run(widen)
    stream_server.run(streams.ensure)
    mended = stream_server.run(shape)
    assert [config.max_bytes for config, _, _ in mended] == [config.max_bytes for config, _, _ in before]
    assert [name for name, _, _ in mended[0][2]] == [f"lake-{p}" for p in range(PARTITIONS)]


def test_lag_counts_what_waits_and_what_is_not_acknowledged(stream_server: StreamServer) -> None:
    stream_server.add_feed("lights", ["lights/#"])
    publish(stream_server, "lights", *(("lights/a", b"%d" % i, 1) for i in range(5)))

    async def take_two(nc: Client, partition: int) -> None:
        reader = await nc.jetstream().pull_subscribe_bind(durable("lake", partition), MQTT_STREAM)
        first, _ = await reader.fetch(2, timeout=10)
        await first.ack_sync()

    (busy,) = [lag for lag in stream_server.run(streams.lag) if lag.stream == MQTT_STREAM and lag.pending]
    assert (busy.pending, busy.unacknowledged) == (5, 0)
    stream_server.run(take_two, busy.partition)
    (now,) = [lag for lag in stream_server.run(streams.lag) if lag.stream == MQTT_STREAM and lag.pending]
    assert (now.pending, now.unacknowledged, now.partition) == (3, 1, busy.partition)
    assert busy.oldest_at is not None
    assert now.oldest_at is not None
    assert now.oldest_at > busy.oldest_at
    assert all(lag.oldest_at is None for lag in stream_server.run(streams.lag) if lag.partition != busy.partition)


def test_what_was_acknowledged_survives_a_kill(stream_server: StreamServer) -> None:
    stream_server.add_feed("lights", ["lights/#"])
    publish(stream_server, "lights", ("lights/a", b"kept", 1))
    stream_server.kill()
    stream_server.start()
    assert stored(stream_server, MQTT_STREAM) == {("lights", "lights/a"): [b"kept"]}
    publish(stream_server, "lights", ("lights/a", b"next", 1))
    assert stored(stream_server, MQTT_STREAM) == {("lights", "lights/a"): [b"next"]}


def test_a_broker_that_is_away_or_refuses_is_told_without_the_password(stream_server: StreamServer) -> None:
    async def attempt(broker: Broker, *, reconnects: bool) -> None:
        await (await streams.connect(broker, reconnects=reconnects)).close()

    wrong = Broker(stream_server.broker.url, stream_server.broker.user, "s3cret-guess")
    for reconnects in (True, False):
        with pytest.raises(VigieError, match="Authorization") as refused:
            asyncio.run(attempt(wrong, reconnects=reconnects))
        assert "s3cret" not in str(refused.value)
    stream_server.stop()
    with pytest.raises(VigieError, match=r"does not let vigie in: .*Connect call failed"):
        asyncio.run(attempt(stream_server.broker, reconnects=True))
