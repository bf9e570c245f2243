"""A small town of our own: feed contracts of every kind, files by batch, and `vigie` as a person calls it.

Here: what the tests of ingest and build share. Not here: tests. A module that uses its fixtures says
`pytest_plugins = ("tests.town",)`.

Everything is made up, and small enough for its answers to be worked out by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from ingestion.lake.session import EngineLimits, connect
from orchestration.dbt import project
from orchestration.services import postgres
from orchestration.settings import Settings, create_local

VIGIE: Final = str(Path(sys.executable).with_name("vigie"))
LIMITS: Final = EngineLimits(memory_limit="512MB", threads=2)
# The instant at which the town is judged: what is still open then has the same age whenever the tests run.
AS_OF: Final = "2025-05-01T00:00:00+00:00"
# A build waits for the one before it, each up to some minutes on a machine that tests; the tests bound the whole.
_TIMEOUT_S: Final = 600

_HEADER: Final = """\
feed: {name}
title: Essai
contract: {contract}
domain: EP
owner: {{name: Service}}
steward: {{name: Référente}}
system: town
source: {{publisher: Ville, licence: internal}}
territory: {{code: town, name: Ville, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}}
time_zone: Europe/Paris
"""

FEEDS: Final[dict[str, tuple[str, str]]] = {
    "town-assets": (
        "asset",
        """\
fields: [{name: code}, {name: kind}, {name: commune}, {name: watts, type: number, unit: W}, {name: since, type: date}]
mapping: {asset_ref: code, asset_type: kind, commune: commune, rated_power_w: watts, effective_at: since}
""",
    ),
    "town-states": (
        "observation",
        """\
fields: [{name: code}, {name: at, type: datetime}, {name: state}]
mapping: {asset_ref: code, observed_at: at}
measures: [{column: state, property: state, text: true}]
indicators:
  states: [{property: state, failed: [out], ok: ["on"], communication_lost: [lost], fault_type: lamp-out}]
  flap_window: PT10M
""",
    ),
    "town-reports": (
        "report",
        """\
fields:
  - {name: id}
  - {name: opened, type: datetime}
  - {name: closed, type: datetime}
  - {name: category}
  - {name: kind}
  - {name: caller, classification: personal}
mapping: {report_ref: id, opened_at: opened, closed_at: closed, category: category, subcategory: kind, description: caller}
indicators:
  faults: [{category: Lights, subcategory: "Burnt_Out*", fault_type: lamp-out, asset_type: light-point}]
""",
    ),
    "town-works": (
        "intervention",
        """\
fields: [{name: id}, {name: code}, {name: asked, type: datetime}, {name: arrived, type: datetime}, {name: restored, type: datetime}]
mapping:
  intervention_ref: id
  asset_ref: code
  requested_at: asked
  arrived_at: arrived
  restored_at: restored
  kind: {constant: curative}
  fault_type: {constant: lamp-out}
""",
    ),
    "town-meters": (
        "energy_reading",
        """\
