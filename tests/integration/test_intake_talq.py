"""TALQ's addresses of the intake on a real broker, against the CMS OpenAPI of TALQ where it is at hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import jsonschema
import pytest

from tests.integration.test_intake import stored
from tests.stream_instance import Answer, StreamInstance

pytest_plugins = ("tests.stream_instance",)

GATEWAY: Final = "3f2b8a52-6f0f-4b7e-9a51-0c6f5f1c7d10"
REQUEST: Final = "9f5c1d3e-8a34-4d0e-a3bb-0f4f2c4c8f11"
REPORT: Final = {
    "address": "logger-1",
    "entries": [{"data": {"type": "EventLogData", "srcAddress": "lamp-7", "eventType": "lampFailure", "startEndFlag": True}}],
}
# As the data model has it; its file is 3 MB, and not among the samples.
ERRORS: Final = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["key"],
        "properties": {
            "key": {"enum": ["headerMissing", "headerValueNotValid", "parameterMissing", "parameterValueNotValid", "payloadError",
                             "resourceNotFound", "genericError"]},
            "description": {"type": "string"},
        },
    },
}  # fmt: skip


@pytest.fixture
def instance(stream_instance: StreamInstance) -> StreamInstance:
    """A feed of gateways and another, broker and intake running."""
    stream_instance.write_contract("gateways", [])
    path = stream_instance.settings.feeds_path / "gateways.yaml"
    path.write_text(path.read_text().replace("type: ngsi", "type: talq"), encoding="utf-8")
    stream_instance.write_contract("bins", [])
    stream_instance.start()
    return stream_instance


def asked(instance: StreamInstance, path: str, body: Any = REPORT, *, method: str = "POST", **changes: str | None) -> Answer:
    """Ask as a gateway does; a change of None leaves a header or parameter out."""
    query: dict[str, str | None] = {"clientAddress": GATEWAY, "talqRequestId": REQUEST}
    headers: dict[str, str | None] = {
        "talq-api-version": "2.7.1", "Content-Type": "application/json", "Authorization": f"Bearer {instance.passwords['gateways']}",
    }  # fmt: skip
    for name, value in changes.items():
        (query if name in {"clientAddress", "talqRequestId", "talqOriginRequestId"} else headers)[name.replace("_", "-")] = value
    sent = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    kept = {k: v for k, v in headers.items() if v is not None}
    return instance.request(method, f"/talq/gateways{path}?{urlencode({k: v for k, v in query.items() if v is not None})}", sent, kept)


def test_a_log_report_is_stored_with_what_its_address_says(instance: StreamInstance) -> None:
    answer = asked(instance, "/log-reports")
    assert (answer.status, answer.document) == (201, None)
    assert answer.headers["cache-control"] == "no-transform"
    # The same request again is stored once; another one of the same words twice.
    assert asked(instance, "/log-reports").status == 201
    assert asked(instance, "/log-reports", talqRequestId=None).status == 201
    assert asked(instance, "/log-reports", REPORT | {"address": "logger-2"}).status == 201
    found = stored(instance)
    assert list(found) == [f"gateways http/{GATEWAY}"]
    assert [json.loads(p)["address"] for p in found[f"gateways http/{GATEWAY}"]] == ["logger-1", "logger-1", "logger-2"]


def test_each_refusal_is_in_the_words_of_talq(instance: StreamInstance) -> None:
    cases: list[tuple[int, str, dict[str, Any]]] = [
        (400, "headerMissing", {"talq_api_version": None}), (400, "headerValueNotValid", {"talq_api_version": "1.0.3"}),
        (400, "parameterMissing", {"clientAddress": None}), (400, "parameterValueNotValid", {"clientAddress": "gateway-1"}),
        (400, "parameterValueNotValid", {"talqRequestId": "7"}), (400, "parameterValueNotValid", {"talqOriginRequestId": "7"}),
        (400, "payloadError", {"body": b"not JSON"}), (400, "payloadError", {"body": 3}), (400, "payloadError", {"body": {"entries": 3}}),
        (400, "payloadError", {"body": b""}), (401, "genericError", {"Authorization": None}),
        (403, "genericError", {"Authorization": f"Bearer {instance.passwords['bins']}"}),
        (415, "genericError", {"Content_Type": "application/xml"}),
    ]  # fmt: skip
    for status, key, changes in cases:
        answer = asked(instance, "/log-reports", **changes)
        assert (answer.status, answer.document[0]["key"]) == (status, key), changes
        jsonschema.validate(answer.document, ERRORS)
    other = instance.request("POST", "/talq/nothing/log-reports", b"{}", {"Authorization": f"Bearer {instance.passwords['bins']}"})
    assert (other.status, other.document[0]["key"]) == (404, "resourceNotFound")
    for method, path in (("GET", "/log-reports"), ("POST", "/lamp-types"), ("GET", "/devices")):
        assert asked(instance, path, None, method=method).status in {404, 405}
    assert stored(instance) == {}


def test_a_broker_that_is_away_is_told_in_the_words_of_talq(instance: StreamInstance) -> None:
    instance.kill_broker()
    answer = asked(instance, "/log-reports")
    assert (answer.status, answer.document[0]["key"]) == (503, "genericError")
    assert int(answer.headers["retry-after"]) > 0


def test_entries_alone_and_several_reports_are_taken_and_what_is_too_deep_is_not_lost(instance: StreamInstance) -> None:
    deep = b'{"entries": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    for body in (REPORT["entries"], [REPORT, REPORT], {"address": "a"}, {"entries": []}, deep, REPORT | {"vendor": 1}):
        assert asked(instance, "/log-reports", body).status == 201, body
    assert len(stored(instance)[f"gateways http/{GATEWAY}"]) == 6


def test_a_gateway_announces_itself_and_asks_what_it_must(instance: StreamInstance) -> None:
    device = {"address": "lamp-7", "name": "Lampe 7", "class": "Luminaire"}
    classes = [{"name": "Luminaire", "functions": []}]
    assert asked(instance, "/services", [{"name": "DataCollectService"}]).status == 201
    answer = asked(instance, "/device-classes", classes)
    assert (answer.status, answer.document) == (201, classes)
    assert asked(instance, "/device-classes", classes, method="PUT").status == 200
    for method, status in (("POST", 201), ("PUT", 200), ("PATCH", 200)):
        assert asked(instance, "/devices", [device], method=method).status == status
    assert asked(instance, "/devices/lamp-7", device, method="PUT").status == 200
    assert asked(instance, "/devices/lamp-7", {"name": "x"}, method="PATCH").status == 200
    for body in ({"name": "not an array"}, [{"no": "address"}], b"["):
        assert asked(instance, "/devices", body).status == 400
    for path in ("/groups", "/data-packages"):
        answer = asked(instance, path, None, method="GET")
        assert (answer.status, answer.document) == (200, [])
    assert len(stored(instance)[f"gateways http/{GATEWAY}"]) == 8


def test_the_addresses_are_those_of_the_norm(instance: StreamInstance, shared_data: Path) -> None:
    found = sorted((shared_data.parent / "samples" / "talq" / "spec").glob("oas__talq-api-cms-*.json"))
    if not found:
        pytest.skip("the CMS OpenAPI of TALQ is not at hand")
    norm = json.loads(found[-1].read_text(encoding="utf-8"))["paths"]
    ours = {p.removeprefix("/talq/{feed}"): o for p, o in instance.get("/openapi.json").document["paths"].items() if p.startswith("/talq/")}
    assert ours
    for path, methods in ours.items():
        for method, operation in methods.items():
            theirs = norm[path][method]
            success = {status for status in theirs["responses"] if status.startswith("2")}
            assert success <= operation["responses"].keys(), (method, path)
            said = {p["name"]: p["in"] for p in operation["parameters"]}
            assert {p["name"]: p["in"] for p in theirs["parameters"]}.items() <= said.items(), (method, path)
            # Each error that the norm describes has a body: an array of messages, as ours.
            for status, response in theirs["responses"].items():
                if status.startswith("4"):
                    assert response["content"]["application/json"]["schema"]["type"] == "array"
            refused = operation["responses"]["400"]["content"]["application/json"]["schema"]
            assert (refused["type"], re.sub(r".*/", "", refused["items"]["$ref"])) == ("array", "TALQErrorMessage")
