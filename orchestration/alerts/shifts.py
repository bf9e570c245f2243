"""Shifts: what happened in one, what the next must know, and who took the post when.

Here: reading the journal of a period, its figures (pure), storing a shift. Not here: the pages (`orchestration.alerts.page.handover`,
`report`), the same figures over months (`indicators.alarm_*`), whose definitions these follow.

An alarm is *announced* when it appears on the wall: raised (again) and presented, or presented again after it was hidden, shelved or out
of service. What one turn of the store writes bears one instant: an alarm raised and hidden in one turn never appeared.
"""

from __future__ import annotations

import datetime as dt
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from ingestion.errors import WrongUse
from orchestration.alerts.model import PLATFORM, Kind
from orchestration.alerts.store.flood import MOST
from orchestration.alerts.store.store import Connect

WINDOW: Final = dt.timedelta(minutes=10)
"""EEMUA 191 counts alarms by ten minutes."""
# A page of instructions; what is longer is a document.
LONGEST_NOTE: Final = 4_000
# A shift is some hours; who looks further back looks at the indicators.
LONGEST: Final = dt.timedelta(days=31)
_RAISES: Final = frozenset({Kind.RAISED, Kind.REACTIVATED})


# --- lines of the journal


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the journal, with what figures need of its alarm as it stood then."""

    seq: int
    alarm_id: int
    kind: Kind
    at: dt.datetime
    actor: str
    title: str
    priority: int
    comment: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    domain: str | None = None
    commune: str | None = None
    what: str | None = None
    is_presented: bool = True


@dataclass(frozen=True)
class Period:
    """What the journal says of [start, end).

    Attributes:
        lines: in order.
        presented: the alarms of these lines that were presented when it began.
        shown_at: when alarms acknowledged in it were first announced, of those announced before it began.
        acknowledged: the alarms of these lines that had been acknowledged before it began.
    """

    start: dt.datetime
    end: dt.datetime
    lines: Sequence[Line]
    presented: frozenset[int] = frozenset()
    shown_at: Mapping[int, dt.datetime] = field(default_factory=dict)
    acknowledged: frozenset[int] = frozenset()


_LINES: Final = """
    SELECT seq, alarm_id, kind, at, actor, comment, details, alarm ->> 'title' AS title, (alarm ->> 'priority')::int AS priority,
        alarm ->> 'domain' AS domain, alarm ->> 'commune' AS commune, coalesce(alarm ->> 'asset_name', alarm ->> 'asset_ref') AS what,
        coalesce((alarm ->> 'is_presented')::boolean, false) AS is_presented
    FROM alerts.journal WHERE at >= %(start)s AND at < %(end)s ORDER BY seq
"""
_BEFORE: Final = """
    SELECT alarm_id, (array_agg(coalesce((alarm ->> 'is_presented')::boolean, false) ORDER BY seq DESC))[1] AS was_presented,
        min(at) FILTER (WHERE (alarm ->> 'is_presented')::boolean) AS shown_at,
        bool_or(kind = 'acknowledged') AS was_acknowledged
    FROM alerts.journal WHERE alarm_id = ANY(%(ids)s) AND at < %(start)s GROUP BY alarm_id
