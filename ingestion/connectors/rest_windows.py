"""Windows: the ranges of dates to ask a REST source for, from the last landing to now.

Here: computing and writing them. Not here: asking (`rest`), keeping how far was read (it is committed with the landing).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from ingestion.connectors.model import Cursor
from ingestion.feeds.model import Window

KEY: Final = "until"


@dataclass(frozen=True)
class Asked:
    """One window.

    Attributes:
        params: the request parameters that ask for it.
        cursor: what is committed with what it holds.
    """

    params: dict[str, str]
    cursor: Cursor


def windows(window: Window, cursor: Cursor | None, now: dt.datetime) -> Iterator[Asked]:
    """Yield the windows to ask for, in order; none when nothing is left to ask.

    Their number is finite whatever the server answers: each begins where the one before ends, and the last ends now.
    """
    start = _start(window, cursor)
    while start < now:
        end = now if window.span is None else min(start + window.span, now)
        params = {window.start_param: written(start, window)}
        if window.end_param is not None:
            params[window.end_param] = written(end, window)
        yield Asked(params, {KEY: end.astimezone(dt.UTC).isoformat()})
        start = end


def written(moment: dt.datetime, window: Window) -> str:
    """Return an instant as the source wants it."""
    local = moment.astimezone(ZoneInfo(window.time_zone))
    match window.format:
        case "iso":
            return local.isoformat(timespec="seconds").replace("+00:00", "Z")
        case "epoch":
            return str(int(moment.timestamp()))
        case "epoch_ms":
            return str(int(moment.timestamp() * 1_000))
        case pattern:
            return local.strftime(pattern)


def _start(window: Window, cursor: Cursor | None) -> dt.datetime:
    """Return where reading goes on: never before where it is declared to begin."""
    initial = dt.datetime.fromisoformat(window.initial)
    if initial.tzinfo is None:
        initial = initial.replace(tzinfo=ZoneInfo(window.time_zone))
    return max(initial, dt.datetime.fromisoformat(cursor[KEY]) - window.lag) if cursor and KEY in cursor else initial
