"""The raw rows of a territory of the `chalons` preset, day by day, from fixed arithmetic: what `bench.year` builds.

Here: generating and writing through the lake. Not here: measuring. Nothing is drawn at random: what a light says at an
instant follows from hashes of its number and the week, so that any day can be written alone and is always the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

import duckdb

from ingestion.lake.session import ALIAS

LIGHTS: Final = 7_290
REMOTE: Final = 2_170
CABINETS: Final = 72
# 72 cabinets and 18 buildings.
METERS: Final = 90
FIRST_DAY: Final = dt.date(2025, 1, 1)
TERRITORY: Final = "chalons"
ZONE: Final = "Europe/Paris"

_FEED: Final = {
    "territory": TERRITORY,
    "time_zone": ZONE,
    "flap_window_minutes": 30,
    "freshness_minutes": 60,
    "bridges_communication_gap": False,
    "tells_end": True,
}
FEEDS: Final = {"gis": "asset", "lamps": "observation", "meters": "energy_reading", "grc": "report", "gmao": "intervention"}


def refer(con: duckdb.DuckDBPyConnection, *, days: int) -> None:
    """Fill the reference tables: the feeds, their rules, the calendar, the sun, regimes, links, factors."""
    territory = {"territory": TERRITORY, "name": "Châlons", "time_zone": ZONE, "holidays": "FR", "latitude": 48.96, "longitude": 4.36}
    _insert(con, "territory", [territory])
    _insert(
        con,
        "feed",
        [{"feed": f, "title": f, "contract": c, "domain": "EP", "source": "city", **_FEED} for f, c in FEEDS.items()],
    )
    rules = {"ok": ("ok", "lamp-out"), "defectiveLamp": ("failed", "lamp-out"), "unreachable": ("communication_lost", "lamp-out")}
    _insert(
        con,
        "feed_state_rule",
        [
            {"feed": "lamps", "property": "status", "value_text": v, "state": state, "fault_type": fault}
            for v, (state, fault) in rules.items()
        ],
    )
    _insert(
        con,
        "feed_fault_rule",
        [
            {
                "feed": "grc",
                "rule_order": 1,
                "category_like": "lampe%",
                "subcategory_like": "%",
                "fault_type": "lamp-out",
                "asset_type": None,
            }
        ],
    )
    _insert(
        con,
        "feed_baseline",
        [
            {
                "feed": "meters",
                "meter_ref": None,
                "reference_start": FIRST_DAY.isoformat(),
                "reference_end": (FIRST_DAY + dt.timedelta(days=28)).isoformat(),
                "tolerance_pct": 10,
            }
        ],
    )
    last = FIRST_DAY + dt.timedelta(days=days + 2)
    span = f"range(DATE '{FIRST_DAY - dt.timedelta(days=2)}', DATE '{last}', INTERVAL 1 DAY) AS d(day)"
    con.execute(
        f"INSERT INTO {ALIAS}.raw.calendar_day SELECT '{TERRITORY}', day::DATE, false, NULL, isodow(day) < 6, "
        f"CASE WHEN isodow(day) < 6 THEN timezone('{ZONE}', day::TIMESTAMP + INTERVAL 450 MINUTE) END, "
        f"CASE WHEN isodow(day) < 6 THEN timezone('{ZONE}', day::TIMESTAMP + INTERVAL 17 HOUR) END FROM {span}"
    )
    # The length of the day at 49 degrees, as a cosine: near enough for a benchmark.
    half = "INTERVAL 1 SECOND * CAST(14700 + 7000 - 7000 * cos(2 * pi() * (dayofyear(day) + 10) / 365) AS INTEGER)"
    con.execute(
        f"INSERT INTO {ALIAS}.raw.sun_time SELECT '{TERRITORY}', day::DATE, "
        f"timezone('UTC', day::TIMESTAMP + INTERVAL 12 HOUR - {half}), timezone('UTC', day::TIMESTAMP + INTERVAL 12 HOUR + {half}) "
        f"FROM {span}"
    )
    con.execute(
        f"INSERT INTO {ALIAS}.raw.lighting_regime (source, cabinet_ref, valid_from, off_from, off_until, dimming_pct, driver_loss_pct) "
        f"SELECT 'city', 'C' || c, '2024-01-01', CASE WHEN c % 2 = 0 THEN '23:30' END, CASE WHEN c % 2 = 0 THEN '05:00' END, "
        f"100, 5 FROM range({CABINETS}) AS r(c)"
    )
    con.execute(
        f"INSERT INTO {ALIAS}.raw.meter_link (feed, meter_ref, source, asset_ref, valid_from, valid_to) "
        f"SELECT 'meters', 'M' || c, 'city', 'C' || c, '2024-01-01', NULL FROM range({CABINETS}) AS r(c)"
    )
    con.execute(
        f"INSERT INTO {ALIAS}.raw.energy_factor (territory, valid_from, valid_to, eur_per_kwh, kgco2e_per_kwh, reason) "
        f"VALUES ('{TERRITORY}', '2024-01-01', NULL, 0.25, 0.052, 'bench')"
    )
    seq = _next(con)
    con.execute("BEGIN")
    con.execute(
        f"INSERT INTO {ALIAS}.raw.asset BY NAME SELECT * FROM ("
        f"SELECT 'C' || c AS asset_ref, 'cabinet' AS asset_type, TIMESTAMPTZ '2024-12-01 00:00:00+00' AS effective_at, "
        f"NULL AS parent_ref, 'Commune ' || c % 8 AS commune, NULL AS rated_power_w, "
        f"false AS is_remote FROM range({CABINETS}) AS r(c) UNION ALL "
        f"SELECT 'L' || l, 'light-point', TIMESTAMPTZ '2024-12-01 00:00:00+00', 'C' || l % {CABINETS}, "
        f"'Commune ' || (l % {CABINETS}) % 8, 40 + 20 * (l % 4), l < {REMOTE} "
        f"FROM range({LIGHTS}) AS r(l)) {_provenance('gis', seq, FIRST_DAY - dt.timedelta(days=1))}"
    )
    _ledger(con, "gis", seq, FIRST_DAY - dt.timedelta(days=1), CABINETS + LIGHTS)
    con.execute("COMMIT")


def land_days(con: duckdb.DuckDBPyConnection, first: int, count: int) -> None:
    """Land what some days bring: a landing a feed and day, each received on its day, all written in one transaction."""
    seq = _next(con)
    con.execute("BEGIN")
    for place, (feed, rows) in enumerate({"lamps": _states, "meters": _readings, "grc": _reports, "gmao": _orders}.items()):
        day = f"DATE '{FIRST_DAY}' + n::INTEGER"
        number = f"({seq} + 4 * (n - {first}) + {place})::BIGINT"
        con.execute(
            f"INSERT INTO {ALIAS}.raw.{FEEDS[feed]} BY NAME SELECT * EXCLUDE (n), '{feed}' AS feed, 'city' AS source, "
            f"{number} AS landing_seq, 1::BIGINT AS position, {_instant('n', '23:59:00')} AS received_at, {day} AS received_on "
            f"FROM ({rows(first, first + count)}) "
            # A file a day: unsorted, each thread would open a file in each day.
            "ORDER BY received_on"
        )
        con.execute(
            f"INSERT INTO {ALIAS}.raw.landing (landing_seq, landing_id, feed, contract, received_at, received_on, "
            f"received, stored, duplicate, rejected, rejected_values, canonical_rows) SELECT {number}, 'l' || {number}, "
            f"'{feed}', '{FEEDS[feed]}', {_instant('n', '23:59:00')}, {day}, 0, 0, 0, 0, 0, 0 FROM range({first}, {first + count}) AS r(n)"
        )
    con.execute("COMMIT")


def _instant(day: str, clock: str) -> str:
    return f"(TIMESTAMPTZ '{FIRST_DAY} {clock}+00' + INTERVAL 1 DAY * {day}::INTEGER)"


def _states(first: int, end: int) -> str:
    """A state of each remote light at each quarter of an hour.

    A light fails one week in 26, at some hour of it, for 1 to 48 hours; is unreachable for some hours one day in 300; is
    silent for 2 to 9 hours one day in 200. Of the lights' states at noon, one in a hundred is corrected the next day.
    """
    midnight = _instant("n", "00:00:00")
    return f"""
        WITH light AS (
            SELECT
                n,
                l,
                hash(l, n // 7) % 26 = 0 AS fails,
                10 + hash(l, n // 7, 1) % 96 AS fails_from,
                1 + hash(l, n // 7, 2) % 48 AS fails_for,
                hash(l, n, 3) % 300 = 0 AS is_lost,
                hash(l, n, 4) % 200 = 0 AS is_silent,
                hash(l, n, 5) % 14 AS gap_from,
                2 + hash(l, n, 6) % 8 AS gap_for
            FROM range({REMOTE}) AS r(l), range({first}, {end}) AS d(n)
        )
        SELECT
            n,
            'L' || l AS asset_ref,
            'status' AS property,
            {midnight} + INTERVAL 1 MINUTE * (q * 15)::INTEGER + INTERVAL 1 SECOND * (l % 60)::INTEGER AS observed_at,
            CASE
                WHEN fails AND 24 * (n % 7) + q / 4.0 >= fails_from AND 24 * (n % 7) + q / 4.0 < fails_from + fails_for THEN 'defectiveLamp'
                WHEN is_lost AND q / 4.0 >= gap_from AND q / 4.0 < gap_from + gap_for THEN 'unreachable'
                ELSE 'ok'
            END AS value_text,
            'good' AS quality
        FROM light, range(96) AS t(q)
        WHERE NOT (is_silent AND NOT is_lost AND q / 4.0 >= gap_from AND q / 4.0 < gap_from + gap_for)
        UNION ALL
        SELECT n, 'L' || l, 'status', {midnight} - INTERVAL 12 HOUR + INTERVAL 1 SECOND * (l % 60)::INTEGER, 'ok', 'uncertain'
        FROM range({REMOTE}) AS r(l), range({first}, {end}) AS d(n) WHERE hash(l, n, 7) % 100 = 0 AND n > 0"""


def _readings(first: int, end: int) -> str:
    """48 readings of each meter: cabinets burn by night, buildings by their hour; some weeks a fifth more than expected."""
    return f"""
        SELECT n, 'M' || m AS meter_ref, start_at, start_at + INTERVAL 30 MINUTE AS end_at, 'consumption' AS direction,
            round(CASE
                WHEN m < {CABINETS} THEN CASE WHEN s < 12 OR s >= 38 THEN 3600 ELSE 40 END
                ELSE 500 + 100 * (s % 24)
            END * (1 + 0.2 * CAST(hash(m, n // 7) % 20 = 0 AS INTEGER)) + hash(m, n, s) % 100 / 10.0, 1) AS energy_wh
        FROM (
            SELECT n, m, s, {_instant("n", "00:00:00")} + INTERVAL 30 MINUTE * s::INTEGER AS start_at
            FROM range({METERS}) AS r(m), range(48) AS t(s), range({first}, {end}) AS d(n)
        )"""


def _reports(first: int, end: int) -> str:
    """Twelve reports a day, nine of lights out; each is closed two days later."""
    opened = f"{_instant('n', '06:00:00')} + INTERVAL 53 MINUTE * i::INTEGER"
    return f"""
        SELECT n, 'R' || n || '-' || i AS report_ref, CASE WHEN i < 9 THEN 'Lampe éteinte' ELSE 'Propreté' END AS category,
            {opened} AS opened_at, {opened} + INTERVAL 2 DAY AS closed_at,
            CASE WHEN i < 9 THEN 'L' || hash(n, i) % {LIGHTS} END AS asset_ref, 'web' AS channel, 'closed' AS status
        FROM range(12) AS r(i), range({first}, {end}) AS d(n)"""


def _orders(first: int, end: int) -> str:
    """Eight work orders a day, each answering a report of the day."""
    return f"""
        SELECT n, 'W' || n || '-' || i AS intervention_ref, 'R' || n || '-' || i AS report_ref, 'curative' AS kind,
            'lamp-out' AS fault_type, 'L' || hash(n, i) % {LIGHTS} AS asset_ref, {_instant("n", "20:00:00")} AS requested_at,
            {_instant("n", "21:00:00")} AS dispatched_at, {_instant("n", "23:00:00")} AS arrived_at,
            {_instant("n", "23:30:00")} AS restored_at, 'closed' AS status
        FROM range(8) AS r(i), range({first}, {end}) AS d(n)"""


def _provenance(feed: str, seq: int, day: dt.date) -> str:
    # As a source of columns beside the rows: INSERT … BY NAME finds each.
    return (
        f", (SELECT '{feed}' AS feed, 'city' AS source, {seq}::BIGINT AS landing_seq, 1::BIGINT AS position, "
        f"TIMESTAMPTZ '{day} 23:59:00+00' AS received_at, DATE '{day}' AS received_on)"
    )


def _ledger(con: duckdb.DuckDBPyConnection, feed: str, seq: int, day: dt.date, rows: int) -> None:
    con.execute(
        f"INSERT INTO {ALIAS}.raw.landing (landing_seq, landing_id, feed, contract, received_at, received_on, received, stored, duplicate, "
        f"rejected, rejected_values, canonical_rows) VALUES ({seq}, 'l{seq}', '{feed}', '{FEEDS[feed]}', TIMESTAMPTZ '{day} 23:59:00+00', "
        f"DATE '{day}', {rows}, {rows}, 0, 0, 0, {rows})"
    )


def _next(con: duckdb.DuckDBPyConnection) -> int:
    return int(con.execute(f"SELECT coalesce(max(landing_seq), 0) + 1 FROM {ALIAS}.raw.landing").fetchall()[0][0])


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[dict[str, object]]) -> None:
    for row in rows:
        names = ", ".join(f'"{c}"' for c in row)
        con.execute(f"INSERT INTO {ALIAS}.raw.{table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
