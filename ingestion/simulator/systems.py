"""A system of the territory that speaks: one feed, from its equipment to its messages.

Here: the shape that every system has. Not here: any of them (`SYSTEMS` in `ingestion.simulator.town` lists them), sending (`live`),
answering (`served`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import pyarrow as pa


class Message(NamedTuple):
    """One message a system sends by itself.

    Attributes:
        sent_at: when, seconds since 1970.
        feed: by which feed.
        topic: to which MQTT topic; None over HTTP.
        payload: its bytes.
        path: over HTTP, what follows the intake's address when it is not `/ingest/FEED` (a query, another path), feed included.
        content_type: over HTTP.
        headers: over HTTP, more of them.
    """

    sent_at: int
    feed: str
    topic: str | None
    payload: bytes
    path: str | None = None
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Scene(NamedTuple):
    """What one asset of a system goes through, as it happened: a row of the truth's `equipment` table.

    Attributes:
        feed, asset_ref: who.
        kind: `failure`, `communication-lost`, or another word of the system's own (`flooded`, `full`, `too-hot`).
        started, ended: as it happened, seconds since 1970; `ended` past the span is what it will be.
        told_from, told_until: the first message that says so, the first that says again that all is well; None where none does.
        scenario: the scenario it belongs to; None for what happens by itself.
    """

    feed: str
    asset_ref: str
    kind: str
    started: int
    ended: int
    told_from: int | None
    told_until: int | None
    scenario: str | None = None


class System(Protocol):
    """One feed of the territory. A pure function of the world: any window alone, and two windows that meet agree."""

    @property
    def feed(self) -> str:
        """Return the feed that it is."""
        ...

    @property
    def contract(self) -> str:
        """Return the contract that its rows follow."""
        ...

    def inventory(self) -> list[dict[str, object]]:
        """Return its equipment, as rows of contract `asset` (keys are columns; instants are seconds since 1970)."""
        ...

    def messages(self, start: int, end: int) -> Iterator[Message]:
        """Yield what it sends by itself in [start, end), in order; nothing for a system that is asked (`served`) or writes files."""
        ...

    def tables(self, start: int, end: int) -> Iterator[pa.Table]:
        """Yield the canonical rows that what is told in [start, end) must become, in the order it is told (columns of its contract)."""
        ...

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield what its equipment goes through in [start, end)."""
        ...
