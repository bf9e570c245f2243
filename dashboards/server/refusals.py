"""What the lake says no to, in French.

Here: the sentences of the allow-list of readers (`ingestion.lake.reader`) and of DuckDB, as people of the dashboards read them. Not here:
deciding what is refused.
"""

from __future__ import annotations

import re
from typing import Any, Final

import duckdb
from superset.errors import SupersetErrorType

_REMEDY: Final = "Cet accès est en lecture seule : une requête SELECT sur les tables de core, indicators et open_data."
_OF_THE_ALLOW_LIST: Final = (
    (r"the query is longer than (\d+) characters", r"la requête dépasse \1 caractères"),
    (r"the query cannot be read: (.*)", r"la requête ne se lit pas (\1)"),
    (r"refused: only one SELECT is allowed", r"une seule requête SELECT à la fois"),
    (r"refused: (?:table )?function (.*)\(\) is not allowed", r"la fonction \1() n'est pas permise"),
    (r"refused: (\w+) is not allowed", r"\1 n'est pas permis"),
    (r"refused: published tables are read as they stand, without AT", r"les tables publiées se lisent telles qu'elles sont, sans AT"),
    (r"refused: (.*) is not a published table", r"\1 n'est pas une table publiée"),
    (r"refused: (.*) is not a table's name", r"\1 n'est pas un nom de table"),
    (r"refused: (.*): name the schema \((.*)\)", r"\1 : indiquez le schéma (\2)"),
)
_COLUMN: Final = re.compile(r'Referenced column "([^"]*)" not found')
_TABLE: Final = re.compile(r"Table with name (\S+) does not exist")

# As Superset takes it: what is found in an error, what is shown, its kind and more.
SHOWN: Final[dict[re.Pattern[str], tuple[str, Any, dict[str, Any]]]] = {
    re.compile(r"(?P<sentence>(?:Requête|La requête|La table|La colonne|Le lac|Une valeur) .*)", re.DOTALL): (
        "%(sentence)s",
        SupersetErrorType.GENERIC_DB_ENGINE_ERROR,
        {},
    )
}


def refused(message: str) -> str:
    """Return in French why the allow-list refused a query; a sentence it does not know is returned as it is."""
    for pattern, french in _OF_THE_ALLOW_LIST:
        found = re.fullmatch(pattern, message, re.DOTALL)
        if found:
            return f"Requête refusée : {found.expand(french)}. {_REMEDY}"
    return f"Requête refusée : {message}. {_REMEDY}"


def failed(error: duckdb.Error) -> str:
    """Return in French what DuckDB says of a query that it could not run."""
    message = str(error)
    first = message.splitlines()[0] if message else "sans message"
    if found := _TABLE.search(message):
        return f"La table {found[1]} n'est pas publiée : elle ne l'est pas encore (premier calcul en cours), ou son nom est faux."
    if found := _COLUMN.search(message):
        return f"La colonne {found[1]} n'existe pas dans cette table."
    if isinstance(error, duckdb.OutOfMemoryException):
        return "La requête demande trop de mémoire : demandez moins (une période, une commune, un regroupement)."
    if isinstance(error, (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)):
        return f"La requête ne convient pas aux tables ({first})."
    if isinstance(error, (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException)):
        return f"Une valeur ne convient pas à la requête ({first})."
    return f"La requête a échoué ({first})."
