"""The canonical contracts: what every feed, whatever its format, is translated into.

Here: one dataframely schema per contract, its SQL types, its key and its event time. Not here: how a source is
mapped onto them (`ingestion.mapping`), how they are stored (`ingestion.lake`).

Instants are UTC. Units are fixed per column (watts, watt hours, degrees); an observation carries its UCUM unit.
Bounds reject what cannot be, not what is merely unusual: plausibility is judged by `quality/`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final

import dataframely as dy
import polars as pl

UTC_INSTANT: Final = "TIMESTAMPTZ"

# Before 1900 no equipment of a city had a clock; after 2100 a date is a sentinel (9999-12-31) or a typing error.
EARLIEST: Final = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
LATEST: Final = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


def _instant(*, nullable: bool) -> dy.Datetime:
    return dy.Datetime(nullable=nullable, time_zone="UTC", time_unit="us", min=EARLIEST, max=LATEST)


def _text(*, nullable: bool = True) -> dy.String:
    # 32 KiB of UTF-8: the longest free text seen in a citizen report is 9,000 characters; past that a column is a document.
    return dy.String(nullable=nullable, min_length=None if nullable else 1, max_length=32_768)


def _longitude() -> dy.Float64:
    return dy.Float64(nullable=True, min=-180.0, max=180.0)


def _latitude() -> dy.Float64:
    return dy.Float64(nullable=True, min=-90.0, max=90.0)


class Asset(dy.Schema):
    """One piece of equipment or site, as one source describes it from `effective_at` on."""

    asset_ref = _text(nullable=False)
    asset_type = _text(nullable=False)
    parent_ref = _text()
    name = _text()
    commune = _text()
    street = _text()
    longitude = _longitude()
    latitude = _latitude()
    geometry = dy.String(nullable=True)  # GeoJSON geometry, WGS84, where the asset is not a point
    rated_power_w = dy.Float64(nullable=True, min=0.0)
    installed_on = dy.Date(nullable=True, min=dt.date(1800, 1, 1), max=dt.date(2100, 1, 1))
    model = _text()
    status = _text()
    is_remote = dy.Bool(nullable=True)
    owner_authority = _text()
    identity = _text()  # a code shared with other sources (GIS, CMMS, radio device): what matches identities
    effective_at = _instant(nullable=True)


class Observation(dy.Schema):
    """One property of one asset at one instant."""

    asset_ref = _text(nullable=False)
    property = _text(nullable=False)
    observed_at = _instant(nullable=False)
    value = dy.Float64(nullable=True, allow_inf=False, allow_nan=False)
    value_text = _text()
    unit = _text()
    quality = _text()
    message_id = _text()

    @dy.rule()
    def has_value(cls) -> pl.Expr:
        return pl.col("value").is_not_null() | pl.col("value_text").is_not_null()


class Report(dy.Schema):
    """One citizen report or call."""

    report_ref = _text(nullable=False)
    channel = _text()
    category = _text()
    subcategory = _text()
    description = _text()
    opened_at = _instant(nullable=False)
    closed_at = _instant(nullable=True)
    acknowledged_at = _instant(nullable=True)
    status = _text()
    commune = _text()
    district = _text()
    street = _text()
    longitude = _longitude()
    latitude = _latitude()
    asset_ref = _text()
    duplicate_of = _text()
    owner_authority = _text()
    revised_at = _instant(nullable=True)


class Intervention(dy.Schema):
    """One work order."""

    intervention_ref = _text(nullable=False)
    asset_ref = _text()
    report_ref = _text()
    fault_type = _text()
    kind = dy.Enum(["curative", "preventive"], nullable=True)
    requested_at = _instant(nullable=False)
    acknowledged_at = _instant(nullable=True)
    dispatched_at = _instant(nullable=True)
    arrived_at = _instant(nullable=True)
    made_safe_at = _instant(nullable=True)
    restored_at = _instant(nullable=True)
    suspended_minutes = dy.Float64(nullable=True, min=0.0)
    status = _text()
    crew = _text()
    description = _text()
    commune = _text()
    street = _text()
    longitude = _longitude()
    latitude = _latitude()
    owner_authority = _text()
    revised_at = _instant(nullable=True)


class EnergyReading(dy.Schema):
    """Energy of one meter over one interval [start_at, end_at)."""

    meter_ref = _text(nullable=False)
    start_at = _instant(nullable=False)
    end_at = _instant(nullable=False)
    energy_wh = dy.Float64(nullable=False, allow_inf=False, allow_nan=False, min=0.0)
    direction = dy.Enum(["consumption", "injection"], nullable=False)
    quality = _text()

    @dy.rule()
    def interval_is_positive(cls) -> pl.Expr:
        return pl.col("end_at") > pl.col("start_at")


@dataclass(frozen=True)
class Contract:
    """One canonical contract: its schema, its key, and the instant its rows are about.

    Attributes:
        name: the contract's name, which is also its raw table's.
        schema: the dataframely schema of its rows.
        key: the columns that identify a row within a feed.
        event_time: the instant a row is about: what history is searched by; `None` for a referential.
        revision: the column that orders revisions of one key, where the source states it.
        defaults: what a column holds when a feed does not map it, stated by the contract and not guessed.
    """

    name: str
    schema: type[dy.Schema]
    key: tuple[str, ...]
    event_time: str | None
    revision: str | None = None
    defaults: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """Column name to DuckDB type, in the order of the raw table."""
        return {name: sql_type(column) for name, column in self.schema.columns().items()}

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that a feed must map."""
        return tuple(n for n, c in self.schema.columns().items() if not c.nullable and n not in self.defaults)


def sql_type(column: dy.Column) -> str:
    """Return the DuckDB type that stores a contract's column.

    Raises:
        TypeError: the contract uses a type the lake has no rule for.
    """
    match column:
        case dy.Datetime():
            return UTC_INSTANT
        case dy.Date():
            return "DATE"
        case dy.Float64():
            return "DOUBLE"
        case dy.Bool():
            return "BOOLEAN"
        case dy.String() | dy.Enum():
            return "VARCHAR"
        case _:
            raise TypeError(f"no lake type for {column!r}")


CONTRACTS: Final[dict[str, Contract]] = {
    c.name: c
    for c in (
        Contract("asset", Asset, ("asset_ref",), None, "effective_at"),
        Contract("observation", Observation, ("asset_ref", "property", "observed_at"), "observed_at"),
        Contract("report", Report, ("report_ref",), "opened_at", "revised_at"),
        Contract("intervention", Intervention, ("intervention_ref",), "requested_at", "revised_at"),
        Contract(
            "energy_reading",
            EnergyReading,
            ("meter_ref", "start_at", "direction"),
            "start_at",
            defaults={"direction": "consumption"},
        ),
    )
}
