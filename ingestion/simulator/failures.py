"""What goes wrong: failures of a month, drawn for the month as a whole from (seed, process, month).

Here: what fails, when, for how long where no person is needed to end it. Not here: who sees it and repairs it (`cases`).

A month's candidates follow from nothing but the key, and one is dropped when the same asset has another candidate (dropped or
not) shortly before it (55 days at most): a rule of two months' reach, so that any month can be made alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from ingestion.simulator import behaviour as b
from ingestion.simulator.chance import generator, lognormal
from ingestion.simulator.clock import DAY, HOUR, MINUTE, at_local, local_date, sun
from ingestion.simulator.presets import Preset
from ingestion.simulator.territory import Territory

_DRAWS: Final = 32
_DAYS_A_YEAR: Final = 365.25

# Processes, and the group within which one asset has one failure at a time.
GROUPS: Final = {
    "lamp-out": "lamp",
    "lamp-cycling": "lamp",
    "light-unheard": "radio",
    "gateway-lost": "gateway",
    "cabinet-dark": "supply",
    "day-burner": "command",
    "drift": "command",
}
# In keys: lamp, cycling (K), radio, gateway, armoire (cabinet), jour (day), drift.
_LETTERS: Final = dict(zip(GROUPS, "LKRGAJD", strict=True))
# No second failure of an asset and group within it. What ends by itself is short, and may come back soon.
_APART: Final = {group: 7 * DAY if group in ("radio", "gateway") else b.LONGEST for group in GROUPS.values()}


@dataclass(frozen=True)
class Failure:
    """One thing that goes wrong.

    Attributes:
        key: its name, `2605-L0042`, unique in the territory.
        process: what makes it, one of `GROUPS`.
        kind: `failure`, `communication_loss`, or `drift` (consumption only: nothing has failed).
        fault_type: as the referential names it; empty where it has no name for it.
        asset_ref: the entity that failed.
        asset_type: `streetlight`, `feeder` or `cabinet`.
        light: the light's number, -1 where it is none.
        feeder: the feeder's number, -1 where it is none.
        cabinet: the number of the cabinet that the asset belongs to.
        is_remote: whether the asset is piloted: tells by itself.
        cause: a word on why.
        started: when it begins (seconds since 1970).
        ended: when it ends by itself; what people end is said by its case.
        downs: within [started, ended), when it shows; the whole where it shows all along.
        keeps: of a gateway, whether it sends later what it could not send.
        factor: of a drift, the share of power it adds.
        scenario: the scenario that made it; None for everyday trouble.
    """

    key: str
    process: str
    kind: str
    fault_type: str
    asset_ref: str
    asset_type: str
    light: int
    feeder: int
    cabinet: int
    is_remote: bool
    cause: str
    started: int
    ended: int
    downs: tuple[tuple[int, int], ...] = ()
    keeps: bool = False
    factor: float = 0.0
    scenario: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A failure that may be: its process, the number of its asset, its onset and its draws."""

    process: str
    asset: int
    onset: int
    rank: int
    draws: tuple[float, ...]


def month_of(at: int) -> tuple[int, int]:
    """Return the local month of an instant."""
    day = local_date(at)
    return day.year, day.month


def months(start: int, end: int) -> list[tuple[int, int]]:
    """Return the local months that [start, end) touches."""
    (year, month), last = month_of(start), month_of(max(start, end - 1))
    found = []
    while (year, month) <= last:
        found.append((year, month))
        year, month = step((year, month), 1)
    return found


def step(month: tuple[int, int], by: int) -> tuple[int, int]:
    """Return the month `by` months later.

    >>> step((2026, 1), -2)
    (2025, 11)
    """
    number = month[0] * 12 + month[1] - 1 + by
    return number // 12, number % 12 + 1


def candidates(preset: Preset, territory: Territory, seed: int, month: tuple[int, int]) -> list[Candidate]:
    """Return the candidates of a month, in the order of their onset within each process."""
    first, after = dt.date(*month, 1), dt.date(*step(month, 1), 1)
    days = (after - first).days
    found: list[Candidate] = []
    for process, rates in _rates(territory):
        chance = generator(seed, process, month[0], month[1])
        hits = np.flatnonzero(chance.random(len(rates)) < -np.expm1(-rates * days / _DAYS_A_YEAR))
        draws = chance.random((len(hits), _DRAWS))
        timed = []
        for asset, own in zip(hits, draws, strict=True):
            day = first + dt.timedelta(days=int(own[0] * days))
            timed.append((_onset(preset, process, day, own), int(asset), tuple(float(u) for u in own[2:])))
        found += [Candidate(process, asset, onset, rank, own) for rank, (onset, asset, own) in enumerate(sorted(timed), start=1)]
    return found


def _rates(territory: Territory) -> Iterator[tuple[str, np.ndarray]]:
    remote = territory.light_is_remote
    cabinets = len(territory.cabinets)
    piloted = np.array([c.is_remote for c in territory.cabinets])
    yield "lamp-out", np.where(remote, b.LAMP_OUT_REMOTE, b.LAMP_OUT)
    yield "lamp-cycling", np.where(remote, b.LAMP_CYCLING_REMOTE, 0.0)
    yield "light-unheard", np.where(remote, b.LIGHT_UNHEARD, 0.0)
    yield "gateway-lost", np.where(piloted, b.GATEWAY_LOST, 0.0)
    yield "cabinet-dark", np.full(cabinets, b.CABINET_DARK)
    yield "day-burner", np.full(cabinets, b.DAY_BURNER)
    yield "drift", np.full(cabinets, b.DRIFT)


