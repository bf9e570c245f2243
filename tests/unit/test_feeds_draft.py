"""Drafting: what values and names say, and drafts of our own files that load once their placeholders are filled."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import BadFile, WrongUse
from ingestion.feeds.draft import Draft, draft_feed
from ingestion.feeds.draft_names import domain_of, personal_reason, slug, unit_in, words
from ingestion.feeds.draft_values import Profile, profile
from ingestion.feeds.load import ContractError, load_feed
from ingestion.feeds.model import Feed
from ingestion.lake.session import open_engine


def described(*values: str | None, times: int = 5) -> Profile:
    return profile("x", [(v, times) for v in values], times * len(values))


@pytest.mark.parametrize(
    ("values", "kind", "formats"),
    [
        (("2024-01-31", "2024-02-29"), "date", []),
        (("2024-01-31 10:00:00", "2024-02-29T10:00"), "datetime", []),
        (("2024-01-31T10:00:00.000Z",), "datetime", []),
        (("31/01/2024", "01/02/2024"), "date", ["%d/%m/%Y"]),
        (("01/31/2024", "02/01/2024"), "date", ["%m/%d/%Y"]),
        (("1/31/2024 9:05", "2/1/2024 10:05"), "datetime", ["%m/%d/%Y %H:%M"]),
        (("12/31/2024 04:39:00 AM", "01/01/2024 04:39:00 PM"), "datetime", ["%m/%d/%Y %I:%M:%S %p"]),
        (("31.01.2024",), "date", ["%d.%m.%Y"]),
        (("31/01/24", "01/02/24"), "date", ["%d/%m/%y"]),
        (("20240131", "20240201"), "date", ["%Y%m%d"]),
        (("20240131093000",), "datetime", ["%Y%m%d%H%M%S"]),
        (("31-01-2004", "1/31/2004"), "date", ["%m/%d/%Y", "%d-%m-%Y"]),
        (("01/01/2024", "31/01/2024", "31/02/2024"), "date", ["%d/%m/%Y"]),
        (("08:30", "17:45"), "time", ["%H:%M"]),
        (("1", "2"), "integer", []),
        (("07005", "07015"), "string", []),
        (("1.5", "2"), "number", []),
        (("Oui", "Non"), "boolean", []),
        (("192.168.0.1", "10.0.0.12"), "string", []),
        (("lampe", "1"), "string", []),
        ((), "string", []),
    ],
)
def test_types_and_date_formats(values: tuple[str, ...], kind: str, formats: list[str]) -> None:
    found = described(*values)
    assert (found.type, sorted(found.formats)) == (kind, sorted(formats))


def test_day_or_month_first_is_decided_by_a_value_over_twelve() -> None:
    assert described("01/02/2024", "03/04/2024").is_ambiguous
    assert described("01/02/2024", "03/04/2024").formats == ["%d/%m/%Y"]
    assert not described("01/02/2024", "13/04/2024").is_ambiguous


@pytest.mark.parametrize(
    ("values", "decimal", "group"),
    [
        (("1,5", "2,25"), ",", None),
        (("1.5", "2.25"), ".", None),
        (("1 234,5", "12,0"), ",", " "),
        (("1,234.5", "12.0"), ".", ","),
        (("1.234,5", "12,0"), ",", "."),
    ],
)
def test_decimal_marks_and_thousands(values: tuple[str, ...], decimal: str, group: str | None) -> None:
    found = described(*values)
    assert (found.type, found.decimal, found.group) == ("number", decimal, group)


def test_missing_tokens_and_sentinels() -> None:
    assert described("1.5", "mq", "-", "2").missing == ["mq", "-"]
    assert described("lampe", "-").missing == []
    assert described("20", "21", "22", "-999").sentinels == ["-999"]
    assert described("-2", "-1", "0", "1").sentinels == []


def test_contacts_are_seen_in_values_but_not_in_coordinates() -> None:
    assert described("06 12 34 56 78", "07.12.34.56.78").looks_like == "telephone"
    assert described("a@b.fr", "c.d@e.org").looks_like == "e-mail"
    assert described("(37.7522394710724, -122.418445426677)").looks_like is None
    assert described("{'lon': 2.334404229526263, 'lat': 48.88124847353733}").position is not None


def test_names() -> None:
    assert words("N° DEMANDE") == "_n_demande_"
    assert words("dateOuverture") == "_date_ouverture_"
    assert slug("2024 Éclairage (v2)") == "c-2024-eclairage-v2"
    assert [unit_in(n) for n in ("energy(kWh/hh)", "Usage_kWh", "Température (°C)", "Vitesse [km/h]", "T", "Consommation", "A")] == [
        "kW.h", "kW.h", "Cel", "km/h", None, None, None,
    ]  # fmt: skip
    assert personal_reason("Prénom", "report") is not None
    assert personal_reason("Jeu de Mail.velos", "observation") is None
    assert domain_of("eclairage-public puissance") == "EP"


@pytest.fixture(scope="module")
def con(extension_directory: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_engine(extension_directory) as connection:
        yield connection


REPORTS = """\
N° DEMANDE;OUVERT LE;CLOS LE;TYPE;RUE;NOM;TELEPHONE;COMMENTAIRE
D-1;05/01/2026 08:12;06/01/2026 17:30;Lampe éteinte;Rue Haute;Martin;06 12 34 56 78;Je ne vois plus rien devant chez moi depuis lundi
D-2;17/01/2026 21:40;;Lampe éteinte;Rue Basse;Petit;06 98 76 54 32;La lampe clignote toute la nuit et gêne mes enfants
D-3;18/01/2026 07:00;19/01/2026 09:00;Armoire;Rue Basse;Durand;06 98 76 54 33;Toute la rue est dans le noir complet ce soir
"""


def drafted(con: duckdb.DuckDBPyConnection, folder: Path, file: str, content: str | bytes, **options: str) -> Draft:
    path = folder / file
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return draft_feed(path, con, **options)  # type: ignore[arg-type]


FILLED = {
    "title": "Essai", "publisher": "Ville", "licence": "internal", "code": "ville", "name": "Ville", "holidays": "FR",
    "latitude": "48.9", "longitude": "2.3", "time_zone": "Europe/Paris", "domain": "GRC", "constant": "seul",
}  # fmt: skip


def filled(draft: Draft, folder: Path, unit: str = "Cel") -> Feed:
    """Fill a draft's placeholders as an integrator would, and load it."""
    text = draft.text.replace("owner: {name: TO COMPLETE}", "owner: {name: x}").replace(
        "steward: {name: TO COMPLETE}", "steward: {name: x}"
    )
    text = text.replace("unit: TO COMPLETE", f"unit: {unit}")
    text = re.sub(r"(\w+): TO COMPLETE", lambda m: f"{m[1]}: {FILLED[m[1]]}", text)
    path = folder / f"{draft.name}.yaml"
    path.write_text(text, encoding="utf-8")
    return load_feed(path)


