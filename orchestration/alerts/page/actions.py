"""What an operator does with alarms, from a key or a button.

Here: who may, which alarms, the dialog if there is one, the store, and what the operator is told. Not here: what an action makes of an
alarm (`orchestration.alerts.lifecycle`), the dialogs (`dialogs`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import psycopg
from nicegui import ui
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool

from ingestion.errors import WrongUse
from orchestration.alerts import lifecycle
from orchestration.alerts.drafting import french
from orchestration.alerts.lifecycle import Written
from orchestration.alerts.model import Alarm, Role
from orchestration.alerts.page import dialogs, places, words
from orchestration.alerts.store.store import NotThere

if TYPE_CHECKING:
    from orchestration.alerts.page.wall import Wall

Action = Callable[[Alarm, dt.datetime], Written]
# One gesture handles what a page shows at most; a longer list is no gesture of a person.
_MOST: Final = 200
# A supervisor says it when an alarm is put aside for longer than a shift's working day.
LONGEST_OPERATOR: Final = dt.timedelta(hours=8)


class Actions:
    """The actions of one page."""

    def __init__(self, wall: Wall) -> None:
        self.wall = wall

    async def do(self, what: str, said: Mapping[str, Any]) -> None:
        """Do what was pressed; what is unknown, or not theirs to do, does nothing but say so."""
        if what == "keys":
            await dialogs.keys(can_act=self.wall.can_act)
            return
        if what == "every":
            self.wall.choose(text="", domain=None)
            self.wall.clear_search()
            return
        if not await self._may():
            return
        alarms = self._chosen(said)
        if not alarms:
            self.wall.tell("Choisissez d'abord une alarme.", "warning")
            return
        match what:
            case "ack":
                await self._each(alarms, lambda a, now: lifecycle.acknowledged(a, self._me, now), "acquittée")
            case "assign":
                await self._assign(alarms)
            case "shelve":
                await self._shelve(alarms)
            case "unshelve":
                await self._each(alarms, lambda a, now: lifecycle.unshelved(a, self._me, now), "remise dans la liste")
            case "comment":
                await self._comment(alarms[0])
            case "close":
                await self._close(alarms[0])
            case "step":
                await self._step(alarms[0], said)
            case "intervene" if places.can_intervene(self.wall, alarms[0]):
                await places.intervene(self.wall, alarms[0])
            case _:
                return

    @property
    def _me(self) -> str:
        return self.wall.who.login

    async def _may(self) -> bool:
        """Return whether they still may: a session may be over, a role taken back, since the page was opened."""
        try:
            who = await run_in_threadpool(self.wall.known_as)
        except (psycopg.Error, PoolTimeout):
            self.wall.tell("La base ne répond pas : rien n'a été fait.", "negative")
            return False
        if who is None:
            ui.navigate.to("/connexion")
            return False
        if not who.role.may(Role.OPERATOR):
            self.wall.tell("Votre compte permet de lire seulement.", "warning")
            return False
        return True

    def _chosen(self, said: Mapping[str, Any]) -> list[Alarm]:
        given = said.get("ids") if isinstance(said.get("ids"), list) else [said.get("id")]
        ids = [int(i) for i in given or [] if str(i).isdigit()][:_MOST]
        opened = self.wall.detail.alarm
        known = {**self.wall.board.alarms, **({opened.alarm_id: opened} if opened else {})}
        return [known[i] for i in dict.fromkeys(ids) if i in known]

    # --- one by one

    async def _assign(self, alarms: list[Alarm]) -> None:
        to = await dialogs.assign(alarms, self.wall.who, self.wall.board.names)
        if to is None:
            return
        login = to or None
        done = (
            "rendue"
            if login is None
            else "prise en charge"
            if login == self._me
            else f"confiée à {words.who(login, self.wall.board.names)}"
        )
        await self._each(alarms, lambda a, now: lifecycle.assigned(a, self._me, now, login), done)

    async def _shelve(self, alarms: list[Alarm]) -> None:
        said = await dialogs.shelve(alarms, is_supervisor=self.wall.who.role.may(Role.SUPERVISOR))
        if said is None:
            return
        length, reason = said
        if length > LONGEST_OPERATOR and not self.wall.who.role.may(Role.SUPERVISOR):
            self.wall.tell("Plus de 8 heures : demandez à un superviseur.", "warning")
            return
        await self._each(alarms, lambda a, now: lifecycle.shelved(a, self._me, now, now + length, reason), "mise de côté")

    async def _comment(self, alarm: Alarm) -> None:
        text = await dialogs.comment(alarm)
        if text:
            await self._each([alarm], lambda a, now: lifecycle.commented(a, self._me, now, text), "commentée")

    async def _close(self, alarm: Alarm) -> None:
        text = await dialogs.close(alarm)
        if text is not None:
            await self._each([alarm], lambda a, now: lifecycle.closed(a, self._me, now, text), "close")

    async def _step(self, alarm: Alarm, said: Mapping[str, Any]) -> None:
        step = int(said.get("step", -1))
        if not 0 <= step < len(alarm.procedure):
            return
        is_done = alarm.procedure[step].done_at is None
        await self._each([alarm], lambda a, now: lifecycle.stepped(a, self._me, now, step, is_done=is_done), None)

    async def _each(self, alarms: list[Alarm], action: Action, done: str | None) -> None:
        """Do it to each, and say what was not done: another operator may have been faster."""
        try:
            refused = await run_in_threadpool(self._act, [a.alarm_id for a in alarms], action)
        except (psycopg.Error, PoolTimeout):
            self.wall.tell("La base ne répond pas : ce n'est peut-être pas fait. Vérifiez avant de recommencer.", "negative")
            return
        if refused:
            count = words.plural(refused, "alarme a changé", "alarmes ont changé")
            self.wall.tell(f"{count} entre-temps : l'action n'y a pas été faite.", "warning")
        elif done is not None and len(alarms) > 1:
            self.wall.tell(f"{french(len(alarms))} alarmes : {done}.", "positive")

    def _act(self, ids: list[int], action: Action) -> int:
        refused = 0
        for alarm_id in ids:
            try:
                self.wall.board.store.act(alarm_id, action)
            except (WrongUse, NotThere):
                refused += 1
        return refused
