"""What every asset shares: the pool of mutating writers, the partitions, retries, the instance.

Here: cross-cutting policy, stated once. Not here: assets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import dagster as dg

from orchestration.dagster_pages import FEED_PREFIX, feed_key_path
from orchestration.settings import Settings

# Whoever changes tables that others may change holds this pool; its limit of one is in the instance's configuration.
LAKE_WRITER: Final = "lake_writer"

__all__ = ["FEED_PREFIX", "LAKE_WRITER", "RECEIVED_ON", "RETRY", "STREAM", "Instance", "feed_key", "key_part"]

# What equipment sends by itself, on its way to the lake: the asset that feeds of this kind come from.
STREAM: Final = dg.AssetKey(["stream"])

# Data that grows is partitioned by the UTC day on which it was received: a partition is what landed that day, and building
# it again touches the days of the events that it brought. 2024: no instance is older than the platform.
RECEIVED_ON: Final = dg.DailyPartitionsDefinition(start_date="2024-01-01", end_offset=1)

# A conflict or a server that restarts is over within seconds; what fails three times needs a person.
RETRY: Final = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)


# Dagster gives the parameter its default at run time only.
class Instance(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The instance that assets work on."""

    home: str

    @property
    def settings(self) -> Settings:
        """Its settings, read anew: a secret that was just added is found."""
        return Settings.load(Path(self.home))


def key_part(name: str) -> str:
    """Return a name as Dagster takes it in keys."""
    return name.replace("-", "_")


def feed_key(feed: str) -> dg.AssetKey:
    """Return a feed's asset key."""
    return dg.AssetKey(feed_key_path(feed))
