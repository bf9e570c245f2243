"""LoRaWAN events become the rows that docs/formats/lorawan.md says."""

from __future__ import annotations

import copy
import json
from typing import Any, Final

import pytest

from ingestion.formats.lorawan import decode
from ingestion.formats.wire import AssetRow, ObservationRow, WireBatch, WireOptions
from tests.unit.wire_corpus.lorawan import THINGS_UP, UP

# 2026-11-22T05:00:00Z
FIVE: Final = 1_795_323_600_000_000
ARRIVAL: Final = FIVE + 60_000_000
DEVICE: Final = "70B3D57ED005B89A"
INFO: Final = {"devEui": "70b3d57ed005b89a", "deviceName": "Cuve 12", "deviceProfileName": "EM400"}


def run(event: Any, *, topic: str | None = None, received_at: int | None = ARRIVAL, **options: Any) -> WireBatch:
    batch = WireBatch()
    payload = event if isinstance(event, bytes) else json.dumps(event).encode()
    decode(payload, batch, after=0, received_at=received_at, topic=topic, options=WireOptions(**options))
    return batch


def seen(batch: WireBatch) -> dict[str, tuple[float | None, str | None, str | None]]:
    return {o.property: (o.value, o.value_text, o.unit) for o in batch.observations}


def chirpstack(**members: Any) -> dict[str, Any]:
    return {"deduplicationId": "d-1", "time": "2026-11-22T05:00:00Z", "deviceInfo": INFO, **members}


def things(**uplink: Any) -> dict[str, Any]:
    message = copy.deepcopy(THINGS_UP)
    message["uplink_message"] |= uplink
    return message


def reasons(batch: WireBatch) -> list[tuple[str, str]]:
    return [(r.scope, r.reason) for r in batch.rejects]


def test_an_uplink_becomes_the_codecs_values_and_the_best_gateways_radio_quality() -> None:
    batch = run(UP, units={"distance": "mm", "tilt.x": "deg"})
    assert seen(batch) == {
        "distance": (0.812, None, "m"),
        "position": (None, "normal", None),
        "tilt.x": (1.5, None, "deg"),
        "tilt.y": (0, None, None),
        "rssi": (-97.0, None, "dBm"),
        "snr": (4.25, None, "dB"),
    }
    assert {(o.asset_ref, o.observed_at, o.message_id, o.quality) for o in batch.observations} == {
        (DEVICE, FIVE + 123_456, "3ac7e3c4-4401-4b8d-9386-a5c902f9202d", None)
    }
    assert batch.assets == [AssetRow(1, DEVICE, "bin", name="Cuve 12", model="EM400", identity=DEVICE)]
    assert not batch.rejects


def test_the_same_uplink_again_gives_the_same_rows_whenever_it_arrives() -> None:
    for event in (UP, THINGS_UP):
        first, again = run(event, received_at=ARRIVAL), run(event, received_at=ARRIVAL + 3_600_000_000)
        assert first.observations == again.observations
        assert first.assets == again.assets
    # and read slowly (spaces, a list of one) as read fast
    assert run([UP]).observations == run(UP).observations == run(json.dumps(UP, indent=1).encode()).observations


def test_the_things_stack_says_the_same_of_the_device() -> None:
    batch = run(THINGS_UP)
    assert seen(batch) == {"distance": (812, None, None), "rssi": (-97.0, None, "dBm"), "snr": (4.25, None, "dB")}
    # the network server's clock, not the application server's; the frame's own number
    assert {(o.asset_ref, o.observed_at, o.message_id) for o in batch.observations} == {
        (DEVICE, FIVE + 1_250_000, "AXA50tHUGUucuzS/bCGMNw==:7")
    }
    assert batch.assets == [AssetRow(1, DEVICE, "device", name="cuve-12", longitude=4.3631, latitude=48.9567, identity=DEVICE)]


