"""What is wrong with this machine or instance, and the remedy of each.

Here: one small check per thing that has kept an instance from starting or working. Not here: the health of running
services in detail (`vigie status`). A check says what it found; it never mends.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import importlib.util
import locale
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg

from ingestion.errors import VigieError
from orchestration import secrets as instance_secrets
from orchestration.services import databases, nats_log, ports, postgres, postgres_cluster, processes
from orchestration.settings import INSTANCE_FILE, LOCAL_PORTS, Settings

_GB: Final = 1024**3
# A first instance takes 0.5 GB (PostgreSQL, extensions); a few years of a small command post's data take less than 5.
_FREE_DISK_GB: Final = 5
# Dagster's processes take 0.5 GB at rest, a build up to 2.
_MEMORY_GB: Final = 3.5
# A lake of a year opens one file per day and table, PostgreSQL and Dagster a few hundred more.
_OPEN_FILES: Final = 1024
_PYTHON: Final = (3, 11)
_EXTENSIONS: Final = ("ducklake", "postgres_scanner", "httpfs", "spatial")
# When this version was made: a clock before it is wrong.
_MADE_ON: Final = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
# What a device did wrong longer ago was corrected, or does it still.
_RECENT: Final = dt.timedelta(days=1)
# Between two machines that keep time; past this, instants received look as if they came from the future.
_CLOCK_TOLERANCE_S: Final = 60


@dataclass(frozen=True)
class Finding:
    """What one check found; the remedy is given when it is not fine."""

    name: str
    is_ok: bool
    found: str
    remedy: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as a part of the JSON document of `vigie doctor --json`."""
        return {"check": self.name, "ok": self.is_ok, "found": self.found, "remedy": self.remedy}


def examine(home: Path) -> list[Finding]:
    """Return what each check found: the machine's first, then the instance's if `home` holds one."""
    findings = [check() for check in (_python, _engine, _extensions, _postgres_binaries, _unprivileged_user, _open_files, _memory, _text)]
    findings += [_clock(), _writable(home), _disk(home)]
    if not (home / INSTANCE_FILE).exists() and os.environ.get("VIGIE_PROFILE") != "server":
        return [*findings, Finding("instance", True, f"none yet at {home}: `vigie up` makes one")]
    secret_file = home / instance_secrets.FILE_NAME
    if secret_file.exists():
        findings.append(_judged("secrets file", lambda: instance_secrets.check_mode(secret_file), "only its owner can read it"))
    try:
        settings = Settings.load(home)
    except VigieError as error:
        return [*findings, _failed("settings", error)]
    findings.append(Finding("settings", True, f"profile {settings.profile}"))
    return [*findings, *_instance(settings)]


def _instance(settings: Settings) -> Iterator[Finding]:
    if settings.dashboards == "on":
        yield _dashboards(settings)
    runs = settings.profile == "server" or postgres.supervised(settings) or postgres_cluster.postmaster(settings) is not None
    if settings.profile == "local":
        yield _leftovers(settings)
        if not postgres.supervised(settings):
            yield from _ports(settings)
    if not runs:
        yield Finding("PostgreSQL", True, "does not run; commands start it when they need it")
        return
    answer, why = databases.answer(settings)
    if answer != "yes":
        remedy = (
            "change VIGIE_POSTGRES_*"
            if settings.profile == "server"
            else f"read {settings.logs_path / 'postgres.log'}; vigie down, vigie up"
        )
        yield Finding("PostgreSQL", False, why, remedy)
        return
    yield Finding("PostgreSQL", True, f"answers at {settings.postgres_host}:{settings.postgres_port}")
    yield from _publications(settings)
    yield _database_clock(settings)
    yield _lake(settings)


