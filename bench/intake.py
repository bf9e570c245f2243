"""The HTTP intake, against bare publications of the same bytes into the same stream: `python -m bench.intake`.

32 connections keep sending NGSI-LD messages, one after the other on each: once over HTTP to the intake, once to the broker itself by the
same client library that the intake uses (a publication waits for the stream's acknowledgement), each in a process of its own. The broker
forces every message to the disk, as an instance does by default; half a round each, twice, alternately, so that both meet the same
disk. Feeds are eight, for one may send 500 a second. Afterwards every answered message must stand in the stream.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.machine import instance
from ingestion.stream import broker as streams
from ingestion.stream.names import HTTP_ROOT, INTAKE_STREAM
from orchestration.services import nats_server
from orchestration.services.declared import script
from orchestration.settings import Settings

CONNECTIONS: Final = 32
MESSAGES: Final = 6_000
_FEEDS: Final = 8
_STOP_S: Final = 30
_CONTRACT: Final = """\
feed: {name}
title: Banc d'essai
contract: observation
domain: EP
owner: {{name: Banc}}
steward: {{name: Banc}}
source: {{publisher: Banc, licence: internal}}
territory: {{code: bench, name: Banc, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}}
time_zone: UTC
connector: {{type: stream, topics: []}}
format: {{type: ngsi}}
"""


def run(messages: int = MESSAGES) -> dict[str, Any]:
    """Measure, and return requests per second, latencies in milliseconds, and whether every answered message is in the stream."""
    rounds: dict[str, list[dict[str, Any]]] = {"http": [], "bare": []}
    with instance() as (settings, folder):
        for feed in _feeds():
            (settings.feeds_path / f"{feed}.yaml").write_text(_CONTRACT.format(name=feed), encoding="utf-8")
        with _running(settings):
            arguments = folder / "settings.pickle"
            passwords = {feed: settings.secrets.streams[feed].get_secret_value() for feed in _feeds()}
            arguments.write_bytes(pickle.dumps((settings.broker, settings.intake_host, settings.intake_port, passwords)))
            for what in ("http", "bare", "bare", "http"):
                rounds[what].append(_apart(what, arguments, messages))
            in_stream = asyncio.run(_stored(settings))
    answered = [seq for found in rounds.values() for one in found for seq in one.pop("sequences")]
    http, bare = (_best(rounds[what]) for what in ("http", "bare"))
    return {
        "connections": CONNECTIONS,
        "messages": messages,
        "bytes": len(_message(0)),
        "sync": settings.stream_sync,
        "http": http,
        "bare": bare,
        "ratio": round(http["per_s"] / bare["per_s"], 2),
        "answered": len(answered),
        "in_stream": in_stream,
        "each_in_stream": len(set(answered)) == len(answered) == in_stream,
    }


def _best(found: list[dict[str, Any]]) -> dict[str, Any]:
    return max(found, key=lambda one: float(one["per_s"]))


def _feeds() -> list[str]:
    return [f"bench-{n}" for n in range(_FEEDS)]


@contextlib.contextmanager
def _running(settings: Settings) -> Iterator[None]:
    """Run broker and intake as their services do."""
    nats_server.refresh(settings, reload=False)
    environment = {**os.environ, "VIGIE_HOME": str(settings.home)}
    with (settings.logs_path / "nats.log").open("ab") as log:
        commands = [[script("nats-server"), "--config", str(nats_server.configuration_file(settings))]]
        commands.append([sys.executable, "-m", "orchestration.intake"])
        processes = []
        try:
            for command in commands:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
                _wait(settings, is_intake=len(processes) == len(commands))
            yield
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(_STOP_S)


def _wait(settings: Settings, *, is_intake: bool) -> None:
    deadline = time.monotonic() + 60
    while not (asyncio.run(_is_well(settings)) if is_intake else nats_server.health(settings) is None):
        if time.monotonic() > deadline:
            raise RuntimeError((settings.logs_path / "nats.log").read_text()[-2000:])
        time.sleep(0.1)


async def _is_well(settings: Settings) -> bool:
    try:
        reader, writer = await asyncio.open_connection(settings.intake_host, settings.intake_port)
    except OSError:
        return False
    writer.write(b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return b" 200 " in answer[:20]


async def _stored(settings: Settings) -> int:
    nc = await streams.connect(settings.broker, reconnects=False)
    info = await nc.jetstream().stream_info(INTAKE_STREAM)
    await nc.close()
    return int(info.state.messages)


def _apart(what: str, arguments: Path, messages: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.intake", "--messages", str(messages), f"--{what}", str(arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _message(n: int) -> bytes:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_767_225_600 + n))
    measures = {"powerState": "on", "activePower": 30 + n % 97 / 8, "voltage": 228 + n % 31 / 8, "energy": n / 4}
    attributes = {name: {"type": "Property", "value": value, "observedAt": at} for name, value in measures.items()}
    return json.dumps({"id": f"urn:ngsi-ld:Streetlight:{n % 500:05d}", "type": "Streetlight", **attributes}).encode()


async def _measured(sends: list[Any], messages: int) -> dict[str, Any]:
    """Let each connection send its share, one message after the other."""
    sequences: list[int] = []
    waits: list[float] = []

    async def share(first: int, send: Any) -> None:
        for n in range(first, messages, len(sends)):
            begun = time.perf_counter()
            sequences.append(await send(n))
            waits.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(share(first, send) for first, send in enumerate(sends)))
    took = time.perf_counter() - begun
    waits.sort()
    return {
        "per_s": round(messages / took),
        "p50_ms": round(waits[len(waits) // 2] * 1000, 1),
        "p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 1),
        "sequences": sequences,
    }


async def _over_http(host: str, port: int, passwords: dict[str, str], messages: int) -> dict[str, Any]:
    async def connection(number: int) -> Any:
        feed = _feeds()[number % _FEEDS]
        reader, writer = await asyncio.open_connection(host, port)
        head = (
            f"POST /ingest/{feed} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {passwords[feed]}\r\n"
            "Content-Type: application/ld+json\r\nX-Partition-Key: {key}\r\nContent-Length: {length}\r\n\r\n"
        )

        async def send(n: int) -> int:
            body = _message(n)
            writer.write(head.format(key=n % 500, length=len(body)).encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
            said = await reader.readexactly(length)
            if " 202 " not in answer.splitlines()[0]:
                raise RuntimeError(f"{answer.splitlines()[0]} {said!r}")
            return int(json.loads(said)["sequence"])

        return send

    return await _measured([await connection(n) for n in range(CONNECTIONS)], messages)


async def _bare(broker: Any, messages: int) -> dict[str, Any]:
    connections = [await streams.connect(broker, reconnects=False) for _ in range(CONNECTIONS)]

    def publishing(number: int) -> Any:
        js, feed = connections[number].jetstream(timeout=60), _feeds()[number % _FEEDS]

        async def send(n: int) -> int:
            return int((await js.publish(f"{HTTP_ROOT}.{feed}.{n % 500}", _message(n))).seq)

        return send

    found = await _measured([publishing(n) for n in range(CONNECTIONS)], messages)
    for nc in connections:
        await nc.close()
    return found


def main() -> None:
    """Run the benchmark, or one of its clients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    for what in ("http", "bare"):
        parser.add_argument(f"--{what}")
    words = parser.parse_args()
    if words.http or words.bare:
        broker, host, port, passwords = pickle.loads(Path(words.http or words.bare).read_bytes())  # noqa: S301 - written by this benchmark
        client = _over_http(host, port, passwords, words.messages) if words.http else _bare(broker, words.messages)
        print(json.dumps(asyncio.run(client)))
    else:
        print(json.dumps(run(words.messages)))


if __name__ == "__main__":
    main()
