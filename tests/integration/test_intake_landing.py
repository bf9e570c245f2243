"""From a system's POST to the lake's raw tables: through the real intake, the real broker and the stream's reader."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from ingestion.feeds.load import load_feed
from ingestion.lake.session import EngineLimits
from ingestion.stream.names import PARTITIONS
from ingestion.stream.partition import ONCE, read_partitions
from tests.lakes import Lakes
from tests.stream_instance import StreamInstance
from tests.unit.wire_corpus import cap, lorawan, talq

pytest_plugins = ("tests.lakes", "tests.stream_instance")

LIMITS: Final = EngineLimits(memory_limit="512MB", threads=1)
ENTITY: Final = {
    "id": "urn:ngsi-ld:Streetlight:7",
    "type": "Streetlight",
    "powerState": {"type": "Property", "value": "on", "observedAt": talq.AT},
}
LD: Final = {"id": "urn:n:1", "type": "Notification", "subscriptionId": "urn:s:1", "notifiedAt": talq.AT, "data": [ENTITY]}
V2: Final = {
    "subscriptionId": "s1",
    "data": [
        {"id": "Streetlight:8", "type": "Streetlight", "powerState": {"value": "off", "metadata": {"TimeInstant": {"value": talq.AT}}}}
    ],
}


def started(instance: StreamInstance, **formats: str) -> None:
    """Write a contract for each feed, and start."""
    for name, format_type in formats.items():
        instance.write_contract(name, [])
        path = instance.settings.feeds_path / f"{name}.yaml"
        units = "fields: [{name: distance, unit: mm}]\n" if format_type == "lorawan" else ""
        path.write_text(path.read_text().replace("type: ngsi", f"type: {format_type}") + units, encoding="utf-8")
    instance.start()


def landed(instance: StreamInstance, lakes: Lakes) -> tuple[int, ...]:
    """Read what waits; return received, stored, duplicate and rejected."""
    feeds = {path.stem: load_feed(path) for path in instance.settings.feeds_path.glob("*.yaml")}
    read_partitions(instance.broker, lakes.main, lakes.personal, lambda: feeds, range(PARTITIONS), pace=ONCE, limits=LIMITS)
    account = lakes.query("SELECT sum(received), sum(stored), sum(duplicate), sum(rejected) FROM lake.raw.landing")[0]
    return tuple(int(n) for n in account)


def observed(lakes: Lakes, *properties: str) -> list[tuple[Any, ...]]:
    wanted = ", ".join(f"'{p}'" for p in properties)
    return lakes.query(
        f"SELECT feed, asset_ref, property, value, value_text FROM lake.raw.observation WHERE property IN ({wanted}) ORDER BY ALL"
    )


def test_notifications_of_context_brokers_in_both_envelopes(stream_instance: StreamInstance, lakes: Lakes) -> None:
    started(stream_instance, orion="ngsi")
    assert stream_instance.post("orion", json.dumps(LD).encode(), Content_Type="application/ld+json").status == 202
    assert stream_instance.post("orion", json.dumps(V2).encode(), Fiware_Service="ville").status == 202
    assert landed(stream_instance, lakes) == (2, 2, 0, 0)
    assert observed(lakes, "powerState") == [
        ("orion", "Streetlight:8", "powerState", None, "off"),
        ("orion", "urn:ngsi-ld:Streetlight:7", "powerState", None, "on"),
    ]


def test_webhooks_of_lorawan_network_servers(stream_instance: StreamInstance, lakes: Lakes) -> None:
    started(stream_instance, radio="lorawan")
    token = {"Authorization": f"Bearer {stream_instance.passwords['radio']}", "Content-Type": "application/json"}
    assert stream_instance.request("POST", "/ingest/radio?event=up", json.dumps(lorawan.UP).encode(), token).status == 202
    assert stream_instance.request("POST", "/ingest/radio", json.dumps(lorawan.THINGS_UP).encode(), token).status == 202
    received, stored, duplicate, rejected = landed(stream_instance, lakes)
    assert (received, stored + duplicate, rejected) == (2, 2, 0)
    assert [row[3] for row in observed(lakes, "distance")] == [pytest.approx(0.812)] * 2
    # What the address said of the event is kept with the message.
    topics = {topic for (topic,) in lakes.query("SELECT topic FROM lake.raw.message")}
    assert topics == {"http/radio?event=up", "http/radio"}


def test_log_reports_of_a_talq_gateway(stream_instance: StreamInstance, lakes: Lakes) -> None:
    started(stream_instance, lamps="talq")
    token = {
        "Authorization": f"Bearer {stream_instance.passwords['lamps']}", "Content-Type": "application/json", "talq-api-version": "2.7.1",
    }  # fmt: skip
    body = talq.report(talq.value("activePower", 41.5), {"data": talq.event("lampFailure", startEndFlag=True)}, {"data": {}})
    path = "/talq/lamps/log-reports?clientAddress=00000000-0000-4000-8000-000000000001"
    assert stream_instance.request("POST", path, body, token).status == 201
    assert stream_instance.request("POST", path, talq.report(), token).status == 201
    assert landed(stream_instance, lakes) == (4, 3, 0, 1)
    assert observed(lakes, "active_power", "lampFailure", "log_report") == [
        ("lamps", "00000000-0000-4000-8000-000000000001", "log_report", 0.0, None),
        ("lamps", "lamp-7", "active_power", 41.5, None),
        ("lamps", "lamp-7", "lampFailure", 1.0, "start"),
    ]


def test_an_alert_in_xml(stream_instance: StreamInstance, lakes: Lakes) -> None:
    started(stream_instance, weather="cap")
    alert = cap.alert(cap.HEAD + cap.INFO).encode()
    assert stream_instance.post("weather", alert, Content_Type="application/cap+xml").status == 202
    received, stored, _, rejected = landed(stream_instance, lakes)
    assert (received, stored, rejected) == (1, 1, 0)


def test_what_is_too_deep_or_no_message_at_all_is_rejected_not_lost(stream_instance: StreamInstance, lakes: Lakes) -> None:
    """The intake looks into no body: how deep one may be is bounded by who decodes it."""
    started(stream_instance, orion="ngsi")
    for body in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 200 + b"1" + b"}" * 200, b"no JSON"):
        assert stream_instance.post("orion", body).status == 202
    assert landed(stream_instance, lakes) == (3, 0, 0, 3)
    assert lakes.query("SELECT reason, count(*) FROM lake.raw.rejected GROUP BY ALL ORDER BY ALL") == [("invalid_json", 1), ("too_deep", 2)]
    assert lakes.query("SELECT count(*), max(length(payload)) FROM lake.raw.message") == [(3, 200_000)]
