"""The territory's file of planned works (`declared/planned_maintenance.csv`) as announced work.

Here: reading it. Not here: what becomes of it (`store.Store.sync_planned`), what its rows must hold (`ingestion.declarations`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from ingestion import declarations
from orchestration.alerts.store.suppressions import About

# The file need not say why; operators are told where it stands.
_NO_REASON: Final = "Travaux programmés"


@dataclass(frozen=True, slots=True)
class Planned:
    """One row of the file: work on a feed, or on a piece of equipment of it."""

    about: About
    starts_at: dt.datetime
    ends_at: dt.datetime
    reason: str


def read_planned(folder: Path, zones: Mapping[str, str]) -> tuple[list[Planned], list[str]]:
    """Return the works of a territory's file, and the feeds it names that are not in force: of these, nothing can be suppressed.

    Args:
        folder: the territory's folder of declared files.
        zones: the IANA time zone of each feed in force: the file's times are local.

    Raises:
        WrongUse: the file does not hold what its name says.
    """
    works, unknown = [], set()
    for row in declarations.rows_of(folder, "planned_maintenance"):
        if row["feed"] not in zones:
            unknown.add(str(row["feed"]))
            continue
        zone = ZoneInfo(zones[row["feed"]])
        starts_at, ends_at = (dt.datetime.fromisoformat(row[c]).replace(tzinfo=zone).astimezone(dt.UTC) for c in ("starts_at", "ends_at"))
        works.append(Planned(About(asset_ref=row["asset_ref"], feed=row["feed"]), starts_at, ends_at, row["reason"] or _NO_REASON))
    return works, sorted(unknown)
