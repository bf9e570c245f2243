"""Delimited text: every cell as written, every bad record counted where it stands, every bad file refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.errors import BadFile, WrongUse
from ingestion.formats import Bounds
from tests.unit.formats_support import bad, opened, rows


def test_cells_are_exactly_what_is_written(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'id,note\r\n1," 0.219 "\r\n2,\r\n3,""\r\n4,NULL\r\n5,"a ""b"", c"\r\n 6 ,x"y\r\n')
    assert rows(table) == [
        ("1", " 0.219 ", 1),
        ("2", "", 2),
        ("3", "", 3),
        ("4", "NULL", 4),
        ("5", 'a "b", c', 5),
        (" 6 ", 'x"y', 6),
    ]
    assert table.columns == {"id": "VARCHAR", "note": "VARCHAR"}
    assert table.bad_records is None


def test_line_ends_may_be_mixed_and_stand_inside_quotes(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'a,b\r\n1,"x\ny"\n2,"\r"\r3,"u\r\nv"\r\n')
    assert rows(table) == [("1", "x\ny", 1), ("2", "\r", 2), ("3", "u\r\nv", 3)]


def test_bad_records_keep_their_number_and_shift_none(tmp_path: Path) -> None:
    content = b'a,b\n1,"x\ny"\n3\n\n4,5,6\n7,8\n'  # record 2 is short, record 3 is long; the blank line is no record
    (table,) = opened(tmp_path, content)
    assert rows(table) == [("1", "x\ny", 1), ("7", "8", 4)]
    assert bad(table) == [(2, "missing_cells", "3"), (3, "too_many_cells", "4,5,6")]


def test_bad_records_are_numbered_across_blocks(tmp_path: Path) -> None:
    lines = [f"{n},{'x' * 50}" if n % 7 else f"{n}" for n in range(1, 2001)]
    (table,) = opened(tmp_path, ("a,b\n" + "\n".join(lines)).encode(), bounds=Bounds(max_record_bytes=1000))
    assert [p for p, *_ in bad(table)] == list(range(7, 2001, 7))
    assert all(int(a) == position for a, _, position in rows(table))
    assert len(rows(table)) + len(bad(table)) == 2000


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"\xef\xbb\xbfville;n\nNe\xc3\xa9;1\n", "utf-8"),
        ("ville;n\nNeé;1\n".encode("utf-16"), "utf-16"),
        ("ville;n\nNeé;1\n".encode("utf-32"), "utf-32"),
        ("ville;n\nNeé;1\n".encode("cp1252"), "cp1252"),
    ],
)
def test_encodings_are_found(tmp_path: Path, content: bytes, named: str) -> None:
    (table,) = opened(tmp_path, content)
    assert rows(table) == [("Neé", "1", 1)]
    assert table.encoding == named
    assert any(named in note for note in table.notes)


def test_accents_after_a_megabyte_of_ascii_are_found_too(tmp_path: Path) -> None:
    content = b"a,b\n" + b"x,y\n" * 300_000 + "é,l’été à 5 €\n".encode("cp1252")
    (table,) = opened(tmp_path, content)
    assert rows(table)[-1] == ("é", "l’été à 5 €", 300_001)


def test_latin1_is_taken_where_cp1252_has_no_character(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, "a;b\nété;\x81\nà;ç\nforêt;où\n".encode("latin-1"))
    assert table.encoding == "latin-1"
    assert rows(table)[0] == ("été", "\x81", 1)


@pytest.mark.parametrize("encoding", ["iso-8859-15", "cp850", "mac_roman", "utf-16-le"])
def test_a_declared_encoding_is_obeyed(tmp_path: Path, encoding: str) -> None:
    (table,) = opened(tmp_path, "nom;prénom\nÉva;Noël\n".encode(encoding), encoding=encoding)
    assert rows(table) == [("Éva", "Noël", 1)]
    assert list(table.columns) == ["nom", "prénom"]


def test_a_few_broken_characters_cost_their_records_only(tmp_path: Path) -> None:
    good = "".join(f"{n},été\n" for n in range(1, 51)).encode()
    (table,) = opened(tmp_path, b"a,b\n" + good + b"51,\xe9t\n52,fin\n")
    assert table.encoding == "utf-8"
    assert bad(table) == [(51, "invalid_bytes", "51,\\xE9t")]
    assert [r[2] for r in rows(table)] == [*range(1, 51), 52]


def test_a_declared_encoding_that_does_not_hold_costs_its_records_only(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b"a,b\n1,\xe9\n2,x\n3\xe9\n", encoding="utf-8")
    assert rows(table) == [("2", "x", 2)]
    assert bad(table) == [(1, "invalid_bytes", "1,\\xE9"), (3, "missing_cells", "3\\xE9")]


def test_an_unknown_encoding_is_the_contract_s_fault(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="utf-9"):
        opened(tmp_path, b"a,b\n", encoding="utf-9")


def test_nul_costs_its_record(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b"a,b\n" + b"1,x\n" * 100 + b"2,\x00y\n")
    assert bad(table) == [(101, "nul_character", "2,\\x00y")]
    assert len(rows(table)) == 100


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a;b\n1,5;2,5\n3,5;4,5\n", ("1,5", "2,5", 1)),
        (b"a\tb\n1,5\t2,5\n", ("1,5", "2,5", 1)),
        (b"a|b\n1;2|3\n", ("1;2", "3", 1)),
        (b'a,b\n"x;y;z",2\n', ("x;y;z", "2", 1)),
    ],
)
def test_delimiters_are_found(tmp_path: Path, content: bytes, expected: tuple[object, ...]) -> None:
    (table,) = opened(tmp_path, content)
    assert rows(table)[0] == expected


def test_one_column_is_a_table_too(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'code\n21231\n""\n51108\n')
    assert rows(table) == [("21231", 1), ("", 2), ("51108", 3)]


def test_names_are_made_unique_and_told(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b",Date,date,Date,_position\n1,2,3,4,5\n")
    assert list(table.columns) == ["_1", "Date", "date_2", "Date_3", "_position_2"]
    assert rows(table) == [("1", "2", "3", "4", "5", 1)]
    assert any("repeats the name" in n for n in table.notes)


def test_a_trailing_delimiter_in_the_header_makes_an_unnamed_column(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b"a;b;\n1;2;\n3;4;\n")
    assert rows(table) == [("1", "2", "", 1), ("3", "4", "", 2)]
    assert list(table.columns) == ["a", "b", "_3"]


def test_a_trailing_delimiter_in_the_records_only_is_tolerated(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b"a;b\n1;2;\n3;4;\n")
    assert rows(table) == [("1", "2", "", 1), ("3", "4", "", 2)]


def test_a_trailing_delimiter_in_the_header_only_is_tolerated(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b"a;b;\n1;2\n3;4\n")
    assert rows(table) == [("1", "2", 1), ("3", "4", 2)]


def test_r_writes_row_names_without_a_header(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'"date","t"\n"1","2015-02-02",23.7\n"2","2015-02-03",23.6\n')
    assert list(table.columns) == ["_1", "date", "t"]
    assert rows(table)[0] == ("1", "2015-02-02", "23.7", 1)


def test_lines_above_the_header_are_left_out_and_told(tmp_path: Path) -> None:
    content = b'Export du 12/03\n"Ville\nde Ch\xc3\xa2lons"\n\nid;nom;n\n1;a;2\n2;b;3\n'
    (table,) = opened(tmp_path, content)
    assert rows(table) == [("1", "a", "2", 1), ("2", "b", "3", 2)]
    assert any("header on line 5" in n for n in table.notes)


def test_the_header_s_line_can_be_stated(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b"x;y\nid;n\n1;2\n", header_row=2)
    assert rows(table) == [("1", "2", 1)]
    with pytest.raises(BadFile, match="no line 9"):
        opened(tmp_path, b"a;b\n1;2\n", header_row=9)


def test_names_can_be_given(tmp_path: Path) -> None:
    (missing,) = opened(tmp_path, b"1;2\n3;4\n", columns=["a", "b"])
    assert rows(missing) == [("1", "2", 1), ("3", "4", 2)]
    (wrong,) = opened(tmp_path, b"x;y\n3;4\n", columns=["a", "b"], header_row=1)
    assert (rows(wrong), list(wrong.columns)) == ([("3", "4", 1)], ["a", "b"])
    with pytest.raises(WrongUse, match="names 3 columns, the file has 2"):
        opened(tmp_path, b"1;2\n3;4\n", columns=["a", "b", "c"])


def test_quotes_can_mean_nothing(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'a,b\n1,"2\n3,4"\n', quote="")
    assert rows(table) == [("1", '"2', 1), ("3", '4"', 2)]


def test_a_header_alone_is_a_table_without_records(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b"a;b\n")
    assert (rows(table), list(table.columns)) == ([], ["a", "b"])


def test_a_quote_that_swallows_the_file_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"source\.csv: a quote opened in record 2 is never closed"):
        opened(tmp_path, b'a,b\n1,2\n3,"4\n5,6\n7,8\n')


def test_a_quote_that_swallows_more_than_a_record_may_hold_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="never closed"):
        opened(tmp_path, b'a,b\n1,"2\n' + b"3,4\n" * 5000, bounds=Bounds(max_record_bytes=4096))


def test_a_quote_left_open_on_the_last_line_costs_that_line(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'a,b\n1,2\n3,"4')
    assert rows(table) == [("1", "2", 1)]
    assert [(p, r) for p, r, _ in bad(table)] == [(2, "unterminated_quote")]


def test_a_cell_may_be_long_but_not_endless(tmp_path: Path) -> None:
    content = b"a,b\n1," + b"x" * 500 + b"\n2,y\n"
    (table,) = opened(tmp_path, content, bounds=Bounds(max_cell_chars=100))
    assert rows(table) == [("2", "y", 2)]
    assert [(p, r) for p, r, _ in bad(table)] == [(1, "cell_too_long")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \r\n\n ", "empty"),
        (b"\n<!DOCTYPE html><html><body>Session expir\xc3\xa9e</body></html>", "web page"),
        (b"<html>502</html>", "web page"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b"%PDF-1.7\n", "PDF"),
        (b"Rar!\x1a\x07", "RAR"),
        (bytes(range(1, 256)) * 20, "binary"),
        (b"\x00\x01\x02" * 400, "binary"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(BadFile, match=said) as caught:
        opened(tmp_path, content)
    assert caught.value.message.startswith("source.csv")
    assert caught.value.remedy


def test_bounds_refuse(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="at most 10"):
        opened(tmp_path, b"a,b\n1,2\n3,4\n", bounds=Bounds(max_bytes=10))
    with pytest.raises(BadFile, match="columns"):
        opened(tmp_path, b",".join(b"c%d" % n for n in range(30)) + b"\n", bounds=Bounds(max_columns=20))
    with pytest.raises(BadFile, match="not read within"):
        opened(tmp_path, b"a,b\n1,2\n3,4\n", bounds=Bounds(seconds=-1))


def test_a_declared_format_is_held_against_the_content(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="the contract says xlsx, its content says csv"):
        opened(tmp_path, b"a,b\n1,2\n", type="xlsx")
    with pytest.raises(BadFile, match="the contract says csv, its content says json"):
        opened(tmp_path, b'{"error": "not found"}', type="csv")
