"""Webhooks: one signed message per line of the journal, in the manner of Standard Webhooks.

Here: the message. Not here: retries (`follower`), signatures (`signing`), HTTP (`outbound`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import SecretStr

from orchestration.alerts.deliveries import signing
from orchestration.alerts.deliveries.outbound import Answer, ask
from orchestration.alerts.deliveries.targets import Webhook
from orchestration.alerts.model import Entry

Secret = Callable[[str], SecretStr]
"""Gives the secret of a name; raises `WrongUse` where it is not set."""


def message(entry: Entry) -> dict[str, Any]:
    """Return the document of a line: what happened, and the alarm after it."""
    return {
        "type": f"alarm.{entry.kind}",
        "timestamp": entry.at.isoformat(),
        "data": {
            "seq": entry.seq,
            "alarm_id": entry.alarm_id,
            "kind": str(entry.kind),
            "at": entry.at.isoformat(),
            "happened_at": entry.happened_at.isoformat() if entry.happened_at else None,
            "actor": entry.actor,
            "comment": entry.comment,
            "details": entry.details,
            "alarm": entry.alarm,
        },
    }


async def post(http: httpx.AsyncClient, url: str, key: bytes, message_id: str, document: dict[str, Any]) -> Answer:
    """Sign and post a document; the same `message_id` says that it is the same message.

    Raises:
        TryLater, Refused: as `outbound.ask`.
    """
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    # The time of this try: who receives it refuses what is older than minutes.
    headers = signing.headers(key, message_id, int(dt.datetime.now(dt.UTC).timestamp()), body)
    return await ask(http, "POST", url, content=body, headers={"content-type": "application/json", **headers}, truncates=True)


class WebhookSender:
    """Sends lines to one webhook. Args of the class: the `target`, what the `instance` is called, `http`, how a `secret` is got."""

    last_only = False
    settle_s = 0.0

    def __init__(self, target: Webhook, instance: str, http: httpx.AsyncClient, secret: Secret) -> None:
        self._target, self._instance, self._http, self._secret = target, instance, http, secret

    def wants(self, entry: Entry) -> bool:
        """Return whether the target's filter takes a line."""
        return self._target.filter.takes(entry)

    async def send(self, entry: Entry) -> None:
        """Post a line."""
        name = self._target.secret
        key = signing.key(self._secret(name).get_secret_value(), name)
        await post(self._http, self._target.url, key, f"{self._instance}-{entry.seq}", message(entry))

    @staticmethod
    def body(entry: Entry) -> dict[str, Any]:
        """Return the message."""
        return message(entry)
