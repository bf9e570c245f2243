"""`vigie build` and `vigie ingest` beside a running instance: the build is the instance's, followed and reported.

Here: one instance with every service, started once. Not here: builds without one (`test_build_gate.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.town import Town

pytest_plugins = ("tests.town",)
pytestmark = pytest.mark.timeout(1200)  # two builds one after the other on a machine that tests


@pytest.fixture(scope="module")
def town(new_town: Callable[[str], Town]) -> Iterator[Town]:
    made = new_town("running")
    for feed, path in made.batch(0).items():
        made.vigie("ingest", feed, str(path))
    try:
        made.vigie("up", "--detach")
        yield made
    finally:
        made.vigie("down")
        assert made.vigie("status", "--json", check=False).document["services"]["postgres"]["state"] == "stopped"


def test_two_builds_at_once_never_change_tables_at_once(town: Town) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: town.vigie("build", "--force", "--json"), range(2)))
    first, second = (d.document for d in done)
    assert first["succeeded"]
    assert second["succeeded"]
    assert first["is_published"]
    assert second["is_published"]
    assert any("built published" in d.err for d in done)
    spans = sorted(_span(town, report["build_id"]) for report in (first, second))
    assert spans[0][1] <= spans[1][0], "one dbt began to build before the other had ended"

    status = town.vigie("status", "--json").document
    assert status["healthy"]
    assert {s["state"] for s in status["services"].values()} == {"healthy"}


def test_a_build_whose_process_is_killed_is_tried_again_by_the_instance(town: Town) -> None:
    town.vigie("ingest", "town-reports", str(town.batch(1)["town-reports"]))
    runs = town.settings.dbt_target_path / "runs"
    known = set(runs.iterdir())
    with ThreadPoolExecutor(1) as pool:
        build = pool.submit(town.vigie, "build", "--json", check=False)
        _wait(lambda: any((p / "dbt.log").exists() for p in set(runs.iterdir()) - known))
        worker = _dbt_of(town).parent()
        assert worker is not None
        worker.kill()
        done = build.result()
    assert done.code == 0, done.err
    assert "Dagster tries again" in done.err
    assert done.document["is_published"]
    assert town.vigie("sql", "SELECT count(*) AS n FROM core.report WHERE report_ref = 'R1-1'", "--format", "json").document == [{"n": 1}]


def _dbt_of(town: Town) -> psutil.Process:
    for process in psutil.process_iter():
        try:
            if any("vigie-dbt" in w for w in process.cmdline()) and process.environ().get("VIGIE_HOME") == str(town.settings.home):
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    raise AssertionError("no dbt runs")


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _span(town: Town, build_id: str) -> tuple[str, str]:
    """When dbt began its first node and said its last word, as ISO instants."""
    log = town.settings.dbt_target_path / "runs" / build_id / "dbt.log"
    entries = [json.loads(line)["info"] for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
    return next(str(e["ts"]) for e in entries if e["name"] == "LogHookStartLine"), str(entries[-1]["ts"])
