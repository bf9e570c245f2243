"""`vigie feeds`: list, check and add feed contracts. No server is needed for any of them.

Here: arguments and what is printed. Not here: reading contracts (`ingestion.feeds.load`), drafting them
(`ingestion.feeds.draft`), previewing data (`ingestion.landing`).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ingestion.errors import BadFile, VigieError, WrongUse
from orchestration.cli import common
from orchestration.cli.feeds_access import access_command
from orchestration.cli.feeds_rejects import rejects_command
from orchestration.cli.feeds_replay import replay_command

if TYPE_CHECKING:
    from ingestion.feeds.model import Feed, Territory
    from ingestion.landing import Preview

app: Final = typer.Typer(no_args_is_help=True)
app.command("access")(access_command)
app.command("rejects")(rejects_command)
app.command("replay")(replay_command)

# A cell of the preview: enough to recognise a value, short enough for a terminal.
_CELL: Final = 96


@app.command("list")
def list_command(*, as_json: common.Json = False) -> None:
    """List the feed contracts of the instance, broken ones too."""
    from ingestion.feeds.registry import Entry, list_feeds

    entries = list_feeds(_feeds_folder())
    if as_json:
        common.print_json([_entry_document(e) for e in entries])
        return

    def row(entry: Entry) -> list[object]:
        feed = entry.feed
        where = f"shipped: {entry.path.name}" if entry.is_example else str(entry.path)
        if entry.replaces is not None:
            where += " (replaces the shipped one)"
        if feed is None:
            first = entry.error.problems[0] if entry.error is not None else None
            return [entry.name, "broken", None, None, None, None, f"{where}: {first.key}: {first.what}" if first else where]
        freshness = _duration(feed.freshness.total_seconds()) if feed.freshness is not None else None
        return [feed.feed, feed.contract, feed.domain, feed.territory.code, feed.owner.name, freshness, where]

    common.print_table(["feed", "contract", "domain", "territory", "owner", "freshness", "file"], [row(e) for e in entries])
    broken = [e.name for e in entries if e.feed is None]
    if broken:
        common.say(common.pasteable(f"{len(broken)} broken: vigie feeds check {broken[0]} says what to correct"))


@app.command("check")
def check_command(
    *,
    feed: Annotated[str, typer.Argument(help="A feed's name, or the path of its YAML.")],
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders to preview. Nothing is stored.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Records shown of each file, with all their rows, and rejected records.")] = 20,
    as_json: common.Json = False,
) -> None:
    """Check a contract; with files, show what would be stored and rejected, and why."""
    from ingestion.feeds.load import ContractError
    from ingestion.feeds.registry import find_feed, find_path
    from orchestration.dbt import project

    path = find_path(feed, _feeds_folder())
    try:
        contract = find_feed(feed, _feeds_folder(), fault_types=project.fault_types())
    except ContractError as error:
        if as_json:
            common.print_json(
                {"feed": None, "file": path, "valid": False, "problems": [p.as_dict() for p in error.problems], "previews": []}
            )
        raise
    _check_territory(contract, path)
    results = [_previewed(contract, file, limit) for file in _files(paths or [])]
    if as_json:
        previews = [_preview_document(origin, found) for origin, found in results]
        common.print_json({"feed": contract.feed, "file": path, "valid": True, "problems": [], "previews": previews})
    else:
        print(f"{path}: the contract is right ({contract.contract}, {len(contract.fields)} fields)")
        _show_units(contract)
        for origin, found in results:
            _show(origin, found)
        if not results:
            print(common.pasteable(f"Preview a file with it: vigie feeds check {shlex.quote(feed)} FILE"))
        elif not any(isinstance(found, VigieError) for _, found in results):
            files = shlex.join(str(p) for p in paths or [])
            print(common.pasteable(f"\nNothing was stored. To store: vigie ingest {shlex.quote(feed)} {files}"))
    if any(isinstance(found, VigieError) for _, found in results):
        raise typer.Exit(common.FAILED)


@app.command("add")
def add_command(
    *,
    file: Annotated[Path, typer.Argument(help="A file of the source.")],
    name: Annotated[str | None, typer.Option(help="The feed's name.", show_default="made of the file's name")] = None,
    contract: Annotated[
        str | None, typer.Option(help="asset, observation, report, intervention or energy_reading.", show_default="guessed")
    ] = None,
    territory: Annotated[
        str | None,
        typer.Option(help="Code of the territory, described as in another feed of it.", show_default="that of your other contracts"),
    ] = None,
    zone: Annotated[str | None, typer.Option(help="IANA zone of the times the source writes (Europe/Paris, UTC).")] = None,
    owner: Annotated[str | None, typer.Option(help="The service that answers for the source.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a contract of that name, or take a shipped example's name.")] = False,
    as_json: common.Json = False,
) -> None:
    """Draft the contract of a source from one of its files."""
    from ingestion.contracts.canonical import CONTRACTS
    from ingestion.feeds.draft import draft_feed
    from ingestion.feeds.load import ContractError, load_feed
    from ingestion.feeds.load_problem import did_you_mean
    from ingestion.lake.session import open_engine

    if contract is not None and contract not in CONTRACTS:
        raise WrongUse(
            f"--contract {contract}: no such contract", remedy=did_you_mean(contract, CONTRACTS, otherwise=f"one of {', '.join(CONTRACTS)}")
        )
    _check_zone(zone)
    with open_engine(_extension_directory()) as con:
        draft = draft_feed(file, con, name=name, contract=contract, territory=_territory(territory), zone=zone, owner=owner)
    if not force:
        _refuse_example_name(draft.name, file)
    target = _feeds_folder() / f"{draft.name}.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("w" if force else "x", encoding="utf-8") as out:
            out.write(draft.text)
    except FileExistsError:
        raise WrongUse(f"{target} is already there", remedy="--name another, or --force to replace it") from None
    try:
        load_feed(target)
        problems = []
    except ContractError as error:
        problems = list(error.problems)
    if as_json:
        common.print_json({"feed": draft.name, "file": target, "notes": draft.notes, "problems": [p.as_dict() for p in problems]})
        return
    for note in draft.notes:
        print(f"  {note}")
    print(f"Drafted {target}")
    if problems:
        print(f"Left to fill in or correct ({len(problems)}):")
        for problem in problems:
            print(f"  line {problem.line}: {problem.key}: {problem.what}")
    given = shlex.quote(str(file))
    print("Next:")
    print(f"  1. open {target} and read its comments: every guess is marked")
    print(common.pasteable(f"  2. vigie feeds check {draft.name} {given}"))
    print(common.pasteable(f"  3. vigie ingest {draft.name} {given}"))


def _refuse_example_name(name: str, file: Path) -> None:
    """Refuse the name of a shipped example: a contract of that name would silently take its place.

    Raises:
        WrongUse: an example has this name.
    """
    from ingestion.feeds.registry import EXAMPLES, SUFFIX

    example = EXAMPLES / f"{name}{SUFFIX}"
    own = _feeds_folder() / f"{name}{SUFFIX}"
    if example.is_file() and not own.exists():
        given = shlex.quote(str(file))
        raise WrongUse(
            f"{name} is the name of a shipped example ({example})",
            remedy=f"if it is that source, the example serves as it is: vigie feeds check {name} {given}; "
            f"if not, another name: vigie feeds add {given} --name my-{name} (--force takes the example's place)",
        )


def _check_territory(contract: Feed, path: Path) -> None:
    """Refuse a contract whose territory another one describes otherwise: the build would.

    Compared with the instance's own contracts, and with the feeds that have landed where the instance runs.

    Raises:
        WrongUse: another contract differs; both blocks are shown, with their lines.
    """
    from ingestion.feeds.registry import list_feeds
    from ingestion.feeds.territories import conflict

    landed = _landed_feeds()
    for entry in list_feeds(_feeds_folder()):
        other = entry.feed
        if other is None or other.feed == contract.feed or other.territory.code != contract.territory.code:
            continue
        if other.territory != contract.territory and (not entry.is_example or other.feed in landed):
            places = {feed: _territory_places(file) for feed, file in ((contract.feed, path), (other.feed, entry.path))}
            raise conflict(contract, other, places)


def _territory_places(path: Path) -> dict[str, str]:
    """Return where each key of a contract's territory is written, as `file:line`."""
    from ingestion.feeds.load_yaml import read_document
    from ingestion.feeds.model import Territory

    document = read_document(path)
    return {key: f"{path}:{document.line(('territory', key))}" for key in Territory.model_fields}


