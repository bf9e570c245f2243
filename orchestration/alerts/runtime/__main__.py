"""The process: `python -m orchestration.alerts.runtime`.

Here: starting and stopping. Not here: what it does (`process`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from ingestion.errors import VigieError
from orchestration.alerts.runtime.process import Runtime
from orchestration.settings import Settings

# A commit must not wait until the thread that decodes lets it: Python's own 5 ms would be the whole latency allowed.
_SWITCH_S = 0.000_5


async def main() -> None:
    """Run until asked to stop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Runtime(Settings.load()).run(stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    sys.setswitchinterval(_SWITCH_S)
    try:
        asyncio.run(main())
    except VigieError as error:
        sys.exit(f"error: {error}")
