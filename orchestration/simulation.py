"""The simulated territory of an instance: what it is made of, its history, the process that speaks for it.

Here: the simulation's file in the home, filling a new instance, `python -m orchestration.simulation` (the service). Not here: the
territory itself (`ingestion.simulator`), commands (`orchestration.cli`).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ingestion.errors import VigieError, WrongUse
from orchestration.settings import Settings

if TYPE_CHECKING:
    from ingestion.simulator.world import World

# Four weeks: a month's indicators have something to say, and landing and building it takes a minute.
HISTORY: Final = dt.timedelta(weeks=4)
SEED: Final = 1
# Systems that are asked tell again, or correct, what is some hours old.
_ASKED_BEFORE: Final = dt.timedelta(hours=6)
# What befell the territory in its history, and how long before its end each began: one after another, so that each is told apart, and all
# over when live messages begin. The hours are those of most winter storms, and of a market.
PAST: Final = (
    ("flood", dt.timedelta(days=25)),
    ("storm", dt.timedelta(days=17, hours=7)),
    # More than twelve days (`befallen`): one that is started today may strike the main cabinet again, whose state is heard.
    ("cabinet-out", dt.timedelta(days=13, hours=4)),
    ("gateway-out", dt.timedelta(days=8, hours=6)),
    ("market-day", dt.timedelta(days=4, hours=3)),
)
# What the speaker may be behind before somebody should look: it sends in slices of five minutes.
_LATE: Final = dt.timedelta(minutes=15)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Simulation:
    """What an instance simulates.

    Attributes:
        size: `chalons`, `dijon` or a number of lights.
        seed: another seed, another history.
        history_from: where its history begins (UTC, ISO 8601).
        live_from: where its history ends and live messages begin.
        is_filled: whether the history is in the lake and built.
        is_paused: whether the speaker is kept silent.
        scenarios: what befalls it: names and starts (UTC, ISO 8601).
    """

    size: str
    seed: int
    history_from: str
    live_from: str
    is_filled: bool = False
    is_paused: bool = False
    scenarios: tuple[tuple[str, str], ...] = ()

    @property
    def span(self) -> tuple[dt.datetime, dt.datetime]:
        """The span of the history."""
        return dt.datetime.fromisoformat(self.history_from), dt.datetime.fromisoformat(self.live_from)

    def world(self) -> World:
        """Return the world."""
        from ingestion.simulator.clock import seconds
        from ingestion.simulator.scenarios import Scenario
        from ingestion.simulator.world import World

        befalls = [Scenario(name, seconds(dt.datetime.fromisoformat(start))) for name, start in self.scenarios]
        return World(_preset(self.size), self.seed, scenarios=befalls)


def require_size(size: str) -> None:
    """Check that there is a territory of this size, before anything is made for it.

    Raises:
        WrongUse: there is none.
    """
    if size != "none":
        from ingestion.simulator.presets import preset

        preset(_preset(size))


def _preset(size: str) -> str | int:
    return int(size) if size.isdigit() else size


def folder(settings: Settings) -> Path:
    """Where the simulation's files are."""
    return settings.home / "simulation"


def load(settings: Settings) -> Simulation | None:
    """Return what an instance simulates; None when it simulates nothing.

    Raises:
        VigieError: its file is damaged.
    """
    path = folder(settings) / "simulation.json"
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        scenarios = tuple((str(name), str(start)) for name, start in written.pop("scenarios", ()))
        return Simulation(**written, scenarios=scenarios)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError):
        raise VigieError(f"{path} is damaged", remedy="restore it from a backup, or simulate in another home") from None


