"""`vigie alerts let-go`: give up what waits for the rules, when they cannot be mended before the streams are full.

Here: arguments and what is printed. Not here: what the broker does (`ingestion.stream.broker`).
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from orchestration.cli import common


def let_go_command(
    *,
    sure: Annotated[bool, typer.Option("--yes", help="Do it: what waited for the rules raises no alarm any more.")] = False,
) -> None:
    """Give up the messages that wait for the rules, to make room in the streams; the lake loses nothing."""
    from ingestion.errors import WrongUse
    from ingestion.stream import broker
    from ingestion.stream.names import ALERTS
    from orchestration.intake.publishing import CONSUMERS

    settings = common.load_settings()

    async def main() -> int:
        nc = await broker.connect(settings.broker, name="vigie-command", reconnects=False)
        try:
            if sure:
                return await broker.let_go(nc, consumers=CONSUMERS)
            return sum(lag.pending + lag.unacknowledged for lag in await broker.lag(nc, consumers=(ALERTS,)))
        finally:
            await nc.close()

    waited = asyncio.run(main())
    if not sure:
        raise WrongUse(
            f"{waited:,} messages wait for the rules: let go, they raise no alarm, also once the rules run again",
            remedy="vigie alerts let-go --yes does it; before, see whether vigie logs alerts says how the rules are mended",
        )
    common.say(f"{waited:,} messages are passed over by the rules; the rules read what comes from now on")
