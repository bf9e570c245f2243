"""The supervisor process (supervisord): its generated configuration, and talking to it.

Here: what supervisord is told and what it says. Not here: in which order services start (`supervisor`).

It is controlled over HTTP on the loopback interface with a password of this start, because the path of a socket is
bounded to 107 bytes, which a deep home exceeds. The configuration holds only the password's hash.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import secrets
import shlex
import subprocess
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ingestion.errors import VigieError
from orchestration.services import ports, postgres, processes
from orchestration.services.declared import Service, script
from orchestration.settings import Settings

_USER: Final = "vigie"
# Supervisord answers at once, or while it forks a service.
_TIMEOUT_S: Final = 5.0
# The first at once, then after 1, 2, 3, 4 and 5 s: what fails for a quarter of a minute is not going to work by itself.
_START_RETRIES: Final = 5
_LOG_BYTES: Final = 10 * 1024 * 1024  # a few days of a talkative service; more is hard to open
_LOG_BACKUPS: Final = 5


@dataclass(frozen=True)
class ProcessState:
    """What supervisord says of one service: its state (`RUNNING`, `BACKOFF`, `FATAL`…), process id and start (epoch)."""

    name: str
    state: str
    pid: int | None
    started_at: float
    said: str


class Control:
    """The channel to the supervisor of one home."""

    def __init__(self, port: int, password: str) -> None:
        self._proxy = xmlrpc.client.ServerProxy(f"http://{ports.LOOPBACK}:{port}/RPC2", transport=_Transport(password))

    @classmethod
    def of(cls, settings: Settings) -> Control | None:
        """Return the channel to this home's supervisor if it runs and answers, else `None`."""
        if not postgres.supervised(settings):
            return None
        try:
            document = json.loads(_record(settings).read_text(encoding="utf-8"))
            control = cls(document["port"], document["password"])
            control._call("getState")
        except (OSError, ValueError, KeyError, VigieError):
            return None
        return control

    def states(self) -> dict[str, ProcessState]:
        """Return what the supervisor knows of each service, by name.

        Raises:
            VigieError: the supervisor does not answer any more.
        """
        rows: Any = self._call("getAllProcessInfo")
        return {
            row["name"]: ProcessState(row["name"], row["statename"], row["pid"] or None, row["start"], row["spawnerr"] or "")
            for row in rows
        }

    def start(self, name: str) -> None:
        """Ask for a service to be started, without waiting for it.

        Raises:
            VigieError: the supervisor refuses or does not answer.
        """
        self._call("startProcess", name, False)

    def _call(self, method: str, *arguments: str | bool) -> object:
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise VigieError(f"the supervisor refuses {method} {arguments}: {fault.faultString}") from None
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise VigieError(f"the supervisor does not answer: {error}", remedy="vigie down, then vigie up") from None
        finally:
            self._proxy("close")()


class _Transport(xmlrpc.client.Transport):
    """HTTP with a timeout and the supervisor's password."""

    def __init__(self, password: str) -> None:
        token = base64.b64encode(f"{_USER}:{password}".encode()).decode()
        super().__init__(headers=[("Authorization", f"Basic {token}")])

    def make_connection(self, host: xmlrpc.client._HostType) -> http.client.HTTPConnection:
        """Return a connection that gives up after a few seconds."""
        connection = super().make_connection(host)
        connection.timeout = _TIMEOUT_S
        return connection


def launch(settings: Settings, services: Iterable[Service]) -> tuple[subprocess.Popen[bytes], Control]:
    """Write supervisord's configuration and start it in a session of its own, with no service running yet."""
    port, password = ports.choose({service.port for service in services if service.port}), secrets.token_urlsafe(32)
    _write_private(_record(settings), json.dumps({"port": port, "password": password}))
    path = postgres.supervisor_configuration(settings)
    _write_private(path, configuration(settings, services, port, password))
    environment = os.environ | settings.environment() | {processes.MARK: str(settings.home), "PYTHONUTF8": "1", "NO_COLOR": "1"}
    with (settings.logs_path / "supervisor.out").open("wb") as output:
        process = subprocess.Popen(
            [script("supervisord"), "--nodaemon", "--configuration", str(path)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd="/", env=environment,
        )  # fmt: skip
    return process, Control(port, password)


def configuration(settings: Settings, services: Iterable[Service], port: int, password: str) -> str:
    """Return supervisord's configuration. Secrets are not in it: services read them from the home or its environment."""
    logs, run = settings.logs_path, settings.run_path
    sections: dict[str, dict[str, object]] = {
        "supervisord": {
            "nodaemon": "true",
            "silent": "true",
            "logfile": logs / "supervisor.log",
            "logfile_maxbytes": _LOG_BYTES,
            "logfile_backups": 1,
            "pidfile": run / "supervisord.pid",
            "identifier": "vigie",
            "strip_ansi": "true",
            # Said, so that supervisord does not warn of it: PostgreSQL drops to an unprivileged user by itself.
            **({"user": "root"} if os.geteuid() == 0 else {}),
        },
        "inet_http_server": {
            "port": f"{ports.LOOPBACK}:{port}",
            "username": _USER,
            "password": "{SHA}" + hashlib.sha1(password.encode()).hexdigest(),  # noqa: S324 - supervisord's only hash; 256 random bits
        },
        "rpcinterface:supervisor": {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
    }
    for order, service in enumerate(services):
        sections[f"program:{service.name}"] = {
            "command": shlex.join(service.command),
            "environment": ",".join(f"{name}={_quoted(value)}" for name, value in service.environment.items()),
            "directory": settings.home,
            "priority": order + 1,
            "autostart": "false",
            "autorestart": "true",
            "startsecs": service.settle_s,
            "startretries": _START_RETRIES,
            "stopsignal": service.stop_signal.name.removeprefix("SIG"),
            "stopwaitsecs": service.stop_timeout_s,
            "stopasgroup": str(service.stops_as_group).lower(),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": log_file(settings, service.name),
            "stdout_logfile_maxbytes": _LOG_BYTES,
            "stdout_logfile_backups": _LOG_BACKUPS,
        }
    return "\n".join(
        f"[{title}]\n" + "".join(f"{key} = {_escaped(str(value))}\n" for key, value in entries.items() if str(value))
        for title, entries in sections.items()
    )


def log_file(settings: Settings, service: str) -> Path:
    """Where a service's output goes."""
    return settings.logs_path / f"{service}.log"


def forget(settings: Settings) -> None:
    """Remove what a stopped supervisor left in the home."""
    for path in (_record(settings), postgres.supervisor_configuration(settings), settings.run_path / "supervisord.pid"):
        path.unlink(missing_ok=True)


def _record(settings: Settings) -> Path:
    return settings.run_path / "control.json"


def _write_private(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _escaped(value: str) -> str:
    if "\n" in value or " ;" in value or "\t;" in value:
        raise VigieError(f"{value!r} cannot stand in supervisord's configuration", remedy="choose a home without ' ;' or line ends")
    return value.replace("%", "%%")


def _quoted(value: str) -> str:
    if '"' in value or "\\" in value:
        raise VigieError(f"{value!r} cannot be given to a service as a variable")
    return f'"{value}"'
