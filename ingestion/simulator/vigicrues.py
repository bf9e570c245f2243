"""The flood vigilance of the territory's rivers, as Vigicrues publishes it: one GeoJSON of all sections.

Here: the sections, their level at an instant, the answer of the service. Not here: how high the water is (`nature`), gauges (`rivers`).

Forecasters publish twice a day, and each hour while a river is watched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ingestion.simulator.asked import GEOJSON, Answer, Question, rows_table, to_json
from ingestion.simulator.clock import DAY, HOUR, utc_text
from ingestion.simulator.nature import river_rise
from ingestion.simulator.rivers import Gauge, gauges
from ingestion.simulator.systems import Message, Scene
from ingestion.simulator.world import World

FEED: Final = "sim-vigicrues"
ASKED_EVERY: Final = HOUR
_PATH: Final = "services/InfoVigiCru.geojson"
# Share of the crest of a great flood from which a section is yellow, orange, red.
_THRESHOLDS: Final = (0.25, 0.5, 0.85)
COLOURS: Final = ("vert", "jaune", "orange", "rouge")
# Bulletins come at ten and sixteen, an hour earlier by UTC in winter.
_PUBLISHED_AT: Final = (9 * HOUR, 15 * HOUR)
_TYPE_SECTION: Final = 8  # of the reference of vigilance entities: a section of a river


@dataclass(frozen=True)
class Section:
    """A section of a river: its code, its name, the gauges along it."""

    code: str
    number: int
    river: int
    name: str
    line: tuple[tuple[float, float], ...]


class Vigicrues:
    """Feed `sim-vigicrues`: the level of vigilance of each section."""

    feed = FEED
    contract = "observation"
    every = ASKED_EVERY

    def __init__(self, world: World) -> None:
        self._world = world

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The sections: one of each river that has a gauge."""
        by_river: dict[int, list[Gauge]] = {}
        for gauge in gauges(self._world):
            by_river.setdefault(gauge.river, []).append(gauge)
        return tuple(
            Section(f"SM{river + 1:02d}", river + 1, river, f"{own[0].river_name} dans le territoire", _line(own))
            for river, own in sorted(by_river.items())
        )

    def inventory(self) -> list[dict[str, object]]:
        """Return nothing: what it answers describes the sections."""
        return []

    def messages(self, start: int, end: int) -> Iterator[Message]:
        """Yield nothing: it is asked."""
        del start, end
        return iter(())

    def level(self, section: Section, at: int) -> int:
        """Return the vigilance of a section at an instant: 1 (green) to 4 (red)."""
        rise = float(river_rise(self._world, np.array([at], dtype=np.int64), section.river, 0)[0])
        return 1 + sum(rise >= t for t in _THRESHOLDS)

    def published(self, now: int) -> int:
        """Return when what is answered at an instant was published."""
        hour = now // HOUR * HOUR
        if any(self.level(s, hour) > 1 for s in self.sections):
            return hour
        day = now // DAY * DAY
        return max(t for d in (day - DAY, day) for t in (d + p for p in _PUBLISHED_AT) if t <= now)

    def answer(self, question: Question) -> Answer | None:
        """Return the sections with their level."""
        if question.path != _PATH:
            return None
        at = self.published(question.now)
        document: dict[str, Any] = {
            "type": "FeatureCollection",
            "VersionFlux": "1.1",
            "DtHrInfoVigiCru": utc_text(at),
            "features": [self._feature(s, at) for s in self.sections],
        }
        return Answer(to_json(document), GEOJSON)

    def _feature(self, section: Section, at: int) -> dict[str, Any]:
        return {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [list(p) for p in section.line]},
            "properties": {
                "gid": section.number,
                "CdEntCru": section.code,
                "LbEntCru": section.name,
                "AcroEntCru": section.code[:2],
                "TypEntCru": _TYPE_SECTION,
                "NivInfViCr": self.level(section, at),
            },
        }

    def tables(self, start: int, end: int) -> Iterator[pa.Table]:
        """Yield the rows of what is answered at each instant of [start, end) at which the contract asks, once each."""
        rows: list[dict[str, object]] = []
        told = self.published((start - 1) // ASKED_EVERY * ASKED_EVERY)  # at the question before
        for at in range(-(-start // ASKED_EVERY) * ASKED_EVERY, end, ASKED_EVERY):
            if self.published(at) != told:
                told = self.published(at)
                rows += [self._row(s, told) for s in self.sections]
        yield rows_table(self.contract, rows)

    def _row(self, section: Section, at: int) -> dict[str, object]:
        level = self.level(section, at)
        return {
            "asset_ref": section.code,
            "property": "flood_vigilance",
            "observed_at": at,
            "value": float(level),
            "value_text": COLOURS[level - 1],
            "unit": "1",
        }

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield when sections were not green."""
        for section in self.sections:
            begun: int | None = None
            for at in range(start // HOUR * HOUR - 6 * DAY, end + 6 * DAY, HOUR):
                is_up = self.level(section, at) > 1
                if is_up and begun is None:
                    begun = at
                elif not is_up and begun is not None:
                    if begun < end and at > start:
                        yield Scene(FEED, section.code, "flood-vigilance", begun, at, begun, at, "flood")
                    begun = None


def _line(own: list[Gauge]) -> tuple[tuple[float, float], ...]:
    """Return a section's line: through its gauges, from the north to the south, some kilometres past them."""
    points = sorted(((g.longitude, g.latitude) for g in own), key=lambda p: -p[1])
    first, last = points[0], points[-1]
    return ((round(first[0] + 0.02, 6), round(first[1] + 0.03, 6)), *points, (round(last[0] - 0.02, 6), round(last[1] - 0.03, 6)))
