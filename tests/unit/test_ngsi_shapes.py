"""The shapes of one entity say the same: answers computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.errors import WrongUse
from ingestion.formats.ngsi import decode
from ingestion.formats.registry import decoder_for
from ingestion.formats.wire import AssetRow, ObservationRow
from tests.unit.ngsi_support import (
    ARRIVAL,
    FEATURE,
    HALF_PAST_FIVE_PM,
    KEY_VALUES,
    LD_CONCISE,
    LD_KEY_VALUES,
    LD_NORMALIZED,
    NORMALIZED,
    asset,
    light,
    observations,
    read,
)

AT = HALF_PAST_FIVE_PM
ROWS = [
    ObservationRow(1, "lamp:12", "activePower", AT, 37.5),
    ObservationRow(1, "lamp:12", "energy", AT, 93.25),
    ObservationRow(1, "lamp:12", "isRemote", AT, 1.0, "true"),
    ObservationRow(1, "lamp:12", "powerState", AT, None, "on"),
]
ASSET = AssetRow(1, "lamp:12", "Streetlight", parent_ref="cabinet:7", name="Rue de la Marne 12", longitude=4.365, latitude=48.957)
SHAPES = {
    "key-values": KEY_VALUES,
    "v2 normalized": NORMALIZED,
    "LD simplified": LD_KEY_VALUES,
    "LD normalized": LD_NORMALIZED,
    "LD concise": LD_CONCISE,
    "GeoJSON feature": FEATURE,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_entity_says_the_same(shape: str) -> None:
    records, batch = read(SHAPES[shape])
    assert records == 1
    assert sorted(batch.observations) == ROWS
    assert batch.assets == [ASSET]
    assert batch.rejects == []


@pytest.mark.parametrize(
    ("envelope", "records"),
    [
        (lambda entities: entities, 2),
        (lambda entities: {"subscriptionId": "57", "data": entities}, 2),
        (lambda entities: {"id": "urn:n:1", "type": "Notification", "notifiedAt": "2026-11-22T18:00:00Z", "data": entities}, 2),
        (lambda entities: {"actionType": "append", "entities": entities}, 2),
        (lambda entities: {"metadata": {"Content-Type": "application/json"}, "body": {"type": "Notification", "data": entities}}, 2),
        (lambda entities: {"@context": "x", "@graph": entities}, 2),
        (lambda entities: {"type": "FeatureCollection", "features": [FEATURE, FEATURE]}, 2),
        (lambda entities: {"type": "Notification", "subscriptionId": "1", "data": {"type": "FeatureCollection", "features": [FEATURE]}}, 1),
        (lambda entities: {"type": "Notification", "subscriptionId": "1", "data": entities[0]}, 1),
    ],
)
def test_a_message_holds_many_entities(envelope: Any, records: int) -> None:
    found, batch = read(envelope([NORMALIZED, LD_NORMALIZED]), after=40)
    assert found == records
    assert sorted({row.position for row in batch.observations}) == list(range(41, 41 + records))
    assert len(batch.observations) == 4 * records
    assert len(batch.assets) == records


def test_an_entity_may_have_properties_named_as_envelopes_are() -> None:
    found = observations(light(subscriptionId="57", data={"frame": 80}, entities=2, actionType="append", body=1, metadata=3))
    assert set(found) == {"subscriptionId", "data.frame", "entities", "actionType", "body", "metadata"}


def test_nested_objects_become_dotted_names_and_arrays_stay_json() -> None:
    found = observations(
        light(
            municipalityInfo={"city": "Châlons", "zone": {"id": 3}},
            tags=["a", 2],
            deep={"a": {"b": {"c": {"d": {"e": 1}}}}},
            nothing=None,
            empty="",
            none=[],
        )
    )
    assert {p: (row.value, row.value_text) for p, row in found.items()} == {
        "municipalityInfo.city": (None, "Châlons"),
        "municipalityInfo.zone.id": (3.0, None),
        "tags": (None, '["a",2]'),
        "deep.a.b.c.d": (None, '{"e":1}'),
    }


def test_a_property_of_a_property_is_kept_beside_it_at_its_instant() -> None:
    found = observations(
        light(
            activePower={
                "type": "Property",
                "value": {"L1": 1.5, "L2": 2.5},
                "unitCode": "KWT",
                "observedAt": "2026-11-22T17:30:00Z",
                "measurementType": {"type": "Property", "value": "average"},
            },
            temperature={"type": "Number", "value": 4, "metadata": {"accuracy": {"type": "Number", "value": 0.5}}},
        )
    )
    assert {p: (row.value, row.value_text, row.unit) for p, row in found.items()} == {
        "activePower.L1": (1500.0, None, "W"),
        "activePower.L2": (2500.0, None, "W"),
        "activePower.measurementType": (None, "average", None),
        "temperature": (4.0, None, None),
        "temperature.accuracy": (0.5, None, None),
    }
    assert found["activePower.measurementType"].observed_at == AT
    assert found["activePower.measurementType"].quality is None


def test_instances_of_one_attribute_are_told_apart() -> None:
    instances = [
        {"type": "Property", "value": 54, "datasetId": "urn:d:gps"},
        {"type": "Property", "value": 55, "datasetId": "urn:d:wheel"},
        {"type": "Property", "value": 56},
    ]
    found = observations(light(speed=instances))
    assert {p: row.value for p, row in found.items()} == {"speed@urn:d:gps": 54.0, "speed@urn:d:wheel": 55.0, "speed": 56.0}


@pytest.mark.parametrize(
    "evolution",
    [
        {"type": "Property", "values": [[1, "2026-11-22T17:30:00Z"], [2, "2026-11-22T17:30:01Z"]]},
        [
            {"type": "Property", "value": 1, "observedAt": "2026-11-22T17:30:00Z"},
            {"type": "Property", "value": 2, "observedAt": "2026-11-22T17:30:01Z"},
        ],
    ],
)
def test_a_temporal_evolution_is_as_many_observations(evolution: Any) -> None:
    _, batch = read(light(fillLevel=evolution))
    assert [(row.property, row.observed_at, row.value) for row in batch.observations] == [
        ("fillLevel", AT, 1.0),
        ("fillLevel", AT + 1_000_000, 2.0),
    ]


def test_kinds_of_ld_attributes() -> None:
    found = observations(
        light(
            label={"type": "LanguageProperty", "languageMap": {"fr": "Éteint", "en": "Off"}},
            category={"type": "VocabProperty", "vocab": "sensor"},
            raw={"type": "JsonProperty", "json": {"a": {"b": 1}}},
            parts={"type": "ListProperty", "valueList": [1, 2]},
            refPole={"type": "Relationship", "object": ["urn:p:1", "urn:p:2"]},
            observationSpace={"type": "GeoProperty", "value": {"type": "Point", "coordinates": [4, 48]}},
            spaced={"type": "Property ", "value": 1},
        )
    )
    assert {p: row.value_text if row.value is None else row.value for p, row in found.items()} == {
        "label.fr": "Éteint",
        "label.en": "Off",
        "category": "sensor",
        "raw": '{"a":{"b":1}}',
        "parts": "[1,2]",
        "refPole": '["urn:p:1","urn:p:2"]',
        "observationSpace": '{"type":"Point","coordinates":[4,48]}',
        "spaced": 1.0,
    }


def test_names_are_short_and_types_too() -> None:
    message = {"id": "lamp:12", "type": ["https://uri.fiware.org/ns/data-models#Streetlight", "Lamp"], "name": "L"}
    assert asset(message).asset_type == "Streetlight"
    assert observations(message)["type"].value_text == '["https://uri.fiware.org/ns/data-models#Streetlight","Lamp"]'
    assert list(observations(light(**{"https://uri.fiware.org/ns/data-models#powerState": "on"}))) == ["powerState"]


def test_an_address_a_model_a_state_and_a_power_describe_the_asset() -> None:
    message = light(
        address={"type": "PostalAddress", "addressLocality": "Reims", "streetAddress": "Rue Libergier", "postalCode": "51100"},
        location={"type": "geo:point", "value": "49.25, 4.03"},
        modelName="LED 40",
        refStreetlightModel="model:led-40",
        serialNumber="SN-9",
        status="ok",
        dateInstalled="2021-05-01T00:30:00+02:00",
        powerRating={"type": "Property", "value": 0.04, "unitCode": "KWT"},
        isPartOf={"type": "Relationship", "object": ["urn:feeder:3"]},
    )
    assert asset(message) == AssetRow(
        1,
        "lamp:12",
        "Streetlight",
        parent_ref="urn:feeder:3",
        commune="Reims",
        street="Rue Libergier",
        longitude=4.03,
        latitude=49.25,
        rated_power_w=40.0,
        installed_on="2021-05-01",
        model="LED 40",
        status="ok",
        identity="SN-9",
    )
    # What no column holds is an observation; the state is both.
    assert {p: row.value_text for p, row in observations(message).items()} == {
        "address.postalCode": "51100",
        "refStreetlightModel": "model:led-40",
        "status": "ok",
    }


def test_measures_alone_describe_nothing() -> None:
    """An empty description would hide the one that stands."""
    _, batch = read(light(powerState="on", status="ok", powerRating=40))
    assert batch.assets == []
    assert {row.property for row in batch.observations} == {"powerState", "status", "powerRating"}


def test_an_area_lies_at_its_centre() -> None:
    area = {"type": "Polygon", "coordinates": [[[4, 48], [6, 48], [6, 50], [4, 48]]]}
    row = asset(light(location=area))
    assert (row.longitude, row.latitude) == (5.0, 49.0)
    assert row.geometry == '{"type":"Polygon","coordinates":[[[4,48],[6,48],[6,50],[4,48]]]}'


def test_a_format_is_decoded_or_said_not_to_be() -> None:
    assert decoder_for("ngsi") is decode
    with pytest.raises(WrongUse, match="csv"):
        decoder_for("csv")


def test_expanded_names_describe_and_date_like_short_ones() -> None:
    vocabulary = "https://smartdatamodels.org/"
    expanded = {"id": LD_NORMALIZED["id"], "type": f"{vocabulary}Streetlight"}
    expanded |= {f"{vocabulary}{name}": value for name, value in LD_NORMALIZED.items() if name not in ("id", "type", "@context")}
    assert observations(expanded) == {row.property: row for row in ROWS}
    assert asset(expanded) == ASSET


def test_two_vocabularies_may_give_one_name() -> None:
    _, batch = read(light(**{"https://a.example/power": 1, "https://b.example/power": 2, "power": 3, "https://a.example/type": "lamp"}))
    assert [(o.property, o.value, o.value_text) for o in batch.observations] == [
        ("power", 1.0, None),
        ("power", 2.0, None),
        ("power", 3.0, None),
        ("type", None, "lamp"),
    ]


@pytest.mark.parametrize(
    ("kind", "text", "value", "kept"),
    [
        ("Number", "12.5", 12.5, None),
        ("float", "12.5", 12.5, None),
        ("integer", "-3", -3.0, None),
        ("Boolean", "True", 1.0, "true"),
        ("boolean", "false", 0.0, "false"),
        ("Boolean", "on", None, "on"),
        ("Text", "12.5", None, "12.5"),
        (["Number"], "12.5", None, "12.5"),
    ],
)
def test_a_text_is_what_its_type_says(kind: Any, text: str, value: float | None, kept: str | None) -> None:
    row = observations(light(level={"type": kind, "value": text, "metadata": {}}))["level"]
    assert (row.value, row.value_text) == (value, kept)


def test_what_an_agent_has_not_heard_yet_is_neither_a_date_nor_a_value() -> None:
    blank = {"type": "DateTime", "value": " ", "metadata": {}}
    entity = light(
        TimeInstant=blank,
        on_info={"type": "commandResult", "value": " ", "metadata": {}},
        level={"type": "Number", "value": 3, "metadata": {"TimeInstant": blank}},
        dimming={"type": "Number", "value": " ", "metadata": {}},
        note=" ",
    )
    assert list(observations(entity).values()) == [ObservationRow(1, "lamp:12", "level", ARRIVAL, 3.0, quality="uncertain")]
