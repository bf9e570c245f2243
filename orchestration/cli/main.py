"""The command `vigie`: which commands there are, and where each is.

Here: the register of commands and the frame around a call. Not here: what a command does; it stands in its own module,
imported only when its name is called, so that `vigie --help` answers at once.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Final

import typer

from ingestion.errors import VigieError
from orchestration.cli import common


@dataclass(frozen=True)
class Command:
    """A command: where it is (`module:attribute`, a function or a typer application) and what it does, in a line."""

    target: str
    summary: str


COMMANDS: Final = {
    "up": Command("orchestration.cli.instance:up", "Start the instance and wait until it is healthy."),
    "down": Command("orchestration.cli.instance:down", "Stop the instance and leave no process."),
    "status": Command("orchestration.cli.instance:status", "Show what runs and what each feed received."),
    "logs": Command("orchestration.cli.instance:logs", "Show the services' logs."),
    "simulate": Command("orchestration.cli.simulate:simulate", "Let a scenario befall the simulated territory, or list what can."),
    "doctor": Command("orchestration.cli.instance:doctor", "Say what is wrong with this machine or instance, and the remedy."),
    "feeds": Command("orchestration.cli.feeds:app", "List, check and add feed contracts."),
    "ingest": Command("orchestration.cli.data:ingest", "Land files of a feed."),
    "build": Command("orchestration.cli.data:build", "Build everything downstream of what has landed."),
    "sql": Command("orchestration.cli.data:sql", "Query the published tables, read-only."),
    "alerts": Command("orchestration.cli.alerts:app", "List, follow and handle alarms; list, check and try rules."),
    "dashboards": Command("orchestration.cli.dashboards:app", "Push, pull and check the dashboards; who may open them."),
    "maintain": Command("orchestration.cli.data:maintain", "Flush, merge, expire and clean the lake."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one call of `vigie` and return its exit code.

    Args:
        arguments: the words after `vigie`; the process's own by default.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        home, words = common.split_home(words)
        common.choose_home(Path(home) if home else None)
        _application(words)(args=words, prog_name="vigie")
    except VigieError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return common.INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else common.DONE if end.code is None else common.FAILED
    except Exception as error:  # noqa: BLE001 - the last frame: whatever happened becomes a message and an exit code
        unexpected = f"unexpected {type(error).__name__}: {error}"
        return _failed(VigieError(unexpected, remedy="VIGIE_DEBUG=1 shows where; please report it"))
    return common.DONE


def run() -> None:
    """Run `vigie` as a program."""
    sys.exit(main())


def _failed(error: VigieError) -> int:
    if common.is_debugging():
        traceback.print_exc()
    common.print_error(error)
    return common.exit_code(error)


def _application(words: Sequence[str]) -> typer.Typer:
    """Return the application: commands whose name is among the words for real, the others as their line of help."""
    application = typer.Typer(
        help="Vigie, the data platform of a connected territory.",
        epilog="--home may also stand after the command. Results go to standard output, progress and errors to standard error.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    application.callback()(_options)
    for name, command in COMMANDS.items():
        if name not in words:
            application.command(name, help=command.summary)(_not_called)
            continue
        loaded = _load(command.target)
        if isinstance(loaded, typer.Typer):
            application.add_typer(loaded, name=name, help=command.summary)
        else:
            application.command(name)(loaded)
    return application


def _load(target: str) -> typer.Typer | Callable[..., object]:
    module, _, attribute = target.partition(":")
    loaded: typer.Typer | Callable[..., object] = getattr(importlib.import_module(module), attribute)
    return loaded


def _not_called() -> None:
    raise AssertionError("a command whose name is not among the arguments was called")


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        try:
            print(f"vigie {version('vigie')}")
        except PackageNotFoundError:
            print("vigie (not installed: running from its sources)")
        raise typer.Exit


def _options(
    *,
    home: Annotated[str | None, typer.Option(help="Folder of the instance.", show_default="$VIGIE_HOME, else ./.vigie")] = None,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)] = False,
) -> None:
    del home, show_version  # `--home` was taken out before, wherever it stood


if __name__ == "__main__":
    run()
