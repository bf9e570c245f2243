"""Commands on the instance itself: up, down, status, logs, doctor.

Here: what these commands print. Not here: how services are run (`orchestration.services`), what is checked
(`orchestration.doctor`), what is known of the instance (`orchestration.services.status`).
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ingestion.errors import VigieError, WrongUse
from orchestration import simulation
from orchestration.cli import common
from orchestration.cli.common import Json
from orchestration.services import control, declared, nats_server, supervisor
from orchestration.services import status as instance_status
from orchestration.services.supervisor import ServiceStatus, Started
from orchestration.settings import Settings, create_local, find_home

if TYPE_CHECKING:
    from ingestion.lake.ledger import FeedTotals
    from ingestion.stream.broker import Lag


def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once everything is healthy.")] = False,
    simulate: Annotated[
        str | None,
        typer.Option(help="Simulated territory: chalons, dijon, a number of lights; none silences it. A new instance gets four weeks."),
    ] = None,
) -> None:
    """Start the instance (made on its first start), wait until it is healthy, print its addresses and keep running."""
    if simulate is not None:
        simulation.require_size(simulate)
    settings = _settings_to_start()
    simulated = _simulated(settings, simulate)
    common.say(f"home {settings.home}, profile {settings.profile}")
    _interrupt_on(signal.SIGTERM, signal.SIGHUP)
    started = supervisor.up(settings, common.say)
    try:
        if started.process is None:
            common.say("this instance runs already")
        if simulated is not None:
            simulation.fill(started.settings, simulated, common.say)
            nats_server.refresh(started.settings)  # contracts may have changed
        _print_services(supervisor.status(started.settings))
        print(f"Home {started.settings.home}, logs in {started.settings.logs_path}", flush=True)
        if started.process is not None and not detach:
            _stay(started.process)
    except KeyboardInterrupt:
        if started.process is None:
            raise
        _stop(started)


def down() -> None:
    """Stop the instance and leave no process."""
    settings = common.load_settings()
    common.say("stopped" if supervisor.down(settings, common.say) else "nothing was running")


def status(*, as_json: Json = False) -> None:
    """Show what runs and what each feed received. Exit code 0 if all is healthy, else 1."""
    found = instance_status.read(common.load_settings())
    if as_json:
        common.print_json(found.document())
    else:
        print(f"Home {found.settings.home}, profile {found.settings.profile}: {'healthy' if found.is_healthy else 'not healthy'}\n")
        _print_services(found.services)
        if found.feeds:
            columns = ("Feed", "Received", "Stored", "Duplicate", "Rejected", "Last landing (UTC)")
            common.print_table(columns, (_feed_row(name, totals) for name, totals in found.feeds.items()))
        if found.streams:
            columns = ("Stream", "Read by", "Partition", "Waiting", "Unacknowledged", "Oldest (UTC)")
            common.print_table(columns, (_lag_row(lag) for lag in found.streams))
        for problem in found.problems:
            common.say(f"problem: {problem}")
    if not found.is_healthy:
        raise typer.Exit(common.FAILED)


def logs(
    service: Annotated[str | None, typer.Argument(help="A service, or all of them.")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 50,
) -> None:
    """Show the last lines of the services' logs."""
    settings = common.load_settings()
    names = [listed.name for listed in declared.services(settings)]
    if service is not None and service not in names:
        raise WrongUse(f"there is no service {service!r}", remedy=f"services: {', '.join(names)}")
    files = [control.log_file(settings, name) for name in ([service] if service else names)]
    existing = [str(file) for file in files if file.exists()]
    if not existing:
        raise VigieError(f"no log yet in {settings.logs_path}", remedy="start the instance: vigie up")
    raise typer.Exit(subprocess.call(["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follow else []), *existing]))


def doctor(*, as_json: Json = False) -> None:
    """Say what is wrong with this machine or instance, and the remedy of each. Exit code 0 when all is well, else 1."""
    from orchestration import doctor as checks

    findings = checks.examine(find_home(common.home()))
    healthy = all(finding.is_ok for finding in findings)
    if as_json:
        common.print_json({"healthy": healthy, "checks": [finding.document() for finding in findings]})
    else:
        common.print_table(("", "Check", "Found", "Remedy"), (("ok" if f.is_ok else "!!", f.name, f.found, f.remedy) for f in findings))
    if not healthy:
        raise typer.Exit(common.FAILED)


def _simulated(settings: Settings, size: str | None) -> simulation.Simulation | None:
    """Settle what is simulated before the services start: the broker must let its feeds in, the supervisor know its speaker."""
    found = simulation.load(settings)
    if size is None or (found is None and size == "none"):
        return found
    if settings.profile == "server":
        raise WrongUse(
            "a server instance simulates nothing", remedy="simulate in a local instance: unset VIGIE_PROFILE, and another --home"
        )
    running = control.Control.of(settings) is not None
    if running and (found is None or found.is_paused != (size == "none")):
        raise WrongUse(
            "this instance runs: what it simulates is settled at its start", remedy=f"vigie down; then vigie up --simulate {size}"
        )
    return simulation.declare(settings, size, dt.datetime.now(dt.UTC))


def _settings_to_start() -> Settings:
    """Return the settings of an existing instance, or of a local one made now, unless the environment says `server`."""
    home = common.home()
    return Settings.load(home) if os.environ.get("VIGIE_PROFILE") == "server" else create_local(home)


def _stay(process: subprocess.Popen[bytes]) -> None:
    """Stay until another command stops the instance, or the supervisor ends otherwise."""
    common.say("running; Ctrl-C stops it")
    # A blocking wait loses a signal that comes just before it; a process that sleeps half a second at a time does not.
    while (code := process.poll()) is None:
        time.sleep(0.5)
    if code != 0:
        raise VigieError(f"the supervisor ended unexpectedly (exit {code})", remedy="vigie down clears what it left; then vigie up")
    common.say("stopped by another command")


def _stop(started: Started) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # stopping takes seconds: impatience must not leave processes behind
    common.say("stopping")
    supervisor.down(started.settings, common.say)
    common.say("stopped")


def _interrupt_on(*numbers: signal.Signals) -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:  # started with nohup: a closed terminal must not stop it
            signal.signal(number, interrupt)


def _print_services(services: Iterable[ServiceStatus]) -> None:
    listed = list(services)
    rows = ((s.title, s.state, s.url or (f"127.0.0.1:{s.port}" if s.port else None), s.pid and str(s.pid)) for s in listed)
    common.print_table(("Service", "State", "Address", "PID"), rows)
    for service in listed:
        if service.detail and service.state != "healthy":
            common.say(f"{service.title} is {service.state}: {service.detail}")
            common.say(f"  → vigie logs {service.name}")


def _lag_row(lag: Lag) -> tuple[object, ...]:
    oldest = f"{lag.oldest_at:%Y-%m-%d %H:%M:%S}" if lag.oldest_at else None
    return (lag.stream, lag.consumer, str(lag.partition), lag.pending, lag.unacknowledged, oldest)


def _feed_row(name: str, totals: FeedTotals) -> tuple[object, ...]:
    return (name, totals.received, totals.stored, totals.duplicate, totals.rejected, f"{totals.last_landing_at:%Y-%m-%d %H:%M:%S}")