def test_the_best_gateway_has_the_highest_rssi_and_an_absent_snr_of_lora_is_zero() -> None:
    heard = [{"rssi": -90}, {"rssi": -70}, {"snr": 9.0}, {"rssi": -70, "snr": -1.5}]
    lora = {"modulation": {"lora": {}}}
    assert seen(run(chirpstack(rxInfo=heard, txInfo=lora))) == {"rssi": (-70, None, "dBm"), "snr": (-1.5, None, "dB")}
    assert seen(run(chirpstack(rxInfo=heard[:1], txInfo=lora)))["snr"] == (0.0, None, "dB")
    assert "snr" not in seen(run(chirpstack(rxInfo=heard[:1], txInfo={"modulation": {"fsk": {}}})))
    assert seen(run(things(rx_metadata=[{"channel_rssi": -55}])))["rssi"] == (-55, None, "dBm")


def test_values_of_all_kinds() -> None:
    found = {
        "on": True,
        "off": False,
        "none": None,
        "empty": "",
        "list": [],
        "history": [{"t": 1}, {"t": 2}],
        "big": 2**60 + 1,
        "deep": {"a": {"b": {"c": {"d": 1}}}},
        "rssi": -3,
    }
    assert seen(run(chirpstack(object=found, data="qg=="))) == {
        "on": (1.0, "true", None),
        "off": (0.0, "false", None),
        "history": (None, '[{"t":1},{"t":2}]', None),
        "big": (float(2**60), str(2**60 + 1), None),
        "deep.a.b.c": (None, '{"d":1}', None),
        "object.rssi": (-3, None, None),
    }


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"margin": 10, "batteryLevel": 88.5},
            {"battery_level": (88.5, None, "%"), "external_power": (0.0, "false", None), "margin": (10.0, None, "dB")},
        ),
        # protobuf leaves out zeros: a margin of 0 dB; the level that is not measured is no level of 0
        ({"batteryLevelUnavailable": True}, {"external_power": (0.0, "false", None), "margin": (0.0, None, "dB")}),
        ({"externalPowerSource": True, "margin": -4}, {"external_power": (1.0, "true", None), "margin": (-4.0, None, "dB")}),
        ({"devAddr": "00189440"}, {"join": (1.0, "00189440", None)}),
        ({"queueItemId": "q", "acknowledged": True}, {"downlink": (None, "acknowledged", None)}),
        ({"queueItemId": "q", "fCntDown": 3}, {"downlink": (None, "not_acknowledged", None)}),
        ({"downlinkId": 9, "queueItemId": "q", "gatewayId": "g"}, {"downlink": (None, "sent", None)}),
        (
            {"level": "ERROR", "code": "UPLINK_CODEC", "description": "TypeError"},
            {"log.level": (None, "ERROR", None), "log.code": (None, "UPLINK_CODEC", None), "log.description": (None, "TypeError", None)},
        ),
        (
            {"location": {"latitude": 48.5, "longitude": 4.25, "altitude": 120.5, "accuracy": 30}},
            {
                "longitude": (4.25, None, "deg"),
                "latitude": (48.5, None, "deg"),
                "altitude": (120.5, None, "m"),
                "location_accuracy": (30.0, None, "m"),
            },
        ),
        (
            {"integrationName": "loracloud", "eventType": "modem", "object": {"temp": {"value": 25}}},
            {"loracloud.modem.temp.value": (25, None, None)},
        ),
    ],
)
def test_other_events_of_chirpstack_are_told_by_their_members(members: dict[str, Any], expected: dict[str, Any]) -> None:
    batch = run(chirpstack(**members))
    assert seen(batch) == expected
    assert not batch.rejects
    # where a device was found to be does not describe it: the next uplink, which says nothing of it, would undo that
    assert batch.assets == [AssetRow(1, DEVICE, "device", name="Cuve 12", model="EM400", identity=DEVICE)]


