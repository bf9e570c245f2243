"""What the rules must know beside the signals: equipment, feeds, hours.

Here: the shape of that knowledge. Not here: where it comes from (`orchestration.alerts.runtime.directory`), any rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ingestion.feeds.model import Feed
from orchestration.alerts.drafting import Directory


class Hours(Protocol):
    """Nights and opening hours, where a feed's territory is."""

    def is_night(self, feed: Feed, at: int) -> bool:
        """Return whether the sun is down there at an instant (microseconds since 1970)."""
        ...

    def is_open(self, feed: Feed, at: int) -> bool:
        """Return whether the command post is open then."""
        ...


@dataclass(frozen=True)
class World:
    """What is known when a rule is asked.

    Attributes:
        directory: equipment.
        feeds: the contracts in force, by name: domain, territory, which values mean failed.
        hours: nights and opening hours.
    """

    directory: Directory
    hours: Hours
    feeds: Mapping[str, Feed] = field(default_factory=dict)
