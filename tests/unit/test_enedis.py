"""Enedis: energies computed by hand, days of 23 and 25 hours, and what is refused."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
import random
import unicodedata
import zipfile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.feeds.load import load_feed
from ingestion.formats.enedis import decode
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.landing import preview
from tests.unit.wire_corpus.enedis import CSV_HEADER, CSV_LINE, DOWNLOAD, R4X, R65, data_connect, data_connect_2026, point, r63, reading

PARIS = WireOptions(time_zone="Europe/Paris", contract="energy_reading")
EXAMPLE = Path(__file__).resolve().parents[2] / "ingestion" / "feeds" / "examples" / "enedis-r63.yaml"


def read(payload: bytes | str, *, topic: str | None = None, options: WireOptions = PARIS) -> tuple[list[dict[str, Any]], WireBatch]:
    batch = WireBatch()
    data = payload.encode() if isinstance(payload, str) else payload
    records = decode(data, batch, after=0, received_at=None, topic=topic, options=options)
    rows = [row for _, table in batch.tables for row in table.to_pylist()]
    assert len(rows) + sum(r.scope == "record" for r in batch.rejects) == records
    return rows, batch


def reasons(payload: bytes | str) -> list[str]:
    return [r.reason for r in read(payload)[1].rejects]


def utc(*written: int) -> int:
    return int(dt.datetime(*written, tzinfo=dt.UTC).timestamp()) * 1_000_000  # type: ignore[arg-type, misc] # year to minute


@pytest.mark.parametrize(
    ("unit", "value", "step", "energy"),
    [
        ("Wh", "12", "PT5M", 12.0),
        ("kWh", "1,5", "PT30M", 1_500.0),
        ("W", "120", "PT30M", 60.0),
        ("kW", "6", "PT10M", 1_000.0),
        ("W", 90, "PT1H", 90.0),
        ("W", 90.5, "PT15M", 22.625),
        ("W", "1 200", "PT30M", 600.0),
    ],
)
def test_power_times_step_is_energy_and_energy_is_itself(unit: str, value: Any, step: str, energy: float) -> None:
    (row,), _ = read(r63([point(value=value, step=step)], unit=unit, quantity="EA"))
    assert row["energy_wh"] == energy


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unit": None}, "no_unit"),
        ({"unit": "furlong"}, "unknown_unit"),
        ({"unit": "varh", "quantity": "ERI"}, "not_active_energy"),
        ({"unit": "V", "quantity": "E"}, "not_active_energy"),
        ({"unit": "VA", "quantity": "PMA"}, "not_active_energy"),
        ({"unit": "MW"}, "unknown_unit"),  # no flow writes it: see `wire_values.conversion` on capitals
        ({"way": "NET"}, "unknown_direction"),
    ],
)
def test_a_curve_that_is_no_active_energy_is_refused_point_by_point(changes: dict[str, Any], reason: str) -> None:
    rows, batch = read(r63([point(), point("2026-01-15T00:30:00+01:00")], **changes))
    assert rows == []
    assert [(r.position, r.reason) for r in batch.rejects] == [(1, reason), (2, reason)]
    assert json.loads(batch.rejects[0].original or "")["prm"] == "30001234567890"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (point(None), "no_instant"),
        (point("hier"), "not_an_instant"),
        (point("2026-02-29T00:00:00+01:00"), "not_an_instant"),
        (point("1026-02-20T00:00:00+01:00"), "not_an_instant"),
        (point(value=None), "no_value"),
        (point(value=""), "no_value"),
        (point(value="douze"), "not_a_number"),
        (point(value="NaN"), "not_a_number"),
        (point(value="1_200"), "not_a_number"),
        (point(value="1.204,5"), "not_a_number"),
        (point(value=True), "not_a_number"),
        (point(value=[1]), "not_a_number"),
        (point(step=None), "no_step"),
        (point(step="PT0M"), "not_a_step"),
        (point(step="P1M"), "not_a_step"),
        ("x", "no_instant"),
    ],
)
def test_a_point_that_is_none_is_refused_and_the_others_kept(bad: Any, reason: str) -> None:
    rows, batch = read(r63([bad, point("2026-01-15T12:00:00+01:00")]))
    assert [row["_position"] for row in rows] == [2]
    assert [(r.position, r.reason) for r in batch.rejects] == [(1, reason)]


def test_consumption_and_injection_steps_and_order_are_each_points_own() -> None:
    """A curve that goes from half hours to quarters, and rows in any order."""
    points = [
        point("2026-01-15T01:15:00+01:00", "400", "PT15M"),
        point("2026-01-15T00:30:00+01:00", "1000", "PT30M"),
        point("2026-01-15T01:00:00+01:00", "2000", "PT30M"),
    ]
    rows, _ = read(r63(points, way="PROD"))
    # Linky stamps the end: 01:15 is 01:00 to 01:15 in Paris, midnight UTC and a quarter.
    assert [(r["start_at"], r["end_at"], r["energy_wh"], r["direction"]) for r in rows] == [
        (utc(2026, 1, 15, 0, 0), utc(2026, 1, 15, 0, 15), 100.0, "injection"),
        (utc(2026, 1, 14, 23, 0), utc(2026, 1, 14, 23, 30), 500.0, "injection"),
        (utc(2026, 1, 14, 23, 30), utc(2026, 1, 15, 0, 0), 1000.0, "injection"),
    ]


@pytest.mark.parametrize(
    ("period", "first", "last", "step", "starts_at"),
    [
        (("2026-01-15", "2026-01-16"), "15T00:00", "15T23:30", "PT30M", 23),  # a point at the period's beginning begins an interval
        (("2026-01-15", "2026-01-16"), "15T00:05", "16T00:00", "PT5M", 23),  # one at its very end ends one
        ((None, None), "15T00:00", "15T23:55", "PT5M", 23),  # large sites stamp the beginning
        ((None, None), "15T00:30", "16T00:00", "PT30M", 23),  # Linky the end
    ],
)
def test_the_side_a_point_is_stamped_on_follows_the_period_then_the_step(
    period: tuple[str | None, str | None], first: str, last: str, step: str, starts_at: int
) -> None:
    asked = {"periode": dict(zip(("dateDebut", "dateFin"), period, strict=True))} if period[0] else {}
    rows, _ = read(r63([point(f"2026-01-{at}:00+01:00", step=step) for at in (first, last)], **asked))
    assert rows[0]["start_at"] == utc(2026, 1, 14, starts_at, 0)
    assert rows[1]["end_at"] == utc(2026, 1, 15, 23, 0)


def stamps(day: dt.date, count: int, minutes: int = 30) -> list[str]:
    """Return the local times, without offset, of a day's intervals, each at its end."""
    zone = ZoneInfo("Europe/Paris")
    midnight = dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)
    return [f"{(midnight + dt.timedelta(minutes=minutes * (i + 1))).astimezone(zone):%Y-%m-%d %H:%M:%S}" for i in range(count)]


