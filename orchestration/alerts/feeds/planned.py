"""The addresses of suppression by design: announced work, and what is out of service.

Here: listing, declaring, ending; a supervisor's. Not here: what becomes of alarms (`orchestration.alerts.store`).
"""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, Field, StringConstraints

from orchestration.alerts.access import require
from orchestration.alerts.feeds.answers import Answer, Asked, Words
from orchestration.alerts.feeds.problems import described
from orchestration.alerts.model import Role
from orchestration.alerts.store.store import Store
from orchestration.alerts.store.suppressions import MAINTENANCE, OUT_OF_SERVICE, About, Suppression

# Codes of equipment, names of feeds and rules are shorter than this.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the declaration.", examples=[3])]
Over = Annotated[bool, Query(description="Those that are over, instead of those that are not.")]


class Concerned(Asked):
    """What it is about: at least one of `asset_ref`, `feed`, `rule`; alarms of which all that is given holds."""

    asset_ref: Name | None = Field(default=None, description="A piece of equipment, and what hangs on it.", examples=["ARM-014"])
    source: Name | None = Field(default=None, description="Whose code that is; any source's if absent.", examples=["gtc"])
    feed: Name | None = Field(default=None, examples=[None])
    rule: Name | None = Field(default=None, examples=[None])
    reason: Words = Field(examples=["Remplacement des lanternes, rue de la Marne."])

    def about(self) -> About:
        """Return it as the store takes it."""
        return About(self.asset_ref, self.source, self.feed, self.rule)


class Work(Concerned):
    """Work that is announced."""

    starts_at: AwareDatetime = Field(examples=["2026-01-06T08:00:00+01:00"])
    ends_at: AwareDatetime = Field(examples=["2026-01-06T17:00:00+01:00"])


class SuppressionAnswer(Answer):
    """Announced work, or what is out of service."""

    suppression_id: int = Field(examples=[3])
    kind: str = Field(examples=[MAINTENANCE])
    asset_ref: str | None = Field(examples=["ARM-014"])
    source: str | None = Field(examples=["gtc"])
    feed: str | None = Field(examples=[None])
    rule: str | None = Field(examples=[None])
    starts_at: AwareDatetime = Field(examples=["2026-01-06T07:00:00+00:00"])
    ends_at: AwareDatetime | None = Field(description="None: until it is put back.", examples=["2026-01-06T16:00:00+00:00"])
    reason: str = Field(examples=["Remplacement des lanternes, rue de la Marne."])
    declared_by: str = Field(examples=["superviseur"])
    declared_at: AwareDatetime = Field(examples=["2026-01-05T07:00:00+00:00"])
    ended_by: str | None = Field(examples=[None])
    origin: str = Field(description="`person`, or `file`: the territory's file of planned works.", examples=["person"])


_ASKED: Final = described(HTTPStatus.CONFLICT)
_ENDED: Final = described(HTTPStatus.NOT_FOUND)


def add(routes: APIRouter, store: Store) -> None:
    """Add them to a router."""

    @routes.get("/maintenance", response_model=list[SuppressionAnswer], responses=described(), tags=["planned"], summary="Announced work.")
    def _works(over: Over = False) -> JSONResponse:  # noqa: FBT002 - a query's parameter
        return JSONResponse([_answer(s) for s in store.suppressions(MAINTENANCE, is_over=over)])

    @routes.post(
        "/maintenance", response_model=SuppressionAnswer, responses=_ASKED, tags=["planned"], summary="Announce work (supervisor)."
    )
    def _announce(request: Request, asked: Work) -> JSONResponse:
        require(request.state.who, Role.SUPERVISOR, "announce work")
        declared, _ = store.declare_maintenance(
            asked.about(), starts_at=asked.starts_at, ends_at=asked.ends_at, reason=asked.reason, actor=request.state.who.login
        )
        return JSONResponse(_answer(declared))

    @routes.post(
        "/maintenance/{number}/end", response_model=SuppressionAnswer, responses=_ENDED, tags=["planned"],
        summary="End announced work early, or call it off (supervisor).",
    )  # fmt: skip
    def _end(request: Request, number: Number) -> JSONResponse:
        require(request.state.who, Role.SUPERVISOR, "end announced work")
        return JSONResponse(_answer(store.end_maintenance(number, request.state.who.login)[0]))

    @routes.get(
        "/out-of-service",
        response_model=list[SuppressionAnswer],
        responses=described(),
        tags=["planned"],
        summary="What is out of service.",
    )
    def _out(over: Over = False) -> JSONResponse:  # noqa: FBT002 - a query's parameter
        return JSONResponse([_answer(s) for s in store.suppressions(OUT_OF_SERVICE, is_over=over)])

    @routes.post(
        "/out-of-service", response_model=SuppressionAnswer, responses=_ASKED, tags=["planned"], summary="Take out of service (supervisor)."
    )
    def _take_out(request: Request, asked: Concerned) -> JSONResponse:
        require(request.state.who, Role.SUPERVISOR, "take out of service")
        return JSONResponse(_answer(store.put_out_of_service(asked.about(), reason=asked.reason, actor=request.state.who.login)[0]))

    @routes.post(
        "/out-of-service/{number}/put-back", response_model=SuppressionAnswer, responses=_ENDED, tags=["planned"],
        summary="Put back into service (supervisor).",
    )  # fmt: skip
    def _put_back(request: Request, number: Number) -> JSONResponse:
        require(request.state.who, Role.SUPERVISOR, "put back into service")
        return JSONResponse(_answer(store.put_back(number, request.state.who.login)[0]))


def _answer(found: Suppression) -> dict[str, Any]:
    about = found.about
    return {
        "suppression_id": found.suppression_id, "kind": found.kind, "asset_ref": about.asset_ref, "source": about.source,
        "feed": about.feed, "rule": about.rule, "starts_at": _utc(found.starts_at),
        "ends_at": _utc(found.ends_at) if found.ends_at else None, "reason": found.reason, "declared_by": found.declared_by,
        "declared_at": _utc(found.declared_at), "ended_by": found.ended_by, "origin": found.origin,
    }  # fmt: skip


def _utc(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).isoformat()
