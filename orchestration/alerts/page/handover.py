"""« Prise de poste »: what happened since the last shift, what is open, what is put aside, what was said; and taking the post.

Here: the page and its one button. Not here: the figures (`orchestration.alerts.shifts`), the frame (`paper`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import psycopg
from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse
from psycopg_pool import PoolTimeout
from starlette.responses import Response

from ingestion.errors import WrongUse
from orchestration.alerts import shifts
from orchestration.alerts.access import Who
from orchestration.alerts.deliveries.work_orders import OVER
from orchestration.alerts.model import ROLE_FR, Alarm, Role
from orchestration.alerts.page import paper, words
from orchestration.alerts.page.board import Board, FeedContact
from orchestration.alerts.page.view import urgency
from orchestration.alerts.page.words import escape
from orchestration.alerts.shifts import Figures, Shift
from orchestration.alerts.store.store import Connect
from orchestration.alerts.store.suppressions import MAINTENANCE, OUT_OF_SERVICE, Suppression

PATH: Final = "/prise-de-poste"
# Nobody ever took the post, or long ago: a day says what matters.
UNKNOWN_SHIFT: Final = dt.timedelta(hours=24)
# What somebody reads standing; the wall has the rest.
_MOST: Final = 30
_ORDERS_OVER: Final = OVER | {"restored", "closed", "cancelled"}


def router(board: Board, connect: Connect) -> APIRouter:
    """Return the page and its button; the application's guard lets in who has a session."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(PATH)
    def _page(request: Request) -> Response:
        return _shown(board, connect, request.state.who)

    @routes.post(PATH)
    def _take(
        request: Request, consigne: Annotated[str, Form(max_length=2 * shifts.LONGEST_NOTE)] = "", apres: Annotated[int, Form()] = 0
    ) -> Response:
        who: Who = request.state.who
        if not who.role.may(Role.OPERATOR) or who.is_system:
            raise HTTPException(HTTPStatus.FORBIDDEN, "only operators take the post")
        try:
            shifts.take(connect, who.login, consigne, after=apres)
        except WrongUse:
            said = (
                f"Le poste n'a pas été pris : quelqu'un vient de le prendre, ou la consigne dépasse {shifts.LONGEST_NOTE} caractères. "
                "Relisez la page ; votre consigne est encore là."
            )
            return _shown(board, connect, who, problem=said, note=consigne)
        except (psycopg.Error, PoolTimeout):
            return _shown(board, connect, who, problem="La base ne répond pas : le poste n'a pas été pris.", note=consigne)
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)

    return routes


def began(last: Shift | None, now: dt.datetime) -> dt.datetime:
    """Return since when a shift is told: since somebody took the post, a day where nobody did, a month at most."""
    return now - UNKNOWN_SHIFT if last is None else max(last.taken_at, now - shifts.LONGEST)


def _shown(board: Board, connect: Connect, who: Who, *, problem: str = "", note: str = "") -> Response:
    now, zone = dt.datetime.now(dt.UTC), ZoneInfo(board.post.time_zone)
    links = '<a href="/rapport">Rapport de poste</a>'
    try:
        last = next(iter(shifts.last_shifts(connect, 1)), None)
        figures = shifts.figures(shifts.read(connect, began(last, now), now), board.post.operators)
        works = [s for kind in (MAINTENANCE, OUT_OF_SERVICE) for s in board.store.suppressions(kind)]
        alarms = board.store.live()
    except (psycopg.Error, PoolTimeout):
        body = "<h1>Prise de poste</h1><p class='problem' role='alert'>La base ne répond pas : rien ne peut être dit. Réessayez.</p>"
        return paper.page("Prise de poste", body, tone="night", links=links)
    body = (
        f"<h1>Prise de poste</h1>{_problem(problem)}{_since(last, now, zone, board)}{_form(last, who, note)}"
        f"{_standing(alarms, now, zone, board)}{_heard(board.health.feeds, now)}{_works(works, now, zone, board)}"
        f"<section><h2>Ce qui s'est passé</h2>{paper.tiles(paper.counts(figures))}"
        f"{paper.tiles(paper.load_tiles(figures, zone, now))}{_tables(figures)}</section>"
    )
    return paper.page("Prise de poste", body, tone="night", links=links)


def _problem(text: str) -> str:
    return f"<p class='problem' role='alert'>{escape(text)}</p>" if text else ""


def _since(last: Shift | None, now: dt.datetime, zone: dt.tzinfo, board: Board) -> str:
    if last is None:
        return "<p class='since'>Personne n'a encore pris le poste ici : voici les dernières 24 heures.</p>"
    by, at = escape(words.who(last.login, board.names)), words.moment(last.taken_at, now, zone)
    cut = " Plus d'un mois : seul le dernier est raconté." if now - last.taken_at > shifts.LONGEST else ""
    ago = words.duration((now - last.taken_at).total_seconds())
    said = f"<p class='since'>Depuis la prise de poste de <b>{by}</b> ({at}, il y a {ago}).{cut}</p>"
    if last.note:
        said += f"<section class='note'><h2>Consignes notées par {by}</h2><p>{escape(last.note)}</p></section>"
    return said


