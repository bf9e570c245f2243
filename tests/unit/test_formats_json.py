"""JSON: nested records to columns, numbers as written, arrays exploded along a path."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import BadFile
from ingestion.formats import Bounds, SourceTable
from tests.unit.formats_support import bad, opened, rows


def _records(table: SourceTable) -> list[dict[str, Any]]:
    found = duckdb.connect().execute(f"SELECT * FROM {table.relation} ORDER BY _position")
    names = [d[0] for d in found.description]
    return [dict(zip(names, r, strict=True)) for r in found.fetchall()]


def test_numbers_are_as_written_and_objects_become_dotted_names(tmp_path: Path) -> None:
    content = (
        b'[{"id": 12345678901234567890123, "v": 1.10, "e": 1E5, "ok": true, "no": null, "at": {"lat": 48.950, "tags": ["a", 1.50]}, '
        b'"empty": {}}, {"id": "x", "late": 1}]'
    )
    (table,) = opened(tmp_path, content, "source.json")
    first, second = _records(table)
    assert first == {
        "id": "12345678901234567890123", "v": "1.10", "e": "1E5", "ok": "true", "no": None, "at.lat": "48.950",
        "at.tags": '["a",1.50]', "empty": "{}", "late": None, "_position": 1,
    }  # fmt: skip
    assert (second["id"], second["late"], second["v"], second["_position"]) == ("x", "1", None, 2)


def test_nested_arrays_are_exploded_along_a_path(tmp_path: Path) -> None:
    document = {
        "header": {"flow": "R63"},
        "m": [
            {"prm": "1", "g": [{"u": "Wh", "points": [{"d": "t1", "v": "10"}, {"d": "t2", "v": "11"}]}, {"u": "W", "points": []}]},
            {"prm": "2", "g": [{"u": "kWh", "points": [{"d": "t1", "v": "20"}]}], "list": [1]},
        ],
    }
    (table,) = opened(tmp_path, json.dumps(document).encode(), "source.json", records="m.g.points")
    assert list(table.columns) == ["header.flow", "m.prm", "m.g.u", "d", "v"]
    assert rows(table) == [
        ("R63", "1", "Wh", "t1", "10", 1),
        ("R63", "1", "Wh", "t2", "11", 2),
        ("R63", "2", "kWh", "t1", "20", 3),
    ]


def test_a_star_takes_the_values_of_an_object_with_their_key(tmp_path: Path) -> None:
    content = '[{"Comédie": {"place": 405}, "Corum": {"place": 292}}, {"Comédie": {"place": 404}}]'.encode()
    (table,) = opened(tmp_path, content, "source.json", records="*")
    assert list(table.columns) == ["_key", "place"]
    assert rows(table) == [("Comédie", "405", 1), ("Corum", "292", 2), ("Comédie", "404", 3)]


def test_pairs_become_numbered_columns(tmp_path: Path) -> None:
    content = b'{"Serie": {"code": "F7", "obs": [[1615849200000, 1.27], [1615852800000, 1.3]]}}'
    (table,) = opened(tmp_path, content, "source.json", records="Serie.obs")
    assert rows(table) == [("F7", "1615849200000", "1.27", 1), ("F7", "1615852800000", "1.3", 2)]


def test_latin1_json_is_read(tmp_path: Path) -> None:
    content = '[{"nom": "Hôtel de Ville", "n": "Comédie"}, {"nom": "à côté"}]'.encode("latin-1")
    (table,) = opened(tmp_path, content, "source.json")
    assert [r[0] for r in rows(table)] == ["Hôtel de Ville", "à côté"]


def test_the_one_array_of_an_answer_is_its_records(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'{"count": 2, "results": [{"a": 1}, {"a": 2}]}', "source.json")
    assert rows(table) == [("2", "1", 1), ("2", "2", 2)]
    assert "records are the elements of 'results'" in table.notes


def test_an_own_field_hides_what_encloses_it_and_says_so(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'{"id": "doc", "d": [{"id": "own"}]}', "source.json", records="d")
    assert rows(table) == [("own", 1)]
    assert any("hide" in n for n in table.notes)


def test_lines_are_read_one_by_one_and_bad_ones_counted(tmp_path: Path) -> None:
    content = b'{"a": 1}\n\n{"a": \n{"a": "\xe9"}\n{"a": "x\\u0000"}\n{"b": [1]}\n' + '{"a": "é"}\n'.encode() * 9
    (table,) = opened(tmp_path, content, "source.ndjson", encoding="utf-8")
    assert table.format == "ndjson"
    assert rows(table)[:2] == [("1", None, 1), (None, "[1]", 5)]
    assert [(p, r) for p, r, _ in bad(table)] == [(2, "invalid_json"), (3, "invalid_bytes"), (4, "nul_character")]


def test_columns_may_appear_late(tmp_path: Path) -> None:
    lines = [b'{"a": %d}' % n for n in range(20_001)] + [b'{"b": 1}']
    (table,) = opened(tmp_path, b"\n".join(lines), "source.ndjson")
    assert list(table.columns) == ["a", "b"]
    assert rows(table)[-1] == (None, "1", 20_002)


def test_names_that_differ_by_case_stay_apart(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'[{"Id": 1, "id": 2, "_position": 3}]', "source.json")
    assert rows(table) == [("1", "2", "3", 1)]
    assert list(table.columns) == ["Id", "id_2", "_position_2"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1} x', "not JSON, or cut"),
        (b'[{"a": 1}, {"a"', "not JSON, or cut"),
        (b'{"a": NaN}', "not JSON"),
        (b"[" * 5000 + b"]" * 5000, "nested deeper"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        opened(tmp_path, content, "source.json")


def test_a_record_that_is_too_deep_costs_itself(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'[{"a": 1}, ' + b'{"a":' * 80 + b"1" + b"}" * 80 + b"]", "source.json")
    assert rows(table) == [("1", 1)]
    assert [(p, r) for p, r, _ in bad(table)] == [(2, "too_deep")]


def test_a_path_that_leads_nowhere_names_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"there is no point \(under data\) \(at the top: n, data\)"):
        opened(tmp_path, b'{"n": 1, "data": [{"points": []}]}', "source.json", records="data.point")
    (empty,) = opened(tmp_path, b'{"n": 1, "data": []}', "source.json", records="data.point")
    assert (rows(empty), empty.columns) == ([], {})


def test_bounds_refuse(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="at most 10"):
        opened(tmp_path, b'[{"a": 12345}]', "source.json", bounds=Bounds(max_json_bytes=10))
    with pytest.raises(BadFile, match="more than 5 columns"):
        opened(tmp_path, json.dumps([{f"k{n}": n} for n in range(9)]).encode(), "source.json", bounds=Bounds(max_columns=5))


def test_one_line_is_a_record_where_the_name_says_so(tmp_path: Path) -> None:
    content = b'{"id": 1, "tags": [{"x": 1}, {"x": 2}]}\n'
    for packed, name in ((content, "fetched-00000.ndjson"), (gzip.compress(content), "x.JSONL.gz")):
        (line,) = opened(tmp_path, packed, name)
        assert rows(line) == [("1", '[{"x":1},{"x":2}]', 1)]
    (document,) = opened(tmp_path, content, "source.json")
    assert rows(document) == [("1", "1", 1), ("1", "2", 2)]


def test_lines_are_lines_even_if_the_contract_says_json(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, b'{"a": 1}\n{"a": 2}\n', "source.json", type="json")
    assert rows(table) == [("1", 1), ("2", 2)]


def test_geojson_is_held_against_the_content(tmp_path: Path) -> None:
    for content in (b'{"a": 1}\n{"a": 2}\n', b'{"a": 1}'):
        with pytest.raises(BadFile, match="not GeoJSON"):
            opened(tmp_path, content, "source.json", type="geojson")
