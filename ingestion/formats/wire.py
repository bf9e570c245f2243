"""What decoders of wire formats fill: canonical rows and rejects of many messages, by row or by column, ready for Arrow.

Here: the shapes. Not here: any format (`ngsi`, `talq`…), which formats there are (`registry`), the contracts' rules (checked in bulk
by who lands the batch).

A decoder is a pure function: `decode(payload, batch, after=…, received_at=…, topic=…, options=…) -> records`. It appends to the batch
and raises nothing for what a sender may write: what cannot be translated is appended to `rejects` with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa

from ingestion.contracts.canonical import CONTRACTS


class ObservationRow(NamedTuple):
    """One observation. Columns of the contract after the record's position; instants in microseconds since 1970, UTC."""

    position: int
    asset_ref: str
    property: str
    observed_at: int
    value: float | None = None
    value_text: str | None = None
    unit: str | None = None
    quality: str | None = None
    message_id: str | None = None


class AssetRow(NamedTuple):
    """One description of an asset. `installed_on` in ISO form, `effective_at` in microseconds since 1970, UTC."""

    position: int
    asset_ref: str
    asset_type: str
    parent_ref: str | None = None
    name: str | None = None
    commune: str | None = None
    street: str | None = None
    longitude: float | None = None
    latitude: float | None = None
    geometry: str | None = None
    rated_power_w: float | None = None
    installed_on: str | None = None
    model: str | None = None
    status: str | None = None
    is_remote: bool | None = None
    owner_authority: str | None = None
    identity: str | None = None
    effective_at: int | None = None


class ReportRow(NamedTuple):
    """One citizen report or call. Instants in microseconds since 1970, UTC."""

    position: int
    report_ref: str
    channel: str | None = None
    category: str | None = None
    subcategory: str | None = None
    description: str | None = None
    opened_at: int | None = None
    closed_at: int | None = None
    acknowledged_at: int | None = None
    status: str | None = None
    commune: str | None = None
    district: str | None = None
    street: str | None = None
    longitude: float | None = None
    latitude: float | None = None
    asset_ref: str | None = None
    duplicate_of: str | None = None
    owner_authority: str | None = None
    revised_at: int | None = None


class InterventionRow(NamedTuple):
    """One work order. Instants in microseconds since 1970, UTC."""

    position: int
    intervention_ref: str
    asset_ref: str | None = None
    report_ref: str | None = None
    fault_type: str | None = None
    kind: str | None = None
    requested_at: int | None = None
    acknowledged_at: int | None = None
    dispatched_at: int | None = None
    arrived_at: int | None = None
    made_safe_at: int | None = None
    restored_at: int | None = None
    suspended_minutes: float | None = None
    status: str | None = None
    crew: str | None = None
    description: str | None = None
    commune: str | None = None
    street: str | None = None
    longitude: float | None = None
    latitude: float | None = None
    owner_authority: str | None = None
    revised_at: int | None = None


class EnergyRow(NamedTuple):
    """Energy (Wh) of one meter over [start_at, end_at), in microseconds since 1970, UTC."""

    position: int
    meter_ref: str
    start_at: int
    end_at: int
    energy_wh: float
    direction: str
    quality: str | None = None


class RejectRow(NamedTuple):
    """One refused record (`scope` record) or value of a record (`scope` value). `original` is JSON text without personal properties."""

    position: int
    scope: str
    reason: str
    detail: str
    original: str | None = None


ROWS: Final[dict[str, type[tuple[Any, ...]]]] = {
    "observation": ObservationRow,
    "asset": AssetRow,
    "report": ReportRow,
    "intervention": InterventionRow,
    "energy_reading": EnergyRow,
}
# Rows become tables by position: a row and its contract must say the same.
for _name, _fields in {name: row._fields for name, row in ROWS.items()}.items():  # type: ignore[attr-defined] # each is a NamedTuple
    if _fields[1:] != tuple(CONTRACTS[_name].columns):
        raise AssertionError(f"the row of {_name} does not follow the contract: {_fields[1:]}")


