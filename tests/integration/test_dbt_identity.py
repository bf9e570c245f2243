"""One equipment of several codes, on a real lake: counted once, and joined by its observations once it is known.

Here: what several builds in a row must give. Not here: the rules of each model (unit tests beside the models).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from orchestration.services import postgres
from orchestration.settings import create_local
from tests.integration.dbt_lake import Lake

FEED: Final = {"territory": "ville", "time_zone": "Europe/Paris", "flap_window_minutes": 30, "bridges_communication_gap": False}


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake whose lights are told of by a GIS, and heard through a lighting CMS and radios."""
    settings = create_local(tmp_path_factory.mktemp("identity") / "home")
    with postgres.running(settings):
        lake = Lake.create(settings)
        lake.refer(
            territory=[{"territory": "ville", "name": "Ville", "time_zone": "Europe/Paris", "latitude": 47.3, "longitude": 5.0}],
            feed=[
                {"feed": "gis", "contract": "asset", "source": "gis", **FEED},
                {"feed": "cms", "contract": "observation", "source": "cms", **FEED},
                {"feed": "lora", "contract": "observation", "source": "lora", **FEED},
            ],
            feed_state_rule=[
                {"feed": feed, "property": "lamp", "value_text": text, "state": state, "fault_type": "lamp-out"}
                for feed in ("cms", "lora")
                for text, state in (("on", "ok"), ("dead", "failed"))
            ],
            asset_crosswalk=[
                {"territory": "ville", "source": "cms", "asset_ref": "12", "canonical_source": "gis", "canonical_ref": "L1"},
                {"territory": "ville", "source": "lora", "asset_ref": "D1", "canonical_source": "gis", "canonical_ref": "L1"},
            ],
        )
        yield lake


def lamp(code: str, hour: int, text: str) -> dict[str, Any]:
    """What a code tells of its lamp on 3 January."""
    return {"asset_ref": code, "property": "lamp", "observed_at": f"2025-01-03T{hour:02}:00:00Z", "value_text": text}


def light(ref: str) -> dict[str, Any]:
    """A light of the GIS."""
    return {"asset_ref": ref, "asset_type": "light-point", "is_remote": True, "effective_at": "2025-01-01T00:00:00Z"}


@pytest.mark.timeout(600)
def test_observations_of_an_unknown_code_join_its_equipment_once_it_is_known(lake: Lake) -> None:
    lake.land("observation", "cms", [lamp("12", 7, "on"), lamp("12", 8, "dead"), lamp("12", 12, "on")])
    lake.land("observation", "lora", [lamp("D1", 7, "on"), lamp("D1", 9, "dead"), lamp("D1", 13, "on"), lamp("d-02", 9, "dead")])
    lake.dbt("build")
    unknown = "SELECT asset_key, observations, is_crosswalk_unresolved, suggested_asset_key FROM lake.work_core.asset_unknown ORDER BY 1"
    assert lake.query(unknown) == [("cms:12", 3, True, None), ("lora:D1", 3, True, None), ("lora:d-02", 1, False, None)]
    failures = "SELECT asset_key, states, asset_type, ended_at::VARCHAR FROM lake.work_core.failure_episode ORDER BY ALL"
    assert lake.query(failures) == [
        ("cms:12", 1, None, "2025-01-03 12:00:00+00"),
        ("lora:D1", 1, None, "2025-01-03 13:00:00+00"),
        ("lora:d-02", 1, None, None),
    ]

    # The GIS comes, and no observation with it: the rows that were kept are its light's.
    lake.land("asset", "gis", [light("L1"), light("D2")])
    output = lake.dbt("run").stdout
    assert "core__asset_seen_daily: 0 touched days" in output
    assert lake.query(unknown) == [("lora:d-02", 1, False, "gis:D2")]
    assert lake.query(failures) == [("gis:L1", 2, "light-point", "2025-01-03 13:00:00+00"), ("lora:d-02", 1, None, None)]
    assert lake.query(
        "SELECT assets_in_service, failures_started, availability_pct FROM lake.work_indicators.failure_frequency_monthly "
        "WHERE asset_type = 'light-point' AND month = '2025-01-01'"
    ) == [(2, 1, pytest.approx(100 * (1 - 5 / (2 * (744 - 1))), abs=1e-4))]

    # The steward takes the suggestion.
    lake.refer(
        asset_crosswalk=[
            {"territory": "ville", "source": source, "asset_ref": ref, "canonical_source": "gis", "canonical_ref": known}
            for source, ref, known in (("cms", "12", "L1"), ("lora", "D1", "L1"), ("lora", "d-02", "D2"))
        ]
    )
    lake.dbt("run")
    assert lake.query(unknown) == []
    assert lake.query(failures) == [("gis:D2", 1, "light-point", None), ("gis:L1", 2, "light-point", "2025-01-03 13:00:00+00")]
