"""The small windows: putting aside, closing, commenting, assigning, and the keys.

Here: asking, and checking while it can be mended. Not here: doing it (`actions`).

Each returns what was answered, or None when the operator thought better of it (Escape). Enter sends; the first field has the focus.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from nicegui import ui

from orchestration.alerts.access import Who
from orchestration.alerts.model import Alarm
from orchestration.alerts.page import words

_SHELVING: Final = {30: "30 min", 60: "1 h", 120: "2 h", 240: "4 h", 480: "8 h"}
_LONGER: Final = {1440: "24 h", 4320: "3 jours", 10080: "7 jours"}
# What operators say most; a click instead of typing.
_REASONS: Final = ("Travaux en cours", "Défaut connu, intervention demandée", "Capteur en défaut", "Essai")
# No fading: the next key is for the wall, and must not fall into a window that is leaving.
_AT_ONCE: Final = "transition-duration=0"
# A sentence or two: what is longer belongs in the work order.
_LONGEST_TEXT: Final = 1000
_KEYS: Final = (
    ("↑ ↓", "Alarme précédente, suivante"), ("Entrée", "Ouvrir le détail"), ("Échap", "Fermer le détail, désélectionner"),
    ("1 … 6", "Onglets"), ("/", "Chercher"), ("M", "Couper le son 10 min, le remettre"), ("?", "Cette aide"),
)  # fmt: skip
_ACTION_KEYS: Final = (
    ("Espace", "Sélectionner l'alarme (plusieurs à la fois)"), ("A", "Acquitter"), ("P", "Prendre en charge, confier"), ("C", "Commenter"),
    ("S", "Mettre de côté"), ("R", "Remettre dans la liste"), ("I", "Demander une intervention"), ("X", "Clore"),
)  # fmt: skip


def _titled(alarms: list[Alarm]) -> str:
    if len(alarms) == 1:
        alarm = alarms[0]
        return " · ".join(p for p in (alarm.title, alarm.asset_name or alarm.asset_ref) if p)
    return words.plural(len(alarms), "alarme")


async def _asked(dialog: ui.dialog) -> Any:
    dialog.open()
    answer = await dialog
    dialog.delete()
    return answer


def _buttons(dialog: ui.dialog, label: str, send: Any) -> None:
    with ui.element("div").classes("buttons"):
        ui.button("Annuler", on_click=lambda: dialog.submit(None)).props("flat no-caps color=white")
        ui.button(label, on_click=send).props("no-caps unelevated color=primary text-color=black").mark("send")


async def shelve(alarms: list[Alarm], *, is_supervisor: bool) -> tuple[dt.timedelta, str] | None:
    """Ask for how long alarms are put aside, and why; more than 8 hours are a supervisor's."""
    with ui.dialog().props(_AT_ONCE) as dialog, ui.card().classes("ask"):
        ui.label("Mettre de côté").classes("ask-title")
        ui.label(_titled(alarms)).classes("ask-what")
        length = (
            ui.toggle({**_SHELVING, **(_LONGER if is_supervisor else {})}, value=60)
            .props("no-caps unelevated toggle-text-color=black")
            .classes("lengths")
        )
        reason = ui.input("Raison", validation={"Dites pourquoi, en quelques mots.": lambda t: bool(t.strip())}).props(
            f"autofocus outlined dark maxlength={_LONGEST_TEXT}"
        )
        reason.without_auto_validation()
        with ui.element("div").classes("usual"):
            for text in _REASONS:
                ui.button(text, on_click=lambda _, t=text: reason.set_value(t)).props("outline no-caps dense color=white")

        def send() -> None:
            if reason.validate():
                dialog.submit((dt.timedelta(minutes=int(length.value)), str(reason.value).strip()))

        reason.on("keydown.enter", send)
        _buttons(dialog, "Mettre de côté", send)
    answer: tuple[dt.timedelta, str] | None = await _asked(dialog)
    return answer


async def comment(alarm: Alarm) -> str | None:
    """Ask for a comment."""
    return await _text("Commenter", [alarm], "Commentaire", "Commenter", must="Écrivez quelque chose.")


async def close(alarm: Alarm) -> str | None:
    """Ask whether an alarm is closed, and why while its condition holds."""
    if not alarm.is_active:
        return await _text("Clore l'alarme", [alarm], "Commentaire (facultatif)", "Clore", must=None)
    hint = "La condition tient encore : l'alarme ne reviendra que si elle cesse puis recommence."
    return await _text("Clore l'alarme", [alarm], "Raison", "Clore", must="Dites pourquoi elle est close quand même.", hint=hint)


async def _text(title: str, alarms: list[Alarm], label: str, button: str, *, must: str | None, hint: str | None = None) -> str | None:
    with ui.dialog().props(_AT_ONCE) as dialog, ui.card().classes("ask"):
        ui.label(title).classes("ask-title")
        ui.label(_titled(alarms)).classes("ask-what")
        if hint:
            ui.label(hint).classes("ask-hint")
        text = ui.input(label, validation={must: lambda t: bool(t.strip())} if must else {}).props(
            f"autofocus outlined dark maxlength={_LONGEST_TEXT}"
        )
        text.without_auto_validation()

        def send() -> None:
            if text.validate():
                dialog.submit(str(text.value or "").strip())

        text.on("keydown.enter", send)
        _buttons(dialog, button, send)
    answer: str | None = await _asked(dialog)
    return answer


async def assign(alarms: list[Alarm], me: Who, names: Mapping[str, str]) -> str | None:
    """Ask who takes alarms on: a login; an empty text gives them back; None when the operator thought better of it."""
    with ui.dialog().props(_AT_ONCE) as dialog, ui.card().classes("ask"):
        ui.label("Prendre en charge").classes("ask-title")
        ui.label(_titled(alarms)).classes("ask-what")
        with ui.element("div").classes("people"):
            ui.button(f"Moi ({me.name})", on_click=lambda: dialog.submit(me.login)).props(
                "autofocus no-caps color=primary text-color=black"
            )
            for login, name in sorted(names.items(), key=lambda pair: pair[1]):
                if login != me.login:
                    ui.button(name, on_click=lambda _, to=login: dialog.submit(to)).props("outline no-caps color=white")
            if any(a.assigned_to for a in alarms):
                ui.button("Personne : la rendre", on_click=lambda: dialog.submit("")).props("outline no-caps color=white")
        with ui.element("div").classes("buttons"):
            ui.button("Annuler", on_click=lambda: dialog.submit(None)).props("flat no-caps color=white")
    answer: str | None = await _asked(dialog)
    return answer


async def keys(*, can_act: bool) -> None:
    """Show the keys."""
    with ui.dialog().props(_AT_ONCE) as dialog, ui.card().classes("ask"):
        ui.label("Touches du clavier").classes("ask-title")
        shown = "".join(f"<dt><kbd>{key}</kbd></dt><dd>{said}</dd>" for key, said in (*_KEYS, *(_ACTION_KEYS if can_act else ())))
        ui.html(shown, sanitize=False, tag="dl").classes("keys")
        with ui.element("div").classes("buttons"):
            ui.button("Fermer", on_click=lambda: dialog.submit(None)).props("autofocus no-caps color=primary text-color=black")
    await _asked(dialog)
