"""TALQ's CMS side: what a gateway asks of its central management software before it sends log reports, and these.

Here: the addresses under `/talq/FEED`, as the CMS OpenAPI of TALQ 2.7.1 has them: parameters, statuses, `[TALQErrorMessage]`. Not
here: what a report says (`ingestion.formats.talq`), commands to a gateway (this platform sends none).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from orchestration.intake.answers import RefusedError, described
from orchestration.intake.door import Door
from orchestration.intake.reading import Feed, Token, body_of, check_media_type, query_of

ROOT: Final = "/talq/"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Gateways of every 2.x; another major version has other bodies.
_VERSION: Final = re.compile(r"v?2\.\d{1,3}(\.\d{1,3})?")
# TALQ asks both sides to have proxies leave bodies alone.
_HEADERS: Final = {"Cache-Control": "no-transform"}
# A UUID has 36 characters; some gateways write names.
_LONGEST_ADDRESS: Final = 200
_MEDIA_TYPES: Final = ("application/json",)


class TALQErrorMessage(BaseModel):
    """Why a request was refused, in TALQ's words."""

    key: str = Field(description="headerMissing, headerValueNotValid, parameterMissing, payloadError…", examples=["parameterMissing"])
    description: str = Field(examples=["clientAddress is missing: send the address of the gateway, a UUID"])


class _Named(msgspec.Struct):
    name: str


class _Addressed(msgspec.Struct):
    address: str


class _Report(msgspec.Struct):
    """What the OpenAPI has of a log report before its entries."""

    address: str | None = None
    entries: list[msgspec.Raw] | None = None


_REPORT: Final = msgspec.json.Decoder(_Report)
# Beside the OpenAPI's object: several reports, or entries alone, as some gateways write them.
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAMED: Final = msgspec.json.Decoder(list[_Named])
_ADDRESSED: Final = msgspec.json.Decoder(list[_Addressed])

_PARAMETERS: Final[list[dict[str, Any]]] = [
    {
        "name": "talq-api-version", "in": "header", "required": True, "description": "The version of the TALQ API: 2.x.",
        "schema": {"type": "string"}, "example": "2.7.1",
    },
    {
        "name": "clientAddress", "in": "query", "required": True, "description": "The address of the gateway.",
        "schema": {"type": "string", "format": "uuid"}, "example": "3f2b8a52-6f0f-4b7e-9a51-0c6f5f1c7d10",
    },
]  # fmt: skip
_REQUEST_IDS: Final[list[dict[str, Any]]] = [
    {
        "name": "talqRequestId", "in": "query", "required": False,
        "description": "The gateway's identifier of the request. The norm requires it since 2.6; a message without is taken too. "
        "The same request sent again within ten minutes is stored once.",
        "schema": {"type": "string", "format": "uuid"}, "example": "9f5c1d3e-8a34-4d0e-a3bb-0f4f2c4c8f11",
    },
    {"name": "talqOriginRequestId", "in": "query", "required": False, "schema": {"type": "string", "format": "uuid"}},
]  # fmt: skip
_DEVICE_ADDRESS: Final[dict[str, Any]] = {"name": "deviceAddress", "in": "path", "required": True, "schema": {"type": "string"}}
_REPORT_EXAMPLE: Final = {
    "address": "logger-1",
    "entries": [
        {
            "cmsRefId": "vigie",
            "data": {
                "type": "EventLogData",
                "srcAddress": "0b9c2c1e-55c0-4f6e-8a2a-1f1f5d0f7a07/lampMonitor1",
                "timestamp": "2026-01-05T07:00:00Z",
                "eventType": "lampFailure",
                "startEndFlag": True,
            },
        }
    ],
}


_REPORT_BODY: Final[dict[str, Any]] = {"schema": {"type": "object"}, "example": _REPORT_EXAMPLE}
_ARRAY_BODY: Final[dict[str, Any]] = {"schema": {"type": "array", "items": {"type": "object"}}}
_OBJECT_BODY: Final[dict[str, Any]] = {"schema": {"type": "object"}}


def is_asked(request: Request) -> bool:
    """Whether a request is answered in TALQ's words."""
    return request.url.path.startswith(ROOT)


def refusal(refused: RefusedError) -> Response:
    """Return a refusal as TALQ has it: an array of error messages."""
    message = TALQErrorMessage(key=refused.key, description=f"{refused.problem.error}: {refused.problem.remedy}")
    return JSONResponse([message.model_dump()], refused.status, headers=_HEADERS | (refused.headers or {}))


