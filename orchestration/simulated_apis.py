"""The outside world of a simulated instance as a process: `python -m orchestration.simulated_apis`.

Here: the server that systems are asked on, and the folder where they leave files. Not here: what they say (`ingestion.simulator`), the
process that speaks for those that send by themselves (`orchestration.simulation`).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn

from ingestion.errors import VigieError, WrongUse
from ingestion.simulator import served
from ingestion.simulator.clock import DAY, seconds
from orchestration import simulation
from orchestration.services import ports
from orchestration.settings import Settings

if TYPE_CHECKING:
    from ingestion.simulator.world import World

# Files fall due once a day: a minute later is early enough.
_LOOKS_EACH_S: Final = 60.0
# One connector asks at a time; a person may look beside it.
_CONNECTIONS: Final = 32
_log = logging.getLogger(__name__)


class Current:
    """The world of an instance as it is declared now: a scenario that is started joins it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._held: tuple[simulation.Simulation, World] | None = None

    def __call__(self) -> World:
        """Return the world.

        Raises:
            WrongUse: the instance simulates nothing.
        """
        found = simulation.load(self._settings)
        if found is None:
            raise WrongUse(f"{self._settings.home} simulates nothing", remedy="vigie up --simulate chalons")
        with self._lock:
            if self._held is None or self._held[0] != found:
                self._held = found, found.world()
            return self._held[1]


def leave_files(settings: Settings, world: World, now: float) -> list[Path]:
    """Leave the files that fell due since the day before live began: the first question finds one, whenever it is asked."""
    found = simulation.load(settings)
    if found is None:
        return []
    return served.drop(world, simulation.folder(settings), seconds(found.span[1]) - DAY, int(now) + 1)


def main() -> None:
    """Answer until asked to stop.

    Raises:
        WrongUse: the instance simulates nothing.
    """
    settings = Settings.load()
    current = Current(settings)
    current()
    stopped = threading.Event()

    def leave() -> None:
        while True:
            try:
                for path in leave_files(settings, current(), time.time()):
                    _log.info("left %s", path)
            except (OSError, VigieError):
                # A full disk, a file that is being written: the next look leaves what this one could not.
                _log.exception("no file was left")
            if stopped.wait(_LOOKS_EACH_S):
                return

    leaver = threading.Thread(target=leave, name="files")
    leaver.start()
    try:
        uvicorn.run(
            served.create_app(current, time.time),
            host=ports.LOOPBACK,
            port=int(settings.simulated_apis_port or 0),
            access_log=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=5,
            server_header=False,
            log_level="info",
        )
    finally:
        stopped.set()
        leaver.join()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        main()
    except VigieError as error:
        sys.exit(f"error: {error}")
