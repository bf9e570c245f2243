"""What a landing does to a lake: the ledger's account, idempotence, revisions, units. Hand-computed."""

from __future__ import annotations

import gzip
import multiprocessing as mp
from pathlib import Path

import pytest

from ingestion.errors import BadFile
from ingestion.feeds.model import Feed
from ingestion.formats import Bounds
from ingestion.lake.address import LakeAddress
from ingestion.lake.ledger import feed_totals, last_landing_seq
from ingestion.landing import land_file
from tests.lakes import LIMITS, Lakes, checksums

pytest_plugins = ("tests.lakes",)

OBSERVATIONS = """\
    time_zone: Europe/Paris
    decimalChar: ","
    missingValues: ["", "NA"]
    format: {type: csv, delimiter: ";"}
    fields:
      - {name: ref, classification: open}
      - {name: quand, type: datetime, classification: open}
      - {name: niveau, type: number, unit: mm, classification: open}
      - {name: debit, type: number, unit: L/s, classification: open}
      - {name: temp, type: number, unit: "[degF]", classification: open}
      - {name: etat, classification: open}
    mapping: {asset_ref: ref, observed_at: quand}
    measures:
      - {column: niveau, property: water_level, minimum: -5, maximum: 20}
      - {column: debit, property: flow}
      - {column: temp, property: water_temperature, unit: K}
      - {column: etat, property: state, text: true}
    """

REPORTS = """\
    time_zone: Europe/Paris
    fields:
      - {name: id, classification: open}
      - {name: ouvert, type: datetime, classification: open}
      - {name: etat, classification: open}
      - {name: modifie, type: datetime, classification: open}
      - {name: texte, classification: personal}
    mapping: {report_ref: id, opened_at: ouvert, status: etat, description: texte%s}
    """


def report_feed(lakes: Lakes, *, revised: bool = False) -> Feed:
    return lakes.feed("signalements", "report", REPORTS % (", revised_at: modifie" if revised else ""))


def latest_status(lakes: Lakes, ref: str) -> str:
    """The status that staging reads: the latest revision, and where none is stated the last one landed."""
    return str(
        lakes.query(
            "SELECT status FROM lake.raw.report WHERE report_ref = ? "
            "ORDER BY revised_at DESC NULLS LAST, landing_seq DESC, position DESC LIMIT 1",
            [ref],
        )[0][0]
    )


def test_units_are_converted_and_the_ledger_counts_records(lakes: Lakes) -> None:
    feed = lakes.feed("jauges", "observation", OBSERVATIONS)
    path = lakes.file(
        "jauges.csv",
        "\ufeffref;quand;niveau;debit;temp;etat\n"
        "G1;2024-07-01 12:00:00;1 500;2500;273,15;ouvert\n"  # 1 500 is no number (no groupChar): one value rejected, three kept
        "G1;2024-07-01 12:15:00;-120;NA;;\n"  # one value: -120 mm = -0.12 m
        "G2;2024-07-01 12:00:00;20001;1,5;300;fermé\n"  # 20.001 m is above 20: set aside
        "G2;2024-07-01 12:30:00;NA;;;NA\n"  # nothing: the record is rejected
        "G3;2024-07-01 12:30:00;x;;y;\n"  # nothing readable: two values and the record are rejected
        ";2024-07-01 12:00:00;1;1;1;a\n"  # no key
        "G4;2024-03-31 02:30:00;1;1;1;a\n"  # an hour that did not exist
        "G1;2024-07-01 12:15:00;-120;;;\n",  # repeats line 2
    )
    landed = lakes.land(feed, path)
    assert (landed.received, landed.stored, landed.duplicate, landed.rejected) == (8, 3, 1, 4)
    assert landed.balances
    assert landed.reasons == {"not_a_number": 3, "no_value": 2, "missing": 1, "not_an_instant": 1, "out_of_range": 1}
    assert (landed.rejected_values, landed.canonical_rows) == (4, 7)
    rows = lakes.query(
        "SELECT asset_ref, strftime(observed_at, '%H:%M'), property, value, value_text, unit FROM lake.raw.observation ORDER BY ALL"
    )
    assert rows == [
        ("G1", "10:00", "flow", 2.5, None, "m3/s"),
        ("G1", "10:00", "state", None, "ouvert", None),
        ("G1", "10:00", "water_temperature", 0.0, None, "Cel"),
        ("G1", "10:15", "water_level", -0.12, None, "m"),
        ("G2", "10:00", "flow", pytest.approx(0.0015), None, "m3/s"),
        ("G2", "10:00", "state", None, "fermé", None),
        ("G2", "10:00", "water_temperature", pytest.approx(26.85), None, "Cel"),
    ]
    totals = feed_totals(lakes.main)["jauges"]
    assert (totals.received, totals.stored, totals.duplicate, totals.rejected, totals.rejected_values) == (8, 3, 1, 4, 4)
    assert totals.balances
    assert lakes.query("SELECT count(*), count(*) FILTER (scope = 'value') FROM lake.raw.rejected") == [(8, 4)]
    detail = lakes.query("SELECT detail FROM lake.raw.rejected WHERE reason = 'out_of_range'")[0][0]
    assert detail == "niveau 20001 mm = 20.001 m, above the maximum of 20 m"


