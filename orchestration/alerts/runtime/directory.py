"""Equipment as the published referential describes it: copied from the lake into `alerts.equipment`, and held in memory.

Here: copying, loading. Not here: identities across sources (the models of `core`), who asks.

An asset's parent is named by the same source: a light its feeder, a feeder its cabinet, a camera on a mast the cabinet whose power it
takes, a sensor its gateway. Equipment whose code is none that the alarms can keep (`signals.is_code`) is left out: no rule watches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import duckdb

from ingestion.errors import VigieError
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect
from orchestration.alerts.model import AssetKey, Equipment
from orchestration.alerts.runtime.signals import is_code
from orchestration.alerts.store.turn import Connection

# 100,000 assets take 60 MB; the look happens twice a minute beside everything else.
_LIMITS: Final = EngineLimits(memory_limit="256MB", threads=1)
_COLUMNS: Final = (
    "source", "asset_ref", "asset_id", "asset_type", "name", "domain", "commune", "street", "longitude", "latitude", "parent_source",
    "parent_ref", "owner_authority", "model", "geometry",
)  # fmt: skip
_TYPES: Final = ["float8" if c in {"longitude", "latitude"} else "text" for c in _COLUMNS]
_REF, _PARENT_REF = _COLUMNS.index("asset_ref"), _COLUMNS.index("parent_ref")
_PART, _KEY = "runtime", "publication"
# What the asset's own source says, else what the others say of the same equipment.
_SELECT: Final = f"""
    SELECT a.source, a.asset_ref, a.asset_id, coalesce(a.asset_type, e.asset_type), coalesce(a.name, e.name), f.domain,
        coalesce(a.commune, e.commune), coalesce(a.street, e.street),
        CASE WHEN a.latitude IS NOT NULL THEN a.longitude ELSE e.longitude END, coalesce(a.latitude, e.latitude),
        CASE WHEN a.parent_ref IS NOT NULL THEN a.source ELSE p.source END, coalesce(a.parent_ref, p.asset_ref),
        coalesce(a.owner_authority, e.owner_authority), coalesce(a.model, e.model), coalesce(a.geometry, e.geometry)
    FROM {ALIAS}.core.asset AS a
    INNER JOIN {ALIAS}.core.equipment AS e ON a.asset_id = e.asset_id
    LEFT JOIN {ALIAS}.core.asset AS p ON e.parent_id = p.asset_key
    LEFT JOIN {ALIAS}.raw.feed AS f ON a.feed = f.feed
"""


@dataclass(frozen=True)
class Known:
    """A `Directory` in memory. Attributes: `equipment`, by (source, asset_ref)."""

    equipment: Mapping[AssetKey, Equipment]

    def get(self, key: AssetKey) -> Equipment | None:
        """Return a piece of equipment by (source, asset_ref)."""
        return self.equipment.get(key)


def load(con: Connection) -> Known:
    """Return what `alerts.equipment` holds."""
    found: dict[AssetKey, Equipment] = {}
    with con.cursor(binary=True, row_factory=lambda _: tuple) as cursor:
        for (
            source, ref, asset_id, asset_type, name, domain, commune, street, longitude, latitude, parent_source, parent_ref, owner, model,
            geometry,
        ) in cursor.execute(f"SELECT {', '.join(_COLUMNS)} FROM alerts.equipment"):  # fmt: skip
            parent = (parent_source, parent_ref) if parent_ref is not None else None
            found[source, ref] = Equipment(
                source, ref, asset_id, asset_type, name, domain, commune, street, longitude, latitude, parent, owner, model, geometry
            )
    return Known(found)


def copy(con: Connection, lake: LakeAddress) -> bool:
    """Copy the referential if a publication is newer than the one copied; return whether it was.

    Args:
        con: of the application's database.
        lake: the main lake, as its readers see it or with every right.

    Raises:
        VigieError: the lake does not answer.
        psycopg.Error: the application's database does not.
    """
    row = con.execute("SELECT body FROM alerts.engine_state WHERE part = %s AND key = %s", [_PART, _KEY]).fetchone()
    copied = bytes(row["body"]).decode() if row else ""
    with connect(lake, limits=_LIMITS, read_only=True) as lake_con:
        try:
            latest = lake_con.execute(f"SELECT build_id FROM {ALIAS}.raw.publication ORDER BY snapshot_id DESC LIMIT 1").fetchone()
            if latest is None or str(latest[0]) == copied:
                return False
            rows = lake_con.execute(_SELECT).fetchall()
        except duckdb.Error as error:
            raise VigieError(
                f"the referential cannot be read: {str(error).splitlines()[0]}",
                remedy="vigie status; alarms go on with the equipment known",
            ) from error
    with con.transaction():
        con.execute("DELETE FROM alerts.equipment")
        with con.cursor() as cursor, cursor.copy(f"COPY alerts.equipment ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT BINARY)") as wire:
            wire.set_types(_TYPES)
            for line in rows:
                if is_code(line[_REF]) and is_code(line[_PARENT_REF]):
                    wire.write_row([v.replace("\0", "") if isinstance(v, str) else v for v in line])
        con.execute(
            "INSERT INTO alerts.engine_state VALUES (%s, %s, %s) ON CONFLICT (part, key) DO UPDATE SET body = excluded.body",
            [_PART, _KEY, str(latest[0]).encode()],
        )
    return True
