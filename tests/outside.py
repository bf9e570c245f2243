"""The simulated outside world on loopback, by a clock of the test's own.

Here: the server and its fixture. Not here: tests. A module that uses them says `pytest_plugins = ("tests.outside",)`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed
from ingestion.simulator import inventory, served
from ingestion.simulator.world import World

_START_S = 20.0


class Outside:
    """A served world.

    Attributes:
        world: what answers; another may be put in its place.
        now: what its clock shows, seconds since 1970.
        url: its address.
    """

    def __init__(self, world: World) -> None:
        self.world, self.now = world, 0
        config = uvicorn.Config(served.create_app(lambda: self.world, lambda: self.now), port=0, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            assert self._thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def feed(self, name: str, folder: Path) -> Feed:
        """Return the contract of a feed as an instance has it: with this address, and `folder` for files."""
        written = inventory.write_contracts(self.world, folder, asked_at=self.url, files=folder)
        return load_feed(written[name])

    def close(self) -> None:
        """Stop answering."""
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def outside() -> Iterator[Callable[[World], Outside]]:
    """Serve worlds until the test ends."""
    running: list[Outside] = []

    def serve(world: World) -> Outside:
        running.append(Outside(world))
        return running[-1]

    yield serve
    for one in running:
        one.close()
