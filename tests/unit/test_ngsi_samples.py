"""Every example of Smart Data Models becomes observations or a rejection, as docs/formats/ngsi.md says."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from ingestion.contracts.canonical import CONTRACTS
from ingestion.formats.wire import ObservationRow
from tests.ngsi_samples import decoded, samples, table, written


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """The examples; the test is skipped where they are absent."""
    path = shared_data.parent / "samples" / "ngsi-ld"
    if not path.is_dir():
        pytest.skip(f"the examples of Smart Data Models are not at {path}")
    return path


def test_the_table_says_what_becomes_of_every_example(folder: Path) -> None:
    assert table(folder).splitlines() == written().splitlines()


def test_every_example_is_stored_or_rejected(folder: Path) -> None:
    paths = list(samples(folder))
    assert len(paths) > 170
    for path in paths:
        records, batch = decoded(path)
        assert records == 1
        is_stored = bool(batch.observations or batch.assets)
        assert is_stored != any(row.scope == "record" for row in batch.rejects), path


def _said(path: Path) -> set[tuple[str, float | None, str | None, int]]:
    _, batch = decoded(path)

    def key(row: ObservationRow) -> tuple[str, float | None, str | None, int]:
        # The examples write identifiers as a bare code in one shape and as its URN in the other.
        text = row.value_text.rpartition(":")[2] if row.value_text is not None else None
        return row.property, row.value, text, row.observed_at

    return {key(row) for row in batch.observations}


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    """The two shapes of NGSIv2 and those of NGSI-LD, where the examples themselves hold the same names."""
    pairs = []
    for path in samples(folder):
        other = path.with_name(path.name.replace("example-normalized", "example"))
        if path.name.startswith("example-normalized") and set(json.loads(path.read_text())) == set(json.loads(other.read_text())):
            pairs.append((path, other))
    return pairs


def test_two_shapes_of_an_example_agree_where_it_says_the_same(folder: Path) -> None:
    """What differs does in the samples: other values, instants and units that one shape has no place for, `false` for 0."""
    pairs = _pairs(folder)
    same = [path for path, other in pairs if _said(path) == _said(other)]
    assert (len(same), len(pairs)) == (39, 65)
    for model in ("StreetlightModel", "StreetlightControlCabinet", "FleetVehicle", "WasteContainer"):
        assert [path.name for path in same if path.parent.name == model], model


@pytest.mark.parametrize("name", ["observation", "asset"])
def test_rows_of_the_examples_keep_the_contracts(folder: Path, name: str) -> None:
    contract = CONTRACTS[name]
    rows = [
        row for path in samples(folder) for row in (decoded(path)[1].observations if name == "observation" else decoded(path)[1].assets)
    ]
    frame = pl.DataFrame([row[1:] for row in rows], schema=list(contract.columns), orient="row", infer_schema_length=None)
    instants = [column for column, kind in contract.columns.items() if kind == "TIMESTAMPTZ"]
    frame = frame.with_columns(pl.col(instants).cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    days = [column for column, kind in contract.columns.items() if kind == "DATE"]
    frame = frame.with_columns(pl.col(days).cast(pl.String).str.to_date())
    good, failures = contract.schema.filter(frame, cast=True)
    assert failures.counts() == {}
    assert len(good) == len(rows) > 100
