"""TALQ: what log reports and announcements become, computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.contracts.units import UNITS
from ingestion.feeds.load import load_feed
from ingestion.formats import talq
from ingestion.formats.talq_names import LAKE_NAMES, MODEL
from ingestion.formats.wire import ObservationRow, WireBatch, WireOptions
from ingestion.landing import preview
from tests.unit.wire_corpus.talq import AT, event, report, value

EXAMPLE = Path(__file__).resolve().parents[2] / "ingestion/feeds/examples/talq-eclairage.yaml"
SEVEN = 1_767_596_400_000_000  # 2026-01-05T07:00:00Z
ARRIVAL = SEVEN + 60_000_000
GATEWAY = "log-reports?clientAddress=gateway-1&talqRequestId=r"
EVENTS = """
    absoluteLampPowerTooHigh absoluteLampPowerTooLow dimmingFailure powerFactorTooLow lampFailure invalidLampType highTemperature
    relayFailure lampPowerTooHigh lampPowerTooLow controlGearCommFailure cyclingFailure supplyLoss supplyVoltageTooHigh
    supplyVoltageTooLow contactorError lampUnexpectedOn leakageDetected currentTooHigh currentTooLow lampVoltageTooHigh lampVoltageTooLow
""".split()


def decoded(payload: Any, *, topic: str | None = GATEWAY, received_at: int | None = ARRIVAL, **options: Any) -> tuple[int, WireBatch]:
    batch = WireBatch()
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return talq.decode(body, batch, after=0, received_at=received_at, topic=topic, options=WireOptions(**options)), batch


def rows(payload: Any, **others: Any) -> list[ObservationRow]:
    _, batch = decoded(payload, **others)
    assert batch.rejects == []
    return batch.observations


def reasons(payload: Any, **others: Any) -> list[tuple[str, str]]:
    records, batch = decoded(payload, **others)
    assert len({r.position for r in batch.rejects if r.scope == "record"}) <= records
    return [(r.scope, r.reason) for r in batch.rejects]


def test_a_value_is_in_the_unit_of_the_data_model_and_at_the_instant_it_was_measured() -> None:
    measured = {**value("totalPower", 1.5), "timestamp": "2026-01-05T09:00:00Z"}
    assert rows(report(measured, value("temperature", 31), value("pm2-5", 12.5))) == [
        ObservationRow(1, "lamp-7", "active_power", SEVEN, 1500.0, None, "W"),
        ObservationRow(2, "lamp-7", "temperature", SEVEN, 31.0, None, "Cel"),
        ObservationRow(3, "lamp-7", "pm2-5", SEVEN, 12.5, None, "ug/m3"),
    ]


@pytest.mark.parametrize("form", ["flat", "wrapped", "array of reports", "array of entries", "unusual"])
def test_every_form_of_a_report_says_the_same(form: str) -> None:
    entries = [value("activePower", 41.5), event("lampFailure", startEndFlag=True)]
    payload: Any = {
        "flat": {"address": "l", "entries": entries},
        "wrapped": {"address": "l", "entries": [{"cmsRefId": "x", "data": e} for e in entries]},
        "array of reports": [{"address": "l", "entries": [e]} for e in entries],
        "array of entries": entries,
        "unusual": {"address": "l", "entries": [{**e, "vendor": {"a": [1]}} for e in entries]},
    }[form]
    assert rows(payload) == [
        ObservationRow(1, "lamp-7", "active_power", SEVEN, 41.5, None, "W"),
        ObservationRow(2, "lamp-7", "lampFailure", SEVEN, 1.0, "start"),
    ]


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_of_a_lamp_begins_and_ends(name: str) -> None:
    begins, ends, told = (event(name, **flag) for flag in ({"startEndFlag": True}, {"startEndFlag": False}, {}))
    assert [row[2:6] for row in rows(report(begins, ends, told))] == [
        (name, SEVEN, 1.0, "start"), (name, SEVEN, 0.0, "stop"), (name, SEVEN, 1.0, "occurred"),
    ]  # fmt: skip


def test_an_event_keeps_what_people_are_told_and_what_was_logged_with_it() -> None:
    told = [{"description": "Plus de tension", "lang": "fr"}, {"description": "No supply", "lang": "en"}]
    logged = [
        {"tag": "supplyVoltage", "value": {"value": 12.5, "timestamp": "2026-01-05T06:59:00Z"}},
        {"value": {"type": "AttributeString", "value": "L1"}, "srcAddress": "cabinet-1/meter"},
        {"tag": "odd", "value": {"value": 3}},
    ]
    _, batch = decoded(report(event("supplyLoss", startEndFlag=True, info=told, attributes=logged)))
    assert batch.observations == [
        ObservationRow(1, "lamp-7", "supplyLoss", SEVEN, 1.0, "start"),
        ObservationRow(1, "lamp-7", "supplyLoss.info.fr", SEVEN, None, "Plus de tension"),
        ObservationRow(1, "lamp-7", "supplyLoss.info.en", SEVEN, None, "No supply"),
        ObservationRow(1, "lamp-7", "supplyLoss.supplyVoltage", SEVEN - 60_000_000, 12.5, None, "V"),
        ObservationRow(1, "cabinet-1", "supplyLoss.2", SEVEN, None, "L1"),
    ]
    assert [(r.scope, r.reason) for r in batch.rejects] == [("value", "unknown_unit")]


def test_a_change_of_state_keeps_command_and_state() -> None:
    change = {**event("lightStateChange"), "type": "StateChangeEventLogData", "command": {"state": {"level": 40}}, "state": {"level": 38}}
    assert [row[2:7] for row in rows(report(change), units={"lightStateChange.state.level": "%"})] == [
        ("lightStateChange", SEVEN, 1.0, "occurred", None),
        ("lightStateChange.command", SEVEN, None, '{"state":{"level":40}}', None),
        ("lightStateChange.state.level", SEVEN, 38.0, None, "%"),
        ("lightStateChange.state", SEVEN, None, '{"level":38}', None),
    ]


def test_values_of_each_kind() -> None:
    kinds = [value("powerSource", "Mains"), value("lampFailure", True), value("calendars", ["a", "b"]), value("operatingHours", "12.5")]
    assert [row[2:7] for row in rows(report(*kinds))] == [
        ("powerSource", SEVEN, None, "Mains", None),
        ("lampFailure", SEVEN, 1.0, "true", None),
        ("calendars", SEVEN, None, '["a","b"]', None),
        ("operatingHours", SEVEN, 45_000.0, None, "s"),
    ]
    (large,) = rows(report(value("activeEnergy", 2**53 + 1)))
    assert large.value_text == "9007199254740993"


def test_a_unit_that_nobody_states_is_a_rejection_until_the_contract_states_it() -> None:
    payload = report(value("totalActivePower", 153.3))
    assert reasons(payload) == [("record", "unknown_unit")]
    assert rows(payload, units={"totalActivePower": "kW"})[0][2:7] == ("totalActivePower", SEVEN, pytest.approx(153_300), None, "W")
    # What the contract states of this gateway comes before the model, by either name.
    for name in ("activePower", "active_power"):
        assert rows(report(value("activePower", 0.2)), units={name: "kW"})[0][4:7] == (200.0, None, "W")


def test_units_are_those_the_lake_knows_and_names_are_the_lakes() -> None:
    assert {a.conversion for a in MODEL.values()} <= set(UNITS.values())
    assert LAKE_NAMES.keys() <= MODEL.keys()
    assert "levelHighThreshold" not in MODEL, "metres of filling, or lux of light"


def test_instants_come_from_the_value_then_the_entry_then_its_envelope_then_the_arrival() -> None:
    bare = {**value("activePower", 1.0), "attributeValue": {"value": 1.0}}
    later = "2026-01-05T07:00:01Z"
    entries = [{**bare, "timestamp": AT}, {"data": bare, "timestamp": later}, {"data": {**bare, "timestamp": AT}, "timestamp": later}, bare]
    expected = [(SEVEN, None), (SEVEN + 1_000_000, None), (SEVEN, None), (ARRIVAL, "uncertain")]
    assert [(row.observed_at, row.quality) for row in rows({"entries": entries})] == expected
    assert reasons({"entries": [bare]}, received_at=None) == [("record", "no_instant")]
    assert reasons(report({**bare, "timestamp": "hier"})) == [("record", "not_an_instant")]


def test_a_time_without_zone_is_the_contracts_and_refused_where_clocks_change() -> None:
    def local(at: str) -> bytes:
        return report({**event("deviceReset"), "timestamp": at})

    assert rows(local("2026-07-05T09:00:00"), time_zone="Europe/Paris")[0].observed_at == 1_783_234_800_000_000
    for at in ("2026-10-25T02:30:00", "2026-03-29T02:30:00"):
        assert reasons(local(at), time_zone="Europe/Paris") == [("record", "ambiguous_time")]


def test_functions_of_one_device_are_told_apart_where_they_share_a_name() -> None:
    lamp, other = "lamp-7/fLampMonitorId_1", "lamp-7/fLampMonitorId_2"
    one, two = ({**value("activePower", 40.5), "srcAddress": a} for a in (lamp, other))
    assert [row.property for row in rows(report(one, two))] == ["active_power@fLampMonitorId_1", "active_power@fLampMonitorId_2"]
    # The second is told by its number, whichever message it comes in.
    assert [row.property for row in rows(report(two))] == ["active_power@fLampMonitorId_2"]
    assert [row.property for row in rows(report(one))] == ["active_power"]
    assert [row.property for row in rows(report({**event("lampFailure"), "srcAddress": other}))] == ["lampFailure@fLampMonitorId_2"]
    meter = {**value("supplyVoltage", 230.5), "srcAddress": "lamp-7/meter"}
    assert {row.property for row in rows(report(meter, value("supplyVoltage", 231.5)))} == {
        "supplyVoltage@meter", "supplyVoltage@lampMonitor1",
    }  # fmt: skip


def test_one_bad_entry_leaves_the_others() -> None:
    records, batch = decoded(report(value("activePower", 1.0), None, {"data": 3}, {**event("x"), "srcAddress": " "}, event("supplyLoss")))
    assert records == 5
    assert [row.position for row in batch.observations] == [1, 5]
    assert [(r.position, r.reason) for r in batch.rejects] == [(2, "not_an_entry"), (3, "unknown_type"), (4, "no_address")]
    assert all(r.original is not None for r in batch.rejects)


def test_an_empty_report_says_that_the_gateway_lives() -> None:
    assert rows(report()) == [ObservationRow(1, "gateway-1", "log_report", ARRIVAL, 0.0, None, "{count}", "uncertain")]
    assert reasons(report(), topic=None) == [("record", "empty")]


def test_a_device_becomes_an_asset_known_by_its_customers_code() -> None:
    functions = [
        {"id": "lamp", "type": "LampMonitorFunction", "activePower": {"value": 41.5, "timestamp": AT}, "numberOfLamps": {"value": 1}},
        {
            "id": "basic", "type": "BasicFunction", "assetId": {"value": "PL-7"}, "serial": {"value": "S-1"}, "hwType": {"value": "H"},
            "installationDate": {"value": "2025-06-01T00:30:00+02:00"}, "location": {"value": {"latitude": 48.95, "longitude": 4.36}},
        },
    ]  # fmt: skip
    device = {"address": "lamp-7", "name": "Lampe 7", "class": "Luminaire", "functions": functions}
    records, batch = decoded([device])
    assert (records, batch.rejects) == (1, [])
    assert batch.observations == [ObservationRow(1, "lamp-7", "active_power", SEVEN, 41.5, None, "W")]
    (asset,) = batch.assets
    assert (asset.asset_ref, asset.asset_type, asset.name, asset.identity, asset.model) == ("lamp-7", "Luminaire", "Lampe 7", "PL-7", "H")
    assert (asset.longitude, asset.latitude, asset.installed_on) == (4.36, 48.95, "2025-06-01")
    # A part (PATCH) does not replace the whole description.
    _, batch = decoded([device], topic="devices?clientAddress=g&method=PATCH")
    assert batch.assets == []
    assert reasons([{**device, "functions": []}], topic="devices?method=PATCH") == [("record", "only_part")]
    # Where the path names it, the body need not.
    whole = {"class": "Luminaire", "name": "x"}
    assert decoded(whole, topic="devices/lamp-7?clientAddress=g&deviceAddress=lamp-7")[1].assets[0].asset_ref == "lamp-7"


def test_services_and_classes_are_told_of_the_gateway() -> None:
    said = [{"name": "DataCollectService"}, {"name": "Lum", "functions": [{"functionId": "b", "type": "BasicFunction"}]}]
    assert [row[1:3] + row[5:6] for row in rows(said)] == [
        ("gateway-1", "service.DataCollectService", "announced"), ("gateway-1", "device_class.Lum", "BasicFunction"),
    ]  # fmt: skip
    assert reasons(said, topic=None) == [("record", "no_address")] * 2


def test_what_is_personal_is_neither_stored_nor_quoted() -> None:
    secret = {"tag": "badge", "value": {"value": "B-12"}}
    opened = event("cabinetDoorOpen", startEndFlag=True, attributes=[secret])
    records, batch = decoded(report(value("badge", "B-12"), opened, {**opened, "srcAddress": ""}), personal=frozenset({"badge"}))
    assert (records, [row.property for row in batch.observations]) == (3, ["cabinetDoorOpen"])
    assert [r.reason for r in batch.rejects] == ["personal", "no_address"]
    assert "B-12" not in f"{batch.rejects}{batch.observations}"


def test_a_name_said_twice_is_refused() -> None:
    twice = report(value("activePower", 41.5)).replace(b'"value": 41.5', b'"value": 41.5, "value": 3.5')
    assert reasons(twice) == [("record", "duplicate_key")]


def test_bounds_hold() -> None:
    assert reasons(report(*[event("x")] * 3), max_records=2) == [("record", "too_many")]
    assert reasons(report(event("x")), max_bytes=10) == [("record", "too_large")]
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    assert reasons(report(value("a", deep))) == [("record", "too_deep")]


def test_a_file_of_reports_is_staged_by_the_shipped_contract(tmp_path: Path, extension_directory: Path) -> None:
    messages = [
        report(value("activePower", 41.5), event("lampFailure", startEndFlag=True), value("vendor", 3)),
        report(event("supplyLoss")),
    ]
    (path := tmp_path / "reports.jsonl").write_bytes(b"\n".join(messages))
    shown = preview(load_feed(EXAMPLE), path, extension_directory=extension_directory)
    assert (shown.received, shown.accepted, shown.rejected, shown.reasons) == (4, 3, 1, {"unknown_unit": 1})
    assert [(r["asset_ref"], r["property"], r["value"], r["value_text"], r["unit"]) for r in shown.rows] == [
        ("lamp-7", "active_power", 41.5, None, "W"),
        ("lamp-7", "lampFailure", 1.0, "start", None),
        ("lamp-7", "supplyLoss", 1.0, "occurred", None),
    ]


SCALARS = st.one_of(st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5))
STAMPS = st.sampled_from([AT, "2026-01-05T08:00:00+01:00", "2026-01-05T07:00:00", "", "hier"])
SOURCES = st.sampled_from(["lamp-7", "lamp-7/a1", "lamp-7/a2", "lamp-7/b", " lamp-8 ", "/"])
NAMES = st.sampled_from(["activePower", "totalPower", "supplyVoltage", "lampFailure", "vendor", " ", "temperature "])
ENTRIES = st.one_of(
    st.builds(
        lambda src, name, of, at: {
            "type": "AttributeLogData", "srcAddress": src, "timestamp": AT, "attributeName": name,
            "attributeValue": {"value": of, "timestamp": at},
        },
        SOURCES, NAMES, SCALARS, STAMPS,
    ),
    st.builds(
        lambda src, name, flag, at: {"type": "EventLogData", "srcAddress": src, "timestamp": at, "eventType": name, "startEndFlag": flag},
        SOURCES, NAMES, st.booleans(), STAMPS,
    ),
)  # fmt: skip


@given(entries=st.lists(ENTRIES, min_size=1, max_size=6), is_wrapped=st.booleans())
def test_the_quick_way_says_what_the_slow_one_says(entries: list[dict[str, Any]], is_wrapped: bool) -> None:
    quick = [{"data": e, "timestamp": AT} for e in entries] if is_wrapped else entries
    # A member that no norm knows sends the message the slower way.
    slow = [{**e, "vendor": 1} for e in quick]
    (records, one), (others, other) = (decoded({"address": "l", "entries": e}) for e in (quick, slow))
    assert records == others == len(entries)
    assert one.observations == other.observations
    assert [r[:4] for r in one.rejects] == [r[:4] for r in other.rejects]


def test_an_attribute_whose_type_says_percent_needs_no_other_unit() -> None:
    dimmed = value("vendorDimLevel", 80)
    dimmed["attributeValue"]["type"] = "AttributePercent"
    assert [row[2:7] for row in rows(report(dimmed))] == [("vendorDimLevel", SEVEN, 80.0, None, "%")]
    # what the contract states of it comes first
    assert rows(report(dimmed), units={"vendorDimLevel": "W"})[0][4:7] == (80.0, None, "W")
    assert reasons(report(value("vendorDimLevel", 80))) == [("record", "unknown_unit")]


def test_a_weight_is_in_kilograms_as_the_model_says() -> None:
    assert [row[2:7] for row in rows(report(value("weight", 12.5)))] == [("weight", SEVEN, 12.5, None, "kg")]


def test_a_device_that_asks_for_an_address_is_none_yet() -> None:
    device = {"address": "00000000-0000-0000-0000-000000000000", "name": "Passerelle", "class": "Gateway", "functions": []}
    assert reasons([device], topic="devices?clientAddress=00000000-0000-0000-0000-000000000000") == [("record", "no_address")]
    _, batch = decoded([{**device, "address": "6df4b4cd-da48-4448-bfd7-bba3f5216bf2"}], topic="devices")
    assert [a.asset_ref for a in batch.assets] == ["6df4b4cd-da48-4448-bfd7-bba3f5216bf2"]
