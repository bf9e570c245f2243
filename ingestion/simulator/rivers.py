"""River gauges: level and discharge as Hub'Eau publishes them, and the flood vigilance of their rivers as Vigicrues does.

Here: the gauges, what they tell and when, the answers of both services. Not here: how high the water is (`nature`).

Hub'Eau publishes an observation some minutes after it is made, and revises some of them hours later: the same instant, another value.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from ingestion.simulator.asked import Answer, Question, from_cursor, refuse, rows_table, silent, to_cursor, to_json
from ingestion.simulator.chance import uniform
from ingestion.simulator.clock import DAY, HOUR, MINUTE, seconds, utc_text
from ingestion.simulator.nature import river_rise
from ingestion.simulator.systems import Message, Scene
from ingestion.simulator.troubles import LOST, Law
from ingestion.simulator.world import World

FEED: Final = "sim-rivieres"
ASKED_EVERY: Final = 15 * MINUTE
# Gauges of the national network measure each five minutes to one hour.
STEP: Final = 10 * MINUTE
# The service loads what the gauges sent each five minutes: an observation appears five to twelve minutes after it was made.
_PUBLISHED: Final = (5 * MINUTE, 7 * MINUTE)
# Hydrologists correct what is plainly wrong (an eddy, a branch): a few values in a hundred, by centimetres, within hours.
_REVISED: Final = 0.03
_REVISED_AFTER: Final = (2 * HOUR, 2 * HOUR)
_REVISED_MM: Final = 40
# What is published last after it was measured.
LATEST: Final = sum(_PUBLISHED) + sum(_REVISED_AFTER)
# A gauge loses its modem about four times a year, for hours, and what it measured then is not recovered.
_LAWS: Final = (Law(LOST, "modem", 4.0, (4 * HOUR, 0.6, HOUR, 2 * DAY)),)
# The service keeps a month, and gives at most 20,000 observations a page, 1,000 unless asked.
KEPT: Final = 30 * DAY
_PAGE_MOST: Final = 20_000
_PAGE: Final = 1_000
_PATH: Final = "api/v2/hydrometrie/observations_tr"
# A great flood stands a week in the truth as long as the water is over this share of its crest.
FLOODED: Final = 0.5
_NAMES: Final = {"dijon": ("L'Ouche", "La Tille", "Le Suzon"), "": ("La Marne", "La Moivre", "La Coole")}
_EXPONENT: Final = 1.6  # of rating curves of natural sections: 5/3 by Manning's formula for a wide one


@dataclass(frozen=True)
class Gauge:
    """A gauge.

    Attributes:
        code: of the station, Hub'Eau's: ten characters, the first eight its site's.
        river: number of its river.
        name: for people.
        usual_mm: level when the river neither rises nor falls.
        crest_mm: how much more at the crest of a great flood.
        usual_l_s: discharge at the usual level.
        delay_s: how much later than at the uppermost gauge the water passes.
    """

    code: str
    river: int
    river_name: str
    name: str
    commune: str
    longitude: float
    latitude: float
    usual_mm: int
    crest_mm: int
    usual_l_s: int
    delay_s: int


def gauges(world: World) -> tuple[Gauge, ...]:
    """Return the gauges of a world: along its rivers, downstream by downstream."""
    names = _NAMES.get(world.preset.name, _NAMES[""])
    found = []
    for n in range(world.preset.stock.gauges):
        river, rank = n % len(names), n // len(names)
        commune = world.preset.communes[n % len(world.preset.communes)]

        def draw(what: str, n: int = n) -> float:
            return uniform(world.seed, "gauge", n, what)

        found.append(
            Gauge(
                code=f"H{90_000 + 10 * (n + 1):05d}{river}{rank % 100:02d}1",
                river=river,
                river_name=names[river],
                name=f"{names[river]} à {commune.name}" + (f" [{rank + 1}]" if rank else ""),
                commune=commune.name,
                longitude=round(commune.longitude + 0.01 * (draw("x") - 0.5), 6),
                latitude=round(commune.latitude + 0.01 * (draw("y") - 0.5), 6),
                usual_mm=600 + round(900 * draw("level")),
                crest_mm=2_600 + round(900 * draw("crest")),
                usual_l_s=round((60_000, 4_000, 2_500)[river] * (0.8 + 0.4 * draw("discharge"))),
                delay_s=rank * 3 * HOUR,
            )
        )
    return tuple(found)


class Told(NamedTuple):
    """An observation as it is published once (again, when it is revised): of which gauge, when made and published, mm and L/s."""

    gauge: int
    made_at: int
    published_at: int
    level_mm: int
    discharge_l_s: int
    is_revised: bool


class Rivers:
    """Feed `sim-rivieres`: Hub'Eau v2 `observations_tr`."""

    feed = FEED
    contract = "observation"
    every = ASKED_EVERY

    def __init__(self, world: World) -> None:
        self._world = world

    @cached_property
    def gauges(self) -> tuple[Gauge, ...]:
        """The gauges."""
        return gauges(self._world)

    def inventory(self) -> list[dict[str, object]]:
        """Return the gauges, as rows of contract `asset`."""
        return [
            {"asset_ref": g.code, "asset_type": "hydro_station", "name": g.name, "commune": g.commune, "longitude": g.longitude,
             "latitude": g.latitude, "status": "En service", "is_remote": True}
            for g in self.gauges
        ]  # fmt: skip

    def messages(self, start: int, end: int) -> Iterator[Message]:
        """Yield nothing: it is asked."""
        del start, end
        return iter(())

    def told(self, start: int, end: int, *, until: int) -> list[Told]:
        """Return what is published before `until` of what is made in [start, end), in the order it is published."""
        found = []
        silences = silent(self._world, FEED, len(self.gauges), _LAWS, start, end)
        for n, gauge in enumerate(self.gauges):
            made = np.arange(-(-start // STEP) * STEP, end, STEP, dtype=np.int64)
            if not made.size:
                continue
            rise = river_rise(self._world, made, gauge.river, gauge.delay_s)
            level = np.maximum(50, np.rint(gauge.usual_mm + gauge.crest_mm * rise)).astype(np.int64)
            for at, mm in zip(made.tolist(), level.tolist(), strict=True):
                if any(t.started <= at < t.ended for t in silences[n]):
                    continue
                late = uniform(self._world.seed, "gauge", n, at)
                # Some digits of one draw: a second one costs as much as the rest of the line.
                first = at + _PUBLISHED[0] + int(late * _PUBLISHED[1])
                chance = late * 1_000 % 1
                wrong = chance < _REVISED
                mm_first = mm + (round(_REVISED_MM * (chance / _REVISED - 0.5)) or 1) if wrong else mm
                if first < until:
                    found.append(Told(n, at, first, mm_first, self._discharge(gauge, mm_first), is_revised=False))
                again = first + _REVISED_AFTER[0] + int((late * 1_000_000 % 1) * _REVISED_AFTER[1])
                if wrong and again < until:
                    found.append(Told(n, at, again, mm, self._discharge(gauge, mm), is_revised=True))
        return sorted(found, key=lambda t: (t.published_at, t.gauge, t.made_at))

    @staticmethod
    def _discharge(gauge: Gauge, level_mm: int) -> int:
        return round(gauge.usual_l_s * math.pow(max(level_mm, 0) / gauge.usual_mm, _EXPONENT))

    def tables(self, start: int, end: int) -> Iterator[pa.Table]:
        """Yield the rows of what is published in [start, end), UTC day by UTC day: metres and cubic metres a second."""
        for day in range(start // DAY, (end - 1) // DAY + 1):
            since, until = max(start, day * DAY), min(end, (day + 1) * DAY)
            yield rows_table(
                self.contract, [r for t in self.told(since - LATEST, until, until=until) if t.published_at >= since for r in self._rows(t)]
            )

    def _rows(self, told: Told) -> Iterator[dict[str, object]]:
        quality = "Corrigée, Bonne" if told.is_revised else "Brute, Non qualifiée"
        for name, value, unit in (("water_level", told.level_mm / 1_000, "m"), ("discharge", told.discharge_l_s / 1_000, "m3/s")):
            yield {
                "asset_ref": self.gauges[told.gauge].code,
                "property": name,
                "observed_at": told.made_at,
                "value": value,
                "unit": unit,
                "quality": quality,
            }

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield the silences of gauges, and the floods they see."""
        for t in (t for ts in silent(self._world, FEED, len(self.gauges), _LAWS, start, end).values() for t in ts):
            yield Scene(FEED, self.gauges[t.asset].code, t.kind, t.started, t.ended, None, None, t.scenario)
        for gauge in self.gauges:
            for scenario in self._world.scenarios.active(start - DAY, end, "flood"):
                span = np.arange(scenario.start, scenario.end + gauge.delay_s + DAY, STEP, dtype=np.int64)
                over = span[river_rise(self._world, span, gauge.river, gauge.delay_s) >= FLOODED]
                if over.size and over[0] < end and over[-1] + STEP > start:
                    first, last = int(over[0]), int(over[-1]) + STEP
                    yield Scene(FEED, gauge.code, "flooded", first, last, first, last, "flood")

    # --- asked

    def answer(self, question: Question) -> Answer | None:
        """Return a page of observations: 206 while another follows, 200 for the last."""
        if question.path != _PATH:
            return None
        query, now = question.query, question.now
        size = query.get("size", str(_PAGE))
        if not size.isdigit() or not 1 <= int(size) <= _PAGE_MOST:
            return refuse(f"size: 1 à {_PAGE_MOST}")
        first = 0
        if "cursor" in query:
            # All pages of one question are of one instant: what is published meanwhile is for the next question.
            found = from_cursor(query["cursor"], 2)
            if found is None:
                return refuse("cursor: inconnu")
            first, now = found
        since = _instant(query.get("date_debut_obs")) if "date_debut_obs" in query else now - KEPT
        if since is None:
            return refuse("date_debut_obs: date ISO 8601")
        codes = set(query["code_entite"].split(",")) if query.get("code_entite") else None
        kinds = query.get("grandeur_hydro", "H,Q").split(",")
        lines = [
            (t, kind)
            for t in self._current(max(since, now - KEPT), now)
            if codes is None or {self.gauges[t.gauge].code, self.gauges[t.gauge].code[:8]} & codes
            for kind in kinds
        ]
        page, follows = lines[first : first + int(size)], len(lines) > first + int(size)
        kept = "&".join(f"{k}={v}" for k, v in query.items() if k != "cursor")
        link = f"{question.url}?{kept}{'&' if kept else ''}cursor={to_cursor(first + int(size), now)}" if follows else None
        document = {
            "count": len(lines),
            "first": f"{question.url}?{kept}",
            "prev": None,
            "next": link,
            "api_version": "2.0.1",
            "data": [self._line(t, kind) for t, kind in page],
        }
        return Answer(to_json(document), status=206 if follows else 200)

    def _current(self, since: int, now: int) -> list[Told]:
        """Return what stands published at an instant of what was made since another: the last word on each, the newest first."""
        standing = {(t.gauge, t.made_at): t for t in self.told(since, now + 1, until=now + 1)}
        return sorted(standing.values(), key=lambda t: (-t.made_at, t.gauge))

    def _line(self, told: Told, kind: str) -> dict[str, Any]:
        gauge = self.gauges[told.gauge]
        day = told.made_at // DAY * DAY
        return {
            "code_site": gauge.code[:8],
            "code_station": gauge.code,
            "grandeur_hydro": kind,
            "date_debut_serie": utc_text(day),
            "date_fin_serie": utc_text(told.made_at),
            "code_systeme_alti_serie": 31,
            "date_obs": utc_text(told.made_at),
            "resultat_obs": float(told.level_mm if kind == "H" else told.discharge_l_s),
            "code_methode_obs": 0 if kind == "H" else 8,
            "libelle_methode_obs": "Mesurée" if kind == "H" else "Calculée",
            "code_qualification_obs": 20 if told.is_revised else 16,
            "libelle_qualification_obs": "Bonne" if told.is_revised else "Non qualifiée",
            "longitude": gauge.longitude,
            "latitude": gauge.latitude,
            "code_statut": 8 if told.is_revised else 4,
            "libelle_statut": "Corrigée" if told.is_revised else "Brute",
            "code_continuite": 0,
            "libelle_continuite": "Continue",
        }


def _instant(text: str | None) -> int | None:
    try:
        at = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return seconds(at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC))