def declare(settings: Settings, size: str, now: dt.datetime) -> Simulation | None:
    """Settle what an instance simulates, before its services start: its contracts and declared tables join the instance's.

    Args:
        settings: the instance.
        size: `chalons`, `dijon`, a number of lights, or `none`, which silences a simulation.
        now: the end of its history.

    Returns:
        The simulation; None when there is none.

    Raises:
        WrongUse: there is no such size, the instance simulates another territory, or it holds real data.
    """
    found = load(settings)
    if size == "none":
        if found is not None:
            _save(settings, replace(found, is_paused=True))
        return found
    if found is not None and found.size != size:
        raise WrongUse(
            f"this instance simulates {found.size}, not {size}", remedy=f"vigie --home OTHER up --simulate {size} makes another instance"
        )
    if found is None:
        _require_no_contracts(settings)
        live_from = now.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
        past = tuple((name, (live_from - before).isoformat()) for name, before in PAST)
        found = Simulation(size, SEED, (live_from - HISTORY).isoformat(), live_from.isoformat(), scenarios=past)
    from ingestion.simulator import inventory

    world = found.world()
    settings.feeds_path.mkdir(parents=True, exist_ok=True)
    settings.declared_path.mkdir(parents=True, exist_ok=True)
    # What was told late, or corrected, of the last hours of history is asked for too.
    since = found.span[1] - _ASKED_BEFORE
    inventory.write_contracts(world, settings.feeds_path, asked_at=settings.simulated_apis_url, files=folder(settings), since=since)
    inventory.write_declared(world, settings.declared_path)
    _save(settings, replace(found, is_paused=False))
    return load(settings)


def _require_no_contracts(settings: Settings) -> None:
    own = sorted(p.name for p in settings.feeds_path.glob("*.y*ml")) if settings.feeds_path.exists() else []
    if own:
        raise WrongUse(
            f"this instance has contracts of its own ({own[0]}): simulated equipment does not mix with real",
            remedy="start it without --simulate, or simulate in another home (--home OTHER)",
        )


def fill(settings: Settings, simulation: Simulation, say: Callable[[str], None]) -> None:
    """Land and build the history; what was done before is not done again.

    Raises:
        VigieError: a landing or the build failed.
    """
    if simulation.is_filled:
        return
    from ingestion.feeds.registry import find_feed
    from ingestion.simulator import history, inventory
    from orchestration import building, ingest

    start, end = simulation.span
    say(f"simulated territory {simulation.size}: writing its history from {start:%Y-%m-%d} to {end:%Y-%m-%d %H:%M} UTC")
    work = folder(settings) / "history"
    files = history.write(simulation.world(), work, start, end)
    for feed in inventory.FEEDS:
        contract = find_feed(feed, settings.feeds_path)
        paths = [str(p) for p in files.of(feed)]
        report = ingest.ingest(settings, contract, paths, canonical=feed not in inventory.INVENTORIES, progress=say)
        if report.failures:
            raise VigieError(f"the history of {feed} was refused: {report.failures[0].error}", remedy=report.failures[0].remedy)
    built = building.build(settings, say)
    if not built.is_published:
        raise VigieError("the simulated history was landed, but its build did not pass", remedy="vigie build says what failed")
    # The files it landed are kept among the originals; the truth stays beside.
    shutil.rmtree(work / "canonical")
    # A scenario may have been started meanwhile.
    _save(settings, replace(load(settings) or simulation, is_filled=True))


def start_scenario(settings: Settings, name: str, at: dt.datetime | None, now: dt.datetime) -> Simulation:
    """Let a scenario befall the territory; whoever speaks for it takes it up within a second.

    Args:
        settings: the instance.
        name: of a scenario.
        at: when it starts, with its zone; the next full minute without it.
        now: the instant of asking.

    Returns:
        The simulation, with it.

    Raises:
        WrongUse: the instance simulates nothing or is silenced, there is no such scenario, or it would start in the past.
    """
    from ingestion.simulator.scenarios import COURSES

    found = _required(settings)
    if found.is_paused:
        raise WrongUse("the simulation is silenced", remedy=f"vigie down; then vigie up --simulate {found.size}")
    if name not in COURSES:
        raise WrongUse(f"no scenario is called {name!r}", remedy=f"one of {', '.join(COURSES)}")
    # What falls due until then may be sent already: a scenario changes nothing that was said.
    earliest = now.astimezone(dt.UTC).replace(second=0, microsecond=0) + dt.timedelta(minutes=1)
    start = earliest if at is None else at.astimezone(dt.UTC).replace(microsecond=0)
    if start < earliest:
        raise WrongUse(f"{start:%Y-%m-%d %H:%M:%S} UTC is past: what was said stays said", remedy=f"from {earliest:%Y-%m-%dT%H:%M}Z on")
    found = replace(found, scenarios=(*found.scenarios, (name, start.isoformat())))
    _save(settings, found)
    return found


