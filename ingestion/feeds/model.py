"""The feed contract: what an integrator declares, in one YAML file, to plug a source in without code.

Here: the typed shape of a contract. Not here: its scalar types (`model_base`), where bytes come from (`model_connector`),
reading YAML and naming the faulty line (`load`), rules between two keys (`load_rules`), drafting a contract from a file
(`draft`), turning a mapping into SQL (`ingestion.mapping`).

Fields follow the vocabulary of Frictionless Table Schema (`name`, `type`, `format`, `missingValues`, `decimalChar`…),
so that the fields of a national schema can be pasted in as they are. Durations are ISO 8601 (`PT30M`, `P1D`).
The text under each key is its reference: `python -m ingestion.feeds.schema` writes it to docs/feed-contract.md.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from ingestion.contracts.canonical import CONTRACTS, Contract
from ingestion.feeds.model_base import Duration, HolidayCalendar, Model, SecretName, Slug, TimeZone, Unit
from ingestion.feeds.model_connector import (
    Auth,
    Connector,
    FileConnector,
    Incremental,
    Paginator,
    RestConnector,
    SqlConnector,
    StreamConnector,
    Window,
)
from ingestion.formats.registry import FORMATS

__all__ = [
    "Auth",
    "Baseline",
    "Classification",
    "Connector",
    "Domain",
    "Duration",
    "FaultRule",
    "Feed",
    "FieldSpec",
    "FieldType",
    "FileConnector",
    "FormatSpec",
    "HolidayCalendar",
    "Incremental",
    "IndicatorRules",
    "MapTo",
    "Mapping",
    "Measure",
    "Model",
    "Paginator",
    "Person",
    "Publisher",
    "RestConnector",
    "SecretName",
    "Slug",
    "SqlConnector",
    "StateRule",
    "StreamConnector",
    "Territory",
    "TimeZone",
    "Unit",
    "Window",
]

# Formats whose messages say by themselves what they hold: they are decoded, not mapped.
WIRE_FORMATS: Final = frozenset(FORMATS)
_MAPPED_FORMATS: Final = ("auto", "csv", "xlsx", "json", "ndjson", "geojson", "parquet", "shapefile")

Classification = Literal["open", "internal", "personal"]
Domain = Literal["EP", "VP", "SLT", "MOB", "RT", "PAT", "CDV", "EAU", "GRC", "METEO"]
FieldType = Literal[
    "string", "integer", "number", "boolean", "date", "time", "datetime", "year", "geopoint", "geojson", "object", "array", "any"
]


def _known_format(name: str) -> str:
    known = (*_MAPPED_FORMATS, *FORMATS)
    if name not in known:
        raise ValueError(f"is not a format: one of {', '.join(known)}")
    return name


FormatType = Annotated[str, AfterValidator(_known_format), WithJsonSchema({"type": "string", "enum": [*_MAPPED_FORMATS, *FORMATS]})]


def _shorthand(value: Any) -> Any:
    """`report_ref: CaseID` stands for `report_ref: {column: CaseID}`."""
    return {"column": value} if isinstance(value, str) else value


class Territory(Model):
    """The place whose nights, holidays and contract hours apply."""

    code: Slug
    """Short name of the territory, the same in all its feeds."""
    name: str
    """Name of the territory, as people read it."""
    time_zone: TimeZone
    """The territory's IANA zone: nights and working days are computed in it."""
    holidays: HolidayCalendar
    """Public holidays: a country code, or country-subdivision (FR, FR-57, US-CA)."""
    latitude: float = Field(ge=-90, le=90)
    """Latitude of the territory's centre, degrees: for sunrise and sunset."""
    longitude: float = Field(ge=-180, le=180)
    """Longitude of the territory's centre, degrees."""


class Person(Model):
    """Who answers for a feed."""

    name: str
    """A service or a person."""
    contact: str | None = None
    """E-mail or telephone at work."""


class Publisher(Model):
    """Where the data comes from, and under which licence."""

    publisher: str
    """Who produces the data."""
    licence: str
    """Licence of the source (SPDX code where there is one, `internal` for the territory's own, `unknown` where nobody knows: such data is
    not published)."""
    homepage: str | None = None
    """Page of the source."""
    note: str | None = None
    """What a careful reader should know of it."""