def _dashboards(settings: Settings) -> Finding:
    """Superset's own environment, and the versions in it that must be of one kind with the lake's."""
    remedy = 'install it: make superset; or do without: dashboards = "off" in instance.toml'
    if not settings.superset_python.exists():
        return Finding("dashboards", False, f"Superset's environment is not at {settings.superset_python}", remedy)
    asked = "from importlib.metadata import version as v; print(v('apache-superset'), v('duckdb'))"
    try:
        # Ten seconds: Python alone starts in less than one, on a busy machine in a few.
        done = subprocess.run([settings.superset_python, "-c", asked], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("dashboards", False, str(error), remedy)
    if done.returncode != 0:
        return Finding("dashboards", False, f"Superset's environment is not whole: {done.stderr.strip().splitlines()[-1]}", remedy)
    superset, engine = done.stdout.split()
    wanted = importlib.metadata.version("duckdb")
    found = f"Superset {superset} reads the lake with DuckDB {engine} (the lake's: {wanted})"
    return _finding("dashboards", engine == wanted, found, remedy)


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    remedy = "make the environment anew with Python 3.11: rm -rf .venv, make up"
    return _finding("Python", sys.version_info[:2] == _PYTHON, found, remedy)


def _engine() -> Finding:
    """Packages that must be of one version with DuckDB."""
    remedy = "install the locked versions: make up"
    wanted = importlib.metadata.version("duckdb")
    others = ["duckdb_extensions", *(f"duckdb_extension_{name}" for name in _EXTENSIONS)]
    wrong = []
    for name in others:
        try:
            if (found := importlib.metadata.version(name)) != wanted:
                wrong.append(f"{name} is {found}")
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
    return _finding("DuckDB", not wrong, ", ".join([f"{wanted}", *wrong]), remedy)


def _extensions() -> Finding:
    """Extensions that load: of this processor and system, signed, whole."""
    import duckdb

    from ingestion.lake.session import open_engine

    with tempfile.TemporaryDirectory(prefix="vigie-doctor-") as folder:
        try:
            open_engine(Path(folder)).close()
        except (duckdb.Error, ImportError, OSError) as error:
            return Finding("DuckDB extensions", False, str(error).splitlines()[0], "reinstall the locked wheels for this machine: make up")
    return Finding("DuckDB extensions", True, "load without a network")


def _postgres_binaries() -> Finding:
    try:
        done = subprocess.run([postgres_cluster.binary("postgres"), "--version"], capture_output=True, text=True, timeout=30, check=True)
    except VigieError as error:
        return _failed("embedded PostgreSQL", error)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(
            "embedded PostgreSQL", False, str(error), "its wheel is for another system: use the server profile, or x86-64/ARM64 glibc"
        )
    return Finding("embedded PostgreSQL", True, done.stdout.strip())


def _unprivileged_user() -> Finding:
    if os.geteuid() != 0:
        return Finding("user", True, f"unprivileged (uid {os.geteuid()})")
    try:
        words = postgres_cluster.unprivileged(Path("/"))
        done = subprocess.run(
            [*words, postgres_cluster.binary("postgres"), "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except VigieError as error:
        return _failed("user", error)
    remedy = "run vigie as another user: this container gives root no right to change users"
    found = f"root; PostgreSQL runs as {postgres_cluster.server_user().pw_name}"
    return _finding("user", done.returncode == 0, found if done.returncode == 0 else done.stderr.strip(), remedy)


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _finding("open files", soft >= _OPEN_FILES, f"{soft} (hard limit {hard})", f"ulimit -n {_OPEN_FILES} or more before vigie up")


def _memory() -> Finding:
    total = psutil.virtual_memory().total / _GB
    return _finding(
        "memory", total >= _MEMORY_GB, f"{total:.1f} GB", f"give the machine {_MEMORY_GB} GB; duckdb_memory_limit bounds builds"
    )


def _text() -> Finding:
    found = locale.getpreferredencoding(do_setlocale=False)
    return _finding("text encoding", found.upper().replace("-", "") == "UTF8", found, "export LC_ALL=C.UTF-8: logs hold accents")


def _clock() -> Finding:
    now = dt.datetime.now(dt.UTC)
    remedy = "set the clock (timedatectl set-ntp true): landings are dated by it"
    return _finding("clock", now >= _MADE_ON, f"{now:%Y-%m-%d %H:%M} UTC", remedy)


def _writable(home: Path) -> Finding:
    folder = _existing(home)
    is_ok = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    found = f"{home} can be written" if is_ok else f"{folder} cannot be written"
    return _finding("home", is_ok, found, "choose another folder with --home")


def _disk(home: Path) -> Finding:
    free = shutil.disk_usage(_existing(home)).free / _GB
    return _finding("disk", free >= _FREE_DISK_GB, f"{free:.0f} GB free", f"free {_FREE_DISK_GB} GB: a full disk stops every landing")


def _leftovers(settings: Settings) -> Finding:
    if postgres.supervised(settings):
        return Finding("processes", True, "supervised")
    left = processes.marked(settings.home)
    stale = [name for name in ("run/supervisord.pid", "postgres/postmaster.pid") if (settings.home / name).exists()]
    if postgres_cluster.postmaster(settings) is not None:
        stale = [name for name in stale if "postmaster" not in name]
    if left or stale:
        found = ", ".join([*(f"{p.pid} still runs" for p in left), *(f"{name} is stale" for name in stale)])
        return Finding("processes", False, f"left by a killed instance: {found}", "vigie down, then vigie up")
    return Finding("processes", True, "none left over")


def _ports(settings: Settings) -> Iterator[Finding]:
    kept = ports.read(settings.home)
    own = postgres_cluster.postmaster(settings) is not None
    for name in LOCAL_PORTS:
        port = int(getattr(settings, f"{name}_port"))
        taken = not ports.is_free(port) and not (name == "postgres" and own)
        if taken and kept.get(name) == port:
            yield Finding(f"port of {name}", True, f"{port} is taken by something else: the next vigie up chooses another")
        else:
            remedy = f"stop what listens there (ss -ltnp), or change {name}_port in {settings.home / INSTANCE_FILE}"
            yield _finding(f"port of {name}", not taken, f"{port} is {'taken by something else' if taken else 'free'}", remedy)


def _database_clock(settings: Settings) -> Finding:
    with psycopg.connect(settings.database_url(databases.MAINTENANCE_DATABASE), connect_timeout=3) as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    skew = abs((row[0] - dt.datetime.now(dt.UTC)).total_seconds()) if row else 0.0
    remedy = "set both machines' clocks (timedatectl set-ntp true)"
    return _finding("clock of PostgreSQL", skew <= _CLOCK_TOLERANCE_S, f"{skew:.0f} s from this machine's", remedy)


def _lake(settings: Settings) -> Finding:
    from ingestion.lake.ledger import feed_totals

    try:
        feeds = feed_totals(settings.reader_lake)
    except VigieError as error:
        return _failed("lake", error)
    wrong = [name for name, totals in feeds.items() if not totals.balances]
    found = f"{len(feeds)} feeds" + (f"; records unaccounted for: {', '.join(wrong)}" if wrong else "")
    return _finding("lake", not wrong, found, "report it with the output of vigie status --json")


def _publications(settings: Settings) -> Iterator[Finding]:
    """What equipment sent and the broker does not let in: MQTT 3.1.1 has no word for it, so that a device takes it for stored."""
    log = settings.logs_path / "nats.log"
    if settings.profile == "local" and log.exists():
        refused, refused_users = nats_log.refusals(log, since=dt.datetime.now(dt.UTC) - _RECENT)
        worst = ", ".join(f"{client} to {topic} ({count} times)" for (client, topic), count in refused.most_common(3))
        remedy = "correct the device's topic, or the contract's topics (vigie feeds access FEED): what it sends is lost"
        yield _finding(
            "publications", not refused, f"refused in the last day: {worst}" if refused else "none refused in the last day", remedy
        )
        if refused_users:
            users = ", ".join(f"{user} ({count} times)" for user, count in refused_users.most_common(3))
            yield Finding(
                "users of the broker", False, f"refused: {users}", "give the device the feed's user and password: vigie feeds access FEED"
            )


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _finding(name: str, is_ok: bool, found: str, remedy: str) -> Finding:  # noqa: FBT001 - private, one way to call it
    return Finding(name, is_ok, found, None if is_ok else remedy)


def _judged(name: str, check: Callable[[], None], found: str) -> Finding:
    try:
        check()
    except VigieError as error:
        return _failed(name, error)
    return Finding(name, True, found)


def _failed(name: str, error: VigieError) -> Finding:
    return Finding(name, False, error.message, error.remedy)