@dataclass(frozen=True)
class WireOptions:
    """What a feed's contract says beside the messages.

    Attributes:
        time_zone: the IANA zone of times that carry none.
        contract: the feed's contract, for formats whose records may become several.
        units: property to the UCUM unit it is in when the message does not say.
        personal: properties that may not enter the main lake: left out of rows and of what rejects quote.
        max_bytes: a longer message is rejected. A notification of a thousand entities is 2 MiB; the broker refuses more than 8 MiB.
        max_depth: nesting past which a message is rejected; real ones stay under 12.
        max_records: entities in one message.
    """

    time_zone: str = "UTC"
    contract: str = "observation"
    units: dict[str, str] = field(default_factory=dict)
    personal: frozenset[str] = frozenset()
    max_bytes: int = 8 * 1024 * 1024
    max_depth: int = 32
    max_records: int = 10_000


@dataclass
class WireBatch:
    """What became of the records of some messages of one feed.

    Attributes:
        observations, assets, reports, interventions, readings: rows, where a format yields them one by one.
        tables: (contract, table), where it yields columns: `_position` int64 and columns of the contract by name; instants int64
            microseconds since 1970; a column that is absent is NULL.
        rejects: what was refused.
        on_full: takes the rows away when there are many; set by who lands the batch.
    """

    observations: list[ObservationRow] = field(default_factory=list)
    assets: list[AssetRow] = field(default_factory=list)
    reports: list[ReportRow] = field(default_factory=list)
    interventions: list[InterventionRow] = field(default_factory=list)
    readings: list[EnergyRow] = field(default_factory=list)
    tables: list[tuple[str, pa.Table]] = field(default_factory=list)
    rejects: list[RejectRow] = field(default_factory=list)
    on_full: Callable[[], None] | None = None

    def reject(self, position: int, reason: str, detail: str, original: str | None = None, *, scope: str = "record") -> None:
        """Set a record (or one value of it) aside."""
        self.rejects.append(RejectRow(position, scope, reason, detail, original))

    def rows(self) -> Iterator[tuple[str, list[Any]]]:
        """Yield each contract and its rows."""
        yield "observation", self.observations
        yield "asset", self.assets
        yield "report", self.reports
        yield "intervention", self.interventions
        yield "energy_reading", self.readings

    def checkpoint(self) -> None:
        """Let rows go: a decoder of long documents calls it between two records, and keeps none of what it appended before."""
        if self.on_full is not None:
            self.on_full()

    def mark(self) -> tuple[int, ...]:
        """Return how much it holds, for `back_to`."""
        return (*(len(rows) for _, rows in self.rows()), len(self.tables), len(self.rejects))

    def back_to(self, mark: tuple[int, ...]) -> None:
        """Drop what was appended since a mark."""
        *counts, tables, rejects = mark
        for (_, rows), count in zip(self.rows(), counts, strict=True):
            del rows[count:]
        del self.tables[tables:], self.rejects[rejects:]


class Decoder(Protocol):
    """Translate one message.

    Args of the call: `payload`, the message; `batch`, what it is appended to; `after`, the position of the last record before
    it; `received_at`, when the broker stored it (microseconds since 1970), the instant of a property that states none, None for a
    message of a file; `topic`, where it was sent (an MQTT topic, `?query` of an HTTP address at its end) or the name of the file or
    archive member it comes from; `options`.
    It returns how many records (entities, readings) the message holds: at least 1, one that cannot be read at all being one.
    Positions of its rows and rejects lie in [after + 1, after + records].
    """

    def __call__(
        self, payload: bytes, batch: WireBatch, *, after: int, received_at: int | None, topic: str | None = None, options: WireOptions
    ) -> int:
        """See the class."""
        ...


__all__ = [
    "ROWS",
    "AssetRow",
    "Decoder",
    "EnergyRow",
    "InterventionRow",
    "ObservationRow",
    "RejectRow",
    "ReportRow",
    "WireBatch",
    "WireOptions",
]
