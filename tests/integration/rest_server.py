"""A REST source on loopback for tests of connectors.

Here: a server whose answers are a function of what it is asked, and its fixture. Not here: tests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

Answer = tuple[int, dict[str, str], bytes]
Query = dict[str, str]


class Server:
    """A local server whose answers are a function of path, query and headers; it keeps what it was asked."""

    def __init__(self, answer: Callable[[str, Query, Any], Answer]) -> None:
        self.asked: list[tuple[str, Query, dict[str, str]]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {k: v[0] for k, v in parse_qs(parts.query).items()}
                owner.asked.append((parts.path, query, dict(self.headers)))
                status, headers, body = answer(parts.path, query, owner)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Start = Callable[[Callable[[str, Query, Any], Answer]], Server]


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[Server] = []

    def run(answer: Callable[[str, Query, Any], Answer]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield run
    for server in servers:
        server.close()


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    """Return a JSON answer."""
    return status, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()
