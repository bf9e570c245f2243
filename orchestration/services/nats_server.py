"""The broker of an instance: its configuration kept up to date with the contracts, told to it, and its health.

Here: which feeds are let in, the file in the home, asking the broker to read it again, restarting one that ran out of disk once
there is room. Not here: what the file says (`nats_config`), its streams (`ingestion.stream.broker`), its life (`supervisor`).

Only contracts in the instance's own `feeds/` folder are let in: a shipped example opens no door by being shipped.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import shutil
import signal
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psutil

from ingestion.errors import VigieError
from orchestration import secrets as instance_secrets
from orchestration.services import locks, nats_config, processes
from orchestration.services.nats_config import ADMIN_USER, Listens, StreamUser
from orchestration.settings import Settings

# Of the disk that is free at the first start: the lake, which grows, is on the same one. It is kept: less, at a later start, could
# be less than what the streams were promised.
_DISK_SHARE: Final = 0.25
# Ten days of 34,000 lights; a lake that is not read for longer has an operator.
_MOST_BYTES: Final = 32 * 1024**3
_LEAST_BYTES: Final = 256 * 1024**2
# The container's own folder, of the broker's image.
_CONTAINER_STORE: Final = Path("/data")
# Where it sees the folder of its configuration (docker-compose.yml).
_CONTAINER_CONFIGURATION: Final = Path("/etc/vigie")
_CONTAINER_PORT: Final = 4222
# What a restart and some minutes of a large city need; with less, a restarted broker would stop again at once.
ROOM_BYTES: Final = 128 * 1024**2
_TIMEOUT_S: Final = 3.0
_LOCK_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True)
class Doors:
    """What the broker's configuration was made from.

    Attributes:
        signature: of the files it was made from, once the broker has taken it.
        max_bytes: what the streams may take of the disk.
        is_open: whether streams and durables stand, so that equipment may be let in.
        feeds: the feeds that are let in, and their topics.
        problems: contracts that are not let in, and why.
    """

    signature: str = ""
    max_bytes: int = 0
    is_open: bool = False
    feeds: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def configuration_file(settings: Settings) -> Path:
    """Where the broker's configuration stands. It holds passwords."""
    return settings.broker_path / "nats.conf"


def tls_folder(settings: Settings) -> Path | None:
    """Return where the certificate and key of the MQTT port are, if somebody put them there."""
    folder = settings.broker_path / "tls"
    return folder if (folder / nats_config.CERTIFICATE).exists() and (folder / nats_config.KEY).exists() else None


def mqtt_url(settings: Settings) -> str:
    """Return where equipment finds the broker."""
    return f"{'mqtt' if tls_folder(settings) is None else 'mqtts'}://{settings.broker_host}:{settings.mqtt_port}"


