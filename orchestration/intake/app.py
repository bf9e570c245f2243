"""The HTTP intake: `POST /ingest/FEED`, answered when the message is stored.

Here: the addresses of our own, and the application. Not here: TALQ's addresses (`talq`), bounds of a request (`reading`), tokens and
rates (`access`), the broker (`publishing`), what is in a message (the lake's reader decodes, and rejects with a reason).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from orchestration.intake import talq
from orchestration.intake.access import Access, Rate
from orchestration.intake.answers import Problem, RefusedError, Stored, described
from orchestration.intake.door import Door
from orchestration.intake.publishing import Publisher
from orchestration.intake.reading import Feed, Token, body_of, check_keys, check_media_type, query_of
from orchestration.settings import Settings

_EXAMPLE: Final = {
    "id": "urn:ngsi-ld:Streetlight:7",
    "type": "Streetlight",
    "status": {"type": "Property", "value": "ok", "observedAt": "2026-01-05T07:00:00Z"},
}
# Every format's; each feed takes those of its own (415 lists them).
_BODIES: Final[dict[str, Any]] = {
    "application/json": {"schema": {}, "example": _EXAMPLE},
    "application/ld+json": {"schema": {}, "example": _EXAMPLE},
    "application/xml": {"schema": {"type": "string"}, "example": "<alert xmlns='urn:oasis:names:tc:emergency:cap:1.2'>…</alert>"},
    "application/x-protobuf": {"schema": {"type": "string", "format": "binary"}},
}


def create_app(settings: Settings, *, rate: Rate | None = None) -> FastAPI:
    """Return the application of an instance; it connects when it is started.

    Args:
        settings: the instance.
        rate: the bound on each feed.
    """
    access = Access(settings)
    publisher = Publisher(settings, access)
    door = Door(access, publisher, rate or Rate())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await publisher.start()
        yield
        await publisher.stop()

    app = FastAPI(
        title="Vigie: HTTP intake",
        summary="Messages of systems that send by themselves.",
        description="A message is answered once it is stored on disk. What it holds is judged later, and rejected with a reason.",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # its pages load scripts from elsewhere; /openapi.json is read by any tool
        redoc_url=None,
    )
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _not_here)

    @app.get(
        "/health",
        summary="Whether messages can be stored now.",
        responses={200: {"content": {"application/json": {"example": {"status": "ok"}}}}, 503: {"description": "They cannot."}},
    )
    async def _health() -> JSONResponse:
        if publisher.trouble is None:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "unavailable", "error": publisher.trouble}, HTTPStatus.SERVICE_UNAVAILABLE)

    @app.post(
        "/ingest/{feed}",
        status_code=HTTPStatus.ACCEPTED,
        response_description="Stored on disk.",
        responses=described(Problem),
        summary="Store a message of a feed.",
        description="The query of the address, if any, is kept beside the message (ChirpStack says there what happened: `?event=up`).",
        openapi_extra={"requestBody": {"required": True, "description": "The message, as the system writes it.", "content": _BODIES}},
    )
    async def _ingest(
        request: Request,
        feed: Feed,
        token: Token,
        x_partition_key: Annotated[str | None, Header(description="Messages of one key stay in order: the asset's code.")] = None,
        idempotency_key: Annotated[str | None, Header(description="Sent again within ten minutes, it is stored once.")] = None,
    ) -> Stored:
        door.admit(feed, token.credentials if token else None)
        check_keys(x_partition_key, idempotency_key)
        check_media_type(request, access.media_types(feed))
        query = query_of(request)
        door.slow_down(feed)
        body = await body_of(request)
        receipt = await door.store(feed, x_partition_key or feed, body, message_id=idempotency_key, query=query)
        return Stored(feed=feed, sequence=receipt.sequence, duplicate=receipt.is_duplicate)

    app.include_router(talq.router(door))
    return app


async def _refused(request: Request, refused: Exception) -> Response:
    if not isinstance(refused, RefusedError):
        raise refused
    if talq.is_asked(request):
        return talq.refusal(refused)
    return JSONResponse(refused.problem.model_dump(), refused.status, headers=refused.headers)


async def _not_here(request: Request, error: Exception) -> Response:
    """Say of an address that is not there, or not with this method, what every refusal says."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    refused = RefusedError(
        status, f"{request.method} {request.url.path}: {status.phrase}", "GET /openapi.json lists the addresses",
        dict(error.headers or {}), key="resourceNotFound" if status is HTTPStatus.NOT_FOUND else "genericError",
    )  # fmt: skip
    return await _refused(request, refused)