@pytest.mark.parametrize(("day", "count"), [(dt.date(2026, 3, 29), 46), (dt.date(2026, 10, 25), 50), (dt.date(2026, 1, 15), 48)])
@pytest.mark.parametrize("is_falling", [False, True])
def test_a_day_of_local_half_hours_has_46_48_or_50_of_them(day: dt.date, count: int, is_falling: bool) -> None:
    written = stamps(day, count)
    rows, batch = read(data_connect([reading(at) for at in (reversed(written) if is_falling else written)]))
    assert batch.rejects == []
    rows.sort(key=lambda row: int(row["start_at"]))
    assert len({row["start_at"] for row in rows}) == count
    assert all(a["end_at"] == b["start_at"] for a, b in itertools.pairwise(rows))
    assert sum(row["energy_wh"] for row in rows) == count * 600.0


def test_the_repeated_hour_that_order_does_not_tell_apart_is_refused() -> None:
    written = stamps(dt.date(2026, 10, 25), 50)
    shuffled = written.copy()
    random.Random(1).shuffle(shuffled)
    rows, batch = read(data_connect([reading(at) for at in shuffled]))
    assert [r.reason for r in batch.rejects] == ["ambiguous_local_time"] * 4
    assert len(rows) == 46
    missing = [at for i, at in enumerate(written) if i != written.index("2026-10-25 02:30:00")]
    rows, batch = read(data_connect([reading(at) for at in missing]))
    assert [r.reason for r in batch.rejects] == ["ambiguous_local_time"]
    assert len(rows) == 48


