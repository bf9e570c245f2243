"""Feeds that share a territory: only those that have landed must describe it alike, and a difference is shown."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from ingestion import reference
from ingestion.errors import WrongUse
from tests.lakes import LIMITS, Lakes

pytest_plugins = ("tests.lakes",)

BODY = """\
time_zone: Europe/Paris
fields:
  - {name: id}
  - {name: ouvert, type: datetime}
mapping: {report_ref: id, opened_at: ouvert}
"""
CONTENT = "id,ouvert\n1,2026-01-05 08:00:00\n"


def test_an_unused_contract_that_differs_blocks_nothing(lakes: Lakes, tmp_path: Path) -> None:
    mine = lakes.feed("pannes", "report", BODY)
    unused = mine.model_copy(update={"feed": "exemple", "territory": mine.territory.model_copy(update={"name": "Ailleurs"})})
    lakes.land(mine, lakes.file("pannes.csv", CONTENT))
    for feeds in ([unused, mine], [mine, unused]):
        reference.refresh(lakes.main, feeds, tmp_path, today=dt.date(2026, 1, 6), limits=LIMITS)
    assert lakes.query("SELECT territory, name FROM lake.raw.territory") == [("chalons", "Châlons")]

    lakes.land(unused, lakes.file("exemple.csv", CONTENT))
    with pytest.raises(WrongUse) as caught:
        reference.refresh(lakes.main, [mine, unused], tmp_path, today=dt.date(2026, 1, 6), limits=LIMITS)
    shown = {" ".join(line.split()) for line in str(caught.value).split("\n")}
    assert {"pannes exemple", "≠ name Châlons Ailleurs", "latitude 48.96 48.96"} <= shown
    assert "copy one block" in str(caught.value)
