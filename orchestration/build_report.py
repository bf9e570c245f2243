"""The report of a build: what each step took in and gave, what failed, what people read now.

Here: reading it from Dagster's record, dbt's results and the lake. Not here: asking for a build (`orchestration.building`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ingestion.lake import counts
from ingestion.lake.builds import find_build
from ingestion.lake.publish import Publication, last_publication
from orchestration.settings import Settings

if TYPE_CHECKING:
    import dagster as dg


@dataclass(frozen=True)
class Step:
    """One step of a build: a reference table, a model, the publication.

    Attributes:
        name: layer and table.
        seconds: how long it took, where it was measured.
        rows_in: rows of the tables it reads, as they stand after the build.
        rows_out: rows of its table.
    """

    name: str
    seconds: float | None = None
    rows_in: int | None = None
    rows_out: int | None = None


@dataclass
class BuildReport:
    """What a build did.

    Attributes:
        status: SUCCESS, FAILURE, CANCELED, or UP_TO_DATE when there was nothing to build.
        build_id: Dagster's run; None when there was nothing to build.
        seconds: from the command to this report.
        landed: landings and records (received, stored, duplicate, rejected) since the last build that people read.
        checks_warned: checks that failed and hold nothing back, as `layer/table: check`.
        checks_failed: checks that failed and stop what is downstream.
        errors: what failed, in the words of what failed.
        reason: why there was nothing to build.
        published: what people read now; None when nothing was ever published.
        is_published: whether that is this build, or a newer one.
    """

    status: str
    build_id: str | None = None
    seconds: float = 0.0
    landed: dict[str, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    checks_passed: int = 0
    checks_warned: list[str] = field(default_factory=list)
    checks_failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    reason: str | None = None
    published: Publication | None = None
    is_published: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether everything was built, checked and published, or nothing had to be."""
        return self.status in ("SUCCESS", "UP_TO_DATE")

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self) | {"succeeded": self.succeeded}


def read(settings: Settings, instance: dg.DagsterInstance, run_id: str) -> BuildReport:
    """Return the report of a run of the build job that has ended.

    Raises:
        VigieError: the lake does not answer.
    """
    from orchestration.dbt import project  # noqa: PLC0415 - only builds need dbt's project

    run = instance.get_run_by_id(run_id)
    report = BuildReport(run.status.value if run is not None else "CANCELED", run_id)
    seconds: dict[str, float | None] = {}
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
                named = f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
                (report.checks_warned if evaluation.severity.value == "WARN" else report.checks_failed).append(named)
        elif event.event_type_value == "STEP_FAILURE":
            report.errors += _causes(settings, run_id, event)
        elif event.event_type_value == "RUN_FAILURE" and not report.errors:
            report.errors.append(event.message or "the run failed")
    rows = counts.table_rows(settings.lake)
    nodes = _Nodes(project.manifest(settings), rows)
    report.steps = [nodes.step(name, duration) for name, duration in seconds.items()]
    report.published = last_publication(settings.lake)
    build = find_build(settings.lake, run_id)
    # Two builds at once: the other may have gone further, and published.
    report.is_published = build is not None and report.published is not None and report.published.snapshot_id >= build.snapshot_id
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


class _Nodes:
    """What dbt's manifest says of the tables that a build makes."""

    def __init__(self, manifest: Mapping[str, Any], rows: Mapping[str, int]) -> None:
        self._by_id: dict[str, Any] = {**manifest["nodes"], **manifest["sources"]}
        self._rows = rows
        self._by_name = {
            (str(n["schema"]).removeprefix("work_"), n["alias"]): n
            for n in manifest["nodes"].values()
            if n["resource_type"] in ("model", "seed")
        }

    def step(self, name: str, seconds: float | None) -> Step:
        layer, _, table = name.partition("/")
        node = self._by_name.get((layer, table))
        if node is None:
            return Step(name, seconds, rows_out=self._rows.get(f"raw.{table}") if layer == "raw" else None)
        tables = self._read_by(node)
        rows_in = sum(self._rows[t] for t in tables) if tables else None
        return Step(name, seconds, rows_in, self._rows.get(f"{node['schema']}.{node['alias']}"))

    def _read_by(self, node: Mapping[str, Any]) -> set[str]:
        """Return the tables that a model reads, looking through views."""
        tables: set[str] = set()
        for parent in node.get("depends_on", {}).get("nodes", []):
            found = self._by_id[parent]
            name = f"{found['schema']}.{found.get('alias') or found['name']}"
            tables |= {name} if name in self._rows else self._read_by(found)
        return tables
