"""Secrets: generated once, readable by their owner only, found by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingestion.errors import VigieError, WrongUse
from orchestration import secrets
from orchestration.settings import create_local

_ENSURE = """
import sys, pathlib
from orchestration.settings import create_local
sys.stdin.readline()
print(create_local(pathlib.Path(sys.argv[1])).postgres_password.get_secret_value())
"""


def test_generated_secrets_are_long_different_and_private(tmp_path: Path) -> None:
    found = secrets.ensure(tmp_path)
    values = {value.get_secret_value() for value in found.instance.values()}
    assert len(values) == len(secrets.GENERATED)
    assert min(len(value) for value in values) >= 43  # 32 bytes in base 64
    assert (tmp_path / "secrets.toml").stat().st_mode & 0o777 == 0o600
    assert not any(value in repr(found) for value in values)


def test_secrets_are_kept(tmp_path: Path) -> None:
    assert secrets.ensure(tmp_path) == secrets.ensure(tmp_path)


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-c", _ENSURE, str(home)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(6)]
    answers = set()
    for process in started:  # each has imported what it needs, and waits for its line
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        answers.add(process.communicate(timeout=60)[0].strip())
        assert process.returncode == 0
    assert answers == {secrets.load(home).instance["postgres_password"].get_secret_value()}
    assert [path.name for path in home.glob(".secrets-*")] == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    secrets.ensure(tmp_path)
    (tmp_path / "secrets.toml").chmod(mode)
    with pytest.raises(VigieError, match="can be read by others") as refused:
        secrets.load(tmp_path)
    assert "chmod 600" in (refused.value.remedy or "")


def test_a_secret_of_a_feed_is_found_in_the_file_then_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.ensure(tmp_path)
    with (tmp_path / "secrets.toml").open("a") as file:
        file.write('GRC_TOKEN = "from the file"\n')
    assert secrets.load(tmp_path).get("GRC_TOKEN").get_secret_value() == "from the file"
    monkeypatch.setenv("VIGIE_SECRET_GRC_TOKEN", "from the environment")
    assert secrets.load(tmp_path).get("GRC_TOKEN").get_secret_value() == "from the environment"


def test_a_missing_secret_says_how_to_set_it(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="the secret GRC_TOKEN is not set") as refused:
        secrets.ensure(tmp_path).get("GRC_TOKEN")
    assert "VIGIE_SECRET_GRC_TOKEN" in (refused.value.remedy or "")
    assert "secrets.toml" in (refused.value.remedy or "")


def test_an_empty_secret_is_missing(tmp_path: Path) -> None:
    secrets.ensure(tmp_path)
    with (tmp_path / "secrets.toml").open("a") as file:
        file.write('GRC_TOKEN = ""\n')
    with pytest.raises(WrongUse, match="not set"):
        secrets.load(tmp_path).get("GRC_TOKEN")


def test_a_secret_that_joins_later_is_added_and_the_rest_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    create_local(home)
    path = home / "secrets.toml"
    before = secrets.load(home).instance["postgres_password"]
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "reader" not in line) + '# mine\nX = "1"\n')
    after = create_local(home).secrets
    assert after.instance["postgres_password"] == before
    assert after.instance.keys() == set(secrets.GENERATED)
    assert after.get("X").get_secret_value() == "1"
    assert "# mine" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "message"),
    [("[instance", "is not valid TOML"), ("[typo]\n", "unknown table or key 'typo'"), ("[feeds]\nA = 1\n", "feeds.A is not text"),
     ("feeds = 3\n", r"\[feeds\] must be a table")],
)  # fmt: skip
def test_a_damaged_file_is_refused_without_its_content(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "secrets.toml"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(VigieError, match=message):
        secrets.load(tmp_path)
