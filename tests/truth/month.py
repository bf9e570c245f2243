"""A month and more of a simulated town, landed and built by the product itself, and the truth of what happened in it.

Here: the instance, what was published of it, the truth, and rules of reading both. Not here: tests. A module that uses the
fixture says `pytest_plugins = ("tests.truth.month",)`.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import pickle
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow.parquet as pq
import pytest

from ingestion.feeds.registry import find_feed
from ingestion.lake.reader import run_query
from ingestion.lake.session import EngineLimits, connect
from ingestion.simulator import behaviour, history, inventory, maps, truth
from ingestion.simulator import town as town_systems
from ingestion.simulator.presets import Preset, preset
from ingestion.simulator.world import World
from orchestration import building, ingest
from orchestration.services import locks, postgres
from orchestration.services.prepare import prepare
from orchestration.settings import Settings, create_local

Row = dict[str, Any]
Span = tuple[dt.datetime, dt.datetime]

# From 22 February to Easter Tuesday 2026 (local midnights): March is whole, the clocks change in it, Easter Monday is a holiday.
# The week before lets failures that were open at the start count in February; in the one after what March left open is repaired.
START: Final = dt.datetime(2026, 2, 21, 23, tzinfo=dt.UTC)
END: Final = dt.datetime(2026, 4, 7, 22, tzinfo=dt.UTC)
MONTH: Final = dt.date(2026, 3, 1)
# Of some thousand seeds, one whose month holds every phenomenon: a failure that ends while nothing can be heard, a lamp that is out
# before and after its radio is not heard, failures open at the end (`test_the_month_holds_every_phenomenon`).
SEED: Final = 2722
# A piloted light and a cabinet are asked each quarter of an hour.
SAMPLING: Final = dt.timedelta(seconds=behaviour.SAMPLING)
# What is observed may arrive as late as this: a message late by itself, on top of a concentrator that kept it and catches up.
LATEST: Final = dt.timedelta(seconds=behaviour.LATE_MOST + behaviour.GATEWAY[2] + behaviour.CATCH_UP)
# A record is sent three seconds after it changes, or three hours later where its system was offline.
PAPER_LATEST: Final = dt.timedelta(seconds=behaviour.RECORD_LATENCY + behaviour.RECORD_LATE_MOST)
# No failure lasts 55 days (`behaviour.LONGEST`), and its papers end within days after it.
BEFORE: Final = dt.timedelta(days=70)

# What the month is about: lighting, its electricity and its papers. Other equipment: `test_equipment`.
FEEDS: Final = tuple(feed for feed in inventory.FEEDS if feed not in {*town_systems.SYSTEMS, inventory.EQUIPMENT_FEED})
# Tables as people read them, and as `vigie sql` would.
_PUBLISHED: Final = (
    "core.commune",
    "core.failure_episode",
    "core.failure_evidence",
    "indicators.citizen_relation_monthly",
    "indicators.failure_by_asset",
    "indicators.failure_frequency_monthly",
    "indicators.energy_overconsumption_daily",
    "indicators.energy_overconsumption_monthly",
    "indicators.intervention_time_case",
    "indicators.intervention_time_monthly",
    "indicators.prevention_monthly",
    "indicators.territory_overview_monthly",
)
# Making the month takes a minute and a half on two cores; on a machine that does much else, several times that.
_MAKING_TIMEOUT_S: Final = 600
TIMEOUT: Final = pytest.mark.timeout(_MAKING_TIMEOUT_S)
_LIMITS: Final = EngineLimits(memory_limit="1GB", threads=2)


def town() -> Preset:
    """A town with every phenomenon in a month, at half the messages of `chalons`: as many cabinets, and fewer lights on each."""
    size = preset(4_000)
    return Preset("town", size.title, size.authority, size.latitude, size.longitude, size.communes, 4_000, 1_200, 100, 20.0)


@dataclass(frozen=True)
class Month:
    """What was published, and what happened.

    Attributes:
        said: published table to its rows.
        truth: table of the truth (docs/simulator.md) to its rows.
        assets: the inventory's lines, by asset_ref.
        ledger: feed to its sums of received, stored, duplicate and rejected records, and of rejected values.
        sent: feed to (records that history and inventories hold, those among them that repeat another).
    """

    said: dict[str, list[Row]]
    truth: dict[str, list[Row]]
    assets: dict[str, dict[str, str]]
    ledger: dict[str, dict[str, int]]
    sent: dict[str, tuple[int, int]]

    @cached_property
    def failures(self) -> dict[str, Row]:
        """True failures and losses of communication, by key."""
        return {f["failure_key"]: f for f in self.truth["failures"]}

    @cached_property
    def cases(self) -> dict[str, Row]:
        """True cases, by the key of their failure."""
        return {c["failure_key"]: c for c in self.truth["cases"]}

    @cached_property
    def hidden_lights(self) -> dict[str, list[Span]]:
        """Cabinet to when its lights are silent: its concentrator stopped or without network and memory, or no supply."""
        return self._hidden(lambda f: f["fault_type"] == "cabinet-dark" or _is_silent_gateway(f))

    @cached_property
    def hidden_cabinets(self) -> dict[str, list[Span]]:
        """Cabinet to when it is silent itself: its concentrator stopped, and keeps nothing (its battery tells of a lost supply)."""
        return self._hidden(_is_silent_gateway)

    @cached_property
    def unheard(self) -> dict[str, list[Span]]:
        """Light to when its concentrator speaks in its place."""
        found = defaultdict(list)
        for f in self.truth["failures"]:
            if f["kind"] == "communication_loss" and f["asset_type"] == "streetlight":
                found[f["asset_ref"]].append((f["started_at"], f["ended_at"]))
        return found

    def _hidden(self, hides: Callable[[Row], bool]) -> dict[str, list[Span]]:
        found = defaultdict(list)
        for f in self.truth["failures"]:
            if hides(f):
                found[f["cabinet_ref"]].append((f["started_at"], f["ended_at"]))
        return found

    def hides(self, failure: Row) -> list[Span]:
        """Return when what a piloted failure's equipment says of it cannot be heard at all, in order."""
        if failure["asset_type"] == "cabinet":
            return sorted(self.hidden_cabinets.get(failure["cabinet_ref"], []))
        own = self.unheard.get(failure["asset_ref"], []) if failure["kind"] == "failure" else []
        return sorted([*self.hidden_lights.get(failure["cabinet_ref"], []), *own])

    def heard_by(self, failure: Row, at: dt.datetime) -> dt.datetime:
        """Return by when the first sample at or after `at` is taken: a quarter of an hour later, or that long after what hides it."""
        by = at + SAMPLING
        for start, end in self.hides(failure):
            if start < by and end > at:
                by = max(by, end + SAMPLING)
        return by


