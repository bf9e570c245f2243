"""The work of one more day, counted: files and rows read on a lake of ten days and on one of a hundred are the same.

Here: counts, by the engine's own account of the SQL that dbt ran. Not here: seconds (`bench/year.py`), the answers
(`test_dbt_build.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from ingestion.lake.maintain import maintain
from orchestration.services import postgres
from orchestration.settings import create_local
from tests.integration.dbt_lake import Lake

# Every model of observations and readings, and what it writes. Reports and work orders are read whole: a city writes some
# thousands a year, and 4,380 reports cost 0.05 s (docs/indicators.md).
MODELS: Final = ("observation_hourly", "state_daily", "state_segment", "energy_daily")
# Extracts of observations that daily indicators are made of; no rows here, but the same look at what has landed.
EXTRACTS: Final = ("heard_segment", "parking_hourly")
FEED: Final = {"territory": "ville", "time_zone": "Europe/Paris", "flap_window_minutes": 30, "bridges_communication_gap": False}
LIGHTS: Final = 13  # 13 lights x 96 quarters = 1,248 rows a day: more than stay in the catalogue, so each day is a file
AS_OF: Final = "2025-06-01T00:00:00Z"


@pytest.fixture(params=[10, 100])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, int]]:
    """A lake of some days, built and maintained."""
    settings = create_local(tmp_path_factory.mktemp("cost") / "home")
    with postgres.running(settings):
        lake = Lake.create(settings)
        lake.refer(
            territory=[{"territory": "ville", "name": "Ville", "time_zone": "Europe/Paris", "latitude": 47.3, "longitude": 5.0}],
            feed=[
                {"feed": "iot", "contract": "observation", "source": "gis", **FEED},
                {"feed": "edf", "contract": "energy_reading", "source": "edf", **FEED},
            ],
            feed_state_rule=[
                {"feed": "iot", "property": "lamp", "value_text": "on", "state": "ok", "fault_type": "lamp-out"},
                {"feed": "iot", "property": "lamp", "value_text": "dead", "state": "failed", "fault_type": "lamp-out"},
            ],
        )
        with lake.connect() as con:
            for day in range(request.param):
                land(lake, con, day)
        build(lake)
        maintain(lake.address)
        yield lake, request.param


def build(lake: Lake) -> str:
    """Build the models and what they read; what dbt said."""
    return lake.dbt("run", "--select", *(f"+core__{model}" for model in (*MODELS, *EXTRACTS)), as_of=AS_OF).stdout


def land(lake: Lake, con: duckdb.DuckDBPyConnection, day: int) -> None:
    """One day: the lamps' states and powers, two meters by the half hour; a lamp is dead from 6:00 to 9:00."""
    start = f"(DATE '2025-01-01' + {day})::TIMESTAMP AT TIME ZONE 'UTC'"
    send(
        lake,
        con,
        "observation",
        "iot",
        day,
        "SELECT 'L' || l AS asset_ref, p AS property, {start} + INTERVAL 15 MINUTE * q::INTEGER AS observed_at, "
        "CASE p WHEN 'power' THEN 60.0 END AS value, "
        f"CASE p WHEN 'lamp' THEN CASE WHEN l = {day} % {LIGHTS} AND q BETWEEN 24 AND 35 THEN 'dead' ELSE 'on' END END AS value_text "
        f"FROM range({LIGHTS}) AS a(l), range(96) AS t(q), (VALUES ('lamp'), ('power')) AS v(p)".replace("{start}", start),
    )
    send(
        lake,
        con,
        "energy_reading",
        "edf",
        day,
        f"SELECT 'M' || m AS meter_ref, {start} + INTERVAL 30 MINUTE * s::INTEGER AS start_at, "
        f"{start} + INTERVAL 30 MINUTE * (s + 1)::INTEGER AS end_at, 100.0 AS energy_wh, 'consumption' AS direction "
        "FROM range(2) AS a(m), range(48) AS t(s)",
    )


def send(lake: Lake, con: duckdb.DuckDBPyConnection, contract: str, feed: str, day: int, rows: str) -> None:
    """Land rows on the day they are about, with their ledger line."""
    lake.landing_seq += 1
    received = f"received_at, received_on) SELECT %s, '{feed}', {lake.landing_seq}, (DATE '2025-01-01' + {day}) + INTERVAL 1 DAY - "
    received += f"INTERVAL 1 MINUTE, DATE '2025-01-01' + {day}"
    columns = [d[0] for d in con.execute(f"DESCRIBE {rows}").fetchall()]
    con.execute("BEGIN")
    con.execute(
        f"INSERT INTO lake.raw.{contract} ({', '.join(columns)}, source, position, feed, landing_seq, "
        + received % f"{', '.join(columns)}, 'gis', row_number() OVER ()"
        + f" FROM ({rows})"
    )
    con.execute("INSERT INTO lake.raw.landing (feed, landing_seq, " + received.replace(f"'{feed}', ", "", 1) % f"'{feed}'")
    con.execute("COMMIT")


# What one more day makes each model read: files, and rows in them. Ten days or a hundred: this is the assertion.
_SEEN: dict[int, dict[str, list[tuple[str, int, int]]]] = {}


