"""Every example of GTFS-Realtime and the recorded messages of a network: what each must give, written by hand or counted by other means."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from google.transit.gtfs_realtime_pb2 import FeedMessage

from ingestion.formats.gtfs_rt import decode
from ingestion.formats.wire import WireBatch, WireOptions

_SENT = 1_284_457_468 * 1_000_000
_EXAMPLE = "gtfs-realtime__spec__en__examples__"


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """The examples; the test is skipped where they are absent."""
    path = shared_data.parent / "samples" / "gtfs-rt"
    if not path.is_dir():
        pytest.skip(f"the examples of GTFS-Realtime are not at {path}")
    return path


def _decoded(path: Path) -> tuple[int, WireBatch]:
    batch = WireBatch()
    return decode(path.read_bytes(), batch, after=0, received_at=None, options=WireOptions()), batch


def test_the_example_of_alerts(folder: Path) -> None:
    records, batch = _decoded(folder / f"{_EXAMPLE}alerts.asciipb")
    assert (records, batch.rejects) == (1, [])
    levels = [o for o in batch.observations if o.property == "alert.detour"]
    header = "Stop at Elm street is closed, temporary stop at Oak street"
    assert [(o.asset_ref, o.observed_at, o.value, o.value_text) for o in levels] == [
        (ref, _SENT, 1.0, header) for ref in ("route:219", "stop:16230", "stop:16299/route:100")
    ]
    texts = {o.property: o.value_text for o in batch.observations if o.asset_ref == "route:219"}
    assert texts["alert.detour.cause"] == "CONSTRUCTION"
    assert texts["alert.detour.until"] == "2010-09-14T12:41:12+00:00"


def test_the_example_of_trip_updates(folder: Path) -> None:
    records, batch = _decoded(folder / f"{_EXAMPLE}trip-updates-full.asciipb")
    assert (records, batch.rejects) == (2, [])
    ((_, table),) = batch.tables
    frequent = "trip:frequency-expanded-trip@11:15:35"
    assert [(r["asset_ref"], r["property"], r["value"]) for r in table.to_pylist()] == [
        ("trip:trip-1", "arrival_delay.3", 5.0),
        ("trip:trip-1", "arrival_delay.8", 1.0),
        ("trip:trip-1", "arrival_delay.10", 0.0),
        (frequent, "arrival_delay.1", -2.0),
        (frequent, "arrival_delay.9", 0.0),
    ]


def test_every_example_is_expected(folder: Path) -> None:
    assert {path.name for path in folder.glob("*pb")} == {f"{_EXAMPLE}alerts.asciipb", f"{_EXAMPLE}trip-updates-full.asciipb"}


def _recorded(shared_data: Path, name: str) -> Path:
    path = shared_data / "bus" / name
    if not path.is_file():
        pytest.skip(f"no recorded message at {path}")
    return path


def test_recorded_positions_are_graded_by_their_age(shared_data: Path) -> None:
    path = _recorded(shared_data, "brisbane_gtfsrt_VehiclePositions.pb")
    records, batch = _decoded(path)
    message = FeedMessage.FromString(path.read_bytes())
    ages = [message.header.timestamp - e.vehicle.timestamp for e in message.entity]
    expected = Counter("good" if age <= 90 else "uncertain" if age <= 300 else "bad" for age in ages)
    assert records == len(ages) == 920
    assert Counter(o.quality for o in batch.observations if o.property == "latitude") == expected
    assert not batch.rejects


def test_every_stop_of_recorded_trips_is_told(shared_data: Path) -> None:
    path = _recorded(shared_data, "brisbane_gtfsrt_TripUpdates.pb")
    records, batch = _decoded(path)
    stops = [s for e in FeedMessage.FromString(path.read_bytes()).entity for s in e.trip_update.stop_time_update]
    served = [s for s in stops if s.schedule_relationship == 0]
    ((_, table),) = batch.tables
    told = [row["property"].partition(".")[0] for row in table.to_pylist()]
    assert records == 1690
    assert told.count("schedule_relationship") == len(stops) - len(served)
    both = sum(s.HasField("arrival") and s.HasField("departure") and s.arrival.delay != s.departure.delay for s in served)
    assert told.count("arrival_delay") + told.count("departure_delay") == len(served) + both
    assert not batch.rejects