def _is_silent_gateway(failure: Row) -> bool:
    return failure["kind"] == "communication_loss" and failure["asset_type"] == "cabinet" and not failure["are_messages_kept"]


def ref_of(asset_key: str | None) -> str | None:
    """Return the asset_ref of a platform's key.

    >>> ref_of("simulation:urn:ngsi-ld:Streetlight:C032-D2-017")
    'urn:ngsi-ld:Streetlight:C032-D2-017'
    """
    return None if asset_key is None else asset_key.removeprefix("simulation:")


def land(settings: Settings, world: World, folder: Path) -> history.HistoryFiles:
    """Write history, declare what the territory declares, land all of it by the product's own ingest, build and publish."""
    files = history.write(world, folder, START, END)
    inventory.write_contracts(world, settings.feeds_path)
    settings.declared_path.mkdir(parents=True, exist_ok=True)
    inventory.write_declared(world, settings.declared_path)
    prepare(settings)
    for feed in FEEDS:
        contract = find_feed(feed, settings.feeds_path)
        paths = [str(p) for p in files.of(feed)]
        report = ingest.ingest(settings, contract, paths, canonical=feed not in inventory.INVENTORIES)
        assert not report.failures, report.failures
    built = building.build(settings, as_of=END)
    assert built.is_published, built
    return files


