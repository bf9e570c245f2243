"""The equipment of a territory: cabinets, feeders, lights, meters, on streets of its communes.

Here: the assets, drawn once from (preset, seed), as columns. Not here: what becomes of them (`failures`), the file a GIS
exports of them (`inventory`).

A light hangs on a feeder, a feeder on a cabinet. Assets are known to every system by the identifier of their NGSI entity.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ingestion.simulator import behaviour as b
from ingestion.simulator.chance import generator
from ingestion.simulator.ground import KM_PER_DEGREE, Points, outlines, settle
from ingestion.simulator.presets import STREET_KINDS, STREET_NAMES, Preset

SYSTEM: Final = "simulation"
LIGHT_URN: Final = "urn:ngsi-ld:Streetlight:"
FEEDER_URN: Final = "urn:ngsi-ld:StreetlightGroup:"
CABINET_URN: Final = "urn:ngsi-ld:StreetlightControlCabinet:"

_SPACING_KM: Final = 0.03  # masts stand 25 to 35 m apart
_LIGHTS_PER_FEEDER: Final = 27
_BELONGS_TO_AGGLOMERATION: Final = 0.35  # the main roads and business parks


@dataclass(frozen=True)
class Regime:
    """When the lights of a cabinet burn: all night or not between two local times, and how bright."""

    name: str
    off_from: tuple[int, int] | None
    off_until: tuple[int, int] | None
    dimming_pct: float


# Extinction in the small hours is what most small communes chose; the agglomeration's roads burn all night, dimmed where piloted.
REGIMES: Final = (
    Regime("nuit entière", None, None, 100.0),
    Regime("extinction 23 h 30 - 5 h", (23, 30), (5, 0), 100.0),
    Regime("extinction 0 h 30 - 5 h", (0, 30), (5, 0), 100.0),
    Regime("nuit entière, 70 %", None, None, 70.0),
)
_REGIME_SHARES: Final = (0.30, 0.45, 0.15, 0.10)
_REGIME_SHARES_REMOTE: Final = (0.35, 0.10, 0.05, 0.50)

# Model, rated power (W), first and last year of installation.
_MODELS: Final = (("Sodium haute pression 100 W", 100.0, 2004, 2014), ("Sodium haute pression 150 W", 150.0, 2002, 2012))
_MODELS_LED: Final = (("LED Axia 36 W", 36.0, 2016, 2023), ("LED Axia 52 W", 52.0, 2017, 2023), ("LED Ampera 75 W", 75.0, 2017, 2022))
_LED_SHARE: Final = 0.45  # of what is not piloted; what is piloted is LED


@dataclass(frozen=True)
class Cabinet:
    """A cabinet: what it is called, how it is piloted and metered, where it stands."""

    code: str
    meter_ref: str
    commune: str
    street: str
    longitude: float
    latitude: float
    authority: str
    regime: Regime
    is_remote: bool
    switch_on_s: float
    switch_off_s: float
    power_factor: float
    rated_w: float
    remote_lights: int
    feeders: tuple[int, ...]
    installed_on: dt.date

    @property
    def ref(self) -> str:
        """The entity's identifier."""
        return CABINET_URN + self.code

    @property
    def commanded_w(self) -> float:
        """What its lights are commanded to take while they burn, losses included."""
        return self.rated_w * (1 + b.DRIVER_LOSS_PCT / 100) * self.regime.dimming_pct / 100


@dataclass(frozen=True)
class Feeder:
    """A feeder: a street's lights behind one breaker of a cabinet."""

    code: str
    cabinet: int
    street: str
    longitude: float
    latitude: float
    model: str
    rated_w: float
    lights: tuple[int, ...]
    installed_on: dt.date

    @property
    def ref(self) -> str:
        """The entity's identifier."""
        return FEEDER_URN + self.code


@dataclass(frozen=True)
class Territory:
    """The equipment. Columns of lights are by light number; `remote` holds the numbers of the piloted ones."""

    cabinets: tuple[Cabinet, ...]
    feeders: tuple[Feeder, ...]
    light_codes: tuple[str, ...]
    light_feeder: npt.NDArray[np.int32]
    light_cabinet: npt.NDArray[np.int32]
    light_power_w: npt.NDArray[np.float64]
    light_is_remote: npt.NDArray[np.bool_]
    longitude: npt.NDArray[np.float64]
    latitude: npt.NDArray[np.float64]
    remote: npt.NDArray[np.int32]
    remote_cabinets: npt.NDArray[np.int32]

    def light_ref(self, light: int) -> str:
        """Return the identifier of a light's entity."""
        return LIGHT_URN + self.light_codes[light]