def phases(settings: Settings) -> list[dict[str, str]]:
    """Return the phases of what befalls the territory, in the order they start: scenario, when it started, phase, from, until (UTC).

    Raises:
        WrongUse: the instance simulates nothing.
    """
    from ingestion.simulator.clock import instant, seconds
    from ingestion.simulator.scenarios import Scenario

    return [
        {"scenario": name, "started": start, "phase": phase, "from": instant(begin).isoformat(), "until": instant(end).isoformat()}
        for name, start in sorted(_required(settings).scenarios, key=lambda s: (s[1], s[0]))
        for phase, begin, end in Scenario(name, seconds(dt.datetime.fromisoformat(start))).spans()
    ]


def _save(settings: Settings, simulation: Simulation) -> None:
    path = folder(settings) / "simulation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(asdict(simulation), indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


@dataclass(frozen=True)
class SpeakerCheck:
    """The speaker keeps up with the clock."""

    settings: Settings

    def __call__(self, started_at: dt.datetime) -> str | None:
        """Return `None` when all that fell due was sent, or the speaker has just started."""
        now = dt.datetime.now(dt.UTC)
        if now - started_at < _LATE:
            return None
        from ingestion.simulator.live import resume

        reached = resume(_state(self.settings), started_at)
        return None if now - reached < _LATE else f"nothing was sent since {reached:%Y-%m-%d %H:%M} UTC"


def _state(settings: Settings) -> Path:
    return folder(settings) / "sent_until.json"


def speak(settings: Settings) -> None:
    """Speak for the territory until asked to stop.

    Raises:
        VigieError: there is no simulation, or a message was refused for what it is.
    """
    from ingestion.simulator import inventory, live

    simulation = _required(settings)
    passwords = {f: settings.secrets.streams[f].get_secret_value() for f in inventory.FEEDS if f in settings.secrets.streams}
    endpoints = live.Endpoints(settings.broker_host, settings.mqtt_port, settings.intake_url, passwords)

    def told(reached: live.Reached) -> None:
        if reached.waiting_for:
            _log.warning("waiting: %s", reached.waiting_for)
        else:
            live.record(_state(settings), reached)

    with _until_asked() as asked:
        while not asked:
            since = live.resume(_state(settings), simulation.span[1])
            _log.info("speaking for %s from %s on, scenarios: %s", simulation.size, since.isoformat(), simulation.scenarios or "none")
            stop = _Stop(settings, simulation, asked)
            asyncio.run(live.speak(simulation.world(), endpoints, since=since, stop=stop, report=told))
            simulation = _required(settings)


class _Stop:
    """Whether to stop: asked to, or what is simulated is no longer what it was, for a scenario was started."""

    def __init__(self, settings: Settings, simulation: Simulation, asked: list[int]) -> None:
        self._settings, self._simulation, self._asked = settings, simulation, asked
        self._written: int | None = None

    def __call__(self) -> bool:
        if self._asked:
            return True
        # Asked with every slice: the file is read when it was written again, which replaces it.
        written = (folder(self._settings) / "simulation.json").stat().st_mtime_ns
        if written == self._written:
            return False
        self._written = written
        return _required(self._settings).scenarios != self._simulation.scenarios


def _required(settings: Settings) -> Simulation:
    simulation = load(settings)
    if simulation is None:
        raise WrongUse(f"{settings.home} simulates nothing", remedy="vigie up --simulate chalons")
    return simulation


@contextlib.contextmanager
def _until_asked() -> Iterator[list[int]]:
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _frame: asked.append(n))
    yield asked


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        speak(Settings.load())
    except VigieError as error:
        sys.exit(f"error: {error}")
