"""The process: `python -m orchestration.alerts.deliveries`.

Here: starting and stopping. Not here: what it does (`process`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from ingestion.errors import VigieError
from orchestration.alerts.deliveries.process import Deliveries
from orchestration.settings import Settings


async def main() -> None:
    """Run until asked to stop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Deliveries(Settings.load()).run(stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    # It would write each address with its query at every request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        asyncio.run(main())
    except VigieError as error:
        sys.exit(f"error: {error}")
