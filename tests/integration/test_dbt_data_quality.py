"""The ledger as published tables on a real lake: days touched, messages landed again, examples taken back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from ingestion import reference
from ingestion.lake.maintain import maintain
from orchestration.services import postgres
from orchestration.settings import create_local
from tests.integration.dbt_lake import Lake
from tests.lakes import LIMITS, Lakes

pytest_plugins = ("tests.lakes",)

FEED: Final = {"territory": "ville", "time_zone": "Europe/Paris", "owner_authority": "Agglo", "has_personal_columns": False}
MODELS: Final = ("landing_daily", "rejected_daily", "lateness_daily")
REJECTS: Final = "SELECT feed, local_date::VARCHAR, scope, reason, rejects, example_detail FROM lake.work_core.rejected_daily ORDER BY ALL"


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Two feeds of one territory, in Paris's time."""
    settings = create_local(tmp_path_factory.mktemp("quality") / "home")
    with postgres.running(settings):
        lake = Lake.create(settings)
        territory = {"territory": "ville", "name": "Ville", "time_zone": "Europe/Paris", "latitude": 47.3, "longitude": 5.0}
        feeds = [{"feed": name, "title": name, "contract": "observation", "source": "gis", **FEED} for name in ("iot", "bacs")]
        lake.refer(territory=[territory], feed=feeds)
        yield lake


def observed(lake: Lake, feed: str, day: int, records: int = 2) -> int:
    """Land records of a day of January, told ten minutes before they come at 23:30 UTC: the next day in Paris."""
    rows: list[dict[str, Any]] = [
        {"asset_ref": f"L{n}", "property": "lamp", "observed_at": f"2025-01-{day:02}T23:20:00Z", "value_text": "on"} for n in range(records)
    ]
    return lake.land("observation", feed, rows, received_at=f"2025-01-{day:02}T23:30:00Z")


def refused(lake: Lake, feed: str, day: int, details: dict[str, str], *, received: int | None = None, rejected: int | None = None) -> int:
    """Land a line of the ledger with a reject for each reason; the counts say more where a message is landed again."""
    lake.landing_seq += 1
    count = len(details)
    line = (lake.landing_seq, feed, "in", f"2025-01-{day:02}T12:00:00Z", f"2025-01-{day:02}")
    counts = (count if received is None else received, count if rejected is None else rejected)
    with lake.connect() as con:
        con.execute("BEGIN")
        con.execute(
            "INSERT INTO lake.raw.landing (landing_seq, feed, stream, received_at, received_on, received, stored, duplicate, rejected, "
            "rejected_values, canonical_rows) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, 0, 0)",
            [*line, counts[0], counts[0] - counts[1], counts[1]],
        )
        for position, (reason, detail) in enumerate(details.items(), 1):
            con.execute(
                "INSERT INTO lake.raw.rejected (landing_seq, feed, received_at, received_on, position, scope, reason, detail) "
                "VALUES (?, ?, ?, ?, ?, 'record', ?, ?)",
                [line[0], feed, *line[3:], position, reason, detail],
            )
        con.execute("COMMIT")
    return lake.landing_seq


def build(lake: Lake, command: str = "run", *arguments: str) -> str:
    """Build the models of the ledger; what dbt said."""
    return lake.dbt(command, *arguments, "--select", "+indicators__data_quality_daily", "+core__rejected_daily").stdout


