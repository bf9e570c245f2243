"""Enedis in CSV: R63 (a line a point) and the measures that clients download (two lines of header, then `Horodate;Valeur`).

Here: lines to columns, whatever their headers' accents, case and order. Not here: units, times and energies (`enedis_curve`).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from typing import Final

import numpy as np
import polars as pl

from ingestion.formats.enedis_curve import FLUSH_POINTS, Curve, Points, add, curve_of
from ingestion.formats.enedis_time import instants
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import Unreadable

# Header, folded, to what it is. `Pas en minutes` and `Type de donnees` are of the downloaded files.
_HEADERS: Final = {
    "identifiant prm": "meter",
    "date de debut": "first",
    "date de fin": "last",
    "grandeur physique": "quantity",
    "grandeur metier": "direction",
    "unite": "unit",
    "horodate": "d",
    "valeur": "v",
    "nature": "n",
    "pas": "p",
    "pas en minutes": "p",
    "tc": "tc",
    "type correction": "tc",
    "indice de vraisemblance": "iv",
    "iv": "iv",
    "etat complementaire": "ec",
    "ec": "ec",
}
# Headers of R64, folded: it has an instant and a value in Wh as R63 has, but the value is what the meter's dial shows.
_OF_INDEXES: Final = frozenset({"cadran", "type releve", "contexte releve", "motif releve", "identifiant classe temporelle"})
# Steps that meters record, in minutes (Data Connect v5, `interval_length`).
_STEPS: Final = (5, 10, 15, 30, 60)
_MINUTE_US: Final = 60_000_000
_FIRST_LINE: Final = re.compile(r"^\"?identifiant prm\"?[;,\t]", re.IGNORECASE | re.MULTILINE)
_SHARED: Final = ("meter", "quantity", "direction", "unit", "first", "last")
_BLANK_LINES: Final = re.compile(r"(?:\r?\n[ \t]*)+(?=\r?\n)")
# What a blank line begins with: looked for first, since most files have none and the expression takes half of their time.
_BLANKS: Final = ("\n\n", "\n\r", "\n ", "\n\t")
_SEPARATORS: Final = ";\t,"
# What a reject quotes of a line: those of Enedis have 150 characters.
_QUOTED: Final = 1_000
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_document(payload: bytes, batch: WireBatch, after: int, options: WireOptions) -> int:
    """Translate one CSV message and return how many points (lines) it holds.

    Raises:
        Unreadable: it is no text, or its header is of no load curve.
    """
    if len(payload) > options.max_bytes:
        raise Unreadable("too_large", f"{len(payload):,} bytes: longer than a message may be ({options.max_bytes:,})")
    text = _text(payload).strip("\r\n")
    if any(blank in text for blank in _BLANKS):
        text = _BLANK_LINES.sub("", text)
    blocks = _blocks(text)
    if len(blocks) == 1:
        return _read_block(text, batch, after, options)
    position = after
    for block in blocks:
        try:
            position += _read_block(block, batch, position, options)
        except Unreadable as error:
            position += 1
            batch.reject(position, error.args[0], error.args[1], None if options.personal else block[:_QUOTED])
    return position - after


def _blocks(text: str) -> list[str]:
    """Return the parts of a downloaded file, each with its own first two lines: a curve may be followed by peaks, or follow indexes."""
    first = text.partition("\n")[0]
    if "d" in _names(first, max(_SEPARATORS, key=first.count)):
        return [text]
    begins = [0, *(found.start() for found in _FIRST_LINE.finditer(text, 1))]
    return [text[begin:end] for begin, end in zip(begins, [*begins[1:], None], strict=True)]


def _read_block(text: str, batch: WireBatch, after: int, options: WireOptions) -> int:
    """Translate lines under one header and return how many they are.

    Raises:
        Unreadable: the header is of no load curve.
    """
    header, _, body = text.partition("\n")
    separator = max(_SEPARATORS, key=header.count)
    names = _names(header, separator)
    shared: dict[str, str] = {}
    if "d" not in names and "meter" in names:  # a downloaded file says first what all its points share
        values, _, body = body.partition("\n")
        shared = dict(zip(names, _cells(values, separator), strict=False))
        header, _, body = body.partition("\n")
        names = _names(header, separator)
    if _OF_INDEXES & set(map(_folded, _cells(header, separator))):
        raise Unreadable("unknown_flow", f"indexes (R64), no energies over intervals: {header[:200]!r}")
    if "d" not in names or "v" not in names:
        raise Unreadable("unknown_flow", f"no header of a load curve (Horodate, Valeur): {header[:200]!r}")
    if not body.strip():
        raise Unreadable("empty", "a header without any point")
    if len(set(names) - {""}) < sum(1 for n in names if n):
        raise Unreadable("duplicate_column", f"a column stands twice: {header[:200]!r}")
    table, lines = _table(body, names, separator, batch, after, is_personal=bool(options.personal))
    _add(table, shared, batch, options)
    return lines


def _add(table: pl.DataFrame, shared: dict[str, str], batch: WireBatch, options: WireOptions) -> None:
    said = [pl.col(n) if n in table.columns else pl.lit(shared.get(n)).cast(pl.String).alias(n) for n in (*_SHARED, "d", "v", "p")]
    points = table.with_columns(said).with_columns(_quality(table.columns).alias("q"))
    if shared.get("p"):
        points = points.with_columns(pl.col("p").fill_null(shared.get("p")))
    elif shared and "p" not in table.columns:
        points = points.with_columns(_spacing(points["d"], options.time_zone))
    kinds = points.select(_SHARED).unique(maintain_order=True).with_row_index("curve")
    points = points.join(kinds, on=list(_SHARED), how="left", nulls_equal=True, maintain_order="left")
    curves = [_curve(row) for row in kinds.select(_SHARED).iter_rows()]
    for part in _parts(points):
        some = Points(part["position"].to_numpy(), part["curve"].to_numpy(), part["d"], part["v"], part["p"], part["q"])
        add(some, curves, batch, options)


def _spacing(written: pl.Series, zone: str) -> pl.Series:
    """Return the step of each point of one curve, as its neighbours tell it; null where they do not.

    Downloaded files mostly leave `Pas en minutes` empty, or have no such column, and keep a line for each point that lacks a value. A
    point as far from the one before as from the one behind has that step, if it is one that meters record; a point beside a gap (or
    at either end) has that of the neighbour it is as far from. Where one step ends and another begins, nothing is told.
    """
    at, _ = instants(written, np.zeros(len(written), dtype=np.int64), zone)
    far = pl.DataFrame({"at": at}).drop_nulls().unique().sort("at").with_columns(before=pl.col("at").diff())
    far = far.with_columns(after=pl.col("before").shift(-1))
    is_known = (pl.col("before") == pl.col("after")) & pl.col("before").is_in([m * _MINUTE_US for m in _STEPS])
    far = far.with_columns(inner=pl.when(is_known).then(pl.col("before")))
    far = far.with_columns(
        prior=pl.when(pl.col("before") == pl.col("inner").shift(1)).then(pl.col("before")),
        next=pl.when(pl.col("after") == pl.col("inner").shift(-1)).then(pl.col("after")),
    )
    beside = pl.when((pl.col("prior") == pl.col("next")).fill_null(value=True)).then(pl.coalesce("prior", "next"))
    step = pl.coalesce("inner", beside) // _MINUTE_US
    steps = far.select("at", step.cast(pl.String).alias("p"))
    return pl.DataFrame({"at": at}).join(steps, on="at", how="left", maintain_order="left")["p"]


def _parts(points: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the points by parts that hold whole curves: order and period tell something of whole curves only."""
    if points.height <= FLUSH_POINTS:
        return [points]
    ordered = points.sort("curve", maintain_order=True)
    ends = ordered.group_by("curve", maintain_order=True).len()["len"].cum_sum().to_list()
    parts, begin = [], 0
    for end, following in zip(ends, [*ends[1:], None], strict=True):
        if following is None or following - begin > FLUSH_POINTS:
            parts.append(ordered.slice(begin, end - begin))
            begin = end
    return parts


