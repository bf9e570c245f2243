"""`vigie feeds replay`: what a feed rejected, landed again with its contract of now.

Here: what is printed. Not here: the replay (`ingestion.stream.replay`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from orchestration.cli import common
from orchestration.cli.data import ready_instance


def replay_command(*, feed: Annotated[str, typer.Argument(help="A feed whose messages were sent.")], as_json: common.Json = False) -> None:
    """Land again the messages of a feed that hold rejected records, after its contract was mended."""
    from ingestion.feeds.registry import find_feed
    from ingestion.stream.replay import replay
    from orchestration.assets.streams import engine_limits
    from orchestration.dbt import project

    with ready_instance(create=False) as settings:
        contract = find_feed(feed, settings.feeds_path, fault_types=project.fault_types())
        done = replay(contract, settings.lake, settings.personal_lake, limits=engine_limits(settings), progress=common.say)
    if as_json:
        common.print_json(asdict(done))
        return
    columns = ("Feed", "Messages", "Stored", "Duplicate", "Still rejected", "Expired")
    common.print_table(columns, [(done.feed, done.messages, done.stored, done.duplicate, done.rejected, done.expired)])
    if done.rejected:
        common.say(common.pasteable(f"why they still are: vigie feeds rejects {feed}"))
    if done.expired:
        common.say(f"{done.expired} rejected records cannot be replayed: their messages are not kept any more")
