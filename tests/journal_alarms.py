"""Alarms for tests that need some in the store: a rule, a composer without equipment, the store of an instance.

Here: what more than one test of the alarms' way to the lake and of the sensor shares. Not here: tests.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

from orchestration.alerts.drafting import Composer
from orchestration.alerts.model import AssetKey, Change, Equipment
from orchestration.alerts.rulebook.model import Rule
from orchestration.alerts.store import schema
from orchestration.alerts.store.store import Store
from orchestration.alerts.store.turn import Connection, connect
from orchestration.settings import Settings

DARK: Final = Rule.model_validate({
    "rule": "armoire", "title": "Armoire hors tension", "message": "{asset}", "consequence": "major", "respond_within": "PT15M",
    "when": {"type": "fault", "fault_types": ["cabinet-dark"]}, "scope": {"domains": ["EP"]}, "fault_type": "cabinet-dark",
})  # fmt: skip
CABINET: Final = Equipment("gis", "C1", "gis:C1", "cabinet", "Armoire 1", "EP", "Châlons", owner_authority="Ville")


class OneCabinet:
    """A referential of one cabinet."""

    def get(self, key: AssetKey) -> Equipment | None:
        return CABINET if key == ("gis", "C1") else None


class Clock:
    """A clock that stands still until it is told: 2025-03-01, at a time of day in UTC."""

    def __init__(self) -> None:
        self.now = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def at(self, time: str, day: int = 1) -> dt.datetime:
        """Set it: `at("09:30")`."""
        self.now = dt.datetime.fromisoformat(f"2025-03-{day:02}T{time}+00:00")
        return self.now


def compose() -> Composer:
    """A composer of the one rule."""
    return Composer({"armoire": DARK}, OneCabinet())


@contextlib.contextmanager
def opened(settings: Settings, clock: Clock) -> Iterator[tuple[Store, Connection]]:
    """The store of an instance, whose tables are made."""
    url = settings.app_url.get_secret_value()
    schema.prepare(url)
    with connect(url, name="test") as con:
        yield Store(lambda: contextlib.nullcontext(con), now=clock), con


def change(
    at: dt.datetime, *, active: bool = True, key: str = "armoire|gis|C1", asset: AssetKey | None = ("gis", "C1"), **more: Any
) -> Change:
    """What the rule says of the cabinet at an instant."""
    micros = int(at.timestamp() * 1_000_000)
    return Change(key, "armoire", micros, active, micros, asset, **{"details": {"feed": "iot"}, **more})
