"""Quality of detection: the deviation rule on labelled public series. `python -m bench.detection`, half a minute.

Precision, recall and delay of one rule, the same for all series, by the engine itself; beside it three standard deviations over everything
seen so far, with the same delays and the same time to learn.

- NAB (numenta/NAB): servers, road traffic, made-up days; windows of `combined_windows.json`. A raise inside a window finds it, once; the
  delay is from the window's start, which lies well before the anomaly. Each raise outside of all windows is a false alarm.
- SKAB (waico/SKAB): eight sensors of a pump at one value a second for twenty minutes; the column `anomaly`. No profile of hours can be
  learned in twenty minutes: a second is read as five minutes, so that a file lasts four days, and the settings stay the same. The eight
  sensors are one asset, of which there is one alarm.

The settings were chosen on every second file of NAB, in order of path (`chosen on`); the other half and SKAB had no part in it.

The series are those that the tests use: `VIGIE_SHARED_DATA`, else `../shared/data`; without them nothing is measured.

Here: reading them, the rule, counting. Not here: how a profile learns (`orchestration.alerts.engine.profile`).
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.machine import peak_memory_mb
from ingestion.feeds.model import Feed
from ingestion.feeds.registry import find_feed
from orchestration.alerts.engine.core import Engine
from orchestration.alerts.engine.hours import TerritoryHours
from orchestration.alerts.engine.world import World
from orchestration.alerts.model import AssetKey, Equipment, Observed
from orchestration.alerts.rulebook.model import Rule

DATA: Final = Path(os.environ.get("VIGIE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "alertes"
_SECOND: Final = 1_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
# SKAB's seconds as NAB's most usual step.
STRETCH: Final = 300
# Off by five spreads for more than half an hour (a value at the very end of the delay comes too late to contradict); an hour back before
# it is over; two days to learn, as a file of NAB lasts two weeks.
SETTINGS: Final[dict[str, Any]] = {
    "type": "deviation",
    "property": "value",
    "sensitivity": 5.0,
    "on_delay": "PT35M",
    "off_delay": "PT1H",
    "learn": "P2D",
}
_ON, _OFF, _LEARN = 35 * _MINUTE, _HOUR, 48 * _HOUR
SIGMAS: Final = 3.0

Episode = tuple[int, int]


@dataclass(frozen=True)
class File:
    """One labelled file: (instant in microseconds, value) of each of its series, and the windows in which it is not normal."""

    group: str
    name: str
    series: list[list[tuple[int, float]]]
    windows: list[Episode]


@dataclass
class Score:
    """What one detector got right in a group; delays in seconds of the series' own time."""

    files: int = 0
    windows: int = 0
    found: int = 0
    false: int = 0
    days: float = 0.0
    delays: list[float] = field(default_factory=list)

    def add(self, file: File, raised: list[int], stretch: int) -> None:
        """Count the raises of a file."""
        self.files += 1
        self.windows += len(file.windows)
        self.days += (file.series[0][-1][0] - file.series[0][0][0]) / (24 * _HOUR)
        for start, end in file.windows:
            inside = [at for at in raised if start <= at <= end]
            if inside:
                self.found += 1
                self.delays.append((min(inside) - start) / _SECOND / stretch)
        self.false += sum(not any(start <= at <= end for start, end in file.windows) for at in raised)

    def plain(self) -> dict[str, Any]:
        """Return it for the results: no precision of what raised nothing, no recall where there is nothing to find."""
        raised = self.found + self.false
        return {
            "files": self.files,
            "windows": self.windows,
            "found": self.found,
            "false": self.false,
            "precision": round(self.found / raised, 2) if raised else None,
            "recall": round(self.found / self.windows, 2) if self.windows else None,
            "delay_s": round(statistics.median(self.delays)) if self.delays else None,
            "days": round(self.days, 1),
        }


