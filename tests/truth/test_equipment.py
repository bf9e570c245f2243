"""Failures of equipment beside the lights, as the platform finds them in what it says, against what happened.

Here: three weeks of a small town with much equipment and a storm, landed and built by the product. Not here: lighting (the month), what
equipment that is silent means (availability).
"""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingestion.feeds.registry import find_feed
from ingestion.lake.reader import run_query
from ingestion.lake.session import EngineLimits
from ingestion.simulator import history, inventory
from ingestion.simulator.clock import seconds
from ingestion.simulator.presets import Stock, preset
from ingestion.simulator.scenarios import Scenario
from ingestion.simulator.world import World
from orchestration import building, ingest
from orchestration.services import postgres
from orchestration.services.prepare import prepare
from orchestration.settings import create_local

Row = dict[str, Any]

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
END = dt.datetime(2026, 3, 23, tzinfo=dt.UTC)
STORM = dt.datetime(2026, 3, 12, 14, tzinfo=dt.UTC)
# Messages are late by six hours at most.
LATEST = dt.timedelta(hours=6, minutes=10)
# Lapses nearer than that may be told as one (flap windows are of half an hour at most), or split by what is not heard between them.
ALONE = dt.timedelta(hours=1)
# What each feed's truth calls a failure, and what the platform does.
KINDS = {"failure": "failure", "communication-lost": "communication_loss", "cabinetDoorOpen": "failure"}
FEEDS = ("sim-cameras", "sim-carrefours", "sim-parkings", "sim-bornes", "sim-flotte", "sim-telegestion")
LIMITS = EngineLimits(memory_limit="1GB", threads=2)


@dataclass(frozen=True)
class Weeks:
    """What the platform found, what happened, and what of it was told."""

    found: list[Row]
    happened: list[Row]
    told: list[Row]


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory, extension_directory: Path) -> Iterator[Weeks]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("VIGIE_", "DAGSTER_", "DBT_")):
                patch.delenv(name)
        patch.setenv("VIGIE_EXTENSION_DIRECTORY", str(extension_directory))
        patch.setenv("VIGIE_DASHBOARDS", "off")
        folder = tmp_path_factory.mktemp("weeks")
        stock = Stock(60, 40, 2, 60, 25, 60, 4, 1, 2, 2, 1, 1)
        town = replace(preset(1_200), cabinets=40, remote=500, stock=stock)
        world = World(town, 8, scenarios=[Scenario("storm", seconds(STORM))])
        settings = create_local(folder / "home")
        files = history.write(world, folder / "history", START, END)
        inventory.write_contracts(world, settings.feeds_path)
        with postgres.running(settings):
            prepare(settings)
            for feed in (*inventory.INVENTORIES, *FEEDS):
                report = ingest.ingest(
                    settings, find_feed(feed, settings.feeds_path), [str(p) for p in files.of(feed)],
                    canonical=feed not in inventory.INVENTORIES,
                )  # fmt: skip
                assert not report.failures, report.failures
                assert not any(one.rejected or one.rejected_values for one in report.landed), report.landed
            assert building.build(settings, as_of=END).is_published
            names, rows = run_query(settings.reader_lake, "SELECT * FROM core.failure_evidence", limits=LIMITS)
        found = [dict(zip(names, row, strict=True)) for row in rows]
        scenes = pq.read_table(files.truth["equipment"]).to_pylist()
        happened = [s for s in scenes if s["feed"] in FEEDS and s["kind"] in KINDS]
        yield Weeks(found, happened, [s for s in happened if s["told_from"] is not None])


def _overlaps(found: Row, scene: Row) -> bool:
    last = found["ended_at"] or END + dt.timedelta(days=30)
    until = scene["told_until"] or END + dt.timedelta(days=30)
    return bool(found["started_at"] <= until and last >= scene["told_from"])


def _own(weeks: Weeks) -> dict[tuple[str, str, str], list[Row]]:
    found = defaultdict(list)
    for e in weeks.found:
        found[e["feed"], e["asset_key"].removeprefix("simulation:"), e["kind"]].append(e)
    return found


def test_every_kind_of_failure_happened(weeks: Weeks) -> None:
    seen = Counter((s["feed"], s["kind"]) for s in weeks.told)
    assert {feed for feed, _ in seen} == set(FEEDS), seen
    assert seen["sim-cameras", "communication-lost"] > 5
    assert sum(s["scenario"] == "storm" for s in weeks.told) > 5


def test_each_failure_that_is_told_is_found(weeks: Weeks) -> None:
    own = _own(weeks)
    missed = [
        s
        for s in weeks.told
        if max(s["told_from"], START) + LATEST < END and not any(_overlaps(e, s) for e in own[s["feed"], s["asset_ref"], KINDS[s["kind"]]])
    ]
    assert missed == []


def test_none_is_invented(weeks: Weeks) -> None:
    assert weeks.found
    told = defaultdict(list)
    for s in weeks.told:
        told[s["feed"], s["asset_ref"], KINDS[s["kind"]]].append(s)
    invented = [e for key, found in _own(weeks).items() for e in found if not any(_overlaps(e, s) for s in told[key])]
    assert invented == []


def test_starts_and_ends_are_those_that_were_told(weeks: Weeks) -> None:
    """Of lapses that stand alone, to the second: states are told at each change."""
    own, exact = _own(weeks), 0
    for s in weeks.told:
        others = [o for o in weeks.happened if o != s and o["asset_ref"] == s["asset_ref"] and o["feed"] == s["feed"]]
        is_alone = all(o["started_at"] > s["ended_at"] + ALONE or o["ended_at"] + ALONE < s["started_at"] for o in others)
        if not is_alone or s["told_from"] < START or s["told_until"] is None or s["told_until"] + LATEST > END:
            continue
        found = [e for e in own[s["feed"], s["asset_ref"], KINDS[s["kind"]]] if _overlaps(e, s)]
        assert [(e["started_at"], e["ended_at"]) for e in found] == [(s["told_from"], s["told_until"])], (found, s, others)
        exact += 1
    assert exact > len(weeks.told) / 2
