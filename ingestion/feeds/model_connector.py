"""The connector part of a feed contract: where the bytes come from.

Here: what is declared. Not here: fetching (`ingestion.connectors`), the value of a secret (the instance's settings).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ingestion.feeds.model_base import Duration, Model, SecretName


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
    """A REST source, read by dlt: paging, retry, incremental cursor."""

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
    auth: Auth | None = None
    """How the source is authenticated."""


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


Connector = Annotated[FileConnector | RestConnector | SqlConnector, Field(discriminator="type")]
