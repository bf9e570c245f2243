"""How gunicorn runs the dashboard server.

Here: workers, threads, bounds, what a worker must not share with its parent. The address is given on the command line. Not here: what is
served (`wsgi`).
"""

import ctypes
import os
import signal
import sys
from typing import Any

# A worker holds 400 to 500 MB; loaded before the fork, they share most of it, and both start in the time of one.
preload_app = True
workers = 2
worker_class = "gthread"
threads = 8
# A query is cut after 30 s (orchestration.superset.server_file); a page needs a little more around it.
timeout = 60
graceful_timeout = 10
# A worker that grew is replaced, not all at once.
max_requests = 5_000
max_requests_jitter = 500
# Heartbeats in memory: on a busy disk a worker that writes them looks dead.
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn unlinks the file as it makes it: nobody else can open it
# Nobody commands it but the supervisor; it would stand in the system user's own folder, one for all instances.
control_socket_disable = True
accesslog = None
errorlog = "-"


# prctl(2): a signal for this process when its parent ends.
_PR_SET_PDEATHSIG = 1


def on_starting(_server: Any) -> None:
    """End with the service that started this: killed, it could not say so, and its successor would find the port taken."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent == 1:
        sys.exit("the service that starts this server has ended")


def post_fork(_server: Any, _worker: Any) -> None:
    """Leave the parent's connections to the parent: two processes on one socket read each other's answers."""
    from superset import db

    from dashboards.server.wsgi import app

    with app.app_context():
        db.engine.dispose(close=False)


def worker_exit(_server: Any, worker: Any) -> None:
    """End a worker that served without taking Python's modules down: DuckDB's threads, ended by that, end the process with a fault."""
    from dashboards.server import lake_dialect

    if worker.booted:  # one that could not start tells gunicorn so by its code
        lake_dialect.forget()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
