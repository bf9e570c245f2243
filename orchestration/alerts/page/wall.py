"""One open page: what it shows, and what its operator does.

Here: keeping rows, counts and signs of life in step with the board; what each key and button does. Not here: the board (`board`), the
words and the HTML (`rows`, `words`), one alarm (`detail`).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
from fastapi import Request
from nicegui import background_tasks, ui
from nicegui.events import GenericEventArguments
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool

from orchestration.alerts.access import Who
from orchestration.alerts.model import Alarm, Entry, Kind, Role, State
from orchestration.alerts.page import frame, places, rows
from orchestration.alerts.page.actions import Actions
from orchestration.alerts.page.board import Board
from orchestration.alerts.page.detail import Detail
from orchestration.alerts.page.view import Chosen, Tab, shown

# People see a change at once below a tenth of a second; a storm of changes becomes ten repaints a second, not hundreds.
_REPAINT_S: Final = 0.1
# A session ends after a shift, or with its account: within a minute its page does too. Actions ask each time.
_SESSION_S: Final = 60.0
_RINGS: Final = frozenset({Kind.RAISED, Kind.REACTIVATED, Kind.UNSUPPRESSED, Kind.UNSHELVED})


class Wall:
    """One open page.

    Attributes:
        board: what all pages show.
        who: who looks at it.
        client: the browser's page.
        chosen: the tab and filters.
        zone: the command post's time zone: deadlines and the journal are read by the clock on its wall.
        contacts: how to reach whom a procedure says to call.
    """

    def __init__(self, board: Board, session: Mapping[str, Any], who: Who) -> None:
        self.board, self.who, self.client = board, who, ui.context.client
        self.zone, self.contacts = ZoneInfo(board.post.time_zone), board.contacts
        self._session = dict(session)
        self.chosen = Chosen()
        self.actions = Actions(self)
        self._rows: dict[int, ui.html] = {}
        self._new: list[Entry] = []
        self._rung = self._cleared = 0
        self._bell = asyncio.Event()

    @property
    def can_act(self) -> bool:
        """Whether who looks may do more than look."""
        return self.who.role.may(Role.OPERATOR)

    def known_as(self) -> Who | None:
        """Return who the page's session stands for now; None when it is over. May wait for the database: in a thread."""
        return self.board.access.of_session(self._session)

    @classmethod
    async def open(cls, board: Board, request: Request) -> Wall:
        """Build the page for who asks for it, and keep it in step until it is closed."""
        wall = cls(board, request.session, request.state.who)
        wall._build()
        wall.repaint()
        wall.client.on_delete(board.listen(wall._changed))
        task = background_tasks.create(wall._follow(), name=f"wall {wall.client.id}", context=wall.client)
        wall.client.on_delete(task.cancel)
        return wall

    # --- what is there

    def tell(self, text: str, kind: str) -> None:
        """Say a word at the foot of this browser's page; `kind` is positive, warning or negative."""
        with self.client:
            ui.notify(text, type=kind, position="bottom", timeout=4000)  # type: ignore[arg-type] # one of the library's literals

    def _build(self) -> None:
        ui.on("vigie", self._pressed)
        with ui.element("div").classes("wall").props(f'data-role="{self.who.role}" data-zone="{self.zone.key}"'):
            with ui.element("header").classes("head"):
                ui.html(frame.head(self.who, self.board.post.name), sanitize=False).classes("head-in")
                with ui.element("nav").classes("links"):
                    places.links(self)
            self._banners = ui.html("", sanitize=False).classes("banners").props('role="alert"')
            with ui.element("main").classes("main"):
                with ui.element("section").classes("list").props('aria-label="Alarmes"'):
                    self._tabs = ui.html("", sanitize=False).classes("tabs").props('role="tablist"')
                    with ui.element("div").classes("filters"):
                        ui.html(frame.search(), sanitize=False).classes("search")
                        self._domains = ui.html("", sanitize=False).classes("domains")
                    self._list = ui.element("ol").classes("rows").props('aria-label="Alarmes, par priorité puis ancienneté"')
                    self._more = ui.html("", sanitize=False).classes("more")
                    self._empty = ui.html("", sanitize=False).classes("empty")
                    if self.can_act:
                        ui.html(frame.picked(), sanitize=False).classes("picked").props("id=picked")
                with ui.element("aside").classes("pane").props('aria-label="Détail"'):
                    self._overview = ui.element("div").classes("overview")
                    with self._overview:
                        places.overview(self)
                    self.detail = Detail(self)
            with ui.element("footer").classes("foot"):
                self._engine = ui.html("", sanitize=False).classes("engine")
                self._feeds = ui.html("", sanitize=False, tag="ul").classes("feeds")
            self._pulse = ui.element("div").props("hidden").classes("pulse")
            ui.html(frame.cut(), sanitize=False).classes("cut").props('role="alert" hidden')

    # --- keeping in step

    def _changed(self, entries: list[Entry]) -> None:
        self._new += entries
        self._bell.set()

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        check_at = loop.time() + _SESSION_S
        while True:
            await self._bell.wait()
            self._bell.clear()
            entries, self._new = self._new, []
            self._ring(entries)
            self.repaint()
            if self.detail.is_about(entries):
                await self.detail.reload()
            if loop.time() >= check_at:
                check_at = loop.time() + _SESSION_S
                await self._still_signed_in()
            await asyncio.sleep(_REPAINT_S)

    async def _still_signed_in(self) -> None:
        """Go to the sign-in when the session is over: a page that stays open would show alarms to nobody known."""
        with contextlib.suppress(psycopg.Error, PoolTimeout):  # the banner says it; the next look is in a minute
            if await run_in_threadpool(self.known_as) is None:
                ui.navigate.to("/connexion")

    def repaint(self) -> None:
        """Bring the page in step with the board: only what differs is sent."""
        now = dt.datetime.now(dt.UTC)
        found = shown(self.board.alarms.values(), self.chosen)
        self._put(self._tabs, rows.tabs(found, self.chosen.tab))
        self._put(self._domains, rows.domains(found, self.chosen.domain))
        self._put_rows(found.rows)
        self._put(self._more, rows.more(found))
        blind = self.board.health.blind(now)
        self._put(self._banners, frame.banners(self.board, now, blind))
        self._put(self._empty, frame.empty(self.board, now, self.chosen, blind) if not found.rows else "")
        self._put(self._engine, frame.engine(self.board.health, now))
        self._put(self._feeds, rows.contacts(self.board.health.feeds, now))
        self._beat(now, blind)

    @staticmethod
    def _put(element: ui.html, content: str) -> None:
        if element.content != content:
            element.set_content(content)

    def _put_rows(self, alarms: list[Alarm]) -> None:
        wanted = {a.alarm_id for a in alarms}
        for gone in self._rows.keys() - wanted:
            self._list.remove(self._rows.pop(gone))
        for alarm in alarms:
            content, looks = rows.row(alarm, self.board.names, can_act=self.can_act), rows.row_class(alarm)
            element = self._rows.get(alarm.alarm_id)
            if element is None:
                with self._list:
                    element = ui.html(content, sanitize=False, tag="li")
                element.props(f'data-row="{alarm.alarm_id}" data-do="open" data-id="{alarm.alarm_id}"').classes(looks)
                self._rows[alarm.alarm_id] = element
                continue
            self._put(element, content)
            if set(element.classes) != set(looks.split()):
                element.classes(replace=looks)
        order = [self._rows[a.alarm_id] for a in alarms]
        if self._list.default_slot.children != order:
            self._list.default_slot.children[:] = order
            self._list.update()

    def _beat(self, now: dt.datetime, blind: str | None) -> None:
        critical = sum(a.priority == 1 and a.is_presented and a.state is State.UNACKNOWLEDGED for a in self.board.alarms.values())
        self._pulse.props["data-now"] = f"{now.timestamp():.3f}"
        self._pulse.props["data-critical"] = str(critical)
        self._pulse.props["data-seq"] = str(self.board.seq)
        self._pulse.props["data-blind"] = "1" if blind else ""
        self._pulse.update()

    def _ring(self, entries: list[Entry]) -> None:
        """Ring once for what is newly presented: the most urgent of it; what chatters has rung already."""
        urgent = [int(e.alarm["priority"]) for e in entries if rings(e)]
        if urgent:
            self._rung += 1
            self._pulse.props["data-ring"] = f"{self._rung}:{min(urgent)}"

    # --- what is pressed

    async def _pressed(self, event: GenericEventArguments) -> None:
        said: Mapping[str, Any] = event.args if isinstance(event.args, dict) else {}
        match said.get("do"):
            case "open":
                await self.detail.open(_number(said.get("id")))
            case "shut":
                self.detail.shut()
            case "tab":
                self.choose(tab=Tab(said["tab"]) if said.get("tab") in set(Tab) else Tab.STANDING)
            case "domain":
                self.choose(domain=None if said.get("domain") == "*" else str(said.get("domain")))
            case "search":
                # As much as anyone types; what is longer is no search.
                self.choose(text=str(said.get("text", ""))[:100])
            case str(do):
                await self.actions.do(do, said)

    def choose(self, **changes: Any) -> None:
        """Look at something else."""
        self.chosen = replace(self.chosen, **changes)
        self.repaint()

    def say_open(self, alarm_id: int) -> None:
        """Tell the browser which alarm is open (0: none): its row is marked, keys are about it."""
        self._pulse.props["data-open"] = str(alarm_id)
        self._pulse.update()

    def clear_search(self) -> None:
        """Empty the search field."""
        self._cleared += 1
        self._pulse.props["data-cleared"] = str(self._cleared)
        self._pulse.update()

    def show_overview(self, *, is_shown: bool) -> None:
        """Give the right side to its own content, or only its top while an alarm is open."""
        self._overview.classes(add="" if is_shown else "beside", remove="beside" if is_shown else "")


def rings(entry: Entry) -> bool:
    """Return whether a line of the journal is worth a tone."""
    alarm = entry.alarm
    if entry.kind not in _RINGS or not alarm.get("is_presented") or not alarm.get("is_active"):
        return False
    return not (alarm.get("is_chattering") and entry.kind is Kind.REACTIVATED)


def _number(said: Any) -> int:
    try:
        return int(said)
    except (TypeError, ValueError):
        return 0
