"""Vigicrues: metres, instants, levels of vigilance and projections, by hand."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from ingestion.feeds.load import load_feed
from ingestion.formats.vigicrues import decode
from ingestion.formats.vigicrues_lambert import to_wgs84
from ingestion.formats.wire import AssetRow, ObservationRow, WireBatch, WireOptions
from ingestion.formats.wire_values import NoGeometry
from ingestion.lake.session import open_engine
from ingestion.landing import preview
from tests.unit.wire_corpus.vigicrues import LINE, PAIRS, STATION, entities, section, series, vigilance

EXAMPLES = Path(__file__).resolve().parents[2] / "ingestion" / "feeds" / "examples"
LAMBERT = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2154"}}


def read(payload: bytes, *, received_at: int | None = None, options: WireOptions | None = None) -> tuple[int, WireBatch]:
    batch = WireBatch()
    return decode(payload, batch, after=0, received_at=received_at, options=options or WireOptions()), batch


def rows(batch: WireBatch) -> list[tuple[Any, ...]]:
    """Return position, asset, property, instant, value and unit of what came by row or by column."""
    found = [(o.position, o.asset_ref, o.property, o.observed_at, o.value, o.unit) for o in batch.observations]
    names = ("_position", "asset_ref", "property", "observed_at", "value", "unit")
    return found + [tuple(row[n] for n in names) for _, table in batch.tables for row in table.to_pylist()]


def utc(*written: int) -> int:
    return int(dt.datetime(*written, tzinfo=dt.UTC).timestamp()) * 1_000_000  # type: ignore[arg-type, misc] # year to second


def test_pairs_are_milliseconds_and_metres_or_cubic_metres_per_second() -> None:
    for code, quantity, unit in (("H", "water_level", "m"), ("Q", "discharge", "m3/s")):
        records, batch = read(series(PAIRS, GrdSerie=code))
        assert records == 2
        assert rows(batch) == [
            (1, "F700000103", quantity, 1_795_000_000_000_000, 1.27, unit),
            (2, "F700000103", quantity, 1_795_000_300_000_000, -0.05, unit),
        ]
        assert batch.rejects == []


def test_texts_as_php_escapes_them_keep_a_series_by_column() -> None:
    link = b'"Link":"https:\\/\\/www.vigicrues.gouv.fr\\/station d\\u00e9bitm\\u00e9trique","GrdSerie"'
    _, batch = read(series(PAIRS).replace(b'"GrdSerie"', link))
    assert [row[4] for row in rows(batch)] == [1.27, -0.05]
    assert batch.observations == []


@pytest.mark.parametrize("again", [b'"ObssHydro": [[1, 2]], "ObssHydro"', b'"Obss\\u0048ydro": [[1, 2]], "ObssHydro"'])
def test_points_that_stand_twice_refuse_the_document(again: bytes) -> None:
    _, batch = read(series(PAIRS).replace(b'"ObssHydro"', again))
    assert [r.reason for r in batch.rejects] == ["duplicate_key"]
    assert rows(batch) == []


def test_objects_with_instants_of_an_offset_say_the_same() -> None:
    points = [
        {"DtObsHydro": "2026-11-20T07:00:00+01:00", "ResObsHydro": "1.27"},
        {"DtObsHydro": "2026-11-20T06:05:00Z", "ResObsHydro": 2},
    ]
    _, batch = read(series(points))
    assert [row[3:5] for row in rows(batch)] == [(utc(2026, 11, 20, 6, 0), 1.27), (utc(2026, 11, 20, 6, 5), 2.0)]


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ([1_795_000_000_000, None], "no_value"),
        ([None, 1.2], "no_instant"),
        (["hier", 1.2], "not_an_instant"),
        ([10**20, 1.2], "not_an_instant"),
        ([-(10**15), 1.2], "not_an_instant"),
        (["2026-11-20T06:00:00", 1.2], "no_zone"),
        ([1_795_000_000_000, "haut"], "not_a_number"),
        ([1_795_000_000_000, "nan"], "not_a_number"),
        ([1_795_000_000_000, [1]], "not_a_number"),
        ([1_795_000_000_000], "not_a_point"),
        ("x", "not_a_point"),
    ],
)
def test_a_point_that_is_none_is_refused_and_the_others_kept(point: Any, reason: str) -> None:
    records, batch = read(series([PAIRS[0], point, PAIRS[1]]))
    assert records == 3
    assert [row[0] for row in rows(batch)] == [1, 3]
    assert [(r.position, r.reason) for r in batch.rejects] == [(2, reason)]
    assert json.loads(batch.rejects[0].original or "")["point"] == point


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (series(PAIRS, GrdSerie="T"), "unknown_quantity"),
        (series(PAIRS, CdStationHydro=" "), "no_station"),
        (series([]), "empty"),
        (b'{"error_msg": "Cette station n\'est pas suivie", "code": 400}', "source_error"),
        (b'{"message": "toutes pr\xc3\xa9visions", "code": 204}', "source_error"),
        (b'{"Simul": {"Prevs": []}}', "not_an_observation"),
        (b'{"a": 1}', "unknown_document"),
        (vigilance(), "empty"),
        (series(PAIRS).replace(b'"GrdSerie": "H"', b'"GrdSerie": "H", "GrdSerie": "Q"'), "duplicate_key"),
        (series(PAIRS).replace(b'"GrdSerie": "H"', b'"GrdSerie": "H", "GrdSerie" : "Q"'), "duplicate_key"),
        (series(PAIRS)[:-2] + b', "ObssHydro": [[1795000000000, 9.9]]}}', "duplicate_key"),
    ],
)
def test_a_document_that_is_none_is_one_record_refused(payload: bytes, reason: str) -> None:
    records, batch = read(payload)
    assert records == 1
    assert rows(batch) == []
    assert [(r.position, r.scope, r.reason) for r in batch.rejects] == [(1, "record", reason)]


def test_a_section_is_an_asset_with_its_level_and_colour() -> None:
    records, batch = read(vigilance(section(3), section("1", None)))
    assert records == 2
    line = json.dumps(LINE, separators=(",", ":"))
    described = AssetRow(
        1, "LO18", "river_section", "2", "Meuse frontalière - Semoy", longitude=4.2, latitude=48.400000000000006, geometry=line
    )
    assert batch.assets == [described, described._replace(position=2, longitude=None, latitude=None, geometry=None)]
    at = utc(2026, 11, 20, 9, 4, 15)
    assert batch.observations == [
        ObservationRow(1, "LO18", "flood_vigilance", at, 3.0, "orange", "1"),
        ObservationRow(2, "LO18", "flood_vigilance", at, 1.0, "vert", "1"),
    ]


def test_older_names_of_members_are_read() -> None:
    properties = {"CDENTCRU": "LO18", "LbEntCru": "Meuse", "CdEnSup_1": "2", "NivInfViCr": 2}
    v11 = {"CdEntVigiCru": "RH", "NomEntVigiCru": "Rhin", "NivSituVigiCruEnt": 4}
    _, batch = read(vigilance(*({"type": "Feature", "properties": p, "geometry": None} for p in (properties, v11))))
    assert [(a.asset_ref, a.name, a.parent_ref) for a in batch.assets] == [("LO18", "Meuse", "2"), ("RH", "Rhin", None)]
    assert [o.value_text for o in batch.observations] == ["jaune", "rouge"]


def test_a_map_without_date_is_dated_by_its_arrival_and_one_of_a_file_not_at_all() -> None:
    _, batch = read(vigilance(section(), DtHrInfoVigiCru=None), received_at=1_795_000_000_000_000)
    assert [(o.observed_at, o.quality) for o in batch.observations] == [(1_795_000_000_000_000, "uncertain")]
    _, batch = read(vigilance(section(), DtHrInfoVigiCru=None))
    assert (len(batch.assets), batch.observations) == (1, [])
    assert [(r.scope, r.reason) for r in batch.rejects] == [("value", "no_instant")]


@pytest.mark.parametrize("level", [0, 5, 2.5, "orange", None, [3], True])
def test_a_level_that_is_none_of_the_four_is_refused(level: Any) -> None:
    _, batch = read(vigilance(section(level)))
    assert (len(batch.assets), batch.observations) == (1, [])
    assert [(r.scope, r.reason) for r in batch.rejects] == [("value", "unknown_level")]


def test_coordinates_of_a_projection_are_moved_where_the_document_names_it_and_else_refused() -> None:
    lambert = {"type": "LineString", "coordinates": [[700_000.0, 6_600_000.0], [700_000.0, 6_700_000.0]]}
    _, batch = read(vigilance(section(geometry=lambert), crs=LAMBERT))
    assert batch.rejects == []
    (asset,) = batch.assets
    coordinates = json.loads(asset.geometry or "")["coordinates"]
    assert coordinates[0] == pytest.approx([3.0, 46.5], abs=1e-9)
    assert asset.longitude == pytest.approx(3.0, abs=1e-9)
    for crs in ({}, {"crs": {"type": "name", "properties": {"name": "EPSG:3857"}}}):
        _, batch = read(vigilance(section(geometry=lambert), **crs))
        assert [(a.asset_ref, a.longitude, a.geometry) for a in batch.assets] == [("LO18", None, None)]
        assert [(r.scope, r.reason) for r in batch.rejects] == [("value", "invalid_geometry")]
        assert len(batch.observations) == 1


def test_lambert_93_agrees_with_proj(extension_directory: Path) -> None:
    """Against DuckDB's spatial extension (PROJ): a millionth of a degree is ten centimetres."""
    points = [(700_000, 6_600_000), (154_000, 6_824_000), (1_242_000, 6_050_000), (1_050_000, 6_840_000), (652_469, 6_862_035)]
    with contextlib.closing(open_engine(extension_directory)) as con:
        con.execute("LOAD spatial")
        for x, y in points:
            moved = f"ST_Transform(ST_Point({x}, {y}), 'EPSG:2154', 'EPSG:4326', always_xy := true)"
            assert to_wgs84(x, y) == pytest.approx(con.execute(f"SELECT ST_X({moved}), ST_Y({moved})").fetchone(), abs=1e-6)
    with pytest.raises(NoGeometry):
        to_wgs84(4.2, 48.4)


