"""The words of the alerts: signals that go into the rules, changes that come out, alarms and their journal.

Here: the shapes that the rooms of `orchestration.alerts` hand to each other. Not here: any behaviour (`engine`, `lifecycle`), any
database (`store`).

Instants of signals and changes are microseconds since 1970, UTC: they are compared millions of times. Instants of alarms, which people
read, are `datetime` in UTC.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final, NamedTuple

# --- what goes in


class Observed(NamedTuple):
    """One property of one asset at one instant, as a message said it.

    `published_at` is when the broker stored the message: the engine's clock. `message_id` is the row's (`raw.observation`), where its
    format gives one: of a warning, the alert that it belongs to, which another message may update or cancel.
    """

    feed: str
    source: str
    asset_ref: str
    property: str
    observed_at: int
    value: float | None
    text: str | None
    unit: str | None
    published_at: int
    message_id: str | None = None


class Reported(NamedTuple):
    """One citizen report or call, as it stood when the message was sent; of the same `report_ref`, the later one holds."""

    feed: str
    source: str
    report_ref: str
    category: str | None
    subcategory: str | None
    description: str | None
    opened_at: int
    closed_at: int | None
    status: str | None
    commune: str | None
    street: str | None
    longitude: float | None
    latitude: float | None
    asset_ref: str | None
    duplicate_of: str | None
    published_at: int


class Ordered(NamedTuple):
    """One work order as it stood when the message was sent: what crews do about an alarm."""

    feed: str
    source: str
    intervention_ref: str
    asset_ref: str | None
    report_ref: str | None
    fault_type: str | None
    status: str | None
    requested_at: int
    dispatched_at: int | None
    arrived_at: int | None
    made_safe_at: int | None
    restored_at: int | None
    crew: str | None
    published_at: int


Signal = Observed | Reported | Ordered


class Heard(NamedTuple):
    """A message of a feed came, whatever it holds: the sign that the feed lives."""

    feed: str
    published_at: int


# --- what is known of equipment


@dataclass(frozen=True, slots=True)
class Equipment:
    """One piece of equipment as the referential describes it (`core.equipment`, `core.asset`), by one of its codes.

    Attributes:
        source: the system whose code it is.
        asset_ref: its code there.
        asset_id: its identity across systems.
        parent: the asset it hangs on or takes its power or its radio from, (source, asset_ref); None at the top.
        geometry: GeoJSON geometry, where it is not a point: the area of a warning, a section of a river.
    """

    source: str
    asset_ref: str
    asset_id: str
    asset_type: str | None = None
    name: str | None = None
    domain: str | None = None
    commune: str | None = None
    street: str | None = None
    longitude: float | None = None
    latitude: float | None = None
    parent: tuple[str, str] | None = None
    owner_authority: str | None = None
    model: str | None = None
    geometry: str | None = None

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or self.asset_ref


AssetKey = tuple[str, str]


# --- what comes out


class Priority(IntEnum):
    """How urgent an alarm is (ISA-18.2: from consequence and time to respond); 1 first."""

    CRITICAL = 1
    HIGH = 2
    MEDIUM = 3
    LOW = 4


PRIORITY_FR: Final = {Priority.CRITICAL: "critique", Priority.HIGH: "haute", Priority.MEDIUM: "moyenne", Priority.LOW: "basse"}


@dataclass(frozen=True, slots=True)
class Change:
    """What a rule says of one key at one instant: its condition came true (`is_active`), or is over.

    Changes of one key are strictly later one than the other (`at`): a change that is not later than what the store knows of its key was
    told before, and changes nothing. So an engine that was killed tells again what it may have told.

    Attributes:
        key: what there is one live alarm of: `<rule>|<source>|<asset_ref>`, or what the rule groups by.
        rule: the rule.
        at: when the alarm is due: since + on-delay (or when the condition ended), microseconds since 1970.
        is_active: whether the condition holds from then on.
        since: when the condition began.
        asset: the asset it is about; None for a place or a feed.
        property, value, text, unit: what was observed.
        details: what else there is to say, JSON: a warning's headline and area, reports, counts, the expected value.
        title: overrides the rule's title (a warning's headline).
        place: (longitude, latitude) where the asset is not the place: a report's.
        area: GeoJSON geometry of the zone concerned.
        commune: where no asset says it.
        is_update: whether it only says more of an alarm that stands (a worse warning, one report more): it raises none.
    """

    key: str
    rule: str
    at: int
    is_active: bool
    since: int
    asset: AssetKey | None = None
    property: str | None = None
    value: float | None = None
    text: str | None = None
    unit: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    title: str | None = None
    place: tuple[float, float] | None = None
    area: str | None = None
    commune: str | None = None
    is_update: bool = False


# --- alarms


class State(StrEnum):
    """The state of an alarm (ISA-18.2). `closed` is normal again and acknowledged, or closed by a person."""

    UNACKNOWLEDGED = "unack_active"
    ACKNOWLEDGED = "ack_active"
    RETURNED = "returned_unack"
    CLOSED = "closed"


STATE_FR: Final = {
    State.UNACKNOWLEDGED: "à acquitter", State.ACKNOWLEDGED: "acquittée", State.RETURNED: "retour à la normale, à acquitter",
    State.CLOSED: "close",
}  # fmt: skip


class Kind(StrEnum):
    """What a line of the journal says."""

    RAISED = "raised"
    REACTIVATED = "reactivated"
    UPDATED = "updated"
    RETURNED = "returned"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    SUPPRESSED = "suppressed"
    UNSUPPRESSED = "unsuppressed"
    OUT_OF_SERVICE = "out_of_service"
    IN_SERVICE = "in_service"
    JOINED = "joined"
    CHATTERING = "chattering"
    STEADY = "steady"
    ASSIGNED = "assigned"
    COMMENTED = "commented"
    STEP = "step"
    ESCALATED = "escalated"
    WORK_ORDER = "work_order"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a procedure, and who did it when."""

    text: str
    call: str | None = None
    done_at: dt.datetime | None = None
    done_by: str | None = None


