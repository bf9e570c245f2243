"""What Dagster serves: assets, checks, jobs, schedules of one instance.

Here: putting the pieces together. Not here: any piece. Tests call `build_defs` with their own resources; nothing is patched.
"""

import logging
from typing import Any, Final

import dagster as dg

from ingestion.errors import VigieError
from ingestion.feeds.model import Feed
from ingestion.feeds.registry import list_feeds
from ingestion.lake.ledger import feed_totals
from orchestration.assets import alarms, maintenance, models, streams
from orchestration.assets import feeds as feed_assets
from orchestration.assets.common import Instance
from orchestration.dbt import project
from orchestration.jobs import BUILD_JOB, build_job, build_schedule
from orchestration.sensors import alerts_sensor
from orchestration.settings import Settings

__all__ = ["BUILD_JOB", "build_defs", "defs"]

_log = logging.getLogger(__name__)

EXECUTOR: Final = dg.in_process_executor


def build_defs(settings: Settings | None = None, **overrides: Any) -> dg.Definitions:
    """Return the definitions of an instance.

    Args:
        settings: the instance; the environment's (`VIGIE_HOME`) if absent.
        overrides: resources that take the place of the usual ones, by name.

    Raises:
        VigieError: there is no instance, or the dbt project does not parse.
    """
    settings = settings or Settings.load()
    feeds = feeds_in_use(settings)
    manifest = project.manifest(settings)
    resources: dict[str, Any] = {"instance": Instance(home=str(settings.home)), "dbt": models.dbt_resource(settings), **overrides}
    return dg.Definitions(
        assets=[
            streams.stream_asset(),
            alarms.alarm_journal_asset(),
            *feed_assets.feed_assets(feeds),
            models.reference_assets(),
            models.model_assets(manifest),
            models.publication_asset(manifest),
        ],
        asset_checks=feed_assets.feed_checks(feeds),
        jobs=[build_job, streams.stream_job, maintenance.maintain_job()],
        schedules=[build_schedule(), streams.stream_schedule(), maintenance.maintain_schedule(), *feed_assets.feed_schedules(feeds)],
        sensors=[alerts_sensor()],
        resources=resources,
        # Steps of one run take turns on the lake anyway; a process per step costs four to six seconds each.
        executor=EXECUTOR,
    )


def feeds_in_use(settings: Settings) -> list[Feed]:
    """Return the instance's own feeds, and the shipped examples that have landed here: the others are nobody's assets."""
    entries = [e for e in list_feeds(settings.feeds_path) if e.feed is not None]
    try:
        landed = set(feed_totals(settings.lake))
    except VigieError as error:
        # Definitions are also looked at without a lake (a test, a fresh home): only examples are missing then.
        _log.warning("shipped feeds are left out of the assets: %s", error.message)
        landed = set()
    return [e.feed for e in entries if e.feed is not None and (not e.is_example or e.name in landed)]


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of the environment's instance; Dagster calls it, importing this module reads nothing."""
    return build_defs()