class FieldSpec(Model):
    """One column of the source, in Table Schema's words, with its classification.

    A column that is not listed is neither mapped nor stored.
    """

    name: str
    """The column's name, exactly as the source writes it."""
    type: FieldType = "string"
    """What its values are."""
    format: str | list[str] | None = None
    """strptime pattern of a date, or several tried in order; ISO 8601 when a date states none."""
    title: str | None = None
    """Name for people."""
    description: str | None = None
    """What it means."""
    example: Any = None
    """An example value (never a personal one)."""
    classification: Classification = "internal"
    """Who may see it: `open`, `internal`, or `personal` (kept in the personal lake only)."""
    unit: Unit | None = None
    """UCUM unit of its values, where the mapping or the measure does not say another."""
    missingValues: list[str] | None = None
    """Texts that mean no value in this column, instead of the feed's."""
    decimalChar: str | None = Field(default=None, min_length=1, max_length=1)
    """Decimal mark of this column, instead of the feed's."""
    groupChar: str | None = Field(default=None, min_length=1, max_length=1)
    """Thousands separator of this column."""
    bareNumber: bool = True
    """`false` when text stands beside the number (`42 %`, `€ 12`): it is taken off."""
    trueValues: list[str] | None = None
    """Texts that mean true."""
    falseValues: list[str] | None = None
    """Texts that mean false."""
    rdfType: str | None = None
    """Accepted from pasted schemas; not used."""
    constraints: dict[str, Any] | None = None
    """Accepted from pasted schemas; bounds are declared on measures."""


class MapTo(Model):
    """How one canonical column is filled: from a column, a constant, or a SQL expression over the columns.

    A bare text is a column: `report_ref: CaseID` stands for `report_ref: {column: CaseID}`.
    """

    column: str | None = None
    """The source column; or `constant`, or `sql`."""
    constant: str | float | bool | None = None
    """The same value in every row, in the lake's unit."""
    sql: str | None = None
    """A DuckDB expression over the declared columns: scalar functions only."""
    values: dict[str, str] | None = None
    """Translation of codes; an unlisted code rejects the row unless `other` says what it becomes."""
    other: str | None = None
    """What an unlisted code becomes: a constant, or `keep`."""
    unit: Unit | None = None
    """UCUM unit of the source: values are converted to the column's."""
    format: str | list[str] | None = None
    """strptime pattern, or several tried in order, instead of the field's."""
    time_zone: TimeZone | None = None
    """The zone of this instant, instead of the feed's."""
    offset: Duration | None = None
    """Shifts an instant (`-PT15M`: the source stamps the end of a quarter of an hour)."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [n for n in ("column", "constant", "sql") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of column, constant or sql (found: {', '.join(given) or 'none'})")
        if self.other is not None and self.values is None:
            raise ValueError("other only goes with values")
        return self


Mapping = Annotated[MapTo, BeforeValidator(_shorthand)]


class Measure(Model):
    """One measure of a wide table: its column becomes a property of the asset.

    A measure outside [minimum, maximum] is set aside with its reason; the row's other measures are kept.
    """

    column: str
    """The source column."""
    property: str
    """The property it becomes (`air_temperature`, `fill_level`…)."""
    unit: Unit | None = None
    """UCUM unit of the source, required here or on the field unless `text`; `1` for a number without unit."""
    text: bool = False
    """`true` when the value is a text (a state, a label) and not a number."""
    minimum: float | None = None
    """Least possible value, in the lake's unit (docs/units.md): -40 for a temperature, be it read in kelvins."""
    maximum: float | None = None
    """Greatest possible value, in the lake's unit."""


class FormatSpec(Model):
    """How the bytes are read. What is not stated is found out from the content."""

    type: FormatType = "auto"
    """The file format; `auto` looks at the content. A wire format (`ngsi`…, docs/formats.md) says itself what it holds: no mapping."""
    encoding: str | None = None
    """Character encoding (`utf-8`, `cp1252`…)."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Cell separator of a CSV."""
    quote: str | None = Field(default=None, max_length=1)
    """Quote character of a CSV; empty for none."""
    header_row: int | None = Field(default=None, ge=1)
    """The line of the column names, 1 for the first."""
    columns: list[str] | None = None
    """Column names, where the header is missing or wrong."""
    sheet: str | int | None = None
    """Sheet of a workbook, by name or by number from 1."""
    records: str | None = None
    """Path of the records in a JSON: `a.b` for nested arrays, `*` for an object's values."""
    member: str | None = None
    """Glob of the members to read inside a zip."""
    crs: str | None = None
    """EPSG code of the coordinates (`EPSG:2154`), where the file does not carry it."""


class StateRule(Model):
    """Which values of a property say that the asset has failed, works, or is not heard."""

    property: str
    """The property that tells the state."""
    failed: list[str] = Field(default_factory=list)
    """Texts that mean failed."""
    ok: list[str] = Field(default_factory=list)
    """Texts that mean working."""
    communication_lost: list[str] = Field(default_factory=list)
    """Texts that mean that the asset is not heard."""
    failed_below: float | None = None
    """Failed when the number is below, in the lake's unit."""
    failed_above: float | None = None
    """Failed when the number is above, in the lake's unit."""
    fault_type: str
    """The fault it is, one of `core.fault_type`."""


class FaultRule(Model):
    """Which reports or work orders tell of which fault (patterns with `*`, compared without regard to case)."""

    category: str = "*"
    """Pattern of the category."""
    subcategory: str = "*"
    """Pattern of the subcategory."""
    fault_type: str
    """The fault it is, one of `core.fault_type`."""
    asset_type: str | None = None
    """The equipment it is about."""


