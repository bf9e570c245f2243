"""The declared services of an instance: what runs, in which order, and how one sees that it is well.

Here: the list; a service joins the platform by a line of it. Not here: starting and watching them (`supervisor`).
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestration import simulation
from orchestration.services import dagster_config, nats_server, ports, postgres_cluster
from orchestration.services.checks import BrokerCheck, Check, DaemonCheck, HeartbeatCheck, HttpCheck, PostgresCheck, TcpCheck
from orchestration.settings import Settings

DEFINITIONS: Final = "orchestration.definitions"

# Folder that holds the packages: the code server imports `orchestration` from it, installed or not.
_ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Service:
    """One process the supervisor keeps alive.

    Attributes:
        name: its name in tables, logs and dependencies.
        command: its command line, without any secret: other users of the machine can read command lines.
        check: whether it is healthy.
        start_timeout_s: how long a start may take before it counts as failed.
        needs: services that must be healthy before it starts.
        environment: variables it gets beside those of the instance.
        port: the port it listens on, if any.
        url: where people find it, if they do.
        settle_s: a process that lives less long than this has failed to start; after a few in a row it is given up.
        stop_signal: how it is asked to stop.
        stop_timeout_s: how long it may take to stop before it is killed.
        stops_as_group: whether its children get the signal too.
        title: what it is, in a few words, for the table of addresses.
    """

    name: str
    command: tuple[str, ...]
    check: Check
    title: str
    start_timeout_s: float
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    url: str | None = None
    settle_s: int = 2
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: int = 10
    stops_as_group: bool = True


# Dagster's processes import for 2 to 7 s alone on a core; four start at once on a machine that may be busy with a build.
_DAGSTER_START_S: Final = 180.0
# They fail at import time or not at all.
_DAGSTER_SETTLE_S: Final = 10


def services(settings: Settings, *, definitions: str = DEFINITIONS) -> tuple[Service, ...]:
    """Return the services of an instance, each after those it needs.

    Args:
        settings: the instance.
        definitions: the module whose Dagster definitions the code server serves.
    """
    if settings.profile == "server":
        return (
            _intake(settings, needs=()),
            *_alerts(settings, needs=()),
            *_dagster(settings, definitions, needs=()),
            *_superset(settings, needs=()),
        )
    simulated = simulation.load(settings)
    return (
        _postgres(settings),
        _nats(settings),
        _intake(settings, needs=("nats",)),
        *_alerts(settings, needs=("postgres", "intake")),
        *_dagster(settings, definitions, needs=("postgres",)),
        *_superset(settings, needs=("postgres",)),
        *(() if simulated is None or simulated.is_paused else (_simulated_apis(settings), _speaker(settings))),
    )


def _postgres(settings: Settings) -> Service:
    return Service(
        name="postgres",
        title="PostgreSQL",
        command=tuple(postgres_cluster.command(settings)),
        check=PostgresCheck(settings),
        # Ready in one second; after a power cut it first replays its log.
        start_timeout_s=60.0,
        port=settings.postgres_port,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
        stop_timeout_s=30,
        stops_as_group=False,  # its children obey it alone
    )


def _nats(settings: Settings) -> Service:
    return Service(
        name="nats",
        title="Broker (NATS, MQTT)",
        command=(script("nats-server"), "--config", str(nats_server.configuration_file(settings))),
        check=BrokerCheck(settings),
        # Ready in a tenth of a second; it reads streams of several GB again after a kill.
        start_timeout_s=120.0,
        port=settings.nats_port,
        url=nats_server.mqtt_url(settings),
        stop_timeout_s=30,
    )


def _intake(settings: Settings, needs: tuple[str, ...]) -> Service:
    return Service(
        name="intake",
        title="HTTP intake",
        command=(sys.executable, "-m", "orchestration.intake"),
        check=HttpCheck(settings.intake_host, settings.intake_port, "/health"),
        start_timeout_s=60.0,
        needs=needs,
        port=settings.intake_port,
        url=settings.intake_url,
    )


def _alerts(settings: Settings, needs: tuple[str, ...]) -> tuple[Service, ...]:
    # Apart from each other: a page that is asked much, or a hypervisor that hangs, must not delay a rule.
    return (
        Service(
            name="alerts",
            title="Alerts: rules",
            command=(sys.executable, "-m", "orchestration.alerts.runtime"),
            check=HeartbeatCheck(settings, "engine"),
            start_timeout_s=60.0,
            needs=needs,
        ),
        Service(
            name="deliveries",
            title="Alerts: sending out",
            command=(sys.executable, "-m", "orchestration.alerts.deliveries"),
            check=HeartbeatCheck(settings, "deliveries"),
            start_timeout_s=60.0,
            needs=tuple(n for n in needs if n == "postgres"),
        ),
        Service(
            name="web",
            title="Vigie: alerts",
            command=(sys.executable, "-m", "orchestration.web"),
            check=HttpCheck(settings.web_host, settings.web_port, "/health"),
            start_timeout_s=60.0,
            needs=tuple(n for n in needs if n == "postgres"),
            port=settings.web_port,
            url=settings.web_url,
        ),
    )


def _superset(settings: Settings, needs: tuple[str, ...]) -> tuple[Service, ...]:
    if settings.dashboards == "off":
        return ()
    return (
        Service(
            name="superset",
            title="Dashboards (Superset)",
            command=(sys.executable, "-m", "orchestration.superset"),
            check=HttpCheck(settings.superset_host, settings.superset_port, "/health"),
            # A first start makes its database: a minute alone, several on a machine that builds.
            start_timeout_s=900.0,
            needs=needs,
            port=settings.superset_port,
            url=settings.superset_url,
            settle_s=10,  # it fails when it is imported or not at all
            stop_timeout_s=20,
            stops_as_group=False,  # its server obeys it, and finishes the answers it is giving
        ),
    )


def _simulated_apis(settings: Settings) -> Service:
    return Service(
        name="simulated-apis",
        title="Simulated territory: what is asked",
        command=(sys.executable, "-m", "orchestration.simulated_apis"),
        check=HttpCheck(ports.LOOPBACK, int(settings.simulated_apis_port or 0), "/health"),
        start_timeout_s=60.0,
        port=settings.simulated_apis_port,
        url=settings.simulated_apis_url,
    )


def _speaker(settings: Settings) -> Service:
    return Service(
        name="simulator",
        title="Simulated territory",
        command=(sys.executable, "-m", "orchestration.simulation"),
        check=simulation.SpeakerCheck(settings),
        start_timeout_s=60.0,
        needs=("intake",),
    )


def _dagster(settings: Settings, definitions: str, needs: tuple[str, ...]) -> tuple[Service, ...]:
    workspace = str(dagster_config.workspace_file(settings))
    host, port = settings.code_server_host, settings.code_server_port
    return (
        Service(
            name="code-server",
            title="Dagster code server",
            command=(
                # Not `api grpc`: that one keeps the definitions of its start when it is asked to reload them.
                script("dagster"), "code-server", "start", "--python-file" if definitions.endswith(".py") else "--module-name",
                definitions, "--working-directory", str(_ROOT), "--host", host, "--port", str(port),
                "--location-name", dagster_config.LOCATION_NAME, "--log-format", "rich",
                "--startup-timeout", str(int(_DAGSTER_START_S)),
            ),
            check=TcpCheck(host, port),
            start_timeout_s=_DAGSTER_START_S,
            needs=needs,
            port=port,
            settle_s=_DAGSTER_SETTLE_S,
        ),
        Service(
            name="webserver",
            title="Dagster",
            command=(
                script("dagster-webserver"), "--workspace", workspace,
                "--host", settings.webserver_host, "--port", str(settings.webserver_port),
            ),
            check=HttpCheck(settings.webserver_host, settings.webserver_port, "/server_info"),
            start_timeout_s=_DAGSTER_START_S,
            needs=("code-server",),
            port=settings.webserver_port,
            url=settings.webserver_url,
            settle_s=_DAGSTER_SETTLE_S,
        ),
        Service(
            name="daemon",
            title="Dagster daemon",
            command=(script("dagster-daemon"), "run", "--workspace", workspace),
            check=DaemonCheck(settings),
            start_timeout_s=_DAGSTER_START_S,
            # Not needed to run, but the first start makes Dagster's tables: one process must do it alone.
            needs=("webserver",),
            settle_s=_DAGSTER_SETTLE_S,
        ),
    )  # fmt: skip


def script(name: str) -> str:
    """Return the path of a program of this Python environment."""
    return str(Path(sys.executable).with_name(name))
