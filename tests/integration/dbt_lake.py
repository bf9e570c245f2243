"""A scratch lake for the tests of the dbt project: raw and reference tables, landings by hand, dbt.

Here: what those tests share. Not here: tests; the product's own writer, which has tests of its own: the models are
tested on rows written by hand, so that a fault of the writer cannot hide one of theirs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from ingestion.contracts.canonical import CONTRACTS
from ingestion.lake import reference
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import attach, open_engine
from ingestion.lake.tables import create_lake
from orchestration.settings import Settings

PROJECT: Final = Path(__file__).resolve().parents[2] / "dbt_project"

Row = Mapping[str, Any]


@dataclass
class Lake:
    """A scratch lake: landings by hand, dbt on it, queries.

    Attributes:
        address: where it is.
        home: folder of its files.
        landing_seq: the number of the last landing.
    """

    address: LakeAddress
    home: Path
    landing_seq: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, settings: Settings) -> Lake:
        """Make the raw and reference tables of an instance whose PostgreSQL runs."""
        create_lake(settings.lake)
        environment = {
            **settings.environment(),
            "VIGIE_EXTENSION_DIRECTORY": str(settings.extension_directory),
            "DBT_ENV_SECRET_VIGIE_LAKE_DSN": settings.lake.dsn,
            "DBT_PROFILES_DIR": str(PROJECT),
            "DBT_PROJECT_DIR": str(PROJECT),
        }
        lake = cls(settings.lake, settings.home, environment=environment)
        with lake.connect() as con:
            reference.create(con)
        return lake

    @contextlib.contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open DuckDB with the lake attached as `lake`."""
        con = open_engine(self.address.extension_directory)
        try:
            attach(con, self.address)
            yield con
        finally:
            con.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return a query's rows."""
        with self.connect() as con:
            return con.execute(sql).fetchall()

    def refer(self, **tables: Sequence[Row]) -> None:
        """Replace reference tables as a whole."""
        with self.connect() as con:
            for table, rows in tables.items():
                con.execute(f"DELETE FROM lake.raw.{table}")
                _append(con, table, rows)

    def land(self, contract: str, feed: str, rows: Sequence[Row], *, received_at: str = "2025-03-01T00:00:00Z") -> int:
        """Append one landing and its ledger line, in one transaction; returns its number.

        Values are as DuckDB reads them from text; `source` is the feed's name unless a row gives it.
        """
        assert contract in CONTRACTS
        self.landing_seq += 1
        received = dt.datetime.fromisoformat(received_at)
        provenance = {
            "feed": feed,
            "landing_seq": self.landing_seq,
            "received_at": received_at,
            "received_on": received.date().isoformat(),
        }
        with self.connect() as con:
            con.execute("BEGIN")
            _append(con, contract, [{"source": feed, "position": n, **row, **provenance} for n, row in enumerate(rows, 1)])
            counts = {"received": len(rows), "stored": len(rows), "duplicate": 0, "rejected": 0, "rejected_values": 0}
            line = {**provenance, **counts, "contract": contract, "landing_id": f"l{self.landing_seq}", "canonical_rows": len(rows)}
            _append(con, "landing", [line])
            con.execute("COMMIT")
        return self.landing_seq

    def dbt_command(self, *arguments: str, **variables: Any) -> list[str]:
        """The command line of a dbt run on this lake."""
        dbt = Path(sys.executable).with_name("dbt")
        return [str(dbt), "--no-use-colors", *arguments, "--vars", json.dumps({"as_of": "2025-03-01T00:00:00Z", **variables})]

    def dbt(self, *arguments: str, check: bool = True, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run dbt to its end.

        Raises:
            AssertionError: it failed; the message is what it said.
        """
        done = subprocess.run(
            self.dbt_command(*arguments, **variables),
            env=os.environ | self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        return done


def _append(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    for row in rows:
        names = ", ".join(f'"{name}"' for name in row)
        con.execute(f"INSERT INTO lake.raw.{table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
