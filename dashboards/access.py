"""Who sees what in the dashboards: roles, and the rows of one's own authority.

Here: the roles as code, and what each may do. Not here: accounts (`dashboards.people`), applying it to a server (`dashboards.rights`).

A person has one role of what they may do (`ROLES`) and one of which rows they see: the whole territory, or one authority. Every dataset
has a base rule that shows no row at all to who has neither: forgetting a rule hides, it never shows.

What they may do has two roles of the same rights: of who sees the whole territory, and of who sees one authority. The latter opens fewer
dashboards: those in which no row belongs to an authority would be empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dashboards.sheets.model import Role

WHOLE_TERRITORY: Final = "Tout le territoire"
ADMINISTRATOR: Final = "Admin"


_AUTHORITY_PREFIX: Final = "Collectivité : "


def authority_role(authority: str) -> str:
    """Return the name of the role that sees the rows of one authority."""
    return f"{_AUTHORITY_PREFIX}{authority}"


def authority_of(role: str) -> str | None:
    """Return the authority whose rows a role sees; None for a role of something else."""
    return role.removeprefix(_AUTHORITY_PREFIX) if role.startswith(_AUTHORITY_PREFIX) else None


def role_title(role: Role, *, is_of_authority: bool) -> str:
    """Return the name of the role of what a person may do.

    >>> role_title("analyste", is_of_authority=True)
    'Analyste (une collectivité)'
    """
    return ROLES[role].title + (" (une collectivité)" if is_of_authority else "")


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


Permission = tuple[str, str]

# Who is not signed in reads the sign-in page in French, and nothing else.
PUBLIC: Final[frozenset[Permission]] = frozenset({("can_language_pack", "Superset")})

# Opening dashboards, filtering them, sharing the address of what one sees, changing one's own password.
_SEE: Final[frozenset[Permission]] = PUBLIC | {
    ("can_read", "Dashboard"),
    ("can_read", "Chart"),
    ("can_read", "Dataset"),
    ("can_read", "Theme"),
    ("can_read", "CssTemplate"),
    ("can_read", "EmbeddedDashboard"),
    ("can_read", "AdvancedDataType"),
    ("can_read", "CurrentUserRestApi"),
    ("can_write", "CurrentUserRestApi"),
    ("can_read", "SecurityRestApi"),
    ("can_read", "security"),
    ("can_read", "user"),
    ("can_dashboard", "Superset"),
    ("can_slice", "Superset"),
    ("can_explore_json", "Superset"),
    ("can_fetch_datasource_metadata", "Superset"),
    ("can_log", "Superset"),
    ("can_recent_activity", "Log"),
    ("can_time_range", "Api"),
    ("can_get", "MenuApi"),
    ("can_get", "Datasource"),
    ("can_list", "AsyncEventsRestApi"),
    ("can_read", "DashboardFilterStateRestApi"),
    ("can_write", "DashboardFilterStateRestApi"),
    ("can_dashboard_permalink", "Superset"),
    ("can_read", "DashboardPermalinkRestApi"),
    ("can_write", "DashboardPermalinkRestApi"),
    ("can_share_dashboard", "Superset"),
    ("can_view_chart_as_table", "Dashboard"),
    ("can_userinfo", "UserDBModelView"),
    ("resetmypassword", "UserDBModelView"),
    ("can_this_form_get", "ResetMyPasswordView"),
    ("can_this_form_post", "ResetMyPasswordView"),
    ("menu_access", "Home"),
    ("menu_access", "Dashboards"),
}
# Down to the rows of a panel, or by another column.
_DRILL: Final[frozenset[Permission]] = frozenset(
    {
        ("can_drill", "Dashboard"),
        ("can_get_drill_info", "Dataset"),
        ("can_samples", "Datasource"),
        ("can_explore", "Superset"),
        ("can_read", "Explore"),
        ("can_read", "ExploreFormDataRestApi"),
        ("can_write", "ExploreFormDataRestApi"),
    }
)
# SQL Lab, and charts of one's own on the datasets there are: nobody but the administrator makes a dataset or a database.
_QUERY: Final[frozenset[Permission]] = frozenset(
    {
        ("can_write", "Chart"),
        ("can_view_query", "Dashboard"),
        ("can_explore", "Superset"),
        ("can_read", "Explore"),
        ("can_read", "ExploreFormDataRestApi"),
        ("can_write", "ExploreFormDataRestApi"),
        ("can_read", "ExplorePermalinkRestApi"),
        ("can_write", "ExplorePermalinkRestApi"),
        ("can_share_chart", "Superset"),
        ("can_external_metadata", "Datasource"),
        ("can_get_column_values", "Datasource"),
        ("can_read", "Database"),
        ("can_sqllab", "Superset"),
        ("can_sqllab_history", "Superset"),
        ("can_read", "SQLLab"),
        ("can_execute_sql_query", "SQLLab"),
        ("can_get_results", "SQLLab"),
        ("can_format_sql", "SQLLab"),
        ("can_read", "Query"),
        ("can_read", "SavedQuery"),
        ("can_write", "SavedQuery"),
        ("can_list", "SavedQuery"),
        ("can_read", "SqlLabPermalinkRestApi"),
        ("can_write", "SqlLabPermalinkRestApi"),
        ("can_activate", "TabStateView"),
        ("can_get", "TabStateView"),
        ("can_post", "TabStateView"),
        ("can_put", "TabStateView"),
        ("can_delete", "TabStateView"),
        ("can_delete_query", "TabStateView"),
        ("can_migrate_query", "TabStateView"),
        ("can_post", "TableSchemaView"),
        ("can_expanded", "TableSchemaView"),
        ("can_delete", "TableSchemaView"),
        ("menu_access", "Charts"),
        ("menu_access", "Datasets"),
        ("menu_access", "SQL Lab"),
        ("menu_access", "SQL Editor"),
        ("menu_access", "Saved Queries"),
        ("menu_access", "Query Search"),
    }
)
_EDIT: Final[frozenset[Permission]] = frozenset({("can_write", "Dashboard"), ("can_put_chart_customizations", "Dashboard")})
# Not in a stream (`can_export_streaming_csv`): it reads when nobody is signed in any more, and is refused its rows.
_EXPORT: Final[frozenset[Permission]] = frozenset({("can_csv", "Superset"), ("can_export_csv", "SQLLab")})


def permissions(role: Role) -> frozenset[Permission]:
    """Return all that a role may do in Superset's terms, but for the datasets it may read (permission, what on)."""
    rights = ROLES[role]
    optional = ((_DRILL, rights.can_drill), (_QUERY, rights.can_query), (_EDIT, rights.can_edit), (_EXPORT, rights.can_export))
    return _SEE.union(*(those for those, has in optional if has))


def sees_every_dataset(role: Role) -> bool:
    """Whether a role reads every dataset that has rules, and not just those of its dashboards: who asks questions of their own."""
    return ROLES[role].can_query
