"""`vigie dashboards`: push sheets to the dashboard server, bring changes back, check every panel, who may sign in.

Here: arguments and what is printed. Not here: how it is done (`dashboards`, `orchestration.superset.dashboards`).

A password is generated and printed once, or read from standard input, never an argument: other users of the machine can read command lines.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ingestion.errors import VigieError, WrongUse
from orchestration.cli import common

if TYPE_CHECKING:
    from dashboards.people import Person
    from orchestration.superset.dashboards import Plan

app: Final = typer.Typer(no_args_is_help=True)
people: Final = typer.Typer(no_args_is_help=True)
app.add_typer(people, name="people", help="List, add and keep out people; new passwords.")

_Login = Annotated[str, typer.Argument(help="A login: prenom.nom, in lower case.")]
_FromInput = Annotated[bool, typer.Option("--stdin", help="Read the password from standard input instead of generating one.")]


def _plan() -> Plan:
    from orchestration.superset.dashboards import plan

    return plan(common.load_settings())


@app.command("list")
def list_dashboards(*, as_json: common.Json = False) -> None:
    """List the dashboards that the sheets make, and where each is opened."""
    from orchestration.superset.dashboards import SPECS, load_sheets

    settings = common.load_settings()
    rows = [
        {
            "code": code,
            "title": sheet.title,
            "panels": len(sheet.panels),
            "roles": " ".join(sheet.roles),
            "by_authority": sheet.is_by_authority,
            "url": f"{settings.superset_url}/superset/dashboard/{code}/",
        }
        for code, sheet in load_sheets(SPECS).items()
    ]
    if as_json:
        common.print_json(rows)
        return
    columns = ["code", "title", "panels", "roles", "url"]
    common.print_table(columns, [[str(row[name]) for name in columns] for row in rows])


@app.command()
def push(
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what people changed in the browser.")] = False,
    as_json: common.Json = False,
) -> None:
    """Put what the sheets say on the server: dashboards, roles, row-level security, a local instance's accounts."""
    from orchestration.superset.dashboards import push_all

    outcome = push_all(common.load_settings(), _plan(), on_edit="overwrite" if force else "refuse")
    if as_json:
        common.print_json(outcome.document())
        return
    for line in (*outcome.changed, *(f"removed {title}" for title in outcome.removed)):
        common.say(line)
    print("pushed" if outcome.imported else "the server already has what the sheets say")


@app.command()
def pull(
    codes: Annotated[list[str] | None, typer.Argument(help="Codes of sheets (vigie dashboards list); all of them by default.")] = None,
    *,
    write: Annotated[bool, typer.Option("--write", help="Write the changes into the sheets instead of showing them.")] = False,
    as_json: common.Json = False,
) -> None:
    """Show what people changed in the browser as a diff of the sheets. Exit code 0: no difference, 1: some (as diff does)."""
    from orchestration.superset.dashboards import pull_sheets

    pulled = pull_sheets(common.load_settings(), _plan(), codes or [])
    if write:
        for one in pulled:
            one.write()
    if as_json:
        common.print_json([one.document() for one in pulled])
    else:
        for one in pulled:
            if not write:
                print(one.diff, end="")
            elif one.diff:
                common.say(f"wrote {one.path.name}")
            for remark in one.remarks:
                common.say(f"{one.path.name}: {remark}")
    if not write and any(one.diff or one.remarks for one in pulled):
        raise typer.Exit(common.FAILED)


