"""Messages as the broker hands them over: pulling a partition's durable, acknowledging.

Here: bounded pulls, what a message carries. Not here: what stands in the broker (`broker`), decoding and storing (`landing`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from ingestion.errors import VigieError
from ingestion.stream.names import INTAKE_STREAM, MQTT_HEADER, QUERY_HEADER, durable, feed_and_topic

# One pull: enough to pay for a transaction (a tenth of a second), little enough to hold with what is made of it and the next one.
BATCH_MESSAGES: Final = 12_500
BATCH_BYTES: Final = 24 * 1024 * 1024
# The broker beside us answers in a millisecond; past this it is gone.
_ANSWER_TIMEOUT_S: Final = 10.0
_LARGEST_MESSAGE: Final = 8 * 1024 * 1024  # the broker's max_payload: a pull must be allowed to hold one


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream.

    Attributes:
        seq: its number in the stream.
        feed: the feed it was sent to.
        topic: the topic it was sent to.
        payload: its bytes.
        published_at_us: when the broker stored it, microseconds since 1970.
        handle: what acknowledges it; None for a message that is read again from the lake.
    """

    seq: int
    feed: str
    topic: str
    payload: bytes
    published_at_us: int
    handle: Msg | None = None


@dataclass(frozen=True)
class Waiting:
    """What a durable has not delivered, and what it has delivered without being told that it is stored."""

    pending: int
    unacknowledged: int


class Durable:
    """One partition's durable on one stream, pulled by this process."""

    def __init__(self, nc: Client, stream: str, consumer: str, partition: int) -> None:
        self._nc = nc
        self.stream = stream
        self.partition = partition
        self.has_more = False
        self._name = durable(consumer, partition)
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{self._name}"
        self._inbox = nc.new_inbox()
        self._taken: list[Msg] = []
        self._wanted = 0
        self._ended = asyncio.Event()
        self._status = ""

    async def open(self) -> None:
        """Begin to listen; needed once before the first pull."""
        # Bounds are in the pull itself: what was asked for must all fit.
        await self._nc.subscribe(self._inbox, cb=self._receive, pending_msgs_limit=-1, pending_bytes_limit=-1)

    async def _receive(self, msg: Msg) -> None:
        if msg.reply:
            self._taken.append(msg)
            if len(self._taken) >= self._wanted:
                self._ended.set()
        else:  # 404 no (more) messages, 409 the bytes asked for are full or the durable is gone
            self._status = f"{(msg.headers or {}).get('Status', '')} {(msg.headers or {}).get('Description', '')}".strip()
            self._ended.set()

    async def waiting(self) -> Waiting:
        """Return how much waits.

        Raises:
            VigieError: the broker does not answer, or has no such durable.
        """
        try:
            info = await self._nc.jetstream(timeout=_ANSWER_TIMEOUT_S).consumer_info(self.stream, self._name)
        except (NatsError, OSError) as error:
            raise self._silent(str(error)) from None
        return Waiting(info.num_pending or 0, info.num_ack_pending or 0)

    def _silent(self, why: str) -> VigieError:
        return VigieError(
            f"the broker does not hand over partition {self.partition} of {self.stream}: {why or 'no answer'}",
            remedy="vigie status says whether it runs, vigie logs nats what it said; its durables are made again at the next start",
        )

    async def pull(self, *, messages: int = BATCH_MESSAGES, max_bytes: int = BATCH_BYTES) -> list[Message]:
        """Return what waits now, at most so many messages and bytes; empty when nothing does.

        Copies in `INTAKE` of messages that came with QoS 1 are acknowledged and passed over: `$MQTT_msgs` holds them.

        Raises:
            VigieError: the broker does not answer, or has no such durable.
        """
        found: list[Message] = []
        while not found:
            taken = await self._pull(messages, max(max_bytes, _LARGEST_MESSAGE))
            self.has_more = len(taken) == messages or "Exceeded" in self._status
            if not taken:
                return []
            for msg in taken:
                if self.stream == INTAKE_STREAM and msg.headers and msg.headers.get(MQTT_HEADER, "0")[:1] not in ("0", ""):
                    await msg.ack()
                    continue
                found.append(_message(msg))
        return found

    async def _pull(self, messages: int, max_bytes: int) -> list[Msg]:
        self._taken, self._wanted, self._status = [], messages, ""
        self._ended.clear()
        request = {"batch": messages, "max_bytes": max_bytes, "no_wait": True}
        await self._nc.publish(self._next, json.dumps(request).encode(), self._inbox)
        try:
            await asyncio.wait_for(self._ended.wait(), _ANSWER_TIMEOUT_S)
        except TimeoutError:
            if not self._taken:
                raise self._silent("") from None
        if not self._taken and not self._status.startswith(("404", "408")) and "Exceeded" not in self._status:
            raise self._silent(self._status)
        return self._taken


def _message(msg: Msg) -> Message:
    meta = msg.metadata
    feed, topic = feed_and_topic(msg.subject)
    query = (msg.headers or {}).get(QUERY_HEADER)
    if query:
        topic = f"{topic}?{query}"
    return Message(meta.sequence.stream, feed, topic, msg.data, round(meta.timestamp.timestamp() * 1_000_000), msg)


async def acknowledge(nc: Client, messages: Iterable[Message]) -> None:
    """Tell the broker that messages are stored; returns once it was told."""
    for message in messages:
        if message.handle is not None:
            await message.handle.ack()
    await nc.flush()
