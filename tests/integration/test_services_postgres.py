"""The embedded PostgreSQL: private, unprivileged, shared by commands, undisturbed by killed ones."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from ingestion.errors import VigieError
from orchestration.services import databases, locks, ports, postgres, postgres_cluster, processes
from orchestration.settings import APP_DATABASE, DAGSTER_DATABASE, LAKE_DATABASE, PERSONAL_DATABASE, READER_ROLE, Settings, create_local

# Holds the instance's PostgreSQL until its standard input ends, and says when it has it.
_HOLDER = """
import pathlib, sys
from orchestration.services import postgres
from orchestration.settings import Settings
with postgres.running(Settings.load(pathlib.Path(sys.argv[1]))):
    print("holding", flush=True)
    sys.stdin.read()
"""


def _holder(settings: Settings) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(settings.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def _leave(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.fixture
def clean(settings: Settings) -> Iterator[Settings]:
    yield settings
    postgres.stop(settings)


def _reader_url(settings: Settings, database: str) -> str:
    password = settings.postgres_reader_password.get_secret_value()
    return f"postgresql://{READER_ROLE}:{password}@127.0.0.1:{settings.postgres_port}/{database}"


def test_it_answers_while_held_and_is_gone_after(settings: Settings) -> None:
    with postgres.running(settings):
        with psycopg.connect(settings.lake.catalogue_url) as connection:
            assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
            assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        process = postgres_cluster.postmaster(settings)
        assert process is not None
    assert not processes.is_alive(process)
    assert ports.is_free(settings.postgres_port)
    assert databases.answer(settings)[0] == "no"


def test_it_listens_on_loopback_only_and_needs_the_password(instance: Settings) -> None:
    process = postgres_cluster.postmaster(instance)
    assert process is not None
    listening = {(c.laddr.ip, c.laddr.port) for c in process.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN}
    assert listening == {("127.0.0.1", instance.postgres_port)}
    assert [c for c in process.net_connections(kind="unix") if c.laddr] == []
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://vigie:guess@127.0.0.1:{instance.postgres_port}/postgres")
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"postgresql://vigie@127.0.0.1:{instance.postgres_port}/postgres")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands over to another user")
def test_started_by_root_it_runs_unprivileged_even_below_a_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    settings = create_local(closed / "home")
    with postgres.running(settings):
        process = postgres_cluster.postmaster(settings)
        assert process is not None
        assert set(process.uids()) == {postgres_cluster.server_user().pw_uid}
        status = Path(f"/proc/{process.pid}/status").read_text()
        # CAP_DAC_READ_SEARCH is the third capability: nothing else of root's may be left.
        assert "CapEff:\t0000000000000004" in status


def test_no_secret_on_a_command_line(instance: Settings) -> None:
    process = postgres_cluster.postmaster(instance)
    assert process is not None
    assert instance.postgres_password.get_secret_value() not in " ".join(process.cmdline())
    assert instance.postgres_password.get_secret_value() not in (instance.logs_path / "postgres.log").read_text()


def test_the_reader_sees_the_lakes_catalogue_only(instance: Settings) -> None:
    with psycopg.connect(instance.database_url(LAKE_DATABASE), autocommit=True) as owner:
        owner.execute("CREATE TABLE lake.made_later (a int)")  # as DuckLake does while it runs
        owner.execute("CREATE SCHEMA other")
        owner.execute("CREATE TABLE other.hidden (a int)")
    with psycopg.connect(_reader_url(instance, LAKE_DATABASE), autocommit=True) as reader:
        assert reader.execute("SELECT count(*) FROM lake.made_later").fetchone() == (0,)
        assert reader.execute("SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user").fetchone() == (
            False,
        )
        reader.execute("SET default_transaction_read_only = off")  # what a query could do first
        for refused in (
            "INSERT INTO lake.made_later VALUES (1)",
            "SELECT * FROM other.hidden",
            "CREATE TABLE lake.mine (a int)",
            "CREATE TABLE public.mine (a int)",
            "CREATE TEMP TABLE mine (a int)",
            "SELECT pg_read_file('/etc/passwd')",
            "COPY lake.made_later TO '/tmp/leak'",
            "COPY lake.made_later TO PROGRAM 'cat'",
            "SELECT rolpassword FROM pg_authid",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(refused)
    for database in (PERSONAL_DATABASE, DAGSTER_DATABASE, APP_DATABASE, "postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(_reader_url(instance, database))


def test_preparing_again_changes_nothing_and_follows_a_new_password(instance: Settings) -> None:
    with psycopg.connect(instance.lake.catalogue_url, autocommit=True) as owner:
        owner.execute("CREATE TABLE lake.kept AS SELECT 1 AS a")
        owner.execute("ALTER ROLE vigie_reader PASSWORD 'changed by hand'")
    databases.prepare(instance)
    with psycopg.connect(instance.reader_lake.catalogue_url) as reader:
        assert reader.execute("SELECT a FROM lake.kept").fetchone() == (1,)


def test_two_commands_share_it_and_the_last_stops_it(clean: Settings) -> None:
    first, second = _holder(clean), _holder(clean)
    for process in (first, second):
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
    server = postgres_cluster.postmaster(clean)
    assert server is not None
    _leave(first)
    assert databases.answer(clean)[0] == "yes", "the other still needs it"
    _leave(second)
    assert not processes.is_alive(server)


def test_a_killed_command_does_not_block_the_next(clean: Settings) -> None:
    killed = _holder(clean)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "holding\n"
    killed.kill()
    killed.communicate(timeout=30)
    left = postgres_cluster.postmaster(clean)
    assert left is not None, "the server it started outlives it"
    with postgres.running(clean):
        assert postgres_cluster.postmaster(clean) == left
    assert not processes.is_alive(left)


def test_a_killed_server_does_not_block_the_next(clean: Settings) -> None:
    with postgres.running(clean):
        with psycopg.connect(clean.app_url.get_secret_value(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        server = postgres_cluster.postmaster(clean)
        assert server is not None
        server.send_signal(signal.SIGKILL)
    assert (clean.postgres_path / "postmaster.pid").exists()
    with postgres.running(clean), psycopg.connect(clean.app_url.get_secret_value()) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_recycled_process_id_is_not_taken_for_the_server(clean: Settings) -> None:
    with postgres.running(clean):
        pass
    bystander = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        (clean.postgres_path / "postmaster.pid").write_text(f"{bystander.pid}\n{clean.postgres_path}\n{int(time.time())}\n")
        assert postgres_cluster.postmaster(clean) is None
        postgres.stop(clean)
        with postgres.running(clean):
            assert databases.answer(clean)[0] == "yes"
        assert bystander.poll() is None, "another's process was ended"
    finally:
        bystander.communicate(timeout=10)


def test_a_killed_set_up_is_begun_again(clean: Settings) -> None:
    draft = clean.home / "postgres.draft"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    with postgres.running(clean):
        assert databases.answer(clean)[0] == "yes"
    assert not draft.exists()


def test_a_port_taken_by_something_else_is_said(clean: Settings) -> None:
    said = pytest.raises(VigieError, match=f"something else listens on port {clean.postgres_port}")
    with socket.create_server(("127.0.0.1", clean.postgres_port)), said, postgres.running(clean):
        pass
    assert not clean.postgres_path.exists()


def test_a_supervised_start_waits_for_commands_that_hold_it(clean: Settings) -> None:
    holder = _holder(clean)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    said = []

    def end_the_holder() -> None:
        said.append("waiting")
        assert holder.stdin is not None
        holder.stdin.close()

    with postgres.start_lock(clean):
        postgres.take_over(clean, end_the_holder)
        assert postgres_cluster.postmaster(clean) is None
    holder.wait(timeout=30)
    assert (said, holder.returncode) == (["waiting"], 0)


def test_a_deep_home_works(tmp_path: Path) -> None:
    settings = create_local(tmp_path / ("a very deep folder, à Châlons " * 5))
    assert len(str(settings.home).encode()) > 150
    with postgres.running(settings):
        assert databases.answer(settings)[0] == "yes"


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = "import sys, pathlib; from orchestration.services.locks import FileLock; l = FileLock(pathlib.Path(sys.argv[1])); "
    code += "print(l.try_acquire(), flush=True); sys.stdin.read()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert not locks.FileLock(path).try_acquire()
    process.kill()
    process.communicate(timeout=10)
    assert locks.FileLock(path).try_acquire()


def test_the_server_profile_only_checks_that_it_answers(instance: Settings) -> None:
    given = instance.model_copy(update={"profile": "server"})
    with postgres.running(given):
        pass
    assert databases.answer(instance)[0] == "yes", "a given server is not stopped"
    absent = given.model_copy(update={"postgres_port": ports.choose()})
    with pytest.raises(VigieError, match="does not answer"), postgres.running(absent):
        pass
