"""Reports near each other: clusters around the place of their first report.

Here: which reports are of one place, when they are too old to count together. Not here: when that raises an alarm, which reports count
(the engine).

A report belongs to a cluster when it is within `radius_m` of the cluster's *first* report, so that a street full of reports is not one
chain without end, or when it names the same equipment as one of its reports, wherever it stands; and when it is at most `within_us`
before or after a report of the cluster.
"""

from __future__ import annotations

from typing import NamedTuple

from orchestration.alerts.model import AssetKey


class Cluster(NamedTuple):
    """One place with reports, as it stands.

    Attributes:
        key: the ref of the report that began it; stays when that report ends.
        refs: its reports, oldest first.
        count: the most of them that lie within the span.
        asset: the equipment that its reports name, the first one's; None when none does.
        place: (longitude, latitude) of its first report that has one; None when none has.
        is_pinned: whether its reports stay until they are removed.
    """

    key: str
    refs: tuple[str, ...]
    count: int
    asset: AssetKey | None
    place: tuple[float, float] | None
    is_pinned: bool


class Places:
    """Clusters of reports. Args of the class: `radius_m` metres from the first report, `within_us` microseconds between reports."""

    def __init__(self, radius_m: float, within_us: int) -> None:
        self.radius_m, self.within_us = radius_m, within_us

    def add(self, ref: str, lon: float | None, lat: float | None, at: int, asset: AssetKey | None) -> Cluster:
        """Take a report (opened `at`) and return its cluster; a ref that is there already changes nothing."""
        raise NotImplementedError

    def get(self, ref: str) -> Cluster | None:
        """Return the cluster of a report."""
        raise NotImplementedError

    def cluster(self, key: str) -> Cluster | None:
        """Return a cluster by its key."""
        raise NotImplementedError

    def remove(self, ref: str) -> Cluster | None:
        """Take a report away (closed, rejected); return what its cluster was left as (no refs: it is gone), None if it was in none."""
        raise NotImplementedError

    def pin(self, key: str, *, is_pinned: bool = True) -> None:
        """Keep a cluster's reports beyond the span while its alarm stands, and let near ones still join; or no longer."""
        raise NotImplementedError

    def expire(self, now: int) -> list[Cluster]:
        """Let go of reports opened more than the span before `now`; return the clusters that lost some, as they stand (empty: gone)."""
        raise NotImplementedError

    @property
    def next_expiry(self) -> int | None:
        """When `expire` has something to do next."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """Return the state."""
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, body: bytes, radius_m: float, within_us: int) -> Places:
        """Return the places as they were saved."""
        raise NotImplementedError
