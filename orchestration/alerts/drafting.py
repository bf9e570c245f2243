"""From what a rule says to the alarm that people read: title, message, priority, place, deadlines, procedure.

Here: words and places, from the rule and the referential. Not here: when a rule speaks (`engine`), what becomes of the alarm (`lifecycle`).
"""

from __future__ import annotations

import datetime as dt
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ingestion.feeds.model import Feed
from orchestration.alerts import faults
from orchestration.alerts.lifecycle import instant
from orchestration.alerts.model import Alarm, AssetKey, Change, Equipment, Priority, Step
from orchestration.alerts.rulebook.model import Rule
from orchestration.alerts.rulebook.registry import platform_rules

# A light hangs on a feeder, a feeder on a cabinet; a sensor on a gateway: no real chain is longer than this.
_DEEPEST: Final = 6
# Spaces that fold; those within a figure (narrow, unbreakable) stay.
_SPACES: Final = re.compile(r"[ \t\n]+")
# UCUM codes as people write them.
_UNITS: Final = {"1": "", "Cel": "°C", "[ppm]": "ppm", "m3/s": "m³/s", "W.h": "Wh", "deg": "°", "dB[mW]": "dBm"}
# Past it the digits of a float are no longer its own.
_WRITTEN_OUT: Final = 1e15
# Unacknowledged for so long, an alarm goes to the second channel, unless its rule says otherwise: critical ones at once felt missing.
ESCALATES_AFTER: Final = {Priority.CRITICAL: dt.timedelta(minutes=5), Priority.HIGH: dt.timedelta(minutes=15)}


class Directory(Protocol):
    """What is known of equipment."""

    def get(self, key: AssetKey) -> Equipment | None:
        """Return a piece of equipment by (source, asset_ref)."""
        ...


@dataclass(frozen=True)
class Draft:
    """An alarm as its rule and equipment describe it, and the rule itself: what it hides, joins, collapses into."""

    alarm: Alarm
    rule: Rule


