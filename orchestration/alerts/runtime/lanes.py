"""The order in which messages of several durables are taken, and the two lanes in which they are decoded.

Here: merging by time, what a mapped batch holds back, how far each lane is. Not here: reading (`ingestion.stream.ordered`), decoding
(`decoding`), the engine.

A message is taken when no durable can hold an earlier one: each has something that waits, or is drained. So a backlog is judged by its
own time, whatever partition comes first.

Lane `fast`: decoded at once. Lane `mapped`: in batches, in a thread. Live, a mapped batch holds up nothing. In a backlog the fast
lane stays near it: its clock must not run hours ahead of what mapped equipment has said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ingestion.stream.ordered import Arrived, Ordered
from orchestration.alerts.runtime.writing import Cursor

FAST: Final = "fast"
MAPPED: Final = "mapped"
# In a backlog the fast lane is at most so far ahead of the mapped one: less than any delay of a rule that matters.
_APART_US: Final = 2_000_000
# Later than this is a backlog; live messages take milliseconds.
_BEHIND_US: Final = 5_000_000
# Messages that wait for the mapped lane: 5,000 of 2 kB.
MAPPED_FULL: Final = 5_000


@dataclass
class Lane:
    """One durable and how far it is.

    Attributes:
        durable: what is read.
        saved: by lane, the message up to which everything is in the saved state.
        taken: the last message taken.
        mapped: messages that the mapped lane holds, in order.
    """

    durable: Ordered
    saved: dict[str, int]
    taken: int = 0
    mapped: deque[int] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.taken = max(self.taken, min(self.saved.values()))

    def cursors(self) -> dict[Cursor, int]:
        """Return up to which message each lane has been taken."""
        durable = self.durable
        mapped = self.mapped[0] - 1 if self.mapped else self.taken
        return {
            (durable.stream, durable.partition, FAST): max(self.taken, self.saved[FAST]),
            (durable.stream, durable.partition, MAPPED): max(mapped, self.saved[MAPPED]),
        }


class Lanes:
    """All durables together. Args of the class: them."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes
        self.mapped: deque[tuple[Lane, Arrived]] = deque()
        self.in_work: Sequence[tuple[Lane, Arrived]] = ()

    def next(self, now: int) -> tuple[Lane, Arrived] | None:
        """Return the message to take, if there is one now; `now` is the clock, microseconds since 1970."""
        best: Lane | None = None
        for lane in self.lanes:
            waiting = lane.durable.waiting
            if waiting:
                if best is None or waiting[0].published_at < best.durable.waiting[0].published_at:
                    best = lane
            elif not lane.durable.is_drained:
                return None
        if best is None or len(self.mapped) >= MAPPED_FULL:
            return None
        at = best.durable.waiting[0].published_at
        if now - at > _BEHIND_US and (oldest := self.oldest_mapped) is not None and at - oldest > _APART_US:
            return None
        return best, best.durable.waiting.popleft()

    @property
    def oldest_mapped(self) -> int | None:
        """When the oldest message was published that the mapped lane holds; None when it holds none."""
        if self.in_work:
            return self.in_work[0][1].published_at
        return self.mapped[0][1].published_at if self.mapped else None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits, as far as the broker has said."""
        return all(lane.durable.is_drained and not lane.durable.waiting for lane in self.lanes)

    @property
    def waiting(self) -> int:
        """How many messages wait here and in the broker."""
        here = sum(len(lane.durable.waiting) for lane in self.lanes) + len(self.mapped) + len(self.in_work)
        return here + sum(lane.durable.pending for lane in self.lanes)

    def hold(self, lane: Lane, message: Arrived) -> None:
        """Give a message to the mapped lane."""
        lane.mapped.append(message.seq)
        self.mapped.append((lane, message))

    def batch(self, most: int) -> list[Arrived]:
        """Take a batch of the mapped lane into work."""
        self.in_work = [self.mapped.popleft() for _ in range(min(most, len(self.mapped)))]
        return [message for _, message in self.in_work]

    def done(self) -> None:
        """The batch in work has been taken."""
        for lane, _ in self.in_work:
            lane.mapped.popleft()
        self.in_work = ()
