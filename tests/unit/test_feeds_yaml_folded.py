"""Folded and literal texts in a contract come out as YAML means them."""

from pathlib import Path

from ingestion.feeds.load_yaml import read_document


def test_folded_text_is_one_line_and_literal_text_keeps_its_lines(tmp_path: Path) -> None:
    contract = tmp_path / "a.yaml"
    contract.write_text("folded: >-\n  CASE WHEN a\n  THEN b END\nliteral: |-\n  one\n  two\n", encoding="utf-8")

    document = read_document(contract)

    assert document.data == {"folded": "CASE WHEN a THEN b END", "literal": "one\ntwo"}
    assert document.lines[("literal",)] == 4
