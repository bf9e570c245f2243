"""A real broker for tests: JetStream and MQTT in a temporary folder, on free ports, configured as an instance's.

Here: the fixture and what it can do (add a feed, kill, start again). Not here: tests. A module that uses it says
`pytest_plugins = ("tests.streams",)`.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from ingestion.stream import broker as streams
from ingestion.stream.names import PLATFORM_USER, Broker
from orchestration.services import ports
from orchestration.services.declared import script
from orchestration.services.nats_config import Listens, StreamUser, configuration, text

_START_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.01


class StreamServer:
    """A broker of one test. Streams and durables stand before any feed is let in, as in an instance.

    Attributes:
        broker: where it is, and the platform's password.
        host, mqtt_port: where equipment finds it.
        passwords: of each feed.
        options: what `configuration` is given beside; change it, then `start` or `reload`.
        log: what the broker says.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 1024**3, sync_interval: str = "1s", store: Path | None = None) -> None:
        self.folder, self.host = folder, ports.LOOPBACK
        self.listens = Listens(nats=ports.choose(), mqtt=ports.choose(), monitor=ports.choose())
        self.mqtt_port = self.listens.mqtt
        self.broker = Broker(f"nats://{self.host}:{self.listens.nats}", PLATFORM_USER, "the-platform's")
        self.options: dict[str, Any] = {"max_bytes": max_bytes, "sync_interval": sync_interval, "store": store or folder / "store"}
        self.users: dict[str, StreamUser] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "nats.log"

    @property
    def passwords(self) -> dict[str, str]:
        return {name: user.password for name, user in self.users.items()}

    def add_feed(self, name: str, topics: list[str] | None = None) -> str:
        """Let a feed in, also while the broker runs; return its password."""
        self.users[name] = StreamUser(name, f"password-of-{name}", tuple(topics or ()))
        if self.process is not None:
            self.reload()
        return self.users[name].password

    def start(self) -> None:
        """Start it and wait until JetStream and MQTT answer; the first time, make the streams and durables."""
        self._write()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen([script("nats-server"), "--config", str(self._file)], stdout=output, stderr=output)
        self._until(lambda: self.health() == "ok")
        self.run(streams.ensure)

    def kill(self) -> None:
        """Kill it (SIGKILL) and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Ask it to end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None

    def reload(self) -> None:
        """Give it the configuration of now, and wait until it has taken it."""
        assert self.process is not None
        self._write()
        before = self.monitor("/varz")["config_load_time"]
        self.process.send_signal(signal.SIGHUP)
        self._until(lambda: bool(self.monitor("/varz")["config_load_time"] != before))

    def health(self) -> str:
        """What its health address says."""
        try:
            return str(self.monitor("/healthz").get("status"))
        except OSError as error:
            return str(error)

    def monitor(self, path: str) -> Any:
        """Return a document of its monitoring."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.listens.monitor}{path}", timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:  # unhealthy, with a body that says why
            return json.load(error)

    def run(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Await `call(connection, …)` on a connection of the platform's."""

        async def main() -> Any:
            nc = await streams.connect(self.broker, reconnects=False)
            try:
                return await call(nc, *arguments, **options)
            finally:
                await nc.close()

        return asyncio.run(main())

    @property
    def _file(self) -> Path:
        return self.folder / "nats.conf"

    def _write(self) -> None:
        document = configuration(listens=self.listens, password=self.broker.password, users=self.users.values(), **self.options)
        self._file.write_text(text(document), encoding="utf-8")

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not holds():
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, f"{self.health()}\n{self.log.read_text()[-3000:]}"
            time.sleep(_POLL_S)


@pytest.fixture
def new_stream_server(tmp_path: Path) -> Iterator[Callable[..., StreamServer]]:
    """Make brokers, not yet started; they end with the test."""
    made: list[StreamServer] = []

    def make(**options: Any) -> StreamServer:
        folder = tmp_path / f"broker-{len(made)}"
        folder.mkdir()
        made.append(StreamServer(folder, **options))
        return made[-1]

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def stream_server(new_stream_server: Callable[..., StreamServer]) -> StreamServer:
    """A running broker without feeds: `add_feed(name, topics)` lets one in."""
    server = new_stream_server()
    server.start()
    return server
