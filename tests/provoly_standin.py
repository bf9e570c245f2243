"""A stand-in for the Provoly hypervisor on loopback: the calls of its published OpenAPI that we make, and strict about them.

Here: events, equipment, services, the identity provider's tokens, and a fixture. Not here: tests, faults (`webhook_server.Served`).

What it refuses: no or an old token, a key the schema does not have, a name that is too long or taken, a wrong enumeration, equipment that
is not there, an external source without equipment or changed later, a work order without its planned dates.
"""

from __future__ import annotations

import datetime as dt
import itertools
import secrets
import threading
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from fastapi import Depends, FastAPI, Form, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from tests.webhook_server import Served

CLIENT_SECRET = "the-client's-secret"
CATEGORIES = {"MANIFESTATION": [], "OUTOFORDER": [], "LIMIT": [], "ANOMALY": ["UNUSUAL_FLOW", "TRAFFIC_CONGESTION", "WILD_STORAGE"]}
FAMILIES, DOMAINS, ENTITIES, CITIES = {"Armoire", "EP_FL"}, {"EP", "VP", "SLT", "RT", "PAT", "MOB", "CDV"}, {"CHALONS_COMMUN"}, {"CH"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AlertEvent(_Strict):
    """An event as it is written."""

    name: str = Field(min_length=1, max_length=50)
    description: str = Field(min_length=1, max_length=256)
    address: str
    criticality: Literal["LOW", "MEDIUM", "HIGH"]
    category: str
    type: Literal["ALERT"]
    sub_category: str | None = Field(default=None, alias="subCategory")
    id: int | uuid.UUID | None = None
    equipment_id: uuid.UUID | None = Field(default=None, alias="equipmentId")
    external_source_ref: str | None = Field(default=None, alias="externalSourceRef")


class Equipment(_Strict):
    """Equipment as it is written."""

    id: str
    code: str
    name: str
    family: str
    domain: str
    entity: str
    city: str
    address: str
    level: int
    district: str | None = None
    parent: str | None = None


class Service(_Strict):
    """A work order as it is written."""

    id: str
    equipment: str
    creation_date: dt.datetime = Field(alias="creationDate")
    last_modification_date: dt.datetime = Field(alias="lastModificationDate")
    domain: str
    status: Literal["CREATED", "ASKED", "IN_PROGRESS", "DONE", "CANCELLED"]
    category: Literal["PREV", "CURA"]
    description: str | None = Field(default=None, max_length=256)
    start_date: dt.datetime | None = Field(default=None, alias="startDate")
    end_date: dt.datetime | None = Field(default=None, alias="endDate")
    close_date: dt.datetime | None = Field(default=None, alias="closeDate")


class ProvolyStandin(Served):
    """The hypervisor and its identity provider.

    Attributes:
        events: by id; equipment: by its UUID; services: by the id they were given.
        calls: (method, path, status) of every call but those for tokens.
        tokens_given: how many tokens were.
        token_lasts_s: how long a token is said, and held, to last.
    """

    def __init__(self, port: int | None = None) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.equipment: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, int]] = []
        self.tokens_given, self.token_lasts_s = 0, 300.0
        self._tokens: dict[str, dt.datetime] = {}
        self._ids, self._lock = itertools.count(1), threading.RLock()
        super().__init__(self._app(), port)

    def add_equipment(self, code: str, **more: Any) -> str:
        """Make a piece of equipment known; return its UUID."""
        found = str(uuid.uuid4())
        with self._lock:
            self.equipment[found] = {
                "id": found,
                "externalId": f"ext-{code}",
                "code": code,
                "name": code,
                "entity": "CHALONS_COMMUN",
                **more,
            }
        return found

    def forget_tokens(self) -> None:
        """Take back every token that was given."""
        with self._lock:
            self._tokens.clear()

    @property
    def refusals(self) -> list[tuple[str, str, int]]:
        """The calls that were not accepted."""
        return [call for call in self.calls if call[2] >= 400]

    def _app(self) -> FastAPI:
        app = FastAPI(docs_url=None, openapi_url=None)
        signed = [Depends(self._check_token)]
        app.post("/token")(self._token)
        app.get("/events", dependencies=signed)(self._list_events)
        app.post("/events", dependencies=signed, status_code=201)(self._create_event)
        app.post("/events/alert", dependencies=signed, status_code=201)(self._create_old_event)
        app.get("/events/id/{event_id}", dependencies=signed)(self._one_event)
        app.put("/events/id/{event_id}", dependencies=signed, status_code=204)(self._update_event)
        app.put("/events/id/{event_id}/close", dependencies=signed, status_code=204)(self._close_event)
        app.get("/equipments", dependencies=signed)(self._list_equipment)
        app.post("/equipments", dependencies=signed, status_code=204)(self._save_equipment)
        app.get("/services", dependencies=signed)(self._list_services)
        app.post("/services", dependencies=signed, status_code=204)(self._save_services)

        @app.exception_handler(RequestValidationError)
        def _invalid(_: Request, error: RequestValidationError) -> Response:
            return JSONResponse({"code": 400, "message": str(error.errors())}, 400)

        @app.middleware("http")
        async def _note(request: Request, following: Any) -> Response:
            try:
                await request.body()
            except ClientDisconnect:  # killed while it was asking: that is no call
                return Response(status_code=400)
            answer: Response = await following(request)
            if request.url.path != "/token":
                self.calls.append((request.method, request.url.path, answer.status_code))
            return answer

        return app

    def _token(
        self, grant_type: Annotated[str, Form()], client_id: Annotated[str, Form()], client_secret: Annotated[str, Form()]
    ) -> dict[str, Any]:
        if (grant_type, client_id, client_secret) != ("client_credentials", "vigie", CLIENT_SECRET):
            raise HTTPException(401, "unauthorized_client")
        token = secrets.token_urlsafe()
        with self._lock:
            self.tokens_given += 1
            self._tokens[token] = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.token_lasts_s)
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.token_lasts_s}

    def _check_token(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until = self._tokens.get(token)
        if scheme != "Bearer" or until is None or until < dt.datetime.now(dt.UTC):
            raise HTTPException(401, "Not Authorized")

    def _list_events(
        self,
        page: Annotated[int, Query(ge=1)],
        size: Annotated[int, Query(ge=1, alias="pageSize")] = 20,
        sort: str = "status",
        order: str = "ASC",
    ) -> list[dict[str, Any]]:
        if sort not in {"creationDate", "lastModificationDate", "status", "procedureProgress"} or order not in {"ASC", "DESC"}:
            raise HTTPException(400, "sort")
        with self._lock:
            found = sorted(self.events.values(), key=lambda e: str(e[sort]), reverse=order == "DESC")
        return found[(page - 1) * size : page * size]

    def _check_event(self, event: AlertEvent) -> None:
        subs = CATEGORIES.get(event.category)
        if subs is None or (event.sub_category not in subs if subs else event.sub_category is not None):
            raise HTTPException(400, f"category {event.category}/{event.sub_category}")
        if event.equipment_id is not None and str(event.equipment_id) not in self.equipment:
            raise HTTPException(400, f"Equipment with id '{event.equipment_id}' not exists")
        if event.external_source_ref is not None and event.equipment_id is None:
            raise HTTPException(403, "Events with external source must provide an equipment.")

    def _create_event(self, event: AlertEvent) -> dict[str, Any]:
        with self._lock:
            if event.id is not None:
                raise HTTPException(400, "the id is not the caller's")
            return self._store_event(event, str(next(self._ids)))

    def _create_old_event(self, event: AlertEvent) -> None:
        with self._lock:
            if not isinstance(event.id, uuid.UUID) or event.equipment_id is None:
                raise HTTPException(400, "Alert event must have an id and reference an equipment")
            if str(event.id) in self.events:
                raise HTTPException(400, f"Event with id {event.id} already exists, it's not possible to update it")
            self._store_event(event, str(event.id))

    def _store_event(self, event: AlertEvent, event_id: str) -> dict[str, Any]:
        self._check_event(event)
        if any(e["name"] == event.name for e in self.events.values()):
            raise HTTPException(400, f"Event with name '{event.name}' already exists")
        now = dt.datetime.now(dt.UTC).isoformat()
        number = int(event_id) if event_id.isdecimal() else event_id
        written = event.model_dump(mode="json", by_alias=True) | {"id": number, "status": "NEW", "creationDate": now}
        self.events[event_id] = written | {"lastModificationDate": now, "closeDate": None}
        return self.events[event_id]

    def _found(self, event_id: str) -> dict[str, Any]:
        if event_id not in self.events:
            raise HTTPException(404, "Event Not found")
        return self.events[event_id]

    def _one_event(self, event_id: str) -> dict[str, Any]:
        return self._found(event_id)

    def _update_event(self, event_id: str, event: AlertEvent) -> None:
        with self._lock:
            found = self._found(event_id)
            self._check_event(event)
            written = event.model_dump(mode="json", by_alias=True)
            for key in ("name", "category", "subCategory", "equipmentId", "externalSourceRef"):
                if written[key] != found[key]:
                    raise HTTPException(403, f"It's only possible to update description, address or criticality, not {key}")
            found |= written | {"id": found["id"], "lastModificationDate": dt.datetime.now(dt.UTC).isoformat()}

    def _close_event(self, event_id: str) -> None:
        with self._lock:
            found = self._found(event_id)
            if found["status"] != "DONE":
                found |= {"status": "DONE", "closeDate": dt.datetime.now(dt.UTC).isoformat()}

    def _list_equipment(self) -> list[dict[str, Any]]:
        return list(self.equipment.values())

    def _save_equipment(self, written: list[Equipment]) -> None:
        with self._lock:
            for item in written:
                known = (item.family in FAMILIES, item.domain in DOMAINS, item.entity in ENTITIES, item.city in CITIES)
                if not all(known):
                    raise HTTPException(400, f"family, domain, entity or city of {item.code} is not known: {known}")
                found = next((e for e in self.equipment.values() if e["externalId"] == item.id), {"id": str(uuid.uuid4())})
                document = item.model_dump(by_alias=True, exclude={"id"})
                self.equipment[found["id"]] = found | document | {"externalId": item.id}

    def _list_services(self) -> list[dict[str, Any]]:
        return [{**s, "id": str(uuid.uuid4()), "externalId": key} for key, s in self.services.items()]

    def _save_services(self, written: list[Service]) -> None:
        with self._lock:
            for item in written:
                if not any(e["code"] == item.equipment for e in self.equipment.values()):
                    raise HTTPException(400, f"Equipment with code '{item.equipment}' not exists")
                if item.status != "CREATED" and (item.start_date is None or item.end_date is None):
                    raise HTTPException(400, f"Cannot save or update service with status {item.status} without startDate or endDate")
                self.services[item.id] = item.model_dump(mode="json", by_alias=True)


@pytest.fixture
def provoly() -> Iterator[ProvolyStandin]:
    """A running stand-in."""
    server = ProvolyStandin()
    server.start()
    yield server
    server.stop()
