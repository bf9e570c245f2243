"""`vigie build`: one run of the build job, through Dagster, and its report.

Here: asking the running instance when there is one, else running the job in this process. Not here: what a build does
(`orchestration.assets`), its report (`orchestration.build_report`), the command (`orchestration.cli.data`).

Two builds never change tables at once, whoever asked: the pool keeps Dagster's own runs apart, and whatever changes tables
holds the lake's mutation lock.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ingestion.errors import VigieError
from ingestion.lake import counts
from orchestration import build_report, inputs, settling
from orchestration.build_report import BuildReport
from orchestration.services import locks
from orchestration.services.control import Control
from orchestration.services.dagster_config import LOCATION_NAME
from orchestration.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

_RETRY_S: Final = 1.0
# A build that waits this long for another is waiting for something that hangs.
_LOCK_TIMEOUT_S: Final = 3600.0
# An instance that starts serves its page before this; three minutes on a loaded machine.
_ANSWER_TIMEOUT_S: Final = 180.0


def build(
    settings: Settings, progress: Callable[[str], None] = lambda _: None, *, force: bool = False, as_of: dt.datetime | None = None
) -> BuildReport:
    """Build and publish everything downstream of what has landed; PostgreSQL is running. What the stream holds lands first.

    Args:
        settings: the instance.
        progress: told what happens, in words.
        force: build even if nothing landed or changed since the last build.
        as_of: the instant at which what is open is judged; the start of the build if absent.

    Raises:
        VigieError: the lake or the running instance does not answer.
    """
    started = time.monotonic()
    settling.settle(settings, progress)
    found = inputs.due(settings, dt.datetime.now(dt.UTC))
    landed = counts.landed_since(settings.lake, found.published.landing_seq if found.published else 0)
    is_asked = force or as_of is not None
    report = _nothing_to_do(found, is_asked=is_asked)
    if report is None:
        tags = run_tags(landed.first_received_on, dt.datetime.now(dt.UTC).date(), as_of)
        report = _build(settings, tags, progress, is_asked=is_asked)
    report.seconds = round(time.monotonic() - started, 1)
    report.landed = landed.totals
    return report


def _nothing_to_do(found: inputs.Due, *, is_asked: bool) -> BuildReport | None:
    if found.is_due or (is_asked and not found.is_empty):
        return None
    return BuildReport("UP_TO_DATE", reason=found.why_not, published=found.published)


def run_tags(first: dt.date | None, today: dt.date, as_of: dt.datetime | None) -> dict[str, str]:
    """Return the tags of a run that builds what is new, received from `first` (today if absent) to today."""
    from orchestration.assets.models import AS_OF_TAG, ONLY_NEW_TAG
    from orchestration.runs import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG

    first = min(first or today, today)
    tags = {ONLY_NEW_TAG: "true"}
    if as_of is not None:
        tags[AS_OF_TAG] = as_of.astimezone(dt.UTC).isoformat()
    if first == today:
        return tags | {PARTITION_TAG: today.isoformat()}
    return tags | {RANGE_START_TAG: first.isoformat(), RANGE_END_TAG: today.isoformat()}


def _build(settings: Settings, tags: dict[str, str], progress: Callable[[str], None], *, is_asked: bool) -> BuildReport:
    import dagster as dg

    from orchestration import runs
    from orchestration.jobs import BUILD_JOB

    os.environ.update(settings.environment())

    def waiting() -> None:
        progress("another build is under way: waiting for it to end")

    with dg.DagsterInstance.get() as instance:
        runs.end_dead_runs(instance)
        if Control.of(settings) is not None:
            other = runs.under_way(instance, BUILD_JOB)
            if other is not None:
                waiting()
                runs.follow(instance, other, lambda _: None)
                if (report := _nothing_to_do(inputs.due(settings, dt.datetime.now(dt.UTC)), is_asked=is_asked)) is not None:
                    return report
            run_id = runs.follow_to_the_last(instance, _submit(settings, tags, progress), progress)
        else:
            with locks.held(settings.run_path / "build.lock", timeout_s=_LOCK_TIMEOUT_S, what="another build", on_wait=waiting):
                if (report := _nothing_to_do(inputs.due(settings, dt.datetime.now(dt.UTC)), is_asked=is_asked)) is not None:
                    return report
                run_id = _run_here(settings, instance, tags, progress)
        return build_report.read(settings, instance, run_id)


def _submit(settings: Settings, tags: dict[str, str], progress: Callable[[str], None]) -> str:
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError
    from requests import RequestException

    from orchestration.jobs import BUILD_JOB

    deadline = time.monotonic() + _ANSWER_TIMEOUT_S
    told = False
    while True:
        try:
            client = DagsterGraphQLClient(settings.webserver_host, port_number=settings.webserver_port)
            run_id: str = client.submit_job_execution(BUILD_JOB, repository_location_name=LOCATION_NAME, tags=tags)
        except (DagsterGraphQLClientError, RequestException) as error:
            is_starting = isinstance(error, RequestException) or isinstance(error.__cause__, RequestException)
            if not is_starting or time.monotonic() > deadline:
                raise VigieError(
                    f"the running instance refuses the build: {error}",
                    remedy="look at its logs: vigie logs code-server; vigie logs webserver",
                ) from None
            if not told:
                progress("the instance is starting: waiting for it")
                told = True
            time.sleep(_RETRY_S)
        else:
            return run_id


def _run_here(settings: Settings, instance: dg.DagsterInstance, tags: dict[str, str], progress: Callable[[str], None]) -> str:
    from orchestration import runs
    from orchestration.definitions import BUILD_JOB, build_defs

    run_id = str(uuid.uuid4())
    ended = threading.Event()
    options: dict[str, Any] = {"until": ended.is_set}
    with _output_to(build_log(settings)):
        job = build_defs(settings).resolve_job_def(BUILD_JOB)
        follower = threading.Thread(target=runs.follow, args=(instance, run_id, progress), kwargs=options, daemon=True)
        follower.start()
        try:
            job.execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                # What happens is told by the follower and kept in Dagster's record; its own console log is for its developers.
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                tags={**tags, runs.PROCESS_TAG: runs.process_tag()},
            )
        finally:
            ended.set()
            follower.join()
    return run_id


def build_log(settings: Settings) -> Path:
    """Where dbt's words go when a build runs in the command's own process."""
    return settings.logs_path / "build.log"


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Send what libraries and child processes print to a log: standard output is for the result."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    kept = os.dup(1)
    with log.open("w", encoding="utf-8") as file:
        try:
            os.dup2(file.fileno(), 1)
            yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)