def nab() -> list[File]:
    """Return the files of NAB, in order of path."""
    windows = json.loads((DATA / "nab" / "labels" / "combined_windows.json").read_text(encoding="utf-8"))
    found = []
    for path in sorted((DATA / "nab" / "data").glob("*/*.csv")):
        name = f"{path.parent.name}/{path.name}"
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(_instant(r["timestamp"]), float(r["value"])) for r in csv.DictReader(file)]
        found.append(File(path.parent.name, name, [rows], [(_instant(a), _instant(b)) for a, b in windows[name]]))
    return found


def skab() -> list[File]:
    """Return the files of SKAB, their seconds stretched."""
    found = []
    for path in sorted((DATA / "skab" / "data").glob("*/*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        first = _instant(rows[0]["datetime"])
        instants = [first + (_instant(r["datetime"]) - first) * STRETCH for r in rows]
        sensors = [name for name in rows[0] if name not in {"datetime", "anomaly", "changepoint"}]
        series = [[(at, float(r[name])) for at, r in zip(instants, rows, strict=True)] for name in sensors]
        windows: list[Episode] = []
        start = None
        for at, row in zip(instants, rows, strict=True):
            is_anomaly = float(row.get("anomaly", 0)) > 0
            if is_anomaly and start is None:
                start = at
            elif not is_anomaly and start is not None:
                windows.append((start, at))
                start = None
        if start is not None:
            windows.append((start, instants[-1]))
        found.append(File(f"SKAB {path.parent.name}", f"{path.parent.name}/{path.name}", series, windows))
    return found


def _instant(text: str) -> int:
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()) * _SECOND


def in_order(file: File) -> Iterator[tuple[int, int, float]]:
    """Yield (instant, number of the series, value) in order of time; a file's repeated instants as they stand."""
    rows = [(at, i, value) for i, one in enumerate(file.series) for at, value in one]
    yield from sorted(rows, key=lambda r: (r[0], r[1]))


# --- the rule, by the engine


class _Nothing:
    """No equipment is known."""

    def get(self, key: AssetKey) -> Equipment | None:  # noqa: ARG002 - the engine asks by key; none is known here
        """Return none."""
        return None


def by_rule(feed: Feed) -> Callable[[File], list[int]]:
    """Return the detector of the deviation rule: when it raises in a file. Series of one file are sensors of one thing: one alarm."""
    rule = Rule.model_validate(
        {
            "rule": "deviation",
            "title": "Écart",
            "message": "Écart.",
            "when": SETTINGS,
            "group_by": "rule",
            "consequence": "minor",
            "respond_within": "PT1H",
        }
    )
    world = World(_Nothing(), TerritoryHours(), {feed.feed: feed})

    def raised(file: File) -> list[int]:
        engine, changes = Engine({rule.rule: rule}, world), []
        for at, number, value in in_order(file):
            changes += engine.advance(at)
            changes += engine.take(Observed(feed.feed, "bench", str(number), "value", at, value, None, None, at))
        return [c.at for c in changes if c.rule == rule.rule and c.is_active and not c.is_update]

    return raised


# --- the baseline


class _Normal:
    """Mean and deviation of everything seen so far (Welford), and whether a series has been off for long enough."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.first = 0
        self.since: int | None = None
        self.until: int | None = None
        self.is_active = False

    def take(self, at: int, value: float) -> None:
        """Judge a value, then learn it; the delays are the rule's."""
        if not self.count:
            self.first = at
        deviation = math.sqrt(self.squares / self.count) if self.count else 0.0
        is_off = at - self.first >= _LEARN and abs(value - self.mean) > SIGMAS * deviation
        if is_off:
            self.until = None
            self.since = at if self.since is None else self.since
            self.is_active = self.is_active or at - self.since >= _ON
        elif self.is_active:
            self.until = at if self.until is None else self.until
            if at - self.until >= _OFF:
                self.is_active, self.since, self.until = False, None, None
        else:
            self.since = None
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)


