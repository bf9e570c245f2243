"""Containers: gzip and zip, unpacked into the work folder within bounds.

Here: what protects against truncation, bombs, and names that lead out of the folder. Not here: what the members hold.

Members are written under names of our own (`member-0001.csv`), so no name inside an archive ever becomes a path.
"""

from __future__ import annotations

import fnmatch
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from ingestion.formats.model import MIB, Bounds, Job

_CHUNK: Final = MIB
_GZIP_WINDOW: Final = 31  # zlib's word for "gzip with its header and checksum"
_ENCRYPTED: Final = 0x1
# What stands beside data in an archive without being data.
_IGNORED_SUFFIXES: Final = frozenset({".pdf", ".html", ".htm", ".md", ".doc", ".docx", ".odt", ".png", ".jpg", ".qml", ".lyr"})


class _Meter:
    """Counts unpacked bytes against the bounds, over all members of a container."""

    def __init__(self, job: Job, packed: int) -> None:
        self._job, self._packed, self.expanded = job, max(packed, 1), 0

    def add(self, size: int) -> None:
        """Count `size` more bytes.

        Raises:
            BadFile: more than the bounds allow.
        """
        bounds: Bounds = self._job.bounds
        self._job.clock.check()
        self.expanded += size
        if self.expanded > bounds.max_expanded_bytes:
            raise self._job.refuse(f"unpacks to more than {bounds.max_expanded_bytes} bytes", "split it")
        if self.expanded > bounds.ratio_floor_bytes and self.expanded > bounds.max_expansion_ratio * self._packed:
            raise self._job.refuse(
                f"unpacks to more than {bounds.max_expansion_ratio:g} times its size: a bomb",
                "if it is real data, publish it unpacked",
            )


def gunzip(job: Job) -> Job:
    """Unpack a gzip file and return the job of its content.

    Raises:
        BadFile: truncated, damaged, or over a bound.
    """
    meter = _Meter(job, job.path.stat().st_size)
    target = job.workdir / "unpacked"
    remedy = "fetch it again: it was cut or damaged on the way"
    engine = zlib.decompressobj(_GZIP_WINDOW)
    with job.path.open("rb") as packed, target.open("wb") as out:
        pending = b""
        while pending or (pending := packed.read(_CHUNK)):
            if engine.eof:  # another gzip member follows, or padding
                if not pending.strip(b"\0"):
                    pending = b""
                    continue
                engine = zlib.decompressobj(_GZIP_WINDOW)
            try:
                data = engine.decompress(pending, _CHUNK)
            except zlib.error as error:
                raise job.refuse(f"damaged gzip: {error}", remedy) from error
            meter.add(len(data))
            out.write(data)
            pending = engine.unconsumed_tail or engine.unused_data
        if not engine.eof:  # the last call may have held back a little output
            data = engine.flush()
            meter.add(len(data))
            out.write(data)
    if not engine.eof:
        raise job.refuse("truncated gzip: its end is missing", remedy)
    return replace(job, path=target)


class Archive:
    """A zip file, its directory checked."""

    def __init__(self, job: Job) -> None:
        """Open an archive; nothing is unpacked yet.

        Raises:
            BadFile: truncated, encrypted, with links, or over a bound.
        """
        self._job = job
        try:
            with zipfile.ZipFile(job.path) as zipped:
                infos = [i for i in zipped.infolist() if not i.is_dir()]
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise job.refuse(f"damaged or truncated zip: {error}", "fetch it again") from error
        if len(infos) > job.bounds.max_members:
            raise job.refuse(f"{len(infos)} members (at most {job.bounds.max_members})", "split it")
        if any(i.flag_bits & _ENCRYPTED for i in infos):
            raise job.refuse("an encrypted zip", "ask for it without a password, or unpack it beforehand")
        if any(stat.S_ISLNK(i.external_attr >> 16) for i in infos):
            raise job.refuse("the zip holds symbolic links", "pack the files themselves")
        self.members = {i.filename: i for i in infos}
        self._meter = _Meter(job, job.path.stat().st_size)

    @property
    def is_workbook(self) -> bool:
        """Whether it is an XLSX workbook."""
        return "[Content_Types].xml" in self.members and any(name.startswith("xl/") for name in self.members)

    def chosen(self, pattern: str | None, notes: list[str]) -> list[str]:
        """Return the names of the data members: those that match `pattern`, or all that look like data.

        Raises:
            BadFile: none.
        """
        names = sorted(self.members)
        if pattern is not None:
            found = [n for n in names if fnmatch.fnmatch(n, pattern) or fnmatch.fnmatch(PurePosixPath(n).name, pattern)]
        else:
            found = [n for n in names if not _is_beside(n)]
            left = len(names) - len(found)
            if left:
                notes.append(f"{left} members that are no data were left out")
        if not found:
            what = "holds no data" if pattern is None else f"has no member {pattern!r}"
            raise self._job.refuse(f"the zip {what} (it holds: {', '.join(names[:10]) or 'nothing'})", "correct format.member")
        return found

    def unpack(self, name: str, target: Path) -> None:
        """Write one member to `target`.

        Raises:
            BadFile: damaged, or over a bound.
        """
        with target.open("wb") as out:
            for chunk in self._read(name):
                out.write(chunk)

    def check(self) -> None:
        """Unpack every member to nowhere, for readers that unpack by themselves.

        Raises:
            BadFile: damaged, or over a bound.
        """
        for name in self.members:
            for _ in self._read(name):
                pass

    def _read(self, name: str) -> Iterator[bytes]:
        try:
            with zipfile.ZipFile(self._job.path) as zipped, zipped.open(self.members[name]) as member:
                read: Callable[[], bytes] = lambda: member.read(_CHUNK)  # noqa: E731 - the shape `iter` takes
                for chunk in iter(read, b""):
                    self._meter.add(len(chunk))
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
            raise self._job.refuse(f"damaged or truncated zip, at member {name!r}: {error}", "fetch it again") from error


def _is_beside(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        name.startswith("__MACOSX/")
        or path.name.startswith(".")
        or path.suffix.lower() in _IGNORED_SUFFIXES
        or path.stem.lower().startswith(("readme", "lisezmoi", "licence", "license"))
    )
