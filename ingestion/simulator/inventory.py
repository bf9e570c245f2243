"""What a territory declares once: its inventory as a GIS exports it, its contracts, its regimes, meters and factors.

Here: files written whole. Not here: history (`history`), what is sent (`wire`).
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ingestion.contracts.canonical import CONTRACTS as CANONICAL
from ingestion.contracts.canonical import UTC_INSTANT
from ingestion.simulator import behaviour as b
from ingestion.simulator import building_energy, lights, maps, meters, town
from ingestion.simulator.clock import seconds, utc_text
from ingestion.simulator.papers import CALLS_FEED, ORDERS_FEED, REPORTS_FEED
from ingestion.simulator.presets import preset
from ingestion.simulator.territory import SYSTEM, Cabinet
from ingestion.simulator.world import World

FEED: Final = "sim-patrimoine"
# What is not lighting: one row per equipment of each system.
EQUIPMENT_FEED: Final = "sim-equipements"
# What is landed from a file of the territory's own, not from what history says was sent.
INVENTORIES: Final = (FEED, EQUIPMENT_FEED, *maps.FEEDS)
# The feeds in the order they are best landed: the inventories first.
FEEDS: Final = (*INVENTORIES, lights.FEED, meters.FEED, REPORTS_FEED, CALLS_FEED, ORDERS_FEED, *town.SYSTEMS)
# What the shipped contracts say of where systems are asked, since when, and where they leave files: an instance writes its own instead.
ASKED_AT: Final = "http://127.0.0.1:8311"
ASKED_SINCE: Final = "2026-01-01T00:00:00Z"
FILES: Final = "simulation"
CONTRACTS: Final = Path(__file__).parent / "feeds"
# Before anything that is simulated: regimes and links have always held.
_ALWAYS: Final = "2000-01-01"
# Electricity of a public authority and the French mix: plausible round numbers, declared as such.
_FACTOR: Final = ("0.2200", "0.0520", "Simulation : prix et facteur d'émission inventés, de l'ordre de ceux d'une collectivité française")
# When the contract began.
_CONTRACT_FROM: Final = "2026-01-01"
# What a contract of this kind promises (objective, measure, scope, target, unit, penalty, per): 65 % saved on lighting, 99 % of the time
# heard, guarantees kept. Penalties are invented.
_TARGETS: Final = (
    ("saving", "", "EP", "65", "%", "0.22", "unit"),
    ("delay", "gti", "EP", "95", "%", "100", "unit"),
    ("delay", "gtr", "EP", "90", "%", "100", "unit"),
    ("availability", "system", "RT", "99", "%", "500", "point"),
    ("availability", "asset", "VP", "99", "%", "500", "point"),
)
# Before its lamps were changed: sodium lamps of 150 W with the tenth that their ballasts took; hours of the nights of 48° N, January first.
_BEFORE_W: Final = 165.0
_REFERENCE_YEAR: Final = "2019"
_NIGHT_HOURS: Final = (475, 390, 375, 300, 255, 220, 240, 290, 340, 415, 450, 490)
_HEADER: Final = (
    *("code", "entite", "nature", "amont", "commune", "rue", "longitude", "latitude", "puissance_w", "modele", "date_pose"),
    *("telegestion", "etat", "gestionnaire"),
)


def write_inventory(world: World, folder: Path) -> Path:
    """Write the inventory of all cabinets, feeders and lights: CSV in UTF-8, semicolons, decimal commas."""
    path = folder / f"{FEED}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows(_inventory(world))
    return path


def write_equipment(world: World, folder: Path) -> Path:
    """Write the equipment of all systems: CSV in UTF-8, a column for each of the contract's, instants in ISO 8601."""
    path = folder / f"{EQUIPMENT_FEED}.csv"
    columns = CANONICAL["asset"].columns
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for system in town.systems(world).values():
            for row in system.inventory():
                writer.writerow([_cell(row.get(name), kind) for name, kind in columns.items()])
    return path


