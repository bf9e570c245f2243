"""Lines of the journal on the platform's own broker: NATS subjects `alerts.<domain>.<priority>.<alarm_id>`, MQTT topics with slashes.

Here: publishing. Not here: who may subscribe (`orchestration.services.nats_config`). A subject is heard by who is connected: who
must not miss a line reads the journal's feeds, or is a webhook.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

from ingestion.errors import VigieError
from ingestion.stream import broker as streams
from ingestion.stream.names import ALERTS_ROOT, Broker
from orchestration.alerts.deliveries.outbound import Refused, TryLater
from orchestration.alerts.deliveries.targets import Topics
from orchestration.alerts.deliveries.webhook import message
from orchestration.alerts.model import Entry

# On this machine or its network: it answers in milliseconds.
_FLUSH_S: Final = 5
_NO_DOMAIN: Final = "none"


def subject(alarm: dict[str, Any]) -> str:
    """Return the subject of an alarm.

    >>> subject({"domain": "EP", "priority": 1, "alarm_id": 7})
    'alerts.EP.1.7'
    """
    return f"{ALERTS_ROOT}.{alarm['domain'] or _NO_DOMAIN}.{alarm['priority']}.{alarm['alarm_id']}"


class TopicSender:
    """Publishes lines. Args of the class: the `target`; the `instance`; `broker`, where the broker is."""

    last_only = False
    settle_s = 0.0

    def __init__(self, target: Topics, instance: str, broker: Callable[[], Broker]) -> None:
        self._target, self._instance, self._broker = target, instance, broker
        self._nc: Client | None = None
        self._lock = asyncio.Lock()

    def wants(self, entry: Entry) -> bool:
        """Return whether the target's filter takes a line."""
        return self._target.filter.takes(entry)

    async def send(self, entry: Entry) -> None:
        """Publish a line, and wait until the broker has it."""
        body = json.dumps(message(entry), ensure_ascii=False, separators=(",", ":")).encode()
        nc = await self._connected()
        if len(body) > nc.max_payload:
            raise Refused(f"a message of {len(body):,} bytes is more than the broker takes ({nc.max_payload:,})")
        try:
            await nc.publish(subject(entry.alarm), body, headers={"Nats-Msg-Id": f"{self._instance}-{entry.seq}"})
            await nc.flush(timeout=_FLUSH_S)
        except (OSError, NatsError) as error:
            await self.close()
            raise TryLater(f"the broker does not take it ({type(error).__name__})", is_away=True) from None

    @staticmethod
    def body(entry: Entry) -> dict[str, Any]:
        """Return the message."""
        return message(entry)

    async def close(self) -> None:
        """Let the connection go."""
        nc, self._nc = self._nc, None
        if nc is not None:
            await nc.close()

    async def _connected(self) -> Client:
        async with self._lock:
            if self._nc is None or self._nc.is_closed:
                try:
                    # Without its own reconnecting: what it would keep meanwhile is ours to keep.
                    self._nc = await streams.connect(self._broker(), name="vigie-deliveries", reconnects=False)
                except VigieError as error:
                    raise TryLater(error.message, is_away=True) from None
            return self._nc
