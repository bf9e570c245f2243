"""The journal of alarms as an asset: the raw table that the models of alarms begin with.

Here: what Dagster knows of it. Not here: reading and appending its lines (`orchestration.alerts.to_lake`).
"""

from typing import Final

import dagster as dg

from orchestration.alerts.to_lake import land
from orchestration.assets.common import RETRY, Instance

ALARM_JOURNAL: Final = dg.AssetKey(["raw", "alarm_journal"])


def alarm_journal_asset() -> dg.AssetsDefinition:
    """Return the asset that lands the journal of alarms; each build begins with it."""

    @dg.asset(
        key=ALARM_JOURNAL,
        group_name="raw",
        kinds={"postgres", "ducklake"},
        owners=["team:platform"],
        retry_policy=RETRY,
        description="Journal des alarmes, sans commentaire ni nom de personne ; chaque ligne une fois et une seule.",
    )
    def journal(instance: Instance) -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"lines": land(instance.settings)})

    return journal
