"""The one way in: a feed and its files, to rows, rejects and a ledger line.

Here: the order of the steps, for a landing and for its preview. Not here: reading bytes (`formats`), fetching them
(`connectors`), mapping (`mapping`), storing (`lake.writer`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import BadFile, VigieError
from ingestion.feeds.model import Feed
from ingestion.formats import Bounds, SourceTable, open_sources
from ingestion.formats.message_files import messages_of
from ingestion.lake import originals, writer
from ingestion.lake.address import LakeAddress
from ingestion.lake.duplicates import Part
from ingestion.lake.session import EngineLimits, attach, open_engine
from ingestion.mapping import stage
from ingestion.mapping.canonical import canonical_feed
from ingestion.mapping.compile import FROM_MEASURES
from ingestion.mapping.decoded import DecodedStage, options_of

# What one landing may hold in memory before it spills to disk: six million rows of eight columns fit, and a small
# machine keeps room for its other services.
DEFAULT_LIMITS = EngineLimits(memory_limit="1000MB")


@dataclass(frozen=True)
class Preview:
    """What a file would become, without storing anything."""

    origin: str
    received: int
    accepted: int
    duplicate: int
    rejected: int
    rejected_values: int
    reasons: dict[str, int]
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """A file that was refused whole."""

    feed: str
    origin: str
    error: str
    remedy: str | None


def land_file(
    feed: Feed,
    path: Path,
    *,
    lake: LakeAddress,
    personal: LakeAddress,
    origin: str | None = None,
    cursor: dict[str, Any] | None = None,
    force: bool = False,
    canonical: bool = False,
    limits: EngineLimits = DEFAULT_LIMITS,
    bounds: Bounds = Bounds(),
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> writer.Landed:
    """Land one local file of a feed.

    Args:
        feed: the contract.
        path: the file.
        lake: the main lake.
        personal: the personal lake.
        origin: what people are shown as its origin; the file's name if absent.
        cursor: where the source is to be resumed, committed with the rows.
        force: land it even if the same file of the same feed was landed before (rows that are the latest of their key are then duplicates).
        canonical: the file is Parquet whose columns are those of the canonical contract, in the lake's units: no mapping applies.
        limits: what the engine may use.
        bounds: how large a file may be.
        now: the clock.

    Returns:
        What became of the records; `already_landed` when the file was there.

    Raises:
        BadFile: the file is refused whole; nothing of it is landed.
        WrongUse: the contract does not fit the file.
        VigieError: the lake does not answer.
    """
    started_at = now()
    name = origin or path.name
    digest = originals.digest_of(path)
    with _engine(lake, limits) as (con, workdir), writer.feed_locks(lake, [feed.feed]):
        attach(con, lake)
        before = writer.landed_before(con, feed.feed, digest)
        if before is not None and not force:
            return writer.Landed(feed.feed, name, before, 0, 0, 0, 0, already_landed=True)
        with originals.keeping(lake.originals_path, feed.feed, path, digest) as kept:
            held = _stage(con, feed, path, workdir, bounds, canonical=canonical)
            original = kept()
        provenance = writer.Provenance(
            feed=feed.feed,
            source=feed.source_system,
            contract=feed.canonical,
            landing_id=str(uuid.uuid4()),
            origin=name,
            started_at=started_at,
            received_at=now(),
            digest=digest,
            original=original,
            cursor=json.dumps(cursor) if cursor is not None else None,
            contract_digest=contract_digest(feed),
            is_forced=before is not None,
        )
        staged = writer.Staged(provenance, held.received, held.parts, held.rejects, writer.PERSONAL if held.is_personal else None)
        (landed,) = writer.commit(con, lake, personal if held.is_personal else None, [staged])
        return landed


def preview(
    feed: Feed, path: Path, *, extension_directory: Path, limit: int = 20, limits: EngineLimits = DEFAULT_LIMITS, bounds: Bounds = Bounds()
) -> Preview:
    """Say what a file would become; nothing is stored and no server is needed.

    Personal columns are not shown.

    Raises:
        BadFile: the file would be refused whole.
        WrongUse: the contract does not fit the file.
    """
    with tempfile.TemporaryDirectory(prefix="vigie-preview-") as work, contextlib.closing(open_engine(extension_directory, limits)) as con:
        held = _stage(con, feed, path, Path(work), bounds)
        counts = writer.count_staged(con, held.parts, held.rejects, feed.feed, path.name, held.received)
        (main, *_) = held.parts
        shown = [c for c in main.contract.columns if feed.is_decoded or c in {*feed.mapping, *(FROM_MEASURES if feed.measures else ())}]
        rejects = f"SELECT _position AS position, scope, reason, detail, original FROM {held.rejects} ORDER BY _position, scope"
        return Preview(
            origin=path.name,
            received=counts.received,
            accepted=counts.stored,
            duplicate=counts.duplicate,
            rejected=counts.rejected,
            rejected_values=counts.rejected_values,
            reasons=counts.reasons,
            rows=_records(con, f"SELECT _position AS position, {', '.join(shown)} FROM {main.rows} ORDER BY _position", limit),
            rejects=_records(con, rejects, limit),
            notes=held.notes,
        )


def contract_digest(feed: Feed) -> str:
    """Return the digest of a contract: which version of the mapping made a row."""
    return hashlib.sha256(feed.model_dump_json().encode()).hexdigest()


@contextlib.contextmanager
def _engine(lake: LakeAddress, limits: EngineLimits) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    parent = limits.temp_directory
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vigie-landing-", dir=parent) as work:
        con = open_engine(lake.extension_directory, EngineLimits(limits.memory_limit, limits.threads, Path(work) / "spill"))
        try:
            yield con, Path(work)
        finally:
            con.close()


@dataclass(frozen=True)
class _Held:
    """What a file holds, staged."""

    received: int
    parts: tuple[Part, ...]
    rejects: str
    is_personal: bool
    notes: list[str]


def _stage(con: duckdb.DuckDBPyConnection, feed: Feed, path: Path, workdir: Path, bounds: Bounds, *, canonical: bool = False) -> _Held:
    if feed.is_decoded and not canonical:
        options = replace(options_of(feed), max_bytes=bounds.max_json_bytes, max_records=bounds.max_json_bytes)
        decoded = DecodedStage(con, feed, options=options)
        messages = messages_of(path, bounds=bounds, workdir=workdir, member=feed.format.member)
        for number, (payload, name) in enumerate(messages, start=1):
            decoded.add(payload, None, name, f"{path.name}: message {number}")
        return _Held(decoded.received, decoded.close(), decoded.rejects, False, [])
    if canonical:
        feed = canonical_feed(feed, _parquet_columns(path))
    stage.prepare(con, feed.canonical)
    sources: list[SourceTable] = open_sources(con, path, feed.format, bounds=bounds, workdir=workdir)
    received = 0
    notes: list[str] = []
    for source in sources:
        received += stage.stage(con, feed, source, after=received)
        notes += source.notes
    return _Held(received, (Part(feed.canonical),), writer.REJECTS, bool(feed.personal_columns), notes)


def _parquet_columns(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowInvalid as error:
        raise BadFile(f"{path.name}: canonical rows come as Parquet: {error}", remedy="write the file as Parquet") from None


def _records(con: duckdb.DuckDBPyConnection, query: str, limit: int) -> list[dict[str, Any]]:
    cursor = con.execute(f"{query} LIMIT {int(limit)}")
    names = [d[0] for d in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def as_failure(feed: Feed, origin: str, error: VigieError) -> Failure:
    """Describe a refusal for a report."""
    return Failure(feed.feed, origin, error.message, error.remedy)
