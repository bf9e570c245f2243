"""Car parks, networks, buildings, rivers, citizens and contracts on a real lake: late data adds up to a full refresh.

Here: what a lake and dbt's own process must give. Not here: the rules of each model (unit tests beside the models), lights and
meters (`test_dbt_build`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from orchestration.services import postgres
from orchestration.settings import create_local
from tests.integration.dbt_lake import Lake
from tests.integration.test_dbt_build import snapshot, tables

FEED: Final = {"territory": "ville", "time_zone": "UTC", "owner_authority": "Agglo", "flap_window_minutes": 30}


def observation_feed(name: str, domain: str, freshness_minutes: float | None) -> dict[str, Any]:
    """A feed of observations."""
    return {"feed": name, "contract": "observation", "source": name, "domain": domain, "freshness_minutes": freshness_minutes, **FEED}


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake of one territory, in UTC, whose desk opens every day of January 2025."""
    settings = create_local(tmp_path_factory.mktemp("indicators") / "home")
    with postgres.running(settings):
        lake = Lake.create(settings)
        lake.refer(
            territory=[{"territory": "ville", "name": "Ville", "time_zone": "UTC", "latitude": 47.3, "longitude": 5.0}],
            calendar_day=[
                {
                    "territory": "ville",
                    "local_date": f"2025-01-{day:02}",
                    "is_holiday": False,
                    "is_working_day": True,
                    "opens_at": f"2025-01-{day:02}T08:00:00Z",
                    "closes_at": f"2025-01-{day:02}T16:00:00Z",
                }
                for day in range(1, 32)
            ],
            feed=[
                observation_feed("park", "MOB", 240),
                observation_feed("net", "RT", 60),
                observation_feed("air", "PAT", None),
                observation_feed("eau", "EAU", None),
                {"feed": "grc", "contract": "report", "source": "grc", "domain": "GRC", "tells_end": True, **FEED},
            ],
            parking_capacity=[{"source": "park", "asset_ref": "P1", "capacity": 100}],
            contract_target=[
                {
                    "territory": "ville",
                    "objective": "availability",
                    "measure": "asset",
                    "scope": "net",
                    "target": 99,
                    "unit": "%",
                    "penalty_eur": 100,
                    "penalty_per": "point",
                    "valid_from": "2025-01-01",
                }
            ],
        )
        yield lake


def seen(asset: str, what: str, day: int, time: str, value: float) -> dict[str, Any]:
    """One figure."""
    return {"asset_ref": asset, "property": what, "observed_at": f"2025-01-{day:02}T{time}:00Z", "value": value}


def first_landings(lake: Lake) -> None:
    """Five days of January."""
    days = range(1, 6)
    lake.land("observation", "park", [seen("P1", "free_places", d, f"{h:02}:00", 50) for d in days for h in range(0, 24, 2)])
    beats = [seen(w, "heartbeat", d, f"{h:02}:{m}", 1) for w in ("W1", "W2") for d in days for h in range(24) for m in ("00", "30")]
    lake.land("observation", "net", [b for b in beats if not (b["asset_ref"] == "W2" and "03T0" in b["observed_at"])])
    lake.land("observation", "air", [seen("B1", "air_temperature", d, f"{h:02}:00", 21) for d in days for h in range(24)])
    lake.land("observation", "eau", [seen("G1", "water_level", d, "12:00", d / 10) for d in days])
    lake.land(
        "report",
        "grc",
        [
            {
                "report_ref": f"R{d}",
                "category": "Voirie",
                "opened_at": f"2025-01-{d:02}T10:00:00Z",
                "closed_at": f"2025-01-{d:02}T12:00:00Z",
            }
            for d in days
        ],
    )