def test_one_more_day_reads_that_day_alone(lake: tuple[Lake, int]) -> None:
    where, days = lake
    with where.connect() as con:
        land(where, con, days)
    output = build(where)
    # The readings of one UTC day belong to two days of Paris.
    assert [f"core__{m}: {2 if m == 'energy_daily' else 1} touched days" in output for m in MODELS] == [True] * len(MODELS)
    assert "core__heard_segment: 1 touched days" in output
    # What was told late in a day holds into the next.
    assert "core__parking_hourly: 2 touched days" in output
    _SEEN[days] = {model: reads(where, compiled(where, model)) for model in (*MODELS, *EXTRACTS)}
    for kind in ("observation", "energy_reading"):
        finder = f"{{{{ days_touched_by_{kind}('landing_seq > {where.landing_seq - 2}', 'true') }}}}"
        where.dbt("compile", "--inline", finder, "--output", "json", "--quiet")
        _SEEN[days][f"touched by {kind}"] = reads(where, inline(where))
        assert _SEEN[days][f"touched by {kind}"], f"nothing was read to find the days touched by {kind}"
    for model in MODELS[:3]:
        # One file of the day's 2,496 observations, however often the model looks at it.
        assert {(files, rows) for table, files, rows in _SEEN[days][model] if table == "observation"} == {(1, 2496)}, model
    assert {rows for table, _, rows in _SEEN[days]["heard_segment"] if table == "observation"} == {2496}
    # The day's own, and the day's before, which hold into it.
    assert {rows for table, _, rows in _SEEN[days]["parking_hourly"] if table == "observation"} == {2496 * 2}
    # The readings of the new day and those of the two before, for what overlaps midnight in any zone.
    assert {rows for table, _, rows in _SEEN[days]["energy_daily"] if table == "energy_reading"} == {96 * 3}
    if len(_SEEN) == 2:
        assert _SEEN[10] == _SEEN[100]


def test_late_data_touches_its_own_day_only(lake: tuple[Lake, int]) -> None:
    where, days = lake
    before = {model: (content(where, model), files(where, model)) for model in MODELS}
    with where.connect() as con:
        send(
            where, con, "observation", "iot", days,
            "SELECT 'L1' AS asset_ref, 'lamp' AS property, TIMESTAMPTZ '2025-01-04 12:05:00+00' AS observed_at, NULL::DOUBLE AS value, "
            "'dead' AS value_text",
        )  # fmt: skip
        send(
            where, con, "energy_reading", "edf", days,
            "SELECT 'M1' AS meter_ref, TIMESTAMPTZ '2025-01-04 12:00:00+00' AS start_at, TIMESTAMPTZ '2025-01-04 12:30:00+00' AS end_at, "
            "500.0 AS energy_wh, 'consumption' AS direction",
        )  # fmt: skip
    build(where)
    # Of a hundred days, those files are opened that hold something of 4 January, and the late row.
    assert {rows for table, _, rows in reads(where, compiled(where, "state_daily")) if table == "observation"} == {2496 + 1}
    for model in MODELS:
        old_rows, old_files = before[model]
        new_rows, new_files = content(where, model), files(where, model)
        changed = {day for day in old_rows.keys() | new_rows.keys() if old_rows.get(day) != new_rows.get(day)}
        # An hourly table of figures has nothing of a lamp's state: its day is written again, the same.
        assert changed == (set() if model == "observation_hourly" else {"2025-01-04"}), model
        assert old_files <= new_files, f"{model}: a file of other days was written again"


def compiled(lake: Lake, model: str) -> str:
    """The SQL that dbt ran last for a model."""
    (path,) = Path(lake.environment["DBT_TARGET_PATH"]).glob(f"compiled/**/core__{model}.sql")
    return path.read_text(encoding="utf-8")


def inline(lake: Lake) -> str:
    """The SQL of the last `dbt compile --inline`."""
    found = json.loads((Path(lake.environment["DBT_TARGET_PATH"]) / "run_results.json").read_text(encoding="utf-8"))
    return str(found["results"][0]["compiled_code"])


def reads(lake: Lake, sql: str) -> list[tuple[str, int, int]]:
    """Each scan of a raw table that grows: table, files opened, rows in these files and in the catalogue."""
    profile = lake.home / "profile.json"
    with lake.connect() as con:
        con.execute("USE lake")
        inlined = {t: len(con.execute(f"SELECT 1 FROM raw.{t} WHERE landing_seq > {lake.landing_seq - 2}").fetchall()) for t in GROWING}
        con.execute("PRAGMA enable_profiling = 'json'")
        con.execute(f"PRAGMA profiling_output = '{profile}'")
        con.execute(sql).fetchall()
        con.execute("PRAGMA disable_profiling")
        found = []
        for scan in scans(json.loads(profile.read_text(encoding="utf-8"))):
            info = scan["extra_info"]
            if info.get("Table") in GROWING:
                names = [n for n in str(info.get("Filename(s)", "")).split(", ") if n]
                rows = sum(con.execute("SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata(?)", [names]).fetchall()[0]) if names else 0
                if rows + (inlined[info["Table"]] if inlined[info["Table"]] <= INLINED else 0):
                    found.append((info["Table"], len(names), rows + (inlined[info["Table"]] if inlined[info["Table"]] <= INLINED else 0)))
    return sorted(found)


GROWING: Final = ("observation", "energy_reading")
INLINED: Final = 1000


def scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every scan of a lake's table below a node of a profile."""
    if node.get("operator_name", "").strip() == "DUCKLAKE_SCAN":
        yield node
    for child in node.get("children", []):
        yield from scans(child)


def content(lake: Lake, model: str) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by day."""
    day = "local_date" if model == "energy_daily" else "utc_date"
    found: dict[str, list[tuple[Any, ...]]] = {}
    for date, *row in lake.query(f"SELECT {day}::VARCHAR, * FROM lake.work_core.{model} ORDER BY ALL"):
        found.setdefault(date, []).append(tuple(row))
    return found


def files(lake: Lake, model: str) -> set[str]:
    """Data files of a table."""
    return {str(r[0]) for r in lake.query(f"SELECT data_file FROM ducklake_list_files('lake', '{model}', schema => 'work_core')")}
