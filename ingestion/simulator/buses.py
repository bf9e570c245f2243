"""Buses on their lines, behind a GTFS-Realtime service of vehicle positions (protobuf).

Here: lines, where each bus is, what its computer last said, the feed message. Not here: priority at junctions, the map of the lines (GTFS).

A bus tells its position each half minute. Now and then its modem hangs: the service goes on with the last position it has, whose timestamp
gets old. Whoever trusts the position without its timestamp sees a bus that stands still.
"""

from __future__ import annotations

import datetime as dt
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Final, NamedTuple

import pyarrow as pa

from ingestion.simulator.asked import PROTOBUF, Answer, Question
from ingestion.simulator.chance import uniform
from ingestion.simulator.clock import DAY, HOUR, MINUTE, ZONE, at_local, is_working, local_date
from ingestion.simulator.equipment import equipment
from ingestion.simulator.systems import Message, Scene
from ingestion.simulator.world import World

FEED: Final = "sim-bus"
# A run of the platform each ten minutes: where buses were, and which positions can be trusted. A map for travellers asks more often.
ASKED_EVERY: Final = 10 * MINUTE
_PATH: Final = "vehicle-positions.pb"
_REPORT: Final = 30
_BUSES_PER_LINE: Final = 8
_STOPS: Final = 14
_KM_PER_DEGREE: Final = 111.2
# 18 km/h with stops, what urban lines reach; half a minute at each stop.
_SPEED_M_S: Final = 6.5
_DWELL_S: Final = 25
# Service hours, and how many of the buses are out: half of them at weekends and holidays.
_WORKING_DAY: Final = ((6, 0), (21, 30))
_OTHER_DAY: Final = ((7, 30), (20, 0))
_OTHER_SHARE: Final = 0.5
_RUSH_HOURS: Final = frozenset({7, 8, 16, 17, 18})
_LOCKDOWN_SHARE: Final = 0.4
# A modem hangs about every other day of service, for eight minutes to half an hour.
_HANGS: Final = 0.04
_HANG: Final = (8 * MINUTE, 20 * MINUTE)
# Older than a minute and a half a position is uncertain (the best practices of the format), older than five minutes it is wrong.
_FRESH: Final = 90
_STALE: Final = 300
_CROWDED: Final = ("EMPTY", "MANY_SEATS_AVAILABLE", "FEW_SEATS_AVAILABLE", "STANDING_ROOM_ONLY")
_COLUMNS: Final = ("asset_ref", "property", "observed_at", "value", "value_text", "unit", "quality")
# What a position becomes: five numbers, then five texts.
_PROPERTIES: Final = (
    *("latitude", "longitude", "bearing", "speed", "current_stop_sequence"),
    *("trip", "route_id", "stop_id", "current_status", "occupancy_status"),
)
_UNITS: Final = ("deg", "deg", "deg", "m/s", "1", None, None, None, None, None)
# The service forgets a bus that has said nothing for so long.
FORGOTTEN: Final = HOUR


@dataclass(frozen=True)
class Line:
    """A line: its number, its stops from one end to the other (degrees), metres between them."""

    name: str
    stops: tuple[tuple[float, float], ...]
    lengths_m: tuple[float, ...]

    @property
    def one_way_s(self) -> float:
        """How long a bus takes from one end to the other."""
        return sum(self.lengths_m) / _SPEED_M_S + _DWELL_S * len(self.stops)


class Position(NamedTuple):
    """What the service has of a bus: as its computer said it at `said_at`, in single precision as the format has it."""

    bus: int
    said_at: int
    trip: str
    route: str
    direction: int
    start_date: str
    latitude: float
    longitude: float
    bearing: float
    speed: float
    stop: str
    stop_sequence: int
    is_stopped: bool
    occupancy: int