def test_entities_become_assets() -> None:
    territory = {"CdEntVigiCru": "2", "TypEntVigiCru": "5", "LbEntVigiCru": "Meuse-Moselle"}
    unplaced = {**STATION, "ProjCoordStationHydro": None}
    _, batch = read(entities(STATION, territory, unplaced, {"TypEntVigiCru": "7"}, {"CdEntVigiCru": "x", "TypEntVigiCru": "9"}))
    station, found, kept = batch.assets
    assert (station.asset_ref, station.asset_type, station.parent_ref) == ("F700000103", "hydrometric_station", "SM12")
    assert (station.longitude, station.latitude) == (pytest.approx(3.0, abs=1e-9), pytest.approx(46.5, abs=1e-9))
    assert found == AssetRow(2, "2", "flood_territory", None, "Meuse-Moselle")
    assert (kept.longitude, kept.latitude) == (None, None)
    assert [(r.position, r.scope, r.reason) for r in batch.rejects] == [
        (3, "value", "invalid_geometry"),
        (4, "record", "no_entity"),
        (5, "record", "unknown_type"),
    ]


def test_documents_become_staged_rows_through_the_shipped_contracts(tmp_path: Path, extension_directory: Path) -> None:
    levels = tmp_path / "observations.json"
    levels.write_bytes(series([*PAIRS, [1_795_000_600_000, None]]))
    became = preview(load_feed(EXAMPLES / "vigicrues-observations.yaml"), levels, extension_directory=extension_directory)
    assert (became.received, became.accepted, became.rejected) == (3, 2, 1)
    assert [row["value"] for row in became.rows] == [1.27, -0.05]
    sections = tmp_path / "InfoVigiCru.geojson"
    sections.write_bytes(vigilance(section(4), section(2, None, CdEntCru="AP1")))
    became = preview(load_feed(EXAMPLES / "vigicrues-vigilance.yaml"), sections, extension_directory=extension_directory)
    assert (became.received, became.accepted, became.rejected) == (2, 2, 0)
    assert [(r["asset_ref"], r["value"], r["value_text"]) for r in became.rows] == [("LO18", 4.0, "rouge"), ("AP1", 2.0, "jaune")]
