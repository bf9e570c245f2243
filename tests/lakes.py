"""Fresh lakes for tests of landings: one PostgreSQL per test process, one metadata schema and folder per test.

Here: the fixtures and what describes a lake's content. Not here: tests. A module that uses them says
`pytest_plugins = ("tests.lakes",)`.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import duckdb
import psycopg
import pytest

from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import EngineLimits, connect
from ingestion.lake.tables import create_lake, create_personal_lake, raw_tables
from ingestion.lake.writer import Landed
from ingestion.landing import land_file
from orchestration.services import postgres
from orchestration.settings import READER_ROLE, Settings, create_local

LIMITS: Final = EngineLimits(memory_limit="1GB", threads=2)
_NUMBERS = itertools.count(1)

# What may differ between two lakes of the same content: when, and under which random name.
_VOLATILE: Final = {"landing_id", "received_at", "started_at"}

HEADER: Final = """\
feed: {name}
title: Essai
contract: {contract}
domain: EP
owner: {{name: Service}}
steward: {{name: Référente}}
source: {{publisher: Ville, licence: internal}}
territory: {{code: chalons, name: Châlons, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}}
"""


@dataclass(frozen=True)
class Lakes:
    """A main lake, its personal lake and its reader's address, all of one test."""

    main: LakeAddress
    personal: LakeAddress
    reader: LakeAddress
    folder: Path

    def feed(self, name: str, contract: str, body: str) -> Feed:
        """Read a feed contract through the product's own loader: the common keys, then `body`."""
        path = self.folder / f"{name}.yaml"
        path.write_text(HEADER.format(name=name, contract=contract) + textwrap.dedent(body), encoding="utf-8")
        return load_feed(path)

    def file(self, name: str, content: str | bytes) -> Path:
        """Write a file to be landed."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def land(self, feed: Feed, path: Path, **options: Any) -> Landed:
        """Land a file."""
        return land_file(feed, path, lake=self.main, personal=self.personal, limits=options.pop("limits", LIMITS), **options)

    def query(self, sql: str, parameters: list[object] | None = None) -> list[tuple[Any, ...]]:
        """Query the main lake with every right."""
        with connect(self.main, limits=LIMITS, read_only=True) as con:
            return con.execute(sql, parameters or []).fetchall()

    def query_personal(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the personal lake with every right."""
        with connect(self.personal, limits=LIMITS, read_only=True) as con:
            return con.execute(sql).fetchall()


def checksums(lakes: Lakes) -> dict[str, tuple[int, int]]:
    """Return (rows, sum of row hashes) per raw table, over every column that two equal lakes share."""
    found: dict[str, tuple[int, int]] = {}
    with connect(lakes.main, limits=LIMITS, read_only=True) as con:
        for name, columns in raw_tables().items():
            kept = ", ".join(f'"{c}"' for c in columns if c not in _VOLATILE)
            rows = con.execute(f'SELECT count(*), coalesce(sum(hash({kept})::HUGEINT), 0) FROM lake.raw."{name}"').fetchall()
            found[name] = (int(rows[0][0]), int(rows[0][1]))
    return found


@pytest.fixture(scope="session")
def lake_server(tmp_path_factory: pytest.TempPathFactory, extension_directory: Path) -> Iterator[Settings]:
    """One PostgreSQL for every test of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIGIE_EXTENSION_DIRECTORY", str(extension_directory))
        settings = create_local(tmp_path_factory.mktemp("lakes") / "home")
        with postgres.running(settings):
            yield settings


@pytest.fixture
def lakes(lake_server: Settings, tmp_path: Path) -> Iterator[Lakes]:
    """A fresh main lake and personal lake."""
    found = make_lakes(lake_server, tmp_path)
    yield found
    drop_lakes(found)


def make_lakes(settings: Settings, folder: Path) -> Lakes:
    """Create a main lake and a personal lake in a metadata schema and a folder of their own."""
    schema = f"lake_{next(_NUMBERS)}"
    originals = folder / f"{schema}-originals"
    main = replace(settings.lake, metadata_schema=schema, data_path=str(folder / schema), originals_path=originals)
    personal_path = str(folder / f"{schema}-personal")
    personal = replace(settings.personal_lake, metadata_schema=schema, data_path=personal_path, originals_path=originals)
    reader = replace(settings.reader_lake, metadata_schema=schema, data_path=main.data_path, originals_path=originals)
    with psycopg.connect(main.dsn, autocommit=True) as pg:
        pg.execute(f"CREATE SCHEMA {schema}")
        pg.execute(f"GRANT USAGE ON SCHEMA {schema} TO {READER_ROLE}")
        pg.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {READER_ROLE}")
    create_lake(main)
    create_personal_lake(personal)
    return Lakes(main, personal, reader, folder)


def drop_lakes(lakes: Lakes) -> None:
    """Drop the catalogues; the files go with the test's folder."""
    for address in (lakes.main, lakes.personal):
        with psycopg.connect(address.dsn, autocommit=True) as pg:
            pg.execute("SET client_min_messages = warning")
            pg.execute(f"DROP SCHEMA {address.metadata_schema} CASCADE")


def engine(extension_directory: Path) -> duckdb.DuckDBPyConnection:
    """Open an engine without a lake."""
    from ingestion.lake.session import open_engine

    return open_engine(extension_directory, LIMITS)
