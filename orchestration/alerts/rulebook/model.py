"""One rule: what it watches, where and when, how urgent it is, what to do. What stands under a key is what docs/alert-rules.md prints.

Here: the shape. Not here: reading a file and telling its problems (`load`), which rules are in force (`registry`), evaluating
(`orchestration.alerts.engine`).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

from pydantic import Field

from ingestion.feeds.model_base import Duration, Model, Slug
from orchestration.alerts.model import Priority

Domain = Literal["EP", "VP", "SLT", "MOB", "RT", "PAT", "CDV", "EAU", "GRC", "METEO"]
Consequence = Literal["minor", "moderate", "major", "severe"]
Calendar = Literal["always", "night", "day", "open", "closed"]

_NONE: Final = dt.timedelta(0)


# --- conditions


class Timed(Model):
    """What every condition on a level has."""

    on_delay: Duration = _NONE
    """How long it must hold before the alarm is raised."""
    off_delay: Duration = _NONE
    """How long it must be over before the alarm returns to normal."""


class Threshold(Timed):
    """A figure passes a level."""

    type: Literal["threshold"]
    property: str
    """The property."""
    above: float | None = None
    """Raised above it, in the lake's unit (docs/units.md)."""
    below: float | None = None
    """Raised below it."""
    clear: float | None = None
    """Over only when the figure has come back past it (hysteresis); the same level if absent."""
    deadband: float = Field(default=0.0, ge=0)
    """A change of the figure smaller than this says nothing new of an alarm that stands."""


class Rate(Timed):
    """A figure rises or falls too fast."""

    type: Literal["rate"]
    property: str
    """The property."""
    rises: float | None = Field(default=None, gt=0)
    """Raised when it rises by more than this within `over`, in the lake's unit."""
    falls: float | None = Field(default=None, gt=0)
    """Raised when it falls by more than this within `over`."""
    over: Duration
    """The span that is looked at."""


class Equals(Timed):
    """A property takes one of some values."""

    type: Literal["equals"]
    property: str
    """The property."""
    values: list[str | float] = Field(min_length=1)
    """The values that raise; texts are compared without regard to case."""
    normal: list[str | float] | None = None
    """The values that end it; every other one if absent."""


class Bit(Timed):
    """A bit of a status word is set."""

    type: Literal["bit"]
    property: str
    """The property that holds the word, a whole number."""
    bit: int = Field(ge=0, le=52)
    """The bit, 0 the least."""


class Event(Model):
    """An event code: something happened; most equipment never says that it is over."""

    type: Literal["event"]
    property: str
    """The property that holds the code, or whose name is the event."""
    codes: list[str | float] = Field(default_factory=list)
    """The codes that raise; any when empty."""
    ends: list[str | float] = Field(default_factory=list)
    """The codes that end it."""
    lasts: Duration = dt.timedelta(minutes=15)
    """After it, an event without an end counts as over."""


class Fault(Timed):
    """What the feeds' own contracts call failed (`indicators.states`): one rule for every source, also those to come."""

    type: Literal["fault"]
    fault_types: list[str] = Field(min_length=1)
    """The faults of the referential (`core.fault_type`)."""
    states: list[Literal["failed", "communication_lost"]] = Field(default=["failed"], min_length=1)
    """Which states raise."""


class Silence(Model):
    """Equipment, or a whole feed, has not been heard for too long."""

    type: Literal["silence"]
    expected_every: Duration
    """How often it speaks."""
    missed: int = Field(default=3, ge=1)
    """How many times it may be missed."""
    of: Literal["asset", "feed"] = "asset"
    """Who is silent. When the whole feed is, its assets are not: that is one alarm of the feed."""
    property: str | None = None
    """The property that is its sign of life; anything it says if absent."""


class Count(Model):
    """Something happens too often."""

    type: Literal["count"]
    property: str
    """The property."""
    values: list[str | float] = Field(default_factory=list)
    """The values that count; each change of value when empty."""
    at_least: int = Field(ge=2)
    """So many times ..."""
    within: Duration
    """... in this span; it is over when fewer are left in it."""


