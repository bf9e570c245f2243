"""The one door of the web application: who comes in is known, or is refused.

Here: what is open to all, sessions and tokens, requests that other sites forge. Refuses by default: a route that is added is closed.
Not here: who is who (`orchestration.alerts.access`), the sign-in page (`signin`), what a role may do beyond reading (`needed`, and
`orchestration.alerts.feeds.actions` for each action).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

import psycopg
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestration.alerts.access import Access, Who
from orchestration.alerts.model import Role

SIGN_IN: Final = "/connexion"
OPEN: Final = frozenset({"/health", SIGN_IN})
"""What anybody may ask: exact paths."""
API: Final = "/api/"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# What a page of ours needs: nothing from elsewhere, in no frame of another site. NiceGUI builds its pages with inline scripts and
# styles, and Vue compiles templates (unsafe-eval).
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def needed(method: str, path: str) -> Role:
    """Return the least role for a request: whoever changes something through the API is an operator at least."""
    return Role.OPERATOR if path.startswith(API) and method not in _SAFE else Role.VIEWER


class Guard:
    """ASGI middleware, inside the one of sessions. What is let in finds who it is in `request.state.who`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in, or refuse."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        connection, send = HTTPConnection(scope), _with_headers(send, scope["path"])
        method = scope.get("method", "GET")
        forged = (method not in _SAFE or scope["type"] == "websocket") and not _is_bearer(connection) and not is_same_site(connection)
        if forged:
            await _refuse(HTTPStatus.FORBIDDEN, "the request comes from another site", "send it from a page of this one, or with a token")(
                scope, receive, send
            )
            return
        path = scope["path"]
        if path not in OPEN:
            answer = await self._refusal(connection, method, path)
            if answer is not None:
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _refusal(self, connection: HTTPConnection, method: str, path: str) -> Response | None:
        try:
            who = await run_in_threadpool(self._who, connection)
        except (psycopg.Error, PoolTimeout):
            return _refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer", "try again in some seconds")
        if who is None:
            return _unknown(connection, method, path)
        role = needed(method, path)
        if not who.role.may(role):
            return _refuse(HTTPStatus.FORBIDDEN, f"{who.login} ({who.role}) may not do this", f"it takes the role {role}")
        connection.state.who = who
        return None

    def _who(self, connection: HTTPConnection) -> Who | None:
        if _is_bearer(connection):
            return self.access.of_token(connection.headers["authorization"].split(" ", 1)[1].strip())
        return self.access.of_session(connection.session)


def is_same_site(connection: HTTPConnection) -> bool:
    """Return whether a request that may change something was sent by a page of this site.

    Browsers say where a POST or a WebSocket comes from (`Origin`); who says nothing is no page of ours.
    """
    origin = connection.headers.get("origin")
    if origin is None:
        return connection.headers.get("sec-fetch-site") == "same-origin"
    try:
        return urlsplit(origin).netloc == connection.headers.get("host")
    except ValueError:  # no address at all, which no browser sends
        return False


def _is_bearer(connection: HTTPConnection) -> bool:
    return connection.headers.get("authorization", "").lower().startswith("bearer ")


def _unknown(connection: HTTPConnection, method: str, path: str) -> Response:
    if method == "GET" and "text/html" in connection.headers.get("accept", "") and not _is_bearer(connection):
        query = f"?{connection.url.query}" if connection.url.query else ""
        after = "" if path == "/" else f"?suite={quote(path + query, safe='')}"
        return RedirectResponse(f"{SIGN_IN}{after}", HTTPStatus.SEE_OTHER)
    return _refuse(
        HTTPStatus.UNAUTHORIZED, "no session, and no token that is known", "sign in, or send `Authorization: Bearer TOKEN`",
        {"WWW-Authenticate": "Bearer"},
    )  # fmt: skip


def _refuse(status: HTTPStatus, error: str, remedy: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": error, "remedy": remedy}, status, headers)


def _with_headers(send: Send, path: str) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if path.startswith(API):  # what only some may see is in no cache
                headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return wrapped
