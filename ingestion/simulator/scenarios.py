"""Scenarios: what befalls a whole territory for hours or days, by name.

Here: their names and courses, how far each is at an instant. Not here: what they do to lights and papers (`befallen`) or to a system
(each system's own module).

A scenario is a pure function of its name and start: nothing of it happens before its start, so that one that is added for later changes
nothing of what was said before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ingestion.errors import WrongUse
from ingestion.simulator.clock import DAY, HOUR


class Scenario(NamedTuple):
    """One scenario: its name (of `COURSES`), and when it starts (seconds since 1970)."""

    name: str
    start: int

    @property
    def end(self) -> int:
        """When its last phase ends."""
        return self.start + COURSES[self.name].phases[-1].until

    def spans(self) -> list[tuple[str, int, int]]:
        """Return its phases in order: name, from, until (seconds since 1970)."""
        untils = [self.start + p.until for p in COURSES[self.name].phases]
        names = [p.name for p in COURSES[self.name].phases]
        return list(zip(names, [self.start, *untils], untils, strict=False))

    def phase(self, name: str) -> tuple[int, int]:
        """Return when one of its phases lasts: from, until."""
        return next((start, end) for own, start, end in self.spans() if own == name)


class Phase(NamedTuple):
    """A phase of a scenario: its name, until when (seconds after the start), and the level it reaches there, in a straight line."""

    name: str
    until: int
    level: float


@dataclass(frozen=True)
class Course:
    """How a scenario unfolds.

    Attributes:
        title: for people, in French.
        phases: one after another; the level is 0 at the start, or what `opens_at` says.
        opens_at: the level from the first second on.
    """

    title: str
    phases: tuple[Phase, ...]
    opens_at: float = 0.0


# Hours as they are told of real ones: a winter storm passes in half a day, a river of plains rises in one and falls in three.
COURSES: Final[dict[str, Course]] = {
    "storm": Course(
        "Tempête",
        (
            Phase("warned", 3 * HOUR, 0.0),
            Phase("rising", 6 * HOUR, 1.0),
            Phase("raging", 9 * HOUR, 1.0),
            Phase("calming", 13 * HOUR, 0.0),
            Phase("repairs", 36 * HOUR, 0.0),
        ),
    ),
    "cabinet-out": Course("Armoire principale hors tension", (Phase("out", 6 * HOUR, 1.0), Phase("repairs", 24 * HOUR, 0.0)), opens_at=1.0),
    "gateway-out": Course("Passerelle radio muette", (Phase("silent", 5 * HOUR, 1.0), Phase("catching-up", 6 * HOUR, 0.0)), opens_at=1.0),
    "flood": Course(
        "Crue",
        (
            Phase("rising", DAY, 1.0),
            Phase("cresting", 2 * DAY, 1.0),
            Phase("falling", 5 * DAY, 0.0),
        ),
    ),
    "market-day": Course("Grand marché", (Phase("coming", 90 * 60, 1.0), Phase("crowded", 6 * HOUR, 1.0), Phase("leaving", 8 * HOUR, 0.0))),
    "heat-wave": Course("Canicule", (Phase("warming", 36 * HOUR, 1.0), Phase("stifling", 4 * DAY, 1.0), Phase("cooling", 5 * DAY, 0.0))),
    "lockdown": Course(
        "Confinement", (Phase("emptying", 6 * HOUR, 1.0), Phase("confined", 14 * DAY, 1.0), Phase("reopening", 15 * DAY, 0.0))
    ),
}
# How long the longest lasts: what a window looks back for.
LONGEST: Final = max(c.phases[-1].until for c in COURSES.values())


class Scenarios:
    """The scenarios of a world, in the order they start.

    Raises:
        WrongUse: there is no scenario of such a name.
    """

    def __init__(self, of: Iterable[Scenario] = ()) -> None:
        self.all: Final = tuple(sorted((Scenario(*s) for s in of), key=lambda s: (s.start, s.name)))
        for scenario in self.all:
            if scenario.name not in COURSES:
                raise WrongUse(f"no scenario is called {scenario.name!r}", remedy=f"one of {', '.join(COURSES)}")

    def active(self, start: int, end: int, name: str | None = None) -> list[Scenario]:
        """Return those that are under way in [start, end), of one name or of all."""
        return [s for s in self.all if s.start < end and s.end > start and name in (None, s.name)]

    def level(self, name: str, at: int) -> float:
        """Return how strong a scenario is at an instant, from 0 (not at all) to 1."""
        return max((_level(s, at) for s in self.active(at, at + 1, name)), default=0.0)

    def levels(self, name: str, at: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return `level` for many instants at once (any shape)."""
        found = np.zeros(at.shape)
        if at.size:
            for s in self.active(int(at.min()), int(at.max()) + 1, name):
                xs, ys = _points(s)
                found = np.maximum(found, np.interp(at, xs, ys, left=0.0, right=0.0))
        return found


def _points(scenario: Scenario) -> tuple[list[int], list[float]]:
    course = COURSES[scenario.name]
    return (
        [scenario.start, *(scenario.start + p.until for p in course.phases)],
        [course.opens_at, *(p.level for p in course.phases)],
    )


def _level(scenario: Scenario, at: int) -> float:
    return float(np.interp(at, *_points(scenario), left=0.0, right=0.0))