def read(settings: Settings, world: World, files: history.HistoryFiles) -> Month:
    """Read what was published, as people do, and the truth."""
    said = {}
    for table in _PUBLISHED:
        names, rows = run_query(settings.reader_lake, f"SELECT * FROM {table}", limits=_LIMITS)
        said[table] = [dict(zip(names, row, strict=True)) for row in rows]
    # Papers of the span may be about what failed, or was asked, before it.
    wide = truth.tables(world, START - BEFORE, END)
    told = {name: (pq.read_table(files.truth[name]) if name in ("nights", "energy") else table).to_pylist() for name, table in wide.items()}
    with files.inventory.open(encoding="utf-8", newline="") as file:
        assets = {row["entite"]: row for row in csv.DictReader(file, delimiter=";")}
    with connect(settings.lake, limits=_LIMITS, read_only=True) as con:
        counts = "received, stored, duplicate, rejected, rejected_values"
        sums = ", ".join(f"sum({name})::BIGINT" for name in counts.split(", "))
        found = con.execute(f"SELECT feed, {sums} FROM lake.raw.landing GROUP BY feed").fetchall()
    ledger = {feed: dict(zip(counts.split(", "), numbers, strict=True)) for feed, *numbers in found}
    sent = {feed: _messages(paths) for feed, paths in files.canonical.items() if feed in FEEDS}
    sent[inventory.FEED] = len(assets), 0
    sent |= {feed: (_features(files.of(feed)), 0) for feed in maps.FEEDS}
    return Month(said, told, assets, ledger, sent)


def _features(paths: tuple[Path, ...]) -> int:
    return sum(len(json.loads(path.read_text(encoding="utf-8"))["features"]) for path in paths)


def _messages(paths: tuple[Path, ...]) -> tuple[int, int]:
    """Return how many messages history holds, and how many of them say again, word for word, what another says."""
    with duckdb.connect() as con:
        found = con.execute(
            "SELECT sum(n)::BIGINT, sum(n - 1)::BIGINT FROM (SELECT count(*) AS n FROM read_parquet(?) AS r GROUP BY r)",
            [[str(p) for p in paths]],
        ).fetchall()
    return int(found[0][0]), int(found[0][1])


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory, extension_directory: Path) -> Month:
    """The month, made once for all workers: two minutes of a core."""
    base = tmp_path_factory.getbasetemp()
    made = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "month.pickle"
    with locks.held(made.with_suffix(".lock"), timeout_s=_MAKING_TIMEOUT_S, what="another worker that makes the month"):
        if not made.exists():
            draft = made.with_suffix(".part")
            draft.write_bytes(pickle.dumps(_make(tmp_path_factory.mktemp("month"), extension_directory)))
            draft.replace(made)
    found = pickle.loads(made.read_bytes())  # noqa: S301 - written by this very test run, in its own folder
    assert isinstance(found, Month)
    return found


def _make(folder: Path, extension_directory: Path) -> Month:
    kept = dict(os.environ)
    try:
        for name in list(os.environ):
            if name.startswith(("VIGIE_", "DAGSTER_", "DBT_")):
                del os.environ[name]
        os.environ["VIGIE_EXTENSION_DIRECTORY"] = str(extension_directory)
        settings, world = create_local(folder / "home"), World(town(), SEED)
        with postgres.running(settings):
            return read(settings, world, land(settings, world, folder / "history"))
    finally:
        # A build in this process leaves its instance's settings in the environment.
        os.environ.clear()
        os.environ.update(kept)