def test_an_hour_that_no_clock_showed_is_refused_and_an_offset_is_always_taken() -> None:
    assert reasons(data_connect([reading("2026-03-29 02:30:00")])) == ["skipped_local_time"]
    both = [point("2026-10-25T02:30:00+02:00", step="PT10M"), point("2026-10-25T02:30:00+01:00", step="PT10M")]
    rows, _ = read(r63(both))
    assert [row["start_at"] for row in rows] == [utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1, 30)]


@given(st.lists(st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2090, 1, 1)), min_size=1, max_size=20), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001 - local times
@settings(max_examples=60, deadline=None)
def test_instants_are_those_of_the_standard_library(moments: list[dt.datetime], offset: int) -> None:
    zone = dt.timezone(dt.timedelta(minutes=offset))
    written = [m.replace(microsecond=0, tzinfo=zone) for m in moments]
    rows, _ = read(r63([point(m.isoformat(), step="PT5M") for m in written]))
    assert [row["start_at"] for row in rows] == [int(m.timestamp()) * 1_000_000 for m in written]


def test_r4x_is_mean_power_from_its_instant_on() -> None:
    (row,), _ = read(R4X)
    assert row == {
        "_position": 1,
        "meter_ref": "30001234567890",
        "start_at": utc(2026, 1, 14, 23, 0),
        "end_at": utc(2026, 1, 14, 23, 10),
        "energy_wh": 1000.0,
        "direction": "injection",
        "quality": "R",
    }


