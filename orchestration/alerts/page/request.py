"""« Demander une intervention »: the dialog that asks for a work order.

Here: which targets there are, what is shown and asked, what the operator is told. Not here: the order itself
(`orchestration.alerts.deliveries.work_orders`), following it: it stands on the alarm, whose changes every page shows.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from nicegui import ui
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool

from ingestion.errors import VigieError, WrongUse
from orchestration.alerts.deliveries.targets import FILE_NAME, Cmms, load_targets
from orchestration.alerts.deliveries.work_orders import OVER, desks, request_intervention
from orchestration.alerts.drafting import french
from orchestration.alerts.faults import fault_types
from orchestration.alerts.model import Alarm, Role, State
from orchestration.alerts.page import rows, words
from orchestration.alerts.page.words import escape
from orchestration.alerts.store.store import NotThere
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.alerts.page.wall import Wall

_LOG: Final = logging.getLogger("vigie.web")
# As the order takes it.
_LONGEST: Final = 500
_DEADLINES: Final = (
    ("arrive_by", "gti_h", "Sur place (GTI)"),
    ("safe_by", "gtrp_h", "Mise en sécurité (GTRP)"),
    ("restore_by", "gtr_h", "Rétablissement (GTR)"),
)


@dataclass(frozen=True)
class Desk:
    """A system that takes work orders. `is_busy`: it has one of this alarm that is not over."""

    target: str
    name: str
    is_busy: bool


@dataclass(frozen=True)
class Offer:
    """What can be asked for: the `desks`, what the platform is called outside, and why the file cannot be used (`error`)."""

    desks: Sequence[Desk] = ()
    instance: str = "vigie"
    error: str | None = None


def can_intervene(alarm: Alarm) -> bool:
    """Return whether an intervention can be asked for: while the alarm lives; the dialog says when nobody takes orders."""
    return alarm.state is not State.CLOSED


def offer(settings: Settings, alarm: Alarm) -> Offer:
    """Read what can be asked for, from `targets.yaml` as it is now."""
    try:
        declared = load_targets(settings.alerts_path / FILE_NAME)
    except VigieError as error:
        return Offer(error=error.message)
    busy = {o.get("target") for o in alarm.work_orders if o.get("asked_by") and o.get("status") not in OVER}
    found = [Desk(t.target, f"{t.target} ({'GMAO' if isinstance(t, Cmms) else 'hyperviseur'})", t.target in busy) for t in desks(declared)]
    return Offer(found, declared.instance)


async def ask(wall: Wall, alarm: Alarm, settings: Settings) -> None:
    """Show the dialog, send the order, say what came of it."""
    try:
        offered = await run_in_threadpool(offer, settings, alarm)
    except OSError:
        offered = Offer(error="le fichier ne peut pas être lu")
    free = [d for d in offered.desks if not d.is_busy]
    with wall.client:
        wish = await _dialog(wall, alarm, offered, free)
    if wish is None:
        return
    if not await _still_may(wall):
        wall.tell("Votre compte ne permet plus de demander : rien n'a été demandé.", "warning")
        return
    try:
        await run_in_threadpool(request_intervention, wall.board.store, alarm.alarm_id, wall.who.login, wish, instance=offered.instance)
    except (WrongUse, NotThere) as error:
        _LOG.info("a work order was refused: %s", error)
        wall.tell("Rien n'a été demandé : l'alarme est close, ou une demande est déjà en cours. Regardez son journal.", "warning")
    except (psycopg.Error, PoolTimeout):
        wall.tell("La base ne répond pas : la demande n'est peut-être pas faite. Vérifiez avant de recommencer.", "negative")
    else:
        wall.tell("Intervention demandée : son état se suit sur l'alarme.", "positive")


async def _still_may(wall: Wall) -> bool:
    """Return whether they still may: the dialog can stay open past the end of a session."""
    try:
        who = await run_in_threadpool(wall.known_as)
    except (psycopg.Error, PoolTimeout):
        return False
    return who is not None and who.role.may(Role.OPERATOR)


def fault_words(alarm: Alarm) -> str:
    """Return what people call the fault: the contract's word, else the alarm's title."""
    known = fault_types().get(alarm.fault_type or "")
    return known.label if known is not None else alarm.title


def facts(alarm: Alarm, zone: dt.tzinfo, now: dt.datetime) -> str:
    """Return what the order is about: the place, the fault, its guaranteed times, orders there are already."""
    where = " · ".join(p for p in (alarm.asset_name or alarm.asset_ref, words.place(alarm.commune, alarm.street)) if p)
    known = fault_types().get(alarm.fault_type or "")
    found = [("Équipement", escape(where) or "non précisé"), ("Défaut", escape(fault_words(alarm)))]
    for name, guarantee, label in _DEADLINES:
        at, hours = getattr(alarm, name), getattr(known, guarantee, None)
        if at is not None:
            length = f"{french(hours)} h, soit " if hours is not None else ""
            found.append((label, f"{length}avant {words.moment(at, now, zone)} <small>(reste {rows.left(at)})</small>"))
    if all(getattr(alarm, name) is None for name, _, _ in _DEADLINES):
        found.append(("Délais", "Aucun délai garanti au contrat pour ce défaut"))
    found += [("Déjà demandée", escape(words.order(o))) for o in alarm.work_orders]
    return "<dl class='order-facts'>" + "".join(f"<dt>{name}</dt><dd>{said}</dd>" for name, said in found) + "</dl>"


async def _dialog(wall: Wall, alarm: Alarm, offered: Offer, free: Sequence[Desk]) -> dict[str, str] | None:
    now = dt.datetime.now(dt.UTC)
    with ui.dialog().props("transition-duration=0") as dialog, ui.card().classes("ask"):
        ui.label("Demander une intervention").classes("ask-title")
        ui.html(facts(alarm, wall.zone, now), sanitize=False)
        if offered.error is not None:
            ui.label("Le fichier targets.yaml est inutilisable : rien ne peut être demandé. Prévenez l'exploitant.").classes("ask-hint")
            ui.label(offered.error).classes("ask-what")
        elif not offered.desks:
            ui.label("Aucun système ne reçoit de demandes d'intervention.").classes("ask-hint")
            ui.html(_HOW, sanitize=False).classes("ask-what")
        elif not free:
            ui.label("Une demande est déjà en cours auprès de chaque système : suivez-la sur l'alarme.").classes("ask-hint")
        if not free:
            with ui.element("div").classes("buttons"):
                ui.button("Fermer", on_click=lambda: dialog.submit(None)).props("autofocus no-caps color=primary text-color=black")
        else:
            _form(dialog, free, fault_words(alarm))
    dialog.open()
    wish: dict[str, str] | None = await dialog
    dialog.delete()
    return wish


def _form(dialog: ui.dialog, free: Sequence[Desk], fault: str) -> None:
    ui.label("À qui").classes("ask-what")
    desk = ui.toggle({d.target: d.name for d in free}, value=free[0].target)
    desk.props("no-caps unelevated toggle-text-color=black").classes("lengths")
    comment = ui.textarea("Consigne pour l'équipe (facultatif)").props(f"autofocus outlined dark rows=3 maxlength={_LONGEST} counter")

    def send() -> None:
        dialog.submit({"target": str(desk.value), "comment": str(comment.value or "").strip(), "fault": fault})

    comment.on("keydown.ctrl.enter", send)
    with ui.element("div").classes("buttons"):
        ui.button("Annuler", on_click=lambda: dialog.submit(None)).props("flat no-caps color=white")
        ui.button("Demander", on_click=send).props("no-caps unelevated color=primary text-color=black").mark("send")


_HOW: Final = (
    "<p>L'exploitant de la plateforme en déclare un dans <code>alerts/targets.yaml</code>, par exemple la GMAO :</p>"
    "<pre>targets:\n  - target: gmao\n    type: cmms\n    url: https://gmao.exemple.fr/demandes\n    secret: GMAO_SECRET</pre>"
    "<p>Le fichier est relu dès qu'il est enregistré.</p>"
)
