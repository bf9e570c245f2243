"""The journal as Server-Sent Events: each line once, in order, whatever happens to client, network or server.

Here: one client's stream. Not here: the journal as it grows (`orchestration.web.live`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
import psycopg
from fastapi import APIRouter, Header, Query, Request
from psycopg_pool import PoolTimeout
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from orchestration.alerts.access import Access, Who
from orchestration.alerts.feeds.problems import RETRY_AFTER_S, answer, described
from orchestration.alerts.model import Entry
from orchestration.alerts.store.store import Store
from orchestration.web.live import Live

# Comments that keep proxies from cutting a quiet stream (nginx: 60 s), and tell a client that it lives.
PING_S: Final = 15
# A client that takes nothing for so long is cut; it comes back where it was.
_STALLED_S: Final = 30.0
# How soon a removed account or a changed token ends a stream.
_RECHECK_S: Final = 30.0
_READY_S: Final = 5.0
# Streams of one account at once: one per screen of a post, and those that a lost network left behind, each cut within `_STALLED_S`,
# while their client tries again every second. Past it, a client leaks streams, and would take every file handle of the process.
MOST_OF_ONE: Final = 64
# What EventSource waits before it comes back.
_RETRY: Final = b"retry: 1000\n\n"

_EXAMPLE: Final = (
    'id: 42\nevent: raised\ndata: {"seq":42,"alarm_id":7,"kind":"raised","at":"2026-01-05T07:00:00+00:00",'
    '"happened_at":"2026-01-05T06:59:58+00:00","actor":"vigie","comment":null,"details":{},"alarm":{"alarm_id":7}}\n\n'
)
_DESCRIPTION: Final = """\
An event is a line of the journal: its id is the line's number (`seq`), its name what happened (`kind`), its data the line with the alarm as
it stood after it. `Last-Event-ID` (or `after`) goes on after a line: no gap, no repeat, also after a restart of the server. Without it the
stream begins now, with an event `hello` whose data `{"seq": N}` and id say where. An id from the future (a database restored from a copy)
begins with `hello` too, and `"is_reset": true`: read the alarms again."""
_OPENAPI: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Events, for ever.", "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}}}
}


def add(routes: APIRouter, store: Store, access: Access, live: Live) -> None:
    """Add `/events` to a router."""
    open_streams: Counter[str] = Counter()

    @routes.get(
        "/events", summary="Follow every change.", description=_DESCRIPTION, response_class=EventSourceResponse,
        responses={**described(HTTPStatus.TOO_MANY_REQUESTS), **_OPENAPI}, tags=["follow"],
    )  # fmt: skip
    async def _events(
        request: Request,
        last_event_id: Annotated[int | None, Header(ge=0, description="The last event that was taken.")] = None,
        after: Annotated[int | None, Query(ge=0, description="The same, for who cannot send headers; the header goes first.")] = None,
        priority: Annotated[list[int] | None, Query(description="Only alarms of these priorities.", examples=[[1, 2]])] = None,
        domain: Annotated[list[str] | None, Query(description="Only alarms of these domains.", examples=[["EP"]])] = None,
    ) -> Response:
        given = last_event_id if last_event_id is not None else after
        hello: dict[str, Any] | None = None
        try:
            start = await live.ready(_READY_S)
            if given is None:
                hello = {"seq": start}
            elif given > start and given > (start := await run_in_threadpool(store.last_seq)):
                hello = {"seq": start, "is_reset": True}
            else:
                start = given
        except (TimeoutError, psycopg.Error, PoolTimeout):
            wait = {"Retry-After": str(RETRY_AFTER_S)}
            return answer(HTTPStatus.SERVICE_UNAVAILABLE, "the journal is not heard now", "connect again after Retry-After", wait)
        wanted = _filter(frozenset(priority or ()), frozenset(domain or ()))
        who: Who = request.state.who
        if open_streams[who.login] >= MOST_OF_ONE:
            return answer(
                HTTPStatus.TOO_MANY_REQUESTS, f"{who.login} has {MOST_OF_ONE} streams open", "close those that are not read any more",
                {"Retry-After": str(RETRY_AFTER_S)},
            )  # fmt: skip
        return _Counted(
            open_streams, who.login, _stream(live, access, who, start, hello, wanted), ping=PING_S, send_timeout=_STALLED_S, sep="\n"
        )


class _Counted(EventSourceResponse):
    """A stream that counts for its account for as long as it is served, whichever way it ends."""

    def __init__(self, streams: Counter[str], login: str, content: AsyncIterator[bytes], **options: Any) -> None:
        super().__init__(content, **options)
        self._streams, self._login = streams, login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams[self._login] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams[self._login] -= 1


async def _stream(
    live: Live, access: Access, who: Who, seq: int, hello: dict[str, Any] | None, wanted: Callable[[Entry], bool] | None
) -> AsyncIterator[bytes]:
    yield _RETRY if hello is None else _RETRY + b"id: %d\nevent: hello\ndata: %s\n\n" % (seq, msgspec.json.encode(hello))
    checked = time.monotonic()
    while True:
        try:
            lines = await live.after(seq)
            if time.monotonic() - checked > _RECHECK_S:
                checked = time.monotonic()
                if not await run_in_threadpool(access.still, who):
                    return
        except (psycopg.Error, PoolTimeout):  # the client comes back, and goes on after the last it has
            return
        if lines:
            seq = lines[-1].entry.seq
            if chunk := b"".join(line.event for line in lines if wanted is None or wanted(line.entry)):
                yield chunk
        else:
            await live.wait(seq, _RECHECK_S)


def _filter(priorities: frozenset[int], domains: frozenset[str]) -> Callable[[Entry], bool] | None:
    if not priorities and not domains:
        return None
    return lambda entry: (
        (not priorities or entry.alarm.get("priority") in priorities) and (not domains or entry.alarm.get("domain") in domains)
    )