def test_daily_energies_are_as_long_as_their_day() -> None:
    days = {"2026-03-29": 23, "2026-10-25": 25, "2026-01-15": 24}
    flow = json.loads(json.dumps(R65))
    flow["mesures"][0]["grandeur"][0]["points"] = [{"d": day, "v": "9000.5"} for day in days]
    rows, _ = read(json.dumps(flow))
    assert [(row["end_at"] - row["start_at"]) // 3_600_000_000 for row in rows] == list(days.values())
    assert {row["energy_wh"] for row in rows} == {9000.5}
    kind = {"unit": "Wh", "measurement_kind": "energy", "measuring_period": "P1D"}
    daily, _ = read(data_connect([{"value": "9000.5", "date": day} for day in days], reading_type=kind))
    assert [(r["start_at"], r["end_at"]) for r in daily] == [(r["start_at"], r["end_at"]) for r in rows]


def test_data_connect_says_injection_by_its_address_where_the_answer_does_not() -> None:
    payload = data_connect([reading()])
    assert read(payload)[0][0]["direction"] == "consumption"
    assert read(payload, topic="metering_data_clc/v5/production_load_curve?start=2026-01-15")[0][0]["direction"] == "injection"
    assert read(data_connect([reading()], flow_direction="production"))[0][0]["direction"] == "injection"


def test_data_connect_since_2026_is_a_bare_measure_stamped_at_the_end() -> None:
    points = [point("2026-01-15 00:30:00", iv="0", ec="0"), point("2026-01-16 00:00:00", "900", iv="0", ec="1")]
    rows, _ = read(data_connect_2026(points, modeCalcul="MESURE"))
    assert [(r["start_at"], r["end_at"], r["energy_wh"], r["quality"]) for r in rows] == [
        (utc(2026, 1, 14, 23, 0), utc(2026, 1, 14, 23, 30), 600.0, "B"),
        (utc(2026, 1, 15, 22, 30), utc(2026, 1, 15, 23, 0), 450.0, "B ec=1"),
    ]
    former, _ = read(data_connect([reading(), reading("2026-01-16 00:00:00", "900")]))
    assert [{**r, "quality": None} for r in rows] == [{**r, "quality": None} for r in former]


def test_data_connect_since_2026_says_the_way_and_the_day_itself() -> None:
    day = [{"v": "8263", "d": "2026-01-15"}]
    (row,), _ = read(data_connect_2026(day, unit="Wh", quantity="EA", way="PROD", typeValeur="GLOBALE", pas="P1D", contexte=[]))
    assert (row["start_at"], row["end_at"], row["energy_wh"]) == (utc(2026, 1, 14, 23, 0), utc(2026, 1, 15, 23, 0), 8263.0)
    assert (row["meter_ref"], row["direction"], row["quality"]) == ("30001234567890", "injection", None)
    peak = data_connect_2026([{"v": "4680", "d": "2026-01-15 13:03:35"}], unit="VA", quantity="PMA", pas="P1D")
    assert reasons(peak) == ["not_active_energy"]
    assert reasons(data_connect_2026([])) == ["no_points"]
    assert reasons(data_connect_2026(day).replace(b'"v": "8263"', b'"v": "8263", "v": "8264"')) == ["duplicate_key"]


def test_a_date_of_data_connect_names_its_day_where_the_answer_states_no_step() -> None:
    kind = {"unit": "Wh", "measurement_kind": "energy"}
    (row,), _ = read(data_connect([{"value": "540", "date": "2026-03-29"}], reading_type=kind))
    assert (row["start_at"], row["end_at"]) == (utc(2026, 3, 28, 23, 0), utc(2026, 3, 29, 22, 0))
    assert reasons(data_connect([{"value": "540", "date": "2026-03-29 00:30:00"}], reading_type=kind)) == ["no_step"]


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "ADAM-ERR0123", "error_description": "The requested period cannot be anterior to the meter's last activation date"},
        {"code": "900908", "message": "Resource forbidden ", "description": "API Subscription validation failed."},
        {"fault": {"code": 900901, "message": "Invalid Credentials"}},
    ],
)
def test_an_error_of_the_service_is_said_to_be_one(answer: dict[str, Any]) -> None:
    assert reasons(json.dumps(answer)) == ["source_error"]


