"""When a value was measured, and in which unit: answers computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.contracts.unece import COMMON_CODES, looks_like_common_code
from ingestion.contracts.units import SPELLINGS, UNITS
from ingestion.formats.ngsi_names import REASONS
from ingestion.formats.wire import WireOptions
from ingestion.formats.wire_values import conversion, instant
from tests.unit.ngsi_support import ARRIVAL, HALF_PAST_FIVE_PM, light, observations, read, refused

AT = HALF_PAST_FIVE_PM
HOUR = 3_600_000_000
ON_TIME, LATER, LATEST = "2026-11-22T17:30:00Z", "2026-11-22T18:30:00Z", "2026-11-22T19:30:00Z"


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("2026-11-22T17:30:00Z", AT),
        ("2026-11-22T17:30:00", AT),  # NGSI: without zone it is UTC
        ("2026-11-22T18:30:00+01:00", AT),
        ("2026-11-22T23:00:00.000+05:30", AT),
        ("2026-11-22t17:30:00z", AT),
        ("2026-11-22 17:30", AT),
        ("2026-11-22T17:30:00.250Z", AT + 250_000),
        ("2026-11-22T17:30:00.123456789Z", AT + 123_456),
        ("2026-11-22", AT - 63_000_000_000),
        ("2026-11-22T16:30:00Z/2026-11-22T17:30:00Z", AT),
        ("2026-11-22TT17:30:00Z", None),
        ("2026-11-22X17:30:00Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("1795368600", None),
        ("", None),
        ("/", None),
        ("yesterday", None),
    ],
)
def test_instants(written: str, read_as: int | None) -> None:
    assert instant(written) == read_as


@pytest.mark.parametrize(
    ("properties", "at", "quality"),
    [
        ({"p": {"type": "Property", "value": 1, "observedAt": ON_TIME}, "dateObserved": LATER}, AT, None),
        ({"p": {"type": "Number", "value": 1, "metadata": {"TimeInstant": {"type": "DateTime", "value": ON_TIME}}}}, AT, None),
        ({"p": {"type": "Number", "value": 1, "metadata": {"timestamp": {"type": "DateTime", "value": ON_TIME}}}}, AT, None),
        ({"p": 1, "dateObserved": {"type": "Property", "value": {"@type": "DateTime", "@value": ON_TIME}}}, AT, None),
        ({"p": 1, "dateObserved": ON_TIME, "dateModified": LATER}, AT, None),
        ({"p": 1, "dateModified": LATER, "observationDateTime": ON_TIME}, AT, None),
        # When it was measured, at whichever level it is said, comes before when it was written.
        ({"p": {"type": "Property", "value": 1, "modifiedAt": LATER}, "dateObserved": ON_TIME}, AT, None),
        ({"p": {"type": "Property", "value": 1, "modifiedAt": ON_TIME}, "modifiedAt": LATER}, AT, None),
        ({"p": {"type": "Number", "value": 1, "metadata": {"dateModified": {"type": "DateTime", "value": ON_TIME}}}}, AT, None),
        ({"p": 1, "dateModified": ON_TIME}, AT, None),
        ({"p": 1, "dateCreated": LATER}, ARRIVAL, "uncertain"),
        ({"p": 1}, ARRIVAL, "uncertain"),
    ],
)
def test_the_order_of_instants(properties: dict[str, Any], at: int, quality: str | None) -> None:
    row = observations(light(**properties))["p"]
    assert (row.observed_at, row.quality) == (at, quality)


def test_a_notification_dates_what_states_nothing() -> None:
    message = {"id": "n", "type": "Notification", "notifiedAt": ON_TIME, "data": [light(p=1), light(p=2, dateObserved=LATER)]}
    _, batch = read(message)
    assert [(row.observed_at, row.quality) for row in batch.observations] == [(AT, None), (AT + HOUR, None)]


def test_dates_that_date_the_rows_are_not_repeated() -> None:
    found = observations(light(p=1, dateObserved="2026-11-22T16:30:00Z/2026-11-22T17:30:00Z", dateLastLampChange="2020-01-01"))
    assert {p: row.value_text for p, row in found.items()} == {
        "p": None,
        "dateObserved": "2026-11-22T16:30:00Z/2026-11-22T17:30:00Z",  # where it began stands nowhere else
        "dateLastLampChange": "2020-01-01",
    }
    assert list(observations(light(p=1, dateObserved=ON_TIME))) == ["p"]


def test_an_instant_that_cannot_be_read_is_not_replaced_by_the_arrival() -> None:
    bad = {"type": "Property", "value": 1, "observedAt": "2020-03-17TT08:45:00Z"}
    good = {"type": "Property", "value": 2, "observedAt": ON_TIME}
    _, batch = read(light(depth=bad, level=good))
    assert [(row.property, row.observed_at) for row in batch.observations] == [("level", AT)]
    (reject,) = batch.rejects
    assert (reject.scope, reject.reason) == ("value", "not_an_instant")
    assert reject.original == '{"depth":{"type":"Property","value":1,"observedAt":"2020-03-17TT08:45:00Z"}}'
    assert "2020-03-17TT08:45:00Z" in reject.detail


def test_another_date_of_the_entity_stands_in_for_one_that_cannot_be_read() -> None:
    _, batch = read(light(p=1, dateObserved="soon", dateModified=ON_TIME))
    assert [(row.property, row.observed_at) for row in batch.observations] == [("p", AT)]
    assert [(row.reason, row.original) for row in batch.rejects] == [("not_an_instant", '{"dateObserved":"soon"}')]
    # Without another, the whole record waits for a fix.
    assert refused(light(p=1, q=2, dateObserved="soon")).reason == "not_an_instant"


def test_without_any_instant_a_record_is_refused() -> None:
    assert refused(light(p=1), received_at=None).reason == "no_instant"


@pytest.mark.parametrize(
    ("unit", "value", "unit_in_lake", "value_in_lake"),
    [
        ("CEL", 21.5, "Cel", 21.5),
        ("KEL", 273.15, "Cel", 0.0),
        ("KWH", 1.5, "W.h", 1500.0),
        ("P1", 40, "%", 40.0),
        ("LUX", 12, "lx", 12.0),
        ("GP", 2, "ug/m3", 2000.0),
        ("GQ", 45, "ug/m3", 45.0),
        ("KMH", 36, "m/s", 10.0),
        ("D46", 7, "V.A", 7.0),
        ("A97", 1013, "Pa", 101_300.0),
        ("°C", 3, "Cel", 3.0),
        ("Celsius", 3, "Cel", 3.0),
        ("\u00baC", 3, "Cel", 3.0),  # the Spanish ordinal, and the Greek mu
        ("\u03bcg/m3", 7, "ug/m3", 7.0),
        ("kW", 3, "W", 3000.0),
        (None, 3, None, 3.0),
    ],
)
def test_units_are_converted(unit: str | None, value: float, unit_in_lake: str | None, value_in_lake: float) -> None:
    stated = {} if unit is None else {"unitCode": unit}
    metadata = {} if unit is None else {"unit": {"type": "Text", "value": unit}}
    for attribute in ({"type": "Property", "value": value, **stated}, {"type": "Number", "value": value, "metadata": metadata}):
        row = observations(light(p=attribute))["p"]
        assert row.unit == unit_in_lake
        assert row.value == pytest.approx(value_in_lake)


def test_what_is_remembered_of_what_senders_write_is_small() -> None:
    """Instants and units already read are kept in memory: long ones are not even looked at."""
    before = instant.cache_info().currsize
    message = light(p={"type": "Property", "value": 1, "observedAt": "2026-11-22" + " " * 100_000})
    assert refused(message).reason == "not_an_instant"
    assert instant.cache_info().currsize == before
    assert conversion("m" + " " * 100_000) is None


@pytest.mark.parametrize("unit", ["ZZ", "GJ", "VA", "furlong", 7, ["CEL"]])
def test_an_unknown_unit_sets_the_value_aside(unit: Any) -> None:
    _, batch = read(light(p={"type": "Property", "value": 3, "unitCode": unit}, q=1))
    assert [row.property for row in batch.observations] == ["q"]
    (reject,) = batch.rejects
    assert (reject.scope, reject.reason) == ("value", "unknown_unit")
    assert reject.original is not None
    assert '"value":3' in reject.original


def test_a_contract_states_the_unit_that_messages_leave_out() -> None:
    options = WireOptions(units={"power": "kW", "load": "MW", "phase.L1": "mA"})
    found = observations(
        light(power=2, load={"value": 1}, phase={"L1": 500, "L2": 500}, other=1) | {"powerRating": 3, "name": "L"},
        options=options,
    )
    assert {p: (row.value, row.unit) for p, row in found.items()} == {
        "power": (2000.0, "W"),
        "load": (1e6, "W"),
        "phase.L1": (0.5, "A"),
        "phase.L2": (500.0, None),
        "other": (1.0, None),
        "powerRating": (3.0, None),
    }
    # What a message says of itself comes first.
    assert observations(light(power={"value": 2, "unitCode": "WTT"}), options=options)["power"].value == 2.0


def test_every_common_code_is_a_unit_of_ours() -> None:
    assert {code for code in COMMON_CODES.values() if code not in UNITS} == set()
    assert all(looks_like_common_code(code) for code in COMMON_CODES)
    # A code that is written like a common code is read as nothing else.
    for written in (*UNITS, *SPELLINGS):
        if looks_like_common_code(written) and written not in COMMON_CODES:
            assert conversion(written) is None, written


def test_numbers_as_texts_and_past_what_a_double_holds() -> None:
    found = observations(light(a={"type": "Number", "value": "12.5"}, b=2**60, c={"type": "Text", "value": "12.5"}))
    assert {p: (row.value, row.value_text) for p, row in found.items()} == {
        "a": (12.5, None),
        "b": (float(2**60), "1152921504606846976"),
        "c": (None, "12.5"),
    }
    _, batch = read(light(a={"type": "Number", "value": "n/a"}, b=10**400, c=1))
    assert [(row.reason, row.scope) for row in batch.rejects] == [("not_a_number", "value")] * 2


def test_every_reason_has_its_text() -> None:
    assert all(text and not text.endswith(".") for text in REASONS.values())
