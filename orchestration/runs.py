"""Runs of Dagster: whose process is dead, following one to its end.

Here: what the command line and the schedules need to know of runs. Not here: what a run does (`orchestration.assets`).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

import dagster as dg
import psutil

# Tag of a run that lives in a command's own process: host, process id and start of the process.
PROCESS_TAG: Final = "vigie/process"
# Tags that Dagster's daemon writes on a run whose process crashed.
WILL_RETRY_TAG: Final = "dagster/will_retry"
AUTO_RETRY_RUN_ID_TAG: Final = "dagster/auto_retry_run_id"
# Tags by which Dagster tells a run's partition, or its range of them; it keeps its own constants to itself.
PARTITION_TAG: Final = "dagster/partition"
RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"
_POLL_S: Final = 0.3
# Events per query; a build has about 500.
_PAGE: Final = 1000
# The daemon submits the retry within a minute of the failure, or not at all.
_RETRY_TIMEOUT_S: Final = 60.0
_TERMINAL: Final = ("SUCCESS", "FAILURE", "CANCELED")
_UNFINISHED: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def process_tag() -> str:
    """Return the value of the tag for this process."""
    me = psutil.Process()
    return f"{socket.gethostname()} {me.pid} {me.create_time()}"


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Close runs whose process was killed, and free the places they hold in pools; return their ids.

    Dagster's daemon watches the runs it launched; those of the command line are nobody's when their process is killed.
    """
    storage = instance.event_log_storage
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=list(_UNFINISHED))):
        tag = run.tags.get(PROCESS_TAG)
        if tag is not None and not _is_alive(tag):
            instance.report_run_failed(run, message="its process was killed")
            dead.append(run.run_id)
    for pool in storage.get_concurrency_keys():
        held = storage.get_concurrency_info(pool)
        # Assigned and waiting ones too: a run killed between being given the place and taking it keeps it from everybody.
        for run_id in held.active_run_ids | held.assigned_run_ids | held.pending_run_ids:
            holder = instance.get_run_by_id(run_id)
            if holder is None or holder.status.value in _TERMINAL:
                storage.free_concurrency_slots_for_run(run_id)
    return dead


def under_way(instance: dg.DagsterInstance, job: str) -> str | None:
    """Return the latest run of a job that waits or runs, if any."""
    found = instance.get_runs(dg.RunsFilter(job_name=job, statuses=list(_UNFINISHED)), limit=1)
    return found[0].run_id if found else None


def _is_alive(tag: str) -> bool:
    host, pid, created = tag.split(" ")
    if host != socket.gethostname():
        return True  # another machine's: it cannot be seen from here
    try:
        process = psutil.Process(int(pid))
        return process.create_time() == float(created) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def follow(
    instance: dg.DagsterInstance, run_id: str, progress: Callable[[str], None], *, until: Callable[[], bool] = lambda: False
) -> None:
    """Tell what a run does until it ends, or until `until` says that nothing more will come."""
    cursor: str | None = None
    while True:
        ended = until()
        run = instance.get_run_by_id(run_id)
        ended = ended or (run is not None and run.status.value in _TERMINAL)
        if run is not None:
            page = instance.get_records_for_run(run_id, cursor=cursor, limit=_PAGE)
            cursor = page.cursor
            for record in page.records:
                _tell(record.event_log_entry, progress)
            if page.has_more:
                continue
        if ended:
            return
        time.sleep(_POLL_S)


def follow_to_the_last(instance: dg.DagsterInstance, run_id: str, progress: Callable[[str], None]) -> str:
    """Follow a run, and the runs by which Dagster tries again what a crash cut short; return the last one's id."""
    while True:
        follow(instance, run_id, progress)
        deadline = time.monotonic() + _RETRY_TIMEOUT_S
        while (run := instance.get_run_by_id(run_id)) is not None and run.tags.get(WILL_RETRY_TAG) == "true":
            retry = run.tags.get(AUTO_RETRY_RUN_ID_TAG)
            if retry is not None:
                progress("its process died: Dagster tries again")
                run_id = retry
                break
            if time.monotonic() > deadline:
                return run_id
            time.sleep(_POLL_S)
        else:
            return run_id


def _tell(entry: dg.EventLogEntry, progress: Callable[[str], None]) -> None:
    event = entry.dagster_event
    if event is None:
        return
    kind = event.event_type_value
    if kind == "ASSET_MATERIALIZATION" and event.asset_key is not None:
        progress(f"built {event.asset_key.to_user_string()}")
    elif kind in ("STEP_FAILURE", "STEP_UP_FOR_RETRY", "RUN_FAILURE"):
        progress(f"{kind.lower().replace('_', ' ')}: {event.message}")
    elif kind == "RUN_ENQUEUED":
        progress("waiting for its turn in the running instance")