class Deviation(Timed):
    """A figure is far from what is usual at that hour of that kind of day, as learned from its own past."""

    type: Literal["deviation"]
    property: str
    """The property."""
    direction: Literal["above", "below", "both"] = "both"
    """Which side raises."""
    sensitivity: float = Field(default=4.0, gt=0)
    """How many times the usual spread it must be off."""
    learn: Duration = dt.timedelta(days=14)
    """How long it learns before it judges."""


class Report(Model):
    """Citizens report something."""

    type: Literal["report"]
    categories: list[str] = Field(default_factory=list)
    """Patterns (`*`) of the category or subcategory, without regard to case and accents; any when empty."""
    keywords: list[str] = Field(default_factory=list)
    """Words of the description, without regard to case and accents; any when empty."""
    fault_types: list[str] = Field(default_factory=list)
    """Faults that the feed's contract reads in the report (`indicators.faults`); any when empty."""
    at_least: int = Field(default=1, ge=1)
    """So many reports ..."""
    within: Duration = dt.timedelta(hours=2)
    """... in this span ..."""
    radius_m: float = Field(default=150.0, gt=0)
    """... this near to each other (or about the same equipment) raise one alarm."""


class Indicator(Model):
    """A row of a published table, looked at after each build."""

    type: Literal["indicator"]
    table: str = Field(pattern=r"^(indicators|core)\.[a-z_]+$")
    """The published table."""
    where: str
    """SQL condition over its columns (and `current_date`): rows that raise."""
    key: list[str] = Field(min_length=1)
    """The columns that tell one alarm from another."""
    asset: str | None = None
    """The column that holds the equipment (`asset_id`, `asset_key`, `meter_ref`)."""
    value: str | None = None
    """The column that holds the figure shown."""
    commune: str | None = None
    """The column that holds the commune."""


class Warning_(Model):  # noqa: N801 - Warning is Python's own
    """A warning of an authority (CAP): weather, floods."""

    type: Literal["warning"]
    events: list[str] = Field(default_factory=list)
    """Patterns (`*`) of the event (`wind`, `vent_violent`, `flooding`…); any when empty."""
    level: int = Field(default=2, ge=1, le=4)
    """From this severity on: 1 Minor, 2 Moderate, 3 Severe, 4 Extreme."""
    ahead: Duration = dt.timedelta(hours=24)
    """How long before its onset it is told."""


class Platform(Model):
    """What the platform says of itself: raised by the sensor that watches the engine, not by a signal."""

    type: Literal["platform"]
    what: Literal["engine", "backlog", "late-feed", "delivery", "rule-cut-off", "flood"]
    """What is watched."""


CONDITIONS: Final[dict[str, type[Model]]] = {
    "threshold": Threshold,
    "rate": Rate,
    "equals": Equals,
    "bit": Bit,
    "event": Event,
    "fault": Fault,
    "silence": Silence,
    "count": Count,
    "deviation": Deviation,
    "report": Report,
    "indicator": Indicator,
    "warning": Warning_,
    "platform": Platform,
}
"""Every kind of condition."""

Condition = Annotated[
    Threshold | Rate | Equals | Bit | Event | Fault | Silence | Count | Deviation | Report | Indicator | Warning_ | Platform,
    Field(discriminator="type"),
]


# --- the rest of a rule


class Scope(Model):
    """Where and when a rule holds; what is left out is everything."""

    domains: list[Domain] = Field(default_factory=list)
    """Domains of the feed."""
    feeds: list[str] = Field(default_factory=list)
    """Patterns (`*`) of feeds."""
    asset_types: list[str] = Field(default_factory=list)
    """Types of equipment (`streetlight`, `cabinet`…), as the referential calls them."""
    communes: list[str] = Field(default_factory=list)
    """Communes, without regard to case and accents."""
    assets: list[str] = Field(default_factory=list)
    """Patterns (`*`) of codes of equipment."""
    calendar: Calendar = "always"
    """When: `night` and `day` by the sun, `open` and `closed` by the hours of the command post. Outside, it raises nothing new."""


