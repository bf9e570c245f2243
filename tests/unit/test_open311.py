"""Open311 service requests become reports: every expectation is worked out by hand."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.formats import open311_quick
from ingestion.formats.open311 import decode
from ingestion.formats.registry import FORMATS
from ingestion.formats.wire import RejectRow, ReportRow, WireBatch, WireOptions
from tests.unit.wire_corpus.open311 import EXTENDED, MANY, REQUEST, XML, dump

# 2026-03-01 is 20,513 days after 1970; 08:00 in Paris is 07:00 UTC.
_OPENED: Final = (20_513 * 86_400 + 7 * 3_600) * 1_000_000
_UPDATED: Final = (20_514 * 86_400 + 8 * 3_600 + 30 * 60) * 1_000_000
_PERSONAL: Final = FORMATS["open311"].personal
_OPTIONS: Final = WireOptions(contract="report", time_zone="Europe/Paris", personal=_PERSONAL)


def _read(message: Any, options: WireOptions = _OPTIONS) -> tuple[int, WireBatch]:
    batch = WireBatch()
    payload = message if isinstance(message, bytes) else dump(message)
    return decode(payload, batch, after=0, received_at=None, options=options), batch


def _report(message: Any, options: WireOptions = _OPTIONS) -> ReportRow:
    records, batch = _read(message, options)
    assert (records, batch.rejects) == (1, [])
    (row,) = batch.reports
    return row


def _refused(message: Any) -> RejectRow:
    records, batch = _read(message)
    assert (records, batch.reports) == (1, [])
    (row,) = batch.rejects
    assert row.scope == "record"
    return row


def _aside(message: Any) -> tuple[ReportRow, RejectRow]:
    _, batch = _read(message)
    (row,), (reject,) = batch.reports, batch.rejects
    assert reject.scope == "value"
    return row, reject


_EXPECTED: Final = ReportRow(
    1,
    "26-0017",
    category="Éclairage en panne",
    opened_at=_OPENED,
    closed_at=_UPDATED,
    status="closed",
    commune="Châlons-en-Champagne",
    street="12 rue de la Marne",
    longitude=4.365,
    latitude=48.957,
    owner_authority="Service éclairage",
    revised_at=_UPDATED,
)


@pytest.mark.parametrize(
    "message",
    [[REQUEST], REQUEST, {"service_requests": [REQUEST]}, {"requests": [REQUEST]}, {"service_requests": {"request": REQUEST}},
     {"service_requests": {"request": [REQUEST]}}, {"request": REQUEST}, [{"request": REQUEST}], XML, b"\xef\xbb\xbf" + XML],
)  # fmt: skip
def test_every_shape_of_a_request_is_the_same_report(message: Any) -> None:
    assert _report(message) == _EXPECTED


def test_extensions_are_read() -> None:
    assert _report(EXTENDED) == _EXPECTED._replace(
        status="open", closed_at=None, channel="phone", subcategory="Point lumineux éteint", asset_ref="PL-221", district="Centre",
        duplicate_of="26-0003",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("members", "channel"),
    [
        ({"source": "Phone"}, "phone"),
        ({"interface_used": "iOS"}, "application"),
        ({"interface_used": "Web interface"}, "website"),  # FixMyStreet; "desktop" is Zürich's
        ({"interface_used": "desktop"}, "website"),
        ({"extended_attributes": {"channel": "Guichet"}}, "guichet"),
        ({}, None),
    ],
)
def test_the_channel_is_called_as_the_lake_calls_it(members: dict[str, Any], channel: str | None) -> None:
    assert _report(REQUEST | members).channel == channel


@pytest.mark.parametrize(
    ("agency", "authority"),
    [
        ({"recipient": ["Ville", "Agglomération"]}, "Ville, Agglomération"),
        ({"recipient": "Ville"}, "Ville"),
        ({"recipient": []}, None),
        ("Ville", "Ville"),
    ],
)
def test_several_recipients_are_one_authority(agency: Any, authority: str | None) -> None:
    assert _report(REQUEST | {"agency_responsible": agency}).owner_authority == authority


def test_recipients_of_xml_are_read_likewise() -> None:
    agency = b"<agency_responsible><recipient>Ville</recipient><recipient>Agglo</recipient></agency_responsible></request>"
    message = b"<requests><request><service_request_id>1</service_request_id><requested_datetime>2026-03-01T08:00:00Z</requested_datetime>"
    assert _report(message + agency + b"</requests>").owner_authority == "Ville, Agglo"


def test_a_recipient_that_is_no_text_is_set_aside() -> None:
    row, reject = _aside(REQUEST | {"agency_responsible": {"recipient": ["Ville", {"id": 1}]}})
    assert (row.owner_authority, reject.reason) == ("Ville", "invalid_value")


@pytest.mark.parametrize(
    "attributes",
    [{"asset_id": "PL-9"}, [{"code": "asset_id", "value": "PL-9"}], [{"name": "central_asset_id", "value": "PL-9"}],
     {"attribute": [{"key": "asset_id", "value": "PL-9"}]}],
)  # fmt: skip
@pytest.mark.parametrize("member", ["attributes", "extended_attributes"])
def test_the_equipment_is_found_among_the_attributes(member: str, attributes: Any) -> None:
    assert _report(REQUEST | {member: attributes}).asset_ref == "PL-9"


def test_a_stated_closure_comes_before_the_last_change() -> None:
    assert _report(REQUEST | {"closed_datetime": "2026-03-01T09:00:00+01:00"}).closed_at == _OPENED + 3_600_000_000


def test_an_open_request_that_was_closed_is_not_closed() -> None:
    row, reject = _aside(REQUEST | {"status": "Open", "closed_datetime": "2026-03-01T09:00:00+01:00"})
    assert (row.closed_at, row.status, reject.reason) == (None, "open", "closed_while_open")


def test_times_without_offset_are_in_the_feeds_zone() -> None:
    assert _report(REQUEST | {"requested_datetime": "2026-03-01 08:00:00"}).opened_at == _OPENED
    # 02:30 on 29 March does not exist in Paris; in UTC it does.
    gap = REQUEST | {"requested_datetime": "2026-03-29T02:30:00"}
    assert _refused(gap).reason == "not_an_instant"
    assert _report(gap, WireOptions(contract="report", personal=_PERSONAL)).opened_at == (20_541 * 86_400 + 9_000) * 1_000_000


@pytest.mark.parametrize(
    ("address", "street", "commune"),
    [
        ("12 rue de la Marne, 51000 Châlons-en-Champagne", "12 rue de la Marne", "Châlons-en-Champagne"),
        ("Résidence A, 3 bis allée B, 75011 Paris 11e", "Résidence A, 3 bis allée B", "Paris 11e"),
        ("Place Foch, 51000 Châlons-en-Champagne, France", "Place Foch", "Châlons-en-Champagne"),
        ("Place Foch, Châlons, France", "Place Foch, Châlons, France", None),
        ("3 rue A, 51000 Reims, bâtiment B", "3 rue A, 51000 Reims, bâtiment B", None),
        ("1600 Market St, San Francisco, CA 94103", "1600 Market St, San Francisco, CA 94103", None),
        ("8TH AVE and JUDAH ST", "8TH AVE and JUDAH ST", None),
        (", 51000 Reims", ", 51000 Reims", None),
        ("rue X, 510001 Reims", "rue X, 510001 Reims", None),
    ],
)
def test_street_and_commune_are_told_apart_where_the_address_tells(address: str, street: str, commune: str | None) -> None:
    row = _report(REQUEST | {"address": address})
    assert (row.street, row.commune) == (street, commune)


@pytest.mark.parametrize(
    "position", [{"lat": 91}, {"lat": None}, {"long": "east"}, {"lat": 0, "long": 0.0}, {"lat": 10**400}, {"long": []}]
)
def test_a_position_that_is_none_is_set_aside(position: dict[str, Any]) -> None:
    message = REQUEST | position
    if position == {"long": []}:
        assert _refused(message).reason == "duplicate_key"
        return
    row, reject = _aside(message)
    assert (row.longitude, row.latitude, reject.reason) == (None, None, "invalid_position")
    assert row.report_ref == "26-0017"


def test_no_position_is_nothing_to_set_aside() -> None:
    assert _report(REQUEST | {"lat": None, "long": ""}).latitude is None


def test_numbers_as_references_are_their_digits() -> None:
    row = _report(REQUEST | {"service_request_id": 638344, "parent_service_request_id": 7, "service_name": "", "service_code": 6})
    assert (row.report_ref, row.duplicate_of, row.category) == ("638344", "7", "6")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([{"service_request_id": 1, "service_notice": "…"}], "no_instant"),
        ([{"token": "abc"}], "token"),
        ([{"token": "abc", "status": "submitted", "requested_datetime": "2026-03-01T08:00:00Z"}], "token"),
        ([{"token": None, "status": "open"}], "no_id"),
        ([{"status": "open", "requested_datetime": "2026-03-01"}], "no_id"),
        ([{"code": 403, "description": "Invalid api_key"}], "error_answer"),
        ({"errors": [{"code": 404, "description": "no"}]}, "error_answer"),
        ([{"service_code": "001", "service_name": "Lampe", "group": "EP"}], "reference_information"),
        ({"services": [{"service_code": "001"}]}, "reference_information"),
        ({"service_code": "001", "attributes": []}, "reference_information"),
        ([7], "not_a_request"),
        ([], "empty"),
        (["reports", {}, []], "not_georeport_v2"),
        (b"<feed/>", "not_georeport_v2"),
        (b"<service_requests/>", "empty"),
        (REQUEST | {"requested_datetime": 20260301}, "not_an_instant"),
        (REQUEST | {"requested_datetime": "1826-03-01T08:00:00Z"}, "not_an_instant"),
        (XML.replace(b"<status>closed</status>", b"<status>closed</status><status>open</status>"), "duplicate_key"),
    ],
)
def test_what_is_no_request_is_refused_with_its_reason(message: Any, reason: str) -> None:
    assert _refused(message).reason == reason


def test_a_broken_request_does_not_take_the_others_along() -> None:
    records, batch = _read([REQUEST, 5, REQUEST | {"requested_datetime": "?"}, REQUEST | {"updated_datetime": "?"}])
    assert records == 4
    assert [row.position for row in batch.reports] == [1, 4]
    assert [(r.position, r.scope, r.reason) for r in batch.rejects] == [
        (2, "record", "not_a_request"),
        (3, "record", "not_an_instant"),
        (4, "value", "not_an_instant"),
    ]
    assert batch.reports[1].closed_at is None  # closed, but when cannot be read


def test_too_many_requests_are_refused_whole() -> None:
    records, batch = _read([REQUEST] * 3, WireOptions(personal=_PERSONAL, max_records=2))
    assert (records, [r.reason for r in batch.rejects], batch.reports) == (1, ["too_many"], [])


_NAMED: Final = REQUEST | {
    "requested_datetime": "?",
    "first_name": "SECRET",
    "last_name": "SECRET",
    "email": "SECRET@example.org",
    "phone": "SECRET",
    "device_id": "SECRET",
    "account_id": "SECRET",
    "description": "SECRET",
    "media_url": "SECRET",
    "status_notes": "SECRET",
    "requestor_name": "SECRET",
    "detail": "SECRET",
    "notes": [{"summary": "SECRET"}],
    "extended_attributes": [{"code": "phone", "value": "SECRET"}, {"code": "asset_id", "value": "PL-1"}],
    "attributes": {"email": "SECRET", "ward": "1"},
}


@pytest.mark.parametrize("message", [_NAMED, _NAMED | {"requested_datetime": "2026-03-01T08:00:00Z", "lat": 99}, ["SECRET"], [["SECRET"]]])
def test_who_reported_is_neither_in_rows_nor_in_rejects(message: Any) -> None:
    _, batch = _read(message)
    assert batch.rejects
    assert "SECRET" not in repr((batch.reports, batch.rejects))


def test_xml_tells_nobody_either() -> None:
    broken = XML.replace(b"2026-03-01T08:00:00+01:00", b"soon").replace(b"chez Mme Petit", b"SECRET")
    reject = _refused(broken)
    assert reject.original is not None
    assert "SECRET" not in reject.original
    assert "Éclairage en panne" in reject.original


@pytest.mark.parametrize("several", [1, 2])
def test_attributes_of_xml_tell_nobody_either(several: int) -> None:
    one = b"<attribute><code>phone</code><value>SECRET</value></attribute>"
    attributes = b"<extended_attributes>%s</extended_attributes><lat>99</lat>" % (one * several)
    _, batch = _read(XML.replace(b"<lat>48.957</lat>", attributes))
    assert [r.reason for r in batch.rejects] == ["invalid_position"]
    assert "SECRET" not in repr((batch.reports, batch.rejects))


def test_a_description_that_the_contract_allows_is_kept() -> None:
    options = WireOptions(contract="report", personal=_PERSONAL - {"description"})
    assert _report(REQUEST, options).description == "Le lampadaire devant chez Mme Petit est éteint."
    _, batch = _read(MANY, options)
    assert set(batch.tables[0][1]["description"].to_pylist()) == {"Le lampadaire devant chez Mme Petit est éteint."}


def test_an_address_that_the_contract_calls_personal_is_not_kept() -> None:
    options = WireOptions(contract="report", personal=_PERSONAL | {"address"})
    assert _report(REQUEST, options).street is None
    _, batch = _read(MANY, options)
    assert {row.street for row in batch.reports} == {None}


# --- long lists, read by column ---------------------------------------------------------------------------------------------------


def test_a_long_list_is_read_by_column() -> None:
    records, batch = _read(MANY)
    assert (records, batch.reports, batch.rejects) == (250, [], [])
    ((contract, table),) = batch.tables
    assert contract == "report"
    assert table["_position"].to_pylist() == list(range(1, 251))
    assert table.slice(249, 1).to_pylist() == [
        {k: v for k, v in _EXPECTED._replace(report_ref="26-0249")._asdict().items() if v is not None and k != "position"}
        | {"_position": 250}
    ]


_INSTANTS = st.sampled_from(
    ["2026-03-01T08:00:00+01:00", "2026-03-01T08:00:00.25Z", "2026-03-01T07:00Z", "2026-03-01T08:00:00", "2026-03-01", "?", "", None]
)
_TEXTS = st.sampled_from(["a", " b ", "", None, 'x":y', "Été", "3 rue A, 51000 Reims"])
_REQUESTS = st.fixed_dictionaries(
    {"service_request_id": st.one_of(st.integers(0, 9), st.sampled_from(["A-1", "", " z"])), "requested_datetime": _INSTANTS},
    optional={
        "status": st.sampled_from(["open", "closed", "Closed", None, ""]),
        "service_name": _TEXTS,
        "service_code": st.one_of(st.integers(0, 9), _TEXTS),
        "description": _TEXTS,
        "updated_datetime": _INSTANTS,
        "closed_datetime": _INSTANTS,
        "address": _TEXTS,
        "source": st.sampled_from(["Phone", "iOS", " Guichet ", "", None]),
        "lat": st.sampled_from([48.9, 0, 91, None, "48.9"]),
        "long": st.sampled_from([4.3, 0, None]),
        "parent_service_request_id": st.sampled_from(["P", 3, None]),
        "agency_responsible": _TEXTS,
        "media_url": _TEXTS,
        "zipcode": st.sampled_from([51_000, "51000", None]),
        "ward": _TEXTS,
    },
)


def _rows(batch: WireBatch) -> list[dict[str, Any]]:
    listed = [ReportRow(row.pop("_position"), **row) for _, table in batch.tables for row in table.to_pylist()]
    return [row._asdict() for row in (*batch.reports, *listed)]


@settings(deadline=None)
@given(requests=st.lists(_REQUESTS, min_size=1, max_size=4), is_indented=st.booleans())
def test_both_ways_give_the_same_rows(requests: list[dict[str, Any]], *, is_indented: bool) -> None:
    payload = json.dumps(requests, indent=1 if is_indented else None).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open311_quick, "_FEWEST", 1)
        _, quick = _read(payload)
        patch.setattr(open311_quick, "_FEWEST", 10**9)
        _, slow = _read(payload)
    assert slow.tables == []
    assert _rows(quick) == _rows(slow)
    assert quick.rejects == slow.rejects


@pytest.mark.parametrize("colon", [b":", b" :", b"\n:"])
def test_a_name_twice_in_a_long_list_is_refused(colon: bytes) -> None:
    payload = (
        dump(MANY).replace(b'"status":', b'"status"' + colon, 1).replace(b'"status_notes": "R', b'"status": "open", "status_notes": "R', 1)
    )
    assert _refused(payload).reason == "duplicate_key"


def test_a_colon_that_is_written_as_an_escape_hides_no_name() -> None:
    payload = dump(MANY).replace(b'"status_notes": "R', b'"token": "a", "token": "a\\u003a", "status_notes": "R', 1)
    assert _refused(payload).reason == "duplicate_key"


def test_a_long_list_with_one_bad_request_loses_only_that() -> None:
    records, batch = _read([*MANY, REQUEST | {"requested_datetime": "?"}])
    assert (records, len(batch.reports), batch.tables) == (251, 250, [])
    assert [(r.position, r.reason) for r in batch.rejects] == [(251, "not_an_instant")]
