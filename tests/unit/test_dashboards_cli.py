"""`vigie dashboards` without a server: what is wrong, what to do next, and the exit code."""

from __future__ import annotations

import io
import json
import re

import pytest

from orchestration.cli.main import main
from orchestration.settings import Settings


def _vigie(settings: Settings, *words: str) -> int:
    return main(["--home", str(settings.home), "dashboards", *words])


def test_the_sheets_are_listed(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert _vigie(settings, "list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {"code", "title", "panels", "roles", "by_authority", "url"} == found[0].keys()
    assert found[0]["url"] == f"{settings.superset_url}/superset/dashboard/{found[0]['code']}/"


def test_a_server_that_does_not_run_is_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIGIE_DASHBOARDS", "on")
    for words in (["people", "list"], ["people", "remove", "x"], ["people", "password", "x"]):
        assert _vigie(settings, *words) == 1
        assert "does not answer" in (said := capsys.readouterr().err)
        assert "up" in said


def test_an_instance_without_dashboards_says_so(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert _vigie(settings, "people", "list") == 2
    assert 'dashboards = "on"' in capsys.readouterr().err


def test_whom_the_secrets_let_in_is_kept_out_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIGIE_DASHBOARDS", "on")
    assert _vigie(settings, "people", "remove", "visiteur") == 2
    assert 'visiteur = ""' in capsys.readouterr().err
    path = settings.home / "secrets.toml"
    path.write_text(re.sub(r'(?m)^visiteur = ".*"$', 'visiteur = ""', path.read_text(encoding="utf-8")), encoding="utf-8")
    assert _vigie(settings, "people", "remove", "visiteur") == 1, "now it is the server's affair, and none runs"
    assert "does not answer" in capsys.readouterr().err


def test_a_mistyped_role_gets_the_nearest(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert _vigie(settings, "people", "add", "a.b", "--role", "analist") == 2
    assert "'analyste'" in capsys.readouterr().err


def test_no_password_on_standard_input_is_wrong_use(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert _vigie(settings, "people", "password", "a.b", "--stdin") == 2
    assert "no password" in capsys.readouterr().err
