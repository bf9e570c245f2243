"""`vigie build`: one run of the build job, through Dagster, and its report.

Here: asking the running instance when there is one, else running the job in this process; reading the report from Dagster's
record and the lake. Not here: what a build does (`orchestration.assets`), the command (`orchestration.cli.data`).

Two builds never change tables at once, whoever asked: the pool keeps Dagster's own runs apart, and dbt's process holds the
lake's mutation lock whatever started it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psutil

from ingestion.errors import VigieError
from ingestion.lake import counts
from ingestion.lake.publish import Publication, last_publication
from orchestration.services import locks
from orchestration.services.control import Control
from orchestration.services.dagster_config import LOCATION_NAME
from orchestration.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

PROCESS_TAG: Final = "vigie/process"
_POLL_S: Final = 0.5
# A build that waits this long for another is waiting for something that hangs.
_LOCK_TIMEOUT_S: Final = 3600.0
_TERMINAL: Final = ("SUCCESS", "FAILURE", "CANCELED")


@dataclass(frozen=True)
class Step:
    """One step of a build: a reference table, a model, the publication."""

    name: str
    status: str
    seconds: float | None = None
    rows_in: int | None = None
    rows_out: int | None = None
    rejected: int | None = None


@dataclass
class BuildReport:
    """What a build did."""

    build_id: str
    status: str
    seconds: float
    landing_seq: int
    landed: dict[str, int]
    steps: list[Step] = field(default_factory=list)
    checks_passed: int = 0
    checks_failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    published: Publication | None = None

    @property
    def succeeded(self) -> bool:
        """Whether everything was built, checked and published."""
        return self.status == "SUCCESS"

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)


def build(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> BuildReport:
    """Build and publish everything downstream of what has landed; PostgreSQL is running.

    Raises:
        VigieError: nothing has landed, or the running instance does not answer.
    """
    import dagster as dg  # noqa: PLC0415 - two seconds that other commands should not pay

    os.environ.update(settings.environment())
    before = last_publication(settings.lake)
    landed = counts.landed_since(settings.lake, before.landing_seq if before else 0)
    started = time.monotonic()
    with dg.DagsterInstance.get() as instance:
        if Control.of(settings) is not None:
            run_id = _submit(settings, landed.first_received_on)
            _follow(instance, run_id, progress)
        else:
            with locks.held(settings.run_path / "build.lock", timeout_s=_LOCK_TIMEOUT_S, what="another build"):
                run_id = _run_here(settings, instance, landed.first_received_on, progress)
        report = _report(settings, instance, run_id)
    report.seconds = round(time.monotonic() - started, 1)
    report.landed = landed.totals
    return report


def partition_tags(first: dt.date | None, today: dt.date) -> dict[str, str]:
    """Return the tags that make a run build what was received from `first` (today if absent) to today."""
    first = min(first or today, today)
    if first == today:
        return {"dagster/partition": today.isoformat()}
    return {"dagster/asset_partition_range_start": first.isoformat(), "dagster/asset_partition_range_end": today.isoformat()}


def _submit(settings: Settings, first: dt.date | None) -> str:
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError  # noqa: PLC0415

    from orchestration.jobs import BUILD_JOB  # noqa: PLC0415

    client = DagsterGraphQLClient(settings.webserver_host, port_number=settings.webserver_port)
    try:
        return client.submit_job_execution(
            BUILD_JOB, repository_location_name=LOCATION_NAME, tags=partition_tags(first, dt.datetime.now(dt.UTC).date())
        )
    except DagsterGraphQLClientError as error:
        raise VigieError(f"the running instance refuses the build: {error}", remedy="look at its logs: vigie logs code-server") from None


def _follow(instance: dg.DagsterInstance, run_id: str, progress: Callable[[str], None]) -> None:
    seen = 0
    while True:
        run = instance.get_run_by_id(run_id)
        logs = instance.all_logs(run_id)
        for entry in logs[seen:]:
            _tell(entry, progress)
        seen = len(logs)
        if run is not None and run.status.value in _TERMINAL:
            return
        time.sleep(_POLL_S)


def _tell(entry: dg.EventLogEntry, progress: Callable[[str], None]) -> None:
    event = entry.dagster_event
    if event is None:
        return
    if event.event_type_value == "ASSET_MATERIALIZATION" and event.asset_key is not None:
        progress(f"built {event.asset_key.to_user_string()}")
    elif event.event_type_value in ("STEP_FAILURE", "STEP_UP_FOR_RETRY", "RUN_FAILURE"):
        progress(f"{event.event_type_value.lower().replace('_', ' ')}: {event.message}")


def _run_here(settings: Settings, instance: dg.DagsterInstance, first: dt.date | None, progress: Callable[[str], None]) -> str:
    from orchestration.definitions import BUILD_JOB, build_defs  # noqa: PLC0415

    _end_dead_runs(instance)
    job = build_defs(settings).resolve_job_def(BUILD_JOB)
    run_id = str(uuid.uuid4())
    me = psutil.Process()
    follower = threading.Thread(target=_follow, args=(instance, run_id, progress), daemon=True)
    follower.start()
    job.execute_in_process(
        instance=instance,
        run_id=run_id,
        raise_on_error=False,
        # What happens is told by the follower and kept in Dagster's record; its own console log is for its developers.
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags={**partition_tags(first, dt.datetime.now(dt.UTC).date()), PROCESS_TAG: f"{me.pid} {me.create_time()}"},
    )
    follower.join()
    return run_id


def _end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Close runs whose process was killed, and free the places they hold in pools; without a daemon nobody else would."""
    import dagster as dg  # noqa: PLC0415

    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED])
    for run in instance.get_runs(unfinished):
        pid, _, created = run.tags.get(PROCESS_TAG, "").partition(" ")
        if pid and not _is_alive(int(pid), float(created)):
            instance.report_run_failed(run, message="its process was killed")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _is_alive(pid: int, created: float) -> bool:
    try:
        return psutil.Process(pid).create_time() == created
    except psutil.NoSuchProcess:
        return False