"""


def read(connect: Connect, start: dt.datetime, end: dt.datetime) -> Period:
    """Read the journal of [start, end).

    Raises:
        WrongUse: the period is empty, or longer than a month.
        psycopg.Error: the database does not answer.
    """
    if not dt.timedelta(0) < end - start <= LONGEST:
        raise WrongUse(f"the period from {start} to {end} cannot be told", remedy=f"it lasts {LONGEST.days} days at most")
    with connect() as con:
        lines = [Line(**{**row, "kind": Kind(row["kind"])}) for row in con.execute(_LINES, {"start": start, "end": end})]
        ids = sorted({line.alarm_id for line in lines})
        before = con.execute(_BEFORE, {"ids": ids, "start": start}).fetchall() if ids else []
    return Period(
        start, end, lines,
        frozenset(r["alarm_id"] for r in before if r["was_presented"]),
        {r["alarm_id"]: r["shown_at"] for r in before if r["shown_at"] is not None},
        frozenset(r["alarm_id"] for r in before if r["was_acknowledged"]),
    )  # fmt: skip


# --- figures


@dataclass(frozen=True)
class Load:
    """How many alarms were announced, ten minutes by ten minutes (EEMUA 191).

    Attributes:
        windows: (start of the window, announced in it), each window of the period, quiet ones too; whole tens of minutes of the clock.
        per_operator: mean of ten minutes, per operator on duty.
        worst: the most in one window, and when that began; None when nothing was announced.
        floods: windows with more than ten.
    """

    windows: tuple[tuple[dt.datetime, int], ...]
    per_operator: float
    worst: tuple[dt.datetime, int] | None
    floods: int


@dataclass(frozen=True)
class Figures:
    """What happened in a period.

    Attributes:
        kinds: how many lines of each kind.
        closed_by_hand: of the closed, how many a person closed.
        domains, communes: how many of each kind, by domain (`""`: none) and by commune.
        load: announcements by ten minutes.
        acknowledged_in: seconds from the first announcement of an alarm to its first acknowledgement, of those acknowledged, in order.
        people: lines by who wrote them; the platform is none.
    """

    kinds: Mapping[Kind, int]
    closed_by_hand: int
    domains: Mapping[str, Mapping[Kind, int]]
    communes: Mapping[str, Mapping[Kind, int]]
    load: Load
    acknowledged_in: tuple[float, ...]
    people: Mapping[str, int]

    @property
    def announced(self) -> int:
        """How many alarms appeared on the wall."""
        return sum(count for _, count in self.load.windows)

    @property
    def acknowledged_median(self) -> float | None:
        """The median time to acknowledge, in seconds; None when nothing was acknowledged."""
        return statistics.median(self.acknowledged_in) if self.acknowledged_in else None


def figures(period: Period, operators: int) -> Figures:
    """Return the figures of a period, for so many operators on duty."""
    domains: defaultdict[str, Counter[Kind]] = defaultdict(Counter)
    communes: defaultdict[str, Counter[Kind]] = defaultdict(Counter)
    for line in period.lines:
        domains[line.domain or ""][line.kind] += 1
        communes[line.commune or ""][line.kind] += 1
    announced = announcements(period)
    return Figures(
        kinds=Counter(line.kind for line in period.lines),
        closed_by_hand=sum(line.kind is Kind.CLOSED and line.actor != PLATFORM for line in period.lines),
        domains=domains,
        communes=communes,
        load=_load(period, [line.at for line in announced], operators),
        acknowledged_in=_acknowledged_in(period, announced),
        people=Counter(line.actor for line in period.lines if line.actor != PLATFORM),
    )


def announcements(period: Period) -> list[Line]:
    """Return the lines with which alarms appeared on the wall, in order: of each turn that made one appear, its last."""
    presented = set(period.presented)
    found = []
    by_alarm = sorted(period.lines, key=lambda line: (line.alarm_id, line.seq))
    for (alarm_id, _), turn in groupby(by_alarm, key=lambda line: (line.alarm_id, line.at)):
        lines = list(turn)
        last = lines[-1]
        if last.is_presented and (any(line.kind in _RAISES for line in lines) or alarm_id not in presented):
            found.append(last)
        (presented.add if last.is_presented else presented.discard)(alarm_id)
    return sorted(found, key=lambda line: line.seq)


def _load(period: Period, instants: Iterable[dt.datetime], operators: int) -> Load:
    counted = Counter(_window(at) for at in instants)
    windows = []
    at = _window(period.start)
    while at < period.end:
        windows.append((at, counted[at]))
        at += WINDOW
    worst = max(windows, key=lambda w: (w[1], -w[0].timestamp()))
    return Load(
        tuple(windows),
        sum(counted.values()) / len(windows) / operators,
        worst if worst[1] else None,
        sum(count > MOST for _, count in windows),
    )


def _window(at: dt.datetime) -> dt.datetime:
    seconds = int(WINDOW.total_seconds())
    return dt.datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, dt.UTC)


def _acknowledged_in(period: Period, announced: Iterable[Line]) -> tuple[float, ...]:
    shown = dict(period.shown_at)
    for line in announced:
        shown.setdefault(line.alarm_id, line.at)
    done = set(period.acknowledged)
    found = []
    for line in period.lines:
        if line.kind is Kind.ACKNOWLEDGED and line.alarm_id not in done:
            done.add(line.alarm_id)
            if line.alarm_id in shown and shown[line.alarm_id] <= line.at:
                found.append((line.at - shown[line.alarm_id]).total_seconds())
    return tuple(sorted(found))


# --- shifts


@dataclass(frozen=True, slots=True)
class Shift:
    """Somebody took the post. `note`: what they were told, and wrote down; `seq`: the last line of the journal then."""

    shift_id: int
    login: str
    taken_at: dt.datetime
    seq: int
    note: str | None


_SHIFT: Final = "SELECT shift_id, login, taken_at, seq, note FROM alerts.shift"


def last_shifts(connect: Connect, most: int = 20) -> list[Shift]:
    """Return who took the post last, the newest first."""
    with connect() as con:
        return [Shift(**row) for row in con.execute(f"{_SHIFT} ORDER BY taken_at DESC, shift_id DESC LIMIT %s", [most])]


def take(connect: Connect, login: str, note: str | None = None, *, after: int | None = None) -> Shift:
    """Write that somebody takes the post now.

    Args:
        connect: lends a connection.
        login: who.
        note: instructions, as plain text.
        after: the shift they saw as the last (0: none); None does not ask. So two presses of the button are one shift.

    Raises:
        WrongUse: the note is too long, or somebody took the post meanwhile.
    """
    note = "\n".join((note or "").strip().splitlines()) or None  # a browser sends the ends of lines of another system
    if note is not None and len(note) > LONGEST_NOTE:
        raise WrongUse(f"the note is longer than {LONGEST_NOTE} characters", remedy="say it in fewer words, and name the document")
    with connect() as con, con.transaction():
        # Who takes the post waits for who is just taking it: two shifts never begin on the same line unseen.
        con.execute("LOCK TABLE alerts.shift IN SHARE ROW EXCLUSIVE MODE")
        last = con.execute(f"{_SHIFT} ORDER BY taken_at DESC, shift_id DESC LIMIT 1").fetchone()
        if after is not None and after != (last["shift_id"] if last else 0):
            raise WrongUse("somebody took the post meanwhile", remedy="read the page again, then take it if it is yours")
        row = con.execute(
            "INSERT INTO alerts.shift (login, taken_at, seq, note) SELECT %s, clock_timestamp(), seq, %s FROM alerts.head "
            "RETURNING shift_id, login, taken_at, seq, note",
            [login, note],
        ).fetchone()
    if row is None:
        raise AssertionError("alerts.head always has one row")
    return Shift(**row)
