"""What the broker's log says of equipment that it did not let in.

Here: reading the log's end. Not here: what to do about it (`orchestration.doctor`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from pathlib import Path
from typing import Final

# The end of a log that rotates at 10 MB: thousands of refusals, which is enough to name the culprit.
_READ_BYTES: Final = 2 * 1024 * 1024
_STAMP: Final = r"^\[\d+\] (?P<at>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)"
_VIOLATION: Final = re.compile(_STAMP + r'.* - "(?P<client>[^"]*)" - Publish Violation - .*Subject "(?P<subject>[^"]*)"')
_LOGIN: Final = re.compile(_STAMP + r'.*authentication error - User "(?P<user>[^"]*)"', re.IGNORECASE)


def refusals(log: Path, *, since: dt.datetime) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Return refused publications by (client id, topic), and refused connections by user.

    Args:
        log: the broker's log.
        since: older lines do not count (UTC; the log is in the machine's zone).
    """
    publications: Counter[tuple[str, str]] = Counter()
    users: Counter[str] = Counter()
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _READ_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    for line in lines:
        if (found := _VIOLATION.match(line)) and _at(found["at"]) >= since:
            publications[found["client"], _topic(found["subject"])] += 1
        elif (found := _LOGIN.match(line)) and _at(found["at"]) >= since:
            users[found["user"]] += 1
    return publications, users


def _at(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, "%Y/%m/%d %H:%M:%S").astimezone(dt.UTC)


def _topic(subject: str) -> str:
    """Return the MQTT topic of a subject as the broker writes it."""
    return subject.replace("//", "\0").replace(".", "/").replace("\0", ".")
