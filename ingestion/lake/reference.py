"""Reference tables of the raw schema: replaced as a whole when their source changes, left alone when it does not.

Here: their definitions and the replacement. Not here: where their rows come from (`ingestion.reference`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import duckdb
import polars as pl

from ingestion.lake.session import ALIAS, identifier

TABLES: Final[dict[str, dict[str, str]]] = {
    "feed": {
        "feed": "VARCHAR",
        "title": "VARCHAR",
        "contract": "VARCHAR",
        "domain": "VARCHAR",
        "source": "VARCHAR",
        "territory": "VARCHAR",
        "time_zone": "VARCHAR",
        "owner_authority": "VARCHAR",
        "owner": "VARCHAR",
        "steward": "VARCHAR",
        "publisher": "VARCHAR",
        "licence": "VARCHAR",
        "flap_window_minutes": "DOUBLE",
        "bridges_communication_gap": "BOOLEAN",
        "freshness_minutes": "DOUBLE",
        "retention_days": "DOUBLE",
        "tells_end": "BOOLEAN",
        "has_personal_columns": "BOOLEAN",
    },
    "feed_state_rule": {
        "feed": "VARCHAR",
        "property": "VARCHAR",
        "value_text": "VARCHAR",
        "failed_below": "DOUBLE",
        "failed_above": "DOUBLE",
        "state": "VARCHAR",
        "fault_type": "VARCHAR",
    },
    "feed_fault_rule": {
        "feed": "VARCHAR",
        "rule_order": "INTEGER",
        "category_like": "VARCHAR",
        "subcategory_like": "VARCHAR",
        "fault_type": "VARCHAR",
        "asset_type": "VARCHAR",
    },
    "feed_baseline": {
        "feed": "VARCHAR",
        "meter_ref": "VARCHAR",
        "reference_start": "DATE",
        "reference_end": "DATE",
        "tolerance_pct": "DOUBLE",
    },
    "territory": {
        "territory": "VARCHAR",
        "name": "VARCHAR",
        "time_zone": "VARCHAR",
        "holidays": "VARCHAR",
        "latitude": "DOUBLE",
        "longitude": "DOUBLE",
    },
    "calendar_day": {
        "territory": "VARCHAR",
        "local_date": "DATE",
        "is_holiday": "BOOLEAN",
        "holiday_name": "VARCHAR",
        "is_working_day": "BOOLEAN",
        "opens_at": "TIMESTAMPTZ",
        "closes_at": "TIMESTAMPTZ",
    },
    "sun_time": {"territory": "VARCHAR", "local_date": "DATE", "sunrise_at": "TIMESTAMPTZ", "sunset_at": "TIMESTAMPTZ"},
    "lighting_regime": {
        "source": "VARCHAR",
        "cabinet_ref": "VARCHAR",
        "valid_from": "DATE",
        "valid_to": "DATE",
        "off_from": "VARCHAR",
        "off_until": "VARCHAR",
        "dimming_pct": "DOUBLE",
        "driver_loss_pct": "DOUBLE",
    },
    "meter_link": {
        "feed": "VARCHAR",
        "meter_ref": "VARCHAR",
        "source": "VARCHAR",
        "asset_ref": "VARCHAR",
        "valid_from": "DATE",
        "valid_to": "DATE",
    },
    "energy_factor": {
        "territory": "VARCHAR",
        "valid_from": "DATE",
        "valid_to": "DATE",
        "eur_per_kwh": "DOUBLE",
        "kgco2e_per_kwh": "DOUBLE",
        "reason": "VARCHAR",
    },
    "asset_crosswalk": {
        "territory": "VARCHAR",
        "source": "VARCHAR",
        "asset_ref": "VARCHAR",
        "identity": "VARCHAR",
        "canonical_source": "VARCHAR",
        "canonical_ref": "VARCHAR",
        "valid_from": "DATE",
        "valid_to": "DATE",
    },
    "contract_target": {
        "territory": "VARCHAR",
        "authority": "VARCHAR",
        "objective": "VARCHAR",
        "measure": "VARCHAR",
        "scope": "VARCHAR",
        "target": "DOUBLE",
        "unit": "VARCHAR",
        "penalty_eur": "DOUBLE",
        "penalty_per": "VARCHAR",
        "valid_from": "DATE",
        "valid_to": "DATE",
    },
    "contract_reference": {
        "territory": "VARCHAR",
        "authority": "VARCHAR",
        "scope": "VARCHAR",
        "year": "INTEGER",
        "month": "INTEGER",
        "energy_kwh": "DOUBLE",
    },
    "comfort_band": {
        "territory": "VARCHAR",
        "source": "VARCHAR",
        "asset_ref": "VARCHAR",
        "property": "VARCHAR",
        "minimum": "DOUBLE",
        "maximum": "DOUBLE",
        "valid_from": "DATE",
        "valid_to": "DATE",
        "reason": "VARCHAR",
    },
    "occupancy_hours": {
        "source": "VARCHAR",
        "asset_ref": "VARCHAR",
        "iso_weekday": "INTEGER",
        "occupied_from": "VARCHAR",
        "occupied_until": "VARCHAR",
        "on_holidays": "BOOLEAN",
        "valid_from": "DATE",
        "valid_to": "DATE",
    },
    "parking_capacity": {
        "source": "VARCHAR",
        "asset_ref": "VARCHAR",
        "capacity": "DOUBLE",
        "valid_from": "DATE",
        "valid_to": "DATE",
    },
    "planned_maintenance": {
        "feed": "VARCHAR",
        "asset_ref": "VARCHAR",
        "starts_at": "VARCHAR",
        "ends_at": "VARCHAR",
        "reason": "VARCHAR",
    },
}


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create the reference tables that do not exist, and add the columns that a newer version has."""
    for name, columns in TABLES.items():
        body = ", ".join(f"{identifier(c)} {t}" for c, t in columns.items())
        table = f"{ALIAS}.raw.{identifier(name)}"
        con.execute(f"CREATE TABLE IF NOT EXISTS {table} ({body})")
        present = {str(r[0]) for r in con.execute(f"DESCRIBE {table}").fetchall()}
        for column, sql_type in columns.items():
            if column not in present:
                con.execute(f"ALTER TABLE {table} ADD COLUMN {identifier(column)} {sql_type}")


