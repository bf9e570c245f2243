"""Two authorities on one lake: their failures, cases and reports are kept apart, and add up; old tables follow by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from orchestration.services import postgres
from orchestration.settings import create_local
from tests.integration.dbt_lake import PROJECT, Lake, Row
from tests.integration.test_dbt_build import report, state, tables, work

FEED: Final = {"territory": "ville", "owner_authority": "Agglo", "flap_window_minutes": 30, "bridges_communication_gap": False}
# Published indicators of failures, interventions and citizen relations that one row of evidence ends up in.
MODELS: Final = (
    "failure_frequency_monthly",
    "failure_by_group_monthly",
    "failure_by_asset",
    "prevention_monthly",
    "intervention_time_case",
    "intervention_time_monthly",
    "intervention_time_by_category",
    "citizen_relation_daily",
    "citizen_relation_monthly",
)


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake of one territory, whose feeds are the agglomeration's."""
    settings = create_local(tmp_path_factory.mktemp("authorities") / "home")
    with postgres.running(settings):
        lake = Lake.create(settings)
        lake.refer(
            territory=[{"territory": "ville", "name": "Ville", "time_zone": "Europe/Paris", "latitude": 47.3, "longitude": 5.0}],
            feed=[
                {"feed": "gis", "contract": "asset", "source": "gis", **FEED},
                {"feed": "iot", "contract": "observation", "source": "gis", **FEED},
                {"feed": "grc", "contract": "report", "source": "gis", **FEED},
                {"feed": "gmao", "contract": "intervention", "source": "gis", **FEED},
            ],
            feed_state_rule=[
                {"feed": "iot", "property": "lamp", "value_text": "on", "state": "ok", "fault_type": "lamp-out"},
                {"feed": "iot", "property": "lamp", "value_text": "dead", "state": "failed", "fault_type": "lamp-out"},
            ],
            feed_fault_rule=[
                {"feed": "grc", "rule_order": 1, "category_like": "lampe%", "subcategory_like": "%", "fault_type": "lamp-out"}
            ],
        )
        yield lake


def land(lake: Lake) -> None:
    """L1 is the village's, L2 the agglomeration's by its feed; both fail, and papers about no known light are of both."""
    lights: list[Row] = [
        {"asset_ref": "L1", "asset_type": "light-point", "street": "Rue A", "owner_authority": "Village", "is_remote": True},
        {"asset_ref": "L2", "asset_type": "light-point", "street": "Rue A", "is_remote": True},
    ]
    place = {"source": "gis", "commune": "Dijon", "longitude": 5.04, "latitude": 47.32, "effective_at": "2024-12-01T00:00:00Z"}
    lake.land("asset", "gis", [{**place, **row} for row in lights])
    told = [(3, 6, "on"), (3, 8, "dead"), (3, 20, "on")]
    lake.land("observation", "iot", [{**state(*at), "asset_ref": ref} for ref in ("L1", "L2") for at in told])
    lake.land("observation", "iot", [{**state(5, 8, "dead"), "asset_ref": "NOBODY"}, {**state(5, 9, "on"), "asset_ref": "NOBODY"}])
    lake.land("report", "grc", [report("R1", 6, owner_authority="Village"), report("R2", 7), report("R3", 8, owner_authority="Village")])
    lake.land("intervention", "gmao", [{"intervention_ref": "W1", "report_ref": "R1", **work(6)}, {"intervention_ref": "W2", **work(9)}])


def metrics(model: str) -> dict[str, str]:
    """The metrics of an indicator: name to expression."""
    path = PROJECT / "models" / "indicators" / f"indicators__{model}.yml"
    found = yaml.safe_load(path.read_text(encoding="utf-8"))["models"][0]["config"]["meta"]["metrics"]
    return {m["name"]: m["expression"] for m in found}


