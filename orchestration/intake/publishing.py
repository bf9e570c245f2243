"""From the intake to the broker: publishing, and what the broker is able to take.

Here: the connection, what stands in its way. Not here: HTTP, tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from ingestion.errors import VigieError
from ingestion.stream import broker as streams
from ingestion.stream.names import ALERTS, HTTP_ROOT, INTAKE_STREAM, QUERY_HEADER
from orchestration.intake.access import Access
from orchestration.services import nats_server
from orchestration.settings import Settings

# The broker stores in milliseconds, on a disk that is busy in a second; a caller should hear of trouble before it gives up itself.
PUBLISH_TIMEOUT_S: Final = 5.0
# How soon a changed contract or password holds, and a broker that stopped at a full disk is restarted.
WATCH_S: Final = 2.0
# Who is to read what equipment sends: a message is kept until each has it.
CONSUMERS: Final = ("lake", ALERTS)

_log = logging.getLogger(__name__)


class CannotStoreError(Exception):
    """The broker does not keep the message now; the text says why."""


@dataclass(frozen=True)
class Receipt:
    """The broker's word that a message is stored."""

    sequence: int
    is_duplicate: bool


def subject(feed: str, key: str) -> str:
    """Return what a message is published to; any text may be a key.

    >>> subject("lights", "urn:ngsi-ld:Streetlight/7.1")
    'http.lights.urn%3Angsi-ld%3AStreetlight%2F7//1'
    """
    return f"{HTTP_ROOT}.{feed}.{quote(key, safe='').replace('.', '//')}"


class Publisher:
    """The intake's connection to the broker.

    Attributes:
        trouble: why messages cannot be stored now; None when they can.
    """

    def __init__(self, settings: Settings, access: Access) -> None:
        self.settings, self.access = settings, access
        self.trouble: str | None = "starting"
        self._nc: Client | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch: connect, make streams and durables, let equipment in; then keep up with contracts and health."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Close the connection."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        if self._nc is not None:
            await self._nc.close()

    async def publish(self, feed: str, key: str, body: bytes, *, message_id: str | None, query: str = "") -> Receipt:
        """Publish a message and wait until the broker has stored it.

        Args:
            feed: whose message it is.
            key: messages of one key stay in order.
            body: the message.
            message_id: what tells a message that is sent again.
            query: what followed the path it was posted to; visible ASCII, it is kept beside the message.

        Raises:
            CannotStoreError: it has not; it may have all the same when the answer was lost.
        """
        if self._nc is None or not self._nc.is_connected:
            # Not left to the client, which would keep it in memory and send it when the caller has long been told no.
            raise CannotStoreError(self.trouble or "the broker does not answer")
        headers = {QUERY_HEADER: query} if query else {}
        if message_id:
            headers["Nats-Msg-Id"] = f"{feed}:{message_id}"
        try:
            ack = await self._nc.jetstream().publish(subject(feed, key), body, timeout=PUBLISH_TIMEOUT_S, headers=headers or None)
        except (OSError, NatsError) as error:
            self.trouble = _told(error)
            raise CannotStoreError(self.trouble) from None
        return Receipt(ack.seq, bool(ack.duplicate))

    async def _watch(self) -> None:
        while True:
            try:
                if self._nc is None:
                    await self._open()
                self.trouble = await self._look()
                if self.trouble is None:
                    await self._keep_up()
            except VigieError as error:
                self.trouble = error.message
                _log.warning("%s", error)
            except (OSError, NatsError) as error:
                self.trouble = _told(error)
            await asyncio.sleep(WATCH_S)

    async def _open(self) -> None:
        nc = await streams.connect(self.settings.broker, name="vigie-intake")
        try:
            await streams.ensure(nc, consumers=CONSUMERS)
            await asyncio.to_thread(nats_server.open_doors, self.settings)
        except VigieError:
            await nc.close()
            raise
        self.access.read()
        self._nc = nc

    async def _keep_up(self) -> None:
        """Bring access up to date; a contract that the broker refuses does not stop the others (`vigie status` tells it)."""
        try:
            if await asyncio.to_thread(nats_server.refresh, self.settings):
                self.access.read()
                _log.info("contracts or passwords changed: %d feeds are let in", len(self.access.tokens))
        except VigieError as error:
            _log.warning("%s", error)

    async def _look(self) -> str | None:
        if (done := await asyncio.to_thread(nats_server.heal, self.settings)) is not None:
            _log.warning("%s", done)
        if (problem := await asyncio.to_thread(nats_server.health, self.settings)) is not None:
            return problem
        if self._nc is None or not self._nc.is_connected:
            return "the broker does not answer"
        info = await self._nc.jetstream(timeout=PUBLISH_TIMEOUT_S).stream_info(INTAKE_STREAM)
        if info.config.max_bytes and 0 < info.config.max_bytes <= info.state.bytes:
            return f"the stream is full ({info.state.bytes} bytes): what waits must be landed first"
        return None


def _told(error: Exception) -> str:
    if isinstance(error, APIError):
        return f"the broker does not store: {error.description}"
    if isinstance(error, TimeoutError):
        return "the broker did not confirm in time"
    return f"the broker does not answer: {str(error).removeprefix('nats: ') or type(error).__name__}"
