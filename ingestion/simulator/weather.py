"""Weather stations, behind an OGC SensorThings service: air temperature, rain, wind.

Here: the stations, what they tell and when, the answers of the service. Not here: the weather itself (`nature`), warnings (`warnings`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from ingestion.simulator.asked import Answer, Question, from_cursor, refuse, rows_table, silent, to_cursor, to_json
from ingestion.simulator.chance import uniform
from ingestion.simulator.clock import DAY, HOUR, MINUTE, seconds, utc_text
from ingestion.simulator.nature import Floats, Ints, rain_mm_h, temperature_c, wind_m_s
from ingestion.simulator.systems import Message, Scene
from ingestion.simulator.troubles import LOST, Law
from ingestion.simulator.world import World

FEED: Final = "sim-meteo"
ASKED_EVERY: Final = 15 * MINUTE
# Automatic stations tell each quarter of an hour; the service has it one to four minutes later, two in a hundred half an hour later.
STEP: Final = 15 * MINUTE
_PUBLISHED: Final = (MINUTE, 3 * MINUTE)
_LATE: Final = 0.02
_LATE_BY: Final = 30 * MINUTE
LATEST: Final = sum(_PUBLISHED) + _LATE_BY
# A station is silent about three times a year, for an hour to two days: its mast has a solar panel. A storm takes one mast in three.
_LAWS: Final = (Law(LOST, "mast", 3.0, (8 * HOUR, 0.8, HOUR, 2 * DAY), in_storm=0.3),)
# The service answers with what it keeps, a month, 100 observations a page unless asked.
KEPT: Final = 30 * DAY
_PAGE: Final = 100
_PAGE_MOST: Final = 1_000
_TYPE: Final = "weather_station"
_PATH: Final = "v1.1/Observations"
_PER_COMMUNES: Final = 6  # one station for so many communes
# A tipping bucket counts fifths of a millimetre; thermometers and anemometers are read to a tenth.
_TIP_MM: Final = 0.2
_MEASUREMENT: Final = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement"


@dataclass(frozen=True)
class Quantity:
    """What a datastream observes: its name, its unit (UCUM, and as people read it), its definition, its title, what it is in the lake."""

    name: str
    unit: str
    unit_name: str
    definition: str
    title: str
    factor: float
    lake_unit: str


_NAMES: Final = "https://vocab.nerc.ac.uk/standard_name/"
QUANTITIES: Final = (
    Quantity("air_temperature", "Cel", "degré Celsius", f"{_NAMES}air_temperature/", "Température de l'air", 1.0, "Cel"),
    Quantity("precipitation", "mm", "millimètre", f"{_NAMES}rainfall_amount/", "Pluie d'un quart d'heure", 0.001, "m"),
    Quantity("wind_speed", "m/s", "mètre par seconde", f"{_NAMES}wind_speed/", "Vent moyen à 10 m", 1.0, "m/s"),
)


@dataclass(frozen=True)
class Station:
    """A weather station: its code, its name, where it stands."""

    code: str
    name: str
    commune: str
    longitude: float
    latitude: float

    @property
    def ref(self) -> str:
        """What the service calls it."""
        return f"Things('{self.code}')"


class Told(NamedTuple):
    """An observation: of which station and quantity, when it was made, when the service has it, its result."""

    station: int
    quantity: int
    made_at: int
    published_at: int
    result: float


class Weather:
    """Feed `sim-meteo`: SensorThings 1.1 `Observations`, with their datastreams and things."""

    feed = FEED
    contract = "observation"
    every = ASKED_EVERY

    def __init__(self, world: World) -> None:
        self._world = world

    @cached_property
    def stations(self) -> tuple[Station, ...]:
        """The stations, in the largest communes first."""
        communes = sorted(self._world.preset.communes, key=lambda c: -c.weight)
        count = max(1, min(len(communes) // _PER_COMMUNES, self._world.preset.stock.gauges))
        return tuple(
            Station(f"METEO-{n + 1:02d}", f"Station météo de {c.name}", c.name, round(c.longitude + 0.004, 6), round(c.latitude - 0.003, 6))
            for n, c in enumerate(communes[:count])
        )

    def inventory(self) -> list[dict[str, object]]:
        """Return the stations, as rows of contract `asset`."""
        return [
            {"asset_ref": s.ref, "asset_type": _TYPE, "name": s.name, "commune": s.commune, "longitude": s.longitude,
             "latitude": s.latitude, "status": "En service", "is_remote": True}
            for s in self.stations
        ]  # fmt: skip

    def messages(self, start: int, end: int) -> Iterator[Message]:
        """Yield nothing: it is asked."""
        del start, end
        return iter(())

    def _results(self, station: int, made: Ints) -> tuple[Floats, Floats, Floats]:
        """Return what a station reads: the territory's weather, and its own place's."""
        place = uniform(self._world.seed, "station", station)
        air: Floats = np.round(temperature_c(self._world, made) + 1.2 * (place - 0.5), 1)
        # What fell in the quarter of an hour that ends: by whole tips.
        fallen_mm = rain_mm_h(self._world, made - STEP // 2) * (0.85 + 0.3 * place) * STEP / HOUR
        rain: Floats = (np.floor(fallen_mm / _TIP_MM).astype(np.float64) * _TIP_MM).round(1)
        wind: Floats = (wind_m_s(self._world, made) * (0.8 + 0.4 * place)).clip(0.0).round(1)
        return air, rain, wind

    def told(self, start: int, end: int, *, until: int) -> list[Told]:
        """Return what the service has before `until` of what is made in [start, end), in the order it has it."""
        found = []
        silences = silent(self._world, FEED, len(self.stations), _LAWS, start, end)
        made = np.arange(-(-start // STEP) * STEP, end, STEP, dtype=np.int64)
        for n in range(len(self.stations) if made.size else 0):
            results = [r.tolist() for r in self._results(n, made)]
            for i, at in enumerate(made.tolist()):
                late = uniform(self._world.seed, "station", n, at)
                published = at + _PUBLISHED[0] + int(late * _PUBLISHED[1]) + (_LATE_BY if late * 1_000 % 1 < _LATE else 0)
                if published < until and not any(t.started <= at < t.ended for t in silences[n]):
                    found += [Told(n, q, at, published, results[q][i] + 0.0) for q in range(len(QUANTITIES))]
        return sorted(found, key=lambda t: (t.published_at, t.made_at, t.station, t.quantity))

    def tables(self, start: int, end: int) -> Iterator[pa.Table]:
        """Yield the rows of what the service gets in [start, end), UTC day by UTC day."""
        for day in range(start // DAY, (end - 1) // DAY + 1):
            since, until = max(start, day * DAY), min(end, (day + 1) * DAY)
            told = self.told(since - LATEST, until, until=until)
            yield rows_table(self.contract, [self._row(t) for t in told if t.published_at >= since])

    def _row(self, told: Told) -> dict[str, object]:
        quantity = QUANTITIES[told.quantity]
        return {
            "asset_ref": self.stations[told.station].ref,
            "property": quantity.name,
            "observed_at": told.made_at,
            "value": told.result * quantity.factor,
            "unit": quantity.lake_unit,
            "message_id": str(self._number(told)),
        }

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield the silences of stations."""
        for troubles in silent(self._world, FEED, len(self.stations), _LAWS, start, end).values():
            for t in troubles:
                yield Scene(FEED, self.stations[t.asset].ref, t.kind, t.started, t.ended, None, None, t.scenario)

    # --- asked

    def answer(self, question: Question) -> Answer | None:
        """Return a page of observations, the oldest first, with a link to the next."""
        if question.path != _PATH:
            return None
        query, now = question.query, question.now
        top = query.get("$top", str(_PAGE))
        if not top.isdigit():
            return refuse("$top is no number")
        first, size = 0, min(int(top), _PAGE_MOST)
        if "$skiptoken" in query:
            found = from_cursor(query["$skiptoken"], 2)
            if found is None:
                return refuse("$skiptoken is none of ours")
            first, now = found
        span = _span(query.get("$filter", ""), now)
        if span is None:
            return refuse("$filter: phenomenonTime ge INSTANT, and phenomenonTime lt INSTANT", status=501)
        told = sorted(self.told(span[0], min(span[1], now + 1), until=now + 1), key=lambda t: (t.made_at, t.station, t.quantity))
        page = told[first : first + size]
        with_streams = "Datastream" in query.get("$expand", "")
        root = question.url.removesuffix("/Observations")
        document: dict[str, Any] = {"value": [self._observation(t, root, with_streams=with_streams) for t in page]}
        if first + size < len(told):
            kept = "&".join(f"{k}={quote(v, safe='$(),=')}" for k, v in query.items() if k != "$skiptoken")
            document["@iot.nextLink"] = f"{question.url}?{kept}{'&' if kept else ''}$skiptoken={to_cursor(first + size, now)}"
        return Answer(to_json(document))

    def _number(self, told: Told) -> int:
        """Return the service's own number of an observation."""
        return (told.made_at // STEP * len(self.stations) + told.station) * len(QUANTITIES) + told.quantity

    def _observation(self, told: Told, root: str, *, with_streams: bool) -> dict[str, Any]:
        number = self._number(told)
        stream = told.station * len(QUANTITIES) + told.quantity + 1
        found: dict[str, Any] = {
            "@iot.id": number,
            "@iot.selfLink": f"{root}/Observations({number})",
            "phenomenonTime": utc_text(told.made_at),
            "resultTime": utc_text(told.published_at),
            "result": told.result,
        }
        if with_streams:
            found["Datastream"] = self._stream(told, stream, root)
        else:
            found["Datastream@iot.navigationLink"] = f"{root}/Observations({number})/Datastream"
        return found

    def _stream(self, told: Told, number: int, root: str) -> dict[str, Any]:
        quantity, station = QUANTITIES[told.quantity], self.stations[told.station]
        return {
            "@iot.id": number,
            "@iot.selfLink": f"{root}/Datastreams({number})",
            "name": f"{quantity.title} — {station.name}",
            "description": quantity.title,
            "observationType": _MEASUREMENT,
            "unitOfMeasurement": {
                "name": quantity.unit_name,
                "symbol": quantity.unit,
                "definition": f"http://unitsofmeasure.org/ucum.html#{quantity.unit}",
            },
            "ObservedProperty": {
                "@iot.id": told.quantity + 1,
                "name": quantity.name,
                "definition": quantity.definition,
                "description": quantity.title,
            },
            "Thing": {
                "@iot.id": station.code,
                "name": station.name,
                "description": station.name,
                "properties": {"type": _TYPE},
                "Locations": [
                    {
                        "@iot.id": told.station + 1,
                        "name": station.commune,
                        "description": station.commune,
                        "encodingType": "application/vnd.geo+json",
                        "location": {"type": "Point", "coordinates": [station.longitude, station.latitude]},
                    }
                ],
            },
        }


_COMPARED: Final = re.compile(r"\s*phenomenonTime\s+(ge|gt|le|lt)\s+(\S+?)\s*")


def _span(text: str, now: int) -> tuple[int, int] | None:
    """Return the span [from, until) that a `$filter` asks for; None where it says more than this service understands."""
    since, until = now - KEPT, now + 1
    for part in re.split(r"\s+and\s+", text) if text.strip() else []:
        found = _COMPARED.fullmatch(part)
        if found is None:
            return None
        try:
            instant = dt.datetime.fromisoformat(found[2])
        except ValueError:
            return None
        at = seconds(instant if instant.tzinfo is not None else instant.replace(tzinfo=dt.UTC))
        match found[1]:
            case "ge":
                since = max(since, at)
            case "gt":
                since = max(since, at + 1)
            case "lt":
                until = min(until, at)
            case _:
                until = min(until, at + 1)
    return since, until
