"""Hostile and ambiguous YAML: refused with a line, or kept as written."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from ingestion.feeds.load import ContractError
from ingestion.feeds.load_yaml import MAX_BYTES, read_document
from tests.contract.feeds_support import write


def refused(folder: Path, text: str) -> tuple[int, str, str]:
    with pytest.raises(ContractError) as caught:
        read_document(write(folder, text))
    (problem,) = caught.value.problems
    return problem.line, problem.what, problem.remedy or ""


def test_scalars_that_yaml_would_change_are_kept_as_written(tmp_path: Path) -> None:
    text = "a: [007, 1_000, 0x1F, 2024-01-31, no, 12:30, -5, 2.50, true, ~]\nb: '12'\n1: one\n"
    document = read_document(write(tmp_path, text))
    assert document.data == {
        "a": ["007", "1_000", "0x1F", "2024-01-31", "no", "12:30", -5, 2.5, True, None],
        "b": "12",
        "1": "one",
    }


def test_each_key_has_its_line(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "a: 1\nb:\n  - x: 1\n    y: 2\n  - x: 3\n"))
    assert document.lines[("b", 0, "y")] == 4
    assert document.lines[("b", 1, "x")] == 5
    assert document.line(("b", 1, "absent", "deeper")) == 5


@pytest.mark.parametrize(
    ("text", "line", "what", "remedy"),
    [
        ("a: 1\nb: c: d\n", 2, "not YAML", "quote a text that holds ': '"),
        ("a:\n\t- x\n", 2, "not YAML", "tabs"),
        ("a: 1\nb: %x\n", 2, "not YAML", "quote a text that begins"),
        ("a: 1\nb: 'x\nc: 2\n", 2, "not YAML", ""),
        ("a: 1\nb: *secret\n", 2, "undefined alias", "quote"),
        ("- a\n", 1, "one list of keys and values", ""),
        ("", 1, "one list of keys and values", ""),
        ("a: 1\n---\nb: 2\n", 3, "one list of keys and values", ""),
        ("a: \x00\n", 1, "not YAML", "control character"),
    ],
)  # fmt: skip
def test_what_is_not_one_mapping_is_refused_with_its_line(tmp_path: Path, text: str, line: int, what: str, remedy: str) -> None:
    found = refused(tmp_path, text)
    assert found[0] == line
    assert what in found[1]
    assert remedy in found[2]
    assert "secret" not in found[1]


def test_a_key_written_twice_is_told_with_both_lines(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "a: 1\nb: {x: 1, x: 2}\na: 3\n"))
    assert [(p.line, p.key, p.what) for p in document.problems] == [
        (2, "b.x", "is written twice (first on line 2)"),
        (3, "a", "is written twice (first on line 1)"),
    ]
    assert document.data == {"a": 1, "b": {"x": 1}}


def test_tags_and_merge_keys_are_not_read(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "a: !!python/object:os.system x\n<<: {b: 1}\n"))
    assert [(p.line, p.key) for p in document.problems] == [(1, "a"), (2, "<<")]


def test_anchors_serve_but_a_bomb_is_refused(tmp_path: Path) -> None:
    assert read_document(write(tmp_path, "a: &m [x, y]\nb: *m\n")).data["b"] == ["x", "y"]
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join('*' + chr(97 + i) for _ in range(10))}]\n" for i in range(9))
    line, what, _ = refused(tmp_path, bomb)
    assert (line, "expands to more than 20,000 values" in what) == (1, True)


def test_an_anchor_within_itself_is_refused(tmp_path: Path) -> None:
    assert "nests deeper" in refused(tmp_path, "a: &a [*a]\n")[1]


def test_an_anchor_given_twice_warns_of_nothing_that_it_holds(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_document(write(tmp_path, "a: &m x\nb: &m y\nc: *m\n")).data["c"] == "y"


def test_bounds_of_size_and_depth(tmp_path: Path) -> None:
    assert "256 KiB" in refused(tmp_path, "a: " + "x" * MAX_BYTES)[1]
    assert "not YAML" in refused(tmp_path, "a: " + "[" * 1500 + "]" * 1500)[1]


def test_a_file_in_another_encoding_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nb: é\n".encode("latin-1"))
    with pytest.raises(ContractError, match="UTF-8") as caught:
        read_document(path)
    assert caught.value.problems[0].line == 2
    with pytest.raises(ContractError, match="cannot be read"):
        read_document(tmp_path / "absent.yaml")


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(path).data == {"a": 1}
