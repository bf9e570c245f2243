"""The ground of the maps: pale tiles with the outlines and names of the communes, drawn from `core.commune`; none comes from outside.

Here: `GET /tuiles/<z>/<x>/<y>.png` (Web Mercator, 256 pixels), its files. Not here: what is drawn upon it (the charts).
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import shutil
import threading
import time
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from flask import Flask, Response, abort, g, request
from PIL import Image, ImageDraw, ImageFont

from dashboards.server import instance, lake_dialect

_SIZE: Final = 256
# Drawn twice as large and reduced: Pillow's lines have no soft edges.
_SCALE: Final = 2
MAX_ZOOM: Final = 20  # a tile is 20 m wide: closer, nothing is drawn
# Kept on disk up to here: a territory of 50 km has some 20,000 tiles of 1 kB. Closer ones are a few lines, drawn in a millisecond.
_KEPT_ZOOM: Final = 15
_NAMED_ZOOM: Final = 9  # farther, names cover each other
# Outlines change with publications, every quarter of an hour at most.
_FRESH_S: Final = 60.0
_OUTSIDE, _INSIDE, _LINE, _TEXT, _HALO = "#e9edf0", "#f7f8f9", "#a9b6c0", "#5c6b76", "#f7f8f9"
_MAX_LATITUDE: Final = 85.0511  # where Web Mercator ends
Points = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Commune:
    """A commune on the unit square of Web Mercator: its rings, what they span, where its name stands."""

    name: str
    rings: tuple[Points, ...]
    bounds: tuple[float, float, float, float]
    center: tuple[float, float]


@dataclass(frozen=True)
class Outlines:
    """The communes, and a digest of them."""

    digest: str
    communes: tuple[Commune, ...]


_lock: Final = threading.Lock()
_read: tuple[float, Outlines] | None = None


def _project(longitude: Any, latitude: Any) -> Points:
    x = (np.asarray(longitude, dtype=np.float64) + 180.0) / 360.0
    radians = np.radians(np.clip(np.asarray(latitude, dtype=np.float64), -_MAX_LATITUDE, _MAX_LATITUDE))
    y = (1.0 - np.arcsinh(np.tan(radians)) / math.pi) / 2.0
    return np.stack([x, y], axis=-1)


def outlines_of(rows: list[tuple[Any, ...]]) -> Outlines:
    """Return what is drawn of rows (name, GeoJSON geometry or None, longitude, latitude); one without a place is left out."""
    communes = []
    for name, geometry, longitude, latitude in rows:
        rings = tuple(_rings(json.loads(geometry))) if geometry else ()
        if rings:
            every = np.concatenate(rings)
            low, high = every.min(axis=0), every.max(axis=0)
        elif longitude is not None and latitude is not None:
            low = high = _project(longitude, latitude)
        else:
            continue
        place = _project(longitude, latitude) if longitude is not None and latitude is not None else (low + high) / 2
        communes.append(
            Commune(str(name), rings, (float(low[0]), float(low[1]), float(high[0]), float(high[1])), (float(place[0]), float(place[1])))
        )
    digest = hashlib.sha256(repr([_SIZE, *rows]).encode()).hexdigest()[:16]
    return Outlines(digest, tuple(communes))


def _rings(geometry: dict[str, Any]) -> list[Points]:
    polygons = {"Polygon": lambda c: [c], "MultiPolygon": lambda c: c}.get(str(geometry.get("type")), lambda _: [])(
        geometry.get("coordinates")
    )
    found = []
    for polygon in polygons:
        for ring in polygon:
            points = np.asarray([p[:2] for p in ring], dtype=np.float64)
            found.append(_project(points[:, 0], points[:, 1]))
    return found


def _outlines() -> Outlines:
    """Return the communes as published; none before the first publication."""
    global _read  # noqa: PLW0603 - read once for all requests of a worker, under `_lock`
    with _lock:
        if _read is not None and time.monotonic() - _read[0] < _FRESH_S:
            return _read[1]
        try:
            rows = lake_dialect.ask("SELECT name, geometry, longitude, latitude FROM core.commune ORDER BY commune_key")
        except duckdb.Error as error:
            # The map's own query says what is wrong; its ground is plain meanwhile.
            logging.getLogger(__name__).warning("no outlines of communes: %s", error)
            rows = []
        found = outlines_of(rows)
        if _read is None or found.digest != _read[1].digest:
            _forget_others(found.digest)
        _read = (time.monotonic(), found)
        return found


def _folder() -> Path:
    return instance.load().folder / "cache" / "tuiles"


def _forget_others(digest: str) -> None:
    for old in _folder().glob("*"):
        if old.name != digest:
            shutil.rmtree(old, ignore_errors=True)  # another worker does the same


@cache
def _font(size: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, bool]:
    """Return a font of this size, and whether it has accents: Inter, which Superset's pages bring; Pillow's own has none."""
    for path in sorted(Path(str(files("superset") / "static" / "assets")).glob("*.woff2")):
        try:
            font = ImageFont.truetype(str(path), size)
        except OSError:
            continue
        # The face comes in files by alphabet: one that lacks a letter draws the box that stands for any letter it lacks.
        if font.getname() == ("Inter", "Medium") and bytes(font.getmask("é")) != bytes(font.getmask("\ue000")):
            return font, True
    return ImageFont.load_default(size), False


def draw(outlines: Outlines, z: int, x: int, y: int) -> bytes:
    """Return one tile as PNG."""
    pixels = _SIZE * _SCALE
    image = Image.new("RGB", (pixels, pixels), _OUTSIDE)
    pen = ImageDraw.Draw(image)
    world = float(2**z)
    near = [c for c in outlines.communes if _touches(c.bounds, world, x, y, margin=0.5)]
    shapes = [(ring * world - (x, y)) * pixels for commune in near for ring in commune.rings]
    for shape in shapes:
        pen.polygon([tuple(p) for p in shape.tolist()], fill=_INSIDE)
    for shape in shapes:
        pen.line([tuple(p) for p in shape.tolist()], fill=_LINE, width=_SCALE, joint="curve")
    image = image.resize((_SIZE, _SIZE), Image.Resampling.LANCZOS)
    if z >= _NAMED_ZOOM:
        _write_names(ImageDraw.Draw(image), near, world, x, y)
    out = io.BytesIO()
    image.quantize(32).save(out, format="PNG", optimize=True)
    return out.getvalue()


def _touches(bounds: tuple[float, float, float, float], world: float, x: int, y: int, margin: float) -> bool:
    west, north, east, south = (b * world for b in bounds)
    return west <= x + 1 + margin and east >= x - margin and north <= y + 1 + margin and south >= y - margin


def _write_names(pen: ImageDraw.ImageDraw, communes: list[Commune], world: float, x: int, y: int) -> None:
    font, has_accents = _font(12)
    for commune in communes:
        name = commune.name if has_accents else unicodedata.normalize("NFKD", commune.name).encode("ascii", "ignore").decode()
        room = (commune.bounds[2] - commune.bounds[0]) * world * _SIZE
        if commune.rings and pen.textlength(name, font=font) > room:
            continue  # it would cover its neighbours
        place = ((commune.center[0] * world - x) * _SIZE, (commune.center[1] * world - y) * _SIZE)
        pen.text(place, name, font=font, fill=_TEXT, anchor="mm", stroke_width=2, stroke_fill=_HALO)


def _tile(z: int, x: int, y: int) -> bytes:
    outlines = _outlines()
    if z > _KEPT_ZOOM or not any(_touches(c.bounds, float(2**z), x, y, margin=0.5) for c in outlines.communes):
        return draw(outlines, z, x, y)
    path = _folder() / outlines.digest / str(z) / str(x) / f"{y}.png"
    if path.exists():
        return path.read_bytes()
    content = draw(outlines, z, x, y)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{y}-{threading.get_ident()}")
    draft.write_bytes(content)
    draft.replace(path)
    return content


def serve(app: Flask) -> None:
    """Serve the tiles to whoever is signed in."""

    @app.get("/tuiles/<int:z>/<int:x>/<int:y>.png", endpoint="vigie_tuiles")
    def _serve(z: int, x: int, y: int) -> Response:
        if g.user.is_anonymous:
            abort(403)
        if z > MAX_ZOOM or x >= 2**z or y >= 2**z:
            abort(404)
        answer: Response = app.response_class(_tile(z, x, y), mimetype="image/png")
        answer.cache_control.private = True
        answer.cache_control.max_age = 900  # a publication later
        answer.add_etag()
        return answer.make_conditional(request)
