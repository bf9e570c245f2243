"""A simulated territory as a person runs it: one command fills an instance, its equipment goes on speaking, the indicators answer.

Here: what `vigie up --simulate` promises, from the first start to silence. Not here: the indicators against the truth (`tests/truth`),
kills by the dozen (`tests/faults/test_stream_killed.py`).

One instance for all tests, which follow each other as its days would: 120 lights, 36 of them piloted, say some words a minute.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg
import pytest

from ingestion.lake.session import connect
from ingestion.simulator import inventory, live
from ingestion.simulator.clock import seconds
from ingestion.simulator.wire import Wire
from orchestration import simulation
from orchestration.services import postgres, processes
from orchestration.settings import Settings
from tests.town import LIMITS, VIGIE, Called

# A first start with its history and build takes a minute and a half of two free cores; a machine that runs other suites, five times that.
pytestmark = pytest.mark.timeout(1500)
_CALL_TIMEOUT_S: Final = 900
# A reader that was killed is replaced within five minutes: the schedule takes a run of less than three for one that starts, the
# broker delivers again after 30 s.
_PATIENCE_S: Final = 900
_POLL_S: Final = 2.0
# What a cabinet without supply is called: by its log, or by its next sample of state.
_DARK: Final = frozenset({"armoire-au-noir", "armoire-coupee", "disjoncteur-declenche"})
_SIZE: Final = "120"
_ALL: Final = set(inventory.FEEDS)
_SPOKEN: Final = _ALL - set(inventory.INVENTORIES)
# What is sent anew after a speaker that had not written down how far it got.
_REWOUND: Final = dt.timedelta(minutes=20)


@dataclass(frozen=True)
class Territory:
    """A running instance with a simulated territory.

    Attributes:
        settings: as its first start left them.
        began_at: before its first start.
    """

    home: Path
    began_at: dt.datetime

    @property
    def settings(self) -> Settings:
        return Settings.load(self.home)

    def vigie(self, *words: str, check: bool = True) -> Called:
        """Call `vigie` and wait for its end."""
        command = [VIGIE, *words, "--home", str(self.home)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_CALL_TIMEOUT_S, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return Called(done.returncode, done.stdout, done.stderr)

    def status(self) -> Any:
        """What `vigie status --json` says, healthy or not."""
        return self.vigie("status", "--json", check=False).document

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What `vigie sql` answers."""
        rows: list[dict[str, Any]] = self.vigie("sql", query, "--format", "json").document
        return rows

    def raw(self, query: str) -> list[tuple[Any, ...]]:
        """Query the lake with every right."""
        with postgres.running(self.settings), connect(self.settings.lake, limits=LIMITS, read_only=True) as con:
            return con.execute(query).fetchall()

    def messages(self) -> Counter[str]:
        """How many messages of the broker are in the lake, by feed; each stands there once."""
        rows = self.raw("SELECT feed, count(*), count(DISTINCT (stream, stream_seq)) FROM lake.raw.message GROUP BY feed")
        for feed, stored, different in rows:
            assert stored == different, f"{feed}: a message was landed twice"
        return Counter({feed: stored for feed, stored, _ in rows})

    def landed_from_stream(self) -> tuple[int, int]:
        """Records received from the broker by the ledger, and how many of them were duplicates."""
        ((received, duplicate),) = self.raw(
            "SELECT coalesce(sum(received), 0), coalesce(sum(duplicate), 0) FROM lake.raw.landing WHERE stream IS NOT NULL"
        )
        return int(received), int(duplicate)

    def sent_until(self) -> dt.datetime:
        """How far the speaker got."""
        found = simulation.load(self.settings)
        assert found is not None
        return live.resume(simulation.folder(self.settings) / "sent_until.json", found.span[1])

    def sent(self, since: dt.datetime, until: dt.datetime) -> Counter[str]:
        """How many messages the territory sends in [since, until), by feed."""
        found = simulation.load(self.settings)
        assert found is not None
        return Counter(m.feed for m in Wire(found.world()).messages(int(seconds(since)), int(seconds(until))))

    def live_from(self) -> dt.datetime:
        """Where live messages begin."""
        found = simulation.load(self.settings)
        assert found is not None
        return found.span[1]


