"""GTFS-Realtime: what vehicles, trips and service alerts become, computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, text_format
from google.transit.gtfs_realtime_pb2 import FeedMessage
from hypothesis import given
from hypothesis import strategies as st

from ingestion.feeds.load import load_feed
from ingestion.formats.gtfs_rt import REASONS, decode
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.landing import preview
from tests.unit.wire_corpus.gtfs_rt import ALERT, BAD, SENT, TRIP, VEHICLE, WHOLE, message

_ROOT = Path(__file__).resolve().parents[2]
_CONTRACT = _ROOT / "ingestion" / "feeds" / "examples" / "bus-temps-reel.yaml"
_AT = (SENT - 20) * 1_000_000
_Row = tuple[str, str, int, float | None, str | None, str | None, str | None]


def _decoded(sent: FeedMessage | bytes, *, received_at: int | None = None, **options: Any) -> WireBatch:
    batch = WireBatch()
    payload = sent if isinstance(sent, bytes) else sent.SerializeToString()
    decode(payload, batch, after=0, received_at=received_at, options=WireOptions(**options))
    return batch


def _rows(batch: WireBatch) -> list[_Row]:
    rows = [(o.asset_ref, o.property, o.observed_at, o.value, o.value_text, o.unit, o.quality) for o in batch.observations]
    for contract, table in batch.tables:
        assert contract == "observation"
        names = ("asset_ref", "property", "observed_at", "value", "value_text", "unit", "quality")
        rows += [tuple(row[name] for name in names) for row in table.to_pylist()]
    return rows


def _reasons(batch: WireBatch) -> list[tuple[str, str]]:
    return [(r.scope, r.reason) for r in batch.rejects]


def _changed(entity: dict[str, Any], **members: Any) -> dict[str, Any]:
    (kind, inner), *_ = entity.items()
    return {kind: {**inner, **members}}


def test_a_vehicle_becomes_observations_of_it() -> None:
    batch = _decoded(message(VEHICLE))
    assert _rows(batch) == [
        ("vehicle:B7", "latitude", _AT, 48.5, None, "deg", "good"),
        ("vehicle:B7", "longitude", _AT, 4.25, None, "deg", "good"),
        ("vehicle:B7", "bearing", _AT, 90.0, None, "deg", "good"),
        ("vehicle:B7", "speed", _AT, 5.5, None, "m/s", "good"),
        ("vehicle:B7", "trip", _AT, None, "trip:T1@20261122", None, "good"),
        ("vehicle:B7", "route_id", _AT, None, "L1", None, "good"),
        ("vehicle:B7", "stop_id", _AT, None, "S3", None, "good"),
        ("vehicle:B7", "current_status", _AT, None, "STOPPED_AT", None, "good"),
    ]
    assert [(a.asset_ref, a.asset_type, a.name) for a in batch.assets] == [("vehicle:B7", "vehicle", "Bus 7")]


@pytest.mark.parametrize(
    ("age", "quality"), [(0, "good"), (90, "good"), (91, "uncertain"), (300, "uncertain"), (301, "bad"), (86_400, "bad"), (-60, "good")]
)
def test_an_old_position_is_marked(age: int, quality: str) -> None:
    rows = _rows(_decoded(message(_changed(VEHICLE, timestamp=SENT - age))))
    assert {row[6] for row in rows} == {quality}
    assert {row[2] for row in rows} == {(SENT - age) * 1_000_000}


def test_a_position_later_than_its_message_is_rejected() -> None:
    batch = _decoded(message(_changed(VEHICLE, timestamp=SENT + 61)))
    assert _reasons(batch) == [("record", "in_the_future")]
    assert not batch.observations
    assert not batch.assets


def test_without_its_own_instant_a_position_has_that_of_the_message_else_of_its_arrival() -> None:
    undated = _changed(VEHICLE, timestamp=0)
    assert {(row[2], row[6]) for row in _rows(_decoded(message(undated)))} == {(SENT * 1_000_000, "uncertain")}
    arrived = _decoded(message(undated, sent=None), received_at=1_795_348_801_500_000)
    assert {(row[2], row[6]) for row in _rows(arrived)} == {(1_795_348_801_500_000, "uncertain")}
    assert _reasons(_decoded(message(undated, sent=None))) == [("record", "no_instant")]
    # How old a dated one is cannot be known without the message's instant.
    assert {(row[2], row[6]) for row in _rows(_decoded(message(VEHICLE, sent=None)))} == {(_AT, "uncertain")}


@pytest.mark.parametrize("instant", [SENT * 1000, 12, 1_104_537_599, 4_102_444_800])
def test_what_does_not_count_seconds_is_no_instant(instant: int) -> None:
    assert _reasons(_decoded(message(_changed(VEHICLE, timestamp=instant), sent=None))) == [("record", "not_an_instant")]
    assert _reasons(_decoded(message(VEHICLE, sent=instant))) == [("record", "not_an_instant")]


@pytest.mark.parametrize(
    "place",
    [
        {"latitude": 0, "longitude": 0},
        {"latitude": 91, "longitude": 4},
        {"latitude": "NaN", "longitude": 4},
        {"latitude": 48.5, "longitude": -181},
    ],
)
def test_a_place_that_is_none_is_set_aside_and_the_rest_stored(place: dict[str, Any]) -> None:
    batch = _decoded(message(_changed(VEHICLE, position=place)))
    assert _reasons(batch) == [("value", "invalid_position")]
    assert "stop_id" in {row[1] for row in _rows(batch)}
    assert not {"latitude", "longitude"} & {row[1] for row in _rows(batch)}


def test_a_bearing_and_a_speed_that_cannot_be_are_set_aside() -> None:
    batch = _decoded(message(_changed(VEHICLE, position={"latitude": 48.5, "longitude": 4.25, "bearing": 361, "speed": -1})))
    assert _reasons(batch) == [("value", "out_of_range"), ("value", "out_of_range")]
    assert [row[3] for row in _rows(batch)[:2]] == [48.5, 4.25]


def test_a_vehicle_is_known_by_its_id_else_its_label_its_plate_its_trip() -> None:
    position = VEHICLE["vehicle"]["position"]
    for members, ref in (
        ({"vehicle": {"label": "12"}, "position": position}, "vehicle:12"),
        ({"vehicle": {"licensePlate": "AB-123-CD"}, "position": position}, "vehicle:AB-123-CD"),
        ({"trip": {"tripId": "T9"}, "position": position}, "vehicle:trip:T9"),
    ):
        assert {row[0] for row in _rows(_decoded(message({"vehicle": members})))} == {ref}
    assert _reasons(_decoded(message({"vehicle": {"position": position}}))) == [("record", "no_vehicle")]


def test_how_full_a_train_and_its_carriages_are() -> None:
    details = [
        {"carriageSequence": 1, "occupancyPercentage": 40},
        {"carriageSequence": 2, "occupancyStatus": "FULL", "occupancyPercentage": -1},
    ]
    rows = _rows(_decoded(message({"vehicle": {"vehicle": {"id": "R1"}, "occupancyPercentage": 70, "multiCarriageDetails": details}})))
    assert [(row[1], row[3], row[4], row[5]) for row in rows] == [
        ("occupancy_percentage", 70.0, None, "%"),
        ("carriage.1.occupancy_percentage", 40.0, None, "%"),
        ("carriage.2.occupancy_status", None, "FULL", None),
    ]


def test_a_trip_becomes_its_delays_stop_by_stop() -> None:
    batch = _decoded(message(TRIP))
    assert _rows(batch) == [
        ("trip:T1", "schedule_relationship", _AT, None, "SCHEDULED", None, "good"),
        ("trip:T1", "arrival_delay.3", _AT, 60.0, "S3", "s", "good"),
        ("trip:T1", "departure_delay.3", _AT, 90.0, "S3", "s", "good"),
    ]
    assert [(a.asset_ref, a.asset_type, a.parent_ref) for a in batch.assets] == [("trip:T1", "trip", "route:L1")]


@pytest.mark.parametrize(
    ("stop", "rows"),
    [
        ({"stopSequence": 0, "arrival": {"delay": -30}}, [("arrival_delay.0", -30.0, None)]),
        ({"stopId": "S9", "departure": {"delay": 0}}, [("departure_delay.S9", 0.0, "S9")]),
        ({"stopSequence": 4, "arrival": {"delay": 5}, "departure": {"delay": 5}}, [("arrival_delay.4", 5.0, None)]),
        ({"stopSequence": 4, "arrival": {"time": SENT, "scheduledTime": SENT - 75}}, [("arrival_delay.4", 75.0, None)]),
        ({"stopSequence": 4, "arrival": {"time": SENT}}, [("arrival_time.4", None, "2026-11-22T12:00:00+00:00")]),
        ({"stopSequence": 4, "stopId": "S4"}, [("arrival_delay.4", 0.0, "S4")]),
        ({"stopSequence": 4, "scheduleRelationship": "SKIPPED"}, [("schedule_relationship.4", None, "SKIPPED")]),
        ({"stopSequence": 4, "scheduleRelationship": "NO_DATA"}, [("schedule_relationship.4", None, "NO_DATA")]),
        (
            {"stopSequence": 4, "scheduleRelationship": "UNSCHEDULED", "departure": {"time": SENT}},
            [("schedule_relationship.4", None, "UNSCHEDULED"), ("departure_time.4", None, "2026-11-22T12:00:00+00:00")],
        ),
    ],
)
def test_a_stop_says_how_late_it_is_or_that_it_is_not_served(
    stop: dict[str, Any], rows: list[tuple[str, float | None, str | None]]
) -> None:
    batch = _decoded(message(_changed(TRIP, stopTimeUpdate=[stop])))
    assert [(row[1], row[3], row[4]) for row in _rows(batch)[1:]] == rows
    assert not batch.rejects


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(-7_200, 7_200)), max_size=20, unique_by=lambda stop: stop[0]))
def test_every_stop_of_a_trip_is_told(stops: list[tuple[int, int]]) -> None:
    updates = [{"stopSequence": sequence, "arrival": {"delay": delay}} for sequence, delay in stops]
    rows = _rows(_decoded(message(_changed(TRIP, stopTimeUpdate=updates))))
    assert [(row[1], row[3]) for row in rows[1:]] == [(f"arrival_delay.{sequence}", float(delay)) for sequence, delay in stops]


def test_a_stop_that_is_not_named_or_timed_wrong_is_set_aside_alone() -> None:
    stops = [
        {"arrival": {"delay": 5}},
        {"stopSequence": 1, "arrival": {"time": 5}},
        {"stopSequence": 1, "arrival": {"time": SENT, "scheduledTime": -(2**62)}},
        {"stopSequence": 2, "arrival": {"delay": 7}},
    ]
    batch = _decoded(message(_changed(TRIP, stopTimeUpdate=stops)))
    assert _reasons(batch) == [("value", "no_stop"), ("value", "not_an_instant"), ("value", "not_an_instant")]
    assert [row[1] for row in _rows(batch)[1:]] == ["arrival_delay.2"]


def test_two_runs_of_one_trip_are_told_apart_and_a_cancelled_one_said() -> None:
    runs = [
        {"tripUpdate": {"trip": {"tripId": "T1", "startDate": "20261122", "startTime": "23:50:00"}, "delay": 120, "timestamp": SENT}},
        {"tripUpdate": {"trip": {"tripId": "T1", "startDate": "20261123", "scheduleRelationship": "CANCELED"}, "timestamp": SENT}},
    ]
    assert [(row[0], row[1], row[3], row[4]) for row in _rows(_decoded(message(*runs)))] == [
        ("trip:T1@20261122T23:50:00", "schedule_relationship", None, "SCHEDULED"),
        ("trip:T1@20261122T23:50:00", "delay", 120.0, None),
        ("trip:T1@20261123", "schedule_relationship", None, "CANCELED"),
    ]


def test_an_old_delay_is_uncertain_but_was_one() -> None:
    assert {row[6] for row in _rows(_decoded(message(_changed(TRIP, timestamp=SENT - 3_600))))} == {"uncertain"}


def test_an_alert_is_told_of_what_it_concerns_in_french() -> None:
    start = (SENT - 3_600) * 1_000_000
    assert _rows(_decoded(message(ALERT))) == [
        ("route:L1", "alert.detour", start, 1.0, "Déviation", "1", "good"),
        ("route:L1", "alert.detour.cause", start, None, "CONSTRUCTION", None, "good"),
    ]


def test_an_alert_begins_and_ends_by_its_periods() -> None:
    periods = [{"start": SENT - 7_200, "end": SENT - 3_600}, {"start": SENT + 3_600, "end": SENT + 7_200}]
    rows = _rows(_decoded(message(_changed(ALERT, activePeriod=periods))))
    levels = [(row[2] // 1_000_000 - SENT, row[3]) for row in rows if row[1] == "alert.detour"]
    assert levels == [(-7_200, 1.0), (-3_600, 0.0), (3_600, 1.0)]
    assert next(row[4] for row in rows if row[1] == "alert.detour.until") == "2026-11-22T14:00:00+00:00"


def test_an_alert_without_period_is_dated_by_its_message() -> None:
    rows = _rows(_decoded(message(_changed(ALERT, activePeriod=[]))))
    assert {(row[2], row[6]) for row in rows} == {(SENT * 1_000_000, "uncertain")}


@pytest.mark.parametrize(
    ("selector", "ref"),
    [
        ({"routeId": "L1", "agencyId": "A", "routeType": 3}, "route:L1"),
        ({"routeId": "L1", "directionId": 0}, "route:L1/direction:0"),
        ({"stopId": "S1", "routeId": "L1"}, "stop:S1/route:L1"),
        ({"trip": {"tripId": "T1", "routeId": "L1"}}, "trip:T1"),
        ({"trip": {"routeId": "L1"}}, "trip:route/L1/0"),
        ({"agencyId": "A"}, "agency:A"),
        ({"routeType": 0}, "route_type:0"),
    ],
)
def test_each_selector_narrows_what_an_alert_concerns(selector: dict[str, Any], ref: str) -> None:
    assert {row[0] for row in _rows(_decoded(message(_changed(ALERT, informedEntity=[selector]))))} == {ref}


def test_two_alerts_of_one_effect_do_not_hide_each_other() -> None:
    rows = _rows(_decoded(message(ALERT, _changed(ALERT, cause="STRIKE"))))
    assert [(row[1], row[4]) for row in rows] == [
        ("alert.detour", "Déviation"),
        ("alert.detour.cause", "CONSTRUCTION"),
        ("alert.detour@1", "Déviation"),
        ("alert.detour@1.cause", "STRIKE"),
    ]


def test_a_withdrawn_alert_is_over_and_a_withdrawn_vehicle_rejected() -> None:
    batch = _decoded(message({**ALERT, "isDeleted": True}, {"isDeleted": True}))
    assert _rows(batch)[0] == ("route:L1", "alert.detour", SENT * 1_000_000, 0.0, "Déviation", "1", "good")
    assert _reasons(batch) == [("record", "deleted")]


def test_the_three_forms_say_the_same() -> None:
    binary = _rows(_decoded(WHOLE))
    assert len(binary) == 13
    assert _rows(_decoded(json_format.MessageToJson(WHOLE).encode())) == binary
    assert _rows(_decoded(json_format.MessageToJson(WHOLE, preserving_proto_field_name=True).encode())) == binary
    assert _rows(_decoded(b"# a comment\n" + text_format.MessageToString(WHOLE).encode())) == binary


def test_unknown_fields_and_values_are_passed_over() -> None:
    extended = WHOLE.SerializeToString() + b"\xfa\x7f\x03abc"  # field 2047, of no version of the norm
    assert _rows(_decoded(extended)) == _rows(_decoded(WHOLE))
    later = message(_changed(VEHICLE, currentStatus=1)).SerializeToString().replace(b"\x20\x01\x28", b"\x20\x63\x28")
    assert "current_status" not in {row[1] for row in _rows(_decoded(later))}


def test_a_message_without_entities_says_so() -> None:
    assert _rows(_decoded(message())) == [("feed:gtfs-rt", "entities", SENT * 1_000_000, 0.0, None, "{count}", None)]


def test_bounds_hold() -> None:
    assert _reasons(_decoded(message(VEHICLE, VEHICLE), max_records=1)) == [("record", "too_many")]
    assert _reasons(_decoded(WHOLE, max_bytes=20)) == [("record", "too_large")]
    assert _reasons(_decoded(b"#" + b" " * 1_100_000 + b"\n" + text_format.MessageToString(WHOLE).encode())) == [("record", "too_large")]


def test_a_personal_plate_is_in_no_row_and_no_reject() -> None:
    for changes in ({}, {"timestamp": SENT + 3_600}):
        vehicle = {"id": "B7", "licensePlate": "AB-123-CD"}
        batch = _decoded(message(_changed(VEHICLE, vehicle=vehicle, **changes)), personal=frozenset({"license_plate"}))
        assert "AB-123" not in str(batch)


def test_every_reason_is_told() -> None:
    page = (_ROOT / "docs" / "formats" / "gtfs-rt.md").read_text(encoding="utf-8")
    told = {reject.reason for payload in BAD for reject in _decoded(payload).rejects} - {"invalid_json"}
    assert told <= set(REASONS)
    assert all(f"`{reason}`" in page for reason in REASONS)


def test_a_file_is_staged_by_the_shipped_contract(tmp_path: Path, extension_directory: Path) -> None:
    path = tmp_path / "bus.pb"
    path.write_bytes(WHOLE.SerializeToString())
    shown = preview(load_feed(_CONTRACT), path, extension_directory=extension_directory)
    assert (shown.received, shown.accepted, shown.rejected, shown.rejected_values) == (3, 3, 0, 0)
    delay = next(row for row in shown.rows if row["property"] == "arrival_delay.3")
    assert (delay["asset_ref"], delay["value"], delay["unit"], delay["value_text"]) == ("trip:T1", 60.0, "s", "S3")


def _json(head: dict[str, Any], *entities: dict[str, Any]) -> bytes:
    return json.dumps({"header": {"gtfs_realtime_version": "2.0", "timestamp": SENT, **head}, "entity": list(entities)}).encode()


def test_json_that_networks_write_of_their_own_is_read() -> None:
    """Identifiers as numbers, numbers as texts, null, names of values in small letters, -1 for no sequence."""
    vehicle = {
        "trip": {"trip_id": 417, "route_id": 30, "direction_id": -1, "start_date": "20261122"},
        "vehicle": {"id": 3340, "label": "", "license_plate": None},
        "position": {"latitude": "48.5", "longitude": 4.25, "bearing": ""},
        "current_status": "in_transit_to",
        "current_stop_sequence": -1,
        "timestamp": str(SENT - 20),
    }
    batch = _decoded(_json({}, {"id": 27, "is_deleted": "false", "trip_update": None, "vehicle": vehicle, "alert": []}))
    assert _rows(batch) == [
        ("vehicle:3340", "latitude", _AT, 48.5, None, "deg", "good"),
        ("vehicle:3340", "longitude", _AT, 4.25, None, "deg", "good"),
        ("vehicle:3340", "trip", _AT, None, "trip:417@20261122", None, "good"),
        ("vehicle:3340", "route_id", _AT, None, "30", None, "good"),
        ("vehicle:3340", "current_status", _AT, None, "IN_TRANSIT_TO", None, "good"),
    ]
    assert _reasons(batch) == []


def test_a_message_inside_an_answer_is_read() -> None:
    """With decimals of a second, and one stop where the norm has a list."""
    update = {"trip": {"trip_id": "T1"}, "timestamp": SENT - 20.5, "stop_time_update": {"stop_sequence": 17, "departure": {"delay": -50}}}
    answer = {"status": "OK", "response": json.loads(_json({"timestamp": SENT + 0.45}, {"id": "1", "trip_update": update})), "error": None}
    batch = _decoded(json.dumps(answer).encode())
    at = (SENT - 21) * 1_000_000
    assert _rows(batch) == [
        ("trip:T1", "schedule_relationship", at, None, "SCHEDULED", None, "good"),
        ("trip:T1", "departure_delay.17", at, -50.0, None, "s", "good"),
    ]


def test_an_entity_of_json_that_fits_nowhere_does_not_lose_the_others() -> None:
    good = {"vehicle": {"id": "B7"}, "position": {"latitude": 48.5, "longitude": 4.25}, "timestamp": SENT - 20}
    bad = {**good, "timestamp": "today"}
    payload = _json({}, {"id": "1", "vehicle": bad}, {"id": "2", "vehicle": good}, "three")  # type: ignore[arg-type] # what is no entity
    batch = _decoded(payload)
    assert [(o.position, o.property) for o in batch.observations] == [(2, "latitude"), (2, "longitude")]
    assert [(r.position, r.reason) for r in batch.rejects] == [(1, "invalid_entity"), (3, "invalid_entity")]
    assert "today" in str(batch.rejects[0].original)
    assert _decoded(payload, personal=frozenset({"license_plate"})).rejects[0].original is None


def test_a_header_of_json_that_fits_nowhere_refuses_the_message() -> None:
    assert _reasons(_decoded(_json({"timestamp": "today"}, {"id": "1"}))) == [("record", "not_gtfs_rt")]
