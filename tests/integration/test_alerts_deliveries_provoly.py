"""The hypervisor's stand-in accepts every call and sees one event per alarm, whatever breaks; work orders come back to their alarm."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingestion.errors import WrongUse
from orchestration.alerts import lifecycle
from orchestration.alerts.deliveries.ledger import dead_letters
from orchestration.alerts.deliveries.work_orders import note_order, request_intervention
from orchestration.alerts.model import Ordered
from tests.deliveries import Post
from tests.provoly_standin import CLIENT_SECRET, ProvolyStandin
from tests.webhook_server import WebhookServer, until

pytest_plugins = ("tests.deliveries", "tests.webhook_server", "tests.provoly_standin")


def _target(server: ProvolyStandin, **more: Any) -> dict[str, Any]:
    return {
        "target": "pcc", "type": "provoly", "url": server.url, "categories": {"default": "LIMIT", "rules": {"armoire": "OUTOFORDER"}},
        "oidc": {"token_url": f"{server.url}/token", "client_id": "vigie", "client_secret": "PROVOLY"}, "timeout_s": 1, "settle": "PT0S",
        "poll": "PT1S", **more,
    }  # fmt: skip


def _run(post: Post, server: ProvolyStandin, **more: Any) -> None:
    post.declare(_target(server, **more))
    post.start("pcc")


def _letters(post: Post) -> list[Any]:
    return dead_letters(lambda: contextlib.nullcontext(post.con))


def _done(post: Post) -> None:
    until(lambda: post.is_done("pcc"), told=lambda: (post.details("target:pcc"), post.said()))
    assert _letters(post) == []


def test_one_event_through_raise_update_and_close_and_no_call_refused(post: Post, provoly: ProvolyStandin) -> None:
    known = provoly.add_equipment("C1")
    _run(post, provoly)
    (a,) = post.raise_("a")
    until(lambda: len(provoly.events) == 1, told=post.said)
    (event,) = provoly.events.values()
    assert event | {"creationDate": 0, "lastModificationDate": 0} == {
        "id": 1, "name": "Armoire hors tension – Armoire C1 – n° 1", "type": "ALERT", "category": "OUTOFORDER", "subCategory": None,
        "description": "Armoire C1 est hors tension. (à acquitter, priorité haute)", "address": "rue de l’Église, Châlons",
        "criticality": "HIGH", "equipmentId": known, "externalSourceRef": "vigie-1", "status": "NEW",
        "creationDate": 0, "lastModificationDate": 0, "closeDate": None,
    }  # fmt: skip
    _done(post)
    post.acknowledge(a)
    until(lambda: "(acquittée, priorité haute)" in provoly.events["1"]["description"], told=post.said)
    post.end("a")  # over and acknowledged: closed
    until(lambda: provoly.events["1"]["status"] == "DONE", told=post.said)
    _done(post)
    assert len(provoly.events) == 1
    assert provoly.refusals == []
    assert provoly.tokens_given == 1
    # The key's next alarm is another event.
    post.raise_("a")
    until(lambda: len(provoly.events) == 2, told=post.said)
    assert provoly.refusals == []
    assert CLIENT_SECRET not in post.said()


def test_an_alarm_that_is_over_but_not_acknowledged_keeps_its_event_open(post: Post, provoly: ProvolyStandin) -> None:
    provoly.add_equipment("C1")
    _run(post, provoly)
    (a,) = post.raise_("a")
    post.end("a")
    _done(post)
    assert provoly.events["1"]["status"] == "NEW"
    assert "retour à la normale" in provoly.events["1"]["description"]
    post.acknowledge(a)
    _done(post)
    assert provoly.events["1"]["status"] == "DONE"


def test_what_is_hidden_is_not_sent_by_itself(post: Post, provoly: ProvolyStandin) -> None:
    provoly.add_equipment("C1")
    _run(post, provoly, settle="PT1S")
    parent, child, shelved, out = post.raise_("parent", "child", "shelved", "out")
    with post.store.turn() as turn:
        turn.save(lifecycle.suppressed(_one(turn, child), "parent", "armoire", turn.now, parent_id=parent))
    post.store.act(shelved, lambda a, now: lifecycle.shelved(a, "anne", now, now + (now - now.replace(year=now.year - 1)) / 365, "travaux"))
    post.con.execute("UPDATE alerts.alarm SET is_out_of_service = true WHERE alarm_id = %s", [out])
    _done(post)
    assert [e["name"][-4:] for e in provoly.events.values()] == ["n° 1"]
    with post.store.turn() as turn:  # the parent is mended, the child stands for itself
        turn.save(lifecycle.unsuppressed(_one(turn, child), turn.now))
    until(lambda: len(provoly.events) == 2, told=post.said)
    post.close(shelved)  # shelved all its life: nothing to tell
    _done(post)
    assert len(provoly.events) == 2


def _one(turn: Any, alarm_id: int) -> Any:
    return turn.one(alarm_id)


def test_killed_between_posting_and_noting_there_is_one_event(post: Post, provoly: ProvolyStandin) -> None:
    provoly.add_equipment("C1")
    _run(post, provoly)
    assert post.process is not None
    pid = post.process.pid
    # The event is stored there; the answer never comes, and nobody is left to hear it.
    provoly.fail("POST", "/events", after=lambda: os.kill(pid, signal.SIGKILL))
    (a,) = post.raise_("a")
    assert post.wait_dead() == -signal.SIGKILL
    assert len(provoly.events) == 1
    (row,) = post.con.execute("SELECT remote_id FROM alerts.remote").fetchall()
    assert row["remote_id"] is None
    post.start("pcc")
    post.acknowledge(a)
    post.end("a")
    _done(post)
    assert [e["status"] for e in provoly.events.values()] == ["DONE"]
    assert [c for c in provoly.calls if c[:2] == ("POST", "/events")] == [("POST", "/events", 201)]
    assert provoly.refusals == []


def test_killed_at_random_under_load_every_alarm_has_one_event(post: Post, provoly: ProvolyStandin) -> None:
    provoly.add_equipment("C1")
    _run(post, provoly)
    for round_ in range(5):
        seen = len(provoly.calls)
        # Critical: no flood holds them back.
        numbers = post.raise_(*(f"k{round_}-{i}" for i in range(20)), details={"priority": 1})
        for number in numbers[::2]:
            post.close(number)
        until(lambda seen=seen: len(provoly.calls) > seen + 7, told=post.said)
        post.kill()
        post.start("pcc")
    _done(post)
    assert len(provoly.events) == 100
    assert len({e["name"] for e in provoly.events.values()}) == 100
    assert [e["status"] for e in provoly.events.values()].count("DONE") == 50
    assert provoly.refusals == []


@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"status": 503, "headers": {"retry-after": "1"}}, {"status": 429}, {"hang_s": 1.5}],
    ids=["500", "503", "429", "timeout"],
)
def test_when_it_fails_the_event_comes_later_and_once(post: Post, provoly: ProvolyStandin, fault: dict[str, Any]) -> None:
    provoly.add_equipment("C1")
    _run(post, provoly)
    for method, path in (("POST", "/events"), ("PUT", "/events/id")):
        provoly.fail(method, path, times=2, **fault)
    (a,) = post.raise_("a")
    until(lambda: len(provoly.events) == 1, told=post.said)
    post.close(a)
    _done(post)
    assert [e["status"] for e in provoly.events.values()] == ["DONE"]
    assert [c for c in provoly.refusals if c[2] < 429] == []


def test_a_token_that_is_taken_back_is_asked_for_anew(post: Post, provoly: ProvolyStandin) -> None:
    provoly.add_equipment("C1")
    _run(post, provoly)
    (a,) = post.raise_("a")
    _done(post)
    provoly.forget_tokens()
    post.acknowledge(a)
    _done(post)
    assert provoly.tokens_given == 2
    assert provoly.refusals == [("PUT", "/events/id/1", 401)]
    assert "(acquittée" in provoly.events["1"]["description"]


def test_a_name_that_is_somebody_elses_is_a_dead_letter(post: Post, provoly: ProvolyStandin) -> None:
    provoly.add_equipment("C1")
    _run(post, provoly)
    name = "Armoire hors tension – Armoire C1 – n° 1"
    now = "2999-01-01T00:00:00Z"
    provoly.events["77"] = {"id": 77, "name": name, "externalSourceRef": "other-1", "creationDate": now, "status": "NEW"}
    post.raise_("a")
    until(lambda: bool(_letters(post)), told=post.said)
    assert _letters(post)[0].reason == f"an event called {name!r} is there already, of another source (other-1)"
    assert len(provoly.events) == 1


def test_equipment_that_is_not_known_there_is_told_and_the_event_sent(post: Post, provoly: ProvolyStandin) -> None:
    _run(post, provoly)
    post.raise_("a")
    _done(post)
    assert (provoly.events["1"]["equipmentId"], provoly.events["1"]["externalSourceRef"]) == (None, None)
    until(lambda: "C1 is not known there" in post.details("target:pcc").get("notes", ""))
    assert provoly.refusals == []


def test_equipment_is_created_first_where_its_codes_are_declared_and_kept_in_step(post: Post, provoly: ProvolyStandin) -> None:
    codes = {"families": {"cabinet": "Armoire"}, "entities": {"Ville": "CHALONS_COMMUN"}, "cities": {"Châlons": "CH"}}
    _run(post, provoly, equipment=codes)
    post.raise_("a", "b")
    _done(post)
    (made,) = provoly.equipment.values()
    assert (made["externalId"], made["code"], made["name"], made["family"]) == ("gis:C1", "C1", "Armoire C1", "Armoire")
    assert {e["equipmentId"] for e in provoly.events.values()} == {made["id"]}
    made["name"] = "an old name"
    post.stop()
    post.start("pcc")
    post.raise_("c")
    _done(post)
    assert [e["name"] for e in provoly.equipment.values()] == ["Armoire C1"]
    assert provoly.refusals == []


def test_an_older_version_is_given_ids_and_never_an_update(post: Post, provoly: ProvolyStandin) -> None:
    provoly.add_equipment("C1")
    _run(post, provoly, events_path="/events/alert", updates=False)
    assert post.process is not None
    pid = post.process.pid
    provoly.fail("POST", "/events/alert", after=lambda: os.kill(pid, signal.SIGKILL))
    (a,) = post.raise_("a")
    post.wait_dead()
    post.start("pcc")
    post.close(a)
    _done(post)
    assert [e["status"] for e in provoly.events.values()] == ["DONE"]
    assert provoly.refusals == []
    assert not [c for c in provoly.calls if c[0] == "PUT" and not c[1].endswith("/close")]


def test_a_new_target_is_told_what_stands_and_not_what_is_over(post: Post, provoly: ProvolyStandin) -> None:
    provoly.add_equipment("C1")
    over, stands = post.raise_("over", "stands")
    post.close(over)
    post.acknowledge(stands)
    _run(post, provoly)
    _done(post)
    assert [e["externalSourceRef"] for e in provoly.events.values()] == [f"vigie-{stands}"]


# --- work orders


def test_an_intervention_is_sent_once_and_followed_to_its_end(post: Post, provoly: ProvolyStandin) -> None:
    provoly.add_equipment("C-306", externalId="C1")
    _run(post, provoly)
    (a,) = post.raise_("a")
    alarm = request_intervention(post.store, a, "anne", {"target": "pcc", "comment": "porte forcée", "fault": "Armoire au noir"})
    assert alarm.work_orders[0]["status"] == "WANTED"
    with pytest.raises(WrongUse, match="not over"):
        request_intervention(post.store, a, "luc", {"target": "pcc"})
    until(lambda: post.store.get(a).work_orders[0]["status"] == "ASKED", told=lambda: (post.details("target:pcc"), post.said()))
    (service,) = provoly.services.values()
    assert (service["id"], service["equipment"], service["status"]) == ("DI00000001@vigie", "C-306", "ASKED")
    assert service["description"] == "Armoire au noir – porte forcée – alarme n° 1"
    service["status"] = "IN_PROGRESS"
    until(lambda: post.store.get(a).work_orders[0]["status"] == "IN_PROGRESS", told=post.said)
    service["status"] = "DONE"
    until(lambda: post.store.get(a).work_orders[0]["status"] == "DONE", told=post.said)
    told = [e.details["status"] for e in post.store.journal_of(a) if e.kind == "work_order"]
    assert told == ["WANTED", "ASKED", "IN_PROGRESS", "DONE"]
    assert len(post.store.get(a).work_orders) == 1
    # The first is over: a second is another one.
    request_intervention(post.store, a, "anne", {"target": "pcc"})
    until(lambda: set(provoly.services) == {"DI00000001@vigie", "DI00000001-2@vigie"}, told=post.said)
    assert provoly.refusals == []


def test_an_order_that_was_taken_before_a_kill_is_not_set_back(post: Post, provoly: ProvolyStandin) -> None:
    provoly.add_equipment("C1")
    _run(post, provoly)
    assert post.process is not None
    pid = post.process.pid
    provoly.fail("POST", "/services", after=lambda: os.kill(pid, signal.SIGKILL))
    (a,) = post.raise_("a")
    request_intervention(post.store, a, "anne", {"target": "pcc"})
    post.wait_dead()
    provoly.services["DI00000001@vigie"]["status"] = "IN_PROGRESS"
    post.start("pcc")
    until(lambda: post.store.get(a).work_orders[0]["status"] == "IN_PROGRESS", told=post.said)
    assert [c for c in provoly.calls if c[:2] == ("POST", "/services")] == [("POST", "/services", 204)]


def test_an_order_about_unknown_equipment_is_refused_on_the_alarm(post: Post, provoly: ProvolyStandin) -> None:
    _run(post, provoly)
    (a,) = post.raise_("a")
    request_intervention(post.store, a, "anne", {"target": "pcc"})
    until(lambda: post.store.get(a).work_orders[0]["status"] == "REFUSED", told=post.said)
    assert post.store.get(a).work_orders[0]["reason"] == "l’équipement C1 n’est pas connu de l’hyperviseur"


def test_the_maintenance_system_is_asked_by_a_signed_message(post: Post, receiver: WebhookServer) -> None:
    state = {"status": "ASKED"}
    receiver.answer = lambda request: state if request.method == "GET" else {"ref": "OT-7"}
    target = {
        "target": "cmms", "type": "cmms", "url": f"{receiver.url}/orders", "status_url": f"{receiver.url}/orders/{{ref}}",
        "secret": "HOOK", "poll": "PT1S",
    }  # fmt: skip
    post.declare(target)
    post.start()
    (a,) = post.raise_("a")
    receiver.fail("POST", "/orders", status=503)
    request_intervention(post.store, a, "anne", {"target": "cmms", "comment": "vite"}, instance="vigie")
    until(lambda: post.store.get(a).work_orders[0].get("remote_ref") == "OT-7", told=post.said)
    posted = [r for r in receiver.received if r.body]
    assert [r.headers["webhook-id"] for r in posted] == ["DI00000001@vigie"]
    assert posted[0].document["data"]["order"]["comment"] == "vite"
    state["status"] = "DONE"
    until(lambda: post.store.get(a).work_orders[0]["status"] == "DONE", told=post.said)


def _ordered(post: Post, ref: str, **more: Any) -> Ordered:
    now = int(time.time() * 1_000_000)
    values = dict.fromkeys(Ordered._fields) | {
        "feed": "gmao", "source": "gis", "intervention_ref": ref, "requested_at": now, "published_at": now, **more,
    }  # fmt: skip
    return Ordered(**values)


def test_an_order_of_a_feed_is_linked_to_the_alarms_of_its_equipment_once(post: Post) -> None:
    a, b = post.raise_("a", "b")
    (other,) = post.raise_("c", asset=("gis", "C2"))
    post.close(b)
    told = note_order(post.store, _ordered(post, "OT-1", asset_ref="C1", status="ASKED"))
    assert [(e.alarm_id, e.kind) for e in told] == [(a, "work_order")]
    assert note_order(post.store, _ordered(post, "OT-1", asset_ref="C1", status="ASKED")) == []
    arrived = int(time.time() * 1_000_000)
    assert len(note_order(post.store, _ordered(post, "OT-1", asset_ref="C1", arrived_at=arrived, crew="équipe 2"))) == 1
    (order,) = post.store.get(a).work_orders
    assert (order["status"], order["crew"], order["ref"]) == ("IN_PROGRESS", "équipe 2", "OT-1")
    assert post.store.get(other).work_orders == []
    # Another system's code of the same equipment, by the referential.
    post.con.execute("INSERT INTO alerts.equipment (source, asset_ref, asset_id) VALUES ('gmao', 'X9', 'gis:C2')")
    assert [e.alarm_id for e in note_order(post.store, _ordered(post, "OT-2", source="gmao", asset_ref="X9"))] == [other]
    # What was finished before the alarm began is about something else; what names nothing is about nothing.
    assert note_order(post.store, _ordered(post, "OT-3", asset_ref="C1", restored_at=1)) == []
    assert note_order(post.store, _ordered(post, "OT-4")) == []


def test_an_order_we_asked_for_is_recognised_when_a_feed_tells_of_it(post: Post) -> None:
    (a,) = post.raise_("a")
    request_intervention(post.store, a, "anne", {"target": "pcc"})
    post.close(a)  # also once the alarm is closed: the crew is still on its way
    told = note_order(post.store, _ordered(post, "DI00000001@vigie", status="IN_PROGRESS"))
    assert [e.alarm_id for e in told] == [a]
    (order,) = post.store.get(a).work_orders
    assert (order["target"], order["status"], order["asked_by"]) == ("pcc", "IN_PROGRESS", "anne")
    (kept,) = post.con.execute("SELECT state FROM alerts.remote").fetchall()
    assert kept["state"]["status"] == "IN_PROGRESS"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"name": "n" * 51}, "at most 50"),
        ({"criticality": "URGENT"}, "'LOW', 'MEDIUM' or 'HIGH'"),
        ({"equipmentId": "0c728960-d5fd-49ea-8fe8-f72cb9cfcccd"}, "not exists"),
        ({"category": "PANNE"}, "category PANNE"),
        ({"category": "ANOMALY"}, "category ANOMALY"),
        ({"externalSourceRef": "vigie-1"}, "must provide an equipment"),
        ({"priority": 1}, "Extra inputs"),
        ({"name": "taken"}, "already exists"),
    ],
)
def test_the_stand_in_refuses_what_the_hypervisor_does(provoly: ProvolyStandin, body: dict[str, Any], told: str) -> None:
    form = {"grant_type": "client_credentials", "client_id": "vigie", "client_secret": CLIENT_SECRET}
    token = httpx.post(f"{provoly.url}/token", data=form).json()["access_token"]
    good = {"name": "taken", "description": "d", "address": "a", "criticality": "LOW", "category": "LIMIT", "type": "ALERT"}
    assert httpx.post(f"{provoly.url}/events", json=good).status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.post(f"{provoly.url}/events", json=good, headers=headers).status_code == 201
    refused = httpx.post(f"{provoly.url}/events", json={**good, "name": "another", **body}, headers=headers)
    assert refused.status_code in {400, 403}
    assert told in refused.text


def test_a_secret_never_stands_in_the_store(post: Post, provoly: ProvolyStandin, tmp_path: Path) -> None:
    _run(post, provoly)
    post.raise_("a")
    _done(post)
    rows = [
        *post.con.execute("SELECT * FROM alerts.remote").fetchall(),
        *post.con.execute("SELECT * FROM alerts.heartbeat").fetchall(),
        *post.con.execute("SELECT * FROM alerts.delivery_cursor").fetchall(),
    ]
    assert len(rows) >= 3
    assert CLIENT_SECRET not in str(rows)