fields: [{name: meter}, {name: from, type: datetime}, {name: to, type: datetime}, {name: kwh, type: number, unit: kW.h}]
mapping: {meter_ref: meter, start_at: from, end_at: to, energy_wh: kwh}
""",
    ),
}


@dataclass(frozen=True)
class Called:
    """A call of `vigie` that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document; a word beside it is an error."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Town:
    """An instance whose contracts are those of the town."""

    settings: Settings
    files: Path

    def vigie(self, *words: str, check: bool = True) -> Called:
        """Call `vigie` and wait for its end.

        Raises:
            AssertionError: it failed, and `check` says that it must not.
        """
        done = subprocess.run(
            [VIGIE, *words, "--home", str(self.settings.home)], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return Called(done.returncode, done.stdout, done.stderr)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the lake with every right."""
        with postgres.running(self.settings), connect(self.settings.lake, limits=LIMITS, read_only=True) as con:
            return con.execute(sql).fetchall()

    def batch(self, number: int) -> dict[str, Path]:
        """Write the files of one batch (a month), by feed; the same number gives the same files."""
        found = {}
        for feed, rows in _batch(number).items():
            path = self.files / f"{feed}-{number}.csv"
            path.write_text("\n".join(rows) + "\n", encoding="utf-8")
            found[feed] = path
        return found


def make_town(home: Path, files: Path, *, target: Path | None = None) -> Town:
    """Create an instance with the town's contracts.

    Args:
        home: its folder.
        files: where its files are written.
        target: dbt artefacts of another instance, so that the project is not parsed again.
    """
    settings = create_local(home)
    files.mkdir(parents=True, exist_ok=True)
    for name, (contract, body) in FEEDS.items():
        (settings.feeds_path / f"{name}.yaml").write_text(_HEADER.format(name=name, contract=contract) + body, encoding="utf-8")
    if target is not None:
        settings.dbt_target_path.mkdir(parents=True)
        for name in ("manifest.json", "manifest.digest", "partial_parse.msgpack"):
            shutil.copy(target / name, settings.dbt_target_path / name)
    return Town(settings, files)


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory, extension_directory: Path) -> Path:
    """The dbt project parsed once per test process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIGIE_EXTENSION_DIRECTORY", str(extension_directory))
        patch.setenv("VIGIE_DASHBOARDS", "off")
        settings = create_local(tmp_path_factory.mktemp("parsed") / "home")
        project.ensure_manifest(settings)
    return settings.dbt_target_path


@pytest.fixture(scope="session")
def new_town(tmp_path_factory: pytest.TempPathFactory, parsed: Path, extension_directory: Path) -> Iterator[Callable[[str], Town]]:
    """Make towns that outlive a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("VIGIE_", "DAGSTER_", "DBT_")):
                patch.delenv(name)
        patch.setenv("VIGIE_EXTENSION_DIRECTORY", str(extension_directory))
        patch.setenv("VIGIE_DASHBOARDS", "off")

        def make(name: str) -> Town:
            folder = tmp_path_factory.mktemp(name)
            return make_town(folder / "home", folder / "files", target=parsed)

        yield make


def _batch(number: int) -> dict[str, list[str]]:
    """The rows of a month, January for 0: each batch revises something of the one before, and repeats some rows."""
    month = f"2025-{number + 1:02d}"
    reports = ["id,opened,closed,category,kind,caller"]
    for day in range(1, 21):
        closed = f"{month}-{day + 2:02d} 09:30:00" if day % 5 else ""  # one in five stays open
        kind = "Burnt_Out now" if day % 2 else "BurntXOut"  # `_` is an underscore, not any character
        reports.append(f"R{number}-{day},{month}-{day:02d} 08:00:00,{closed},Lights,{kind},Madame {day}")
    reports.append(f"R{number}-21,{month}-21 08:00:00,{month}-20 08:00:00,Lights,Other,Closed before opened")
    reports.append(f"R{number}-22,not a date,,Lights,Other,Rejected")
    reports.append(reports[1])  # a repeat
    states = ["code,at,state"]
    for lamp in range(4):
        for day in range(1, 25):
            state = "out" if (day + lamp) % 8 in (3, 4) else "lost" if (day + lamp) % 12 == 0 else "on"
            states.append(f"L{lamp},{month}-{day:02d} 22:00:00,{state}")
    meters = ["meter,from,to,kwh"]
    for day in range(1, 25):
        for hour in range(0, 24, 6):
            end = f"{month}-{day:02d} {hour + 6:02d}:00:00" if hour < 18 else f"{month}-{day + 1:02d} 00:00:00"
            meters.append(f"M1,{month}-{day:02d} {hour:02d}:00:00,{end},{day + hour / 10}")
    assets = ["code,kind,commune,watts,since", f"C1,cabinet,Ville,,{month}-01"]
    assets += [f"L{n},light-point,Ville,{60 + number * 10},{month}-01" for n in range(4)]
    works = ["id,code,asked,arrived,restored"]
    works += [
        f"W{number}-{d},L{d % 4},{month}-{d:02d} 10:00:00,{month}-{d:02d} 12:00:00,{month}-{d + 1:02d} 10:00:00" for d in range(2, 20, 3)
    ]
    if number:  # the month before comes back: a case that was open is closed, a reading is corrected
        before = f"2025-{number:02d}"
        reports.append(f"R{number - 1}-5,{before}-05 08:00:00,{month}-02 08:00:00,Lights,Burnt_Out now,Madame 5")
        meters.append(f"M1,{before}-03 06:00:00,{before}-03 12:00:00,99")
    return {"town-assets": assets, "town-states": states, "town-reports": reports, "town-works": works, "town-meters": meters}


# Columns that say when or in which order something was stored: they differ between two lakes of the same content.
_WHEN: Final = (
    *("landing_seq", "landing_id", "received_at", "received_on", "started_at", "contract_digest"),
    *("first_landing_at", "last_landing_at", "longest_gap_seconds", "first_received_at", "last_received_at"),
    *("hours_since_landing", "longest_silence_hours"),
)


def fingerprint(town: Town) -> dict[str, tuple[int, int]]:
    """Return (rows, sum of row hashes) of every published table, and the ledger's totals by feed."""
    found: dict[str, tuple[int, int]] = {}
    with postgres.running(town.settings), connect(town.settings.lake, limits=LIMITS, read_only=True) as con:
        con.execute("USE lake")
        columns = con.execute(
            "SELECT schema_name, table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
            "WHERE database_name = 'lake' AND schema_name IN ('core', 'indicators', 'open_data') GROUP BY ALL"
        ).fetchall()
        for schema, table, names in columns:
            kept = ", ".join(f'"{n}"' for n in names if n not in _WHEN)
            rows = con.execute(f'SELECT count(*), coalesce(sum(hash({kept})::HUGEINT), 0) FROM {schema}."{table}"').fetchall()[0]
            found[f"{schema}.{table}"] = (int(rows[0]), int(rows[1]))
        ledger = con.execute(
            "SELECT feed, sum(received), hash(sum(stored), sum(duplicate), sum(rejected), sum(rejected_values), sum(canonical_rows)) "
            "FROM raw.landing GROUP BY feed"
        ).fetchall()
        found |= {f"ledger of {feed}": (int(received), int(counts)) for feed, received, counts in ledger}
    return found
