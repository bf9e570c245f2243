"""From a publication (MQTT, QoS 1) to a client of the events (SSE), beside a bare durable subscriber: `python -m bench.alerts`.

A scratch instance with broker, engine and web as processes of their own; 200 rules; the NGSI-LD messages of the lights of the `dijon`
preset (10,121 lights), of which a known share fails and works again. A publisher keeps the rate over four MQTT connections and writes when
it handed each telling message over. A bare subscriber pulls the same messages from durables of its own and does nothing with them; a client
follows the events. Latency is from handing over to receiving; all clocks are this machine's.

`--rate` and `--sync` choose one run; without, three are made: 1,000/s and 5,000/s with the broker forcing to the disk each second (`1s`),
and 1,000/s with `always`, the product's default (this kind of disk does not force 5,000 messages a second).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import http.client
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg
from psycopg.rows import dict_row

from bench.machine import instance
from ingestion.stream import broker as streams
from ingestion.stream.names import MQTT_STREAM, PARTITIONS
from ingestion.stream.ordered import Ordered
from orchestration.alerts.access import Access
from orchestration.alerts.model import Role
from orchestration.alerts.rulebook.registry import SHIPPED
from orchestration.alerts.store import schema
from orchestration.intake.publishing import CONSUMERS
from orchestration.services import nats_server
from orchestration.services.declared import script
from orchestration.settings import Settings

LIGHTS: Final = 10_121
RULES: Final = 200
SECONDS: Final = 30.0
# Before it counts: caches, pools, the first use of everything.
WARM_S: Final = 8.0
# Alarms raised or ended each second: what an operator's wall would call a flood already.
CHANGES_PER_S: Final = 10.0
RUNS: Final = ((1_000, "1s"), (5_000, "1s"), (1_000, "always"))
# Publication to client, milliseconds.
TARGETS: Final = ((1_000, "p50", 5.0), (1_000, "p99", 30.0), (5_000, "p99", 100.0))
_BASELINE: Final = "bench"
_FEED: Final = "bench-lights"
_CONTRACT: Final = f"""\
feed: {_FEED}
title: Banc d'essai
contract: observation
domain: EP
owner: {{name: Banc}}
steward: {{name: Banc}}
source: {{publisher: Banc, licence: internal}}
territory: {{code: bench, name: Banc, time_zone: Europe/Paris, holidays: FR, latitude: 47.32, longitude: 5.04}}
time_zone: Europe/Paris
connector: {{type: stream, topics: ["bench/#"]}}
format: {{type: ngsi}}
fields:
  - {{name: status, title: État, classification: open}}
"""
_RULE: Final = """\
rule: {name}
title: Banc d'essai
message: "{{asset}} est en panne."
when: {when}
scope: {{domains: [EP]}}
consequence: severe
respond_within: PT2H
procedure: [{{step: Banc}}]
bound: {{raises: 100000, per: PT1H}}
"""
# Critical: ten others a second would be a flood, whose lines would be measured instead.
# What the other rules look for: one in twelve at the state of lights, the others at something else each, as the rules of nine domains do.
_OTHERS: Final = (
    "{{type: equals, property: status, values: [other-{n}], on_delay: PT1M}}",
    *("{{type: threshold, property: measure-{n}, above: {n}, clear: 0.5, on_delay: PT1M}}",) * 6,
    *("{{type: equals, property: state-{n}, values: [failed]}}",) * 3,
    *("{{type: count, property: event-{n}, values: [rare], at_least: 3, within: PT1H}}",) * 2,
)


def run() -> dict[str, Any]:
    """Measure the three runs."""
    return {"runs": [one(rate, sync, SECONDS) for rate, sync in RUNS]}


def section(found: dict[str, Any], machine: str) -> str:
    """Return the results as a section of Markdown."""
    rows = "\n".join(
        f"| {r['achieved_per_s']:,}/s, `{r['sync']}` | {r['telling']} | {r['bare']['p50']} / {r['bare']['p99']} | "
        f"{r['turn']['p50']} / {r['turn']['p99']} | {r['client']['p50']} / {r['client']['p99']} | {r['more']['p50']} / {r['more']['p99']} | "
        f"{r['processors']['engine']} / {r['processors']['web']} |"
        for r in found["runs"]
    )
    targets = "\n".join(
        f"| {rate:,}/s: {name} at most {most:g} ms | {r['client'][name]} | {'met' if r['client'][name] <= most else '**missed**'} |"
        for rate, name, most in TARGETS
        for r in found["runs"]
        if (r["rate"], r["sync"]) == (rate, "1s")
    )
    return f"""\
