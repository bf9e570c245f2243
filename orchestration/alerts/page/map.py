"""The map: where alarms are, over the territory's own equipment.

Here: the map's place on the wall, and what its script (`static/map.js`) asks for: the ground, the alarms, the zone of one, vehicles. Not
here: drawing (the script), which alarm is open (`wall`).

There are no tiles: nothing comes from elsewhere. The ground is the equipment itself, drawn as dots: streets show by their lights. What is
on the map is in the list too, which is its alternative in text; what has no place is counted under it.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import psycopg
from fastapi import APIRouter, HTTPException, Request, Response
from nicegui import ui
from psycopg_pool import PoolTimeout

from ingestion.errors import VigieError
from ingestion.feeds.model import Feed
from ingestion.feeds.registry import list_feeds
from orchestration.alerts import recent
from orchestration.alerts.model import Alarm, Role, State
from orchestration.alerts.page.board import Board
from orchestration.alerts.store.store import Connect
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.alerts.page.wall import Wall

_LOG: Final = logging.getLogger("vigie.web")
SCRIPT: Final = "map.js"
# The referential is replaced a few times a day at most; a look each minute costs a tenth of a second.
_GROUND_S: Final = 60.0
# A vehicle speaks every five minutes or so, and reading the lake takes a second: pages share what was read half a minute ago.
_VEHICLES_S: Final = 30.0
# A vehicle that was not heard for so long may be anywhere.
_HEARD: Final = dt.timedelta(minutes=30)
# More than hang on any gateway; past it the hull says as much.
_MOST_UNDER: Final = 2_000
# Places are sent as whole numbers of this many steps across the territory: half a metre of thirty kilometres.
_STEPS: Final = 65_535
_LIGHT: Final = "streetlight"

_UNDER: Final = f"""
    WITH RECURSIVE under AS (
        SELECT source, asset_ref, 0 AS depth FROM alerts.equipment WHERE source = %s AND asset_ref = %s
        UNION
        SELECT e.source, e.asset_ref, u.depth + 1 FROM alerts.equipment AS e
        JOIN under AS u ON e.parent_source = u.source AND e.parent_ref = u.asset_ref WHERE u.depth < 6
    )
    SELECT e.longitude, e.latitude FROM under JOIN alerts.equipment AS e USING (source, asset_ref)
    WHERE e.longitude IS NOT NULL AND e.latitude IS NOT NULL LIMIT {_MOST_UNDER}
