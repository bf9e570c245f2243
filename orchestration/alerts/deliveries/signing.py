"""Signatures of what is sent, as Standard Webhooks has them: who receives a message can tell that it is ours, and not an old one.

Here: making and checking them. Not here: sending (`outbound`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from ingestion.errors import WrongUse

_PREFIX: Final = "whsec_"
# Of the specification: below, a key can be guessed; above, it is no key.
_LEAST_BYTES: Final = 24
_MOST_BYTES: Final = 64
# Of the specification's libraries: clocks differ by seconds, and what is older may be somebody's recording.
TOLERANCE_S: Final = 300


def key(secret: str, name: str) -> bytes:
    """Return the key of a secret: base64 of 24 to 64 bytes, `whsec_` before it or not.

    Raises:
        WrongUse: it is none; the message names the secret and does not hold it.
    """
    try:
        found = base64.b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not _LEAST_BYTES <= len(found) <= _MOST_BYTES:
        raise WrongUse(
            f"the secret {name} is no key of a webhook: base64 of {_LEAST_BYTES} to {_MOST_BYTES} bytes",
            remedy="make one: python -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\"",
        )
    return found


def headers(signing_key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a message; `timestamp` is in seconds since 1970."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{_signature(signing_key, message_id, str(timestamp), body)}",
    }


def is_ours(signing_key: bytes, received: dict[str, str], body: bytes, now: float) -> bool:
    """Return whether a message with these headers (names in small letters) was signed with the key, and not long ago."""
    timestamp = received.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    expected = _signature(signing_key, received.get("webhook-id", ""), timestamp, body)
    given = [s.removeprefix("v1,") for s in received.get("webhook-signature", "").split() if s.startswith("v1,")]
    return any(hmac.compare_digest(expected, signature) for signature in given)


def _signature(signing_key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(signing_key, signed, hashlib.sha256).digest()).decode()