## Alerts: from a publication to the events

{machine}
MQTT QoS 1 to a client of the events, {RULES} rules, messages of {LIGHTS:,} lights, {CHANGES_PER_S:.0f} of which raise or end an alarm each second;
beside a bare durable subscriber of the same messages. Milliseconds, p50 / p99; "turn": until the store begins to write.

| rate, `stream_sync` | alarms | bare subscriber | turn | client of the events | more than bare | processors: engine / web |
|---|---:|---:|---:|---:|---:|---:|
{rows}

| target | measured, ms | |
|---|---:|---|
{targets}
"""


def one(rate: int, sync: str, seconds: float) -> dict[str, Any]:
    """Measure one run: latencies in milliseconds (`turn`: until the store began to write), and the processors that engine and web took."""
    os.environ["VIGIE_STREAM_SYNC"] = sync
    try:
        with instance() as (settings, folder):
            schema.prepare(settings.app_url.get_secret_value())
            (settings.feeds_path / f"{_FEED}.yaml").write_text(_CONTRACT, encoding="utf-8")
            rules = _write_rules(settings)
            with _broker(settings), contextlib.ExitStack() as stack:
                engine = stack.enter_context(_process(settings, "orchestration.alerts.runtime", "alerts"))
                web = stack.enter_context(_process(settings, "orchestration.web", "web"))
                _until(lambda: _is_well(settings), "the engine is well")
                token = _token(settings)
                bare = stack.enter_context(_part("bare", settings, folder))
                client = stack.enter_context(_part("client", settings, folder, token))
                _until(lambda: all((folder / f"{name}.ready").exists() for name in ("bare", "client")), "subscribers listen")
                usage = [psutil.Process(p.pid) for p in (engine, web)]
                before = [sum(p.cpu_times()[:2]) for p in usage]
                publisher = _spawn("publish", settings, folder, str(rate), str(WARM_S + seconds))
                publisher.wait()
                time.sleep(3.0)
                took = [(sum(p.cpu_times()[:2]) - b) / (WARM_S + seconds) for p, b in zip(usage, before, strict=True)]
                memory = [round(p.memory_info().rss / 1e6) for p in usage]
                for part in (bare, client):
                    part.terminate()
                    part.wait(10)
                sent = _read(folder / "publish.json")
                results = {name: _latencies(sent, _read(folder / f"{name}.json")) for name in ("bare", "client")}
                results["turn"] = _latencies(sent, _read(folder / "client.json"), "|turn")
                kinds = _rows(settings, "SELECT kind, count(*) AS n FROM alerts.journal GROUP BY kind ORDER BY kind")
    finally:
        del os.environ["VIGIE_STREAM_SYNC"]
    published = sum(1 for s in sent["messages"] if s[0] >= WARM_S)
    return {
        "rate": rate,
        "achieved_per_s": round(sent["achieved"]),
        "sync": sync,
        "rules": rules,
        "telling": published,
        "bare": results["bare"],
        "turn": results["turn"],
        "client": results["client"],
        "more": {p: round(results["client"][p] - results["bare"][p], 2) for p in ("p50", "p99")},
        "processors": {"engine": round(took[0], 2), "web": round(took[1], 2)},
        "memory_mb": {"engine": memory[0], "web": memory[1]},
        "journal": {r["kind"]: r["n"] for r in kinds},
    }


def _write_rules(settings: Settings) -> int:
    folder = settings.alerts_path / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    shipped = len(list(SHIPPED.glob("*.yaml")))
    for number in range(RULES - shipped):
        when = (
            "{type: equals, property: status, values: [defectiveLamp]}" if number == 0 else _OTHERS[number % len(_OTHERS)].format(n=number)
        )
        (folder / f"banc-{number}.yaml").write_text(_RULE.format(name=f"banc-{number}", when=when), encoding="utf-8")
    return RULES


@contextlib.contextmanager
def _broker(settings: Settings) -> Iterator[None]:
    nats_server.refresh(settings, reload=False)
    command = [script("nats-server"), "--config", str(nats_server.configuration_file(settings))]
    with (settings.logs_path / "nats.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _until(lambda: nats_server.health(settings) is None, "the broker is well")
        asyncio.run(_durables(settings))
        nats_server.open_doors(settings)
        yield
    finally:
        process.terminate()
        process.wait(30)


async def _durables(settings: Settings) -> None:
    nc = await streams.connect(settings.broker, reconnects=False)
    # Not the lake's: nobody lands here, and what waits for it would be delivered to nobody.
    await streams.ensure(nc, consumers=[c for c in CONSUMERS if c != "lake"])
    js = nc.jetstream()
    for partition in range(PARTITIONS):
        found = await js.consumer_info(MQTT_STREAM, f"alerts-{partition}")
        await js.add_consumer(MQTT_STREAM, found.config.evolve(durable_name=f"{_BASELINE}-{partition}", name=None))
    await nc.close()


@contextlib.contextmanager
def _process(settings: Settings, module: str, name: str) -> Iterator[subprocess.Popen[bytes]]:
    with (settings.logs_path / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module], stdout=log, stderr=log, env=os.environ | {"VIGIE_HOME": str(settings.home)}
        )
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError((settings.logs_path / f"{name}.log").read_text()[-3000:])
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def _part(what: str, settings: Settings, folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = _spawn(what, settings, folder, *words)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _spawn(what: str, settings: Settings, folder: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.alerts", "--part", what, str(folder), *words]
    return subprocess.Popen(command, env=os.environ | {"VIGIE_HOME": str(settings.home)})


def _is_well(settings: Settings) -> bool:
    rows = _rows(settings, "SELECT at, details FROM alerts.heartbeat WHERE name = 'engine'")
    with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", settings.web_port, timeout=3)) as web:
        web.request("GET", "/health")
        return web.getresponse().status == http.client.OK and bool(rows) and rows[0]["details"]["trouble"] is None
    return False


def _token(settings: Settings) -> str:
    @contextlib.contextmanager
    def lend() -> Iterator[Any]:
        with psycopg.connect(settings.app_url.get_secret_value(), autocommit=True, row_factory=dict_row) as con:
            yield con

    return Access(lend).add_system("banc", Role.VIEWER)


def _rows(settings: Settings, sql: str) -> list[dict[str, Any]]:
    with psycopg.connect(settings.app_url.get_secret_value(), row_factory=dict_row) as con:
        return con.execute(sql).fetchall()


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not in time: {what}")
        time.sleep(0.05)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _latencies(sent: dict[str, Any], received: dict[str, float], what: str = "") -> dict[str, float]:
    """Return percentiles of the telling messages after the warm-up, in milliseconds, and how many never came."""
    counted = [(key + what, at) for since, key, at in sent["messages"] if since >= WARM_S]
    found = sorted((received[key] - at) * 1_000 for key, at in counted if key in received)
    if not found:
        return {"p50": -1.0, "p99": -1.0, "worst": -1.0, "lost": len(counted)}
    p99 = found[min(len(found) - 1, int(len(found) * 0.99))]
    return {
        "p50": round(statistics.median(found), 2),
        "p99": round(p99, 2),
        "worst": round(found[-1], 2),
        "lost": len(counted) - len(found),
    }


# --- the parts, each a process


def _payload(code: str, status: str, at: str) -> bytes:
    """Return what the simulated territory's lights say."""
    return (
        f'{{"id":"urn:ngsi-ld:Streetlight:{code}","type":"Streetlight","status":{{"type":"Property","value":"{status}","observedAt":"{at}"}},'
        '"@context":["https://raw.githubusercontent.com/smart-data-models/dataModel.Streetlighting/master/context.jsonld"]}'
    ).encode()


