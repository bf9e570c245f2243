"""The REST API: `/api`.

Here: addresses that read, and putting the router together. Not here: addresses that change something (`changes`), suppression by
design (`planned`), events (`events`), CAP and Atom (`atom`), types (`answers`).
"""

from __future__ import annotations

import datetime as dt
import json
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse

from orchestration.alerts.access import Access
from orchestration.alerts.feeds import atom, changes, events, planned, queries
from orchestration.alerts.feeds.answers import (
    AlarmAnswer,
    Contacts,
    FeatureCollection,
    Journal,
    Load,
    Page,
    RuleAnswer,
    listed,
)  # fmt: skip
from orchestration.alerts.feeds.problems import described
from orchestration.alerts.feeds.queries import Wanted
from orchestration.alerts.heartbeat import beats
from orchestration.alerts.model import Alarm, State
from orchestration.alerts.rulebook.registry import RuleEntry, list_rules
from orchestration.alerts.store.store import PAGE, Connect, Store
from orchestration.settings import Settings
from orchestration.web.live import Live, document

DESCRIPTION: Final = (
    "Every address but /health takes a session or `Authorization: Bearer TOKEN`. Instants are ISO 8601 in UTC. "
    "Reading takes the role viewer; acting operator; shelving for longer than 8 hours, announced work and out of service supervisor."
)
# A wall's worth at once; the next page is a request away.
_MOST: Final = 1_000
# A map of more points is a map of nothing; filters narrow it.
_MOST_POINTS: Final = 5_000
_FEED: Final = "feed:"

AlarmId = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of an alarm.", examples=[7])]


def _wanted(
    state: Annotated[list[State] | None, Query(description="Of these states; those not closed if absent.")] = None,
    priority: Annotated[list[int] | None, Query(description="1 critical to 4 low.")] = None,
    domain: Annotated[list[str] | None, Query(description="Of these domains.")] = None,
    commune: Annotated[str | None, Query(description="In this commune.")] = None,
    rule: Annotated[str | None, Query(description="Of this rule.")] = None,
    asset: Annotated[str | None, Query(description="About this asset: its code, `source|code`, or its asset_id.")] = None,
    since: Annotated[dt.datetime | None, Query(description="Raised at or after.")] = None,
    presented: Annotated[bool | None, Query(description="Whether operators see it in the list by itself.")] = None,
    shelved: Annotated[bool | None, Query(description="Whether it is put aside.")] = None,
    suppressed: Annotated[bool | None, Query(description="Whether it is suppressed by design.")] = None,
    text: Annotated[str | None, Query(max_length=200, description="Words of title, message, asset, street or commune.")] = None,
) -> Wanted:
    since = since.replace(tzinfo=dt.UTC) if since is not None and since.tzinfo is None else since
    return Wanted(
        tuple(state or ()), tuple(priority or ()), tuple(domain or ()), commune, rule, asset, since, presented, shelved, suppressed, text
    )


