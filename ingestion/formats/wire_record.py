"""Records of JSON members, one to one row: what their decoders share.

Here: refusing a record, setting a value of it aside, its texts and instants. Not here: which member fills which column.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from ingestion.formats.wire import WireBatch
from ingestion.formats.wire_json import QUOTED_BYTES
from ingestion.formats.wire_local import local_instant
from ingestion.formats.wire_values import to_json

Row = TypeVar("Row")
# Values set aside of one record: reason, and what people are told.
Aside = list[tuple[str, str]]
REASONS: Final[dict[str, str]] = {
    "not_an_instant": "is no ISO 8601 instant, or no local time that exists in the feed's zone",
    "invalid_value": "is no text",
    "invalid_position": "is no position in WGS84",
}
_QUOTED: Final = 100


class Refused(Exception):
    """A record that cannot be stored; the arguments are the reason and what people are told."""


def read_record(record: dict[str, Any], position: int, batch: WireBatch, rows: list[Row], make: Callable[[Aside], Row]) -> None:
    """Append the row that `make` returns, and what it set aside; or why there is none."""
    aside: Aside = []
    try:
        row = make(aside)
    except Refused as error:
        reason, detail = error.args
        batch.reject(position, reason, detail, to_json(record)[:QUOTED_BYTES])
        return
    rows.append(row)
    for reason, detail in aside:
        batch.reject(position, reason, detail, to_json(record)[:QUOTED_BYTES], scope="value")


def text_of(members: dict[str, Any], name: str, aside: Aside) -> str | None:
    """Return a member's text, stripped; None where it is empty, absent, or set aside."""
    value = members.get(name)
    if type(value) is str:
        return value.strip() or None
    if value is None:
        return None
    if type(value) is int:
        return str(value)
    aside.append(("invalid_value", f"{name}: {REASONS['invalid_value']}"))
    return None


def no_instant(name: str, written: Any) -> tuple[str, str]:
    """Return why a member is no instant, and what people are told."""
    return "not_an_instant", f"{name} {to_json(written)[:_QUOTED]} {REASONS['not_an_instant']}"


def instant_or_aside(members: dict[str, Any], name: str, zone: str, aside: Aside) -> int | None:
    """Return a member's instant, microseconds since 1970; None where it is absent, empty, or set aside."""
    written = members.get(name)
    if written is None or written == "":
        return None
    found = local_instant(written, zone) if type(written) is str else None
    if found is None:
        aside.append(no_instant(name, written))
    return found