def test_a_report_file_is_drafted(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    draft = drafted(con, tmp_path, "pannes.csv", REPORTS.encode("cp1252"))
    feed = filled(draft, tmp_path)
    assert (feed.feed, feed.contract, feed.format.type, feed.format.encoding, feed.format.delimiter) == (
        "pannes",
        "report",
        "csv",
        "cp1252",
        ";",
    )
    assert {n: m.column for n, m in feed.mapping.items()} == {
        "report_ref": "N° DEMANDE",
        "category": "TYPE",
        "description": "COMMENTAIRE",
        "opened_at": "OUVERT LE",
        "closed_at": "CLOS LE",
        "street": "RUE",
    }
    assert feed.field("OUVERT LE").format == "%d/%m/%Y %H:%M"
    assert feed.personal_columns == {"NOM", "TELEPHONE", "COMMENTAIRE"}
    # The closing dates alone could be read both ways: the opening ones decide.
    assert "No value decides" not in draft.text
    for personal in ("Martin", "06 12", "enfants"):
        assert personal not in draft.text


def test_what_is_left_is_told_with_its_line(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    draft = drafted(con, tmp_path, "pannes.csv", REPORTS, zone="Europe/Paris", owner="Éclairage", territory="ville")
    path = tmp_path / "pannes.yaml"
    path.write_text(draft.text, encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        load_feed(path)
    assert {p.key for p in caught.value.problems} == {
        "title", "source.publisher", "source.licence", "territory.name", "territory.latitude", "territory.longitude",
    }  # fmt: skip
    assert all(p.is_placeholder for p in caught.value.problems)
    for problem in caught.value.problems:
        assert "TO COMPLETE" in draft.text.split("\n")[problem.line - 1]


def test_an_inventory_is_drafted(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = "".join(f"PL{i:03},LED,{48 + i / 1000},{2 + i / 1000},{70 + i},2019-0{1 + i % 9}-01,ARM{i % 2}\n" for i in range(30))
    draft = drafted(con, tmp_path, "points.csv", "id_support,type,latitude,longitude,puissance_w,pose,armoire\n" + rows)
    feed = filled(draft, tmp_path, unit="W")
    assert feed.contract == "asset"
    assert {n: m.column for n, m in feed.mapping.items()} == {
        "asset_ref": "id_support",
        "asset_type": "type",
        "parent_ref": "armoire",
        "longitude": "longitude",
        "latitude": "latitude",
        "rated_power_w": "puissance_w",
        "installed_on": "pose",
    }
    assert "latitude: 48.01  # the middle of the file's positions" in draft.text


def test_an_inventory_without_identifier_gets_one_from_its_position(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = "".join(f"LANTERNE,{48 + i / 1000},{2 + i / 1000}\n" for i in range(30))
    feed = filled(drafted(con, tmp_path, "mats.csv", "type,lat,lon\n" + rows), tmp_path)
    assert feed.mapping["asset_ref"].sql == "concat_ws('_', 'mats', lon, lat)"


def test_a_wide_table_of_measures_is_drafted(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = "".join(f"{s};0{1 + i % 9}/02/2024;{i:02}:00;{i},5;-999;{'mq' if i % 7 == 0 else i}\n" for i in range(20) for s in ("S1", "S2"))
    draft = drafted(con, tmp_path, "meteo.csv", "station;Date;Heure;Température (°C);vent;pluie\n" + rows)
    feed = filled(draft, tmp_path, unit="mm")
    assert (feed.contract, feed.domain, feed.decimalChar) == ("observation", "METEO", ",")
    assert feed.mapping["asset_ref"].column == "station"
    assert feed.mapping["observed_at"].sql == '"Date" || \' \' || "Heure"'
    assert feed.mapping["observed_at"].format == "%d/%m/%Y %H:%M"
    assert [(m.column, m.property, m.unit) for m in feed.measures] == [
        ("Température (°C)", "temperature", "Cel"),
        ("vent", "vent", "mm"),
        ("pluie", "pluie", "mm"),
    ]
    assert "mq" in (feed.field("pluie").missingValues or [])


def test_a_meter_file_is_drafted_with_its_interval(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = "".join(f"PRM1,2024-01-{1 + i // 48:02} {i % 48 // 2:02}:{'30' if i % 2 else '00'}:00,{i}\n" for i in range(96))
    feed = filled(drafted(con, tmp_path, "conso.csv", "PRM,horodate,energie_kWh\n" + rows), tmp_path)
    assert feed.contract == "energy_reading"
    assert feed.mapping["end_at"].column == "horodate"
    assert str(feed.mapping["end_at"].offset) == "0:30:00"
    assert feed.mapping["energy_wh"].unit == "kW.h"


def test_json_with_one_key_per_thing_becomes_rows(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    content = json.dumps([{n: {"libre": i, "date": f"2025-01-17T20:5{i}:00Z"} for n in ("Antigone", "Corum", "Gare")} for i in range(9)])
    feed = filled(drafted(con, tmp_path, "parkings.json", content), tmp_path, unit='"1"')
    assert (feed.format.records, feed.mapping["asset_ref"].column, feed.domain) == ("*", "_key", "MOB")
    assert [m.column for m in feed.measures] == ["libre"]
    assert feed.time_zone == "UTC"


def test_nested_json_is_read_down_to_its_records(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    points = [{"d": f"2025-01-17T20:{i:02}:00Z", "v": i} for i in range(30)]
    content = json.dumps({"header": {"code": "R63"}, "mesures": [{"idPrm": "P1", "grandeur": [{"unite": "W", "points": points}]}]})
    draft = drafted(con, tmp_path, "courbe.json", content, contract="observation")
    assert "records: mesures.grandeur.points" in draft.text


def test_content_is_trusted_over_the_name(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = "SELECT 'S' || i AS capteur, TIMESTAMPTZ '2024-01-01 00:00:00Z' AS ts, i * 1.5 AS mesure FROM range(20) t(i)"
    con.execute(f"COPY ({rows}) TO '{tmp_path}/releves.csv' (FORMAT parquet)")
    feed = filled(draft_feed(tmp_path / "releves.csv", con), tmp_path)
    assert (feed.format.type, feed.time_zone, feed.field("ts").type) == ("parquet", "UTC", "datetime")


def test_an_archive_is_drafted_from_its_first_member(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "deux.zip", "w") as archive:
        archive.writestr("a.csv", REPORTS)
        archive.writestr("b.csv", REPORTS)
    draft = draft_feed(tmp_path / "deux.zip", con)
    assert any("format.member" in note for note in draft.notes)


def test_hostile_values_stay_in_their_comment(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    content = 'id,"a: b # {x}\nfeed: other",ouvert le\n1,"x\n  injected: true\u2028y",2024-01-01\n2,"\x1b[31m{",2024-01-02\n'
    draft = drafted(con, tmp_path, "hostile.csv", content, contract="report")
    feed = filled(draft, tmp_path)
    assert feed.feed == "hostile"
    assert "a: b # {x}\nfeed: other" in [f.name for f in feed.fields]
    assert "\x1b" not in draft.text


@pytest.mark.parametrize("name", ["Été", "a_b", "", "-a"])
def test_a_name_that_cannot_be_is_refused_with_one_that_can(con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongUse, match="cannot be a feed's name"):
        drafted(con, tmp_path, "pannes.csv", REPORTS, name=name)


def test_a_file_without_records_or_absent_is_refused(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="holds no record"):
        drafted(con, tmp_path, "vide.csv", "a;b\n")
    with pytest.raises(WrongUse, match="no such file"):
        draft_feed(tmp_path / "absent.csv", con)


PUBLIC = {
    "signalements/sf311_cases_sample.csv": "report",
    "signalements/paris_dans_ma_rue_extrait.csv": "report",
    "signalements/nyc311_animals_short.csv": "report",
    "eclairage/dc_streetlights_downtown.csv": "asset",
    "eclairage/montpellier_eclairage_shp_l93.zip": "asset",
    "travaux/paris_chantiers.csv": "intervention",
    "energie/lcl_londres/MAC000002.csv": "energy_reading",
    "energie/steel_industry_15min.csv": "energy_reading",
    "trafic/metro_interstate_i94.csv": "observation",
    "dechets/edimbourg_capteurs_corbeilles_brut.xlsx": "observation",
    "meteo/synop.202302.csv": "observation",
    "stationnement/montpellier_2025/Voiture/17.01.20h.json": "observation",
}


@pytest.mark.parametrize("file", sorted(PUBLIC))
def test_public_files_are_drafted_right(con: duckdb.DuckDBPyConnection, shared_data: Path, tmp_path: Path, file: str) -> None:
    draft = draft_feed(shared_data / file, con)
    unit = {"asset": "W", "energy_reading": "kW.h"}.get(PUBLIC[file], '"1"')
    assert filled(draft, tmp_path, unit=unit).contract == PUBLIC[file]


def test_a_laboratory_file_is_drafted(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A flag has unit 1, a counter says so, bounds are shown in the lake's unit; names lose units and statistics."""
    (tmp_path / "banc").mkdir()
    header = "datetime;Accelerometer1RMS;Pressure_bar;Flow (L/min);volume_total;temp_mean;temp_min;anomaly;TJM,N,19,8\n"
    rows = "".join(
        f"2020-03-09 10:{i:02}:00;{i % 3}.5;{i % 4}.5;{i % 5}.25;{100 + i * 1.5};{i % 7}.5;{i % 4}.5;{i % 2}.0;{i % 9}\n" for i in range(60)
    )
    draft = drafted(con, tmp_path / "banc", "0.csv", header + rows)
    assert draft.name == "banc"
    assert max(map(len, draft.text.split("\n"))) <= 120
    lines = {line.split("column: ")[1].split(", property")[0]: line for line in draft.text.split("\n") if "property: " in line}
    assert {name: line.split("property: ")[1].split(",")[0] for name, line in lines.items()} == {
        "Accelerometer1RMS": "accelerometer1",
        "Pressure_bar": "pressure",
        "Flow (L/min)": "flow",
        "volume_total": "volume_total",
        "temp_mean": "temp",
        "temp_min": "temp_min",
        "anomaly": "anomaly",
        '"TJM,N,19,8"': "tjm",
    }
    assert 'unit: "1"}  # 0 or 1: a flag' in lines["anomaly"]
    comments = " ".join(draft.text.replace("# ", "").split())
    assert "0.5 to 3.5 bar = 50000 to 350000 Pa, the unit of minimum and maximum" in comments
    assert comments.count("a counter?") == 1


def test_one_thing_left_is_told_once(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = "".join(f"2020-03-09 10:{i:02}:00;{i}.5\n" for i in range(30))
    path = tmp_path / "banc.yaml"
    path.write_text(drafted(con, tmp_path, "banc.csv", "datetime;valeur\n" + rows).text, encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        load_feed(path)
    assert [p.key for p in caught.value.problems if p.key.startswith("mapping")] == ["mapping.asset_ref.constant"]
    assert all(p.is_placeholder for p in caught.value.problems)