def _cell(value: object, kind: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind == UTC_INSTANT:
        return utc_text(int(str(value)))
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _inventory(world: World) -> Iterator[tuple[str, ...]]:
    t = world.territory
    for cabinet in t.cabinets:
        yield _row(cabinet, cabinet.code, cabinet.ref, "Armoire", "", cabinet.street, cabinet.longitude, cabinet.latitude, None, "",
                   f"{cabinet.installed_on:%d/%m/%Y}", is_remote=cabinet.is_remote)  # fmt: skip
    for feeder in t.feeders:
        cabinet = t.cabinets[feeder.cabinet]
        yield _row(cabinet, feeder.code, feeder.ref, "Départ", cabinet.ref, feeder.street, feeder.longitude, feeder.latitude,
                   feeder.rated_w, "", f"{feeder.installed_on:%d/%m/%Y}", is_remote=False)  # fmt: skip
    for light, code in enumerate(t.light_codes):
        feeder = t.feeders[int(t.light_feeder[light])]
        cabinet = t.cabinets[feeder.cabinet]
        yield _row(cabinet, code, t.light_ref(light), "Point lumineux", feeder.ref, feeder.street, float(t.longitude[light]),
                   float(t.latitude[light]), float(t.light_power_w[light]), feeder.model, f"{feeder.installed_on:%d/%m/%Y}",
                   is_remote=bool(t.light_is_remote[light]))  # fmt: skip


def _row(
    cabinet: Cabinet,
    code: str,
    ref: str,
    kind: str,
    parent: str,
    street: str,
    longitude: float,
    latitude: float,
    watts: float | None,
    model: str,
    installed: str,
    *,
    is_remote: bool,
) -> tuple[str, ...]:
    power = "" if watts is None else _comma(f"{watts:g}")
    return (
        *(code, ref, kind, parent, cabinet.commune, street, _comma(f"{longitude:.6f}"), _comma(f"{latitude:.6f}"), power, model),
        *(installed, "oui" if is_remote else "non", "En service", cabinet.authority),
    )


def _comma(number: str) -> str:
    return number.replace(".", ",")


def write_contracts(
    world: World, folder: Path, *, asked_at: str = ASKED_AT, files: Path | None = None, since: dt.datetime | None = None
) -> dict[str, Path]:
    """Write the contracts of all feeds, with the place of this world: the shipped ones are those of `chalons`.

    Args:
        world: the world.
        folder: where.
        asked_at: the address of the systems that are asked.
        files: the folder below which systems leave files.
        since: from when on systems are asked the first time: where history ends.
    """
    home, own = preset("chalons"), world.preset
    written = {}
    for name in FEEDS:
        text = (CONTRACTS / f"{name}.yaml").read_text(encoding="utf-8")
        text = text.replace(f"name: {home.title}", f"name: {own.title}").replace(
            f"latitude: {home.latitude}, longitude: {home.longitude}", f"latitude: {own.latitude}, longitude: {own.longitude}"
        )
        text = text.replace(ASKED_AT, asked_at)
        if since is not None:
            text = text.replace(ASKED_SINCE, utc_text(seconds(since)))
        if files is not None:
            text = text.replace(f'path: "{FILES}/', f'path: "{_in_yaml(files)}/')
        written[name] = folder / f"{name}.yaml"
        written[name].write_text(text.replace(f"owner_authority: {home.authority}", f"owner_authority: {own.authority}"), encoding="utf-8")
    return written


def _in_yaml(path: Path) -> str:
    """Return a path as it stands between double quotes in YAML."""
    return json.dumps(str(path))[1:-1]


def write_declared(world: World, folder: Path) -> dict[str, Path]:
    """Write the declared tables: regimes of cabinets, which meter measures which, price and emission factors."""
    cabinets = world.territory.cabinets
    tables: dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]] = {
        "lighting_regime": (
            ("source", "cabinet_ref", "valid_from", "valid_to", "off_from", "off_until", "dimming_pct", "driver_loss_pct"),
            [
                (SYSTEM, c.ref, _ALWAYS, "", _time(c.regime.off_from), _time(c.regime.off_until), f"{c.regime.dimming_pct:g}",
                 f"{b.DRIVER_LOSS_PCT:g}")
                for c in cabinets
            ],
        ),
        "meter_link": (
            ("feed", "meter_ref", "source", "asset_ref", "valid_from", "valid_to"),
            [
                *((meters.FEED, c.meter_ref, SYSTEM, c.ref, _ALWAYS, "") for c in cabinets),
                *((building_energy.FEED, b.meter_ref, SYSTEM, b.ref, _ALWAYS, "") for b in building_energy.buildings(world)),
            ],
        ),
        "energy_factor": (
            ("territory", "valid_from", "valid_to", "eur_per_kwh", "kgco2e_per_kwh", "reason"),
            [(SYSTEM, _ALWAYS, "", *_FACTOR)],
        ),
        **_contract(world),
    }  # fmt: skip
    written = {}
    for name, (header, rows) in tables.items():
        written[name] = folder / f"{name}.csv"
        with written[name].open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return written


def _contract(world: World) -> dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Return what the operator has promised, and the energy it is compared with: every light a lamp of 150 W that burns all night."""
    kw = len(world.territory.light_codes) * _BEFORE_W / 1000
    return {
        "contract_target": (
            ("territory", "authority", "objective", "measure", "scope", "target", "unit", "penalty_eur", "penalty_per", "valid_from",
             "valid_to"),
            [(SYSTEM, "", *target, _CONTRACT_FROM, "") for target in _TARGETS],
        ),
        "contract_reference": (
            ("territory", "authority", "scope", "year", "month", "energy_kwh"),
            [(SYSTEM, "", "EP", _REFERENCE_YEAR, str(m), f"{kw * hours:.0f}") for m, hours in enumerate(_NIGHT_HOURS, start=1)],
        ),
    }  # fmt: skip


def _time(at: tuple[int, int] | None) -> str:
    return "" if at is None else f"{at[0]:02d}:{at[1]:02d}"