def router(settings: Settings, connect: Connect, store: Store, access: Access, live: Live) -> APIRouter:
    """Return the API of an instance."""
    routes = APIRouter(prefix="/api")

    @routes.get("/alarms", response_model=Page, summary="List alarms.", responses=described(HTTPStatus.CONFLICT), tags=["read"])
    def _alarms(
        wanted: Annotated[Wanted, Depends(_wanted)],
        limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
        cursor: Annotated[str | None, Query(max_length=200, description="`next` of the last page.")] = None,
    ) -> JSONResponse:
        found, after = queries.page(store, wanted, limit=limit, cursor=cursor)
        return JSONResponse({"alarms": [listed(a) for a in found], "next": after})

    @routes.get(
        "/alarms.geojson", response_model=FeatureCollection, responses=described(), tags=["read"],
        summary="The same alarms as points and zones.", description=f"At most {_MOST_POINTS}, the most urgent.",
    )  # fmt: skip
    def _geojson(wanted: Annotated[Wanted, Depends(_wanted)]) -> JSONResponse:
        found, _ = queries.page(store, wanted, limit=_MOST_POINTS)
        features = [_feature(alarm) for alarm in found]
        return JSONResponse({"type": "FeatureCollection", "features": features}, media_type="application/geo+json")

    atom.add(routes, store, connect)
    changes.add(routes, store)
    planned.add(routes, store)

    @routes.get(
        "/alarms/{alarm_id}", response_model=AlarmAnswer, summary="One alarm.", responses=described(HTTPStatus.NOT_FOUND), tags=["read"]
    )
    def _alarm(alarm_id: AlarmId) -> JSONResponse:
        return JSONResponse(listed(store.get(alarm_id)))

    @routes.get(
        "/alarms/{alarm_id}/journal", response_model=Journal, responses=described(HTTPStatus.NOT_FOUND), tags=["read"],
        summary="What happened to an alarm, in order.",
    )  # fmt: skip
    def _journal_of(alarm_id: AlarmId) -> JSONResponse:
        alarm = store.get(alarm_id)
        lines = [document(entry) for entry in store.journal_of(alarm_id)]
        return JSONResponse({"lines": lines, "last": lines[-1]["seq"] if lines else alarm.updated_seq})

    @routes.get("/journal", response_model=Journal, responses=described(), tags=["follow"], summary="What happened after a line, in order.")
    def _journal(
        after: Annotated[int, Query(ge=0, description="The last line that was taken; 0 from the first.")] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    ) -> JSONResponse:
        last = store.last_seq()  # before the lines: who stops at `last` has them all
        lines = [document(entry) for entry in store.journal_after(after, limit=limit)]
        return JSONResponse({"lines": lines, "last": max(last, lines[-1]["seq"] if lines else 0)})

    @routes.get("/rules", response_model=list[RuleAnswer], responses=described(), tags=["read"], summary="The rules, broken ones too.")
    def _rules() -> JSONResponse:
        return JSONResponse([_rule(entry) for entry in list_rules(settings.alerts_path / "rules")])

    @routes.get(
        "/feeds", response_model=Contacts, responses=described(), tags=["read"], summary="When feeds and processes were last heard."
    )
    def _feeds() -> JSONResponse:
        with connect() as con:
            found = sorted(beats(con).items())
        feeds = [_contact(name.removeprefix(_FEED), *beat) for name, beat in found if name.startswith(_FEED)]
        processes = [_contact(name, *beat) for name, beat in found if not name.startswith(_FEED)]
        return JSONResponse({"feeds": feeds, "processes": processes})

    @routes.get("/load", response_model=list[Load], responses=described(), tags=["read"], summary="Alarms per ten minutes.")
    def _load(hours: Annotated[int, Query(ge=1, le=168, description="How far back; a week at most.")] = 24) -> JSONResponse:
        return JSONResponse(queries.load(connect, hours=hours, now=dt.datetime.now(dt.UTC)))

    events.add(routes, store, access, live)
    return routes


def _contact(name: str, at: dt.datetime, details: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "last_contact": at.astimezone(dt.UTC).isoformat(), "details": details}


def _rule(entry: RuleEntry) -> dict[str, Any]:
    rule = entry.rule or entry.instead
    return {
        "rule": entry.name, "title": rule.title if rule else None, "priority": int(rule.priority) if rule else None,
        "is_in_force": entry.in_force is not None, "is_shipped": entry.is_shipped,
        "respond_within_s": rule.respond_within.total_seconds() if rule else None, "fault_type": rule.fault_type if rule else None,
        "procedure": [step.step for step in rule.procedure] if rule else [], "description": rule.description if rule else None,
        "error": entry.error,
    }  # fmt: skip


def _feature(alarm: Alarm) -> dict[str, Any]:
    document = listed(alarm)
    geometry: Any = None
    if alarm.area:
        geometry = json.loads(alarm.area)
    elif alarm.longitude is not None and alarm.latitude is not None:
        geometry = {"type": "Point", "coordinates": [alarm.longitude, alarm.latitude]}
    return {"type": "Feature", "id": alarm.alarm_id, "geometry": geometry, "properties": {k: document[k] for k in _PROPERTIES}}


# What a map shows and filters by; the rest is a request away.
_PROPERTIES: Final = (
    "alarm_id", "rule", "title", "message", "priority", "state", "domain", "started_at", "raised_at", "source", "asset_ref", "asset_id",
    "asset_type", "asset_name", "commune", "street", "is_presented", "is_active", "is_acknowledged", "assigned_to", "hidden", "arrive_by",
    "restore_by", "parent_id", "suppressed_by", "shelved_until", "updated_seq",
)  # fmt: skip
