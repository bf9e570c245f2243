"""The supervised instance: healthy when said so, restarted when killed, gone when stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ingestion.errors import VigieError
from ingestion.stream.names import PARTITIONS, STREAMS
from orchestration.cli.main import main
from orchestration.services import control, declared, postgres, postgres_cluster, processes, supervisor
from orchestration.services import status as instance_status
from orchestration.services.checks import HttpCheck, TcpCheck
from orchestration.services.declared import Service
from orchestration.settings import Settings, create_local

# Small servers instead of Dagster's: what is tried here is the supervisor. Dagster itself is tried once, below.
_SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
print("listening", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
_DEFINITIONS = """
import dagster as dg

@dg.asset
def answer() -> int:
    return 42

defs = dg.Definitions(assets=[answer])
"""


def _server(name: str, port: int, needs: tuple[str, ...], program: Path) -> Service:
    return Service(
        name=name, title=name.title(), command=(sys.executable, str(program), str(port)), check=HttpCheck("127.0.0.1", port, "/"),
        start_timeout_s=30, needs=needs, port=port, url=f"http://127.0.0.1:{port}", settle_s=1,
    )  # fmt: skip


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Declare PostgreSQL and two small servers, the second of which needs the first; called, it changes the first's code."""
    real = declared.services
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text(_SERVER)
    second.write_text(_SERVER)

    def services(settings: Settings, *, definitions: str = "") -> tuple[Service, ...]:
        return (
            real(settings)[0],
            _server("code-server", settings.code_server_port, ("postgres",), first),
            _server("webserver", settings.webserver_port, ("code-server",), second),
        )

    monkeypatch.setattr(declared, "services", services)

    def replace(code: str) -> None:
        first.write_text(code)

    return replace


@pytest.fixture
def stopped(settings: Settings) -> Iterator[Settings]:
    """A home whose processes are ended after the test, whatever happened in it."""
    yield settings
    supervisor.down(settings, print)


def _up(settings: Settings) -> supervisor.Started:
    return supervisor.up(settings, print)


def _states(settings: Settings) -> dict[str, str]:
    return {service.name: service.state for service in supervisor.status(settings)}


