"""The French words of the codes that published tables hold: `streetlight` is read « Point lumineux ».

Here: reading `dashboards/specs/_mots.yaml` and the labels of fault types, and the SQL that says a word for a code. Not here: what a code
means (`dbt_project/models`). Sheets write codes, people read words.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ingestion.errors import WrongUse
from ingestion.feeds.load_yaml import read_document

_ROOT: Final = Path(__file__).parents[2]
WORDS: Final = _ROOT / "dashboards" / "specs" / "_mots.yaml"
FAULT_TYPES: Final = _ROOT / "dbt_project" / "seeds" / "core__fault_type.csv"


def load_words(path: Path = WORDS, fault_types: Path = FAULT_TYPES) -> dict[str, dict[str, str]]:
    """Return, by column name, the word of each code.

    Raises:
        ContractError: the file is no YAML.
        WrongUse: it is not a mapping of columns to codes and words.
    """
    document = read_document(path)
    words: dict[str, dict[str, str]] = {}
    for column, codes in document.data.items():
        if not isinstance(codes, dict) or not all(isinstance(word, str) for word in codes.values()):
            raise WrongUse(
                f"{path.name}, line {document.line((column,))}: {column} is no mapping of codes to words",
                remedy="Write `code: mot` below it.",
            )
        words[column] = {str(code): word for code, word in codes.items()}
    with fault_types.open(encoding="utf-8", newline="") as file:
        words["fault_type"] = {row["fault_type"]: row["label"] for row in csv.DictReader(file)}
    return words


def word_sql(column: str, codes: Mapping[str, str]) -> str:
    """Return the SQL of a column's words: each known code its word, any other code as it is, nothing as nothing.

    Two codes of one word are read as one group.
    """
    whens = " ".join(f"WHEN {_literal(code)} THEN {_literal(word)}" for code, word in codes.items())
    text = f'CAST("{column}" AS VARCHAR)'
    return f"CASE {text} {whens} ELSE {text} END"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