def build(preset: Preset, seed: int) -> Territory:
    """Draw the equipment of a territory."""
    chance = generator(seed, "territory", preset.lights, preset.cabinets)
    sizes = _sizes(chance, preset.lights, preset.cabinets)
    remote_lights = _remote_lights(chance, sizes, preset.remote)
    communes = chance.choice(len(preset.communes), preset.cabinets, p=_shares([c.weight for c in preset.communes]))
    grounds = outlines(preset.communes, seed)
    cabinets: list[Cabinet] = []
    feeders: list[Feeder] = []
    codes: list[str] = []
    columns: dict[str, list[float]] = {k: [] for k in ("feeder", "cabinet", "power", "remote")}
    places: list[Points] = []
    for number, (size, piloted) in enumerate(zip(sizes, remote_lights, strict=True)):
        commune = preset.communes[int(communes[number])]
        # A whole cabinet is piloted, or its first feeders are, where the count of the preset ends within one.
        is_remote = piloted > 0
        longitude, latitude = _near(chance, commune.longitude, commune.latitude, commune.reach_km / 2)
        own: list[int] = []
        # The cabinet, then each feeder's beginning and its lights.
        group = [(longitude, latitude)]
        total_w = 0.0
        parts = np.array_split(np.arange(size), max(1, round(size / _LIGHTS_PER_FEEDER)))
        for branch, part in enumerate(parts, start=1):
            is_led = is_remote or chance.random() < _LED_SHARE
            model, watts, first, last = (_MODELS_LED if is_led else _MODELS)[int(chance.integers(3 if is_led else 2))]
            installed = dt.date(int(chance.integers(first, last + 1)), int(chance.integers(1, 13)), int(chance.integers(1, 28)))
            street = f"{STREET_KINDS[int(chance.integers(len(STREET_KINDS)))]} {STREET_NAMES[int(chance.integers(len(STREET_NAMES)))]}"
            start_x, start_y = _near(chance, longitude, latitude, 0.25)
            bearing = chance.random() * 2 * math.pi
            code = f"C{number + 1:03d}-D{branch}"
            lights = []
            group.append((start_x, start_y))
            for rank, within in enumerate(part):
                lights.append(len(codes))
                codes.append(f"{code}-{rank + 1:03d}")
                columns["feeder"].append(len(feeders))
                columns["cabinet"].append(number)
                columns["power"].append(watts)
                columns["remote"].append(int(within) < piloted)
                step = rank * _SPACING_KM / KM_PER_DEGREE
                x = start_x + step * math.cos(bearing) / math.cos(math.radians(latitude))
                group.append((round(x, 6), round(start_y + step * math.sin(bearing), 6)))
            own.append(len(feeders))
            rated = watts * len(lights)
            total_w += rated
            feeders.append(Feeder(code, number, street, start_x, start_y, model, rated, tuple(lights), installed))
        placed = settle(np.array(group), commune, grounds[commune.name])
        longitude, latitude = _place(placed[0])
        places += _stand(placed[1:], feeders, own)
        share = _REGIME_SHARES_REMOTE if is_remote else _REGIME_SHARES
        regime = REGIMES[int(chance.choice(len(REGIMES), p=_shares(share)))]
        switch = np.clip(chance.normal(0, b.SWITCH_SPREAD, 2), -b.SWITCH_MOST, b.SWITCH_MOST)
        authority = preset.authority if chance.random() < _BELONGS_TO_AGGLOMERATION else f"Commune de {commune.name}"
        cabinets.append(
            Cabinet(
                code=f"C{number + 1:03d}",
                meter_ref=f"{99_000_000_000_000 + 7_919 * (number + 1)}",
                commune=commune.name,
                street=feeders[own[0]].street,
                longitude=longitude,
                latitude=latitude,
                authority=authority,
                regime=regime,
                is_remote=is_remote,
                switch_on_s=round(float(switch[0])),
                switch_off_s=round(float(switch[1])),
                power_factor=round(float(np.clip(chance.normal(1, b.POWER_SPREAD), 0.96, 1.04)), 4),
                rated_w=total_w,
                remote_lights=piloted,
                feeders=tuple(own),
                installed_on=min(feeders[f].installed_on for f in own),
            )
        )
    place = np.concatenate(places)
    is_remote_light = np.array(columns["remote"], dtype=np.bool_)
    return Territory(
        tuple(cabinets),
        tuple(feeders),
        tuple(codes),
        np.array(columns["feeder"], dtype=np.int32),
        np.array(columns["cabinet"], dtype=np.int32),
        np.array(columns["power"], dtype=np.float64),
        is_remote_light,
        place[:, 0].copy(),
        place[:, 1].copy(),
        np.flatnonzero(is_remote_light).astype(np.int32),
        np.array([i for i, c in enumerate(cabinets) if c.is_remote], dtype=np.int32),
    )


def _shares(weights: list[float] | tuple[float, ...]) -> npt.NDArray[np.float64]:
    total = np.array(weights, dtype=np.float64)
    shares: npt.NDArray[np.float64] = total / total.sum()
    return shares


def _sizes(chance: np.random.Generator, lights: int, cabinets: int) -> list[int]:
    """Share the lights out over the cabinets, from half to one and a half times their mean."""
    weights = chance.uniform(0.5, 1.5, cabinets)
    edges = np.round(np.cumsum(weights) / weights.sum() * lights).astype(int)
    return [int(n) for n in np.diff(edges, prepend=0)]


def _remote_lights(chance: np.random.Generator, sizes: list[int], remote: int) -> list[int]:
    """Pilot whole cabinets, drawn at random, until the count is reached; the last one in part."""
    piloted = [0] * len(sizes)
    left = remote
    for number in chance.permutation(len(sizes)):
        piloted[int(number)] = min(left, sizes[int(number)])
        left -= piloted[int(number)]
    return piloted


def _stand(placed: Points, feeders: list[Feeder], own: list[int]) -> list[Points]:
    """Let a cabinet's own feeders begin where they were placed; returns the places of each one's lights."""
    lights, at = [], 0
    for number in own:
        x, y = _place(placed[at])
        feeders[number] = replace(feeders[number], longitude=x, latitude=y)
        after = at + 1 + len(feeders[number].lights)
        lights.append(np.round(placed[at + 1 : after], 6))
        at = after
    return lights


def _place(point: Points) -> tuple[float, float]:
    return round(float(point[0]), 6), round(float(point[1]), 6)


def _near(chance: np.random.Generator, longitude: float, latitude: float, km: float) -> tuple[float, float]:
    """Return a place about `km` away."""
    dx, dy = np.clip(chance.normal(0, km, 2), -2.5 * km, 2.5 * km) / KM_PER_DEGREE
    return round(longitude + float(dx) / math.cos(math.radians(latitude)), 6), round(latitude + float(dy), 6)
