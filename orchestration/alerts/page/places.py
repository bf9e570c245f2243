"""Where further components of the wall go: the map, the curve, the shift, the request for an intervention.

Here: one function for each place of the page, which the wall calls; a component is a module of its own that its place calls. Not here: the
page itself (`wall`, `detail`).

A place is called inside its container (`with …:` is open). It may keep what it makes, and must not wait for the database in the loop
(`nicegui.run.io_bound`). What it listens to on the board ends with the page: `wall.client.on_delete(wall.board.listen(…))`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestration.alerts.model import Alarm

if TYPE_CHECKING:
    from orchestration.alerts.page.wall import Wall


def overview(wall: Wall) -> None:
    """Fill the right side while no alarm is open: the map goes here. Called once per page."""
    del wall


def links(wall: Wall) -> None:
    """Add links to the head of the page: « Prise de poste », « Rapport ». Called once per page."""
    del wall


def curve(wall: Wall, alarm: Alarm) -> None:
    """Show recent measures of an alarm's equipment, in the detail. Called when an alarm is opened, not at each change of it."""
    del wall, alarm


def can_intervene(wall: Wall, alarm: Alarm) -> bool:
    """Return whether an intervention can be asked for: the button (and the key I) are there only then."""
    del wall, alarm
    return False


async def intervene(wall: Wall, alarm: Alarm) -> None:
    """Ask for an intervention: show the dialog, send the work order."""
    del wall, alarm
