"""received = stored + duplicate + rejected, whatever the file: a property, against a model of a few lines."""

from __future__ import annotations

import datetime as dt
import tempfile
import uuid
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ingestion.feeds.model import Feed
from ingestion.formats import Bounds, open_sources
from ingestion.lake.duplicates import Part
from ingestion.lake.session import connect
from ingestion.lake.writer import Landed, Provenance, Staged, commit
from ingestion.mapping import stage
from tests.lakes import LIMITS, Lakes

pytest_plugins = ("tests.lakes",)

NARROW = """\
    time_zone: UTC
    missingValues: ["", "NA"]
    format: {type: csv, delimiter: ",", header_row: 1}
    fields:
      - {name: ref, classification: open}
      - {name: at, type: datetime, classification: open}
      - {name: v, type: number, unit: W, classification: open}
      - {name: note, classification: personal}
    mapping: {asset_ref: ref, property: {constant: active_power}, observed_at: at, value: v}
    """
WIDE = """\
    time_zone: UTC
    missingValues: ["", "NA"]
    format: {type: csv, delimiter: ",", header_row: 1}
    fields:
      - {name: ref, classification: open}
      - {name: at, type: datetime, classification: open}
      - {name: v, type: number, unit: W, classification: open}
      - {name: w, type: number, unit: kW, classification: open}
    mapping: {asset_ref: ref, observed_at: at}
    measures:
      - {column: v, property: active_power, minimum: 0}
      - {column: w, property: peak_power, maximum: 5000}
    """
CELLS = {
    "ref": st.sampled_from(["A", "B", "", " "]),
    "at": st.sampled_from(["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", "1969-12-31T23:00:00Z", "hier", "9999-12-31", ""]),
    "v": st.sampled_from(["1", "2", "1.0", "-1", "", "NA", "x", "inf", "1e999"]),
    "w": st.sampled_from(["1", "6", "0.001", "", "x"]),
}
LINES = st.one_of(
    st.tuples(CELLS["ref"], CELLS["at"], CELLS["v"], CELLS["w"]),
    st.just(("A", "2024-01-01T00:00:00Z", "1", "1")),
    st.just(("A", "2024-01-01T00:00:00Z", "2", "1")),  # a revision of the one above
    st.just(("A", "2024-01-01T00:00:00Z")),  # cells missing
)
FILES = st.lists(st.lists(LINES, min_size=1, max_size=8), min_size=1, max_size=3)

_NUMBERS = {"1": 1.0, "2": 2.0, "1.0": 1.0, "-1": -1.0, "6": 6.0, "0.001": 0.001}
_INSTANTS = ("2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", "1969-12-31T23:00:00Z")


def _translated(line: tuple[str, ...], *, wide: bool) -> dict[tuple[str, str, str], float] | None:
    """The rows of one record by their key, or None when it is rejected."""
    if len(line) != 4 or not line[0].strip() or line[1] not in _INSTANTS:
        return None
    v, w = _NUMBERS.get(line[2]), _NUMBERS.get(line[3])
    found = {"active_power": v}
    if wide:
        found = {"active_power": v if v is not None and v >= 0 else None, "peak_power": w * 1000 if w is not None and w <= 5 else None}
    return {(line[0], line[1], p): x for p, x in found.items() if x is not None} or None


def _model(files: list[list[tuple[str, ...]]], *, wide: bool) -> tuple[list[tuple[int, int, int, int]], dict[tuple[str, str, str], float]]:
    """What each file must give, and what stands last of each key."""
    history: dict[tuple[str, str, str], list[float]] = {}
    accounts = []
    for lines in files:
        rows = [_translated(line, wide=wide) for line in lines]
        last_of = {key: i for i, row in enumerate(rows) if row is not None for key in row}
        same_later = {(key, value): i for i, row in enumerate(rows) if row is not None for key, value in row.items()}
        new: list[tuple[int, tuple[str, str, str], float]] = []
        for i, row in enumerate(rows):
            for key, value in (row or {}).items():
                known = history.get(key, [])
                repeated_further_on = same_later[key, value] != i
                goes_back = last_of[key] == i and bool(known) and known[-1] != value
                if not repeated_further_on and (value not in known or goes_back):
                    new.append((i, key, value))
        for _, key, value in new:
            history.setdefault(key, []).append(value)
        stored = len({i for i, _, _ in new})
        rejected = sum(row is None for row in rows)
        accounts.append((len(lines), stored, len(lines) - stored - rejected, rejected))
    return accounts, {key: values[-1] for key, values in history.items()}


def _land(con: duckdb.DuckDBPyConnection, lakes: Lakes, feed: Feed, path: Path) -> Landed:
    """The steps of a landing over one connection: opening an engine for each of some hundred files would take minutes."""
    stage.prepare(con, feed.canonical)
    received = 0
    with tempfile.TemporaryDirectory(dir=lakes.folder) as work:
        for source in open_sources(con, path, feed.format, bounds=Bounds(), workdir=Path(work)):
            received += stage.stage(con, feed, source, after=received)
        now = dt.datetime.now(dt.UTC)
        provenance = Provenance(feed.feed, feed.source_system, feed.canonical, str(uuid.uuid4()), path.name, now, now)
        return commit(con, lakes.main, None, [Staged(provenance, received, (Part(provenance.contract),))])[0]


def _check(con: duckdb.DuckDBPyConnection, lakes: Lakes, feed: Feed, files: list[list[tuple[str, ...]]], *, wide: bool) -> None:
    header = "ref,at,v,w\n" if wide else "ref,at,v,note\n"
    expected, latest = _model(files, wide=wide)
    for n, (lines, account) in enumerate(zip(files, expected, strict=True)):
        path = lakes.file(f"{feed.feed}-{n}.csv", header + "".join(",".join(line) + "\n" for line in lines))
        landed = _land(con, lakes, feed, path)
        assert (landed.received, landed.stored, landed.duplicate, landed.rejected) == account
        assert landed.balances
    stands: list[tuple[Any, ...]] = con.execute(
        "SELECT asset_ref, strftime(observed_at, '%Y-%m-%dT%H:%M:%SZ'), property, arg_max(value, (landing_seq, position)) "
        "FROM lake.raw.observation WHERE feed = ? GROUP BY ALL",
        [feed.feed],
    ).fetchall()
    assert {(a, t, p): v for a, t, p, v in stands} == latest
    ledger = con.execute(
        "SELECT sum(received), sum(stored), sum(duplicate), sum(rejected) FROM lake.raw.landing WHERE feed = ?", [feed.feed]
    ).fetchall()
    assert [tuple(map(int, row)) for row in ledger] == [tuple(map(sum, zip(*expected, strict=True)))]


def _property(lakes: Lakes, body: str, *, wide: bool, examples: int) -> None:
    numbers = iter(range(10_000))

    # Derandomised and not shrunk: the same files each time, and a failure is three files of eight lines at most.
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=(Phase.generate,))
    @given(FILES)
    def holds(files: list[list[tuple[str, ...]]]) -> None:
        # A feed of its own per example: the lake is the same, the history is not.
        feed = lakes.feed(f"{'wide' if wide else 'narrow'}-{next(numbers)}", "observation", body)
        _check(con, lakes, feed, files, wide=wide)

    with connect(lakes.main, limits=LIMITS) as con:
        holds()


def test_narrow_files_balance(lakes: Lakes) -> None:
    _property(lakes, NARROW, wide=False, examples=25)


def test_wide_files_balance(lakes: Lakes) -> None:
    _property(lakes, WIDE, wide=True, examples=25)
