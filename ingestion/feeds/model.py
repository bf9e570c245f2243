"""The feed contract: what an integrator declares, in one YAML file, to plug a source in without code.

Here: the typed shape of a contract and the rules that one file can break by itself. Not here: reading YAML and naming
the faulty line (`load`), drafting a contract from a file (`draft`), turning a mapping into SQL (`ingestion.mapping`).

Fields follow the vocabulary of Frictionless Table Schema (`name`, `type`, `format`, `missingValues`, `decimalChar`…),
so that the fields of a national schema can be pasted in as they are. Durations are ISO 8601 (`PT30M`, `P1D`).
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Annotated, Any, Literal, Self

import holidays
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ingestion.contracts.canonical import CONTRACTS, Contract
from ingestion.contracts.units import is_known

Classification = Literal["open", "internal", "personal"]
Domain = Literal["EP", "VP", "SLT", "MOB", "RT", "PAT", "CDV", "EAU", "GRC", "METEO"]
FieldType = Literal[
    "string", "integer", "number", "boolean", "date", "time", "datetime", "year", "geopoint", "geojson", "object", "array", "any"
]


def _zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise ValueError(f"{name!r} is not an IANA time zone (for instance Europe/Paris, UTC)")
    return name


def _holidays(code: str) -> str:
    country, _, subdivision = code.partition("-")
    supported = holidays.list_supported_countries()
    if country not in supported:
        raise ValueError(f"{code!r}: {country!r} is not a country whose public holidays are known (for instance FR, FR-57, US-CA)")
    if subdivision and subdivision not in supported[country]:
        raise ValueError(f"{code!r}: {subdivision!r} is not a subdivision of {country} whose holidays are known")
    return code


def _unit(code: str) -> str:
    if not is_known(code):
        raise ValueError(f"{code!r} is not a UCUM unit this platform converts (docs/units.md lists them)")
    return code


def _shorthand(value: Any) -> Any:
    """`report_ref: CaseID` stands for `report_ref: {column: CaseID}`."""
    return {"column": value} if isinstance(value, str) else value


TimeZone = Annotated[str, AfterValidator(_zone)]
HolidayCalendar = Annotated[str, AfterValidator(_holidays)]
Unit = Annotated[str, AfterValidator(_unit)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=63)]
SecretName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", description="the name of a secret, never its value")]


class Model(BaseModel):
    """Unknown keys are errors: a misspelt key must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Territory(Model):
    """The place whose nights, holidays and contract hours apply."""

    code: Slug
    name: str
    time_zone: TimeZone
    holidays: HolidayCalendar
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)


class Person(Model):
    """Who answers for a feed."""

    name: str
    contact: str | None = None


class Publisher(Model):
    """Where the data comes from, and under which licence."""

    publisher: str
    licence: str
    homepage: str | None = None
    note: str | None = None


class FieldSpec(Model):
    """One column of the source, in Table Schema's words, with its classification.

    `format` is a strptime pattern, or several tried in order; a column that is not listed is neither mapped nor stored.
    """

    name: str
    type: FieldType = "string"
    format: str | list[str] | None = None
    title: str | None = None
    description: str | None = None
    example: Any = None
    classification: Classification = "internal"
    unit: Unit | None = None
    missingValues: list[str] | None = None  # noqa: N815 - Table Schema's own spelling
    decimalChar: str | None = Field(default=None, min_length=1, max_length=1)  # noqa: N815
    groupChar: str | None = Field(default=None, min_length=1, max_length=1)  # noqa: N815
    bareNumber: bool = True  # noqa: N815
    trueValues: list[str] | None = None  # noqa: N815
    falseValues: list[str] | None = None  # noqa: N815
    rdfType: str | None = None  # noqa: N815
    constraints: dict[str, Any] | None = None


class MapTo(Model):
    """How one canonical column is filled: from a column, a constant, or a SQL expression over the columns.

    `values` translates codes (an unlisted code is a rejection unless `other` says what it becomes: a constant, or
    `keep`); `unit` is the source's unit; `offset` shifts an instant; `time_zone` overrides the feed's.
    """

    column: str | None = None
    constant: str | float | bool | None = None
    sql: str | None = None
    values: dict[str, str] | None = None
    other: str | None = None
    unit: Unit | None = None
    format: str | list[str] | None = None
    time_zone: TimeZone | None = None
    offset: dt.timedelta | None = None

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
    property: str
    unit: Unit | None = None
    text: bool = False
    minimum: float | None = None
    maximum: float | None = None


class FormatSpec(Model):
    """How the bytes are read. What is not stated is found out from the content."""

    type: Literal["auto", "csv", "xlsx", "json", "ndjson", "geojson", "parquet", "shapefile"] = "auto"
    encoding: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    quote: str | None = Field(default=None, max_length=1)
    header_row: int | None = Field(default=None, ge=1, description="1 for the first line")
    columns: list[str] | None = Field(default=None, description="names, where the header is missing or wrong")
    sheet: str | int | None = None
    records: str | None = Field(default=None, description="path of the records: a.b for nested arrays, * for an object's values")
    member: str | None = Field(default=None, description="glob of the members to read inside a zip")
    crs: str | None = Field(default=None, description="EPSG code, where the file does not carry it")


