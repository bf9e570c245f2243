"""The HTTP intake on a real broker: who may post, what is refused and how, what an answer means."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.client
import ipaddress
import json
import os
import re
import ssl
import subprocess
import sys
from contextlib import closing
from typing import Any

import aiomqtt
import jsonschema
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from nats.aio.client import Client

from ingestion.stream import broker as streams
from ingestion.stream.names import INTAKE_STREAM, PARTITIONS, QUERY_HEADER, durable, feed_and_topic
from orchestration.intake.access import Rate
from orchestration.services import nats_log, nats_server
from orchestration.services.nats_config import MAX_BODY
from tests.stream_instance import StreamInstance

pytest_plugins = ("tests.stream_instance",)


def stored(instance: StreamInstance) -> dict[str, list[bytes]]:
    """Take what waits in the intake's durables, for each of their readers: topic to payloads in order."""

    async def main() -> dict[str, list[bytes]]:
        nc: Client = await streams.connect(instance.broker, reconnects=False)
        found: dict[str, list[bytes]] = {}
        for partition in range(PARTITIONS):
            reader = await nc.jetstream().pull_subscribe_bind(durable("lake", partition), INTAKE_STREAM)
            while (await reader.consumer_info()).num_pending:
                for message in await reader.fetch(1_000, timeout=10):
                    await message.ack_sync()
                    feed, topic = feed_and_topic(message.subject)
                    found.setdefault(f"{feed} {topic}", []).append(message.data)
            other = await nc.jetstream().pull_subscribe_bind(durable("alerts", partition), INTAKE_STREAM)
            while (await other.consumer_info()).num_pending:
                for message in await other.fetch(1_000, timeout=10):
                    await message.ack_sync()
        await nc.close()
        return found

    return asyncio.run(main())


@pytest.fixture
def instance(stream_instance: StreamInstance) -> StreamInstance:
    """Two feeds, broker and intake running."""
    stream_instance.write_contract("lights", ["lights/+/state"])
    stream_instance.write_contract("bins", [])
    stream_instance.start()
    return stream_instance


def test_accepted_means_stored_and_keys_keep_their_order(instance: StreamInstance) -> None:
    answers = [instance.post("lights", b"%d" % i, X_Partition_Key=f"urn:light/{i % 2}.x") for i in range(6)]
    assert [answer.status for answer in answers] == [202] * 6
    assert [answer.document["sequence"] for answer in answers] == [1, 2, 3, 4, 5, 6]
    assert instance.post("bins", b"[]").document == {"feed": "bins", "sequence": 7, "duplicate": False}
    instance.kill_broker()
    instance.start_broker()
    assert stored(instance) == {
        "lights http/urn%3Alight%2F0.x": [b"0", b"2", b"4"], "lights http/urn%3Alight%2F1.x": [b"1", b"3", b"5"], "bins http/bins": [b"[]"],
    }  # fmt: skip


def test_a_message_sent_twice_under_one_key_is_stored_once_per_feed(instance: StreamInstance) -> None:
    first, again = (instance.post("lights", b"{}", Idempotency_Key="n-1") for _ in range(2))
    other = instance.post("bins", b"{}", Idempotency_Key="n-1")
    assert [(a.status, a.document["duplicate"]) for a in (first, again, other)] == [(202, False), (202, True), (202, False)]
    assert again.document["sequence"] == first.document["sequence"] != other.document["sequence"]
    assert sum(map(len, stored(instance).values())) == 2


def test_each_refusal_says_why_and_stores_nothing(instance: StreamInstance) -> None:
    bins = instance.passwords["bins"]
    long = "x" * 201
    cases: list[tuple[int, dict[str, Any]]] = [
        (401, {"token": ""}), (401, {"token": "wrong"}), (401, {"token": "é"}), (403, {"token": bins}),
        (415, {"Content_Type": "text/csv"}), (415, {"Content_Encoding": "gzip"}),
        (400, {"X_Partition_Key": long}), (400, {"Idempotency_Key": "a b"}),
    ]  # fmt: skip
    for status, options in cases:
        answer = instance.post("lights", b"{}", **options)
        assert answer.status == status, (options, answer)
        assert set(answer.document) == {"error", "remedy"}
        assert bins not in json.dumps(answer.document)
    assert instance.post("nothing", b"{}", token=bins).status == 404
    assert instance.post("lights", b"").status == 400
    assert instance.post("lights", b"{}", token="wrong").headers["www-authenticate"] == "Bearer"
    assert stored(instance) == {}


