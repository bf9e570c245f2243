"""What the simulated systems send: whole whichever window asks, and true to what happened, in both directions.

Here: messages of small worlds, decoded by plain `json`. Not here: sending them (`test_simulator_live`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.simulator import behaviour as b
from ingestion.simulator import town, truth
from ingestion.simulator.clock import DAY, HOUR, seconds
from ingestion.simulator.lights import Speakers
from ingestion.simulator.meters import Meters
from ingestion.simulator.wire import Message, Wire
from ingestion.simulator.world import World

_START = seconds(dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
_DAYS = 31


@pytest.fixture(scope="module")
def world() -> World:
    # Its March shows each kind of trouble, which the tests below insist on.
    return World(1_500, 4)


@pytest.fixture(scope="module")
def messages(world: World) -> list[Message]:
    """What lights, meters and papers say; other systems: `test_simulator_systems`."""
    return [m for m in Wire(world).messages(_START, _START + _DAYS * DAY) if m.feed not in town.SYSTEMS]


@pytest.fixture(scope="module")
def states(messages: list[Message]) -> dict[str, dict[int, str]]:
    """Entity to instant to value, as told, whatever the order of arrival."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for m in messages:
        if m.feed == "sim-eclairage":
            entity = json.loads(m.payload)
            told = entity["status" if entity["type"] == "Streetlight" else "powerState"]
            found[entity["id"]][_seconds(told["observedAt"])] = told["value"]
    return found


@pytest.fixture(scope="module")
def failures(world: World) -> list[dict[str, Any]]:
    span = (dt.datetime.fromtimestamp(t, dt.UTC) for t in (_START, _START + _DAYS * DAY))
    rows: list[dict[str, Any]] = truth.tables(world, *span)["failures"].to_pylist()
    return rows


def _seconds(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp())


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 2 * DAY - 1), max_size=4, unique=True))
def test_parts_of_a_window_are_the_window(cuts: list[int]) -> None:
    world = World(40, 2)
    start = _START + 3 * DAY + 17 * HOUR
    edges = [start, *(start + c for c in sorted(cuts)), start + 2 * DAY]
    wire = Wire(world)
    parts = [m for a, z in pairwise(edges) for m in wire.messages(a, z)]
    assert parts == list(Wire(World(40, 2)).messages(start, start + 2 * DAY))


def test_messages_come_in_the_order_they_are_sent(messages: list[Message]) -> None:
    assert all(a.sent_at <= z.sent_at for a, z in pairwise(messages))
    assert {m.feed for m in messages} == {"sim-eclairage", "sim-compteurs", "sim-signalements", "sim-appels", "sim-interventions"}
    assert all((m.topic is None) == (m.feed not in ("sim-eclairage", "sim-compteurs")) for m in messages)


def test_each_piloted_light_tells_its_state_each_quarter_of_an_hour(world: World, states: dict[str, dict[int, str]]) -> None:
    """Every quarter of an hour, but where the cabinet is dark or its concentrator has stopped."""
    hidden = 0
    for light in world.territory.remote.tolist():
        cabinet = int(world.territory.light_cabinet[light])
        silent = world.dark_spans(cabinet, _START, _START + 29 * DAY) + world.lost_spans(cabinet, _START, _START + 29 * DAY)
        told = states[world.territory.light_ref(light)]
        for slot in range(29 * 96):
            at = _START + slot * b.SAMPLING + world.light_phase(light)
            is_silent = any(a <= at < z for a, z in silent)
            assert (at in told) != is_silent
            hidden += is_silent
    assert hidden > 0


