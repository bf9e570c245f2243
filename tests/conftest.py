"""Fixtures that every kind of test shares: a home, and an instance with its PostgreSQL running.

Here: what more than one folder of tests needs. Not here: data of one test, which stands beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.services import postgres
from orchestration.settings import PREFIX, Settings, create_local

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def extension_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DuckDB's extensions, installed once for all workers: each copy would weigh 180 MB."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "duckdb-extensions"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, extension_directory: Path) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith((PREFIX, "DAGSTER_", "DBT_")) and name != "VIGIE_SHARED_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("VIGIE_EXTENSION_DIRECTORY", str(extension_directory))
    # Superset takes half a minute and a gigabyte: for the tests of dashboards alone.
    monkeypatch.setenv("VIGIE_DASHBOARDS", "off")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for a home that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def settings(home: Path) -> Settings:
    """A local instance's settings; nothing of it runs."""
    return create_local(home)


@pytest.fixture
def instance(settings: Settings) -> Iterator[Settings]:
    """A local instance of this test alone, with PostgreSQL running and its databases made (about a second)."""
    with postgres.running(settings):
        yield settings


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The public data sets used for developing; the test is skipped where they are absent."""
    path = Path(os.environ.get("VIGIE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"public data sets are not at {path} (set VIGIE_SHARED_DATA)")
    return path
