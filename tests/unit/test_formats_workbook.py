"""Workbooks: the sheet and its header are found, cells come as text, dates in ISO form."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.errors import BadFile
from ingestion.formats import Bounds
from tests.unit.formats_support import Cell, opened, rows, workbook

_SHEET: list[list[Cell]] = [
    ["Relevé des corbeilles"],
    [],
    ["id", "posée le", "relevée", "pleine", "volume"],
    [("n", "12371082"), ("d", "45292"), ("t", "45292.5"), ("b", "1"), ("n", "0.1")],
    [],
    ["B2", None, None, ("b", "0"), ("n", "240")],
]


def test_the_header_is_found_below_a_title(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, workbook(tmp_path / "w", {"Mars": _SHEET}, first_row=2), "source.xlsx")
    assert list(table.columns) == ["id", "posée le", "relevée", "pleine", "volume"]
    assert rows(table) == [
        ("12371082", "2024-01-01 00:00:00", "2024-01-01 12:00:00", "true", "0.1", 1),
        ("B2", None, None, "false", "240", 2),
    ]
    assert any("header on row 4" in n for n in table.notes)


def test_the_header_s_row_is_the_sheet_s(tmp_path: Path) -> None:
    content = workbook(tmp_path / "w", {"Mars": _SHEET}, first_row=2)
    (table,) = opened(tmp_path, content, "source.xlsx", header_row=4)
    assert [r[0] for r in rows(table)] == ["12371082", "B2"]
    with pytest.raises(BadFile, match="no row 40"):
        opened(tmp_path, content, "source.xlsx", header_row=40)


def test_a_sheet_can_be_chosen_by_name_or_number(tmp_path: Path) -> None:
    content = workbook(tmp_path / "w", {"Un": [["a", "b"], ["1", "2"]], "Deux": [["c", "d"], ["3", "4"]]})
    (first,) = opened(tmp_path, content, "source.xlsx")
    assert rows(first) == [("1", "2", 1)]
    assert any("'Deux'" in n for n in first.notes)
    for sheet in ("Deux", 2):
        (second,) = opened(tmp_path, content, "source.xlsx", sheet=sheet)
        assert rows(second) == [("3", "4", 1)]
    with pytest.raises(BadFile, match=r"no sheet 'Trois' \(it holds: 'Un', 'Deux'\)"):
        opened(tmp_path, content, "source.xlsx", sheet="Trois")


def test_a_workbook_is_one_whatever_its_name(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, workbook(tmp_path / "w", {"F": [["a", "b"], ["1", "2"]]}), "export.csv")
    assert "read as xlsx although named .csv" in table.notes


def test_empty_and_over_bounds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="empty"):
        opened(tmp_path, workbook(tmp_path / "w", {"F": []}), "source.xlsx")
    with pytest.raises(BadFile, match="columns"):
        opened(tmp_path, workbook(tmp_path / "w", {"F": [["a", "b", "c"]]}), "source.xlsx", bounds=Bounds(max_columns=2))
    with pytest.raises(BadFile, match="unpacks to more than"):
        opened(tmp_path, workbook(tmp_path / "w", {"F": [["a", "b", "c"]]}), "source.xlsx", bounds=Bounds(max_workbook_bytes=100))
    with pytest.raises(BadFile, match="not a readable workbook"):
        opened(tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2000, "source.xls")
