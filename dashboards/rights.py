"""Roles, row-level security and who opens which dashboard, on a server as `dashboards.access` says.

Here: comparing what stands there with what should, and changing what differs: a second time changes nothing. Not here: what should stand
(`dashboards.access`, the sheets), accounts (`dashboards.people`).

Rules come before rights: a dataset gets its rules before any role may read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from dashboards import access
from dashboards.client import Superset
from dashboards.compiler.bundle import Bundle, BundleDashboard
from dashboards.sheets.model import ROLES
from ingestion.errors import VigieError

ROLE_PATH: Final = "/api/v1/security/roles/"
_RULE_PATH: Final = "/api/v1/rowlevelsecurity/"
# Of rules that are Vigie's: others, which an administrator added, can only hide more and are left alone.
_OURS: Final = "Vigie · "
# Rules of one group are alternatives: who has two authorities sees the rows of both.
_GROUP: Final = "collectivités"
_NO_ROW: Final = "1 = 0"


def openers(dashboard: BundleDashboard) -> frozenset[str]:
    """Return the names of the roles that open a dashboard."""
    variants = (False, True) if dashboard.is_by_authority else (False,)
    return frozenset(access.role_title(role, is_of_authority=v) for role in dashboard.roles for v in variants)


def apply(server: Superset, bundle: Bundle) -> list[str]:
    """Make roles, rules and openings stand as they should; return what was changed, a line each.

    Args:
        server: signed in as an administrator.
        bundle: the dashboards there should be, and their datasets.

    Raises:
        VigieError: the server refuses something, or lacks a permission that a role is made of.
    """
    every = tuple(bundle.dashboards.values())
    columns = {made.uuid: made.authority_column for made in bundle.datasets.values()}
    roles, changed = _roles(server)
    datasets = {str(d["uuid"]): int(d["id"]) for d in server.all("/api/v1/dataset/", "id", "uuid")}
    changed += _rules(server, roles, datasets, columns)
    changed += _permissions(server, roles, datasets, every)
    return changed + _openings(server, roles, every)


def _roles(server: Superset) -> tuple[dict[str, int], list[str]]:
    """Return every role's id by name, after making those that are missing."""
    found = {str(r["name"]): int(r["id"]) for r in server.all(ROLE_PATH)}
    functional = [access.role_title(role, is_of_authority=v) for role in ROLES for v in (False, True)]
    missing = [name for name in (*functional, access.WHOLE_TERRITORY) if name not in found]
    for name in missing:
        found[name] = make_role(server, name)
    return found, [f"role {name}" for name in missing]


def make_role(server: Superset, name: str) -> int:
    """Make a role without any right; return its id."""
    return int(server.post(ROLE_PATH, {"name": name})["id"])


def _rules(server: Superset, roles: Mapping[str, int], datasets: Mapping[str, int], columns: Mapping[str, str | None]) -> list[str]:
    wanted = _wanted_rules(roles, datasets, columns)
    changed = []
    for rule in [r for r in server.all(_RULE_PATH) if str(r["name"]).startswith(_OURS)]:
        name = str(rule["name"])
        new = wanted.pop(name, None)
        if new is None:
            server.delete(f"{_RULE_PATH}{rule['id']}")
            changed.append(f"rule {name}: removed")
        elif new != _as_written(rule):
            server.put(f"{_RULE_PATH}{rule['id']}", new)
            changed.append(f"rule {name}")
    for name, new in wanted.items():
        server.post(_RULE_PATH, new)
        changed.append(f"rule {name}")
    return changed


def _as_written(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: rule[key] for key in ("name", "filter_type", "clause", "group_key")},
        "tables": sorted(t["id"] for t in rule["tables"]),
        "roles": sorted(r["id"] for r in rule["roles"]),
    }


def _wanted_rules(roles: Mapping[str, int], datasets: Mapping[str, int], columns: Mapping[str, str | None]) -> dict[str, dict[str, Any]]:
    """Return the rules by name. Every dataset there is has some, those that an administrator made in the browser too."""
    if not datasets:
        return {}
    of_authority = {name: access.authority_of(name) for name in roles}
    authorities = {authority: roles[name] for name, authority in of_authority.items() if authority is not None}
    by_column: dict[str | None, list[int]] = {}
    for uuid, number in datasets.items():
        by_column.setdefault(columns.get(uuid), []).append(number)
    exempt = [roles[access.ADMINISTRATOR], roles[access.WHOLE_TERRITORY], *authorities.values()]
    rules = [_rule("sans périmètre, aucune ligne", "Base", datasets.values(), exempt, _NO_ROW, None)]
    for column, tables in by_column.items():
        if column is None:
            if authorities:
                rules.append(_rule("lignes d'aucune collectivité", "Regular", tables, authorities.values(), _NO_ROW, _GROUP))
            continue
        for authority, role in authorities.items():
            text = authority.replace("'", "''")
            rules.append(_rule(f"{authority} ({column})", "Regular", tables, [role], f"{column} = '{text}'", _GROUP))
    return {rule["name"]: rule for rule in rules}


