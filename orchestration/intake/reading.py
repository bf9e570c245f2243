"""What a request brings: its token, its media type, its query, its body, each within bounds.

Here: HTTP. Not here: what is in a body: the lake's reader decodes, bounds how deep it is nested, and rejects with a reason.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import ClientDisconnect

from orchestration.intake.answers import RefusedError, too_large
from orchestration.services.nats_config import MAX_BODY

Feed = Annotated[str, Path(description="The feed's name.", examples=["lights"])]
# Never in the address: addresses stand in logs and in what is kept beside a message.
Token = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(HTTPBearer(auto_error=False, description="The feed's token: `vigie feeds access FEED --show-secret`.")),
]

# A body of 8 MiB at 3 Mbit/s takes 22 s; slower than that holds a place that others need.
BODY_TIMEOUT_S: Final = 30.0
_READ_AT_MOST: Final = 2 * MAX_BODY
_KEY: Final = re.compile(r"^[\x21-\x7e]{1,200}$")
# ChirpStack's is `event=up`, TALQ's three UUIDs; it stands in a header of the stored message, of which the broker takes 4 KiB.
_QUERY: Final = re.compile(rb"[\x21-\x7e]{0,1000}")
_JSON: Final = re.compile(r"^(application|text)/([\w.+-]+\+)?json$")
_XML: Final = re.compile(r"^(application|text)/([\w.+-]+\+)?xml$")


def check_keys(*keys: str | None) -> None:
    """Refuse a key that cannot stand in a subject or header of the broker.

    Raises:
        RefusedError: 400.
    """
    for key in keys:
        if key is not None and not _KEY.match(key):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a key is not 1 to 200 visible ASCII characters", "shorten it, or encode it")


def check_media_type(request: Request, taken: tuple[str, ...]) -> None:
    """Refuse what the feed's format is never written in; a request without Content-Type is taken.

    Args:
        request: its headers.
        taken: media types of the format. Where JSON or XML is one, `…+json` or `…+xml` is too.

    Raises:
        RefusedError: 415, also for a compressed body; 413 where it says itself that it is too large.
    """
    given = request.headers.get("content-type", taken[0]).split(";")[0].strip().lower()
    is_taken = given in taken or ("application/json" in taken and _JSON.match(given)) or ("application/xml" in taken and _XML.match(given))
    if not is_taken:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{given} is not what this feed is sent in", f"send {', '.join(taken)}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is compressed", "send it as it is")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > _READ_AT_MOST:
        raise too_large()


def query_of(request: Request) -> str:
    """Return the query of an address as it was sent: it is kept beside the message, for some formats say there what a message is.

    Raises:
        RefusedError: 400: it is longer than 1,000 characters, or not visible ASCII.
    """
    query: bytes = request.scope.get("query_string", b"")
    if not _QUERY.fullmatch(query):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the query is not at most 1,000 visible ASCII characters", "shorten it, or encode it")
    return query.decode("ascii")


async def body_of(request: Request) -> bytes:
    """Return the body, refused when it is past its bound, whatever was declared.

    What is a little too large is read to its end, and let go: a caller that is cut off while it sends never sees the answer.

    Raises:
        RefusedError: 413; 408; 400: it is empty.
    """
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= MAX_BODY:
                    body += chunk
                elif size > _READ_AT_MOST:
                    raise too_large()
    except TimeoutError:
        raise RefusedError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body did not come within {BODY_TIMEOUT_S:.0f} s",
            "send smaller messages",
            {"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the caller went away", "send it again") from None
    if size > MAX_BODY:
        raise too_large()
    if not body:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the body is empty", "send the message as the body", key="payloadError")
    return bytes(body)
