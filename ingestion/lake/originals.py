"""The files as they were received, kept by digest beside the lake: what a rejected record is replayed from.

Here: digests, compressed copies written while the rows are staged. Not here: which landing used which (`raw.landing`),
how long they are kept (`maintain`). Readers never attach this folder: a file may hold personal columns.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

_CHUNK: Final = 4 << 20


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def location(root: Path, feed: str, digest: str) -> Path:
    """Return where an original is kept."""
    return root / feed / digest[:2] / f"{digest}.zst"


@contextlib.contextmanager
def keeping(root: Path, feed: str, path: Path, digest: str) -> Iterator[Callable[[], str]]:
    """Keep a compressed copy of `path` while the caller works; call the result to wait for it and get its key.

    The copy appears under its final name only when it is whole. Keeping a file twice keeps one; when the caller fails, the
    copy that was made for it is removed. The caller holds the feed's lock.

    Raises:
        OSError: the copy cannot be written (a full disk); it is raised when the result is called.
    """
    target = location(root, feed, digest)
    was_there = target.exists()
    failure: list[BaseException] = []

    def copy() -> None:
        try:
            _copy(path, target)
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, whatever it is
            failure.append(error)

    thread = threading.Thread(target=copy, name="keep-original", daemon=True)
    thread.start()

    def wait() -> str:
        thread.join()
        if failure:
            raise failure[0]
        return str(target.relative_to(root))

    try:
        yield wait
    except BaseException:
        thread.join()
        if not was_there:
            target.unlink(missing_ok=True)
        raise
    thread.join()


def read(root: Path, key: str, to: Path) -> None:
    """Write an original back as it was received.

    Raises:
        OSError: there is no such original (its retention has passed).
    """
    with pa.input_stream(str(root / key), compression="zstd") as source, to.open("wb") as out:
        while chunk := source.read(_CHUNK):
            out.write(chunk)


def sweep(root: Path, kept: Collection[str], *, older_than: dt.datetime) -> list[str]:
    """Remove the originals that are not among `kept`, and copies that were cut short; return the keys of what went.

    Args:
        root: the folder of the originals.
        kept: the keys that landings still refer to.
        older_than: younger files are left: their landing may be about to commit.
    """
    gone: list[str] = []
    for path in sorted(root.rglob("*")):
        key = str(path.relative_to(root))
        if path.is_file() and key not in kept and path.stat().st_mtime < older_than.timestamp():
            path.unlink(missing_ok=True)
            gone.append(key)
    return gone


def _copy(path: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = target.with_suffix(f".{os.getpid()}.{threading.get_ident()}.partial")
    try:
        # Arrow writes zstd at level 1: this runs beside the landing and must not slow it; text still shrinks four times.
        with path.open("rb") as source, pa.CompressedOutputStream(str(partial), "zstd") as out:
            while chunk := source.read(_CHUNK):
                out.write(chunk)
        partial.chmod(0o600)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
