"""What every command of `vigie` shares: the home, exit codes, how errors, progress, tables and JSON are printed.

Here: the conventions of the command line. Not here: any command.

Standard output is for results (a table, or one JSON document with `--json`); progress and errors go to standard error.
Exit codes: 0 done, 1 failed (`VigieError`), 2 wrong use (`WrongUse`, unknown options), 130 interrupted.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
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

# The narrowest slice of a folded text that still reads: three or four words.
_LEAST_COLUMN: Final = 24
# What rich puts between two columns.
_GAP: Final = 4
# A pipe has no width; what is sent there is mostly read in a wide window, or by a program that takes --format csv.
_PIPE_COLUMNS: Final = 200

_COMMANDS: Final = "up|down|status|logs|simulate|doctor|feeds|ingest|build|sql|alerts|dashboards|maintain"
_COMMAND: Final = re.compile(rf"(?<![\w/.-])vigie (?=(?:{_COMMANDS})\b)")

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
    from orchestration.settings import Settings

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


def pasteable(text: str) -> str:
    """Return a text in which each `vigie …` command is one that can be pasted: with this call's program and `--home`."""
    home = _home.get()
    words = [_program()] if home is None else [_program(), "--home", shlex.quote(str(home))]
    return text if "--home" in text else _COMMAND.sub(" ".join(words) + " ", text)


def _program() -> str:
    """Return how this program was called, unless plain `vigie` would find it too."""
    called = sys.argv[0] if sys.argv else ""
    if Path(called).name != "vigie":  # a test, or Python's -m
        return "vigie"
    found = shutil.which("vigie")
    return "vigie" if found is not None and Path(found).resolve() == Path(called).resolve() else shlex.quote(called)


def print_error(error: VigieError) -> None:
    """Print what happened and what to do next on standard error."""
    remedy = f"\n  → {pasteable(error.remedy)}" if error.remedy else ""
    print(f"error: {error.message}{remedy}", file=sys.stderr, flush=True)


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
    """Print a table on standard output; `None` is left blank, numbers are aligned to the right.

    Where the columns do not fit side by side, long texts are folded; where even that would leave slices of a few letters,
    each row is printed as a block of its own, a line per column.
    """
    listed = [list(row) for row in rows]
    cells = [["" if v is None else f"{v:,}" if isinstance(v, int) and not isinstance(v, bool) else str(v) for v in row] for row in listed]
    natural = [max([len(name), *(_width(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    least = [min(width, max(len(name), _LEAST_COLUMN)) for width, name in zip(natural, columns, strict=True)]
    available = shutil.get_terminal_size().columns if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or _PIPE_COLUMNS)
    if sum(least) + _GAP * len(columns) > available:
        _print_blocks(columns, cells, title)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(*[], title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        values = [row[index] for row in listed if row[index] is not None]
        is_number = bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold", min_width=least[index])
    for row in cells:
        table.add_row(*row)
    Console(markup=False, highlight=False, width=available).print(table)


def _width(cell: str) -> int:
    return max((len(line) for line in cell.split("\n")), default=0)


def _print_blocks(columns: Sequence[str], cells: Sequence[Sequence[str]], title: str | None) -> None:
    if title is not None:
        print(title)
    margin = max(len(name) for name in columns)
    for number, row in enumerate(cells, start=1):
        print(f"─[ {number} ]─")
        for name, cell in zip(columns, row, strict=True):
            print(f"{name.ljust(margin)}  {cell}".rstrip())
