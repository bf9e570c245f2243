"""What is said of measures that are set aside, and of a source that was split at the wrong character."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from ingestion.errors import WrongUse
from ingestion.feeds.load import load_feed
from ingestion.landing import Preview, preview

CONTRACT = """\
feed: labo
title: Essai
contract: observation
domain: PAT
owner: {name: Service}
steward: {name: Service}
source: {publisher: Ville, licence: internal}
territory: {code: ville, name: Ville, time_zone: Europe/Paris, holidays: FR, latitude: 48.9, longitude: 2.3}
time_zone: UTC
format: {type: csv, delimiter: ";"}
fields:
  - {name: ts, type: datetime}
  - {name: Pressure, type: number, unit: bar}
  - {name: Temp, type: number}
mapping: {asset_ref: {constant: banc}, observed_at: ts}
measures:
  - {column: Pressure, property: pressure, minimum: 0, maximum: 1}
  - {column: Temp, property: temperature, unit: "[degF]", maximum: 50}
"""


def previewed(folder: Path, extension_directory: Path, content: str) -> Preview:
    contract, file = folder / "labo.yaml", folder / "labo.csv"
    contract.write_text(CONTRACT, encoding="utf-8")
    file.write_text(content, encoding="utf-8")
    return preview(load_feed(contract), file, extension_directory=extension_directory)


def test_a_value_out_of_bounds_is_told_in_both_units(tmp_path: Path, extension_directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = "ts;Pressure;Temp\n2026-01-01 00:00:00;0.054711;212\n2026-01-01 01:00:00;-1;50\n2026-01-01 02:00:00;high;\n"
    with caplog.at_level(logging.WARNING, logger="ingestion.mapping"):
        found = previewed(tmp_path, extension_directory, content)
    values = {r["detail"] for r in found.rejects if r["scope"] == "value"}
    # 212 °F is 100 °C; 50 °F is 10 °C, within the bound.
    assert values == {
        "Pressure 0.054711 bar = 5471.1 Pa, above the maximum of 1 Pa",
        "Pressure -1 bar = -100000 Pa, below the minimum of 0 Pa",
        "Pressure high is not a number",
        "Temp 212 [degF] = 100 Cel, above the maximum of 50 Cel",
    }
    (said,) = [r.getMessage() for r in caplog.records]
    assert "every value of 'Pressure' is set aside (3;" in said


def test_a_source_split_at_the_wrong_character_is_told_so(tmp_path: Path, extension_directory: Path) -> None:
    with pytest.raises(WrongUse) as caught:
        previewed(tmp_path, extension_directory, "ts,Pressure,Temp\n2026-01-01 00:00:00,1,2\n")
    assert "one single column" in str(caught.value)
    assert "separated by commas" in str(caught.value)
    assert "delimiter: ','" in str(caught.value)