def test_every_failure_of_piloted_equipment_is_told_and_nothing_else(
    world: World, states: dict[str, dict[int, str]], failures: list[dict[str, Any]]
) -> None:
    bad = {"defectiveLamp": "lamp-out", "lampCycling": "lamp-cycling", "communicationLost": "communication-loss", "off": "cabinet-dark"}
    spans: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for f in failures:
        spans[f["asset_ref"], f["fault_type"]].append((seconds(f["started_at"]), seconds(f["ended_at"])))
    told = Counter[str]()
    for ref, values in states.items():
        for at, value in values.items():
            if value in bad:
                told[bad[value]] += 1
                assert any(a <= at < z for a, z in spans[ref, bad[value]]), (ref, at, value)
    assert set(told) == set(bad.values()), "the month is rich enough to show each kind"
    checked = 0
    for f in failures:
        if f["told_from"] is None or not _START <= seconds(f["told_from"]) < _START + 20 * DAY:
            continue
        values, first = states[f["asset_ref"]], seconds(f["told_from"])
        assert bad[values[first]] == f["fault_type"]
        # The sample before it, where there is one, tells of something else.
        assert bad.get(values.get(first - b.SAMPLING, "ok")) != f["fault_type"]
        assert first >= seconds(f["started_at"])
        if f["told_until"] is not None and seconds(f["told_until"]) < _START + 29 * DAY:
            assert values[seconds(f["told_until"])] not in {v for v, fault in bad.items() if fault == f["fault_type"]}
            assert seconds(f["told_until"]) >= seconds(f["ended_at"])
        checked += 1
    assert checked > 10


def test_what_is_told_lies_within_a_sampling_interval_where_nothing_hides_it(failures: list[dict[str, Any]], world: World) -> None:
    near = 0
    for f in failures:
        if f["told_from"] is None or f["told_until"] is None:
            continue
        late = (seconds(f["told_from"]) - seconds(f["started_at"]), seconds(f["told_until"]) - seconds(f["ended_at"]))
        near += max(late) <= b.SAMPLING
    assert near >= 0.9 * sum(f["told_from"] is not None and f["told_until"] is not None for f in failures)


def test_remote_failures_that_are_never_told_are_short_or_hidden(failures: list[dict[str, Any]], world: World) -> None:
    for f in failures:
        if f["is_remote"] and f["told_from"] is None and f["asset_type"] == "streetlight":
            cabinet = next(i for i, c in enumerate(world.territory.cabinets) if c.ref == f["cabinet_ref"])
            span = seconds(f["started_at"]), seconds(f["ended_at"])
            assert world.dark_spans(cabinet, *span) or world.lost_spans(cabinet, *span) or f["fault_type"] != "communication-loss"


def test_late_and_doubled_messages_are_as_rare_as_stated(messages: list[Message]) -> None:
    samples = [(m, _observed(m)) for m in messages if m.feed == "sim-eclairage"]
    late = sum(m.sent_at - at > b.TWICE_WITHIN for m, at in samples)
    double = len(samples) - len({m.payload for m, _ in samples})
    # What a concentrator kept is late too: it comes on top.
    assert 0.9 * b.LATE * len(samples) < late
    assert 0.8 * b.TWICE * len(samples) < double < 1.2 * b.TWICE * len(samples)
    by_topic: dict[str | None, list[int]] = defaultdict(list)
    for m, at in samples:
        by_topic[m.topic].append(at)
    assert any(a > z for times in by_topic.values() for a, z in pairwise(times)), "some arrive out of order"


def _observed(message: Message) -> int:
    # A million of them: cut out of the text rather than decoded.
    return _seconds(message.payload.split(b'"observedAt":"', 1)[1][:20].decode())


def test_a_concentrator_that_keeps_sends_the_newest_first(messages: list[Message], world: World) -> None:
    for cabinet in world.territory.remote_cabinets.tolist():
        for start, end in world.kept_spans(cabinet, _START, _START + 25 * DAY):
            topic = f"sim/eclairage/{world.territory.cabinets[cabinet].code}/etat"
            kept = [m for m in messages if m.topic == topic and start <= _observed(m) < end and m.sent_at <= end + b.CATCH_UP]
            assert kept
            assert all(m.sent_at >= end for m in kept)
            times = [_observed(m) for m in sorted(kept, key=lambda m: m.sent_at)]
            assert sorted(times[:8], reverse=True) == times[:8] or len(times) != len(set(times))
            return
    pytest.fail("the month has no concentrator that keeps its messages")


