"""Commands on the data: ingest, build, sql, maintain.

Here: what these commands print. Not here: ingesting (`orchestration.ingest`), building (`orchestration.building`), reading
(`ingestion.lake.reader`), maintaining (`orchestration.assets.maintenance`).
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ingestion.errors import VigieError, WrongUse
from orchestration.cli import common
from orchestration.cli.common import Json
from orchestration.services import postgres
from orchestration.services.control import Control
from orchestration.services.prepare import prepare
from orchestration.settings import INSTANCE_FILE, Settings, create_local, find_home

FORCED: Final = (
    "Land again files that have landed, after a correction of the contract: other values of a key replace the earlier ones, the same "
    "ones count as duplicates. Rows under a property or a key that the contract no longer makes stay."
)

CANONICAL: Final = (
    "The files are Parquet with the columns of the canonical contract (docs/architecture.md), in the lake's units: the history of another "
    "platform, or of another instance. The feed's mapping does not apply."
)

# What each contract becomes, in the order in which people look: the first table that holds the feed's rows is the one to query.
TABLES_OF: Final = {
    "asset": ("core.asset",),
    "observation": ("core.observation_hourly", "core.state_daily"),
    "report": ("core.report", "indicators.intervention_time_case"),
    "intervention": ("core.intervention", "indicators.intervention_time_case"),
    "energy_reading": ("core.energy_daily", "indicators.energy_overconsumption_daily"),
}

if TYPE_CHECKING:
    from ingestion.lake.writer import Landed
    from orchestration.build_report import BuildReport


class Output(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


@contextlib.contextmanager
def ready_instance(*, create: bool) -> Iterator[Settings]:
    """Hold the instance ready: the running one, or its PostgreSQL for the time of the command."""
    home = find_home(common.home())
    if os.environ.get("VIGIE_PROFILE") == "server" or (home / INSTANCE_FILE).exists() or not create:
        settings = Settings.load(common.home())
    else:
        common.say(f"new local instance at {home}")
        settings = create_local(common.home())
    with postgres.running(settings):
        if Control.of(settings) is None and settings.profile == "local":
            prepare(settings)
        yield settings


def ingest(
    feed: Annotated[str, typer.Argument(help="A feed's name, or the path of its contract.")],
    paths: Annotated[list[str] | None, typer.Argument(help="Files, folders or globs; the contract's own source by default.")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help=FORCED)] = False,
    canonical: Annotated[bool, typer.Option("--canonical", help=CANONICAL)] = False,
    as_json: Json = False,
) -> None:
    """Land files of a feed. Exit code 1 when a file was refused."""
    from orchestration import dagster_pages
    from orchestration import ingest as ingesting

    with ready_instance(create=True) as settings:
        contract = ingesting.kept_contract(settings, feed)
        report = ingesting.ingest(settings, contract, paths or [], force=force, canonical=canonical, progress=common.say)
        if report.landed and Control.of(settings) is not None:
            today = dt.datetime.now(dt.UTC).date().isoformat()
            untold = dagster_pages.tell_landing(settings, dagster_pages.feed_key_path(contract.feed), today, report.totals())
            if untold is not None:
                common.say(untold)
    if as_json:
        common.print_json(
            {
                "feed": report.feed,
                **report.totals(),
                "landings": [asdict(one) for one in report.landed],
                "failures": [asdict(one) for one in report.failures],
            }
        )
    else:
        common.print_table(
            ("File", "Landing", "Received", "Stored", "Duplicate", "Rejected", "Remarks"), [_landed_row(one) for one in report.landed]
        )
    for failure in report.failures:
        common.print_error(VigieError(f"{failure.origin}: {failure.error}", remedy=failure.remedy))
    if report.failures:
        raise typer.Exit(common.FAILED)


def _landed_row(one: Landed) -> tuple[object, ...]:
    remarks = [f"already landed, as landing {one.landing_seq}"] if one.already_landed else []
    remarks += [f"{reason}: {count:,}" for reason, count in one.reasons.items()]
    return (one.origin, one.landing_seq, one.received, one.stored, one.duplicate, one.rejected, ", ".join(remarks))


def build(
    *,
    force: Annotated[bool, typer.Option("--force", help="Build even if nothing landed or changed since the last build.")] = False,
    as_of: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
            help="Judge what is open at this instant (UTC unless it says otherwise) instead of now.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build everything downstream of what has landed, check it, publish it. Exit code 1 when something failed."""
    from orchestration import building

    if as_of is not None and as_of.tzinfo is None:
        as_of = as_of.replace(tzinfo=dt.UTC)
    with ready_instance(create=False) as settings:
        landed = landed_contracts(settings)
        report = building.build(settings, common.say, force=force, as_of=as_of)
        tables = _tables_with_rows(settings, landed) if report.is_published and not as_json else {}
    if as_json:
        common.print_json(report.as_dict())
    else:
        _print_build(report)
        _print_where(tables)
    for warned in report.checks_warned:
        common.say(f"warning: check failed, but holds nothing back: {warned}")
    for failed in report.checks_failed:
        common.print_error(VigieError(f"check failed: {failed}"))
    for message in report.errors:
        common.print_error(VigieError(message))
    if not report.succeeded:
        common.say(f"what dbt said: {settings.dbt_target_path / 'runs' / str(report.build_id) / 'dbt.log'}")
        raise typer.Exit(common.FAILED)


