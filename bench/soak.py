"""A territory that speaks faster than the clock: `python -m bench.soak [--preset dijon] [--speed 10] [--minutes 60]`.

A whole instance; all its systems speak over real ports at so many times real time. Then: is every feed's account balanced, did any
process grow, are the episodes that equipment told of found, and no other?

Here: one run and its report. Not here: kills (`tests/faults`), the month against the truth (`tests/truth`).
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Final

import psutil
import uvicorn

from ingestion.lake.session import EngineLimits, connect
from ingestion.simulator import history, inventory, live, served, truth
from ingestion.simulator.scenarios import Scenario
from ingestion.simulator.world import World
from orchestration.assets.streams import messages_waiting
from orchestration.services import ports
from orchestration.services.declared import script
from orchestration.settings import Settings, create_local

_SAMPLE_S: Final = 15.0
_READY_TIMEOUT_S: Final = 120.0
# What is told in the last minutes may still be on its way: a message is late by six hours at most, three in a thousand are.
_LATE: Final = dt.timedelta(hours=6)
# The day before the start, landed as files: what is open then is known, as in a territory that has been running.
_HISTORY: Final = dt.timedelta(days=1)
_EPISODES: Final = """
SELECT asset_key, fault_type, started_at, ended_at FROM core.failure_evidence
WHERE evidence_kind = 'state' AND kind = 'failure'
"""
_DOMAINS: Final = """
SELECT f.domain, count(DISTINCT l.feed), sum(l.stored)
FROM lake.raw.landing AS l JOIN lake.raw.feed AS f USING (feed)
WHERE l.stream IS NOT NULL GROUP BY 1 ORDER BY 1
"""


class _Memory(threading.Thread):
    """The resident memory of each service, its children included, while it runs."""

    def __init__(self, pids: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.samples: dict[str, list[float]] = defaultdict(list)
        self._pids, self._ended = pids, threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            for name, pid in self._pids.items():
                self.samples[name].append(_resident_mb(pid))

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def report(self) -> dict[str, dict[str, int]]:
        """Return, per service, the median of the second and of the last third, in MB: what starts up is not what leaks."""
        found = {}
        for name, values in self.samples.items():
            third = max(1, len(values) // 3)
            found[name] = {
                "middle_mb": round(statistics.median(values[third : 2 * third])),
                "end_mb": round(statistics.median(values[-third:])),
            }
        return found


class _Outside(threading.Thread):
    """The systems that are asked, answering as of simulated time."""

    def __init__(self, world: World, since: dt.datetime) -> None:
        super().__init__(daemon=True)
        self._since, self._speed, self._begun = since.timestamp(), 0.0, time.monotonic()
        port = ports.choose()
        self.address = f"http://{ports.LOOPBACK}:{port}"
        app = served.create_app(lambda: world, self._now)
        self._server = uvicorn.Server(uvicorn.Config(app, host=ports.LOOPBACK, port=port, log_level="warning", access_log=False))

    def _now(self) -> float:
        return self._since + (time.monotonic() - self._begun) * self._speed

    def go(self, speed: float) -> None:
        """Let time pass from now on."""
        self._begun, self._speed = time.monotonic(), speed

    def run(self) -> None:
        self._server.run()

    def stop(self) -> None:
        self._server.should_exit = True
        self.join()


def _resident_mb(pid: int) -> float:
    total = 0
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in processes:
        try:
            # Shared pages once: PostgreSQL's processes map the same buffers.
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 1e6


def _vigie(home: Path, *words: str) -> str:
    command = [script("vigie"), "--home", str(home), *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def run(preset: str, speed: float, minutes: float) -> dict[str, Any]:
    """Run the territory for so many minutes of the clock, and report."""
    span = dt.timedelta(minutes=minutes * speed)
    until = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0)
    since = until - span
    start = int(since.timestamp())
    scenarios = [Scenario("cabinet-out", start + 600), Scenario("gateway-out", start + 1_200)]
    world = World(int(preset) if preset.isdigit() else preset, 1, scenarios=scenarios)
    with tempfile.TemporaryDirectory(prefix="vigie-bench-") as folder:
        home = Path(folder) / "home"
        settings = create_local(home)
        files = history.write(world, Path(folder) / "history", since - _HISTORY, since)
        settings.feeds_path.mkdir(parents=True, exist_ok=True)
        settings.declared_path.mkdir(parents=True, exist_ok=True)
        outside = _Outside(world, since)
        inventory.write_contracts(world, settings.feeds_path, asked_at=outside.address, files=Path(folder) / "left", since=since)
        inventory.write_declared(world, settings.declared_path)
        _vigie(home, "up", "--detach", "--simulate", "none")
        outside.start()
        try:
            for feed in inventory.INVENTORIES:
                _vigie(home, "ingest", feed, *map(str, files.of(feed)))
            for feed, paths in files.canonical.items():
                if paths:
                    _vigie(home, "ingest", feed, "--canonical", *map(str, paths))
            settings = Settings.load(home)
            status = json.loads(_vigie(home, "status", "--json"))
            memory = _Memory({name: s["pid"] for name, s in status["services"].items() if s["pid"]})
            memory.start()
            outside.go(speed)
            begun = time.monotonic()
            reached = asyncio.run(live.speak(world, _endpoints(settings), since=since, until=until, speed=speed, stop=lambda: False))
            spoken_s = time.monotonic() - begun
            _until_landed(settings)
            memory.stop()
            left = served.drop(world, Path(folder) / "left", start, int(until.timestamp()))
            for feed in [*served.asked(world), *(served.dropped(world) if left else ())]:
                _vigie(home, "ingest", feed)
            built = json.loads(_vigie(home, "build", "--json"))
            status = json.loads(_vigie(home, "status", "--json"))
            episodes = json.loads(_vigie(home, "sql", _EPISODES, "--format", "json"))
            found = _compare(world, since, until, episodes)
            with connect(settings.lake, limits=EngineLimits(memory_limit="512MB", threads=1), read_only=True) as con:
                domains = con.execute(_DOMAINS).fetchall()
        finally:
            _vigie(home, "down")
            outside.stop()
    feeds = {name: {k: t[k] for k in ("received", "stored", "duplicate", "rejected")} for name, t in status["feeds"].items()}
    return {
        "preset": preset,
        "speed": speed,
        "simulated_hours": round(span.total_seconds() / 3600, 2),
        "spoken_s": round(spoken_s),
        "messages": reached.messages,
        "feeds": feeds,
        "is_balanced": all(t["received"] == t["stored"] + t["duplicate"] + t["rejected"] for t in feeds.values()),
        "domains": [list(row) for row in domains],
        "memory": memory.report(),
        "build_succeeded": built["succeeded"],
        "build_s": built["seconds"],
        **found,
    }


def _endpoints(settings: Settings) -> live.Endpoints:
    passwords = {feed: secret.get_secret_value() for feed, secret in settings.secrets.streams.items()}
    return live.Endpoints(settings.broker_host, settings.mqtt_port, settings.intake_url, passwords)


def _until_landed(settings: Settings) -> None:
    """Wait until nothing waits in the stream."""
    deadline = time.monotonic() + 10 * _READY_TIMEOUT_S
    while messages_waiting(settings) and time.monotonic() < deadline:
        time.sleep(2)


def _compare(world: World, since: dt.datetime, until: dt.datetime, episodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare the episodes read from states with what happened: every true one that was told is found, and no other."""
    tables = truth.tables(world, since, until)
    told = [(r["asset_ref"], r["told_from"], r["told_until"]) for r in tables["failures"].to_pylist() if r["kind"] == "failure"]
    told += [(r["asset_ref"], r["told_from"], r["told_until"]) for r in tables["equipment"].to_pylist() if r["kind"] == "failure"]
    # What began before the history lands is seen from its first sample on.
    known = [(ref, max(at, since - _HISTORY), end) for ref, at, end in told if at is not None and at < until]
    by_ref = defaultdict(list)
    for episode in episodes:
        by_ref[episode["asset_key"].partition(":")[2]].append(episode)
    counts = Counter[str]()
    missed = []
    for ref, at, _ in known:
        is_found = any(_instant(e["started_at"]) <= at + dt.timedelta(minutes=15) for e in by_ref.get(ref, []))
        counts["found" if is_found else "missed"] += 1
        if not is_found:
            missed.append(f"{ref} {at.isoformat()}{' (late)' if at > until - _LATE else ''}")
    true_refs = {ref for ref, at, _ in told if at is not None}
    invented = sorted(
        ref for ref, found in by_ref.items() if ref not in true_refs and any(_instant(e["started_at"]) >= since for e in found)
    )
    return {"told": len(known), "found": counts["found"], "missed": missed[:20], "invented": invented[:20]}


def _instant(text: str) -> dt.datetime:
    at = dt.datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)


def main() -> None:
    """Run the soak and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="dijon")
    parser.add_argument("--speed", type=float, default=10.0)
    parser.add_argument("--minutes", type=float, default=60.0)
    words = parser.parse_args()
    print(json.dumps(run(words.preset, words.speed, words.minutes)))


if __name__ == "__main__":
    main()