def _form(last: Shift | None, who: Who, note: str) -> str:
    if not who.role.may(Role.OPERATOR):
        return f"<p class='none'>Votre compte ({ROLE_FR[who.role]}) ne prend pas le poste.</p>"
    return (
        f'<form class="take" method="post" action="{PATH}"><input type="hidden" name="apres" value="{last.shift_id if last else 0}">'
        f'<label for="consigne">Consignes reçues ou à transmettre (facultatif)</label>'
        f'<textarea id="consigne" name="consigne" rows="3" maxlength="{shifts.LONGEST_NOTE}">{escape(note)}</textarea>'
        f'<button type="submit">Prendre le poste</button><span>en tant que {escape(who.name)}</span></form>'
    )


def _standing(alarms: Sequence[Alarm], now: dt.datetime, zone: dt.tzinfo, board: Board) -> str:
    shown = sorted((a for a in alarms if a.is_presented), key=urgency)
    shelved = sorted((a for a in alarms if a.shelved_until is not None), key=lambda a: (a.shelved_until or now, a.alarm_id))
    orders = [(a, o) for a in sorted(alarms, key=urgency) for o in a.work_orders if o.get("status") not in _ORDERS_OVER]
    under = sum(not a.is_presented and a.shelved_until is None for a in alarms)
    opened = paper.section("En cours", [_open(a, now, zone, board) for a in shown], nothing="Aucune alarme en cours.", most=_MOST)
    if under:
        many = "s" if under > 1 else ""
        opened += (
            f"<p class='none'>{words.plural(under, 'autre alarme', 'autres alarmes')} non présentée{many} : rangée{many} sous une autre, "
            "travaux annoncés, afflux ou hors service.</p>"
        )
    return (
        opened
        + paper.section("Mises de côté", [_aside(a, now, zone, board) for a in shelved], nothing="Aucune.", most=_MOST)
        + paper.section(
            "Interventions en cours", [f"{paper.named(a)}<span>{escape(words.order(o))}</span>" for a, o in orders],
            nothing="Aucune.", most=_MOST,
        )
    )  # fmt: skip


def _open(alarm: Alarm, now: dt.datetime, zone: dt.tzinfo, board: Board) -> str:
    parts = [words.STATES[alarm.state], f"depuis {words.moment(alarm.raised_at, now, zone)}"]
    if alarm.assigned_to:
        parts.append(f"confiée à {words.who(alarm.assigned_to, board.names)}")
    due = [at for at in (alarm.arrive_by, alarm.safe_by, alarm.restore_by) if at is not None and at >= now]
    passed = [at for at in (alarm.arrive_by, alarm.safe_by, alarm.restore_by) if at is not None and at < now]
    if alarm.is_active and due:
        parts.append(f"prochaine échéance {words.moment(min(due), now, zone)}")
    if alarm.is_active and passed:
        parts.append(words.plural(len(passed), "échéance passée", "échéances passées"))
    if alarm.hidden:
        parts.append(f"+ {words.plural(alarm.hidden, 'alarme')}")
    return f"{paper.named(alarm)}<span>{escape(' · '.join(parts))}</span>"


def _aside(alarm: Alarm, now: dt.datetime, zone: dt.tzinfo, board: Board) -> str:
    until = words.until_words(alarm.shelved_until, now, zone) if alarm.shelved_until else ""
    by = words.who(alarm.shelved_by or "", board.names)
    said = f"{until}, par {by} : {alarm.shelve_reason or 'sans raison'}"
    return f"{paper.named(alarm)}<span>{escape(said)}</span>"


def _heard(feeds: Sequence[FeedContact], now: dt.datetime) -> str:
    late = [f for f in feeds if f.level(now) in {"late", "silent"}]
    lines = [
        f"<b>{escape(f.title)}</b><span>"
        + ("jamais entendue" if f.at is None else f"dernier contact il y a {words.duration((now - f.at).total_seconds())}")
        + "</span>"
        for f in late
    ]
    return paper.section("Sources en retard", lines, nothing="Toutes les sources sont entendues dans leur délai.", most=_MOST)


def _works(works: Sequence[Suppression], now: dt.datetime, zone: dt.tzinfo, board: Board) -> str:
    lines = []
    for work in works:
        about = work.about
        what = " · ".join(p for p in (about.asset_ref, about.feed and f"source {about.feed}", about.rule and f"règle {about.rule}") if p)
        start = "" if work.starts_at <= now else f"à partir de {words.moment(work.starts_at, now, zone)}, "
        end = words.until_words(work.ends_at, now, zone) if work.ends_at else "hors service jusqu'à nouvel ordre"
        by = words.who(work.declared_by, board.names)
        lines.append(f"<b>{escape(what)}</b><span>{escape(f'{start}{end}, par {by} : {work.reason}')}</span>")
    return paper.section("Travaux annoncés et hors service", lines, nothing="Aucun.", most=_MOST)


def _tables(figures: Figures) -> str:
    return paper.table_by("Par domaine", "Domaine", figures.domains, words.DOMAINS, "Sans domaine") + paper.table_by(
        "Par commune", "Commune", figures.communes, {}, "Sans commune"
    )
