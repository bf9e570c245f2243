"""The simulator at real ports: a real broker over MQTT, a real HTTP server, both of which fail in the middle.

Here: pace, acknowledgement, trying again, resuming. Not here: the platform's own intake and broker configuration.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nats
import pytest

from ingestion.errors import VigieError, WrongUse
from ingestion.simulator import inventory
from ingestion.simulator.clock import seconds
from ingestion.simulator.live import Endpoints, Reached, record, resume, speak
from ingestion.simulator.wire import Wire
from ingestion.simulator.world import World

_SERVER = Path(sys.executable).with_name("nats-server")
_START = dt.datetime(2026, 3, 2, 7, tzinfo=dt.UTC)
_END = _START + dt.timedelta(hours=3)
_FEEDS = [f for f in inventory.FEEDS if f not in inventory.INVENTORIES]
_PASSWORDS = {feed: f"secret-of-{feed}" for feed in _FEEDS}
_WAIT_S = 30


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class _Broker:
    """A NATS server with JetStream and MQTT, one user per feed."""

    def __init__(self, folder: Path) -> None:
        self.port, self.mqtt_port, self._folder = _free_port(), _free_port(), folder
        self.process: subprocess.Popen[bytes] | None = None
        users = "".join(f'{{user: "{f}", password: "{p}"}}, ' for f, p in _PASSWORDS.items())
        (folder / "nats.conf").write_text(
            f'server_name: simulated\nlisten: "127.0.0.1:{self.port}"\njetstream {{store_dir: "{folder / "store"}"}}\n'
            f'mqtt {{listen: "127.0.0.1:{self.mqtt_port}"}}\nauthorization {{users: [{users}]}}\n'
        )

    def start(self) -> None:
        log = (self._folder / "nats.log").open("ab")
        self.process = subprocess.Popen([str(_SERVER), "-c", str(self._folder / "nats.conf")], stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.mqtt_port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, (self._folder / "nats.log").read_text()
                time.sleep(0.02)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def stored(self) -> Counter[bytes]:
        """What the broker's own stream of QoS 1 messages holds."""
        nc = await nats.connect(f"nats://127.0.0.1:{self.port}", user=_FEEDS[0], password=_PASSWORDS[_FEEDS[0]])
        js = nc.jetstream()
        held: Counter[bytes] = Counter()
        sub = await js.pull_subscribe("$MQTT.msgs.>", durable="reader", stream="$MQTT_msgs")
        left = (await js.stream_info("$MQTT_msgs")).state.messages
        while left:
            for m in await sub.fetch(min(left, 1_000), timeout=_WAIT_S):
                held[m.data] += 1
                left -= 1
                await m.ack()
        await nc.close()
        return held


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[_Broker]:
    own = _Broker(tmp_path)
    # Any QoS 1 subscription that has interest makes the broker keep what is published: MQTT drops what nobody wants.
    own.start()
    try:
        yield own
    finally:
        own.kill()


@contextmanager
def _intake(answers: list[int]) -> Iterator[tuple[str, Counter[bytes], list[str]]]:
    """An intake that gives `answers` first, and 202 from then on; what it stored, and the paths asked."""
    stored: Counter[bytes] = Counter()
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            feed = self.path.split("/")[2]  # /ingest/FEED, /talq/FEED/log-reports?…
            paths.append(self.path)
            status = answers.pop(0) if answers else 202
            if self.headers["Authorization"] != f"Bearer {_PASSWORDS[feed]}":
                status = 401
            if status == 202:
                stored[body] += 1
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", stored, paths
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def _interest(broker: _Broker) -> None:
    """Open the persistent subscription without which a broker keeps nothing."""
    import aiomqtt

    user = _FEEDS[0]
    async with aiomqtt.Client(
        "127.0.0.1", broker.mqtt_port, username=user, password=_PASSWORDS[user], identifier="reader", clean_session=False
    ) as client:
        await client.subscribe("#", qos=1)


def _expected(world: World, start: dt.datetime, end: dt.datetime) -> tuple[Counter[bytes], Counter[bytes]]:
    mqtt: Counter[bytes] = Counter()
    http: Counter[bytes] = Counter()
    for m in Wire(world).messages(seconds(start), seconds(end)):
        (mqtt if m.topic is not None else http)[m.payload] += 1
    return mqtt, http


def test_everything_due_is_sent_and_acknowledged(broker: _Broker) -> None:
    world, told = World(1_000, 1), list[Reached]()
    mqtt, http = _expected(world, _START, _END)
    assert len(mqtt) > 3_000
    assert len(http) > 2

    with _intake([503, 429, 500]) as (url, stored, paths):

        async def run() -> Reached:
            await _interest(broker)
            ends = Endpoints("127.0.0.1", broker.mqtt_port, url, _PASSWORDS)
            return await speak(world, ends, since=_START, until=_END, speed=math.inf, stop=lambda: False, report=told.append)

        reached = asyncio.run(run())
        held = asyncio.run(broker.stored())
    assert reached.sent_until == _END
    assert reached.messages == sum(mqtt.values()) + sum(http.values())
    assert held == mqtt
    assert stored == http
    assert {p.partition("?")[0] for p in paths} <= {*(f"/ingest/{f}" for f in _FEEDS), "/talq/sim-telegestion/log-reports"}
    assert [t.sent_until for t in told] == sorted(t.sent_until for t in told)
    assert any(t.waiting_for is not None and "503" in t.waiting_for for t in told)