def _print_build(report: BuildReport) -> None:
    if report.reason is not None:
        published = report.published
        remedy = "vigie ingest FEED PATH lands files" if published is None else "vigie build --force builds all the same"
        print(common.pasteable(f"Nothing to build: {report.reason} ({remedy})"))
        return
    landed = report.landed
    print(f"Landed since the last build: {landed['landings']:,} landings, {landed['received']:,} records, {landed['rejected']:,} rejected")
    common.print_table(("Step", "Rows in", "Rows out", "Seconds"), [(s.name, s.rows_in, s.rows_out, s.seconds) for s in report.steps])
    verdict = "published"
    if not report.is_published:
        verdict = "not published: people keep " + (
            f"the build of {report.published.published_at:%Y-%m-%d %H:%M} UTC" if report.published else "nothing yet"
        )
    checks = f"{report.checks_passed} checks passed, {len(report.checks_warned)} warned, {len(report.checks_failed)} failed"
    print(f"{report.status.lower()} in {report.seconds} s; {checks}; {verdict}")


def landed_contracts(settings: Settings) -> dict[str, str]:
    """Return what landed since the last build that people read: feed to its contract."""
    from ingestion.lake.publish import last_publication
    from ingestion.lake.session import ALIAS, connect

    before = last_publication(settings.lake)
    # Messages that came while a feed had no contract landed under none; what is replayed is received once only.
    query = f"""
        SELECT DISTINCT feed, contract FROM {ALIAS}.raw.landing
        WHERE landing_seq > ? AND (received > 0 OR stored > 0) AND contract IS NOT NULL ORDER BY 1
    """
    with connect(settings.lake, read_only=True) as con:
        return dict(con.execute(query, [before.landing_seq if before else 0]).fetchall())


def _tables_with_rows(settings: Settings, landed: dict[str, str]) -> dict[str, list[str]]:
    """Return the published tables that hold rows of each feed: states in words are in another than figures."""
    from ingestion.lake.session import ALIAS, connect

    with connect(settings.lake, read_only=True) as con:
        return {
            feed: [t for t in TABLES_OF[contract] if con.execute(f"SELECT 1 FROM {ALIAS}.{t} WHERE feed = ? LIMIT 1", [feed]).fetchall()]
            for feed, contract in landed.items()
        }


def _print_where(tables_of: dict[str, list[str]]) -> None:
    """Say where the feeds that just landed are read, and one query to begin with."""
    for feed, tables in tables_of.items():
        if tables:
            print(f"{feed}: {', '.join(tables)}")
            print(common.pasteable(f"  vigie sql \"SELECT * FROM {tables[0]} WHERE feed = '{feed}' LIMIT 10\""))
        else:
            print(common.pasteable(f"{feed}: no rows (vigie feeds rejects {feed} says what was rejected)"))


