"""Which rows become signals: those whose codes and texts the alarms' database can hold."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.alerts.model import Observed, Reported
from orchestration.alerts.runtime.signals import LONGEST_CODE, Maker
from tests.unit.alerts_engine_support import S, feed

NOW = 1_767_240_000 * S


def _observation(**columns: Any) -> dict[str, Any]:
    return {"asset_ref": "L1", "property": "status", "observed_at": NOW, "value_text": "ok", **columns}


def _report(**columns: Any) -> dict[str, Any]:
    return {"report_ref": "R1", "opened_at": NOW, **columns}


@pytest.mark.parametrize("column", ["asset_ref", "property", "message_id"])
@pytest.mark.parametrize(
    ("code", "is_kept"),
    [("x" * LONGEST_CODE, True), ("x" * (LONGEST_CODE + 1), False), ("é" * 500, True), ("é" * 501, False), ("a\0b", False)],
)
def test_codes_of_observations_are_bounded_in_bytes(column: str, code: str, is_kept: bool) -> None:
    signals = list(Maker(feed("fiware-eclairage")).signals("observation", [_observation(**{column: code})], NOW))
    assert [getattr(s, column) for s in signals] == [code] * is_kept


@pytest.mark.parametrize("column", ["report_ref", "asset_ref", "commune"])
def test_codes_of_reports_are_bounded(column: str) -> None:
    rows = [_report(**{column: "x" * (LONGEST_CODE + 1)}), _report()]
    (signal,) = Maker(feed("grc-appels")).signals("report", rows, NOW)
    assert isinstance(signal, Reported)
    assert signal.report_ref == "R1"


def test_texts_keep_all_but_what_no_text_of_the_database_may_hold() -> None:
    maker = Maker(feed("grc-appels"))
    (reported,) = maker.signals("report", [_report(description="rue\0 noire")], NOW)
    (observed,) = maker.signals("observation", [_observation(value_text="o\0k" + "é" * 8_000)], NOW)
    assert isinstance(reported, Reported)
    assert isinstance(observed, Observed)
    assert (reported.description, observed.text) == ("rue noire", "ok" + "é" * 8_000)
