"""SensorThings entities become the rows that docs/formats/sensorthings.md says."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.formats.sensorthings import decode
from ingestion.formats.sensorthings_names import NoUnit, unit_of
from ingestion.formats.wire import AssetRow, ObservationRow, WireBatch, WireOptions
from tests.unit.wire_corpus.sensorthings import LEVEL, SERVER, WEATHER, WELL, observation

# 2026-11-22T00:00:00Z
MIDNIGHT: Final = 1_795_305_600_000_000
HOUR: Final = 3_600_000_000
TOPIC: Final = "v1.1/Datastreams(7)/Observations"
WELL_ROW: Final = AssetRow(1, "Things(4)", "well", name="Puits 4", longitude=4.36, latitude=48.95, identity="P-004")


def run(document: Any, *, topic: str | None = None, received_at: int | None = None, **options: Any) -> tuple[int, WireBatch]:
    batch = WireBatch()
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decode(payload, batch, after=0, received_at=received_at, topic=topic, options=WireOptions(**options)), batch


def rows(batch: WireBatch) -> list[ObservationRow]:
    """Rows and columns alike, as rows in the order of their positions."""
    found = list(batch.observations)
    for contract, table in batch.tables:
        assert contract == "observation"
        found.extend(ObservationRow(row.pop("_position"), **row) for row in table.to_pylist())
    return sorted(found)


def reasons(batch: WireBatch) -> list[tuple[int, str, str]]:
    return [(r.position, r.scope, r.reason) for r in batch.rejects]


def test_an_expanded_observation_belongs_to_its_thing_in_the_lakes_unit() -> None:
    count, batch = run(observation(5, 50, Datastream=LEVEL))
    assert count == 1
    assert rows(batch) == [ObservationRow(1, "Things(4)", "water_level", MIDNIGHT + 5 * HOUR, 0.5, None, "m", None, "5")]
    assert batch.assets == [WELL_ROW]
    assert not batch.rejects


def test_a_large_page_becomes_columns_that_say_what_rows_say() -> None:
    page = {"@iot.nextLink": f"{SERVER}/Datastreams(7)/Observations?$skip=40", "value": [observation(n, n / 8) for n in range(40)]}
    count, batch = run(page, units={"Datastreams(7)": "cm"})
    assert count == 40
    assert not batch.observations
    assert len(batch.tables) == 1
    expected = [
        ObservationRow(n + 1, "Datastreams(7)", "Datastreams(7)", MIDNIGHT + n % 24 * HOUR, n / 8 / 100, None, "m", None, str(n))
        for n in range(40)
    ]
    assert [r._replace(value=round(r.value or 0.0, 9)) for r in rows(batch)] == [
        r._replace(value=round(r.value or 0.0, 9)) for r in expected
    ]
    # few of them are rows, of the same content
    for n in (0, 17):
        _, few = run({**page, "value": page["value"][n : n + 1]}, units={"Datastreams(7)": "cm"})
        assert [r._replace(position=n + 1) for r in few.observations] == [rows(batch)[n]]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(-1e9, 1e9), st.integers(-(2**60), 2**60), st.booleans(), st.none(), st.text(max_size=3)),
        min_size=32,
        max_size=40,
    )
)
def test_columns_and_rows_are_one_law(results: list[Any]) -> None:
    """Whatever stands in a page, it becomes what its observations become one by one; none is lost."""
    page = [observation(n, result) for n, result in enumerate(results)]
    count, batch = run({"value": page}, topic=TOPIC, units={"Datastreams(7)": "Cel"})
    alone = [run(one, topic=TOPIC, units={"Datastreams(7)": "Cel"})[1] for one in page]
    assert count == len(page)
    assert rows(batch) == [row._replace(position=n + 1) for n, one in enumerate(alone) for row in one.observations]
    assert reasons(batch) == [(n + 1, r.scope, r.reason) for n, one in enumerate(alone) for r in one.rejects]
    assert {r.position for r in rows(batch)} | {r.position for r in batch.rejects} == set(range(1, count + 1))


def test_an_observation_by_mqtt_takes_its_datastream_from_the_topic_and_its_unit_from_the_contract() -> None:
    message = observation(5, 50)
    _, batch = run(message, topic=TOPIC)
    assert reasons(batch) == [(1, "record", "no_unit")]
    assert "contract" in batch.rejects[0].detail
    _, batch = run(message, topic=TOPIC, units={"Datastreams(7)": "cm"})
    assert rows(batch) == [ObservationRow(1, "Datastreams(7)", "Datastreams(7)", MIDNIGHT + 5 * HOUR, 0.5, None, "m", None, "5")]
    _, batch = run(message, topic=TOPIC, units={"Datastreams(7)": "1"})
    assert rows(batch)[0].unit == "1"
    assert reasons(run(message)[1]) == [(1, "record", "no_datastream")]
    # a result that is no number needs no unit
    _, batch = run(observation(5, "open"), topic="v1.1/Datastreams('porte-1')/Observations")
    assert rows(batch)[0][1:6] == ("Datastreams('porte-1')", "Datastreams('porte-1')", MIDNIGHT + 5 * HOUR, None, "open")


def test_a_data_array_is_as_many_records_as_it_has_rows() -> None:
    components = ["phenomenonTime", "result", "id", "resultQuality", "FeatureOfInterest/id"]
    group = {"Datastream": LEVEL, "components": components, "dataArray@iot.count": 3}
    array = [["2026-11-22T01:00:00Z", 50, 11, None, 1], ["2026-11-22T02:00:00Z"], ["2026-11-22T03:00:00Z", 70, 13, "good", 1]]
    for document in ({"value": [{**group, "dataArray": array}]}, [{**group, "dataArray": array}]):
        count, batch = run(document)
        assert count == 3
        assert rows(batch) == [
            ObservationRow(1, "Things(4)", "water_level", MIDNIGHT + HOUR, 0.5, None, "m", None, "11"),
            ObservationRow(3, "Things(4)", "water_level", MIDNIGHT + 3 * HOUR, pytest.approx(0.7), None, "m", "good", "13"),
        ]
        assert reasons(batch) == [(2, "record", "invalid_data_array")]
        assert batch.assets == [WELL_ROW._replace(position=3)]
    link = {"Datastream@iot.navigationLink": "Datastreams(1)", "components": ["phenomenonTime", "result"]}
    many = [["2010-12-23T11:20:00-0700", n] for n in range(40)]
    count, batch = run({"value": [{**link, "dataArray": many}]}, units={"Datastreams(1)": "Cel"})
    assert count == 40
    assert len(batch.tables) == 1
    assert [(r.asset_ref, r.value, r.observed_at) for r in rows(batch)] == [
        ("Datastreams(1)", float(n), 1_293_128_400_000_000) for n in range(40)
    ]


def test_a_multidatastream_is_several_properties() -> None:
    _, batch = run({"value": [observation(1, [21.5, 60, "clear"], MultiDatastream=WEATHER), observation(2, [1], MultiDatastream=WEATHER)]})
    assert [(r.asset_ref, r.property, r.value, r.value_text, r.unit) for r in rows(batch)] == [
        ("MultiDatastreams(2)", "air_temperature", 21.5, None, "Cel"),
        ("MultiDatastreams(2)", "relative_humidity", 60.0, None, "%"),
        ("MultiDatastreams(2)", "sky", None, "clear", None),
    ]
    assert reasons(batch) == [(2, "record", "not_a_list")]
    _, batch = run(observation(1, [3, 4]), topic="v1.1/MultiDatastreams(2)/Observations", units={"MultiDatastreams(2).2": "V"})
    assert [(r.property, r.value, r.unit) for r in rows(batch)] == [("MultiDatastreams(2).2", 4.0, "V")]
    assert reasons(batch) == [(1, "value", "no_unit")]


def test_entities_become_assets_and_what_stands_inside_them_rows() -> None:
    thing = {**WELL, "Datastreams": [{**LEVEL, "Thing": None, "Observations": [observation(1, 10), observation(2, None)]}]}
    count, batch = run({"value": [thing]})
    assert count == 1
    assert batch.assets == [WELL_ROW]
    assert [(r.position, r.asset_ref, r.property, r.value) for r in rows(batch)] == [(1, "Things(4)", "water_level", 0.1)]
    assert reasons(batch) == [(1, "value", "no_result")]
    _, batch = run(LEVEL)
    assert batch.assets == [WELL_ROW, AssetRow(1, "Datastreams(7)", "Datastream", parent_ref="Things(4)", name="Niveau du puits 4")]
    where = {"@iot.id": "a", "name": "Mairie", "encodingType": "application/vnd.geo+json"}
    shape = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [4.5, 48.5]}}
    _, batch = run({**where, "location": shape, "Things": [{"@iot.id": 1, "name": "Sonde"}]})
    assert batch.assets == [
        AssetRow(1, "Locations('a')", "Location", name="Mairie", longitude=4.5, latitude=48.5),
        AssetRow(1, "Things(1)", "Thing", name="Sonde", longitude=4.5, latitude=48.5),
    ]
    _, batch = run({**where, "feature": shape})
    assert batch.assets == [AssetRow(1, "FeaturesOfInterest('a')", "FeatureOfInterest", name="Mairie", longitude=4.5, latitude=48.5)]


def test_a_datastream_lies_where_all_its_observations_were_made() -> None:
    def place(longitude: float) -> dict[str, Any]:
        feature = {"type": "Point", "coordinates": [longitude, 48.5]}
        return {"@iot.id": int(longitude), "name": "f", "encodingType": "application/geo+json", "feature": feature}

    stream = {k: v for k, v in LEVEL.items() if k != "Thing"}
    page = [observation(n, Datastream=stream, FeatureOfInterest=place(4)) for n in range(2)]
    _, batch = run({"value": page})
    assert batch.assets == [AssetRow(2, "Datastreams(7)", "Datastream", name="Niveau du puits 4", longitude=4.0, latitude=48.5)]
    page.append(observation(3, Datastream=stream, FeatureOfInterest=place(5)))
    assert run({"value": page})[1].assets == [AssetRow(3, "Datastreams(7)", "Datastream", name="Niveau du puits 4")]


def test_two_sensors_of_one_property_are_told_apart_by_the_contract() -> None:
    page = {"value": [observation(1, 10, Datastream=LEVEL), observation(1, 20, Datastream={**LEVEL, "@iot.id": 8})]}
    _, batch = run(page)
    assert [(r.position, r.property, r.value) for r in rows(batch)] == [(1, "water_level", 0.1)]
    assert reasons(batch) == [(2, "record", "same_property")]
    _, batch = run(page, units={"Datastreams(8)": "cm"})
    assert [(r.position, r.property, r.value) for r in rows(batch)] == [(1, "water_level", 0.1), (2, "Datastreams(8)", 0.2)]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"phenomenonTime": "2026-11-22T01:00:00Z"}, MIDNIGHT + HOUR),
        ({"phenomenonTime": "2026-11-22T01:00:00Z/2026-11-22T02:00:00+01:00"}, MIDNIGHT + HOUR),
        ({"phenomenonTime": "2026-11-22T01:00:00.123456789Z"}, MIDNIGHT + HOUR + 123_456),
        ({"resultTime": "2026-11-22T03:00:00Z"}, MIDNIGHT + 3 * HOUR),
        # the contract's zone: winter time
        ({"phenomenonTime": "2026-11-22T01:00:00"}, MIDNIGHT),
        ({}, MIDNIGHT + 9 * HOUR),
    ],
)
def test_when(stated: dict[str, str], expected: int) -> None:
    _, batch = run(
        {"result": 1, **stated}, topic=TOPIC, received_at=MIDNIGHT + 9 * HOUR, units={"Datastreams(7)": "m"}, time_zone="Europe/Paris"
    )
    (row,) = rows(batch)
    assert (row.observed_at, row.quality) == (expected, None if stated else "uncertain")


@pytest.mark.parametrize(
    "time", ["demain", "2026-10-25T02:30:00", "2026-03-29T02:30:00", "1850-01-01T00:00:00Z", "2026-11-22T01:00:00Z/PT1H"]
)
def test_an_instant_that_cannot_be_read_is_not_replaced(time: str) -> None:
    for document in (
        {"result": 1, "phenomenonTime": time, "resultTime": "2026-11-22T03:00:00Z"},
        {"value": [observation(1, phenomenonTime=time)] * 40},
    ):
        _, batch = run(document, topic=TOPIC, received_at=MIDNIGHT, units={"Datastreams(7)": "m"}, time_zone="Europe/Paris")
        assert {r.reason for r in batch.rejects} == {"not_an_instant"}
        assert not rows(batch)
    assert reasons(run({"result": 1}, topic=TOPIC, units={"Datastreams(7)": "m"})[1]) == [(1, "record", "no_instant")]


@pytest.mark.parametrize(
    ("stated", "canonical", "factor"),
    [
        ({"symbol": "°C", "definition": "http://unitsofmeasure.org/ucum.html#para-30"}, "Cel", 1.0),
        ({"symbol": "mm", "definition": "ucum:mm"}, "m", 1e-3),
        ({"symbol": "deg C", "definition": "http://qudt.org/vocab/unit/DEG_C"}, "Cel", 1.0),
        ({"symbol": "?", "definition": "http://www.qudt.org/qudt/owl/1.0.0/unit/Instances.html#DegreeCelsius"}, "Cel", 1.0),
        ({"symbol": "", "definition": "http://www.opengis.net/def/uom/UCUM/m3/h"}, "m3/s", 1 / 3600),
        ({"name": "unitless", "symbol": "", "definition": ""}, "1", 1.0),
        ({"name": "percent", "symbol": None, "definition": None}, "%", 1.0),
    ],
)
def test_units_are_read_from_definition_then_symbol_then_name(stated: dict[str, Any], canonical: str, factor: float) -> None:
    how = unit_of(stated)
    assert how is not None
    assert (how.canonical, how.factor) == (canonical, factor)


def test_a_unit_that_cannot_be_told_is_refused_unless_the_contract_states_it() -> None:
    with pytest.raises(NoUnit, match="unit_conflict"):
        unit_of({"symbol": "K", "definition": "ucum:Cel"})
    with pytest.raises(NoUnit, match="unknown_unit"):
        unit_of({"name": "furlong", "symbol": "fur"})
    stream = {**LEVEL, "unitOfMeasurement": {"name": "mètre NGF", "symbol": "m NGF", "definition": "https://example.org/ngf"}}
    assert reasons(run(observation(1, 81.5, Datastream=stream))[1]) == [(1, "record", "unknown_unit")]
    _, batch = run(observation(1, 81.5, Datastream=stream), units={"water_level": "m"})
    assert [(r.property, r.value, r.unit) for r in rows(batch)] == [("water_level", 81.5, "m")]
    counted = {
        **LEVEL,
        "unitOfMeasurement": {},
        "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_CountObservation",
    }
    assert rows(run(observation(1, 12, Datastream=counted))[1])[0].unit == "{count}"


@pytest.mark.parametrize(
    ("result", "value", "text"),
    [(True, 1.0, "true"), ({"a": [1]}, None, '{"a":[1]}'), (2**60 + 1, float(2**60) / 100, str(2**60 + 1))],
)
def test_results_of_other_types(result: Any, value: float | None, text: str | None) -> None:
    (row,) = rows(run(observation(1, result, Datastream=LEVEL))[1])
    assert (row.value, row.value_text) == (value, text)
    assert row.unit == ("m" if type(result) is int else None)


@pytest.mark.parametrize(
    ("stated", "kept"),
    [("good", "good"), ({"DQ_Status": {"code": "2"}}, "2"), ({"nameOfMeasure": "x"}, '{"nameOfMeasure":"x"}'), (None, None)],
)
def test_the_quality_of_a_result_is_kept(stated: Any, kept: str | None) -> None:
    (row,) = rows(run(observation(1, Datastream=LEVEL, resultQuality=stated))[1])
    assert row.quality == kept
    batch = run({"value": [observation(n, Datastream=LEVEL, resultQuality=stated) for n in range(40)]})[1]
    assert {r.quality for r in rows(batch)} == {kept}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b'{"value": [{"result": 1, "result": 2, "phenomenonTime": "2026-11-22T01:00:00Z"}]}', "duplicate_key"),
        (b'{"result": 1, "phenomenonTime": "2026-11-22T01:00:00Z", "phenomenonTime": "2026-11-22T02:00:00Z"}', "duplicate_key"),
        (b'{"result": [[[[[[[[[]]]]]]]]], "phenomenonTime": "2026-11-22T01:00:00Z"}', "too_deep"),
        (b'{"result": 1, "Datastream": {"@iot.id": 1, "name": "a", "name": "b"}}', "duplicate_key"),
        ({"value": []}, "empty"),
        ({"value": [1]}, "not_an_entity"),
        ({"value": [{"name": "Things", "url": "http://example.org/v1.1/Things"}]}, "not_read"),
        ({"@iot.selfLink": f"{SERVER}/Sensors(1)", "@iot.id": 1, "name": "TMP36"}, "not_read"),
        ({"@iot.selfLink": f"{SERVER}/Things(1)", "@iot.id": 1}, "not_read"),
        ({"name": "thermostat", "Locations": []}, "no_id"),
        ({"name": "thermostat"}, "unknown_entity"),
        ({"phenomenonTime": "2026-11-22T01:00:00Z"}, "no_result"),
        ({"result": 1, "phenomenonTime": 5}, "invalid_entity"),
        ({"components": ["phenomenonTime"], "dataArray": [["2026-11-22T01:00:00Z"]]}, "invalid_data_array"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(document: Any, reason: str) -> None:
    _, batch = run(document, topic=TOPIC.replace("Observations", "Observation"), max_depth=8)
    assert [r.reason for r in batch.rejects] == [reason]
    assert not rows(batch)
    assert not batch.assets


def test_bounds_hold() -> None:
    page = {"value": [observation(n) for n in range(3)]}
    assert [r.reason for r in run(page, topic=TOPIC, max_records=2)[1].rejects] == ["too_many"]
    assert [r.reason for r in run(page, topic=TOPIC, max_bytes=50)[1].rejects] == ["too_large"]


def test_personal_members_are_in_no_row_and_no_reject() -> None:
    thing = {"@iot.id": 4, "name": "Anne", "properties": {"owner": "Anne", "type": "home"}, "Locations": []}
    _, batch = run(thing, personal=frozenset({"name", "properties.owner"}))
    assert "Anne" not in repr(batch)
    assert [r.reason for r in batch.rejects] == ["not_read"]
    _, batch = run({**thing, "@iot.id": None}, personal=frozenset({"name", "owner"}))
    assert "Anne" not in repr(batch)


@pytest.mark.parametrize(
    ("written", "unit", "factor"),
    [
        ({"name": "Particulate matter 2.5", "symbol": "μg/m3", "definition": "https://example.org/pm"}, "ug/m3", 1.0),
        ({"name": "microgram per cubic meter", "symbol": "ug/m^3", "definition": "https://example.org/pm"}, "ug/m3", 1.0),
        (
            {"name": "concentration", "symbol": None, "definition": "http://dd.eionet.europa.eu/vocabulary/uom/concentration/mg.m-3"},
            "ug/m3",
            1e3,
        ),
        ({"name": "discharge", "symbol": "m^3/s", "definition": ""}, "m3/s", 1.0),
        ({"name": "irradiance", "symbol": "W/m^2", "definition": ""}, "W/m2", 1.0),
        ({"name": "relative humidity", "symbol": "% RH", "definition": ""}, "%", 1.0),
        ({"name": "Celsius", "symbol": "℃", "definition": ""}, "Cel", 1.0),
        ({"name": "Celsius", "symbol": "deg C", "definition": ""}, "Cel", 1.0),
        ({"name": "turbidity", "symbol": "NTU", "definition": ""}, "{NTU}", 1.0),
        ({"name": "plant", "symbol": "MW", "definition": ""}, "W", 1e6),
        ({"name": "Anzahl", "symbol": None, "definition": None}, "{count}", 1.0),
    ],
)
def test_units_as_public_servers_write_them(written: dict[str, Any], unit: str, factor: float) -> None:
    found = unit_of(written)
    assert found is not None
    assert (found.canonical, found.factor, found.offset) == (unit, factor, 0.0)


def test_a_text_that_is_a_number_is_one_where_a_measurement_is_announced() -> None:
    feet = {**LEVEL, "unitOfMeasurement": {"name": "Feet", "symbol": "ft", "definition": ""}, "observationType": "OM_Measurement"}
    _, batch = run(observation(1, "10", Datastream=feet))
    assert [(r.value, r.value_text, r.unit) for r in rows(batch)] == [(pytest.approx(3.048), None, "m")]
    category = {**feet, "observationType": "OM_CategoryObservation"}
    _, batch = run(observation(1, "10", Datastream=category))
    assert [(r.value, r.value_text, r.unit) for r in rows(batch)] == [(None, "10", None)]
    assert reasons(run(observation(1, "Ice", Datastream=feet))[1]) == [(1, "record", "not_a_number")]
    assert reasons(run(observation(1, "1e999", Datastream=feet))[1]) == [(1, "record", "not_a_number")]
