"""SFTP: listing a folder or a glob, fetching files.

Here: the connection, with the server's key checked. Not here: the choice of connector (`files`).

Paramiko directly rather than through fsspec, whose SFTP accepts any server that answers, and would give it the password.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import glob
import io
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

import paramiko

from ingestion.connectors.model import SECRETS_REMEDY, Deadline, Fetched, FetchFailed, Limits, check_size, target_of
from ingestion.errors import WrongUse

_CHUNK: Final = 1 << 20
_PORT: Final = 22
_KEY_KINDS: Final = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


def fetch_sftp(path: str, access: dict[str, str], workdir: Path, limits: Limits) -> Iterator[Fetched]:
    """Yield the files that an `sftp://host/…` path, folder or glob names.

    Args:
        path: the address, without credentials.
        access: `username`, `host_key` (as `ssh-keyscan` prints it), and `password` or `private_key`.
        workdir: where files are put.
        limits: how much it may cost.

    Raises:
        WrongUse: nothing is there, or the secret is not complete.
        FetchFailed: the server is not the expected one, refuses, or fails.
    """
    parts = urlsplit(path)
    if parts.password or parts.username:
        raise WrongUse("an sftp:// address holds credentials", remedy="put username and password into the connector's secret")
    host, port = parts.hostname or "", parts.port or _PORT
    origin = f"sftp://{host}" + ("" if port == _PORT else f":{port}")
    deadline = Deadline(path, limits.seconds)
    with paramiko.SSHClient() as client:
        try:
            _connect(client, host, port, access, limits)
            with client.open_sftp() as session:
                channel = session.get_channel()
                if channel is not None:
                    channel.settimeout(limits.timeout_seconds)
                names = sorted(_names(session, parts.path))
                if not names:
                    raise WrongUse(f"{path}: there is no such file", remedy="check the path on the server")
                for index, name in enumerate(names):
                    target = target_of(workdir, index, name)
                    _get(session, name, target, f"{origin}{name}", limits, deadline)
                    yield Fetched(target, f"{origin}{name}")
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise FetchFailed(f"{origin}: {type(error).__name__}: {error}", remedy="check the address, the secret and the server") from None


def _connect(client: paramiko.SSHClient, host: str, port: int, access: dict[str, str], limits: Limits) -> None:
    known = _host_key(host, access)
    client.get_host_keys().add(host if port == _PORT else f"[{host}]:{port}", known.get_name(), known)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.connect(
        host,
        port,
        username=access.get("username"),
        password=access.get("password"),
        pkey=_private_key(host, access["private_key"]) if "private_key" in access else None,
        timeout=limits.timeout_seconds,
        banner_timeout=limits.timeout_seconds,
        auth_timeout=limits.timeout_seconds,
        allow_agent=False,  # only what the secret holds: never a key of whoever runs this
        look_for_keys=False,
    )


def _host_key(host: str, access: dict[str, str]) -> paramiko.PKey:
    kind, _, rest = access.get("host_key", "").strip().partition(" ")
    if not rest:
        raise WrongUse(
            f"sftp://{host}: the secret states no host_key, so the server could be anyone",
            remedy="add what `ssh-keyscan HOST` prints after the host's name, once checked with its operator",
        )
    try:
        return paramiko.PKey.from_type_string(kind, base64.b64decode(rest.split()[0]))
    except (paramiko.SSHException, binascii.Error, paramiko.UnknownKeyType) as error:
        raise WrongUse(f"sftp://{host}: host_key is not a public key", remedy="for instance: ssh-ed25519 AAAA…") from error


def _private_key(host: str, text: str) -> paramiko.PKey:
    for kind in _KEY_KINDS:
        try:
            return kind.from_private_key(io.StringIO(text))
        except (paramiko.SSHException, ValueError):
            continue
    raise WrongUse(f"sftp://{host}: private_key is none that can be read without a passphrase", remedy=SECRETS_REMEDY)


def _names(session: paramiko.SFTPClient, path: str) -> Iterator[str]:
    """Yield the regular files that a path, folder or glob names (not recursive; links are left out)."""
    base = _folder(path)
    if not stat.S_ISDIR(session.stat(base).st_mode or 0):
        yield base
        return
    pattern = path if glob.has_magic(path) else f"{path.rstrip('/')}/*"
    for entry in session.listdir_attr(base):
        name = f"{base.rstrip('/')}/{entry.filename}"
        if stat.S_ISREG(entry.st_mode or 0) and not entry.filename.startswith(".") and fnmatch.fnmatch(name, pattern):
            yield name


def _folder(pattern: str) -> str:
    """Return the part of a pattern before its first joker."""
    parts = PurePosixPath(pattern).parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), None)
    return pattern if fixed is None else str(PurePosixPath(*parts[:fixed]))


def _get(session: paramiko.SFTPClient, name: str, target: Path, origin: str, limits: Limits, deadline: Deadline) -> None:
    size = session.stat(name).st_size or 0
    check_size(origin, size, limits)
    got = 0
    with session.open(name, "rb") as remote, target.open("wb") as local:
        remote.prefetch(size)
        while chunk := remote.read(_CHUNK):
            deadline.check()
            got += len(chunk)
            check_size(origin, got, limits)
            local.write(chunk)
    if got < size:
        raise FetchFailed(f"{origin}: {got} bytes received of {size}", remedy="try again: the connection was cut, or it is being written")