def replace(con: duckdb.DuckDBPyConnection, name: str, rows: Sequence[tuple[object, ...]], *, within: str = "true") -> bool:
    """Make the rows of a reference table (those that `within` selects) be exactly `rows`; return whether anything changed.

    Unchanged content is not rewritten: it would make a snapshot and files at every build.
    """
    columns = TABLES[name]
    table = f"{ALIAS}.raw.{identifier(name)}"
    # Through a frame: one statement per row took 13 s for the 7,305 days of a calendar.
    frame = pl.DataFrame(list(rows), schema=list(columns), orient="row", infer_schema_length=None)
    con.register("incoming_rows", frame)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE new_rows AS SELECT "
        + ", ".join(f"CAST({identifier(c)} AS {t}) AS {identifier(c)}" for c, t in columns.items())
        + " FROM incoming_rows"
    )
    con.unregister("incoming_rows")
    return _swap(con, table, within)


def replace_from(con: duckdb.DuckDBPyConnection, name: str, query: str, *, within: str = "true") -> bool:
    """Do the same with the rows of a query."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE new_rows AS {query}")
    return _swap(con, f"{ALIAS}.raw.{identifier(name)}", within)


def _swap(con: duckdb.DuckDBPyConnection, table: str, within: str) -> bool:
    current = f"SELECT * FROM {table} WHERE {within}"
    differing = con.execute(
        f"SELECT (SELECT count(*) FROM (({current}) EXCEPT ALL FROM new_rows)) "
        f"+ (SELECT count(*) FROM (FROM new_rows EXCEPT ALL ({current})))"
    ).fetchall()[0][0]
    if not differing:
        return False
    con.execute("BEGIN")
    con.execute(f"DELETE FROM {table} WHERE {within}")
    con.execute(f"INSERT INTO {table} SELECT * FROM new_rows")
    con.execute("COMMIT")
    return True
