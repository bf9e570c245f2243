"""A receiver of webhooks on loopback for tests: it keeps what it was sent, and answers as it is told.

Here: serving an application in a thread, faults that are planned, the receiver. Not here: tests, the hypervisor (`provoly_standin`).
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from orchestration.services import ports


@dataclass
class Fault:
    """What happens to requests that `matches` says yes to, so many times.

    Attributes:
        status, headers, body: answered in place of the application's answer; 0 lets that be.
        hang_s: how long nothing is answered once the application has done its work.
        after: called when the application has done its work, before it answers.
    """

    matches: Callable[[Request], bool]
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    hang_s: float = 0.0
    after: Callable[[], None] | None = None


class Served:
    """An application served in a thread on a free port (or the one it is given), and the faults it is to have."""

    def __init__(self, app: ASGIApp, port: int | None = None) -> None:
        self.app, self.port = app, port or ports.choose()
        self.url = f"http://127.0.0.1:{self.port}"
        self.faults: list[Fault] = []
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        config = uvicorn.Config(self._with_faults, host="127.0.0.1", port=self.port, log_level="error", lifespan="off", interface="asgi3")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        until(lambda: self._server is not None and self._server.started)

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.force_exit = self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None

    def fail(self, method: str, path: str, **fault: Any) -> Fault:
        """Plan a fault for requests of a method whose path begins so."""
        self.faults.append(Fault(lambda r: r.method == method and r.url.path.startswith(path), **fault))
        return self.faults[-1]

    async def _with_faults(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        fault = next((f for f in self.faults if f.times > 0 and f.matches(request)), None)
        if fault is not None:
            fault.times -= 1
            if fault.status:
                await Response(fault.body, fault.status, fault.headers)(scope, receive, send)
                return

        async def answer(message: Any) -> None:
            if fault is not None and message["type"] == "http.response.start":
                await asyncio.sleep(fault.hang_s)
                if fault.after is not None:
                    fault.after()
            await send(message)

        await self.app(scope, receive, answer)


@dataclass(frozen=True)
class Received:
    """One message: its headers (names in small letters), its bytes, its document, when it came (monotonic seconds)."""

    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def line(self) -> tuple[int, int, str]:
        """The number of the line, its alarm and kind."""
        data = self.document["data"]
        return data["seq"], data["alarm_id"], data["kind"]


class WebhookServer(Served):
    """Takes every message that no fault is planned for; `answer` is what it says then."""

    def __init__(self, port: int | None = None) -> None:
        self.received: list[Received] = []
        self.answer: Any = {}
        methods = ["GET", "POST"]
        super().__init__(Starlette(routes=[Route("/{path:path}", self._take, methods=methods)]), port)

    async def _take(self, request: Request) -> Response:
        self.received.append(Received(dict(request.headers), await request.body(), time.monotonic()))
        return JSONResponse(self.answer(request) if callable(self.answer) else self.answer)

    @property
    def lines(self) -> list[tuple[int, int, str]]:
        return [r.line for r in self.received]


def until(holds: Callable[[], Any], timeout_s: float = 30.0, told: Callable[[], Any] = lambda: "") -> None:
    """Wait until something holds; fail past the timeout, with what `told` says."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"it never came to hold: {told()}"
        time.sleep(0.01)


@pytest.fixture
def receiver() -> Iterator[WebhookServer]:
    """A running receiver."""
    server = WebhookServer()
    server.start()
    yield server
    server.stop()
