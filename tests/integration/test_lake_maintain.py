"""Maintenance: small after many landings, pinned snapshots whole, retention by days, patient with a concurrent writer."""

from __future__ import annotations

import datetime as dt
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from ingestion.lake.maintain import forget_originals, forget_unlanded, maintain, pinned_snapshots
from ingestion.lake.session import MUTATE_LOCK, advisory_lock, connect
from tests.lakes import LIMITS, Lakes, checksums

pytest_plugins = ("tests.lakes",)

BODY = """\
    time_zone: UTC
    fields:
      - {name: id, classification: open}
      - {name: at, type: datetime, classification: open}
      - {name: who, classification: personal}
    mapping: {report_ref: id, opened_at: at, description: who}
    """
NOTHING = dt.timedelta(0)


def _landings(lakes: Lakes, count: int, *, rows: int = 1, name: str = "f", received: dt.datetime | None = None) -> None:
    feed = lakes.feed(name, "report", BODY)
    for i in range(count):
        tag = received.strftime("%j") if received else "x"
        body = "".join(f"{name}-{tag}-{i}-{j},2024-01-01 08:00:00,moi\n" for j in range(rows))
        options = {"now": lambda: received} if received else {}
        lakes.land(feed, lakes.file(f"{name}-{tag}-{i}.csv", "id,at,who\n" + body), **options)


def _files(lakes: Lakes) -> int:
    return len([p for p in Path(lakes.main.data_path).rglob("*.parquet") if "raw" in p.parts])


def test_many_small_landings_end_in_few_files_and_snapshots(lakes: Lakes) -> None:
    _landings(lakes, 8, rows=1200)  # over the inlining limit: a file each
    _landings(lakes, 4, rows=3, name="small")  # in the catalogue
    before = checksums(lakes)
    assert _files(lakes) >= 8
    report = maintain(lakes.main, keep_snapshots=NOTHING, orphan_margin=NOTHING, limits=LIMITS)
    assert {s.name for s in report.steps} == {"retention", "messages", "flush", "rewrite", "merge", "expire", "clean", "orphans"}
    assert checksums(lakes) == before
    assert report.snapshots_after <= 3 < report.snapshots_before
    # One file of reports and one of the ledger for the day (two days when midnight passes meanwhile).
    assert report.files_after <= 4
    # Files that were replaced are removed by the next pass: a query that began before may still read them.
    again = maintain(lakes.main, keep_snapshots=NOTHING, orphan_margin=NOTHING, limits=LIMITS)
    assert again.files_after == report.files_after == _files(lakes)
    assert checksums(lakes) == before


def test_a_pinned_snapshot_survives(lakes: Lakes) -> None:
    with connect(lakes.main, limits=LIMITS) as con:
        con.execute("CREATE SCHEMA lake.work_core")
        con.execute("CREATE TABLE lake.work_core.t AS SELECT i, 'first' AS build FROM range(3000) AS r(i)")
        pinned = con.execute("SELECT max(snapshot_id) FROM lake.snapshots()").fetchall()[0][0]
        con.execute("USE lake")
        con.execute(f"CREATE VIEW core.t AS SELECT * FROM work_core.t AT (VERSION => {pinned})")
        for build in range(4):
            con.execute(f"CREATE OR REPLACE TABLE work_core.t AS SELECT i, 'build {build}' AS build FROM range(3000) AS r(i)")
        assert pinned_snapshots(con) == [pinned]
    for _ in range(2):
        report = maintain(lakes.main, keep_snapshots=NOTHING, orphan_margin=NOTHING, limits=LIMITS)
        assert report.pinned_snapshots == [pinned]
        assert lakes.query("SELECT count(*), min(build), max(build) FROM lake.core.t") == [(3000, "first", "first")]
        assert lakes.query("SELECT DISTINCT build FROM lake.work_core.t") == [("build 3",)]
    # Unpinned snapshots are gone.
    with pytest.raises(duckdb.Error):
        lakes.query(f"SELECT count(*) FROM lake.work_core.t AT (VERSION => {pinned + 2})")


