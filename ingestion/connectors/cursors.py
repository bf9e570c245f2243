"""Cursors: how far a source has been read, and what to ask for next.

Here: comparing and shifting cursor values. Not here: keeping them (they are committed with the landing).

A value is an instant, a number or a text; whichever it is, it is kept in the ledger as the source wrote it.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any, Final

from ingestion.connectors.model import Cursor
from ingestion.errors import WrongUse
from ingestion.feeds.model import Incremental

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
KEY: Final = "last"

Value = dt.datetime | dt.date | Decimal | str


def parse(written: Any) -> Value | None:
    """Return a cursor value that compares: an instant, a date, a number, else a text; `None` for nothing."""
    if written is None or written == "":
        return None
    if isinstance(written, dt.datetime | dt.date | Decimal):
        return written
    if isinstance(written, int | float) and not isinstance(written, bool):
        return Decimal(str(written))
    text = str(written)
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    for kind in (dt.date, dt.datetime):
        try:
            return kind.fromisoformat(text)
        except ValueError:
            continue
    return text


class Progress:
    """The cursor of one fetch: where it starts, and the furthest value seen.

    Attributes:
        since: the value to ask from: the last one committed (or the initial one), lag taken off.
        since_text: `since` as it is sent: as it was written when there is no lag, else ISO 8601 (Z for UTC).

    Raises:
        WrongUse: the initial value is empty, or a lag is declared on a cursor that is no instant.
    """

    def __init__(self, incremental: Incremental, cursor: Cursor | None) -> None:
        self._incremental = incremental
        self._written: str = str(cursor[KEY]) if cursor and KEY in cursor else incremental.initial
        self._last = parse(self._written)
        self.since = self._start()
        self.since_text = self._start_text()

    def _start(self) -> Value:
        value, lag = self._last, self._incremental.lag
        if value is None:
            raise WrongUse(
                "connector.incremental.initial: it is empty", remedy="state where reading starts, for instance 2024-01-01T00:00:00Z"
            )
        if not lag:
            return value
        if isinstance(value, Decimal):
            # An epoch, in seconds or in milliseconds: no second of this century has more than ten digits.
            scale = 1000 if abs(value) >= 10**11 else 1
            return value - Decimal(str(lag.total_seconds())) * scale
        if isinstance(value, dt.datetime):
            return value - lag
        if isinstance(value, dt.date):
            return dt.datetime.combine(value, dt.time()) - lag
        raise WrongUse(f"connector.incremental.lag: {self._written!r} is no instant, nothing can be taken off", remedy="remove lag")

    def _start_text(self) -> str:
        if not self._incremental.lag:
            return self._written
        value = self.since
        if isinstance(value, dt.datetime):
            text = value.isoformat()
            return text.replace("+00:00", "Z") if self._written.endswith("Z") else text
        return f"{value:f}" if isinstance(value, Decimal) else str(value)

    def see(self, written: Any) -> None:
        """Take note of one record's value."""
        value = parse(written)
        if value is not None and (self._last is None or _after(value, self._last)):
            self._last, self._written = value, _text(written)

    def is_new(self, written: Any) -> bool:
        """Whether a record is not older than what is asked for; one without a value is always new."""
        value = parse(written)
        return value is None or not _after(self.since, value)

    @property
    def cursor(self) -> Cursor:
        """What is to be committed."""
        return {KEY: self._written}


def _text(written: Any) -> str:
    return written.isoformat() if isinstance(written, dt.datetime | dt.date) else str(written)


def _after(one: Value, other: Value) -> bool:
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one > other
    if isinstance(one, dt.date) and isinstance(other, dt.date):
        return _instant(one) > _instant(other)
    return str(one) > str(other)


def _instant(value: dt.date) -> dt.datetime:
    if not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