def _curve(row: tuple[str | None, ...]) -> Curve:
    meter, quantity, direction, unit, first, last = row
    return curve_of(meter, quantity, direction, unit, period=(first, last))


def _quality(names: list[str]) -> pl.Expr:
    """Return the nature of each point, with its other marks where they say something: `R`, `R tc=A iv=1`."""
    nature = pl.col("n") if "n" in names else pl.lit(None, dtype=pl.String)
    marks = [pl.when(~pl.col(n).is_in(["", "0"])).then(pl.format("{}={}", pl.lit(n), pl.col(n))) for n in ("tc", "iv", "ec") if n in names]
    said = pl.concat_str([pl.when(nature != "").then(nature), *marks], separator=" ", ignore_nulls=True)
    return pl.when(said != "").then(said)


def _text(payload: bytes) -> str:
    # Windows-1252 is Excel's French one, where accents are not UTF-8.
    encodings = ["utf-16"] if payload.startswith(_UTF16) else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = payload.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            raise Unreadable("nul_character", "a NUL character, which no database stores")
        return text
    raise Unreadable("invalid_bytes", "neither UTF-8 nor Windows-1252; what Enedis encrypts is to be decrypted first")


def _names(header: str, separator: str) -> list[str]:
    return [_HEADERS.get(_folded(cell), "") for cell in _cells(header, separator)]


