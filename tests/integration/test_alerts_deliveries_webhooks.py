"""Webhooks from a real journal to a real receiver: signed, in order, tried again, given up with a reason, through SIGKILL."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from orchestration.alerts.deliveries import signing
from orchestration.alerts.deliveries.ledger import dead_letters, send_again
from tests.deliveries import WEBHOOK_SECRET, Post
from tests.webhook_server import Fault, WebhookServer, until

pytest_plugins = ("tests.deliveries", "tests.webhook_server", "tests.streams")


def _webhook(receiver: WebhookServer, name: str = "hook", **more: Any) -> dict[str, Any]:
    return {"target": name, "type": "webhook", "url": f"{receiver.url}/in", "secret": "HOOK", "timeout_s": 1, **more}


def _connect(post: Post) -> Any:
    return lambda: contextlib.nullcontext(post.con)


def test_every_line_comes_once_in_order_and_signed(post: Post, receiver: WebhookServer) -> None:
    post.raise_("before")  # what was said before the target was known is not for it
    post.declare(_webhook(receiver), instance="vigie-chalons")
    post.start("hook")
    a, b = post.raise_("a", "b")
    post.acknowledge(a)
    post.end("a")
    until(lambda: len(receiver.received) == 5, told=post.said)
    until(lambda: post.is_done("hook"))

    journal = [(e.seq, e.alarm_id, str(e.kind)) for e in post.store.journal_after(1)]
    assert sorted(receiver.lines) == journal
    of_a = [kind for _, alarm_id, kind in receiver.lines if alarm_id == a]
    assert of_a == ["raised", "acknowledged", "returned", "closed"]
    assert [alarm_id for _, alarm_id, _ in receiver.lines].count(b) == 1
    key = signing.key(WEBHOOK_SECRET, "HOOK")
    for message in receiver.received:
        assert signing.is_ours(key, message.headers, message.body, time.time())
        assert message.headers["webhook-id"] == f"vigie-chalons-{message.document['data']['seq']}"
    last = max(receiver.received, key=lambda m: m.line)
    assert last.document["type"] == "alarm.closed"
    assert last.document["data"]["alarm"]["title"] == "Armoire hors tension"
    assert last.document["data"]["alarm"]["state"] == "closed"
    assert post.stop() == 0
    assert WEBHOOK_SECRET not in post.said()
    assert WEBHOOK_SECRET[6:] not in post.said()


def test_a_filter_passes_over_what_it_does_not_take(post: Post, receiver: WebhookServer) -> None:
    post.declare(
        _webhook(receiver, "raised", filter={"kinds": ["raised"], "domains": ["EP"]}),
        _webhook(receiver, "urgent", filter={"priority": 1}),
        _webhook(receiver, "other", filter={"domains": ["VP"]}),
        _webhook(receiver, "second-channel", filter={"escalations_only": True}),
    )
    names = ("raised", "urgent", "other", "second-channel")
    post.start(*names)
    (a,) = post.raise_("a")
    assert post.store.get(a).priority == 2
    post.acknowledge(a)
    until(lambda: all(post.is_done(name) for name in names), told=post.said)
    assert [kind for _, _, kind in receiver.lines] == ["raised"]


def test_a_retry_of_one_alarm_keeps_its_order_and_holds_up_no_other(post: Post, receiver: WebhookServer) -> None:
    post.declare(_webhook(receiver))
    post.start("hook")
    ids: set[str] = set()
    failing = Fault(lambda r: r.headers["webhook-id"] in ids, times=10**6, status=500)
    receiver.faults.append(failing)
    ids |= {f"vigie-{seq}" for seq in (1, 2)}  # of the first alarm: raised, acknowledged
    (a,) = post.raise_("a")
    post.acknowledge(a)
    b, c = post.raise_("b", "c")
    post.close(b)
    until(lambda: len(receiver.received) == 3, told=post.said)
    assert {alarm_id for _, alarm_id, _ in receiver.lines} == {b, c}
    until(lambda: post.cursor("hook") == {"seq": 0, "state": {**post.cursor("hook")["state"], "done": [[3, 5]]}})
    until(lambda: post.details("target:hook").get("trouble") == "answered 500")
    assert post.details("target:hook")["waiting"] == 2
    assert "trouble" not in post.details("deliveries")
    failing.times = 0
    until(lambda: post.is_done("hook"), told=post.said)
    assert [kind for _, alarm_id, kind in receiver.lines if alarm_id == a] == ["raised", "acknowledged"]
    assert len(receiver.received) == 5


def test_what_is_refused_is_a_dead_letter_at_once_and_can_be_sent_again(post: Post, receiver: WebhookServer) -> None:
    post.declare(_webhook(receiver))
    post.start("hook")
    receiver.fail("POST", "/in", status=422, body="what is an alarm?")
    (a,) = post.raise_("a")
    until(lambda: post.is_done("hook"), told=post.said)
    (letter,) = dead_letters(_connect(post), target="hook")
    assert (letter.seq, letter.tries, letter.reason) == (1, 1, "answered 422: what is an alarm?")
    assert letter.body["data"]["alarm"]["alarm_id"] == a
    assert receiver.received == []
    assert dead_letters(_connect(post), target="other") == []

    assert send_again(_connect(post), [letter.dead_letter_id]) == 1
    until(lambda: receiver.lines == [(1, a, "raised")], told=post.said)
    until(lambda: not post.con.execute("SELECT * FROM alerts.remote").fetchall())
    assert dead_letters(_connect(post)) == []


def test_what_is_refused_again_comes_back(post: Post, receiver: WebhookServer) -> None:
    post.declare(_webhook(receiver))
    post.start("hook")
    receiver.fail("POST", "/in", status=410, times=2)
    post.raise_("a")
    until(lambda: bool(dead_letters(_connect(post))), told=post.said)
    send_again(_connect(post), [dead_letters(_connect(post))[0].dead_letter_id])
    until(lambda: [d.reason for d in dead_letters(_connect(post))] == ["answered 410"], told=post.said)
    assert not post.con.execute("SELECT * FROM alerts.remote").fetchall()
    assert receiver.received == []


def test_a_redirect_is_not_followed(post: Post, receiver: WebhookServer) -> None:
    post.declare(_webhook(receiver))
    post.start("hook")
    receiver.fail("POST", "/in", status=307, headers={"location": f"{receiver.url}/elsewhere"})
    post.raise_("a")
    until(lambda: bool(dead_letters(_connect(post))), told=post.said)
    assert dead_letters(_connect(post))[0].reason == "answered 307: it wants to be asked elsewhere; write the final address"
    assert receiver.received == []


def test_an_answer_is_read_no_further_than_needed(post: Post, receiver: WebhookServer) -> None:
    receiver.answer = "x" * 20_000_000
    post.declare(_webhook(receiver, timeout_s=30))
    post.start("hook")
    post.raise_("a")
    until(lambda: post.is_done("hook"), told=post.said)
    receiver.fail("POST", "/in", status=400, body="y" * 20_000_000)
    post.raise_("b")
    until(lambda: bool(dead_letters(_connect(post))), told=post.said)
    assert dead_letters(_connect(post))[0].reason == "answered 400: " + "y" * 200 + "…"
    assert len(receiver.received) == 1


def test_a_pause_that_is_asked_for_is_kept(post: Post, receiver: WebhookServer) -> None:
    post.declare(_webhook(receiver))
    post.start("hook")
    receiver.fail("POST", "/in", status=429, headers={"retry-after": "3"})
    before = time.monotonic()
    post.raise_("a")
    until(lambda: post.is_done("hook"), told=post.said)
    # The first retry would come within one second otherwise.
    assert receiver.received[0].at - before >= 3.0


def test_what_is_too_old_is_given_up_after_three_tries(post: Post, receiver: WebhookServer) -> None:
    post.declare(_webhook(receiver, give_up_after="PT1S"))
    post.start("hook")
    receiver.fail("POST", "/in", status=503, times=10**6)
    post.raise_("a")
    until(lambda: bool(dead_letters(_connect(post))), told=post.said)
    assert dead_letters(_connect(post))[0].tries >= 3
    until(lambda: post.is_done("hook"))


def test_a_target_that_is_away_delays_no_other_and_loses_nothing(post: Post, receiver: WebhookServer) -> None:
    away = WebhookServer()  # not started yet: nobody listens there
    post.declare(_webhook(away, "away"), _webhook(receiver))
    post.start("away", "hook")
    post.raise_(*(f"k{i}" for i in range(30)))
    until(lambda: post.is_done("hook"), told=post.said)
    assert sorted(receiver.lines) == [(e.seq, e.alarm_id, str(e.kind)) for e in post.store.journal_after(0)]
    assert len(receiver.received) >= 30
    assert not post.is_done("away")
    until(lambda: post.details("target:away").get("trouble") == "cannot be reached (ConnectError)")
    away.start()
    try:
        until(lambda: post.is_done("away"), told=post.said)
        assert sorted(away.lines) == sorted(receiver.lines)
    finally:
        away.stop()


def test_killed_at_any_moment_it_loses_nothing_and_repeats_with_the_same_id(post: Post, receiver: WebhookServer) -> None:
    post.declare(_webhook(receiver))
    post.start("hook")
    for round_ in range(6):
        seen = len(receiver.received)
        post.raise_(*(f"k{round_}-{i}" for i in range(40)))
        until(lambda seen=seen: len(receiver.received) > seen + 5, told=post.said)  # in the midst of sending
        post.kill()
        post.start("hook")
    until(lambda: post.is_done("hook"), told=post.said)
    assert {seq for seq, _, _ in receiver.lines} == set(range(1, post.store.last_seq() + 1))
    by_id: dict[str, set[bytes]] = {}
    for message in receiver.received:
        by_id.setdefault(message.headers["webhook-id"], set()).add(message.body)
    assert all(len(bodies) == 1 for bodies in by_id.values())


def test_a_file_of_targets_is_read_when_it_changes_and_a_wrong_one_changes_nothing(post: Post, receiver: WebhookServer) -> None:
    post.start()
    until(lambda: post.details("deliveries") == {"targets": 0}, told=post.said)
    post.declare(_webhook(receiver))
    until(lambda: post.cursor("hook") is not None, told=post.said)
    post.declare(_webhook(receiver, prioritiy=1))
    until(lambda: "prioritiy" in post.details("deliveries").get("problem", ""), told=post.said)
    post.raise_("a")
    until(lambda: len(receiver.received) == 1, told=post.said)
    post.declare()
    until(lambda: post.details("deliveries") == {"targets": 0}, told=post.said)
    assert post.details("target:hook") == {}


def test_a_secret_that_is_not_set_is_told_and_waited_for(post: Post, receiver: WebhookServer) -> None:
    post.declare(_webhook(receiver, secret="MISSING"))
    post.start("hook")
    post.raise_("a")
    until(lambda: "the secret MISSING is not set" in (post.details("target:hook").get("trouble") or ""), told=post.said)
    secrets = post.settings.home / "secrets.toml"
    secrets.write_text(secrets.read_text().replace("\n[feeds]", f'\n[feeds]\nMISSING = "{WEBHOOK_SECRET}"'))
    until(lambda: len(receiver.received) == 1, told=post.said)


def test_only_one_process_sends(post: Post, receiver: WebhookServer) -> None:
    post.declare(_webhook(receiver))
    post.start("hook")
    first = post.process
    post.start()
    second, post.process = post.process, first
    assert second is not None
    try:
        until(lambda: "another process is sending" in post.said())
        post.raise_("a")
        until(lambda: post.is_done("hook"), told=post.said)
        assert len(receiver.received) == 1
        post.kill()
        post.raise_("b")
        until(lambda: len(receiver.received) == 2, told=post.said)  # the second takes over
    finally:
        second.kill()
        second.wait()


def test_lines_are_heard_on_the_broker_over_mqtt_and_nats(post: Post, new_stream_server: Any) -> None:
    # The instance's own broker is where its settings say: this one listens there.
    import asyncio

    import aiomqtt

    server = new_stream_server()
    server.listens = type(server.listens)(post.settings.nats_port or 0, post.settings.mqtt_port, post.settings.nats_monitor_port)
    password = post.settings.nats_password.get_secret_value()
    server.broker = type(server.broker)(post.settings.nats_url, "vigie", password)
    server.mqtt_port = server.listens.mqtt
    server.start()
    post.declare({"target": "topics", "type": "broker"})
    post.start("topics")

    async def main() -> list[str]:
        async with aiomqtt.Client("127.0.0.1", port=server.mqtt_port, username="vigie", password=password) as client:
            await client.subscribe("alerts/EP/+/#")
            (alarm_id,) = await asyncio.to_thread(post.raise_, "a")
            await asyncio.to_thread(post.acknowledge, alarm_id)
            heard: list[str] = []
            async for message in client.messages:
                heard.append(f"{message.topic} {message.payload!r}"[:70])
                if len(heard) == 2:
                    break
            return heard

    heard = asyncio.run(asyncio.wait_for(main(), 30))
    assert [h.split()[0] for h in heard] == ["alerts/EP/2/1"] * 2
    assert '"type":"alarm.raised"' in heard[0]
    assert '"type":"alarm.acknowledged"' in heard[1]
    server.kill()
    post.raise_("b")
    until(lambda: post.details("target:topics").get("trouble"), told=post.said)
    server.start()
    until(lambda: post.is_done("topics"), told=post.said)


def test_when_the_store_is_killed_everything_waits_and_nothing_is_lost(post: Post, receiver: WebhookServer) -> None:
    post.declare(_webhook(receiver))
    post.start("hook")
    post.raise_("a")
    until(lambda: len(receiver.received) == 1, told=post.said)
    # The server ends every connection at once, as it does when one of its own processes is killed.
    post.con.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vigie-deliveries'")
    post.raise_("b", "c")
    until(lambda: post.is_done("hook"), told=post.said)
    journal = [(e.seq, e.alarm_id, str(e.kind)) for e in post.store.journal_after(0)]
    assert sorted(set(receiver.lines)) == journal
    assert post.process is not None
    assert post.process.poll() is None
