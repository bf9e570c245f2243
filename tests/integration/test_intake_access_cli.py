"""`vigie feeds access`: what an integrator is told, and what is not printed unless asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestration.cli.main import main
from tests.stream_instance import StreamInstance

pytest_plugins = ("tests.stream_instance",)


def access(instance: StreamInstance, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["--home", str(instance.settings.home), "feeds", "access", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_what_is_needed_to_connect_is_shown_and_the_password_only_when_asked(
    stream_instance: StreamInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    stream_instance.write_contract("lights", ["lights/+/state", "cab/#"])
    code, out, _ = access(stream_instance, capsys, "lights", "--json")
    document: dict[str, Any] = json.loads(out)
    assert code == 0
    assert document["mqtt"] == {
        "host": "127.0.0.1", "port": stream_instance.mqtt_port,
        "version": "3.1.1", "tls": False, "user": "lights", "topics": ["lights/+/state", "cab/#"],
    }  # fmt: skip
    assert document["http"]["url"] == f"http://127.0.0.1:{stream_instance.settings.intake_port}/ingest/lights"
    assert document["password"] is None
    password = stream_instance.passwords["lights"]
    _, table, _ = access(stream_instance, capsys, "lights")
    assert "lights/+/state, cab/#" in table
    assert password not in table
    assert password in access(stream_instance, capsys, "lights", "--show-secret")[1]
    assert json.loads(access(stream_instance, capsys, "lights", "--json", "--show-secret")[1])["password"] == password


def test_a_feed_that_is_not_sent_or_not_let_in_is_told_why(stream_instance: StreamInstance, capsys: pytest.CaptureFixture[str]) -> None:
    stream_instance.write_contract("lights", ["lights/#"])
    stream_instance.write_contract("more-lights", ["lights/1"])
    code, _, err = access(stream_instance, capsys, "more-lights")
    assert code == 2
    assert "overlaps lights/# of feed lights" in err
    code, _, err = access(stream_instance, capsys, "sf-311")
    assert code == 2
    assert "is not sent" in err
    code, _, err = access(stream_instance, capsys, "lihgts")
    assert code == 2
    assert "lights" in err


def test_a_running_broker_lets_a_new_feed_in_at_once(stream_instance: StreamInstance, capsys: pytest.CaptureFixture[str]) -> None:
    stream_instance.start()
    assert stream_instance.intake_process is not None
    stream_instance.intake_process.kill()  # which would do it too, a little later
    stream_instance.write_contract("lights", ["lights/#"])
    assert access(stream_instance, capsys, "lights")[0] == 0
    log = (stream_instance.settings.logs_path / "nats.log").read_text()
    assert "Reloaded: authorization users" in log
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="d")
    client.username_pw_set("lights", stream_instance.passwords["lights"])
    client.connect(stream_instance.host, stream_instance.mqtt_port)
    client.loop_start()
    try:
        client.publish("lights/1", b"x", qos=1).wait_for_publish(timeout=20)
        assert client.is_connected()
    finally:
        client.disconnect()
        client.loop_stop()
