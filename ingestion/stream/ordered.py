"""A durable read in the order of its stream, by one process alone, with waiting pulls: messages arrive as they are published.

Here: resetting to what was acknowledged, seeing gaps, what is ready to be taken, acknowledging up to a message. Not here: what is made
of messages (`orchestration.alerts.runtime`), durables that many processes share (`messages`).

Order holds thus: at every (re)connection the durable is reset, so that it delivers from what was acknowledged on, in order, with consumer
sequences from 1. A gap in those, or a message that was delivered before, means that order was lost: it is reset again. What was
handed over already is passed over by its number in the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from ingestion.errors import VigieError
from ingestion.stream.names import INTAKE_STREAM, MQTT_HEADER, QUERY_HEADER, feed_and_topic

_log = logging.getLogger(__name__)

# A pull that waits this long is asked anew: were it lost on the way, nothing would be read for so long.
EXPIRES_S: Final = 20.0
# Messages of one pull: at 5,000/s over four partitions, five pulls a second each.
PULL_MESSAGES: Final = 256
# Not asked for more while so many wait to be taken: 1,000 messages of 2 kB in nine durables are 20 MB.
HIGH_WATER: Final = 1_000
# The broker's max_payload must fit in a pull.
PULL_BYTES: Final = 8 * 1024 * 1024
_ANSWER_TIMEOUT_S: Final = 5.0
# Past its expiry a pull without a word was lost.
_OVERDUE_S: Final = EXPIRES_S + 5.0
# How soon a new connection is noticed: what was asked for on the old one is lost.
_LOOK_S: Final = 0.2
_ACK_TOKENS: Final = 9


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message, in order.

    Attributes:
        seq: its number in the stream.
        feed: the feed it was sent to.
        topic: the topic it was sent to, with `?query` of an HTTP address.
        payload: its bytes.
        published_at: when the broker stored it, microseconds since 1970.
        is_copy: a copy in `INTAKE` of a message that stands in `$MQTT_msgs`: only its number counts.
    """

    seq: int
    feed: str
    topic: str
    payload: bytes
    published_at: int
    is_copy: bool = False