def doors(settings: Settings) -> Doors:
    """Return what the broker's configuration was last made from; nothing before the first time."""
    path = settings.broker_path / "doors.json"
    try:
        return Doors(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Doors()
    except (ValueError, TypeError):
        raise VigieError(f"{path} is damaged", remedy=f"remove {path}: it is made anew") from None


def refresh(settings: Settings, *, reload: bool = True, force: bool = False) -> bool:
    """Bring the broker's users, topics and passwords up to date with the contracts; cheap when none changed.

    Connections stay. A contract that cannot be let in leaves the others as they are and is told in `doors(settings).problems`.

    Args:
        settings: the instance.
        reload: whether a running broker is told; without, the file is written for one that starts.
        force: even if nothing seems to have changed.

    Returns:
        Whether anything was done.

    Raises:
        VigieError: the file cannot be written, or the running broker refuses it: the one before stands again.
    """
    if not force and doors(settings).signature == _signature(settings) and configuration_file(settings).exists():
        return False
    with locks.held(settings.run_path / "nats.lock", timeout_s=_LOCK_TIMEOUT_S, what="another command that configures the broker"):
        settings.broker_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = doors(settings)
        signature = _signature(settings)  # before reading: a contract that changes meanwhile is seen the next time
        wanted, problems = _contracts(settings, before)
        refused = nats_config.conflicts(wanted, first=before.feeds)
        feeds = {name: topics for name, topics in wanted.items() if name not in refused}
        with locks.held(settings.run_path / "setup.lock", timeout_s=_LOCK_TIMEOUT_S, what="another command that sets this instance up"):
            known = instance_secrets.load(settings.home).streams.keys()
            passwords = instance_secrets.ensure_streams(settings.home, feeds)
        if not known >= feeds.keys():
            signature = _signature(settings)  # the passwords that were just made are in it
        now = Doors(signature, before.max_bytes or _storage(settings), _is_open(settings, before), feeds, [*problems, *refused.values()])
        users = [StreamUser(name, passwords[name].get_secret_value(), tuple(topics)) for name, topics in feeds.items()]
        try:
            _apply(settings, _configuration(settings, now, users), reload=reload)
        except VigieError as error:
            told = replace(before, signature="", max_bytes=now.max_bytes, problems=[*now.problems, error.message])
            _write(settings.broker_path / "doors.json", json.dumps(vars(told), indent=2))
            raise
        # Without the broker's word, the next call tells it again.
        _write(settings.broker_path / "doors.json", json.dumps(vars(now if reload else replace(now, signature="")), indent=2))
    return True


def open_doors(settings: Settings) -> None:
    """Let equipment in: streams and durables stand now (`ingestion.stream.broker.ensure`).

    Raises:
        VigieError: as `refresh`.
    """
    before = doors(settings)
    if not before.is_open:
        _write(settings.broker_path / "doors.json", json.dumps(vars(replace(before, is_open=True)), indent=2))
        if settings.profile == "local":
            _opened(settings).touch()
    refresh(settings, force=True)


def health(settings: Settings) -> str | None:
    """Return what is wrong with the broker, in its own words; None when it is well."""
    connection = http.client.HTTPConnection(settings.broker_host, settings.nats_monitor_port, timeout=_TIMEOUT_S)
    with closing(connection):
        try:
            connection.request("GET", "/healthz")
            document = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"port {settings.nats_monitor_port}: {error}"
    return None if document.get("status") == "ok" else str(document.get("error") or document)


def heal(settings: Settings) -> str | None:
    """Restart a broker whose streams stopped at a full disk, once there is room; return what was done, None for nothing.

    The broker refuses to store from the first write that fails until it is started anew, even when there is room again; nothing
    that it acknowledged is lost by that. Local profile only: elsewhere its container is restarted (docs/streaming.md).
    """
    if settings.profile != "local" or (problem := health(settings)) is None or "write error" not in problem:
        return None
    free = shutil.disk_usage(settings.broker_path).free
    process = broker_process(settings)
    if free < ROOM_BYTES or process is None:
        return None
    processes.end([process], first=signal.SIGTERM)  # the supervisor starts it again at once
    return f"the broker was restarted: {problem}; {free // 1024**2} MiB are free now"


def broker_process(settings: Settings) -> psutil.Process | None:
    """Return this instance's broker, if it runs here."""
    return processes.recorded(settings.run_path / "nats.pid", argument=str(configuration_file(settings)))


def _contracts(settings: Settings, before: Doors) -> tuple[dict[str, list[str]], list[str]]:
    from ingestion.feeds.model_connector import StreamConnector  # noqa: PLC0415 - contracts are read when one changed, not at each start
    from ingestion.feeds.registry import list_feeds  # noqa: PLC0415 - the same

    found: dict[str, list[str]] = {}
    problems: list[str] = []
    for entry in list_feeds(settings.feeds_path, examples=settings.feeds_path / ".none"):
        if entry.feed is None:
            if entry.name in before.feeds:  # a slip in a contract must not cut equipment off
                found[entry.name] = before.feeds[entry.name]
            what = "keeps the access it had" if entry.name in before.feeds else "has no access"
            problems.append(f"feed {entry.name} {what}: its contract is broken (vigie feeds check {entry.name})")
        elif isinstance(entry.feed.connector, StreamConnector):
            found[entry.name] = entry.feed.connector.topics
    return found, problems


def _configuration(settings: Settings, now: Doors, users: list[StreamUser]) -> dict[str, Any]:
    is_local, tls = settings.profile == "local", tls_folder(settings)
    every = "0.0.0.0"  # noqa: S104 - a container's own network
    document = nats_config.configuration(
        store=_store(settings) if is_local else _CONTAINER_STORE,
        listens=Listens(settings.nats_port or _CONTAINER_PORT, settings.mqtt_port, settings.nats_monitor_port)
        if is_local
        else Listens(_CONTAINER_PORT, settings.mqtt_port, settings.nats_monitor_port, host=every, monitor_host=every),
        password=settings.nats_password.get_secret_value(),
        users=users if now.is_open else (),
        max_bytes=now.max_bytes,
        sync_interval=settings.stream_sync,
        tls=tls if tls is None or is_local else _CONTAINER_CONFIGURATION / tls.name,
    )
    return document | ({"pid_file": str(settings.run_path / "nats.pid")} if is_local else {})


def _apply(settings: Settings, document: dict[str, Any], *, reload: bool) -> None:
    path = configuration_file(settings)
    before = path.read_text(encoding="utf-8") if path.exists() else None
    _write(path, nats_config.text(document))
    if not reload or (settings.profile == "local" and broker_process(settings) is None):
        return
    try:
        asyncio.run(_reload(settings))
    except VigieError:
        if before is not None:
            _write(path, before)
        raise


async def _reload(settings: Settings) -> None:
    """Ask the broker to read its file again, and wait for its word."""
    from nats.errors import Error as NatsError  # noqa: PLC0415 - the client loads for those who need it

    from ingestion.stream import broker as streams  # noqa: PLC0415 - the same

    nc = await streams.connect(replace(settings.broker, user=ADMIN_USER), name="vigie-configuration", reconnects=False)
    try:
        server = json.loads((await nc.request("$SYS.REQ.SERVER.PING.IDZ", timeout=_TIMEOUT_S)).data)["id"]
        answer = json.loads((await nc.request(f"$SYS.REQ.SERVER.{server}.RELOAD", timeout=10 * _TIMEOUT_S)).data)
    except (OSError, NatsError) as error:
        raise VigieError(f"the broker does not take its configuration: {error}", remedy="vigie logs nats says why") from None
    finally:
        await nc.close()
    if "error" in answer:
        raise VigieError(
            f"the broker refuses its configuration: {answer['error'].get('description')}", remedy="correct the contract changed last"
        )


def _store(settings: Settings) -> Path:
    return settings.broker_path / "store"


def _opened(settings: Settings) -> Path:
    # In the store: who removes the store removes the durables too.
    return _store(settings) / "opened"


def _is_open(settings: Settings, before: Doors) -> bool:
    return before.is_open and (settings.profile != "local" or _opened(settings).exists())


def _storage(settings: Settings) -> int:
    return max(_LEAST_BYTES, min(_MOST_BYTES, int(shutil.disk_usage(settings.broker_path).free * _DISK_SHARE)))


def _signature(settings: Settings) -> str:
    """Return what changes with any file the configuration is made from."""
    files = [path for path in settings.feeds_path.glob("*.y*ml") if not path.name.startswith(".")] if settings.feeds_path.is_dir() else []
    parts: list[object] = [settings.nats_url, settings.mqtt_port, settings.nats_monitor_port, settings.stream_sync]
    tls = (settings.broker_path / "tls" / name for name in (nats_config.CERTIFICATE, nats_config.KEY))
    for path in [*sorted(files), settings.home / instance_secrets.FILE_NAME, *tls]:
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        parts += [path.name, found.st_mtime_ns, found.st_size, found.st_ino]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