def _report(settings: Settings, instance: dg.DagsterInstance, run_id: str) -> BuildReport:
    from orchestration.dbt import project  # noqa: PLC0415

    run = instance.get_run_by_id(run_id)
    status = run.status.value if run is not None else "CANCELED"
    seconds: dict[str, float | None] = {}
    report = BuildReport(run_id, status, 0.0, 0, {})
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type_value == "ASSET_MATERIALIZATION" and event.asset_key is not None:
            duration = event.materialization.metadata.get("Execution Duration")
            seconds[event.asset_key.to_user_string()] = None if duration is None else round(float(str(duration.value)), 2)
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            evaluation = event.asset_check_evaluation_data
            if evaluation.passed:
                report.checks_passed += 1
            else:
                report.checks_failed.append(f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}")
        elif event.event_type_value == "STEP_FAILURE":
            report.errors += _causes(settings, run_id, event)
    rows = counts.table_rows(settings.lake)
    manifest = project.manifest(settings)
    report.steps = [_step(name, duration, rows, manifest) for name, duration in seconds.items()]
    publication = last_publication(settings.lake)
    if publication is not None and publication.build_id == run_id:
        report.published = publication
        report.landing_seq = publication.landing_seq
    return report


def _causes(settings: Settings, run_id: str, event: dg.DagsterEvent) -> list[str]:
    """Say why a step failed: dbt's own words for its nodes, else the first cause."""
    results = settings.dbt_target_path / "runs" / run_id / "run_results.json"
    if event.step_key == "models" and results.exists():
        nodes = json.loads(results.read_text(encoding="utf-8"))["results"]
        failed = [n for n in nodes if n["status"] in ("error", "fail", "runtime error")]
        if failed:
            return [f"{n['unique_id']}: {' '.join(str(n['message']).split())[:1000]}" for n in failed]
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return [error.message.strip()[:2000] if error is not None else (event.message or event.event_type_value)]


def _step(name: str, seconds: float | None, rows: dict[str, int], manifest: dict[str, Any]) -> Step:
    layer, _, table = name.partition("/")
    node = next(
        (
            n
            for n in manifest["nodes"].values()
            if n["resource_type"] in ("model", "seed") and n["alias"] == table and str(n["schema"]).removeprefix("work_") == layer
        ),
        None,
    )
    if node is None:
        return Step(name, "built", seconds, rows_out=rows.get(f"raw.{table}") if layer == "raw" else None)
    return Step(name, "built", seconds, _rows_in(node, rows, manifest), rows.get(f"{node['schema']}.{node['alias']}"))


def _rows_in(node: dict[str, Any], rows: dict[str, int], manifest: dict[str, Any]) -> int | None:
    """Sum the rows of the tables a model reads, looking through views."""
    parents: list[str] = node.get("depends_on", {}).get("nodes", [])
    total = 0
    for parent in parents:
        found = manifest["nodes"].get(parent) or manifest["sources"].get(parent)
        name = f"{found['schema']}.{found.get('alias') or found['name']}"
        if name in rows:
            total += rows[name]
        elif parent in manifest["nodes"]:
            total += _rows_in(found, rows, manifest) or 0
    return total if parents else None
