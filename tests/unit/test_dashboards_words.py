"""The French words of codes: read whole, said in SQL, and the same as those of the alarms' rules."""

from pathlib import Path

import duckdb
import pytest
from ruamel.yaml import YAML

from dashboards.sheets.words import load_words, word_sql
from ingestion.errors import VigieError

ROOT = Path(__file__).parents[2]


def test_fault_types_are_those_of_the_seed() -> None:
    assert load_words()["fault_type"]["lamp-out"] == "Lampe éteinte"


def test_every_rule_of_the_house_is_read_by_its_own_title() -> None:
    titles = {d["rule"]: d["title"] for d in (YAML(typ="safe").load(p) for p in (ROOT / "orchestration/alerts/rules").glob("*.yaml"))}
    assert load_words()["rule"] == titles


def test_sql_says_the_word_of_a_code_and_leaves_the_rest() -> None:
    sql = word_sql("kind", {"a": "L'un", "2": "Deux"})
    rows = duckdb.sql(f"SELECT {sql} FROM (VALUES ('a', 1), ('b', 2), (NULL, 3)) t(kind, n) ORDER BY n").fetchall()
    assert rows == [("L'un",), ("b",), (None,)]
    assert duckdb.sql(f"SELECT {sql} FROM (SELECT 2 AS kind)").fetchall() == [("Deux",)]


def test_a_file_that_is_no_table_of_words_is_refused_with_its_line(tmp_path: Path) -> None:
    wrong = tmp_path / "mots.yaml"
    wrong.write_text("kind:\n  a: b\nstate: closed\n", encoding="utf-8")
    with pytest.raises(VigieError, match="line 3"):
        load_words(wrong)
