"""What stands around some alarms: what may explain them, what they may explain, what is near, which work was announced there.

Here: finding it, with a few indexed queries for any number of alarms. Not here: what is made of it (`grouping`).
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestration.alerts.model import Alarm, Priority
from orchestration.alerts.store.rows import SELECT_ALARM
from orchestration.alerts.store.suppressions import IN_FORCE, Suppression, to_suppression
from orchestration.alerts.store.turn import Turn

# Street lights stand 25 to 35 m apart, a phone or a person places a fault within 20 to 50 m: so near, two are about one place; two
# streets that follow each other are further.
NEAR_M: Final = 80.0
# Metres of a degree of latitude.
_DEGREE_M: Final = 111_195.0
# The side of a cell in degrees of latitude and longitude: no narrower than NEAR_M up to 68° north.
_CELL: Final = 0.002

_PARENTS: Final = (
    f"{SELECT_ALARM} WHERE closed_at IS NULL AND hides <> '{{}}' AND source || '|' || asset_ref = ANY(%(keys)s) "
    f"UNION ALL {SELECT_ALARM} WHERE closed_at IS NOT NULL AND releases_at > %(now)s AND source || '|' || asset_ref = ANY(%(keys)s)"
)
_CHILDREN: Final = f"{SELECT_ALARM} WHERE closed_at IS NULL AND ancestors && %s::text[]"
_NEAR: Final = (
    f"{SELECT_ALARM} WHERE closed_at IS NULL AND is_active AND joins IS NOT NULL AND suppressed_by IS NULL AND alarm_id IN ("
    "SELECT alarm_id FROM alerts.alarm WHERE closed_at IS NULL AND source || '|' || asset_ref = ANY(%(keys)s) UNION "
    "SELECT a.alarm_id FROM unnest(%(words)s::text[], %(latitudes)s::float8[], %(longitudes)s::float8[]) AS n (word, latitude, longitude) "
    "JOIN alerts.alarm AS a ON a.joins = n.word AND a.closed_at IS NULL "
    "AND a.latitude BETWEEN n.latitude - %(step)s AND n.latitude + %(step)s "
    "AND a.longitude BETWEEN n.longitude - %(step)s AND n.longitude + %(step)s)"
)


@dataclass(frozen=True)
class Wish:
    """An alarm to be placed, and what of its rule must be known for it.

    Attributes:
        alarm: the alarm.
        takes_within: how long before it what it explains may have been raised; None where nothing is to be looked for.
        is_collapsible: whether alarms of its rule under one parent may be one.
    """

    alarm: Alarm
    takes_within: dt.timedelta | None = None
    is_collapsible: bool = False


class Around:
    """What stands around alarms that are to be placed. Made by `around`; alarms placed in the turn are added to it.

    Attributes:
        suppressions: those in force.
    """

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.suppressions: list[Suppression] = []
        self._ids: set[int] = set()
        self._of_asset: dict[str, list[Alarm]] = defaultdict(list)
        self._hanging: dict[str, list[Alarm]] = defaultdict(list)
        self._cells: dict[tuple[str, int, int], list[Alarm]] = defaultdict(list)

    def add(self, alarm: Alarm) -> None:
        """Know an alarm."""
        if alarm.alarm_id in self._ids:
            return
        self._ids.add(alarm.alarm_id)
        if (key := asset_key(alarm)) is not None:
            self._of_asset[key].append(alarm)
        for ancestor in alarm.ancestors:
            self._hanging[ancestor].append(alarm)
        if alarm.joins and alarm.latitude is not None and alarm.longitude is not None:
            self._cells[alarm.joins, *_cell(alarm.latitude, alarm.longitude)].append(alarm)

    def suppression_of(self, alarm: Alarm, kind: str) -> Suppression | None:
        """Return the announced work, or the taking out of service, that concerns an alarm."""
        return next((s for s in self.suppressions if s.kind == kind and s.concerns(alarm)), None)

    def explains(self, alarm: Alarm) -> Alarm | None:
        """Return the alarm that explains one: of the nearest of what its equipment hangs on; or the one that is listed under.

        One that is over explains until what it explained had the time to say that it is well.
        """
        if alarm.priority == Priority.CRITICAL:
            return None
        for ancestor in alarm.ancestors:
            for other in self._of_asset.get(ancestor, ()):
                if other is alarm or other.is_out_of_service or not self._holds(other) or not hides(other, alarm):
                    continue
                # What is listed under the alarm itself does not explain it: referentials have loops, and equipment moves.
                if (root := self._root(other)) is not alarm:
                    return root
        return None

    def explained_by(self, parent: Alarm, since: dt.datetime) -> list[Alarm]:
        """Return the alarms that one explains: raised since an instant, or listed under one that is over."""
        key = asset_key(parent)
        found = [a for a in self._hanging.get(key, ()) if self._is_taken_by(parent, a, since)] if key else []
        return sorted(found, key=lambda a: a.alarm_id)

    def siblings(self, rule: str, parent: str, since: dt.datetime) -> list[Alarm]:
        """Return the active alarms of a rule that hang on the same equipment, raised since an instant, and are not explained otherwise."""
        return [
            a
            for a in self._hanging.get(parent, ())
            if a.rule == rule and a.closed_at is None and a.is_active and a.raised_at >= since
            and a.suppressed_by in {None, "flood"} and not a.is_out_of_service and a.priority != Priority.CRITICAL
        ]  # fmt: skip

    def joined_to(self, alarm: Alarm) -> Alarm | None:
        """Return the first alarm that is one with this one: of the same word, about the same equipment, its parent, or its place."""
        candidates = {a.alarm_id: a for a in self._neighbours(alarm) if a is not alarm and _may_join(alarm, a)}
        return candidates[min(candidates)] if candidates else None

    def _neighbours(self, alarm: Alarm) -> Iterator[Alarm]:
        if alarm.joins is None:
            return
        key = asset_key(alarm)
        for about in ([key] if key else []) + ([] if alarm.hides else alarm.ancestors[:1]):
            yield from self._of_asset.get(about, ())
        if alarm.latitude is None or alarm.longitude is None:
            return
        x, y = _cell(alarm.latitude, alarm.longitude)
        for other in (a for i in (-1, 0, 1) for j in (-1, 0, 1) for a in self._cells.get((alarm.joins, x + i, y + j), ())):
            if _may_be_one_place(alarm, other) and metres(alarm, other) <= NEAR_M:
                yield other

    def _holds(self, alarm: Alarm) -> bool:
        return (alarm.closed_at is None and alarm.is_active) or (alarm.releases_at is not None and alarm.releases_at > self.turn.now)

    def _root(self, alarm: Alarm) -> Alarm:
        if alarm.suppressed_by in {"parent", "joined"} and alarm.parent_id is not None:
            above = self.turn.one(alarm.parent_id)
            if above is not None:
                return above
        return alarm

    def _is_taken_by(self, parent: Alarm, alarm: Alarm, since: dt.datetime) -> bool:
        if alarm is parent or alarm.closed_at is not None or alarm.is_out_of_service or alarm.priority == Priority.CRITICAL:
            return False
        if not hides(parent, alarm):
            return False
        if alarm.suppressed_by == "parent":
            above = self.turn.one(alarm.parent_id or 0)
            return above is None or above.closed_at is not None or not above.is_active
        return alarm.suppressed_by in {None, "flood"} and alarm.is_active and alarm.raised_at >= since


def around(turn: Turn, wishes: Sequence[Wish]) -> Around:
    """Return what stands around some alarms: at most five statements, sent together."""
    found = Around(turn)
    suppressions = turn.con.execute(IN_FORCE, {"now": turn.now}, prepare=True)
    asked = []
    if above := {key for w in wishes for key in w.alarm.ancestors}:
        asked.append(turn.ask(_PARENTS, {"keys": list(above), "now": turn.now}))
    below = {key for w in wishes if w.takes_within is not None and (key := asset_key(w.alarm))}
    below |= {key for w in wishes if w.is_collapsible for key in w.alarm.ancestors}
    if below:
        asked.append(turn.ask(_CHILDREN, [list(below)]))
    if joining := [w.alarm for w in wishes if w.alarm.joins]:
        asked.append(turn.ask(_NEAR, _near(joining)))
    found.suppressions = [to_suppression(row) for row in suppressions]
    for alarms in asked:
        for alarm in alarms():
            found.add(alarm)
    # Held alarms are listed under the one at the top: load those at once.
    turn.several({a.parent_id for a in _known(found) if a.parent_id is not None})
    return found


def _known(found: Around) -> Iterable[Alarm]:
    return [a for alarms in found._of_asset.values() for a in alarms]  # noqa: SLF001 - of this module


def _near(alarms: Sequence[Alarm]) -> dict[str, Any]:
    placed = [(a.joins, a.latitude, a.longitude) for a in alarms if a.latitude is not None and a.longitude is not None]
    keys = {key for a in alarms if (key := asset_key(a))} | {a.ancestors[0] for a in alarms if a.ancestors}
    return {
        "keys": list(keys), "words": [w for w, _, _ in placed], "latitudes": [x for _, x, _ in placed],
        "longitudes": [y for _, _, y in placed], "step": _CELL,
    }  # fmt: skip


def hides(parent: Alarm, alarm: Alarm) -> bool:
    """Return whether an alarm's rule explains another's."""
    return any(fnmatch.fnmatchcase(alarm.rule, pattern) for pattern in parent.hides)


def asset_key(alarm: Alarm) -> str | None:
    """Return the equipment of an alarm as its children name it: `source|asset_ref`."""
    return f"{alarm.source}|{alarm.asset_ref}" if alarm.source is not None and alarm.asset_ref is not None else None


def metres(a: Alarm, b: Alarm) -> float:
    """Return how far two alarms are from each other; without a place, they are not near. On a plane: under 0.1 % off within a kilometre."""
    if a.latitude is None or a.longitude is None or b.latitude is None or b.longitude is None:
        return math.inf
    x = (a.longitude - b.longitude) * math.cos(math.radians(a.latitude))
    return math.hypot(x, a.latitude - b.latitude) * _DEGREE_M


def _cell(latitude: float, longitude: float) -> tuple[int, int]:
    return math.floor(latitude / _CELL), math.floor(longitude / _CELL)


def _may_join(alarm: Alarm, first: Alarm) -> bool:
    if first.joins != alarm.joins or first.closed_at is not None or not first.is_active:
        return False
    if first.suppressed_by is not None or first.is_out_of_service or first.alarm_id == 0:
        return False
    return first.shelved_until is None or alarm.priority != Priority.CRITICAL


def _may_be_one_place(alarm: Alarm, other: Alarm) -> bool:
    """Whether a place is all there is to tell them apart: two pieces of equipment with the same fault are two, and a cabinet is no lamp."""
    if alarm.asset_ref is None or other.asset_ref is None:
        return True
    return alarm.rule != other.rule and not alarm.hides and not other.hides
