"""Days whose raw rows have expired are closed: what was built of them stays, whatever lands for them later.

Here: maintenance and dbt together. Not here: which rows expire (`test_lake_maintain.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

import pytest

from ingestion.lake.maintain import maintain
from orchestration.services import postgres
from orchestration.settings import create_local
from tests.integration.dbt_lake import Lake

FEED: Final = {"territory": "ville", "time_zone": "Europe/Paris", "flap_window_minutes": 30, "bridges_communication_gap": False}
ROWS: Final = "SELECT utc_date::VARCHAR, feed, observations FROM lake.work_core.state_daily ORDER BY ALL"


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Two feeds of one territory; the first keeps its raw rows for five days."""
    settings = create_local(tmp_path_factory.mktemp("floor") / "home")
    with postgres.running(settings):
        lake = Lake.create(settings)
        territory = {"territory": "ville", "name": "Ville", "time_zone": "Europe/Paris", "latitude": 47.3, "longitude": 5.0}
        feeds = [{"feed": name, "contract": "observation", "source": "gis", **FEED} for name in ("short", "long")]
        lake.refer(territory=[territory], feed=feeds)
        yield lake


def test_late_rows_and_changed_rules_leave_closed_days_as_they_were(lake: Lake) -> None:
    for day in range(1, 11):
        for feed in ("short", "long"):
            lake.land("observation", feed, [state(day, hour) for hour in (1, 13)], received_at=f"2025-01-{day:02}T23:00:00Z")
    build(lake)
    built = [(f"2025-01-{day:02}", feed, 2) for day in range(1, 11) for feed in ("long", "short")]
    assert lake.query(ROWS) == built

    # On the 11th, what was received before the 6th is five days old: 1 to 5 January are closed, the 6th with them.
    night = dt.datetime(2025, 1, 11, 4, 30, tzinfo=dt.UTC)
    maintain(lake.address, retention={"short": dt.timedelta(days=5)}, now=lambda: night)
    assert lake.query("SELECT feed, count(*) FROM lake.raw.observation GROUP BY 1 ORDER BY 1") == [("long", 20), ("short", 10)]
    assert lake.query("SELECT feed, floor_on::VARCHAR FROM lake.raw.retention_floor") == [("short", "2025-01-06")]

    # Late rows of both feeds for a closed day, and one of the first for an open day.
    lake.land("observation", "short", [state(3, 20), state(8, 20)], received_at="2025-01-11T05:00:00Z")
    lake.land("observation", "long", [state(3, 20)], received_at="2025-01-11T05:00:00Z")
    output = build(lake)
    assert "core__state_daily: 1 rows of closed days are set aside" in output
    late = [(day, feed, 3 if (day[-2:], feed) in {("08", "short"), ("03", "long")} else 2) for day, feed, _ in built]
    assert lake.query(ROWS) == late

    # A rule changes: open days are built again, closed ones could not be.
    with lake.connect() as con:
        con.execute("UPDATE lake.raw.feed SET territory = 'bourg' WHERE feed = 'short'")
        con.execute("INSERT INTO lake.raw.territory (territory, name, time_zone) VALUES ('bourg', 'Bourg', 'Europe/Paris')")
    assert "core__state_daily is built whole" in build(lake)
    assert lake.query(ROWS) == late
    moved = lake.query(
        "SELECT territory, min(utc_date)::VARCHAR, count(*) FROM lake.work_core.state_daily WHERE feed = 'short' GROUP BY 1 ORDER BY 2"
    )
    assert moved == [("ville", "2025-01-01", 6), ("bourg", "2025-01-07", 4)]


def state(day: int, hour: int) -> dict[str, Any]:
    """One state of a light."""
    at = f"2025-01-{day:02}T{hour:02}:00:00Z"
    return {"source": "gis", "asset_ref": "L1", "property": "lamp", "observed_at": at, "value_text": "on"}


def build(lake: Lake) -> str:
    """Build the states by day; what dbt said."""
    return lake.dbt("run", "--select", "+core__state_daily").stdout