def by_authority(lake: Lake, model: str, metric: str, where: str = "true") -> dict[str | None, Any]:
    """A metric by authority; the whole under the name `all`."""
    expression = metrics(model)[metric]
    rows = lake.query(
        f"SELECT coalesce(owner_authority, 'nobody'), {expression} FROM lake.work_indicators.{model} WHERE {where} GROUP BY 1 "
        f"UNION ALL SELECT 'all', {expression} FROM lake.work_indicators.{model} WHERE {where}"
    )
    return dict(rows)


@pytest.mark.timeout(900)  # two builds: a minute alone, several on a machine that does much else
def test_two_authorities_are_kept_apart_and_add_up(lake: Lake) -> None:
    land(lake)
    lake.dbt("seed")
    lake.dbt("run")

    january = "month = '2025-01-01'"
    # Of the village: L1 (12 h), R1 with W1 (1.5 h), R3 (2 h). Of the feeds' owner: L2 (12 h), NOBODY (1 h), R2 (2 h), W2 (1 h).
    failures = "failure_frequency_monthly"
    assert by_authority(lake, failures, "failures_started", january) == {"Village": 3, "Agglo": 4, "all": 7}
    assert by_authority(lake, failures, "downtime_hours", january) == {"Village": 15.5, "Agglo": 16, "all": 31.5}
    assert by_authority(lake, failures, "mttr_hours", january) == {"Village": pytest.approx(15.5 / 3), "Agglo": 4, "all": 4.5}
    assert by_authority(lake, failures, "assets_in_service") == {"Village": 1, "Agglo": 1, "all": 2}
    # Of the two lights of the inventory, one failure each in 744 h.
    assert by_authority(lake, failures, "mtbf_hours", january) == {"Village": 732, "Agglo": 732, "all": 732}
    available = pytest.approx(100 * (1 - 12 / 744))
    assert by_authority(lake, failures, "availability_pct", january) == {"Village": available, "Agglo": available, "all": available}
    assert by_authority(lake, "prevention_monthly", "seen_first") == {"Village": 1, "Agglo": 2, "all": 3}
    street = "dimension = 'street' AND month = '2025-01-01'"
    assert by_authority(lake, "failure_by_group_monthly", "failures_started", street) == {"Village": 1, "Agglo": 1, "all": 2}
    assert by_authority(lake, "failure_by_asset", "assets_failed") == {"Village": 1, "Agglo": 2, "all": 3}
    assert by_authority(lake, "intervention_time_case", "cases") == {"Village": 2, "Agglo": 2, "all": 4}
    assert by_authority(lake, "intervention_time_monthly", "cases") == {"Village": 2, "Agglo": 2, "all": 4}
    # Handled in 1.5 h (R1, restored by W1) and 2 h; in 2 h and 1 h.
    assert by_authority(lake, "intervention_time_by_category", "handling_mean_hours") == {"Village": 1.75, "Agglo": 1.5, "all": 1.625}
    for period in ("daily", "monthly"):
        assert by_authority(lake, f"citizen_relation_{period}", "reports_opened") == {"Village": 2, "Agglo": 1, "all": 3}
        assert by_authority(lake, f"citizen_relation_{period}", "backlog") == {"Village": 0, "Agglo": 0, "all": 0}
    assert lake.query("SELECT name, longitude, latitude FROM lake.work_indicators.failure_by_asset WHERE asset_key = 'gis:L1'") == [
        (None, 5.04, 47.32)
    ]
    for model in MODELS:
        assert lake.query(f"SELECT count(*) FROM lake.work_indicators.{model} WHERE owner_authority IS NULL") == [(0,)], model

    # Tables of a version that knew no authorities: the next build makes them anew, by itself.
    built = tables(lake)
    for table in ("work_core.failure_evidence", *(f"work_indicators.{model}" for model in MODELS)):
        with lake.connect() as con:
            con.execute(f"ALTER TABLE lake.{table} DROP COLUMN owner_authority")
    lake.dbt("run")
    assert tables(lake) == built
