"""The norm's own examples and lists: every printed report is decoded or refused as said here, every event is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingestion.contracts.units import UNITS
from ingestion.formats import talq
from ingestion.formats.talq_names import MODEL
from ingestion.formats.wire import WireBatch, WireOptions

# The printed values: (property, value, text), or the reason. `totalActivePower` is in no data model (that has `totalPower`).
PRINTED = {
    "log-report_attributes.json": [("totalActiveEnergy", 130_934_500.0, None), "unknown_unit"],
    "log-report_events.json": [("changingRelease", 1.0, "occurred"), ("releaseChanged", 1.0, "occurred")],
}
# The model's word for a unit, and ours.
WORDS = {
    "Amperes": "A", "Days": "d", "DegreesCelcius": "Cel", "Hertz": "Hz", "Hours": "h", "KiloVoltAmpere": "kV.A",
    "KiloVoltAmpereHours": "kV.A.h", "KiloVoltAmpereReactive": "kvar", "KiloVoltAmpereReactiveHours": "kvar.h", "KiloWatt": "kW",
    "KiloWattHours": "kW.h", "Percent": "%", "Seconds": "s", "VoltAmpereReactive": "var", "VoltAmperes": "V.A", "Volts": "V", "Watts": "W",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """The norm's material; the tests are skipped where it is absent."""
    path = shared_data.parent / "samples" / "talq"
    if not path.is_dir():
        pytest.skip(f"the norm's examples are not at {path}")
    return path


@pytest.fixture(scope="module")
def schemas(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "spec").glob("talq-data-model-*.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["components"]["schemas"]
    return found


def test_every_printed_report_is_stored_or_refused_with_the_right_reason(folder: Path) -> None:
    paths = sorted(folder.glob("spec-pdf-*/*.json"))
    assert [p.name for p in paths] == sorted(PRINTED)
    for path in paths:
        batch = WireBatch()
        records = talq.decode(path.read_bytes(), batch, after=0, received_at=None, options=WireOptions())
        found: dict[int, Any] = {row.position: (row.property, row.value, row.value_text) for row in batch.observations}
        found |= {r.position: r.reason for r in batch.rejects}
        assert [found[n] for n in range(1, records + 1)] == PRINTED[path.name]


def test_every_event_of_the_norm_is_taken(schemas: dict[str, Any]) -> None:
    names = schemas["EventType"]["enum"]
    assert len(names) > 150
    assert set(schemas["fLampMonitorEvents"]["enum"]) <= set(names)
    entries = [
        {"type": "EventLogData", "srcAddress": "d/f", "timestamp": "2026-01-05T07:00:00Z", "eventType": n, "startEndFlag": True}
        for n in names
    ]
    batch = WireBatch()
    assert talq.decode(json.dumps({"entries": entries}).encode(), batch, after=0, received_at=None, options=WireOptions()) == len(names)
    assert [(row.property, row.value_text) for row in batch.observations] == [(n, "start") for n in names]


def test_units_are_those_of_the_data_model(schemas: dict[str, Any]) -> None:
    seen = 0
    for function in (s for name, s in schemas.items() if name.endswith("Function")):
        for name, attribute in function["allOf"][1]["properties"].items():
            unit = next((part["x-talq-unit"] for part in attribute.get("allOf", []) if "x-talq-unit" in part), "None")
            kinds = {part.get("$ref", "").rpartition("/")[2] for part in attribute.get("allOf", [])}
            if unit != "None":
                assert MODEL[name].conversion == UNITS[WORDS[unit]], name
                seen += 1
            elif kinds & {"AttributeFloat", "AttributeInteger"}:
                assert MODEL[name].conversion.canonical in {"1", "{count}"}, name
    assert seen > 80