"""


def show(wall: Wall, script: str) -> None:
    """Put the map where the page is now. `script`: address of its script, which loads before the map is made."""
    about = "Carte des alarmes ; la liste dit la même chose en texte."
    with ui.element("div").classes("map").props(f'role="region" aria-label="{about}" data-vehicles="{int(wall.can_act)}"'):
        options = {"zoomSnap": 0.5, "attributionControl": False, "zoomControl": False, "keyboard": False, "minZoom": 8, "maxZoom": 19}
        leaflet = ui.leaflet(center=(46.6, 2.4), zoom=8, options=options, additional_resources=[script])  # of France, until it is known
        leaflet.clear_layers()  # the tiles of elsewhere, before they are asked for
        ui.html("", sanitize=False).classes("map-note").props('aria-live="polite"')


def router(board: Board, connect: Connect, settings: Settings) -> APIRouter:
    """Return what the map's script asks for; the application's guard lets in who has a session."""
    routes, ground, vehicles = APIRouter(prefix="/carte", include_in_schema=False), Ground(connect), Vehicles(connect, settings)

    @routes.get("/fond")
    def _ground(request: Request) -> Response:
        return _answer(request, _or_503(ground.body))

    @routes.get("/alarmes")
    def _alarms(request: Request) -> Response:
        return _answer(request, msgspec.json.encode(marks(list(board.alarms.values()))))

    @routes.get("/zone/{alarm_id}")
    def _zone(request: Request, alarm_id: int) -> Response:
        alarm = board.alarms.get(alarm_id)
        if alarm is None:
            raise HTTPException(404, "there is no such live alarm")
        return _answer(request, msgspec.json.encode(_or_503(lambda: zone(connect, alarm))))

    @routes.get("/equipes")
    def _vehicles(request: Request) -> Response:
        # Where drivers are is for who sends them.
        if not request.state.who.role.may(Role.OPERATOR):
            raise HTTPException(403, "places of vehicles are for operators")
        return Response(msgspec.json.encode(vehicles.now()), media_type="application/json", headers={"Cache-Control": "no-store"})

    return routes


def _or_503(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (psycopg.Error, PoolTimeout):
        raise HTTPException(503, "the database does not answer") from None


def _answer(request: Request, body: bytes) -> Response:
    """Answer with a body, or that it is the one the browser has."""
    digest = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"ETag": digest, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == digest:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


# --- the ground


class Ground:
    """The territory as its equipment draws it, read again when it may have changed."""

    def __init__(self, connect: Connect) -> None:
        self._connect, self._lock = connect, threading.Lock()
        self._read_at, self._body = -_GROUND_S, b""

    def body(self) -> bytes:
        """Return the ground as JSON (see `drawn`)."""
        with self._lock:
            if time.monotonic() - self._read_at >= _GROUND_S:
                with self._connect() as con:
                    rows = con.execute(
                        "SELECT asset_type, commune, longitude, latitude FROM alerts.equipment "
                        "WHERE longitude IS NOT NULL AND latitude IS NOT NULL ORDER BY source, asset_ref"
                    ).fetchall()
                self._body = msgspec.json.encode(drawn([(r["asset_type"], r["commune"], r["longitude"], r["latitude"]) for r in rows]))
                self._read_at = time.monotonic()
            return self._body


def drawn(places: Sequence[tuple[str | None, str | None, float, float]]) -> dict[str, Any]:
    """Return the ground of (asset type, commune, longitude, latitude).

    Returns:
        `bounds` [west, south, east, north], None where there is nothing; `lights` and `others`: places as base64 of little-endian
        16-bit x, y pairs, from the south-west corner to 65,535 at the north-east; `communes`: name, longitude, latitude of the middle
        (median) of its equipment, and how much it has.
    """
    if not places:
        return {"bounds": None, "lights": "", "others": "", "communes": []}
    points = np.array([(longitude, latitude) for *_, longitude, latitude in places])
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = np.round((points - low) / np.where(high > low, high - low, 1.0) * _STEPS).astype("<u2")
    is_light = np.array([kind == _LIGHT for kind, *_ in places])
    by_commune: defaultdict[str, list[int]] = defaultdict(list)
    for n, (_, commune, _, _) in enumerate(places):
        if commune:
            by_commune[commune].append(n)
    communes = []
    for name, rows in sorted(by_commune.items(), key=lambda item: -len(item[1])):
        longitude, latitude = np.median(points[rows], axis=0)
        communes.append({"name": name, "lon": round(float(longitude), 5), "lat": round(float(latitude), 5), "count": len(rows)})
    return {
        "bounds": [float(low[0]), float(low[1]), float(high[0]), float(high[1])],
        "lights": base64.b64encode(scaled[is_light].tobytes()).decode(),
        "others": base64.b64encode(scaled[~is_light].tobytes()).decode(),
        "communes": communes,
    }


# --- alarms


def marks(alarms: Iterable[Alarm]) -> dict[str, Any]:
    """Return the presented alarms with a place, the least urgent first (the last is drawn on top), and how many have none."""
    shown = [a for a in alarms if a.is_presented]
    found = [(a, place) for a in shown if (place := place_of(a)) is not None]
    found.sort(key=lambda pair: (-pair[0].priority, -pair[0].raised_at.timestamp(), pair[0].alarm_id))
    return {
        "alarms": [
            {
                "id": a.alarm_id, "p": a.priority, "lon": round(at[0], 5), "lat": round(at[1], 5),
                "todo": a.state in {State.UNACKNOWLEDGED, State.RETURNED}, "active": a.is_active,
                "t": " · ".join(p for p in (a.title, a.asset_name or a.asset_ref, a.commune) if p),
            }
            for a, at in found
        ],
        "placeless": len(shown) - len(found),
    }  # fmt: skip


def place_of(alarm: Alarm) -> tuple[float, float] | None:
    """Return where an alarm is: its equipment's place, else the middle of its zone; None where neither is known."""
    if alarm.longitude is not None and alarm.latitude is not None:
        return alarm.longitude, alarm.latitude
    points = _points(_geometry(alarm.area))
    if not points:
        return None
    longitudes, latitudes = zip(*points, strict=True)
    return (min(longitudes) + max(longitudes)) / 2, (min(latitudes) + max(latitudes)) / 2


