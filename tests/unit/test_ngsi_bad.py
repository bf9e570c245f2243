"""What a sender may write that is no entity: rejected with its reason, never an exception, nothing lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.contracts.canonical import EARLIEST, LATEST
from ingestion.formats.ngsi_names import ENTITY_MEASURED, REASONS
from ingestion.formats.wire import WireOptions
from tests.unit.ngsi_support import KEY_VALUES, LD_NORMALIZED, NORMALIZED, light, read, refused

DEEP: Any = 1
for _ in range(40):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "invalid_json"),
        (b"not json", "invalid_json"),
        (b'{"id": "a", "type": "T", "p": NaN}', "invalid_json"),
        (b'{"id": "a", "type": "T", "p": -Infinity}', "invalid_json"),
        (b'{"id": "a", "type": "T", "p": 1e999}', "invalid_json"),
        (b'{"id": "a", "type": "T", "p": "\\ud800"}', "invalid_json"),
        (b'{"id": "a", "type": "T"} {}', "invalid_json"),
        (b'{"id": "a", "type": "T", "p": "\xe9"}', "not_utf8"),
        ('{"id": "a"}'.encode("utf-16"), "not_utf8"),
        (b'{"id": "a", "type": "T", "p": 1, "p": 2}', "duplicate_key"),
        (b'{"id": "a", "type": "T", "p" : {"x":1, "x":2}}', "duplicate_key"),
        (b"[" * 100_000, "too_deep"),
        (light(p=DEEP), "too_deep"),
        ([], "empty"),
        ({"subscriptionId": "1", "data": []}, "empty"),
        ({"id": "n", "type": "Notification", "subscriptionId": "1"}, "empty"),
        ({"subscriptionId": "1", "data": None}, "not_an_entity"),
        (7, "not_an_entity"),
        ("text", "not_an_entity"),
        (None, "not_an_entity"),
        ({"type": "T", "p": 1}, "no_id"),
        ({"id": 7, "type": "T", "p": 1}, "no_id"),
        ({"id": " ", "type": "T", "p": 1}, "no_id"),
        ({"id": "a", "p": 1}, "no_type"),
        ({"id": "a", "type": {}, "p": 1}, "no_type"),
        ({"id": "a", "type": [], "p": 1}, "no_type"),
        ({"id": "a", "type": "Feature", "properties": {"p": 1}}, "no_type"),
        ({"id": "a", "type": "T"}, "no_property"),
        ({"id": "a", "type": "T", "@context": "x"}, "no_property"),
        ({"id": "a", "type": "T", "p": None, "q": ""}, "no_value"),
        ({"id": "a", "type": "T", "p": "x\0y"}, "nul_character"),
        ({"id": "é" * 20_000, "type": "T", "p": 1}, "text_too_long"),
        ({"id": "a", "type": "T", "p": "é" * 20_000}, "text_too_long"),
        ({"id": "a", "type": "T", "p": {"type": "Property"}}, "invalid_attribute"),
        ({"id": "a", "type": "T", "p": {"type": "Property", "value": "urn:ngsi-ld:null"}}, "deleted"),
        ({"id": "a", "type": "T", "location": {"type": "Point", "coordinates": [91.2, 123.4]}}, "invalid_geometry"),
        ({"id": "a", "type": "T", "location": {"type": "Point", "coordinates": []}}, "invalid_geometry"),
        ({"id": "a", "type": "T", "location": "Place de l'Hôtel de ville"}, "invalid_geometry"),
    ],
)
def test_what_is_no_entity_is_refused_with_its_reason(message: Any, reason: str) -> None:
    reject = refused(message)
    assert reject.reason == reason
    assert reject.position == 1
    assert reject.detail
    assert reject.original is not None


def test_a_bad_entity_does_not_harm_its_neighbours() -> None:
    records, batch = read([light(p=1), 7, {"id": "a"}, light(p=2)], after=10)
    assert records == 4
    assert [(row.position, row.value) for row in batch.observations] == [(11, 1.0), (14, 2.0)]
    assert [(row.position, row.reason) for row in batch.rejects] == [(12, "not_an_entity"), (13, "no_type")]


def test_bounds_are_the_contract_s() -> None:
    assert refused(light(p="x" * 100), options=WireOptions(max_bytes=50)).reason == "too_large"
    assert refused([light(p=1)] * 3, options=WireOptions(max_records=2)).reason == "too_many"
    assert refused(light(p={"a": {"b": 1}}), options=WireOptions(max_depth=2)).reason == "too_deep"
    assert read(light(p={"a": {"b": 1}}), options=WireOptions(max_depth=3))[1].rejects == []


def test_a_byte_order_mark_is_no_harm() -> None:
    assert read(b"\xef\xbb\xbf" + json.dumps(light(p=1)).encode())[1].rejects == []


def test_texts_that_look_like_names_are_no_duplicates() -> None:
    _, batch = read(light(p='he said "x":1, "x":2', q='"id":'))
    assert len(batch.observations) == 2


PERSONAL = WireOptions(personal=frozenset({"owner", "contactPoint.email", "location"}))
SECRET = "jeanne.martin"  # a person's name, not a password


@pytest.mark.parametrize(
    "properties",
    [
        {"owner": SECRET},
        {"owner": {"type": "Property", "value": SECRET, "observedAt": "soon"}},
        {"https://schema.org/owner": SECRET, "schema:owner": SECRET},
        {"info": {"deep": [{"owner": SECRET}]}},
        {"p": {"type": "Property", "value": 1, "owner": {"type": "Property", "value": SECRET}}},
        {"contactPoint": {"email": SECRET, "open": "always"}},
        {"contactPoint": {"type": "StructuredValue", "value": {"email": SECRET}}},
        {"data": {"contactPoint": {"email": SECRET}}},
        {"dateObserved": "soon", "owner": SECRET},
        {"location": {"type": "Point", "coordinates": [91, 123], "note": SECRET}},
    ],
)
@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: {"subscriptionId": "1", "data": [e, {"id": SECRET[:0], **e}]}])
def test_personal_properties_appear_nowhere(properties: dict[str, Any], wrap: Any) -> None:
    _, batch = read(wrap(light(q=1, **properties)), options=PERSONAL)
    assert SECRET not in repr(batch)


def test_a_personal_location_leaves_a_feature_twice() -> None:
    feature = {"id": "a", "type": "Feature", "geometry": {"type": "Point", "coordinates": [4.5, 48.5]}, "properties": light(q=1)}
    _, batch = read(feature, options=PERSONAL)
    assert batch.assets == []
    assert "48.5" not in repr(batch)


def test_what_cannot_be_read_is_not_quoted_where_something_is_personal() -> None:
    broken = b'{"owner": "jeanne.martin", '
    assert refused(broken, options=PERSONAL).original is None
    assert refused(broken).original == broken.decode()


NAMES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        "id type value object metadata observedAt unitCode datasetId location address name dateObserved coordinates properties geometry "
        "data subscriptionId features languageMap values @value @context TimeInstant modifiedAt status isPartOf powerRating".split()
    ),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from("Property Relationship GeoProperty Feature FeatureCollection Notification Number Point Polygon CEL KWH GJ".split()),
    st.sampled_from(["2026-11-22T17:30:00Z", "2026-11-22/..", "9999-12-31", "urn:ngsi-ld:null", "48.9,4.3", ""]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=25)
ENTITIES = st.builds(lambda rest: {"id": "a", "type": "T", **rest}, st.dictionaries(NAMES, DOCUMENTS, max_size=6))
OPTIONS = st.sampled_from([WireOptions(), PERSONAL, WireOptions(units={"value": "kW", "name": "mm"}, max_depth=6, max_records=3)])


def _holds(payload: bytes, options: WireOptions, received_at: int | None) -> None:
    """Nothing raised, nothing lost: each record has rows, or one reject of its own; and rows are what the lake takes."""
    records, batch = read(payload, after=5, options=options, received_at=received_at)
    assert records >= 1
    stored = {row.position for row in (*batch.observations, *batch.assets)}
    refusals = [row.position for row in batch.rejects if row.scope == "record"]
    assert sorted([*stored, *refusals]) == list(range(6, 6 + records))
    first, last = (int(moment.timestamp()) * 1_000_000 for moment in (EARLIEST, LATEST))
    for row in batch.observations:
        assert row.asset_ref
        assert row.property
        assert first <= row.observed_at < last or row.observed_at == received_at
        assert row.value is not None or row.value_text is not None
        assert row.value is None or abs(row.value) < float("inf")
        assert len((row.value_text or "").encode()) <= 32_768
    for asset in batch.assets:
        assert asset.longitude is None or -180 <= asset.longitude <= 180
        assert asset.latitude is None or -90 <= asset.latitude <= 90
        assert asset.rated_power_w is None or asset.rated_power_w >= 0
    for reject in batch.rejects:
        assert reject.reason in REASONS
        assert reject.scope in {"record", "value"}
        (reject.original or "").encode()


@settings(max_examples=400, deadline=None)
@given(st.one_of(ENTITIES, DOCUMENTS, st.lists(ENTITIES, max_size=4)), OPTIONS, st.sampled_from([None, 0]))
def test_any_json_is_stored_or_rejected(document: Any, options: WireOptions, received_at: int | None) -> None:
    _holds(json.dumps(document).encode(), options, received_at)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), OPTIONS)
def test_any_bytes_are_stored_or_rejected(payload: bytes, options: WireOptions) -> None:
    _holds(payload, options, 0)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([KEY_VALUES, NORMALIZED, LD_NORMALIZED]), st.data())
def test_a_damaged_message_is_stored_or_rejected(entity: dict[str, Any], data: st.DataObject) -> None:
    payload = bytearray(json.dumps(entity).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    _holds(bytes(payload[:cut]), WireOptions(), 0)
    _holds(bytes(payload), WireOptions(), 0)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=6),
        st.one_of(st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)),
        min_size=1,
        max_size=6,
    )
)
def test_shapes_agree_whatever_the_values(values: dict[str, Any]) -> None:
    values = {k: v for k, v in values.items() if k not in {"id", "type", "name", "location", "address", "model", *ENTITY_MEASURED}}
    shapes = [
        light(**values),
        light(**{k: {"value": v} for k, v in values.items()}),
        light(**{k: {"type": "Text", "value": v, "metadata": {}} for k, v in values.items()}),
        light(**{k: {"type": "Property", "value": v} for k, v in values.items()}),
    ]
    found = [read(shape)[1] for shape in shapes]
    assert all(batch.observations == found[0].observations for batch in found)
