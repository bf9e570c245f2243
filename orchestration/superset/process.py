"""Running the dashboard server: prepare its database when its version changed, start it, push what the sheets say.

Here: the order, and what tells that a step is due. Not here: what is served (`dashboards.server`), what is pushed (`dashboards`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

import httpx

from ingestion.errors import VigieError
from orchestration.settings import Settings
from orchestration.superset import installed, server_file

# The folder that holds Vigie's packages: Superset's environment imports `dashboards.server` and `ingestion.lake` from it.
ROOT: Final = Path(__file__).resolve().parents[2]
LOCK_FILE: Final = ROOT / "dashboards" / "requirements.lock"

# A first start migrates some 200 steps: 17 s alone, minutes on a busy machine.
_PREPARE_TIMEOUT_S: Final = 900.0
_START_TIMEOUT_S: Final = 300.0
_STOP_TIMEOUT_S: Final = 20.0


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of Superset's processes: no secret among them, and none of Vigie's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VIGIE_", "DAGSTER_", "DBT_", "PYTHON"))}
    return kept | {
        server_file.VARIABLE: str(server_file.path(settings)),
        "VIGIE_SUPERVISED_BY": os.environ.get("VIGIE_SUPERVISED_BY", ""),
        "PYTHONPATH": str(ROOT),
        "SUPERSET_CONFIG_PATH": str(ROOT / "dashboards" / "server" / "superset_config.py"),
        "SUPERSET_HOME": str(settings.superset_path),
        "SCARF_ANALYTICS": "false",
        "TMPDIR": str(settings.temporary_path),
        # Its extension's licence notices, its warnings of development: nothing an operator can act on.
        "PYTHONWARNINGS": "ignore",
    }


def prepare(settings: Settings) -> None:
    """Bring Superset's own database up to date, when its version or its secrets changed since the last time.

    Raises:
        VigieError: Superset is not installed, or its database cannot be prepared.
    """
    installed.require(settings)
    file = server_file.write(settings)
    stamp, wanted = settings.superset_path / ".prepared", _fingerprint(settings)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    say("prepares its database (a first start takes about a minute)")
    command = [str(settings.superset_python), "-m", "dashboards.server.prepare"]
    done = subprocess.run(
        command, env=environment(settings), cwd=file.parent, capture_output=True, text=True, timeout=_PREPARE_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise VigieError(f"Superset's database could not be prepared:\n{done.stderr[-3000:]}", remedy="look at PostgreSQL: vigie doctor")
    stamp.write_text(wanted, encoding="utf-8")


def _fingerprint(settings: Settings) -> str:
    """What a prepared database was prepared with: Superset's version, how it is prepared, its secret, its own database."""
    parts = [
        LOCK_FILE.read_bytes(),
        (ROOT / "dashboards" / "server" / "prepare.py").read_bytes(),
        settings.superset_secret.get_secret_value().encode(),
        settings.superset_database_url.get_secret_value().encode(),
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def run(settings: Settings) -> int:
    """Serve until asked to stop; return the server's exit code.

    Raises:
        VigieError: it cannot be prepared or started, or what the sheets say cannot be pushed.
    """
    prepare(settings)
    with started(settings) as server:

        def stop(number: int, _: FrameType | None) -> None:
            server.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        wait(settings, server)
        # Beside the server: a push must not delay its stop.
        threading.Thread(target=_push, args=(settings, server), daemon=True).start()
        return server.wait()


@contextlib.contextmanager
def started(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Start the server of a prepared database, without waiting for it, and stop it in the end."""
    address = f"{settings.superset_host}:{settings.superset_port}"
    command = [
        str(settings.superset_python), "-m", "gunicorn", "--config", "python:dashboards.server.gunicorn_conf", "--bind", address,
        "dashboards.server.wsgi:app",
    ]  # fmt: skip
    server = subprocess.Popen(command, env=environment(settings), cwd=settings.superset_path)
    try:
        yield server
    finally:
        if server.poll() is None:
            server.terminate()
            try:
                server.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()


def wait(settings: Settings, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers.

    Raises:
        VigieError: it ended, or does not answer in time.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    while server.poll() is None:
        try:
            if httpx.get(f"{settings.superset_url}/health", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass  # not yet
        if time.monotonic() > deadline:
            raise VigieError(f"Superset did not answer within {_START_TIMEOUT_S:g} s", remedy="look at its log: logs/superset.log")
        time.sleep(0.2)
    raise VigieError(f"Superset ended with code {server.returncode} as it started", remedy="look at its log: logs/superset.log")


def _push(settings: Settings, server: subprocess.Popen[bytes]) -> None:
    """Push what the sheets say; a server that never got its dashboards is stopped, so that the supervisor shows it.

    One that has those of an earlier push goes on with them, their rules too: a sheet that somebody is writing must not close the others.
    """
    from orchestration.superset import dashboards  # noqa: PLC0415 - dbt's manifest: only once the server stands

    has_earlier = dashboards.record_path(settings).exists()
    is_done = False
    try:
        dashboards.push_when_due(settings)
        is_done = True
    except VigieError as error:
        say(f"error: {error}")
    finally:  # a defect too, whose trace the log has from Python
        if not is_done and has_earlier:
            say("goes on with what was pushed before; when it is mended: vigie dashboards push")
        elif not is_done:
            server.terminate()


def say(text: str) -> None:
    """Tell the log."""
    print(f"superset: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the service's log