def test_a_topic_or_a_webhooks_query_names_the_event_and_the_device() -> None:
    # a status of which all members are zero says nothing by itself
    bare = {"time": "2026-11-22T05:00:00Z"}
    assert reasons(run(bare)) == [("record", "not_an_event")]
    assert reasons(run(chirpstack())) == [("record", "unknown_event")]
    expected = {"external_power": (0.0, "false", None), "margin": (0.0, None, "dB")}
    assert seen(run(chirpstack(), topic="ingest/capteurs?event=status")) == expected
    batch = run(bare, topic="application/17c82e96/device/70b3d57ed005b89a/event/status")
    assert seen(batch) == expected
    assert batch.observations[0].asset_ref == DEVICE
    assert not batch.assets


@pytest.mark.parametrize(
    ("event", "property_", "secret"),
    [
        (chirpstack(data="qg==", fPort=1, rxInfo=[{"rssi": -36, "snr": 10.5}]), "object", "qg=="),
        (chirpstack(data="qg==", object={}, rxInfo=[{"rssi": -36, "snr": 10.5}]), "object", "qg=="),
        (things(decoded_payload=None), "decoded_payload", "A2fuAA=="),
    ],
)
def test_an_uplink_that_was_not_decoded_says_so_and_keeps_its_radio_quality(event: dict[str, Any], property_: str, secret: str) -> None:
    batch = run(event)
    assert set(seen(batch)) == {"rssi", "snr"}
    assert reasons(batch) == [("value", "no_decoded_payload")]
    (reject,) = batch.rejects
    assert "codec" in reject.detail
    assert "payload formatter" in reject.detail
    assert reject.original is not None
    assert secret in json.loads(reject.original)[property_].values()


def test_an_uplink_without_payload_has_nothing_to_decode() -> None:
    assert not run(chirpstack(rxInfo=[{"rssi": -36}])).rejects
    assert reasons(run(things(decoded_payload=None, app_s_key={"key": "x"}))) == [("value", "encrypted")]


def test_warnings_and_downlinks_of_the_things_stack() -> None:
    batch = run(
        things(decoded_payload_warnings=["battery low"], last_battery_percentage={"value": 99.5, "received_at": "2026-11-21T05:00:00Z"})
    )
    assert seen(batch)["decoded_payload_warnings"] == (None, '["battery low"]', None)
    (battery,) = (o for o in batch.observations if o.property == "battery_level")
    # it repeats in each uplink: one observation, at its own instant, whatever the uplink
    assert battery == ObservationRow(1, DEVICE, "battery_level", FIVE - 86_400_000_000, 99.5, None, "%")
    base = {"end_device_ids": {"device_id": "d", "application_ids": {"application_id": "a"}}, "received_at": "2026-11-22T05:00:00Z"}
    failed = {"downlink_failed": {"downlink": {}, "error": {"name": "too_long", "message_format": "payload is too long"}}}
    batch = run({**base, **failed})
    assert seen(batch) == {"downlink": (None, "failed", None), "downlink.error": (None, "payload is too long", None)}
    assert batch.observations[0].asset_ref == "d@a"
    assert seen(run({**base, "downlink_nack": {"f_port": 1}})) == {"downlink": (None, "not_acknowledged", None)}
    assert seen(run({**base, "location_solved": {"location": {"latitude": 1.5}}}))["longitude"] == (0.0, None, "deg")
    assert seen(run({**base, "service_data": {"service": "gls", "data": {"n": 2}}})) == {"gls.n": (2, None, None)}


def test_a_normalized_payload_has_the_units_of_its_schema() -> None:
    measured = [{"air": {"temperature": 20.5, "pressure": 1013}, "time": "2026-11-22T04:00:00Z"}, {"soil": {"ec": 2}, "battery": 3.5}]
    batch = run(things(decoded_payload=None, normalized_payload=measured), units={"battery": "V"})
    assert {k: v for k, v in seen(batch).items() if k not in {"rssi", "snr"}} == {
        "air_temperature": (20.5, None, "Cel"),
        "atmospheric_pressure": (101_300.0, None, "Pa"),
        "soil_conductivity": (2000.0, None, "uS/cm"),
        "battery": (3.5, None, "V"),
    }
    # a measurement's own time wins, for the schema says what it is
    assert {o.property: o.observed_at for o in batch.observations if o.property in {"air_temperature", "battery"}} == {
        "air_temperature": FIVE - 3_600_000_000,
        "battery": FIVE + 1_250_000,
    }
    assert not batch.rejects