def test_readings_add_up_to_what_was_taken(world: World, messages: list[Message]) -> None:
    sent = {(m["idPrm"], _seconds(m["d"])): int(m["v"]) for m in (json.loads(x.payload) for x in messages if x.feed == "sim-compteurs")}
    meters, missing = Meters(world), 0
    day = _START // DAY + 10
    true = meters.true_wh(day)
    for number, cabinet in enumerate(world.territory.cabinets):
        for slot in range(48):
            value = sent.get((cabinet.meter_ref, day * DAY + slot * 1_800))
            missing += value is None
            assert value is None or abs(value - true[slot, number]) <= 0.5
    assert missing <= 5


def test_a_dark_cabinet_takes_nothing_and_its_lights_are_silent(world: World, states: dict[str, dict[int, str]]) -> None:
    dark = [c for c in world.cases(_START, _START + 25 * DAY) if c.failure.process == "cabinet-dark" and c.failure.started > _START]
    assert dark
    for case in dark:
        x = case.failure
        first = -(-x.started // 1_800) * 1_800
        for begin in range(first, x.ended - 1_800, 1_800):
            assert Meters(world).true_wh(begin // DAY)[begin % DAY // 1_800, x.cabinet] == 0
        for light in world.territory.remote.tolist():
            if world.territory.light_cabinet[light] == x.cabinet:
                assert not any(x.started <= at < x.ended for at in states[world.territory.light_ref(light)])


def test_records_say_at_each_change_what_is_known_by_then(world: World, messages: list[Message]) -> None:
    versions: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for m in messages:
        if m.feed == "sim-interventions":
            record = json.loads(m.payload)
            versions[record["id"]][_seconds(record["lastModificationDate"])] = record
    span = (_START + DAY, _START + 15 * DAY)
    cases = [c for c in world.cases(*span) if c.order is not None and span[0] < c.order.requested and c.failure.ended < span[1]]
    assert cases
    for case in cases:
        order = case.order
        assert order is not None
        assert set(versions[order.ref]) == set(order.changes)
        for at, record in versions[order.ref].items():
            for name, step in (("startDate", order.dispatched), ("arrivalDate", order.arrived), ("endDate", order.restored)):
                assert step is not None
                assert (record[name] is None) == (step > at)
                assert record[name] is None or _seconds(record[name]) == step
        last = versions[order.ref][max(versions[order.ref])]
        assert last["request"] == (case.reports[0].ref if case.reports else None)
        assert (last["status"], last["category"], last["equipment"]) == ("DONE", "CURA", case.failure.asset_ref)


def test_reports_of_lighting_are_those_of_the_truth(world: World, messages: list[Message]) -> None:
    told = set()
    for m in messages:
        record = json.loads(m.payload)
        if m.feed == "sim-signalements" and record["extended_attributes"]["group"] == "Éclairage public":
            told.add((record["service_request_id"], _seconds(record["requested_datetime"])))
        elif m.feed == "sim-appels" and record["categorie"] == "Éclairage public":
            told.add((record["appel"], _seconds(record["recu"])))
    happened = {
        (r.ref, r.opened) for c in world.cases(_START, _START + 25 * DAY) for r in c.reports if _START <= r.opened < _START + 25 * DAY
    }
    assert happened
    assert happened <= told
    reports, _ = world.papers(_START - 60 * DAY, _START + _DAYS * DAY)
    assert told <= {(r.ref, r.opened) for r in reports if r.failure is not None or r.is_false}


def test_a_day_of_samples_counts_what_it_should() -> None:
    """A day without trouble: 96 samples of each entity, however late they are."""
    world = World(40, 2)
    speakers = Speakers(world)
    day = next(d for d in range(_START // DAY, _START // DAY + 200) if not world.cases(d * DAY, (d + 1) * DAY))
    samples = list(speakers.windows(day * DAY, (day + 2) * DAY))
    observed = {(int(e), int(o)) for s in samples for e, o in zip(s.entity, s.observed, strict=True) if day * DAY <= o < (day + 1) * DAY}
    assert len(observed) == 96 * len(speakers.refs)