def _onset(preset: Preset, process: str, day: dt.date, draws: np.ndarray) -> int:
    """Return when it begins that day: lamps and breakers as they are switched on or burn, a stuck contactor at dawn."""
    rises, sets = sun(preset.latitude, preset.longitude, day)
    match process:
        case "lamp-out" | "lamp-cycling":
            # Between switching on and 23:00, when every regime burns; in June that is an hour.
            return int(sets + 6 * MINUTE + draws[1] * max(HOUR / 2, at_local(day, 23) - sets - 6 * MINUTE))
        case "cabinet-dark":
            at_dusk = draws[2] < 0.6  # noqa: PLR2004 - more than half of breakers trip as they are closed; the rest, any time
            return int(sets + draws[1] * 10 * MINUTE) if at_dusk else int(at_local(day) + draws[1] * DAY)
        case "day-burner":
            return int(rises + 10 * MINUTE)
        case _:
            return int(at_local(day) + draws[1] * DAY)


def lasting(candidate: Candidate, before: dict[tuple[str, int], list[int]]) -> bool:
    """Return whether a candidate stands: no other of its asset and group shortly before."""
    group = GROUPS[candidate.process]
    return not any(candidate.onset - _APART[group] < other < candidate.onset for other in before[group, candidate.asset])


def make(candidate: Candidate, territory: Territory, month: tuple[int, int]) -> Iterator[Failure]:
    """Make the failures of a candidate: one, or several where a lamp cycles at long intervals."""
    c, u = candidate, candidate.draws
    key = f"{month[0] % 100:02d}{month[1]:02d}-{_LETTERS[c.process]}{c.rank:04d}"
    if c.process in ("lamp-out", "lamp-cycling", "light-unheard"):
        cabinet, feeder, remote = (
            int(territory.light_cabinet[c.asset]),
            int(territory.light_feeder[c.asset]),
            bool(territory.light_is_remote[c.asset]),
        )
        place = (territory.light_ref(c.asset), "streetlight", c.asset, feeder, cabinet, remote)
    else:
        own = territory.cabinets[c.asset]
        place = (own.ref, "cabinet", -1, -1, c.asset, own.is_remote)
    if c.process == "lamp-out":
        yield Failure(key, c.process, "failure", "lamp-out", *place, "source ou alimentation hors service", c.onset, c.onset)
    elif c.process == "lamp-cycling":
        yield from _cycling(key, c, place)
    elif c.process == "light-unheard":
        end = c.onset + _lasts(u[0], b.UNHEARD, least=35 * MINUTE)
        yield Failure(key, c.process, "communication_loss", "", *place, "liaison du point lumineux", c.onset, end)
    elif c.process == "gateway-lost":
        end = c.onset + _lasts(u[0], b.GATEWAY, least=35 * MINUTE)
        keeps = u[1] < b.GATEWAY_KEEPS
        cause = "réseau mobile, messages gardés" if keeps else "concentrateur arrêté"
        yield Failure(key, c.process, "communication_loss", "", *place, cause, c.onset, end, keeps=keeps)
    elif c.process == "cabinet-dark":
        yield Failure(key, c.process, "failure", "cabinet-dark", *place, "disjoncteur ou alimentation", c.onset, c.onset)
    elif c.process == "day-burner":
        if u[0] < b.DAY_BURNER_FEEDER:
            feeders = territory.cabinets[c.asset].feeders
            branch = feeders[int(u[1] * len(feeders))]
            place = (territory.feeders[branch].ref, "feeder", -1, branch, c.asset, False)
        yield Failure(key, c.process, "failure", "street-on-by-day", *place, "contacteur collé", c.onset, c.onset)
    else:
        end = c.onset + _lasts(u[0], b.DRIFT_LASTS, least=2 * DAY)
        factor = b.DRIFT_LEAST + b.DRIFT_SPAN * u[1]
        yield Failure(key, c.process, "drift", "", *place, "gradation ou alimentations", c.onset, end, factor=round(factor, 3))


def _lasts(u: float, law: tuple[float, float, float], *, least: float) -> int:
    median, sigma, most = law
    return int(min(max(lognormal(u, median, sigma), least), most))


def _cycling(key: str, c: Candidate, place: tuple[str, str, int, int, int, bool]) -> Iterator[Failure]:
    """Lapses of a lamp: with short pauses they are one failure, with long ones a failure each."""
    u = c.draws
    beyond = u[0] < b.FLAP_BEYOND
    pause = b.FLAP_PAUSE_BEYOND if beyond else b.FLAP_PAUSE_WITHIN
    count = 2 + int(u[1] * (2 if beyond else 6))
    at, downs = c.onset, []
    for i in range(count):
        lapse = int(b.FLAP_DOWN[0] + u[2 + 2 * i] * (b.FLAP_DOWN[1] - b.FLAP_DOWN[0]))
        downs.append((at, at + lapse))
        at += lapse + int(pause[0] + u[3 + 2 * i] * (pause[1] - pause[0]))
    word = "faux contact"
    if not beyond:
        yield Failure(key, c.process, "failure", "lamp-cycling", *place, word, c.onset, downs[-1][1], tuple(downs))
        return
    for i, (start, end) in enumerate(downs, start=1):
        yield Failure(f"{key}-{i}", c.process, "failure", "lamp-cycling", *place, word, start, end, ((start, end),))
