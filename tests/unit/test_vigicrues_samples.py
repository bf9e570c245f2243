"""Every sample of Vigicrues becomes observations."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.formats.vigicrues import decode
from ingestion.formats.wire import WireBatch, WireOptions


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """The samples; the test is skipped where they are absent."""
    path = shared_data.parent / "samples" / "vigicrues"
    if not path.is_dir():
        pytest.skip(f"the samples of Vigicrues are not at {path}")
    return path


def test_the_levels_of_the_seine_are_what_they_say(folder: Path) -> None:
    (path,) = folder.glob("*.json")
    batch = WireBatch()
    assert decode(path.read_bytes(), batch, after=0, received_at=None, topic=path.name, options=WireOptions()) == 20
    assert (batch.rejects, batch.observations) == ([], [])
    ((contract, table),) = batch.tables
    rows = table.to_pylist()
    assert contract == "observation"
    assert {(r["asset_ref"], r["property"], r["unit"]) for r in rows} == {("F700000103", "water_level", "m")}
    # 1615849200 is 2021-03-15 23:00 UTC, and a point an hour.
    assert [r["observed_at"] for r in rows] == [1_615_849_200_000_000 + i * 3_600_000_000 for i in range(20)]
    assert [r["value"] for r in rows] == [
        1.27, 1.28, 1.29, 1.3, 1.29, 1.3, 1.29, 1.3, 1.29, 1.32, 1.32, 1.33, 1.32, 1.32, 1.3, 1.29, 1.26, 1.23, 1.19, 1.19,
    ]  # fmt: skip
