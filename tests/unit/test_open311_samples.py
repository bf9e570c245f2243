"""Every example of the GeoReport v2 specification becomes reports or a rejection, as docs/formats/open311.md says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from ingestion.formats.open311 import decode
from ingestion.formats.registry import FORMATS
from ingestion.formats.wire import WireBatch, WireOptions

_INFORMATION: Final = "reference_information"
# What each file holds, read by hand: reports, and the reasons of its rejects.
_EXPECTED: Final[dict[str, tuple[int, list[str]]]] = {
    "GeoReport__bulk__index__01.xml": (0, ["invalid_xml"]),  # <closed_datetime> is closed by </updated_datetime>
    "GeoReport__v2.1__draft__01.xml": (0, [_INFORMATION] * 3),
    "GeoReport__v2.1__draft__02.xml": (0, [_INFORMATION]),
    "GeoReport__v2.1__draft__03.json": (0, [_INFORMATION]),
    "GeoReport__v2.1__draft__04.xml": (0, ["no_instant"]),  # answers to a POST: a number, no date
    "GeoReport__v2.1__draft__05.json": (0, ["no_instant"]),
    "GeoReport__v2.1__draft__06.xml": (0, ["no_instant"]),
    "GeoReport__v2.1__draft__07.json": (0, ["no_instant"]),
    "GeoReport__v2.1__draft__08.xml": (2, []),
    "GeoReport__v2.1__draft__09.xml": (1, []),
    "GeoReport__v2__index__01.xml": (0, [_INFORMATION] * 3),
    "GeoReport__v2__index__02.xml": (0, [_INFORMATION]),
    "GeoReport__v2__index__03.json": (0, [_INFORMATION]),
    "GeoReport__v2__index__04.xml": (0, ["no_instant"]),
    "GeoReport__v2__index__05.xml": (0, ["no_instant"]),
    "GeoReport__v2__index__06.xml": (2, []),
    "GeoReport__v2__index__07.xml": (1, []),
    "GeoReport__v2__index__08.xml": (0, ["error_answer"]),
    "JSON_and_XML_Conversion__01.xml": (0, ["not_georeport_v2"]),
    "JSON_and_XML_Conversion__02.json": (0, ["not_georeport_v2"]),
    "JSON_and_XML_Conversion__03.xml": (0, ["not_georeport_v2"]),
    "Service_Definition_Attributes__01.xml": (0, [_INFORMATION]),
    "Service_Definition_Attributes__02.xml": (0, [_INFORMATION]),
    "Service_Definition_Attributes__03.json": (0, ["duplicate_key"]),  # "attribute" twice in one object
}
# 2010-04-14T06:37:38-08:00: 14,713 days after 1970, 14:37:38 UTC.
_FIRST: Final = (14_713 * 86_400 + 14 * 3_600 + 37 * 60 + 38) * 1_000_000


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """The examples; the test is skipped where they are absent."""
    path = shared_data.parent / "samples" / "open311" / "georeport-v2-spec"
    if not path.is_dir():
        pytest.skip(f"the examples of GeoReport v2 are not at {path}")
    return path


def _decoded(path: Path) -> WireBatch:
    batch = WireBatch()
    options = WireOptions(contract="report", time_zone="America/Los_Angeles", personal=FORMATS["open311"].personal)
    decode(path.read_bytes(), batch, after=0, received_at=None, options=options)
    return batch


def test_every_example_is_stored_or_rejected_for_its_reason(folder: Path) -> None:
    found = {path.name: _decoded(path) for path in folder.iterdir()}
    assert {name: (len(batch.reports), [r.reason for r in batch.rejects]) for name, batch in found.items()} == _EXPECTED


def test_the_examples_of_requests_say_what_they_say(folder: Path) -> None:
    for name in ("GeoReport__v2__index__06.xml", "GeoReport__v2.1__draft__08.xml"):
        closed, still_open = _decoded(folder / name).reports
        assert (closed.report_ref, closed.status, closed.opened_at, closed.closed_at) == ("638344", "closed", _FIRST, _FIRST)
        assert (closed.longitude, closed.latitude, closed.street) == (-122.4651145, 37.762221815, "8TH AVE and JUDAH ST")
        assert (still_open.report_ref, still_open.status, still_open.closed_at) == ("638349", "open", None)
        assert still_open.revised_at == _FIRST + 5 * 86_400 * 1_000_000
