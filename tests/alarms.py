"""Alarms for tests: a town's worth, raised through the store as the engine does.

Here: equipment, changes, and raising them. Not here: what a test expects of them.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.alerts.drafting import Composer
from orchestration.alerts.model import Alarm, AssetKey, Change, Equipment
from orchestration.alerts.rulebook.model import Rule
from orchestration.alerts.rulebook.registry import SHIPPED, rules_in_force
from orchestration.alerts.store.store import Store

CHALONS = (4.3634, 48.9566)
COMMUNES = ("Châlons-en-Champagne", "Fagnières", "Saint-Memmie", "Compertrix", "Sarry")
STREETS = ("rue de Marne", "avenue du Général de Gaulle", "place de la République", "rue Grande Étape", "quai Notre-Dame", "rue d'Orfeuil")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# What each domain's equipment is called on its plates.
_NAMES = {
    "EP": ("cabinet", "Armoire C{:03d}"), "VP": ("camera", "Caméra {:03d}"), "SLT": ("junction", "Carrefour {:02d}"),
    "MOB": ("car_park", "Parking {:d}"), "RT": ("access_point", "Borne Wi-Fi {:02d}"), "PAT": ("building", "Bâtiment {:02d}"),
    "CDV": ("bin", "Conteneur {:03d}"), "EAU": ("gauge", "Échelle {:d}"), "METEO": ("station", "Station {:d}"),
}  # fmt: skip


@dataclass
class Town:
    """Equipment that answers to any code, as it was described, and the rules of the shipped set."""

    rules: dict[str, Rule] = field(default_factory=lambda: rules_in_force(SHIPPED))
    equipment: dict[AssetKey, Equipment] = field(default_factory=dict)

    def get(self, key: AssetKey) -> Equipment | None:
        return self.equipment.get(key)

    @property
    def compose(self) -> Composer:
        return Composer(self.rules, self)

    def put(self, ref: str, **described: Any) -> AssetKey:
        """Describe a piece of equipment; return its key."""
        key = ("test", ref)
        known = {"longitude": CHALONS[0], "latitude": CHALONS[1], "commune": COMMUNES[0], "domain": "EP", **described}
        self.equipment[key] = Equipment("test", ref, f"asset-{ref}", **known)
        return key

    def change(self, rule: str, asset: AssetKey, at: dt.datetime, *, is_active: bool = True, **said: Any) -> Change:
        """Return what the engine would say of one key at an instant."""
        instant = (at - _EPOCH) // dt.timedelta(microseconds=1)
        return Change(f"{rule}|{asset[0]}|{asset[1]}", rule, instant, is_active=is_active, since=instant, asset=asset, **said)


def raise_many(store: Store, town: Town, count: int, now: dt.datetime, *, seed: int = 7) -> list[Alarm]:
    """Raise so many alarms of every rule on equipment, at instants of the last hours; return those that live, the most urgent first."""
    chance = random.Random(seed)
    rules = [r for r in town.rules.values() if r.when.type not in {"platform", "indicator"} and r.when.type != "warning"]
    rules.sort(key=lambda r: r.rule)
    changes = []
    for n in range(count):
        rule = chance.choice(rules)
        domain = rule.scope.domains[0] if rule.scope.domains else "EP"
        asset_type, name = _NAMES.get(domain, ("equipment", "Équipement {:d}"))
        place = (CHALONS[0] + chance.uniform(-0.05, 0.05), CHALONS[1] + chance.uniform(-0.04, 0.04))
        asset = town.put(
            f"e{n}", asset_type=asset_type, name=name.format(n + 1), domain=domain, commune=chance.choice(COMMUNES),
            street=chance.choice(STREETS), longitude=place[0], latitude=place[1],
        )  # fmt: skip
        at = now - dt.timedelta(seconds=chance.choice((40, 300, 2000, 9000, 90_000)) * chance.uniform(0.3, 1.0))
        changes.append(town.change(rule.rule, asset, at, property="state", value=chance.choice((None, 12.5, 231.0))))
    store.apply(changes, town.compose)
    return store.live()


def raised(store: Store, town: Town, changes: Sequence[Change]) -> Alarm:
    """Apply changes and return the alarm of the first."""
    store.apply(changes, town.compose)
    return store.select("key = %s ORDER BY alarm_id DESC LIMIT 1", [changes[0].key])[0]
