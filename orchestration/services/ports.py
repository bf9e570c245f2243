"""Ports of a local instance: chosen once, kept so that restarts keep their addresses.

Here: finding a free port and remembering it in the home. Not here: who listens on it (`declared`).
"""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ingestion.errors import VigieError

LOOPBACK: Final = "127.0.0.1"

# Below the range from which systems draw the ports of outgoing connections (32768 on Linux, 49152 elsewhere), so that
# a chosen port is not taken by chance while its service is down; above the ports of well-known servers.
_FIRST: Final = 20_000
_LAST: Final = 32_000
# With thousands of free ports in the range, this many collisions mean that something else is wrong.
_ATTEMPTS: Final = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a stopped server that still linger do not make its port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def becomes_free(port: int, timeout_s: float = 5.0) -> bool:
    """Whether a server could listen on this port, now or as soon as the children of a killed server have noticed its death."""
    deadline = time.monotonic() + timeout_s
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def choose(taken: set[int] | None = None) -> int:
    """Return a port that is free now and not in `taken`.

    Raises:
        VigieError: no free port was found.
    """
    draw = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        port = draw.randint(_FIRST, _LAST)
        if port not in (taken or set()) and is_free(port):
            return port
    raise VigieError(f"no free port between {_FIRST} and {_LAST}", remedy="stop what listens there (ss -ltn)")


def state_file(home: Path) -> Path:
    """Where the chosen ports of a home are kept."""
    return home / "run" / "state" / "ports.json"


def read(home: Path) -> dict[str, int]:
    """Return the ports chosen so far, by service; empty before the first start.

    Raises:
        VigieError: the file is damaged.
    """
    path = state_file(home)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise VigieError(f"{path} is damaged", remedy=f"remove {path}: new ports are chosen at the next start") from None
    return {str(name): int(port) for name, port in document.items()}


def settle(home: Path, names: tuple[str, ...], configured: Mapping[str, int], *, replace: frozenset[str] = frozenset()) -> dict[str, int]:
    """Return a port for each name: the configured one, else the one kept from before, else a free one, kept from now on.

    Args:
        home: the instance's home.
        names: the services that need a port.
        configured: ports the operator fixed; they are not kept, the configuration stays their only place.
        replace: names whose kept port is to be given up, because something else has taken it.

    Raises:
        VigieError: no port is free, or the file of ports is damaged.
    """
    kept = {name: port for name, port in read(home).items() if name not in replace and name not in configured}
    taken = set(kept.values()) | set(configured.values())
    new = {}
    for name in names:
        if name not in configured and name not in kept:
            new[name] = choose(taken)
            taken.add(new[name])
    if new:
        _write(state_file(home), kept | new)
    return {name: configured.get(name) or (kept | new)[name] for name in names}


def _write(path: Path, ports: dict[str, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(ports, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
