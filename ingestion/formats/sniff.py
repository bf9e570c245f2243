"""What a file is, from its first bytes; its name is only a last word.

Here: signatures. Not here: reading.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Final, Literal

from ingestion.formats.model import Job

Kind = Literal["empty", "gzip", "zip", "workbook", "parquet", "json", "xml", "text"]

_HEAD_BYTES: Final = 4096
_SIGNATURES: Final[tuple[tuple[bytes, Kind], ...]] = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PAR1", "parquet"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook"),  # the .xls container
)
_REFUSED: Final = (
    (b"%PDF", "a PDF", "ask for the data behind it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "pack it as zip or gzip"),
    (b"Rar!", "a RAR archive", "pack it as zip or gzip"),
    (b"BZh", "a bzip2 file", "pack it as gzip"),
    (b"\xfd7zXZ\x00", "an xz file", "pack it as gzip"),
    (b"\x28\xb5\x2f\xfd", "a zstandard file", "pack it as gzip"),
    (b"\x89PNG", "a picture", "check what was fetched"),
    (b"\xff\xd8\xff", "a picture", "check what was fetched"),
    (b"SQLite format 3\x00", "a SQLite database (a GeoPackage is one)", "export its table as GeoJSON, CSV or Parquet"),
    (b"\x00\x00\x27\x0a", "a shapefile without its other files", "zip the .shp, .shx, .dbf and .prj together"),
)
_XML: Final = re.compile(r"<(?:\?xml\b|[A-Za-z_][\w.-]*(?::[\w.-]+)?(?:\s+[\w:.-]+\s*=|\s*/?>))")
_HTML: Final = re.compile(r"^<(?:!doctype\s+html|html|head|body|title|h1|p>|div|center)", re.IGNORECASE)
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def kind_of(job: Job) -> Kind:
    """Return what a file is.

    Raises:
        BadFile: a format that is recognised and not read, with what to do instead.
    """
    with job.path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for signature, what, remedy in _REFUSED:
        if head.startswith(signature):
            raise job.refuse(f"it is {what}", remedy)
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    text = _text(head).lstrip()
    if not text:
        return "empty" if _is_blank(job.path) else "text"
    if _HTML.match(text):
        raise job.refuse("it is a web page, not data", "open its address in a browser: it may ask to log in, or say that it moved")
    if _XML.match(text):
        return "xml"
    return "json" if looks_like_json(text) else "text"


def looks_like_json(text: str) -> bool:
    """Whether text begins as JSON does. `{…` and `[…` alone do not tell: a CSV may begin with them."""
    return re.match(r'\{\s*(?:"|\}|$)|\[\s*(?:[\[{"\]\d-]|true|false|null|$)', text.lstrip("\ufeff \t\r\n")) is not None


def _text(head: bytes) -> str:
    if head.startswith(_UTF16):
        return head.decode("utf-16", "ignore").lstrip("\ufeff")
    return head.removeprefix(codecs.BOM_UTF8).decode("latin-1")


def _is_blank(path: Path) -> bool:
    with path.open("rb") as file:
        return all(not chunk.strip() for chunk in iter(lambda: file.read(1 << 20), b""))
