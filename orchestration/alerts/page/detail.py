"""One alarm, opened: what is known of it, what to do, what is near, what was done.

Here: reading it and keeping it in step. Not here: its HTML (`panes`), what is done with it (`actions`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from nicegui import ui
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool

from orchestration.alerts.model import Alarm, Entry
from orchestration.alerts.page import panes, places
from orchestration.alerts.store.store import NotThere, Store

if TYPE_CHECKING:
    from orchestration.alerts.page.wall import Wall

# A gateway hides 500 lights: the first are listed, the rest counted.
_CHILDREN: Final = 60


@dataclass(frozen=True)
class Opened:
    """What the detail shows: the alarm, its journal, the live alarms under it."""

    alarm: Alarm
    journal: list[Entry]
    children: list[Alarm]


def read(store: Store, alarm_id: int) -> Opened:
    """Read what the detail shows.

    Raises:
        NotThere: there is no such alarm.
        psycopg.Error: the database does not answer.
    """
    alarm = store.get(alarm_id)
    children = store.select(f"parent_id = %s AND closed_at IS NULL ORDER BY priority, raised_at, alarm_id LIMIT {_CHILDREN}", [alarm_id])
    return Opened(alarm, store.journal_of(alarm_id), children)


class Detail:
    """The right side of a page. Attributes: `alarm`, the one that is open; None when none is."""

    def __init__(self, wall: Wall) -> None:
        self.wall = wall
        self.alarm: Alarm | None = None
        self._asked = 0
        self._about: frozenset[int] = frozenset()
        self._box = ui.element("div").classes("detail")
        with self._box:
            self._head = ui.html("", sanitize=False).classes("detail-head")
            self._facts = ui.html("", sanitize=False).classes("facts")
            self._curve = ui.element("div").classes("curve")
            self._steps = ui.html("", sanitize=False).classes("steps")
            self._near = ui.html("", sanitize=False).classes("near")
            self._journal = ui.html("", sanitize=False).classes("journal")
        self._box.set_visibility(False)

    async def open(self, alarm_id: int) -> None:
        """Open an alarm; the last asked for wins."""
        self._asked = alarm_id
        await self.reload()

    def shut(self) -> None:
        """Show the overview again."""
        self._asked, self.alarm, self._about = 0, None, frozenset()
        self._box.set_visibility(False)
        self.wall.show_overview(is_shown=True)
        self.wall.say_open(0)

    def is_about(self, entries: Sequence[Entry]) -> bool:
        """Return whether lines of the journal say something of what is shown."""
        if not self._asked:
            return False
        return any(e.alarm_id in self._about or e.alarm.get("parent_id") == self._asked for e in entries)

    async def reload(self) -> None:
        """Read the open alarm again, and show it."""
        alarm_id = self._asked
        if not alarm_id:
            return
        try:
            opened = await run_in_threadpool(read, self.wall.board.store, alarm_id)
        except (psycopg.Error, PoolTimeout):
            return  # the banner says it; what is shown stays, and is read again with the next line
        except NotThere:
            self.shut()
            return
        if alarm_id == self._asked:
            self._show(opened)

    def _show(self, opened: Opened) -> None:
        alarm, wall, now = opened.alarm, self.wall, dt.datetime.now(dt.UTC)
        is_other = self.alarm is None or self.alarm.alarm_id != alarm.alarm_id
        self.alarm = alarm
        self._about = frozenset({alarm.alarm_id, *(c.alarm_id for c in opened.children)})
        near = panes.neighbours(alarm, wall.board.alarms.values())
        can_intervene = wall.can_act and places.can_intervene(wall, alarm)
        _put(self._head, panes.head(alarm, wall.board.names, can_act=wall.can_act, can_intervene=can_intervene))
        _put(self._facts, panes.facts(alarm, now, wall.zone, wall.board.names))
        _put(self._steps, panes.steps(alarm, wall.contacts, now, wall.zone, wall.board.names, can_act=wall.can_act))
        _put(self._near, panes.children(alarm, opened.children) + panes.reports(alarm) + panes.near(near))
        _put(self._journal, panes.journal(opened.journal, now, wall.zone, wall.board.names))
        if is_other:
            self._curve.clear()
            with self._curve:
                places.curve(wall, alarm)
        self._box.set_visibility(True)
        wall.show_overview(is_shown=False)
        wall.say_open(alarm.alarm_id)


def _put(element: ui.html, content: str) -> None:
    if element.content != content:
        element.set_content(content)
