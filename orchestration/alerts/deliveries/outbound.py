"""HTTP to systems outside: bounded in time and size, never redirected, and its failures told apart: later, or never.

Here: one request and what its answer means for whoever sent it. Not here: when it is tried again (`follower`), what is sent.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from ingestion.errors import VigieError

# What a webhook's answer says is read by people, in a dead letter: the rest is not read at all.
SMALL: Final = 64 * 1024
_QUOTED: Final = 200
# 4xx that may be another answer tomorrow (RFC 9110: timeout, too many). 425 and 409 are not ours: nobody sends them without being asked.
_LATER: Final = frozenset({408, 429})
# The host, or what stands before it, says that nobody is there: not a word about the message itself.
_AWAY: Final = frozenset({408, 429, 502, 503, 504})
# Longer than any maintenance announced in a header; without a bound one answer could silence a target for good.
LONGEST_PAUSE_S: Final = 3600.0


class TryLater(VigieError):
    """It was not taken, and may be later.

    Attributes:
        after_s: not before so many seconds; None when the other end did not say.
        is_away: whether nobody is there: it is not about this message, and whoever else waits may try when one succeeds.
    """

    def __init__(self, message: str, *, after_s: float | None = None, is_away: bool = False) -> None:
        super().__init__(message)
        self.after_s, self.is_away = after_s, is_away


class Refused(VigieError):
    """It was refused, and trying again would not help. `status` is the answer's, 0 where there was none."""

    def __init__(self, message: str, *, status: int = 0, body: str = "") -> None:
        super().__init__(message)
        self.status, self.body = status, body


@dataclass(frozen=True)
class Answer:
    """What came back: status 2xx, and the body, at most as large as was allowed."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """Return the body as JSON, None when there is none.

        Raises:
            TryLater: it is not JSON: a proxy's page, most often, in front of a system that is away.
        """
        if not self.body.strip():
            return None
        try:
            return json.loads(self.body)
        except ValueError:
            raise TryLater(f"answered {self.status} with what is not JSON: {_quoted(self.body)}", is_away=True) from None


def client(timeout_s: float) -> httpx.AsyncClient:
    """Return a client: no redirect, no proxy or password from the environment."""
    return httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, trust_env=False)


async def ask(http: httpx.AsyncClient, method: str, url: str, *, most: int = SMALL, truncates: bool = False, **options: Any) -> Answer:
    """Send one request and return its answer, when it is 2xx.

    Args:
        http: the client.
        method: GET, POST or PUT.
        url: what is asked.
        most: how many bytes of an answer are read.
        truncates: whether a longer answer is cut (nobody needs it whole) rather than a failure.
        options: of httpx: `content`, `json`, `headers`, `params`, `data`.

    Raises:
        TryLater: nobody answered in time, or it said so (5xx, 408, 429).
        Refused: any other answer, redirects among them.
    """
    try:
        async with http.stream(method, url, **options) as response:
            body = await _read(response, most, truncates=truncates or not response.is_success)
            status, headers = response.status_code, dict(response.headers)
    except httpx.HTTPError as error:
        # The error's own words may hold the address; its kind is enough, and never holds what was sent.
        what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else f"cannot be reached ({type(error).__name__})"
        raise TryLater(what, is_away=True) from None
    if response.is_success:
        return Answer(status, headers, body)
    if response.is_redirect:
        raise Refused(f"answered {status}: it wants to be asked elsewhere; write the final address", status=status)
    said = f"answered {status}" + (f": {_quoted(body)}" if body.strip() else "")
    if status >= 500 or status in _LATER:  # noqa: PLR2004 - RFC 9110: the server's own failures
        raise TryLater(said, after_s=_pause(headers.get("retry-after")), is_away=status in _AWAY)
    raise Refused(said, status=status, body=body.decode("utf-8", "replace"))


async def _read(response: httpx.Response, most: int, *, truncates: bool) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > most:
            if not truncates:
                raise Refused(f"answered with more than {most:,} bytes", status=response.status_code)
            return bytes(body[:most])
    return bytes(body)


def _pause(header: str | None, now: dt.datetime | None = None) -> float | None:
    """Return the seconds a `Retry-After` asks for (a number, or a date), within bounds; None when it says nothing we understand.

    >>> _pause("7"), _pause("999999"), _pause("soon"), _pause(None)
    (7.0, 3600.0, None, None)
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return min(float(header), LONGEST_PAUSE_S)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    return min(max((at - (now or dt.datetime.now(dt.UTC))).total_seconds(), 0.0), LONGEST_PAUSE_S)


def _quoted(body: bytes) -> str:
    text = " ".join(body.decode("utf-8", "replace").split())
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "…"