def content(lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of what was built."""
    tables = [f"work_core.{model}" for model in (*MODELS, "feed")] + ["work_indicators.data_quality_daily"]
    return {table: lake.query(f"SELECT * FROM lake.{table} ORDER BY ALL") for table in tables}


def touched(output: str) -> list[str]:
    """What dbt said of each model's touched days."""
    said = [line.split("core__")[1].strip() for line in output.splitlines() if "touched days" in line or "every day" in line]
    return sorted(line for line in said if line.split(":")[0] in MODELS)


@pytest.mark.timeout(600)  # nine builds of a few models, each some seconds on a busy machine
def test_new_days_late_days_and_messages_landed_again(lake: Lake) -> None:
    for day in range(1, 6):
        observed(lake, "iot", day)
        observed(lake, "bacs", day, records=3)
    first = refused(lake, "iot", 2, {"no_instant": 'at: "hier"', "no_value": "power"})
    refused(lake, "bacs", 3, {"no_instant": 'at: "demain"'})
    build(lake, "build")
    rejects = [
        ("bacs", "2025-01-03", "record", "no_instant", 1, 'at: "demain"'),
        ("iot", "2025-01-02", "record", "no_instant", 1, 'at: "hier"'),
        ("iot", "2025-01-02", "record", "no_value", 1, "power"),
    ]
    assert lake.query(REJECTS) == rejects
    # 23:30 UTC is half past midnight of the 3rd: with what was refused at noon of the 3rd, 3 + 1 received, 3 stored.
    assert lake.query(
        "SELECT received, stored, rejected, rejected_share, lateness_p50_minutes, is_balanced FROM lake.work_indicators.data_quality_daily "
        "WHERE feed = 'bacs' AND local_date = '2025-01-03'"
    ) == [(4, 3, 1, 0.25, 10, True)]

    built = content(lake)
    assert touched(build(lake)) == [f"{model}: 0 touched days" for model in sorted(MODELS)]
    assert content(lake) == built, "building twice without news must change nothing"

    observed(lake, "iot", 6)
    assert touched(build(lake)) == [f"{model}: 1 touched days" for model in sorted(MODELS)]
    known = set(built["work_core.landing_daily"])
    assert {(r[0], str(r[1])) for r in content(lake)["work_core.landing_daily"] if r not in known} == {("iot", "2025-01-06")}

    # The refused messages of the 2nd are landed again on the 7th: one is right now, the other moves with its line.
    with lake.connect() as con:
        con.execute("DELETE FROM lake.raw.rejected WHERE landing_seq = ?", [first])
    refused(lake, "iot", 7, {"no_value": "power"}, received=0, rejected=-1)
    # Rejects: the 7th, and the 2nd on which this feed ever had some; not the other feed's 3rd.
    assert touched(build(lake)) == ["landing_daily: 1 touched days", "lateness_daily: 1 touched days", "rejected_daily: 2 touched days"]
    assert lake.query(REJECTS) == [rejects[0], ("iot", "2025-01-07", "record", "no_value", 1, "power")]
    assert lake.query(
        "SELECT sum(received), sum(stored), sum(duplicate), sum(rejected) FROM lake.work_core.landing_daily WHERE feed = 'iot'"
    ) == [(14, 13, 0, 1)]

    incremental = content(lake)
    build(lake, "run", "--full-refresh")
    assert content(lake) == incremental, "touched days must add up to what a full refresh gives"


@pytest.mark.timeout(600)  # four builds
def test_a_feed_that_declares_personal_columns_takes_its_examples_back(lake: Lake) -> None:
    refused(lake, "iot", 2, {"no_instant": "nom: Martin"})
    refused(lake, "iot", 9, {"no_instant": "nom: Dupont"})
    refused(lake, "inconnu", 9, {"unknown_feed": "nom: Durand"})
    observed(lake, "bacs", 2)
    build(lake)
    shown = [("iot", "2025-01-02", "nom: Martin"), ("iot", "2025-01-09", "nom: Dupont")]
    query = "SELECT feed, local_date::VARCHAR, example_detail FROM lake.work_core.rejected_daily WHERE feed = 'iot' ORDER BY ALL"
    assert lake.query(query) == shown
    assert lake.query("SELECT count(*), count(example_detail) FROM lake.work_core.rejected_daily WHERE feed = 'inconnu'") == [(1, 0)]

    # The 2nd is closed: it will not be built again. The contract then says that the column is personal.
    night = dt.datetime(2025, 1, 11, 4, 30, tzinfo=dt.UTC)
    maintain(lake.address, retention={"iot": dt.timedelta(days=5)}, now=lambda: night)
    build(lake)
    assert lake.query(query) == shown, "what was built of expired rows stays"
    with lake.connect() as con:
        con.execute("UPDATE lake.raw.feed SET has_personal_columns = true WHERE feed = 'iot'")
    build(lake)
    assert lake.query(query) == [("iot", "2025-01-02", None), ("iot", "2025-01-09", None)]


def test_a_false_account_stops_the_build(lake: Lake) -> None:
    observed(lake, "iot", 1)
    with lake.connect() as con:
        con.execute("UPDATE lake.raw.landing SET stored = stored - 1")
    done = lake.dbt("build", "--select", "+core__landing_daily", check=False)
    assert done.returncode != 0
    assert "row_rule_core__landing_daily" in done.stdout


def test_the_reference_says_which_feeds_have_personal_columns(lakes: Lakes, tmp_path: Path) -> None:
    body = """\
        time_zone: Europe/Paris
        format: {type: csv, delimiter: ","}
        fields:
          - {name: id, classification: open}
          - {name: ouvert, type: datetime, classification: open}
          - {name: nom, classification: %s}
        mapping: {report_ref: id, opened_at: ouvert, description: nom}
        """
    feeds = [lakes.feed(name, "report", body % classification) for name, classification in (("noms", "personal"), ("themes", "open"))]
    for feed in feeds:
        lakes.land(feed, lakes.file(f"{feed.feed}.csv", "id,ouvert,nom\nR1,2024-01-01 08:00:00,x\n"))
    reference.refresh(lakes.main, feeds, tmp_path, today=dt.date(2024, 1, 6), limits=LIMITS)
    assert lakes.query("SELECT feed, has_personal_columns FROM lake.raw.feed ORDER BY 1") == [("noms", True), ("themes", False)]
