"""Personal columns: nowhere in the main lake, its files, its catalogue or its rejects; whole in the personal lake."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import psycopg
import pytest

from ingestion.lake import originals
from ingestion.landing import preview
from tests.lakes import LIMITS, Lakes

pytest_plugins = ("tests.lakes",)

MARK = "Zébulon"
BODY = """\
    time_zone: Europe/Paris
    format: {type: csv, delimiter: ","}
    fields:
      - {name: id, classification: open}
      - {name: ouvert, type: datetime, classification: open}
      - {name: nom, classification: personal}
      - {name: lat, type: number, classification: personal}
      - {name: jour, type: datetime, classification: personal}
      - {name: texte, classification: personal}
      - {name: canal, classification: personal}
    mapping:
      report_ref: id
      opened_at: ouvert
      description: {sql: "concat(nom, ' : ', texte)"}
      latitude: lat
      closed_at: jour
      channel: {column: canal, values: {tel: phone}}
      commune: {constant: Châlons}
    """
FILE = (
    "id,ouvert,nom,lat,jour,texte,canal\n"
    f"R1,2024-01-01 08:00:00,{MARK},48.5,2024-01-02 08:00:00,lampe éteinte {MARK},tel\n"
    f"R2,2024-01-01 08:00:00,{MARK},{MARK},2024-01-02 08:00:00,nombre illisible,tel\n"  # not a number
    f"R3,2024-01-01 08:00:00,{MARK},48.5,{MARK},date illisible,tel\n"  # not an instant
    f"R4,2024-01-01 08:00:00,{MARK},48.5,,code inconnu,{MARK}\n"  # unknown code
    f"R5,2024-01-01 08:00:00,{MARK},948.5,,hors bornes,tel\n"  # out of range: 948.5 is no latitude
    f",2024-01-01 08:00:00,{MARK},48.5,,sans clef,tel\n"  # missing
    f"R7,2024-01-01 08:00:00,{MARK},trop,de,cellules,tel,{MARK},{MARK}\n"  # the format cannot split it
)
REFUSED = {"not_a_number": 1, "not_an_instant": 1, "unknown_code": 1, "out_of_range": 1, "missing": 1, "too_many_cells": 1}


def _found_in_files(folder: Path) -> list[str]:
    """The Parquet files below a folder that hold the marker, in whatever column."""
    marked = "SELECT 1 FROM read_parquet(?) AS t WHERE CAST(t AS VARCHAR) LIKE ? LIMIT 1"
    with duckdb.connect() as con:
        return [p.name for p in folder.rglob("*.parquet") if con.execute(marked, [str(p), f"%{MARK}%"]).fetchall()]


def _found_in_catalogue(dsn: str, schema: str, mark: str) -> list[str]:
    with psycopg.connect(dsn) as pg:
        names = pg.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", [schema]).fetchall()
        return [n for (n,) in names if pg.execute(f'SELECT 1 FROM {schema}."{n}" AS t WHERE t::text LIKE %s', [f"%{mark}%"]).fetchall()]


@pytest.mark.parametrize("copies", [1, 1200])  # in the catalogue (inlined rows), and in files
def test_personal_columns_stay_out_of_the_main_lake(lakes: Lakes, copies: int) -> None:
    feed = lakes.feed("signalements", "report", BODY)
    lines = FILE.splitlines(keepends=True)
    body = "".join(line.replace("R", f"R{i}-", 1) if line.startswith("R") else line for i in range(copies) for line in lines[1:])
    path = lakes.file("s.csv", lines[0] + body)
    landed = lakes.land(feed, path)
    assert landed.reasons == {reason: n * copies for reason, n in REFUSED.items()}
    assert (landed.received, landed.stored, landed.rejected) == (7 * copies, copies, 6 * copies)

    assert _found_in_files(Path(lakes.main.data_path)) == []
    # PostgreSQL shows inlined text as bytes of hexadecimal in places: look for both.
    for mark in (MARK, MARK.encode().hex()):
        assert _found_in_catalogue(lakes.main.dsn, lakes.main.metadata_schema, mark) == []
    assert lakes.query("SELECT DISTINCT description, latitude, closed_at, channel, commune FROM lake.raw.report") == [
        (None, None, None, None, "Châlons")
    ]
    kept = lakes.query("SELECT DISTINCT reason, detail, original FROM lake.raw.rejected ORDER BY reason")
    assert not [row for row in kept if MARK in str(row) or "948.5" in str(row)]
    assert [o for r, _, o in kept if r == "too_many_cells"] == [None]
    assert all(set(json.loads(o)) == {"id", "ouvert"} for r, _, o in kept if o is not None)

    stored = lakes.query_personal("SELECT position, payload FROM lake.raw.personal_record ORDER BY position LIMIT 1")
    assert stored[0][0] == 1
    assert json.loads(stored[0][1]) == {
        "description": f"{MARK} : lampe éteinte {MARK}",
        "latitude": "48.5",
        "closed_at": "2024-01-02 07:00:00+00",
        "channel": "phone",
    }
    assert lakes.query_personal("SELECT count(*), count(DISTINCT landing_id) FROM lake.raw.personal_record") == [(copies, 1)]
    if copies > 1000:  # the marker is where it belongs, so the search above can find it
        assert _found_in_files(Path(lakes.personal.data_path)) != []

    back = lakes.folder / "back.csv"
    originals.read(lakes.main.originals_path, lakes.query("SELECT original FROM lake.raw.landing")[0][0], back)
    assert back.read_bytes() == path.read_bytes()


def test_a_preview_shows_nothing_personal(lakes: Lakes) -> None:
    feed = lakes.feed("signalements", "report", BODY)
    shown = preview(feed, lakes.file("s.csv", FILE), extension_directory=lakes.main.extension_directory, limits=LIMITS)
    assert (shown.received, shown.accepted, shown.rejected, shown.reasons) == (7, 1, 6, REFUSED)
    assert MARK not in repr(shown)
    assert [r["position"] for r in shown.rejects] == [2, 3, 4, 5, 6, 7]