@dataclass(slots=True)
class Alarm:
    """One alarm: a row of `alerts.alarm`, whose columns have these names.

    Attributes:
        alarm_id: its number; 0 before it is stored.
        key: at most one alarm of a key is not closed.
        priority: 1 (critical) to 4 (low).
        fault_type: of `core.fault_type`: whence the deadlines.
        started_at: when the condition began.
        raised_at: when it was due (condition + on-delay), of its last activation.
        first_raised_at: of its first activation.
        recorded_at: when the store first held it.
        changed_at: `Change.at` of the last change; what is not later was told before.
        arrive_by, safe_by, restore_by: deadlines of the contract (GTI, GTRP, GTR), none where the fault has none.
        activations: how often its condition came true.
        recent: instants of its last activations, for chattering.
        parent_id: the alarm it is listed under (its cabinet's, the report it joins); it is not shown by itself then.
        suppressed_by: why it is suppressed by design: `parent`, `maintenance`, `flood`, `joined`; None when it is not.
        hidden: how many live alarms are listed under it.
        hidden_active: of these, how many are active.
        hides: patterns of the rules whose alarms it explains, of what hangs on its equipment; empty when it explains none.
        releases_at: when what is still listed under it stands for itself again, of one that is over; None while it holds.
        ancestors: what its asset hangs on, nearest first, as `source|asset_ref`: what may explain it.
        joins: the word of alarms that are one with it when they are about the same equipment or place.
        closes_by_hand: whether it stays until a person closes it.
        escalate_at: when it is escalated unless acknowledged; None when not, or done.
        escalation: how often it was.
        updated_seq: number of the last line of the journal about it.
    """

    key: str
    rule: str
    title: str
    message: str
    priority: int
    started_at: dt.datetime
    raised_at: dt.datetime
    first_raised_at: dt.datetime
    changed_at: dt.datetime
    recorded_at: dt.datetime | None = None
    alarm_id: int = 0
    domain: str | None = None
    fault_type: str | None = None
    source: str | None = None
    asset_ref: str | None = None
    asset_id: str | None = None
    asset_type: str | None = None
    asset_name: str | None = None
    commune: str | None = None
    street: str | None = None
    longitude: float | None = None
    latitude: float | None = None
    area: str | None = None
    owner_authority: str | None = None
    observed_property: str | None = None
    value: float | None = None
    value_text: str | None = None
    unit: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    is_active: bool = True
    is_acknowledged: bool = False
    returned_at: dt.datetime | None = None
    closed_at: dt.datetime | None = None
    closed_by: str | None = None
    acknowledged_at: dt.datetime | None = None
    acknowledged_by: str | None = None
    assigned_to: str | None = None
    arrive_by: dt.datetime | None = None
    safe_by: dt.datetime | None = None
    restore_by: dt.datetime | None = None
    shelved_until: dt.datetime | None = None
    shelved_by: str | None = None
    shelve_reason: str | None = None
    suppressed_by: str | None = None
    suppress_reason: str | None = None
    is_out_of_service: bool = False
    parent_id: int | None = None
    hidden: int = 0
    hidden_active: int = 0
    hides: list[str] = field(default_factory=list)
    releases_at: dt.datetime | None = None
    ancestors: list[str] = field(default_factory=list)
    joins: str | None = None
    closes_by_hand: bool = False
    activations: int = 1
    recent: list[dt.datetime] = field(default_factory=list)
    is_chattering: bool = False
    escalate_at: dt.datetime | None = None
    escalation: int = 0
    procedure: list[Step] = field(default_factory=list)
    work_orders: list[dict[str, Any]] = field(default_factory=list)
    updated_seq: int = 0

    @property
    def state(self) -> State:
        """Its state in ISA-18.2's words."""
        if self.closed_at is not None:
            return State.CLOSED
        if not self.is_active:
            return State.RETURNED
        return State.ACKNOWLEDGED if self.is_acknowledged else State.UNACKNOWLEDGED

    @property
    def is_presented(self) -> bool:
        """Whether operators see it in the list by itself: neither closed, shelved, suppressed, out of service, nor under another."""
        return (
            self.closed_at is None
            and self.shelved_until is None
            and self.suppressed_by is None
            and not self.is_out_of_service
            and self.parent_id is None
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal, with the alarm as it stood after it.

    Attributes:
        seq: its number: without gaps, in the order of commits; 0 before it is stored. It is the event id of every feed.
        alarm_id: whose it is.
        kind: what happened.
        at: when it was recorded.
        happened_at: when it happened, where that is another instant: the observation's, of what equipment says.
        actor: who: a person's or system's login; `vigie` for the platform itself.
        comment: what they wrote.
        details: what else there is, JSON.
        alarm: the alarm after it.
    """

    kind: Kind
    at: dt.datetime
    actor: str
    alarm: dict[str, Any]
    alarm_id: int = 0
    seq: int = 0
    happened_at: dt.datetime | None = None
    comment: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


PLATFORM: Final = "vigie"
"""The actor of what nobody did by hand."""


class Role(StrEnum):
    """What a person or a system may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    SUPERVISOR = "supervisor"

    def may(self, needed: Role) -> bool:
        """Return whether this role holds the rights of another."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


ROLE_FR: Final = {Role.VIEWER: "lecture", Role.OPERATOR: "opérateur", Role.SUPERVISOR: "superviseur"}
