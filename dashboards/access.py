"""Who sees what in the dashboards: roles, and the rows of one's own authority.

Here: the roles as code, and what each may do. Not here: accounts (`dashboards.people`), applying any of it to a server (`dashboards.push`).

A person has one role of what they may do (`ROLES`) and one of which rows they see: the whole territory, or one authority. Every dataset has a
base rule that shows no row at all to who has neither: forgetting a rule hides, it never shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dashboards.sheets.model import Role

WHOLE_TERRITORY: Final = "Tout le territoire"
ADMINISTRATOR: Final = "Admin"


def authority_role(authority: str) -> str:
    """Return the name of the role that sees the rows of one authority."""
    return f"Collectivité : {authority}"


@dataclass(frozen=True)
class RoleRights:
    """What a role may do.

    Attributes:
        title: the role's name in Superset, in French.
        can_query: whether it may write SQL (in SQL Lab) and make charts of its own.
        can_edit: whether it may change dashboards.
        can_drill: whether it may go down to the rows of a panel.
        can_export: whether it may take a panel's data away (CSV, XLSX).
    """

    title: str
    can_query: bool
    can_edit: bool
    can_drill: bool
    can_export: bool


ROLES: Final[dict[Role, RoleRights]] = {
    "analyste": RoleRights("Analyste", can_query=True, can_edit=True, can_drill=True, can_export=True),
    "referent": RoleRights("Référent des données", can_query=True, can_edit=False, can_drill=True, can_export=True),
    "pcc": RoleRights("PCC", can_query=False, can_edit=False, can_drill=True, can_export=False),
    "visiteur": RoleRights("Visiteur", can_query=False, can_edit=False, can_drill=False, can_export=False),
}
