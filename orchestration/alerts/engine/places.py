"""Reports near each other: clusters around the place of their first report.

Here: which reports are of one place, when they are too old to count together. Not here: when that raises an alarm, which reports count
(the engine).

A report belongs to a cluster when it is within `radius_m` of the cluster's *first* report, so that a street full of reports is not one
chain without end, or when it names the same equipment as one of its reports, wherever it stands; and when it was opened at most
`within_us` before or after a report of the cluster.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from orchestration.alerts.model import AssetKey

# Mean radius of the Earth (IUGG), metres: over the width of a street, what it is not round for is less than a GPS is off.
_EARTH_M: Final = 6_371_008.8
_METRES_PER_DEGREE: Final = math.pi * _EARTH_M / 180
# Near the poles a degree of longitude has no length; no territory lies past 84 degrees.
_LEAST_COSINE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Cluster:
    """One place with reports, as it stands.

    Attributes:
        key: the ref of the report that began it; stays when that report ends.
        refs: its reports, oldest first (opened at the same instant: by ref).
        count: the most of them that were opened within the span of each other.
        asset: the equipment that its reports name, the oldest's that names one; None when none does.
        place: (longitude, latitude) of its first report that has one; None when none has.
        is_pinned: whether its reports stay until they are removed.
    """

    key: str
    refs: tuple[str, ...]
    count: int
    asset: AssetKey | None
    place: tuple[float, float] | None
    is_pinned: bool


class _Member(msgspec.Struct, array_like=True):
    at: int
    ref: str
    asset: AssetKey | None


class _Group(msgspec.Struct, array_like=True):
    key: str
    place: tuple[float, float] | None
    is_pinned: bool
    members: list[_Member]


def metres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance of two places (longitude, latitude; degrees) on the sphere: haversine.

    >>> round(metres((4.0, 48.0), (4.0, 49.0)))  # a degree of latitude
    111195
    """
    (lon1, lat1), (lon2, lat2) = one, other
    down, across = math.radians(lat2 - lat1) / 2, math.radians(lon2 - lon1) / 2
    chord = math.sin(down) ** 2 + math.cos(math.radians(lat1)) * math.cos(math.radians(lat2)) * math.sin(across) ** 2
    return 2 * _EARTH_M * math.asin(min(1.0, math.sqrt(chord)))


