"""Contracts broken in one place each: what is told, on which line, with which remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.errors import WrongUse
from ingestion.feeds.load import ContractError, Problem, load_feed
from tests.contract.feeds_support import ASSET, ENERGY, INTERVENTION, OBSERVATION, REPORT, RIGHT, line_of, write


def problems(folder: Path, text: str) -> list[Problem]:
    with pytest.raises(ContractError) as caught:
        load_feed(write(folder, text))
    assert isinstance(caught.value, WrongUse)
    return list(caught.value.problems)


@pytest.mark.parametrize("contract", sorted(RIGHT))
def test_a_right_contract_of_each_kind_loads(tmp_path: Path, contract: str) -> None:
    assert load_feed(write(tmp_path, RIGHT[contract])).contract == contract


# (contract, line told, what is replaced, by what, key told, part of the message, part of the remedy)
BROKEN = {
    "unknown key at the root": (REPORT, 2, "title: Essai", "titel: Essai\ntitle: x", "titel", "unknown key", "'title'"),
    "unknown key in a field": (
        REPORT,
        11,
        "{name: Numéro}",
        "{name: Numéro, classfication: open}",
        "fields[1].classfication",
        "unknown",
        "'classification'",
    ),
    "a key of another place": (REPORT, 3, "title: Essai", 'title: Essai\ndelimiter: ";"', "delimiter", "unknown", "format.delimiter"),
    "a word of another tool": (REPORT, 3, "title: Essai", 'title: Essai\nseparator: ";"', "separator", "unknown", "format.delimiter"),
    "wrong type": (REPORT, 8, "latitude: 48.9", "latitude: nord", "territory.latitude", "number", None),
    "out of bounds": (REPORT, 8, "latitude: 48.9", "latitude: 489", "territory.latitude", "90", None),
    "a word misspelt": (REPORT, 15, "{name: Lon, type: number}", "{name: Lon, type: nombre}", "fields[5].type", "is none of", "'number'"),
    "a name that is no slug": (REPORT, 1, "feed: grc-essai", "feed: GRC Essai", "feed", "lower case", "grc-essai"),
    "unknown zone": (REPORT, 9, "\ntime_zone: Europe/Paris", "\ntime_zone: Europe/Pari", "time_zone", "IANA", "'Europe/Paris'"),
    "unknown holidays": (REPORT, 8, "holidays: FR", "holidays: FRANCE", "territory.holidays", "public holidays", None),
    "a number where a text is expected": (
        REPORT,
        16,
        "mapping:",
        "missingValues: [-999]\nmapping:",
        "missingValues[1]",
        "must be a text",
        '"-999"',
    ),
    "a bare number as duration": (REPORT, 16, "mapping:", "retention: 30\nmapping:", "retention", "ISO 8601 duration", None),
    "a month as duration": (REPORT, 16, "mapping:", "retention: P1M\nmapping:", "retention", "ISO 8601 duration", None),
    "bad cron": (REPORT, 16, "mapping:", "schedule: 0 25 * * *\nmapping:", "schedule", "hour '25'", "15 6 * * *"),
    "cron of four fields": (REPORT, 16, "mapping:", "schedule: 0 2 * *\nmapping:", "schedule", "has 4 fields", None),
    "unknown contract column": (REPORT, 20, "longitude: Lon", "longitud: Lon", "mapping.longitud", "no column", "'longitude'"),
    "mapping names a column that is not declared": (
        REPORT,
        17,
        "report_ref: Numéro",
        "report_ref: Numero",
        "mapping.report_ref.column",
        "not in fields",
        "'Numéro'",
    ),
    "nothing to fill a column from": (REPORT, 20, "longitude: Lon", "longitude: {unit: deg}", "mapping.longitude", "exactly one of", None),
    "two origins": (REPORT, 20, "longitude: Lon", "longitude: {column: Lon, constant: 2}", "mapping.longitude", "exactly one of", None),
    "field declared twice": (
        REPORT,
        14,
        "{name: Nom, classification: personal}",
        "{name: Numéro}",
        "fields[4].name",
        "declared twice",
        None,
    ),
    "instant without format": (
        REPORT,
        19,
        '{name: Fermé le, type: datetime, format: "%d/%m/%Y %H:%M"}',
        "{name: Fermé le}",
        "mapping.closed_at",
        "no date format",
        "datetime",
    ),
    "format with an unknown letter": (
        REPORT,
        19,
        "closed_at: {column: Fermé le}",
        'closed_at: {column: Fermé le, format: "%d/%m/%Q"}',
        "mapping.closed_at.format",
        "%Q",
        "%d day",
    ),
    "12-hour clock without AM or PM": (
        REPORT,
        19,
        "closed_at: {column: Fermé le}",
        'closed_at: {column: Fermé le, format: "%d/%m/%Y %I:%M"}',
        "mapping.closed_at.format",
        "AM or PM",
        "%H",
    ),
    "a time alone as instant": (
        REPORT,
        19,
        "closed_at: {column: Fermé le}",
        'closed_at: {column: Fermé le, format: "%H:%M"}',
        "mapping.closed_at.format",
        "no year",
        "sql",
    ),
    "values on an instant": (
        REPORT,
        19,
        "closed_at: {column: Fermé le}",
        "closed_at: {column: Fermé le, values: {a: b}}",
        "mapping.closed_at.values",
        "an instant",
        "sql",
    ),
    "zone on a text": (
        REPORT,
        17,
        "report_ref: Numéro",
        "report_ref: {column: Numéro, time_zone: UTC}",
        "mapping.report_ref.time_zone",
        "not an instant",
        None,
    ),
    "personal key": (REPORT, 17, "report_ref: Numéro", "report_ref: Nom", "mapping.report_ref", "is personal", "names no person"),
    "measures on a report": (
        REPORT,
        16,
        "mapping:",
        "measures: [{column: Lon, property: x, unit: deg}]\nmapping:",
        "measures",
        "no measures",
        "observation",
    ),
    "unit of a text": (
        REPORT,
        17,
        "report_ref: Numéro",
        "report_ref: {column: Numéro, unit: m}",
        "mapping.report_ref.unit",
        "not a number",
        None,
    ),
    "a filter over an unknown column": (REPORT, 16, "mapping:", "filter: Numero = 'x'\nmapping:", "filter", "not declared", "'Numéro'"),
    "SQL that reads a file": (
        REPORT,
        20,
        "longitude: Lon",
        "longitude: {sql: \"read_text('/etc/passwd')\"}",
        "mapping.longitude.sql",
        "read_text",
        "SQL expressions",
    ),
    "a numeric measure without unit": (OBSERVATION, 19, "unit: Cel, ", "", "measures[1].unit", "without unit", "text: true"),
    "a measure of a column that is not declared": (
        OBSERVATION,
        19,
        "{column: temp,",
        "{column: tmp,",
        "measures[1].column",
        "not in fields",
        "'temp'",
    ),
    "a unit as people write it": (OBSERVATION, 19, "unit: Cel", "unit: °C", "measures[1].unit", "UCUM", "'Cel'"),
    "a text with bounds": (OBSERVATION, 20, "text: true", "text: true, minimum: 0", "measures[2].minimum", "a text has no", None),
    "bounds exchanged": (OBSERVATION, 19, "minimum: -40", "minimum: 80", "measures[1].minimum", "above maximum", None),
    "a property measured twice": (
        OBSERVATION,
        20,
        "{column: etat, property: state, text: true}",
        "{column: temp, property: air_temperature, unit: K}\n  - {column: etat, property: state, text: true}",
        "measures[2].property",
        "twice",
        None,
    ),
    "property beside measures": (
        OBSERVATION,
        18,
        "observed_at: ts",
        "observed_at: ts\n  property: etat",
        "mapping.property",
        "comes from measures",
        None,
    ),
    "states of an unknown property": (
        OBSERVATION,
        23,
        "property: state, failed",
        "property: stat, failed",
        "indicators.states[1].property",
        "no measure",
        "'state'",
    ),
    "a state without failure": (OBSERVATION, 23, "failed: [HS], ", "", "indicators.states[1]", "no value that it is a failure", None),
    "energy in a unit of power": (ENERGY, 19, "unit: kW.h", "unit: kW", "mapping.energy_wh.unit", "kW is active power", "kW.h"),
    "energy without unit": (ENERGY, 19, "{column: kWh, unit: kW.h}", "kWh", "mapping.energy_wh.unit", "needs the unit", "kW.h"),
    "states on energy": (
        ENERGY,
        21,
        "indicators:",
        "indicators:\n  states: [{property: x, failed: [a], fault_type: b}]",
        "indicators.states",
        "observation",
        None,
    ),
    "a baseline that ends before it starts": (
        ENERGY,
        22,
        "end: 2026-01-01",
        "end: 2024-01-01",
        "indicators.baselines[1]",
        "end must come after start",
        None,
    ),
    "rated power in hours": (ASSET, 18, "unit: W}", "unit: h}", "mapping.rated_power_w.unit", "h is duration", "kW"),
    "baselines on assets": (
        ASSET,
        14,
        "mapping:",
        "indicators: {baselines: [{start: 2025-01-01, end: 2026-01-01, tolerance_pct: 1}]}\nmapping:",
        "indicators.baselines",
        "energy_reading",
        None,
    ),
    "a code of no category": (INTERVENTION, 17, "P: preventive", "P: préventif", "mapping.kind.values.P", "is none of", "'preventive'"),
    "faults on an unknown kind of rule": (
        INTERVENTION,
        20,
        "category:",
        "categorie:",
        "indicators.faults[1].categorie",
        "unknown key",
        "'category'",
    ),
    "a key written twice": (REPORT, 5, "domain: GRC", "domain: EP\ndomain: GRC", "domain", "written twice", None),
    "left to fill in": (REPORT, 7, "licence: etalab-2.0", "licence: TO COMPLETE", "source.licence", "to be filled in", "SPDX"),
    "left to fill in, in French": (REPORT, 2, "title: Essai", "title: À COMPLÉTER", "title", "to be filled in", None),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_contract_broken_in_one_place_names_line_key_and_remedy(tmp_path: Path, case: str) -> None:
    text, line, old, new, key, what, remedy = BROKEN[case]
    assert text.count(old) == 1, "the part to break must stand once"

    found = problems(tmp_path, text.replace(old, new))

    assert [(p.line, p.key) for p in found] == [(line, key)], [str(p) for p in found]
    assert what in found[0].what
    assert (remedy or "") in (found[0].remedy or "")


def test_required_columns_that_are_not_mapped_are_all_told(tmp_path: Path) -> None:
    text = ENERGY.replace("  start_at: debut\n  end_at: fin\n", "")
    found = problems(tmp_path, text)
    assert {p.key for p in found} == {"mapping.start_at", "mapping.end_at"}
    assert all("energy_reading needs meter_ref, start_at, end_at, energy_wh" in str(p.remedy) for p in found)
    assert {p.line for p in found} == {line_of(text, "mapping:")}


def test_every_problem_is_listed_at_once_by_line(tmp_path: Path) -> None:
    text = (
        REPORT.replace("title: Essai", "titel: Essai")
        .replace("latitude: 48.9", "latitude: nord")
        .replace("report_ref: Numéro", "report_ref: Numero")
    )
    found = problems(tmp_path, text)
    assert [(p.line, p.key) for p in found] == [
        (1, "title"),
        (2, "titel"),
        (8, "territory.latitude"),
        (line_of(text, "report_ref: Numero"), "mapping.report_ref.column"),
    ]


def test_the_message_gives_file_line_key_and_remedy(tmp_path: Path) -> None:
    path = write(tmp_path, REPORT.replace("longitude: Lon", "longitud: Lon"))
    with pytest.raises(ContractError) as caught:
        load_feed(path)
    message = str(caught.value)
    assert f"{path}:20: mapping.longitud: contract report has no column 'longitud'" in message
    assert "→ did you mean 'longitude'?" in message
    assert f"vigie feeds check {path}" in message


def test_a_wrong_contract_name_tells_only_what_is_sure(tmp_path: Path) -> None:
    found = problems(tmp_path, REPORT.replace("contract: report", "contract: reports"))
    assert [(p.key, p.remedy) for p in found] == [("contract", "did you mean 'report'?")]


def test_observations_need_measures_or_property_and_value(tmp_path: Path) -> None:
    head, _, _ = OBSERVATION.partition("measures:")
    found = problems(tmp_path, head)
    assert [p.key for p in found] == ["mapping.property"]
    assert "measures" in str(found[0].remedy)
    found = problems(tmp_path, head + "  property: etat\n")
    assert [p.key for p in found] == ["mapping.value"]
    found = problems(tmp_path, head + "  property: etat\n  value: temp\n")
    assert [(p.key, "UCUM" in str(p.remedy)) for p in found] == [("mapping.value.unit", True)]
    assert load_feed(write(tmp_path, head + "  property: etat\n  value: {column: temp, unit: Cel}\n")).measures == []


def test_a_field_can_state_the_unit_of_its_measure(tmp_path: Path) -> None:
    text = OBSERVATION.replace("unit: Cel, ", "").replace("{name: temp, type: number}", "{name: temp, type: number, unit: Cel}")
    assert load_feed(write(tmp_path, text)).field("temp").unit == "Cel"


def test_dates_of_the_feed_serve_fields_that_state_none(tmp_path: Path) -> None:
    text = REPORT.replace('{name: Fermé le, type: datetime, format: "%d/%m/%Y %H:%M"}', "{name: Fermé le}")
    assert load_feed(write(tmp_path, text.replace("mapping:", 'dates: ["%d/%m/%Y"]\nmapping:'))).dates == ["%d/%m/%Y"]


@pytest.mark.parametrize(
    ("connector", "key"),
    [
        ('{type: file, path: "sftp://user:hunter2@host/x"}', "connector.path"),
        ('{type: rest, base_url: "https://u:hunter2@host", path: /x}', "connector.base_url"),
        ("{type: rest, base_url: https://host, path: /x, headers: {Authorization: Bearer hunter2}}", "connector.headers.Authorization"),
        ("{type: rest, base_url: https://host, path: /x, params: {api_key: hunter2}}", "connector.params.api_key"),
        ("{type: sql, secret: postgresql://u:hunter2@host/db, table: t}", "connector.secret"),
        ("{type: rest, base_url: https://host, path: /x, auth: {type: bearer, secret: hunter2}}", "connector.auth.secret"),
        ("{type: rest, base_url: https://host, path: /x, token: hunter2}", "connector.token"),
        ("{type: hunter2}", "connector"),
        ("*hunter2", "(contract)"),
        ("{type: sql, secret: [hunter2], table: t}", "connector.secret"),
    ],
)
def test_a_secret_written_in_a_contract_is_refused_and_never_repeated(tmp_path: Path, connector: str, key: str) -> None:
    with pytest.raises(ContractError) as caught:
        load_feed(write(tmp_path, REPORT.replace("mapping:", f"connector: {connector}\nmapping:")))
    assert "hunter2" not in str(caught.value)
    assert [p.key for p in caught.value.problems] == [key]


def test_a_secret_is_named(tmp_path: Path) -> None:
    feed = load_feed(write(tmp_path, REPORT.replace("mapping:", "connector: {type: sql, secret: GRC_DB, table: demandes}\nmapping:")))
    assert feed.connector.type == "sql"


_PARTS = st.sampled_from(["", "x", "~", "[]", "{}", "- 1", "12", "TO COMPLETE", "{a: [1, {b: ~}]}", "true", "'", "\t", ": :", "&a [*a]"])


@settings(max_examples=150, deadline=None)
@given(contract=st.sampled_from(sorted(RIGHT)), lines=st.lists(st.tuples(st.integers(0, 22), _PARTS), min_size=1, max_size=3))
def test_nothing_but_contract_errors_escapes_from_a_damaged_contract(
    tmp_path_factory: pytest.TempPathFactory, contract: str, lines: list[tuple[int, str]]
) -> None:
    text = RIGHT[contract].split("\n")
    for number, part in lines:
        where = number % len(text)
        key, colon, _ = text[where].partition(":")
        text[where] = f"{key}{colon} {part}"
    path = write(tmp_path_factory.getbasetemp(), "\n".join(text), f"damaged-{contract}.yaml")
    try:
        load_feed(path)
    except ContractError as error:
        found = error.problems
    else:
        return
    assert found
    assert all(1 <= p.line <= len(text) + 1 for p in found)


def test_a_fault_type_that_the_referential_lacks_is_told_where_it_is_known(tmp_path: Path) -> None:
    path = tmp_path / "capteurs.yaml"
    path.write_text(RIGHT["observation"].replace("fault_type: lamp-out", "fault_type: lamp-ouf"), encoding="utf-8")
    assert load_feed(path).indicators.states[0].fault_type == "lamp-ouf"
    with pytest.raises(ContractError) as caught:
        load_feed(path, fault_types={"lamp-out", "cabinet-dark"})
    (problem,) = caught.value.problems
    assert (problem.key, problem.line, problem.remedy) == ("indicators.states[1].fault_type", 23, "did you mean 'lamp-out'?")
