"""What is known of an instance now: its services, and the account of each feed.

Here: gathering it, and when it counts as healthy. Not here: how it is printed (`orchestration.cli.instance`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingestion.errors import VigieError
from orchestration.services import databases, supervisor
from orchestration.settings import Settings

if TYPE_CHECKING:
    from ingestion.lake.ledger import FeedTotals


@dataclass(frozen=True)
class InstanceStatus:
    """The state of an instance.

    Attributes:
        services: each declared service.
        feeds: each feed's account, in source records; empty when the lake cannot be read.
        problems: why it is not healthy, for people.
    """

    settings: Settings
    services: list[supervisor.ServiceStatus]
    feeds: dict[str, FeedTotals]
    problems: list[str]

    @property
    def is_healthy(self) -> bool:
        """Whether every service is healthy, the lake answers, and every feed's records are all accounted for."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """Return it as the JSON document of `vigie status --json`."""
        return {
            "home": str(self.settings.home),
            "profile": self.settings.profile,
            "services": {s.name: {"state": s.state, "url": s.url, "port": s.port, "pid": s.pid, "detail": s.detail} for s in self.services},
            "feeds": {
                name: dataclasses.asdict(totals) | {"last_landing_at": totals.last_landing_at.isoformat()}
                for name, totals in self.feeds.items()
            },
            "problems": self.problems,
            "healthy": self.is_healthy,
        }


def read(settings: Settings) -> InstanceStatus:
    """Return the state of an instance now; what does not answer becomes a problem, not an error."""
    services = supervisor.status(settings)
    problems = [f"{s.title} is {s.state}" for s in services if s.state != "healthy"]
    feeds: dict[str, FeedTotals] = {}
    found, why = databases.answer(settings)
    if found != "yes":
        problems.append(f"the lake's catalogue does not answer: {why}")
    else:
        from ingestion.lake.ledger import feed_totals  # noqa: PLC0415 - DuckDB; only where there is something to read

        try:
            feeds = feed_totals(settings.reader_lake)
        except VigieError as error:
            problems.append(error.message)
    problems += [
        f"feed {name}: received {t.received} is not stored {t.stored} + duplicate {t.duplicate} + rejected {t.rejected}"
        for name, t in feeds.items()
        if not t.balances
    ]
    return InstanceStatus(settings, services, feeds, problems)
