"""Jobs and their schedules: building what has landed.

Here: selections and cadence. Not here: what an asset does. Maintenance has its own file (`assets.maintenance`).
"""

import datetime as dt
import logging
from typing import Final

import dagster as dg

from ingestion.errors import VigieError
from ingestion.lake.reference import TABLES
from orchestration import inputs, runs
from orchestration.alerts.to_lake import land
from orchestration.assets.alarms import ALARM_JOURNAL
from orchestration.assets.common import FEED_PREFIX, STREAM, Instance
from orchestration.assets.models import ONLY_NEW_TAG, PUBLICATION

_log = logging.getLogger(__name__)

BUILD_JOB: Final = "build"
# A quarter of an hour: what an analyst calls fresh, and thirty times what a build of the new data takes.
BUILD_CADENCE: Final = "*/15 * * * *"


def build_selection() -> dg.AssetSelection:
    """Everything downstream of the raw tables: reference tables, models, publication."""
    reference = dg.AssetSelection.assets(*[dg.AssetKey(["raw", t]) for t in TABLES])
    # Feeds and the stream land on their own schedules; what they landed is checked with each build, whoever landed it.
    landing = dg.AssetSelection.groups("raw") | dg.AssetSelection.key_prefixes(FEED_PREFIX) | dg.AssetSelection.assets(STREAM)
    models = dg.AssetSelection.assets(PUBLICATION).upstream() - landing
    # The journal of alarms lies in a database of our own: the build brings it along.
    journal = dg.AssetSelection.assets(ALARM_JOURNAL)
    return reference | journal | models | dg.AssetSelection.all_asset_checks()


build_job = dg.define_asset_job(
    BUILD_JOB,
    selection=build_selection(),
    description="Construit tout ce qui dépend des données reçues, vérifie, publie.",
)


def partition_of(moment: dt.datetime) -> str:
    """Return the partition of what is received at a moment."""
    return moment.astimezone(dt.UTC).date().isoformat()


def build_schedule() -> dg.ScheduleDefinition:
    """Return the schedule of builds; a tick without new landings is skipped, and says so."""

    @dg.schedule(
        job_name=BUILD_JOB,
        name="build_every_fifteen_minutes",
        cron_schedule=BUILD_CADENCE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def every_fifteen_minutes(context: dg.ScheduleEvaluationContext, instance: Instance) -> dg.RunRequest | dg.SkipReason:
        settings, now = instance.settings, context.scheduled_execution_time
        # A build of the command line that was killed holds its place in the pool until somebody says that it is dead.
        runs.end_dead_runs(context.instance)
        if runs.under_way(context.instance, BUILD_JOB) is not None:
            return dg.SkipReason("a build is under way")
        # A few lines, where a run of its own would cost a process: what lands makes the build due.
        try:
            land(settings)
        except VigieError as error:
            _log.warning("the journal of alarms was not landed: %s", error.message)
        found = inputs.due(settings, now)
        if not found.is_due:
            return dg.SkipReason(found.why_not)
        return dg.RunRequest(partition_key=partition_of(now), tags={ONLY_NEW_TAG: "true"})

    return every_fifteen_minutes
