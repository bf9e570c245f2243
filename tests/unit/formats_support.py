"""What the tests of file formats share: opening bytes, reading everything back, writing a workbook by hand."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path
from typing import Any

import duckdb

from ingestion.feeds.model import FormatSpec
from ingestion.formats import Bounds, SourceTable, open_sources

_number = itertools.count()


def opened(
    folder: Path,
    content: bytes,
    name: str = "source.csv",
    *,
    con: duckdb.DuckDBPyConnection | None = None,
    bounds: Bounds | None = None,
    **spec: Any,
) -> list[SourceTable]:
    """Write `content` to a file of its own and open it."""
    own = folder / f"case-{next(_number)}"
    (own / "work").mkdir(parents=True)
    path = own / name
    path.write_bytes(content)
    return open_sources(con or duckdb.connect(), path, FormatSpec(**spec), bounds=bounds or Bounds(), workdir=own / "work")


def rows(table: SourceTable, con: duckdb.DuckDBPyConnection | None = None) -> list[tuple[Any, ...]]:
    """Return every record, its position last, in source order."""
    return (con or duckdb.connect()).execute(f"SELECT * FROM {table.relation} ORDER BY _position").fetchall()


def bad(table: SourceTable) -> list[tuple[Any, ...]]:
    """Return the refused records as (position, reason, original)."""
    if table.bad_records is None:
        return []
    return duckdb.connect().execute(f"SELECT _position, reason, original FROM {table.bad_records} ORDER BY _position").fetchall()


def zipped(path: Path, members: dict[str, bytes]) -> bytes:
    """Return a zip of `members`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path.read_bytes()


Cell = str | tuple[str, str] | None


def workbook(path: Path, sheets: dict[str, list[list[Cell]]], first_row: int = 1) -> bytes:
    """Return an XLSX. A cell is a text, or (kind, raw): n number, d date, t date and time, b boolean, e error."""
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    ns = "http://schemas.openxmlformats.org"
    attributes = {"n": "", "d": ' s="1"', "t": ' s="2"', "b": ' t="b"', "e": ' t="e"'}

    def cell(column: int, row: int, value: Cell) -> str:
        if value is None:
            return ""
        reference = f"{chr(65 + column)}{row}"
        if isinstance(value, str):
            return f'<c r="{reference}" t="inlineStr"><is><t xml:space="preserve">{value}</t></is></c>'
        return f'<c r="{reference}"{attributes[value[0]]}><v>{value[1]}</v></c>'

    members = {
        "[Content_Types].xml": f'<Types xmlns="{ns}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{ns}/package/2006/relationships"><Relationship Id="rId1" '
        f'Type="{ns}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{ns}/spreadsheetml/2006/main"><cellXfs count="3"><xf numFmtId="0"/>'
        '<xf numFmtId="14" applyNumberFormat="1"/><xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>',
    }
    entries, links = "", ""
    for index, (title, lines) in enumerate(sheets.items(), start=1):
        body = "".join(
            f'<row r="{number}">{"".join(cell(c, number, v) for c, v in enumerate(line))}</row>'
            for number, line in enumerate(lines, start=first_row)
        )
        members[f"xl/worksheets/sheet{index}.xml"] = (
            f'<worksheet xmlns="{ns}/spreadsheetml/2006/main"><sheetData>{body}</sheetData></worksheet>'
        )
        entries += f'<sheet name="{title}" sheetId="{index}" r:id="rId{index}"/>'
        links += (
            f'<Relationship Id="rId{index}" Type="{ns}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{index}.xml"/>'
        )
    members["xl/workbook.xml"] = (
        f'<workbook xmlns="{ns}/spreadsheetml/2006/main" xmlns:r="{ns}/officeDocument/2006/relationships">'
        f"<sheets>{entries}</sheets></workbook>"
    )
    members["xl/_rels/workbook.xml.rels"] = (
        f'<Relationships xmlns="{ns}/package/2006/relationships">{links}<Relationship Id="rId99" '
        f'Type="{ns}/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>'
    )
    return zipped(path, {name: (head + text).encode() for name, text in members.items()})