def _publish(folder: Path, rate: int, seconds: float) -> None:
    """Publish at a rate; every so many messages a light fails, or the one that failed before works again."""
    settings = Settings.load()
    password = settings.secrets.streams[_FEED].get_secret_value()
    connections = [_Mqtt(settings.mqtt_port, _FEED, password, f"bench-{n}") for n in range(4)]
    every = max(1, round(rate / CHANGES_PER_S))
    failed: list[int] = []
    messages: list[tuple[float, str, float]] = []
    began, number, telling = time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - began) < seconds:
        due = int(elapsed * rate)
        for _ in range(min(due - number, 200)):
            light, status = number % LIGHTS, "ok"
            is_telling = number % every == every - 1
            if is_telling:
                telling += 1
                if telling % 2:
                    light, status = (telling * 37) % LIGHTS, "defectiveLamp"
                    failed.append(light)
                else:
                    light = failed.pop()
            elif light in failed:
                light = (light + 1) % LIGHTS
            code = f"C{light // 81:03d}-{light % 81:03d}"
            at = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
            if is_telling:
                messages.append((elapsed, f"{code}|{'raised' if status != 'ok' else 'returned'}", time.time()))
            connections[light % 4].publish(f"bench/{code}/etat", _payload(code, status, at))
            number += 1
        for connection in connections:
            connection.drain()
        time.sleep(0.001)
    achieved = number / (time.monotonic() - began)
    deadline = time.monotonic() + 10
    while any(c.open for c in connections) and time.monotonic() < deadline:
        for connection in connections:
            connection.drain()
        time.sleep(0.01)
    (folder / "publish.json").write_text(json.dumps({"messages": messages, "achieved": achieved}))


