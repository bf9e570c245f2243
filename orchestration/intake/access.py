"""Who may post to which feed, and how much.

Here: tokens and feeds, read again when they change; the bound on rate. Not here: HTTP.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ingestion.feeds.registry import list_feeds
from ingestion.formats.registry import FORMATS
from orchestration.services import nats_server
from orchestration.settings import Settings

# The intake takes 1,300 messages a second with every one forced to the disk (docs/streaming.md): a feed that runs wild leaves
# more than half of it to the others. The largest preset sends 38 a second over all its feeds.
RATE_PER_S: Final = 500.0
# A gateway that was cut off for a while sends what it kept at once.
BURST: Final = 2_000.0
# What a feed is sent in whose records are mapped, not decoded.
_JSON: Final = ("application/json",)
_EVERY: Final = tuple(dict.fromkeys(t for f in FORMATS.values() for t in f.media_types))


class Verdict(Enum):
    """What a caller may do."""

    ALLOWED = "allowed"
    UNKNOWN_FEED = "unknown feed"
    NO_TOKEN = "no token, or one of no feed"  # noqa: S105 - a sentence
    OTHER_FEED = "the token of another feed"


@dataclass
class Access:
    """Feeds and tokens of an instance, as the broker was last told.

    `judge` compares with every feed's token, each in constant time: how long it takes says nothing of what was guessed.
    """

    settings: Settings
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    formats: dict[str, str] = field(default_factory=dict)

    def read(self) -> None:
        """Read feeds and tokens again.

        Raises:
            VigieError: a file of the instance is damaged or can be read by others.
        """
        passwords = self.settings.secrets.streams
        feeds = nats_server.doors(self.settings).feeds
        self.tokens = {feed: passwords[feed].get_secret_value() for feed in feeds if feed in passwords}
        # A contract that is broken now keeps the format it had, as it keeps its door.
        entries = list_feeds(self.settings.feeds_path, examples=self.settings.feeds_path / ".none")
        self.formats |= {entry.name: entry.feed.format.type for entry in entries if entry.feed is not None}

    def media_types(self, feed: str) -> tuple[str, ...]:
        """Return what a feed's messages are written in; of a feed whose format is not known, those of every format."""
        format_type = self.formats.get(feed)
        if format_type is None:
            return _EVERY
        return FORMATS[format_type].media_types if format_type in FORMATS else _JSON

    def judge(self, feed: str, token: str | None) -> Verdict:
        """Return what the bearer of a token may do with a feed."""
        if not token:
            return Verdict.NO_TOKEN
        given = token.encode()
        holders = [name for name, known in self.tokens.items() if hmac.compare_digest(known.encode(), given)]
        if not holders:
            return Verdict.NO_TOKEN
        if feed not in self.tokens:
            return Verdict.UNKNOWN_FEED
        return Verdict.ALLOWED if feed in holders else Verdict.OTHER_FEED


@dataclass
class Rate:
    """Token buckets, one per feed.

    Attributes:
        per_s: messages a second that a feed may go on sending.
        burst: messages it may send at once after a rest.
        clock: seconds that only grow.
    """

    per_s: float = RATE_PER_S
    burst: float = BURST
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_s(self, feed: str) -> float:
        """Take one message of a feed; return 0 when it may pass, else after how many seconds one may."""
        now = self.clock()
        left, at = self._buckets.get(feed, (self.burst, now))
        left = min(self.burst, left + (now - at) * self.per_s)
        if left >= 1:
            self._buckets[feed] = (left - 1, now)
            return 0.0
        self._buckets[feed] = (left, now)
        return (1 - left) / self.per_s
