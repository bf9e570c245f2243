"""Feeds that are pulled on a schedule, as Dagster sees them: every job resolves, whatever feeds stand beside.

Here: definitions alone, nothing runs. Not here: pulling (`tests/integration/test_simulator_served`).
"""

from __future__ import annotations

import dagster as dg
import pytest

from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed
from ingestion.simulator import inventory
from ingestion.simulator.world import World
from orchestration.assets import feeds as feed_assets
from orchestration.assets.common import Instance, feed_key

_PULLED = ("sim-batiments-energie", "sim-bus", "sim-demandes", "sim-meteo", "sim-rivieres", "sim-vigicrues")


@pytest.fixture(scope="module")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> list[Feed]:
    folder = tmp_path_factory.mktemp("feeds")
    return [load_feed(path) for path in inventory.write_contracts(World(100, 1), folder, files=folder).values()]


@pytest.fixture(scope="module")
def repository(feeds: list[Feed]) -> dg.RepositoryDefinition:
    found = dg.Definitions(
        assets=feed_assets.feed_assets(feeds),
        asset_checks=feed_assets.feed_checks(feeds),
        schedules=feed_assets.feed_schedules(feeds),
        resources={"instance": Instance(home="nowhere")},
    ).get_repository_def()
    assert isinstance(found, dg.RepositoryDefinition)
    return found


def test_each_schedule_pulls_its_feed_and_nothing_else(repository: dg.RepositoryDefinition, feeds: list[Feed]) -> None:
    repository.load_all_definitions()
    pulled = {f.feed for f in feeds if f.schedule is not None}
    assert pulled == set(_PULLED)
    for name in sorted(pulled):
        schedule = repository.get_schedule_def(f"pull_{name.replace('-', '_')}")
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        assert schedule.execution_timezone == "Europe/Paris"
        job = repository.get_job(schedule.job_name)
        assert job.asset_layer.executable_asset_keys == {feed_key(name)}


def test_a_person_may_pull_one_feed_with_its_own_checks(repository: dg.RepositoryDefinition) -> None:
    key = feed_key("sim-meteo")
    job = repository.get_implicit_asset_job_names()
    assert len(job) == 1
    subset = repository.get_job(job[0]).get_subset(
        asset_selection={key}, asset_check_selection={dg.AssetCheckKey(key, "received_is_accounted_for")}
    )
    assert {node.name for node in subset.nodes} == {"feed_sim_meteo", "landings"}