@pytest.mark.parametrize(
    "header",
    [CSV_HEADER, CSV_HEADER.upper(), unicodedata.normalize("NFD", CSV_HEADER).encode("ascii", "ignore").decode()],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_csv_is_read_whatever_its_accents_and_encoding(header: str, encoding: str) -> None:
    (row,), _ = read(f"{header}\r\n{CSV_LINE}\r\n".encode(encoding))
    assert (row["start_at"], row["energy_wh"], row["quality"]) == (utc(2026, 1, 14, 23, 0), 600.0, "B")


def test_csv_lines_are_records_each_with_its_own_fate() -> None:
    lines = [CSV_LINE, "", CSV_LINE.replace("1200", "1,5"), f"{CSV_LINE};;;", CSV_LINE[:60], '"' + CSV_LINE, CSV_LINE.replace("PA", "PRI")]
    rows, batch = read("\n".join([CSV_HEADER, *lines]))
    assert [(row["_position"], row["energy_wh"]) for row in rows] == [(1, 600.0), (2, 0.75)]
    assert [(r.position, r.reason) for r in sorted(batch.rejects)] == [
        (3, "too_many_cells"),
        (4, "not_an_instant"),
        (5, "no_unit"),
        (6, "not_active_energy"),
    ]


def test_a_downloaded_file_states_its_step_or_is_refused() -> None:
    rows, _ = read(DOWNLOAD)
    assert [(r["start_at"], r["energy_wh"]) for r in rows] == [(utc(2026, 1, 14, 23, 0), 600.0), (utc(2026, 1, 14, 23, 30), 450.0)]
    assert reasons(DOWNLOAD.replace("W;30", "W;")) == ["no_step", "no_step"]
    assert reasons(DOWNLOAD.replace("W;30", ";30")) == ["no_unit", "no_unit"]


def download(*points: str) -> str:
    """Return a downloaded file that states no step, of times of 15 January with their values."""
    return DOWNLOAD.replace("W;30", "W;").split("2026-", 1)[0] + "".join(f"2026-01-15T{p}\r\n" for p in points)


def test_points_tell_the_step_of_a_downloaded_file_that_states_none() -> None:
    stamps = ["00:30:00+01:00;1200", "01:00:00+01:00;", "01:30:00+01:00;900", "02:30:00+01:00;600", "03:00:00+01:00;600"]
    rows, batch = read(download(*stamps, "03:30:00+01:00;600"))
    # 02:00 has no line: its neighbours are half an hour from their own others.
    starts = [utc(2026, 1, 14, 23, 0), utc(2026, 1, 15, 0, 0), *(utc(2026, 1, 15, 1, 0 + m) for m in (0, 30)), utc(2026, 1, 15, 2, 0)]
    assert [(r["start_at"], r["energy_wh"]) for r in rows] == list(zip(starts, [600.0, 450.0, 300.0, 300.0, 300.0], strict=True))
    assert {r["end_at"] - r["start_at"] for r in rows} == {30 * 60_000_000}
    assert [(r.position, r.reason) for r in batch.rejects] == [(2, "no_value")]


def test_where_a_downloaded_step_changes_the_point_between_is_refused() -> None:
    hours, tens = [f"{h:02d}:00:00+01:00;600" for h in range(4)], [f"03:{m}0:00+01:00;600" for m in range(1, 4)]
    rows, batch = read(download(*hours, *tens))
    assert [(r["start_at"], r["energy_wh"]) for r in rows] == [
        *((utc(2026, 1, 14 + (h > 0), (h - 1) % 24, 0), 600.0) for h in range(3)),
        *((utc(2026, 1, 15, 2, m), 100.0) for m in (10, 20, 30)),
    ]
    assert [(r.position, r.reason) for r in batch.rejects] == [(4, "no_step")]


def test_spacing_that_no_meter_records_is_no_step() -> None:
    assert reasons(download(*(f"{h:02d}:00:00+01:00;600" for h in (0, 2, 4, 6)))) == ["no_step"] * 4
    assert reasons(download(*(f"{h:02d}:00:00+01:00;600" for h in (0, 1)))) == ["no_step"] * 2


def test_each_part_of_a_downloaded_file_is_read_under_its_own_first_lines() -> None:
    preamble = DOWNLOAD.split("\r\n", 1)[0].removesuffix(";Pas en minutes")
    indexes = (
        f"{preamble}\r\n3;Index;15/01/2026;16/01/2026;Energie active;Consommation;Comptage Brut;Wh\r\nHorodate;Type de releve;EAS F1\r\n"
    )
    peaks = f"{preamble}\r\n3;Puissance maximale;15/01/2026;16/01/2026;Puissance maximale atteinte;Consommation;;VA\r\nHorodate;Valeur\r\n"
    day = "2026-01-15T00:00:00+01:00;"
    rows, batch = read(f"{indexes}{day}AQ;12\r\n{DOWNLOAD}\r\n{peaks}{day}4680\r\n{DOWNLOAD.replace('Consommation', 'Production')}")
    assert [(r["_position"], r["energy_wh"], r["direction"]) for r in rows] == [
        (2, 600.0, "consumption"),
        (3, 450.0, "consumption"),
        (5, 600.0, "injection"),
        (6, 450.0, "injection"),
    ]
    assert [(r.position, r.reason) for r in batch.rejects] == [(1, "unknown_flow"), (4, "not_active_energy")]


def test_indexes_in_csv_are_not_taken_for_energies() -> None:
    header = CSV_HEADER.replace("Nature;Pas", "Contexte relève;Type relève;Cadran")
    (only,) = read(f"{header}\n{CSV_LINE}\n{CSV_LINE}\n")[1].rejects
    assert only.reason == "unknown_flow"
    assert "R64" in only.detail


def test_what_stands_around_an_r4x_attribute_is_no_part_of_it() -> None:
    (row,), _ = read(
        R4X.replace('"6"', '" 6 "').replace('"R"', '" R "').replace('"2026-01-15T00:00:00+01:00"', '" 2026-01-15T00:00:00+01:00 "')
    )
    assert (row["start_at"], row["energy_wh"], row["quality"]) == (utc(2026, 1, 14, 23, 0), 1000.0, "R")
    assert reasons("<Courbe><Corps><Identifiant_PRM>3</Identifiant_PRM></Corps></Courbe>") == ["empty"]


def test_what_qualifies_a_point_is_kept() -> None:
    rows, _ = read(r63([point(tc="A", iv=0), point("2026-01-15T01:00:00+01:00", iv=1, ec=2), point("2026-01-15T02:00:00+01:00")]))
    assert [row["quality"] for row in rows] == ["B tc=A", "B iv=1 ec=2", "B"]


@pytest.mark.parametrize("spelled", [b'"v": "1200", "v": "1300"', b'"v": "1200", "v" : "1300"', b'"v": "1200", "\\u0076": "1300"'])
def test_a_member_that_is_named_twice_refuses_the_measure_and_not_the_file(spelled: bytes) -> None:
    payload = r63([point()]).replace(b'"v": "1200"', spelled)
    measure = payload[payload.index(b'{"idPrm"') : -2]
    whole = r63([point("2026-01-15T05:00:00+01:00")])
    rows, batch = read(whole[:-2] + b", " + measure + b"]}")
    assert [row["_position"] for row in rows] == [1]
    assert [(r.position, r.reason) for r in batch.rejects] == [(2, "duplicate_key")]


def test_rows_go_between_measures_so_that_memory_stays_bounded() -> None:
    """A decoder that keeps what it was told to let go would hold everything at the last call."""
    held: list[int] = []
    batch = WireBatch()

    def let_go() -> None:
        held.append(sum(table.num_rows for _, table in batch.tables))
        batch.tables.clear()

    batch.on_full = let_go
    points = [point(f"2026-01-{1 + i // 1440:02d}T{i // 60 % 24:02d}:{i % 60:02d}:00+01:00", step="PT1M") for i in range(30_000)]
    (measure,) = json.loads(r63(points))["mesures"]
    flow = {"header": {"codeFlux": "R63"}, "mesures": [{**measure, "idPrm": str(n)} for n in range(10)]}
    assert decode(json.dumps(flow).encode(), batch, after=0, received_at=None, options=WireOptions(max_bytes=10**9)) == 300_000
    assert sum(held) == 300_000
    assert max(held) < 150_000


def test_files_of_an_archive_become_staged_rows(tmp_path: Path, extension_directory: Path) -> None:
    """Bytes to staged rows: a zip of a JSON and a CSV, through the shipped contract."""
    archive = tmp_path / "ENEDIS_R63_P_CdC_M0000001_00001_20260116080000.zip"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("ENEDIS_R63_1.json", r63([point(), point("2026-01-15T01:00:00+01:00", "-5")]))
        file.writestr("ENEDIS_R63_2.csv", f"{CSV_HEADER}\n{CSV_LINE}\n".replace("00:30", "05:30"))
    archive.write_bytes(buffer.getvalue())
    became = preview(load_feed(EXAMPLE), archive, extension_directory=extension_directory)
    assert (became.received, became.accepted, became.rejected) == (3, 2, 1)
    assert [r["reason"] for r in became.rejects] == ["out_of_range"]  # a negative energy
    assert {r["meter_ref"] for r in became.rows} == {"30001234567890"}