def router(door: Door) -> APIRouter:
    """Return the addresses that a gateway is given as its CMS: `…/talq/FEED`."""
    found = APIRouter(prefix=f"{ROOT}{{feed}}", tags=["TALQ"], responses=described(list[TALQErrorMessage]))
    services, devices = _checked(_NAMED), _checked(_ADDRESSED)
    for path, method, check, summary in (
        ("/log-reports", "POST", _check_report, "Store a log report."),
        ("/services", "POST", services, "Store which services the gateway has."),
        ("/device-classes", "POST", services, "Store which device classes there are."),
        ("/device-classes", "PUT", services, "Store what changed of device classes."),
        ("/devices", "POST", devices, "Store which devices there are."),
        ("/devices", "PUT", devices, "Store what devices now are."),
        ("/devices", "PATCH", devices, "Store what changed of devices."),
        ("/devices/{deviceAddress}", "PUT", _checked(_OBJECT), "Store what a device now is."),
        ("/devices/{deviceAddress}", "PATCH", _checked(_OBJECT), "Store what changed of a device."),
    ):
        body = _REPORT_BODY if check is _check_report else _OBJECT_BODY if "{" in path else _ARRAY_BODY
        found.add_api_route(
            path,
            _taking(door, check, is_echoed=path == "/device-classes"),
            methods=[method],
            status_code=HTTPStatus.CREATED if method == "POST" else HTTPStatus.OK,
            response_class=Response,
            response_description="Stored on disk.",
            summary=summary,
            operation_id=_operation(method, path),
            openapi_extra={
                "parameters": [*_PARAMETERS, *_REQUEST_IDS, *([_DEVICE_ADDRESS] if "{" in path else [])],
                "requestBody": {"required": True, "content": {"application/json": body}},
            },
        )
    for path in ("/groups", "/data-packages"):
        found.add_api_route(
            path,
            _having_none(door),
            methods=["GET"],
            summary=f"The {path.strip('/')} of this CMS: it has none.",
            operation_id=_operation("GET", path),
            openapi_extra={"parameters": _PARAMETERS},
        )
    return found


def _taking(door: Door, check: Callable[[bytes], None], *, is_echoed: bool) -> Callable[..., Awaitable[Response]]:
    """Return what answers a message: 201 or 200 without a body, or with the one it came with (device classes)."""

    async def answer(request: Request, feed: Feed, token: Token) -> Response:
        door.admit(feed, token.credentials if token else None)
        gateway, request_id = _parameters(request)
        check_media_type(request, _MEDIA_TYPES)
        query = query_of(request) + _beside(request)
        door.slow_down(feed)
        body = await body_of(request)
        check(body)
        # With a digest of what is asked: a gateway that never changes its identifier loses nothing.
        digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + body).hexdigest()
        message_id = f"{request_id}:{digest[:32]}" if request_id else None
        await door.store(feed, gateway, body, message_id=message_id, query=query)
        status = HTTPStatus.CREATED if request.method == "POST" else HTTPStatus.OK
        return Response(body if is_echoed else None, status, _HEADERS, "application/json" if is_echoed else None)

    return answer


def _having_none(door: Door) -> Callable[..., Awaitable[Response]]:
    async def answer(request: Request, feed: Feed, token: Token) -> Response:
        door.admit(feed, token.credentials if token else None)
        _parameters(request)
        return JSONResponse([], headers=_HEADERS)

    return answer


def _beside(request: Request) -> str:
    """Return what the decoder must know of a request beside its query: that it is a part, and the device that its path names."""
    address = request.path_params.get("deviceAddress")
    if address is not None and len(address) > _LONGEST_ADDRESS:
        raise _bad("parameterValueNotValid", "the device's address is too long", f"at most {_LONGEST_ADDRESS} characters")
    method = "&method=PATCH" if request.method == "PATCH" else ""
    return method + (f"&deviceAddress={quote(address, safe='')}" if address is not None else "")


def _operation(method: str, path: str) -> str:
    return f"talq_{method.lower()}_{re.sub(r'[^A-Za-z]+', '_', path).strip('_')}"


def _parameters(request: Request) -> tuple[str, str | None]:
    """Return the gateway's address and the request's identifier.

    Raises:
        RefusedError: 400: a parameter is missing, or not as TALQ defines it.
    """
    version = request.headers.get("talq-api-version")
    if not version:
        raise _bad("headerMissing", "talq-api-version is missing", "send the version of the API, such as 2.7.1")
    if not _VERSION.fullmatch(version.strip()):
        raise _bad("headerValueNotValid", f"talq-api-version {version[:40]!r} is not 2.x", "this CMS speaks TALQ 2")
    gateway, request_id = (request.query_params.get(name) for name in ("clientAddress", "talqRequestId"))
    if not gateway:
        raise _bad("parameterMissing", "clientAddress is missing", "send the address of the gateway, a UUID")
    for name in ("clientAddress", "talqRequestId", "talqOriginRequestId"):
        value = request.query_params.get(name)
        if value and not _UUID.fullmatch(value):
            raise _bad("parameterValueNotValid", f"{name} {value[:60]!r} is no UUID", "send it as 8-4-4-4-12 hexadecimal digits")
    return gateway, request_id


def _check_report(body: bytes) -> None:
    """Refuse what is no log report at all. Its entries are not looked at: one that is wrong must not take the others along."""
    for decoder in (_REPORT, _ARRAY, _OBJECT) if b'"entries"' not in body[:4096] else (_REPORT, _ARRAY):
        try:
            decoder.decode(body)
        except RecursionError:
            return  # deeper than any real one: stored, and rejected with its reason by who decodes it
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        return
    raise _bad("payloadError", "the body is no LogReport", "send {address, entries: […]} in JSON")


def _checked(decoder: msgspec.json.Decoder[Any]) -> Callable[[bytes], None]:
    def check(body: bytes) -> None:
        try:
            decoder.decode(body)
        except RecursionError:
            raise _bad("payloadError", "the body is nested deeper than any real one", "send what the OpenAPI defines") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _bad("payloadError", f"the body is not as the OpenAPI defines it: {error}", "send an array of whole objects") from None

    return check


def _bad(key: str, error: str, remedy: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, error, remedy, key=key)
