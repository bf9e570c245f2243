"""The dashboard server goes on with what was pushed before when a push fails, and ends when nothing ever was."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from orchestration.settings import Settings
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