class Places:
    """Clusters of reports. Args of the class: `radius_m` metres from the first report, `within_us` microseconds between reports.

    A report is looked for by a grid of cells as wide as the radius. Two sides of the 180th meridian are not near.
    """

    def __init__(self, radius_m: float, within_us: int) -> None:
        self.radius_m, self.within_us = radius_m, within_us
        self._groups: dict[str, _Group] = {}
        self._of: dict[str, str] = {}  # ref: key of its group
        self._cells: dict[tuple[int, int], list[str]] = {}  # keys of groups that began there
        self._assets: dict[AssetKey, dict[str, int]] = {}  # equipment: keys of groups that name it, how often
        self._ends: list[tuple[int, str]] = []  # heap: when a report leaves the span; some have left already

    def __len__(self) -> int:
        """Return how many reports there are."""
        return len(self._of)

    def add(self, ref: str, lon: float | None, lat: float | None, at: int, asset: AssetKey | None) -> Cluster:
        """Take a report (opened `at`) and return its cluster; a ref that is there already changes nothing."""
        if (known := self._of.get(ref)) is not None:
            return self._shown(self._groups[known])
        place = (lon, lat) if lon is not None and lat is not None else None
        group = self._near(place, at, asset)
        if group is None:
            # A group may outlive its first report, and that report may come again, elsewhere: keys stay apart.
            key = next(k for k in _names(ref) if k not in self._groups)
            group = self._groups[key] = _Group(key, None, is_pinned=False, members=[])
        if group.place is None and place is not None:
            group.place = place
            self._cells.setdefault(self._cell(place), []).append(group.key)
        self._join(group, _Member(at, ref, asset))
        return self._shown(group)

    def get(self, ref: str) -> Cluster | None:
        """Return the cluster of a report."""
        key = self._of.get(ref)
        return None if key is None else self._shown(self._groups[key])

    def cluster(self, key: str) -> Cluster | None:
        """Return a cluster by its key."""
        group = self._groups.get(key)
        return None if group is None else self._shown(group)

    def remove(self, ref: str) -> Cluster | None:
        """Take a report away (closed, rejected); return what its cluster was left as (no refs: it is gone), None if it was in none."""
        key = self._of.get(ref)
        if key is None:
            return None
        group = self._groups[key]
        self._leave(group, next(m for m in group.members if m.ref == ref))
        return self._shown(group)

    def pin(self, key: str, *, is_pinned: bool = True) -> None:
        """Keep a cluster's reports beyond the span while its alarm stands, and let near ones still join; or no longer.

        A key that is gone is passed over. Unpinned, what is older than the span goes at the next `expire`.
        """
        group = self._groups.get(key)
        if group is None or group.is_pinned == is_pinned:
            return
        group.is_pinned = is_pinned
        if not is_pinned:
            for member in group.members:
                heapq.heappush(self._ends, (member.at + self.within_us, member.ref))

    def expire(self, now: int) -> list[Cluster]:
        """Let go of reports opened more than the span before `now`; return the clusters that lost some, as they stand (empty: gone)."""
        lost: dict[str, _Group] = {}
        while self._ends and self._ends[0][0] < now:
            end, ref = heapq.heappop(self._ends)
            key = self._of.get(ref)
            if key is None or (group := self._groups[key]).is_pinned:
                continue
            member = next(m for m in group.members if m.ref == ref)
            if member.at + self.within_us == end:  # not one that was removed and came again
                self._leave(group, member)
                lost[key] = group
        return [self._shown(group) for group in lost.values()]

    @property
    def next_expiry(self) -> int | None:
        """When `expire` has something to do next."""
        while self._ends:
            end, ref = self._ends[0]
            key = self._of.get(ref)
            if key is not None and not self._groups[key].is_pinned:
                return end + 1
            heapq.heappop(self._ends)
        return None

    def to_bytes(self) -> bytes:
        """Return the state."""
        return msgspec.msgpack.encode(list(self._groups.values()))

    @classmethod
    def from_bytes(cls, body: bytes, radius_m: float, within_us: int) -> Places:
        """Return the places as they were saved; another radius or span holds for what comes.

        Raises:
            msgspec.MsgspecError: the bytes are none.
        """
        places = cls(radius_m, within_us)
        for group in msgspec.msgpack.decode(body, type=list[_Group]):
            places._take_back(group)
        return places

    def _take_back(self, group: _Group) -> None:
        members, group.members = group.members, []
        self._groups[group.key] = group
        if group.place is not None:
            self._cells.setdefault(self._cell(group.place), []).append(group.key)
        for member in members:
            self._join(group, member)

    def _near(self, place: tuple[float, float] | None, at: int, asset: AssetKey | None) -> _Group | None:
        """Return the group that a report belongs to: about the same equipment first, else the nearest; the older key of two."""
        named = self._assets.get(asset, {}) if asset is not None else {}
        same = [self._groups[k] for k in named if self._is_of_time(self._groups[k], at)]
        if same:
            return min(same, key=lambda g: (g.members[0].at, g.key))
        if place is None:
            return None
        found = [
            (distance, group.members[0].at, group.key)
            for group in self._around(place)
            if group.place is not None and (distance := metres(group.place, place)) <= self.radius_m and self._is_of_time(group, at)
        ]
        return self._groups[min(found)[2]] if found else None

    def _is_of_time(self, group: _Group, at: int) -> bool:
        if group.is_pinned:  # its alarm stands: what comes later is of it, however late
            return at >= group.members[0].at - self.within_us
        return any(abs(m.at - at) <= self.within_us for m in group.members)

    def _around(self, place: tuple[float, float]) -> Iterator[_Group]:
        """Yield the groups that began in the cells around a place."""
        row = self._row(place[1])
        for y in (row - 1, row, row + 1):
            middle = self._column(place[0], y)
            for x in (middle - 1, middle, middle + 1):
                for key in self._cells.get((x, y), ()):
                    yield self._groups[key]

    def _cell(self, place: tuple[float, float]) -> tuple[int, int]:
        row = self._row(place[1])
        return self._column(place[0], row), row

    def _row(self, lat: float) -> int:
        return math.floor(lat * _METRES_PER_DEGREE / self.radius_m)

    def _column(self, lon: float, row: int) -> int:
        """Return the column of a longitude in a row: degrees are measured at the row's edge nearer to the pole, where they are shortest."""
        edge = max(abs(row), abs(row + 1)) * self.radius_m / _METRES_PER_DEGREE
        narrow = max(_LEAST_COSINE, math.cos(math.radians(min(edge, 90.0))))
        return math.floor(lon * _METRES_PER_DEGREE * narrow / self.radius_m)

    def _join(self, group: _Group, member: _Member) -> None:
        group.members.append(member)
        group.members.sort(key=lambda m: (m.at, m.ref))
        self._of[member.ref] = group.key
        if member.asset is not None:
            named = self._assets.setdefault(member.asset, {})
            named[group.key] = named.get(group.key, 0) + 1
        heapq.heappush(self._ends, (member.at + self.within_us, member.ref))

    def _leave(self, group: _Group, member: _Member) -> None:
        group.members.remove(member)
        del self._of[member.ref]
        if member.asset is not None:
            named = self._assets[member.asset]
            named[group.key] -= 1
            if not named[group.key]:
                del named[group.key]
            if not named:
                del self._assets[member.asset]
        if not group.members:
            del self._groups[group.key]
            if group.place is not None:
                cell = self._cell(group.place)
                self._cells[cell].remove(group.key)
                if not self._cells[cell]:
                    del self._cells[cell]

    def _shown(self, group: _Group) -> Cluster:
        members = group.members
        asset = next((m.asset for m in members if m.asset is not None), None)
        return Cluster(group.key, tuple(m.ref for m in members), self._most(members), asset, group.place, group.is_pinned)

    def _most(self, members: list[_Member]) -> int:
        """Return the most of some reports, in order of time, that were opened within the span of each other."""
        most = first = 0
        for last, member in enumerate(members):
            while member.at - members[first].at > self.within_us:
                first += 1
            most = max(most, last - first + 1)
        return most


def _names(ref: str) -> Iterator[str]:
    yield ref
    number = 2
    while True:
        yield f"{ref}#{number}"
        number += 1
