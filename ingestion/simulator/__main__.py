"""`python -m ingestion.simulator`: the simulated territory, for developers.

Here: arguments and printing. Not here: anything that happens. People use `vigie up --simulate`.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ingestion.errors import VigieError, WrongUse
from ingestion.simulator import history
from ingestion.simulator.clock import seconds
from ingestion.simulator.scenarios import Scenario
from ingestion.simulator.wire import Wire
from ingestion.simulator.world import World

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The simulated territory: history and messages, for developers.")

_Preset = Annotated[str, typer.Argument(help="chalons, dijon, or a number of lights.")]
_Seed = Annotated[int, typer.Option(help="Another seed, another town.")]
_Scenarios = Annotated[list[str] | None, typer.Option("--scenario", help="NAME@INSTANT, as often as wanted: storm@2026-03-02T12:00.")]


def _world(preset: str, seed: int, scenarios: list[str] | None) -> World:
    named = [text.partition("@") for text in scenarios or ()]
    return World(preset, seed, scenarios=[Scenario(name, seconds(_instant(at))) for name, _, at in named])


def _instant(text: str) -> dt.datetime:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{text!r} is no instant", remedy="2026-01-31, or 2026-01-31T12:00:00+00:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)


@app.command("history")
def write_history(preset: _Preset, start: str, end: str, folder: Path, *, seed: _Seed = 1, scenario: _Scenarios = None) -> None:
    """Write canonical Parquet, inventory, contracts, declared tables and truth of [START, END) into FOLDER (UTC unless said)."""
    begun = time.monotonic()
    written = history.write(
        _world(preset, seed, scenario),
        folder,
        _instant(start),
        _instant(end),
        progress=lambda step, share: typer.echo(f"{step} {share:.0%}", err=True),
    )
    for feed, rows in written.rows.items():
        typer.echo(f"{feed}: {rows:,} rows in {len(written.canonical[feed])} files")
    typer.echo(f"{folder}: {time.monotonic() - begun:.1f} s")


@app.command("messages")
def print_messages(
    preset: _Preset,
    at: Annotated[str, typer.Argument(help="From when (UTC unless said).")] = "2026-03-02T06:00:00",
    *,
    hours: Annotated[int, typer.Option(min=1, help="How long.")] = 12,
    each: Annotated[int, typer.Option(min=1, help="Messages printed of each feed.")] = 3,
    seed: _Seed = 1,
    scenario: _Scenarios = None,
) -> None:
    """Print the first messages of each feed from an instant on."""
    start, shown = seconds(_instant(at)), dict[str, int]()
    for message in Wire(_world(preset, seed, scenario)).messages(start, start + hours * 3_600):
        shown[message.feed] = shown.get(message.feed, 0) + 1
        if shown[message.feed] <= each:
            typer.echo(f"{message.feed} {message.topic or 'HTTP'}\n  {message.payload.decode()}")


def run() -> int:
    """Run the command line; return its exit code: 1 when something failed, 2 when it was wrongly asked."""
    try:
        app()
    except VigieError as error:
        typer.echo(error, err=True)
        return 2 if isinstance(error, WrongUse) else 1
    return 0


if __name__ == "__main__":
    sys.exit(run())
