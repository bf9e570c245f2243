"""What `vigie status` says of streams: who is behind, what is full."""

from __future__ import annotations

import datetime as dt

from ingestion.stream.broker import Lag, StreamSize
from orchestration.services import status

_NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)


def test_a_reader_is_behind_when_the_oldest_waits_for_more_than_ten_minutes() -> None:
    lags = [
        Lag("INTAKE", "lake", 0, 500_000, 0, _NOW - dt.timedelta(minutes=10)),  # many, but recent
        Lag("$MQTT_msgs", "lake", 1, 2, 1, _NOW - dt.timedelta(minutes=25)),
        Lag("INTAKE", "lake", 2, 0, 0),
    ]
    assert status._behind(lags, _NOW) == [
        "lake is behind on partition 1 of $MQTT_msgs: 3 messages wait, the oldest for 25 minutes",
    ]


def test_a_stream_is_told_before_it_is_full_and_when_it_is() -> None:
    mib = 1024**2
    sizes = [
        StreamSize("INTAKE", 79 * mib, 100 * mib),
        StreamSize("$MQTT_msgs", 85 * mib, 100 * mib),
        StreamSize("INTAKE", 100 * mib, 100 * mib),
    ]
    nearly, full = status._full(sizes)
    assert nearly == "the stream $MQTT_msgs is nearly full (85 of 100 MiB): what waits must be landed, and read by the rules"
    assert full == "the stream INTAKE is full: it refuses messages (100 of 100 MiB): what waits must be landed, and read by the rules"
    assert status._full([StreamSize("INTAKE", 10**12, 0)]) == [], "without a bound it is never full"