def test_energy_is_kept_in_watt_hours_with_the_contracts_default_direction(lakes: Lakes) -> None:
    feed = lakes.feed(
        "compteurs",
        "energy_reading",
        """\
        time_zone: Europe/Paris
        fields:
          - {name: pdl, classification: internal}
          - {name: fin, type: datetime, format: "%d/%m/%Y %H:%M", classification: internal}
          - {name: kwh, type: number, unit: kW.h, groupChar: " ", decimalChar: ",", classification: internal}
        mapping:
          meter_ref: pdl
          start_at: {column: fin, offset: -PT30M}
          end_at: fin
          energy_wh: kwh
        """,
    )
    path = lakes.file(
        "c.csv",
        'pdl,fin,kwh\n09000,01/01/2024 00:30,"1 234,5"\n09000,01/01/2024 01:00,"-1"\n09000,27/10/2024 03:00,"0"\n',
    )
    landed = lakes.land(feed, path)
    assert (landed.stored, landed.rejected, landed.reasons) == (2, 1, {"out_of_range": 1})
    rows = lakes.query(
        "SELECT meter_ref, start_at::VARCHAR, end_at::VARCHAR, energy_wh, direction FROM lake.raw.energy_reading ORDER BY end_at"
    )
    assert rows == [
        ("09000", "2023-12-31 23:00:00+00", "2023-12-31 23:30:00+00", 1_234_500.0, "consumption"),
        # The last hour of summer time's night is read in standard time: 3:00 is 2:00 UTC.
        ("09000", "2024-10-27 01:30:00+00", "2024-10-27 02:00:00+00", 0.0, "consumption"),
    ]


def test_a_file_is_landed_once_unless_forced(lakes: Lakes) -> None:
    feed = report_feed(lakes)
    path = lakes.file("a.csv", "id,ouvert,etat,modifie,texte\nR1,2024-01-01 08:00:00,open,,x\nR2,2024-01-01 09:00:00,open,,y\n")
    first = lakes.land(feed, path)
    before = checksums(lakes)
    again = lakes.land(feed, path)
    assert again.already_landed
    assert again.landing_seq == first.landing_seq
    assert checksums(lakes) == before
    renamed = lakes.land(feed, lakes.file("b.csv", path.read_bytes()))
    assert renamed.already_landed
    forced = lakes.land(feed, path, force=True)
    assert (forced.received, forced.stored, forced.duplicate, forced.rejected) == (2, 0, 2, 0)
    assert checksums(lakes)["report"] == before["report"]
    assert lakes.query("SELECT landing_seq, is_forced FROM lake.raw.landing ORDER BY 1") == [(1, False), (2, True)]
    packed = lakes.land(feed, lakes.file("a.csv.gz", gzip.compress(path.read_bytes())))
    assert (packed.stored, packed.duplicate) == (0, 2)


