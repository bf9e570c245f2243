"""Accounts of the dashboards: who may sign in, what they may do, which rows they see.

Here: listing, adding, keeping out, new passwords, the accounts of a local instance. Not here: what a role may do (`dashboards.access`),
rules (`dashboards.rights`), the command line (`orchestration.cli.dashboards`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from dashboards import access
from dashboards.client import Superset
from dashboards.rights import ROLE_PATH
from dashboards.sheets.model import ROLES, Role
from ingestion.errors import WrongUse
from ingestion.feeds.load_problem import did_you_mean

_PATH: Final = "/api/v1/security/users/"
# 18 bytes: 144 bits, past any guessing, and short enough to be typed once.
_PASSWORD_BYTES: Final = 18
# One's own may be shorter; below this it is guessed (ANSSI's guide of 2021 asks 12 where attempts are limited, as they are here).
_SHORTEST: Final = 12
_LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")

# Accounts of a local instance (`[dashboards]` of its secrets) to what they may do; None: everything.
LOCAL: Final[dict[str, Role | None]] = {
    "administrateur": None, "analyste": "analyste", "referent": "referent", "pcc": "pcc", "visiteur": "visiteur",
}  # fmt: skip
_NAMES: Final[dict[str, str]] = {"administrateur": "Administrateur", **{role: access.ROLES[role].title for role in ROLES}}


@dataclass(frozen=True)
class Person:
    """An account.

    Attributes:
        login: what they sign in with.
        name: what colleagues read.
        role: what they may do; None: an administrator, or nothing.
        is_administrator: whether they may do everything.
        authorities: whose rows they see.
        sees_all: whether they see the whole territory.
        is_active: whether they may sign in.
    """

    login: str
    name: str
    role: Role | None
    is_administrator: bool
    authorities: tuple[str, ...]
    sees_all: bool
    is_active: bool

    def document(self) -> dict[str, Any]:
        """Return it as a part of a JSON document."""
        return asdict(self)


def people(server: Superset) -> list[Person]:
    """Return every account but Vigie's own, by login."""
    return sorted((_person(u) for u in server.all(_PATH) if u["username"] != server.login), key=lambda p: p.login)


def _person(user: Mapping[str, Any]) -> Person:
    names = {str(r["name"]) for r in user["roles"]}
    titles = {access.role_title(role, is_of_authority=v): role for role in ROLES for v in (False, True)}
    authorities = sorted(a for a in (access.authority_of(name) for name in names) if a is not None)
    return Person(
        login=str(user["username"]),
        name=f"{user['first_name']} {user['last_name']}".strip(),
        role=next((titles[name] for name in sorted(names) if name in titles), None),
        is_administrator=access.ADMINISTRATOR in names,
        authorities=tuple(authorities),
        sees_all=access.WHOLE_TERRITORY in names and not authorities,
        is_active=bool(user["active"]),
    )


def known_role(role: str) -> Role:
    """Return a role that there is.

    Raises:
        WrongUse: there is none of this name.
    """
    for known in ROLES:
        if known == role:
            return known
    raise WrongUse(f"no role is called {role!r}", remedy=did_you_mean(role, ROLES, otherwise=f"choose among {', '.join(ROLES)}"))


def known_authority(authority: str, known: Iterable[str]) -> str:
    """Return an authority that some row belongs to.

    Raises:
        WrongUse: none does.
    """
    every = sorted(known)
    if authority not in every:
        otherwise = f"rows belong to: {', '.join(every)}" if every else "no row is published yet: vigie build"
        raise WrongUse(f"no row belongs to the authority {authority!r}", remedy=did_you_mean(authority, every, otherwise=otherwise))
    return authority