def _processes_of(home: Path) -> list[psutil.Process]:
    """Every process that names the home in its command line, or descends from its start; found without its records."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and (
                str(home) in " ".join(process.cmdline()) or process.environ().get(processes.MARK) == str(home)
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return [process for process in found if processes.is_alive(process)]


def _eventually(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_up_starts_in_order_and_down_leaves_nothing(small: Callable[[str], None], stopped: Settings) -> None:
    said: list[str] = []
    started = supervisor.up(stopped, said.append)
    assert [line.split(":")[0] for line in said if line.endswith("starting")] == ["PostgreSQL", "Code-Server", "Webserver"]
    assert said.index(next(line for line in said if line.startswith("PostgreSQL: healthy"))) < said.index("Code-Server: starting")
    assert _states(stopped) == {"postgres": "healthy", "code-server": "healthy", "webserver": "healthy"}
    assert _processes_of(stopped.home) != []
    assert started.settings == stopped
    assert supervisor.down(stopped, print) is True
    assert _processes_of(stopped.home) == []
    assert supervisor.down(stopped, print) is False
    assert set(_states(stopped).values()) == {"stopped"}


def test_a_second_up_says_so_and_starts_nothing(small: Callable[[str], None], stopped: Settings) -> None:
    _up(stopped)
    before = {process.pid for process in _processes_of(stopped.home)}
    assert _up(stopped).process is None
    assert {process.pid for process in _processes_of(stopped.home)} >= before
    assert main(["up", "--home", str(stopped.home)]) == 0


def test_two_ups_at_once_make_one_instance(small: Callable[[str], None], stopped: Settings) -> None:
    started: list[supervisor.Started] = []
    threads = [threading.Thread(target=lambda: started.append(_up(stopped))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.process is None for one in started) == [False, True]


@pytest.mark.parametrize("name", ["postgres", "code-server"])
def test_a_killed_service_is_restarted(small: Callable[[str], None], stopped: Settings, name: str) -> None:
    _up(stopped)
    pid = {service.name: service.pid for service in supervisor.status(stopped)}[name]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _eventually(lambda: {s.name: s.pid for s in supervisor.status(stopped)}[name] not in {pid, None})
    _eventually(lambda: set(_states(stopped).values()) == {"healthy"})


def test_a_killed_supervisor_is_cleared_by_down(small: Callable[[str], None], stopped: Settings) -> None:
    started = _up(stopped)
    assert started.process is not None
    started.process.kill()
    started.process.wait()
    assert len(_processes_of(stopped.home)) >= 3, "its services outlive it"
    assert set(_states(stopped).values()) == {"stopped"}
    assert supervisor.down(stopped, print) is True
    assert _processes_of(stopped.home) == []


def test_a_killed_supervisor_is_replaced_by_up(small: Callable[[str], None], stopped: Settings) -> None:
    started = _up(stopped)
    assert started.process is not None
    started.process.kill()
    started.process.wait()
    assert _up(stopped).process is not None
    assert set(_states(stopped).values()) == {"healthy"}


def test_down_ends_no_process_that_got_a_recorded_number(small: Callable[[str], None], stopped: Settings) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        for name in ("run/supervisord.pid", "postgres/postmaster.pid"):
            (stopped.home / name).parent.mkdir(exist_ok=True)
            (stopped.home / name).write_text(f"{bystander.pid}\n")
        assert supervisor.down(stopped, print) is False
        assert bystander.poll() is None
    finally:
        bystander.communicate(timeout=10)


def test_a_service_that_cannot_start_is_named_with_its_last_words(
    small: Callable[[str], None], stopped: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_START_RETRIES", 1)
    small("raise SystemExit('no configuration, says the service')")
    with pytest.raises(VigieError, match=r"Code-Server keeps dying; its last words:\n.*no configuration, says the service") as failed:
        _up(stopped)
    assert "code-server.log" in (failed.value.remedy or "")
    assert _processes_of(stopped.home) == []


def test_a_service_that_keeps_dying_later_is_fatal_in_status(
    small: Callable[[str], None], stopped: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control, "_START_RETRIES", 1)
    flag = stopped.home / "broken"
    small(f"import pathlib, sys\nif pathlib.Path({str(flag)!r}).exists(): sys.exit('the disk is on fire')\n{_SERVER}")
    _up(stopped)
    flag.touch()
    pid = {service.name: service.pid for service in supervisor.status(stopped)}["code-server"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _eventually(lambda: _states(stopped)["code-server"] == "fatal")
    capsys.readouterr()
    assert main(["status", "--json", "--home", str(stopped.home)]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["healthy"] is False
    assert printed["services"]["code-server"]["state"] == "fatal"
    assert "the disk is on fire" in printed["services"]["code-server"]["detail"]
    assert printed["services"]["webserver"]["state"] == "healthy"
    flag.unlink()  # mended: the next `vigie up` starts what was given up, and leaves the rest alone
    untouched = {service.name: service.pid for service in supervisor.status(stopped)}["webserver"]
    assert _up(stopped).process is None
    assert set(_states(stopped).values()) == {"healthy"}
    assert {service.name: service.pid for service in supervisor.status(stopped)}["webserver"] == untouched


def test_two_homes_side_by_side(small: Callable[[str], None], tmp_path: Path) -> None:
    homes = [create_local(tmp_path / name) for name in ("un", "deux, à côté")]
    try:
        for settings in homes:
            _up(settings)
        assert [set(_states(settings).values()) for settings in homes] == [{"healthy"}, {"healthy"}]
        supervisor.down(homes[0], print)
        assert _processes_of(homes[0].home) == []
        assert set(_states(homes[1]).values()) == {"healthy"}
    finally:
        for settings in homes:
            supervisor.down(settings, print)


def test_a_restart_keeps_its_addresses_unless_they_were_taken(small: Callable[[str], None], stopped: Settings) -> None:
    _up(stopped)
    supervisor.down(stopped, print)
    with socket.create_server(("127.0.0.1", stopped.webserver_port)):
        moved = _up(stopped).settings
    assert moved.webserver_port != stopped.webserver_port
    assert (moved.postgres_port, moved.code_server_port) == (stopped.postgres_port, stopped.code_server_port)
    assert Settings.load(stopped.home) == moved


def test_a_fixed_port_that_is_taken_is_an_error(small: Callable[[str], None], stopped: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("VIGIE_WEBSERVER_PORT", str(port))
        with pytest.raises(VigieError, match=f"port {port}, fixed for webserver, is taken"):
            _up(Settings.load(stopped.home))
    assert _processes_of(stopped.home) == []


def test_commands_use_the_supervised_database_and_leave_it_running(small: Callable[[str], None], stopped: Settings) -> None:
    _up(stopped)
    server = postgres_cluster.postmaster(stopped)
    with postgres.running(stopped):
        assert postgres_cluster.postmaster(stopped) == server
    assert postgres_cluster.postmaster(stopped) == server


def test_what_the_supervisor_is_told_is_private_and_holds_no_password(small: Callable[[str], None], stopped: Settings) -> None:
    _up(stopped)
    for name in ("supervisord.conf", "control.json"):
        assert (stopped.run_path / name).stat().st_mode & 0o077 == 0
    text = (stopped.run_path / "supervisord.conf").read_text()
    assert stopped.postgres_password.get_secret_value() not in text
    channel = json.loads((stopped.run_path / "control.json").read_text())
    assert channel["password"] not in text
    connection = http.client.HTTPConnection("127.0.0.1", channel["port"], timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().status == http.client.UNAUTHORIZED
    connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_foreground_instance_stops_cleanly_when_interrupted(stopped: Settings, tmp_path: Path, number: signal.Signals) -> None:
    code = f"""
