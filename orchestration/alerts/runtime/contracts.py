"""The rules and contracts in force, read anew when a file changed; a broken one leaves what stood before.

Here: noticing, reading. Not here: what they mean (`ingestion.feeds`, `orchestration.alerts.rulebook`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ingestion.feeds.model import Feed
from ingestion.feeds.registry import list_feeds
from orchestration.alerts.rulebook.model import Rule
from orchestration.alerts.rulebook.registry import SHIPPED, list_rules
from orchestration.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Book:
    """What is in force.

    Attributes:
        rules: by name; those that are disabled are not among them.
        feeds: the contracts of the instance, by name.
        problems: files that are broken, and why; of a broken one what stood before holds on.
    """

    rules: dict[str, Rule]
    feeds: dict[str, Feed]
    problems: list[str]


class Books:
    """Reads the book of an instance. Args of the class: the instance."""

    def __init__(self, settings: Settings) -> None:
        self._feeds, self._rules = settings.feeds_path, settings.alerts_path / "rules"
        self._signature: object = None
        self.book = Book({}, {}, [])

    def read(self) -> bool:
        """Look at the files; return whether something changed (`book` is new then)."""
        signature = _signature([self._feeds, self._rules, SHIPPED])
        if signature == self._signature:
            return False
        before, self._signature = self.book, signature
        feeds: dict[str, Feed] = {}
        rules: dict[str, Rule] = {}
        problems: list[str] = []
        for feed in list_feeds(self._feeds, examples=self._feeds / ".none"):
            if feed.feed is not None:
                feeds[feed.name] = feed.feed
            else:
                problems.append(f"the contract of feed {feed.name} is broken (vigie feeds check {feed.name})")
                feeds.update({feed.name: before.feeds[feed.name]} if feed.name in before.feeds else {})
        for rule in list_rules(self._rules):
            if rule.rule is None:
                problems.append(f"rule {rule.name} is broken (vigie alerts rules check)")
                # What it said before it was broken, else what is shipped under its name.
                stays = before.rules.get(rule.name) or rule.in_force
                rules.update({rule.name: stays} if stays is not None else {})
            elif rule.rule.enabled:
                rules[rule.name] = rule.rule
        for problem in problems:
            _log.warning("%s", problem)
        self.book = Book(rules, feeds, problems)
        return (rules, feeds) != (before.rules, before.feeds)


def _signature(folders: Iterable[Path]) -> list[tuple[str, int, int]]:
    found = []
    for folder in folders:
        for path in sorted(folder.glob("*.y*ml")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found.append((path.name, stat.st_mtime_ns, stat.st_size))
    return found
