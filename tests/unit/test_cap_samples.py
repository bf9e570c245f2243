"""Every example of CAP becomes observations or a rejection: what each must give, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from ingestion.formats.cap import decode
from ingestion.formats.wire import WireBatch, WireOptions

# Level rows (asset, property, value, severity) of each file; the alert's own rows and the texts apart.
_LEVELS: Final[dict[str, list[tuple[str, str, float | None, str]]]] = {
    # Two infos alike but for their areas' codes; the first code is a state's, which is no area.
    "australia.cap": [
        ("area:webmaster_rfs_nsw_gov_au/yerong_creek_structure_fire", "warning.fire", 1.0, "Minor"),
        ("http://www.psma.com.au/?product=postcode-boundaries:2642", "warning.fire", 1.0, "Minor"),
    ],
    # In English and French, past and all clear: over.
    "canada.cap": [
        ("layer:EC-MSC-SMC:1.0:CLC:041420", "warning.thunderstorm", 0.0, "Minor"),
        ("layer:EC-MSC-SMC:1.0:CLC:041410", "warning.thunderstorm", 0.0, "Minor"),
    ],
    "weather.cap": [("UGC:MTZ014", "warning.ffa", 3.0, "Severe")],
    "weather.atom": [("UGC:MTZ014", "warning.ffa", 3.0, "Severe")],
}


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """The examples; the test is skipped where they are absent."""
    path = shared_data.parent / "samples" / "cap-1.2"
    if not path.is_dir():
        pytest.skip(f"the examples of CAP are not at {path}")
    return path


def _decoded(path: Path) -> WireBatch:
    batch = WireBatch()
    assert decode(path.read_bytes(), batch, after=0, received_at=None, options=WireOptions()) == 1
    return batch


@pytest.mark.parametrize("name", _LEVELS)
def test_the_levels_of_an_example(folder: Path, name: str) -> None:
    batch = _decoded(folder / name)
    levels = [o for o in batch.observations if o.unit == "1" and o.property != "warning_status"]
    assert [(o.asset_ref, o.property, o.value, o.value_text) for o in levels] == _LEVELS[name]
    assert not batch.rejects


@pytest.mark.parametrize(
    ("name", "longitude", "latitude"), [("earthquake.cap", -173.274, -16.053), ("earthquake-iso8859-1.cap", -88.783, 12.747)]
)
def test_an_earthquake_is_past_and_lies_where_it_was(folder: Path, name: str, longitude: float, latitude: float) -> None:
    batch = _decoded(folder / name)
    area = next(a for a in batch.assets if a.asset_type == "warning_area")
    assert (area.longitude, area.latitude, area.geometry) == (longitude, latitude, None)
    level = next(o for o in batch.observations if o.property == "warning.eqw")
    assert (level.value, level.value_text) == (0.0, "Unknown")
    if "iso8859" in name:
        headline = next(o.value_text for o in batch.observations if o.property == "warning.eqw.headline")
        assert headline == "EQ 4.6 Usulután, Usulután, El Salvador - PRELIMINARY REPORT"


def test_the_invalid_example_lacks_its_scope(folder: Path) -> None:
    batch = _decoded(folder / "invalid.cap")
    assert not batch.observations
    assert [(r.scope, r.reason, r.detail) for r in batch.rejects] == [
        ("record", "missing_element", "CAP requires an element that the alert lacks: scope")
    ]


def test_every_example_is_expected(folder: Path) -> None:
    expected = {*_LEVELS, "earthquake.cap", "earthquake-iso8859-1.cap", "invalid.cap"}
    assert {path.name for path in folder.iterdir()} == expected
