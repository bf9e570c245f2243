"""Durations as contracts write them: read, refused, written back."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import TypeAdapter, ValidationError

from ingestion.feeds.model_base import Duration

DURATION: TypeAdapter[dt.timedelta] = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("written", "length", "back"),
    [
        ("PT30M", dt.timedelta(minutes=30), "PT30M"),
        ("P1D", dt.timedelta(days=1), "P1D"),
        ("P2W", dt.timedelta(days=14), "P14D"),
        ("P1W2DT3H", dt.timedelta(days=9, hours=3), "P9DT3H"),
        ("-PT15M", dt.timedelta(minutes=-15), "-PT15M"),
        ("PT90M", dt.timedelta(minutes=90), "PT1H30M"),
        ("PT0.5S", dt.timedelta(milliseconds=500), "PT0.500000S"),
        ("P365D", dt.timedelta(days=365), "P365D"),
        ("PT0S", dt.timedelta(0), "PT0S"),
    ],
)
def test_durations_are_read_and_written(written: str, length: dt.timedelta, back: str) -> None:
    assert DURATION.validate_python(written) == length
    assert DURATION.dump_python(length, mode="json") == back
    assert DURATION.validate_python(back) == length


@pytest.mark.parametrize("written", [30, 30.5, True, "30", "P", "PT", "P1Y", "P1M", "1D", "30 days", "PT1D", None, []])
def test_what_is_no_exact_duration_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        DURATION.validate_python(written)
