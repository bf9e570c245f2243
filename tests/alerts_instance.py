"""An instance's engine, broker and pages as processes of a test, which may kill them; PostgreSQL is the fixture's.

Here: starting, killing, publishing, what the store holds. Not here: tests. A module that uses it says
`pytest_plugins = ("tests.stream_instance", "tests.alerts_instance")`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import aiomqtt
import psycopg
import pytest
from psycopg.rows import dict_row

from ingestion.stream import broker as streams
from orchestration.alerts.store import schema
from orchestration.intake.publishing import CONSUMERS
from orchestration.services import nats_server, postgres_cluster
from orchestration.settings import Settings
from tests.stream_instance import StreamInstance

_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.02


class AlertsInstance:
    """What runs of one instance.

    Attributes:
        settings: the instance.
        stream: its broker.
        engine, web: the processes, when they run.
    """

    def __init__(self, settings: Settings, stream: StreamInstance) -> None:
        self.settings, self.stream = settings, stream
        self.engine: subprocess.Popen[bytes] | None = None
        self.web: subprocess.Popen[bytes] | None = None
        schema.prepare(settings.app_url.get_secret_value())

    def write_rule(self, text: str) -> None:
        """Write a rule of the instance's own."""
        text = textwrap.dedent(text)
        name = text.split("\n", 1)[0].removeprefix("rule: ").strip()
        folder = self.settings.alerts_path / "rules"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")

    def start_broker(self, consumers: Sequence[str] = CONSUMERS) -> None:
        """Start the broker; the first time, make streams and durables, and let equipment in: what the intake does."""
        is_first = not nats_server.configuration_file(self.settings).exists()
        nats_server.refresh(self.settings, reload=False)
        self.stream.start_broker()
        if is_first:
            asyncio.run(self._ensure(consumers))
            nats_server.open_doors(self.settings)

    async def _ensure(self, consumers: Sequence[str]) -> None:
        nc = await streams.connect(self.settings.broker, reconnects=False)
        await streams.ensure(nc, consumers=consumers)
        await nc.close()

    def start_engine(self) -> None:
        """Start the engine; it says itself when it is ready (`until_engine`)."""
        self.engine = self._start("alerts", "orchestration.alerts.runtime")

    def start_web(self) -> None:
        """Start the pages and feeds."""
        self.web = self._start("web", "orchestration.web")

    def _start(self, name: str, module: str) -> subprocess.Popen[bytes]:
        with (self.settings.logs_path / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module], stdout=log, stderr=log, env=os.environ | {"VIGIE_HOME": str(self.settings.home)}
            )

    def kill_engine(self) -> None:
        """SIGKILL."""
        assert self.engine is not None
        self.engine.kill()
        self.engine.wait()

    def kill_postgres(self) -> None:
        """SIGKILL of the postmaster; its children notice and end, as after a crash."""
        process = postgres_cluster.postmaster(self.settings)
        assert process is not None
        children = process.children(recursive=True)
        process.kill()
        for one in [process, *children]:
            one.wait(30)

    def until_engine(self) -> None:
        """Wait until the engine's heartbeat is newer than now, and says of no trouble."""
        now = dt.datetime.now(dt.UTC)

        def is_well() -> bool:
            assert self.engine is not None
            assert self.engine.poll() is None, self.log("alerts")
            return any(
                r["at"] > now and r["details"]["trouble"] is None for r in self.rows("SELECT * FROM alerts.heartbeat WHERE name = 'engine'")
            )

        self.until(is_well, "the engine is well")

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Return rows of the application's database."""
        with psycopg.connect(self.settings.app_url.get_secret_value(), row_factory=dict_row) as con:
            return con.execute(sql, parameters).fetchall()

    def alarms(self, rule: str) -> list[dict[str, Any]]:
        """Return the alarms of a rule, by number."""
        return self.rows("SELECT * FROM alerts.alarm WHERE rule = %s ORDER BY alarm_id", rule)

    def journal(self, rule: str) -> list[tuple[str, str]]:
        """Return what the engine said of a rule's alarms, in order: kind and asset."""
        sql = (
            "SELECT j.kind, a.asset_ref FROM alerts.journal j JOIN alerts.alarm a USING (alarm_id) WHERE a.rule = %s "
            "AND j.kind IN ('raised', 'reactivated', 'returned') ORDER BY j.seq"
        )
        return [(r["kind"], r["asset_ref"]) for r in self.rows(sql, rule)]

    def publish(self, feed: str, *messages: tuple[str, Any]) -> None:
        """Publish (topic, document) over MQTT with QoS 1; return when each was acknowledged."""

        async def main() -> None:
            async with aiomqtt.Client(
                self.stream.host, self.stream.mqtt_port, username=feed, password=self.stream.passwords[feed]
            ) as client:
                for topic, document in messages:
                    await client.publish(topic, json.dumps(document).encode(), qos=1, timeout=20)

        asyncio.run(main())

    def until(self, holds: Callable[[], bool], what: str, timeout_s: float = _TIMEOUT_S) -> None:
        """Wait until something holds.

        Raises:
            AssertionError: it does not in time.
        """
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"not in time: {what}\n{self.log('alerts')}\n{self.log('nats')}"
            time.sleep(_POLL_S)

    def log(self, name: str) -> str:
        """Return the end of a process's log."""
        path = self.settings.logs_path / f"{name}.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def stop(self) -> None:
        """End what runs."""
        for process in (self.engine, self.web):
            if process is not None:
                process.kill()
                process.wait()


def light(code: str, status: str, at: dt.datetime | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
    """Return the topic and the NGSI-LD entity of a light that says its state."""
    at = at or dt.datetime.now(dt.UTC)
    said = {"type": "Property", "value": status, "observedAt": at.isoformat().replace("+00:00", "Z")}
    return f"lumieres/{code}", {"id": code, "type": "Streetlight", "status": said} | more


@pytest.fixture
def alerts_instance(instance: Settings, stream_instance: StreamInstance) -> Iterator[AlertsInstance]:
    """An instance with PostgreSQL; broker, engine and pages are not started yet."""
    found = AlertsInstance(instance, stream_instance)
    yield found
    found.stop()
