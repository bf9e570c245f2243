"""Which alarms a page shows: its tab, its filters, in order of urgency, and how many there are of each.

Here: pure functions over alarms. Not here: how they look (`rows`).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orchestration.alerts.model import Alarm, State

# More rows than anyone reads before filtering; the rest is counted, and found by the filters.
MOST: Final = 100


class Tab(StrEnum):
    """What of the alarms is looked at."""

    STANDING = "en-cours"
    TO_DO = "a-traiter"
    ACKNOWLEDGED = "acquittees"
    RETURNED = "retour"
    SHELVED = "de-cote"
    SUPPRESSED = "supprimees"


TABS_FR: Final = {
    Tab.STANDING: "En cours",
    Tab.TO_DO: "À traiter",
    Tab.ACKNOWLEDGED: "Acquittées",
    Tab.RETURNED: "Retour à la normale",
    Tab.SHELVED: "Mises de côté",
    Tab.SUPPRESSED: "Supprimées",
}


@dataclass(frozen=True)
class Chosen:
    """What an operator has chosen to look at. `text` is searched in title, message, equipment, commune and street."""

    tab: Tab = Tab.STANDING
    domain: str | None = None
    text: str = ""


@dataclass(frozen=True)
class Shown:
    """What a page shows: the first rows in order, how many there are in all, and how many in each tab and domain."""

    rows: list[Alarm]
    total: int
    tabs: dict[Tab, int]
    domains: dict[str, int]


def tabs_of(alarm: Alarm) -> frozenset[Tab]:
    """Return the tabs a live alarm is in; one that is presented is in « En cours » too, acknowledged or not (ISA-18.2)."""
    if alarm.shelved_until is not None:
        return frozenset({Tab.SHELVED})
    if not alarm.is_presented:
        return frozenset({Tab.SUPPRESSED})
    match alarm.state:
        case State.UNACKNOWLEDGED:
            return frozenset({Tab.STANDING, Tab.TO_DO})
        case State.ACKNOWLEDGED:
            return frozenset({Tab.STANDING, Tab.ACKNOWLEDGED})
        case _:
            return frozenset({Tab.STANDING, Tab.RETURNED})


def urgency(alarm: Alarm) -> tuple[int, float, int]:
    """Return what alarms are sorted by: priority, then age (the oldest first)."""
    return alarm.priority, alarm.raised_at.timestamp(), alarm.alarm_id


def shown(alarms: Iterable[Alarm], chosen: Chosen, *, most: int = MOST) -> Shown:
    """Return what a page shows of the live alarms.

    A tab counts what the other filters let through, so that a filter never makes alarms vanish unseen.
    """
    words = fold(chosen.text).split()
    tabs: Counter[Tab] = Counter(dict.fromkeys(Tab, 0))
    domains: Counter[str] = Counter()
    rows = []
    for alarm in alarms:
        if words and not _says(alarm, words):
            continue
        its = tabs_of(alarm)
        if chosen.tab in its:
            domains[alarm.domain or ""] += 1
        if chosen.domain is not None and (alarm.domain or "") != chosen.domain:
            continue
        tabs.update(its)
        if chosen.tab in its:
            rows.append(alarm)
    rows.sort(key=urgency)
    return Shown(rows[:most], len(rows), dict(tabs), dict(domains))


def fold(text: str) -> str:
    """Return text without case and accents, as people search.

    >>> fold("Châlons-en-Champagne")
    'chalons-en-champagne'
    """
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def _says(alarm: Alarm, words: list[str]) -> bool:
    parts = (alarm.title, alarm.message, alarm.asset_name, alarm.asset_ref, alarm.commune, alarm.street, str(alarm.alarm_id))
    text = fold(" ".join(p for p in parts if p))
    return all(word in text for word in words)
