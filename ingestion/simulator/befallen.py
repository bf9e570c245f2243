"""What scenarios do to the lighting cabinets: which go dark, and when.

Here: failures that scenarios make. Not here: everyday ones (`failures`), who repairs them (`cases`), other equipment (`troubles`).

A cabinet that has a failure of its own about that time is left alone: two would be told as one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from ingestion.simulator.chance import uniform
from ingestion.simulator.clock import DAY
from ingestion.simulator.failures import GROUPS, Candidate, Failure, month_of, months
from ingestion.simulator.scenarios import Scenario, Scenarios
from ingestion.simulator.territory import Territory

# Of the cabinets, those that a storm leaves without supply: trees on lines, water in joints.
_STORM_SHARE: Final = 0.06
# A dark cabinet is repaired within ten days (see `world`): beyond, two failures of it do not touch.
_APART: Final = 12 * DAY


def failures(
    scenarios: Scenarios, territory: Territory, seed: int, candidates: Callable[[tuple[int, int]], list[Candidate]]
) -> list[Failure]:
    """Return the failures that the scenarios of a world make, in the order they start.

    Args:
        scenarios: of the world.
        territory: its equipment.
        seed: the world's.
        candidates: the everyday candidates of a month.
    """
    dark: dict[int, list[int]] = defaultdict(list)
    found: list[Failure] = []
    for scenario in scenarios.all:
        own, left = _everyday(scenario, candidates), _count(scenario, territory)
        for cabinet, onset in _struck(scenario, territory, seed) if left else ():
            if left and not any(abs(onset - other) < _APART for other in (*own.get(cabinet, ()), *dark[cabinet])):
                dark[cabinet].append(onset)
                found.append(_failure(scenario, territory, cabinet, onset))
                left -= 1
    return sorted(found, key=lambda x: (x.started, x.key))


def _everyday(scenario: Scenario, candidates: Callable[[tuple[int, int]], list[Candidate]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for month in months(scenario.start - _APART, scenario.end + _APART):
        for c in candidates(month):
            if GROUPS[c.process] == GROUPS["cabinet-dark"]:
                found[c.asset].append(c.onset)
    return found


def _count(scenario: Scenario, territory: Territory) -> int:
    """Return how many cabinets a scenario strikes."""
    return {"cabinet-out": 1, "storm": max(1, round(len(territory.cabinets) * _STORM_SHARE))}.get(scenario.name, 0)


def _struck(scenario: Scenario, territory: Territory, seed: int) -> list[tuple[int, int]]:
    """Return the cabinets in the order in which a scenario would strike them, and when."""
    if scenario.name == "cabinet-out":
        return [(cabinet, scenario.start) for cabinet in main_cabinets(territory)]
    count = len(territory.cabinets)
    draws = [uniform(seed, "storm-cabinet", scenario.start, cabinet) for cabinet in range(count)]
    began, calm = scenario.phase("rising")[0], scenario.phase("calming")[0]
    worst = sorted(range(count), key=lambda cabinet: draws[cabinet])
    return [(c, began + int(uniform(seed, "storm-onset", scenario.start, c) * (calm - began))) for c in worst]


def _failure(scenario: Scenario, territory: Territory, cabinet: int, onset: int) -> Failure:
    own = territory.cabinets[cabinet]
    year, month = month_of(onset)
    # Beside the keys of everyday failures, `2605-A0042`: the scenario's, with the hour it started.
    key = f"{year % 100:02d}{month:02d}-{scenario.name}-{scenario.start}-{own.code}"
    cause = "tempête" if scenario.name == "storm" else "câble d'alimentation"
    place = (own.ref, "cabinet", -1, -1, cabinet, own.is_remote)
    return Failure(key, "cabinet-dark", "failure", "cabinet-dark", *place, cause, onset, onset, scenario=scenario.name)


def main_cabinets(territory: Territory) -> list[int]:
    """Return the numbers of cabinets, the piloted ones first, the largest first."""
    sizes = [sum(len(territory.feeders[f].lights) for f in c.feeders) for c in territory.cabinets]
    return sorted(range(len(sizes)), key=lambda i: (not territory.cabinets[i].is_remote, -sizes[i], i))
