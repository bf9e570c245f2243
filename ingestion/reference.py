"""What the models must know beside the data: feeds and their rules, territories, calendars, the sun, declared tables.

Here: where these rows come from. Not here: the territory's declared files (`ingestion.declarations`), how rows are stored
(`ingestion.lake.reference`), what is made of them (dbt).

Everything is computed from contracts, declared files and the ledger's days, so that running it twice changes nothing.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import holidays
from astral import Observer
from astral.sun import sunrise, sunset

from ingestion import declarations
from ingestion.feeds.model import Feed, Territory
from ingestion.feeds.territories import agreed_territories
from ingestion.lake import reference
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect, literal

# The hours of the command post's contract on working days (opens, closes, in local time): 7:30 to 17:00.
CONTRACT_OPENS: Final = dt.time(7, 30)
CONTRACT_CLOSES: Final = dt.time(17, 0)
# Days covered past what the data speaks of. Before: a night begins the day before. After: deadlines of open cases run on.
DAYS_BEFORE: Final = 40
DAYS_AFTER: Final = 400
_SATURDAY: Final = 5


@dataclass(frozen=True)
class Refreshed:
    """What a refresh changed."""

    feeds: int
    territories: int
    calendar_days: int
    changed: tuple[str, ...]


def refresh(
    address: LakeAddress, feeds: Iterable[Feed], declared: Path, *, today: dt.date, limits: EngineLimits = EngineLimits()
) -> Refreshed:
    """Bring the reference tables up to date.

    Args:
        address: the lake.
        feeds: the contracts in force. A feed that has landed but has no contract any more keeps its last description.
        declared: the territory's folder of declared CSV files; a file that is absent there is taken from the shipped ones.
        today: the day from which open cases are counted.
        limits: what the engine may use.

    Raises:
        WrongUse: a declared file does not hold what its name says, or two feeds that have landed describe one territory differently.
        VigieError: the lake does not answer.
    """
    known = {f.feed: f for f in feeds}
    changed: list[str] = []
    with connect(address, limits=limits) as con:
        landed = _landed_days(con)
        active = {name: f for name, f in known.items() if name in landed}
        # Only what has landed counts: an example that nobody uses may describe the place as it likes.
        territories = agreed_territories(active.values())
        names = ", ".join(literal(n) for n in active) or "NULL"
        for table, rows in _feed_rows(active.values()).items():
            if reference.replace(con, table, rows, within=f"feed IN ({names})"):
                changed.append(table)
        described = con.execute(f"SELECT {', '.join(reference.TABLES['territory'])} FROM {ALIAS}.raw.territory").fetchall()
        known_territories = {str(row[0]): row for row in described}
        days = 0
        for code in sorted(territories):
            span = _span([landed[n] for n, f in active.items() if f.territory.code == code], today)
            is_as_known = known_territories.get(code) == _territory_row(territories[code])
            added, calendar_changed = _refresh_calendar(con, territories[code], *span, anew=not is_as_known)
            days += added
            changed += calendar_changed
        # After the calendars that are made from it: killed in between, the next refresh makes them again.
        codes = ", ".join(literal(c) for c in territories) or "NULL"
        rows = [_territory_row(t) for t in territories.values()]
        if reference.replace(con, "territory", rows, within=f"territory IN ({codes})"):
            changed.append("territory")
        changed += declarations.refresh(con, declared)
    return Refreshed(len(active), len(territories), days, tuple(dict.fromkeys(changed)))


def _landed_days(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[dt.date | None, dt.date | None]]:
    rows = con.execute(
        f"SELECT feed, min(first_event_at)::DATE, max(last_event_at)::DATE FROM {ALIAS}.raw.landing GROUP BY feed"
    ).fetchall()
    return {str(r[0]): (r[1], r[2]) for r in rows}


def _territory_row(t: Territory) -> tuple[object, ...]:
    return (t.code, t.name, t.time_zone, t.holidays, t.latitude, t.longitude)


def _minutes(duration: dt.timedelta | None) -> float | None:
    return None if duration is None else duration / dt.timedelta(minutes=1)


def _feed_rows(feeds: Iterable[Feed]) -> dict[str, list[tuple[object, ...]]]:
    rows: dict[str, list[tuple[object, ...]]] = {t: [] for t in ("feed", "feed_state_rule", "feed_fault_rule", "feed_baseline")}
    for f in feeds:
        rules = f.indicators
        rows["feed"].append(
            (
                f.feed,
                f.title,
                f.contract,
                f.domain,
                f.source_system,
                f.territory.code,
                f.time_zone,
                f.owner_authority,
                f.owner.name,
                f.steward.name,
                f.source.publisher,
                f.source.licence,
                _minutes(rules.flap_window),
                rules.bridges_communication_gap,
                _minutes(f.freshness),
                None if f.retention is None else f.retention / dt.timedelta(days=1),
                _tells_end(f),
                bool(f.personal_columns),
            )
        )
        for s in rules.states:
            for state, values in (("failed", s.failed), ("ok", s.ok), ("communication_lost", s.communication_lost)):
                rows["feed_state_rule"] += [(f.feed, s.property, v, None, None, state, s.fault_type) for v in values]
            if s.failed_below is not None or s.failed_above is not None:
                rows["feed_state_rule"].append((f.feed, s.property, None, s.failed_below, s.failed_above, "failed", s.fault_type))
        rows["feed_fault_rule"] += [
            (f.feed, i, _like(r.category), _like(r.subcategory), r.fault_type, r.asset_type) for i, r in enumerate(rules.faults, start=1)
        ]
        for b in rules.baselines:
            meters: Sequence[str | None] = b.meters or [None]
            rows["feed_baseline"] += [(f.feed, m, b.start, b.end, b.tolerance_pct) for m in meters]
    return rows


def _tells_end(feed: Feed) -> bool | None:
    """Whether a feed says when a case ends: without that, a case without an end is not an open one."""
    ends = {"report": "closed_at", "intervention": "restored_at"}.get(feed.contract)
    return None if ends is None else ends in feed.mapping


def _like(pattern: str) -> str:
    """Turn a pattern with `*` into a lower-case LIKE pattern, its own % and _ escaped."""
    escaped = pattern.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def _span(days: list[tuple[dt.date | None, dt.date | None]], today: dt.date) -> tuple[dt.date, dt.date]:
    first = min((a for a, _ in days if a is not None), default=today)
    last = max((b for _, b in days if b is not None), default=today)
    return first - dt.timedelta(days=DAYS_BEFORE), max(last, today) + dt.timedelta(days=DAYS_AFTER)


def _refresh_calendar(
    con: duckdb.DuckDBPyConnection, territory: Territory, first: dt.date, last: dt.date, *, anew: bool
) -> tuple[int, list[str]]:
    """Make the calendar and the sun cover [first, last]; they are made when days are missing, or `anew` when the territory changed."""
    code = literal(territory.code)
    covered = con.execute(f"SELECT min(local_date), max(local_date) FROM {ALIAS}.raw.calendar_day WHERE territory = {code}").fetchall()[0]
    # Whole years, so that a table does not grow by a day each day.
    first, last = first.replace(month=1, day=1), last.replace(month=12, day=31)
    if not anew and covered[0] is not None and covered[0] <= first and covered[1] >= last:
        return 0, []
    if covered[0] is not None:
        first, last = min(first, covered[0]), max(last, covered[1])
    days = [first + dt.timedelta(days=i) for i in range((last - first).days + 1)]
    changed = []
    # The calendar, which says what is covered, comes last: killed in between, the next refresh makes both again.
    if reference.replace(con, "sun_time", sun_times(territory, days), within=f"territory = {code}"):
        changed.append("sun_time")
    if reference.replace(con, "calendar_day", calendar_days(territory, days), within=f"territory = {code}"):
        changed.append("calendar_day")
    return len(days), changed


def calendar_days(territory: Territory, days: list[dt.date]) -> list[tuple[object, ...]]:
    """Return the calendar of a territory: public holidays, working days, and when the contract's hours open and close (UTC)."""
    zone = zoneinfo.ZoneInfo(territory.time_zone)
    country, _, subdivision = territory.holidays.partition("-")
    years = sorted({d.year for d in days})
    public = holidays.country_holidays(country, subdiv=subdivision or None, years=years)
    rows: list[tuple[object, ...]] = []
    for day in days:
        name = public.get(day)
        working = name is None and day.weekday() < _SATURDAY
        opens, closes = (_instant(day, CONTRACT_OPENS, zone), _instant(day, CONTRACT_CLOSES, zone)) if working else (None, None)
        rows.append((territory.code, day, name is not None, name, working, opens, closes))
    return rows


def sun_times(territory: Territory, days: list[dt.date]) -> list[tuple[object, ...]]:
    """Return sunrise and sunset (UTC) at a territory, by local day; NULL where the sun does not rise or set."""
    observer = Observer(territory.latitude, territory.longitude)
    zone = zoneinfo.ZoneInfo(territory.time_zone)
    return [(territory.code, day, _sun(sunrise, observer, day, zone), _sun(sunset, observer, day, zone)) for day in days]


def _sun(event: Callable[..., dt.datetime], observer: Observer, day: dt.date, zone: zoneinfo.ZoneInfo) -> dt.datetime | None:
    try:
        return event(observer, day, tzinfo=zone).astimezone(dt.UTC)
    except ValueError:
        return None  # astral's way to say that the sun stays up, or down, all day


def _instant(day: dt.date, time: dt.time, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, time, tzinfo=zone).astimezone(dt.UTC)