def by_sigmas(file: File) -> list[int]:
    """Return when three standard deviations raise in a file: one alarm while any series is off."""
    series = [_Normal() for _ in file.series]
    raised, was_active = [], False
    for at, number, value in in_order(file):
        series[number].take(at, value)
        is_active = any(s.is_active for s in series)
        if is_active and not was_active:
            raised.append(at)
        was_active = is_active
    return raised


def measure(files: list[File], detect: Callable[[File], list[int]], stretch: int) -> dict[str, dict[str, Any]]:
    """Return the score of a detector in each group, in all, and (NAB) in the half that settings were chosen on and the other."""
    scores: dict[str, Score] = {}
    for number, file in enumerate(files):
        raised = detect(file)
        half = ["chosen on" if number % 2 == 0 else "the other half"] if stretch == 1 else []
        for name in (file.group, *half, "all"):
            scores.setdefault(name, Score()).add(file, raised, stretch)
    return {name: score.plain() for name, score in scores.items()}


def section(found: dict[str, Any], machine: str) -> str:
    """Return the results as a section of Markdown."""
    lines = []
    for data in ("nab", "skab"):
        rule, baseline = found[data]["rule"], found[data]["baseline"]
        for group in sorted(rule, key=lambda g: (g in _WHOLE, _WHOLE.index(g) if g in _WHOLE else 0, g)):
            name = f"**{data.upper()}, {group}**" if group in _WHOLE else group
            lines.append(f"| {name} | {rule[group]['windows']} | {_cells(rule[group])} | {_cells(baseline[group])} |")
    settings = ", ".join(f"`{k}: {v}`" for k, v in found["settings"].items() if k not in {"type", "property"})
    return f"""\
## Quality of detection

{machine}
The deviation rule, in the engine, on labelled public series; the same settings for all ({settings}),
chosen on every second file of NAB.
Beside it {found["sigmas"]:g} standard deviations over everything seen so far, with the same delays. Precision: raises in
a window of all raises, one counted for each window; delay: median, from the window's start. SKAB's twenty minutes are read as four days.

| | windows | rule: found | false | precision | recall | delay \
| baseline: found | false | precision | recall | delay |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
{chr(10).join(lines)}

{found["nab"]["values"] + found["skab"]["values"]:,} values, {found["nab"]["values_per_s"]:,} a second through the engine.
"""


_WHOLE: Final = ("chosen on", "the other half", "all")


def _cells(score: dict[str, Any]) -> str:
    seconds = score["delay_s"]
    delay = "" if seconds is None else f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds} s"
    shown = ("" if score[n] is None else f"{score[n]:.2f}" for n in ("precision", "recall"))
    return " | ".join((str(score["found"]), str(score["false"]), *shown, delay))


def main() -> None:
    """Measure and print."""
    if not DATA.is_dir():
        print(json.dumps({"absent": "what VIGIE_SHARED_DATA names (labelled series)"}))
        return
    feed = find_feed("vigilance-cap", Path(os.devnull))
    # Nobody knows where the series are from: their own clocks count, and the holidays of most of them.
    feed = feed.model_copy(update={"territory": feed.territory.model_copy(update={"time_zone": "UTC", "holidays": "US"})})
    found: dict[str, Any] = {"settings": SETTINGS, "sigmas": SIGMAS, "stretch": STRETCH}
    for name, files, stretch in (("nab", nab(), 1), ("skab", skab(), STRETCH)):
        values = sum(len(s) for f in files for s in f.series)
        start = time.perf_counter()
        rule = measure(files, by_rule(feed), stretch)
        seconds = time.perf_counter() - start
        found[name] = {
            "values": values,
            "values_per_s": round(values / seconds),
            "rule": rule,
            "baseline": measure(files, by_sigmas, stretch),
        }
    found["memory_mb"] = round(peak_memory_mb())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
