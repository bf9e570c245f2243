"""The outside world that is asked: one HTTP server of all systems that answer, below `/FEED/`.

Here: the application, which systems it serves, the files that systems leave. Not here: what they answer (each system's own module), the
process (`orchestration.simulated_apis`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from fastapi import FastAPI, Request, Response

from ingestion.simulator import town
from ingestion.simulator.asked import Asked, Dropped, Question, refuse
from ingestion.simulator.clock import DAY
from ingestion.simulator.world import World

_OK: Final = 200
_NOT_MODIFIED: Final = 304
# A drop folder is emptied by whoever owns it: what is older has been read for weeks.
KEPT_FILES: Final = 35 * DAY


def asked(world: World) -> dict[str, Asked]:
    """Return the systems of a world that are asked, by feed."""
    return {feed: cast("Asked", s) for feed, s in town.systems(world).items() if hasattr(s, "answer")}


def dropped(world: World) -> dict[str, Dropped]:
    """Return the systems of a world that leave files, by feed."""
    return {feed: cast("Dropped", s) for feed, s in town.systems(world).items() if hasattr(s, "files")}


def create_app(world: Callable[[], World], clock: Callable[[], float]) -> FastAPI:
    """Return the application.

    Args:
        world: returns the world as it is now: scenarios may join it.
        clock: returns the instant of each question, seconds since 1970.
    """
    app = FastAPI(title="Simulated territory: what is asked", docs_url=None, redoc_url=None, openapi_url=None)
    held: list[tuple[World, dict[str, Asked]]] = []

    def systems() -> dict[str, Asked]:
        now = world()
        if not held or held[-1][0] is not now:
            held[:] = [(now, asked(now))]
        return held[-1][1]

    @app.get("/health")
    def health() -> dict[str, list[str]]:
        return {"feeds": sorted(systems())}

    # Not a coroutine: answers are worked out, for some milliseconds, on a thread each.
    @app.get("/{feed}/{path:path}")
    def answer(feed: str, path: str, request: Request) -> Response:
        system = systems().get(feed)
        question = Question(path.strip("/"), dict(request.query_params), str(request.url).partition("?")[0], int(clock()))
        found = (None if system is None else system.answer(question)) or refuse("inconnu", status=404)
        # Whoever asks again what is unchanged is told so, and nothing more.
        tag = f'"{hashlib.sha256(found.body).hexdigest()[:32]}"'
        if found.status == _OK and request.headers.get("If-None-Match") == tag:
            return Response(status_code=_NOT_MODIFIED, headers={"ETag": tag})
        return Response(found.body, status_code=found.status, media_type=found.content_type, headers={"ETag": tag})

    return app


def drop(world: World, folder: Path, start: int, end: int) -> list[Path]:
    """Leave the files that fall due in [start, end), each system's in its own folder; take away those that are long old.

    A file that is there already is left as it is. Whoever looks sees whole files only.
    """
    left = []
    for system in dropped(world).values():
        home = folder / system.folder
        home.mkdir(parents=True, exist_ok=True)
        for name, content in system.files(max(start, end - KEPT_FILES), end):
            path = home / name
            if not path.exists():
                draft = home / f".{name}.part"
                draft.write_bytes(content)
                draft.replace(path)
                left.append(path)
        for path in home.iterdir():
            if path.is_file() and end - path.stat().st_mtime > KEPT_FILES:
                path.unlink()
    return left