class ProcedureStep(Model):
    """One step of what to do."""

    step: str
    """What to do, in French, one sentence."""
    call: str | None = None
    """Whom to call: a name of the directory (`command-post.yaml`), or a service and its number."""


class Bound(Model):
    """How much a rule may raise: past it the rule is cut off, loudly."""

    raises: int = Field(ge=1)
    """So many alarms ..."""
    per: Duration
    """... in this span."""


class Hides(Model):
    """What an alarm of this rule explains: alarms of equipment that hangs on its own are listed under it."""

    rules: list[str] = Field(default_factory=list)
    """Patterns (`*`) of the rules it hides; any when empty, but never a critical alarm."""
    within: Duration = dt.timedelta(minutes=30)
    """Alarms raised so long before it are its children too."""


class Collapse(Model):
    """Several alarms of this rule under one parent are one alarm of the parent, though the parent says nothing."""

    at_least: int = Field(default=5, ge=2)
    """So many of them ..."""
    within: Duration = dt.timedelta(minutes=10)
    """... raised in this span."""
    under: Literal["nearest", "farthest"] = "nearest"
    """Which parent: the nearest (a feeder), or the one at the top (its cabinet)."""
    title: str
    """The title of that alarm, in French: « {count} points lumineux muets sous {parent} »."""


class Rule(Model):
    """One rule."""

    rule: Slug
    """Its name: lower case, digits and hyphens; also the name of its file."""
    title: str
    """What operators read in the list, in French, without the equipment: « Armoire hors tension »."""
    message: str
    """One sentence, in French; {asset}, {value}, {unit}, {commune}, {street}, {since}, {expected}, {count} are filled in."""
    description: str | None = None
    """Why the rule is as it is: thresholds and their reasons."""
    enabled: bool = True
    """Whether it is in force."""
    when: Condition
    """What raises it."""
    scope: Scope = Scope()
    """Where and when."""
    consequence: Consequence
    """What happens if nobody answers: minor, moderate (service degraded), major (service lost), severe (people in danger)."""
    respond_within: Duration
    """How soon somebody must answer to make a difference."""
    fault_type: str | None = None
    """The fault of the referential: whence the deadlines (GTI, GTRP, GTR)."""
    procedure: list[ProcedureStep] = Field(default_factory=list)
    """What to do, in order."""
    group_by: Literal["asset", "parent", "commune", "feed", "rule"] = "asset"
    """What there is one live alarm of."""
    hides: Hides | None = None
    """What it explains."""
    collapse: Collapse | None = None
    """When several are one."""
    joins: str | None = None
    """A word: alarms of rules of the same word about the same equipment or place are one (a dark street's reports and its lamp's alarm)."""
    bound: Bound = Bound(raises=200, per=dt.timedelta(hours=1))
    """How much it may raise."""
    escalate_after: Duration | None = None
    """Unacknowledged for so long, it goes to the second channel; from its priority if absent (command-post.yaml)."""
    closes: Literal["automatically", "by_hand"] = "automatically"
    """Whether an acknowledged alarm that is normal again closes by itself."""

    @property
    def priority(self) -> Priority:
        """Its priority: consequence against time to respond."""
        return priority_of(self.consequence, self.respond_within)


# ISA-18.2 / EEMUA 191: priority from the severity of the consequence and the time there is to respond. Few are critical (about one in
# twenty): only danger for people at once, or a lost service within minutes.
_MATRIX: Final[dict[str, tuple[Priority, Priority, Priority]]] = {
    #            within 15 min      within 2 h         later
    "severe": (Priority.CRITICAL, Priority.CRITICAL, Priority.HIGH),
    "major": (Priority.HIGH, Priority.HIGH, Priority.MEDIUM),
    "moderate": (Priority.HIGH, Priority.MEDIUM, Priority.LOW),
    "minor": (Priority.MEDIUM, Priority.LOW, Priority.LOW),
}


def priority_of(consequence: str, respond_within: dt.timedelta) -> Priority:
    """Return the priority of a consequence that must be answered within a time."""
    urgent, soon, later = _MATRIX[consequence]
    if respond_within <= dt.timedelta(minutes=15):
        return urgent
    return soon if respond_within <= dt.timedelta(hours=2) else later
