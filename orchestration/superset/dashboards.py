"""The instance's dashboards: its sheets, models, secrets and server put together.

Here: what `vigie dashboards` and the service ask for, with an instance's settings. Not here: how it is done (`dashboards`), what is printed
(`orchestration.cli.dashboards`).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import httpx
from pydantic import SecretStr

from dashboards import access, people, rights
from dashboards.client import Superset
from dashboards.compiler.bundle import Bundle, compile_bundle
from dashboards.pull import Pulled, pull
from dashboards.push import Outcome, Record, push
from dashboards.sheets import catalogue
from dashboards.sheets.catalogue import Table
from dashboards.sheets.load import check_sheet, load_all
from dashboards.sheets.model import Role, Sheet
from ingestion.errors import VigieError, WrongUse
from ingestion.lake.reader import run_query
from orchestration import secrets
from orchestration.alerts.post import load_post
from orchestration.dbt import project
from orchestration.services import locks
from orchestration.settings import Settings
from orchestration.superset import server_file

SPECS: Final = Path(__file__).resolve().parents[2] / "dashboards" / "specs"
# A push of ten dashboards takes seconds, on a busy machine a minute.
_LOCK_TIMEOUT_S: Final = 180.0
# A server that runs answers this from memory.
_HEALTH_TIMEOUT_S: Final = 5.0
_RECORD: Final = "pushed.json"


@dataclass(frozen=True)
class Plan:
    """What an instance's dashboards should be: its sheets over its published tables.

    Attributes:
        sheets: by code.
        tables: published, by `schema.table`.
        time_zone: whose clocks people go by.
    """

    sheets: Mapping[str, Sheet]
    tables: Mapping[str, Table]
    time_zone: str

    @cached_property
    def bundle(self) -> Bundle:
        """The assets the sheets compile to."""
        return compile_bundle(self.sheets, self.tables, time_zone=self.time_zone)


def load_sheets(folder: Path = SPECS) -> dict[str, Sheet]:
    """Return the sheets, by code, in their rank's order.

    Raises:
        WrongUse: a sheet is wrong: every problem, with its line.
    """
    return load_all(folder)


def plan(settings: Settings, *, folder: Path = SPECS) -> Plan:
    """Read the sheets and hold them against the instance's models.

    Raises:
        WrongUse: a sheet is wrong: every problem, with its line.
        VigieError: the models do not parse.
    """
    tables = catalogue.read(project.manifest(settings))
    sheets = load_sheets(folder)
    for code in sheets:
        check_sheet(folder / f"{code}.yaml", tables)
    return Plan(sheets, tables, load_post(settings.alerts_path).time_zone)


def connect(settings: Settings) -> Superset:
    """Sign in to the instance's server as Vigie's own account.

    Raises:
        WrongUse: the instance has no dashboards.
        VigieError: the server does not answer.
    """
    if settings.dashboards == "off":
        raise WrongUse("this instance has no dashboards", remedy='start it with dashboards = "on" in instance.toml')
    return Superset(settings.superset_url, server_file.ROBOT, server_file.robot_password(settings))


def is_running(settings: Settings) -> bool:
    """Whether the instance's server answers."""
    try:
        return httpx.get(f"{settings.superset_url}/health", timeout=_HEALTH_TIMEOUT_S).is_success
    except httpx.HTTPError:
        return False


def record_path(settings: Settings) -> Path:
    """Return where the record of the last push is kept."""
    return settings.superset_path / _RECORD


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One at a time changes the server: two pushes would each take the other's for an edit."""
    with locks.held(settings.run_path / "dashboards.lock", timeout_s=_LOCK_TIMEOUT_S, what="another push of dashboards"):
        yield


