"""The shift report: one page to print, of a shift or a day.

Here: the page and the periods it offers. Not here: the figures (`orchestration.alerts.shifts`), the frame (`paper`).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import psycopg
from fastapi import APIRouter, Request
from psycopg_pool import PoolTimeout
from starlette.responses import Response

from orchestration.alerts import shifts
from orchestration.alerts.model import PLATFORM, Alarm, Entry, Kind, State
from orchestration.alerts.page import paper, words
from orchestration.alerts.page.board import Board
from orchestration.alerts.page.handover import began
from orchestration.alerts.page.words import escape
from orchestration.alerts.shifts import Figures, Line, Load, Period, Shift
from orchestration.alerts.store.flood import MOST
from orchestration.alerts.store.store import Connect

PATH: Final = "/rapport"
# A dozen printed pages; a storm's report says how many more there were, and the lake has all.
_LISTED: Final = 200
# Of one alarm: what fits in its line of the report.
_MOST_LINES: Final = 12
# As many shifts and days back as a week offers.
_SHIFTS: Final = 10
_DAYS: Final = 7
# What says nothing to who reads a report.
_QUIET: Final = frozenset({Kind.UPDATED, Kind.STEADY, Kind.JOINED, Kind.IN_SERVICE})


@dataclass(frozen=True)
class Span:
    """A period a report is made of. `name` stands in the address, `title` on the page; `note`: what was noted when it began."""

    name: str
    title: str
    start: dt.datetime
    end: dt.datetime
    note: str | None = None


def spans(taken: Sequence[Shift], now: dt.datetime, zone: dt.tzinfo, names: Mapping[str, str]) -> list[Span]:
    """Return the periods that are offered, this shift first.

    Args:
        taken: shifts, the newest first.
        now: the present.
        zone: whose days they are.
        names: what people are called, by login.
    """
    last = taken[0] if taken else None
    if last is None:
        found = [Span("poste", "Dernières 24 heures", began(None, now), now)]
    else:
        found = [Span("poste", f"Poste en cours, {words.who(last.login, names)}", began(last, now), now, last.note)]
    for shift, following in zip(taken[1:], taken, strict=False):
        if dt.timedelta(0) < following.taken_at - shift.taken_at <= shifts.LONGEST:
            by = words.who(shift.login, names)
            found.append(Span(f"poste-{shift.shift_id}", f"Poste de {by}", shift.taken_at, following.taken_at, shift.note))
    today = now.astimezone(zone).date()
    for back in range(_DAYS):
        day = today - dt.timedelta(days=back)
        start, end = _midnight(day, zone), _midnight(day + dt.timedelta(days=1), zone)
        if start < now:
            found.append(Span(day.isoformat(), _day_title(back), start, min(end, now)))
    return found


def _midnight(day: dt.date, zone: dt.tzinfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


def _day_title(back: int) -> str:
    return ("Aujourd'hui", "Hier")[back] if back < 2 else "Journée"  # noqa: PLR2004 - the two that have a name


def router(board: Board, connect: Connect) -> APIRouter:
    """Return the page; the application's guard lets in who has a session."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(PATH)
    def _page(request: Request, periode: str = "poste") -> Response:
        del request
        now, zone = dt.datetime.now(dt.UTC), ZoneInfo(board.post.time_zone)
        try:
            offered = spans(shifts.last_shifts(connect, _SHIFTS), now, zone, board.names)
            span = next((s for s in offered if s.name == periode), offered[0])
            period = shifts.read(connect, span.start, span.end)
            alarms = _touched(board, period)
        except (psycopg.Error, PoolTimeout):
            body = "<h1>Rapport de poste</h1><p class='problem' role='alert'>La base ne répond pas. Réessayez dans quelques secondes.</p>"
            return paper.page("Rapport de poste", body, tone="paper", links="")
        body = _body(board, span, period, alarms, now, zone)
        return paper.page(f"Rapport · {span.title}", body, tone="paper", links=_links(offered, span, now, zone), is_printed=True)

    return routes


def _touched(board: Board, period: Period) -> dict[int, Alarm]:
    ids = list(dict.fromkeys(line.alarm_id for line in period.lines))
    return {a.alarm_id: a for a in board.store.select("alarm_id = ANY(%s)", [ids])} if ids else {}


def _links(offered: Sequence[Span], chosen: Span, now: dt.datetime, zone: dt.tzinfo) -> str:
    options = "".join(
        f'<option value="{escape(s.name)}"{" selected" if s is chosen else ""}>'
        f"{escape(s.title)}, {words.moment(s.start, now, zone)}</option>"
        for s in offered
    )
    return (
        f'<form method="get" action="{PATH}" data-send><label>Période <select name="periode">{options}</select></label>'
        '<button type="submit">Afficher</button></form><button type="button" data-print>Imprimer</button>'
    )


