"""Accounts of the dashboards: names that are mistaken get the nearest one, roles say what they are."""

from __future__ import annotations

import pytest

from dashboards import access, people
from dashboards.sheets.model import ROLES
from ingestion.errors import WrongUse


def test_an_authority_that_no_row_has_is_refused_with_the_nearest() -> None:
    known = ["Commune de Sarry", "Châlons-Agglo"]
    assert people.known_authority("Commune de Sarry", known) == "Commune de Sarry"
    with pytest.raises(WrongUse, match="no row belongs") as wrong:
        people.known_authority("Commune de Sary", known)
    assert wrong.value.remedy == "did you mean 'Commune de Sarry'?"
    with pytest.raises(WrongUse) as unknown:
        people.known_authority("Reims", known)
    assert "Châlons-Agglo, Commune de Sarry" in str(unknown.value.remedy)
    with pytest.raises(WrongUse) as empty:
        people.known_authority("Reims", [])
    assert "vigie build" in str(empty.value.remedy)


def test_a_role_that_is_none_is_refused_with_the_nearest() -> None:
    assert people.known_role("pcc") == "pcc"
    with pytest.raises(WrongUse) as wrong:
        people.known_role("analist")
    assert wrong.value.remedy == "did you mean 'analyste'?"


def test_an_authoritys_role_says_whose_rows_it_sees() -> None:
    assert access.authority_of(access.authority_role("L'Épine")) == "L'Épine"
    assert access.authority_of(access.WHOLE_TERRITORY) is None
    titles = {access.role_title(role, is_of_authority=v) for role in ROLES for v in (False, True)}
    assert len(titles) == 2 * len(ROLES)
    assert not {access.authority_of(title) for title in titles} - {None}


def test_no_role_makes_datasets_databases_rules_or_accounts() -> None:
    for role in ROLES:
        writes = {
            on for name, on in access.permissions(role) if name in {"can_write", "can_save", "can_upload", "can_get_or_create_dataset"}
        }
        assert not writes & {"Dataset", "Database", "Datasource", "Row Level Security", "RowLevelSecurity", "User", "Role"}
        assert not {name for name, _ in access.permissions(role)} & {
            "all_datasource_access", "all_database_access", "all_query_access", "database_access", "schema_access", "datasource_access",
        }  # fmt: skip


def test_who_may_not_do_a_thing_lacks_its_permission() -> None:
    for role, rights in access.ROLES.items():
        names = access.permissions(role)
        assert (("can_execute_sql_query", "SQLLab") in names) == rights.can_query
        assert (("can_csv", "Superset") in names) == rights.can_export
        assert (("can_drill", "Dashboard") in names) == rights.can_drill
        assert (("can_write", "Dashboard") in names) == rights.can_edit


def test_generated_passwords_differ_and_are_long_enough() -> None:
    made = {people.generated_password() for _ in range(100)}
    assert len(made) == 100
    assert min(map(len, made)) >= 24
