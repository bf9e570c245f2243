"""What decoders of wire formats fill: canonical rows and rejects of many messages, by row, ready for Arrow.

Here: the shapes. Not here: any format (`ngsi`…), the contracts' rules (checked in bulk by who lands the batch).

A decoder is a pure function: `decode(payload, batch, after=…, received_at=…, options=…) -> records`. It appends to the batch and
raises nothing for what a sender may write: what cannot be translated is appended to `rejects` with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

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


class RejectRow(NamedTuple):
    """One refused record (`scope` record) or value of a record (`scope` value). `original` is JSON text without personal properties."""

    position: int
    scope: str
    reason: str
    detail: str
    original: str | None = None


ROWS: Final[dict[str, type[ObservationRow | AssetRow]]] = {"observation": ObservationRow, "asset": AssetRow}
for _name, _row in ROWS.items():
    if _row._fields[1:] != tuple(CONTRACTS[_name].columns):  # the two must say the same: rows become tables by position
        raise AssertionError(f"{_row.__name__} does not follow the contract {_name}")


@dataclass(frozen=True)
class WireOptions:
    """What a feed's contract says beside the messages.

    Attributes:
        units: property to the UCUM unit it is in when the message does not say.
        personal: properties that may not enter the main lake: left out of rows and of what rejects quote.
        max_bytes: a longer message is rejected. A notification of a thousand entities is 2 MiB; the broker refuses more than 8 MiB.
        max_depth: nesting past which a message is rejected; real ones stay under 12.
        max_records: entities in one message.
    """

    units: dict[str, str] = field(default_factory=dict)
    personal: frozenset[str] = frozenset()
    max_bytes: int = 8 * 1024 * 1024
    max_depth: int = 32
    max_records: int = 10_000


@dataclass
class WireBatch:
    """What became of the records of some messages of one feed."""

    observations: list[ObservationRow] = field(default_factory=list)
    assets: list[AssetRow] = field(default_factory=list)
    rejects: list[RejectRow] = field(default_factory=list)

    def reject(self, position: int, reason: str, detail: str, original: str | None = None, *, scope: str = "record") -> None:
        """Set a record (or one value of it) aside."""
        self.rejects.append(RejectRow(position, scope, reason, detail, original))


class Decoder(Protocol):
    """Translate one message.

    Args of the call: `payload`, the message; `batch`, what it is appended to; `after`, the position of the last record before
    it; `received_at`, when the broker stored it (microseconds since 1970), the instant of a property that states none; `options`.
    It returns how many records (entities, readings) the message holds: at least 1, one that cannot be read at all being one.
    """

    def __call__(self, payload: bytes, batch: WireBatch, *, after: int, received_at: int | None, options: WireOptions) -> int:
        """See the class."""
        ...


__all__ = ["ROWS", "AssetRow", "Decoder", "ObservationRow", "RejectRow", "WireBatch", "WireOptions"]