class Buses:
    """Feed `sim-bus`: GTFS-Realtime vehicle positions."""

    feed = FEED
    contract = "observation"
    every = ASKED_EVERY

    def __init__(self, world: World) -> None:
        self._world = world
        self._hangs = lru_cache(maxsize=50_000)(self._find_hang)

    @property
    def count(self) -> int:
        """How many buses there are."""
        return self._world.preset.stock.buses

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The lines: from one commune to another, a stop each three hundred metres or more."""
        communes, seed = self._world.preset.communes, self._world.seed
        found = []
        for n in range(max(1, -(-self.count // _BUSES_PER_LINE))):
            one = communes[0]
            other = communes[1 + n % (len(communes) - 1)]
            stops = []
            for k in range(_STOPS):
                share = k / (_STOPS - 1)
                bend = 0.006 * math.sin(math.pi * share) * (2 * uniform(seed, "line", n, "bend") - 1)
                stops.append(
                    (
                        round(one.longitude + share * (other.longitude - one.longitude) + bend, 6),
                        round(one.latitude + share * (other.latitude - one.latitude) - bend, 6),
                    )
                )
            lengths = tuple(max(150.0, _metres(a, b)) for a, b in pairwise(stops))
            found.append(Line(f"{n + 1}", tuple(stops), lengths))
        return tuple(found)

    def code(self, bus: int) -> str:
        """Return the fleet number of a bus."""
        return f"BUS-{bus + 1:03d}"

    def inventory(self) -> list[dict[str, object]]:
        """Return the buses, as rows of contract `asset`."""
        return [
            e.row(f"vehicle:{self.code(e.number)}", "vehicle", name=f"Bus {e.number + 1}", street=None)
            for e in equipment(self._world, "buses")
        ]

    def messages(self, start: int, end: int) -> Iterator[Message]:
        """Yield nothing: it is asked."""
        del start, end
        return iter(())

    # --- where they are

    def is_out(self, bus: int, at: int) -> bool:
        """Whether a bus is in service."""
        day = local_date(at)
        working = is_working(day)
        opens, closes = _WORKING_DAY if working else _OTHER_DAY
        if not at_local(day, *opens) <= at < at_local(day, *closes):
            return False
        share = (1.0 if working else _OTHER_SHARE) * (1 - (1 - _LOCKDOWN_SHARE) * self._world.scenarios.level("lockdown", at))
        return (bus * 0.618) % 1 < share  # spread over the lines

    def positions(self, at: int) -> list[Position]:
        """Return what the service has of each bus in service at an instant."""
        found = []
        for bus in range(self.count):
            said = at - (at + bus * 7) % _REPORT
            hang = self._hang_at(bus, said)
            if hang is not None:
                said = hang - (hang + bus * 7) % _REPORT
            if at - said <= FORGOTTEN and self.is_out(bus, said):
                found.append(self._position(bus, said))
        return found

    def _position(self, bus: int, at: int) -> Position:
        number, rank = bus // _BUSES_PER_LINE, bus % _BUSES_PER_LINE
        line = self.lines[number]
        day = local_date(at)
        begun = at_local(day, *(_WORKING_DAY if is_working(day) else _OTHER_DAY)[0])
        way = line.one_way_s
        done = (at - begun) / way + 2 * rank / _BUSES_PER_LINE
        trip, share = int(done), done % 1
        is_back = trip % 2 == 1
        # Traffic makes a bus late on its way, never before its time at the ends.
        share -= 0.04 * math.sin(math.pi * share) * uniform(self._world.seed, "bus", bus, day.toordinal(), trip)
        stops, lengths = (line.stops[::-1], line.lengths_m[::-1]) if is_back else (line.stops, line.lengths_m)
        segment, within, is_stopped = _along(lengths, share * way)
        here, there = stops[segment], stops[segment + 1]
        rush = dt.datetime.fromtimestamp(at, ZONE).hour in _RUSH_HOURS
        crowd = uniform(self._world.seed, "bus", bus, day.toordinal(), trip, segment) * (1.0 if rush else 0.6)
        # Stops are counted from the line's first end; one that is left is no more the bus's, the next one is.
        rank_of_stop = segment + (0 if is_stopped else 1)
        return Position(
            bus=bus,
            said_at=at,
            trip=f"L{line.name}-{'R' if is_back else 'A'}-{day:%Y%m%d}-{rank}-{trip:02d}",
            route=f"L{line.name}",
            direction=int(is_back),
            start_date=f"{day:%Y%m%d}",
            latitude=_single(here[1] + within * (there[1] - here[1])),
            longitude=_single(here[0] + within * (there[0] - here[0])),
            bearing=_single(round(_bearing(here, there), 1)),
            speed=0.0 if is_stopped else _single(round(_SPEED_M_S * (0.8 + 0.4 * (lengths[segment] % 7) / 7), 1)),
            stop=f"L{line.name}-{(len(stops) - 1 - rank_of_stop if is_back else rank_of_stop) + 1:02d}",
            stop_sequence=rank_of_stop + 1,
            is_stopped=is_stopped,
            occupancy=int(crowd * len(_CROWDED)),
        )

    # --- modems that hang

    def _find_hang(self, bus: int, hour: int) -> tuple[int, int] | None:
        drawn = uniform(self._world.seed, "bus", bus, "hangs", hour)
        if drawn >= _HANGS:
            return None
        begin = hour * HOUR + int(drawn / _HANGS * (HOUR - MINUTE))
        return begin, begin + _HANG[0] + int((drawn * 100_000 % 1) * _HANG[1])

    def _hang_at(self, bus: int, at: int) -> int | None:
        """Return since when the modem of a bus hangs; None when it does not."""
        spans = [s for h in (at // HOUR - 1, at // HOUR) if (s := self._hangs(bus, h)) is not None and s[0] <= at < s[1]]
        # Two that overlap are one, since the first.
        return min(s[0] for s in spans) if spans else None

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield when the positions of buses in service were stale."""
        for bus in range(self.count):
            for hour in range(start // HOUR - 1, (end - 1) // HOUR + 1):
                span = self._hangs(bus, hour)
                if span is not None and span[0] < end and span[1] > start and self.is_out(bus, span[0]):
                    yield Scene(FEED, f"vehicle:{self.code(bus)}", "stale-position", *span, None, None)

    # --- asked

    def answer(self, question: Question) -> Answer | None:
        """Return the feed message: the whole of it each time."""
        if question.path != _PATH:
            return None
        return Answer(self.message(question.now), PROTOBUF)

    def message(self, now: int) -> bytes:
        """Return the feed message of an instant, in protobuf."""
        from google.transit import gtfs_realtime_pb2 as gtfs  # noqa: PLC0415 - a tenth of a second, for whoever is asked only

        message: Any = gtfs.FeedMessage()
        message.header.gtfs_realtime_version = "2.0"
        message.header.incrementality = gtfs.FeedHeader.FULL_DATASET
        message.header.timestamp = now
        for p in self.positions(now):
            entity = message.entity.add(id=self.code(p.bus))
            vehicle = entity.vehicle
            vehicle.trip.trip_id, vehicle.trip.route_id = p.trip, p.route
            vehicle.trip.direction_id, vehicle.trip.start_date = p.direction, p.start_date
            vehicle.vehicle.id, vehicle.vehicle.label = self.code(p.bus), f"Bus {p.bus + 1}"
            vehicle.position.latitude, vehicle.position.longitude = p.latitude, p.longitude
            vehicle.position.bearing, vehicle.position.speed = p.bearing, p.speed
            vehicle.current_stop_sequence, vehicle.stop_id = p.stop_sequence, p.stop
            vehicle.current_status = gtfs.VehiclePosition.STOPPED_AT if p.is_stopped else gtfs.VehiclePosition.IN_TRANSIT_TO
            vehicle.timestamp = p.said_at
            vehicle.occupancy_status = p.occupancy
        whole: bytes = message.SerializeToString(deterministic=True)
        return whole

    def tables(self, start: int, end: int) -> Iterator[pa.Table]:
        """Yield the rows of what is answered at each instant of [start, end) at which the contract asks, UTC day by UTC day.

        By column: a day of 180 buses is 170,000 rows.
        """
        for day in range(start // DAY, (end - 1) // DAY + 1):
            since, until = max(start, day * DAY), min(end, (day + 1) * DAY)
            columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
            for at in range(-(-since // ASKED_EVERY) * ASKED_EVERY, until, ASKED_EVERY):
                self._add_rows(at, columns)
            instants = pa.array([1_000_000 * t for t in columns.pop("observed_at")], pa.timestamp("us", "UTC"))
            texts = {n: pa.array(v, pa.string()) for n, v in columns.items() if n != "value"}
            yield pa.table({**texts, "observed_at": instants, "value": pa.array(columns["value"], pa.float64())})

    def _add_rows(self, at: int, columns: dict[str, list[Any]]) -> None:
        """Add what an answer becomes: of each bus where it is, how it goes, and how far that is to be trusted."""
        positions = self.positions(at)
        if not positions:
            for name, value in zip(_COLUMNS, ("feed:gtfs-rt", "entities", at, 0.0, None, "{count}", None), strict=True):
                columns[name].append(value)
        count = len(_PROPERTIES)
        for p in positions:
            age = at - p.said_at
            quality = "good" if age <= _FRESH else "uncertain" if age <= _STALE else "bad"
            columns["asset_ref"] += [f"vehicle:{self.code(p.bus)}"] * count
            columns["property"] += _PROPERTIES
            columns["observed_at"] += [p.said_at] * count
            numbers = (p.latitude, p.longitude, p.bearing, p.speed, float(p.stop_sequence))
            columns["value"] += [*(round(n, 6) for n in numbers), *[None] * (count - len(numbers))]
            status, crowd = "STOPPED_AT" if p.is_stopped else "IN_TRANSIT_TO", _CROWDED[p.occupancy]
            columns["value_text"] += [*[None] * len(numbers), f"trip:{p.trip}@{p.start_date}", p.route, p.stop, status, crowd]
            columns["unit"] += _UNITS
            columns["quality"] += [quality] * count


def _along(lengths: tuple[float, ...], seconds: float) -> tuple[int, float, bool]:
    """Return where a bus is so many seconds after it left: the segment, how far along it (0 to 1), whether it stands at its stop."""
    for segment, length in enumerate(lengths):
        if seconds < _DWELL_S:
            return segment, 0.0, True
        seconds -= _DWELL_S
        drive = length / _SPEED_M_S
        if seconds < drive:
            return segment, seconds / drive, False
        seconds -= drive
    return len(lengths) - 1, 1.0, False


def _metres(one: tuple[float, float], other: tuple[float, float]) -> float:
    dx = (other[0] - one[0]) * math.cos(math.radians(one[1]))
    return 1_000 * _KM_PER_DEGREE * math.hypot(dx, other[1] - one[1])


def _bearing(one: tuple[float, float], other: tuple[float, float]) -> float:
    dx = (other[0] - one[0]) * math.cos(math.radians(one[1]))
    return math.degrees(math.atan2(dx, other[1] - one[1])) % 360


def _single(value: float) -> float:
    """Return a number in single precision, as the format carries it."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
