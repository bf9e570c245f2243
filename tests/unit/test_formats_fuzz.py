"""Properties: what Python's csv writes reads back cell for cell, and nothing but BadFile comes out of damaged files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.errors import BadFile
from ingestion.formats import Bounds
from tests.unit.formats_support import bad, opened, rows, workbook, zipped

_ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1", "iso-8859-15"]
# What each of them can write, without NUL and the byte order mark, which no cell holds.
_CELLS = st.text(
    st.characters(codec="latin-1", exclude_characters="¤¦¨´¸¼½¾", exclude_categories=["Cc"]) | st.sampled_from("\r\n\t"), max_size=12
)
_NAMES = st.lists(st.text("abcdéè xyz_", min_size=1, max_size=6).filter(str.strip), min_size=2, max_size=6, unique_by=str.casefold)
_SETTINGS = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_SETTINGS
@given(
    names=_NAMES,
    data=st.data(),
    delimiter=st.sampled_from(",;\t|:"),
    encoding=st.sampled_from(_ENCODINGS),
    # Python leaves a lone \r unquoted when lines end with \n: nobody could read that back.
    style=st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\r\n", csv.QUOTE_ALL), ("\n", csv.QUOTE_ALL)]),
)
def test_any_csv_reads_back_cell_for_cell(
    names: list[str], data: st.DataObject, delimiter: str, encoding: str, style: tuple[str, int]
) -> None:
    cells = data.draw(st.lists(st.lists(_CELLS, min_size=len(names), max_size=len(names)), max_size=8))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=style[0], quoting=style[1])  # type: ignore[arg-type]
    writer.writerows([names, *cells])
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    with tempfile.TemporaryDirectory() as folder:
        content = text.getvalue().encode(encoding)
        (table,) = opened(Path(folder), content, encoding=declared, delimiter=delimiter, header_row=1)
        assert rows(table) == [(*record, position) for position, record in enumerate(cells, start=1)]
        assert list(table.columns) == names
        assert bad(table) == []


_RECORDS = st.lists(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=4),
    min_size=1,
    max_size=6,
)


@_SETTINGS
@given(records=_RECORDS, as_lines=st.booleans())
def test_any_flat_json_reads_back(records: list[dict[str, object]], as_lines: bool) -> None:
    documents = [json.dumps(r) for r in records]
    content = "\n".join(documents) if as_lines else f"[{','.join(documents)}]"
    with tempfile.TemporaryDirectory() as folder:
        (table,) = opened(Path(folder), content.encode(), "source.json", type="ndjson" if as_lines else "json")
        refused = {position for position, *_ in bad(table)}
        assert refused == {n for n, r in enumerate(records, start=1) if any(isinstance(v, str) and "\0" in v for v in r.values())}
        found = duckdb.connect().execute(f"SELECT * FROM {table.relation} ORDER BY _position")
        names = [d[0] for d in found.description]
        for values in found.fetchall():
            got = dict(zip(names, values, strict=True))
            record = records[got.pop("_position") - 1]
            want = {k: v if isinstance(v, str) or v is None else json.dumps(v) for k, v in record.items()}
            assert {k: v for k, v in got.items() if v is not None} == {k: v for k, v in want.items() if v is not None}


def _whole_or_refused(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            tables = opened(Path(folder), content, name, bounds=Bounds(seconds=20))
        except BadFile as refused:
            assert refused.message.startswith("source")  # noqa: PT017 - either outcome is right, each is checked
            return
        for table in tables:
            records = rows(table)
            assert all(r[-1] > 0 for r in records)
            bad(table)


@_SETTINGS
@given(
    st.binary(max_size=400),
    st.sampled_from(
        ["", "PK\x03\x04", "\x1f\x8b\x08", "PAR1", "{", "[{", "\xef\xbb\xbf", "a,b\n", "\xff\xfe", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"]
    ),
)
def test_random_bytes_are_read_or_refused(content: bytes, head: str) -> None:
    _whole_or_refused(head.encode("latin-1") + content, "source.csv")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    csv_text = "id;nom\n" + "".join(f"{n};é{n}\n" for n in range(200))
    duckdb.sql(f"COPY (SELECT range AS id, 'x' || range AS nom FROM range(200)) TO '{folder}/p.parquet' (FORMAT parquet)")
    return {
        "source.parquet": (folder / "p.parquet").read_bytes(),
        "source.csv.gz": gzip.compress(csv_text.encode()),
        "source.zip": zipped(folder / "z.zip", {"a.csv": csv_text.encode()}),
        "source.xlsx": workbook(folder / "w.xlsx", {"F": [["id", "nom"], *([("n", str(n)), "x"] for n in range(50))]}),
        "source.json": json.dumps([{"id": n, "nom": "é"} for n in range(100)], ensure_ascii=False).encode(),
    }


@pytest.mark.parametrize("name", ["source.parquet", "source.csv.gz", "source.zip", "source.xlsx", "source.json"])
def test_a_truncated_file_is_refused_wherever_it_is_cut(whole_files: dict[str, bytes], name: str, tmp_path: Path) -> None:
    content = whole_files[name]
    opened(tmp_path, content, name)  # whole, it opens
    for cut in {4, 20, len(content) // 3, len(content) // 2, len(content) - 30, len(content) - 8, len(content) - 1}:
        with pytest.raises(BadFile):
            opened(tmp_path, content[:cut], name)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), name=st.sampled_from(["source.parquet", "source.csv.gz", "source.zip", "source.xlsx", "source.json"]))
def test_damaged_files_are_read_or_refused(whole_files: dict[str, bytes], data: st.DataObject, name: str) -> None:
    content = bytearray(whole_files[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    _whole_or_refused(bytes(content), name)
