"""The town's systems beside its lights, meters and papers: which there are, and all of them for a world.

Here: one line a system. Not here: any of them. What `wire`, `history`, `inventory` and the truth do goes through this list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ingestion.simulator import (
    access,
    bins,
    bollards,
    building_energy,
    buildings,
    buses,
    cabinet_log,
    cameras,
    car_parks,
    junctions,
    living,
    network,
    rivers,
    vehicles,
    vigicrues,
    vigilance,
    weather,
)
from ingestion.simulator.systems import System
from ingestion.simulator.world import World

# Feed to what makes its system of a world: a line here, a contract in `feeds/`, and the system speaks, has a history and a truth.
SYSTEMS: Final[dict[str, Callable[[World], System]]] = {
    cameras.FEED: cameras.Cameras,
    junctions.FEED: junctions.Junctions,
    car_parks.FEED: car_parks.CarParks,
    bollards.FEED: bollards.Bollards,
    vehicles.FEED: vehicles.Vehicles,
    network.FEED: network.Network,
    buildings.FEED: buildings.Buildings,
    access.FEED: access.Access,
    bins.FEED: bins.Bins,
    cabinet_log.FEED: cabinet_log.CabinetLog,
    rivers.FEED: rivers.Rivers,
    vigicrues.FEED: vigicrues.Vigicrues,
    weather.FEED: weather.Weather,
    vigilance.FEED: vigilance.Warnings,
    buses.FEED: buses.Buses,
    building_energy.FEED: building_energy.BuildingEnergy,
    living.FEED: living.Living,
}


def systems(world: World) -> dict[str, System]:
    """Return every system of a world, by its feed."""
    return {feed: make(world) for feed, make in SYSTEMS.items()}