def _body(board: Board, span: Span, period: Period, alarms: Mapping[int, Alarm], now: dt.datetime, zone: dt.tzinfo) -> str:
    figures = shifts.figures(period, board.post.operators)
    return (
        f"<header><h1>Rapport de poste</h1><p>{escape(board.post.name)}</p>"
        f"<p><b>{escape(span.title)}</b> : {_told(span, zone)}</p></header>"
        f"{_note(span)}"
        f"<section><h2>Synthèse</h2>{paper.tiles(paper.counts(figures))}{paper.tiles(paper.load_tiles(figures, zone, now))}"
        f"{_people(figures, board)}</section>"
        f"<section><h2>Charge par 10 minutes</h2>{_bars(figures.load, zone)}</section>"
        f"{paper.table_by('Par domaine', 'Domaine', figures.domains, words.DOMAINS, 'Sans domaine')}"
        f"{paper.table_by('Par commune', 'Commune', figures.communes, {}, 'Sans commune')}"
        f"{_interventions(period, alarms, now, zone, board)}{_alarms(period, alarms, now, zone, board)}"
        f"<footer>Établi par Vigie {_full(now, zone)}. Les commentaires et les noms de ce rapport sont internes.</footer>"
    )


def _told(span: Span, zone: dt.tzinfo) -> str:
    start, end = span.start.astimezone(zone), span.end.astimezone(zone)
    length = words.duration((span.end - span.start).total_seconds())
    if start.date() == end.date():
        return f"{words.day(start, zone)}, de {start:%H:%M} à {end:%H:%M} ({length})"
    return f"du {words.day(start, zone)} {start:%H:%M} au {words.day(end, zone)} {end:%H:%M} ({length})"


def _full(at: dt.datetime, zone: dt.tzinfo) -> str:
    return f"le {words.day(at, zone)} à {words.clock(at, zone)}"


def _note(span: Span) -> str:
    return f"<section class='note'><h2>Consignes notées à la prise de poste</h2><p>{escape(span.note)}</p></section>" if span.note else ""


def _people(figures: Figures, board: Board) -> str:
    if not figures.people:
        return "<p class='none'>Aucune action d'opérateur.</p>"
    said = ", ".join(
        f"{words.who(login, board.names)} ({words.plural(count, 'action')})"
        for login, count in sorted(figures.people.items(), key=lambda item: (-item[1], item[0]))
    )
    return f"<p>Actions : {escape(said)}.</p>"


