"""Where a lake is: the one value every process needs to reach it.

Here: addresses, without a connection. Not here: how an instance chooses them (`orchestration.settings`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class S3Access:
    """How the lake's files are reached when they are on S3."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    use_tls: bool = True
    region: str = "us-east-1"


@dataclass(frozen=True)
class LakeAddress:
    """One DuckLake: its catalogue in PostgreSQL and its data files.

    Attributes:
        catalogue_url: `postgresql://user:password@host:port/database`.
        data_path: folder or `s3://bucket/prefix` of the Parquet files.
        extension_directory: where DuckDB's extensions were installed from their wheels.
        originals_path: folder of the files as they were received, by digest; never attached by readers.
        s3: how to reach `data_path` when it is on S3.
    """

    catalogue_url: str = field(repr=False)
    data_path: str
    extension_directory: Path
    originals_path: Path
    s3: S3Access | None = None
    metadata_schema: str = "lake"

    @property
    def dsn(self) -> str:
        """The catalogue's address in libpq's keyword form, as DuckLake takes it. It holds the password: never print it."""
        parts = urlsplit(self.catalogue_url)
        fields = {
            "host": parts.hostname,
            "port": parts.port,
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "dbname": parts.path.removeprefix("/"),
        }
        return " ".join(f"{k}={_quoted(str(v))}" for k, v in fields.items() if v not in (None, ""))


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" if any(c in value for c in " '\\") else value
