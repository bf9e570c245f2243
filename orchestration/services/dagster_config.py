"""Dagster's own files: `dagster.yaml` and `workspace.yaml`, generated in the instance's home.

Here: how the instance is configured. Not here: assets, schedules, checks (`orchestration.definitions`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from ingestion.stream.names import PARTITIONS
from orchestration.settings import Settings

LOCATION_NAME: Final = "vigie"

# A quarter: enough to see a seasonal pattern of failures; a tick is 1.7 KB and a sensor makes 17,000 a day at worst.
_KEPT_TICKS_DAYS: Final = 90
_KEPT_SKIPPED_TICKS_DAYS: Final = 3
# Each run is a process of its own that may run DuckDB on every core; more at once only take turns.
_CONCURRENT_RUNS: Final = 4 + PARTITIONS  # the readers of the stream live long, and must not keep a build waiting
# A run that has not started after this waits for nothing: a start takes ten seconds on a loaded machine.
_START_TIMEOUT_S: Final = 300
# A run whose process was killed keeps its place in a pool, and everybody waits for it: Dagster frees such places only when
# told to. Soon after its end, and looked for often enough that a person still waits for it.
_MONITORING_POLL_S: Final = 15
_FREE_SLOTS_AFTER_S: Final = 5


def instance_configuration() -> dict[str, Any]:
    """Return the content of `dagster.yaml`. It names the variable of the database's address, never the address."""
    ticks = {"skipped": _KEPT_SKIPPED_TICKS_DAYS, "success": _KEPT_TICKS_DAYS, "failure": _KEPT_TICKS_DAYS}
    return {
        "storage": {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}},
        "run_coordinator": {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"},
        "concurrency": {
            # A pool serialises what must not run at once (`lake_writer`); each holds one step at a time, unless the
            # limit of one pool is raised in Dagster's page. Steps, not runs: a build may extract while another writes.
            "pools": {"default_limit": 1, "granularity": "op"},
            "runs": {"max_concurrent_runs": _CONCURRENT_RUNS},
        },
        # What crashed (a machine restarted in the middle) is tried again; what failed by its own error is not: the
        # steps that may be retried say so themselves.
        "run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False},
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": _START_TIMEOUT_S,
            "poll_interval_seconds": _MONITORING_POLL_S,
            "free_slots_after_run_end_seconds": _FREE_SLOTS_AFTER_S,
        },
        "retention": {"schedule": {"purge_after_days": ticks}, "sensor": {"purge_after_days": ticks}},
        "telemetry": {"enabled": False},
        # No welcome dialogue that asks for an e-mail address.
        "nux": {"enabled": False},
    }


def workspace(settings: Settings) -> dict[str, Any]:
    """Return the content of `workspace.yaml`: the one code server."""
    server = {"host": settings.code_server_host, "port": settings.code_server_port, "location_name": LOCATION_NAME}
    return {"load_from": [{"grpc_server": server}]}


def write(settings: Settings) -> None:
    """Write both files. Repeatable; processes may race."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    _write(settings.dagster_home / "dagster.yaml", instance_configuration())
    _write(workspace_file(settings), workspace(settings))


def workspace_file(settings: Settings) -> Path:
    """Where the generated workspace is."""
    return settings.dagster_home / "workspace.yaml"


def _write(path: Path, document: dict[str, Any]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    # JSON is YAML; no YAML writer is needed to generate a file that people do not edit.
    draft.write_text(f"# Generated at each start; changes are lost.\n{json.dumps(document, indent=2)}\n", encoding="utf-8")
    draft.replace(path)
