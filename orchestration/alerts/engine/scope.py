"""Where a rule holds: which feeds, which equipment; and words compared as people mean them.

Here: the compiled scope of a rule. Not here: when it holds (its calendar: `telling`).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence

from ingestion.feeds.model import Feed
from orchestration.alerts.model import Equipment
from orchestration.alerts.rulebook.model import Rule


@functools.lru_cache(maxsize=4096)  # categories and communes: a few hundred words that come again and again
def fold(text: str) -> str:
    """Return a text without case and accents.

    >>> fold("Éclairage PUBLIC")
    'eclairage public'
    """
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def pattern(words: Sequence[str], *, folded: bool = False) -> re.Pattern[str] | None:
    """Return one expression that matches any of some patterns (`*`) in full; None when there are none: anything goes."""
    if not words:
        return None
    ready = [fold(w) if folded else w for w in words]
    return re.compile("|".join(".*".join(map(re.escape, w.split("*"))) for w in ready), re.DOTALL)


class Scope:
    """The scope of one rule.

    Attributes:
        asks_code: whether it depends on the code of the equipment, and not only on its type and commune.
        asks_equipment: whether it depends on the equipment, and not only on the feed.
    """

    def __init__(self, rule: Rule) -> None:
        scope = rule.scope
        self._domains = frozenset(scope.domains)
        self._feeds = pattern(scope.feeds)
        self._types = frozenset(scope.asset_types)
        self._communes = frozenset(fold(c) for c in scope.communes)
        self._assets = pattern(scope.assets)
        self.asks_code = self._assets is not None
        self.asks_equipment = bool(self._types or self._communes or self._assets)

    def has_feed(self, name: str, feed: Feed | None) -> bool:
        """Return whether a feed is in it; one without a contract is in no domain."""
        if self._domains and (feed is None or feed.domain not in self._domains):
            return False
        return self._feeds is None or self._feeds.fullmatch(name) is not None

    def has_asset(self, asset_ref: str | None, equipment: Equipment | None, commune: str | None = None) -> bool:
        """Return whether equipment is in it; what the referential does not know has no type, and no commune unless it is given."""
        if self._types and (equipment is None or equipment.asset_type not in self._types):
            return False
        where = commune or (equipment.commune if equipment else None)
        if self._communes and (where is None or fold(where) not in self._communes):
            return False
        return self._assets is None or (asset_ref is not None and self._assets.fullmatch(asset_ref) is not None)
