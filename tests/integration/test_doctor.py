"""The doctor finds what is wrong and says what to do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration import doctor
from orchestration.cli.main import main
from orchestration.services import postgres
from orchestration.services.prepare import prepare
from orchestration.settings import INSTANCE_FILE, Settings, create_local


def _finding(home: Path, name: str) -> doctor.Finding:
    return next(finding for finding in doctor.examine(home) if finding.name == name)


def test_a_machine_without_an_instance_is_examined(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--home", str(home)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] is True
    assert {"Python", "DuckDB", "DuckDB extensions", "embedded PostgreSQL", "user", "disk", "memory", "clock"} <= {
        c["check"] for c in found["checks"]
    }
    assert not home.exists()


def test_an_instance_that_runs_is_well(instance: Settings) -> None:
    prepare(instance)
    findings = doctor.examine(instance.home)
    assert [finding for finding in findings if not finding.is_ok] == []
    assert {"PostgreSQL", "lake", "clock of PostgreSQL"} <= {finding.name for finding in findings}


def test_every_problem_comes_with_its_remedy(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    (settings.home / "secrets.toml").chmod(0o644)
    assert main(["doctor", "--home", str(settings.home)]) == 1
    assert "chmod 600" in capsys.readouterr().out
    wrong = [finding for finding in doctor.examine(settings.home) if not finding.is_ok]
    assert [finding.name for finding in wrong] == ["secrets file", "settings"]
    assert all(finding.remedy for finding in wrong)


def test_a_wrong_setting_is_told(settings: Settings) -> None:
    with (settings.home / INSTANCE_FILE).open("a") as file:
        file.write("webserver_prot = 3000\n")
    finding = _finding(settings.home, "settings")
    assert not finding.is_ok
    assert "did you mean webserver_port?" in finding.found


def test_a_fixed_port_that_is_taken_is_told(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (settings.home / INSTANCE_FILE).open("a") as file:
            file.write(f"webserver_port = {port}\n")
        finding = _finding(settings.home, "port of webserver")
    assert not finding.is_ok
    assert str(port) in finding.found
    assert _finding(settings.home, "port of webserver").is_ok


def test_stale_files_of_a_killed_instance_are_told(settings: Settings) -> None:
    with postgres.running(settings):
        pass
    bystander = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        (settings.postgres_path / "postmaster.pid").write_text(f"{bystander.pid}\n")
        finding = _finding(settings.home, "processes")
    finally:
        bystander.communicate(timeout=10)
    assert not finding.is_ok
    assert "postgres/postmaster.pid is stale" in finding.found


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    finding = _finding(tmp_path / "file" / "home", "home")
    assert not finding.is_ok
    assert finding.remedy is not None


def test_a_broken_lake_is_told(instance: Settings) -> None:
    finding = _finding(instance.home, "lake")  # its databases exist, its tables do not
    assert not finding.is_ok
    assert instance.postgres_password.get_secret_value() not in finding.found
    assert create_local(instance.home) == instance
