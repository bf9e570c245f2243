"""The stream into the lake, against the same client draining and decoding the same stream without storing: `python -m bench.stream`.

Each round publishes messages of its own (NGSI-LD, four properties each, 500 topics) into the broker's durable stream, then lets 1, 2
or 4 processes read all partitions: once through durables of their own that decode and acknowledge, once as the product does it (rows,
originals, rejects, duplicates, ledger, cursor, acknowledgement). A process's clock runs from its first pull to its last
acknowledgement, connections included. Alternately, so that both meet the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.machine import instance, peak_memory_mb
from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed
from ingestion.formats.registry import decoder_for
from ingestion.formats.wire import WireBatch
from ingestion.lake.session import connect
from ingestion.mapping.decoded import options_of
from ingestion.stream import broker as streams
from ingestion.stream.messages import BATCH_MESSAGES, Durable, acknowledge
from ingestion.stream.names import HTTP_ROOT, PARTITIONS, STREAMS, Broker
from ingestion.stream.partition import Pace, read_partitions
from orchestration.services import nats_server
from orchestration.services.declared import script
from orchestration.settings import Settings

MESSAGES: Final = 200_000
PROCESSES: Final = (1, 2, 4)
MIN_RATIO: Final = 0.6
MAX_MEMORY_MB: Final = 600.0
_TOPICS: Final = 500
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
territory: {{code: bench, name: Banc, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}}
time_zone: UTC
connector: {{type: stream, topics: [bench/+]}}
format: {{type: ngsi}}
"""


def run(messages: int = MESSAGES) -> dict[str, Any]:
    """Measure, and return rates in messages per second, their ratios, and the greatest memory of a process in MB."""
    rounds = []
    with instance() as (settings, folder):
        (settings.feeds_path / f"{_FEED}.yaml").write_text(_CONTRACT, encoding="utf-8")
        feed = load_feed(settings.feeds_path / f"{_FEED}.yaml")
        with _broker(settings):
            for number, processes in enumerate(PROCESSES):
                asyncio.run(_publish(settings.broker, messages, number))
                arguments = folder / f"round-{number}.pickle"
                arguments.write_bytes(pickle.dumps((settings.broker, settings.lake, settings.personal_lake, feed)))
                drain = _together("drain", arguments, processes)
                store = _together("store", arguments, processes)
                rounds.append(_round(processes, messages, drain, store))
            with connect(settings.lake, read_only=True) as con:
                stored = con.execute("SELECT count(*), count(DISTINCT stream_seq), sum(records) FROM lake.raw.message").fetchall()[0]
    wanted = messages * len(PROCESSES)
    return {"messages": messages, "rounds": rounds, "each_once": [int(n) for n in stored] == [wanted] * 3}


def _round(processes: int, messages: int, drain: list[dict[str, Any]], store: list[dict[str, Any]]) -> dict[str, Any]:
    drained, stored = (messages / (max(p["until"] for p in of) - min(p["since"] for p in of)) for of in (drain, store))
    return {
        "processes": processes,
        "drained_per_s": round(drained),
        "stored_per_s": round(stored),
        "rows_per_s": round(stored * 4),
        "ratio": round(stored / drained, 2),
        "memory_mb": round(max(p["memory_mb"] for p in store)),
    }


