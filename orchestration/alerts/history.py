"""History as signals: what the lake holds of the past, in the order it was about, for rules that are tried.

Here: which feeds and properties a rule asks for, rows into signals. Not here: reading rows (`ingestion.lake.history`), trying
(`engine.trial`).

Of a row that landed from a file nobody knows when its message would have come: it is taken as published when it was observed. What would
have come late is judged as if it had not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Final

from ingestion.feeds.model import Feed
from ingestion.lake import history
from ingestion.lake.address import LakeAddress
from orchestration.alerts.engine.core import Engine
from orchestration.alerts.engine.world import World
from orchestration.alerts.model import Observed, Reported, Signal
from orchestration.alerts.rulebook.model import Deviation, Fault, Report, Rule, Silence, Warning_

# What a rule must have seen before the span it is tried on: who speaks, what stands. A deviation learns for as long as it says.
_RUN_UP: Final = dt.timedelta(days=2)


def run_up(rule: Rule) -> dt.timedelta:
    """Return how long before a span history must be read, so that a rule knows what it would have known."""
    return max(_RUN_UP, rule.when.learn) if isinstance(rule.when, Deviation) else _RUN_UP


def signals(lake: LakeAddress, rule: Rule, world: World, start: dt.datetime, end: dt.datetime) -> Iterator[Signal]:
    """Yield what the lake holds for a rule, from its run-up to the end of a span, the oldest first.

    Args:
        lake: the lake, as its readers see it.
        rule: the rule.
        world: feeds and equipment.
        start: the beginning of the span (UTC).
        end: its end, exclusive.

    Raises:
        VigieError: the lake does not answer.
    """
    feeds = [name for name in world.feeds if Engine({rule.rule: rule.model_copy(update={"enabled": True})}, world).wants(name)]
    begin = start - run_up(rule)
    if isinstance(rule.when, Report):
        for row in history.reports(lake, begin, end, feeds=feeds):
            yield Reported(*row)
        return
    named = _properties(rule, world.feeds)
    for feed, source, ref, name, at, value, text, unit, message_id in history.observations(lake, begin, end, feeds=feeds, properties=named):
        yield Observed(feed, source, ref, name, at, value, text, unit, at, message_id)


def _properties(rule: Rule, feeds: Mapping[str, Feed]) -> list[str] | None:
    match rule.when:
        case Fault():
            return sorted({state.property for feed in feeds.values() for state in feed.indicators.states})
        case Warning_() | Silence(property=None):
            return None
        case condition:
            return [str(getattr(condition, "property"))]  # noqa: B009 - every other kind has one; those that have none are not tried
