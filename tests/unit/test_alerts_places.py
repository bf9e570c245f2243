"""Reports of one place are one cluster, by the distance to its first report, its equipment and its time; and nothing is kept for ever."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.engine.places import Cluster, Places, metres

HOUR = 3_600_000_000
LAT = 48.95
# Of a sphere of 6,371,008.8 m: a degree of latitude is 111,195.08 m.
NORTH_100M = 100 / 111_195.08
EAST_100M = NORTH_100M / math.cos(math.radians(LAT))


def places() -> Places:
    return Places(150.0, 2 * HOUR)


def test_distances() -> None:
    assert metres((4.36, LAT), (4.36, LAT)) == 0
    assert metres((4.36, LAT), (4.36, LAT + NORTH_100M)) == pytest.approx(100, abs=0.01)
    assert metres((4.36, LAT), (4.36 + EAST_100M, LAT)) == pytest.approx(100, abs=0.01)


def test_neighbours_are_one_cluster_named_by_the_first() -> None:
    p = places()
    assert p.add("r1", 4.36, LAT, 0, None) == Cluster("r1", ("r1",), 1, None, (4.36, LAT), is_pinned=False)
    assert p.add("r2", 4.36, LAT + NORTH_100M, HOUR, None) == Cluster("r1", ("r1", "r2"), 2, None, (4.36, LAT), is_pinned=False)
    assert p.add("r3", 4.36, LAT + 2 * NORTH_100M, HOUR, None).key == "r3"  # 200 m from the first, though 100 m from the second
    assert p.get("r2") == p.cluster("r1")
    assert p.get("never") is None
    assert p.cluster("r2") is None


def test_a_street_of_reports_is_no_chain_without_end() -> None:
    p = places()
    keys = [p.add(f"r{i}", 4.36, LAT + i * NORTH_100M, i, None).key for i in range(6)]
    # 100 m apart, 150 m of reach: r1 joins r0; r2 (200 m from r0) begins its own, and so on, by the nearest first report.
    assert keys == ["r0", "r0", "r2", "r2", "r4", "r4"]


def test_the_same_equipment_is_near_wherever_it_stands() -> None:
    p = places()
    light = ("lumandar", "L-17")
    p.add("r1", 4.36, LAT, 0, light)
    far = p.add("r2", 4.50, LAT, 10, light)
    assert (far.key, far.refs, far.asset, far.place) == ("r1", ("r1", "r2"), light, (4.36, LAT))
    assert p.add("r3", None, None, 20, light).count == 3
    assert p.add("r4", None, None, 20, None).key == "r4"  # neither place nor equipment: alone
    assert p.add("r5", None, None, 21, None).key == "r5"


def test_the_same_report_again_counts_once() -> None:
    p = places()
    p.add("r1", 4.36, LAT, 0, None)
    assert p.add("r1", 4.50, LAT, HOUR, None).count == 1
    assert len(p) == 1


def test_what_is_too_old_does_not_count_together() -> None:
    p = places()
    p.add("r1", 4.36, LAT, 0, None)
    p.add("r2", 4.36, LAT, 2 * HOUR, None)
    third = p.add("r3", 4.36, LAT, 3 * HOUR, None)
    assert (third.key, third.refs, third.count) == ("r1", ("r1", "r2", "r3"), 2)  # r1 and r3 are three hours apart
    assert p.add("r4", 4.36, LAT, 6 * HOUR, None).key == "r4"


def test_expiry_lets_go_and_keeps_the_key() -> None:
    p = places()
    p.add("r1", 4.36, LAT, 0, None)
    p.add("r2", 4.36, LAT, HOUR, None)
    assert p.next_expiry == 2 * HOUR + 1
    assert p.expire(2 * HOUR) == []
    assert [(c.key, c.refs) for c in p.expire(2 * HOUR + 1)] == [("r1", ("r2",))]
    assert p.next_expiry == 3 * HOUR + 1
    assert p.add("r1", 4.60, LAT, 2 * HOUR, None).key == "r1#2"  # the ref comes again elsewhere, while a cluster has its name
    assert [(c.key, c.refs) for c in p.expire(9 * HOUR)] == [("r1", ()), ("r1#2", ())]
    assert (len(p), p.next_expiry) == (0, None)


def test_a_pinned_cluster_stays_until_its_reports_end() -> None:
    p = places()
    p.add("r1", 4.36, LAT, 0, None)
    p.pin("r1")
    assert p.next_expiry is None
    assert p.expire(100 * HOUR) == []
    assert p.add("r2", 4.36, LAT, 50 * HOUR, None).refs == ("r1", "r2")
    left = p.remove("r1")
    assert left is not None
    assert (left.key, left.refs, left.is_pinned) == ("r1", ("r2",), True)
    gone = p.remove("r2")
    assert gone is not None
    assert gone.refs == ()
    assert p.remove("r2") is None
    assert p.cluster("r1") is None


def test_unpinned_it_expires_again() -> None:
    p = places()
    p.add("r1", 4.36, LAT, 0, None)
    p.pin("r1")
    assert p.expire(5 * HOUR) == []
    p.pin("r1", is_pinned=False)
    p.pin("gone")
    assert p.next_expiry == 2 * HOUR + 1
    assert [c.refs for c in p.expire(5 * HOUR)] == [()]


reports = st.lists(
    st.tuples(
        st.integers(0, 25),  # ref
        st.one_of(st.none(), st.tuples(st.integers(-4, 4), st.integers(-4, 4))),  # 60 m steps
        st.integers(0, 6 * 60),  # minutes
        st.one_of(st.none(), st.integers(0, 3)),
    ),
    max_size=40,
)


def _say(p: Places, said: list[tuple[int, tuple[int, int] | None, int, int | None]]) -> list[Cluster]:
    found = []
    for ref, step, minute, asset in said:
        lon, lat = (None, None) if step is None else (4.36 + 0.6 * EAST_100M * step[0], LAT + 0.6 * NORTH_100M * step[1])
        found.append(p.add(f"r{ref}", lon, lat, minute * 60_000_000, None if asset is None else ("s", str(asset))))
        found += p.expire(minute * 60_000_000)
    return found


@given(reports, st.integers(0, 40))
def test_saved_and_restored_anywhere_it_goes_on_alike(said: list[tuple[int, tuple[int, int] | None, int, int | None]], cut: int) -> None:
    whole = places()
    expected = _say(whole, said)
    p = places()
    found = _say(p, said[:cut])
    p = Places.from_bytes(p.to_bytes(), p.radius_m, p.within_us)
    found += _say(p, said[cut:])
    assert found == expected
    assert p.to_bytes() == whole.to_bytes()


@given(reports)
def test_the_grid_finds_what_a_look_at_all_finds(said: list[tuple[int, tuple[int, int] | None, int, int | None]]) -> None:
    p = places()
    begun: dict[str, tuple[float, float]] = {}
    for ref, step, _minute, _asset in said:
        if step is None:
            continue
        here = (4.36 + 0.6 * EAST_100M * step[0], LAT + 0.6 * NORTH_100M * step[1])
        known = p.get(f"r{ref}")
        cluster = p.add(f"r{ref}", *here, 0, None)
        if known is not None:
            assert cluster == known
            continue
        near = [(metres(place, here), key) for key, place in begun.items() if metres(place, here) <= 150]
        if near:
            assert cluster.key == min(near)[1]
        else:
            assert cluster.key == f"r{ref}"
            begun[cluster.key] = here
