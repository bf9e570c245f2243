"""The order in which messages of several partitions are taken, how far each lane counts as done, and which rows are signals."""

from __future__ import annotations

import functools
import math
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed
from ingestion.formats.wire import ObservationRow
from ingestion.stream.ordered import Arrived, Ordered
from orchestration.alerts.model import Observed
from orchestration.alerts.runtime.lanes import FAST, MAPPED, Lane, Lanes
from orchestration.alerts.runtime.signals import Maker
from tests.integration.test_alerts_runtime import MAPPED as CONTRACT

SECOND = 1_000_000


def lane(partition: int, *published: int, drained: bool = True, saved: int = 0) -> Lane:
    durable = Ordered("$MQTT_msgs", f"alerts-{partition}", partition, after=0, arrived=lambda: None)
    durable.waiting.extend(Arrived(n, "f", "t", b"", at) for n, at in enumerate(published, 1))
    durable.is_drained = drained
    return Lane(durable, {FAST: saved, MAPPED: saved})


def taken(lanes: Lanes, now: int = 0) -> list[tuple[int, int]]:
    """Take what may be taken: (partition, when published)."""
    found = []
    while (one := lanes.next(now)) is not None:
        where, message = one
        where.taken = message.seq
        found.append((where.durable.partition, message.published_at))
    return found


@given(st.lists(st.lists(st.integers(0, 50), max_size=8), min_size=1, max_size=4))
def test_messages_are_taken_by_time_and_each_partition_in_its_order(times: list[list[int]]) -> None:
    parts = [sorted(some) for some in times]
    found = taken(Lanes([lane(p, *some) for p, some in enumerate(parts)]))
    assert [at for _, at in found] == sorted(at for some in parts for at in some)
    assert [[at for p, at in found if p == n] for n in range(len(parts))] == parts


def test_nothing_is_taken_while_a_partition_may_hold_something_earlier() -> None:
    ahead, behind = lane(0, 10, 20), lane(1, drained=False)
    lanes = Lanes([ahead, behind])
    assert taken(lanes) == []
    behind.durable.waiting.append(Arrived(1, "f", "t", b"", 15))
    assert taken(lanes) == [(0, 10), (1, 15)]
    behind.durable.is_drained = True
    assert taken(lanes) == [(0, 20)]


def test_a_lane_counts_as_done_up_to_what_its_batch_holds() -> None:
    one = lane(0, 1, 2, 3, 4)
    lanes = Lanes([one])
    assert len(taken(lanes)) == 4
    lanes.hold(one, Arrived(2, "f", "t", b"", 2))
    lanes.hold(one, Arrived(3, "f", "t", b"", 3))
    place = ("$MQTT_msgs", 0)
    assert one.cursors() == {(*place, FAST): 4, (*place, MAPPED): 1}
    lanes.batch(1)
    lanes.done()
    assert one.cursors() == {(*place, FAST): 4, (*place, MAPPED): 2}
    lanes.batch(10)
    lanes.done()
    assert one.cursors() == {(*place, FAST): 4, (*place, MAPPED): 4}


def test_in_a_backlog_the_fast_lane_stays_near_the_mapped_one_and_live_it_does_not_wait() -> None:
    hour = 3600 * SECOND
    one = lane(0, 10 * SECOND)
    lanes = Lanes([one])
    lanes.hold(one, Arrived(1, "f", "t", b"", 1 * SECOND))
    assert lanes.next(hour) is None, "nine seconds after what a batch holds, an hour late"
    assert lanes.next(11 * SECOND) is not None, "a second late: nothing waits for a batch"


def test_a_lane_begins_where_the_slower_of_its_lanes_was_saved() -> None:
    durable = Ordered("INTAKE", "alerts-0", 0, after=40, arrived=lambda: None)
    one = Lane(durable, {FAST: 100, MAPPED: 40})
    assert one.taken == 40
    assert one.cursors() == {("INTAKE", 0, FAST): 100, ("INTAKE", 0, MAPPED): 40}


@functools.cache
def _feed() -> Feed:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bornes.yaml"
        path.write_text(CONTRACT, encoding="utf-8")
        return load_feed(path)


@given(st.floats(), st.one_of(st.none(), st.text(max_size=3)))
def test_a_signal_holds_a_finite_figure_within_the_declared_bounds_or_a_text(value: float, text: str | None) -> None:
    feed = _feed()
    decoded = feed.model_copy(update={"format": feed.format.model_copy(update={"type": "ngsi"})})
    at = 1_700_000_000 * SECOND
    found = Maker(decoded).observed(ObservationRow(1, "B1", "pression", at, value, text), at)
    if math.isfinite(value) and value <= 100:
        assert found == Observed("bornes", "bornes", "B1", "pressure", at, value, text, None, at)
    else:
        assert found is None
    assert Maker(decoded).observed(ObservationRow(1, "B1", "x", 5_000_000_000 * SECOND, 1.0), at) is None
