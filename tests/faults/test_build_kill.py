"""Ingest and build killed with SIGKILL at several moments, then run again: the same lake as one that was never disturbed.

Here: whole commands, from files to published views, and what a dead build leaves behind. Not here: kills inside one landing
(`test_landing_killed.py`), of the supervisor (`test_supervisor.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ingestion.lake import reference
from orchestration.services import postgres
from tests.effort import times
from tests.town import AS_OF, Town, fingerprint

pytest_plugins = ("tests.town",)

# The calls of one month in one process, as a person's script would make them; imports are paid once.
CHILD = """\
import json, sys
from orchestration.cli.main import main
for words in json.loads(sys.argv[1]):
    code = main(words)
    if code:
        sys.exit(code)
"""
# In each of two months: kills while files land, and while tables are built.
KILLS = times((1, 1), thorough=(2, 3))


def commands(town: Town, *batches: int) -> list[list[str]]:
    """Ingest the files of some months, and build."""
    home = ["--home", str(town.settings.home)]
    landings = [["ingest", feed, str(path), *home] for batch in batches for feed, path in town.batch(batch).items()]
    return [*landings, ["build", "--as-of", AS_OF, *home]]


@dataclass
class Child:
    """A process that runs commands, and the lines of progress it has told."""

    process: subprocess.Popen[str]
    lines: list[str]
    told: threading.Condition

    def wait_for_line(self, count: int) -> bool:
        """Wait until so many lines were told; False when the process ended before."""
        with self.told:
            self.told.wait_for(lambda: len(self.lines) >= count or self.process.poll() is not None, timeout=240)
            return len(self.lines) >= count

    def dbt(self) -> psutil.Process | None:
        """The dbt process it has started, if there is one."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if any("vigie-dbt" in word for word in process.cmdline()) and "build" in process.cmdline():
                        return process
        return None


@contextlib.contextmanager
def started(words: Sequence[Sequence[str]]) -> Iterator[Child]:
    """Run commands in a session of their own; nothing of it outlives the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps(words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    child = Child(process, [], threading.Condition())

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            with child.told:
                child.lines.append(line.rstrip())
                child.told.notify_all()
        process.wait()
        with child.told:
            child.told.notify_all()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(10)


def run(words: Sequence[Sequence[str]]) -> list[str]:
    """Run commands to their end and return the lines they told."""
    with started(words) as child:
        assert child.process.wait(timeout=280) == 0, "\n".join(child.lines[-40:])
        return list(child.lines)


@pytest.mark.timeout(900)
def test_kills_of_ingest_and_build_leave_the_same_lake(new_town: Callable[[str], Town]) -> None:
    calm, disturbed = new_town("calm"), new_town("disturbed")
    expected: dict[str, tuple[int, int]] = {}

    def undisturbed() -> None:
        run(commands(calm, 0, 1))
        expected.update(fingerprint(calm))

    aside = threading.Thread(target=undisturbed)
    aside.start()
    rng = random.Random(20250301)
    kinds = ["group", "process", "dbt"]
    hits = []
    for batch in (0, 1):
        words = commands(disturbed, batch)
        # Five files; then ten reference tables, thirty models and the publication.
        moments = sorted([*rng.sample(range(1, 6), KILLS[0]), *rng.sample(range(6, 44), KILLS[1])])
        for line in moments:
            kind = rng.choice(kinds)
            with started(words) as child:
                if not child.wait_for_line(line):
                    continue
                time.sleep(rng.uniform(0.0, 0.5))  # somewhere inside of what comes next
                hits.append((batch, line, _kill(child, kind), child.lines[line - 1]))
        run(words)
    aside.join()
    assert len(hits) == 2 * sum(KILLS), hits
    assert expected, "the undisturbed run failed"
    found = fingerprint(disturbed)
    assert found == expected, {
        name: (found.get(name), expected.get(name)) for name in found | expected if found.get(name) != expected.get(name)
    }
    assert found["core.report"][0] > 40
    with postgres.running(disturbed.settings):
        feeds = disturbed.vigie("status", "--json", check=False).document["feeds"]
    assert all(f["received"] == f["stored"] + f["duplicate"] + f["rejected"] for f in feeds.values())


def _kill(child: Child, kind: str) -> str:
    """Kill the whole process group, the command alone (dbt goes on), or dbt alone (the command goes on, and fails)."""
    dbt = child.dbt()
    if kind == "dbt" and dbt is not None:
        dbt.kill()
        # The command says that it failed; people keep what was published.
        assert child.process.wait(timeout=120) != 0
    elif kind == "process":
        child.process.kill()
        child.process.wait()
    else:
        kind = "group"
        os.killpg(child.process.pid, signal.SIGKILL)
    return kind


@pytest.mark.timeout(600)
def test_a_dbt_that_outlives_its_command_keeps_the_next_build_waiting(new_town: Callable[[str], Town]) -> None:
    town = new_town("orphan")
    run(commands(town, 0)[:-1])
    build = commands(town, 0)[-1:]
    target = town.settings.dbt_target_path / "runs"
    # PostgreSQL stays: only the command dies.
    with postgres.running(town.settings):
        with started(build) as child:
            # The reference tables, then dbt's first models: it is at work.
            assert child.wait_for_line(len(reference.TABLES) + 4)
            orphan = child.dbt()
            assert orphan is not None
            child.process.kill()
            child.process.wait()
            held = _lock_holders(town)
            assert orphan.is_running(), "this test needs a dbt that is still at work"
            assert held == 1, "the orphan holds the mutation lock"
            first = {p.name for p in target.iterdir()}
            said = run(build)
        assert said[-1] == "built published"
        second = next(p for p in target.iterdir() if p.name not in first)
        # What the second did to tables, it did after the first had ended.
        assert _first_model(second) >= _last_word(target / first.pop())
    # The dead command's run is closed, its place in the pool is free.
    assert town.vigie("build", "--force", "--json").document["succeeded"]


def _lock_holders(town: Town) -> int:
    import psycopg

    from ingestion.lake.session import LOCK_SPACE, MUTATE_LOCK

    with psycopg.connect(town.settings.lake.dsn) as pg:
        row = pg.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted",
            [LOCK_SPACE, MUTATE_LOCK],
        ).fetchone()
    assert row is not None
    return int(row[0])


def _messages(run_folder: Path) -> list[tuple[str, str]]:
    found = []
    for line in (run_folder / "dbt.log").read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            info = json.loads(line)["info"]
            found.append((str(info["ts"]), str(info["name"])))
    return found


def _first_model(run_folder: Path) -> str:
    return next(at for at, name in _messages(run_folder) if name == "LogStartLine")


def _last_word(run_folder: Path) -> str:
    return _messages(run_folder)[-1][0]
