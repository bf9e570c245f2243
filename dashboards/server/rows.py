"""The last wall of row-level security: each table of a statement shows the asker the rows that their rules show, whoever wrote it.

Here: who asks, which rules hold for them, writing the rules into the statement. Not here: the rules themselves (`dashboards.access`,
applied by `dashboards.rights`), nor Superset's own writing of them into charts and SQL Lab. That comes before, and leaks: a WITH whose
query has the name of a table (`WITH x AS (SELECT * FROM core.x) SELECT * FROM x`) shows all of it, and an export runs again what another
asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import sqlglot
from flask import g, has_app_context
from sqlglot import exp

Table = tuple[str, str]
# Superset's own name for who sees everything and may change the rules.
_ADMINISTRATOR: Final = "Admin"
# Parts of a table in a query that stay beside what replaces it.
_BESIDE: Final = ("joins", "laterals", "sample", "pivots")


class NotAllowed(Exception):
    """The asker may not read a table; the message is French, for them."""


@lru_cache(maxsize=2_000)  # a dashboard asks the same again and again; a statement has some kB
def tables(statement: str) -> tuple[Table, ...]:
    """Return the published tables a checked statement reads (schema, name), names in lower case."""
    return tuple(dict.fromkeys(_key(t) for t in sqlglot.parse_one(statement, dialect="duckdb").find_all(exp.Table) if t.db))


def narrowed(statement: str) -> str:
    """Return a checked statement as the signed-in person may ask it.

    Raises:
        NotAllowed: nobody is signed in, or a table has no rules.
    """
    read = tables(statement)
    if not read:
        return statement
    user = getattr(g, "user", None) if has_app_context() else None
    if user is None or user.is_anonymous:
        raise NotAllowed("personne n'est connecté")
    clauses = _clauses(user, read)
    return rewritten(statement, clauses) if clauses else statement


def rewritten(statement: str, clauses: Mapping[Table, str]) -> str:
    """Return a statement in which each table shows only the rows of its clause.

    >>> rewritten("SELECT a.b FROM core.Asset AS a", {("core", "asset"): "town = 'X'"})
    "SELECT a.b FROM (SELECT * FROM core.Asset WHERE (town = 'X')) AS a"
    """
    query = sqlglot.parse_one(statement, dialect="duckdb")
    for node in list(query.find_all(exp.Table)):
        clause = clauses.get(_key(node)) if node.db else None
        if clause is None:
            continue
        bare = exp.Table(this=node.this, db=node.args.get("db"), catalog=node.args.get("catalog"))
        kept = exp.select("*").from_(bare).where(exp.paren(sqlglot.parse_one(clause, dialect="duckdb")))
        alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(node.name, quoted=True))
        beside = {key: node.args[key] for key in _BESIDE if node.args.get(key)}
        node.replace(exp.Subquery(this=kept, alias=alias.copy(), **beside))
    return query.sql(dialect="duckdb", comments=False)


def _key(table: exp.Table) -> Table:
    return table.db.lower(), table.name.lower()


def _clauses(user: Any, read: tuple[Table, ...]) -> dict[Table, str]:
    from sqlalchemy import func
    from superset import db, security_manager
    from superset.connectors.sqla.models import SqlaTable

    if any(role.name == _ADMINISTRATOR for role in security_manager.get_user_roles(user)):
        return {}
    found: dict[Table, str] = {}
    for schema, name in read:
        datasets = (
            db.session.query(SqlaTable)
            .filter(SqlaTable.schema == schema, func.lower(SqlaTable.table_name) == name, ~_is_query(SqlaTable))
            .all()
        )
        if not datasets or not all(_has_rules(dataset) for dataset in datasets):
            raise NotAllowed(f"{schema}.{name} n'est pas ouverte aux tableaux de bord")
        clauses = [clause for dataset in datasets if (clause := _clause(security_manager.get_rls_filters(dataset)))]
        if clauses:
            found[schema, name] = " AND ".join(f"({clause})" for clause in clauses)
    return found


def _is_query(model: Any) -> Any:
    """Whether a dataset is a query of its own, not a table."""
    return (model.sql.isnot(None)) & (model.sql != "")


def _has_rules(dataset: Any) -> bool:
    from superset import db
    from superset.connectors.sqla.models import RLSFilterTables

    return db.session.query(RLSFilterTables).filter(RLSFilterTables.c.table_id == dataset.id).first() is not None


def _clause(filters: Any) -> str:
    """Return one condition of all rules: those of one group are alternatives."""
    groups: dict[str, list[str]] = {}
    for rule in filters:
        groups.setdefault(rule.group_key or f"rule {rule.id}", []).append(f"({rule.clause})")
    return " AND ".join(f"({' OR '.join(alternatives)})" for alternatives in groups.values())
