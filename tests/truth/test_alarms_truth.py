"""Alarms against what happened: each trouble that equipment tells of has exactly one, from when to when it should; none is invented.

Here: days of a small town with a storm, a silent gateway and a dark cabinet, with late and repeated messages, through rules and store.
Not here: how alarms are shown together (`test_alarms`).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from ingestion.simulator import truth
from ingestion.simulator.clock import DAY, HOUR, seconds
from ingestion.simulator.presets import Preset, preset
from ingestion.simulator.scenarios import Scenario
from ingestion.simulator.world import World
from orchestration.alerts.model import Entry, Kind
from orchestration.alerts.rulebook.registry import SHIPPED, rules_in_force
from orchestration.alerts.store import schema
from orchestration.alerts.store.due import Policy
from orchestration.alerts.store.store import Store, open_pool
from orchestration.services import postgres
from orchestration.settings import create_local
from tests.alarm_replay import Replay

Span = tuple[dt.datetime, dt.datetime]
Asked = tuple[str, str]
"""Rule and equipment."""

START: Final = dt.datetime(2026, 3, 9, 23, tzinfo=dt.UTC)
DAYS: Final = 2
END: Final = START + dt.timedelta(days=DAYS)
FOREVER: Final = dt.datetime.max.replace(tzinfo=dt.UTC)
# What is observed may arrive as late as six hours: a trouble of the last hours may still be on its way.
LATEST: Final = dt.timedelta(hours=6)
# Which rule each trouble asks for; the truth of lights and cabinets, and of the rest. Two names where the truth does not say which word.
OF_LIGHTING: Final = {
    "lamp-out": {"lampe-en-panne"},
    "cabinet-dark": {"armoire-au-noir"},
    "communication-loss": {"point-lumineux-injoignable"},
}
OF_SYSTEMS: Final = {
    ("sim-telegestion", "supplyLoss"): {"armoire-coupee"},
    ("sim-telegestion", "circuitBreakerTripped"): {"disjoncteur-declenche"},
    ("sim-telegestion", "cabinetDoorOpen"): {"armoire-ouverte"},
    ("sim-cameras", "failure"): {"camera-en-panne"},
    ("sim-cameras", "communication-lost"): {"camera-injoignable"},
    ("sim-carrefours", "failure"): {"carrefour-au-noir", "carrefour-clignotant"},
    ("sim-acces", "intrusion"): {"intrusion"},
    ("sim-bornes", "failure"): {"borne-en-panne"},
}
# Rules on silence: any trouble of the equipment, or of what it hangs on, is a cause.
ON_SILENCE: Final = frozenset({
    "point-lumineux-muet", "carrefour-muet", "borne-wifi-muette", "noeud-fibre-muet", "passerelle-lorawan-muette", "capteur-muet",
})  # fmt: skip


@dataclass
class Raised:
    """One alarm from its raise to its return, as the store told it."""

    at: dt.datetime
    until: dt.datetime
    number: int


@dataclass
class Days:
    """What happened, and what was raised."""

    replay: Replay
    truth: dict[str, list[dict[str, Any]]]
    raised: dict[Asked, list[Raised]]


def _town() -> World:
    size = preset("chalons")
    small = Preset(
        "small", size.title, size.authority, size.latitude, size.longitude, size.communes, 1_500, 500, 50, 10.0, size.stock.scaled(0.5)
    )
    began = int(seconds(START))
    befall = [Scenario("storm", began + 6 * HOUR), Scenario("gateway-out", began + DAY), Scenario("cabinet-out", began + DAY + 4 * HOUR)]
    return World(small, scenarios=befall)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, extension_directory: Path) -> Days:
    """Two days, judged once for all tests."""
    settings = create_local(tmp_path_factory.mktemp("truth") / "home")
    with postgres.running(settings), open_pool(settings.app_url.get_secret_value(), name="replay", size=1) as pool:
        schema.prepare(settings.app_url.get_secret_value())
        replay = Replay(_town(), extension_directory)
        replay.run(Store(pool.connection, now=replay.now), int(seconds(START)), int(seconds(END)), Policy())
    tables = truth.tables(replay.world, START, END)
    return Days(replay, {name: tables[name].to_pylist() for name in ("failures", "equipment")}, _raised(replay.seen))


def _raised(entries: Iterable[Entry]) -> dict[Asked, list[Raised]]:
    found: dict[Asked, list[Raised]] = defaultdict(list)
    for e in entries:
        spans = found[e.alarm["rule"], e.alarm["asset_ref"] or ""]
        if "collapse" in e.alarm["details"]:
            continue  # an alarm of several others, which are there too
        if e.kind in {Kind.RAISED, Kind.REACTIVATED}:
            spans.append(Raised(dt.datetime.fromisoformat(e.alarm["raised_at"]), FOREVER, e.alarm_id))
        elif e.kind is Kind.RETURNED:
            spans[-1].until = dt.datetime.fromisoformat(e.alarm["returned_at"])
    return found


def _told(days: Days) -> Iterator[tuple[set[str], str, Span]]:
    """Yield what equipment told: the rules it asks for, the equipment, from when until when."""
    for f in days.truth["failures"]:
        if f["told_from"] is not None and f["fault_type"] in OF_LIGHTING:
            yield OF_LIGHTING[f["fault_type"]], f["asset_ref"], (f["told_from"], f["told_until"] or FOREVER)
    systems = days.truth["equipment"]
    for e in systems:
        if e["told_from"] is None or (e["feed"], e["kind"]) not in OF_SYSTEMS:
            continue
        until = e["told_until"] or FOREVER
        others = [o for o in systems if o is not e and o["asset_ref"] == e["asset_ref"]]
        if e["kind"] == "communication-lost" and any(o["started_at"] <= e["ended_at"] < o["ended_at"] for o in others):
            until = e["ended_at"]  # the truth waits until all is well; who says that it is broken is heard again
        yield OF_SYSTEMS[e["feed"], e["kind"]], e["asset_ref"], (e["told_from"], until)


def _delay(rule: str) -> dt.timedelta:
    when = rules_in_force(SHIPPED / ".none")[rule].when
    return getattr(when, "on_delay", dt.timedelta(0))


@pytest.mark.timeout(600)
def test_each_trouble_that_is_told_has_exactly_one_alarm_and_none_is_invented(days: Days) -> None:
    matched: set[int] = set()
    expected = 0
    wrong = []
    for rules, ref, (told_from, told_until) in _told(days):
        due = {rule: told_from + _delay(rule) for rule in rules}
        mine = [(rule, r) for rule in rules for r in days.raised.get((rule, ref), []) if told_from <= r.at <= told_until]
        matched |= {id(r) for _, r in mine}
        if told_from < START or max(due.values()) + LATEST > END or all(at >= told_until for at in due.values()):
            continue  # begun before, perhaps still on its way, or over before it is one
        expected += 1
        # Raised when it had held for the delay, returned when it was told that it is over: to the microsecond, however late it came.
        is_right = len(mine) == 1 and mine[0][1].at == due[mine[0][0]] and (mine[0][1].until == told_until or told_until + LATEST > END)
        if not is_right:
            wrong.append((ref, due, told_until, mine))
    asked = set.union(*OF_LIGHTING.values(), *OF_SYSTEMS.values())
    invented = [(k, r) for k, spans in days.raised.items() if k[0] in asked for r in spans if id(r) not in matched]
    print(f"\n{expected} troubles told, {expected - len(wrong)} rightly; {len(matched)} alarms with a cause, {len(invented)} without")
    print(f"recall {1 - len(wrong) / expected:.3f}, precision {len(matched) / (len(matched) + len(invented)):.3f}")
    assert (wrong, invented) == ([], [])
    assert expected >= 15, "a town where nothing happens proves nothing"


@pytest.mark.timeout(600)
def test_what_is_said_to_be_silent_has_a_cause(days: Days) -> None:
    causes: dict[str, list[Span]] = defaultdict(list)
    for row in (*days.truth["failures"], *days.truth["equipment"]):
        causes[row["asset_ref"]].append((row["started_at"], row["ended_at"]))
    silent = [(k, r) for k, spans in days.raised.items() if k[0] in ON_SILENCE for r in spans]
    without = []
    for (rule, ref), alarm in silent:
        above = [code for _, code in days.replay.compose.ancestors(("simulation", ref))]
        if not any(start <= alarm.at <= end + LATEST for code in (ref, *above) for start, end in causes[code]):
            without.append((rule, ref, alarm))
    print(f"\n{len(silent)} alarms of silence, {len(without)} without a cause")
    assert without == []
    assert len(silent) >= 10, "a town where nothing is silent proves nothing"