@app.command()
def check(*, as_json: common.Json = False) -> None:
    """Hold the sheets against the models; with a running server, run every panel's query: none may fail or be empty."""
    from dashboards.check import check_panels
    from orchestration.superset.dashboards import connect, is_running

    settings, wanted = common.load_settings(), _plan()
    if not is_running(settings):
        common.say("the dashboard server does not run: sheets were held against the models alone (vigie up for the rest)")
        if as_json:
            common.print_json({"sheets": len(wanted.sheets), "panels": []})
        else:
            print(f"{len(wanted.sheets)} sheets fit the models")
        return
    with connect(settings) as server:
        found = list(check_panels(server, wanted.bundle, wanted.sheets))
    wrong = [one for one in found if one.problem is not None]
    if as_json:
        common.print_json({"sheets": len(wanted.sheets), "panels": [one.document() for one in found]})
    else:
        columns = ["sheet", "tab", "panel", "rows", "ms", "problem"]
        common.print_table(columns, [[o.sheet, o.tab, o.panel, o.rows, round(o.seconds * 1000), o.problem] for o in found])
    if wrong:
        raise VigieError(f"{len(wrong)} of {len(found)} panels fail or are empty", remedy="mend the sheets or the models they name")


@app.command()
def exposures(*, write: Annotated[bool, typer.Option("--write", help="Write dbt_project/models/exposures.yml.")] = False) -> None:
    """Print the dbt exposures of the sheets, or write their file. Exit code 1: the file is stale and was not written."""
    from dashboards.exposures import FILE, is_stale, text
    from orchestration.superset.dashboards import SPECS, load_sheets

    sheets = load_sheets(SPECS)
    if write:
        FILE.write_text(text(sheets), encoding="utf-8")
        common.say(f"wrote {FILE.name}")
        return
    print(text(sheets), end="")
    if is_stale(sheets):
        raise VigieError(f"{FILE.name} is stale", remedy="vigie dashboards exposures --write")


@people.command("list")
def list_people(*, as_json: common.Json = False) -> None:
    """List the people, those who are kept out too."""
    from dashboards.people import people as everybody
    from orchestration.superset.dashboards import connect

    with connect(common.load_settings()) as server:
        found = everybody(server)
    if as_json:
        common.print_json([person.document() for person in found])
        return
    common.print_table(["login", "name", "role", "rows", "may sign in"], [_row(person) for person in found])


def _row(person: Person) -> list[str]:
    rows = "whole territory" if person.sees_all or person.is_administrator else ", ".join(person.authorities) or "none"
    role = "administrator" if person.is_administrator else person.role or "none"
    return [person.login, person.name, role, rows, "yes" if person.is_active else "no"]


@people.command("add")
def add_person(
    login: _Login,
    *,
    role: Annotated[str, typer.Option(help="analyste, referent, pcc or visiteur.")],
    authority: Annotated[str | None, typer.Option(help="The authority whose rows they see; the whole territory without it.")] = None,
    name: Annotated[str | None, typer.Option(help="What colleagues read; the login by default.")] = None,
    stdin: _FromInput = False,
) -> None:
    """Let somebody in; the password is generated and printed once, or read from standard input."""
    from dashboards.people import known_role
    from orchestration.superset.dashboards import add_person as add

    known, (password, is_new) = known_role(role), _password(from_input=stdin)
    add(common.load_settings(), _plan(), login, name=name or login, role=known, authority=authority, password=password)
    common.say(f"{login} may sign in, and sees {'the whole territory' if authority is None else f'the rows of {authority}'}")
    if is_new:
        print(password)


@people.command("password")
def set_password(login: _Login, *, stdin: _FromInput = False) -> None:
    """Give somebody a new password: generated and printed once, or read from standard input."""
    from dashboards.people import set_password as change
    from orchestration.superset.dashboards import connect

    password, is_new = _password(from_input=stdin)
    with connect(common.load_settings()) as server:
        change(server, login, password)
    common.say(f"{login} has a new password")
    if is_new:
        print(password)


@people.command("remove")
def remove_person(login: _Login) -> None:
    """Keep somebody out. What they made stays."""
    from orchestration.superset.dashboards import remove_person as remove

    remove(common.load_settings(), login)
    common.say(f"{login} may no longer sign in")


def _password(*, from_input: bool) -> tuple[str, bool]:
    """Return a password, and whether it was generated."""
    from dashboards.people import generated_password

    if not from_input:
        return generated_password(), True
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise WrongUse("standard input holds no password", remedy="pipe one line into the command, or leave --stdin out")
    return given, False
