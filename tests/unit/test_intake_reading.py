"""What a request may bring to the intake: bounds that need no server."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import pytest
from fastapi import Request

from orchestration.intake import reading
from orchestration.intake.answers import RefusedError


def request(query: bytes = b"", **headers: str) -> Request:
    """Return a request whose body never comes to an end."""

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError("waited for too long")

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/ingest/a", "query_string": query, "headers": raw}, receive)


def status_of(call: Any) -> HTTPStatus | None:
    try:
        call()
    except RefusedError as refused:
        return refused.status
    return None


def test_a_body_that_comes_too_slowly_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BODY_TIMEOUT_S", 0.05)
    with pytest.raises(RefusedError) as caught:
        asyncio.run(reading.body_of(request()))
    assert caught.value.status == HTTPStatus.REQUEST_TIMEOUT
    assert caught.value.headers == {"Connection": "close"}


@pytest.mark.parametrize("query", [b"q" * 1001, b"a b", b"a\r\nVigie-Query: b", "é".encode()])
def test_a_query_that_could_not_stand_in_a_header_is_refused(query: bytes) -> None:
    assert status_of(lambda: reading.query_of(request(query))) == HTTPStatus.BAD_REQUEST


def test_a_query_is_kept_as_it_was_sent() -> None:
    assert reading.query_of(request(b"event=up&x=%C3%A9")) == "event=up&x=%C3%A9"
    assert reading.query_of(request()) == ""


@pytest.mark.parametrize(
    ("taken", "given", "is_taken"),
    [
        (("application/json",), "application/senml+json; charset=utf-8", True),
        (("application/json",), "application/xml", False),
        (("application/xml", "text/xml"), "application/atom+xml", True),
        (("application/xml", "text/xml"), "application/json", False),
        (("application/x-protobuf",), "application/x-protobuf", True),
        (("application/x-protobuf",), "application/x-www-form-urlencoded", False),
    ],
)
def test_media_types_are_those_of_the_format(taken: tuple[str, ...], given: str, is_taken: bool) -> None:
    expected = None if is_taken else HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert status_of(lambda: reading.check_media_type(request(content_type=given), taken)) == expected
    assert status_of(lambda: reading.check_media_type(request(), taken)) is None, "without a word, the first is meant"
    compressed = request(content_type=taken[0], content_encoding="gzip")
    assert status_of(lambda: reading.check_media_type(compressed, taken)) == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
