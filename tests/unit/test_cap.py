"""CAP: what alerts and feeds become, computed by hand."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.feeds.load import load_feed
from ingestion.formats.cap import REASONS, decode
from ingestion.formats.cap_area import Area, InvalidArea, place_of, refs_of, slug
from ingestion.formats.wire import ObservationRow, WireBatch, WireOptions
from ingestion.landing import preview
from tests.unit.wire_corpus.cap import AREA, BAD, GOOD, HEAD, INFO, LINK, RSS, SUMMARY, alert, feed

_SENT = 1_795_345_200_000_000  # 2026-11-22T11:00:00Z
_ONSET = 1_795_366_800_000_000  # 2026-11-22T17:00:00Z
_EXAMPLES = Path(__file__).resolve().parents[2] / "ingestion" / "feeds" / "examples"


def _decoded(text: str, **options: Any) -> WireBatch:
    batch = WireBatch()
    decode(text.encode(), batch, after=0, received_at=None, options=WireOptions(**options))
    return batch


def _levels(batch: WireBatch) -> list[tuple[str, str, int, float | None, str | None]]:
    return [(o.asset_ref, o.property, o.observed_at, o.value, o.value_text) for o in batch.observations if o.unit == "1"]


def _texts(batch: WireBatch) -> dict[str, str | None]:
    return {o.property: o.value_text for o in batch.observations if o.unit is None}


def _reasons(batch: WireBatch) -> list[tuple[str, str]]:
    return [(r.scope, r.reason) for r in batch.rejects]


def test_an_alert_becomes_the_level_of_its_area_and_its_words() -> None:
    batch = _decoded(alert(HEAD + INFO))
    assert _levels(batch) == [
        ("alert:A1", "warning_status", _SENT, 1.0, "Alert"),
        ("EMMA_ID:FR018", "warning.vent_violent", _ONSET, 3.0, "Severe"),
    ]
    assert _texts(batch) == {
        "warning.vent_violent.event": "Vent violent",
        "warning.vent_violent.category": "Met",
        "warning.vent_violent.urgency": "Future",
        "warning.vent_violent.certainty": "Likely",
        "warning.vent_violent.onset": "2026-11-22T18:00:00+01:00",
        "warning.vent_violent.expires": "2026-11-23T06:00:00+01:00",
        "warning.vent_violent.headline": "Vent violent ce soir",
    }
    assert {o.message_id for o in batch.observations} == {"A1"}
    area = batch.assets[1]
    assert (area.asset_ref, area.asset_type, area.name) == ("EMMA_ID:FR018", "warning_area", "Aube")
    assert (area.longitude, area.latitude) == (4.5, 48.5)
    assert json.loads(area.geometry or "") == {"type": "Polygon", "coordinates": [[[4, 48], [5, 48], [5, 49], [4, 48]]]}
    assert not batch.rejects


@pytest.mark.parametrize(("severity", "value"), [("Extreme", 4.0), ("Severe", 3.0), ("Moderate", 2.0), ("Minor", 1.0), ("Unknown", None)])
def test_a_severity_is_a_number_and_an_unknown_one_none(severity: str, value: float | None) -> None:
    batch = _decoded(alert(HEAD + INFO.replace("Severe", severity)))
    assert _levels(batch)[1][3:] == (value, severity)


@pytest.mark.parametrize(
    ("left_out", "at"),
    [
        ("", _ONSET),
        ("<onset>2026-11-22T18:00:00+01:00</onset>", _SENT),
    ],
)
def test_a_warning_is_dated_from_its_onset_else_from_when_it_was_sent(left_out: str, at: int) -> None:
    assert _levels(_decoded(alert(HEAD + INFO.replace(left_out, ""))))[1][2] == at


def test_effective_dates_a_warning_without_onset() -> None:
    text = alert(HEAD + INFO.replace("onset>", "effective>"))
    assert _levels(_decoded(text))[1][2] == _ONSET


def test_a_cancel_ends_its_areas_and_what_it_refers_to_when_it_was_sent() -> None:
    references = "<references>meteo@example.org,A0,2026-11-22T06:00:00+01:00 meteo@example.org,A-1,2026-11-21T06:00:00+01:00</references>"
    batch = _decoded(alert(HEAD.replace(">Alert<", ">Cancel<") + references + INFO))
    assert _levels(batch) == [
        ("alert:A1", "warning_status", _SENT, 0.0, "Cancel"),
        ("alert:A0", "warning_status", _SENT, 0.0, "Cancel"),
        ("alert:A-1", "warning_status", _SENT, 0.0, "Cancel"),
        ("EMMA_ID:FR018", "warning.vent_violent", _SENT, 0.0, "Severe"),
    ]


@pytest.mark.parametrize("over", ["<urgency>Past</urgency>", "<responseType>AllClear</responseType><urgency>Future</urgency>"])
def test_what_is_past_or_all_clear_is_over_when_it_was_sent(over: str) -> None:
    batch = _decoded(alert(HEAD + INFO.replace("<urgency>Future</urgency>", over)))
    assert _levels(batch)[1][2:] == (_SENT, 0.0, "Severe")


def test_an_update_supersedes_and_changes_nothing_before_it_was_sent() -> None:
    references = "<references>meteo@example.org,A0,2026-11-22T06:00:00+01:00</references>"
    head = HEAD.replace(">Alert<", ">Update<") + references
    begun = _decoded(alert(head + INFO.replace("2026-11-22T18:00:00+01:00", "2026-11-22T08:00:00+01:00")))
    assert ("alert:A0", "warning_status", _SENT, 0.0, "Update") in _levels(begun)
    assert _levels(begun)[-1][2:] == (_SENT, 3.0, "Severe")
    assert _levels(_decoded(alert(head + INFO)))[-1][2] == _ONSET


def test_of_two_languages_french_is_kept_else_the_first() -> None:
    code = "<eventCode><valueName>SAME</valueName><value>HWW</value></eventCode>"
    french = INFO.replace("<urgency>", f"{code}<urgency>", 1)
    english = french.replace("fr-FR", "en-GB").replace("Vent violent", "Strong wind")
    for order in (french + english, english + french):
        batch = _decoded(alert(HEAD + order))
        assert _texts(batch)["warning.hww.event"] == "Vent violent"
        assert len(_levels(batch)) == 2
    german = english.replace("en-GB", "de-DE").replace("Strong wind", "Sturm")
    assert _texts(_decoded(alert(HEAD + german + english)))["warning.hww.event"] == "Sturm"


def test_two_hazards_of_one_alert_are_both_kept() -> None:
    rain = INFO.replace("Vent violent", "Pluie-inondation").replace("Severe", "Minor")
    assert [row[1] for row in _levels(_decoded(alert(HEAD + rain + INFO)))] == [
        "warning_status",
        "warning.vent_violent",
        "warning.pluie_inondation",
    ]


def test_of_an_area_named_twice_the_severest_is_kept_and_the_other_set_aside() -> None:
    batch = _decoded(alert(HEAD + INFO.replace("Severe", "Minor") + INFO))
    assert [row[3] for row in _levels(batch)[1:]] == [3.0]
    assert _reasons(batch) == [("value", "repeated_area")]


def test_meteoalarm_names_the_hazard_without_its_level() -> None:
    parameter = "<parameter><valueName>awareness_type</valueName><value>1; Wind</value></parameter>"
    batch = _decoded(alert(HEAD + INFO.replace("<area>", f"{parameter}<area>")))
    assert _levels(batch)[1][1] == "warning.wind"
    assert _texts(batch)["warning.wind.parameter.awareness_type"] == "1; Wind"


@pytest.mark.parametrize(
    ("awareness", "hazard"),
    [
        ("7; coastalevent", "coastal_event"),
        ("7; Coastal Event", "coastal_event"),
        ("13; rain-flood", "rain_flood"),
        ("3; Thunderstorms", "thunderstorm"),
        ("Snow/Ice", "snow_ice"),
        ("99; Sand storm", "sand_storm"),
    ],
)
def test_a_hazard_of_meteoalarm_has_one_name_however_it_is_spelled(awareness: str, hazard: str) -> None:
    parameter = f"<parameter><valueName>awareness_type</valueName><value>{awareness}</value></parameter>"
    batch = _decoded(alert(HEAD + INFO.replace("<area>", f"{parameter}<area>")))
    assert _levels(batch)[1][1] == f"warning.{hazard}"


@pytest.mark.parametrize(
    ("expires", "at", "level"),
    [
        ("2026-11-22T11:59:00+01:00", _SENT, 0.0),
        ("2026-11-22T12:00:00+01:00", _SENT, 0.0),
        ("2026-11-22T12:01:00+01:00", _ONSET, 3.0),
        ("demain", _ONSET, 3.0),
    ],
)
def test_what_had_expired_when_it_was_sent_is_over(expires: str, at: int, level: float) -> None:
    batch = _decoded(alert(HEAD + INFO.replace("2026-11-23T06:00:00+01:00", expires)))
    assert _levels(batch)[1][2:4] == (at, level)


def test_an_update_that_refers_to_itself_is_not_its_own_end() -> None:
    head = HEAD.replace(">Alert<", ">Update<").replace(
        "</scope>", "</scope><references>a@example.org,A1,2026-11-22T06:00:00+01:00 a@example.org,A0,2026-11-22T05:00:00+01:00</references>"
    )
    assert [level[:4] for level in _levels(_decoded(alert(head + INFO)))[:2]] == [
        ("alert:A1", "warning_status", _SENT, 1.0),
        ("alert:A0", "warning_status", _SENT, 0.0),
    ]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("<scope>Public</scope>", "", "missing_element"),
        ("<identifier>A1</identifier>", "", "missing_element"),
        ("<areaDesc>Aube</areaDesc>", "", None),
        ("<severity>Severe</severity>", "", "missing_element"),
        ("<event>Vent violent</event>", "", "missing_element"),
        (">Actual<", ">Test<", "not_actual"),
        (">Actual<", ">Exercise<", "not_actual"),
        (">Actual<", ">Draft<", "not_actual"),
        (">Actual<", ">System<", "not_actual"),
        (">Actual<", ">Vrai<", "unknown_value"),
        (">Alert<", ">Ack<", "not_a_warning"),
        (">Alert<", ">Error<", "not_a_warning"),
        (">Severe<", ">Orange<", "unknown_value"),
        ("12:00:00+01:00", "12:00:00", "no_time_zone"),
        ("2026-11-22T12:00:00+01:00", "hier", "not_an_instant"),
        ("2026-11-22T12:00:00+01:00", "2026-13-22T12:00:00+01:00", "not_an_instant"),
    ],
)
def test_an_alert_that_breaks_a_rule_is_rejected_whole_with_its_reason(before: str, after: str, reason: str | None) -> None:
    text = alert(HEAD + INFO)
    assert before in text
    batch = _decoded(text.replace(before, after, 1))
    if reason is None:  # a code names the area without its description
        assert not batch.rejects
        return
    assert _reasons(batch) == [("record", reason)]
    assert not batch.observations
    assert not batch.assets
    assert (batch.rejects[0].original or "").startswith("<alert")


def test_an_area_without_code_and_description_is_none() -> None:
    nameless = INFO.replace(AREA, "<area><polygon>48,4 48,5 49,5 48,4</polygon></area>")
    assert _reasons(_decoded(alert(HEAD + nameless))) == [("record", "missing_element")]


def test_a_date_of_a_warning_that_cannot_be_read_sets_that_warning_aside() -> None:
    batch = _decoded(alert(HEAD + INFO.replace("2026-11-22T18:00:00+01:00", "2026-11-22T18:00:00")))
    assert _reasons(batch) == [("value", "no_time_zone")]
    assert [row[0] for row in _levels(batch)] == ["alert:A1"]


def test_a_broken_polygon_leaves_the_warning_and_its_area() -> None:
    batch = _decoded(alert(HEAD + INFO.replace("48.0,5.0", "98.0,5.0")))
    assert _reasons(batch) == [("value", "invalid_geometry")]
    assert batch.assets[1].geometry is None
    assert _levels(batch)[1][3] == 3.0


def test_who_to_call_is_in_no_row_and_no_reject() -> None:
    contact = "<contact>Camille Martin, 06 00 00 00 00</contact>"
    for head in (HEAD, HEAD.replace("Actual", "Draft")):
        batch = _decoded(alert(head + INFO.replace("<area>", f"{contact}<area>")), personal=frozenset({"contact"}))
        assert "Camille" not in str(batch)


def test_a_feed_holds_alerts_summaries_and_links() -> None:
    batch = WireBatch()
    payload = feed(f'<content type="text/xml">{alert(HEAD + INFO)}</content>', SUMMARY, LINK).encode()
    assert decode(payload, batch, after=10, received_at=None, options=WireOptions()) == 3
    at = 1_795_348_800_000_000  # 12:00:00Z
    assert [(o.position, *o[1:6]) for o in batch.observations if o.unit == "1" or o.position == 13] == [
        (11, "alert:A1", "warning_status", _SENT, 1.0, "Alert"),
        (11, "EMMA_ID:FR018", "warning.vent_violent", _ONSET, 3.0, "Severe"),
        (12, "alert:https://example.org/a/2", "warning_status", at, 1.0, "Alert"),
        (12, "EMMA_ID:FR018", "warning.orages", at, 2.0, "Moderate"),
        (13, "alert:https://example.org/a/1", "title", at, None, "Crue de la Seine"),
        (13, "alert:https://example.org/a/1", "web", at, None, "https://example.org/a/1.xml"),
    ]
    assert not batch.rejects


def test_an_alert_kept_as_text_in_an_entry_is_read() -> None:
    inner = '<?xml version="1.0" encoding="ISO-8859-1"?>' + alert(HEAD + INFO.replace("Aube", "Nièvre"))
    batch = _decoded(feed(f'<content type="text/xml"><![CDATA[{inner}]]></content>'))
    assert batch.assets[1].name == "Nièvre"


def test_a_summary_that_does_not_say_whether_it_is_actual_is_not_taken_for_it() -> None:
    batch = _decoded(feed(SUMMARY.replace("<cap:status>Actual</cap:status>", "")))
    assert _reasons(batch) == [("record", "missing_element")]


@pytest.mark.parametrize("event", ["Vigilance jaune vent", "Moderate wind warning"])
def test_entries_of_meteoalarm_name_the_hazard_in_their_titles(event: str) -> None:
    entry = SUMMARY.replace("<title>Orages<", "<title>Yellow Wind Warning issued for France - Aube<").replace(
        "cap:event>Orages<", f"cap:event>{event}<"
    )
    batch = _decoded(feed(entry))
    assert _levels(batch)[1][:2] == ("EMMA_ID:FR018", "warning.wind")
    assert _texts(batch)["warning.wind.event"] == event
    assert batch.assets[0].name == event


def test_a_summary_may_write_several_codes_in_one_value() -> None:
    pairs = "<valueName>FIPS6</valueName><value>030049 030001</value>"
    entry = SUMMARY.replace("<valueName>EMMA_ID</valueName><value>FR018</value>", pairs)
    assert [row[0] for row in _levels(_decoded(feed(entry)))[1:]] == ["FIPS6:030049", "FIPS6:030001"]
    named = SUMMARY.replace("<value>FR018</value>", "<value>Vallée de l'Aube</value>")
    assert [row[0] for row in _levels(_decoded(feed(named)))[1:]] == ["EMMA_ID:Vallée de l'Aube"]


def test_a_quiet_feed_says_so() -> None:
    batch = _decoded(feed())
    at = 1_795_349_100_000_000  # 12:05:00Z
    assert batch.observations == [ObservationRow(1, "feed:https://example.org/vigilance", "entries", at, 0.0, None, "{count}")]


def test_rss_is_read_likewise() -> None:
    batch = _decoded(RSS)
    assert [o[1:6] for o in batch.observations] == [("alert:r1", "title", 1_795_348_800_000_000, None, "Vigilance")]


_DWD_CODES = "".join(
    f"<eventCode><valueName>{name}</valueName><value>{value}</value></eventCode>"
    for name, value in (("PROFILE_VERSION", "2.1.14"), ("LICENSE", "CC BY"), ("II", "52"), ("GROUP", "WIND"), ("AREA_COLOR", "251 140 0"))
)
_NWS_CODES = "".join(
    f"<eventCode><valueName>{name}</valueName><value>{value}</value></eventCode>"
    for name, value in (("SAME", "NWS"), ("NationalWeatherService", "BHS"))
)


@pytest.mark.parametrize(
    ("codes", "event"),
    [
        (_DWD_CODES, "warning.wind"),  # of the DWD's codes only `GROUP` names the hazard
        (_NWS_CODES, "warning.bhs"),  # SAME says NWS of all it has no code for
        ("<eventCode><valueName>SAME</valueName><value>FFA</value></eventCode>", "warning.ffa"),
        ("<eventCode><valueName>LICENSE</valueName><value>CC BY</value></eventCode>", "warning.vent_violent"),
    ],
)
def test_a_code_that_says_nothing_of_the_event_does_not_name_it(codes: str, event: str) -> None:
    batch = _decoded(alert(HEAD + INFO.replace("<area>", f"{codes}<area>", 1)))
    assert [level[1] for level in _levels(batch)][1:] == [event]


def test_what_is_taken_out_of_a_polygon_is_a_hole_of_it_and_no_code() -> None:
    area = (
        "<area><areaDesc>Kreis</areaDesc><polygon>49,12 49,13 50,13 50,12 49,12</polygon><polygon>40,2 40,3 41,3 40,2</polygon>"
        "<geocode><valueName>EXCLUDE_POLYGON</valueName><value>49.4,12.4 49.4,12.6 49.6,12.6 49.4,12.4</value></geocode>"
        "<geocode><valueName>STATE</valueName><value>BY</value></geocode>"
        "<geocode><valueName>WARNCELLID</valueName><value>109172000</value></geocode></area>"
    )
    batch = _decoded(alert(HEAD + INFO.replace(AREA, area)))
    (found,) = (a for a in batch.assets if a.asset_type == "warning_area")
    assert found.asset_ref == "WARNCELLID:109172000"
    assert found.geometry is not None
    assert json.loads(found.geometry) == {
        "type": "MultiPolygon",
        "coordinates": [
            [[[12, 49], [13, 49], [13, 50], [12, 50], [12, 49]], [[12.4, 49.4], [12.6, 49.4], [12.6, 49.6], [12.4, 49.4]]],
            [[[2, 40], [3, 40], [3, 41], [2, 40]]],
        ],
    }


@pytest.mark.parametrize("spaced", ["49, 12 49, 13 50, 13", "49 ,12\n49 , 13\n50,13"])
def test_spaces_around_the_comma_of_a_corner_are_passed_over(spaced: str) -> None:
    assert place_of(Area(polygons=[spaced])) == place_of(Area(polygons=["49,12 49,13 50,13"]))
    assert place_of(Area(circles=["49, 12 5"])) == place_of(Area(circles=["49,12 5"]))


def test_alerts_in_an_envelope_are_records_of_their_own() -> None:
    second = alert(HEAD.replace("A1", "A2") + INFO)
    message = f"<d:alerts xmlns:d='urn:example:feed'>{alert(HEAD + INFO)}<d:content><d:xml>{second}</d:xml></d:content></d:alerts>"
    batch = _decoded(message)
    assert [(o.position, o.asset_ref) for o in batch.observations if o.property == "warning_status"] == [(1, "alert:A1"), (2, "alert:A2")]
    assert _reasons(_decoded(message, max_records=1)) == [("record", "too_many")]


def test_blank_lines_before_the_declaration_are_passed_over() -> None:
    declared = '<?xml version="1.0" encoding="UTF-8"?>' + alert(HEAD + INFO)
    assert _decoded("\r\n\n " + declared) == _decoded(declared)


def test_an_iso_8859_1_message_keeps_its_accents() -> None:
    batch = WireBatch()
    decode(GOOD[-1], batch, after=0, received_at=None, options=WireOptions())
    assert batch.assets[1].name == "Nièvre"


def test_too_many_entries_are_refused() -> None:
    assert _reasons(_decoded(feed(LINK, LINK, LINK), max_records=2)) == [("record", "too_many")]


def test_a_circle_becomes_a_ring_of_its_radius_around_its_centre() -> None:
    place = place_of(Area(circles=["48.3,4.08 10"]))
    ring = json.loads(place.geometry or "")["coordinates"][0]
    assert (round(place.longitude or 0, 4), round(place.latitude or 0, 4)) == (4.08, 48.3)
    assert ring[0] == ring[-1]
    for longitude, latitude in ring:
        north = math.radians(latitude - 48.3) * 6371
        east = math.radians(longitude - 4.08) * 6371 * math.cos(math.radians(48.3))
        assert math.hypot(north, east) == pytest.approx(10, rel=0.002)
    # RFC 7946: an outer ring is anticlockwise, its signed area positive.
    assert sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring)) > 0


def test_a_circle_without_radius_is_a_point_and_one_on_the_antimeridian_has_its_centre_only() -> None:
    for circle, at in (("48.3,4.08 0.0", (4.08, 48.3)), ("-16,179.99 50", (179.99, -16.0)), ("89.9,0 50", (0.0, 89.9))):
        place = place_of(Area(circles=[circle]))
        assert (place.longitude, place.latitude, place.geometry) == (*at, None)


@pytest.mark.parametrize("text", ["48,4 48,5", "48,4", "x,y z,t u,v", "48;4 48;5 49;5", "91,4 48,5 49,5", "nan,4 48,5 49,5"])
def test_what_is_no_polygon_is_refused(text: str) -> None:
    with pytest.raises(InvalidArea):
        place_of(Area(polygons=[text]))


@given(st.lists(st.tuples(st.floats(-80, 80), st.floats(-170, 170)), min_size=3, max_size=8))
def test_a_polygon_keeps_its_corners_and_is_closed(corners: list[tuple[float, float]]) -> None:
    text = " ".join(f"{latitude!r},{longitude!r}" for latitude, longitude in corners)
    closed = corners if corners[0] == corners[-1] else [*corners, corners[0]]
    if len(closed) < 4:
        with pytest.raises(InvalidArea):
            place_of(Area(polygons=[text]))
        return
    written = json.loads(place_of(Area(polygons=[text])).geometry or "")
    assert written["coordinates"][0] == [[longitude, latitude] for latitude, longitude in closed]


def test_a_country_is_no_area_and_the_one_code_of_a_scheme_names_it() -> None:
    assert refs_of(Area("Aube", geocodes=[("iso:3166-2", "FR-10")]), "x@y") == ["area:x_y/aube"]
    assert refs_of(Area("A", geocodes=[("COMMUNES", "10387"), ("COMMUNES", "10323"), ("ZONE", "7")]), "x@y") == ["ZONE:7"]
    assert refs_of(Area("A", geocodes=[("SAME", "1"), ("EMMA_ID", "FR1")]), "x@y") == ["EMMA_ID:FR1"]


@given(st.text(max_size=300))
def test_a_slug_is_short_and_stays_itself(text: str) -> None:
    once = slug(text)
    assert len(once) <= 89
    assert " " not in once
    assert once == slug(text)


def test_every_reason_is_told() -> None:
    page = (_EXAMPLES.parents[2] / "docs" / "formats" / "cap.md").read_text(encoding="utf-8")
    told = set()
    for payload in BAD:
        batch = WireBatch()
        decode(payload, batch, after=0, received_at=None, options=WireOptions())
        told |= {r.reason for r in batch.rejects}
    assert told <= set(REASONS)
    assert all(f"`{reason}`" in page for reason in REASONS)


def test_a_file_of_an_alert_is_staged_by_the_shipped_contract(tmp_path: Path, extension_directory: Path) -> None:
    path = tmp_path / "alerte.cap"
    path.write_bytes(GOOD[0])
    shown = preview(load_feed(_EXAMPLES / "vigilance-cap.yaml"), path, extension_directory=extension_directory)
    assert (shown.received, shown.accepted, shown.rejected, shown.rejected_values) == (1, 1, 0, 0)
    level = next(row for row in shown.rows if row["property"] == "warning.vent_violent")
    assert (level["asset_ref"], level["value"], level["value_text"]) == ("EMMA_ID:FR018", 3.0, "Severe")
