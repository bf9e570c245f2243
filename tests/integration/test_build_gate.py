"""What a build publishes, and what it keeps back: a failing test, days built again on request, concurrent builds in two commands.

Here: builds without a running instance. Not here: with one (`test_build_running.py`), kills (`tests/faults`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingestion.lake.session import connect
from orchestration.services import postgres
from tests.town import LIMITS, Town

pytest_plugins = ("tests.town",)
# Four builds of a whole instance in one test: three minutes on a busy machine of four cores.
pytestmark = pytest.mark.timeout(900)

# A feed's description twice: its key no longer tells one feed, which a test of the models says. (A feed without a contract
# keeps its last description, so that nothing mends this before the test sees it.)
GHOST = (
    "INSERT INTO lake.raw.feed (feed, title, contract, territory) "
    "VALUES ('ghost', 'Fantôme', 'report', 'town'), ('ghost', 'Encore', 'report', 'town')"
)
BROKEN_TEST = "unique_combination_stg_feed_feed"
READ = "SELECT count(*) AS n FROM core.report"


def execute(town: Town, sql: str) -> None:
    with postgres.running(town.settings), connect(town.settings.lake, limits=LIMITS) as con:
        con.execute(sql)


def reports(town: Town) -> int:
    found = town.vigie("sql", READ, "--format", "json").document
    return int(found[0]["n"])


@pytest.fixture(scope="module")
def town(new_town: Callable[[str], Town]) -> Town:
    made = new_town("gate")
    for feed, path in made.batch(0).items():
        made.vigie("ingest", feed, str(path))
    made.vigie("build")
    return made


def test_a_failing_test_keeps_the_last_good_build_in_front_of_people(town: Town) -> None:
    before = town.query("SELECT build_id, snapshot_id FROM lake.raw.publication ORDER BY snapshot_id DESC")
    assert reports(town) == 21
    execute(town, GHOST)
    town.vigie("ingest", "town-reports", str(town.batch(1)["town-reports"]))

    failed = town.vigie("build", "--json", check=False)
    assert failed.code == 1
    report = failed.document
    assert not report["succeeded"]
    assert not report["is_published"]
    assert any(BROKEN_TEST in check for check in report["checks_failed"]), report["checks_failed"]
    assert any(BROKEN_TEST in error for error in report["errors"]), report["errors"]
    assert f"check failed: staging/stg_feed: {BROKEN_TEST}" in failed.err
    assert town.query("SELECT build_id, snapshot_id FROM lake.raw.publication ORDER BY snapshot_id DESC") == before
    assert reports(town) == 21, "people read the last build that passed"

    # Mended, without anything new: the next build goes through, with what had landed meanwhile.
    execute(town, "DELETE FROM lake.raw.feed WHERE feed = 'ghost'")
    mended = town.vigie("build")
    assert "; published" in mended.out
    assert reports(town) > 21


def test_a_received_day_is_built_again_on_request(town: Town) -> None:
    """What Dagster's page does when somebody materializes a partition; damage stands for whatever made it necessary."""
    damage = "UPDATE lake.work_core.report SET category = 'damaged'"
    count = "SELECT count(*) FROM lake.work_core.report WHERE category = 'damaged'"
    execute(town, damage)
    town.vigie("build", "--force")
    damaged = town.query(count)[0][0]
    assert damaged > 0, "what has not landed anew is not touched"

    assert _materialize(town, "2024-01-01")
    assert town.query(count)[0][0] == damaged, "nothing was received on that day"
    received_on = town.query("SELECT DISTINCT received_on FROM lake.raw.report")
    for (day,) in received_on:
        assert _materialize(town, day.isoformat())
    assert town.query(count) == [(0,)]
    assert reports(town) == town.query("SELECT count(*) FROM lake.work_core.report")[0][0]


def _materialize(town: Town, partition: str) -> bool:
    """Run the build job of one partition as Dagster's page launches it: without the tag of `vigie build`."""
    import dagster as dg

    from orchestration.definitions import BUILD_JOB, build_defs

    with pytest.MonkeyPatch.context() as patch, postgres.running(town.settings):
        for name, value in town.settings.environment().items():
            patch.setenv(name, value)
        kept = dict(os.environ)
        try:
            with dg.DagsterInstance.get() as instance:
                job = build_defs(town.settings).resolve_job_def(BUILD_JOB)
                return job.execute_in_process(instance=instance, partition_key=partition, raise_on_error=False).success
        finally:
            for name in set(os.environ) - set(kept):
                del os.environ[name]
            os.environ.update(kept)


def test_two_builds_at_once_take_turns(town: Town) -> None:
    town.vigie("ingest", "town-states", str(town.batch(1)["town-states"]))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: town.vigie("build", "--json"), range(2)))
    statuses = sorted(d.document["status"] for d in done)
    # The one that waited finds everything built.
    assert statuses == ["SUCCESS", "UP_TO_DATE"]
    assert any("another build is under way" in d.err for d in done)