class _Mqtt:
    """The least of an MQTT 3.1.1 client that publishes with QoS 1 without waiting: what is measured is the platform."""

    def __init__(self, port: int, user: str, password: str, name: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        words = b"".join(struct.pack("!H", len(w)) + w for w in (name.encode(), user.encode(), password.encode()))
        body = b"\x00\x04MQTT\x04\xc2\x00\x3c" + words
        self._socket.sendall(b"\x10" + _length(len(body)) + body)
        if self._socket.recv(4)[3:] != b"\x00":
            raise RuntimeError("the broker refuses the publisher")
        self._number = 0
        self.open = 0

    def publish(self, topic: str, payload: bytes) -> None:
        self._number = self._number % 65_535 + 1
        self.open += 1
        body = struct.pack("!H", len(topic)) + topic.encode() + struct.pack("!H", self._number) + payload
        self._socket.sendall(b"\x32" + _length(len(body)) + body)

    def drain(self) -> None:
        """Take the acknowledgements that came: four bytes each."""
        with contextlib.suppress(BlockingIOError):
            while taken := self._socket.recv(65_536, socket.MSG_DONTWAIT):
                self.open -= len(taken) // 4


def _length(number: int) -> bytes:
    found = bytearray()
    while True:
        number, seven = divmod(number, 128)
        found.append(seven | (0x80 if number else 0))
        if not number:
            return bytes(found)


async def _bare(folder: Path) -> None:
    """Pull every message and note when the telling ones came."""
    settings, received, failed = Settings.load(), dict[str, float](), set[str]()
    readers: list[Ordered] = []

    def arrived() -> None:
        now = time.time()
        for reader in readers:
            while reader.waiting:
                message = reader.waiting.popleft()
                code = message.topic.split("/")[1]
                if b"defectiveLamp" in message.payload:
                    failed.add(code)
                    received[f"{code}|raised"] = now
                elif code in failed:
                    failed.discard(code)
                    received[f"{code}|returned"] = now

    nc = await streams.connect(settings.broker)
    readers += [Ordered(MQTT_STREAM, f"{_BASELINE}-{p}", p, after=0, arrived=arrived) for p in range(PARTITIONS)]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(15, stop.set)
    tasks = [asyncio.create_task(r.run(nc)) for r in readers]
    (folder / "bare.ready").touch()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0)
        for reader in readers:
            reader.acknowledge(2**62)
    for task in tasks:
        task.cancel()
    (folder / "bare.json").write_text(json.dumps(received))
    await nc.close()


def _client(folder: Path, token: str) -> None:
    """Follow the events and note when each came."""
    settings, received = Settings.load(), dict[str, float]()
    connection = http.client.HTTPConnection("127.0.0.1", settings.web_port)
    connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {token}", "Accept": "text/event-stream"})
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{answer.status}: {answer.read()!r}")
    (folder / "client.ready").touch()

    def end(*_: object) -> None:
        (folder / "client.json").write_text(json.dumps(received))
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    for line in answer:
        if line.startswith(b"data:"):
            now = time.time()
            document = json.loads(line[5:])
            kind = {"reactivated": "raised"}.get(document.get("kind"), document.get("kind"))
            code = str((document.get("alarm") or {}).get("asset_ref")).removeprefix("urn:ngsi-ld:Streetlight:")
            received.setdefault(f"{code}|{kind}", now)
            if "at" in document:  # when the store began its turn
                received.setdefault(f"{code}|{kind}|turn", dt.datetime.fromisoformat(document["at"]).timestamp())


def main() -> None:
    """Run the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int)
    parser.add_argument("--sync", default="1s")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--part", nargs="+")
    words = parser.parse_args()
    match words.part:
        case None:
            print(json.dumps(one(words.rate, words.sync, words.seconds) if words.rate else run(), indent=None))
        case ["publish", folder, rate, seconds]:
            _publish(Path(folder), int(rate), float(seconds))
        case ["bare", folder]:
            asyncio.run(_bare(Path(folder)))
        case ["client", folder, token]:
            _client(Path(folder), token)
        case _:
            parser.error("no such part")


if __name__ == "__main__":
    main()
