"""Public files as they were published: every record is there, and nothing of it is taken for something else."""

from __future__ import annotations

import csv
import re
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
from duckdb_extensions import import_extension

from ingestion.errors import BadFile
from ingestion.feeds.model import FormatSpec
from ingestion.formats import Bounds, SourceTable, open_sources
from tests.unit.formats_support import rows


def _open(path: Path, workdir: Path, con: duckdb.DuckDBPyConnection | None = None, **spec: Any) -> SourceTable:
    (table,) = open_sources(con or duckdb.connect(), path, FormatSpec(**spec), bounds=Bounds(), workdir=workdir)
    return table


# Counts of `data/SOURCES.md`, made by others with other tools.
@pytest.mark.parametrize(
    ("name", "records", "columns"),
    [
        ("signalements/sf311_cases_sample.csv", 4_984, 29),
        ("signalements/paris_dans_ma_rue_extrait.csv", 10_000, 17),
        ("signalements/nyc311_extrait_2024.csv", 1_000, 41),
        ("eclairage/dc_streetlights_downtown.csv", 3_963, 67),
        ("energie/steel_industry_15min.csv", 35_040, 11),
        ("trafic/metro_interstate_i94.csv", 48_204, 10),
        ("trafic/montpellier_comptages_1997_2013.csv", 3_314, 16),
        ("meteo/synop.202208.csv", 14_784, 60),
        ("dechets/edimbourg_capteurs_corbeilles_brut.xlsx", 10_000, 24),
        ("territoire/insee_communes.csv", 37_544, 12),
    ],
)
def test_every_record_is_there(shared_data: Path, tmp_path: Path, name: str, records: int, columns: int) -> None:
    table = _open(shared_data / name, tmp_path)
    assert (len(rows(table)), len(table.columns), table.bad_records) == (records, columns, None)


@pytest.mark.parametrize(
    ("name", "encoding", "delimiter"),
    [
        ("signalements/sf311_cases_sample.csv", "utf-8", ","),
        ("signalements/paris_dans_ma_rue_extrait.csv", "utf-8", ","),
        ("signalements/nyc311_extrait_2024.csv", "utf-8", ","),
        ("travaux/paris_chantiers.csv", "utf-8-sig", ";"),
        ("trafic/montpellier_comptages_1997_2013.csv", "cp1252", ","),
        ("meteo/synop.202208.csv", "utf-8", ";"),
    ],
)
def test_every_cell_is_what_python_reads(shared_data: Path, tmp_path: Path, name: str, encoding: str, delimiter: str) -> None:
    with (shared_data / name).open(encoding=encoding, newline="") as file:
        expected = [tuple(r) for r in csv.reader(file, delimiter=delimiter) if r][1:]
    assert [r[:-1] for r in rows(_open(shared_data / name, tmp_path))] == expected


def test_a_shapefile_in_lambert93_agrees_with_its_twin_in_wgs84(shared_data: Path, tmp_path: Path, extension_directory: Path) -> None:
    con = duckdb.connect(config={"extension_directory": str(extension_directory)})
    import_extension("spatial", con=con)
    table = _open(shared_data / "eclairage" / "montpellier_eclairage_shp_l93.zip", tmp_path, con)
    found = con.execute(f"SELECT _longitude, _latitude FROM {table.relation} ORDER BY _position").fetchall()
    with zipfile.ZipFile(shared_data / "eclairage" / "montpellier_eclairage_kml.zip") as archive:
        kml = archive.read(archive.namelist()[0]).decode()
    twin = [(float(x), float(y)) for x, y in re.findall(r"<coordinates>([\d.-]+),([\d.-]+)", kml)]
    assert len(found) == len(twin) == 29_969
    # A metre is 1.2e-5 degrees of longitude at Montpellier.
    assert max(max(abs(a - c), abs(b - d)) for (a, b), (c, d) in zip(found, twin, strict=True)) < 1e-5


def test_latin1_bikes_keep_their_accents(shared_data: Path, tmp_path: Path) -> None:
    path = next((shared_data / "stationnement" / "montpellier_2025" / "Velo").glob("20.01.9h.json"))
    table = _open(path, tmp_path, records="*")
    names = {r[0] for r in rows(table)}
    assert {"Comédie", "Hôtel de Ville"} <= names
    assert list(table.columns) == ["_key", "ouverture", "velodispo", "placelibre", "date"]


def test_what_cannot_be_read_says_why(shared_data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="KML"):
        _open(shared_data / "eclairage" / "montpellier_eclairage_kml.zip", tmp_path)
    with pytest.raises(BadFile, match="binary content"):
        _open(shared_data / "bus" / "gtfs_cas_difficiles" / "corrupted_RTD_GTFS.zip", tmp_path)
