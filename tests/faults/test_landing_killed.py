"""A landing killed with SIGKILL at several moments, then run again: the same lake as one that was never disturbed."""

from __future__ import annotations

import datetime as dt
import hashlib
import pickle
import random
import subprocess
import sys
import time
from pathlib import Path

from ingestion.feeds.model import Feed
from ingestion.lake import originals
from ingestion.lake.maintain import forget_originals, forget_unlanded, maintain
from orchestration.settings import Settings
from tests.effort import times
from tests.lakes import LIMITS, Lakes, checksums, drop_lakes, make_lakes

pytest_plugins = ("tests.lakes",)

ROWS = 60_000
KILLS = times(4, thorough=10)
NOTHING = dt.timedelta(0)

BODY = """\
    time_zone: Europe/Paris
    fields:
      - {name: id, classification: open}
      - {name: ouvert, type: datetime, classification: open}
      - {name: lat, type: number, classification: open}
      - {name: nom, classification: personal}
    mapping: {report_ref: id, opened_at: ouvert, latitude: lat, description: nom}
    """

# The child says `ready` once everything is imported, so that the moment of the kill falls into the landing.
CHILD = """\
import pickle, sys
from pathlib import Path
from ingestion.landing import land_file
from ingestion.lake import writer
feed, path, main, personal, limits = pickle.loads(Path(sys.argv[1]).read_bytes())
print("ready", flush=True)
land_file(feed, path, lake=main, personal=personal, limits=limits)
print("landed", flush=True)
"""


def _write(lakes: Lakes) -> Path:
    """A file with good, repeated, and bad rows."""
    rng = random.Random(7)  # the same file in both lakes
    start = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - local times, as the source writes them
    lines = ["id,ouvert,lat,nom\n"]
    for i in range(ROWS):
        n = i if rng.random() > 0.02 else max(0, i - 5)
        at = (start + dt.timedelta(minutes=7 * n)).isoformat(" ")
        lines.append(f"R{n},{at if n % 97 else 'hier'},{48 + (n % 1000) / 1000 if n % 89 else 'x'},Nom {n}\n")
    return lakes.file("signalements.csv", "".join(lines))


def _start(lakes: Lakes, feed: Feed, path: Path) -> subprocess.Popen[str]:
    arguments = lakes.folder / "arguments.pickle"
    arguments.write_bytes(pickle.dumps((feed, path, lakes.main, lakes.personal, LIMITS)))
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(arguments)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_kills_leave_the_same_lake(lake_server: Settings, tmp_path: Path) -> None:
    calm = make_lakes(lake_server, tmp_path)
    feed = calm.feed("signalements", "report", BODY)
    path = _write(calm)
    undisturbed = _start(calm, feed, path)
    begun = time.monotonic()
    assert undisturbed.wait() == 0
    whole = time.monotonic() - begun

    rng = random.Random()  # other moments in every run; a failure names them
    moments: list[float] = []
    stormy = make_lakes(lake_server, tmp_path)
    for _ in range(4 * KILLS):
        moment = rng.uniform(0.02, 0.98) * whole
        if _killed_after(moment, _start(stormy, feed, path)):
            moments.append(moment)
        # A landing that came through, killed or not: judge it, and go on with a fresh lake.
        if len(moments) == KILLS or stormy.query("SELECT count(*) FROM lake.raw.landing")[0][0]:
            _judge(stormy, calm, feed, path, f"killed at {moments} s of {whole:.2f} s")
            drop_lakes(stormy)
            stormy = make_lakes(lake_server, tmp_path)
        if len(moments) == KILLS:
            break
    assert len(moments) == KILLS, f"the landing ended before the kill too often: {moments} s of {whole:.2f} s"
    for lakes in (calm, stormy):
        drop_lakes(lakes)


def _killed_after(moment: float, child: subprocess.Popen[str]) -> bool:
    try:
        child.wait(timeout=moment)
        return False
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return True
    finally:
        assert child.stdout is not None
        child.stdout.close()


def _judge(stormy: Lakes, calm: Lakes, feed: Feed, path: Path, what: str) -> None:
    """Land the file once more and compare everything that is left with the lake that was not disturbed."""
    # What the kills left is not visible: at most one landing, with all its rows or none.
    landings = stormy.query("SELECT count(*) FROM lake.raw.landing")[0][0]
    assert landings in (0, 1), what
    if landings == 0:
        assert all(rows == 0 for rows, _ in checksums(stormy).values()), what
    assert stormy.land(feed, path).already_landed == (landings == 1)
    assert checksums(stormy) == checksums(calm), what

    # Personal rows of landings that never committed go; those of the one that did stay.
    forget_unlanded(stormy.personal, stormy.main, margin=NOTHING)
    landing_id, key = stormy.query("SELECT landing_id, original FROM lake.raw.landing")[0]
    payloads = "SELECT count(*), sum(hash(position, payload)::HUGEINT) FROM lake.raw.personal_record"
    assert stormy.query_personal("SELECT DISTINCT landing_id FROM lake.raw.personal_record") == [(landing_id,)], what
    assert stormy.query_personal(payloads) == calm.query_personal(payloads), what

    forget_originals(stormy.main, margin=NOTHING)
    root = stormy.main.originals_path
    assert [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()] == [key], what
    back = stormy.folder / "back.csv"
    originals.read(root, key, back)
    assert hashlib.sha256(back.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest(), what

    # Files of transactions that never committed are removed, and nothing else is.
    maintain(stormy.main, keep_snapshots=NOTHING, orphan_margin=NOTHING, limits=LIMITS)
    assert checksums(stormy) == checksums(calm), what
