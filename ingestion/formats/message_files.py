"""Files of messages: what a broker or a gateway exported, one message a line, or one document.

Here: splitting a file into messages. Not here: decoding them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingestion.formats.archives import gunzip
from ingestion.formats.flatten import decode
from ingestion.formats.model import Bounds, Clock, Job
from ingestion.formats.sniff import kind_of


def messages_of(path: Path, *, bounds: Bounds, workdir: Path) -> Iterator[bytes]:
    """Yield the messages of a file: its lines when the first line is a whole JSON value and more follow, else all of it.

    Args:
        path: the file, gzipped or not.
        bounds: what the file may cost.
        workdir: an existing folder for what is unpacked.

    Raises:
        BadFile: the file is empty, no text, or over a bound.
    """
    job = Job(path, path.name, workdir, bounds, Clock(path.name, bounds.seconds))
    if path.stat().st_size > bounds.max_bytes:
        raise job.refuse(f"{path.stat().st_size} bytes (at most {bounds.max_bytes})", "split the file")
    kind = kind_of(job)
    if kind == "gzip":
        job = gunzip(job)
        kind = kind_of(job)
    if kind == "empty":
        raise job.refuse("empty", "fetch it again; if its source had nothing to say, there is nothing to land")
    if kind not in ("json", "text"):
        raise job.refuse(
            f"{kind}, not messages", "give JSON lines, or one JSON document; rows of another format need a contract that maps them"
        )
    if _is_lines(job):
        with job.path.open("rb") as file:
            while line := file.readline(bounds.max_record_bytes + 1):
                if len(line) > bounds.max_record_bytes:
                    raise job.refuse(f"a line is longer than {bounds.max_record_bytes} bytes", "split the message")
                job.clock.check()
                if line.strip():
                    yield line
        return
    if job.path.stat().st_size > bounds.max_json_bytes:
        raise job.refuse(f"a document of more than {bounds.max_json_bytes} bytes", "give one message a line")
    yield job.path.read_bytes()


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