def test_json_of_every_name_is_taken_and_what_it_holds_is_not_judged(instance: StreamInstance) -> None:
    for media_type in ("application/json; charset=utf-8", "application/ld+json", "application/senml+json"):
        assert instance.post("lights", b"not json", Content_Type=media_type).status == 202


def test_a_body_past_its_bound_is_refused_declared_or_not(instance: StreamInstance) -> None:
    assert instance.post("lights", b"x" * MAX_BODY).status == 202, "the largest that is allowed passes the broker too"
    assert instance.post("lights", b"x" * (MAX_BODY + 1)).status == 413
    assert instance.post("lights", b"x" * (3 * MAX_BODY)).status in {413, 0}, "cut off while it sends"
    with closing(http.client.HTTPConnection(instance.host, instance.settings.intake_port, timeout=30)) as connection:
        headers = {"Authorization": f"Bearer {instance.passwords['lights']}", "Content-Type": "application/json"}
        chunks = (b"x" * 65_536 for _ in range(MAX_BODY // 65_536 + 1))
        connection.request("POST", "/ingest/lights", chunks, headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    assert [len(payload) for payloads in stored(instance).values() for payload in payloads] == [MAX_BODY]


def test_a_broker_that_is_away_gives_503_and_the_intake_goes_on_by_itself(instance: StreamInstance) -> None:
    instance.kill_broker()
    answer = instance.post("lights", b"lost?")
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    instance.until(lambda: instance.get("/health").status == 503, "health says so")
    instance.start_broker()
    instance.until(lambda: instance.post("lights", b"again").status == 202, "it stores again")
    instance.until(lambda: instance.get("/health").status == 200, "health says so")


def test_contracts_and_passwords_hold_without_a_restart(instance: StreamInstance) -> None:
    assert instance.post("gauges", b"{}", token=instance.passwords["bins"]).status == 404
    instance.write_contract("gauges", ["gauges/#"])
    instance.until(lambda: "gauges" in instance.passwords and instance.post("gauges", b"{}").status == 202, "the new feed is let in")
    old = instance.passwords["gauges"]
    path = instance.settings.home / "secrets.toml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("gauges")) + "\n")
    instance.until(lambda: instance.passwords.get("gauges", old) != old, "a new password is made")
    instance.until(lambda: instance.post("gauges", b"{}", token=old).status == 401, "the old one is refused")
    assert instance.post("gauges", b"{}").status == 202
    (instance.settings.feeds_path / "gauges.yaml").unlink()
    instance.until(lambda: instance.post("gauges", b"{}", token=instance.passwords["bins"]).status == 404, "the feed is closed")


def test_feeds_that_overlap_and_broken_contracts_leave_the_others_alone(instance: StreamInstance) -> None:
    instance.write_contract("all", ["lights/#"])  # before `lights` by name, but later
    instance.until(lambda: nats_server.doors(instance.settings).problems != [], "it is told")
    (problem,) = nats_server.doors(instance.settings).problems
    assert problem == "feed all is not let in: its topic lights/# overlaps lights/+/state of feed lights; a message could be either's"
    (instance.settings.feeds_path / "lights.yaml").write_text("feed: lights\n")
    instance.until(lambda: len(nats_server.doors(instance.settings).problems) == 2, "it is told")
    assert nats_server.doors(instance.settings).feeds == {"bins": [], "lights": ["lights/+/state"]}
    assert instance.post("lights", b"{}").status == 202
    assert instance.post("all", b"{}", token=instance.passwords["bins"]).status == 404


def test_a_full_stream_gives_503_and_takes_again_what_fits_once_it_was_read(instance: StreamInstance) -> None:
    async def bound(max_bytes: int) -> None:
        nc = await streams.connect(instance.broker, reconnects=False)
        config = (await nc.jetstream().stream_info(INTAKE_STREAM)).config
        config.max_bytes = max_bytes
        await nc.jetstream().update_stream(config)
        await nc.close()

    asyncio.run(bound(50_000))
    statuses = [instance.post("lights", b"x" * 9_000).status for _ in range(8)]
    assert statuses == [202] * 5 + [503] * 3
    (share,) = [size.share for size in streams.look(instance.broker)[1] if size.stream == INTAKE_STREAM]
    assert 0.8 < share <= 1
    assert sum(map(len, stored(instance).values())) == 5
    instance.until(lambda: instance.post("lights", b"x" * 9_000).status == 202, "there is room")


def test_the_rate_of_a_feed_is_a_bucket_of_its_own() -> None:
    now = 100.0
    rate = Rate(per_s=2, burst=3, clock=lambda: now)
    assert [rate.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert rate.wait_s("b") == 0
    now += 0.75  # one and a half
    assert [rate.wait_s("a") for _ in range(2)] == [0, 0.25]
    now += 3600
    assert [rate.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5], "a long rest fills the bucket, and no more"


def test_a_feed_that_runs_wild_is_slowed(instance: StreamInstance) -> None:
    instance.intake_process.terminate()  # type: ignore[union-attr]  # it runs
    instance.intake_process.wait()  # type: ignore[union-attr]  # the same
    code = (
        "import uvicorn; from orchestration.intake.app import create_app; from orchestration.intake.access import Rate;"
        "from orchestration.settings import Settings; s = Settings.load();"
        "uvicorn.run(create_app(s, rate=Rate(per_s=0.1, burst=2)), host=s.intake_host, port=s.intake_port, access_log=False)"
    )
    instance.intake_process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"VIGIE_HOME": str(instance.settings.home)})
    instance.until(lambda: instance.get("/health").status == 200, "the intake is well")
    answers = [instance.post("lights", b"{}") for _ in range(3)]
    assert [answer.status for answer in answers] == [202, 202, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 10
    assert instance.post("bins", b"{}").status == 202


def test_a_certificate_encrypts_mqtt_and_its_renewal_holds_by_itself(instance: StreamInstance) -> None:
    folder = instance.settings.broker_path / "tls"
    folder.mkdir()

    def certify(name: str) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + dt.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(instance.host))]), critical=False)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        (folder / "key.pem").write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return made.public_bytes(serialization.Encoding.PEM).decode()

    def shown() -> str:
        try:
            return ssl.get_server_certificate((instance.host, instance.mqtt_port), timeout=5)
        except OSError:
            return ""

    async def publish(certificate: str) -> None:
        async with aiomqtt.Client(
            instance.host, instance.mqtt_port, username="lights", password=instance.passwords["lights"], identifier="d", timeout=10,
            tls_context=ssl.create_default_context(cadata=certificate),
        ) as mqtt:  # fmt: skip
            await mqtt.publish("lights/1/state", b"x", qos=1)

    first = certify("first")
    instance.until(lambda: shown() == first, "MQTT is encrypted")
    asyncio.run(publish(first))
    assert nats_server.mqtt_url(instance.settings).startswith("mqtts://")
    second = certify("second")
    instance.until(lambda: shown() == second, "the new certificate is shown")
    asyncio.run(publish(second))
    assert instance.post("lights", b"{}").status == 202


