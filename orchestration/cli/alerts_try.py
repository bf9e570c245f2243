"""`vigie alerts try`: a rule on history, before it goes live.

Here: arguments and what is printed. Not here: the trial (`orchestration.alerts.engine.trial`), reading history
(`orchestration.alerts.history`).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ingestion.errors import WrongUse
from orchestration.cli import common
from orchestration.cli.data import ready_instance

if TYPE_CHECKING:
    from orchestration.alerts.engine.trial import Trial
    from orchestration.alerts.engine.world import World
    from orchestration.alerts.rulebook.model import Rule
    from orchestration.settings import Settings

# Enough to judge a rule by; --json gives all.
_SHOWN: Final = 20
_MICROSECONDS: Final = 1_000_000


def try_command(
    rule: Annotated[str, typer.Argument(help="A rule's name, or the path of its YAML.")],
    *,
    start: Annotated[str, typer.Option("--from", help="Beginning of the span: 2026-05-01 (UTC unless said).")],
    end: Annotated[str | None, typer.Option("--to", help="Its end, exclusive; now without it.")] = None,
    as_json: common.Json = False,
) -> None:
    """Show when a rule would have raised, how often, and the load it adds to each operator. Nothing is raised."""
    from orchestration.alerts.post import load_post

    first, last = instant(start, "--from"), instant(end, "--to") if end else dt.datetime.now(dt.UTC)
    if last <= first:
        raise WrongUse("--to is not after --from", remedy="give the later day second; it is exclusive")
    with ready_instance(create=False) as settings:
        found = _rule(settings, rule)
        trial, world = _try(settings, found, first, last)
        operators = load_post(settings.alerts_path).operators
    if as_json:
        common.print_json(_document(trial, operators))
        return
    _print(trial, world, operators)


def _try(settings: Settings, rule: Rule, start: dt.datetime, end: dt.datetime) -> tuple[Trial, World]:
    from orchestration.alerts import history
    from orchestration.alerts.engine.hours import TerritoryHours
    from orchestration.alerts.engine.trial import try_rule
    from orchestration.alerts.engine.world import World
    from orchestration.alerts.post import load_post
    from orchestration.alerts.runtime import directory
    from orchestration.alerts.runtime.contracts import Books
    from orchestration.alerts.store.turn import connect

    books = Books(settings)
    books.read()
    with connect(settings.app_url.get_secret_value(), name="vigie-command") as con:
        known = directory.load(con)
    world = World(known, TerritoryHours(load_post(settings.alerts_path).hours.hours()), books.book.feeds)
    common.say(f"reading history from {start - history.run_up(rule):%Y-%m-%d %H:%M} on")
    signals = history.signals(settings.reader_lake, rule, world, start, end)
    return try_rule(rule, signals, world, _microseconds(start), _microseconds(end)), world


def _rule(settings: Settings, name: str) -> Rule:
    from orchestration.alerts.rulebook.load import load_rule
    from orchestration.alerts.rulebook.registry import list_rules

    if Path(name).suffix in {".yaml", ".yml"}:
        rule = load_rule(Path(name))
    else:
        entry = next((e for e in list_rules(settings.alerts_path / "rules") if e.name == name), None)
        if entry is None or entry.rule is None:
            raise WrongUse((entry and entry.error) or f"there is no rule {name}", remedy="vigie alerts rules list")
        rule = entry.rule
    if rule.when.type in {"indicator", "platform"}:
        raise WrongUse(
            f"{rule.rule} is of type {rule.when.type}", remedy="query its table with vigie sql: it is looked at after each build"
        )
    return rule


def _print(trial: Trial, world: World, operators: int) -> None:
    days = (trial.end - trial.start) / _MICROSECONDS / 86_400
    print(f"{trial.rule}: {len(trial.raises)} alarms in {days:.1f} days ({trial.per_day:.2f} a day), of {trial.signals:,} signals read")
    worst, at = trial.worst
    if at is not None:
        print(f"worst ten minutes: {worst} alarms, from {_when(at)}")
    print(f"load added: {trial.load(operators):.3f} alarms per operator per ten minutes ({operators} on duty; below 1 in all: EEMUA 191)")
    if trial.cut_off:
        print(f"its bound would have cut it off {len(trial.cut_off)} times, first {_when(trial.cut_off[0])}")
    rows: list[tuple[Any, ...]] = []
    for one in trial.raises[:_SHOWN]:
        equipment = world.directory.get(one.asset) if one.asset else None
        lasted = f"{one.lasted / _MICROSECONDS / 60:,.0f} min" if one.lasted is not None else "still held"
        rows.append(
            (
                _when(one.at),
                equipment.label if equipment else one.key.split("|", 1)[-1],
                one.value if one.value is not None else one.text,
                lasted,
            )
        )
    if rows:
        common.print_table(("Raised (UTC)", "Equipment", "Value", "Lasted"), rows)
    if len(trial.raises) > _SHOWN:
        common.say(f"… and {len(trial.raises) - _SHOWN} more: --json lists all")


def _document(trial: Trial, operators: int) -> dict[str, Any]:
    return {
        "rule": trial.rule, "from": _when(trial.start), "to": _when(trial.end), "signals": trial.signals, "alarms": len(trial.raises),
        "updates": trial.updates, "per_day": trial.per_day, "load_per_operator": trial.load(operators), "operators": operators,
        "worst_ten_minutes": {"alarms": trial.worst[0], "from": _when(trial.worst[1]) if trial.worst[1] is not None else None},
        "cut_off": [_when(at) for at in trial.cut_off],
        "raises": [
            {"key": r.key, "at": _when(r.at), "until": _when(r.until) if r.until is not None else None, "value": r.value, "text": r.text}
            for r in trial.raises
        ],
    }  # fmt: skip


def _when(microseconds: int) -> str:
    return dt.datetime.fromtimestamp(microseconds / _MICROSECONDS, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _microseconds(at: dt.datetime) -> int:
    return int(at.timestamp() * _MICROSECONDS)


def instant(text: str, option: str) -> dt.datetime:
    """Return the instant of an option: a day or a moment, UTC unless said.

    Raises:
        WrongUse: it is no instant.
    """
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{option} {text!r} is no instant", remedy="2026-05-01, or 2026-05-01T18:00:00+02:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)