def _landed_feeds() -> frozenset[str]:
    """Return the feeds that have landed; none where the instance does not run: nothing is started for a check."""
    from orchestration.services.control import Control
    from orchestration.settings import INSTANCE_FILE, Settings

    if not (_home() / INSTANCE_FILE).exists():
        return frozenset()
    settings = Settings.load(common.home())
    if Control.of(settings) is None:
        return frozenset()
    from ingestion.lake.ledger import feed_totals

    return frozenset(feed_totals(settings.lake))


def _show_units(contract: Feed) -> None:
    """Say what each number is taken for: a unit that means another quantity (`g`, a mass) is seen here or never."""
    from ingestion.contracts.units import COLUMN_UNITS, QUANTITIES, to_canonical

    declared = {f.name: f.unit for f in contract.fields}
    rows: list[tuple[str | None, str, str, str, str]] = []
    for m in contract.measures:
        unit = m.unit or declared[m.column]
        if unit is not None:
            kept = to_canonical(unit).canonical
            rows.append((m.column, m.property, unit, QUANTITIES[kept], kept))
    for name, how in contract.mapping.items():
        unit = how.unit or declared.get(how.column or "")
        if unit is not None and name not in {"longitude", "latitude"}:
            kept = COLUMN_UNITS.get(name) or to_canonical(unit).canonical
            rows.append((how.column, name, unit, QUANTITIES[to_canonical(kept).canonical], kept))
    if rows:
        common.print_table(["column", "becomes", "unit of the source", "which is", "kept in"], rows)


def _feeds_folder() -> Path:
    return _home() / "feeds"


