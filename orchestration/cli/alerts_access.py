"""`vigie alerts people` and `vigie alerts systems`: who may see and treat alarms.

Here: arguments and what is printed. Not here: accounts (`orchestration.alerts.access`).

A password is asked for or read from standard input, never an argument: other users of the machine can read command lines.
"""

from __future__ import annotations

import contextlib
import getpass
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ingestion.errors import WrongUse
from orchestration.alerts.model import Role
from orchestration.cli import common
from orchestration.cli.alerts_store import opened_pool

if TYPE_CHECKING:
    from orchestration.alerts.access import Access, Account

people: Final = typer.Typer(no_args_is_help=True)
systems: Final = typer.Typer(no_args_is_help=True)

_Login = Annotated[str, typer.Argument(help="A login: lower case letters, digits, hyphens.")]
_Role = Annotated[Role, typer.Option(help="viewer sees, operator acts, supervisor also takes out of service.")]


@contextlib.contextmanager
def _access() -> Iterator[Access]:
    from orchestration.alerts.access import Access

    with opened_pool() as (_, pool):
        yield Access(pool.connection)


@people.command("list")
def list_people(*, as_json: common.Json = False) -> None:
    """List the people, those who were removed too."""
    with _access() as access:
        _print(access.people(), as_json=as_json)


@people.command("add")
def add_person(
    login: _Login, *, name: Annotated[str, typer.Option(help="What the journal and colleagues call them.")], role: _Role
) -> None:
    """Let somebody in; the password is asked for, or read from standard input."""
    with _access() as access:
        access.add_person(login, name, role, _password())
    common.say(f"{login} may sign in")


@people.command("password")
def set_password(login: _Login) -> None:
    """Give somebody a new password; their sessions are over."""
    with _access() as access:
        access.set_password(login, _password())
    common.say(f"{login} has a new password")


@people.command("role")
def set_role(login: _Login, role: Annotated[Role, typer.Argument(help="viewer, operator or supervisor.")]) -> None:
    """Give somebody another role; their sessions are over."""
    with _access() as access:
        access.set_role(login, role)
    common.say(f"{login} is {role} from now on")


@people.command("remove")
def remove_person(login: _Login) -> None:
    """Keep somebody out. What they did stays in the journal."""
    with _access() as access:
        access.remove_person(login)
    common.say(f"{login} may no longer sign in")


@systems.command("list")
def list_systems(*, as_json: common.Json = False) -> None:
    """List the systems, those that were removed too."""
    with _access() as access:
        _print(access.systems(), as_json=as_json)


@systems.command("add")
def add_system(name: _Login, *, role: _Role) -> None:
    """Let a system in, and print its token: this once only."""
    with _access() as access:
        print(access.add_system(name, role))


@systems.command("token")
def set_token(name: _Login) -> None:
    """Print a new token of a system; the old one is refused from now on."""
    with _access() as access:
        print(access.set_token(name))


@systems.command("remove")
def remove_system(name: _Login) -> None:
    """Keep a system out."""
    with _access() as access:
        access.remove_system(name)
    common.say(f"{name} is refused from now on")


def _print(accounts: list[Account], *, as_json: bool) -> None:
    if as_json:
        common.print_json([
            {"login": a.login, "name": a.name, "role": str(a.role), "active": a.is_active, "changed_at": a.changed_at} for a in accounts
        ])  # fmt: skip
        return
    rows = ((a.login, a.name, str(a.role), "yes" if a.is_active else "removed", f"{a.changed_at:%Y-%m-%d %H:%M}") for a in accounts)
    common.print_table(("Login", "Name", "Role", "Let in", "Changed (UTC)"), rows)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise WrongUse("the two passwords differ", remedy="type the same one twice")
    return password