class FileConnector(Model):
    """Files: a path, a folder or a glob; local, `s3://bucket/…` or `sftp://host/…`."""

    type: Literal["file"] = "file"
    path: str | None = None
    secret: SecretName | None = None


class Paginator(Model):
    """How a REST source hands over its pages (dlt's names)."""

    type: Literal["single_page", "page_number", "offset", "cursor", "json_link", "header_link"]
    param: str | None = None
    path: str | None = None
    limit: int | None = Field(default=None, ge=1)
    base: int = 0
    total_path: str | None = None


class Incremental(Model):
    """Only what is newer than the last landing is asked for: `cursor` in the records, `param` in the request."""

    cursor: str
    param: str | None = None
    initial: str
    lag: dt.timedelta = dt.timedelta(0)


class Auth(Model):
    """How a REST source is authenticated; the secret is named, never written."""

    type: Literal["bearer", "basic", "api_key"]
    secret: SecretName
    name: str = "Authorization"
    location: Literal["header", "query"] = "header"


class RestConnector(Model):
    """A REST source, read by dlt: paging, retry, incremental cursor."""

    type: Literal["rest"]
    base_url: str
    path: str
    params: dict[str, str | int] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    data_selector: str | None = None
    paginator: Paginator | None = None
    incremental: Incremental | None = None
    auth: Auth | None = None


class SqlConnector(Model):
    """A table or a query of another database, read by dlt; the secret holds the SQLAlchemy address."""

    type: Literal["sql"]
    secret: SecretName
    table: str | None = None
    schema_name: str | None = Field(default=None, alias="schema")
    query: str | None = None
    incremental: Incremental | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either table or query")
        return self


Connector = Annotated[FileConnector | RestConnector | SqlConnector, Field(discriminator="type")]


class StateRule(Model):
    """Which values of a property say that the asset has failed, works, or is not heard."""

    property: str
    failed: list[str] = Field(default_factory=list)
    ok: list[str] = Field(default_factory=list)
    communication_lost: list[str] = Field(default_factory=list)
    failed_below: float | None = None
    failed_above: float | None = None
    fault_type: str


class FaultRule(Model):
    """Which reports or work orders tell of which fault (patterns with `*`, compared without regard to case)."""

    category: str = "*"
    subcategory: str = "*"
    fault_type: str
    asset_type: str | None = None


class Baseline(Model):
    """The declared reference period of a meter's expected consumption; without it there is no verdict."""

    start: dt.date
    end: dt.date
    tolerance_pct: float = Field(gt=0)
    meters: list[str] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end must come after start")
        return self


class IndicatorRules(Model):
    """How the indicators read this feed."""

    states: list[StateRule] = Field(default_factory=list)
    faults: list[FaultRule] = Field(default_factory=list)
    baselines: list[Baseline] = Field(default_factory=list)
    flap_window: dt.timedelta = dt.timedelta(minutes=30)  # two samples of a light that reports each quarter of an hour
    bridges_communication_gap: bool = False


class Feed(Model):
    """One feed contract."""

    feed: Slug
    title: str
    description: str | None = None
    contract: Literal["asset", "observation", "report", "intervention", "energy_reading"]
    domain: Domain
    owner: Person
    steward: Person
    owner_authority: str | None = None
    source: Publisher
    system: Slug | None = Field(default=None, description="the source system whose asset codes these are; the feed's name if absent")
    territory: Territory
    time_zone: TimeZone = Field(description="the zone in which the source writes times that carry none")
    connector: Connector = FileConnector()
    format: FormatSpec = FormatSpec()
    missingValues: list[str] = Field(default_factory=lambda: [""])  # noqa: N815 - Table Schema's own spelling
    decimalChar: str = Field(default=".", min_length=1, max_length=1)  # noqa: N815
    dates: list[str] = Field(default_factory=list, description="strptime patterns, tried in order; ISO 8601 when empty")
    fields: list[FieldSpec] = Field(min_length=1)
    mapping: dict[str, Mapping]
    measures: list[Measure] = Field(default_factory=list)
    filter: str | None = Field(default=None, description="SQL condition; records outside it are rejected as out of scope")
    indicators: IndicatorRules = IndicatorRules()
    schedule: str | None = Field(default=None, description="cron, in the territory's zone")
    freshness: dt.timedelta | None = None
    retention: dt.timedelta | None = Field(default=None, description="how long raw rows are kept; for ever if absent")
    alerts: bool = False

    @property
    def source_system(self) -> str:
        """The system whose asset codes this feed uses: assets are keyed (source, asset_ref)."""
        return self.system or self.feed

    @property
    def canonical(self) -> Contract:
        """The canonical contract this feed is translated into."""
        return CONTRACTS[self.contract]

    @property
    def personal_columns(self) -> frozenset[str]:
        """The source's columns that may never enter the main lake."""
        return frozenset(f.name for f in self.fields if f.classification == "personal")

    def field(self, name: str) -> FieldSpec:
        """Return the declaration of a source column.

        Raises:
            KeyError: the column is not declared.
        """
        for spec in self.fields:
            if spec.name == name:
                return spec
        raise KeyError(name)
