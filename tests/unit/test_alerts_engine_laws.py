"""Whatever is said in whatever order: keys move forward, edges alternate; neither restarts nor the clock's steps change what is told."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.alerts.engine.core import Engine, World
from orchestration.alerts.model import Change, Equipment, Heard, Reported, Signal
from tests.unit.alerts_engine_support import DAY, S, engine, feed, report, rule, said, world

# Thursday 2026-01-01T04:00Z: a night that ends within what the streams below span.
START = 1_767_240_000
KNOWN = world(
    [Equipment("s", a, a, asset_type="light", commune="Reims", parent=("s", "cab")) for a in "abc"],
    {"f": feed("fiware-eclairage"), "g": feed("grc-appels"), "w": feed("vigilance-cap")},
)
RULES = [
    rule(
        "seuil", when={"type": "threshold", "property": "p", "above": 6, "clear": 3, "deadband": 1, "on_delay": "PT3M", "off_delay": "PT2M"}
    ),
    rule("seuil-vif", when={"type": "threshold", "property": "p", "above": 7}, group_by="parent", bound={"raises": 2, "per": "PT10M"}),
    rule("nuit", when={"type": "threshold", "property": "p", "below": 3}, scope={"calendar": "day"}, group_by="commune"),
    rule("pente", when={"type": "rate", "property": "p", "rises": 4, "falls": 4, "over": "PT10M", "on_delay": "PT1M"}),
    rule("bit", when={"type": "bit", "property": "p", "bit": 1}),
    rule("evenement", when={"type": "event", "property": "p", "codes": [9], "lasts": "PT5M"}),
    rule("porte", when={"type": "event", "property": "p", "codes": [8], "ends": [1]}, bound={"raises": 1, "per": "PT20M"}),
    rule("valse", when={"type": "count", "property": "p", "at_least": 3, "within": "PT10M"}),
    rule("panne", when={"type": "fault", "fault_types": ["lamp-out"], "on_delay": "PT2M"}),
    rule("muet", when={"type": "silence", "expected_every": "PT2M", "missed": 3}, scope={"asset_types": ["light"]}),
    rule("source", when={"type": "silence", "expected_every": "PT5M", "missed": 2, "of": "feed"}),
    rule("habitants", when={"type": "report", "at_least": 2, "within": "PT30M"}, bound={"raises": 1, "per": "PT15M"}),
    rule("habitant", when={"type": "report"}),
    rule("vigilance", when={"type": "warning", "level": 2}),
    rule("ecart", when={"type": "deviation", "property": "p", "learn": "PT1M"}),
]

Item = Signal | Heard


@st.composite
def streams(draw: st.DrawFn) -> list[Item]:
    """Signals in the order of the stream: steps of seconds to a quarter of an hour, values late, repeated, out of order and dated ahead."""
    now, items = START, []
    for _ in range(draw(st.integers(1, 40))):
        now += draw(st.sampled_from([0, 1, 30, 60, 61, 120, 300, 900, 1800]))
        kind = draw(st.sampled_from("ppppppsrwh"))
        at = now - draw(st.sampled_from([0, 0, 0, 1, 60, 90, 1200, -60, -400]))
        asset = draw(st.sampled_from("abcd"))
        match kind:
            case "p":
                items.append(said(at, draw(st.integers(0, 10)), asset=asset, published=now))
            case "s":
                text = draw(st.sampled_from(["ok", "defectiveLamp", "brokenLantern"]))
                items.append(said(at, None, text, prop="status", asset=asset, published=now))
            case "h":
                items.append(Heard(draw(st.sampled_from("fg")), now * S))
            case "r":
                items.append(draw(_reports(at, now)))
            case _:
                items += draw(_warnings(now))
    return items


@st.composite
def _reports(draw: st.DrawFn, at: int, now: int) -> Reported:
    where = {"longitude": 4.36, "latitude": draw(st.sampled_from([48.95, 48.9505, 48.97]))}
    keys: dict[str, Any] = {"feed": "g", "published_at": now * S, **where}
    keys |= draw(st.sampled_from([{}, {}, {"closed_at": at * S}, {"status": "rejected"}, {"duplicate_of": "1"}]))
    return report(at, str(draw(st.integers(1, 6))), **keys)


@st.composite
def _warnings(draw: st.DrawFn, now: int) -> list[Signal]:
    event, level, name = draw(st.sampled_from(["wind", "rain"])), draw(st.integers(0, 4)), draw(st.sampled_from("mno"))
    onset = now + draw(st.sampled_from([0, 300, 3 * 86400]))
    rows = [
        said(now, 1, "Alert", prop="warning_status", asset=f"alert:{name}", published=now, feed="w"),
        said(onset, level, "?", prop=f"warning.{event}", asset="zone", published=now, feed="w"),
        said(onset, None, f"Avis {name}", prop=f"warning.{event}.headline", asset="zone", published=now, feed="w"),
    ]
    return [r._replace(message_id=name) for r in rows]


def fresh(known: World = KNOWN) -> Engine:
    return engine(*RULES, known=known)


def give(of: Engine, item: Item) -> list[Change]:
    """As the runtime does: the clock first."""
    before = of.advance(item.published_at)
    return before + (of.hear(item) if isinstance(item, Heard) else of.take(item))


def tell(of: Engine, items: list[Item]) -> list[Change]:
    return [c for item in items for c in give(of, item)]


def finish(of: Engine) -> list[Change]:
    """Let days pass: everything that waits for minutes is due, and warnings that are told ahead too."""
    return of.advance((START + 4 * 86400) * S + DAY)


@given(streams())
@settings(max_examples=40, deadline=None)
def test_changes_of_a_key_move_forward_and_alternate(items: list[Item]) -> None:
    of = fresh()
    by_key: dict[str, list[Change]] = defaultdict(list)
    for change in tell(of, items) + finish(of):
        by_key[change.key].append(change)
    for changes in by_key.values():
        assert all(a.at < b.at for a, b in itertools.pairwise(changes))
        edges = [c.is_active for c in changes if not c.is_update]
        assert edges == [n % 2 == 0 for n in range(len(edges))]
        holds = False
        for change in changes:
            assert holds or not change.is_update
            holds = change.is_active
            assert change.since <= change.at or not change.is_active


@given(streams(), st.lists(st.integers(0, 40), max_size=3))
@settings(max_examples=40, deadline=None)
def test_saved_and_restored_anywhere_it_says_the_same(items: list[Item], cuts: list[int]) -> None:
    whole = fresh()
    expected = tell(whole, items) + finish(whole)
    of, found, kept = fresh(), [], {}
    for number, item in enumerate(items):
        if number in cuts:
            for part, key, body in of.saved():
                kept[part, key] = body
            of = fresh()
            of.restore([(p, k, b) for (p, k), b in kept.items() if b is not None])
        found += give(of, item)
    assert found + finish(of) == expected


@given(streams(), st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_refreshed_with_the_same_rules_it_says_the_same(items: list[Item], cut: int) -> None:
    whole = fresh()
    expected = tell(whole, items) + finish(whole)
    of = fresh()
    found = tell(of, items[:cut])
    assert of.refresh({r.rule: r for r in RULES}, KNOWN) == []
    assert found + tell(of, items[cut:]) + finish(of) == expected


@given(streams(), st.lists(st.integers(0, 1800), min_size=40, max_size=40))
@settings(max_examples=40, deadline=None)
def test_however_the_clock_steps_it_says_the_same(items: list[Item], steps: list[int]) -> None:
    whole = fresh()
    expected = tell(whole, items) + finish(whole)
    of, found, now = fresh(), [], 0
    for item, step in zip(items, itertools.cycle(steps)):
        if now:
            found += of.advance(min(item.published_at, now + step * S))
        found += of.hear(item) if isinstance(item, Heard) else of.take(item)  # `take` itself lets the clock come there
        now = item.published_at
        found += of.advance(now)
    while (due := of.next_due) is not None and due <= (START + 4 * 86400) * S + DAY:
        found += of.advance(due)
    assert found + finish(of) == expected


@given(streams(), st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_what_was_taken_and_is_said_again_is_not_later_than_what_was_told(items: list[Item], start: int) -> None:
    of = fresh()
    last: dict[str, int] = {}
    for change in tell(of, items):
        last[change.key] = change.at
    again = [c for item in items[start:] for c in (of.hear(item) if isinstance(item, Heard) else of.take(item))]
    # An authority may repeat a warning in the same words: that it is the same message only its position in the stream tells.
    for change in [c for c in again if c.rule != "vigilance"]:
        assert change.at <= last.get(change.key, -1)


@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(0, 10)), max_size=60),
    st.integers(0, 300),
    st.integers(0, 300),
)
@settings(max_examples=40, deadline=None)
def test_delays_against_a_reference(values: list[tuple[int, int]], on: int, off: int) -> None:
    """Against the intervals of a Schmitt trigger, worked out from the whole series: short ones dropped, short gaps bridged."""
    times = list(itertools.accumulate(step for step, _ in values))
    series = list(zip(times, (v for _, v in values), strict=True))
    trigger, flips = False, []
    for at, value in series:
        is_high = value > 6 or (trigger and value > 3)
        if is_high != trigger:
            trigger = is_high
            flips.append(at)
    expected: list[tuple[int, bool]] = []
    active = False
    for n, at in enumerate(flips):
        until = flips[n + 1] if n + 1 < len(flips) else 10**9
        if n % 2 == 0 and not active and until - at >= on + (on > 0):  # the value of the instant it is over contradicts a delay
            expected.append((at + on, True))
            active = True
        elif n % 2 == 1 and active and until - at >= off:
            expected.append((at + off, False))
            active = False
    of = engine(rule(when={
        "type": "threshold", "property": "p", "above": 6, "clear": 3, "on_delay": f"PT{on}S", "off_delay": f"PT{off}S",
    }))  # fmt: skip
    changes = tell(of, [said(at, v) for at, v in series]) + of.advance(10**9 * S)
    # A return at the instant of its raise is told a microsecond later.
    assert [(c.at // S, c.is_active) for c in changes] == expected
