"""The application: what is mounted where.

Here: putting the parts together, health. Not here: any page or API; each part is a module that adds itself to the application.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import psycopg
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from orchestration.alerts.store.store import Store, open_pool
from orchestration.settings import Settings

# A page each of a few operators, a handful of systems that listen, and requests that take milliseconds.
_CONNECTIONS = 8


def create_app(settings: Settings) -> FastAPI:
    """Return the application of an instance; it connects when it is started."""
    pool = open_pool(settings.app_url.get_secret_value(), name="vigie-web", size=_CONNECTIONS)
    store = Store(pool.connection)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(pool.close)

    app = FastAPI(title="Vigie", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.settings, app.state.store = settings, store

    @app.get("/health", summary="Whether the alarms can be read now.")
    def _health() -> JSONResponse:
        try:
            store.last_seq()
        except psycopg.Error as error:
            problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            return JSONResponse({"status": "unavailable", "error": problem}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ok"})

    return app
