"""Files of messages: what a broker, a gateway or a supplier exported, one message a line, one document, or an archive of these.

Here: splitting a file into messages. Not here: decoding them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ingestion.formats.archives import Archive, gunzip
from ingestion.formats.flatten import decode
from ingestion.formats.model import Bounds, Clock, Job
from ingestion.formats.sniff import kind_of


def messages_of(path: Path, *, bounds: Bounds, workdir: Path, member: str | None = None) -> Iterator[tuple[bytes, str]]:
    """Yield the messages of a file, each with the name of the file or archive member it stands in.

    A file's messages are its lines when the first line is a whole JSON value and more follow, else all of it is one.

    Args:
        path: the file, gzipped or not.
        bounds: what the file may cost.
        workdir: an existing folder for what is unpacked.
        member: glob of the members to read inside a zip.

    Raises:
        BadFile: the file is empty, damaged, of a format that holds no messages, or over a bound.
    """
    job = Job(path, path.name, workdir, bounds, Clock(path.name, bounds.seconds))
    if path.stat().st_size > bounds.max_bytes:
        raise job.refuse(f"{path.stat().st_size} bytes (at most {bounds.max_bytes})", "split the file")
    kind = kind_of(job)
    if kind == "gzip":
        job = gunzip(job)
        kind = kind_of(job)
    if kind == "zip":
        archive = Archive(job)
        for number, name in enumerate(archive.chosen(member, []), start=1):
            target = workdir / f"message-member-{number:04d}"
            archive.unpack(name, target)
            yield from _of_document(replace(job, path=target, name=f"{path.name}/{name}", member=name))
            target.unlink()
        return
    yield from _of_document(job)


def _of_document(job: Job) -> Iterator[tuple[bytes, str]]:
    kind = kind_of(job)
    if kind == "empty":
        raise job.refuse("empty", "fetch it again; if its source had nothing to say, there is nothing to land")
    if kind not in ("json", "xml", "text"):
        raise job.refuse(f"{kind}, not messages", "rows of this format need a contract that maps them")
    name = job.member or job.name
    if _is_lines(job):
        with job.path.open("rb") as file:
            while line := file.readline(job.bounds.max_record_bytes + 1):
                if len(line) > job.bounds.max_record_bytes:
                    raise job.refuse(f"a line is longer than {job.bounds.max_record_bytes} bytes", "split the message")
                job.clock.check()
                if line.strip():
                    yield line, name
        return
    if job.path.stat().st_size > job.bounds.max_json_bytes:
        raise job.refuse(f"a document of more than {job.bounds.max_json_bytes} bytes", "split it, or give one message a line")
    yield job.path.read_bytes(), name


def _is_lines(job: Job) -> bool:
    with job.path.open("rb") as file:
        first = file.readline(job.bounds.max_record_bytes + 1)
        if job.suffix in {".ndjson", ".jsonl"}:
            return True
        try:
            decode(first)
        except (ValueError, RecursionError):
            return False
        return bool(file.readline(job.bounds.max_record_bytes).strip())
