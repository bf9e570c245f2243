"""What waits for the clock, in the order in which it is due.

Here: one heap for all that waits. Not here: what happens when it is due (`fire` of its owner).
"""

from __future__ import annotations

import heapq
from typing import Final, Protocol

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND


class Owner(Protocol):
    """Who waits: until `due`, microseconds since 1970; None when it waits no more."""

    due: int | None

    def fire(self, now: int) -> None:
        """Do what is due; `now` is the instant it was due at, or the clock's if it was due before."""
        ...


class Timers:
    """Owners by their instants; of equal instants, by name: so the order does not depend on when each began to wait.

    An owner that changes its mind sets its own `due` and is added anew: the old entry is passed over when it comes up.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, int, Owner]] = []
        self._count = 0

    def add(self, due: int, name: str, owner: Owner) -> None:
        """Let an owner wait. `name` is its own, and the same after a restart."""
        owner.due = due
        self._count += 1
        heapq.heappush(self._heap, (due, name, self._count, owner))

    @property
    def next_due(self) -> int | None:
        """When the first is due."""
        heap = self._heap
        while heap and heap[0][3].due != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop(self, now: int) -> tuple[int, Owner] | None:
        """Return the first that is due at or before `now`, with its instant, and let it wait no more."""
        due = self.next_due
        if due is None or due > now:
            return None
        owner = heapq.heappop(self._heap)[3]
        owner.due = None
        return due, owner
