"""What systems that are asked share: an answer, and rows as Arrow has them.

Here: shapes. Not here: any system (`rivers`, `weather`, `buses`…), the server that hands their answers over (`served`).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa

from ingestion.contracts.canonical import CONTRACTS
from ingestion.simulator.troubles import Law, Trouble, everyday, in_storms
from ingestion.simulator.world import World

_US: Final = 1_000_000
_ARROW: Final = {
    "VARCHAR": pa.string(),
    "DOUBLE": pa.float64(),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
}
JSON: Final = "application/json"
GEOJSON: Final = "application/geo+json"
PROTOBUF: Final = "application/x-protobuf"


class Answer(NamedTuple):
    """What a system answers: its bytes, what they are, the HTTP status."""

    body: bytes
    content_type: str = JSON
    status: int = 200


class Question(NamedTuple):
    """What it is asked.

    Attributes:
        path: below the system's address, without a slash at its ends.
        query: parameters.
        url: the whole address without parameters, for links to further pages.
        now: when, seconds since 1970.
    """

    path: str
    query: Mapping[str, str]
    url: str
    now: int


class Asked(Protocol):
    """A system that is asked; a pure function of the world and the question.

    Attributes:
        feed: its feed.
        every: how often its contract asks, seconds.
    """

    feed: str
    every: int

    def answer(self, question: Question) -> Answer | None:
        """Return what it answers; None where it has no such address."""
        ...


class Dropped(Protocol):
    """A system that leaves files.

    Attributes:
        feed: its feed.
        folder: where, below the simulation's folder.
    """

    feed: str
    folder: str

    def files(self, start: int, end: int) -> Iterable[tuple[str, bytes]]:
        """Yield the name and bytes of each file that is left in [start, end), in order."""
        ...


def silent(world: World, feed: str, count: int, laws: Sequence[Law], start: int, end: int) -> dict[int, list[Trouble]]:
    """Return when each asset of a feed is in trouble within [start, end), storms included, by its number."""
    found: dict[int, list[Trouble]] = defaultdict(list)
    for t in (*everyday(world, feed, count, laws, start, end), *in_storms(world, feed, count, laws, start, end)):
        found[t.asset].append(t)
    return found


def to_json(document: Any) -> bytes:
    """Return a document as compact JSON in UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def refuse(why: str, status: int = 400) -> Answer:
    """Return an answer that refuses a question."""
    return Answer(to_json({"message": why}), status=status)


def to_cursor(*numbers: int) -> str:
    """Return an opaque cursor of a page to come."""
    return base64.urlsafe_b64encode(",".join(map(str, numbers)).encode()).decode()


def from_cursor(text: str, count: int) -> list[int] | None:
    """Return the numbers of a cursor; None where it is none of ours."""
    try:
        numbers = [int(n) for n in base64.urlsafe_b64decode(text).decode().split(",")]
    except (binascii.Error, ValueError):
        return None
    return numbers if len(numbers) == count else None


def rows_table(contract: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a table of all columns of a contract; instants are seconds since 1970, what a row does not name is NULL."""
    columns = {}
    for name, kind in CONTRACTS[contract].columns.items():
        values = [row.get(name) for row in rows]
        if kind == "TIMESTAMPTZ":
            values = [None if v is None else round(v * _US) for v in values]
        columns[name] = pa.array(values, _ARROW[kind])
    return pa.table(columns)
