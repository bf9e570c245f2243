"""The world: a preset and a seed, and from them everything that happens, for any window of time.

Here: what other modules ask: failures with their cases, reports and orders, what hides a light. Not here: how each is drawn
(`failures`, `cases`, `routine`), messages (`lights`, `meters`, `records`), the truth (`truth`).

Nothing is remembered but what was already worked out: months are caches of pure functions.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Final

from ingestion.simulator import befallen
from ingestion.simulator import behaviour as b
from ingestion.simulator import failures as f
from ingestion.simulator.cases import Case, resolve
from ingestion.simulator.clock import DAY, HOUR, MINUTE, local_date, local_days, sun
from ingestion.simulator.failures import Failure
from ingestion.simulator.papers import Order, Report
from ingestion.simulator.presets import Preset
from ingestion.simulator.presets import preset as find_preset
from ingestion.simulator.routine import preventive_of, reports_of, surge_of
from ingestion.simulator.scenarios import Scenario, Scenarios
from ingestion.simulator.territory import Territory, build

Span = tuple[int, int]
# What hides a light (a dark cabinet, a silent concentrator, its own radio) lasts less: two days until the patroller sees a dark street,
# two of work on its cable, four of a long week-end between them.
HIDES_MOST: Final = 10 * DAY
# A report of the routine is closed within 130 h of working time (four weeks with holidays); planned work is asked for a week before.
ROUTINE_DAYS: Final = 45


class World:
    """A simulated territory: a pure function of its preset, seed and scenarios.

    Args:
        preset: `chalons`, `dijon` or a number of lights; or a preset of one's own.
        seed: another seed, another history of another town of that size.
        scenarios: what befalls it beside everyday trouble.

    Raises:
        WrongUse: there is no such preset, or no such scenario.
    """

    def __init__(self, preset: str | int | Preset, seed: int = 1, *, scenarios: Iterable[Scenario] = ()) -> None:
        self.preset: Final = preset if isinstance(preset, Preset) else find_preset(preset)
        self.seed: Final = seed
        self.scenarios: Final = Scenarios(scenarios)
        # Caches of their own, so that a world that is dropped takes them along. A year and its margins are 16 months.
        self._candidates = lru_cache(maxsize=40)(self._find_candidates)
        self._drawn = lru_cache(maxsize=40)(self._draw)
        self._dark = lru_cache(maxsize=40)(self._resolve_dark)
        self._cases = lru_cache(maxsize=40)(self._resolve)
        self._routine = lru_cache(maxsize=ROUTINE_DAYS + 20)(self._find_routine)

    @cached_property
    def territory(self) -> Territory:
        """The equipment."""
        return build(self.preset, self.seed)

    # --- what happens

    def cases(self, start: int, end: int) -> list[Case]:
        """Return every failure that is under way in [start, end), with its case, in the order they begin.

        Instants are seconds since 1970. Drifts and losses of communication are among them, with no papers.
        """
        found = [c for m in f.months(start - b.LONGEST, end) for c in self._cases(m)]
        return sorted((c for c in found if c.failure.started < end and c.failure.ended > start), key=_order)

    def papers(self, start: int, end: int) -> tuple[list[Report], list[Order]]:
        """Return every report and order that changes in [start, end), in the order of their references."""
        # A case's papers end days after its failure, which never lasts 55 days with what follows.
        cases = [c for m in f.months(start - b.LONGEST - 10 * DAY, end) for c in self._cases(m)]
        reports = [r for c in cases for r in c.reports]
        orders = [c.order for c in cases if c.order is not None]
        for day in local_days(start - ROUTINE_DAYS * DAY, end + 8 * DAY):
            more_reports, more_orders = self._routine(day)
            reports += more_reports
            orders += more_orders
        return (
            # Most are over, or not yet begun: that is seen at once.
            sorted((r for r in reports if r.opened < end and r.closed >= start and any(start <= t < end for t in r.changes)), key=_ref),
            sorted((o for o in orders if any(start <= t < end for t in o.changes)), key=_ref),
        )

    # --- what hides

    def dark_spans(self, cabinet: int, start: int, end: int) -> list[Span]:
        """Return when a cabinet is without supply in [start, end)."""
        return [(started, ended) for started, ended, _ in self.dark_causes(cabinet, start, end)]

    def dark_causes(self, cabinet: int, start: int, end: int) -> list[tuple[int, int, str | None]]:
        """Return when a cabinet is without supply in [start, end), and the scenario that made it so, if one did."""
        return [
            (c.failure.started, c.failure.ended, c.failure.scenario)
            for m in f.months(start - HIDES_MOST, end)
            for c in self._dark(m)
            if c.failure.cabinet == cabinet and c.failure.started < end and c.failure.ended > start
        ]

    def lost_spans(self, cabinet: int, start: int, end: int) -> list[Span]:
        """Return when a cabinet's concentrator is silent and keeps nothing."""
        return [(x.started, x.ended) for x in self._gateways(cabinet, start, end) if not x.keeps]

    def kept_spans(self, cabinet: int, start: int, end: int) -> list[Span]:
        """Return when a cabinet's concentrator keeps what it cannot send."""
        return [(x.started, x.ended) for x in self._gateways(cabinet, start, end) if x.keeps]

    def unheard_spans(self, light: int, start: int, end: int) -> list[Span]:
        """Return when the concentrator does not hear a light, and says so in its place."""
        return [
            (x.started, x.ended)
            for m in f.months(start - HIDES_MOST, end)
            for x in self._drawn(m)
            if x.process == "light-unheard" and x.light == light and x.started < end and x.ended > start
        ]

    def first_sample(self, light: int, at: int, until: int, *, with_unheard: bool = True) -> int | None:
        """Return the first instant from `at` on, before `until`, at which a piloted light's own state is told; None if it is not.

        With `with_unheard`, what the concentrator says in the light's place is no state of the light.
        """
        cabinet, phase = int(self.territory.light_cabinet[light]), self.light_phase(light)
        return self._first(cabinet, phase, at, until, light if with_unheard else None, dark=True)

    def first_cabinet_sample(self, cabinet: int, at: int, until: int) -> int | None:
        """Return the first instant from `at` on, before `until`, at which a piloted cabinet's supply is told."""
        return self._first(cabinet, self.cabinet_phase(cabinet), at, until, None, dark=False)

    def _first(self, cabinet: int, phase: int, at: int, until: int, light: int | None, *, dark: bool) -> int | None:
        far = min(until, at + HIDES_MOST)
        hidden = list(self.lost_spans(cabinet, at, far))
        if dark:
            hidden += self.dark_spans(cabinet, at, far)
        if light is not None:
            hidden += self.unheard_spans(light, at, far)
        sample = _next_sample(at, phase)
        for start, end in sorted(hidden):
            if start <= sample < end:
                sample = _next_sample(end, phase)
        return sample if sample < until else None

    def heard_at(self, cabinet: int, sample: int) -> int:
        """Return when a sample is received: at once, or when the concentrator that kept it is back."""
        for _, end in self.kept_spans(cabinet, sample, sample + 1):
            return end + b.CATCH_UP
        return sample

    def light_phase(self, light: int) -> int:
        """Return when within each quarter of an hour a piloted light is asked (seconds): one after another, as concentrators do."""
        return self._light_phases[light]

    @cached_property
    def _light_phases(self) -> dict[int, int]:
        remote = self.territory.remote
        return {int(light): i * b.SAMPLING // len(remote) for i, light in enumerate(remote)}

    def cabinet_phase(self, cabinet: int) -> int:
        """Return when within each quarter of an hour a piloted cabinet tells of its supply (seconds)."""
        return self._cabinet_phases[cabinet]

    @cached_property
    def _cabinet_phases(self) -> dict[int, int]:
        remote = self.territory.remote_cabinets
        return {int(cabinet): i * b.SAMPLING // len(remote) for i, cabinet in enumerate(remote)}

    # --- months

    def _find_candidates(self, month: tuple[int, int]) -> list[f.Candidate]:
        return f.candidates(self.preset, self.territory, self.seed, month)

    def _draw(self, month: tuple[int, int]) -> list[Failure]:
        """Return the failures that begin in a month; those that people end last an instant, still."""
        before: dict[tuple[str, int], list[int]] = defaultdict(list)
        for m in (f.step(month, -2), f.step(month, -1), month):
            for c in self._candidates(m):
                before[f.GROUPS[c.process], c.asset].append(c.onset)
        own = [x for c in self._candidates(month) if f.lasting(c, before) for x in f.make(c, self.territory, month)]
        return own + [x for x in self._befallen if f.month_of(x.started) == month]

    @cached_property
    def _befallen(self) -> list[Failure]:
        return befallen.failures(self.scenarios, self.territory, self.seed, self._candidates)

    def _gateways(self, cabinet: int, start: int, end: int) -> Iterator[Failure]:
        for m in f.months(start - HIDES_MOST, end):
            for x in self._drawn(m):
                if x.process == "gateway-lost" and x.cabinet == cabinet and x.started < end and x.ended > start:
                    yield x

    def _resolve_dark(self, month: tuple[int, int]) -> list[Case]:
        return [self._case(x) for x in self._drawn(month) if x.process == "cabinet-dark"]

    def _resolve(self, month: tuple[int, int]) -> list[Case]:
        found = list(self._dark(month))
        for x in self._drawn(month):
            if x.process in ("lamp-out", "day-burner"):
                found.append(self._case(x))
            elif x.process != "cabinet-dark":
                found.append(Case(x))
        return sorted(found, key=_order)

    def _case(self, failure: Failure) -> Case:
        told: int | None = None
        if failure.is_remote:
            far = failure.started + HIDES_MOST
            if failure.process == "lamp-out":
                told = self.first_sample(failure.light, failure.started, far)
            else:
                told = self.first_cabinet_sample(failure.cabinet, failure.started, far)
        heard = None if told is None else self.heard_at(failure.cabinet, told)
        by_day = failure.process == "day-burner"
        return resolve(self.territory, self.seed, failure, heard, self._by_day if by_day else self._by_night)

    def _by_night(self, at: int) -> int:
        """Move an instant of the day to the evening that follows: by day nobody sees that a lamp is out."""
        rises, sets = sun(self.preset.latitude, self.preset.longitude, local_date(at))
        if rises <= at <= sets:
            # Most people pass before 23:00; in which order they do is as in the day.
            return int(sets + 10 * MINUTE + (at - rises) / (sets - rises) * HOUR)
        return at

    def _by_day(self, at: int) -> int:
        rises, sets = sun(self.preset.latitude, self.preset.longitude, local_date(at))
        if at < rises:
            return int(rises) + HOUR
        if at > sets:
            return int(sun(self.preset.latitude, self.preset.longitude, local_date(at) + dt.timedelta(days=1))[0]) + HOUR
        return at

    def _find_routine(self, day: dt.date) -> tuple[list[Report], list[Order]]:
        reports, orders = reports_of(self.preset, self.territory, self.seed, day)
        reports += surge_of(self.preset, self.territory, self.seed, self.scenarios, day)
        return reports, [*orders, *preventive_of(self.preset, self.territory, self.seed, day)]


def _ref(paper: Report | Order) -> str:
    return paper.ref


def _order(case: Case) -> tuple[int, str]:
    return case.failure.started, case.failure.key


def _next_sample(at: int, phase: int) -> int:
    return at + (phase - at) % b.SAMPLING
