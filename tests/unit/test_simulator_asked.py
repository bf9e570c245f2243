"""Systems that are asked or that leave files: what they answer becomes, through connector and decoder, the rows that they must become.

Here: each of them, asked over HTTP as its contract asks, by a clock of our own. Not here: those that send by themselves
(`test_simulator_systems`), landing what is fetched (`tests/integration/test_simulator_served`).
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import requests

from ingestion.connectors.model import Fetched, Limits
from ingestion.connectors.rest import fetch_rest
from ingestion.contracts.canonical import CONTRACTS
from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed, RestConnector
from ingestion.formats.message_files import messages_of
from ingestion.formats.model import Bounds
from ingestion.mapping.decoded import DecodedStage
from ingestion.simulator import inventory, nature, rivers, served, town, vigilance
from ingestion.simulator.asked import Question
from ingestion.simulator.building_energy import BuildingEnergy
from ingestion.simulator.buses import Buses
from ingestion.simulator.clock import DAY, HOUR, MINUTE, instant, seconds
from ingestion.simulator.scenarios import Scenario
from ingestion.simulator.world import World
from tests.outside import Outside

pytest_plugins = ("tests.outside",)

# A working day in winter, with a flood that rises and a storm.
_START = seconds(dt.datetime(2026, 2, 24, 4, tzinfo=dt.UTC))
_END = _START + 9 * HOUR
_SCENARIOS = (Scenario("storm", _START), Scenario("flood", _START - 6 * HOUR))
_ASKED = sorted(served.asked(World(100, 3)))
_LIMITS = Limits(attempts=1, timeout_seconds=10)
Row = dict[str, Any]


@pytest.fixture
def world() -> World:
    return World("chalons", 8, scenarios=_SCENARIOS)


def test_the_systems_that_are_asked_are_these() -> None:
    assert _ASKED == ["sim-bus", "sim-demandes", "sim-meteo", "sim-rivieres", "sim-vigicrues"]
    assert list(served.dropped(World(100, 3))) == ["sim-batiments-energie"]


@pytest.mark.parametrize("name", _ASKED)
def test_what_is_answered_becomes_the_rows_it_must(name: str, world: World, outside: Callable[[World], Outside], tmp_path: Path) -> None:
    system, every = served.asked(world)[name], served.asked(world)[name].every
    server = outside(world)
    feed = _from(server.feed(name, tmp_path), _START)
    asked_at = range(-(-_START // every) * every + every, _END, every)
    found: set[tuple[Any, ...]] = set()
    cursor: dict[str, Any] | None = None
    for at in asked_at:
        server.now = at
        fetched = _fetched(feed, cursor, at, tmp_path)
        found |= {_hashed(row) for row in _decoded(feed, fetched)}
        cursor = next((f.cursor for f in reversed(fetched) if f.cursor is not None), cursor)
    first = asked_at[0] - every
    expected = {_hashed(r) for t in town.systems(world)[name].tables(first + 1, asked_at[-1] + 1) for r in _complete(t, feed.contract)}
    if feed.contract == "observation" and isinstance(feed.connector, RestConnector) and feed.connector.window is not None:
        # What was made before the first window is told in part: as far back as later questions look.
        made_at, since = list(CONTRACTS["observation"].columns).index("observed_at"), instant(_START)
        found, expected = ({r for r in rows if r[made_at] >= since} for rows in (found, expected))
    assert system.feed == name
    assert expected
    assert found == expected


def test_each_file_becomes_the_rows_it_must(tmp_path: Path) -> None:
    # Over the night in which clocks go forward, and the mornings on which its estimates are replaced.
    start = seconds(dt.datetime(2026, 3, 29, tzinfo=dt.UTC))
    system, feed = BuildingEnergy(World("chalons", 1)), _shipped("sim-batiments-energie", tmp_path)
    files = []
    for name, content in system.files(start, start + 6 * DAY):
        (tmp_path / name).write_bytes(content)
        files.append(Fetched(tmp_path / name, name))
    expected = [r for t in system.tables(start, start + 6 * DAY) for r in _complete(t, feed.contract)]
    found = _decoded(feed, files)
    assert {r["quality"] for r in expected} == {"E", "R"}
    assert sorted(map(_hashed, found)) == sorted(map(_hashed, expected))


def test_each_alert_becomes_the_rows_it_must(world: World, tmp_path: Path) -> None:
    system, feed = vigilance.Warnings(world), _shipped("sim-vigilance", tmp_path)
    files = []
    for number, message in enumerate(system.messages(_START - 30 * DAY, _START + 7 * DAY)):
        path = tmp_path / f"{number:03d}.xml"
        path.write_bytes(message.payload)
        files.append(Fetched(path, path.name))
    expected = [r for t in system.tables(_START - 30 * DAY, _START + 7 * DAY) for r in _complete(t, feed.contract)]
    assert {"Alert", "Update", "Cancel"} <= {r["value_text"] for r in expected}
    assert _decoded(feed, files) == expected


def _shipped(name: str, folder: Path) -> Feed:
    return load_feed(inventory.write_contracts(World(100, 3), folder)[name])


def _from(feed: Feed, start: int) -> Feed:
    """Return a contract that reads from an instant on, if it reads windows."""
    connector = feed.connector
    assert isinstance(connector, RestConnector)
    if connector.window is None:
        return feed
    window = connector.window.model_copy(update={"initial": instant(start).isoformat()})
    return feed.model_copy(update={"connector": connector.model_copy(update={"window": window})})


def _fetched(feed: Feed, cursor: dict[str, Any] | None, at: int, folder: Path) -> list[Fetched]:
    assert isinstance(feed.connector, RestConnector)
    work = folder / f"{feed.feed}-{at}"
    work.mkdir()
    return list(fetch_rest(feed.connector, _no_secret, work, cursor, _LIMITS, now=lambda: instant(at)))


def _no_secret(name: str) -> str:
    raise AssertionError(name)


def _decoded(feed: Feed, fetched: Iterable[Fetched]) -> list[Row]:
    """Return what the platform stores of fetched files, and assert that it refuses nothing of them."""
    with duckdb.connect() as con:
        stage = DecodedStage(con, feed)
        for one in fetched:
            for payload, name in messages_of(one.path, bounds=Bounds(), workdir=one.path.parent):
                stage.add(payload, None, name, name)
        parts = {p.contract.name: p for p in stage.close()}
        assert con.execute(f"SELECT * FROM {stage.rejects}").fetchall() == []
        con.execute("SET TimeZone = 'UTC'")
        columns = ", ".join(CONTRACTS[feed.contract].columns)
        rows: list[Row] = (
            con.execute(f"SELECT {columns} FROM {parts[feed.contract].rows} ORDER BY _position, rowid").to_arrow_table().to_pylist()
        )
    return rows


def _complete(table: pa.Table, contract: str) -> list[Row]:
    columns = CONTRACTS[contract].columns
    return [{name: row.get(name) for name in columns} for row in table.to_pylist()]


def _hashed(row: Row) -> tuple[Any, ...]:
    return tuple(row.values())


@pytest.mark.parametrize("name", [*_ASKED, "sim-batiments-energie", "sim-vigilance"])
def test_windows_that_meet_tell_what_one_tells(name: str) -> None:
    edges = [_START - 3 * DAY, _START + 5 * HOUR + 7, _START + DAY, _START + DAY + 11 * HOUR + 30, _START + 3 * DAY]
    parts = [r for a, z in itertools.pairwise(edges) for t in town.systems(World(100, 3))[name].tables(a, z) for r in t.to_pylist()]
    whole = [r for t in town.systems(World(100, 3))[name].tables(edges[0], edges[-1]) for r in t.to_pylist()]
    assert parts == whole


@pytest.mark.parametrize("name", _ASKED)
def test_a_contract_asks_as_often_as_its_system_says(name: str, outside: Callable[[World], Outside], tmp_path: Path) -> None:
    world = World(100, 3)
    feed = outside(world).feed(name, tmp_path)
    minutes = (feed.schedule or "").split()[0]
    each = {"*/10": [0, 10, 20, 30, 40, 50]}.get(minutes) or [int(m) for m in minutes.split(",")]
    gaps = {(b - a) % 60 or 60 for a, b in itertools.pairwise([*each, each[0]])}
    assert gaps == {served.asked(world)[name].every // MINUTE}


def test_a_scenario_to_come_changes_nothing_that_was_answered(world: World) -> None:
    later = World("chalons", 8, scenarios=(*_SCENARIOS, Scenario("flood", _END), Scenario("storm", _END), Scenario("heat-wave", _END)))
    for name in _ASKED:
        one, other = (served.asked(w)[name] for w in (world, later))
        paths = {"sim-bus": "vehicle-positions.pb", "sim-demandes": "open311/v2/requests.json", "sim-meteo": "v1.1/Observations"}
        paths |= {"sim-rivieres": "api/v2/hydrometrie/observations_tr", "sim-vigicrues": "services/InfoVigiCru.geojson"}
        question = Question(paths[name], {}, f"http://outside/{name}", _END - 1)
        assert one.answer(question) == other.answer(question)


def test_what_it_does_not_know_is_refused(world: World, outside: Callable[[World], Outside]) -> None:
    server = outside(world)
    server.now = _END
    statuses = {
        path: requests.get(f"{server.url}/{path}", timeout=10).status_code
        for path in (
            "nothing",
            "sim-cameras/v1.1/Observations",
            "sim-meteo/v1.1/Things",
            "sim-meteo/v1.1/Observations?$filter=result gt 3",
            "sim-meteo/v1.1/Observations?$skiptoken=none",
            "sim-rivieres/api/v2/hydrometrie/observations_tr?size=0",
            "sim-rivieres/api/v2/hydrometrie/observations_tr?cursor=none",
            "sim-rivieres/api/v2/hydrometrie/observations_tr?date_debut_obs=hier",
            "sim-demandes/open311/v2/requests.json?updated_after=hier",
            "sim-demandes/open311/v2/requests.json?page=0",
        )
    }
    assert sorted(statuses.values()) == [400] * 6 + [404] * 3 + [501]


def test_pages_hold_together_what_one_page_holds(world: World) -> None:
    system = served.asked(world)["sim-rivieres"]
    path, url = "api/v2/hydrometrie/observations_tr", "http://outside/observations_tr"
    since = instant(_END - 3 * HOUR).isoformat()
    whole = system.answer(Question(path, {"size": "20000", "date_debut_obs": since}, url, _END))
    assert whole is not None
    assert whole.status == 200
    lines: list[Row] = []
    query = {"size": "7", "date_debut_obs": since}
    for asked in itertools.count():
        # Later pages are asked for later: what was published meanwhile must not shift them.
        answer = system.answer(Question(path, query, url, _END + asked * 5 * MINUTE))
        assert answer is not None
        document = json.loads(answer.body)
        lines += document["data"]
        assert answer.status == (206 if document["next"] else 200)
        if not document["next"]:
            break
        assert document["next"].startswith(f"{url}?")
        query = dict(pair.split("=", 1) for pair in document["next"].partition("?")[2].split("&"))
    assert lines == json.loads(whole.body)["data"]


def test_a_value_that_is_revised_is_told_twice_and_asked_for_once(world: World) -> None:
    system = rivers.Rivers(world)
    told = system.told(_START - DAY, _START + DAY, until=_START + 2 * DAY)
    revised = [t for t in told if t.is_revised]
    assert revised
    for last in revised:
        first = next(t for t in told if (t.gauge, t.made_at) == (last.gauge, last.made_at))
        assert first.published_at + 2 * HOUR <= last.published_at <= first.made_at + rivers.LATEST
        assert first.level_mm != last.level_mm
    before, after = (
        [t for t in system._current(_START - DAY, now) if (t.gauge, t.made_at) == (revised[0].gauge, revised[0].made_at)]
        for now in (revised[0].published_at - 1, revised[0].published_at)
    )
    assert [t.is_revised for t in before] == [False]
    assert [t.is_revised for t in after] == [True]


def test_rivers_rise_by_metres_in_a_flood_and_are_back_after_it() -> None:
    quiet, flooded = (rivers.Rivers(World("chalons", 1, scenarios=s)) for s in ((), (Scenario("flood", _START),)))
    for at, least, most in ((_START - HOUR, 0, 0), (_START + 40 * HOUR, 2_000, 3_600), (_START + 7 * DAY, 0, 0)):
        levels = [{t.gauge: t.level_mm for t in s.told(at, at + HOUR, until=at + DAY) if t.is_revised is False} for s in (quiet, flooded)]
        for gauge in levels[0].keys() & levels[1].keys():
            assert least <= levels[1][gauge] - levels[0][gauge] <= most
    scenes = [s for s in flooded.scenes(_START, _START + 6 * DAY) if s.kind == "flooded"]
    assert {s.asset_ref for s in scenes} == {g.code for g in flooded.gauges}
    assert all(_START < s.started < s.ended < _START + 6 * DAY and s.scenario == "flood" for s in scenes)


def test_the_weather_of_a_year_is_that_of_its_place() -> None:
    world = World("chalons", 1)
    year = np.arange(seconds(dt.datetime(2025, 1, 1, tzinfo=dt.UTC)), seconds(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), HOUR)
    warmth, rain, wind = nature.temperature_c(world, year), nature.rain_mm_h(world, year), nature.wind_m_s(world, year)
    assert 9 < warmth.mean() < 13
    assert -15 < warmth.min() < 0
    assert 25 < warmth.max() < 38
    assert 400 < rain.sum() < 1_000
    assert 2 < wind.mean() < 5
    assert wind.min() >= 0


def test_alerts_are_sent_before_their_danger_updated_and_cancelled(world: World) -> None:
    system = vigilance.Warnings(world)
    storm = [w for w in system.warned(_START - DAY, _START + 7 * DAY) if w.episode.name == "storm"]
    assert [w.step.kind for w in storm] == ["Alert", "Update", "Cancel"]
    onset = _START + storm[0].danger.onset
    assert storm[0].sent_at < onset < storm[1].sent_at < storm[2].sent_at
    messages = [m for m in system.messages(_START - DAY, _START + 7 * DAY) if b"SIM.storm." in m.payload]
    assert len(messages) == 3
    assert all(m.topic is None and m.content_type == "application/cap+xml" for m in messages)
    assert messages[0].payload.count(b"<references>") == 0
    assert storm[0].identifier.encode() in messages[1].payload.partition(b"<references>")[2]


def test_files_hold_a_local_day_of_every_meter_and_estimates_are_replaced() -> None:
    system = BuildingEnergy(World("chalons", 1))
    # The nights in which the clocks change: 46 and 50 half hours.
    for day, halves in ((dt.date(2026, 3, 29), 46), (dt.date(2026, 10, 25), 50), (dt.date(2026, 6, 1), 48)):
        curve = system._curve(day)
        assert len(curve.start) == halves
        assert curve.energy_wh.min() > 0
    week = list(system.files(_START, _START + 7 * DAY))
    assert len([name for name, _ in week if "_00001_" in name]) == 7
    assert len([name for name, _ in week if "_00002_" in name]) == 7
    assert list(BuildingEnergy(World("chalons", 1)).files(_START, _START + 7 * DAY)) == week


def test_a_building_takes_more_when_it_is_used_cold_or_badly_set() -> None:
    world = World("chalons", 1)
    system = BuildingEnergy(world)
    heated = next(n for n, b in enumerate(system.buildings) if b.is_heated and not b.use.is_open_every_day)
    by_night, by_day = seconds(dt.datetime(2026, 6, 2, 1, tzinfo=dt.UTC)), seconds(dt.datetime(2026, 6, 2, 9, tzinfo=dt.UTC))
    night, day = system.power_w(heated, np.array([by_night])), system.power_w(heated, np.array([by_day]))
    assert day[0] > 1.5 * night[0]
    winter = system.power_w(heated, np.array([seconds(dt.datetime(2026, 1, 13, 9, tzinfo=dt.UTC))]))
    assert winter[0] > 1.5 * day[0]
    span = (_START - 300 * DAY, _START)
    scene = next(s for s in system.scenes(*span) if s.kind == "over-consumption")
    number = next(n for n, b in enumerate(system.buildings) if b.ref == scene.asset_ref)
    edges = np.array([scene.started - 1_800, scene.started], dtype=np.int64)
    plain = BuildingEnergy(World("chalons", 1))
    plain._drifts = lambda *_: iter(())  # type: ignore[method-assign] # the same building without its drift
    assert system.power_w(number, edges)[0] == plain.power_w(number, edges)[0]
    assert 1.25 <= system.power_w(number, edges)[1] / plain.power_w(number, edges)[1] <= 1.55


def test_files_that_were_left_are_not_written_again_and_old_ones_go(tmp_path: Path) -> None:
    world = World(100, 3)
    left = served.drop(world, tmp_path, _START, _START + 2 * DAY)
    assert left
    assert served.drop(world, tmp_path, _START, _START + 2 * DAY) == []
    old = tmp_path / "enedis" / "old.zip"
    old.write_bytes(b"x")
    for path in (old, *left):
        os.utime(path, (_START, _START))
    served.drop(world, tmp_path, _START + 39 * DAY, _START + 40 * DAY)
    assert not old.exists()
    assert not left[0].exists()


def test_a_stale_position_keeps_its_instant() -> None:
    system = Buses(World("chalons", 1))
    scene = next(s for s in system.scenes(_START, _START + DAY) if s.ended - s.started > 12 * MINUTE)
    bus = next(n for n in range(system.count) if f"vehicle:{system.code(n)}" == scene.asset_ref)
    said = {
        at: next(p.said_at for p in system.positions(at) if p.bus == bus) for at in (scene.started + MINUTE, scene.started + 11 * MINUTE)
    }
    assert len(set(said.values())) == 1
    assert scene.started - 30 < said[scene.started + MINUTE] <= scene.started
