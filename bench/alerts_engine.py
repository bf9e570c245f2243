"""Rules on one core: messages a second with 200 rules, memory and restart for 100,000 assets: `python -m bench.alerts_engine`.

Here: the engine alone, in memory, on generated lights. Not here: reading the stream, the store (`bench.alerts`).

The baseline is the bare loop that only reads the same signals: what Python needs to go through them.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.machine import peak_memory_mb
from ingestion.feeds.load import load_feed
from orchestration.alerts.engine.core import Engine, World
from orchestration.alerts.engine.hours import TerritoryHours
from orchestration.alerts.model import Equipment, Heard, Observed
from orchestration.alerts.rulebook.model import Rule

_EXAMPLES: Final = Path(__file__).resolve().parents[1] / "ingestion" / "feeds" / "examples"
_SECOND: Final = 1_000_000
_START: Final = 1_767_225_600 * _SECOND
_PROPERTIES: Final = ("status", "power", "voltage", "temperature")
_PLAIN: Final = {"title": "t", "message": "m", "consequence": "minor", "respond_within": "PT1H"}
MAX_MEMORY_MB: Final = 500
MAX_RESTORE_S: Final = 5.0


def rules(count: int) -> dict[str, Rule]:
    """Return rules of the kinds a lighting system has, each for one type of equipment out of five: of 200, 40 watch each light.

    Four of these have a memory (rates, counts); the others are levels, faults and silences.
    """
    made = []
    for n in range(count):
        scope: dict[str, Any] = {"asset_types": [f"type-{n % 5}"]}
        prop = _PROPERTIES[n // 5 % 4]
        when: dict[str, Any]
        match n % 20:
            case 0:
                when = {"type": "rate", "property": "power", "rises": 90, "over": "PT30M"}
            case 1:
                when = {"type": "count", "property": "status", "at_least": 6, "within": "PT1H"}
            case 2 | 8:
                when = {"type": "fault", "fault_types": ["lamp-out"], "on_delay": "PT5M"}
            case 3 if n < 40:
                when = {"type": "silence", "expected_every": "PT15M", "missed": 3}
            case _ if prop == "status":
                when = {"type": "equals", "property": "status", "values": ["defectiveLamp"], "normal": ["ok"], "on_delay": "PT1M"}
            case _:
                when = {
                    "type": "threshold",
                    "property": prop,
                    "above": 99 + n % 3 / 10,
                    "clear": 90,
                    "deadband": 5,
                    "on_delay": f"PT{n % 3}M",
                }
        bound = {"raises": 100_000, "per": "PT1H"}
        made.append(Rule.model_validate({"rule": f"r-{n:03}", "when": when, "scope": scope, "bound": bound, **_PLAIN}))
    return {r.rule: r for r in made}


def world(assets: int) -> World:
    """Return as many lights, of five types, under a cabinet for each fifty."""
    directory = {
        ("bench", f"light-{n:06}"): Equipment(
            "bench", f"light-{n:06}", f"id-{n}", asset_type=f"type-{n % 5}", commune=f"commune-{n % 20}", parent=("bench", f"cab-{n // 50}")
        )
        for n in range(assets)
    }
    return World(directory, TerritoryHours(), {"lights": load_feed(_EXAMPLES / "fiware-eclairage.yaml")})


def signals(assets: int, rounds: int, seed: int = 5) -> Iterator[Observed]:
    """Yield what the lights say: each its four properties, a round each quarter of an hour; one value in a hundred is out of bounds."""
    chance = random.Random(seed)
    step = 900 * _SECOND // assets
    names = [f"light-{n:06}" for n in range(assets)]
    for turn in range(rounds):
        for n, name in enumerate(names):
            at = _START + turn * 900 * _SECOND + n * step
            for prop in _PROPERTIES:
                if prop == "status":
                    text = "defectiveLamp" if chance.random() < 0.01 else "ok"
                    yield Observed("lights", "bench", name, prop, at, None, text, None, at + 200_000)
                else:
                    yield Observed(
                        "lights", "bench", name, prop, at, chance.random() * 91 + (chance.random() < 0.01) * 60, None, "W", at + 200_000
                    )


def speed(assets: int, rounds: int, count: int) -> dict[str, float]:
    """Measure signals a second, the clock moved and the feed heard before each as the runtime does; and what saving a row takes."""
    said = list(signals(assets, rounds))
    engine = Engine(rules(count), world(assets))
    gc.collect()
    gc.freeze()
    begun = time.perf_counter()
    read = 0
    for signal in said:
        read += signal.published_at > 0
    bare = time.perf_counter() - begun
    changes = 0
    begun = time.perf_counter()
    for signal in said:
        changes += len(engine.advance(signal.published_at))
        changes += len(engine.hear(Heard(signal.feed, signal.published_at)))
        changes += len(engine.take(signal))
    worked = time.perf_counter() - begun
    begun = time.perf_counter()
    rows = engine.saved()
    saved = time.perf_counter() - begun
    gc.unfreeze()
    return {
        "signals": len(said), "rules": count, "changes": changes, "signals_per_s": round(len(said) / worked),
        "bare_signals_per_s": round(read / bare), "ratio": round(bare / worked, 4), "us_per_signal": round(worked / len(said) * 1e6, 2),
        "rows_saved": len(rows), "saving_us_per_row": round(saved / len(rows) * 1e6, 2),
    }  # fmt: skip


def memory(assets: int, count: int) -> dict[str, float]:
    """Measure the memory of the state of many assets (their referential not counted), and what a restart from the saved state takes."""
    known, in_force = world(assets), rules(count)
    gc.collect()
    before = _resident_mb()
    engine = Engine(in_force, known)
    for signal in signals(assets, 3):
        engine.take(signal)
    gc.collect()
    resident = _resident_mb() - before
    rows = [(part, key, body) for part, key, body in engine.saved() if body is not None]
    del engine
    gc.collect()
    begun = time.perf_counter()
    again = Engine(in_force, known)
    again.restore(rows)
    restored = time.perf_counter() - begun
    begun = time.perf_counter()
    again.refresh(in_force, known)
    refreshed = time.perf_counter() - begun
    return {
        "assets": assets, "state_mb": round(resident), "peak_mb": round(peak_memory_mb()), "rows": len(rows),
        "saved_mb": round(sum(len(b) for _, _, b in rows) / 1e6), "restore_s": round(restored, 2), "refresh_s": round(refreshed, 2),
    }  # fmt: skip


def _resident_mb() -> float:
    with Path("/proc/self/status").open(encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024 / 1e6


def section(found: dict[str, Any], machine: str) -> str:
    """Return the results as a section of Markdown."""
    memory_met, restore_met = found["state_mb"] <= MAX_MEMORY_MB, found["restore_s"] <= MAX_RESTORE_S
    return f"""\
## Alerts: the rules alone

{machine}
{found["rules"]} rules, of which 40 watch each light, on one core: {found["signals_per_s"]:,} signals/s ({found["us_per_signal"]} µs each, clock and the feed's
sign of life included); the bare loop over the same signals {found["bare_signals_per_s"]:,}/s, ratio {found["ratio"]}.

| {found["assets"]:,} assets of four properties | measured | |
|---|---:|---|
| memory of the state, at most {MAX_MEMORY_MB} MB | {found["state_mb"]} MB | {"met" if memory_met else "**missed**"} |
| start from saved state ({found["saved_mb"]} MB), at most {MAX_RESTORE_S:g} s | {found["restore_s"]} s | {"met" if restore_met else "**missed**"} |
| rules or referential changed | {found["refresh_s"]} s | |
"""


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=100_000)
    parser.add_argument("--rules", type=int, default=200)
    options = parser.parse_args()
    found = {**speed(5_000, 10, options.rules), **memory(options.assets, options.rules)}
    found["is_met"] = found["state_mb"] <= MAX_MEMORY_MB and found["restore_s"] <= MAX_RESTORE_S
    print(json.dumps(found))


if __name__ == "__main__":
    main()