def test_tags_and_attributes_called_like_columns_describe_the_asset() -> None:
    tags = {"asset_type": "bin", "parent_ref": "PAV-7", "longitude": "4.3631", "latitude": "48.9567", "colour": "green"}
    (asset,) = run(chirpstack(devAddr="a", deviceInfo={**INFO, "tags": tags})).assets
    assert asset == AssetRow(
        1, DEVICE, "bin", parent_ref="PAV-7", name="Cuve 12", longitude=4.3631, latitude=48.9567, model="EM400", identity=DEVICE
    )
    (asset,) = run(things(attributes={"asset-type": "bin", "identity": "SIG-12"}, version_ids={"brand_id": "b", "model_id": "m"})).assets
    assert (asset.asset_type, asset.identity, asset.model) == ("bin", "SIG-12", "b m")
    batch = run(chirpstack(devAddr="a", deviceInfo={**INFO, "tags": {"longitude": "4,36", "latitude": "48.9"}}))
    assert reasons(batch) == [("value", "invalid_geometry")]
    assert batch.assets[0].longitude is None
    batch = run(chirpstack(devAddr="a", deviceInfo={**INFO, "tags": {"installed_on": "31/01/2026"}}))
    assert reasons(batch) == [("value", "not_a_day")]


def test_the_arrival_dates_what_states_no_time_and_nothing_replaces_one_that_cannot_be_read() -> None:
    event = chirpstack(object={"t": 1})
    del event["time"]
    (row,) = run(event).observations
    assert (row.observed_at, row.quality) == (ARRIVAL, "uncertain")
    assert reasons(run(event, received_at=None)) == [("record", "no_instant")]
    assert run({**event, "rxInfo": [{"nsTime": "2026-11-22T05:00:00Z"}]}).observations[0].observed_at == FIVE
    for time in ("2026-11-22T05:00:00", "demain", "1850-01-01T00:00:00Z", "2026-11-22", "2026-11-22x05:00:00Z"):
        assert reasons(run(chirpstack(object={"t": 1}, time=time))) == [("record", "not_an_instant")]


