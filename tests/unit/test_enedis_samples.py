"""Every sample of Enedis flows becomes energies or a rejection, by hand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import pytest

from ingestion.formats.enedis import decode
from ingestion.formats.wire import WireBatch, WireOptions

# File to (meter, start in UTC, minutes, Wh, direction, quality), then the reasons of rejects. 540 W over half an hour are 270 Wh; 398 kW
# over five minutes 33,166.67 Wh.
EXPECTED: Final[dict[str, tuple[list[tuple[Any, ...]], list[str]]]] = {
    "data-connect/metering_data_load_curve.json": ([("00000000000000", "2020-09-14T00:30", 30, 270.0, "consumption", "B")], []),
    "r4x-cdc/R4H_courbe.xml": ([("30000210411333", "2026-03-06T23:00", 5, 33166.67, "consumption", "R")], []),
    "r63-cdc/ENEDIS_R63_P_CdC_M053Q0D3_00001_20230918161101.json": (
        [
            ("30000000000001", "2025-12-31T23:00", 5, 10.0, "consumption", "R tc=A"),
            ("30000000000001", "2025-12-31T23:05", 5, 11.0, "consumption", "R ec=1"),
            ("30000000000002", "2025-12-31T23:00", 5, 20.0, "consumption", "R"),
        ],
        ["not_active_energy"],
    ),
    "r63-cdc/r63_cdc.csv": ([("30000000000001", "2025-12-31T23:00", 5, 10.0, "consumption", "R tc=A ec=1")], []),
}


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """The samples; the test is skipped where they are absent."""
    path = shared_data.parent / "samples" / "enedis"
    if not path.is_dir():
        pytest.skip(f"the samples of Enedis are not at {path}")
    return path


def test_every_sample_becomes_what_it_says(folder: Path) -> None:
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        batch = WireBatch()
        options = WireOptions(time_zone="Europe/Paris", contract="energy_reading")
        decode(path.read_bytes(), batch, after=0, received_at=None, topic=path.name, options=options)
        rows = [row for _, table in batch.tables for row in table.to_pylist()]
        found[path.relative_to(folder).as_posix()] = ([_said(row) for row in rows], [r.reason for r in batch.rejects])
    assert found == EXPECTED


def _said(row: dict[str, Any]) -> tuple[Any, ...]:
    start = dt.datetime.fromtimestamp(row["start_at"] / 1e6, dt.UTC)
    minutes = (row["end_at"] - row["start_at"]) // 60_000_000
    return row["meter_ref"], f"{start:%Y-%m-%dT%H:%M}", minutes, round(row["energy_wh"], 2), row["direction"], row["quality"]