def _home() -> Path:
    from orchestration.settings import DEFAULT_HOME

    # Contracts can be written and checked before the instance is first started.
    return common.home() or Path(os.environ.get("VIGIE_HOME") or DEFAULT_HOME)


def _extension_directory() -> Path:
    return Path(os.environ.get("VIGIE_EXTENSION_DIRECTORY") or _home() / "extensions")


def _check_zone(zone: str | None) -> None:
    from zoneinfo import available_timezones

    from ingestion.feeds.load_problem import did_you_mean

    if zone is not None and zone not in available_timezones():
        raise WrongUse(
            f"--zone {zone}: no such time zone", remedy=did_you_mean(zone, available_timezones(), otherwise="for instance Europe/Paris")
        )


def _territory(code: str | None) -> Territory | str | None:
    """Return the territory of that code, as another feed declares it, or the code alone."""
    from ingestion.feeds.draft_names import slug
    from ingestion.feeds.registry import list_feeds

    if code is not None and slug(code) != code:
        raise WrongUse(f"--territory {code}: not a code", remedy=f"lower-case letters, digits and hyphens: {slug(code)}")
    # The instance's own contracts first: they are what the new one must agree with.
    entries = sorted(list_feeds(_feeds_folder()), key=lambda e: e.is_example)
    if code is None:
        own = {e.feed.territory.code: e.feed.territory for e in entries if e.feed is not None and not e.is_example}
        if len(own) != 1:
            return None
        (code,) = own
        common.say(f"territory {code}, as in your other contracts; --territory for another place")
    return next((e.feed.territory for e in entries if e.feed is not None and e.feed.territory.code == code), code)


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        elif path.is_file():
            yield path
        else:
            raise WrongUse(f"{path}: no such file", remedy="give files or folders of the source")


def _previewed(feed: Feed, path: Path, limit: int) -> tuple[Path, Preview | BadFile]:
    from ingestion.landing import preview

    try:
        # A record of a wide table has a row per measure: enough of them are asked for, and whole records are kept.
        rows = limit * max(1, len(feed.measures))
        found = preview(feed, path, extension_directory=_extension_directory(), limit=rows)
        return path, replace(found, rows=_first_records(found.rows, limit), rejects=_first_records(found.rejects, limit))
    except BadFile as error:  # one bad file does not hide the others
        return path, error


def _first_records(rows: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    first = set(list(dict.fromkeys(row["position"] for row in rows))[:limit])
    return [row for row in rows if row["position"] in first]


def _show(origin: Path, found: Preview | BadFile) -> None:
    print(f"\n{origin}")
    if isinstance(found, VigieError):
        print(f"  refused whole: {found}")
        return
    for note in found.notes:
        print(f"  {note}")
    print(f"  received {found.received:,} = stored {found.accepted:,} + duplicate {found.duplicate:,} + rejected {found.rejected:,}")
    if found.rejected_values:
        print(f"  {found.rejected_values:,} values set aside of records that are stored")
    if found.reasons:
        most_first = sorted(found.reasons, key=lambda reason: found.reasons[reason], reverse=True)
        common.print_table(["reason", "rejected"], [[reason, found.reasons[reason]] for reason in most_first])
    for title, rows in (("would be stored", found.rows), ("would be rejected", found.rejects)):
        if rows:
            columns = [c for c in rows[0] if any(r[c] is not None for r in rows)]
            common.print_table(columns, [[_cell(r[c]) for c in columns] for r in rows], title=f"{title} ({_first(rows)})")


def _first(rows: list[dict[str, Any]]) -> str:
    records = len({row["position"] for row in rows})
    if records == len(rows):
        return f"the first {records}"
    return f"the {len(rows)} rows of the first {f'{records} records' if records > 1 else 'record'}"


def _cell(value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    text = " ".join(str(value).split())
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _preview_document(origin: Path, found: Preview | BadFile) -> dict[str, Any]:
    if isinstance(found, VigieError):
        return {"file": origin, "error": found.message, "remedy": found.remedy}
    return {
        "file": origin,
        "received": found.received,
        "stored": found.accepted,
        "duplicate": found.duplicate,
        "rejected": found.rejected,
        "rejected_values": found.rejected_values,
        "reasons": found.reasons,
        "notes": found.notes,
        "rows": found.rows,
        "rejects": found.rejects,
    }


def _entry_document(entry: Any) -> dict[str, Any]:
    feed: Feed | None = entry.feed
    document: dict[str, Any] = {
        "feed": entry.name,
        "file": entry.path,
        "is_example": entry.is_example,
        "replaces": entry.replaces,
        "is_broken": feed is None,
        "problems": [p.as_dict() for p in entry.error.problems] if entry.error is not None else [],
    }
    if feed is not None:
        document |= {
            "title": feed.title,
            "contract": feed.contract,
            "domain": feed.domain,
            "territory": feed.territory.code,
            "owner": feed.owner.name,
            "steward": feed.steward.name,
            "freshness_minutes": feed.freshness.total_seconds() / 60 if feed.freshness is not None else None,
            "schedule": feed.schedule,
        }
    return document


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:g} s"
