"""What the intake answers: its own words, and what its OpenAPI says of them.

Here: models and refusals. Not here: who is refused (`access`, `reading`), TALQ's form of a refusal (`talq`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, Field

from orchestration.services.nats_config import MAX_BODY

# What a caller is told to wait when the broker cannot store: it restarts within some seconds.
RETRY_AFTER_S: Final = 5
_RETRY: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}


class Stored(BaseModel):
    """The message is stored, on disk."""

    feed: str = Field(examples=["lights"])
    sequence: int = Field(description="Its number in the stream.", examples=[4711])
    duplicate: bool = Field(
        description="Whether a message of the same Idempotency-Key was stored before; then `sequence` is that one's.", examples=[False]
    )


class Problem(BaseModel):
    """Why the message was not taken, and what to do."""

    error: str = Field(examples=["no token, or one of no feed"])
    remedy: str = Field(examples=["send `Authorization: Bearer TOKEN`; vigie feeds access FEED shows where it is"])


class RefusedError(Exception):
    """An answer other than that the message is stored.

    Attributes:
        status: of HTTP.
        problem: what people are told.
        headers: of the answer.
        key: TALQ's word for it, where TALQ asks.
    """

    def __init__(
        self, status: HTTPStatus, error: str, remedy: str, headers: dict[str, str] | None = None, *, key: str = "genericError"
    ) -> None:
        super().__init__(error)
        self.status, self.problem, self.headers, self.key = status, Problem(error=error, remedy=remedy), headers, key


REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "Empty body, or a header or query that cannot be used.",
    HTTPStatus.UNAUTHORIZED: "No token, or one of no feed.",
    HTTPStatus.FORBIDDEN: "The token of another feed.",
    HTTPStatus.NOT_FOUND: "No such feed, or not one that is sent.",
    HTTPStatus.REQUEST_TIMEOUT: "The body came too slowly.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"More than {MAX_BODY} bytes.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Not a media type of the feed's format, or compressed.",
    HTTPStatus.TOO_MANY_REQUESTS: "Faster than a feed may; Retry-After says when to go on.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not stored now; send it again after Retry-After.",
}
_HEADERS: Final = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}}},
    HTTPStatus.TOO_MANY_REQUESTS: _RETRY,
    HTTPStatus.SERVICE_UNAVAILABLE: _RETRY,
}


def described(model: Any) -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI describes the refusals, each with a body of a model."""
    return {
        status.value: {"model": model, "description": text, **({"headers": _HEADERS[status]} if status in _HEADERS else {})}
        for status, text in REFUSALS.items()
    }


def too_large() -> RefusedError:
    """Return the refusal of a body past its bound."""
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {MAX_BODY} bytes", "send several, or a file to vigie ingest",
        {"Connection": "close"},
    )  # fmt: skip


def unavailable(why: str) -> RefusedError:
    """Return the refusal while the broker does not store."""
    return RefusedError(
        HTTPStatus.SERVICE_UNAVAILABLE, why, "send it again after Retry-After: it was not confirmed", {"Retry-After": str(RETRY_AFTER_S)}
    )
