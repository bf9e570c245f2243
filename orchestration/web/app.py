"""The application: what is mounted where.

Here: putting the parts together, health. Not here: any page or API; each part is a module that adds itself to the application.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import psycopg
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.middleware.sessions import SessionMiddleware

from ingestion.errors import VigieError
from orchestration.alerts import accounts
from orchestration.alerts.access import SHIFT, Access
from orchestration.alerts.feeds import answers, api, problems
from orchestration.alerts.store.store import Store, open_pool
from orchestration.settings import Settings
from orchestration.web import signin
from orchestration.web.guard import Guard
from orchestration.web.live import Live

_LOG: Final = logging.getLogger("vigie.web")
# A page each of a few operators, a handful of systems that listen, and requests that take milliseconds.
_CONNECTIONS: Final = 8
# The longest thing people write is 2,000 characters, and 500 numbers of alarms are less: past it, somebody fills the memory.
_MAX_BODY: Final = 64 * 1024
# Between two tries to make the accounts while the database starts.
_RETRY_S: Final = 1.0


def create_app(settings: Settings, *, with_page: bool = False) -> FastAPI:
    """Return the application of an instance; it connects when it is started.

    `with_page` adds the operators' page: of applications in one process, one can have it (NiceGUI is one per process).

    Its parts find each other in `app.state`: `settings`, `store`, `access`, `live`.
    """
    url = settings.app_url.get_secret_value()
    pool = open_pool(url, name="vigie-web", size=_CONNECTIONS)
    store = Store(pool.connection)
    access, live = Access(pool.connection), Live(url, store)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await live.start()
        making = asyncio.create_task(_make_accounts(app, settings, access))
        yield
        making.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await making
        await live.stop()
        await run_in_threadpool(pool.close)

    app = FastAPI(
        title="Vigie: alarms",
        summary="The alarms of a territory: read, treat, follow as they change.",
        description=api.DESCRIPTION,
        version="1",
        lifespan=lifespan,
        docs_url=None,  # its pages load scripts from elsewhere; /openapi.json is read by any tool
        redoc_url=None,
        separate_input_output_schemas=False,
        max_body_size=_MAX_BODY,
    )
    app.state.settings, app.state.store, app.state.access, app.state.live = settings, store, access, live
    app.state.accounts = "the accounts are being made"  # until they are, or why they cannot be
    problems.install(app)
    # The last that is added is the outermost: sessions are read before the guard looks at them.
    app.add_middleware(Guard, access=access)
    app.add_middleware(
        SessionMiddleware,
        secret_key=settings.web_secret.get_secret_value(),
        session_cookie="vigie_session",
        max_age=int(SHIFT.total_seconds()),
        same_site="strict",
        # The local profile is asked on this machine, without TLS; a server stands behind a proxy that ends it (docs/alerts-api.md).
        https_only=settings.profile == "server",
    )

    @app.get(
        "/health",
        summary="Whether the alarms can be read now, and changes are heard.",
        responses={200: {"content": {"application/json": {"example": {"status": "ok"}}}}, 503: {"description": "They cannot."}},
    )
    def _health() -> JSONResponse:
        problem = app.state.accounts or live.trouble
        try:
            store.last_seq()
        except (psycopg.Error, PoolTimeout) as error:
            problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if problem is not None:
            return JSONResponse({"status": "unavailable", "error": problem}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ok"})

    app.include_router(signin.router(access))
    described = app.openapi
    app.openapi = lambda: answers.complete(described())  # type: ignore[method-assign] # FastAPI's own way to change its document
    app.include_router(api.router(settings, pool.connection, store, access, live))
    if with_page:  # last: it takes every path that is left
        from orchestration.alerts.page import add as page  # noqa: PLC0415 - NiceGUI takes a second to load

        page.add(app, store=store, connect=pool.connection, live=live, access=access, settings=settings)
    return app


async def _make_accounts(app: FastAPI, settings: Settings, access: Access) -> None:
    """Make the accounts of a local instance, as soon as the database answers."""
    while True:
        try:
            await run_in_threadpool(accounts.ensure, settings, access)
            app.state.accounts = None
            return
        except (psycopg.Error, PoolTimeout):
            await asyncio.sleep(_RETRY_S)
        except VigieError as error:
            app.state.accounts = error.message
            _LOG.error("the accounts of secrets.toml could not be made: %s", error)
            return
