"""Every sample of Hub'Eau becomes observations or assets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from ingestion.formats.hubeau import decode
from ingestion.formats.wire import ObservationRow, WireBatch, WireOptions

# Files of stations to their number, one asset each.
STATIONS: Final = {"demonstrateurs__data__demo_hydroelab_stations.json": 4_439, "demonstrateurs__data__demo_hydrotr_stations.json": 2_806}
OBSERVATIONS: Final = {
    # 491 mm at 19:30 UTC; 147,629 L/s at 10:00 UTC.
    "observations_tr_v2_B720000001_H.json": ("B720000001", "water_level", 1_790_191_800_000_000, 0.491, "m", "Brute, Non qualifiée"),
    "observations_tr_v1_O588251001_Q.json": ("O588251001", "discharge", 1_613_469_600_000_000, 147.629, "m3/s", "4, Non qualifiée"),
}


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """The samples; the test is skipped where they are absent."""
    path = shared_data.parent / "samples" / "hubeau"
    if not path.is_dir():
        pytest.skip(f"the samples of Hub'Eau are not at {path}")
    return path


def _decoded(path: Path) -> tuple[int, WireBatch]:
    batch = WireBatch()
    return decode(path.read_bytes(), batch, after=0, received_at=None, topic=path.name, options=WireOptions()), batch


def test_there_is_no_other_sample(folder: Path) -> None:
    assert {path.name for path in folder.glob("*.json")} == {*STATIONS, *OBSERVATIONS}


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_each_observation_is_what_it_says(folder: Path, name: str) -> None:
    records, batch = _decoded(folder / name)
    place, quantity, at, value, unit, quality = OBSERVATIONS[name]
    assert (records, batch.rejects) == (1, [])
    assert batch.observations == [ObservationRow(1, place, quantity, at, value, None, unit, quality)]


@pytest.mark.parametrize("name", STATIONS)
def test_each_station_becomes_an_asset_or_tells_why_not(folder: Path, name: str) -> None:
    records, batch = _decoded(folder / name)
    written = json.loads((folder / name).read_text())
    assert records == len(written) == STATIONS[name]
    assert [(a.asset_ref, a.name) for a in batch.assets] == [(s["code_station"], s["libelle_station"].strip()) for s in written]
    assert batch.rejects == []
    assert all(a.longitude is not None and a.asset_type == "hydrometric_station" for a in batch.assets)
