"""The faults of the referential and their guarantees, as the models know them (`dbt_project/seeds/core__fault_type.csv`).

Here: reading them, deadlines. Not here: which rule is about which fault.
"""

from __future__ import annotations

import csv
import datetime as dt
import functools
from dataclasses import dataclass

from orchestration.dbt.project import DBT_DIR


@dataclass(frozen=True)
class FaultType:
    """One fault: its name for people and its guaranteed hours, None where the contract guarantees none."""

    name: str
    label: str
    domain: str
    gti_h: float | None
    gtrp_h: float | None
    gtr_h: float | None


@functools.cache
def fault_types() -> dict[str, FaultType]:
    """Return the faults by name."""
    with (DBT_DIR / "seeds" / "core__fault_type.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["fault_type"]: FaultType(
                row["fault_type"], row["label"], row["domain"], _hours(row["gti_h"]), _hours(row["gtrp_h"]), _hours(row["gtr_h"])
            )
            for row in csv.DictReader(file)
        }


def _hours(text: str) -> float | None:
    return float(text) if text else None


def deadline(start: dt.datetime, hours: float | None) -> dt.datetime | None:
    """Return when guaranteed hours are over; the clock of the guarantees runs day and night."""
    return None if hours is None else start + dt.timedelta(hours=hours)
