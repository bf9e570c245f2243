"""`vigie feeds rejects`: what a feed rejected, and why.

Here: what is printed. Not here: reading it (`ingestion.lake.rejects`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

import typer

from orchestration.cli import common
from orchestration.cli.data import ready_instance

# Enough to recognise a message, short enough for a terminal; --json gives all of it.
_CELL: Final = 96


def rejects_command(
    *,
    feed: Annotated[str, typer.Argument(help="A feed's name.")],
    limit: Annotated[int, typer.Option(min=0, help="How many of the last rejects are shown.")] = 20,
    as_json: common.Json = False,
) -> None:
    """Show what a feed rejected and why: how many by reason, and the last ones with their topic or file."""
    from ingestion.feeds.registry import find_feed
    from ingestion.lake import rejects
    from orchestration.dbt import project

    with ready_instance(create=False) as settings:
        by_reason = rejects.reasons(settings.reader_lake, feed)
        last = rejects.latest(settings.reader_lake, feed, limit)
        if not by_reason:  # a feed that is broken, or gone, may have rejected: only then must there be one
            find_feed(feed, settings.feeds_path, fault_types=project.fault_types())
    if as_json:
        common.print_json({"feed": feed, "reasons": [asdict(r) for r in by_reason], "last": [asdict(r) for r in last]})
        return
    if not by_reason:
        print(f"feed {feed} has rejected nothing")
        return
    counted = ("Rejected", "Reason", "Count", "Last (UTC)")
    common.print_table(counted, [(r.scope, r.reason, r.rejected, f"{r.last_at:%Y-%m-%d %H:%M:%S}") for r in by_reason])
    columns = ("Received (UTC)", "From", "Rejected", "Reason", "Detail", "Original")
    rows = [(f"{r.received_at:%m-%d %H:%M:%S}", _cut(r.origin), r.scope, r.reason, r.detail, _cut(r.original)) for r in last]
    if rows:
        common.print_table(columns, rows, title=f"The last {len(rows)}")
    common.say(common.pasteable(f"once the contract is mended: vigie feeds replay {feed} (messages)"))
    common.say(common.pasteable(f"  or: vigie ingest {feed} PATH --force (files)"))


def _cut(text: str | None) -> str | None:
    if text is None:
        return None
    line = " ".join(text.split())
    return line if len(line) <= _CELL else line[: _CELL - 1] + "…"
