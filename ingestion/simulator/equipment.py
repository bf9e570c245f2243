"""The equipment beside the lights: how much of each kind there is, where it stands, what feeds it, who hears it.

Here: places, drawn once from (preset, seed, kind). Not here: what it does (each system's own module).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any, Final

from ingestion.simulator.befallen import main_cabinets
from ingestion.simulator.chance import generator
from ingestion.simulator.clock import seconds
from ingestion.simulator.world import World

# Kind (of `presets.Stock`) to the prefix of its codes and the name of one for people.
_NAMES: Final = {
    "cameras": ("CAM", "Caméra"),
    "junctions": ("CAR", "Carrefour"),
    "buses": ("BUS", "Bus"),
    "car_parks": ("PKG", "Parking"),
    "bollards": ("BOR", "Borne"),
    "vehicles": ("VEH", "Véhicule"),
    "access_points": ("WIFI", "Borne Wi-Fi"),
    "fibre_nodes": ("FIB", "Nœud de fibre"),
    "buildings": ("BAT", "Bâtiment"),
    "bins": ("COL", "Colonne d'apport"),
    "gauges": ("STA", "Station"),
    "gateways": ("GTW", "Passerelle LoRaWAN"),
}
# A third of cameras and access points hang on lighting masts and take their power from the cabinet, day and night.
_ON_MASTS: Final = {"cameras": 3, "access_points": 3}
_MAIN: Final = 3
# One in four lies where the river comes when it floods.
_BY_RIVER: Final = 4
# The river runs some 600 m west of the centre.
_RIVER_WEST_DEG: Final = 0.008
_FIRST_YEAR: Final = 2012
_LAST_YEAR: Final = 2024


@dataclass(frozen=True)
class Equipment:
    """One piece of equipment.

    Attributes:
        number: from 0 within its kind.
        code: `CAM-001`.
        name: for people.
        commune, street, longitude, latitude: where it stands.
        authority: whose it is.
        cabinet: the lighting cabinet that feeds it; -1 for none.
        gateway: the LoRaWAN gateway that hears it.
        is_by_river: whether a flood reaches it.
        installed_on: the day.
    """

    number: int
    code: str
    name: str
    commune: str
    street: str
    longitude: float
    latitude: float
    authority: str
    cabinet: int
    gateway: int
    is_by_river: bool
    installed_on: dt.date

    def row(self, asset_ref: str, asset_type: str, **more: object) -> dict[str, object]:
        """Return it as a row of contract `asset`."""
        own: dict[str, Any] = asdict(self)
        row = {name: own[name] for name in ("name", "commune", "street", "longitude", "latitude", "installed_on")}
        effective = seconds(dt.datetime.combine(self.installed_on, dt.time(), dt.UTC))
        return {
            "asset_ref": asset_ref,
            "asset_type": asset_type,
            **row,
            "status": "in_service",
            "is_remote": True,
            "owner_authority": self.authority,
            "effective_at": effective,
            **more,
        }


def equipment(world: World, kind: str) -> tuple[Equipment, ...]:
    """Return all equipment of a kind, one of the counts of `presets.Stock`."""
    t = world.territory
    count: int = getattr(world.preset.stock, kind)
    prefix, title = _NAMES[kind]
    chance = generator(world.seed, "equipment", kind)
    on_masts = _ON_MASTS.get(kind, 0)
    # The first that hang on masts hang on those of the main cabinets: what a large cabinet feeds is felt.
    main = main_cabinets(t)[:_MAIN]
    found = []
    for number in range(count):
        light, draws = int(chance.integers(len(t.light_codes))), chance.random(4)
        hangs = on_masts > 0 and number % on_masts == 0
        if hangs and number // on_masts < len(main):
            light = t.feeders[t.cabinets[main[number // on_masts]].feeders[0]].lights[0]
        cabinet = t.cabinets[int(t.light_cabinet[light])]
        street = t.feeders[int(t.light_feeder[light])].street
        year = _FIRST_YEAR + int(draws[2] * (_LAST_YEAR - _FIRST_YEAR + 1))
        found.append(
            Equipment(
                number=number,
                code=f"{prefix}-{number + 1:03d}",
                name=f"{title} {street}",
                commune=cabinet.commune,
                street=street,
                longitude=round(float(t.longitude[light]) + (draws[0] - 0.5) * 2e-4, 6),
                latitude=round(float(t.latitude[light]) + (draws[1] - 0.5) * 2e-4, 6),
                authority=cabinet.authority,
                cabinet=int(t.light_cabinet[light]) if hangs else -1,
                gateway=int(draws[3] * world.preset.stock.gateways),
                is_by_river=False,
                installed_on=dt.date(year, 1 + number % 12, 1 + number % 28),
            )
        )
    river = world.preset.longitude - _RIVER_WEST_DEG
    nearest = sorted(found, key=lambda e: (abs(e.longitude - river), e.number))[: max(1, count // _BY_RIVER)]
    wet = {e.number for e in nearest}
    return tuple(Equipment(**{**e.__dict__, "is_by_river": e.number in wet}) for e in found)
