"""Putting the page into the application: `add(app)`.

Here: the route, static files, headers, and the task that keeps the board in step. Not here: the page (`wall`).

NiceGUI is one per process: of several applications, one can have the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from nicegui import ui
from starlette.staticfiles import StaticFiles

from orchestration.alerts.access import Access
from orchestration.alerts.page import handover, report, statics
from orchestration.alerts.page import map as map_
from orchestration.alerts.page.board import Board
from orchestration.alerts.page.wall import Wall
from orchestration.alerts.store.store import Connect, Store
from orchestration.settings import Settings
from orchestration.web.live import Live

STATIC: Final = Path(__file__).with_name("static")
_LOG: Final = logging.getLogger("vigie.web")
_AT: Final = "/mur"
# What a browser resends after a cut is held so long; past it the page is loaded anew, which shows the truth as well.
_RECONNECT_S: Final = 10.0


def add(app: FastAPI, *, store: Store, connect: Connect, live: Live, access: Access, settings: Settings) -> None:
    """Serve the wall at `/`.

    Args:
        app: the application; who may see a page is its guard's business.
        store: the alarms.
        connect: lends a connection, for signs of life.
        live: the journal as it grows; who started it stops it.
        access: who people are.
        settings: the instance's.
    """
    board = Board(store, connect, live, access, settings)
    app.mount(_AT, StaticFiles(directory=STATIC), name="wall")
    app.mount(statics.root(), StaticFiles(directory=STATIC), name="components")
    app.include_router(map_.router(board, connect, settings))
    app.include_router(handover.router(board, connect))
    app.include_router(report.router(board, connect))
    head = _head()

    @ui.page("/", title="Vigie — poste de commandement", dark=True, language="fr")
    async def _wall(request: Request) -> None:
        ui.add_head_html(head)
        await Wall.open(board, request)

    ui.run_with(
        app,
        title="Vigie",
        dark=True,
        language="fr",
        reconnect_timeout=_RECONNECT_S,
        tailwind=False,  # it compiles styles in the browser at every change of the page
        binding_refresh_interval=None,  # nothing is bound: a loop less
        show_welcome_message=False,
    )
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def _lifespan(served: FastAPI) -> AsyncIterator[Any]:
        async with inner(served) as state:
            task = asyncio.create_task(board.run(), name="alerts board")
            task.add_done_callback(_ended)
            try:
                yield state
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    app.router.lifespan_context = _lifespan


def _ended(task: asyncio.Task[None]) -> None:
    """Say why the board stopped. Pages then hear nothing any more, and say so by themselves (`.cut`)."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("the board of the pages stopped", exc_info=error)


def _head() -> str:
    def stamped(name: str) -> str:
        # The address changes with the content: no browser keeps an old one.
        digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
        return f"{_AT}/{name}?{digest}"

    styles = "".join(f'<link rel="stylesheet" href="{stamped(name)}">' for name in ("wall.css", "parts.css"))
    return f'{styles}<script defer src="{stamped("wall.js")}"></script>'