def test_retention_deletes_whole_days_of_its_feed_only(lakes: Lakes) -> None:
    today = dt.datetime.now(dt.UTC).replace(hour=12, minute=0)
    for days in (0, 2, 3, 10):
        _landings(lakes, 1, rows=5, name="short", received=today - dt.timedelta(days=days))
    _landings(lakes, 1, rows=5, name="long", received=today - dt.timedelta(days=10))
    report = maintain(lakes.main, retention={"short": dt.timedelta(days=2)}, now=lambda: today, limits=LIMITS)
    assert next(s.done for s in report.steps if s.name == "retention") == {"short.report": 10}
    kept = lakes.query("SELECT feed, received_on, count(*) FROM lake.raw.report GROUP BY ALL ORDER BY ALL")
    assert kept == [
        ("long", today.date() - dt.timedelta(days=10), 5),
        ("short", today.date() - dt.timedelta(days=2), 5),
        ("short", today.date(), 5),
    ]
    assert lakes.query("SELECT count(*) FROM lake.raw.landing") == [(5,)]  # the ledger keeps its account


def test_a_table_written_meanwhile_ends_right(lakes: Lakes) -> None:
    _landings(lakes, 3, rows=1200)
    deletes = 12

    def mutate() -> None:
        with connect(lakes.main, limits=LIMITS) as con:
            for n in range(deletes):
                for _ in range(200):  # as a build does: a conflict is tried again
                    try:
                        con.execute(f"DELETE FROM lake.raw.report WHERE report_ref = 'f-x-0-{n}'")
                        break
                    except duckdb.TransactionException:
                        continue

    with ThreadPoolExecutor(1) as pool:
        mutating = pool.submit(mutate)
        for _ in range(3):
            assert maintain(lakes.main, keep_snapshots=NOTHING, limits=LIMITS).steps[-1].name == "orphans"
        mutating.result()
    maintain(lakes.main, keep_snapshots=NOTHING, limits=LIMITS)
    left = 3600 - deletes
    assert lakes.query("SELECT count(*), count(DISTINCT report_ref) FROM lake.raw.report") == [(left, left)]


def test_a_conflict_is_retried_and_a_lasting_one_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from ingestion.lake import maintain as module

    monkeypatch.setattr(module, "_FIRST_WAIT_S", 0.001)
    calls: list[int] = []

    def action() -> dict[str, int]:
        calls.append(1)
        if len(calls) < 3:
            raise duckdb.TransactionException("conflict")
        return {"rows": 1}

    assert module._retried(action) == ({"rows": 1}, 3)

    def never() -> dict[str, int]:
        raise duckdb.TransactionException("conflict")

    with pytest.raises(duckdb.TransactionException):
        module._retried(never)


def test_mutations_wait_for_each_other(lakes: Lakes) -> None:
    with ThreadPoolExecutor(1) as pool:
        with advisory_lock(lakes.main, MUTATE_LOCK):
            waiting = pool.submit(maintain, lakes.main, limits=LIMITS)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1.5)
        assert waiting.result().steps[-1].name == "orphans"


def test_personal_rows_and_originals_without_a_ledger_line_are_forgotten(lakes: Lakes) -> None:
    _landings(lakes, 1, rows=3)
    with connect(lakes.personal, limits=LIMITS) as con:
        con.execute(
            "INSERT INTO lake.raw.personal_record VALUES ('f', 'never-landed', 1, '{}', now() - INTERVAL 1 DAY, current_date - 1), "
            "('f', 'landing-now', 1, '{}', now(), current_date)"
        )
    kept = lakes.query("SELECT original FROM lake.raw.landing")[0][0]
    orphan = lakes.main.originals_path / "f" / "ab" / "abcd.zst"
    partial = lakes.main.originals_path / "f" / "ab" / "abcd.12.34.partial"
    young = lakes.main.originals_path / "f" / "ab" / "young.zst"
    orphan.parent.mkdir(parents=True, exist_ok=True)
    for path in (orphan, partial, young):
        path.write_bytes(b"x")
    for path in (orphan, partial, lakes.main.originals_path / kept):
        os.utime(path, (0, 0))
    assert forget_unlanded(lakes.personal, lakes.main) == 1
    ids = lakes.query_personal("SELECT landing_id, count(*) FROM lake.raw.personal_record GROUP BY ALL ORDER BY 2")
    assert [n for _, n in ids] == [1, 3]
    assert "never-landed" not in {i for i, _ in ids}
    assert forget_originals(lakes.main) == ["f/ab/abcd.12.34.partial", "f/ab/abcd.zst"]
    assert (lakes.main.originals_path / kept).exists()
    assert young.exists()
    assert forget_originals(lakes.main, retention={"f": dt.timedelta(days=-2)}) == [kept]
