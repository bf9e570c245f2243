"""What citizens report: which reports count, how many are of one place, when that raises an alarm.

Here: one rule on reports. Not here: which reports are near each other (`places`), telling (`telling`).

Reports count while they were opened within the rule's span before now, so a history that is landed raises nothing. The alarm of a place
stands until all its reports are closed; where nobody closes them, `FORGOTTEN` after the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ingestion.feeds.model import Feed
from orchestration.alerts.engine.levels import LATE, SETTLE, Hub
from orchestration.alerts.engine.places import Cluster, Places
from orchestration.alerts.engine.scope import Scope, fold, pattern
from orchestration.alerts.engine.timers import SECOND
from orchestration.alerts.engine.world import World
from orchestration.alerts.model import Change, Reported
from orchestration.alerts.rulebook.model import Report, Rule

# A citizen-relations system that never says that a report is closed must not hold an alarm for ever: after a week the next report is news.
FORGOTTEN: Final = 7 * 24 * 3600 * SECOND
# What a report says is shown to operators, not archived: a line of it.
_LONGEST: Final = 200
# So many closed reports are noted between two prunings: each costs a walk over all of them.
_PRUNED_EACH: Final = 1000
# How the systems that are fed say that a report counts no more, where they give no instant of closing.
_CLOSED: Final = frozenset(
    {"closed", "rejected", "cancelled", "canceled", "refused", "duplicate", "resolved", "clos", "cloture", "rejete", "annule", "traite"}
)


class PlaceRow(msgspec.Struct, array_like=True):
    """What is saved of a place with reports."""

    is_on: bool
    late: bool
    due: int | None
    since: int
    at: int
    feed: str
    source: str
    details: dict[str, Any]
    place: tuple[float, float] | None
    asset: tuple[str, str] | None
    commune: str | None
    refs: list[str]


@dataclass(slots=True)
class _Place:
    """One place with reports under one rule."""

    rules: ReportRule
    key: str
    row: PlaceRow
    due: int | None = None

    def fire(self, now: int) -> None:
        """Raise what came late, or forget what nobody closed."""
        self.rules.due_now(self, now)


class ReportRule:
    """One rule on reports. Args of the class: `touched` is called when its state changes."""

    def __init__(self, rule: Rule, when: Report, world: World, hub: Hub, touched: Callable[[ReportRule], None]) -> None:
        self.rule, self._when, self._world, self._hub, self._touched = rule, when, world, hub, touched
        self._scope = Scope(rule)
        self._categories = pattern(when.categories, folded=True)
        self._keywords = [fold(k) for k in when.keywords]
        self._within = round(when.within.total_seconds() * SECOND)
        self._places = Places(when.radius_m, self._within)
        self._open: dict[str, _Place] = {}
        # When each report was last told (what was published before says nothing), and when each was closed.
        self._said: dict[str, int] = {}
        self._closed: dict[str, int] = {}
        self._faults: dict[str, list[tuple[Any, Any, str]]] = {}
        self.expiry = _Expiry(self)

    def wants(self, name: str, feed: Feed) -> bool:
        """Return whether a feed's reports are its business."""
        return feed.contract == "report" and self._scope.has_feed(name, feed)

    # --- which reports count

    def _fault(self, report: Reported) -> str | None:
        """Return the fault that the feed's contract reads in a report: the first that fits, as in the lake."""
        if report.feed not in self._faults:
            feed = self._world.feeds.get(report.feed)
            self._faults[report.feed] = [
                (pattern([f.category.lower()]), pattern([f.subcategory.lower()]), f.fault_type)
                for f in (feed.indicators.faults if feed else [])
            ]
        category, subcategory = (report.category or "").lower(), (report.subcategory or "").lower()
        for of_category, of_subcategory, fault in self._faults[report.feed]:
            if of_category.fullmatch(category) and of_subcategory.fullmatch(subcategory):
                return str(fault)
        return None

    def _counts(self, report: Reported, fault: str | None) -> bool:
        when = self._when
        if not self._scope.has_feed(report.feed, self._world.feeds.get(report.feed)):
            return False
        if when.fault_types and fault not in when.fault_types:
            return False
        if self._categories and not any(self._categories.fullmatch(fold(c)) for c in (report.category, report.subcategory) if c):
            return False
        if self._keywords:
            text = fold(report.description) if report.description else ""
            if not any(k in text for k in self._keywords):
                return False
        if not self._scope.asks_equipment:
            return True
        equipment = self._world.directory.get((report.source, report.asset_ref)) if report.asset_ref else None
        return self._scope.has_asset(report.asset_ref, equipment, report.commune)

    # --- what a report changes

    def take(self, report: Reported, now: int) -> None:
        """Take a report as it stands."""
        ref = f"{report.source}|{report.duplicate_of or report.report_ref}"
        own = f"{report.source}|{report.report_ref}"
        is_closed = report.closed_at is not None or (report.status is not None and fold(report.status) in _CLOSED)
        said = self._said.get(own, -1)
        if said > report.published_at or (said == report.published_at and not is_closed):
            return  # told already; of what one message says twice, its end counts
        if self._places.get(ref) is None and report.opened_at <= now - self._within:
            return  # too old to count, open or closed: a history that is landed leaves nothing behind
        self._said[own] = report.published_at
        self._touched(self)
        if len(self._said) % _PRUNED_EACH == 0:
            self._said = {r: at for r, at in self._said.items() if at > report.published_at - FORGOTTEN}
        if is_closed:
            if report.duplicate_of is None:  # closing a duplicate says nothing of the original
                self._close(ref, report.closed_at or report.published_at, report.published_at)
            return
        if self._closed.get(ref, -1) >= report.published_at:
            return
        fault = self._fault(report)
        if not self._counts(report, fault) or self._places.get(ref) is not None:
            return
        asset = (report.source, report.asset_ref) if report.asset_ref else None
        cluster = self._places.add(ref, report.longitude, report.latitude, report.opened_at, asset)
        self._closed.pop(ref, None)
        self._joined(report, cluster, fault, now)
        self.watch_expiry()
        self._touched(self)

    def _joined(self, report: Reported, cluster: Cluster, fault: str | None, now: int) -> None:
        place = self._open.get(cluster.key)
        if place is None:
            row = PlaceRow(
                is_on=False, late=False, due=None, since=report.opened_at, at=report.opened_at, feed=report.feed, source=report.source,
                details={}, place=None, asset=None, commune=None, refs=[],
            )  # fmt: skip
            place = self._open[cluster.key] = _Place(self, cluster.key, row)
        row = place.row
        row.since, row.at = min(row.since, report.opened_at), max(row.at, report.opened_at)
        row.place, row.asset, row.refs = cluster.place, cluster.asset, [*cluster.refs]
        row.commune = row.commune or report.commune
        said = {
            "feed": report.feed, "street": report.street, "category": report.category, "subcategory": report.subcategory,
            "description": report.description[:_LONGEST] if report.description else None,
        }  # fmt: skip
        if fault and self.rule.fault_type is None:
            said["fault_type"] = fault
        row.details = {**{k: v for k, v in said.items() if v is not None}, **row.details}
        row.details |= {"count": len(cluster.refs), "reports": [r.partition("|")[2] for r in cluster.refs]}
        if row.is_on:
            self._wait(place, row.at + FORGOTTEN)
            self._hub.telling.more(self._member(place), self._change(place, row.at))
        elif cluster.count >= self._when.at_least:
            late = report.published_at - report.opened_at > LATE
            if not late:
                self._raise(place, now)
            elif place.due is None:
                row.late = True
                self._wait(place, report.published_at + SETTLE)

    def _raise(self, place: _Place, now: int) -> None:
        place.row.is_on, place.row.late = True, False
        self._places.pin(place.key)
        self._wait(place, place.row.at + FORGOTTEN)
        self._hub.telling.on(self._member(place), self._change(place, place.row.at), now)

    def _close(self, ref: str, closed_at: int, published_at: int) -> None:
        self._closed[ref] = published_at
        if len(self._closed) % _PRUNED_EACH == 0:
            self._closed = {r: at for r, at in self._closed.items() if at > published_at - FORGOTTEN}
        cluster = self._places.remove(ref)
        if cluster is not None:
            self._left(cluster, closed_at)
        self._touched(self)

    def _left(self, cluster: Cluster, at: int) -> None:
        """Look at a place that lost reports."""
        place = self._open.get(cluster.key)
        if place is None:
            return
        row = place.row
        row.refs = [*cluster.refs]
        row.details |= {"count": len(cluster.refs), "reports": [r.partition("|")[2] for r in cluster.refs]}
        if row.late and cluster.count < self._when.at_least:
            row.late, place.due = False, None
        if not cluster.refs:
            self._end(place, at)

    def _end(self, place: _Place, at: int) -> None:
        place.due = None
        del self._open[place.key]
        if place.row.is_on:
            self._hub.telling.off(self.rule.rule, self._member(place), at)

    def due_now(self, place: _Place, now: int) -> None:
        """Raise what came late, or forget what nobody closed."""
        self._touched(self)
        if not place.row.is_on:
            self._raise(place, now)
            return
        self._end(place, now)
        self._places.pin(place.key, is_pinned=False)
        for ref in place.row.refs:
            self._places.remove(ref)

    def expire(self, now: int) -> None:
        """Let go of reports that are too old to count together."""
        self._touched(self)
        for cluster in self._places.expire(now):
            self._left(cluster, now)
        self.watch_expiry()

    def watch_expiry(self) -> None:
        """Wait until the next report is too old."""
        due = self._places.next_expiry
        if due is not None and due != self.expiry.due:
            self._hub.timers.add(due, f"{self.rule.rule}|~", self.expiry)

    def _wait(self, place: _Place, due: int) -> None:
        self._hub.timers.add(due, f"{self.rule.rule}|{place.key}", place)

    @staticmethod
    def _member(place: _Place) -> str:
        return place.key

    def _change(self, place: _Place, at: int) -> Change:
        row = place.row
        key = self._hub.telling.key_for(self.rule, row.feed, row.asset, place.key, row.commune)
        return Change(
            key, self.rule.rule, at, is_active=True, since=row.since, asset=row.asset, details=dict(row.details), place=row.place,
            commune=row.commune,
        )  # fmt: skip

    # --- saving

    def dump(self) -> bytes:
        """Return its state."""
        rows = {}
        for key, place in self._open.items():
            place.row.due = place.due
            rows[key] = place.row
        return msgspec.msgpack.encode((self._places.to_bytes(), rows, self._closed, self._said))

    def load(self, body: bytes) -> set[str]:
        """Take a saved state; return the members that hold."""
        places, rows, self._closed, self._said = msgspec.msgpack.decode(
            body, type=tuple[bytes, dict[str, PlaceRow], dict[str, int], dict[str, int]]
        )
        self._places = Places.from_bytes(places, self._when.radius_m, self._within)
        for key, row in rows.items():
            place = self._open[key] = _Place(self, key, row)
            if row.due is not None:
                self._wait(place, row.due)
        self.watch_expiry()
        return {self._member(p) for p in self._open.values() if p.row.is_on}


@dataclass(slots=True)
class _Expiry:
    rule: ReportRule
    due: int | None = None

    def fire(self, now: int) -> None:
        self.rule.expire(now)