def test_the_same_file_of_two_feeds_is_landed_for_each(lakes: Lakes) -> None:
    path = lakes.file("a.csv", "id,ouvert,etat,modifie,texte\nR1,2024-01-01 08:00:00,open,,x\n")
    for name in ("un", "deux"):
        assert lakes.land(lakes.feed(name, "report", REPORTS % ""), path).stored == 1
    assert last_landing_seq(lakes.main) == 2


def test_rows_known_from_another_file_are_duplicates_also_before_1970(lakes: Lakes) -> None:
    feed = report_feed(lakes)
    head = "id,ouvert,etat,modifie,texte\n"
    old = "R0,1969-12-31 12:00:00,closed,,x\n"
    lakes.land(feed, lakes.file("a.csv", head + old + "R1,2024-01-01 08:00:00,open,,x\nR2,2024-01-02 08:00:00,open,,y\n"))
    landed = lakes.land(feed, lakes.file("b.csv", head + "R2,2024-01-02 08:00:00,open,,y\nR3,2024-01-03 08:00:00,open,,y\n" + old))
    assert (landed.stored, landed.duplicate) == (1, 2)
    assert lakes.query("SELECT count(*), count(DISTINCT report_ref) FROM lake.raw.report") == [(4, 4)]


def test_a_source_that_goes_back_to_an_earlier_content_is_followed(lakes: Lakes) -> None:
    feed = report_feed(lakes)
    head = "id,ouvert,etat,modifie,texte\n"
    for i, status in enumerate(("open", "closed", "open", "open", "closed")):
        landed = lakes.land(feed, lakes.file(f"{i}.csv", f"{head}R1,2024-01-01 08:00:00,{status},,{i}\n"))
        assert latest_status(lakes, "R1") == status
        assert landed.duplicate == (1 if i == 3 else 0)
    # Within one file too: the last word counts, whatever came before.
    lakes.land(
        feed,
        lakes.file("w.csv", head + "".join(f"R2,2024-01-01 08:00:00,{s},,\n" for s in ("open", "closed", "open"))),
    )
    assert latest_status(lakes, "R2") == "open"
    # A file that tells a whole history again ends where the lake stands: nothing new.
    history = lakes.file("h.csv", head + "".join(f"R1,2024-01-01 08:00:00,{s},,\n" for s in ("open", "closed")))
    assert lakes.land(feed, history).stored == 0
    assert latest_status(lakes, "R1") == "closed"


def test_stated_revisions_give_the_same_latest_content_in_any_order(lakes: Lakes) -> None:
    head = "id,ouvert,etat,modifie,texte\n"
    row = "R1,2024-01-01 08:00:00,{},2024-01-0{} 10:00:00,x\n"
    files = [lakes.file(f"{i}.csv", head + row.format(s, i)) for i, s in ((1, "open"), (2, "acknowledged"), (3, "closed"))]
    feed = report_feed(lakes, revised=True)
    for path in (files[2], files[0], files[1]):
        assert lakes.land(feed, path).stored == 1
        assert latest_status(lakes, "R1") == "closed"
    assert lakes.land(feed, lakes.file("old.csv", files[0].read_text() + row.format("acknowledged", 2))).duplicate == 2
    assert latest_status(lakes, "R1") == "closed"


