"""What must exist before the services of an instance start: folders, databases, lakes, configuration of Dagster and the broker.

Here: calling those that make each, in order. Repeatable. `vigie up` does it; in containers it is a command of its own:
`python -m orchestration.services.prepare`.
"""

from __future__ import annotations

import sys

from ingestion.errors import VigieError
from orchestration.alerts.store import schema as alerts_schema
from orchestration.services import dagster_config, databases, nats_server
from orchestration.settings import Settings


def prepare(settings: Settings) -> None:
    """Make what is missing. PostgreSQL must answer.

    Raises:
        VigieError: PostgreSQL or the lake's storage refuses.
    """
    from ingestion.lake import tables  # noqa: PLC0415 - DuckDB: half a second that other commands should not pay

    for folder in (
        settings.logs_path,
        settings.run_path,
        settings.declared_path,
        settings.feeds_path,
        settings.alerts_path / "rules",
        settings.dbt_target_path.parent,
        settings.temporary_path,
    ):
        folder.mkdir(parents=True, exist_ok=True)
    settings.originals_path.mkdir(parents=True, exist_ok=True, mode=0o700)  # they hold personal data
    databases.prepare(settings)
    alerts_schema.prepare(settings.app_url.get_secret_value())
    tables.create_lake(settings.lake)
    tables.create_personal_lake(settings.personal_lake)
    dagster_config.write(settings)
    # For a broker that starts after this; the intake tells one that runs already.
    nats_server.refresh(settings, reload=False)


if __name__ == "__main__":
    try:
        prepare(Settings.load())
    except VigieError as error:
        sys.exit(f"error: {error}")
