"""The broker's streams and durables: connecting, making sure that they stand, how far the readers are behind.

Here: what is asked of JetStream, idempotently. Not here: names (`names`), the broker's process and configuration
(`orchestration.services`), pulling and landing.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoServersError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from ingestion.errors import VigieError
from ingestion.stream.names import (
    ALERTS,
    INTAKE_STREAM,
    LANDED_DURABLE,
    LANDED_ROOT,
    LANDED_STREAM,
    MQTT_STREAM,
    PARTITIONS,
    STREAMS,
    SUBJECT_ROOT,
    Broker,
    durable,
    filter_subject,
)  # fmt: skip

# Beside us or on our network: an answer takes milliseconds, on a loaded machine a second.
CONNECT_TIMEOUT_S: Final = 5.0
REQUEST_TIMEOUT_S: Final = 10.0

# A batch is fetched, decoded and committed well within it; a reader that died is replaced after it.
ACK_WAIT_S: Final = 30.0
# Delivered and not yet acknowledged, per durable: two of the largest batches, so that a reader never waits for its own acknowledgements.
MAX_ACK_PENDING: Final = 100_000
# The alerts' reader is alone, and asks for everything again at each connection: the broker need never guess that it died, and what it
# would send again on its own would only stand out of order.
ORDERED_ACK_WAIT_S: Final = 3600.0
# How long the broker remembers an `Idempotency-Key`: longer than any client goes on retrying one request.
DUPLICATE_WINDOW_S: Final = 600.0

# Each stream's share of the account's storage; the rest is for MQTT sessions and retained messages.
_STREAM_SHARE: Final = 0.45
# Reports and warnings that were fetched: a few thousand rows a day. It is read within seconds.
_LANDED_SHARE: Final = 0.05
# On a broker that bounds no account: a day of 38 messages of 1 kB per second (34,000 lights, each quarter of an hour) is 3.3 GB.
_STREAM_BYTES: Final = 8 * 1024**3


@dataclass(frozen=True)
class Lag:
    """How far a durable is behind.

    Attributes:
        stream: the stream it reads.
        consumer: whose durable it is (`lake`).
        partition: the partition it reads.
        pending: messages not delivered yet; in `INTAKE` with the copies of QoS 1 messages, which are passed over.
        unacknowledged: messages delivered, not yet acknowledged.
        oldest_at: when the broker stored the oldest of both (UTC); None when nothing waits.
    """

    stream: str
    consumer: str
    partition: int
    pending: int
    unacknowledged: int
    oldest_at: dt.datetime | None = None


@dataclass(frozen=True)
class StreamSize:
    """What a stream holds, and may hold, in bytes; it refuses when it is full."""

    stream: str
    stored_bytes: int
    max_bytes: int

    @property
    def share(self) -> float:
        """How full it is: 1 when it refuses a message of a kilobyte."""
        room = 1024
        return (self.stored_bytes + room) / self.max_bytes if self.max_bytes > 0 else 0.0


async def connect(broker: Broker, *, name: str = "vigie", reconnects: bool = True) -> Client:
    """Connect to the broker as the platform.

    Args:
        broker: where it is.
        name: what the connection is called in the broker's monitoring.
        reconnects: whether a connection that is lost later is made again, without end; the first must succeed either way.

    Raises:
        VigieError: it does not answer, or refuses the password.
    """
    met: list[Exception] = []
    try:
        # 1, because to the client 0 means without end.
        first = await asyncio.wait_for(_connected(broker, name, met, attempts=1), CONNECT_TIMEOUT_S)
        if not reconnects:
            return first
        # The client would try the first connection without end too: only once the broker has answered is it allowed to.
        await first.close()
        return await asyncio.wait_for(_connected(broker, name, met, attempts=-1), CONNECT_TIMEOUT_S)
    except (OSError, NatsError) as error:  # TimeoutError is an OSError
        told = met[-1] if met and isinstance(error, NoServersError | TimeoutError) else error
        why = str(told).removeprefix("nats: ").strip("\"'") or type(told).__name__
        raise VigieError(
            f"the broker at {broker.url} does not let {broker.user} in: {why}",
            remedy="vigie status says whether it runs, vigie logs nats what it said; server profile: check VIGIE_NATS_URL, _PASSWORD",
        ) from None


async def _connected(broker: Broker, name: str, met: list[Exception], *, attempts: int) -> Client:
    async def remember(error: Exception) -> None:
        met[:] = [error]

    return await nats.connect(
        broker.url, user=broker.user, password=broker.password, name=name, error_cb=remember, connect_timeout=int(CONNECT_TIMEOUT_S),
        allow_reconnect=attempts < 0, max_reconnect_attempts=attempts, reconnect_time_wait=0.2,
    )  # fmt: skip


async def ensure(nc: Client, *, consumers: Sequence[str] = ("lake",), ack_wait_s: float = ACK_WAIT_S) -> None:
    """Make both streams and the durables of each partition, or bring them up to date. Repeatable; processes may race.

    It must have been done once before equipment is let in: a stream keeps what somebody is to read (retention *interest*), and
    drops a message for which no durable stands, though it was acknowledged.

    Both streams refuse when they are full (discard *new*): what was acknowledged is never pushed out, nor does it grow too old.
    Messages have no bound of their own: the broker's `max_payload` is the one at the door.

    Args:
        nc: a connection of the platform's user.
        consumers: whose durables: `lake-<p>` on both streams. Those of `alerts` are read in order (`ingestion.stream.ordered`), and
            come with the stream of landed rows and its durable.
        ack_wait_s: how long a reader has to acknowledge before a message is delivered again.

    Raises:
        VigieError: JetStream is not there, or refuses.
    """
    js = nc.jetstream(timeout=REQUEST_TIMEOUT_S)
    try:
        storage = (await js.account_info()).limits.max_storage
        max_bytes = int(storage * _STREAM_SHARE) if storage > 0 else _STREAM_BYTES
        # The broker would make its own at the first MQTT session, unbounded and without our durables; it takes the one it finds.
        await _ensure_stream(js, StreamConfig(name=MQTT_STREAM, subjects=["$MQTT.msgs.>"]), max_bytes)
        intake = StreamConfig(name=INTAKE_STREAM, subjects=[f"{SUBJECT_ROOT}.>"], duplicate_window=DUPLICATE_WINDOW_S)
        await _ensure_stream(js, intake, max_bytes)
        for stream in STREAMS:
            for consumer in consumers:
                for partition in range(PARTITIONS):
                    await js.add_consumer(stream, _durable(stream, consumer, partition, ack_wait_s))
        if ALERTS in consumers:
            await _ensure_landed(js, max(1, int(max_bytes / _STREAM_SHARE * _LANDED_SHARE)))
    except (OSError, NatsError) as error:
        raise _refused(error) from None


async def _ensure_stream(js: JetStreamContext, config: StreamConfig, max_bytes: int) -> None:
    wanted: dict[str, Any] = {
        "max_bytes": max_bytes, "discard": DiscardPolicy.NEW, "max_age": 0.0, "subjects": config.subjects,
        **({"duplicate_window": config.duplicate_window} if config.duplicate_window else {}),
    }  # fmt: skip
    try:
        found = (await js.stream_info(config.name or "")).config
    except NotFoundError:
        fixed: dict[str, Any] = {"retention": RetentionPolicy.INTEREST, "storage": StorageType.FILE, "num_replicas": 1}
        await js.add_stream(replace(config, **fixed, **wanted))
        return
    if any(getattr(found, key) != value for key, value in wanted.items()):
        await js.update_stream(replace(found, **wanted))


async def _ensure_landed(js: JetStreamContext, max_bytes: int) -> None:
    config = StreamConfig(name=LANDED_STREAM, subjects=[f"{LANDED_ROOT}.>"], duplicate_window=DUPLICATE_WINDOW_S)
    await _ensure_stream(js, config, max_bytes)
    await js.add_consumer(LANDED_STREAM, _ordered(LANDED_DURABLE, f"{LANDED_ROOT}.>"))


def _ordered(name: str, subject: str) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=name,
        filter_subject=subject,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.ALL,
        ack_wait=ORDERED_ACK_WAIT_S,
        max_deliver=-1,
        max_ack_pending=MAX_ACK_PENDING,
    )


def _durable(stream: str, consumer: str, partition: int, ack_wait_s: float) -> ConsumerConfig:
    if consumer == ALERTS:
        return _ordered(durable(consumer, partition), filter_subject(stream, partition))
    return ConsumerConfig(
        durable_name=durable(consumer, partition),
        filter_subject=filter_subject(stream, partition),
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s,
        max_deliver=-1,  # who reads counts the tries, and sets a poisonous message aside with its reason
        max_ack_pending=MAX_ACK_PENDING,
    )


async def lag(nc: Client, *, consumers: Sequence[str] = ("lake",)) -> list[Lag]:
    """Return how far each durable is behind: a request each, and one more where something waits.

    Raises:
        VigieError: JetStream, a stream or a durable is not there.
    """
    js = nc.jetstream(timeout=REQUEST_TIMEOUT_S)
    found = []
    try:
        for stream in STREAMS:
            for consumer in consumers:
                for partition in range(PARTITIONS):
                    info = await js.consumer_info(stream, durable(consumer, partition))
                    pending, unacknowledged = info.num_pending or 0, info.num_ack_pending or 0
                    floor = info.ack_floor.stream_seq if info.ack_floor else 0
                    oldest = await _stored_at(js, stream, partition, floor + 1) if pending or unacknowledged else None
                    found.append(Lag(stream, consumer, partition, pending, unacknowledged, oldest))
    except (OSError, NatsError) as error:
        raise _refused(error) from None
    return found


async def let_go(nc: Client, *, consumers: Sequence[str]) -> int:
    """Let the alerts pass over everything that waits for them; return how many messages that were, copies of QoS 1 among them.

    Streams keep what either reader needs: what the lake holds already, and only the alerts were to read, is dropped by the broker with
    their durables, which are made again at once. What the lake still needs stays; the alerts read it too.

    Args:
        nc: a connection of the platform's user.
        consumers: whose durables stand afterwards (`ensure`).

    Raises:
        VigieError: JetStream is not there, or refuses.
    """
    js = nc.jetstream(timeout=REQUEST_TIMEOUT_S)
    places = [(stream, durable(ALERTS, partition)) for stream in STREAMS for partition in range(PARTITIONS)]
    waited = 0
    try:
        for stream, name in [*places, (LANDED_STREAM, LANDED_DURABLE)]:
            try:
                info = await js.consumer_info(stream, name)
                await js.delete_consumer(stream, name)
            except NotFoundError:  # of an instance older than the alerts, or another call was faster
                continue
            waited += (info.num_pending or 0) + (info.num_ack_pending or 0)
    except (OSError, NatsError) as error:
        raise _refused(error) from None
    finally:
        await ensure(nc, consumers=consumers)
    return waited


async def sizes(nc: Client) -> list[StreamSize]:
    """Return how full both streams are.

    Raises:
        VigieError: JetStream or a stream is not there.
    """
    js = nc.jetstream(timeout=REQUEST_TIMEOUT_S)
    try:
        infos = [await js.stream_info(stream) for stream in STREAMS]
    except (OSError, NatsError) as error:
        raise _refused(error) from None
    return [StreamSize(stream, info.state.bytes, info.config.max_bytes or 0) for stream, info in zip(STREAMS, infos, strict=True)]


def look(broker: Broker, *, consumers: Sequence[str] = ("lake",)) -> tuple[list[Lag], list[StreamSize]]:
    """Return `lag` and `sizes` on a connection of its own, for callers that do not await.

    Raises:
        VigieError: the broker, JetStream, a stream or a durable is not there.
    """

    async def main() -> tuple[list[Lag], list[StreamSize]]:
        nc = await connect(broker, name="vigie-status", reconnects=False)
        try:
            return await lag(nc, consumers=consumers), await sizes(nc)
        finally:
            await nc.close()

    return asyncio.run(main())


async def _stored_at(js: JetStreamContext, stream: str, partition: int, first_seq: int) -> dt.datetime | None:
    try:
        message = await js.get_msg(stream, seq=first_seq, next=True, subject=filter_subject(stream, partition))
    except NotFoundError:  # acknowledged meanwhile
        return None
    return message.time


def _refused(error: Exception) -> VigieError:
    why = (error.description if isinstance(error, APIError) else "") or str(error).removeprefix("nats: ") or type(error).__name__
    return VigieError(
        f"the broker's streams do not answer: {why}",
        remedy="vigie status says what is wrong with the broker, vigie logs nats what it said; a full disk disables its streams",
    )
