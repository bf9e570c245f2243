"""The stream, from the broker to the lake: one asset, partitioned like the stream, and what starts its runs.

Here: what Dagster knows of it. Not here: reading a partition (`ingestion.stream`).

One run reads a partition at a time (the partition's lock in PostgreSQL says so, whoever started it), many partitions at once. A run
lands what comes each minute and goes on until its partitions have been quiet for a while: starting a process each minute would cost
five seconds of a core. While little comes, one run reads all partitions; when more waits than it should read, each has a run of its own.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

import dagster as dg

from ingestion.feeds.model import Feed
from ingestion.feeds.registry import valid_feeds
from ingestion.lake.session import EngineLimits
from ingestion.lake.writer import Landed
from ingestion.stream import broker
from ingestion.stream.landing import DEFAULT_LIMITS
from ingestion.stream.names import PARTITIONS
from ingestion.stream.partition import TOO_MANY, partitions_being_read, read_partitions
from orchestration.assets.common import RECEIVED_ON, STREAM, Instance, feed_key
from orchestration.runs import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from orchestration.settings import Settings

STREAM_JOB: Final = "read_stream"
STREAM_PARTITIONS: Final = dg.StaticPartitionsDefinition([str(p) for p in range(PARTITIONS)])
_CADENCE: Final = "* * * * *"
# A run that has been asked for takes its partition's lock within this: it waits for its turn, then imports for ten seconds on a
# loaded machine. After it, a run without a lock is dead.
_STARTS_WITHIN: Final = dt.timedelta(minutes=3)
_UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def stream_asset() -> dg.AssetsDefinition:
    """Return the asset that lands what equipment sends."""

    @dg.asset(
        key=STREAM,
        group_name="stream",
        kinds={"nats", "ducklake"},
        owners=["team:platform"],
        partitions_def=STREAM_PARTITIONS,
        backfill_policy=dg.BackfillPolicy.single_run(),  # one process may read several partitions
        description="Messages que les équipements envoient d’eux-mêmes : lus dans le courtier, rangés une fois et une seule dans le lac.",
    )
    def stream(context: dg.AssetExecutionContext, instance: Instance) -> dg.MaterializeResult[None]:
        settings = instance.settings

        report = read_partitions(
            settings.broker,
            settings.lake,
            settings.personal_lake,
            lambda: contracts(settings),
            [int(key) for key in context.partition_keys],
            limits=engine_limits(settings),
            landed=lambda one: tell(one, context.log_event),
        )
        return dg.MaterializeResult(metadata=asdict(report))

    return stream


def tell(one: Landed, record: Callable[[dg.AssetMaterialization], None]) -> None:
    """Record a feed's landing on its asset."""
    counts = {n: getattr(one, n) for n in ("received", "stored", "duplicate", "rejected", "rejected_values")}
    today = dt.datetime.now(dt.UTC).date().isoformat()
    if RECEIVED_ON.has_partition_key(today):
        record(dg.AssetMaterialization(feed_key(one.feed), partition=today, metadata=counts))


def contracts(settings: Settings) -> Mapping[str, Feed]:
    """Return the contracts in force, by name, read anew: one that was mended is used at the next landing."""
    return {feed.feed: feed for feed in valid_feeds(settings.feeds_path)}


def engine_limits(settings: Settings) -> EngineLimits:
    """Return what one partition's process may use."""
    return EngineLimits(DEFAULT_LIMITS.memory_limit, DEFAULT_LIMITS.threads, settings.temporary_path)


stream_job = dg.define_asset_job(
    STREAM_JOB, selection=dg.AssetSelection.assets(STREAM), description="Lit une partition du courtier et range ce qui y attend."
)


def stream_schedule() -> dg.ScheduleDefinition:
    """Return the schedule that looks each minute which partitions hold messages that nobody reads."""

    @dg.schedule(job_name=STREAM_JOB, name="read_the_stream", cron_schedule=_CADENCE, default_status=dg.DefaultScheduleStatus.RUNNING)
    def each_minute(context: dg.ScheduleEvaluationContext, instance: Instance) -> list[dg.RunRequest] | dg.SkipReason:
        settings = instance.settings
        waiting = messages_waiting(settings)
        if not waiting:
            return dg.SkipReason("nothing waits in the stream")
        unread = sorted(waiting.keys() - partitions_being_read(settings.lake) - _starting(context.instance))
        if not unread:
            return dg.SkipReason("a run reads each partition that holds messages")
        tick = context.scheduled_execution_time.isoformat()
        if sum(waiting[p] for p in unread) <= TOO_MANY:  # one process is enough, and the lighter
            span = {RANGE_START_TAG: str(unread[0]), RANGE_END_TAG: str(unread[-1])}
            return [dg.RunRequest(run_key=f"all {tick}", tags=span)]
        return [dg.RunRequest(run_key=f"{p} {tick}", partition_key=str(p)) for p in unread]

    return each_minute


def messages_waiting(settings: Settings) -> dict[int, int]:
    """Return how many messages wait, by partition; those in which none does are left out.

    Raises:
        VigieError: the broker does not answer.
    """

    async def look() -> dict[int, int]:
        nc = await broker.connect(settings.broker, name="schedule", reconnects=False)
        try:
            lags = await broker.lag(nc)
        finally:
            await nc.close()
        found: dict[int, int] = {}
        for lag in lags:
            found[lag.partition] = found.get(lag.partition, 0) + lag.pending + lag.unacknowledged
        return {partition: count for partition, count in found.items() if count}

    return asyncio.run(look())


def _starting(instance: dg.DagsterInstance) -> set[int]:
    """Return the partitions for which a run was asked and has not had the time to take the lock."""
    since = dt.datetime.now(dt.UTC) - _STARTS_WITHIN
    found: set[int] = set()
    for run in instance.get_runs(dg.RunsFilter(job_name=STREAM_JOB, statuses=_UNFINISHED, created_after=since)):
        one = run.tags.get(PARTITION_TAG)
        first, last = run.tags.get(RANGE_START_TAG, one), run.tags.get(RANGE_END_TAG, one)
        if first is not None and last is not None:
            found |= set(range(int(first), int(last) + 1))
    return found
