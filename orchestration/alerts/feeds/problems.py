"""What a refused request is answered, in the same form for all: `{"error", "remedy"}`.

Here: from what went wrong to status and words. Not here: who is refused before (`orchestration.web.guard`).
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ingestion.errors import VigieError, WrongUse
from orchestration.alerts.access import NotAllowed
from orchestration.alerts.store.store import NotThere
from orchestration.alerts.store.suppressions import NoSuppression

_LOG: Final = logging.getLogger("vigie.web")
# What a caller is told to wait when the database is away: it restarts within some seconds.
RETRY_AFTER_S: Final = 5


class Problem(BaseModel):
    """Why a request was refused, and what to do."""

    error: str = Field(examples=["alarm 7 is closed"])
    remedy: str | None = Field(examples=["its journal can still be read and commented"])


_TEXTS: Final = {
    HTTPStatus.UNAUTHORIZED: "No session, and no token that is known.",
    HTTPStatus.FORBIDDEN: "The role does not allow it, or the request comes from another site.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.CONFLICT: "The alarm's state does not allow it.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request is not what it should be.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many streams of this account are open.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database does not answer; try again after Retry-After.",
}


def described(*more: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI describes refusals: those of every address, and `more`."""
    statuses = (
        HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE, *more,
    )  # fmt: skip
    return {status.value: {"model": Problem, "description": _TEXTS[status]} for status in sorted(statuses)}


def install(app: FastAPI) -> None:
    """Answer what goes wrong in this application."""
    app.add_exception_handler(VigieError, _vigie)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(psycopg.DataError, _unstorable)
    app.add_exception_handler(psycopg.Error, _database)
    app.add_exception_handler(PoolTimeout, _database)


def answer(status: HTTPStatus, error: str, remedy: str | None, headers: dict[str, str] | None = None) -> Response:
    """Return a refusal."""
    return JSONResponse({"error": error, "remedy": remedy}, status, headers)


async def _vigie(_: Request, error: Exception) -> Response:
    if not isinstance(error, VigieError):
        raise error
    match error:
        case NotThere() | NoSuppression():
            status = HTTPStatus.NOT_FOUND
        case NotAllowed():
            status = HTTPStatus.FORBIDDEN
        case WrongUse():
            status = HTTPStatus.CONFLICT
        case _:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
    return answer(status, error.message, error.remedy)


async def _invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    told = "; ".join(f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors())
    return answer(HTTPStatus.UNPROCESSABLE_ENTITY, told, "GET /openapi.json says what each address takes")


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    told = f"{request.method} {request.url.path}: {status.phrase}"
    return answer(status, told, "GET /openapi.json lists the addresses", dict(error.headers or {}))


async def _unstorable(_: Request, error: Exception) -> Response:
    """Refuse what PostgreSQL cannot hold: a null character in a text, an instant after the year 9999."""
    if not isinstance(error, psycopg.DataError):
        raise error
    told = (str(error).strip().splitlines() or [type(error).__name__])[0]
    _LOG.warning("a request holds what cannot be stored: %s", told)
    return answer(HTTPStatus.UNPROCESSABLE_ENTITY, f"the request holds what cannot be stored: {told}", "correct it; nothing was changed")


async def _database(_: Request, error: Exception) -> Response:
    if not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)):
        raise error
    _LOG.warning("the database does not answer: %s", error)
    return answer(
        HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer", "try again after Retry-After; nothing was changed",
        {"Retry-After": str(RETRY_AFTER_S)},
    )  # fmt: skip