def test_a_bad_file_leaves_no_trace(lakes: Lakes) -> None:
    feed = report_feed(lakes)
    head = b"id,ouvert,etat,modifie,texte\n"
    bad: list[tuple[str, bytes, Bounds]] = [
        ("cut.csv.gz", gzip.compress(head + b"R1,2024-01-01 08:00:00,open,,x\n" * 5000)[:-40], Bounds()),
        ("bomb.csv.gz", gzip.compress(head + b"0" * (64 << 20)), Bounds()),
        ("page.csv", b"<!DOCTYPE html>\n<html><body><h1>503 Service Unavailable</h1></body></html>\n", Bounds()),
        ("empty.csv", b"", Bounds()),
        ("noise.csv", bytes(range(256)) * 200, Bounds()),
        ("large.csv", head + b"R1,2024-01-01 08:00:00,open,,x\n" * 100, Bounds(max_bytes=1000)),
    ]
    for name, content, bounds in bad:
        with pytest.raises(BadFile, match=name.split(".")[0]):
            lakes.land(feed, lakes.file(name, content), bounds=bounds)
    assert all(rows == 0 for rows, _ in checksums(lakes).values())
    assert not [p for p in lakes.main.originals_path.rglob("*") if p.is_file()]
    assert lakes.query_personal("SELECT count(*) FROM lake.raw.personal_record") == [(0,)]


def _land(feed: Feed, path: Path, main: LakeAddress, personal: LakeAddress, start: object) -> tuple[int | None, bool]:
    start.wait()  # type: ignore[attr-defined]
    landed = land_file(feed, path, lake=main, personal=personal, limits=LIMITS)
    return landed.landing_seq, landed.already_landed


def test_four_processes_landing_one_file_store_it_once(lakes: Lakes) -> None:
    feed = report_feed(lakes)
    body = "".join(f"R{i},2024-01-01 08:00:00,open,,x{i}\n" for i in range(5000))
    path = lakes.file("a.csv", "id,ouvert,etat,modifie,texte\n" + body)
    context = mp.get_context("spawn")
    with context.Manager() as manager, context.Pool(4) as pool:
        start = manager.Barrier(4)
        results = pool.starmap(_land, [(feed, path, lakes.main, lakes.personal, start)] * 4)
    assert sorted(already for _, already in results) == [False, True, True, True]
    assert {seq for seq, _ in results} == {1}
    assert lakes.query("SELECT count(*), count(DISTINCT report_ref) FROM lake.raw.report") == [(5000, 5000)]
    assert lakes.query_personal("SELECT count(*) FROM lake.raw.personal_record") == [(5000,)]


def _land_many(feeds: list[Feed], paths: list[Path], main: LakeAddress, personal: LakeAddress, start: object) -> list[int | None]:
    start.wait()  # type: ignore[attr-defined]
    return [land_file(f, p, lake=main, personal=personal, limits=LIMITS).landing_seq for f, p in zip(feeds, paths, strict=True)]


def test_feeds_land_at_once_and_numbers_grow_in_commit_order(lakes: Lakes) -> None:
    feeds = [lakes.feed(f"flux-{i}", "report", REPORTS % "") for i in range(4)]
    jobs = []
    context = mp.get_context("spawn")
    with context.Manager() as manager, context.Pool(4) as pool:
        start = manager.Barrier(4)
        for f, feed in enumerate(feeds):
            rows = ["".join(f"R{n}-{i},2024-01-01 08:00:00,open,,\n" for i in range(50)) for n in range(5)]
            paths = [lakes.file(f"{f}-{n}.csv", "id,ouvert,etat,modifie,texte\n" + body) for n, body in enumerate(rows)]
            jobs.append(([feed] * 5, paths, lakes.main, lakes.personal, start))
        numbers = pool.starmap(_land_many, jobs)
    assert sorted(n for many in numbers for n in many if n is not None) == list(range(1, 21))
    assert all(many == sorted(many, key=lambda n: n or 0) for many in numbers)
    assert lakes.query("SELECT count(*) FROM lake.raw.report") == [(1000,)]
    # Commit order is the order of snapshots.
    last = lakes.query("SELECT max(snapshot_id) FROM lake.snapshots()")[0][0]
    changes = lakes.query(f"SELECT landing_seq FROM ducklake_table_insertions('lake', 'raw', 'landing', 0, {last}) ORDER BY snapshot_id")
    assert [n for (n,) in changes] == list(range(1, 21))
