"""The web application as a process: `python -m orchestration.web`.

Here: the server and its bounds. Not here: the application (`app`).
"""

from __future__ import annotations

import sys

import uvicorn

from ingestion.errors import VigieError
from orchestration.settings import Settings
from orchestration.web.app import create_app


def main() -> None:
    """Serve until asked to stop."""
    settings = Settings.load()
    uvicorn.run(
        create_app(settings, with_page=True),
        host=settings.web_host,
        port=settings.web_port,
        access_log=False,
        # In the local profile nobody stands between: who writes `X-Forwarded-For` would choose the address that failed sign-ins count for.
        # Behind a proxy, FORWARDED_ALLOW_IPS names it (docs/alerts-api.md).
        proxy_headers=settings.profile == "server",
        timeout_graceful_shutdown=3,  # streams of events never end by themselves
        server_header=False,
        log_level="info",
    )


if __name__ == "__main__":
    try:
        main()
    except VigieError as error:
        sys.exit(f"error: {error}")
