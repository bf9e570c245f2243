"""Processes of an instance: recognised for certain before they are signalled.

Here: finding the processes that belong to a home, and ending them. Not here: which services there are (`declared`).

A recorded process id alone proves nothing: it may have been given to another program since. A process is ours when its
command line names a file of the home, or its environment carries the mark of a supervised instance, which every
descendant inherits; and psutil compares start times again before each signal.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

MARK: Final = "VIGIE_SUPERVISED_BY"


def recorded(pid_file: Path, *, argument: str) -> psutil.Process | None:
    """Return the live process a pid file names, if its command line holds `argument`; `None` when the file is stale."""
    try:
        pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE and argument in process.cmdline():
            return process
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
    return None


def marked(home: Path) -> list[psutil.Process]:
    """Return the live processes that descend from a supervised start of this home; never this process or its parents."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in mine:
            continue
        try:
            if process.environ().get(MARK) == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue  # gone meanwhile, or another user's: not started by this user's instance
    return found


def end(processes: Iterable[psutil.Process], *, first: signal.Signals = signal.SIGTERM, patience_s: float = 10.0) -> None:
    """Ask processes to end, wait, then kill those that did not; a process that is already gone is fine."""
    listed = list(processes)
    for process in listed:
        _signal(process, first)
    for process in _wait(listed, patience_s):
        _signal(process, signal.SIGKILL)
    _wait(listed, 5.0)  # a killed process goes as soon as the kernel lets it


def _wait(listed: list[psutil.Process], patience_s: float) -> list[psutil.Process]:
    """Return the processes that are still alive after `patience_s`; one that only waits to be reaped is not."""
    deadline = time.monotonic() + patience_s
    while alive := [process for process in listed if is_alive(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return alive


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs; one that ended and only waits for its parent to notice does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
