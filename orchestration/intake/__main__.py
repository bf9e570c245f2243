"""The HTTP intake as a process: `python -m orchestration.intake`.

Here: the server and its bounds. Not here: the application (`app`).
"""

from __future__ import annotations

import sys

import uvicorn

from ingestion.errors import VigieError
from orchestration.intake.app import create_app
from orchestration.settings import Settings

# Connections at once, kept ones included; each may hold one body of 8 MiB in memory while it is sent.
_CONNECTIONS = 256


def main() -> None:
    """Serve until asked to stop."""
    settings = Settings.load()
    uvicorn.run(
        create_app(settings),
        host=settings.intake_host,
        port=settings.intake_port,
        access_log=False,  # a line per message says nothing that the stream does not; headers, with tokens, never stand in a log
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=5,
        server_header=False,
        log_level="info",
    )


if __name__ == "__main__":
    try:
        main()
    except VigieError as error:
        sys.exit(f"error: {error}")