def sql(
    query: Annotated[
        str | None, typer.Argument(help="One SELECT over core, indicators and open_data; with --tables, a table's name.")
    ] = None,
    *,
    output: Annotated[Output, typer.Option("--format", help="How rows are printed.")] = Output.table,
    tables: Annotated[bool, typer.Option("--tables", help="List the published tables instead; with a table's name, its columns.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds after which the query is cut.")] = 60.0,
) -> None:
    """Query the published tables, read-only."""
    from ingestion.lake import reader

    if query is None and not tables:
        raise WrongUse("give one query, or --tables", remedy='vigie sql "SELECT * FROM core.report LIMIT 10"')
    with ready_instance(create=False) as settings:
        if tables or query is None:
            names, rows = _columns(settings, query) if query else _tables(settings)
        else:
            names, rows = reader.run_query(settings.reader_lake, query, timeout_s=timeout)
    _print_rows(names, rows, output)


def _tables(settings: Settings) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the published tables, one per row, with what a row of each is."""
    found = _published(
        settings,
        "SELECT v.schema_name || '.' || v.view_name, count(c.column_name), v.comment FROM duckdb_views() AS v "
        "JOIN duckdb_columns() AS c ON c.database_name = v.database_name AND c.schema_name = v.schema_name AND c.table_name = v.view_name "
        "WHERE v.database_name = current_database() AND list_contains(?, v.schema_name) GROUP BY 1, 3 ORDER BY 1",
    )
    return ["table", "columns", "description"], found


def _columns(settings: Settings, table: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the columns of a published table, in its order, with what each means.

    Raises:
        WrongUse: no such table is published.
    """
    found = _published(
        settings,
        "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() "
        "AND list_contains(?, schema_name) AND schema_name || '.' || table_name = ? ORDER BY column_index",
        table,
    )
    if not found:
        from ingestion.feeds.load_problem import did_you_mean

        known = [str(row[0]) for row in _tables(settings)[1]]
        raise WrongUse(f"no table {table} is published", remedy=did_you_mean(table, known, otherwise="list them: vigie sql --tables"))
    from orchestration.dbt import project

    # What a column means is said once, beside its model: a published view carries the table's text, not its columns'.
    layer, _, name = table.partition(".")
    nodes = project.manifest(settings)["nodes"].values()
    described: dict[str, Any] = next(
        (n["columns"] for n in nodes if n.get("alias") == name and n["schema"] == f"work_{layer}" and "columns" in n), {}
    )
    meanings = {column: about.get("description") for column, about in described.items()}
    return ["column", "type", "description"], [(column, kind, meanings.get(column)) for column, kind in found]


def _published(settings: Settings, query: str, *more: str) -> list[tuple[Any, ...]]:
    from ingestion.lake import reader

    with reader.connect_reader(settings.reader_lake) as con:
        return con.execute(query, [list(reader.PUBLISHED), *more]).fetchall()


def _print_rows(names: list[str], rows: list[tuple[Any, ...]], output: Output) -> None:
    match output:
        case Output.table:
            common.print_table(names, rows)
        case Output.csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(names)
            writer.writerows(rows)
        case Output.json:
            common.print_json([dict(zip(names, row, strict=True)) for row in rows])


def maintain(*, as_json: Json = False) -> None:
    """Apply retentions, flush, merge, expire and clean both lakes."""
    from orchestration.assets.maintenance import maintain_instance

    with ready_instance(create=False) as settings:
        report = maintain_instance(settings, progress=common.say)
    if as_json:
        common.print_json(report)
        return
    for lake in ("lake", "personal_lake"):
        found = report[lake]
        common.print_table(
            ("Step", "Done", "Seconds"),
            [(s["name"], ", ".join(f"{k} {v:,}" for k, v in s["done"].items()), s["seconds"]) for s in found["steps"]],
            title=f"{lake}: {found['files_before']:,} files → {found['files_after']:,}, "
            f"{found['snapshots_before']:,} snapshots → {found['snapshots_after']:,}",
        )
