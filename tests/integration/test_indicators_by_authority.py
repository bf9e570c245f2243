"""Rows of energy, buildings, car parks and networks belong to one authority each, and their metrics add up over any grouping."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from orchestration.services import postgres
from orchestration.settings import create_local
from tests.integration.dbt_lake import Lake
from tests.integration.metric_laws import ask, check_laws, obeys

TABLES: Final = tuple(
    f"indicators.{name}"
    for name in (
        "energy_overconsumption_daily",
        "energy_overconsumption_monthly",
        "building_comfort_daily",
        "parking_occupancy_hourly",
        "parking_occupancy_daily",
        "it_availability_monthly",
        "river_daily",
    )
)
pytestmark = pytest.mark.timeout(600)  # one build of dbt: two minutes on a busy machine of four cores
# Two Wednesdays: the first is the reference of the second.
DAYS: Final = (1, 8)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Two towns and their agglomeration, whose feeds they share: what the inventory does not know is the feed's, Agglo."""
    settings = create_local(tmp_path_factory.mktemp("authority") / "home")
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
                for day in DAYS
            ],
            feed=[
                feed("gis", "asset", "GEN"),
                feed("park", "observation", "MOB"),
                feed("net", "observation", "RT"),
                feed("air", "observation", "PAT"),
                feed("eau", "observation", "EAU"),
                feed("edf", "energy_reading", "EP"),
            ],
            feed_baseline=[{"feed": "edf", "reference_start": "2025-01-01", "reference_end": "2025-01-02", "tolerance_pct": 10}],
            meter_link=[{"feed": "edf", "meter_ref": "M1", "source": "gis", "asset_ref": "K1", "valid_from": "2020-01-01"}],
            energy_factor=[{"territory": "ville", "valid_from": "2020-01-01", "eur_per_kwh": 0.2, "kgco2e_per_kwh": 0.05}],
            parking_capacity=[
                {"source": "gis", "asset_ref": "P1", "capacity": 100},
                {"source": "gis", "asset_ref": "P2", "capacity": 300},
            ],
        )
        land(lake)
        lake.dbt("seed")
        lake.dbt("run", "--select", *(f"+{table.replace('.', '__')}" for table in TABLES), as_of="2025-01-09T00:00:00Z")
        yield lake


def feed(name: str, contract: str, domain: str) -> dict[str, Any]:
    """A feed of the agglomeration's, heard each hour."""
    shared = {"source": "gis", "territory": "ville", "time_zone": "UTC", "owner_authority": "Agglo", "freshness_minutes": 120}
    return {"feed": name, "contract": contract, "domain": domain, **shared}


def asset(ref: str, kind: str, authority: str) -> dict[str, Any]:
    """A piece of equipment of a town, in its commune."""
    place = {"name": f"{kind} {ref}", "commune": authority, "longitude": 5.0, "latitude": 47.3}
    return {
        "source": "gis",
        "asset_ref": ref,
        "asset_type": kind,
        "owner_authority": authority,
        "effective_at": "2024-12-01T00:00:00Z",
        **place,
    }


def land(lake: Lake) -> None:
    """Two days, hour by hour, of two of each: one in the inventory, the other of nobody known (but car parks: both known)."""
    hours = [(day, hour) for day in DAYS for hour in range(24)]

    def told(ref: str, what: str, value: float) -> list[dict[str, Any]]:
        stamp = [f"2025-01-{day:02}T{hour:02}:00:00Z" for day, hour in hours]
        return [{"source": "gis", "asset_ref": ref, "property": what, "observed_at": at, "value": value} for at in stamp]

    inventory = [("K1", "cabinet", "Ville"), ("P1", "car_park", "Ville"), ("P2", "car_park", "Bourg"), ("W1", "wifi", "Bourg")]
    lake.land("asset", "gis", [asset(*row) for row in [*inventory, ("B1", "building", "Ville")]])
    lake.land("observation", "park", told("P1", "free_places", 50) + told("P2", "free_places", 300))
    lake.land("observation", "net", told("W1", "heartbeat", 1) + told("W2", "heartbeat", 1))
    lake.land("observation", "air", told("B1", "air_temperature", 21) + told("B2", "air_temperature", 30))
    lake.land("observation", "eau", told("G1", "water_level", 1.5))
    # M1: a kilowatt the first day, two the second. M2, which feeds nothing that is declared: three on both.
    power = {("M1", 1): 1_000, ("M1", 8): 2_000, ("M2", 1): 3_000, ("M2", 8): 3_000}
    readings = [
        {
            "source": "gis",
            "meter_ref": meter,
            "start_at": f"2025-01-{day:02}T{hour:02}:00:00Z",
            "end_at": f"2025-01-{day + hour // 23:02}T{(hour + 1) % 24:02}:00:00Z",
            "energy_wh": power[meter, day],
            "direction": "consumption",
        }
        for meter in ("M1", "M2")
        for day, hour in hours
    ]
    lake.land("energy_reading", "edf", readings)