def _bars(load: Load, zone: dt.tzinfo) -> str:
    """Return a bar for each ten minutes; of periods longer than a day, the worst ten minutes of each hour."""
    windows = list(load.windows)
    if not sum(count for _, count in windows):
        return "<p class='none'>Aucune alarme n'est apparue.</p>"
    by_hour = len(windows) > 24 * 6
    if by_hour:
        hours: defaultdict[dt.datetime, int] = defaultdict(int)
        for at, count in windows:
            hour = at.replace(minute=0)
            hours[hour] = max(hours[hour], count)
        windows = sorted(hours.items())
    top = max(MOST, *(count for _, count in windows))
    width, height = 1000 / len(windows), 120
    bars = "".join(
        f'<rect x="{n * width:.2f}" y="{height - height * count / top:.2f}" width="{max(width * 0.86, 0.8):.2f}" '
        f'height="{height * count / top:.2f}" class="{"flood" if count > MOST else ""}">'
        f"<title>{words.clock(at, zone)} : {count}</title></rect>"
        for n, (at, count) in enumerate(windows)
        if count
    )
    limit = height - height * MOST / top
    first, middle, last = windows[0][0], windows[len(windows) // 2][0], windows[-1][0]
    scale = "".join(
        f"<span>{at.astimezone(zone):%d/%m %H:%M}</span>" if by_hour else f"<span>{words.clock(at, zone)}</span>"
        for at in (first, middle, last)
    )
    what = "pire tranche de 10 min de chaque heure" if by_hour else "alarmes apparues, par 10 min"
    return (
        f'<figure><svg viewBox="0 0 1000 {height}" preserveAspectRatio="none" role="img" aria-label="{what}, {top} au plus">'
        f'<line x1="0" x2="1000" y1="{limit:.1f}" y2="{limit:.1f}" class="limit"/>{bars}</svg><div class="scale">{scale}</div>'
        f"<figcaption>{what.capitalize()} ; échelle de 0 à {top}, tirets à {MOST} : au-delà, c'est un afflux.</figcaption></figure>"
    )


def _interventions(period: Period, alarms: Mapping[int, Alarm], now: dt.datetime, zone: dt.tzinfo, board: Board) -> str:
    told: dict[tuple[int, str], Line] = {}
    for line in period.lines:
        if line.kind is Kind.WORK_ORDER:
            told[line.alarm_id, f"{line.details.get('target')}|{line.details.get('ref')}"] = line
    lines = []
    for (alarm_id, _), line in told.items():
        order = line.details
        by = f", demandée par {words.who(str(order['asked_by']), board.names)}" if order.get("asked_by") else ""
        crew = f", {order['crew']}" if order.get("crew") else ""
        what = paper.named(alarms[alarm_id]) if alarm_id in alarms else escape(line.title)
        lines.append(f"{what}<span>{escape(words.order(order) + by + crew)} ({words.moment(line.at, now, zone)})</span>")
    return paper.section("Interventions", lines, nothing="Aucune intervention demandée ni suivie.", most=_LISTED)


def _alarms(period: Period, alarms: Mapping[int, Alarm], now: dt.datetime, zone: dt.tzinfo, board: Board) -> str:
    by_alarm: defaultdict[int, list[Line]] = defaultdict(list)
    for line in period.lines:
        by_alarm[line.alarm_id].append(line)
    shown = [a for a in alarms.values() if not _is_only_hidden(by_alarm[a.alarm_id])]
    shown.sort(key=lambda a: (a.priority, a.first_raised_at.timestamp(), a.alarm_id))
    rows = "".join(_alarm(a, by_alarm[a.alarm_id], now, zone, board) for a in shown[:_LISTED])
    hidden = len(alarms) - len(shown)
    rest = ""
    if len(shown) > _LISTED:
        rest = f"<p class='none'>… et {words.plural(len(shown) - _LISTED, 'autre alarme', 'autres alarmes')}, moins urgentes.</p>"
    if hidden:
        many = "s" if hidden > 1 else ""
        rest += (
            f"<p class='none'>{words.plural(hidden, 'alarme')} jamais apparue{many} sur le mur : expliquée{many} par une autre, travaux "
            "annoncés, afflux ou hors service.</p>"
        )
    if not shown:
        return f"<section><h2>Alarmes</h2><p class='none'>Aucune alarme apparue ni traitée.</p>{rest}</section>"
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("", "Alarme", "Journal", "État actuel"))
    return (
        f"<section><h2>Alarmes <b>{len(shown)}</b></h2><table class='alarms'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"{rest}</section>"
    )


def _is_only_hidden(lines: Sequence[Line]) -> bool:
    """Return whether nobody saw anything of an alarm in the period: it was never presented, and nobody did anything with it."""
    return not any(line.is_presented for line in lines) and all(line.actor == PLATFORM for line in lines)


def _alarm(alarm: Alarm, lines: Sequence[Line], now: dt.datetime, zone: dt.tzinfo, board: Board) -> str:
    told = [line for line in lines if line.kind not in _QUIET] or list(lines)
    kept = told if len(told) <= _MOST_LINES else [*told[: _MOST_LINES // 2], *told[-_MOST_LINES // 2 :]]
    said = [_line(line, now, zone, board) for line in kept]
    if len(told) > len(kept):
        said.insert(_MOST_LINES // 2, f"<li class='rest'>… {words.plural(len(told) - len(kept), 'ligne')} …</li>")
    place = words.place(alarm.commune, alarm.street)
    what = alarm.asset_name or alarm.asset_ref
    return (
        f"<tr><td>{paper.priority(alarm.priority)}</td><td><b>{escape(alarm.title)}</b>{f'<br>{escape(what)}' if what else ''}"
        f"{f'<br><small>{escape(place)}</small>' if place else ''}<br><small>n° {alarm.alarm_id}</small></td>"
        f"<td><ol>{''.join(said)}</ol></td><td>{_state(alarm)}</td></tr>"
    )


def _state(alarm: Alarm) -> str:
    """Return how an alarm stands now; of one that is not shown, why."""
    if alarm.state is State.CLOSED or alarm.is_presented:
        return words.STATES[alarm.state]
    if alarm.shelved_until is not None:
        return "Mise de côté"
    return words.SUPPRESSED.get(alarm.suppressed_by or "", "Hors service" if alarm.is_out_of_service else "Pas présentée")


def _line(line: Line, now: dt.datetime, zone: dt.tzinfo, board: Board) -> str:
    entry = Entry(line.kind, line.at, line.actor, {}, line.alarm_id, line.seq, None, line.comment, dict(line.details))
    said = f" « {escape(line.comment)} »" if line.comment else ""
    return f"<li><time>{words.moment(line.at, now, zone)}</time> {escape(words.told(entry, now, zone, board.names))}{said}</li>"