class Ordered:
    """One durable.

    Attributes:
        stream, name, partition: which.
        waiting: what arrived and was not taken, in order.
        is_drained: whether the broker held nothing more when last heard of; False while the connection is away.
        pending: what the broker had not delivered when last heard of.
        resets: how often order was begun anew.
        trouble: why nothing is read; None when it is.
    """

    def __init__(self, stream: str, name: str, partition: int, *, after: int, arrived: Callable[[], None]) -> None:
        self.stream, self.name, self.partition = stream, name, partition
        self.waiting: deque[Arrived] = deque()
        self.is_drained = False
        self.pending = 0
        self.resets = 0
        self.trouble: str | None = "not connected yet"
        self._seen = after
        self._arrived = arrived
        self._replies: deque[tuple[int, str]] = deque()
        self._nc: Client | None = None
        self._inbox = ""
        self._consumer_seq = 0
        self._open = 0
        self._asked_at = 0.0
        self._begin = asyncio.Event()
        self._subscription: Any = None
        self._closed = False

    def start_over(self) -> None:
        """Begin anew from what was acknowledged: after a reconnection, or when order was lost."""
        self.is_drained = False
        self._begin.set()

    async def run(self, nc: Client) -> None:
        """Read until cancelled."""
        self._nc = nc
        self.start_over()
        connections = nc.stats["reconnects"]
        while not self._closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._begin.wait(), _LOOK_S)
            if nc.stats["reconnects"] != connections:
                connections = nc.stats["reconnects"]
                self.start_over()
            if not nc.is_connected:
                self.is_drained, self.trouble = False, "the broker does not answer"
                self._begin.set()
                await asyncio.sleep(0.05)
            elif self._begin.is_set() or (self._open > 0 and time.monotonic() - self._asked_at > _OVERDUE_S):
                self._begin.clear()
                try:
                    await self._reset(nc)
                except (NatsError, OSError, VigieError) as error:
                    self.trouble = str(error).removeprefix("nats: ") or type(error).__name__
                    self._begin.set()
                    await asyncio.sleep(0.2)
            else:
                self.ask()

    async def _reset(self, nc: Client) -> None:
        # Nobody asks before this is done: what came meanwhile would be counted as still to come, and everything would wait for it.
        self.is_drained, self._open = False, PULL_MESSAGES
        if self._subscription is not None:
            with contextlib.suppress(NatsError):
                await self._subscription.unsubscribe()
        # A new inbox: what still comes to the old one is out of order.
        self._inbox = nc.new_inbox()
        self.resets += 1
        round_ = self.resets

        async def receive(msg: Msg) -> None:
            self._receive(msg, round_)

        self._subscription = await nc.subscribe(self._inbox, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=-1)
        # The old numbers would acknowledge something else now.
        self._replies.clear()
        answer = json.loads((await nc.request(f"$JS.API.CONSUMER.RESET.{self.stream}.{self.name}", b"", timeout=_ANSWER_TIMEOUT_S)).data)
        if "error" in answer:
            raise VigieError(
                f"the broker does not reset {self.name} of {self.stream}: {answer['error'].get('description')}",
                remedy="its durables are made again when the intake starts (vigie logs intake)",
            )
        self._consumer_seq = 0
        js = nc.jetstream(timeout=_ANSWER_TIMEOUT_S)
        info = await js.consumer_info(self.stream, self.name)
        if (await js.stream_info(self.stream)).state.last_seq < self._seen:
            # The stream was made anew, or a power cut took its end: numbers mean other messages now. What is not acknowledged is read.
            self._seen = 0
        self.pending = (info.num_pending or 0) + (info.num_ack_pending or 0)
        self.is_drained = self.pending == 0
        self.trouble = None
        self._open = 0
        self.ask()
        self._arrived()

    def ask(self) -> None:
        """Ask for more, if nothing was asked and there is room."""
        nc = self._nc
        if nc is None or self._open > 0 or self._begin.is_set() or not nc.is_connected or len(self.waiting) >= HIGH_WATER:
            return
        self._open, self._asked_at = PULL_MESSAGES, time.monotonic()
        request = {"batch": PULL_MESSAGES, "max_bytes": PULL_BYTES, "expires": int(EXPIRES_S * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self.name}"
        task = asyncio.ensure_future(nc.publish(subject, json.dumps(request).encode(), self._inbox))
        task.add_done_callback(self._was_asked)

    def _was_asked(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.start_over()

    def _receive(self, msg: Msg, round_: int) -> None:
        if round_ != self.resets or self._begin.is_set():
            return  # of before a reset: it comes again, in its turn
        if msg.subject == self._inbox:
            self._status(msg)
            return
        fields = msg.reply.split(".")
        if len(fields) != _ACK_TOKENS:
            self.start_over()
            return
        tries, seq, consumer_seq, at, pending = (int(f) for f in fields[4:])
        if tries > 1 or consumer_seq != self._consumer_seq + 1:
            self.start_over()
            return
        self._consumer_seq = consumer_seq
        self._open -= 1
        self.pending, self.is_drained = pending, pending == 0
        self._replies.append((seq, msg.reply))
        if seq > self._seen:
            self._seen = seq
            self.waiting.append(self._made(msg, seq, at // 1_000))
        self._arrived()
        if self._open <= 0:
            self.ask()

    def _status(self, msg: Msg) -> None:
        """Take the broker's word that a pull ended: 404 and 408 nothing came, 409 its bytes are full or the durable is gone."""
        status = (msg.headers or {}).get("Status", "")
        told = (msg.headers or {}).get("Description", "")
        if "Completed" in told:
            return  # of the pull before: its last message has asked for more
        if status in {"404", "408"} or "Exceed" in told:
            self._open = 0
            self.ask()
        elif status:
            _log.warning("%s of %s is begun anew: %s %s", self.name, self.stream, status, told)
            self.start_over()

    def _made(self, msg: Msg, seq: int, at: int) -> Arrived:
        headers = msg.headers
        if headers:
            if self.stream == INTAKE_STREAM and headers.get(MQTT_HEADER, "0")[:1] not in ("0", ""):
                return Arrived(seq, "", "", b"", at, is_copy=True)
            feed, topic = feed_and_topic(msg.subject)
            query = headers.get(QUERY_HEADER)
            return Arrived(seq, feed, f"{topic}?{query}" if query else topic, msg.data, at)
        feed, topic = feed_and_topic(msg.subject)
        return Arrived(seq, feed, topic, msg.data, at)

    def acknowledge(self, up_to: int) -> None:
        """Tell the broker that everything up to a message is done with; what it no longer knows how to name waits for the next time."""
        reply = None
        while self._replies and self._replies[0][0] <= up_to:
            reply = self._replies.popleft()[1]
        nc = self._nc
        if reply is not None and nc is not None and nc.is_connected:
            task = asyncio.ensure_future(nc.publish(reply, b"+ACK"))
            task.add_done_callback(self._was_asked)

    def close(self) -> None:
        """Let `run` end, also where the client swallows that it is cancelled."""
        self._closed = True
