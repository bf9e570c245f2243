"""What a run's tags make of it: which days it covers, which it builds again."""

from __future__ import annotations

import datetime as dt

import pytest

from orchestration.assets.models import ONLY_NEW_TAG, reprocessed_days
from orchestration.building import run_tags

TODAY = dt.date(2025, 3, 10)


def test_a_build_of_the_day_covers_its_partition() -> None:
    assert run_tags(TODAY, TODAY, None)["dagster/partition"] == "2025-03-10"
    assert run_tags(None, TODAY, None)["dagster/partition"] == "2025-03-10"


def test_a_build_of_what_landed_since_days_covers_them_all() -> None:
    tags = run_tags(dt.date(2025, 3, 7), TODAY, None)
    assert (tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]) == ("2025-03-07", "2025-03-10")
    assert "dagster/partition" not in tags


def test_a_reception_dated_ahead_of_the_clock_is_of_today() -> None:
    assert run_tags(dt.date(2025, 3, 11), TODAY, None)["dagster/partition"] == "2025-03-10"


def test_the_instant_that_is_judged_is_utc() -> None:
    noon_in_paris = dt.datetime(2025, 7, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert run_tags(TODAY, TODAY, noon_in_paris)["vigie/as_of"] == "2025-07-01T10:00:00+00:00"


@pytest.mark.parametrize(
    ("tags", "days"),
    [
        ({ONLY_NEW_TAG: "true", "dagster/partition": "2025-03-10"}, (None, None)),
        ({"dagster/partition": "2025-03-10"}, ("2025-03-10", "2025-03-10")),
        (
            {"dagster/asset_partition_range_start": "2025-03-01", "dagster/asset_partition_range_end": "2025-03-10"},
            ("2025-03-01", "2025-03-10"),
        ),
        ({}, (None, None)),
    ],
)
def test_days_are_built_again_when_somebody_asks_for_their_partition(tags: dict[str, str], days: tuple[str | None, str | None]) -> None:
    assert reprocessed_days(tags) == days
