"""Containers: gzip and zip are unpacked within bounds; what is cut, hidden or explosive is refused."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import BadFile
from ingestion.formats import Bounds
from tests.unit.formats_support import opened, rows, zipped

_CSV = b"a;b\n1;x\n2;y\n"


def _zip(edit: dict[str, bytes] | None = None, **info: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in (edit or {"a.csv": _CSV}).items():
            member = zipfile.ZipInfo(name)
            for key, value in info.items():
                setattr(member, key, value)
            archive.writestr(member, content)
    return out.getvalue()


def test_gzip_is_unpacked_even_in_several_parts(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, gzip.compress(b"a;b\n1;x\n") + gzip.compress(b"2;y\n"), "source.csv.gz")
    assert rows(table) == [("1", "x", 1), ("2", "y", 2)]


@pytest.mark.parametrize(
    "content",
    [gzip.compress(_CSV)[:-4], gzip.compress(_CSV) + b"garbage", gzip.compress(gzip.compress(_CSV))],
    ids=["cut", "not alone", "twice"],  # gzip writes the time: the bytes are not the same in every worker
)
def test_a_gzip_that_is_cut_or_not_alone_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadFile, match="gzip"):
        opened(tmp_path, content, "source.csv.gz")


def test_bombs_are_refused_before_they_fill_the_disk(tmp_path: Path) -> None:
    zeros = b"0" * 40_000_000
    for content, name in ((gzip.compress(zeros), "b.gz"), (zipped(tmp_path / "z", {"a.csv": zeros}), "b.zip")):
        with pytest.raises(BadFile, match="a bomb"):
            opened(tmp_path, content, name)
        unpacked = [p.stat().st_size for p in tmp_path.rglob("*") if p.name in {"content", "unpacked"}]
        assert max(unpacked) < 20_000_000
    with pytest.raises(BadFile, match="unpacks to more than 1000 bytes"):
        opened(tmp_path, gzip.compress(os.urandom(2000)), bounds=Bounds(max_expanded_bytes=1000))


def test_a_bomb_spread_over_members_is_one(tmp_path: Path) -> None:
    members = {f"{n}.csv": b"a;b\n" + b"0;0\n" * 1_000_000 for n in range(8)}
    with pytest.raises(BadFile, match="a bomb"):
        opened(tmp_path, zipped(tmp_path / "z", members), "b.zip")


def test_members_become_tables_in_the_order_of_their_names(tmp_path: Path) -> None:
    members = {"b/two.csv": b"a\n2\n", "a/one.csv": b"a\n1\n", "README.txt": b"x", "__MACOSX/a/._one.csv": b"\0\5", "doc.pdf": b"%PDF"}
    tables = opened(tmp_path, zipped(tmp_path / "z", members), "source.zip")
    assert [(t.member, rows(t)) for t in tables] == [("a/one.csv", [("1", 1)]), ("b/two.csv", [("2", 1)])]
    assert any("3 members that are no data were left out" in n for n in tables[0].notes)


def test_a_member_can_be_chosen(tmp_path: Path) -> None:
    content = zipped(tmp_path / "z", {"x/stops.txt": b"a\n1\n", "x/trips.txt": b"b\n2\n"})
    (table,) = opened(tmp_path, content, "source.zip", member="stops*")
    assert list(table.columns) == ["a"]
    with pytest.raises(BadFile, match=r"no member 'nope\*' \(it holds: x/stops.txt, x/trips.txt\)"):
        opened(tmp_path, content, "source.zip", member="nope*")


def test_names_of_members_never_become_paths(tmp_path: Path) -> None:
    (table,) = opened(tmp_path, _zip({"../../../escaped.csv": _CSV}), "source.zip")
    assert rows(table) == [("1", "x", 1), ("2", "y", 2)]
    assert not list(tmp_path.parent.rglob("escaped*"))


def test_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="symbolic links"):
        opened(tmp_path, _zip({"a.csv": b"/etc/passwd"}, external_attr=0o120777 << 16, create_system=3), "source.zip")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(_zip())
    directory = content.rindex(b"PK\x01\x02")
    content[6] |= 1
    content[directory + 8] |= 1
    with pytest.raises(BadFile, match="encrypted"):
        opened(tmp_path, bytes(content), "source.zip")


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    content = bytearray(_zip())
    content[content.index(b"1;x")] ^= 1
    with pytest.raises(BadFile, match=r"at member 'a.csv'"):
        opened(tmp_path, bytes(content), "source.zip")


def test_archives_inside_archives_are_not_followed(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="an archive inside an archive"):
        opened(tmp_path, _zip({"inner.zip": _zip()}), "source.zip")
    (table,) = opened(tmp_path, _zip({"inner.csv.gz": gzip.compress(_CSV)}), "source.zip")
    assert len(rows(table)) == 2


def test_many_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="5 members"):
        opened(tmp_path, _zip({f"{n}.csv": _CSV for n in range(5)}), "source.zip", bounds=Bounds(max_members=4))
    with pytest.raises(BadFile, match="holds no data"):
        opened(tmp_path, _zip({"readme.md": b"x"}), "source.zip")


def test_parquet_is_parquet_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "p"
    duckdb.sql(f"COPY (SELECT range AS id, DATE '2024-02-29' + range::INT AS day FROM range(5)) TO '{path}' (FORMAT parquet)")
    (table,) = opened(tmp_path, path.read_bytes(), "export.csv")
    assert table.format == "parquet"
    assert table.columns == {"id": "BIGINT", "day": "DATE"}
    assert "read as parquet although named .csv" in table.notes
    assert [r[-1] for r in rows(table)] == [1, 2, 3, 4, 5]
    (inside,) = opened(tmp_path, zipped(tmp_path / "z", {"x.parquet": path.read_bytes()}), "source.zip")
    assert rows(inside) == rows(table)


def test_two_files_of_one_name_do_not_share_what_is_staged(tmp_path: Path) -> None:
    from ingestion.feeds.model import FormatSpec
    from ingestion.formats import open_sources

    con = duckdb.connect()
    tables = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text(f"a\n{folder}\n")
        tables += open_sources(con, tmp_path / folder / "a.csv", FormatSpec(), bounds=Bounds(), workdir=tmp_path)
    assert [rows(t) for t in tables] == [[("x", 1)], [("y", 1)]]
