"""What connectors share: the shape of what they fetch, their limits, their failure.

Here: shapes. Not here: any connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ingestion.errors import VigieError
from ingestion.formats.model import GIB, MIB

Secrets = Callable[[str], str]
Cursor = dict[str, Any]

SECRETS_REMEDY: Final = "`docs/add-a-source.md` shows what the secret of this connector holds"


class FetchFailed(VigieError):
    """A source could not be read: not reached, refused, too slow, too large. Nothing is landed, and it is tried again."""


@dataclass(frozen=True)
class Fetched:
    """One local file to land.

    Attributes:
        path: the file, in the work folder (or where it stands, for a local source).
        origin: where it comes from, for people; it holds no credentials.
        cursor: how far the source has been read once this file is landed, to be committed with it; `None` leaves the
            last one in place.
    """

    path: Path
    origin: str
    cursor: Cursor | None = None


@dataclass(frozen=True)
class Limits:
    """How much one fetch may cost.

    Attributes:
        max_bytes: bytes of one fetched file, as `formats.Bounds.max_bytes`.
        max_pages: pages of a REST source; at 100 records a page, a million records.
        seconds: time of one fetch. An hour: a first load of a year is long, and a hung source must not hold its pool.
        timeout_seconds: silence of the other side.
        attempts: how often a request is tried (429, 5xx, broken connections).
        backoff_seconds: pause before the second try, doubled each time.
        max_page_bytes: one page of a REST source, which is held in memory several times over while it is read.
        rows_per_file: rows of a database per file, so that a first load lands in pieces of a few hundred megabytes.
    """

    max_bytes: int = 2 * GIB
    max_pages: int = 10_000
    seconds: float = 3600.0
    timeout_seconds: float = 60.0
    attempts: int = 5
    backoff_seconds: float = 1.0
    rows_per_file: int = 500_000
    max_page_bytes: int = 64 * MIB


class Deadline:
    """Ends a fetch that takes too long."""

    def __init__(self, origin: str, seconds: float) -> None:
        self._origin, self._seconds = origin, seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise when the time is over.

        Raises:
            FetchFailed: it is.
        """
        if time.monotonic() > self._end:
            raise FetchFailed(f"{self._origin}: not read within {self._seconds:.0f} s", remedy="ask for less at a time, or try again later")


def check_size(name: str, size: int, limits: Limits) -> None:
    """Raise when a file is larger than its bound.

    Raises:
        FetchFailed: it is.
    """
    if size > limits.max_bytes:
        raise FetchFailed(f"{name}: {size} bytes (at most {limits.max_bytes})", remedy="have the export split")


def target_of(workdir: Path, index: int, name: str) -> Path:
    """Return where a remote file is put: a name of our own, as what the other side calls it must not become a path here."""
    suffix = "".join(c for c in PurePosixPath(name).suffix if c.isalnum() or c == ".")
    return workdir / f"fetched-{index:05d}{suffix}"