def generated_password() -> str:
    """Return a new password."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def add(server: Superset, login: str, *, name: str, role: Role, authority: str | None, password: str) -> None:
    """Let somebody in; who was kept out before comes back with what is given now.

    The role of the authority must stand, with its rules (`dashboards.rights`).

    Raises:
        WrongUse: the login is taken or is not one, the password is too short.
        VigieError: the server refuses.
    """
    if not _LOGIN.fullmatch(login):
        raise WrongUse(f"{login!r} is not a login", remedy="2 to 64 lower case letters, digits, dots, hyphens: prenom.nom")
    _check(password)
    found = _find(server, login)
    if found is not None and (found["active"] or login == server.login):
        raise WrongUse(
            f"{login} exists already", remedy=f"choose another login, or change the password: vigie dashboards people password {login}"
        )
    _save(server, found, login, name, _role_names(role, authority), password)


def set_password(server: Superset, login: str, password: str) -> None:
    """Give somebody a new password.

    Raises:
        WrongUse: nobody has this login, the password is too short.
    """
    _check(password)
    server.put(f"{_PATH}{_existing(server, login)['id']}", {"password": password})


def remove(server: Superset, login: str) -> None:
    """Keep somebody out. What they made stays.

    Raises:
        WrongUse: nobody has this login.
    """
    server.put(f"{_PATH}{_existing(server, login)['id']}", {"active": False})


def settle_local(server: Superset, passwords: Mapping[str, str], marks: Mapping[str, str], key: bytes) -> tuple[list[str], dict[str, str]]:
    """Make the accounts of a local instance stand as its secrets say; return what was changed, and what tells the passwords next time.

    Args:
        server: signed in as an administrator; the roles stand.
        passwords: by login; an empty one keeps its account out.
        marks: what an earlier call returned.
        key: what marks are made with, so that they tell nothing of the passwords.
    """
    found = {str(u["username"]): u for u in server.all(_PATH)}
    changed, new = [], {}
    for login, password in passwords.items():
        if login not in LOCAL:
            raise WrongUse(
                f"[dashboards] of the secrets names {login!r}, which is no account of a local instance",
                remedy=f"it knows {', '.join(LOCAL)}; others: vigie dashboards people add {login} --role …",
            )
        new[login] = hmac.new(key, f"{login}\0{password}".encode(), hashlib.sha256).hexdigest()
        user = found.get(login)
        if not password:
            if user is not None and user["active"]:
                server.put(f"{_PATH}{user['id']}", {"active": False})
                changed.append(f"{login} is kept out")
            continue
        names = _role_names(LOCAL[login], None)
        stands = user is not None and user["active"] and {r["name"] for r in user["roles"]} == set(names)
        if stands and marks.get(login) == new[login]:
            continue
        _save(server, user, login, _NAMES[login], names, password)
        changed.append(f"account {login}")
    return changed, new


def _role_names(role: Role | None, authority: str | None) -> list[str]:
    if role is None:
        return [access.ADMINISTRATOR]
    rows = access.WHOLE_TERRITORY if authority is None else access.authority_role(authority)
    return [access.role_title(role, is_of_authority=authority is not None), rows]


def _save(server: Superset, found: Mapping[str, Any] | None, login: str, name: str, roles: Iterable[str], password: str) -> None:
    ids = {str(r["name"]): int(r["id"]) for r in server.all(ROLE_PATH)}
    first, _, last = name.partition(" ")
    document = {
        "username": login,
        "first_name": first,
        "last_name": last,
        "email": f"{login}@localhost",  # Superset wants one of each person; nothing is ever sent
        "active": True,
        "roles": sorted(ids[name] for name in roles),
        "password": password,
    }
    if found is None:
        server.post(_PATH, document)
    else:
        server.put(f"{_PATH}{found['id']}", document)


def _check(password: str) -> None:
    if len(password) < _SHORTEST:
        raise WrongUse(f"the password has {len(password)} characters", remedy=f"choose {_SHORTEST} or more, or let one be generated")


def _find(server: Superset, login: str) -> Mapping[str, Any] | None:
    return next((u for u in server.all(_PATH) if u["username"] == login), None)


def _existing(server: Superset, login: str) -> Mapping[str, Any]:
    found = [u for u in server.all(_PATH) if u["username"] != server.login]
    for user in found:
        if user["username"] == login:
            return user
    logins = [str(u["username"]) for u in found]
    raise WrongUse(
        f"nobody has the login {login!r}", remedy=did_you_mean(login, logins, otherwise="list them: vigie dashboards people list")
    )
