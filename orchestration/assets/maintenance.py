"""Keeping the lakes small: the maintenance job and its nightly schedule.

Here: when it runs and on what. Not here: what it does (`ingestion.lake.maintain`).
"""

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import dagster as dg

from ingestion.feeds.registry import valid_feeds
from ingestion.lake import maintain as lake_maintain
from orchestration.assets.common import LAKE_WRITER, RETRY, Instance
from orchestration.settings import Settings

MAINTAIN_JOB: Final = "maintain"
# Before the working day and after the sources' nightly exports.
_CADENCE: Final = "30 4 * * *"


def maintain_instance(settings: Settings, *, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Maintain both lakes of an instance and return the report.

    Raises:
        VigieError: a lake does not answer.
    """
    feeds = list(valid_feeds(settings.feeds_path))
    retention: dict[str, dt.timedelta] = {f.feed: f.retention for f in feeds if f.retention is not None}
    messages = {f.feed: f.message_retention for f in feeds}
    report = lake_maintain.maintain(
        settings.lake, retention=retention, message_retention=messages, progress=lambda s: progress(f"lake: {s}")
    )
    forgotten = lake_maintain.forget_unlanded(settings.personal_lake, settings.lake)
    personal = lake_maintain.maintain(
        settings.personal_lake, retention=retention, message_retention=messages, progress=lambda s: progress(f"personal lake: {s}")
    )
    originals = lake_maintain.forget_originals(settings.lake, retention=retention)
    return {
        "lake": report.as_dict(),
        "personal_lake": personal.as_dict(),
        "personal_rows_without_landing": forgotten,
        "originals_removed": len(originals),
    }


def maintain_job() -> dg.JobDefinition:
    """Return the maintenance job."""

    @dg.op(pool=LAKE_WRITER, retry_policy=RETRY)
    def maintain_lakes(context: dg.OpExecutionContext, instance: Instance) -> None:
        context.log.info(str(maintain_instance(instance.settings, progress=context.log.info)))

    @dg.job(
        name=MAINTAIN_JOB,
        description="Rétention, fusion des petits fichiers, expiration, nettoyage.",
        executor_def=dg.in_process_executor,
    )
    def maintain() -> None:
        maintain_lakes()

    return maintain


def maintain_schedule() -> dg.ScheduleDefinition:
    """Return the nightly schedule of maintenance."""
    return dg.ScheduleDefinition(
        name="maintain_nightly", job_name=MAINTAIN_JOB, cron_schedule=_CADENCE, default_status=dg.DefaultScheduleStatus.RUNNING
    )