def test_personal_members_are_in_no_row_and_no_reject() -> None:
    event = chirpstack(object={"badge": {"holder": "Anne"}, "log": [{"holder": "Anne"}], "t": 1}, data="qg==")
    batch = run(event, personal=frozenset({"deviceName", "badge.holder", "log.holder"}))
    assert set(seen(batch)) == {"t", "log"}
    assert batch.assets[0].name is None
    assert "Anne" not in repr(batch)
    broken = run(chirpstack(deviceInfo={"devEui": "12", "deviceName": "Anne"}), personal=frozenset({"deviceName"}))
    assert reasons(broken) == [("record", "no_device")]
    assert "Anne" not in repr(broken)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b'{"deviceInfo": {"devEui": "70b3d57ed005b89a"}, "time": "2026-11-22T05:00:00Z", "object": {"t": 1, "t": 2}}', "duplicate_key"),
        (
            b'{"deviceInfo": {"devEui": "70b3d57ed005b89a"}, "time": "2026-11-22T05:00:00Z", "object": {"t": [{"a":1,"a":2}]}}',
            "duplicate_key",
        ),
        (b'{"deviceInfo": {"devEui": "70b3d57ed005b89a"}, "object": {"t": 1}, "object": {"t": 2}}', "duplicate_key"),
        (chirpstack(object={"t": [[[[[1]]]]]}), "too_deep"),
        (chirpstack(object={str(n): n for n in range(1_001)}), "too_many_values"),
        (chirpstack(object=[1]), "not_an_object"),
        (chirpstack(object={" ": 1}), "no_name"),
        (chirpstack(object={"t": "x" * 40_000}), "text_too_long"),
        (chirpstack(deviceInfo={"devEui": 12}), "invalid_event"),
        (chirpstack(deviceInfo={"deviceName": "x"}), "no_device"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(event: Any, reason: str) -> None:
    batch = run(event, max_depth=5)
    assert [r.reason for r in batch.rejects] == [reason]
    assert not batch.observations


def test_a_message_may_hold_several_events() -> None:
    batch = WireBatch()
    payload = json.dumps([UP, 7, {"result": THINGS_UP}]).encode()
    assert decode(payload, batch, after=4, received_at=None, options=WireOptions()) == 3
    assert {o.position for o in batch.observations} == {5, 7}
    assert [(r.position, r.reason) for r in batch.rejects] == [(6, "not_an_event")]
    assert reasons(run([UP, UP], max_records=1)) == [("record", "too_many")]
    assert reasons(run(UP, max_bytes=100)) == [("record", "too_large")]


def test_what_the_console_of_the_things_stack_exports_is_read() -> None:
    export = {
        "name": "as.up.data.forward",
        "time": "2026-11-22T05:00:01Z",
        "identifiers": [{"device_ids": THINGS_UP["end_device_ids"]}],
        "data": {"@type": "type.googleapis.com/ttn.lorawan.v3.ApplicationUp", **THINGS_UP},
        "correlation_ids": ["gs:uplink:01K9"],
    }
    assert run(export) == run(THINGS_UP)
    assert run([export, export]).observations[-1].position == 2
    assert reasons(run({**export, "data": {"device_id": "d"}})) == [("record", "invalid_event")]


def test_a_location_that_the_platform_read_in_the_codecs_values_is_told_once() -> None:
    values = {"latitude": 48.5, "longitude": 4.25, "sats": 7}
    place = {"latitude": 48.5, "longitude": 4.25, "source": "SOURCE_GPS"}
    batch = run(things(decoded_payload=values, locations={"frm-payload": place}))
    assert seen(batch)["latitude"] == (48.5, None, "deg")
    assert seen(batch)["longitude"] == (4.25, None, "deg")
    assert sorted(o.property for o in batch.observations if "itude" in o.property) == ["latitude", "longitude"]
    # another solver's is another value: both are told, by names of their own
    batch = run(things(decoded_payload=values, locations={"lora-cloud": {**place, "latitude": 48.75}}))
    assert seen(batch)["latitude"] == (48.75, None, "deg")
    assert seen(batch)["object.latitude"] == (48.5, None, None)


def test_what_the_codec_and_the_normalized_payload_say_alike_is_told_once() -> None:
    """A Tektelic Vivid's codec says relative_humidity, as the schema's name is here."""
    values = {"ambient_temperature": 25.3, "battery": 3.026, "relative_humidity": 44.5}
    normalized = [{"air": {"relativeHumidity": 44.5, "temperature": 25.3}, "battery": 3.026}]
    batch = run(things(decoded_payload=values, normalized_payload=normalized, rx_metadata=[]), units={"battery": "V"})
    assert sorted((o.property, o.value, o.unit) for o in batch.observations) == [
        ("air_temperature", 25.3, "Cel"),
        ("ambient_temperature", 25.3, None),
        ("battery", 3.026, "V"),
        ("relative_humidity", 44.5, "%"),
    ]
    # a fraction where the schema has percent: another value, by a name of its own
    batch = run(things(decoded_payload={"relative_humidity": 0.445}, normalized_payload=normalized, rx_metadata=[]))
    assert seen(batch)["relative_humidity"] == (44.5, None, "%")
    assert seen(batch)["object.relative_humidity"] == (0.445, None, None)
    # of a name without unit in the schema, the contract means the codec's
    batch = run(things(decoded_payload={"battery": 98}, normalized_payload=normalized, rx_metadata=[]), units={"battery": "%"})
    assert seen(batch)["battery"] == (98, None, "%")
    assert seen(batch)["normalized_payload.battery"] == (3.026, None, None)
    # measured at another instant: nothing to settle
    earlier = [{"time": "2026-11-22T04:00:00Z", **normalized[0]}]
    batch = run(things(decoded_payload=values, normalized_payload=earlier, rx_metadata=[]))
    assert sum(o.property == "relative_humidity" for o in batch.observations) == 2
