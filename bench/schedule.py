"""The default schedule: how old what people read is, and what it costs when nothing arrives: `python -m bench.schedule`.

A whole instance with a small simulated territory, as `vigie up --simulate` makes it, runs for some quarters of an hour: landing each
minute, building each fifteen. For each message: from the broker's instant to its rows' landing, and to the first publication that
holds them. Then the territory is silenced, and the processor time of every process of the instance is counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psutil

from ingestion.lake.session import EngineLimits, connect
from orchestration.services.declared import script
from orchestration.settings import Settings

LIGHTS: Final = 200
MINUTES: Final = 47  # three builds and their messages
IDLE_MINUTES: Final = 5

_AGES: Final = """
WITH message AS (SELECT landing_seq, published_at, received_at FROM lake.raw.message WHERE published_at >= $since),
seen AS (
    SELECT message.*, (SELECT min(p.published_at) FROM lake.raw.publication AS p WHERE p.landing_seq >= message.landing_seq) AS seen_at
    FROM message
)
SELECT count(*), count(seen_at),
    quantile_cont(epoch(received_at) - epoch(published_at), [0.5, 0.99]),
    quantile_cont(epoch(seen_at) - epoch(published_at), [0.5, 0.99])
FROM seen WHERE published_at <= $until
"""


def run(minutes: int = MINUTES, idle_minutes: int = IDLE_MINUTES) -> dict[str, Any]:
    """Measure, and return ages in seconds and the idle cost in percent of one core."""
    with tempfile.TemporaryDirectory(prefix="vigie-bench-") as folder:
        home = Path(folder) / "home"
        _vigie(home, "up", "--detach", "--simulate", str(LIGHTS))
        try:
            since = time.time()
            time.sleep(minutes * 60)
            settings = Settings.load(home)
            with connect(settings.lake, limits=EngineLimits(memory_limit="512MB", threads=1), read_only=True) as con:
                last = con.execute("SELECT max(published_at) FROM lake.raw.publication").fetchall()[0][0]
                # What came after the last build began waits for the next one: it would be counted as never seen.
                until = min(time.time() - 60, last.timestamp() - 120)
                bounds = {"since": _instant(since), "until": _instant(until)}
                messages, seen, landed, published = con.execute(
                    _AGES.replace("$since", bounds["since"]).replace("$until", bounds["until"])
                ).fetchall()[0]
            _vigie(home, "down")
            _vigie(home, "up", "--detach", "--simulate", "none")
            time.sleep(240)  # what was sent last is landed, the stream's reader ends
            idle, processes = _cost(home, idle_minutes * 60)
        finally:
            _vigie(home, "down")
    return {
        "minutes": minutes,
        "messages": messages,
        "seen": seen,
        "landed_s": [round(s) for s in landed],
        "published_s": [round(s) for s in published],
        "idle_minutes": idle_minutes,
        "idle_percent_of_a_core": round(idle, 1),
        "idle_processes": processes,
    }


def _instant(epoch: float) -> str:
    return f"to_timestamp({epoch:.3f})"


def _vigie(home: Path, *words: str) -> None:
    subprocess.run([script("vigie"), "--home", str(home), *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _cost(home: Path, seconds: float) -> tuple[float, int]:
    """Return the processor time of the instance's processes over some seconds, those that end meanwhile included, in percent."""
    status = subprocess.run([script("vigie"), "--home", str(home), "status", "--json"], check=True, capture_output=True, text=True)
    pids = [service["pid"] for service in json.loads(status.stdout)["services"].values() if service["pid"]]

    def spent() -> float:
        total = 0.0
        for pid in pids:
            for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
                times = process.cpu_times()
                total += times.user + times.system
            ended = psutil.Process(pid).cpu_times()
            total += ended.children_user + ended.children_system
        return total

    before = spent()
    time.sleep(seconds)
    return 100 * (spent() - before) / seconds, len(pids)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=MINUTES)
    parser.add_argument("--idle-minutes", type=int, default=IDLE_MINUTES)
    words = parser.parse_args()
    print(json.dumps(run(words.minutes, words.idle_minutes)))


if __name__ == "__main__":
    main()
