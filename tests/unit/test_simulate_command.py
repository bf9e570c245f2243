"""`vigie simulate`: a scenario joins what an instance simulates, and nothing of what was said changes.

Here: the command, the simulation's file, when the speaker takes it up. Not here: what scenarios do (`test_simulator_scenarios`), a whole
instance (`tests/e2e/test_simulated.py`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.errors import VigieError, WrongUse
from ingestion.simulator import befallen
from ingestion.simulator.clock import seconds
from ingestion.simulator.scenarios import COURSES, Scenario
from ingestion.simulator.world import World
from orchestration import simulation
from orchestration.cli.main import main
from orchestration.settings import Settings, create_local

_NOW = dt.datetime(2026, 5, 4, 9, 30, 20, tzinfo=dt.UTC)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.delenv("VIGIE_HOME", raising=False)
    made = create_local(tmp_path / "home")
    simulation.declare(made, "60", _NOW)
    return made


def _scenarios(settings: Settings) -> list[list[str]]:
    written: list[list[str]] = json.loads((settings.home / "simulation" / "simulation.json").read_text(encoding="utf-8"))["scenarios"]
    return written


def test_a_new_territory_has_known_a_few(settings: Settings) -> None:
    """All that befell it was over before live messages begin, and in its history."""
    found = simulation.load(settings)
    assert found is not None
    start, end = found.span
    assert [name for name, _ in found.scenarios] == [name for name, _ in simulation.PAST]
    for scenario in found.world().scenarios.all:
        assert start.timestamp() <= scenario.start < scenario.end <= end.timestamp()
    told = simulation.phases(settings)
    assert {p["scenario"] for p in told} == {name for name, _ in simulation.PAST}
    assert [p["started"] for p in told] == sorted(p["started"] for p in told)


def test_a_scenario_starts_at_the_next_full_minute(settings: Settings) -> None:
    before = _scenarios(settings)
    found = simulation.start_scenario(settings, "storm", None, _NOW)
    assert _scenarios(settings) == [*before, ["storm", "2026-05-04T09:31:00+00:00"]]
    assert simulation.load(settings) == found
    # Declared again, as each start does, it is kept.
    assert simulation.declare(settings, "60", _NOW + dt.timedelta(days=1)) == found


def test_it_may_start_at_an_instant_to_come(settings: Settings) -> None:
    evening = dt.datetime.fromisoformat("2026-05-04T20:00:00+02:00")
    simulation.start_scenario(settings, "flood", evening, _NOW)
    assert _scenarios(settings)[-1] == ["flood", "2026-05-04T18:00:00+00:00"]


@pytest.mark.parametrize(
    ("name", "at", "why"),
    [("earthquake", None, "no scenario is called 'earthquake'"), ("storm", _NOW, "2026-05-04 09:30:20 UTC is past")],
)
def test_what_cannot_be_is_refused_and_changes_nothing(settings: Settings, name: str, at: dt.datetime | None, why: str) -> None:
    before = _scenarios(settings)
    with pytest.raises(WrongUse, match=why):
        simulation.start_scenario(settings, name, at, _NOW)
    assert _scenarios(settings) == before


def test_silenced_or_absent_there_is_nothing_to_befall(settings: Settings, tmp_path: Path) -> None:
    simulation.declare(settings, "none", _NOW)
    with pytest.raises(WrongUse, match="silenced"):
        simulation.start_scenario(settings, "storm", None, _NOW)
    with pytest.raises(WrongUse, match="simulates nothing"):
        simulation.start_scenario(create_local(tmp_path / "other"), "storm", None, _NOW)


def test_a_file_of_before_scenarios_is_read(settings: Settings) -> None:
    path = settings.home / "simulation" / "simulation.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    del written["scenarios"]
    path.write_text(json.dumps(written), encoding="utf-8")
    found = simulation.load(settings)
    assert found is not None
    assert found.scenarios == ()
    for damaged in ("[]", '{"scenarios": [["storm"]]}', '{"scenarios": 3}'):
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(VigieError, match="damaged"):
            simulation.load(settings)


def test_the_speaker_takes_it_up(settings: Settings) -> None:
    found = simulation.load(settings)
    assert found is not None
    asked: list[int] = []
    stop = simulation._Stop(settings, found, asked)
    assert [stop(), stop()] == [False, False]
    simulation.start_scenario(settings, "storm", None, _NOW)
    assert stop()
    again = simulation._Stop(settings, simulation.load(settings) or found, asked)
    assert not again()
    asked.append(15)
    assert again()


def test_the_command_lists_and_starts(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(settings.home)]
    assert main(["simulate", *home]) == 0
    listed = capsys.readouterr().out
    assert all(course.title in listed for course in COURSES.values())
    assert main(["simulate", "gateway-out", "--json", *home]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["scenarios"]["storm"] == "Tempête"
    assert [p["phase"] for p in document["phases"] if p["started"] == _scenarios(settings)[-1][1]] == ["silent", "catching-up"]
    assert "gateway-out (Passerelle radio muette) starts at" in said.err
    assert main(["simulate", "heat-wave", "--at", "2090-07-01T06:00", *home]) == 0
    assert _scenarios(settings)[-1] == ["heat-wave", "2090-07-01T06:00:00+00:00"]
    assert "2090-07-01 06:00" in capsys.readouterr().out
    for wrong in (["simulate", "tornado"], ["simulate", "storm", "--at", "tomorrow"], ["simulate", "--at", "2090-07-01"]):
        assert main([*wrong, *home]) == 2


@pytest.mark.parametrize("hour", range(0, 24 * 14, 31))
def test_a_cabinet_that_goes_dark_today_is_one_whose_state_is_heard(hour: int) -> None:
    """Of a town with one piloted cabinet: neither its storm nor the cabinet of its history leaves today's to one that nobody hears."""
    live_from = dt.datetime(2026, 11, 20, tzinfo=dt.UTC) + dt.timedelta(hours=hour)
    begun = [(name, live_from - before) for name, before in simulation.PAST] + [("cabinet-out", live_from + dt.timedelta(minutes=12))]
    world = World(120, simulation.SEED, scenarios=[Scenario(name, seconds(start)) for name, start in begun])
    assert [c.is_remote for c in world.territory.cabinets] == [True, False]
    struck = befallen.failures(world.scenarios, world.territory, world.seed, lambda _: [])
    assert [x.is_remote for x in struck if x.scenario == "cabinet-out" and x.started >= seconds(live_from)] == [True]