def _geometry(area: str | None) -> dict[str, Any] | None:
    """Return a GeoJSON geometry; None where there is none that can be read."""
    try:
        said = msgspec.json.decode(area) if area else None
    except msgspec.DecodeError:
        return None
    return said if isinstance(said, dict) and "coordinates" in said else None


def _points(geometry: dict[str, Any] | None) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []

    def walk(part: Any) -> None:
        if isinstance(part, list) and len(part) >= 2 and all(isinstance(x, int | float) for x in part[:2]):  # noqa: PLR2004 - a position
            found.append((float(part[0]), float(part[1])))
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    walk(geometry["coordinates"] if geometry else None)
    return found


def zone(connect: Connect, alarm: Alarm) -> dict[str, Any]:
    """Return what an alarm concerns: its `area` (GeoJSON, of warnings), the places `under` its equipment, and the `hull` round them.

    Raises:
        psycopg.Error: the database does not answer.
    """
    under: list[tuple[float, float]] = []
    if alarm.source is not None and alarm.asset_ref is not None:
        with connect() as con:
            under = [(row["longitude"], row["latitude"]) for row in con.execute(_UNDER, [alarm.source, alarm.asset_ref])]
    alone = len(under) < 2  # noqa: PLR2004 - nothing hangs on it: the mark says where it is
    return {
        "id": alarm.alarm_id, "area": _geometry(alarm.area), "place": place_of(alarm),
        "under": [] if alone else [(round(x, 5), round(y, 5)) for x, y in under], "hull": [] if alone else hull(under),
    }  # fmt: skip


def hull(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the convex hull of points, counter-clockwise, without points on its edges.

    >>> hull([(0, 0), (2, 0), (1, 1), (2, 2), (0, 2), (1, 0)])
    [(0, 0), (2, 0), (2, 2), (0, 2)]
    """
    ordered = sorted(set(points))

    def half(way: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        for x, y in way:
            while len(found) > 1:
                (x1, y1), (x2, y2) = found[-2:]
                if (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) > 0:
                    break
                found.pop()
            found.append((x, y))
        return found[:-1]

    return half(ordered) + half(reversed(ordered)) if len(ordered) > 2 else ordered  # noqa: PLR2004 - two points are their own hull


# --- vehicles


class Vehicles:
    """Where vehicles last were, read from the lake of personal data when an operator's page asks; nothing of it is kept but the last."""

    def __init__(self, connect: Connect, settings: Settings) -> None:
        self._connect, self._settings, self._lock = connect, settings, threading.Lock()
        self._read_at, self._last = -_VEHICLES_S, dict[str, Any](vehicles=[], error=None)

    def now(self) -> dict[str, Any]:
        """Return `vehicles` (`name`, `lon`, `lat`, `at` in seconds since 1970), and why they cannot be read (`error`)."""
        with self._lock:
            if time.monotonic() - self._read_at >= _VEHICLES_S:
                try:
                    self._last = {"vehicles": self._read(), "error": None}
                except (VigieError, OSError, psycopg.Error, PoolTimeout) as error:
                    _LOG.warning("the places of vehicles cannot be read: %s", str(error).splitlines()[0])
                    self._last = {"vehicles": [], "error": "Positions des véhicules illisibles"}
                self._read_at = time.monotonic()
            return self._last

    def _read(self) -> list[dict[str, Any]]:
        folder = self._settings.feeds_path
        feeds = [e.name for e in list_feeds(folder, examples=folder) if e.feed is not None and tells_places(e.feed)]
        found = recent.positions(self._settings.personal_lake, feeds, dt.datetime.now(dt.UTC) - _HEARD)
        with self._connect() as con:
            rows = con.execute(
                "SELECT asset_ref, name FROM alerts.equipment WHERE asset_type = 'vehicle' AND asset_ref = ANY(%s)",
                [[p.asset_ref for p in found]],
            )
            names = {row["asset_ref"]: row["name"] for row in rows}
        # What the referential does not call a vehicle may be a person's telephone: it is not shown.
        return [
            {"name": names[p.asset_ref] or p.asset_ref, "lon": p.longitude, "lat": p.latitude, "at": round(p.at.timestamp())}
            for p in found
            if p.asset_ref in names
        ]


def tells_places(feed: Feed) -> bool:
    """Return whether a feed says where vehicles are, in a form that is read here: NGSI entities with a personal `location`."""
    return feed.format.type == "ngsi" and any(f.name == "location" and f.classification == "personal" for f in feed.fields)
