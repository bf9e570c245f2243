"""REST sources: pages to JSON lines, or answers as they come, through dlt's client (paging, retry, authentication).

Here: one fetch of one source: what is asked for, and the files that its answers become. Not here: requests (`rest_http`), windows
(`rest_windows`), what the records mean.

Numbers are kept as the source writes them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from ingestion.connectors.cursors import Progress
from ingestion.connectors.model import Cursor, Fetched, FetchFailed, Limits, Secrets, check_size
from ingestion.connectors.rest_http import NotModified, Source, origin_of
from ingestion.connectors.rest_windows import Asked, windows
from ingestion.feeds.model import RestConnector
from ingestion.formats.flatten import to_json

__all__ = ["fetch_rest", "origin_of"]

# A record at the very end of a window may be in the next one too, so two in a row can hold the same; three cannot.
_MOST_REPEATED: Final = 2
# A zip keeps the time of its members: always the same, so that the same answers are the same file.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)
_OF: Final = "of"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def fetch_rest(
    connector: RestConnector,
    secrets: Secrets,
    workdir: Path,
    cursor: Cursor | None,
    limits: Limits,
    *,
    force: bool = False,
    now: Callable[[], dt.datetime] = _now,
) -> Iterator[Fetched]:
    """Yield what a source has to say: one file, or one for each window; nothing when it has nothing new.

    A file holds JSON lines, one line per record, or with `body: as_is` the answer, a zip of them when there are several.

    Args:
        connector: what the contract declares.
        secrets: name of a secret to its value.
        workdir: where the files are written.
        cursor: what was committed with the feed's last landing.
        limits: how much it may cost.
        force: fetch a document even if its server says that it is unchanged.
        now: the clock; the last window ends then.

    Raises:
        FetchFailed: the source does not answer, refuses, answers what is no JSON, or has too much to say.
        WrongUse: the contract's connector cannot be.
    """
    identity = _identity(connector)
    is_one_document = _is_one_document(connector)
    known = cursor if is_one_document and not force and cursor and cursor.get(_OF) == identity else None
    source = Source(connector, secrets, limits, {k: v for k, v in known.items() if k != _OF} if known else None)
    try:
        if connector.window is not None:
            yield from _windowed(source, connector, workdir, windows(connector.window, cursor, now()), limits)
            return
        progress = Progress(connector.incremental, cursor) if connector.incremental else None
        params: dict[str, Any] = dict(connector.params)
        if progress and connector.incremental and connector.incremental.param:
            params[connector.incremental.param] = progress.since_text
        try:
            path = _written(source, connector, params, workdir, 0, limits, progress)
        except NotModified:
            return
        if path is not None:
            validators = {**source.validators, _OF: identity} if is_one_document and source.validators else None
            yield Fetched(path, source.origin, progress.cursor if progress else validators)
    finally:
        source.close()


def _windowed(source: Source, connector: RestConnector, workdir: Path, asked: Iterator[Asked], limits: Limits) -> Iterator[Fetched]:
    """Yield a file for each window that holds something, to be landed with how far it reaches."""
    last, repeated = b"", 0
    for index, window in enumerate(asked):
        path = _written(source, connector, {**connector.params, **window.params}, workdir, index, limits, None)
        if path is None:
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        repeated = repeated + 1 if digest == last else 0
        last = digest
        if repeated >= _MOST_REPEATED:
            names = " and ".join(window.params)
            raise FetchFailed(
                f"{source.origin}: three windows in a row hold the same: it does not know {names}",
                remedy="look up what the source calls them; if it takes no dates, take window out",
            )
        yield Fetched(path, source.origin, window.cursor)


def _written(
    source: Source, connector: RestConnector, params: dict[str, Any], workdir: Path, index: int, limits: Limits, progress: Progress | None
) -> Path | None:
    """Write what one sequence of requests answers into a file, and return it; None when it holds nothing."""
    if connector.body == "as_is":
        return _write_bodies(source, source.bodies(params), workdir, index, limits)
    target = workdir / f"fetched-{index:05d}.ndjson"
    count = size = 0
    with target.open("wb") as out:
        for records in source.pages(params):
            for record in records:
                if progress and connector.incremental:
                    value = _at(record, connector.incremental.cursor)
                    if connector.incremental.param is None and not progress.is_new(value):
                        continue
                    progress.see(value)
                size += out.write(to_json(record).encode() + b"\n")
                count += 1
            check_size(source.origin, size, limits)
    if not count:
        target.unlink()
        return None
    return target


def _write_bodies(source: Source, bodies: Iterator[bytes], workdir: Path, index: int, limits: Limits) -> Path | None:
    """Write one answer as a file of its own, several as the members of a zip, in their order."""
    first = next(bodies, None)
    if first is None:
        return None
    second = next(bodies, None)
    if second is None:
        target = workdir / f"fetched-{index:05d}{_suffix(first)}"
        target.write_bytes(first)
        return target
    target = workdir / f"fetched-{index:05d}.zip"
    size = number = 0
    with zipfile.ZipFile(target, "w") as archive:
        for group in ((first, second), bodies):
            for body in group:
                number += 1
                size += len(body)
                check_size(source.origin, size, limits)
                archive.writestr(zipfile.ZipInfo(f"{number:05d}{_suffix(body)}", _NO_TIME), body, zipfile.ZIP_DEFLATED)
    return target


def _suffix(body: bytes) -> str:
    """Return what people would call such a file; what it is, is found out from its content."""
    first = body.lstrip()[:1]
    return ".xml" if first == b"<" else ".json" if first in (b"{", b"[") else ".bin"


def _is_one_document(connector: RestConnector) -> bool:
    """Whether one request reads all there is, so that what its server tells of the answer holds for all of it."""
    if connector.incremental is not None or connector.window is not None:
        return False
    if connector.paginator is None:
        return connector.body == "as_is"
    return connector.paginator.type == "single_page"


def _identity(connector: RestConnector) -> str:
    """Return what tells one document from another: what a server told of the one says nothing of the other."""
    asked = [origin_of(connector), sorted(connector.params.items()), sorted(connector.headers.items())]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _at(record: Any, path: str) -> Any:
    """Return the value at a dotted path of a record; `None` where there is none."""
    for step in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(step)
    return record
