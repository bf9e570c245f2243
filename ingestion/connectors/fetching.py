"""Fetching: the connector a feed declares, or the paths given instead of it.

Here: the choice. Not here: the connectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingestion.connectors.files import fetch_files
from ingestion.connectors.model import Cursor, Fetched, Limits, Secrets
from ingestion.errors import WrongUse
from ingestion.feeds.model import Feed, FileConnector, RestConnector, SqlConnector, StreamConnector

_NO_LIMITS = Limits()


def fetch(
    feed: Feed,
    *,
    secrets: Secrets,
    workdir: Path,
    cursor: Cursor | None,
    paths: list[str] | None,
    limits: Limits = _NO_LIMITS,
    force: bool = False,
) -> Iterator[Fetched]:
    """Yield the files of a feed, in a stable order.

    Args:
        feed: the feed contract.
        secrets: name of a secret to its value; raises `VigieError` where there is none.
        workdir: an existing folder for what is fetched; a file is needed until it is landed.
        cursor: what was committed with the feed's last landing.
        paths: files, folders or globs to read instead of the declared source.
        limits: how much the fetch may cost.
        force: fetch a document even if its server says that it is unchanged.

    Raises:
        FetchFailed: the source cannot be read.
        WrongUse: the contract's connector cannot be, or a path leads nowhere.
    """
    connector = feed.connector
    if paths is not None:
        access = connector if isinstance(connector, FileConnector) else FileConnector()
        for path in paths:
            yield from fetch_files(path, access.secret, secrets, workdir, limits)
        return
    match connector:
        case FileConnector():
            if connector.path is None:
                raise WrongUse(f"feed {feed.feed}: no path is declared", remedy="give the file: `vigie ingest FEED PATH`")
            yield from fetch_files(connector.path, connector.secret, secrets, workdir, limits)
        case RestConnector():
            from ingestion.connectors.rest import fetch_rest

            yield from fetch_rest(connector, secrets, workdir, cursor, limits, force=force)
        case SqlConnector():
            from ingestion.connectors.sql import fetch_sql

            yield from fetch_sql(connector, secrets, workdir, cursor, limits)
        case StreamConnector():
            raise WrongUse(
                f"feed {feed.feed} is not fetched: its equipment sends by itself, and what it sends lands each minute",
                remedy="give files to land what was exported: `vigie ingest FEED PATH`; `vigie status` shows what waits",
            )
