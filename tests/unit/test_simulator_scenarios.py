"""Scenarios of the simulated territory: their courses, what each does to whom, their truth, and that they change no past.

Here: effects, by what is sent and by the truth. Not here: formats (`test_simulator_systems`), rivers and weather (their own tests).
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ingestion.errors import WrongUse
from ingestion.simulator import bins, buildings, cameras, car_parks, network, town, truth
from ingestion.simulator.clock import DAY, HOUR, instant, seconds
from ingestion.simulator.papers import CALLS_FEED
from ingestion.simulator.presets import Stock, preset
from ingestion.simulator.scenarios import COURSES, Scenario, Scenarios
from ingestion.simulator.wire import Wire
from ingestion.simulator.world import World

# A Wednesday, ten o'clock in Paris.
_START = seconds(dt.datetime(2026, 3, 11, 9, tzinfo=dt.UTC))


def _town(*names: str, start: int = _START) -> World:
    stock = Stock(40, 8, 4, 8, 6, 6, 12, 3, 8, 16, 2, 2)
    return World(replace(preset(800), remote=400, stock=stock), 5, scenarios=[Scenario(name, start) for name in names])


@pytest.fixture(scope="module")
def usual() -> World:
    return _town()


def _told(world: World, feed: str, name: str, start: int, end: int) -> Iterator[tuple[str, int, float | None, str | None]]:
    """Yield asset, instant, number and text of a property, as they are told."""
    for table in town.systems(world)[feed].tables(start, end):
        for row in table.to_pylist():
            if row["property"] == name:
                yield row["asset_ref"], seconds(row["observed_at"]), row["value"], row["value_text"]


def _mean(world: World, feed: str, name: str, start: int, end: int) -> float:
    return float(np.mean([value for *_, value, _ in _told(world, feed, name, start, end)]))


@pytest.mark.parametrize("name", COURSES)
def test_a_scenario_runs_its_course(name: str) -> None:
    own = Scenarios([Scenario(name, _START)])
    scenario = own.all[0]
    assert own.level(name, _START - 1) == own.level(name, scenario.end) == 0
    assert own.active(_START - DAY, _START) == own.active(scenario.end, scenario.end + DAY) == []
    assert own.active(_START, _START + 1) == own.active(scenario.end - 1, scenario.end) == [scenario]
    at = np.arange(_START - DAY, scenario.end + DAY, 600)
    levels = own.levels(name, at)
    assert levels.min() == 0
    assert levels.max() == 1
    assert levels.tolist() == pytest.approx([own.level(name, int(t)) for t in at])
    others = [o for o in COURSES if o != name]
    assert all(own.level(o, _START + HOUR) == 0 for o in others)
    phases = scenario.spans()
    assert phases[0][1] == _START
    assert all(a[2] == b[1] for a, b in itertools.pairwise(phases))
    assert phases[-1][2] == scenario.end


def test_levels_stand_in_the_courses() -> None:
    storm = Scenarios([Scenario("storm", _START)])
    # Warned for three hours; then it rises for three.
    assert [storm.level("storm", _START + h * HOUR) for h in (0, 2, 3, 6, 8, 13, 20)] == [0, 0, 0, 1, 1, 0, 0]
    assert storm.level("storm", _START + int(4.5 * HOUR)) == pytest.approx(0.5)
    two = Scenarios([Scenario("flood", _START), Scenario("flood", _START + DAY)])
    assert two.level("flood", _START + DAY + DAY // 2) == 1


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(WrongUse, match="earthquake"):
        World(60, 1, scenarios=[Scenario("earthquake", _START)])


def test_what_is_added_for_later_changes_nothing_before(usual: World) -> None:
    befallen = _town(*COURSES)
    before = list(Wire(usual).messages(_START - 2 * DAY, _START))
    assert list(Wire(befallen).messages(_START - 2 * DAY, _START)) == before
    after = list(Wire(usual).messages(_START, _START + DAY))
    assert list(Wire(befallen).messages(_START, _START + DAY)) != after


def test_scenarios_are_in_the_truth(tmp_path: Path) -> None:
    world = _town("storm", "cabinet-out", "gateway-out")
    written = truth.write(world, tmp_path, instant(_START - DAY), instant(_START + 2 * DAY))
    courses = pq.read_table(written["scenarios"]).to_pylist()
    assert {(r["scenario"], r["phase"]) for r in courses} == {
        (name, phase.name) for name in ("storm", "cabinet-out", "gateway-out") for phase in COURSES[name].phases
    }
    assert min(r["started_at"] for r in courses) == instant(_START)
    failures = pq.read_table(written["failures"]).to_pylist()
    assert {r["scenario"] for r in failures} == {None, "storm", "cabinet-out"}
    assert all(r["started_at"] >= instant(_START) for r in failures if r["scenario"])
    scenes = pq.read_table(written["equipment"]).to_pylist()
    assert {r["feed"] for r in scenes} <= set(town.SYSTEMS)
    struck = Counter((r["scenario"], r["feed"]) for r in scenes)
    assert struck["storm", "sim-cameras"] > 0
    assert struck["storm", "sim-reseau"] > 0
    assert struck["gateway-out", "sim-batiments"] > 0
    assert all(r["told_from"] is None or r["told_from"] >= r["started_at"] for r in scenes)
    assert all(r["told_until"] is None or r["told_until"] >= r["ended_at"] for r in scenes)


def test_what_is_told_of_cameras_is_the_truth() -> None:
    """Every lapse of the truth that is told is told by a sample that says so, and no sample says what the truth does not."""
    world = _town("storm")
    start, end = _START - 20 * DAY, _START + 4 * DAY
    scenes = list(town.systems(world)["sim-cameras"].scenes(start, end))
    assert {s.kind for s in scenes} == {"failure", "communication-lost"}
    said = {(ref, at): text for ref, at, _, text in _told(world, "sim-cameras", "status", start - DAY, end + DAY)}
    for s in scenes:
        word = "defective" if s.kind == "failure" else "unreachable"
        if s.told_from is not None and start <= s.told_from < end:
            assert said[s.asset_ref, s.told_from] == word
            # It is told at once, but where another trouble hides it.
            assert s.told_from == s.started or any(
                o.asset_ref == s.asset_ref and o.started <= s.started < o.ended for o in scenes if o != s
            )
    for (ref, at), text in said.items():
        if text != "ok" and start <= at < end:
            assert any(s.asset_ref == ref and s.started <= at < s.ended for s in scenes), (ref, at, text)


def test_a_storm_darkens_streets_and_silences_equipment(usual: World) -> None:
    world = _town("storm")
    raging, calm = Scenario("storm", _START).phase("raging")[1], _START + 13 * HOUR
    dark = [c.failure for c in world.cases(_START, calm) if c.failure.scenario == "storm"]
    assert dark
    assert {x.process for x in dark} == {"cabinet-dark"}
    assert all(_START + 3 * HOUR <= x.started < calm for x in dark)
    lost = Counter(text for *_, text in _told(world, "sim-cameras", "status", _START + 6 * HOUR, raging))
    quiet = Counter(text for *_, text in _told(usual, "sim-cameras", "status", _START + 6 * HOUR, raging))
    assert lost["unreachable"] > quiet["unreachable"]
    beats = [len(list(_told(w, "sim-reseau", "heartbeat", _START + 6 * HOUR, raging))) for w in (world, usual)]
    assert beats[0] < beats[1]
    reports = [len(w.papers(_START, _START + DAY)[0]) for w in (world, usual)]
    assert reports[0] > reports[1] + 5
    refs = [r.ref for r in world.papers(_START, _START + DAY)[0]]
    assert len(set(refs)) == len(refs)


def test_a_cabinet_that_is_out_takes_along_what_it_feeds() -> None:
    world = _town("cabinet-out")
    (case,) = [c for c in world.cases(_START, _START + DAY) if c.failure.scenario == "cabinet-out"]
    assert case.failure.started == _START
    assert case.order is not None
    assert case.failure.is_remote
    # The largest that has no failure of its own about that time.
    sizes = Counter(world.territory.light_cabinet[world.territory.remote].tolist())
    assert sizes[case.failure.cabinet] in sorted(sizes.values())[-2:]
    systems = town.systems(world)
    # As soon as its concentrator, which has no network for another hour that day, is back.
    log = [json.loads(m.payload)["entries"][0]["data"] for m in systems["sim-telegestion"].messages(_START, _START + 12 * HOUR)]
    assert [e["timestamp"] for e in log if e["eventType"] == "supplyLoss"] == ["2026-03-11T09:00:20Z"]
    for feed in ("sim-cameras", "sim-reseau"):
        fed = [s for s in systems[feed].scenes(_START, _START + HOUR) if s.scenario == "cabinet-out"]
        assert fed
        assert {(s.kind, s.started, s.ended) for s in fed} == {("communication-lost", case.failure.started, case.failure.ended)}


def test_a_gateway_that_is_out_keeps_what_it_hears(usual: World) -> None:
    """Its devices are silent for five hours; then all of it comes within ten minutes, and nothing is lost."""
    world = _town("gateway-out")
    began, ended = Scenario("gateway-out", _START).phase("silent")
    behind = {b.number for b in buildings.Buildings(world)._buildings if b.gateway == 0}
    refs = {buildings.Buildings(world).refs[n] for n in behind}
    assert refs

    def uplinks(of: World, start: int, end: int) -> list[tuple[int, bytes]]:
        sent = town.systems(of)["sim-batiments"].messages(start, end)
        return [(m.sent_at, m.payload) for m in sent if m.topic is not None and m.topic.split("/")[3].upper() in refs]

    assert {p for _, p in uplinks(usual, began, ended + DAY)} == {p for _, p in uplinks(world, began, ended + DAY)}
    silent = uplinks(world, began + 60, ended)
    assert len(uplinks(usual, began + 60, ended)) > 30
    assert len(silent) <= 2  # what was late before
    backlog = uplinks(world, ended, ended + 700)
    assert len(backlog) >= len(refs) * 5 * 4 - 5
    heard = [at for ref, at, *_ in _told(world, "sim-reseau", "heartbeat", began, ended) if ref == "urn:ngsi-ld:LoRaGateway:GTW-001"]
    assert [at for at in heard if at >= began] == []


def test_a_flood_closes_what_lies_by_the_river(usual: World) -> None:
    world = _town("flood")
    crest = _START + DAY + 6 * HOUR
    assert car_parks.flooded(usual, _START, _START + 10 * DAY) == []
    ((began, ended),) = car_parks.flooded(world, _START, _START + 10 * DAY)
    # It rises over a day to the crest, and falls over three from the end of the second: at 0.65 on both sides.
    assert (began - _START, ended - _START) == pytest.approx((0.65 * DAY, 2 * DAY + 0.35 * 3 * DAY), abs=1)
    wet = {car_parks.URN + p.code for p in car_parks.CarParks(world)._parks if p.is_by_river}
    assert len(wet) == 2
    closed = {ref for ref, *_, text in _told(world, "sim-parkings", "status", crest, crest + HOUR) if text == "closed"}
    assert closed == wet
    free = {ref: value for ref, _, value, _ in _told(world, "sim-parkings", "free_places", crest, crest + HOUR)}
    assert {ref for ref, value in free.items() if value == 0} >= wet
    passages = [value for ref, _, value, _ in _told(world, "sim-bornes", "passages", crest, crest + HOUR) if ref in _wet_bollards(world)]
    assert set(passages) == {0.0}


def _wet_bollards(world: World) -> set[str]:
    system = town.systems(world)["sim-bornes"]
    return {s.asset_ref for s in system.scenes(_START + DAY, _START + DAY + HOUR) if s.scenario == "flood"}


def test_a_market_day_fills_car_parks_and_bins(usual: World) -> None:
    world = _town("market-day")
    start, end = _START + 2 * HOUR, _START + 5 * HOUR
    assert _mean(world, "sim-parkings", "free_places", start, end) < _mean(usual, "sim-parkings", "free_places", start, end)
    assert _mean(world, "sim-conteneurs", "fill_level", end, end + HOUR) > _mean(usual, "sim-conteneurs", "fill_level", end, end + HOUR)
    assert _mean(world, "sim-reseau", "clients", start, end) > 1.5 * _mean(usual, "sim-reseau", "clients", start, end)


def test_a_heat_wave_warms_buildings(usual: World) -> None:
    july = seconds(dt.datetime(2026, 7, 6, 6, tzinfo=dt.UTC))
    world = _town("heat-wave", start=july)
    start, end = july + 2 * DAY, july + 3 * DAY
    assert _mean(world, "sim-batiments", "air_temperature", start, end) > _mean(usual, "sim-batiments", "air_temperature", start, end) + 5


def test_a_lockdown_empties_the_town(usual: World) -> None:
    world = _town("lockdown")
    start, end = _START + DAY, _START + 2 * DAY
    assert _mean(world, "sim-parkings", "free_places", start, end) > 1.3 * _mean(usual, "sim-parkings", "free_places", start, end)
    assert _mean(world, "sim-batiments", "co2", start, end) < _mean(usual, "sim-batiments", "co2", start, end) - 50
    badges = [len(list(town.systems(w)["sim-acces"].messages(start, end))) for w in (world, usual)]
    assert badges[0] < 0.4 * badges[1]
    calls = [sum(r.feed == CALLS_FEED for r in w.papers(start, start + 5 * DAY)[0]) for w in (world, usual)]
    assert calls[0] > calls[1]
    system = bins.Bins(world)
    home = {ref for ref, is_home in zip(system.refs, system._is_by_homes.tolist(), strict=True) if is_home}
    assert 0 < len(home) < len(system.refs)
    day = 20 * HOUR
    for of_homes in (True, False):
        levels = [
            float(
                np.mean(
                    [
                        v
                        for ref, _, v, _ in _told(w, "sim-conteneurs", "fill_level", _START + day, _START + day + HOUR)
                        if (ref in home) == of_homes
                    ]
                )
            )
            for w in (world, usual)
        ]
        assert levels[0] > levels[1] if of_homes else levels[0] < levels[1]


def test_cameras_that_hang_on_masts_are_described_so(usual: World) -> None:
    cabinets = {c.ref for c in usual.territory.cabinets}
    rows = cameras.Cameras(usual).inventory()
    assert {r["parent_ref"] for r in rows} <= cabinets | {None}
    assert sum(r["parent_ref"] is not None for r in rows) == 14  # one in three of forty
    assert {str(r["asset_type"]) for r in network.Network(usual).inventory()} == {"access_point", "fibre_node", "lora_gateway"}
