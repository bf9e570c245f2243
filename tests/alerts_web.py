"""The web application of the alarms for tests: in a thread, or as a process that can be killed; and alarms to serve.

Here: what the tests of the API, of events and of CAP share. Not here: tests. A module that uses the fixtures says
`pytest_plugins = ("tests.alerts_web",)`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import uvicorn
from psycopg_pool import ConnectionPool

from orchestration.alerts import accounts
from orchestration.alerts.access import Access
from orchestration.alerts.drafting import Composer
from orchestration.alerts.model import AssetKey, Change, Entry, Equipment
from orchestration.alerts.rulebook.model import Rule
from orchestration.alerts.store import schema
from orchestration.alerts.store.store import Store, open_pool
from orchestration.alerts.store.turn import Connection
from orchestration.services import ports, postgres
from orchestration.settings import Settings, create_local
from orchestration.web.app import create_app

_START_TIMEOUT_S: Final = 30.0
SECOND: Final = 1_000_000
# 2026-01-05 07:00:00 UTC, in microseconds.
MORNING: Final = 1_767_596_400 * SECOND

_PLACES: Final = {
    "C1": Equipment("gis", "C1", "gis:C1", "cabinet", "Armoire 1", "EP", "Châlons-en-Champagne", "rue de la Marne", 4.36, 48.95),
    "S1": Equipment("its", "S1", "its:S1", "controller", "Carrefour 1", "SLT", "Dijon", None, 5.04, 47.32),
}


def _rule(name: str, consequence: str, domain: str) -> Rule:
    return Rule.model_validate({
        "rule": name, "title": f"Panne {name}", "message": "{asset} est en panne.", "consequence": consequence,
        "respond_within": "PT15M", "when": {"type": "fault", "fault_types": ["lamp-out"]}, "scope": {"domains": [domain]},
        "procedure": [{"step": "Appeler l’astreinte.", "call": "astreinte"}, {"step": "Vérifier sur place."}],
    })  # fmt: skip


RULES: Final = {r.rule: r for r in (_rule("armoire", "major", "EP"), _rule("carrefour", "severe", "SLT"), _rule("lampe", "minor", "EP"))}


class _Places:
    def get(self, key: AssetKey) -> Equipment | None:
        return _PLACES.get(key[1])


COMPOSE: Final = Composer(RULES, _Places())


def change(rule: str, ref: str, at_s: float, *, active: bool = True, **more: Any) -> Change:
    """What a rule says of an asset, so many seconds after the morning."""
    at, source = MORNING + round(at_s * SECOND), _PLACES[ref].source if ref in _PLACES else "gis"
    return Change(f"{rule}|{source}|{ref}", rule, at, active, more.pop("since", at), (source, ref), **more)


class Alarms:
    """The store of a running PostgreSQL, without the web application."""

    def __init__(self, settings: Settings, pool: ConnectionPool[Connection]) -> None:
        self.settings, self.pool = settings, pool
        self.store, self.access = Store(pool.connection), Access(pool.connection)

    def tell(self, *changes: Change) -> list[Entry]:
        return self.store.apply(changes, COMPOSE)

    def clear(self) -> None:
        """Close what lives: the next test starts with an empty wall. The journal cannot be emptied."""
        with self.pool.connection() as con:
            con.execute("UPDATE alerts.alarm SET closed_at = now() WHERE closed_at IS NULL")
            con.execute("UPDATE alerts.head SET presented = '{}', offered = '{}', calm_since = NULL, flood_id = NULL")
            con.execute("UPDATE alerts.suppression SET lifted_at = now() WHERE lifted_at IS NULL")

    def password(self, login: str) -> str:
        return self.settings.secrets.people[login].get_secret_value()

    @property
    def token(self) -> str:
        return self.settings.secrets.systems["hyperviseur"].get_secret_value()

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.settings.web_url, timeout=20, **options)

    def system(self) -> httpx.Client:
        """A client that bears the hypervisor's token."""
        return self.client(headers={"Authorization": f"Bearer {self.token}"})

    @contextlib.contextmanager
    def person(self, login: str) -> Iterator[httpx.Client]:
        """A client with a session, as a browser has."""
        with self.client(headers={"Origin": self.settings.web_url}) as client:
            signed = client.post("/connexion", data={"identifiant": login, "mot_de_passe": self.password(login)})
            assert signed.status_code == 303, signed.text
            yield client


class Served(Alarms):
    """The same, with the application served from a thread."""

    def start(self) -> None:
        self.app = create_app(self.settings)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self.app, host="127.0.0.1", port=self.settings.web_port, log_level="warning", access_log=False, timeout_graceful_shutdown=1
            )
        )
        self._thread = threading.Thread(target=self._server.run, name="web")
        self._thread.start()
        until_healthy(self)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()


class WebProcess:
    """The application as the process it is in an instance, on a port of its own; it can be killed and started again.

    Attributes:
        alarms: the store; its clients ask this process.
    """

    def __init__(self, alarms: Alarms) -> None:
        self.alarms = Alarms(alarms.settings.model_copy(update={"web_port": ports.choose()}), alarms.pool)
        self.process = None
        self.log = alarms.settings.logs_path / "web-test.log"

    process: subprocess.Popen[bytes] | None

    def start(self) -> None:
        environment = os.environ | {
            "VIGIE_HOME": str(self.alarms.settings.home), "VIGIE_WEB_PORT": str(self.alarms.settings.web_port),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }  # fmt: skip
        with self.log.open("ab") as output:
            self.process = subprocess.Popen([sys.executable, "-m", "orchestration.web"], stdout=output, stderr=output, env=environment)

    def end(self, number: signal.Signals) -> None:
        if self.process is not None:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            self.process.send_signal(number)
            self.process.wait(timeout=30)
            self.process = None


def until_healthy(alarms: Alarms) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            if httpx.get(f"{alarms.settings.web_url}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "the web application does not start"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def alarms_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A local instance with PostgreSQL running and the tables of the alerts, for all tests of a module."""
    home: Path = tmp_path_factory.mktemp("alerts") / "home"
    settings = create_local(home)
    with postgres.running(settings):
        schema.prepare(settings.app_url.get_secret_value())
        yield settings


@pytest.fixture(scope="module")
def _pool(alarms_home: Settings) -> Iterator[ConnectionPool[Connection]]:
    with open_pool(alarms_home.app_url.get_secret_value(), name="test", size=8) as pool:
        accounts.ensure(alarms_home, Access(pool.connection))
        yield pool


@pytest.fixture
def alarms(alarms_home: Settings, _pool: ConnectionPool[Connection]) -> Alarms:
    """The store, with an empty wall and the accounts of the local profile."""
    found = Alarms(alarms_home, _pool)
    found.clear()
    return found


@pytest.fixture(scope="module")
def _served(alarms_home: Settings, _pool: ConnectionPool[Connection]) -> Iterator[Served]:
    web = Served(alarms_home, _pool)
    web.start()
    yield web
    web.stop()


@pytest.fixture
def web(_served: Served) -> Served:
    """The application served, with an empty wall."""
    _served.clear()
    return _served


@pytest.fixture
def process(alarms: Alarms) -> Iterator[WebProcess]:
    """The application as a process, not yet started; it ends with the test."""
    found = WebProcess(alarms)
    yield found
    found.end(signal.SIGKILL)
