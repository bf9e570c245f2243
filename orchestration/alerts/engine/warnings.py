"""Warnings of authorities (CAP), from the rows of their messages to what is in force where.

Here: gathering the rows of a message, updates, cancellations, onset and expiry. Not here: reading CAP (`ingestion.formats.cap`), which
events and areas a rule is about, alarms (the engine).

A message comes as one `Observed` for each row (docs/formats/cap.md). It is complete when the clock has passed its `published_at`: then
its rows count at once, so that an update is one step and never an end and a beginning.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.alerts.model import Observed


@dataclass(frozen=True, slots=True)
class WarningState:
    """What is in force of one hazard in one area, from an instant on.

    Attributes:
        at: from when on: the message's `published_at`, or when the onset came near, or the expiry. Never earlier than the last of the key.
        feed, source, area, event: which: `area` is the asset_ref, `event` the hazard (`wind`).
        level: 1 to 4 (severity); 0 when nothing is in force.
        was_active: whether something was in force before: then this is an update (or the end, when the level is 0).
        cancelled: at level 0, whether a message ended it (and not its expiry).
        headline, instruction, description, label, sender_name, web: texts of the alert, None where it has none; `label` is its own word for
            the event.
        onset, expires: of the period told, microseconds since 1970; at level 0, of the last one.
        message_ids: the alerts it stands on, in order; at level 0, of the last ones.
    """

    at: int
    feed: str
    source: str
    area: str
    event: str
    level: int
    was_active: bool
    cancelled: bool = False
    headline: str | None = None
    instruction: str | None = None
    description: str | None = None
    label: str | None = None
    sender_name: str | None = None
    web: str | None = None
    onset: int = 0
    expires: int = 0
    message_ids: tuple[str, ...] = ()


class Warnings:
    """What one rule sees of warnings. Args of the class: from which `level` on, how long `ahead_us` of its onset one is told."""

    def __init__(self, level: int, ahead_us: int) -> None:
        self.level, self.ahead_us = level, ahead_us

    def take(self, row: Observed) -> list[WarningState]:
        """Take a row, in stream order; return what changed by messages complete before it. Rows that are no warning's change nothing."""
        raise NotImplementedError

    def advance(self, now: int) -> list[WarningState]:
        """Return what changed until `now`, in order: complete messages, onsets that came near, expiries."""
        raise NotImplementedError

    @property
    def next_due(self) -> int | None:
        """When `advance` has something to do next."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """Return the state, rows of a message still incomplete included."""
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, body: bytes, level: int, ahead_us: int) -> Warnings:
        """Return the state as it was saved."""
        raise NotImplementedError
