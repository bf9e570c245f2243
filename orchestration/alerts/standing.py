"""What holds now against what the store shows: the changes between the two, for rules that are looked at again and again.

Here: pure comparison; told twice it changes nothing. Not here: who finds out what holds (`published`, `supervision`), the engine, which
follows signals one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.alerts.drafting import french
from orchestration.alerts.model import Alarm, AssetKey, Change


@dataclass(frozen=True)
class Fact:
    """One thing that holds, of which there is to be one live alarm.

    Attributes:
        key, rule, since, asset, property, value, text, unit, details, commune: as in `Change`.
    """

    key: str
    rule: str
    since: int
    asset: AssetKey | None = None
    property: str | None = None
    value: float | None = None
    text: str | None = None
    unit: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    commune: str | None = None


@dataclass(frozen=True)
class Differences:
    """What is to be told to the store, and how many alarms of each rule were held back by its bound."""

    changes: list[Change]
    cut: dict[str, int]


def differences(
    facts: Sequence[Fact], alarms: Iterable[Alarm], *, at: int, held: Collection[str], bounds: dict[str, int] | None = None,
    tells_more: bool = False,
) -> Differences:  # fmt: skip
    """Return what changed since the store was told last.

    Args:
        facts: what holds, of every rule that was looked at.
        alarms: the live alarms of these rules, and the last one of each key.
        at: the instant that was looked at, microseconds since 1970.
        held: keys that held at the last look: a person who closed such an alarm is not told again until it was over.
        bounds: how many alarms each rule may raise at one look; without a line, as many as hold.
        tells_more: whether an alarm that stands is told a new figure.
    """
    last = {alarm.key: alarm for alarm in sorted(alarms, key=lambda a: a.alarm_id)}
    raised: dict[str, int] = {}
    cut: dict[str, int] = {}
    changes = []
    for fact in sorted(facts, key=lambda f: f.key):
        alarm = last.get(fact.key)
        if alarm is not None and alarm.is_active:
            # Closed while it held: a person closed it, and knows. Unless it was over in between, unseen by us.
            is_news = alarm.closed_at is not None and fact.key not in held
            if alarm.closed_at is None and tells_more and _says_more(fact, alarm):
                changes.append(_change(fact, at, is_update=True))
            if not is_news:
                continue
        raised[fact.rule] = raised.get(fact.rule, 0) + 1
        if bounds and raised[fact.rule] > bounds.get(fact.rule, len(facts)):
            cut[fact.rule] = cut.get(fact.rule, 0) + 1
            continue
        changes.append(_change(fact, at))
    holding = {fact.key for fact in facts}
    changes += [
        Change(alarm.key, alarm.rule, at, is_active=False, since=at)
        for alarm in last.values()
        if alarm.closed_at is None and alarm.is_active and alarm.key not in holding
    ]
    return Differences(changes, cut)


def _change(fact: Fact, at: int, *, is_update: bool = False) -> Change:
    return Change(
        fact.key, fact.rule, at, True, min(fact.since, at), fact.asset, fact.property, fact.value, fact.text, fact.unit, fact.details,
        commune=fact.commune, is_update=is_update,
    )  # fmt: skip


def _says_more(fact: Fact, alarm: Alarm) -> bool:
    """Whether people would read another figure."""
    if fact.value is not None and alarm.value is not None:
        return french(fact.value) != french(alarm.value)
    return (fact.value, fact.text) != (alarm.value, alarm.value_text)
