"""Runs whose process was killed: whatever place they held or were given is free again."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import psutil
import pytest

from orchestration import runs

POOL = "lake_writer"


@pytest.mark.parametrize("was_killed", ["holding the place", "between being given the place and taking it", "waiting for it"])
def test_a_dead_run_gives_its_place_back(tmp_path: Path, was_killed: str) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots(POOL, 1)
        gone = _run(instance, pid=_pid_of_nobody())
        alive = _run(instance, pid=os.getpid())
        if was_killed == "waiting for it":
            storage.claim_concurrency_slot(POOL, alive, "models")
            storage.claim_concurrency_slot(POOL, gone, "models")
            storage.free_concurrency_slot_for_step(alive, "models")  # the place is now the waiting run's, who will never take it
        else:
            storage.claim_concurrency_slot(POOL, gone, "models")
        if was_killed == "between being given the place and taking it":
            storage.free_concurrency_slots_for_run(gone)
            storage.claim_concurrency_slot(POOL, alive, "models")
            storage.claim_concurrency_slot(POOL, gone, "models")
            storage.free_concurrency_slot_for_step(alive, "models")
        assert not storage.claim_concurrency_slot(POOL, alive, "reference").is_claimed

        assert runs.end_dead_runs(instance) == [gone]

        assert storage.claim_concurrency_slot(POOL, alive, "reference").is_claimed


def _run(instance: dg.DagsterInstance, *, pid: int) -> str:
    @dg.job
    def empty() -> None:
        """Nothing."""

    created = psutil.Process().create_time() if pid == os.getpid() else 1.0
    tag = runs.process_tag().rsplit(" ", 2)[0] + f" {pid} {created}"
    return instance.create_run_for_job(empty, tags={runs.PROCESS_TAG: tag}, status=dg.DagsterRunStatus.STARTED).run_id


def _pid_of_nobody() -> int:
    return max(psutil.pids()) + 10_000