import signal, sys
from orchestration.cli.main import main
from orchestration.services import declared
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal, even when the tests run in the background
real = declared.services
declared.services = lambda settings, definitions="": real(settings)[:1]
sys.exit(main(["up", "--home", {str(stopped.home)!r}]))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    said: list[str] = []
    while not said or not said[-1].startswith("running"):
        said.append(process.stderr.readline())
        assert said[-1], f"it ended: {said}"
    process.send_signal(number)
    printed, rest = process.communicate(timeout=60)
    assert "PostgreSQL" in printed
    assert rest.splitlines()[-1] == "stopped"
    assert process.returncode == 0
    assert _processes_of(stopped.home) == []


def test_interrupted_while_it_starts_it_leaves_nothing(stopped: Settings, tmp_path: Path) -> None:
    code = f"""
import signal, sys
from orchestration.cli.main import main
from orchestration.services import declared
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(["up", "--home", {str(stopped.home)!r}]))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    while "Dagster code server: starting" not in (line := process.stderr.readline()):
        assert line, "it ended"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert _processes_of(stopped.home) == []


def test_a_killed_start_is_finished_by_the_next(small: Callable[[str], None], stopped: Settings) -> None:
    services = declared.services(stopped)
    postgres_cluster.create(stopped)
    control.launch(stopped, services)  # a start that got no further: nothing runs but the supervisor
    _eventually(lambda: control.Control.of(stopped) is not None)
    assert _up(stopped).process is None
    assert set(_states(stopped).values()) == {"healthy"}


def test_checks_tell_what_they_saw(settings: Settings) -> None:
    started: Any = None
    assert "refused" in (TcpCheck("127.0.0.1", settings.webserver_port)(started) or "")
    with socket.create_server(("127.0.0.1", settings.webserver_port)):
        assert TcpCheck("127.0.0.1", settings.webserver_port)(started) is None
        assert "timed out" in (HttpCheck("127.0.0.1", settings.webserver_port, "/")(started) or ""), "it accepts, but says nothing"


def test_dagster_itself_starts_restarts_and_stops(stopped: Settings, tmp_path: Path) -> None:
    definitions = tmp_path / "placeholder.py"
    definitions.write_text(_DEFINITIONS)

    def states() -> dict[str, supervisor.ServiceStatus]:
        return {service.name: service for service in supervisor.status(stopped, definitions=str(definitions))}

    supervisor.up(stopped, print, definitions=str(definitions))
    assert {name: status.state for name, status in states().items()} == dict.fromkeys(
        ("postgres", "nats", "intake", "alerts", "deliveries", "web", "code-server", "webserver", "daemon"), "healthy"
    )
    query = {
        "query": "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } assetNodes { assetKey { path } } } } } }"
    }
    connection = http.client.HTTPConnection("127.0.0.1", stopped.webserver_port, timeout=20)
    connection.request("POST", "/graphql", json.dumps(query), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["data"]["repositoriesOrError"]["nodes"] == [
        {"location": {"name": "vigie"}, "assetNodes": [{"assetKey": {"path": ["answer"]}}]}
    ]
    seen = instance_status.read(stopped, definitions=str(definitions))
    assert {(lag.stream, lag.partition, lag.pending) for lag in seen.streams} == {(s, p, 0) for s in STREAMS for p in range(PARTITIONS)}
    assert [problem for problem in seen.problems if "lake" not in problem] == []
    broker = states()["nats"].pid
    assert broker is not None
    os.kill(broker, signal.SIGKILL)
    _eventually(lambda: states()["nats"].pid not in {broker, None}, timeout_s=60)
    _eventually(lambda: {states()[name].state for name in ("nats", "intake")} == {"healthy"}, timeout_s=60)
    before = states()["daemon"].pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    _eventually(lambda: states()["daemon"].pid not in {before, None} and states()["daemon"].state == "healthy", timeout_s=60)
    supervisor.down(stopped, print)
    assert _processes_of(stopped.home) == []
    assert "\x1b[" not in (stopped.logs_path / "webserver.log").read_text(), "logs are read in files and pagers"
