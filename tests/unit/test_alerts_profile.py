"""A profile learns what is usual by hour and kind of day, is not fooled by an anomaly, and takes a new regime for usual within days."""

from __future__ import annotations

import datetime as dt
import math
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.alerts.engine.hours import BUCKETS
from orchestration.alerts.engine.profile import SETTINGS, Profile

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MONDAY = int(dt.datetime(2026, 6, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000
LEARN = 14 * DAY


def bucket(at: int) -> int:
    """Hours of UTC; Saturdays and Sundays, no holidays."""
    when = dt.datetime.fromtimestamp(at // 1_000_000, dt.UTC)
    return {5: 24, 6: 48}.get(when.weekday(), 0) + when.hour


def office(at: int, noise: float = 0.0) -> float:
    """10 at night and on week-ends, 50 on working days from 8 to 18."""
    number = bucket(at)
    return (50.0 if 8 <= number < 18 else 10.0) + noise


def learned(days: int, every: int, *, spread: float = 1.0, seed: int = 1) -> tuple[Profile, int]:
    """Return a profile of `office` with normal noise, and the instant after."""
    chance, profile = random.Random(seed), Profile(bucket, LEARN)
    for at in range(MONDAY, MONDAY + days * DAY, every):
        profile.learn(at, office(at, chance.gauss(0, spread)))
    return profile, MONDAY + days * DAY


def score(profile: Profile, at: int, value: float) -> float:
    judgement = profile.judge(at, value)
    assert judgement is not None
    assert judgement.spread > 0
    assert judgement.score == (value - judgement.expected) / judgement.spread
    return judgement.score


@pytest.mark.parametrize("every", [5 * MINUTE, 15 * MINUTE, HOUR])
def test_what_is_usual_at_noon_is_not_at_night_nor_on_sunday(every: int) -> None:
    profile, monday = learned(28, every)
    noon, night = monday + 12 * HOUR + 30 * MINUTE, monday + 2 * HOUR + 30 * MINUTE
    usual = profile.judge(noon, 50)
    assert usual is not None
    assert usual.expected == pytest.approx(50, abs=0.8)
    assert usual.spread == pytest.approx(1, abs=0.4)
    assert abs(score(profile, noon, 52)) < 3
    assert score(profile, noon, 60) > 6
    assert score(profile, noon, 10) < -20
    assert score(profile, night, 50) > 20
    assert abs(score(profile, night, 10)) < 2
    assert score(profile, noon - DAY, 50) > 10  # Sunday
    assert score(profile, noon - 2 * DAY, 50) > 10  # Saturday


def test_it_judges_once_it_has_learned_long_enough() -> None:
    profile = Profile(bucket, LEARN)
    for at in range(MONDAY, MONDAY + LEARN + 1, HOUR):
        assert profile.judge(at, 1e9) is None
        profile.learn(at, office(at))
    assert score(profile, MONDAY + LEARN + HOUR, 1e9) > 1000


def test_few_values_are_no_habit_however_long_they_took() -> None:
    profile = Profile(bucket, LEARN)
    for i in range(SETTINGS.least):
        assert profile.judge(MONDAY + i * DAY, 5.0) is None
        profile.learn(MONDAY + i * DAY, 5.0)
    assert profile.judge(MONDAY + 100 * DAY, 5.0) is not None


def test_an_anomaly_of_hours_does_not_become_usual() -> None:
    profile, monday = learned(28, 5 * MINUTE)
    before = profile.judge(monday + 9 * HOUR, 50)
    for at in range(monday + 8 * HOUR, monday + 16 * HOUR, 5 * MINUTE):
        assert score(profile, at, 80.0) > 4
        profile.learn(at, 80.0)
    for at in range(monday + 16 * HOUR, monday + DAY, 5 * MINUTE):
        profile.learn(at, office(at))
    after = profile.judge(monday + DAY + 9 * HOUR, 50)
    assert before is not None
    assert after is not None
    assert abs(after.expected - before.expected) < 1.5  # spreads of 1, of an anomaly of 30
    assert abs(after.score) < 2


def test_one_wild_value_changes_nothing() -> None:
    profile, monday = learned(28, HOUR)
    profile.learn(monday, 1e12)
    usual = profile.judge(monday + DAY, 10)
    assert usual is not None
    assert usual.expected == pytest.approx(10, abs=1.5)
    assert usual.spread < 2.5


@pytest.mark.parametrize("every", [5 * MINUTE, HOUR])
def test_a_new_regime_is_usual_within_days(every: int) -> None:
    profile, monday = learned(28, every)
    chance = random.Random(2)
    first = score(profile, monday + 12 * HOUR, 70)
    assert first > 10
    for at in range(monday, monday + 5 * DAY, every):
        profile.learn(at, office(at) + 20 + chance.gauss(0, 1))
    assert abs(score(profile, monday + 4 * DAY + 12 * HOUR, 70)) < 3.5  # Friday noon
    assert abs(score(profile, monday + 5 * DAY + 12 * HOUR, 30)) < 3.5  # Saturday noon, which the new regime has not had yet


def test_a_day_that_takes_another_shape_is_learned() -> None:
    profile, monday = learned(84, HOUR)
    evening = monday + 19 * HOUR
    assert score(profile, evening, 50) > 10
    chance = random.Random(4)
    for at in range(monday, monday + 28 * DAY, HOUR):  # the office is open until 20 now
        is_later = bucket(at) in {18, 19}
        profile.learn(at, (50.0 if is_later else office(at)) + chance.gauss(0, 1))
        if at == evening + 10 * DAY:
            assert abs(score(profile, at, 50)) < 4  # the second Thursday
    usual = profile.judge(evening + 28 * DAY, 50)
    assert usual is not None
    assert usual.expected > 45
    assert abs(usual.score) < 3


def test_the_edge_of_an_hour_may_be_either() -> None:
    profile, monday = learned(28, 5 * MINUTE)
    assert abs(score(profile, monday + 8 * HOUR + 5 * MINUTE, 10)) < 2  # the office opens a little later
    assert abs(score(profile, monday + 7 * HOUR + 55 * MINUTE, 50)) < 2
    assert score(profile, monday + 8 * HOUR + 5 * MINUTE, 80) > 10
    assert score(profile, monday + 8 * HOUR + 35 * MINUTE, 10) < -10


def test_a_constant_series_has_a_floor() -> None:
    profile = Profile(bucket, DAY)
    for at in range(MONDAY, MONDAY + 7 * DAY, HOUR):
        profile.learn(at, 200.0)
    noon = MONDAY + 7 * DAY
    usual = profile.judge(noon, 200.0)
    assert usual is not None
    # 1 % of 200, and the level is of five working days: 2 is the floor.
    assert (usual.expected, usual.spread, usual.score) == (200.0, 2.0, 0.0)
    assert score(profile, noon, 207.0) == pytest.approx(3.5)
    assert score(profile, noon, 1000.0) == pytest.approx(400)


def test_a_jump_is_no_quantisation() -> None:
    profile = Profile(bucket, DAY)
    for at in range(MONDAY, MONDAY + 7 * DAY, HOUR):
        profile.learn(at, 10.0)
    for at in (MONDAY + 7 * DAY, MONDAY + 7 * DAY + HOUR):
        assert score(profile, at, 1000.0) > 100
        profile.learn(at, 1000.0)
    profile.learn(MONDAY + 7 * DAY + 2 * HOUR, 10.0)
    assert score(profile, MONDAY + 8 * DAY, 1000.0) > 20


def test_what_was_always_zero_is_not_judged_by_its_first_value() -> None:
    profile = Profile(bucket, DAY)
    for at in range(MONDAY, MONDAY + 7 * DAY, HOUR):
        profile.learn(at, 0.0)
    assert score(profile, MONDAY + 7 * DAY, 0.0) == 0
    assert score(profile, MONDAY + 7 * DAY, 1e-9) == 1
    assert score(profile, MONDAY + 7 * DAY, 1e9) == 1


def test_counts_have_a_floor_of_one() -> None:
    chance, profile = random.Random(3), Profile(bucket, DAY)
    for at in range(MONDAY, MONDAY + 28 * DAY, HOUR):
        profile.learn(at, float(chance.random() < 0.02))  # one, now and then
    assert score(profile, MONDAY + 28 * DAY, 1.0) < 1.1
    assert score(profile, MONDAY + 28 * DAY, 8.0) > 4


def test_an_hour_never_seen_is_judged_by_its_like_and_mildly() -> None:
    profile = Profile(bucket, DAY)
    for at in range(MONDAY, MONDAY + 5 * DAY, HOUR):  # working days only
        profile.learn(at, office(at) + (at // HOUR) % 2)
    saturday = MONDAY + 5 * DAY + 12 * HOUR
    usual = profile.judge(saturday, 10)
    assert usual is not None
    assert usual.expected == pytest.approx(50.5, abs=1)
    assert abs(usual.score) < 4


def test_without_like_or_neighbours_the_whole_series_tells() -> None:
    profile = Profile(lambda at: at // HOUR % 4, 0)  # four hours only
    for i in range(48):
        profile.learn(MONDAY + i * HOUR, float(i % 4))
    elsewhere = Profile.from_bytes(profile.to_bytes(), lambda _: 12, 0)
    usual = elsewhere.judge(MONDAY + 48 * HOUR, 1.5)
    assert usual is not None
    assert usual.expected == pytest.approx(1.5, abs=0.3)


def test_what_is_no_number_or_not_later_is_passed_over() -> None:
    profile, monday = learned(28, HOUR)
    saved = profile.to_bytes()
    for value in (math.nan, math.inf, -math.inf):
        assert profile.judge(monday, value) is None
        profile.learn(monday, value)
    profile.learn(monday - HOUR, 1000.0)
    profile.learn(monday - 3 * DAY, 1000.0)
    assert profile.to_bytes() == saved


def test_it_is_small_and_stays_so() -> None:
    assert len(learned(28, 5 * MINUTE)[0].to_bytes()) < 1_200
    assert BUCKETS == 72


def test_bytes_of_something_else_are_refused() -> None:
    fields = msgspec.msgpack.decode(learned(1, HOUR)[0].to_bytes())
    fields[0] = fields[0][:64]  # eight levels
    with pytest.raises(ValueError, match="other buckets"):
        Profile.from_bytes(msgspec.msgpack.encode(fields), bucket, 0)
    with pytest.raises(msgspec.MsgspecError):
        Profile.from_bytes(b"none", bucket, 0)


series = st.lists(
    st.tuples(st.integers(1, 4 * 24), st.floats(-1e6, 1e6, allow_nan=False)), min_size=60, max_size=200
)  # quarters of an hour since the last, value


def _judged(profile: Profile, values: list[tuple[int, float]], *, cut: int = -1, factor: float = 1.0) -> list[float | None]:
    at, found = MONDAY, []
    for i, (quarters, value) in enumerate(values):
        if i == cut:
            profile = Profile.from_bytes(profile.to_bytes(), bucket, DAY)
        at += quarters * 15 * MINUTE
        judgement = profile.judge(at, factor * value)
        found.append(None if judgement is None else judgement.score)
        profile.learn(at, factor * value)
    return found


@settings(max_examples=50)
@given(series, st.integers(0, 200))
def test_saved_and_restored_anywhere_it_judges_alike(values: list[tuple[int, float]], cut: int) -> None:
    assert _judged(Profile(bucket, DAY), values, cut=cut) == _judged(Profile(bucket, DAY), values)


@settings(max_examples=50)
@given(series.map(lambda values: [(q, float(round(v))) for q, v in values]), st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_unit_does_not_matter(values: list[tuple[int, float]], factor: float) -> None:
    plain, scaled = _judged(Profile(bucket, DAY), values), _judged(Profile(bucket, DAY), values, factor=factor)
    assert [s is None for s in plain] == [s is None for s in scaled]
    assert [s for s in scaled if s is not None] == pytest.approx([s for s in plain if s is not None], rel=1e-6, abs=1e-9)
