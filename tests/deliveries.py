"""The process that sends alarms out, run against a real store: what tests of its targets share.

Here: an instance's store with alarms to raise, its targets and secrets, the process and its death. Not here: tests, receivers.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestration.alerts import lifecycle
from orchestration.alerts.drafting import Composer
from orchestration.alerts.heartbeat import beats
from orchestration.alerts.model import AssetKey, Change, Equipment
from orchestration.alerts.rulebook.model import Rule
from orchestration.alerts.store import schema
from orchestration.alerts.store.store import Store
from orchestration.alerts.store.turn import Connection, connect
from orchestration.settings import Settings
from tests.provoly_standin import CLIENT_SECRET
from tests.webhook_server import until

# The example key of the Standard Webhooks specification's libraries.
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ROOT = Path(__file__).resolve().parent.parent
DARK = Rule.model_validate({
    "rule": "armoire", "title": "Armoire hors tension", "message": "{asset} est hors tension.", "consequence": "major",
    "respond_within": "PT15M", "when": {"type": "fault", "fault_types": ["cabinet-dark"]}, "scope": {"domains": ["EP"]},
    "fault_type": "cabinet-dark",
})  # fmt: skip


class Town:
    """A referential in which every asset is a cabinet of one street."""

    def get(self, key: AssetKey) -> Equipment | None:
        source, ref = key
        return Equipment(
            source, ref, f"{source}:{ref}", "cabinet", f"Armoire {ref}", "EP", "Châlons", "rue de l’Église", owner_authority="Ville"
        )


COMPOSE = Composer({"armoire": DARK}, Town())


def change(key: str, *, active: bool = True, asset: AssetKey | None = ("gis", "C1"), **more: Any) -> Change:
    """What the rule says of a cabinet now."""
    micros = int(dt.datetime.now(dt.UTC).timestamp() * 1_000_000)
    return Change(key, "armoire", micros, active, micros, asset, **more)


class Post:
    """A command post: its store, its targets, its sending process."""

    def __init__(self, settings: Settings, con: Connection) -> None:
        self.settings, self.con = settings, con
        self.store = Store(lambda: contextlib.nullcontext(con))
        self.process: subprocess.Popen[bytes] | None = None
        self.log = settings.home / "deliveries.log"

    # --- alarms

    def raise_(self, *keys: str, asset: AssetKey | None = ("gis", "C1"), **more: Any) -> list[int]:
        """Raise alarms; return their numbers."""
        entries = self.store.apply([change(key, asset=asset, **more) for key in keys], COMPOSE)
        return [e.alarm_id for e in entries if e.kind == "raised"]

    def end(self, key: str) -> None:
        """Let the condition of an alarm be over."""
        self.store.apply([change(key, active=False)], COMPOSE)

    def acknowledge(self, alarm_id: int) -> None:
        self.store.act(alarm_id, lambda a, now: lifecycle.acknowledged(a, "anne", now))

    def close(self, alarm_id: int) -> None:
        self.store.act(alarm_id, lambda a, now: lifecycle.closed(a, "anne", now, "vu sur place"))

    # --- targets

    def declare(self, *targets: dict[str, Any], instance: str = "vigie") -> None:
        """Write the file of targets."""
        path = self.settings.alerts_path / "targets.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".new").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump({"instance": instance, "targets": list(targets)}, file)
        path.with_suffix(".new").replace(path)

    def cursor(self, target: str) -> dict[str, Any] | None:
        return self.con.execute("SELECT seq, state FROM alerts.delivery_cursor WHERE target = %s", [target]).fetchone()

    def is_done(self, target: str) -> bool:
        """Whether a target has dealt with every line."""
        found = self.cursor(target)
        return found is not None and found["seq"] >= self.store.last_seq() and not found["state"]["done"]

    def details(self, name: str) -> dict[str, Any]:
        """What the process says of itself (`deliveries`) or a target (`target:NAME`)."""
        return beats(self.con).get(name, (None, {}))[1]

    # --- the process

    def start(self, *known: str) -> None:
        """Start it, and wait until it knows these targets: what is said from then on is for them."""
        secrets = {"VIGIE_SECRET_HOOK": WEBHOOK_SECRET, "VIGIE_SECRET_PROVOLY": CLIENT_SECRET}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("VIGIE_SECRET_")} | self.settings.environment() | secrets
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestration.alerts.deliveries"], env=environment, cwd=ROOT, stdout=output, stderr=output
            )
        until(lambda: all(self.cursor(t) is not None for t in known), told=self.said)

    def kill(self) -> None:
        """Kill it (SIGKILL), and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.wait_dead()

    def wait_dead(self) -> int:
        """Wait until it has ended; return its exit code."""
        assert self.process is not None
        code = self.process.wait(timeout=30)
        self.process = None
        return code

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait_dead()

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")[-3000:] if self.log.exists() else ""


@pytest.fixture
def post(instance: Settings) -> Iterator[Post]:
    """A command post whose process is not started yet."""
    url = instance.app_url.get_secret_value()
    schema.prepare(url)
    with connect(url, name="test") as con:
        made = Post(instance, con)
        yield made
        made.kill()
