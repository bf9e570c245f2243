"""The connector part of a feed contract: where the bytes come from.

Here: what is declared. Not here: fetching (`ingestion.connectors`), the value of a secret (the instance's settings).
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from ingestion.feeds.model_base import Duration, Model, SecretName, TimeZone

# A first load of ten years by the minute is five million requests; anything shorter is a typing error.
_SHORTEST_SPAN = dt.timedelta(minutes=1)


class FileConnector(Model):
    """Files: a path, a folder or a glob; local, `s3://bucket/…` or `sftp://host/…`."""

    type: Literal["file"] = "file"
    """The kind of source."""
    path: str | None = None
    """Path, folder or glob; absent when files are given by hand to `vigie ingest`."""
    secret: SecretName | None = None
    """The name of the secret that opens the S3 bucket or the SFTP server, never its value."""


class Paginator(Model):
    """How a REST source hands over its pages (dlt's names)."""

    type: Literal["single_page", "page_number", "offset", "cursor", "json_link", "header_link"]
    """The way pages follow each other."""
    param: str | None = None
    """The request parameter that carries the page number, the offset or the cursor."""
    path: str | None = None
    """Where the next link or cursor stands in the answer (JSON path)."""
    limit: int | None = Field(default=None, ge=1)
    """Records asked for in one page."""
    base: int = 0
    """The number of the first page."""
    total_path: str | None = None
    """Where the total stands in the answer (JSON path)."""


class Incremental(Model):
    """Only what is newer than the last landing is asked for: `cursor` in the records, `param` in the request."""

    cursor: str
    """The column of the records that grows."""
    param: str | None = None
    """The request parameter that receives the last value (REST)."""
    initial: str
    """The value asked from the first time."""
    lag: Duration = dt.timedelta(0)
    """How far back each time, for records that arrive late."""


class Window(Model):
    """What was asked for up to the last landing is not asked for again: the source is read from then to now, a span at a time.

    For servers that take a range of dates (Open311 `start_date`, `end_date`), or the instant of the last change (`updated_after`).
    """

    start_param: str
    """The request parameter that receives the window's start."""
    end_param: str | None = None
    """The request parameter that receives its end; absent, one request asks for all since the start."""
    initial: str
    """Where reading starts the first time, and before which nothing is ever asked for: a date or an instant (ISO 8601)."""
    span: Duration | None = None
    """The longest window the server takes (Open311: `P90D`); longer ones are split, and each is landed on its own."""
    lag: Duration = dt.timedelta(0)
    """How far back each time before the end of the last window: for records that appear late, or change without being dated again."""
    format: str = "iso"
    """How instants are written: `iso` (2026-01-31T13:00:00Z), `epoch`, `epoch_ms`, or a strftime pattern (`%Y-%m-%d`)."""
    time_zone: TimeZone = "UTC"
    """The zone that instants are written in, and that `initial` is in when it carries none."""

    @field_validator("initial")
    @classmethod
    def _is_instant(cls, initial: str) -> str:
        try:
            dt.datetime.fromisoformat(initial)
        except ValueError as error:
            raise ValueError(f"{initial!r} is neither a date nor an instant of ISO 8601 (2026-01-01, 2026-01-01T08:00:00Z)") from error
        return initial

    @field_validator("format")
    @classmethod
    def _is_format(cls, written: str) -> str:
        if written not in {"iso", "epoch", "epoch_ms"} and "%" not in written:
            raise ValueError(f"{written!r} is none of iso, epoch, epoch_ms, and no strftime pattern (%Y-%m-%d)")
        if "%s" in written:
            raise ValueError("%s depends on the machine's zone: write epoch")
        return written

    @model_validator(mode="after")
    def _moves(self) -> Self:
        if self.span is not None and self.end_param is None:
            raise ValueError("span needs end_param: a window without an end cannot be split")
        if self.span is not None and self.span < _SHORTEST_SPAN:
            raise ValueError("span must be a minute at least")
        if self.lag < dt.timedelta(0):
            raise ValueError("lag must not be negative")
        return self


class Auth(Model):
    """How a REST source is authenticated; the secret is named, never written."""

    type: Literal["bearer", "basic", "api_key"]
    """The scheme; the secret of `basic` is `user:password`."""
    secret: SecretName
    """The name of the secret."""
    name: str = "Authorization"
    """Header or parameter that carries an `api_key`."""
    location: Literal["header", "query"] = "header"
    """Where an `api_key` goes."""


class RestConnector(Model):
    """A REST source, read by dlt: paging, retry, incremental cursor.

    A document that is read by one request (`paginator: {type: single_page}`, or `body: as_is` without paginator) is asked for with what
    its server told of it the last time (ETag, Last-Modified): unchanged, it is not fetched again.
    """

    type: Literal["rest"]
    """The kind of source."""
    base_url: str
    """Address of the service, without credentials."""
    path: str
    """Path of the resource."""
    params: dict[str, str | int] = Field(default_factory=dict)
    """Request parameters that are not secret."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Request headers that are not secret."""
    data_selector: str | None = None
    """Where the records stand in the answer (JSON path)."""
    paginator: Paginator | None = None
    """How the pages follow each other."""
    incremental: Incremental | None = None
    """How only what is new is asked for."""
    window: Window | None = None
    """How a range of dates is asked for, instead of `incremental`."""
    body: Literal["json", "as_is"] = "json"
    """`as_is`: answers are kept as they come, for formats that are decoded and are not JSON (XML, Atom, protobuf); the answers to one
    window are one file."""
    auth: Auth | None = None
    """How the source is authenticated."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.incremental is not None and self.window is not None:
            raise ValueError("give either incremental or window")
        if self.body == "as_is":
            if self.incremental is not None or self.data_selector is not None:
                raise ValueError("body: as_is keeps answers unread: take out incremental and data_selector (window asks for what is new)")
            if self.paginator is not None and self.paginator.type in ("cursor", "json_link"):
                raise ValueError("body: as_is finds no next page inside an answer: page_number, offset, header_link or single_page")
        return self


class SqlConnector(Model):
    """A table or a query of another database; the secret holds the SQLAlchemy address."""

    type: Literal["sql"]
    """The kind of source."""
    secret: SecretName
    """The name of the secret that holds the database's address (`postgresql://…`)."""
    table: str | None = None
    """The table to read; or `query`."""
    schema_name: str | None = Field(default=None, alias="schema")
    """The schema of the table."""
    query: str | None = None
    """The query to read; or `table`."""
    incremental: Incremental | None = None
    """How only what is new is asked for."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either table or query")
        return self


class StreamConnector(Model):
    """Messages that equipment and systems send by themselves: over MQTT, or by HTTP (`POST /ingest/FEED`).

    Each feed has a user and a password of its own, generated by the instance; `vigie feeds access FEED` shows how to connect.
    """

    type: Literal["stream"]
    """The kind of source."""
    topics: list[str] = Field(default_factory=list)
    """MQTT topic filters the equipment publishes to (`lights/+/state`, `application/#`); empty when it only sends by HTTP. One asset
    should keep to one topic: messages of one topic stay in order."""

    @field_validator("topics")
    @classmethod
    def _filters(cls, topics: list[str]) -> list[str]:
        for topic in topics:
            levels = topic.split("/")
            if not topic or any(not level or re.search(r"[\s\x00*>]", level) for level in levels):
                raise ValueError(f"{topic!r} is not an MQTT topic filter (levels between slashes, none empty, no space, * or >)")
            if levels[0] in ("+", "#") or levels[0].startswith(("$", "_")):
                raise ValueError(f"{topic!r}: the first level must be a name of its own, so that feeds can be told apart")
            if any(("+" in level and level != "+") or ("#" in level and level != "#") for level in levels) or "#" in levels[:-1]:
                raise ValueError(f"{topic!r}: + stands for one whole level, # for all that follow")
        return topics


Connector = Annotated[FileConnector | RestConnector | SqlConnector | StreamConnector, Field(discriminator="type")]
