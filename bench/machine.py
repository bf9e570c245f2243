"""What the benchmarks share: a scratch instance, the machine's description, a process measured apart.

Here: nothing that is measured.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingestion.lake.tables import create_lake, create_personal_lake
from orchestration.services import databases, postgres_cluster
from orchestration.settings import Settings, create_local


@contextlib.contextmanager
def instance(*options: str) -> Iterator[tuple[Settings, Path]]:
    """Make a scratch instance in a temporary folder, with its PostgreSQL running; everything is removed afterwards.

    Args:
        options: PostgreSQL settings (`shared_buffers=2GB`) on top of the product's own.
    """
    with tempfile.TemporaryDirectory(prefix="vigie-bench-") as folder:
        settings = create_local(Path(folder) / "home")
        postgres_cluster.create(settings)
        extra = [word for option in options for word in ("-c", option)]
        log = (settings.logs_path / "postgres.log").open("ab")
        server = subprocess.Popen(
            postgres_cluster.command(settings) + extra, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd="/"
        )
        try:
            deadline = time.monotonic() + 60
            while databases.answer(settings)[0] != "yes":
                if time.monotonic() > deadline or server.poll() is not None:
                    raise RuntimeError((settings.logs_path / "postgres.log").read_text()[-2000:])
                time.sleep(0.1)
            databases.prepare(settings)
            create_lake(settings.lake)
            create_personal_lake(settings.personal_lake)
            yield settings, Path(folder)
        finally:
            log.close()
            server.send_signal(2)  # SIGINT: a fast shutdown
            server.wait(60)


def apart(module: str, *arguments: str) -> dict[str, Any]:
    """Run `python -m module arguments` and return the JSON of its last line, with its peak memory."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peak_memory_mb() -> float:
    """Return this process's greatest resident memory so far (VmHWM), in MB."""
    with Path("/proc/self/status").open(encoding="utf-8") as status:
        kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return kib * 1024 / 1e6


def description() -> dict[str, str]:
    """Return what the results depend on."""
    model = platform.processor()
    with contextlib.suppress(OSError, StopIteration), Path("/proc/cpuinfo").open(encoding="utf-8") as info:
        model = next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("duckdb", "pyarrow", "psycopg"))
    return {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{model}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": f"{versions}, PostgreSQL {_postgres_version()}",
    }


def _postgres_version() -> str:
    done = subprocess.run([str(postgres_cluster.binary("postgres")), "--version"], check=True, capture_output=True, text=True)
    return done.stdout.split()[-1]