@pytest.fixture(scope="module")
def territory(tmp_path_factory: pytest.TempPathFactory, extension_directory: Path) -> Iterator[Territory]:
    """A territory whose first start has come back."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("VIGIE_", "DAGSTER_", "DBT_")):
                patch.delenv(name)
        patch.setenv("VIGIE_EXTENSION_DIRECTORY", str(extension_directory))
        patch.setenv("VIGIE_DASHBOARDS", "off")
        made = Territory(tmp_path_factory.mktemp("simulated") / "home", dt.datetime.now(dt.UTC))
        try:
            made.vigie("up", "--detach", "--simulate", _SIZE)
            yield made
        finally:
            made.vigie("down", check=False)


def test_it_comes_up_healthy_and_answers(territory: Territory) -> None:
    status = territory.vigie("status", "--json").document
    assert status["healthy"]
    assert status["services"]["simulator"]["state"] == "healthy"
    assert set(status["feeds"]) >= _ALL
    _assert_balanced(status)
    for table in ("failure_frequency_monthly", "energy_overconsumption_daily", "intervention_time_case"):
        assert territory.ask(f"SELECT count(*) AS n FROM indicators.{table} WHERE territory = 'simulation'")[0]["n"] > 0, table
    # Asked again, it says that it runs, and runs on.
    services = {name: s["pid"] for name, s in status["services"].items()}
    again = territory.vigie("up", "--detach")
    assert "this instance runs already" in again.err
    assert {name: s["pid"] for name, s in territory.status()["services"].items()} == services


def test_what_equipment_says_reaches_core(territory: Territory) -> None:
    before = {feed: totals["received"] for feed, totals in territory.status()["feeds"].items()}

    def heard() -> bool:
        now = {feed: totals["received"] for feed, totals in territory.status()["feeds"].items()}
        said = territory.raw("SELECT max(observed_at) FROM lake.raw.observation WHERE feed = 'sim-eclairage' AND landing_seq IN "
                             "(SELECT landing_seq FROM lake.raw.landing WHERE stream IS NOT NULL)")  # fmt: skip
        return now["sim-eclairage"] > before["sim-eclairage"] and said[0][0] is not None and said[0][0] > territory.began_at

    _eventually(heard, "the lake holds what a light said after the start")
    assert territory.vigie("build", "--json").document["succeeded"]
    query = "SELECT max(last_observed_at) > TIMESTAMPTZ '{}' AS is_newer FROM core.state_daily WHERE feed = 'sim-eclairage'"
    assert territory.ask(query.format(territory.began_at.isoformat())) == [{"is_newer": True}]
    _assert_everything_landed(territory)


def test_a_scenario_that_is_started_is_spoken(territory: Territory) -> None:
    """By a speaker that goes on where it was: what the territory sends, with it, is what lands."""
    reached = territory.sent_until()
    (silent, _) = territory.vigie("simulate", "gateway-out", "--json").document["phases"][-2:]
    assert silent["phase"] == "silent"
    begins = dt.datetime.fromisoformat(silent["from"])
    assert begins > reached
    log = territory.settings.logs_path / "simulator.log"
    _eventually(lambda: f"('gateway-out', '{begins.isoformat()}')" in log.read_text(encoding="utf-8"), "the speaker knows the scenario")
    _eventually(lambda: territory.sent_until() > begins + dt.timedelta(minutes=2), "it speaks on")
    assert territory.status()["services"]["simulator"]["state"] == "healthy"
    _assert_everything_landed(territory)


def test_a_dark_cabinet_is_one_alarm_on_every_wall(territory: Territory) -> None:
    """The scenario as operators live it: one alarm, acknowledged by one, seen by the other, told by the journal."""
    browser_path = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
    if browser_path is None:
        pytest.skip("no Chromium: install the system's package")
    from playwright.sync_api import expect, sync_playwright

    territory.vigie("simulate", "cabinet-out")

    def standing() -> list[dict[str, Any]]:
        alarms: list[dict[str, Any]] = territory.vigie("alerts", "list", "--json").document
        return [a for a in alarms if a["rule"] in _DARK]

    def is_told() -> bool:
        with psycopg.connect(territory.settings.app_url.get_secret_value()) as con:
            return con.execute("SELECT 1 FROM alerts.alarm WHERE rule = ANY(%s) LIMIT 1", [sorted(_DARK)]).fetchone() is not None

    _eventually(is_told, "the cabinet is an alarm")
    (alarm,) = standing()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        pages = []
        for login in ("operateur-1", "operateur-2"):
            page = browser.new_context(locale="fr-FR", timezone_id="Europe/Paris").new_page()
            page.set_default_timeout(60_000)
            page.goto(territory.settings.web_url)
            page.get_by_label("Identifiant").fill(login)
            page.get_by_label("Mot de passe").fill(territory.settings.secrets.people[login].get_secret_value())
            page.get_by_role("button", name="Se connecter").click()
            pages.append(page)
        one, other = (page.locator("li[data-row]", has_text=alarm["asset_name"]).filter(has_text=alarm["title"]) for page in pages)
        expect(one).to_have_count(1, timeout=60_000)
        expect(other).to_contain_text("À acquitter", timeout=60_000)
        one.click()
        pages[0].keyboard.press("a")
        expect(other).to_contain_text("Acquittée", timeout=60_000)
        browser.close()
    journal = territory.vigie("alerts", "show", str(alarm["alarm_id"]), "--json").document["journal"]
    told = [(line["kind"], line["actor"]) for line in journal if line["kind"] in {"raised", "acknowledged"}]
    assert told == [("raised", "vigie"), ("acknowledged", "operateur-1")]
    assert len(standing()) == 1


def test_a_reader_that_is_killed_is_replaced_and_nothing_lands_twice(territory: Territory) -> None:
    found: list[psutil.Process] = []
    _eventually(lambda: bool(found.extend(_readers(territory.settings)) or found), "a process reads the stream")
    found[0].kill()
    known = territory.messages().total()
    _eventually(lambda: any(reader.pid != found[0].pid for reader in _readers(territory.settings)), "another process reads the stream")
    _eventually(lambda: territory.messages().total() > known, "messages land again")
    _assert_everything_landed(territory)
    _assert_balanced(territory.vigie("status", "--json").document)


@pytest.mark.parametrize(
    ("size", "why", "remedy"),
    [
        ("dijon", "this instance simulates 120, not dijon", "--home OTHER up --simulate dijon makes another instance"),
        ("none", "what it simulates is settled at its start", "up --simulate none"),
    ],
)
def test_it_stays_what_it_is(territory: Territory, size: str, why: str, remedy: str) -> None:
    refused = territory.vigie("up", "--detach", "--simulate", size, check=False)
    assert refused.code == 2
    assert why in refused.err
    assert remedy in refused.err
    assert territory.status()["services"]["simulator"]["state"] == "healthy"


def test_stopped_it_leaves_nothing_and_resumes_where_it_was(territory: Territory) -> None:
    territory.vigie("down")
    assert _processes_of(territory.home) == []
    received, duplicate = territory.landed_from_stream()
    # As if the speaker had been killed before it wrote down what it had sent last: it says that again.
    reached = territory.sent_until()
    rewound = max(territory.live_from(), reached - _REWOUND)
    live.record(simulation.folder(territory.settings) / "sent_until.json", live.Reached(rewound, 0))
    repeated = territory.sent(rewound, reached).total()
    assert repeated > 0

    territory.vigie("up", "--detach")
    assert territory.vigie("status", "--json").document["healthy"]
    log = (territory.settings.logs_path / "simulator.log").read_text(encoding="utf-8")
    assert f"speaking for {_SIZE} from {rewound.isoformat()} on" in log

    def landed() -> bool:
        now = territory.landed_from_stream()
        return now[0] >= received + repeated and now[1] >= duplicate + repeated

    _eventually(landed, f"{repeated} messages that were sent again are received and counted as duplicates")
    _assert_everything_landed(territory)
    _assert_balanced(territory.status())


def test_silenced_it_is_an_instance_like_another(territory: Territory) -> None:
    territory.vigie("down")
    territory.vigie("up", "--detach", "--simulate", "none")
    reached = territory.sent_until()
    status = territory.vigie("status", "--json").document
    assert status["healthy"]
    assert "simulator" not in status["services"]
    _assert_everything_landed(territory)
    assert territory.sent_until() == reached, "it speaks no more"
    done = territory.vigie("build", "--json").document
    assert done["succeeded"]
    territory.vigie("down")
    assert _processes_of(territory.home) == []


def _assert_everything_landed(territory: Territory) -> None:
    """What the territory had sent by now is in the lake, each message of the broker once."""
    reached = territory.sent_until()

    def nothing_waits() -> bool:
        lags = territory.status()["streams"]
        # A message is given to a reader within a minute: what a lag shows is younger than what had been sent.
        oldest = [dt.datetime.fromisoformat(lag["oldest_at"]) for lag in lags if lag["oldest_at"]]
        return bool(lags) and all(at > reached for at in oldest)

    _eventually(nothing_waits, f"what was sent until {reached} has landed")
    expected = territory.sent(territory.live_from(), reached)
    held = territory.messages()
    assert {feed: n for feed, n in expected.items() if held[feed] < n} == {}
    assert set(held) <= _SPOKEN


def _assert_balanced(status: Any) -> None:
    for feed, t in status["feeds"].items():
        assert t["received"] == t["stored"] + t["duplicate"] + t["rejected"], feed


def _readers(settings: Settings) -> list[psutil.Process]:
    """The instance's processes that read the stream: those whose connections the broker knows by a reader's name."""
    with urllib.request.urlopen(f"http://127.0.0.1:{settings.nats_monitor_port}/connz", timeout=10) as answer:
        ports = {c["port"] for c in json.load(answer)["connections"] if str(c.get("name", "")).startswith("lake-")}
    found = []
    for process in processes.marked(settings.home):
        try:
            if any(c.laddr and c.laddr.port in ports for c in process.net_connections("tcp")):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _processes_of(home: Path) -> list[str]:
    """The command lines of the processes that name the home, or descend from its start."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            is_ours = str(home) in line or process.environ().get(processes.MARK) == str(home)
            if is_ours and process.pid != os.getpid() and processes.is_alive(process):
                found.append(line)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(_POLL_S)