def _rule(name: str, kind: str, tables: Iterable[int], roles: Iterable[int], clause: str, group: str | None) -> dict[str, Any]:
    return {
        "name": f"{_OURS}{name}",
        "filter_type": kind,
        "tables": sorted(tables),
        "roles": sorted(roles),
        "clause": clause,
        "group_key": group,
    }


def _permissions(server: Superset, roles: Mapping[str, int], datasets: Mapping[str, int], openings: Sequence[BundleDashboard]) -> list[str]:
    known: dict[access.Permission, int] = {}
    reading: dict[int, int] = {}
    for item in server.all("/api/v1/security/permissions-resources/"):
        name, on = str(item["permission"]["name"]), str(item["view_menu"]["name"])
        known[name, on] = int(item["id"])
        if name == "datasource_access":  # on `[database].[table](id:12)`
            reading[int(on.rpartition("(id:")[2].rstrip(")"))] = int(item["id"])
    changed = []
    wanted = {"Public": _ids(access.PUBLIC, known), access.WHOLE_TERRITORY: set()}
    wanted |= {name: set() for name in roles if access.authority_of(name) is not None}
    for role in ROLES:
        for is_of_authority in (False, True):
            title = access.role_title(role, is_of_authority=is_of_authority)
            ours = {uuid for o in openings for uuid in o.datasets}
            opened = {uuid for o in openings if title in openers(o) for uuid in o.datasets}
            readable = ours if access.sees_every_dataset(role) else opened
            wanted[title] = _ids(access.permissions(role), known) | {reading[datasets[uuid]] for uuid in readable if uuid in datasets}
    for title, ids in wanted.items():
        path = f"{ROLE_PATH}{roles[title]}/permissions"
        if {int(p["id"]) for p in server.get(f"{path}/")["result"]} != ids:
            server.post(path, {"permission_view_menu_ids": sorted(ids)})
            changed.append(f"rights of {title}")
    return changed


def _ids(permissions: Iterable[access.Permission], known: Mapping[access.Permission, int]) -> set[int]:
    missing = sorted(f"{name} on {on}" for name, on in permissions if (name, on) not in known)
    if missing:
        raise VigieError(
            f"this version of Superset lacks permissions that roles are made of: {', '.join(missing)}",
            remedy="install the locked version (make superset)",
        )
    return {known[permission] for permission in permissions}


def _openings(server: Superset, roles: Mapping[str, int], openings: Sequence[BundleDashboard]) -> list[str]:
    """Set each dashboard's roles, and who may change it: those who may edit, open it and see the whole territory."""
    dashboards = {str(d["uuid"]): d for d in server.all("/api/v1/dashboard/", "id", "uuid", "dashboard_title", "roles.id", "owners.id")}
    charts = {str(c["uuid"]): c for c in server.all("/api/v1/chart/", "id", "uuid", "slice_name", "owners.id")} if openings else {}
    users = [u for u in server.all("/api/v1/security/users/") if u["active"]]
    robot = next(int(u["id"]) for u in users if u["username"] == server.login)
    changed = []
    for opening in openings:
        titles = {access.role_title(r, is_of_authority=False) for r in opening.roles if access.ROLES[r].can_edit}
        editors = {int(u["id"]) for u in users if _sees_all(u) and titles & {r["name"] for r in u["roles"]}}
        owners = sorted({robot} | editors)
        if (dashboard := dashboards.get(opening.uuid)) is not None:
            wanted = {"roles": sorted(roles[title] for title in openers(opening)), "owners": owners}
            if wanted != {key: sorted(int(i["id"]) for i in dashboard[key]) for key in wanted}:
                server.put(f"/api/v1/dashboard/{dashboard['id']}", wanted)
                changed.append(f"who opens {dashboard['dashboard_title']}")
        for uuid in sorted(set(opening.charts) & charts.keys()):
            if sorted(int(o["id"]) for o in charts[uuid]["owners"]) != owners:
                server.put(f"/api/v1/chart/{charts[uuid]['id']}", {"owners": owners})
                changed.append(f"who may change {charts[uuid]['slice_name']}")
    return changed


def _sees_all(user: Mapping[str, Any]) -> bool:
    names = {r["name"] for r in user["roles"]}
    return access.WHOLE_TERRITORY in names and not any(access.authority_of(name) for name in names)
