"""What is known of an instance now: its services, its streams, and the account of each feed.

Here: gathering it, and when it counts as healthy. Not here: how it is printed (`orchestration.cli.instance`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ingestion.errors import VigieError
from orchestration.services import databases, declared, nats_server, supervisor
from orchestration.settings import Settings

if TYPE_CHECKING:
    from ingestion.lake.ledger import FeedTotals
    from ingestion.stream.broker import Lag, StreamSize

# What waits is landed each minute, and a build may hold the lake for some: ten missed in a row is a reader that hangs or cannot follow.
BEHIND: Final = dt.timedelta(minutes=10)
# A stream that refuses when it is full is told before: at the rate that filled four fifths, a quarter of that time is left.
NEARLY_FULL: Final = 0.8


@dataclass(frozen=True)
class InstanceStatus:
    """The state of an instance.

    Attributes:
        services: each declared service.
        feeds: each feed's account, in source records; empty when the lake cannot be read.
        streams: how far each partition's reader is behind; empty when the broker does not answer.
        problems: why it is not healthy, for people.
    """

    settings: Settings
    services: list[supervisor.ServiceStatus]
    feeds: dict[str, FeedTotals]
    streams: list[Lag]
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
            "streams": [
                dataclasses.asdict(lag) | {"oldest_at": lag.oldest_at.isoformat() if lag.oldest_at else None} for lag in self.streams
            ],
            "problems": self.problems,
            "healthy": self.is_healthy,
        }


def read(settings: Settings, *, definitions: str = declared.DEFINITIONS) -> InstanceStatus:
    """Return the state of an instance now; what does not answer becomes a problem, not an error."""
    services = supervisor.status(settings, definitions=definitions)
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
    if found == "yes":
        problems += _rules(settings)
    streams, more = _streams(settings, services)
    return InstanceStatus(settings, services, feeds, streams, problems + more)


def _rules(settings: Settings) -> list[str]:
    """Return which rules of the alerts cannot work: they are left out, and the others go on."""
    from orchestration.alerts.rulebook.registry import list_rules  # noqa: PLC0415 - a YAML reader, for those who ask

    return [
        f"the alert rule {e.name} cannot work: vigie alerts rules check {e.name}"
        for e in list_rules(settings.alerts_path / "rules")
        if e.error
    ]


def _streams(settings: Settings, services: list[supervisor.ServiceStatus]) -> tuple[list[Lag], list[str]]:
    """Return the lag of each partition, and what is wrong with the streams."""
    problems = [f"the broker lets less in than the contracts say: {problem}" for problem in nats_server.doors(settings).problems]
    broker = next((service for service in services if service.name == "nats"), None)
    if settings.profile == "local" and (broker is None or broker.state != "healthy"):
        # Told as a service already; what it says names the full disk, when that is why.
        return [], [*problems, *([f"nothing is taken in: {broker.detail}"] if broker is not None and broker.detail else [])]
    from ingestion.stream.broker import look  # noqa: PLC0415 - the client loads for those who need it

    try:
        lags, sizes = look(settings.broker, consumers=("lake", "alerts"))
    except VigieError as error:
        return [], [*problems, error.message]
    return lags, problems + _behind(lags, dt.datetime.now(dt.UTC)) + _full(sizes)


def _behind(lags: list[Lag], now: dt.datetime) -> list[str]:
    return [
        f"{lag.consumer} is behind on partition {lag.partition} of {lag.stream}: {lag.pending + lag.unacknowledged} messages wait, "
        f"the oldest for {(now - lag.oldest_at).total_seconds() / 60:.0f} minutes"
        for lag in lags
        if lag.oldest_at is not None and now - lag.oldest_at > BEHIND
    ]


def _full(sizes: list[StreamSize]) -> list[str]:
    return [
        f"the stream {size.stream} is {'full: it refuses messages' if size.share >= 1 else 'nearly full'} "
        f"({size.stored_bytes / 1024**2:.0f} of {size.max_bytes / 1024**2:.0f} MiB): what waits must be landed, and read by the rules"
        for size in sizes
        if size.share >= NEARLY_FULL
    ]
