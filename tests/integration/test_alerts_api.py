"""The REST API of alarms: what is listed, filtered, paged and done, and that OpenAPI says what is answered."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.alerts.heartbeat import beat
from orchestration.alerts.lifecycle import snapshot
from tests.alerts_web import MORNING, SECOND, Served, change

pytest_plugins = ("tests.alerts_web",)

_hours = itertools.count(3_600, 3_600)


@pytest.fixture
def client(web: Served) -> Any:
    with web.system() as found:
        yield found


def ids(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [alarm["alarm_id"] for alarm in answer.json()["alarms"]]


def raised(web: Served, rule: str, ref: str, at: int | None = None, **more: Any) -> int:
    return web.tell(change(rule, ref, next(_hours) if at is None else at, **more))[0].alarm_id


# --- lists


def test_alarms_come_as_the_wall_shows_them(web: Served, client: httpx.Client) -> None:
    at = next(_hours)
    low, high_late = raised(web, "lampe", "L1", at), raised(web, "armoire", "C1", at + 5)
    critical, high_early = raised(web, "carrefour", "S1", at + 9), raised(web, "armoire", "C2", at + 1)
    found = client.get("/api/alarms").json()
    assert [a["alarm_id"] for a in found["alarms"]] == [critical, high_early, high_late, low]
    assert found["next"] is None
    assert found["alarms"][0] == snapshot(web.store.get(critical)) == client.get(f"/api/alarms/{critical}").json()


def test_filters(web: Served, client: httpx.Client) -> None:
    at = next(_hours)
    cabinet, lamp, crossing = (
        raised(web, "armoire", "C1", at),
        raised(web, "lampe", "L%_1", at + 60),
        raised(web, "carrefour", "S1", at + 120),
    )
    until = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
    client.post(f"/api/alarms/{lamp}/shelve", json={"until": until, "reason": "essai"}).raise_for_status()
    client.post(f"/api/alarms/{crossing}/acknowledge").raise_for_status()
    minute = dt.datetime.fromtimestamp(MORNING / SECOND + at + 60, dt.UTC).isoformat()
    for query, expected in {
        "priority=1": [crossing],
        "priority=1&priority=2": [crossing, cabinet],
        "domain=SLT": [crossing],
        "domain=EP": [cabinet, lamp],
        "rule=lampe": [lamp],
        "commune=dijon": [crossing],
        "asset=C1": [cabinet],
        "asset=gis%7CC1": [cabinet],
        "asset=gis:C1": [cabinet],
        "asset=its%7CC1": [],
        "state=ack_active": [crossing],
        "state=ack_active&state=unack_active": [crossing, cabinet, lamp],
        "presented=true": [crossing, cabinet],
        "presented=false": [lamp],
        "shelved=true": [lamp],
        "shelved=false": [crossing, cabinet],
        "suppressed=true": [],
        "text=armoire marne": [cabinet],
        "text=ARMOIRE dijon": [],
        "text=%25": [lamp],  # by the letter: its code holds one
        "text=_": [lamp],
        "text=%5C": [],
    }.items():
        assert ids(client.get(f"/api/alarms?{query}")) == expected, query
    assert ids(client.get("/api/alarms", params={"since": minute})) == [crossing, lamp]
    client.post(f"/api/alarms/{crossing}/close", json={"comment": "fait"}).raise_for_status()
    assert crossing not in ids(client.get("/api/alarms"))
    assert crossing in ids(client.get("/api/alarms?state=closed&limit=1000"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 9))
def test_pages_are_the_list_cut_in_pieces(web: Served, limit: int) -> None:
    at = next(_hours)
    web.clear()
    web.tell(*[change("armoire", f"P{n}", at + n % 3) for n in range(4)], *[change("carrefour", f"P{n}", at + n % 2) for n in range(4)])
    with web.system() as client:
        whole, found, cursor = ids(client.get("/api/alarms")), list[int](), None
        assert len(whole) == 8
        for _ in range(20):
            page = client.get("/api/alarms", params={"limit": limit, **({"cursor": cursor} if cursor else {})})
            assert len(ids(page)) <= limit
            found += ids(page)
            cursor = page.json()["next"]
            if cursor is None:
                break
        assert found == whole


@pytest.mark.parametrize("cursor", ["x", "e30", "WzEsMiwzXQ", "é"])
def test_a_cursor_of_nobody_is_refused(client: httpx.Client, cursor: str) -> None:
    answer = client.get("/api/alarms", params={"cursor": cursor})
    assert answer.status_code == 409
    assert "next" in answer.json()["remedy"]


def test_geojson(web: Served, client: httpx.Client) -> None:
    area = '{"type": "Polygon", "coordinates": [[[4, 48], [5, 48], [5, 49], [4, 48]]]}'
    point, zone, nowhere = raised(web, "armoire", "C1"), raised(web, "armoire", "Z", area=area), raised(web, "armoire", "N")
    answer = client.get("/api/alarms.geojson")
    assert answer.headers["content-type"] == "application/geo+json"
    geometries = {f["id"]: f["geometry"] for f in answer.json()["features"]}
    assert geometries[point] == {"type": "Point", "coordinates": [4.36, 48.95]}
    assert geometries[zone]["coordinates"][0][2] == [5, 49]
    assert geometries[nowhere] is None


# --- actions


def test_what_is_done_is_in_the_journal_with_who(web: Served) -> None:
    alarm_id = raised(web, "armoire", "C1")
    until = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=2)
    with web.person("operateur-1") as operator:
        for path, body in (
            ("acknowledge", {"comment": "vu"}), ("comment", {"comment": "équipe prévenue"}), ("assign", {"to": "operateur-2"}),
            ("steps/0", {}), ("steps/0", {"is_done": False}), ("shelve", {"until": until.isoformat(), "reason": "essai"}),
            ("unshelve", None), ("close", {"comment": "réparé"}),
        ):  # fmt: skip
            answer = operator.post(f"/api/alarms/{alarm_id}/{path}", json=body)
            assert answer.status_code == 200, (path, answer.text)
            assert answer.json() == operator.get(f"/api/alarms/{alarm_id}").json()
        lines = operator.get(f"/api/alarms/{alarm_id}/journal").json()["lines"]
    assert [(line["kind"], line["actor"], line["comment"]) for line in lines] == [
        ("raised", "vigie", None), ("acknowledged", "operateur-1", "vu"), ("commented", "operateur-1", "équipe prévenue"),
        ("assigned", "operateur-1", None), ("step", "operateur-1", None), ("step", "operateur-1", None),
        ("shelved", "operateur-1", "essai"), ("unshelved", "operateur-1", None), ("closed", "operateur-1", "réparé"),
    ]  # fmt: skip


def test_several_are_acknowledged_and_one_that_cannot_be_keeps_none(web: Served, client: httpx.Client) -> None:
    one, gone, two = raised(web, "armoire", "C1"), raised(web, "armoire", "C2"), raised(web, "armoire", "C3")
    client.post(f"/api/alarms/{gone}/close", json={"comment": "erreur"}).raise_for_status()
    answer = client.post("/api/alarms/acknowledge", json={"alarm_ids": [one, gone, 10**9, two, one], "comment": "orage"})
    assert [(o["alarm_id"], o["state"], bool(o["error"])) for o in answer.json()] == [
        (one, "ack_active", False), (gone, None, True), (10**9, None, True), (two, "ack_active", False),
    ]  # fmt: skip
    assert [e.comment for e in web.store.journal_of(two)] == [None, "orage"]


def test_two_who_acknowledge_at_once_write_one_line(web: Served, client: httpx.Client) -> None:
    alarm_id = raised(web, "armoire", "C1")
    assert [client.post(f"/api/alarms/{alarm_id}/acknowledge").status_code for _ in range(2)] == [200, 200]
    assert [e.kind for e in web.store.journal_of(alarm_id)] == ["raised", "acknowledged"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("close", {}, 409),  # the condition holds, and nobody says why
        ("comment", {}, 422),
        ("comment", {"comment": "  "}, 422),
        ("comment", {"comment": "x" * 2_001}, 422),
        ("comment", {"comment": "x", "coment": "y"}, 422),
        ("shelve", {"until": "2026-01-05T12:00:00+01:00", "reason": "passé"}, 409),
        ("shelve", {"until": "2026-01-05T12:00:00", "reason": "sans zone"}, 422),
        ("steps/9", {}, 409),
        ("steps/-1", {}, 422),
        ("assign", {}, 422),
        ("explode", {}, 404),
    ],
)
def test_what_cannot_be_done_is_refused_in_words_and_changes_nothing(
    web: Served, client: httpx.Client, path: str, body: dict[str, Any], status: int
) -> None:
    alarm_id = raised(web, "armoire", "C1")
    before = web.store.last_seq()
    answer = client.post(f"/api/alarms/{alarm_id}/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "remedy"}
    assert answer.json()["error"]
    assert web.store.last_seq() == before


def test_an_alarm_that_is_not_there(client: httpx.Client) -> None:
    for answer in (
        client.get("/api/alarms/999999"),
        client.get("/api/alarms/999999/journal"),
        client.post("/api/alarms/999999/acknowledge"),
    ):
        assert answer.status_code == 404
        assert answer.json()["error"] == "there is no alarm 999999"
    assert client.get("/api/alarms/0").status_code == 422
    assert client.get(f"/api/alarms/{2**63}").status_code == 422


# --- announced work and out of service


def test_work_is_announced_and_ended_by_a_supervisor(web: Served, client: httpx.Client) -> None:
    alarm_id, now = raised(web, "armoire", "C1"), dt.datetime.now(dt.UTC)
    work = {
        "asset_ref": "C1", "starts_at": (now - dt.timedelta(minutes=1)).isoformat(), "ends_at": (now + dt.timedelta(hours=1)).isoformat(),
        "reason": "lanternes",
    }  # fmt: skip
    assert client.post("/api/maintenance", json=work).status_code == 403
    with web.person("superviseur") as supervisor:
        declared = supervisor.post("/api/maintenance", json=work)
        assert declared.status_code == 200, declared.text
        assert client.get(f"/api/alarms/{alarm_id}").json()["suppressed_by"] == "maintenance"
        assert [w["declared_by"] for w in client.get("/api/maintenance").json()] == ["superviseur"]
        number = declared.json()["suppression_id"]
        assert client.post(f"/api/maintenance/{number}/end").status_code == 403
        assert supervisor.post(f"/api/maintenance/{number}/end").json()["ended_by"] == "superviseur"
        assert client.get(f"/api/alarms/{alarm_id}").json()["suppressed_by"] is None
        assert supervisor.post("/api/maintenance/999999/end").status_code == 404
        assert supervisor.post("/api/maintenance", json={k: v for k, v in work.items() if k != "asset_ref"}).status_code == 409


def test_equipment_is_taken_out_of_service_and_put_back(web: Served, client: httpx.Client) -> None:
    alarm_id, asked = raised(web, "armoire", "C1"), {"asset_ref": "C1", "reason": "chantier"}
    assert client.post("/api/out-of-service", json=asked).status_code == 403
    with web.person("superviseur") as supervisor:
        number = supervisor.post("/api/out-of-service", json=asked).json()["suppression_id"]
        assert client.get(f"/api/alarms/{alarm_id}").json()["is_out_of_service"] is True
        assert [s["asset_ref"] for s in client.get("/api/out-of-service").json()] == ["C1"]
        assert supervisor.post(f"/api/out-of-service/{number}/put-back").status_code == 200
        assert client.get(f"/api/alarms/{alarm_id}").json()["is_out_of_service"] is False
        assert client.get("/api/out-of-service").json() == []
        assert number in {s["suppression_id"] for s in client.get("/api/out-of-service?over=true").json()}


# --- what else there is to read


def test_the_journal_goes_on_after_a_line(web: Served, client: httpx.Client) -> None:
    before = web.store.last_seq()
    alarm_id = raised(web, "armoire", "C1")
    for n in range(4):
        client.post(f"/api/alarms/{alarm_id}/comment", json={"comment": str(n)}).raise_for_status()
    first = client.get("/api/journal", params={"after": before, "limit": 3}).json()
    assert [line["seq"] for line in first["lines"]] == [before + 1, before + 2, before + 3]
    assert first["last"] == before + 5
    rest = client.get("/api/journal", params={"after": before + 3}).json()
    assert [line["comment"] for line in rest["lines"]] == ["2", "3"]
    assert client.get("/api/journal", params={"after": before + 5}).json() == {"lines": [], "last": before + 5}


def test_load_counts_what_operators_were_shown(web: Served, client: httpx.Client) -> None:
    def count() -> list[int]:
        spans = client.get("/api/load?hours=1").json()
        assert len(spans) == 7
        starts = [dt.datetime.fromisoformat(span["start"]) for span in spans]
        assert {b - a for a, b in itertools.pairwise(starts)} == {dt.timedelta(minutes=10)}
        return [sum(span[name] for span in spans) for name in ("raised", "presented", "critical")]

    before = count()
    at = next(_hours)
    raised(web, "armoire", "C1", at)
    raised(web, "carrefour", "S1", at)
    web.tell(change("armoire", "C1", at + 1, active=False))
    assert [b - a for a, b in zip(before, count(), strict=True)] == [2, 2, 1]


def test_feeds_and_processes_say_when_they_were_heard(web: Served, client: httpx.Client) -> None:
    heard = dt.datetime(2026, 1, 5, 7, tzinfo=dt.UTC)
    with web.pool.connection() as con:
        beat(con, [("engine", heard, {"backlog": 3}), ("feed:lights", heard, {})])
    assert client.get("/api/feeds").json() == {
        "feeds": [{"name": "lights", "last_contact": "2026-01-05T07:00:00+00:00", "details": {}}],
        "processes": [{"name": "engine", "last_contact": "2026-01-05T07:00:00+00:00", "details": {"backlog": 3}}],
    }


def test_rules_are_listed_the_broken_one_with_its_error(web: Served, client: httpx.Client) -> None:
    folder = web.settings.alerts_path / "rules"
    folder.mkdir(exist_ok=True)
    broken = folder / "cassee.yaml"
    broken.write_text("rule: cassee\ntitle: 3\n")
    try:
        rules = {rule["rule"]: rule for rule in client.get("/api/rules").json()}
    finally:
        broken.unlink()
    assert rules["cassee"]["is_in_force"] is False
    assert rules["cassee"]["error"]
    assert rules["armoire-au-noir"]["is_in_force"] is True
    assert rules["armoire-au-noir"]["is_shipped"] is True


# --- OpenAPI


def test_openapi_says_what_is_answered(web: Served, client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    alarm_id = raised(web, "armoire", "C1")
    with web.person("superviseur") as supervisor:
        supervisor.post("/api/out-of-service", json={"rule": "jamais", "reason": "essai"}).raise_for_status()
    asked = {
        "/api/alarms/{alarm_id}": f"/api/alarms/{alarm_id}", "/api/alarms/{alarm_id}/journal": f"/api/alarms/{alarm_id}/journal",
        "/api/maintenance": "/api/maintenance?over=true",
    }  # fmt: skip
    checked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            success = operation["responses"]["200"]["content"]
            for content in success.values():
                schema = content.get("schema", {})
                if "example" in content or "$ref" not in str(schema):
                    continue
                for example in _examples(schema, document):
                    jsonschema.validate(example, {**schema, "components": document["components"]}, cls=jsonschema.Draft202012Validator)
            if method == "get" and "application/json" in success and path != "/health":
                answer = client.get(asked.get(path, path))
                assert answer.status_code == 200, path
                schema = {**success["application/json"]["schema"], "components": document["components"]}
                jsonschema.validate(answer.json(), schema, cls=jsonschema.Draft202012Validator)
                checked += 1
            if path.startswith("/api/"):
                assert {"401", "403", "503"} <= set(operation["responses"]), (method, path)
    assert checked >= 10
    refused = client.post(f"/api/alarms/{alarm_id}/close", json={}).json()
    jsonschema.validate(refused, {"$ref": "#/components/schemas/Problem", "components": document["components"]})
    for action in ("acknowledge", "close"):
        done = client.post(f"/api/alarms/{alarm_id}/{action}", json={"comment": "fait"}).json()
        schema = document["paths"][f"/api/alarms/{{alarm_id}}/{action}"]["post"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        jsonschema.validate(done, {**schema, "components": document["components"]}, cls=jsonschema.Draft202012Validator)


def test_every_model_of_openapi_has_an_example_that_is_one(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    for name, schema in document["components"]["schemas"].items():
        for example in _examples({"$ref": f"#/components/schemas/{name}"}, document):
            jsonschema.validate(example, {**schema, "components": document["components"]}, cls=jsonschema.Draft202012Validator)


def _examples(schema: dict[str, Any], document: dict[str, Any]) -> list[Any]:
    """The example of a model: its own, or made of those of its properties; none where one has none."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if "example" in schema:
        return [schema["example"]]
    properties = schema.get("properties", {})
    if properties and all("examples" in p for p in properties.values()):
        return [{name: p["examples"][0] for name, p in properties.items()}]
    return []
