"""Where further components of the wall go: the map, the curve, the shift, the request for an intervention.

Here: one function for each place of the page, which the wall calls; a component is a module of its own that its place calls. Not here: the
page itself (`wall`, `detail`).

A place is called inside its container (`with …:` is open). It may keep what it makes, and must not wait for the database in the loop
(`nicegui.run.io_bound`). What it listens to on the board ends with the page: `wall.client.on_delete(wall.board.listen(…))`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from orchestration.alerts.model import Alarm
from orchestration.alerts.page import curve as curve_
from orchestration.alerts.page import handover, report, request, statics
from orchestration.alerts.page import map as map_

if TYPE_CHECKING:
    from orchestration.alerts.page.wall import Wall


def overview(wall: Wall) -> None:
    """Fill the right side while no alarm is open, and its top while one is. Called once per page."""
    map_.show(wall, statics.address(map_.SCRIPT))


def links(wall: Wall) -> None:
    """Add links to the head of the page. Called once per page."""
    del wall
    ui.html(
        f'<a class="tool" href="{handover.PATH}">Prise de poste</a><a class="tool" href="{report.PATH}">Rapport</a>', sanitize=False
    ).classes("links-in")


def curve(wall: Wall, alarm: Alarm) -> None:
    """Show recent measures of an alarm's equipment, in the detail. Called when an alarm is opened, not at each change of it."""
    curve_.show(wall, alarm, wall.board.settings)


def can_intervene(wall: Wall, alarm: Alarm) -> bool:
    """Return whether an intervention can be asked for: the button (and the key I) are there only then."""
    del wall
    return request.can_intervene(alarm)


async def intervene(wall: Wall, alarm: Alarm) -> None:
    """Ask for an intervention: show the dialog, send the work order."""
    await request.ask(wall, alarm, wall.board.settings)
