"""The HTTP intake: `POST /ingest/FEED`, answered when the message is stored.

Here: the addresses, their bounds, what each refusal says. Not here: tokens and rates (`access`), the broker (`publishing`),
what is in a message (the lake's reader decodes, and rejects with a reason).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from orchestration.intake.access import Access, Rate, Verdict
from orchestration.intake.publishing import CannotStoreError, Publisher
from orchestration.services.nats_config import MAX_BODY
from orchestration.settings import Settings

# A body of 8 MiB at 3 Mbit/s takes 22 s; slower than that holds a place that others need.
BODY_TIMEOUT_S: Final = 30.0
# What a caller is told to wait when the broker cannot store: it restarts within some seconds.
RETRY_AFTER_S: Final = 5
_READ_AT_MOST: Final = 2 * MAX_BODY
_KEY: Final = re.compile(r"^[\x21-\x7e]{1,200}$")
_JSON: Final = re.compile(r"^(application|text)/([\w.+-]+\+)?json$")


class Stored(BaseModel):
    """The message is stored, on disk."""

    feed: str
    sequence: int
    """Its number in the stream."""
    duplicate: bool
    """Whether a message of the same Idempotency-Key was stored before; then `sequence` is that one's."""


class Problem(BaseModel):
    """Why the message was not taken."""

    error: str
    remedy: str


class RefusedError(Exception):
    """An answer other than 202."""

    def __init__(self, status: HTTPStatus, error: str, remedy: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(error)
        self.status, self.problem, self.headers = status, Problem(error=error, remedy=remedy), headers


_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    status.value: {"model": Problem, "description": text}
    for status, text in {
        HTTPStatus.BAD_REQUEST: "Empty body, or a header that cannot be used.",
        HTTPStatus.UNAUTHORIZED: "No token, or one of no feed.",
        HTTPStatus.FORBIDDEN: "The token of another feed.",
        HTTPStatus.NOT_FOUND: "No such feed, or not one that is sent.",
        HTTPStatus.REQUEST_TIMEOUT: "The body came too slowly.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"More than {MAX_BODY} bytes.",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Not JSON, or compressed.",
        HTTPStatus.TOO_MANY_REQUESTS: "Faster than a feed may; Retry-After says when to go on.",
        HTTPStatus.SERVICE_UNAVAILABLE: "Not stored now; send it again after Retry-After.",
    }.items()
}


def create_app(settings: Settings, *, rate: Rate | None = None) -> FastAPI:
    """Return the application of an instance; it connects when it is started.

    Args:
        settings: the instance.
        rate: the bound on each feed.
    """
    access = Access(settings)
    publisher = Publisher(settings, access)
    rates = rate or Rate()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await publisher.start()
        yield
        await publisher.stop()

    app = FastAPI(
        title="Vigie: HTTP intake",
        summary="Messages of systems that send by themselves.",
        lifespan=lifespan,
        docs_url=None,  # its pages load scripts from elsewhere; /openapi.json is read by any tool
        redoc_url=None,
    )

    @app.exception_handler(RefusedError)
    async def _refused(_: Request, refused: RefusedError) -> JSONResponse:
        return JSONResponse(refused.problem.model_dump(), refused.status, headers=refused.headers)

    @app.get("/health", summary="Whether messages can be stored now.", responses={503: {"description": "They cannot."}})
    async def _health() -> JSONResponse:
        if publisher.trouble is None:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "unavailable", "error": publisher.trouble}, HTTPStatus.SERVICE_UNAVAILABLE)

    @app.post(
        "/ingest/{feed}",
        status_code=HTTPStatus.ACCEPTED,
        response_model=Stored,
        responses=_ANSWERS,
        summary="Store a message of a feed.",
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
    )
    async def _ingest(
        request: Request,
        feed: Annotated[str, Path(description="The feed's name.")],
        authorization: Annotated[str | None, Header(description="`Bearer TOKEN`: the feed's password.")] = None,
        x_partition_key: Annotated[str | None, Header(description="Messages of one key stay in order: the asset's code.")] = None,
        idempotency_key: Annotated[str | None, Header(description="Sent again within ten minutes, it is stored once.")] = None,
    ) -> Stored:
        _check_access(access.judge(feed, _bearer(authorization)), feed)
        _check_headers(request, x_partition_key, idempotency_key)
        if (wait_s := rates.wait_s(feed)) > 0:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {rates.per_s:.0f} messages a second",
                "wait as long as Retry-After says; several records can stand in one message",
                {"Retry-After": str(math.ceil(wait_s))},
            )
        body = await _body(request)
        try:
            receipt = await publisher.publish(feed, x_partition_key or feed, body, message_id=idempotency_key)
        except CannotStoreError as error:
            raise _unavailable(str(error)) from None
        return Stored(feed=feed, sequence=receipt.sequence, duplicate=receipt.is_duplicate)

    return app


def _bearer(authorization: str | None) -> str | None:
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _check_access(verdict: Verdict, feed: str) -> None:
    match verdict:
        case Verdict.NO_TOKEN:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED, verdict.value, "send `Authorization: Bearer TOKEN`; vigie feeds access FEED shows where it is",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        case Verdict.OTHER_FEED:
            raise RefusedError(HTTPStatus.FORBIDDEN, f"{verdict.value}, not of {feed}", "use the token of this feed")
        case Verdict.UNKNOWN_FEED:
            raise RefusedError(
                HTTPStatus.NOT_FOUND, f"{feed}: no feed of this name is sent", "vigie status says which contract is not let in"
            )
        case Verdict.ALLOWED:
            return


def _check_headers(request: Request, *keys: str | None) -> None:
    for key in keys:
        if key is not None and not _KEY.match(key):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a key is not 1 to 200 visible ASCII characters", "shorten it, or encode it")
    media_type = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if not _JSON.match(media_type):
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{media_type} is not JSON", "send application/json or application/ld+json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is compressed", "send it as it is")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > _READ_AT_MOST:
        raise _too_large()


async def _body(request: Request) -> bytes:
    """Return the body, refused when it is past its bound, whatever was declared.

    What is a little too large is read to its end, and let go: a caller that is cut off while it sends never sees the answer.
    """
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= MAX_BODY:
                    body += chunk
                elif size > _READ_AT_MOST:
                    raise _too_large()
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
        raise _too_large()
    if not body:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the body is empty", "send the message as the body")
    return bytes(body)


def _too_large() -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {MAX_BODY} bytes", "send several, or a file to vigie ingest",
        {"Connection": "close"},
    )  # fmt: skip


def _unavailable(why: str) -> RefusedError:
    return RefusedError(
        HTTPStatus.SERVICE_UNAVAILABLE, why, "send it again after Retry-After: it was not confirmed", {"Retry-After": str(RETRY_AFTER_S)}
    )
