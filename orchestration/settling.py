"""Before a build that a person asks for: what the running instance has received is landed first.

Here: what waits in the stream and in the journal of alarms when the command is given. Not here: reading them (`ingestion.stream`,
`orchestration.alerts.to_lake`), the build (`building`).
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable
from typing import Final

from ingestion.errors import VigieError
from ingestion.lake.session import ALIAS, EngineLimits, connect
from ingestion.stream.partition import LAND_EVERY_S, ONCE, partitions_being_read, read_partitions
from orchestration.services.control import Control
from orchestration.settings import Settings

# A reader that is at work lands each minute; twice that, it hangs, and the build does not wait for it.
_TIMEOUT_S: Final = 2 * LAND_EVERY_S
_POLL_S: Final = 1.0


def settle(settings: Settings, progress: Callable[[str], None]) -> None:
    """Land what waits in the journal of alarms and in the stream now; of the latter nothing without a running instance: the broker is its.

    What arrives meanwhile is for the next build. A reader that is at work already is waited for. A stream that cannot be read is told,
    and holds nothing back: what landed before can be built.
    """
    _settle_journal(settings, progress)
    if Control.of(settings) is None:
        return
    try:
        _settle(settings, progress)
    except VigieError as error:
        progress(f"what waits in the stream was not landed: {error.message}")


def _settle_journal(settings: Settings, progress: Callable[[str], None]) -> None:
    from orchestration.alerts.to_lake import land

    try:
        land(settings)
    except VigieError as error:
        progress(f"the journal of alarms was not landed: {error.message}")


def _settle(settings: Settings, progress: Callable[[str], None]) -> None:
    import dagster as dg

    from orchestration.assets import streams

    waiting = streams.messages_waiting(settings)
    if not waiting:
        return
    began = dt.datetime.now(dt.UTC)
    os.environ.update(settings.environment())  # where Dagster finds the instance's own storage
    progress(f"landing {sum(waiting.values())} messages that wait in the stream")
    others = partitions_being_read(settings.lake) & waiting.keys()
    with dg.DagsterInstance.get() as instance:
        read_partitions(
            settings.broker,
            settings.lake,
            settings.personal_lake,
            lambda: streams.contracts(settings),
            sorted(waiting.keys() - others),
            pace=ONCE,
            limits=streams.engine_limits(settings),
            landed=lambda one: streams.tell(one, instance.report_runless_asset_event),
        )
    deadline = time.monotonic() + _TIMEOUT_S
    while others and time.monotonic() < deadline:
        others -= _landed_since(settings, began)
        # A reader that has ended meanwhile has left nothing behind.
        others &= partitions_being_read(settings.lake)
        time.sleep(_POLL_S if others else 0)
    if others:
        progress("some messages still wait in the stream: the next build will hold them")


def _landed_since(settings: Settings, began: dt.datetime) -> set[int]:
    with connect(settings.lake, limits=EngineLimits(memory_limit="256MB", threads=1), read_only=True) as con:
        rows = con.execute(f"SELECT partition FROM {ALIAS}.raw.stream_cursor WHERE updated_at > ?", [began]).fetchall()
    return {int(p) for (p,) in rows}