@contextlib.contextmanager
def _broker(settings: Settings) -> Iterator[None]:
    nats_server.refresh(settings, reload=False)
    with (settings.logs_path / "nats.log").open("ab") as log:
        process = subprocess.Popen(
            [script("nats-server"), "--config", str(nats_server.configuration_file(settings))], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 30
        while nats_server.health(settings) is not None:
            if time.monotonic() > deadline:
                raise RuntimeError((settings.logs_path / "nats.log").read_text()[-2000:])
            time.sleep(0.05)
        asyncio.run(_durables(settings.broker))
        nats_server.open_doors(settings)
        yield
    finally:
        process.terminate()
        process.wait(30)


async def _durables(at: Broker) -> None:
    nc = await streams.connect(at, reconnects=False)
    await streams.ensure(nc, consumers=("lake", _BASELINE), ack_wait_s=600.0)
    await nc.close()


async def _publish(at: Broker, messages: int, number: int) -> None:
    nc = await streams.connect(at, reconnects=False)
    js = nc.jetstream(timeout=60)
    start = 1_767_225_600 + number * 1_000_000

    async def some(first: int, last: int) -> None:
        for n in range(first, last):
            await js.publish(f"{HTTP_ROOT}.{_FEED}.l{n % _TOPICS}", _message(n, start + n // _TOPICS * 900))

    share = -(-messages // 64)
    await asyncio.gather(*(some(i, min(i + share, messages)) for i in range(0, messages, share)))
    await nc.close()


def _message(n: int, epoch: int) -> bytes:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    entity = {
        "id": f"urn:ngsi-ld:Streetlight:{n % _TOPICS}",
        "type": "Streetlight",
        "status": {"type": "Property", "value": "ok", "observedAt": at},
        "powerState": {"type": "Property", "value": "on", "observedAt": at},
        "current": {"type": "Property", "value": 0.2 + n % 97 / 1000, "unitCode": "AMP", "observedAt": at},
        "illuminanceLevel": {"type": "Property", "value": n % 100 / 100, "observedAt": at},
    }
    return json.dumps(entity, separators=(",", ":")).encode()


def _together(what: str, arguments: Path, processes: int) -> list[dict[str, Any]]:
    shares = [list(range(PARTITIONS))[i::processes] for i in range(processes)]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.stream", f"--{what}", str(arguments), ",".join(map(str, share))],
            stdout=subprocess.PIPE,
            text=True,
        )
        for share in shares
    ]
    found = []
    for process in running:
        output, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"a process that was to {what} ended with {process.returncode}")
        found.append(json.loads(output.splitlines()[-1]))
    return found


async def _drain(at: Broker, feed: Feed, partitions: list[int]) -> int:
    """Pull, decode and acknowledge what waits, through the baseline's own durables."""
    nc = await streams.connect(at)
    decode, options = decoder_for(feed.format.type), options_of(feed)
    done = 0
    for partition in partitions:
        for stream in STREAMS:
            durable = Durable(nc, stream, _BASELINE, partition)
            await durable.open()
            while messages := await durable.pull(messages=BATCH_MESSAGES):
                batch, after = WireBatch(), 0
                gc.disable()  # as the product does
                for m in messages:
                    after += decode(m.payload, batch, after=after, received_at=m.published_at_us, options=options)
                gc.enable()
                await acknowledge(nc, messages)
                done += len(messages)
    await nc.close()
    return done


def _measured(what: str, path: str, share: str) -> dict[str, Any]:
    at, lake, personal, feed = pickle.loads(Path(path).read_bytes())  # noqa: S301 - written by this benchmark
    partitions = [int(p) for p in share.split(",")]
    # Warm: the first use of Arrow and of the decoder costs a second, once in the life of a process.
    decoder_for(feed.format.type)(_message(0, 0), WireBatch(), after=0, received_at=0, options=options_of(feed))
    since = time.time()
    if what == "drain":
        messages = asyncio.run(_drain(at, feed, partitions))
    else:
        messages = read_partitions(at, lake, personal, lambda: {feed.feed: feed}, partitions, pace=ONCE_ALL).messages
    return {"since": since, "until": time.time(), "messages": messages, "memory_mb": peak_memory_mb(), "pid": os.getpid()}


# The backlog of a bench is no sign of falling behind.
ONCE_ALL: Final = Pace(land_every_s=0.0, idle_for_s=0.0, too_many=10**9)


def main() -> None:
    """Run the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    for what in ("drain", "store"):
        parser.add_argument(f"--{what}", nargs=2)
    words = parser.parse_args()
    if words.drain:
        print(json.dumps(_measured("drain", *words.drain)))
    elif words.store:
        print(json.dumps(_measured("store", *words.store)))
    else:
        print(json.dumps(run(words.messages)))


if __name__ == "__main__":
    main()
