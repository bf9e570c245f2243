"""The rows that the benchmarks measure: noisy observations of equipment, with repeats and bad cells.

Here: generating, from a fixed seed. Not here: measuring. Values are noisy on purpose: round ones compress to nothing and
flatter every column store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

PROPERTIES: Final = ("active_power", "supply_voltage", "air_temperature", "lamp_state")
# One row in a hundred is sent twice, one in two hundred cannot be translated: what the public sets at hand show.
REPEATED_SHARE: Final = 0.01
BAD_SHARE: Final = 0.005

CSV_TYPES: Final = {
    "device": "VARCHAR",
    "measure": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "value": "DOUBLE",
    "quality": "VARCHAR",
    "message": "VARCHAR",
    "battery": "DOUBLE",
    "firmware": "VARCHAR",
}


def observations(rows: int, *, assets: int = 5_000, days: int = 30) -> str:
    """Return SQL that gives `rows` observations: device, measure, time, value, quality, message, battery, firmware."""
    step_s = days * 86_400 * assets * len(PROPERTIES) / rows
    names = ", ".join(f"'{p}'" for p in PROPERTIES)
    return f"""
        SELECT
            'EP-' || lpad(CAST(i % {assets} AS VARCHAR), 5, '0') AS device,
            [{names}][1 + (i // {assets}) % {len(PROPERTIES)}] AS measure,
            -- Devices report in rounds, each a few seconds after its turn.
            to_timestamp(1704067200 + (i // {assets * len(PROPERTIES)}) * {step_s:.6f} + floor(random() * 20)) AS time,
            round(CASE (i // {assets}) % {len(PROPERTIES)}
                WHEN 0 THEN 60 + 55 * sin(i / 997.0) + random() * 12
                WHEN 1 THEN 230 + random() * 9 - 4.5
                WHEN 2 THEN 11 + 9 * sin(i / 86400.0) + random() * 4
                ELSE CASE WHEN random() < 0.003 THEN 0 ELSE 1 END
            END, 3) AS value,
            CASE WHEN random() < 0.97 THEN 'good' ELSE 'uncertain' END AS quality,
            'm' || lpad(to_base(CAST(hash(i) % 4294967296 AS BIGINT), 16), 8, '0') AS message,
            round(3.2 + random() * 0.4, 2) AS battery,
            CASE WHEN i % {assets} < {assets // 3} THEN '2.4.1' ELSE '2.5.0' END AS firmware
        FROM range({rows}) AS r(i)"""


def write_csv(path: Path, rows: int) -> None:
    """Write `rows` observations as CSV, instants in ISO 8601, with repeats and bad cells; about 70 bytes a row."""
    distinct = round(rows * (1 - REPEATED_SHARE))
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SELECT setseed(0.42)")
        con.execute("SET threads = 1")  # random() is the same in every run only then
        con.execute(f"CREATE TEMP TABLE o AS {observations(distinct)}")
        con.execute(
            f"""COPY (
                WITH t AS (
                    SELECT device, measure, strftime(time, '%Y-%m-%dT%H:%M:%SZ') AS time, CAST(value AS VARCHAR) AS value,
                        quality, message, battery, firmware, random() AS draw
                    FROM o
                )
                SELECT
                    CASE WHEN draw < {BAD_SHARE / 4} THEN '' ELSE device END AS device,
                    measure,
                    CASE WHEN draw BETWEEN {BAD_SHARE / 4} AND {BAD_SHARE / 2} THEN '2024-02-30T00:00:00Z' ELSE time END AS time,
                    CASE WHEN draw BETWEEN {BAD_SHARE / 2} AND {BAD_SHARE} THEN '#N/A!' ELSE value END AS value,
                    quality, message, battery, firmware
                FROM (FROM t UNION ALL (FROM t LIMIT {rows - distinct}))
            ) TO '{path}' (HEADER)"""
        )


FEED_YAML: Final = """\
feed: bench-observations
title: Observations générées
contract: observation
domain: EP
owner: {name: Banc d'essai}
steward: {name: Banc d'essai}
source: {publisher: Vigie, licence: internal}
territory: {code: chalons, name: Châlons, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}
time_zone: UTC
fields:
  - {name: device, classification: open}
  - {name: measure, classification: open}
  - {name: time, type: datetime, classification: open}
  - {name: value, type: number, unit: "1", classification: open}
  - {name: quality, classification: open}
  - {name: message, classification: internal}
  - {name: battery, type: number, classification: internal}
  - {name: firmware, classification: internal}
mapping:
  asset_ref: device
  property: measure
  observed_at: time
  value: value
  quality: quality
  message_id: message
"""
