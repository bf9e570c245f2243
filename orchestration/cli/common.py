"""What every command of `vigie` shares: the home, exit codes, how errors, progress, tables and JSON are printed.

Here: the conventions of the command line. Not here: any command.

Standard output is for results (a table, or one JSON document with `--json`); progress and errors go to standard error.
Exit codes: 0 done, 1 failed (`VigieError`), 2 wrong use (`WrongUse`, unknown options), 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ingestion.errors import VigieError, WrongUse

if TYPE_CHECKING:
    from orchestration.settings import Settings

DONE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else.")]

_home: ContextVar[Path | None] = ContextVar("home", default=None)


def choose_home(path: Path | None) -> None:
    """Remember the `--home` of this call."""
    _home.set(path)


def home() -> Path | None:
    """Return the home given with `--home`, or `None`: `Settings.load` and `create_local` know what that means."""
    return _home.get()


def load_settings() -> Settings:
    """Return the settings of the instance this call is about.

    Raises:
        WrongUse: there is no instance there, or a setting is wrong.
    """
    from orchestration.settings import Settings  # noqa: PLC0415 - `vigie --help` needs no settings

    return Settings.load(home())


def split_home(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take `--home PATH` out of the arguments, wherever it stands before `--`; return it and the other arguments.

    Raises:
        WrongUse: `--home` stands there without a path.
    """
    found: str | None = None
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return found, [*rest, word, *words]
        if word == "--home":
            found = next(words, None)
            if not found or found.startswith("-"):
                raise WrongUse("--home needs a path", remedy="write --home FOLDER")
        elif word.startswith("--home="):
            found = word.removeprefix("--home=")
            if not found:
                raise WrongUse("--home needs a path", remedy="write --home FOLDER")
        else:
            rest.append(word)
    return found, rest


def say(message: str) -> None:
    """Print a line of progress on standard error."""
    print(message, file=sys.stderr, flush=True)


def print_error(error: VigieError) -> None:
    """Print what happened and what to do next on standard error."""
    print(f"error: {error}", file=sys.stderr, flush=True)


def exit_code(error: VigieError) -> int:
    """Return the exit code of a failure."""
    return WRONG_USE if isinstance(error, WrongUse) else FAILED


def is_debugging() -> bool:
    """Whether tracebacks are asked for (`VIGIE_DEBUG=1`)."""
    return os.environ.get("VIGIE_DEBUG", "") not in {"", "0"}


def print_json(document: Any) -> None:
    """Print the one JSON document of a `--json` call on standard output; dates and paths become text."""
    print(json.dumps(document, ensure_ascii=False, indent=2, default=str), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table on standard output; `None` is left blank, numbers are aligned to the right."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - a tenth of a second that --json and --help do not need
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    listed = [list(row) for row in rows]
    table = Table(*[], title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        values = [row[index] for row in listed if row[index] is not None]
        is_number = bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in listed:
        table.add_row(*("" if value is None else f"{value:,}" if isinstance(value, int) else str(value) for value in row))
    # A pipe gets the whole width of the table, a terminal its own.
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(table)
