"""Ingesting a feed: fetch, land file by file, report.

Here: the loop over a feed's files, shared by the command line and by Dagster's assets. Not here: landing one file
(`ingestion.landing`), fetching (`ingestion.connectors`).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingestion.connectors import fetch
from ingestion.errors import VigieError, WrongUse
from ingestion.feeds.model import Feed
from ingestion.feeds.registry import EXAMPLES, SUFFIX, find_feed, find_path
from ingestion.lake.session import EngineLimits, connect
from ingestion.lake.writer import Landed, last_cursor
from ingestion.landing import DEFAULT_LIMITS, Failure, as_failure, land_file
from orchestration.alerts import outbox
from orchestration.dbt import project
from orchestration.settings import Settings


@dataclass
class IngestReport:
    """What became of the files of one call."""

    feed: str
    landed: list[Landed] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def totals(self) -> dict[str, int]:
        """Return the sums over the files, in source records."""
        names = ("received", "stored", "duplicate", "rejected", "rejected_values")
        return {n: sum(getattr(one, n) for one in self.landed) for n in names} | {
            "files": len(self.landed) + len(self.failures),
            "already_landed": sum(one.already_landed for one in self.landed),
            "refused": len(self.failures),
        }


def kept_contract(settings: Settings, name_or_path: str) -> Feed:
    """Return a feed's contract; one given by its path joins the instance's own, where everything downstream looks for it.

    Raises:
        ContractError: the contract is broken.
        WrongUse: there is no such feed, or the instance has another contract of this name.
    """
    path = find_path(name_or_path, settings.feeds_path)
    feed = find_feed(name_or_path, settings.feeds_path, fault_types=project.fault_types())
    if path.resolve().parent in (settings.feeds_path.resolve(), EXAMPLES.resolve()):
        return feed
    own = settings.feeds_path / f"{feed.feed}{SUFFIX}"
    text = path.read_bytes()
    if own.exists() and own.read_bytes() != text:
        raise WrongUse(
            f"the instance has another contract for feed {feed.feed}: {own}",
            remedy=f"compare the two; then replace it (cp {path} {own}), or give this feed another name",
        )
    if not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        draft = own.with_name(f".{own.name}.{os.getpid()}")
        draft.write_bytes(text)
        draft.replace(own)
    return feed


def engine_limits(settings: Settings) -> EngineLimits:
    """Return what one landing of this instance may use."""
    return EngineLimits(
        memory_limit=settings.duckdb_memory_limit or DEFAULT_LIMITS.memory_limit,
        threads=settings.duckdb_threads,
        temp_directory=settings.run_path / "tmp",
    )


def ingest(
    settings: Settings,
    feed: Feed,
    paths: Sequence[str],
    *,
    force: bool = False,
    canonical: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> IngestReport:
    """Land what a feed's connector yields, or the files given; one file's refusal does not stop the others.

    A feed whose equipment sends by itself is given files too: messages that were exported, or canonical rows.

    Raises:
        WrongUse: the contract does not fit, or says no place to pull from and no path was given.
        VigieError: the source or the lake does not answer.
    """
    report = IngestReport(feed.feed)
    limits = engine_limits(settings)
    settings.run_path.mkdir(parents=True, exist_ok=True)
    with connect(settings.lake, limits=EngineLimits(memory_limit="256MB"), read_only=True) as con:
        text = last_cursor(con, feed.feed)
    cursor: dict[str, Any] | None = json.loads(text) if text else None
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=settings.run_path) as work:
        secrets = settings.secrets
        for fetched in fetch(
            feed,
            secrets=lambda name: secrets.get(name).get_secret_value(),
            workdir=Path(work),
            cursor=cursor,
            paths=list(paths) or None,
            force=force,
        ):
            progress(f"{feed.feed}: {fetched.origin}")
            try:
                landed = land_file(
                    feed,
                    fetched.path,
                    lake=settings.lake,
                    personal=settings.personal_lake,
                    origin=fetched.origin,
                    # After a refusal nothing moves the cursor on: what was refused is asked for again.
                    cursor=None if report.failures else fetched.cursor,
                    force=force,
                    canonical=canonical,
                    limits=limits,
                )
            except WrongUse:
                raise
            except VigieError as error:
                report.failures.append(as_failure(feed, fetched.origin, error))
            else:
                report.landed.append(landed)
    if report.landed:
        outbox.after_landing(settings, feed)
    return report
