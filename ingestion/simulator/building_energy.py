"""Electricity of public buildings: what their meters show, and the files of Enedis's flow R63 that are left each morning.

Here: buildings and how they are used, half-hourly energy, the files. Not here: the weather (`nature`), indoor air (`buildings`).

A file holds the load curve of every meter over the local day before: an archive of one JSON document, points in local time with their
offset. A few points are estimated at first; they are published anew three days later, as measured.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingestion.simulator.asked import rows_table, to_json
from ingestion.simulator.chance import generator, uniform
from ingestion.simulator.clock import DAY, HOUR, MINUTE, at_local, local_days, local_text
from ingestion.simulator.equipment import Equipment, equipment
from ingestion.simulator.nature import Floats, Ints, degree_hours, temperature_c
from ingestion.simulator.rhythm import local
from ingestion.simulator.systems import Message, Scene
from ingestion.simulator.world import World

FEED: Final = "sim-batiments-energie"
FOLDER: Final = "enedis"
_BUILDING_URN: Final = "urn:ngsi-ld:Building:"
STEP: Final = 30 * MINUTE
# Half past five: the night's collection of the meters is over; what was estimated is sent anew on the third morning after.
_LEFT_AT: Final = (5, 30)
_AGAIN_AFTER_DAYS: Final = 3
_AGAIN_AT: Final = (6, 0)
# Points that are never collected, and points that are estimated at first: some in a thousand and one in a hundred.
_MISSING: Final = 0.002
_ESTIMATED: Final = 0.01
# Office buildings take 1 to 2 W/m² at night (network, cold rooms, standby), 8 to 12 while they are used.
_IDLE_W_M2: Final = 1.4
_USED_W_M2: Final = 9.0
# Two buildings in five are heated by electricity: 1.3 W/m² and degree under 17 °C (France's base of degree-days is 18, sun and people
# give one); the others run pumps.
_HEATED: Final = 0.4
_HEAT_W_M2_K: Final = 1.3
_PUMPS_W_M2_K: Final = 0.06
_BASE_C: Final = 17.0
_REDUCED: Final = 0.45  # of the heating, while nobody is there
_COOLED_FROM_C: Final = 26.0
_COOLING_W_M2_K: Final = 1.5
# What nobody notices until the bill: a clock of the heating that lost its reduced hours. One building in twelve a month, for one to three
# weeks, a third more.
_DRIFT_BLOCK: Final = 30 * DAY
_DRIFT: Final = 1 / 12
_DRIFT_LASTS: Final = (7 * DAY, 14 * DAY)
_DRIFT_FACTOR: Final = (0.25, 0.30)
_LOCKDOWN: Final = 0.85  # of the people stay at home
_DEMAND: Final = "M0SIM000"


@dataclass(frozen=True)
class Use:
    """How a kind of building is used: its name, floor area (m², least and most), open hours, whether on every day."""

    title: str
    area: tuple[int, int]
    opens: float
    closes: float
    is_open_every_day: bool = False


USES: Final = (
    Use("École", (900, 2_400), 8.0, 17.5),
    Use("Gymnase", (800, 1_800), 8.0, 22.5, is_open_every_day=True),
    Use("Mairie annexe", (300, 1_200), 8.5, 17.5),
    Use("Crèche", (250, 600), 7.5, 18.5),
    Use("Bibliothèque", (400, 2_000), 9.5, 18.5),
    Use("Salle polyvalente", (400, 1_000), 9.0, 23.0, is_open_every_day=True),
    Use("Centre technique", (600, 3_000), 6.5, 17.0),
    Use("Piscine", (1_800, 3_600), 8.0, 21.0, is_open_every_day=True),
)


@dataclass(frozen=True)
class Building:
    """A building: where it stands, its identifier, its meter, what it is used for, its floor area (m²), whether electricity heats it."""

    place: Equipment
    ref: str
    meter_ref: str
    use: Use
    area_m2: int
    is_heated: bool


def buildings(world: World) -> tuple[Building, ...]:
    """Return the buildings of a world that have a meter of their own."""
    found = []
    for place in equipment(world, "buildings"):
        use = USES[place.number % len(USES)]
        chance = generator(world.seed, "building", place.number).random(2)
        found.append(
            Building(
                place=place,
                ref=f"{_BUILDING_URN}{place.code}",
                meter_ref=f"{98_000_000_000_000 + 7_919 * (place.number + 1)}",
                use=use,
                area_m2=round(use.area[0] + float(chance[0]) * (use.area[1] - use.area[0])),
                is_heated=float(chance[1]) < _HEATED,
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class Curve:
    """A local day of the load curves; rows are half hours (46 or 50 of them when the clocks change), columns buildings.

    Attributes:
        start: of each half hour, seconds since 1970.
        energy_wh: what was measured, whole watt hours.
        estimated_wh: what was published first.
        is_missing: what is never published.
        is_estimated: what was estimated at first.
    """

    start: Ints
    energy_wh: Ints
    estimated_wh: Ints
    is_missing: npt.NDArray[np.bool_]
    is_estimated: npt.NDArray[np.bool_]


class BuildingEnergy:
    """Feed `sim-batiments-energie`: files of R63, for the file connector."""

    feed = FEED
    contract = "energy_reading"
    folder = FOLDER

    def __init__(self, world: World) -> None:
        self._world = world
        self._curve = lru_cache(maxsize=6)(self._make_curve)

    @cached_property
    def buildings(self) -> tuple[Building, ...]:
        """The buildings, in the order of the curves' columns."""
        return buildings(self._world)

    def inventory(self) -> list[dict[str, object]]:
        """Return the meters, as rows of contract `asset`: each in its building."""
        return [
            b.place.row(b.meter_ref, "electricity_meter", parent_ref=b.ref, name=f"Compteur — {b.use.title} {b.place.street}")
            for b in self.buildings
        ]

    def messages(self, start: int, end: int) -> Iterator[Message]:
        """Yield nothing: it leaves files."""
        del start, end
        return iter(())

    # --- what the meters show

    def occupancy(self, building: Building, at: Ints) -> Floats:
        """Return how much a building is used at instants, 0 (empty) to 1."""
        hour, is_working_day = local(at)
        is_open = (hour >= building.use.opens) & (hour < building.use.closes) & (is_working_day | building.use.is_open_every_day)
        found: Floats = np.where(is_open, 1.0, 0.0) * (1 - _LOCKDOWN * self._world.scenarios.levels("lockdown", at))
        return found

    def power_w(self, number: int, at: Ints) -> Floats:
        """Return the mean power of a building over the half hours that start at instants, watts, drifts included."""
        b = self.buildings[number]
        used = self.occupancy(b, at)
        middle = at + STEP // 2
        heating = (_HEAT_W_M2_K if b.is_heated else _PUMPS_W_M2_K) * degree_hours(self._world, middle, _BASE_C)
        cooling = _COOLING_W_M2_K * used * np.maximum(0.0, temperature_c(self._world, middle) - _COOLED_FROM_C)
        drift = np.zeros(at.shape)
        for begin, until, factor in self._drifts(number, int(at[0]), int(at[-1]) + STEP):
            drift = np.maximum(drift, np.where((at >= begin) & (at < until), factor, 0.0))
        found: Floats = b.area_m2 * (_IDLE_W_M2 + _USED_W_M2 * used + heating * (_REDUCED + (1 - _REDUCED) * used) + cooling) * (1 + drift)
        return found

    def _drifts(self, number: int, start: int, end: int) -> Iterator[tuple[int, int, float]]:
        for block in range((start - sum(_DRIFT_LASTS)) // _DRIFT_BLOCK, end // _DRIFT_BLOCK + 1):
            drawn = uniform(self._world.seed, "building", number, "drift", block)
            if drawn < _DRIFT:
                share = drawn / _DRIFT
                begin = block * _DRIFT_BLOCK + int(share * (_DRIFT_BLOCK - DAY)) // HOUR * HOUR
                until = begin + _DRIFT_LASTS[0] + int((share * 1_000 % 1) * _DRIFT_LASTS[1]) // HOUR * HOUR
                if begin < end and until > start:
                    yield begin, until, _DRIFT_FACTOR[0] + (share * 100_000 % 1) * _DRIFT_FACTOR[1]

    def _make_curve(self, day: dt.date) -> Curve:
        start = np.arange(at_local(day), at_local(day + dt.timedelta(days=1)), STEP, dtype=np.int64)
        shape = (len(start), len(self.buildings))
        # Drawn for 50 half hours: a day's numbers do not depend on how long it is.
        chance = generator(self._world.seed, "curve", day.toordinal()).random((4, 50, shape[1]))[:, : shape[0]]
        power = np.stack([self.power_w(n, start) for n in range(shape[1])], axis=1) * (0.93 + 0.14 * chance[0])
        energy = np.rint(power * STEP / HOUR).astype(np.int64)
        estimated = chance[1] < _ESTIMATED
        guess = np.where(estimated, np.rint(energy * (0.9 + 0.2 * chance[3]) / 10) * 10 + 5, energy).astype(np.int64)
        return Curve(start, energy, guess, chance[2] < _MISSING, estimated)

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield the drifts of consumption."""
        for n, building in enumerate(self.buildings):
            for begin, until, _factor in self._drifts(n, start, end):
                yield Scene(FEED, building.ref, "over-consumption", begin, until, None, None)

    # --- files

    def _left(self, start: int, end: int) -> Iterator[tuple[int, dt.date, bool]]:
        """Yield when each file is left in [start, end), the local day it is about, and whether it is about what was estimated."""
        for morning in local_days(start, end):
            found = [(at_local(morning, *_LEFT_AT), morning - dt.timedelta(days=1), False)]
            again = morning - dt.timedelta(days=1 + _AGAIN_AFTER_DAYS)
            if self._curve(again).is_estimated.any():
                found.append((at_local(morning, *_AGAIN_AT), again, True))
            yield from (f for f in found if start <= f[0] < end)

    def files(self, start: int, end: int) -> Iterator[tuple[str, bytes]]:
        """Yield the name and bytes of each file left in [start, end), in order."""
        for at, day, is_again in self._left(start, end):
            stamp = dt.datetime.fromtimestamp(at, dt.UTC)
            name = f"ENEDIS_R63_P_CdC_{_DEMAND}_{2 if is_again else 1:05d}_{stamp:%Y%m%d%H%M%S}"
            held = io.BytesIO()
            with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                # Dated by the file's own instant: the same file always has the same bytes.
                member = zipfile.ZipInfo(f"{name}.json", stamp.timetuple()[:6])
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, to_json(self._document(day, is_again=is_again)))
            yield f"{name}.zip", held.getvalue()

    def _chosen(self, day: dt.date, *, is_again: bool) -> Iterator[tuple[int, Ints]]:
        """Yield the number of each building that a file is about, and its half hours in it."""
        curve = self._curve(day)
        for n in range(len(self.buildings)):
            points = ~curve.is_missing[:, n] & (curve.is_estimated[:, n] if is_again else True)
            if points.any():
                yield n, np.flatnonzero(points)

    def _document(self, day: dt.date, *, is_again: bool) -> dict[str, Any]:
        curve = self._curve(day)
        # Meters of small sites stamp the end of each half hour.
        texts = [local_text(int(t) + STEP) for t in curve.start]
        values = curve.energy_wh if is_again else curve.estimated_wh
        period = {"dateDebut": f"{day}", "dateFin": f"{day + dt.timedelta(days=1)}"}
        return {
            "header": {
                "siDemandeur": "SGE",
                "typeDestinataire": "SI",
                "idDestinataire": "SIM-F001",
                "codeFlux": "R63",
                "idDemande": _DEMAND,
                "modePublication": "P",
                "idCanalContact": "WEB",
                "format": "JSON",
            },
            "mesures": [
                {
                    "idPrm": self.buildings[n].meter_ref,
                    "etapeMetier": "MESURE",
                    "periode": period,
                    "modeCalcul": "BRUT",
                    "grandeur": [
                        {
                            "grandeurMetier": "CONS",
                            "grandeurPhysique": "EA",
                            "unite": "Wh",
                            "points": [
                                {
                                    "d": texts[i],
                                    "v": str(values[i, n]),
                                    "p": "PT30M",
                                    "n": "E" if curve.is_estimated[i, n] and not is_again else "R",
                                }
                                for i in points.tolist()
                            ],
                        }
                    ],
                }
                for n, points in self._chosen(day, is_again=is_again)
            ],
        }

    def tables(self, start: int, end: int) -> Iterator[pa.Table]:
        """Yield the rows of each file left in [start, end)."""
        for _at, day, is_again in self._left(start, end):
            curve = self._curve(day)
            values = curve.energy_wh if is_again else curve.estimated_wh
            yield rows_table(
                self.contract,
                [
                    {
                        "meter_ref": self.buildings[n].meter_ref,
                        "start_at": int(curve.start[i]),
                        "end_at": int(curve.start[i]) + STEP,
                        "energy_wh": float(values[i, n]),
                        "direction": "consumption",
                        "quality": "E" if curve.is_estimated[i, n] and not is_again else "R",
                    }
                    for n, points in self._chosen(day, is_again=is_again)
                    for i in points.tolist()
                ],
            )
