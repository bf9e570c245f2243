"""Hub'Eau: units, instants, quality and revisions by hand; and that the fast path says what the slow one says."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.feeds.load import load_feed
from ingestion.formats import hubeau, hubeau_plain
from ingestion.formats.hubeau import decode
from ingestion.formats.wire import AssetRow, ObservationRow, WireBatch, WireOptions
from ingestion.landing import preview
from tests.unit.wire_corpus.hubeau import ELABORATED, SITE, SITE_FLOW, STATION, V1, V2, line, page

EXAMPLE = Path(__file__).resolve().parents[2] / "ingestion" / "feeds" / "examples" / "hubeau-hydrometrie.yaml"


def read(payload: bytes, options: WireOptions | None = None) -> WireBatch:
    batch = WireBatch()
    decode(payload, batch, after=0, received_at=None, options=options or WireOptions())
    return batch


def utc(*written: int) -> int:
    return int(dt.datetime(*written, tzinfo=dt.UTC).timestamp()) * 1_000_000  # type: ignore[arg-type, misc] # year to minute


def test_geojson_misspells_the_status_and_says_the_same() -> None:
    properties = {("code_slibelle_statuttatut" if name == "libelle_statut" else name): value for name, value in V2.items()}
    feature = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [4.36, 48.95]}, "properties": properties}
    assert read(json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()).observations == read(page(V2)).observations


def test_millimetres_and_litres_per_second_become_metres_and_cubic_metres_per_second() -> None:
    batch = read(page(V2, V1, SITE_FLOW))
    at = utc(2026, 11, 20, 6, 5)
    assert batch.observations == [
        ObservationRow(1, "H080001001", "water_level", at, -0.044, None, "m", "Brute, Non qualifiée"),
        ObservationRow(2, "H080001001", "discharge", at, 147.629, None, "m3/s", "4, Non qualifiée"),
        ObservationRow(3, "H0800010", "discharge", at, -0.044, None, "m3/s", "Brute, Non qualifiée"),
    ]
    assert batch.rejects == []


@pytest.mark.parametrize(
    ("code", "name", "unit"),
    [
        ("QmnJ", "discharge_mean_1d", "m3/s"),
        ("QmJ", "discharge_mean_1d", "m3/s"),
        ("QmM", "discharge_mean_1mo", "m3/s"),
        ("QixM", "discharge_max_1mo", "m3/s"),
        ("QINnJ", "discharge_min_1d", "m3/s"),
        ("HIXnJ", "water_level_max_1d", "m"),
        ("HIXM", "water_level_max_1mo", "m"),
    ],
)
def test_elaborated_observations_name_what_they_are(code: str, name: str, unit: str) -> None:
    (row,) = read(line(ELABORATED, grandeur_hydro_elab=code)).observations
    assert row == ObservationRow(1, "H080001001", name, utc(2004, 4, 22), 70.642, None, unit, "Donnée validée, Bonne")


def test_stations_and_sites_become_assets() -> None:
    batch = read(page(STATION, SITE, {**STATION, "en_service": False, "date_maj_station": None}))
    station = AssetRow(
        1,
        "H080001001",
        "hydrometric_station",
        parent_ref="H0800010",
        name="La Seine à Troyes [Pont]",
        commune="TROYES",
        longitude=4.07,
        latitude=48.29,
        model="STD",
        status="en service",
        installed_on="1996-02-15",
        effective_at=utc(2021, 12, 3, 13, 47) + 10_000_000,
    )
    site = AssetRow(2, "H0800010", "hydrometric_site", name="La Seine à Troyes", longitude=4.07, latitude=48.29)
    assert batch.assets == [station, site, station._replace(position=3, status="hors service", effective_at=None)]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({**V2, "resultat_obs": None}, "no_value"),
        ({**V2, "resultat_obs": ""}, "no_value"),
        ({**V2, "resultat_obs": "haut"}, "not_a_number"),
        ({**V2, "resultat_obs": "NaN"}, "not_a_number"),
        ({**V2, "resultat_obs": [1]}, "not_a_number"),
        ({**V2, "grandeur_hydro": "T"}, "unknown_quantity"),
        ({**V2, "grandeur_hydro": None}, "unknown_quantity"),
        ({**V2, "date_obs": None}, "no_instant"),
        ({**V2, "date_obs": "2026-02-29T00:00:00Z"}, "not_an_instant"),
        ({**V2, "date_obs": "3026-02-20T00:00:00Z"}, "not_an_instant"),
        ({**V2, "code_station": None, "code_site": None}, "no_station"),
        ({"code_station": "H080001001"}, "unknown_record"),
        ({"libelle": "x"}, "unknown_record"),
        ({**STATION, "code_station": None, "code_site": None}, "no_station"),
        ("x", "not_a_record"),
    ],
)
def test_a_record_that_is_none_is_refused_and_the_others_kept(record: Any, reason: str) -> None:
    batch = read(page(V2, record, V1))
    assert [row.position for row in batch.observations] == [1, 3]
    assert [(r.position, r.reason) for r in batch.rejects] == [(2, reason)]
    assert json.loads(batch.rejects[0].original or "") == record


def test_a_station_without_a_place_on_earth_is_kept_without_it() -> None:
    batch = read(line(STATION, longitude_station=770_000.0))
    assert [(a.longitude, a.latitude) for a in batch.assets] == [(None, None)]
    assert [(r.scope, r.reason) for r in batch.rejects] == [("value", "invalid_geometry")]


@pytest.mark.parametrize("twice", [b', "resultat_obs": 12}', b', "resultat_obs" : 12}', b', "\\u0072esultat_obs": 12}'])
def test_a_member_that_is_named_twice_refuses_the_message(twice: bytes) -> None:
    batch = read(line(V2)[:-1] + twice)
    assert batch.observations == []
    assert [r.reason for r in batch.rejects] == ["duplicate_key"]


def test_members_declared_personal_are_in_no_reject() -> None:
    batch = read(line(V2, resultat_obs=None, agent="Martin"), WireOptions(personal=frozenset({"agent"})))
    assert "Martin" not in (batch.rejects[0].original or "")
    assert "H080001001" in (batch.rejects[0].original or "")


_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "code_station": st.sampled_from([None, "", "H1", 5]),
        "grandeur_hydro": st.sampled_from(["H", "Q", "h", "T", None]),
        "date_obs": st.sampled_from([None, "", "2026-11-20", "2026-11-20T06:05:00", "2026-11-20T08:05:00+02:00", "hier"]),
        "resultat_obs": st.one_of(st.none(), st.integers(-10_000, 10_000), st.floats(-1e6, 1e6), st.just("12,5"), st.just("12.5")),
        "libelle_statut": st.sampled_from([None, "", "Validée", 4]),
        "code_qualification_obs": st.sampled_from([None, 16, "16"]),
    },
)


@given(st.lists(_CHANGES, min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_the_fast_path_says_what_the_slow_one_says(changes: list[dict[str, Any]]) -> None:
    payload = page(*({**V2, **change} for change in changes))
    whole = read(payload)
    slow = WireBatch()
    records = json.loads(payload)["data"]
    for position, record in enumerate(records, start=1):
        problem = hubeau._observation(record, position, slow)
        if problem is not None:
            slow.reject(position, problem, "", "")
    assert whole.observations == slow.observations
    assert [(r.position, r.reason) for r in whole.rejects] == [(r.position, r.reason) for r in slow.rejects]


def test_whole_pages_take_the_fast_path() -> None:
    for payload, count in ((page(V2, V1, SITE_FLOW), 3), (line(V2), 1), (page(ELABORATED, ELABORATED), 2), (page(STATION), 0)):
        assert hubeau_plain.read_plain(payload, WireBatch(), 0, 1_000) == count


def test_lines_of_the_connector_become_staged_rows_and_a_later_value_counts_as_new(tmp_path: Path, extension_directory: Path) -> None:
    """Bytes to staged rows through the shipped contract; the same record again is a duplicate, a revised one is not."""
    file = tmp_path / "fetched-00000.ndjson"
    file.write_bytes(b"\n".join([line(V2), line(V2), line(V2, resultat_obs=-45.0), line(V2, resultat_obs=9e9)]))
    became = preview(load_feed(EXAMPLE), file, extension_directory=extension_directory)
    assert (became.received, became.accepted, became.duplicate) == (4, 2, 1)
    assert [r["reason"] for r in became.rejects] == ["no_value", "out_of_range"]  # of its only value nothing is left
    assert became.rows[0]["value"] == -0.044