@pytest.mark.timeout(600)
def test_late_data_adds_up_to_a_full_refresh(lake: Lake) -> None:
    first_landings(lake)
    lake.dbt("build")
    # What was told last, on the 5th at 22:00, holds for the four hours that the feed may be silent.
    assert lake.query("SELECT local_date::VARCHAR, occupancy_pct, unknown_minutes FROM lake.work_indicators.parking_occupancy_daily") == [
        *((f"2025-01-{day:02}", 50.0, 0.0) for day in range(1, 6)),
        ("2025-01-06", 50.0, 1320.0),
    ]
    # W2 was not heard from 23:30 of the 2nd to 10:00 of the 3rd: 10.5 h. Both were last heard, as the feed was, on the 5th at 23:30.
    availability = (
        "SELECT asset_key, outages, down_hours, judged_hours FROM lake.work_indicators.it_availability_monthly "
        "WHERE month = '2025-01-01' ORDER BY 1"
    )
    assert lake.query(availability) == [("net:W1", 0, 0.0, 119.5), ("net:W2", 1, 10.5, 119.5), (None, 1, 624.5, 744.0)]
    assert lake.query(
        "SELECT achieved_pct, penalty_eur, not_judged_reason FROM lake.work_indicators.contract_performance_monthly ORDER BY month"
    ) == [
        (pytest.approx(100 * (1 - 10.5 / 239), abs=1e-4), pytest.approx(100 * (99 - 100 * (1 - 10.5 / 239)), abs=0.01), None),
        (None, None, "no_judged_time"),
    ]
    assert lake.query("SELECT DISTINCT occupied_hours, temperature_in_band_share FROM lake.work_indicators.building_comfort_daily") == [
        (8.0, 1.0)
    ]
    assert lake.query("SELECT max(water_level_max_m), count(*) FROM lake.work_indicators.river_daily") == [(0.5, 5)]
    assert lake.query(
        "SELECT sum(reports_opened), max(backlog), avg(answered_in_time_share) FROM lake.work_indicators.citizen_relation_daily"
    ) == [(5, 0, 1.0)]

    # Late: the park fills at 23:00 of the 3rd and so begins the 4th; W2 was heard after all at 4:00; a hot afternoon, a flood, a call.
    since = snapshot(lake)
    lake.land("observation", "park", [seen("P1", "free_places", 3, "23:00", 0)])
    lake.land("observation", "net", [seen("W2", "heartbeat", 3, "04:00", 1)])
    lake.land("observation", "air", [seen("B1", "air_temperature", 3, "09:30", 33)])
    lake.land("observation", "eau", [seen("G1", "water_level", 3, "13:00", 4.2)])
    lake.land("report", "grc", [{"report_ref": "R9", "category": "Voirie", "opened_at": "2025-01-03T11:00:00Z"}])
    output = lake.dbt("run").stdout
    for model, days in (("parking_hourly", 2), ("heard_segment", 1), ("environment_hourly", 1), ("asset_seen_daily", 1)):
        assert f"core__{model}: {days} touched days" in output
        changed = lake.query(
            f"SELECT DISTINCT utc_date::VARCHAR FROM ducklake_table_changes('lake', 'work_core', '{model}', {since + 1}, {snapshot(lake)}) "
            "WHERE change_type IN ('insert', 'update_postimage') ORDER BY 1"
        )
        assert changed == [(f"2025-01-{3 + n:02}",) for n in range(days)]

    # Full from 23:00 of the 3rd to the next word, at midnight: the 4th begins with it, and the value of the 3rd no longer reaches there.
    assert lake.query("SELECT full_minutes FROM lake.work_indicators.parking_occupancy_daily WHERE local_date = '2025-01-03'") == [(60.0,)]
    assert lake.query(availability)[1] == ("net:W2", 2, 10.5, 119.5)
    assert lake.query("SELECT hot_degree_hours FROM lake.work_indicators.building_comfort_daily WHERE local_date = '2025-01-03'") == [
        (1.0,)
    ]
    assert lake.query("SELECT water_level_max_m FROM lake.work_indicators.river_daily WHERE local_date = '2025-01-03'") == [(4.2,)]
    backlog = "SELECT backlog FROM lake.work_indicators.citizen_relation_monthly ORDER BY month"
    assert lake.query(backlog) == [(1,), (1,)]

    incremental = tables(lake)
    lake.dbt("run", "--full-refresh")
    assert tables(lake) == incremental, "touched days must add up to what a full refresh gives"