class Baseline(Model):
    """The declared reference period of a meter's expected consumption; without it there is no verdict."""

    start: dt.date
    """First day of the reference period."""
    end: dt.date
    """The day after its last."""
    tolerance_pct: float = Field(gt=0)
    """Excess from which consumption is over, percent."""
    meters: list[str] | None = None
    """The meters it is about; every meter of the feed when absent."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end must come after start")
        return self


class IndicatorRules(Model):
    """How the indicators read this feed."""

    states: list[StateRule] = Field(default_factory=list)
    """Observations that tell failures (contract observation)."""
    faults: list[FaultRule] = Field(default_factory=list)
    """Reports or work orders that tell failures (contracts report and intervention)."""
    baselines: list[Baseline] = Field(default_factory=list)
    """Reference periods of consumption (contract energy_reading)."""
    flap_window: Duration = dt.timedelta(minutes=30)  # two samples of a light that reports each quarter of an hour
    """A failure that comes back within it is the same failure."""
    bridges_communication_gap: bool = False
    """Whether a failure runs on across a silence."""


class Feed(Model):
    """One feed contract."""

    feed: Slug
    """The feed's name: lower case, digits and hyphens; also the name of its file."""
    title: str
    """Name for people."""
    description: str | None = None
    """What it holds."""
    contract: Literal["asset", "observation", "report", "intervention", "energy_reading"]
    """The canonical contract its rows become."""
    domain: Domain
    """The business domain: EP lighting, VP cameras, SLT signals, MOB mobility, RT telecom, PAT buildings, CDV living
    environment, EAU water, GRC citizen relations, METEO weather and air; for what is outside, the nearest."""
    owner: Person
    """Who answers for the source."""
    steward: Person
    """Who answers for its quality."""
    owner_authority: str | None = None
    """The authority whose rows these are, where the rows do not say."""
    source: Publisher
    """Publisher and licence."""
    system: Slug | None = None
    """The source system whose asset codes these are; the feed's name if absent."""
    territory: Territory
    """The place it is about."""
    time_zone: TimeZone
    """The zone in which the source writes times that carry none."""
    connector: Connector = FileConnector()
    """Where the bytes come from."""
    format: FormatSpec = FormatSpec()
    """How the bytes are read."""
    missingValues: list[str] = Field(default_factory=lambda: [""])
    """Texts that mean no value."""
    decimalChar: str = Field(default=".", min_length=1, max_length=1)
    """Decimal mark."""
    dates: list[str] = Field(default_factory=list)
    """strptime patterns, tried in order, for dates whose field states none; ISO 8601 when empty."""
    fields: list[FieldSpec] = Field(default_factory=list)
    """The source's columns. For a format that is decoded: the properties that need a word, a personal one or one whose unit the messages do
    not say."""
    mapping: dict[str, Mapping] = Field(default_factory=dict)
    """How each canonical column is filled; none for a format that is decoded."""
    measures: list[Measure] = Field(default_factory=list)
    """Columns of a wide table that become observations (contract observation). For a format that is decoded: properties that the lake calls
    otherwise, and their bounds."""
    filter: str | None = None
    """SQL condition; records outside it are rejected as out of scope."""
    indicators: IndicatorRules = IndicatorRules()
    """How the indicators read this feed."""
    schedule: str | None = None
    """When it is fetched: cron, in the territory's zone."""
    freshness: Duration | None = None
    """How old the last landing may be."""
    retention: Duration | None = None
    """How long raw rows are kept; for ever if absent."""
    message_retention: Duration = dt.timedelta(days=30)  # long enough to notice that a feed is read wrongly, and to replay it
    """How long messages of a stream are kept as they were received, beside their rows, to be replayed."""
    alerts: bool = False
    """Whether landed rows can raise alarms."""

    @property
    def source_system(self) -> str:
        """The system whose asset codes this feed uses: assets are keyed (source, asset_ref)."""
        return self.system or self.feed

    @property
    def is_decoded(self) -> bool:
        """Whether the format says by itself what its messages hold: no column is mapped."""
        return self.format.type in WIRE_FORMATS

    @property
    def canonical(self) -> Contract:
        """The canonical contract this feed is translated into."""
        return CONTRACTS[self.contract]

    @property
    def personal_columns(self) -> frozenset[str]:
        """The source's columns that may never enter the main lake: those declared so, and what its format knows to be personal."""
        declared = {f.name: f.classification for f in self.fields}
        of_format = FORMATS[self.format.type].personal if self.is_decoded else frozenset()
        return frozenset(n for n, c in declared.items() if c == "personal") | {n for n in of_format if n not in declared}

    def field(self, name: str) -> FieldSpec:
        """Return the declaration of a source column.

        Raises:
            KeyError: the column is not declared.
        """
        for spec in self.fields:
            if spec.name == name:
                return spec
        raise KeyError(name)
