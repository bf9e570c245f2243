"""What operators would have seen of scenarios whose truth is known: one alarm where there is one cause, and never a flood.

Here: hours of the simulated territory through rules and store (`tests.alarm_replay`). Not here: the same on running processes
(`tests/e2e`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg_pool import ConnectionPool

from ingestion.simulator.clock import HOUR, seconds
from ingestion.simulator.scenarios import Scenario
from ingestion.simulator.world import World
from orchestration.alerts import lifecycle
from orchestration.alerts.model import Equipment, Kind, Observed, Priority
from orchestration.alerts.store import schema
from orchestration.alerts.store.due import Policy
from orchestration.alerts.store.store import Store, open_pool
from orchestration.alerts.store.turn import Connection
from orchestration.settings import Settings
from tests.alarm_replay import Replay

# A morning in March, five hours before the shift: what befalls the territory begins then.
BEGAN = int(seconds(dt.datetime(2026, 3, 10, 5, tzinfo=dt.UTC)))
_SECOND = 1_000_000


Pool = ConnectionPool[Connection]


@pytest.fixture
def pool(instance: Settings) -> Iterator[Pool]:
    """Connections to the store of this test."""
    url = instance.app_url.get_secret_value()
    schema.prepare(url)
    opened = open_pool(url, name="replay", size=1)
    yield opened
    opened.close()


def _run(store: Store, replay: Replay, *, before_h: int, hours: int) -> None:
    replay.run(store, BEGAN - before_h * HOUR, BEGAN + hours * HOUR, Policy())


def test_a_cabinet_that_goes_dark_is_one_alarm_with_its_lights_under_it(pool: Pool, extension_directory: Path) -> None:
    replay = Replay(World(120, scenarios=[Scenario("cabinet-out", BEGAN)]), extension_directory)
    alarms = Store(pool.connection, now=replay.now)
    _run(alarms, replay, before_h=2, hours=3)
    dark = [e for _, e in replay.presented() if e.alarm["rule"] in {"armoire-au-noir", "armoire-coupee", "point-lumineux-muet"}]
    assert len(dark) == 1
    (cabinet,) = [a for a in alarms.live() if a.is_presented and a.rule in {"armoire-au-noir", "armoire-coupee"}]
    under = alarms.select("parent_id = %s AND closed_at IS NULL", [cabinet.alarm_id])
    lights = [a for a in under if a.rule == "point-lumineux-muet"]
    heard = {replay.world.territory.light_ref(int(n)) for n in replay.world.territory.remote}
    above = {
        ref for ref in heard if any(key == (cabinet.source, cabinet.asset_ref) for key in replay.compose.ancestors(("simulation", ref)))
    }
    assert {a.asset_ref for a in lights} == above
    assert cabinet.hidden == len(under)
    # Somebody sees it; the crew repairs it; it ends by itself, and nothing that it hid pops up on the way.
    alarms.act(cabinet.alarm_id, lambda a, now: lifecycle.acknowledged(a, "anne", now))
    shown = len(dark)
    replay.run(alarms, BEGAN + 3 * HOUR, BEGAN + 40 * HOUR, Policy())
    told = [e for _, e in replay.presented() if e.alarm["rule"] in {"armoire-au-noir", "armoire-coupee", "point-lumineux-muet"}]
    assert len(told) == shown
    steps = {Kind.RAISED, Kind.ACKNOWLEDGED, Kind.RETURNED, Kind.CLOSED}
    assert [str(e.kind) for e in alarms.journal_of(cabinet.alarm_id) if e.kind in steps] == [
        "raised", "acknowledged", "returned", "closed"
    ]  # fmt: skip
    assert [a for a in alarms.live() if a.rule == "point-lumineux-muet"] == []


def test_a_gateway_that_hides_five_hundred_lights_is_one_alarm(pool: Pool, extension_directory: Path) -> None:
    replay = Replay(World(8), extension_directory)
    gateway = ("simulation", "urn:ngsi-ld:LoRaGateway:GTW-900")
    replay.equipment[gateway] = Equipment(*gateway, "gtw", "lora_gateway", "Passerelle de la gare", "RT")
    lights = [("simulation", f"urn:ngsi-ld:Streetlight:G-{n:03d}") for n in range(500)]
    for key in lights:
        replay.equipment[key] = Equipment(*key, key[1], "streetlight", key[1][-5:], "EP", parent=gateway)
    store = Store(pool.connection, now=replay.now)
    engine, seen = replay.engine, replay.seen

    def elsewhere(at: int) -> None:
        """Another gateway and another light go on: the feeds are not silent, and time passes."""
        replay.at = at * _SECOND
        changes = engine.advance(replay.at)
        changes += engine.take(Observed("sim-reseau", "simulation", "other-gateway", "heartbeat", replay.at, 1.0, None, "1", replay.at))
        changes += engine.take(Observed("sim-eclairage", "simulation", "other-light", "status", replay.at, None, "ok", None, replay.at))
        seen.extend(store.apply(changes, replay.compose))

    def speak(at: int) -> None:
        elsewhere(at)
        changes = engine.take(Observed("sim-reseau", *gateway, "heartbeat", replay.at, 1.0, None, "1", replay.at))
        if at % 900 == 0:
            for key in lights:
                changes += engine.take(Observed("sim-eclairage", *key, "status", replay.at, None, "ok", None, replay.at))
        seen.extend(store.apply(changes, replay.compose))

    for at in range(BEGAN, BEGAN + HOUR, 300):
        speak(at)
    for at in range(BEGAN + HOUR, BEGAN + 4 * HOUR, 60):
        elsewhere(at)
        seen.extend(store.tick(Policy()))
    assert [e.alarm["asset_name"] for _, e in replay.presented()] == ["Passerelle de la gare"]
    (shown,) = [a for a in store.live() if a.is_presented]
    assert shown.hidden == 500
    # It speaks again, and so do they: nothing is left, and nothing has popped up on the way.
    for at in range(BEGAN + 4 * HOUR, BEGAN + 5 * HOUR, 300):
        speak(at)
        seen.extend(store.tick(Policy()))
    assert [e.alarm["asset_name"] for _, e in replay.presented()] == ["Passerelle de la gare"]
    assert [a.is_active for a in store.live()] == [False] * len(store.live())


@pytest.mark.timeout(600)
def test_a_storm_never_shows_more_than_ten_alarms_in_ten_minutes_and_hides_nothing_critical(pool: Pool, extension_directory: Path) -> None:
    replay = Replay(World("chalons", scenarios=[Scenario("storm", BEGAN)]), extension_directory)
    alarms = Store(pool.connection, now=replay.now)
    _run(alarms, replay, before_h=1, hours=14)
    assert 1 <= replay.worst_ten_minutes() <= 10
    critical = [e for e in replay.seen if e.kind is Kind.RAISED and e.alarm["priority"] == Priority.CRITICAL]
    assert critical, "a storm that leaves no junction dark proves nothing"
    assert all(e.alarm["is_presented"] for e in critical)
    hidden = [e for e in replay.seen if e.kind is Kind.SUPPRESSED and e.alarm["priority"] == Priority.CRITICAL]
    assert [e.alarm["title"] for e in hidden if e.alarm["suppressed_by"] != "joined"] == []
    told = {e.alarm["rule"] for _, e in replay.presented()}
    assert {"vigilance-meteo", "danger-signale", "camera-injoignable"} <= told


def test_an_ordinary_day_is_calm(pool: Pool, extension_directory: Path) -> None:
    replay = Replay(World("chalons"), extension_directory)
    alarms = Store(pool.connection, now=replay.now)
    _run(alarms, replay, before_h=1, hours=23)
    # EEMUA 191: about 150 a day for an operator is the most that can be managed; two operators of a small post have far fewer.
    assert 1 <= len(list(replay.presented())) <= 40
    assert replay.worst_ten_minutes() <= 3
