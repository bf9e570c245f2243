"""Locks between processes of one instance.

Here: advisory file locks (`flock`), which the kernel drops when their holder dies, so that a killed command never blocks
the next. Not here: locks inside a database.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ingestion.errors import VigieError

# A lock is polled: `flock` has no timeout of its own, and a twentieth of a second is below what a person notices.
_POLL_S = 0.05


class FileLock:
    """One hold on a lock file; several objects of one process count as several holders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if it is free now; a shared hold that is already ours is upgraded or kept."""
        if self._descriptor is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        return True

    def acquire(self, *, timeout_s: float, what: str, shared: bool = False, on_wait: Callable[[], None] | None = None) -> None:
        """Wait for the lock.

        Args:
            timeout_s: how long to wait.
            what: what holds it, for the message of the error.
            shared: whether others may hold it too.
            on_wait: called once if the lock is not free at once.

        Raises:
            VigieError: the lock is still held after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while not self.try_acquire(shared=shared):
            if on_wait is not None:
                on_wait()
                on_wait = None
            if time.monotonic() > deadline:
                raise VigieError(f"still waiting for {what} after {timeout_s:.0f} s", remedy=f"find who holds {self.path} (fuser, lsof)")
            time.sleep(_POLL_S)

    def release(self) -> None:
        """Let go of the lock; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def held(path: Path, *, timeout_s: float, what: str, shared: bool = False, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock for the time of a block.

    Raises:
        VigieError: the lock is still held by another after `timeout_s`.
    """
    lock = FileLock(path)
    lock.acquire(timeout_s=timeout_s, what=what, shared=shared, on_wait=on_wait)
    try:
        yield
    finally:
        lock.release()
