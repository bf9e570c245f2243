"""The process: `python -m orchestration.alerts.runtime`.

Here: starting and stopping. Not here: what it does.
"""

from __future__ import annotations

import datetime as dt
import signal
import sys
import threading

import psycopg

from ingestion.errors import VigieError
from orchestration.alerts.heartbeat import beat
from orchestration.alerts.store.turn import connect
from orchestration.settings import Settings

_BEAT_S = 1.0


def main() -> None:
    """Run until asked to stop."""
    settings, stop = Settings.load(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            with connect(settings.app_url.get_secret_value(), name="vigie-engine") as con:
                while not stop.wait(_BEAT_S):
                    beat(con, [("engine", dt.datetime.now(dt.UTC), {})])
        except psycopg.OperationalError:
            stop.wait(_BEAT_S)


if __name__ == "__main__":
    try:
        main()
    except VigieError as error:
        sys.exit(f"error: {error}")