def test_each_row_is_its_equipments_authoritys_else_its_feeds(lake: Lake) -> None:
    found = {
        "core.meter": "meter_key",
        "indicators.energy_overconsumption_daily": "meter_key",
        "indicators.energy_overconsumption_monthly": "meter_key",
        "indicators.building_comfort_daily": "building_key",
        "indicators.parking_occupancy_hourly": "asset_key",
        "indicators.parking_occupancy_daily": "asset_key",
        "indicators.it_availability_monthly": "asset_id",
    }
    said = {table: dict(lake.query(f"SELECT DISTINCT {key}, owner_authority FROM lake.work_{table}")) for table, key in found.items()}
    energy = {"edf:M1": "Ville", "edf:M2": "Agglo"}
    parks = {"gis:P1": "Ville", "gis:P2": "Bourg"}
    assert said == {
        "core.meter": energy,
        "indicators.energy_overconsumption_daily": energy,
        "indicators.energy_overconsumption_monthly": energy,
        "indicators.building_comfort_daily": {"gis:B1": "Ville", "gis:B2": "Agglo"},
        "indicators.parking_occupancy_hourly": parks,
        "indicators.parking_occupancy_daily": parks,
        "indicators.it_availability_monthly": {None: "Agglo", "gis:W1": "Bourg", "gis:W2": "Agglo"},
    }


def test_one_goes_from_the_commune_to_the_site_to_its_days(lake: Lake) -> None:
    place = "commune, site_kind, name, longitude, latitude"
    for table in ("energy_overconsumption_daily", "energy_overconsumption_monthly"):
        assert lake.query(f"SELECT DISTINCT {place} FROM lake.work_indicators.{table} WHERE meter_ref = 'M1'") == [
            ("Ville", "armoire", "cabinet K1", 5.0, 47.3)
        ]


def test_metrics_of_two_authorities_are_those_of_their_sums(lake: Lake) -> None:
    # M1 takes 24 kWh more than the 24 expected, on one of two days; M2 72 of 72. 24 of 192 expected in all; 4.80 EUR.
    for table in ("indicators.energy_overconsumption_daily", "indicators.energy_overconsumption_monthly"):
        assert ask(lake, table, "measured_kwh", "owner_authority") == {"Ville": 72, "Agglo": 144}
        assert ask(lake, table, "excess_pct", "owner_authority") == {"Ville": 50, "Agglo": 0}
        assert ask(lake, table, "excess_pct") == 12.5
        assert ask(lake, table, "over_eur") == pytest.approx(4.8)
        assert ask(lake, table, "days_over_pct") == 25
    # 50 of 100 places and none of 300: 12.5 %, where the mean of the two rates would say 25.
    for table in ("indicators.parking_occupancy_hourly", "indicators.parking_occupancy_daily"):
        assert ask(lake, table, "occupancy_pct", "owner_authority") == {"Ville": 50, "Bourg": 0}
        assert ask(lake, table, "occupancy_pct") == 12.5
    # Eight hours a day at 21, in the band; as many at 30.
    comfort = "indicators.building_comfort_daily"
    assert ask(lake, comfort, "temperature_in_band_pct", "owner_authority") == {"Ville": 100, "Agglo": 0}
    assert ask(lake, comfort, "temperature_in_band_pct") == 50
    assert ask(lake, comfort, "temperature_mean_c") == 25.5
    # Heard until 23:00 of the 1st, and from 0:00 of the 8th: the feed was silent for 145 h, and for the last hour has not been long enough.
    network = "indicators.it_availability_monthly"
    assert lake.query(f"SELECT down_hours, judged_hours FROM lake.work_{network} WHERE feed = 'net' AND level = 'system'") == [(145, 192)]
    assert ask(lake, network, "asset_outages", "owner_authority") == {"Bourg": 0, "Agglo": 0}


@pytest.mark.parametrize("table", TABLES)
def test_metrics_add_up_over_any_grouping(lake: Lake, table: str) -> None:
    assert check_laws(lake, table), f"no metric of {table} had a value: the law was not tried"


@pytest.mark.parametrize(
    ("expression", "whole", "groups", "holds"),
    [
        ("sum(a)", 3, [1, 2], True),
        ("sum(a)", 4, [1, 2], False),
        ("count(distinct a)", 2, [2, 1], True),
        ("count(distinct a)", 4, [2, 1], False),
        ("max(a)", 2, [1, 2], True),
        ("max(a)", 1, [1, 2], False),
        ("min(a)", 2, [1, 2], False),
        ("100.0 * sum(a) / nullif(sum(b), 0)", 50, [0, 100], True),
        ("100.0 * sum(a) / nullif(sum(b), 0)", 150, [50, 100], False),
        ("count(*)", 0, [], True),
        ("sum(a)", 3, [], False),
    ],
)
def test_a_metric_that_does_not_add_up_is_found(expression: str, whole: float, groups: list[float], holds: bool) -> None:
    assert obeys(expression, whole, groups) is holds
