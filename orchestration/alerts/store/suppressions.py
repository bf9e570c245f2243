"""Suppression by design: announced work, and what is out of service; declared by people, or in the territory's file of planned works.

Here: declaring, ending, listing, which alarms it concerns. Not here: what becomes of these alarms (`grouping`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ingestion.errors import VigieError, WrongUse
from orchestration.alerts.model import Alarm

MAINTENANCE: Final = "maintenance"
OUT_OF_SERVICE: Final = "out_of_service"
# Longer than any works: what lasts longer is out of service.
_LONGEST: Final = dt.timedelta(days=366)

_COLUMNS: Final = (
    "suppression_id, kind, source, asset_ref, feed, rule, starts_at, ends_at, reason, declared_by, declared_at, ended_by, origin, "
    "applied_at, lifted_at"
)
SELECT: Final = f"SELECT {_COLUMNS} FROM alerts.suppression"
IN_FORCE: Final = f"{SELECT} WHERE lifted_at IS NULL AND starts_at <= %(now)s AND (ends_at IS NULL OR ends_at > %(now)s)"
BEGUN: Final = f"{SELECT} WHERE lifted_at IS NULL AND applied_at IS NULL AND starts_at <= %(now)s"
OVER: Final = f"{SELECT} WHERE lifted_at IS NULL AND ends_at <= %(now)s"
INSERT: Final = (
    "INSERT INTO alerts.suppression (kind, source, asset_ref, feed, rule, starts_at, ends_at, reason, declared_by, declared_at, origin) "
    "VALUES (%(kind)s, %(source)s, %(asset_ref)s, %(feed)s, %(rule)s, %(starts_at)s, %(ends_at)s, %(reason)s, %(declared_by)s, %(now)s, "
    f"%(origin)s) RETURNING {_COLUMNS}"
)


class NoSuppression(VigieError):
    """There is no such announced work, or it is over."""


@dataclass(frozen=True, slots=True)
class About:
    """What a suppression is about: alarms of which every part that is given holds.

    Attributes:
        asset_ref: a piece of equipment, and what hangs on it.
        source: whose code that is; of any source if absent.
        feed: a feed.
        rule: a rule.
    """

    asset_ref: str | None = None
    source: str | None = None
    feed: str | None = None
    rule: str | None = None

    def concerns(self, alarm: Alarm) -> bool:
        """Return whether it is about an alarm."""
        if self.rule is not None and self.rule != alarm.rule:
            return False
        if self.feed is not None and self.feed != alarm.details.get("feed"):
            return False
        if self.asset_ref is None:
            return True
        hung_on = [(alarm.source, alarm.asset_ref), *(tuple(a.split("|", 1)) for a in alarm.ancestors)]
        return any(ref == self.asset_ref and self.source in {None, source} for source, ref in hung_on)


@dataclass(frozen=True, slots=True)
class Suppression:
    """Announced work (`maintenance`, from an instant until another), or what is `out_of_service` (until put back).

    Attributes:
        origin: `person`, or `file`: declared/planned_maintenance.csv.
        applied_at: when the alarms that stood were suppressed; None before.
        lifted_at: when they stood for themselves again; None before.
    """

    suppression_id: int
    kind: str
    about: About
    starts_at: dt.datetime
    ends_at: dt.datetime | None
    reason: str
    declared_by: str
    declared_at: dt.datetime
    ended_by: str | None = None
    origin: str = "person"
    applied_at: dt.datetime | None = None
    lifted_at: dt.datetime | None = None

    def concerns(self, alarm: Alarm) -> bool:
        """Return whether it is about an alarm."""
        return self.about.concerns(alarm)


def to_suppression(row: Mapping[str, Any]) -> Suppression:
    """Return the suppression of a row."""
    about = About(row["asset_ref"], row["source"], row["feed"], row["rule"])
    return Suppression(
        row["suppression_id"], row["kind"], about, row["starts_at"], row["ends_at"], row["reason"], row["declared_by"], row["declared_at"],
        row["ended_by"], row["origin"], row["applied_at"], row["lifted_at"],
    )  # fmt: skip


def checked(kind: str, about: About, now: dt.datetime, starts_at: dt.datetime, ends_at: dt.datetime | None, reason: str) -> None:
    """Refuse what cannot be meant.

    Raises:
        WrongUse: it is about everything, has no reason, or ends before it begins, in the past, or too late.
    """
    if about.asset_ref is None and about.feed is None and about.rule is None:
        raise WrongUse("everything cannot be suppressed", remedy="name a piece of equipment, a feed or a rule")
    if about.source is not None and about.asset_ref is None:
        raise WrongUse("a source alone names no equipment", remedy="give the code of the equipment as well")
    if not reason.strip():
        raise WrongUse("alarms are suppressed for a reason", remedy="say why, in a few words")
    if kind == OUT_OF_SERVICE:
        return
    if ends_at is None or ends_at <= starts_at:
        raise WrongUse("the end of the work does not come after its beginning", remedy="give both, in this order")
    if ends_at <= now:
        raise WrongUse("this work is over", remedy="announce work before its end")
    if ends_at - starts_at > _LONGEST:
        raise WrongUse(f"work longer than {_LONGEST.days} days", remedy="declare it out of service instead")
