"""The broker's own configuration: who may connect, what their topics become, its bounds.

Here: the configuration as a pure function of contracts and secrets; keeping the file of an instance up to date and telling the
broker. Not here: its streams (`ingestion.stream.broker`), its life (`supervisor`).

The file is JSON, which the broker reads as its own language. It holds passwords: mode 600.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ingestion.stream.names import ACCOUNT, HTTP_ROOT, PARTITIONS, PLATFORM_USER, SUBJECT_ROOT, topic_subject
from orchestration.services import ports

# A notification of a thousand entities is 2 MiB; more in one message is a file, and belongs to `vigie ingest`.
MAX_PAYLOAD: Final = 8 * 1024 * 1024
# Streams are on disk; memory is for what the broker keeps for itself.
_MEMORY: Final = 64 * 1024 * 1024
# First topic levels that are the platform's own.
RESERVED: Final = frozenset({SUBJECT_ROOT, HTTP_ROOT})


@dataclass(frozen=True)
class StreamUser:
    """A stream feed as the broker sees it: a user, and the MQTT topic filters it publishes to."""

    feed: str
    password: str
    topics: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"StreamUser(feed={self.feed!r}, topics={self.topics!r})"


@dataclass(frozen=True)
class Listens:
    """Where the broker listens: one host, a port for each language."""

    nats: int
    mqtt: int
    monitor: int
    host: str = ports.LOOPBACK


def configuration(
    *, store: Path, listens: Listens, password: str, users: Iterable[StreamUser], max_bytes: int, sync_interval: str
) -> dict[str, Any]:
    """Return the broker's configuration.

    Args:
        store: folder of its streams.
        listens: where it listens.
        password: the platform's.
        users: the feeds that may publish; their filters must not overlap between feeds (`conflicts`).
        max_bytes: what its streams may take of the disk.
        sync_interval: how often what was written is forced to the disk: a duration (`1s`), or `always`.
    """
    listed = sorted(users, key=lambda user: user.feed)
    mapped = {source: destination for user in listed for source, destination in mappings(user.feed, user.topics).items()}
    jetstream = {"store_dir": str(store), "max_file_store": max_bytes, "max_memory_store": _MEMORY, "sync_interval": sync_interval}
    return {
        "server_name": "vigie",
        "listen": f"{listens.host}:{listens.nats}",
        "http": f"{ports.LOOPBACK}:{listens.monitor}",
        "max_payload": MAX_PAYLOAD,
        # Equipment that goes away without a word is forgotten after two missed pings.
        "ping_interval": "30s",
        "jetstream": jetstream,
        # QoS 2 is refused: the broker recognises repetitions by the packet's number alone, which two devices share within minutes.
        "mqtt": {"listen": f"{listens.host}:{listens.mqtt}", "reject_qos2_publish": True},
        "accounts": {
            ACCOUNT: {
                "jetstream": {"max_file": max_bytes, "max_memory": _MEMORY},
                "users": [{"user": PLATFORM_USER, "password": password}, *(_user(user) for user in listed)],
                # What is sent to our own subjects past the mapping would choose its partition, or none that is read.
                "mappings": {f"{SUBJECT_ROOT}.>": "refused.>"} | mapped,
            }
        },
    }  # fmt: skip


def _user(user: StreamUser) -> dict[str, Any]:
    permissions = {"publish": [f"{SUBJECT_ROOT}.*.{user.feed}.>"], "subscribe": {"deny": [">"]}}
    return {"user": user.feed, "password": user.password, "permissions": permissions}


def mappings(feed: str, topics: Sequence[str]) -> dict[str, str]:
    """Return what a feed's subjects are mapped to. The partition is a hash of the whole topic.

    >>> mappings("lights", ["cab/+/lamp"])["cab.*.lamp"]
    'in.{{partition(4)}}.lights.cab.{{wildcard(1)}}.lamp'
    """
    sources = [f"{HTTP_ROOT}.{feed}.>"]
    for topic in topics:
        sources.append(topic_subject(topic))
        if topic.endswith("/#"):  # MQTT's # stands for the level above too
            sources.append(topic_subject(topic.removesuffix("/#")))
    root = f"{SUBJECT_ROOT}.{{{{partition({PARTITIONS})}}}}.{feed}."
    return {source: root + (_destination(source) if i else f"{HTTP_ROOT}.>") for i, source in enumerate(sources)}


def _destination(source: str) -> str:
    levels, wildcards = source.split("."), 0
    for i, level in enumerate(levels):
        if level == "*":
            wildcards += 1
            levels[i] = f"{{{{wildcard({wildcards})}}}}"
    return ".".join(levels)
