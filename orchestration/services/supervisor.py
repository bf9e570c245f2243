"""Starting, watching and stopping the services of an instance.

Here: the order of a start, what is waited for, what a stop leaves behind (nothing). Not here: which services there are
(`declared`), how supervisord is spoken to (`control`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ingestion.errors import VigieError
from orchestration.services import control, declared, locks, ports, postgres, postgres_cluster, prepare, processes
from orchestration.services.control import Control, ProcessState
from orchestration.services.declared import Service
from orchestration.settings import LOCAL_PORTS, Settings
from orchestration.superset import installed

Tell = Callable[[str], None]

# supervisord imports for a fifth of a second; the rest is a busy machine.
_LAUNCH_TIMEOUT_S: Final = 30.0
# Another `vigie up` waits as long as Dagster may take to start.
_UP_LOCK_TIMEOUT_S: Final = 600.0
_POLL_S: Final = 0.1
# States from which supervisord starts nothing by itself: never started, ended for good, given up.
_RESTING: Final = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})
# Beyond what each service may take to stop: supervisord kills it then and needs a moment itself.
_STOP_MARGIN_S: Final = 10.0


@dataclass(frozen=True)
class ServiceStatus:
    """One service as people see it.

    Attributes:
        state: `healthy`, `starting`, `unhealthy` (it runs, its check fails), `restarting`, `fatal` (given up), `stopped`.
        detail: what is wrong, when something is.
    """

    name: str
    title: str
    state: str
    url: str | None
    port: int | None
    pid: int | None
    detail: str | None


@dataclass(frozen=True)
class Started:
    """A running instance; `process` is the supervisor when this call started it, `None` when it ran already."""

    settings: Settings
    services: tuple[Service, ...]
    process: subprocess.Popen[bytes] | None


def up(settings: Settings, tell: Tell, *, definitions: str = declared.DEFINITIONS) -> Started:
    """Start every service that does not run and wait until each is healthy; do nothing if all of them run already.

    Args:
        settings: the instance; a port that something else has taken meanwhile is chosen anew, unless it is fixed.
        tell: called with each step, for people.
        definitions: the module whose Dagster definitions are served.

    Raises:
        VigieError: a service does not start; everything is stopped again, its last words are in the message.
    """
    waiting = _once(tell, "another command starts or stops this instance: waiting for it")
    with locks.held(_up_lock(settings), timeout_s=_UP_LOCK_TIMEOUT_S, what="another vigie up", on_wait=waiting):
        if (channel := Control.of(settings)) is not None:
            services = declared.services(settings, definitions=definitions)
            if any(state.state in _RESTING for state in channel.states().values()):
                tell("this instance runs, but not all of it: starting the rest")
                starting = _Start(settings, services, channel, tell)
                starting.prepare()
                starting.finish()
            return Started(settings, services, None)
        if settings.profile == "local" and settings.dashboards == "on":
            installed.require(settings)  # found now, not by a service that starts again and again
        _end_leftovers(settings)
        return _up(settings, tell, definitions)


def _up(settings: Settings, tell: Tell, definitions: str) -> Started:
    with contextlib.ExitStack() as undo:
        with postgres.start_lock(settings):
            if settings.profile == "local":
                postgres.take_over(settings, _once(tell, "a command uses this instance: waiting for it to end"))
                settings = _with_free_ports(settings)
                postgres_cluster.create(settings)
            services = declared.services(settings, definitions=definitions)
            process, channel = control.launch(settings, services)
            undo.callback(_stop, settings, services)
            _wait_for_launch(settings, process)
            starting = _Start(settings, services, channel, tell)
            starting.prepare()
        # From here on other commands may use PostgreSQL: the rest can take long.
        starting.finish()
        undo.pop_all()
    return Started(settings, services, process)


def down(settings: Settings, tell: Tell, *, definitions: str = declared.DEFINITIONS) -> bool:
    """Stop every service and leave no process of the instance; return whether anything ran.

    Raises:
        VigieError: a process cannot be stopped.
    """
    services = declared.services(settings, definitions=definitions)
    ran = _stop(settings, services)
    # Again under the lock: a start that was under way may have started more before it noticed.
    waiting = _once(tell, "another command starts or stops this instance: waiting for it")
    with locks.held(_up_lock(settings), timeout_s=_UP_LOCK_TIMEOUT_S, what="another vigie up", on_wait=waiting):
        return _stop(settings, services) or ran


def status(settings: Settings, *, definitions: str = declared.DEFINITIONS) -> list[ServiceStatus]:
    """Return the state of each declared service, checked now."""
    channel = Control.of(settings)
    states = channel.states() if channel is not None else {}
    return [_status(settings, service, states.get(service.name)) for service in declared.services(settings, definitions=definitions)]


def _status(settings: Settings, service: Service, state: ProcessState | None) -> ServiceStatus:
    word, detail = "stopped", None
    match state.state if state else "STOPPED":
        case "RUNNING" | "STARTING":
            detail = service.check(_instant(state))
            word = "healthy" if detail is None else ("starting" if _age_s(state) < service.start_timeout_s else "unhealthy")
        case "BACKOFF":
            word, detail = "restarting", _last_words(settings, service)
        case "FATAL" | "EXITED" | "UNKNOWN":
            word, detail = "fatal", _last_words(settings, service)
        case "STOPPING":
            word = "stopping"
        case _:
            pass
    pid = state.pid if state else None
    return ServiceStatus(service.name, service.title, word, service.url, service.port, pid, detail)


@dataclass
class _Start:
    """A start under way: each service is started once those it needs are healthy."""

    settings: Settings
    services: tuple[Service, ...]
    channel: Control
    tell: Tell
    asked: dict[str, float] = field(default_factory=dict)
    healthy: set[str] = field(default_factory=set)

    def prepare(self) -> None:
        """Start PostgreSQL, where it is ours, and make what the other services must find."""
        self._run(until={service.name for service in self.services if service.name == "postgres"})
        prepare.prepare(self.settings)

    def finish(self) -> None:
        """Start the others, and wait until all are healthy."""
        self._run(until={service.name for service in self.services})

    def _run(self, *, until: set[str]) -> None:
        while not self.healthy >= until:
            if not postgres.supervised(self.settings):
                raise VigieError("the supervisor was stopped while services were starting", remedy="run vigie up again")
            states = self.channel.states()
            for service in self.services:
                if service.name in until - self.healthy:
                    self._advance(service, states[service.name])
            time.sleep(_POLL_S)

    def _advance(self, service: Service, state: ProcessState) -> None:
        if service.name not in self.asked:
            if self.healthy.issuperset(service.needs):
                if state.state in _RESTING:
                    self.channel.start(service.name)
                    self.tell(f"{service.title}: starting")
                self.asked[service.name] = time.monotonic()
            return
        waited = time.monotonic() - self.asked[service.name]
        problem = service.check(_instant(state)) if state.state in {"RUNNING", "STARTING"} else state.state.lower()
        if problem is None:
            self.healthy.add(service.name)
            self.tell(f"{service.title}: healthy after {waited:.1f} s")
        elif state.state == "FATAL" or waited > service.start_timeout_s:
            why = "keeps dying" if state.state == "FATAL" else f"is not healthy after {waited:.0f} s ({problem})"
            raise VigieError(
                f"{service.title} {why}; its last words:\n{_last_words(self.settings, service) or state.said or '(none)'}",
                remedy=f"read {control.log_file(self.settings, service.name)}; vigie doctor --home {self.settings.home}",
            )


def _wait_for_launch(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _LAUNCH_TIMEOUT_S
    while Control.of(settings) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            said = postgres.last_lines(settings.logs_path / "supervisor.out", 3)
            log = settings.logs_path / "supervisor.log"
            raise VigieError(f"the supervisor does not start: {said or 'no message'}", remedy=f"read {log}")
        time.sleep(_POLL_S)


def _with_free_ports(settings: Settings) -> Settings:
    """Return the settings with ports that are free: those that something else has taken are chosen anew."""
    wanted = {name: int(getattr(settings, f"{name}_port")) for name in LOCAL_PORTS}
    taken = {name for name, port in wanted.items() if not ports.becomes_free(port)}
    kept = ports.read(settings.home)
    for name in taken:
        if kept.get(name) != wanted[name]:
            raise VigieError(
                f"port {wanted[name]}, fixed for {name}, is taken by something else",
                remedy=f"stop what listens there (ss -ltnp), or change {name}_port",
            )
    if taken:
        ports.settle(settings.home, LOCAL_PORTS, {n: p for n, p in wanted.items() if kept.get(n) != p}, replace=frozenset(taken))
        return type(settings).load(settings.home)
    return settings


def _stop(settings: Settings, services: tuple[Service, ...]) -> bool:
    """Stop the supervisor, then whatever it did not stop; return whether anything ran."""
    ran = False
    pid_file = settings.run_path / "supervisord.pid"
    process = processes.recorded(pid_file, argument=str(postgres.supervisor_configuration(settings)))
    if process is not None:
        ran = True
        # SIGTERM is its orderly shutdown: services stop in the reverse of their order.
        patience = sum(service.stop_timeout_s for service in services) + _STOP_MARGIN_S
        processes.end([process], patience_s=patience)
    ran = _end_leftovers(settings) or ran
    if settings.profile == "local" and postgres_cluster.postmaster(settings) is not None:
        ran = True
        postgres.stop(settings)
    control.forget(settings)
    return ran


def _end_leftovers(settings: Settings) -> bool:
    """End what a killed supervisor left, but PostgreSQL, which is asked in its own way; return whether there was any."""
    server = postgres_cluster.postmaster(settings) if settings.profile == "local" else None
    spared = {server.pid, *(child.pid for child in server.children(recursive=True))} if server else set()
    left = [process for process in processes.marked(settings.home) if process.pid not in spared]
    processes.end(left)
    return bool(left)


def _instant(state: ProcessState | None) -> dt.datetime:
    # Supervisord's clock has whole seconds: the process may have started up to one later, never earlier.
    return dt.datetime.fromtimestamp(state.started_at if state else 0, tz=dt.UTC)


def _age_s(state: ProcessState | None) -> float:
    return time.time() - state.started_at if state else 0.0


def _last_words(settings: Settings, service: Service) -> str:
    return postgres.last_lines(control.log_file(settings, service.name), 5)


def _up_lock(settings: Settings) -> Path:
    return settings.run_path / "up.lock"


def _once(tell: Tell, message: str) -> Callable[[], None]:
    return lambda: tell(message)
