"""The answers of the models over `bench.territory`, by hand-written SQL in bare DuckDB: what `bench.year` compares dbt with.

`python -m bench.by_hand ARGUMENTS`. An analyst's SQL for this one territory: it knows that one property tells the state, that
every meter belongs to one cabinet or none, that papers name their light; the models know none of that. It finds revisions as the
models do (ranking each key of the year would cost it a minute more), reads the same Parquet files and writes Parquet by month.

Here: that SQL. Not here: comparing (`year`).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import duckdb

from bench.machine import peak_memory_mb

# name: (SQL, whether it is written by month, as the models of observations, readings and papers are)
STEPS: Final[dict[str, tuple[str, bool]]] = {
    "latest_key": (
        "SELECT k FROM (SELECT hash(asset_ref, observed_at) AS k FROM observation) GROUP BY k HAVING count(*) > 1",
        False,
    ),
    "state_daily": (
        """
        WITH keyed AS NOT MATERIALIZED (SELECT *, hash(asset_ref, observed_at) AS k FROM observation),
        latest AS NOT MATERIALIZED (
            SELECT * FROM keyed WHERE k NOT IN (SELECT k FROM latest_key)
            UNION ALL
            FROM (SELECT * FROM keyed WHERE k IN (SELECT k FROM latest_key)
                QUALIFY row_number() OVER (PARTITION BY asset_ref, observed_at ORDER BY landing_seq DESC) = 1)
        )
        SELECT asset_ref, property, value_text, epoch_us(observed_at) // 86400000000 AS day, count(*) AS observations,
            min(observed_at) AS first_at, max(observed_at) AS last_at
        FROM latest GROUP BY ALL ORDER BY day""",
        True,
    ),
    "run": (
        """
        WITH suspect AS (
            SELECT DISTINCT asset_ref, day + unnest([0, 1]) AS day FROM state_daily WHERE value_text <> 'ok'
        ), kept AS (
            SELECT o.asset_ref, o.observed_at, o.value_text FROM observation AS o
            JOIN suspect AS s ON s.asset_ref = o.asset_ref AND s.day = epoch_us(o.observed_at) // 86400000000
            QUALIFY row_number() OVER (PARTITION BY o.asset_ref, o.observed_at ORDER BY o.landing_seq DESC) = 1
        ), stepped AS (
            SELECT *, coalesce(lag(value_text) OVER w <> value_text
                OR observed_at - lag(observed_at) OVER w > INTERVAL 1 HOUR, true) AS is_step
            FROM kept WINDOW w AS (PARTITION BY asset_ref ORDER BY observed_at)
        ), numbered AS (
            SELECT *, sum(is_step::INTEGER) OVER (PARTITION BY asset_ref ORDER BY observed_at ROWS UNBOUNDED PRECEDING) AS n FROM stepped
        ), runs AS (
            SELECT asset_ref, n, any_value(value_text) AS state, min(observed_at) AS started_at, max(observed_at) AS seen_at
            FROM numbered GROUP BY ALL
        )
        SELECT asset_ref, state, started_at,
            CASE WHEN lead(state) OVER w = state THEN seen_at ELSE lead(started_at) OVER w END AS ended_at
        FROM runs WINDOW w AS (PARTITION BY asset_ref ORDER BY started_at)
        QUALIFY state <> 'ok' ORDER BY started_at""",
        True,
    ),
    "failure": (
        """
        WITH reach AS (
            SELECT *, max(coalesce(ended_at, 'infinity')) OVER (PARTITION BY asset_ref, state ORDER BY started_at
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached_at FROM run
        ), island AS (
            SELECT *, sum((reached_at IS NULL OR started_at - reached_at > INTERVAL 30 MINUTE)::INTEGER)
                OVER (PARTITION BY asset_ref, state ORDER BY started_at ROWS UNBOUNDED PRECEDING) AS n FROM reach
        )
        SELECT asset_ref, state = 'defectiveLamp' AS is_failure, min(started_at) AS started_at,
            CASE WHEN bool_and(ended_at IS NOT NULL) THEN max(ended_at) END AS ended_at
        FROM island GROUP BY asset_ref, state, n""",
        False,
    ),
    "episode": (
        """
        WITH paper AS (
            SELECT asset_ref, opened_at AS started_at, closed_at AS ended_at, NULL AS restored_at FROM report
            WHERE category LIKE 'Lampe%'
            UNION ALL SELECT asset_ref, requested_at, restored_at, restored_at FROM intervention
        ), reach AS (
            SELECT *, max(ended_at) OVER (PARTITION BY asset_ref ORDER BY started_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                AS reached_at FROM paper
        ), island AS (
            SELECT *, sum((reached_at IS NULL OR reached_at < started_at)::INTEGER)
                OVER (PARTITION BY asset_ref ORDER BY started_at ROWS UNBOUNDED PRECEDING) AS n FROM reach
        ), trail AS (
            SELECT asset_ref, n, min(started_at) AS started_at, max(ended_at) AS ended_at, max(restored_at) AS restored_at
            FROM island GROUP BY asset_ref, n
        ), met AS (
            SELECT trail.*, min(f.started_at) AS state_at
            FROM trail LEFT JOIN failure AS f ON f.is_failure AND f.asset_ref = trail.asset_ref
                AND trail.started_at <= coalesce(f.ended_at, 'infinity') AND trail.ended_at >= f.started_at
            GROUP BY ALL
        ), told AS (
            SELECT f.asset_ref, f.is_failure, least(f.started_at, min(met.started_at)) AS started_at, f.ended_at
            FROM failure AS f LEFT JOIN met ON f.is_failure AND met.asset_ref = f.asset_ref AND met.state_at = f.started_at
            GROUP BY f.asset_ref, f.is_failure, f.started_at, f.ended_at
        )
        FROM told UNION ALL
        SELECT asset_ref, true, started_at, coalesce(restored_at, ended_at) FROM met WHERE state_at IS NULL""",
        False,
    ),
    "monthly": (
        """
        WITH month AS (
            SELECT m::DATE AS month, timezone('Europe/Paris', m::TIMESTAMP) AS starts_at,
                least(timezone('Europe/Paris', m + INTERVAL 1 MONTH), TIMESTAMPTZ '{as_of}') AS ends_at
            FROM generate_series(
                DATE '{first}', timezone('Europe/Paris', TIMESTAMPTZ '{as_of}' - INTERVAL 1 MICROSECOND), INTERVAL 1 MONTH
            ) AS s(m)
        ), service AS (
            SELECT month, commune, is_remote, count(*) AS assets, sum(epoch(ends_at - starts_at)) AS seconds
            FROM month, asset WHERE asset_type = 'light-point' GROUP BY ALL
        ), down AS (
            SELECT month, commune, is_remote, count(*) FILTER (WHERE e.started_at >= m.starts_at) AS failures,
                avg(epoch(e.ended_at - e.started_at)) FILTER (WHERE e.started_at >= m.starts_at) AS mean_s,
                sum(greatest(0, epoch(least(coalesce(e.ended_at, TIMESTAMPTZ '{as_of}'), m.ends_at) - greatest(e.started_at, m.starts_at))))
                    AS down_s
            FROM episode AS e JOIN asset AS a USING (asset_ref) JOIN month AS m ON m.ends_at > e.started_at
                AND (m.starts_at < coalesce(e.ended_at, TIMESTAMPTZ '{as_of}') OR m.starts_at <= e.started_at)
            WHERE e.is_failure GROUP BY ALL
        )
        SELECT month, commune, is_remote, assets, coalesce(failures, 0) AS failures, mean_s / 3600 AS mttr_h,
            (seconds - coalesce(down_s, 0)) / 3600 / nullif(failures, 0) AS mtbf_h,
            100 * (1 - coalesce(down_s, 0) / seconds) AS availability_pct
        FROM service LEFT JOIN down USING (month, commune, is_remote) ORDER BY ALL""",
        False,
    ),
    "energy_daily": (
        """
        WITH day AS (
            SELECT utc_day, d AS local_date, timezone('Europe/Paris', d::TIMESTAMP) AS starts_at,
                timezone('Europe/Paris', d::TIMESTAMP + INTERVAL 1 DAY) AS ends_at
            FROM (SELECT utc_day, DATE '1970-01-01' + utc_day::INTEGER + unnest([0, 1]) AS d
                FROM (SELECT DISTINCT epoch_us(start_at) // 86400000000 AS utc_day FROM energy_reading))
        )
        SELECT meter_ref, local_date, fsum(energy_wh) AS energy_wh, count(*) AS readings, any_value(epoch(ends_at - starts_at)) AS day_s
        FROM energy_reading JOIN day ON utc_day = epoch_us(start_at) // 86400000000 AND start_at >= starts_at AND start_at < ends_at
        GROUP BY ALL ORDER BY local_date""",
        True,
    ),
    "expected": (
        """
        WITH zone AS (
            SELECT local_date, sunrise_at, sunset_at, timezone('Europe/Paris', local_date::TIMESTAMP) AS s,
                timezone('Europe/Paris', local_date::TIMESTAMP + INTERVAL 1 DAY) AS e,
                timezone('Europe/Paris', local_date + TIME '23:30') AS off_from,
                timezone('Europe/Paris', local_date + TIME '05:00') AS off_until
            FROM sun_time
        ), night AS (
            SELECT local_date, epoch(sunrise_at - s) + epoch(e - sunset_at) AS lit_s,
                greatest(0, epoch(least(off_until, sunrise_at) - s)) + greatest(0, epoch(e - greatest(off_from, sunset_at))) AS off_s
            FROM zone
        ), cabinet AS (
            SELECT parent_ref, sum(rated_power_w) * 1.05 AS watts FROM asset WHERE asset_type = 'light-point' GROUP BY ALL
        ), lighting AS (
            SELECT 'M' || parent_ref[2:] AS meter_ref, local_date,
                watts * (lit_s - CASE WHEN parent_ref[2:]::INTEGER % 2 = 0 THEN off_s ELSE 0 END) / 3600 AS expected_wh
            FROM cabinet, night
        ), hourly AS (
            SELECT meter_ref, timezone('Europe/Paris', time_bucket(INTERVAL 1 HOUR, start_at)) AS hour_at, sum(energy_wh) AS wh
            FROM energy_reading WHERE start_at >= timezone('Europe/Paris', TIMESTAMP '{first}')
                AND start_at < timezone('Europe/Paris', TIMESTAMP '{first}' + INTERVAL 28 DAY) GROUP BY ALL
        ), profile AS (
            SELECT meter_ref, isodow(hour_at) AS weekday, hour(hour_at) AS hour, avg(wh) AS wh FROM hourly GROUP BY ALL
        ), clock AS (
            SELECT local_date, isodow(local_date) AS weekday, hour(timezone('Europe/Paris', h)) AS hour
            FROM (SELECT local_date, unnest(generate_series(s, e - INTERVAL 1 HOUR, INTERVAL 1 HOUR)) AS h FROM zone)
        ), building AS (
            SELECT meter_ref, local_date, sum(wh) AS expected_wh FROM profile JOIN clock USING (weekday, hour)
            WHERE meter_ref[2:]::INTEGER >= {cabinets} GROUP BY ALL
        )
        SELECT d.meter_ref, d.local_date, d.energy_wh, x.expected_wh, d.energy_wh / 1000 * 0.25 AS eur,
            CASE WHEN abs(d.readings * 1800 / d.day_s - 1) > 0.05 THEN 'incomplete'
                WHEN d.energy_wh > x.expected_wh * 1.1 THEN 'over' WHEN d.energy_wh < x.expected_wh * 0.9 THEN 'under'
                ELSE 'normal' END AS verdict
        FROM energy_daily AS d JOIN (FROM lighting UNION ALL FROM building) AS x USING (meter_ref, local_date) ORDER BY ALL""",
        False,
    ),
}


def run(files: dict[str, list[str]], folder: Path, values: dict[str, Any], memory_limit: str | None) -> dict[str, Any]:
    """Compute every answer from the files of the raw tables, write each as Parquet under `folder`, and return the seconds."""
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        if memory_limit:
            con.execute("SET memory_limit = ?", [memory_limit])
            con.execute("SET temp_directory = ?", [str(folder / "tmp")])
        for table, paths in files.items():
            con.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet({paths!r}, hive_partitioning = false)")
        for name, (sql, is_monthly) in STEPS.items():
            step = time.perf_counter()
            con.execute(f"CREATE TEMP TABLE {name} AS {sql.format(**values) if '{' in sql else sql}")
            if is_monthly:
                at = {"state_daily": "make_timestamptz(day * 86400000000)", "run": "started_at", "energy_daily": "local_date"}[name]
                source = f"SELECT *, year({at}) AS year, month({at}) AS month FROM {name}"
                con.execute(f"COPY ({source}) TO '{folder / name}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (year, month))")
            else:
                con.execute(f"COPY {name} TO '{folder / name}.parquet' (FORMAT parquet, COMPRESSION zstd)")
            seconds[name] = round(time.perf_counter() - step, 2)
    return {"seconds": time.perf_counter() - started, "steps": seconds, "memory_mb": peak_memory_mb()}


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps(run(given["files"], Path(given["folder"]), given["values"], given["memory_limit"])))
