"""The accounts of a local instance: those of its secrets file exist in the store when the web process starts.

Here: which accounts there are, and making them so. Not here: generating their passwords (`orchestration.secrets`), accounts in general
(`orchestration.alerts.access`): the server profile's are made by `vigie alerts people` and `vigie alerts systems` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from ingestion.errors import WrongUse
from orchestration.alerts.access import Access
from orchestration.alerts.model import Role
from orchestration.settings import Settings

PEOPLE: Final[Mapping[str, tuple[str, Role]]] = {
    "operateur-1": ("Opérateur 1", Role.OPERATOR),
    "operateur-2": ("Opérateur 2", Role.OPERATOR),
    "superviseur": ("Superviseur", Role.SUPERVISOR),
    "lecteur": ("Lecteur", Role.VIEWER),
}
SYSTEMS: Final[Mapping[str, Role]] = {"hyperviseur": Role.OPERATOR}


def ensure(settings: Settings, access: Access) -> None:
    """Make the accounts of a local instance's secrets file exist. Repeatable: a changed line is a changed password, an empty one keeps out.

    Raises:
        WrongUse: a line is of nobody there is, or its password is too short.
        VigieError: the file is damaged or can be read by others.
        psycopg.Error: the database does not answer.
    """
    if settings.profile != "local":
        return
    secrets = settings.secrets
    _known("people", secrets.people, PEOPLE)
    _known("systems", secrets.systems, SYSTEMS)
    for login, secret in secrets.people.items():
        _person(access, login, secret.get_secret_value())
    for name, secret in secrets.systems.items():
        _system(access, name, secret.get_secret_value())


def _person(access: Access, login: str, password: str) -> None:
    active = {a.login for a in access.people() if a.is_active}
    if not password:
        if login in active:
            access.remove_person(login)
        return
    same = access.has_password(login, password)
    if same:  # as it was left, kept out by the command line or not
        return
    if login in active:
        access.set_password(login, password)
    else:
        name, role = PEOPLE[login]
        access.add_person(login, name, role, password)


def _system(access: Access, name: str, token: str) -> None:
    active = {a.login for a in access.systems() if a.is_active}
    if not token:
        if name in active:
            access.remove_system(name)
        return
    if access.has_token(name, token):
        return
    if name in active:
        access.set_token(name, token=token)
    else:
        access.add_system(name, SYSTEMS[name], token=token)


def _known(table: str, given: Mapping[str, SecretStr], known: Mapping[str, object]) -> None:
    for name in given:
        if name not in known:
            raise WrongUse(
                f"secrets.toml: [{table}] has a line for {name}, whose role is not known",
                remedy=f"remove it, and run vigie alerts {table} add {name}",
            )
