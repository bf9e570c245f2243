"""An instance's own broker and intake, started by a test, which may kill them: no supervisor, no database.

Here: the fixture. Not here: tests. A module that uses it says `pytest_plugins = ("tests.stream_instance",)`.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from ingestion.stream.names import Broker
from orchestration.services import nats_server
from orchestration.services.declared import script
from orchestration.settings import Settings

_START_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.01

_CONTRACT: Final = """\
feed: {name}
title: Essai
contract: observation
domain: EP
owner: {{name: Service}}
steward: {{name: Référente}}
source: {{publisher: Ville, licence: internal}}
territory: {{code: chalons, name: Châlons, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}}
time_zone: Europe/Paris
format: {{type: ngsi}}
connector: {{type: stream, topics: {topics}}}
"""


@dataclass(frozen=True)
class Answer:
    """What the intake answered."""

    status: int
    document: Any
    headers: dict[str, str]


@dataclass
class StreamInstance:
    """Broker and intake of one instance.

    Attributes:
        settings: the instance; its contracts are in `settings.feeds_path`.
        broker_process, intake_process: what runs.
    """

    settings: Settings
    broker_process: subprocess.Popen[bytes] | None = None
    intake_process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return self.settings.broker_host

    @property
    def mqtt_port(self) -> int:
        return self.settings.mqtt_port

    @property
    def broker(self) -> Broker:
        return self.settings.broker

    @property
    def passwords(self) -> dict[str, str]:
        return {name: secret.get_secret_value() for name, secret in self.settings.secrets.streams.items()}

    def write_contract(self, name: str, topics: list[str]) -> None:
        """Write a feed's contract, as an integrator does."""
        path = self.settings.feeds_path / f"{name}.yaml"
        path.write_text(textwrap.dedent(_CONTRACT).format(name=name, topics=json.dumps(topics)), encoding="utf-8")

    def start_broker(self) -> None:
        """Start the broker as its service does, and wait until it is well."""
        self.settings.run_path.mkdir(exist_ok=True)
        with (self.settings.logs_path / "nats.log").open("ab") as log:
            command = [script("nats-server"), "--config", str(nats_server.configuration_file(self.settings))]
            self.broker_process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | self.environment)
        self.until(lambda: nats_server.health(self.settings) is None, "the broker is well")

    def start(self) -> None:
        """Start both; return when messages can be stored."""
        nats_server.refresh(self.settings, reload=False)
        self.start_broker()
        self.start_intake()

    def start_intake(self) -> None:
        """Start the intake as its service does."""
        environment = os.environ | {"VIGIE_HOME": str(self.settings.home)}
        with (self.settings.logs_path / "intake.log").open("ab") as log:
            command = [sys.executable, "-m", "orchestration.intake"]
            self.intake_process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self.until(lambda: self.get("/health").status == 200, "the intake is well")

    def kill_broker(self) -> None:
        """SIGKILL."""
        assert self.broker_process is not None
        self.broker_process.kill()
        self.broker_process.wait()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, feed: str, body: bytes, *, token: str | None = None, **headers: str) -> Answer:
        """Post a message with the feed's token; header names with _ for -."""
        given = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        token = self.passwords.get(feed, "") if token is None else token
        if token:
            given["Authorization"] = f"Bearer {token}"
        return self.request("POST", f"/ingest/{feed}", body, given)

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """Ask the intake; status 0 when it does not answer."""
        with closing(http.client.HTTPConnection(self.host, self.settings.intake_port, timeout=30)) as connection:
            try:
                connection.request(method, path, body, headers or {})
                answer = connection.getresponse()
                body = answer.read()
                return Answer(answer.status, json.loads(body) if body else None, {k.lower(): v for k, v in answer.getheaders()})
            except OSError as error:
                return Answer(0, str(error), {})

    def until(self, holds: Callable[[], bool], what: str, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Wait until something holds.

        Raises:
            AssertionError: it does not in time.
        """
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                logs = "\n".join((self.settings.logs_path / f"{name}.log").read_text()[-2000:] for name in ("nats", "intake")
                                 if (self.settings.logs_path / f"{name}.log").exists())  # fmt: skip
                raise AssertionError(f"not in time: {what}\n{logs}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End both."""
        for process in (self.intake_process, self.broker_process):
            if process is not None:
                process.kill()
                process.wait()


@pytest.fixture
def stream_instance(settings: Settings) -> Iterator[StreamInstance]:
    """An instance whose broker and intake are not started yet."""
    found = StreamInstance(settings)
    yield found
    found.stop()
