"""The dashboard server goes on with what was pushed before when a push fails, and ends when nothing ever was."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.errors import VigieError
from orchestration.services import supervisor
from orchestration.settings import Settings, create_local
from orchestration.superset import process
from orchestration.superset.dashboards import record_path


@pytest.fixture
def server() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when it is asked to, as the server does."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as started:
        yield started
        started.kill()


@pytest.mark.parametrize("has_earlier", [True, False])
def test_a_push_that_fails(
    settings: Settings, server: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str], *, has_earlier: bool
) -> None:
    if has_earlier:
        record_path(settings).write_text("{}", encoding="utf-8")
    process._push(settings, server)  # without dashboards every push is refused
    said = capsys.readouterr().err
    assert "error: this instance has no dashboards" in said
    assert ("goes on with what was pushed before" in said) == has_earlier
    if has_earlier:
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(0.5)
    else:
        assert server.wait(10) == -signal.SIGTERM


def test_an_instance_without_superset_s_environment_does_not_begin_to_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIE_DASHBOARDS", "on")
    monkeypatch.setenv("VIGIE_SUPERSET_PYTHON", "/nowhere/bin/python")
    settings = create_local(home)
    with pytest.raises(VigieError, match=r"/nowhere/bin/python is missing") as caught:
        supervisor.up(settings, lambda _: None)
    assert "make superset" in str(caught.value.remedy)
    assert not (home / "postgres").exists()
