"""The broker's own configuration: who may connect, what their topics become, its bounds.

Here: the configuration as a pure function of feeds and passwords, and which feeds cannot stand together. Not here: the file of
an instance and the running broker (`nats_server`), its streams (`ingestion.stream.broker`).

The file is JSON, which the broker reads as its own language. It holds passwords: mode 600.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ingestion.stream.names import ACCOUNT, ALERTS_ROOT, HTTP_ROOT, LANDED_ROOT, PARTITIONS, PLATFORM_USER, SUBJECT_ROOT, topic_subject
from orchestration.services import ports

# A notification of a thousand entities is 2 MiB; more in one message is a file, and belongs to `vigie ingest`.
MAX_BODY: Final = 8 * 1024 * 1024
# ... and room for what the broker counts with it: headers.
_MAX_PAYLOAD: Final = MAX_BODY + 64 * 1024
# Streams are on disk; memory is for what the broker keeps for itself.
_MEMORY: Final = 64 * 1024 * 1024
CERTIFICATE: Final = "cert.pem"
KEY: Final = "key.pem"
# Who may ask the broker to read its configuration again; same password as the platform's user.
ADMIN_USER: Final = "vigie-admin"
# In a topic: what the broker's language takes for its own, even between quotes.
_NOT_IN_TOPICS: Final = re.compile(r'["\\{}$]|[^\S ]')
# First topic levels that are the platform's own.
RESERVED: Final = frozenset({SUBJECT_ROOT, HTTP_ROOT, LANDED_ROOT, ALERTS_ROOT})


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
    monitor_host: str = ports.LOOPBACK


def configuration(
    *,
    store: Path,
    listens: Listens,
    password: str,
    users: Iterable[StreamUser],
    max_bytes: int,
    sync_interval: str,
    tls: Path | None = None,
) -> dict[str, Any]:
    """Return the broker's configuration.

    Args:
        store: folder of its streams.
        listens: where it listens.
        password: the platform's.
        users: the feeds that may publish; their filters must not overlap between feeds (`conflicts`).
        max_bytes: what its streams may take of the disk.
        sync_interval: how often what was written is forced to the disk: a duration (`1s`), or `always`.
        tls: folder of `cert.pem` and `key.pem`, with which MQTT speaks TLS only; without, it is not encrypted.
    """
    listed = sorted(users, key=lambda user: user.feed)
    mapped = {source: destination for user in listed for source, destination in mappings(user.feed, user.topics).items()}
    jetstream = {"store_dir": str(store), "max_file_store": max_bytes, "max_memory_store": _MEMORY, "sync_interval": sync_interval}
    return {
        "server_name": "vigie",
        "listen": f"{listens.host}:{listens.nats}",
        "http": f"{listens.monitor_host}:{listens.monitor}",
        "max_payload": _MAX_PAYLOAD,
        # Equipment that goes away without a word is forgotten after two missed pings.
        "ping_interval": "30s",
        "jetstream": jetstream,
        # QoS 2 is refused: the broker recognises repetitions by the packet's number alone, which two devices share within minutes.
        "mqtt": {"listen": f"{listens.host}:{listens.mqtt}", "reject_qos2_publish": True} | _tls(tls),
        "system_account": "SYS",
        "accounts": {
            "SYS": {"users": [{"user": ADMIN_USER, "password": password}]},
            ACCOUNT: {
                "jetstream": {"max_file": max_bytes, "max_memory": _MEMORY},
                "users": [{"user": PLATFORM_USER, "password": password}, *(_user(user) for user in listed)],
                # What is sent to our own subjects past the mapping would choose its partition, or none that is read.
                "mappings": {f"{SUBJECT_ROOT}.>": "refused.>"} | mapped,
            }
        },
    }  # fmt: skip


def _tls(folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {}
    # Nothing else: the broker takes a certificate while it runs, but not another bound on the handshake (its own is two seconds).
    return {"tls": {"cert_file": str(folder / CERTIFICATE), "key_file": str(folder / KEY)}}


def text(document: Mapping[str, Any]) -> str:
    """Return a configuration as the broker reads it: JSON, but for escapes of letters, which it does not know."""
    return json.dumps(document, ensure_ascii=False, indent=1)


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


def conflicts(feeds: Mapping[str, Sequence[str]], *, first: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
    """Return the feeds that cannot be let in beside the others, and why.

    Args:
        feeds: MQTT topic filters by feed.
        first: what is in force: between two feeds that overlap, the one that was there stays; else the first by name.
    """
    in_force = {name: list(topics) for name, topics in (first or {}).items()}
    refused: dict[str, str] = {}
    accepted: list[str] = []
    for feed in sorted(feeds, key=lambda name: (in_force.get(name) != list(feeds[name]), name)):
        why = _reserved(feed, feeds[feed]) or next((w for other in accepted if (w := _clash(feed, other, feeds))), None)
        if why is None:
            accepted.append(feed)
        else:
            refused[feed] = why
    return refused


def _reserved(feed: str, topics: Sequence[str]) -> str | None:
    if feed in (PLATFORM_USER, ADMIN_USER):
        return f"feed {feed} is not let in: the name is the platform's own user in the broker; rename the feed"
    for topic in topics:
        if topic.split("/")[0] in RESERVED:
            return f"feed {feed} is not let in: its topic {topic} begins with a name of the platform's own ({', '.join(sorted(RESERVED))})"
        if _NOT_IN_TOPICS.search(topic) or not topic.isprintable():
            return f"feed {feed} is not let in: its topic {topic!r} holds a character that the broker's configuration cannot"
    return None


def _clash(feed: str, other: str, feeds: Mapping[str, Sequence[str]]) -> str | None:
    for topic in feeds[feed]:
        for theirs in feeds[other]:
            if overlap(topic, theirs):
                return f"feed {feed} is not let in: its topic {topic} overlaps {theirs} of feed {other}; a message could be either's"
    return None


def overlap(one: str, other: str) -> bool:
    """Return whether some topic matches both MQTT filters.

    >>> overlap("lights/+/state", "lights/7/#"), overlap("lights/#", "lights"), overlap("lights/+", "lights/7/state")
    (True, True, False)
    """
    return _meet(one.split("/"), other.split("/"))


def _meet(one: list[str], other: list[str]) -> bool:
    if one[:1] == ["#"] or other[:1] == ["#"] or not (one or other):
        return True  # what follows, the level above included
    if not one or not other:
        return False
    return (one[0] == other[0] or "+" in (one[0], other[0])) and _meet(one[1:], other[1:])
