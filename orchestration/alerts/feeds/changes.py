"""The addresses that change something: `POST /api/alarms/…`.

Here: from a request to an action. Not here: who may (`actions`), what it does (`orchestration.alerts.lifecycle`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse

from orchestration.alerts.access import Who
from orchestration.alerts.feeds.actions import Actions, Outcome
from orchestration.alerts.feeds.answers import (
    Acknowledge,
    AlarmAnswer,
    Assign,
    Comment,
    MayComment,
    OutcomeAnswer,
    Shelve,
    StepDone,
    listed,
)  # fmt: skip
from orchestration.alerts.feeds.problems import described
from orchestration.alerts.store.store import Store

AlarmId = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of an alarm.", examples=[7])]
_REFUSALS: Final = described(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


def add(routes: APIRouter, store: Store) -> None:
    """Add them to a router."""
    actions = Actions(store)

    @routes.post(
        "/alarms/acknowledge", response_model=list[OutcomeAnswer], responses=described(), tags=["act"],
        summary="Acknowledge several; one that cannot be does not keep the others.",
    )  # fmt: skip
    def _acknowledge_all(request: Request, asked: Acknowledge) -> JSONResponse:
        outcomes = actions.acknowledge_all(_who(request), asked.alarm_ids, asked.comment)
        return JSONResponse([_outcome(outcome) for outcome in outcomes])

    @routes.post("/alarms/{alarm_id}/acknowledge", response_model=AlarmAnswer, responses=_REFUSALS, tags=["act"], summary="Acknowledge.")
    def _acknowledge(request: Request, alarm_id: AlarmId, asked: MayComment | None = None) -> JSONResponse:
        return JSONResponse(listed(actions.acknowledge(_who(request), alarm_id, asked.comment if asked else None)))

    @routes.post("/alarms/{alarm_id}/comment", response_model=AlarmAnswer, responses=_REFUSALS, tags=["act"], summary="Comment.")
    def _comment(request: Request, alarm_id: AlarmId, asked: Comment) -> JSONResponse:
        return JSONResponse(listed(actions.comment(_who(request), alarm_id, asked.comment)))

    @routes.post("/alarms/{alarm_id}/shelve", response_model=AlarmAnswer, responses=_REFUSALS, tags=["act"], summary="Put aside.")
    def _shelve(request: Request, alarm_id: AlarmId, asked: Shelve) -> JSONResponse:
        return JSONResponse(listed(actions.shelve(_who(request), alarm_id, asked.until, asked.reason)))

    @routes.post("/alarms/{alarm_id}/unshelve", response_model=AlarmAnswer, responses=_REFUSALS, tags=["act"], summary="Show again.")
    def _unshelve(request: Request, alarm_id: AlarmId) -> JSONResponse:
        return JSONResponse(listed(actions.unshelve(_who(request), alarm_id)))

    @routes.post(
        "/alarms/{alarm_id}/close", response_model=AlarmAnswer, responses=_REFUSALS, tags=["act"],
        summary="Close; while its condition holds, with a comment.",
    )  # fmt: skip
    def _close(request: Request, alarm_id: AlarmId, asked: MayComment | None = None) -> JSONResponse:
        return JSONResponse(listed(actions.close(_who(request), alarm_id, asked.comment if asked else None)))

    @routes.post("/alarms/{alarm_id}/assign", response_model=AlarmAnswer, responses=_REFUSALS, tags=["act"], summary="Assign.")
    def _assign(request: Request, alarm_id: AlarmId, asked: Assign) -> JSONResponse:
        return JSONResponse(listed(actions.assign(_who(request), alarm_id, asked.to)))

    @routes.post(
        "/alarms/{alarm_id}/steps/{step}", response_model=AlarmAnswer, responses=_REFUSALS, tags=["act"],
        summary="Tick a step of the procedure.",
    )  # fmt: skip
    def _step(
        request: Request, alarm_id: AlarmId, step: Annotated[int, Path(ge=0, description="0 the first.")], asked: StepDone | None = None
    ) -> JSONResponse:
        return JSONResponse(listed(actions.step(_who(request), alarm_id, step, is_done=asked.is_done if asked else True)))


def _outcome(outcome: Outcome) -> dict[str, Any]:
    state = str(outcome.alarm.state) if outcome.alarm else None
    return {"alarm_id": outcome.alarm_id, "state": state, "error": outcome.error, "remedy": outcome.remedy}


def _who(request: Request) -> Who:
    who: Who = request.state.who
    return who