class Composer:
    """Makes drafts.

    Args of the class: the `rules` in force, by name; the `directory` of equipment; the domain of each feed; what people call the
    properties of feeds (`titles`).
    """

    def __init__(
        self,
        rules: Mapping[str, Rule],
        directory: Directory,
        domains: Mapping[str, str] | None = None,
        titles: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.rules, self.directory, self.domains, self.titles = rules, directory, domains or {}, titles or {}

    def __call__(self, change: Change) -> Draft:
        """Return the alarm that a change would raise. What the platform says of itself it can always say.

        Raises:
            KeyError: the rule is neither in force nor one of the platform's.
        """
        rule = self.rules.get(change.rule) or platform_rules()[change.rule]
        equipment = self.directory.get(change.asset) if change.asset else None
        raised_at, started_at = instant(change.at), instant(change.since)
        priority = Priority(change.details.get("priority", rule.priority))
        fault = faults.fault_types().get(change.details.get("fault_type") or rule.fault_type or "")
        place = change.place or ((equipment.longitude, equipment.latitude) if equipment else (None, None))
        alarm = Alarm(
            key=change.key,
            rule=rule.rule,
            title=change.title or rule.title,
            message="",
            priority=int(priority),
            started_at=started_at,
            raised_at=raised_at,
            first_raised_at=raised_at,
            changed_at=raised_at,
            domain=self._domain(rule, change, equipment),
            fault_type=fault.name if fault else None,
            source=change.asset[0] if change.asset else None,
            asset_ref=change.asset[1] if change.asset else None,
            asset_id=equipment.asset_id if equipment else None,
            asset_type=equipment.asset_type if equipment else None,
            asset_name=equipment.name if equipment else short(change.asset),
            commune=change.commune or (equipment.commune if equipment else None),
            street=change.details.get("street") or (equipment.street if equipment else None),
            longitude=place[0],
            latitude=place[1],
            area=change.area or (equipment.geometry if equipment else None),
            owner_authority=equipment.owner_authority if equipment else None,
            observed_property=change.property,
            value=change.value,
            value_text=change.text,
            unit=change.unit,
            details=self._details(change),
            ancestors=[f"{s}|{r}" for s, r in self.ancestors(change.asset)],
            hides=(rule.hides.rules or ["*"]) if rule.hides else [],
            joins=rule.joins,
            closes_by_hand=rule.closes == "by_hand",
            arrive_by=faults.deadline(started_at, fault.gti_h) if fault else None,
            safe_by=faults.deadline(started_at, fault.gtrp_h) if fault else None,
            restore_by=faults.deadline(started_at, fault.gtr_h) if fault else None,
            procedure=[Step(s.step, s.call) for s in rule.procedure],
        )
        after = rule.escalate_after or ESCALATES_AFTER.get(priority)
        alarm.escalate_at = raised_at + after if after else None
        alarm.message = message(rule, alarm)
        return Draft(alarm, rule)

    def ancestors(self, asset: AssetKey | None) -> Iterator[AssetKey]:
        """Yield what an asset hangs on, the nearest first."""
        seen = {asset}
        equipment = self.directory.get(asset) if asset else None
        while equipment is not None and equipment.parent is not None and equipment.parent not in seen and len(seen) < _DEEPEST:
            yield equipment.parent
            seen.add(equipment.parent)
            equipment = self.directory.get(equipment.parent)

    def _details(self, change: Change) -> dict[str, Any]:
        title = self.titles.get((str(change.details.get("feed")), change.property or ""))
        return change.details if title is None else {**change.details, "property_title": title}

    def _domain(self, rule: Rule, change: Change, equipment: Equipment | None) -> str | None:
        if equipment and equipment.domain:
            return equipment.domain
        if (domain := self.domains.get(str(change.details.get("feed")))) is not None:
            return domain
        return rule.scope.domains[0] if rule.scope.domains else None


def describe(alarm: Alarm, equipment: Equipment, ancestors: Iterable[AssetKey], rule: Rule | None) -> None:
    """Fill in what the referential says of an alarm's equipment, which was not known when it was raised."""
    alarm.asset_id, alarm.asset_type, alarm.asset_name = equipment.asset_id, equipment.asset_type, equipment.name or alarm.asset_name
    for name in ("domain", "commune", "street", "owner_authority"):
        setattr(alarm, name, getattr(alarm, name) or getattr(equipment, name))
    if alarm.longitude is None or alarm.latitude is None:
        alarm.longitude, alarm.latitude = equipment.longitude, equipment.latitude
    alarm.area = alarm.area or equipment.geometry
    alarm.ancestors = [f"{source}|{ref}" for source, ref in ancestors]
    if rule is not None:
        alarm.message = message(rule, alarm)


def short(asset: AssetKey | None) -> str | None:
    """Return what to call equipment that no referential names: the last part of a URN, else nothing but its code.

    >>> short(("s", "urn:ngsi-ld:Streetlight:C011-D1-019")), short(("s", "C306"))
    ('C011-D1-019', None)
    """
    if asset is None or not asset[1].startswith("urn:"):
        return None
    return asset[1].rsplit(":", 1)[-1] or None


def message(rule: Rule, alarm: Alarm) -> str:
    """Return the sentence of an alarm, with what is known filled in; what is not known is left out."""
    known: dict[str, Any] = {
        **alarm.details,
        "asset": alarm.asset_name or alarm.asset_ref or alarm.details.get("asset") or alarm.details.get("feed") or "—",
        "value": french(alarm.value) if alarm.value is not None else alarm.value_text,
        "text": alarm.value_text,
        "unit": french_unit(alarm.unit),
        "commune": alarm.commune,
        "street": alarm.street,
        "since": alarm.started_at.isoformat(),
    }
    text = string.Formatter().vformat(rule.message, (), _Known(known))
    return _SPACES.sub(" ", text).strip()


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        del key
        return "—"


def french_unit(code: str | None) -> str:
    """Return a UCUM unit as people write it; nothing for a number without unit."""
    return _UNITS.get(code, code) if code is not None else ""


def french(value: float) -> str:
    r"""Return a figure as French people write it.

    >>> french(1234.5), french(3.0)
    ('1\u202f234,5', '3')
    """
    text = f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) < _WRITTEN_OUT else f"{value:g}"
    return text.replace(",", "\u202f").replace(".", ",")


def titles(feeds: Mapping[str, Feed]) -> dict[tuple[str, str], str]:
    """Return what people call the properties of feeds, by (feed, property), where a contract says it."""
    found = {}
    for name, feed in feeds.items():
        renamed = {m.column: m.property for m in feed.measures}
        found.update({(name, renamed.get(f.name, f.name)): f.title for f in feed.fields if f.title})
    return found