def test_nothing_acknowledged_is_missing_when_the_broker_is_killed(broker: _Broker) -> None:
    world = World(1_000, 1)
    mqtt, http = _expected(world, _START, _END)
    kills = iter((_START + dt.timedelta(minutes=20), _START + dt.timedelta(minutes=90)))
    state = {"next": next(kills)}
    threads: list[threading.Thread] = []

    def restart() -> None:
        broker.kill()
        broker.start()

    def watch(reached: Reached) -> None:
        if reached.waiting_for is None and reached.sent_until >= state["next"]:
            state["next"] = next(kills, _END + dt.timedelta(days=1))
            threads.append(threading.Thread(target=restart))
            threads[-1].start()

    with _intake([]) as (url, stored, _):

        async def run() -> Reached:
            await _interest(broker)
            ends = Endpoints("127.0.0.1", broker.mqtt_port, url, _PASSWORDS)
            return await speak(world, ends, since=_START, until=_END, speed=math.inf, stop=lambda: False, report=watch)

        reached = asyncio.run(run())
        for thread in threads:
            thread.join()
        held = asyncio.run(broker.stored())
    assert len(threads) == 2
    assert reached.sent_until == _END
    # At least once: what was on its way when the broker died may stand twice.
    assert set(held) == set(mqtt)
    assert all(held[p] >= n for p, n in mqtt.items())
    assert stored == http


def test_it_waits_for_ports_that_are_not_there_and_stops_when_asked(tmp_path: Path) -> None:
    told: list[Reached] = []
    ends = Endpoints("127.0.0.1", _free_port(), f"http://127.0.0.1:{_free_port()}", _PASSWORDS)

    async def run() -> Reached:
        return await speak(
            World(100, 1), ends, since=_START, speed=math.inf, stop=lambda: any(t.waiting_for for t in told), report=told.append
        )

    reached = asyncio.run(run())
    assert reached.sent_until == _START
    assert reached.messages == 0
    assert reached.waiting_for is not None


def test_it_resumes_where_it_was_stopped(broker: _Broker, tmp_path: Path) -> None:
    world, path = World(1_000, 1), tmp_path / "simulator.json"
    mqtt, http = _expected(world, _START, _END)
    half = _START + dt.timedelta(minutes=80)
    with _intake([]) as (url, stored, _):
        ends = Endpoints("127.0.0.1", broker.mqtt_port, url, _PASSWORDS)

        async def run() -> None:
            await _interest(broker)
            assert resume(path, _START) == _START
            stopped: list[bool] = []

            def note(reached: Reached) -> None:
                record(path, reached)
                stopped.extend([True] if reached.sent_until >= half else [])

            first = await speak(world, ends, since=_START, until=_END, speed=math.inf, stop=lambda: bool(stopped), report=note)
            assert half <= first.sent_until < _END
            assert resume(path, _START) == first.sent_until
            await speak(world, ends, since=resume(path, _START), until=_END, speed=math.inf, stop=lambda: False, report=None)

        asyncio.run(run())
        held = asyncio.run(broker.stored())
    assert held == mqtt
    assert stored == http


def test_at_speed_one_what_is_past_is_sent_at_once_and_the_rest_waits(broker: _Broker) -> None:
    """The wall clock leads: an hour that has passed goes out, and nothing of what is still to come."""
    world, now = World(1_000, 1), dt.datetime.now(dt.UTC).replace(microsecond=0)
    since = now - dt.timedelta(minutes=30)
    with _intake([]) as (url, _, _):
        ends = Endpoints("127.0.0.1", broker.mqtt_port, url, _PASSWORDS)
        told: list[Reached] = []

        async def run() -> Reached:
            await _interest(broker)
            return await speak(world, ends, since=since, stop=lambda: bool(told) and told[-1].sent_until >= now, report=told.append)

        reached = asyncio.run(run())
        held = asyncio.run(broker.stored())
    assert now <= reached.sent_until <= dt.datetime.now(dt.UTC)
    assert held == _expected(world, since, reached.sent_until)[0]


def test_a_refused_message_is_an_error_that_names_it(broker: _Broker) -> None:
    with _intake([400]) as (url, _, _):
        ends = Endpoints("127.0.0.1", broker.mqtt_port, url, _PASSWORDS)
        with pytest.raises(VigieError, match="HTTP 400"):
            asyncio.run(speak(World(1_000, 1), ends, since=_START, until=_END, speed=math.inf, stop=lambda: False))


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    ends = Endpoints("127.0.0.1", 1, "http://127.0.0.1:1", {})
    assert "secret" not in repr(Endpoints("h", 1, "u", _PASSWORDS))
    for wrong in ({"since": _START}, {"since": _START.replace(tzinfo=None)}, {"since": _START, "speed": 0.0}):
        with pytest.raises(WrongUse):
            asyncio.run(speak(World(100, 1), ends, until=_END, stop=lambda: False, **wrong))
    (tmp_path / "state").write_text("[]")
    with pytest.raises(WrongUse):
        resume(tmp_path / "state", _START)


def test_the_command_line_prints_messages_and_writes_history(tmp_path: Path) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ingestion.simulator", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONUTF8": "1"}, check=False)

    printed = call("messages", "200", "2026-03-02T07:00:00", "--hours", "10", "--each", "1")
    assert printed.returncode == 0
    assert all(feed in printed.stdout for feed in ("sim-eclairage", "sim-compteurs", "sim-signalements"))
    written = call("history", "60", "2026-03-01", "2026-03-02", str(tmp_path))
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "canonical" / "sim-eclairage" / "2026-03.parquet").exists()
    wrong = call("history", "lyon", "2026-03-01", "2026-03-02", str(tmp_path))
    assert wrong.returncode == 2
    assert "→" in wrong.stderr
    assert call("--help").returncode == 0
