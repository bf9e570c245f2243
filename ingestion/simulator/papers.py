"""Reports and work orders: what the desk and the workshop write down, and how it looks at each moment.

Here: the records, all instants included, and the instants at which they change. Not here: how they come about (`cases`,
`routine`), the JSON they are sent as (`records`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

REPORTS_FEED: Final = "sim-signalements"
CALLS_FEED: Final = "sim-appels"
ORDERS_FEED: Final = "sim-interventions"


@dataclass(frozen=True)
class Place:
    """Where something is: commune, street, degrees."""

    commune: str
    street: str
    longitude: float
    latitude: float


@dataclass(frozen=True)
class Report:
    """A citizen's report or call, as it will stand once everything about it is known.

    Instants are seconds since 1970. `failure` is the key of the failure it is about, None where it is about none; `is_false`
    says that it told of a lamp and nothing was found.
    """

    ref: str
    feed: str
    channel: str
    category: str
    subcategory: str
    description: str
    place: Place
    authority: str
    asset_ref: str | None
    duplicate_of: str | None
    opened: int
    acknowledged: int
    closed: int
    is_rejected: bool = False
    failure: str | None = None
    is_false: bool = False
    caller: str | None = None
    telephone: str | None = None

    @property
    def changes(self) -> tuple[int, ...]:
        """When it is written anew."""
        return tuple(sorted({self.opened, self.acknowledged, self.closed}))


@dataclass(frozen=True)
class Order:
    """A work order, as it will stand once everything about it is known. A step that never comes is None."""

    ref: str
    kind: str
    asset_ref: str
    fault_type: str | None
    description: str
    place: Place
    authority: str
    crew: str
    requested: int
    acknowledged: int
    dispatched: int | None
    arrived: int | None
    made_safe: int | None
    restored: int | None
    suspended_minutes: int = 0
    cancelled: int | None = None
    report_ref: str | None = None
    linked: int | None = None
    failure: str | None = None

    @property
    def changes(self) -> tuple[int, ...]:
        """When it is written anew."""
        steps = (self.requested, self.acknowledged, self.dispatched, self.arrived, self.made_safe, self.restored)
        return tuple(sorted({s for s in (*steps, self.cancelled, self.linked) if s is not None}))
