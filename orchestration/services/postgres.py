"""The instance's PostgreSQL, when it is needed: used where it runs, else started for the time of a command.

Here: `running`, which commands hold while they work, and stopping what they left. Not here: the supervised server
(`declared`, `supervisor`), the cluster's files (`postgres_cluster`).

Two locks of the home keep processes from stepping on each other: `start` (exclusive) is held while someone decides to
start or stop the server; `users` (shared) is held by every command that relies on a server started on demand. The last
to leave stops it. A killed command's locks vanish with it: the server it started stays until the next command leaves,
or `vigie down`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from ingestion.errors import VigieError
from orchestration.services import databases, locks, ports, postgres_cluster, processes
from orchestration.settings import Settings

# Ready in one second; after a crash it first replays its log, and backends of a killed server may take a while to leave.
START_TIMEOUT_S: Final = 60.0
# A fast shutdown ends sessions and writes a checkpoint; a killed server only costs the replay at the next start.
_STOP_TIMEOUT_S: Final = 30.0
# Long enough for a supervised start of everything, which holds the lock until PostgreSQL is ready.
_LOCK_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.05
# After a kill -9, sessions of the dead server hold its memory until they notice: the next start fails until they left.
_START_ATTEMPTS: Final = 5


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Hold the instance's PostgreSQL for the time of a block: use the one that runs, else start it and stop it after.

    In the server profile it only checks that the server answers.

    Raises:
        VigieError: it does not answer, cannot be started, or something else listens on its port.
    """
    if settings.profile == "server":
        _require_answer(settings)
        yield
        return
    users = locks.FileLock(settings.run_path / "postgres.users.lock")
    with start_lock(settings):
        if supervised(settings):
            wait_until_ready(settings)
        else:
            if not users.try_acquire(shared=True):  # only `vigie up` holds it exclusively, and it would hold `start` too
                raise VigieError("PostgreSQL is being taken over by vigie up", remedy="run the command again")
            try:
                _start(settings)
            except BaseException:
                users.release()
                raise
    try:
        yield
    finally:
        users.release()  # before the other lock: `take_over` waits for this one while it holds that one
        with start_lock(settings):
            if not supervised(settings) and users.try_acquire():
                stop(settings)
                users.release()


def supervised(settings: Settings) -> bool:
    """Whether a supervisor of this home is alive, and so takes care of PostgreSQL."""
    configuration = supervisor_configuration(settings)
    return processes.recorded(settings.run_path / "supervisord.pid", argument=str(configuration)) is not None


def supervisor_configuration(settings: Settings) -> Path:
    """Where the supervisor's generated configuration is."""
    return settings.run_path / "supervisord.conf"


def start_lock(settings: Settings) -> AbstractContextManager[None]:
    """Return the lock held by whoever starts or stops this home's PostgreSQL."""
    return locks.held(settings.run_path / "postgres.start.lock", timeout_s=_LOCK_TIMEOUT_S, what="another command that starts PostgreSQL")


def take_over(settings: Settings, on_wait: Callable[[], None]) -> None:
    """Wait until no command uses a server started on demand, and stop it. The caller holds `start_lock`.

    Raises:
        VigieError: a command still uses it.
    """
    # An import of years of data takes minutes; whoever starts the platform meanwhile would rather wait than break it.
    with locks.held(settings.run_path / "postgres.users.lock", timeout_s=600, what="a command that uses this instance", on_wait=on_wait):
        stop(settings)


def stop(settings: Settings) -> None:
    """Stop this home's PostgreSQL if it runs, whoever started it."""
    process = postgres_cluster.postmaster(settings)
    if process is not None:
        processes.end([process], first=signal.SIGINT, patience_s=_STOP_TIMEOUT_S)


def wait_until_ready(settings: Settings) -> None:
    """Wait until the server answers.

    Raises:
        VigieError: it does not within `START_TIMEOUT_S`.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while (found := databases.answer(settings))[0] != "yes":
        if time.monotonic() > deadline:
            raise _silent(settings, found[1])
        time.sleep(_POLL_S)


def _silent(settings: Settings, why: str) -> VigieError:
    return VigieError(
        f"PostgreSQL does not answer on port {settings.postgres_port} after {START_TIMEOUT_S:.0f} s: {why}",
        remedy=f"read {settings.logs_path / 'postgres.log'}; vigie doctor --home {settings.home}",
    )


def _start(settings: Settings) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while postgres_cluster.postmaster(settings) is not None:  # another command's, left by a killed one, or about to end
        if databases.answer(settings)[0] == "yes":
            return
        if time.monotonic() > deadline:
            raise _silent(settings, databases.answer(settings)[1])
        time.sleep(_POLL_S)
    if not ports.becomes_free(settings.postgres_port):
        raise VigieError(
            f"something else listens on port {settings.postgres_port}, which is this instance's PostgreSQL's",
            remedy="`vigie up` chooses another port, unless it is fixed by postgres_port; or stop what listens there",
        )
    postgres_cluster.create(settings)
    for attempt in range(_START_ATTEMPTS):
        process = postgres_cluster.start(settings)
        deadline = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            if databases.answer(settings)[0] == "yes":
                databases.prepare(settings)
                return
            time.sleep(_POLL_S)
        time.sleep(attempt)
    raise VigieError(
        f"PostgreSQL does not start; its last words: {last_lines(settings.logs_path / 'postgres.log', 3)}",
        remedy=f"read {settings.logs_path / 'postgres.log'}; vigie doctor --home {settings.home}",
    )


def _require_answer(settings: Settings) -> None:
    found, why = databases.answer(settings)
    if found != "yes":
        raise VigieError(
            f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port} does not answer: {why}",
            remedy="check VIGIE_POSTGRES_HOST, VIGIE_POSTGRES_PORT, VIGIE_POSTGRES_USER and VIGIE_POSTGRES_PASSWORD",
        )


def last_lines(log: Path, count: int) -> str:
    """Return the last lines of a log; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))  # the end is enough, and a log may be large
            return "\n".join(file.read().decode("utf-8", errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ""