def _folded(cell: str) -> str:
    decomposed = unicodedata.normalize("NFKD", cell.strip().casefold())
    return re.sub(r"[\s_]+", " ", "".join(c for c in decomposed if not unicodedata.combining(c)))


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line.rstrip("\r")], delimiter=separator), [])
    except csv.Error:
        return line.split(separator)


def _table(body: str, names: list[str], separator: str, batch: WireBatch, after: int, *, is_personal: bool) -> tuple[pl.DataFrame, int]:
    """Return the cells of known columns, with the position of their line, and how many lines there are.

    A line with fewer cells than names lacks the last ones. One with more is rejected: a value could be taken for another.
    """
    columns = [name or f"_{i}" for i, name in enumerate(names)]
    lines = body.count("\n") + (not body.endswith("\n"))
    try:
        table = pl.read_csv(
            io.BytesIO(body.encode()), has_header=False, separator=separator, schema=dict.fromkeys(columns, pl.String)
        )  # fmt: skip
    except (pl.exceptions.PolarsError, ValueError):
        table = None
    if table is None or table.height != lines:  # cells too many, or a quote that is never closed and swallows lines
        table = _line_by_line(body, columns, separator, batch, after, is_personal=is_personal)
    else:
        table = table.with_columns(pl.Series("position", np.arange(after + 1, after + 1 + lines), dtype=pl.Int64))
    known = [pl.col(c).str.strip_chars() for c, name in zip(columns, names, strict=True) if name]
    return table.select("position", *known), lines


def _line_by_line(body: str, columns: list[str], separator: str, batch: WireBatch, after: int, *, is_personal: bool) -> pl.DataFrame:
    """Return the cells of lines that have at most as many as the header has names; the others are rejected."""
    rows: list[list[str | int | None]] = []
    for position, line in enumerate(body.removesuffix("\n").split("\n"), start=after + 1):
        cells = _cells(line, separator)
        if len(cells) > len(columns):
            batch.reject(
                position, "too_many_cells", f"{len(cells)} cells under {len(columns)} names", None if is_personal else line[:_QUOTED]
            )
        else:
            rows.append([position, *cells, *[None] * (len(columns) - len(cells))])
    return pl.DataFrame(rows, schema={"position": pl.Int64, **dict.fromkeys(columns, pl.String)}, orient="row")