def push_all(settings: Settings, wanted: Plan, *, on_edit: str) -> Outcome:
    """Push what the sheets say, and settle the accounts of a local instance; keep the record.

    Raises:
        WrongUse: something was changed in the browser, and `on_edit` is `refuse`.
        VigieError: the server does not answer, or refuses.
    """
    path = record_path(settings)
    with _alone(settings), connect(settings) as server:
        record = Record.read(path)
        outcome = push(server, wanted.bundle, record, on_edit=on_edit)
        # Before the accounts: a failure there must not make the next push take this one for an edit.
        outcome.record.write(path)
        if settings.profile == "local":
            passwords = {login: value.get_secret_value() for login, value in secrets.load(settings.home).dashboards.items()}
            changed, marks = people.settle_local(server, passwords, record.marks, settings.superset_secret.get_secret_value().encode())
            if changed:  # who may edit depends on who there is
                changed += rights.apply(server, wanted.bundle)
            outcome = replace(outcome, changed=(*outcome.changed, *changed), record=replace(outcome.record, marks=marks))
            outcome.record.write(path)
    return outcome


def push_when_due(settings: Settings) -> None:
    """Push when sheets, models or accounts changed since the last push, or the server lacks them; the log says what was done.

    What people changed in the browser is left as it is.

    Raises:
        VigieError: a sheet is wrong, or the server refuses.
    """
    outcome = push_all(settings, plan(settings), on_edit="skip")
    if outcome.skipped:
        _say(f"left as people changed them in the browser: {', '.join(outcome.skipped)} (vigie dashboards pull, or push --force)")
    if outcome.imported:
        _say(f"pushed its dashboards; {len(outcome.changed)} roles, rules and accounts changed, {len(outcome.removed)} removed")
    elif outcome.changed:
        _say(f"roles, rules and accounts changed: {len(outcome.changed)}")


def pull_sheets(settings: Settings, wanted: Plan, codes: Sequence[str], *, folder: Path = SPECS) -> list[Pulled]:
    """Return each sheet with what people changed in the browser.

    Raises:
        WrongUse: no sheet has such a code.
        VigieError: the server does not answer.
    """
    with connect(settings) as server:
        return pull(server, folder, wanted.sheets, wanted.tables, wanted.bundle, time_zone=wanted.time_zone, codes=codes)


def authorities(settings: Settings, wanted: Plan) -> list[str]:
    """Return the authorities that some row of the dashboards' tables belongs to.

    Raises:
        VigieError: the lake does not answer.
    """
    parts = [
        f'SELECT DISTINCT "{made.authority_column}" AS authority FROM {name}'
        for name, made in wanted.bundle.datasets.items()
        if made.authority_column is not None
    ]
    if not parts:
        return []
    try:
        _, rows = run_query(settings.reader_lake, f"SELECT DISTINCT authority FROM ({' UNION ALL '.join(parts)}) AS every ORDER BY 1")
    except WrongUse as error:
        raise VigieError(f"the dashboards' tables are not published yet: {error.message}", remedy="build them: vigie build") from None
    return [str(value) for (value,) in rows if value is not None]


def add_person(settings: Settings, wanted: Plan, login: str, *, name: str, role: Role, authority: str | None, password: str) -> None:
    """Let somebody in; an authority gets its rules before anybody sees its rows.

    Raises:
        WrongUse: the login is taken or is not one, the password is too short, no row belongs to the authority.
        VigieError: the server or the lake does not answer.
    """
    if authority is not None:
        people.known_authority(authority, authorities(settings, wanted))
    with _alone(settings), connect(settings) as server:
        if authority is not None:
            title = access.authority_role(authority)
            if all(r["name"] != title for r in server.all(rights.ROLE_PATH)):
                rights.make_role(server, title)
            rights.apply(server, wanted.bundle)
        people.add(server, login, name=name, role=role, authority=authority, password=password)
        rights.apply(server, wanted.bundle)


def remove_person(settings: Settings, login: str) -> None:
    """Keep somebody out. What they made stays.

    Raises:
        WrongUse: nobody has this login, or the instance's secrets would let them in again at the next push.
        VigieError: the server does not answer.
    """
    if settings.profile == "local" and secrets.load(settings.home).dashboards.get(login, SecretStr("")).get_secret_value():
        raise WrongUse(
            f"{login} is let in by the instance's secrets, again at each push",
            remedy=f'write {login} = "" under [dashboards] in {settings.home / secrets.FILE_NAME}, then: vigie dashboards push',
        )
    with connect(settings) as server:
        people.remove(server, login)


def _say(text: str) -> None:
    print(f"superset: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the service's log