def test_tokens_stand_in_no_log_and_no_command_line(instance: StreamInstance) -> None:
    instance.post("lights", b"{}")
    instance.post("lights", b"{}", token="a-wrong-one")
    secrets = {*instance.passwords.values(), instance.broker.password, "a-wrong-one"}
    for name in ("nats.log", "intake.log"):
        text = (instance.settings.logs_path / name).read_text()
        assert not [secret for secret in secrets if secret in text]


def test_what_equipment_sends_in_vain_is_named(instance: StreamInstance) -> None:
    async def publish(password: str, topic: str) -> None:
        async with aiomqtt.Client(
            instance.host, instance.mqtt_port, username="lights", password=password, identifier="cabinet-7", timeout=10
        ) as mqtt:
            await mqtt.publish(topic, b"x", qos=1)

    asyncio.run(publish(instance.passwords["lights"], "lihgts/1/state"))
    with pytest.raises(aiomqtt.MqttError):
        asyncio.run(publish("wrong", "lights/1/state"))
    log = instance.settings.logs_path / "nats.log"
    publications, users = nats_log.refusals(log, since=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    assert publications == {("cabinet-7", "lihgts/1/state"): 1}
    assert users == {"lights": 1}, log.read_text()[-1000:]


def test_the_description_names_the_answers_and_holds_together(instance: StreamInstance) -> None:
    document = instance.get("/openapi.json").document
    assert {"/health", "/ingest/{feed}", "/talq/{feed}/log-reports"} <= set(document["paths"])
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path == "/health":
                continue
            assert operation["security"] == [{"HTTPBearer": []}], path
            assert {"400", "401", "403", "404", "408", "413", "415", "429", "503"} <= set(operation["responses"]), path
            assert "requestBody" in operation or method == "get"
            assert {p["name"] for p in operation["parameters"] if p["in"] == "path"} == set(re.findall(r"{(\w+)}", path)), path
            assert all("Retry-After" in operation["responses"][status]["headers"] for status in ("429", "503"))
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert reference in schemas
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for name in ("Stored", "Problem"):
        example = {member: says["examples"][0] for member, says in schemas[name]["properties"].items()}
        jsonschema.validate(example, schemas[name])
    jsonschema.validate(instance.post("lights", b"{}").document, schemas["Stored"])
    jsonschema.validate(instance.post("lights", b"{}", token="no").document, schemas["Problem"])
    # An address that is not there says so in the same words.
    for answer in (instance.get("/nothing"), instance.get("/ingest/lights")):
        assert answer.status in {404, 405}
        jsonschema.validate(answer.document, schemas["Problem"])


def test_each_format_comes_in_its_own_media_types(instance: StreamInstance) -> None:
    taken = {
        "cap": ("application/cap+xml", "text/xml", "application/atom+xml"),
        "gtfs-rt": ("application/x-protobuf", "application/octet-stream"),
        "open311": ("application/json", "application/xml; charset=utf-8"),
        "lorawan": ("application/json",),
    }
    for format_type in taken:
        instance.write_contract(format_type, [])
        path = instance.settings.feeds_path / f"{format_type}.yaml"
        contract = "report" if format_type == "open311" else "observation"
        written = path.read_text().replace("type: ngsi", f"type: {format_type}").replace("contract: observation", f"contract: {contract}")
        # A citizen's words are kept for a time that is stated.
        path.write_text(written + ("retention: P365D\n" if format_type == "open311" else ""), encoding="utf-8")
    instance.until(lambda: set(taken) <= instance.passwords.keys(), "they are let in")
    for format_type, media_types in taken.items():
        instance.until(lambda f=format_type: instance.post(f, b"x", Content_Type=taken[f][0]).status == 202, "it is known")  # type: ignore[misc] # bound at once
        for media_type in media_types:
            assert instance.post(format_type, b"x", Content_Type=media_type).status == 202, (format_type, media_type)
        refused = instance.post(format_type, b"x", Content_Type="text/csv")
        assert refused.status == 415
        assert media_types[0] in refused.document["remedy"]
    assert instance.post("cap", b"{}", Content_Type="application/json").status == 415


def test_the_query_of_an_address_is_kept_within_bounds(instance: StreamInstance) -> None:
    token = {"Authorization": f"Bearer {instance.passwords['lights']}", "Content-Type": "application/json"}
    assert instance.request("POST", "/ingest/lights?event=up&x=%C3%A9", b"{}", token).status == 202
    assert instance.request("POST", "/ingest/lights", b"{}", token).status == 202
    assert instance.request("POST", f"/ingest/lights?{'q' * 1001}", b"{}", token).status == 400

    async def queries() -> list[str | None]:
        nc = await streams.connect(instance.broker, reconnects=False)
        found = [await nc.jetstream().get_msg(INTAKE_STREAM, seq) for seq in (1, 2)]
        await nc.close()
        return [(m.headers or {}).get(QUERY_HEADER) for m in found]

    assert asyncio.run(queries()) == ["event=up&x=%C3%A9", None]
