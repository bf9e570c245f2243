"""The first line, as a person runs it: files in, `vigie build`, indicators out, questions asked with `vigie sql`.

Here: what the commands say and store. Not here: kills (`tests/faults`), a running instance (`tests/integration/test_build_running.py`).
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import zoneinfo
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.town import AS_OF, Called, Town

pytest_plugins = ("tests.town",)


@dataclass(frozen=True)
class Line:
    """A town whose first month went through, and what each command said."""

    town: Town
    before: Called
    ingested: dict[str, Called]
    built: Called


@pytest.fixture(scope="module")
def line(new_town: Callable[[str], Town]) -> Line:
    town = new_town("line")
    files = town.batch(0)
    first, *others = files
    ingested = {first: town.vigie("ingest", first, str(files[first]), "--json")}
    before = town.vigie("sql", "SELECT 1 FROM core.report", check=False)
    ingested |= {feed: town.vigie("ingest", feed, str(files[feed]), "--json") for feed in others}
    return Line(town, before, ingested, town.vigie("build", "--as-of", AS_OF, "--json"))


def test_before_anything_landed_a_build_says_what_to_do(new_town: Callable[[str], Town]) -> None:
    town = new_town("empty")
    done = town.vigie("build")
    assert "Nothing to build: nothing has landed yet" in done.out
    assert "ingest FEED PATH lands files" in done.out
    assert town.vigie("build", "--force", "--json").document["status"] == "UP_TO_DATE"


def test_a_build_of_no_instance_makes_none(tmp_path: Path, new_town: Callable[[str], Town]) -> None:
    import subprocess

    from tests.town import VIGIE

    done = subprocess.run([VIGIE, "build", "--home", str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no instance" in done.stderr
    assert not (tmp_path / "none").exists()


def test_ingest_accounts_for_every_record(line: Line) -> None:
    # Reports: 22 rows and a repeat; one is no date.
    reports = line.ingested["town-reports"].document
    assert {k: reports[k] for k in ("received", "stored", "duplicate", "rejected")} == {
        "received": 23,
        "stored": 21,
        "duplicate": 1,
        "rejected": 1,
    }
    for called in line.ingested.values():
        report = called.document
        assert report["received"] == report["stored"] + report["duplicate"] + report["rejected"]


def test_a_second_ingest_stores_nothing(line: Line) -> None:
    for feed, path in line.town.batch(0).items():
        again = line.town.vigie("ingest", feed, str(path), "--json").document
        assert (again["stored"], again["received"], again["already_landed"]) == (0, 0, 1)
    forced = line.town.vigie("ingest", "town-meters", str(line.town.batch(0)["town-meters"]), "--force", "--json").document
    assert (forced["received"], forced["stored"], forced["duplicate"]) == (96, 0, 96)


def test_the_build_reports_each_step(line: Line) -> None:
    report = line.built.document
    assert report["succeeded"]
    assert report["is_published"]
    assert report["landed"] == {"landings": 5, "received": 226, "stored": 224, "duplicate": 1, "rejected": 1}
    steps = {s["name"]: s for s in report["steps"]}
    assert steps["core/report"]["rows_out"] == 21
    assert steps["staging/stg_report"]["rows_in"] == 21
    assert steps["indicators/intervention_time_case"]["seconds"] > 0
    assert report["checks_passed"] > 50
    assert report["checks_failed"] == []
    # Progress is told beside the result.
    assert "built core/report" in line.built.err


def test_what_nobody_published_is_not_there(line: Line) -> None:
    assert line.before.code == 2
    assert "does not fit the tables" in line.before.err


def test_a_build_of_nothing_new_is_short(line: Line) -> None:
    # The first was as of a stated instant: the next one is as of now, whatever landed.
    assert line.town.vigie("build", "--json").document["status"] == "SUCCESS"
    again = line.town.vigie("build", "--json").document
    assert again["status"] == "UP_TO_DATE"
    assert again["steps"] == []
    assert again["published"]["tables"] > 20
    assert "build --force builds all the same" in line.town.vigie("build").out


def test_indicators_hold_what_the_files_say(line: Line) -> None:
    def ask(query: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = line.town.vigie("sql", query, "--format", "json").document
        return rows

    # Days 1, 3… 19: an underscore in a rule's pattern is an underscore.
    assert ask("SELECT count(*) AS n FROM core.report WHERE fault_type = 'lamp-out'") == [{"n": 10}]
    assert ask("SELECT count(*) AS n FROM core.report WHERE is_closed_before_opened") == [{"n": 1}]
    # Four readings of a day: day + 0, 0.6, 1.2 and 1.8 kWh.
    days = ask("SELECT local_date, energy_wh FROM core.energy_daily ORDER BY local_date")
    assert [d["local_date"] for d in days] == [f"2025-01-{n:02d}" for n in range(1, 25)]
    assert [round(float(str(d["energy_wh"]))) for d in days] == [4000 * n + 3600 for n in range(1, 25)]
    # Two days and an hour and a half, sixteen times of twenty; four stay open.
    cases = "SELECT p50_hours, p90_hours, cases_open, cases_closed_before_opened FROM indicators.intervention_time_by_category"
    assert ask(f"{cases} WHERE category = 'Lights'") == [
        {"p50_hours": 49.5, "p90_hours": 49.5, "cases_open": 4, "cases_closed_before_opened": 1}
    ]


def test_status_shows_the_account_of_each_feed(line: Line) -> None:
    done = line.town.vigie("status", "--json", check=False)
    document = done.document
    assert done.code == 1, "nothing runs: not healthy"
    assert set(document) == {"home", "profile", "services", "feeds", "problems", "streams", "healthy"}
    # PostgreSQL is not running either, so the lake cannot be read; while a command holds it, it can.
    from orchestration.services import postgres

    with postgres.running(line.town.settings):
        feeds = line.town.vigie("status", "--json", check=False).document["feeds"]
    assert set(feeds) == set(line.ingested)
    for feed in feeds.values():
        assert feed["received"] == feed["stored"] + feed["duplicate"] + feed["rejected"]
    assert feeds["town-reports"]["rejected"] == 1


def test_json_is_one_document_and_nothing_else(line: Line) -> None:
    states = str(line.town.batch(0)["town-states"])
    for words in (
        ("maintain", "--json"),
        ("doctor", "--json"),
        ("status", "--json"),
        ("feeds", "list", "--json"),
        ("feeds", "check", "town-states", states, "--json"),
        ("ingest", "town-states", states, "--json"),
        ("sql", "SELECT 1 AS one", "--format", "json"),
    ):
        done = line.town.vigie(*words, check=False)
        assert done.document is not None, words  # raises where a word stands beside the document
    # The published tables survive maintenance.
    assert line.town.vigie("sql", "SELECT count(*) AS n FROM core.report", "--format", "json").document[0]["n"] > 0


def test_sql_prints_tables_csv_and_json(line: Line) -> None:
    query = "SELECT asset_ref, asset_type FROM core.asset WHERE asset_ref IN ('C1', 'L0') ORDER BY 1"
    assert line.town.vigie("sql", query, "--format", "json").document == [
        {"asset_ref": "C1", "asset_type": "cabinet"},
        {"asset_ref": "L0", "asset_type": "light-point"},
    ]
    rows = list(csv.reader(io.StringIO(line.town.vigie("sql", query, "--format", "csv").out)))
    assert rows == [["asset_ref", "asset_type"], ["C1", "cabinet"], ["L0", "light-point"]]
    assert "light-point" in line.town.vigie("sql", query).out
    listed = line.town.vigie("sql", "--tables", "--format", "json").document
    assert {"core", "indicators"} == {t["table"].split(".")[0] for t in listed}
    (report,) = [t for t in listed if t["table"] == "core.report"]
    assert report["columns"] > 20
    assert "une ligne par signalement" in report["description"]
    columns = line.town.vigie("sql", "--tables", "core.report", "--format", "json").document
    assert len(columns) == report["columns"]
    assert {"column": "closed_at", "type": "TIMESTAMP WITH TIME ZONE", "description": "Clôture (UTC)."} in columns
    assert "did you mean 'core.report'?" in line.town.vigie("sql", "--tables", "core.repot", check=False).err


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("DROP TABLE core.report", "only one SELECT"),
        ("SELECT 1; SELECT 2", "only one SELECT"),
        ("SELECT * FROM raw.report", "not a published table"),
        ("SELECT * FROM work_core.report", "not a published table"),
        ("SELECT * FROM read_text('/etc/hostname')", "not allowed"),
        ("SELECT * FROM '/etc/hostname'", "not a table"),
        ("COPY (SELECT 1) TO '/tmp/out.csv'", "only one SELECT"),
        ("ATTACH '/tmp/other.db'", "only one SELECT"),
        ("SELECT * FROM postgres_query('lake', 'SELECT 1')", "not allowed"),
        ("SELECT * FROM __ducklake_metadata_lake.ducklake_table", "not a published table"),
        ("SELECT * FROM core.report AT (VERSION => 1)", "without AT"),
        ("SELECT getenv('HOME')", "not allowed"),
        ("SELEKT 1", "cannot be read"),
        ("SELECT nothing FROM core.report", "does not fit the tables"),
    ],
)
def test_sql_refuses_what_is_no_question(line: Line, query: str, why: str) -> None:
    done = line.town.vigie("sql", query, check=False)
    assert done.code == 2
    assert why in done.err, done.err
    assert done.out == ""


def test_sql_is_cut_after_its_time(line: Line) -> None:
    endless = "SELECT count(*) FROM generate_series(1, 100000) AS a(x), generate_series(1, 100000) AS b(y), generate_series(1, 100) AS c(z)"
    done = line.town.vigie("sql", endless, "--timeout", "0.5", check=False)
    assert done.code == 1
    assert "cut after 0.5 s" in done.err


def test_delays_of_san_francisco_equal_an_independent_computation(new_town: Callable[[str], Town], shared_data: Path) -> None:
    path = shared_data / "signalements" / "sf311_cases_sample.csv"
    town = new_town("sf")
    town.vigie("ingest", "sf-311", str(path))
    town.vigie("build")

    zone = zoneinfo.ZoneInfo("America/Los_Angeles")
    delays: dict[str, list[float]] = defaultdict(list)
    closed_before_opened: dict[str, int] = defaultdict(int)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["Closed"] in ("", "NA"):
                continue
            opened, closed = (_instant(row[name], zone) for name in ("Opened", "Closed"))
            hours = (closed - opened).total_seconds() / 3600
            if hours < 0:
                closed_before_opened[row["Category"]] += 1
            else:
                delays[row["Category"]].append(hours)
    assert sum(closed_before_opened.values()) == 55

    query = "SELECT * FROM indicators.intervention_time_by_category WHERE feed = 'sf-311'"
    found = {row["category"]: row for row in town.vigie("sql", query, "--format", "json").document}
    assert set(delays) <= set(found)
    for category, row in found.items():
        assert row["cases_closed_before_opened"] == closed_before_opened[category], category
        values = sorted(delays[category])
        for share, column in ((0.5, "p50_hours"), (0.9, "p90_hours")):
            if not values:
                assert row[column] is None, category
            else:
                assert row[column] == pytest.approx(_percentile(values, share), abs=1e-6), (category, column)


def _instant(text: str, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    """Local time to UTC; arithmetic between two instants of one zone would ignore its summers."""
    return dt.datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=zone).astimezone(dt.UTC)


def _percentile(values: list[float], share: float) -> float:
    """Linear interpolation between the two nearest ranks."""
    at = share * (len(values) - 1)
    low = math.floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)
