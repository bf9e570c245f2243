"""The command that lets a scenario befall the simulated territory of this instance.

Here: what it prints. Not here: scenarios (`ingestion.simulator.scenarios`), how the territory speaks (`orchestration.simulation`).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from ingestion.errors import WrongUse
from orchestration import simulation
from orchestration.cli import common
from orchestration.cli.common import Json


def simulate(
    name: Annotated[str | None, typer.Argument(help="A scenario; without it, all are listed.")] = None,
    *,
    at: Annotated[str | None, typer.Option(help="When it starts: 2026-05-01T18:00 (UTC unless said); now without it.")] = None,
    as_json: Json = False,
) -> None:
    """Let a scenario befall the simulated territory, from the next minute on or at an instant to come; or list what can, and what did."""
    from ingestion.simulator.scenarios import COURSES

    settings = common.load_settings()
    if name is not None:
        found = simulation.start_scenario(settings, name, _instant(at), dt.datetime.now(dt.UTC))
        common.say(f"{name} ({COURSES[name].title}) starts at {found.scenarios[-1][1]}")
    elif at is not None:
        raise WrongUse("--at needs a scenario", remedy="vigie simulate storm --at 2026-05-01T18:00")
    started = simulation.phases(settings)
    if as_json:
        common.print_json({"scenarios": {n: c.title for n, c in COURSES.items()}, "phases": started})
    elif name is None:
        common.print_table(("Scenario", "Title", "Hours"), ((n, c.title, f"{c.phases[-1].until / 3_600:g}") for n, c in COURSES.items()))
        print()
        _print_phases(started)
    else:
        _print_phases([p for p in started if p["scenario"] == name and p["started"] == found.scenarios[-1][1]])


def _print_phases(phases: list[dict[str, str]]) -> None:
    columns = ("Scenario", "Phase", "From (UTC)", "Until (UTC)")
    common.print_table(columns, ((p["scenario"], p["phase"], _short(p["from"]), _short(p["until"])) for p in phases))


def _short(instant: str) -> str:
    return instant[:16].replace("T", " ")


def _instant(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{text!r} is no instant", remedy="2026-05-01T18:00, or 2026-05-01T18:00:00+02:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)
