"""A contract given by its path joins the instance's own: what is built downstream looks for it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.errors import WrongUse
from ingestion.feeds.registry import EXAMPLES
from orchestration.ingest import kept_contract
from orchestration.settings import Settings


def test_a_contract_given_by_path_is_kept_and_another_of_its_name_refused(settings: Settings, tmp_path: Path) -> None:
    """The same file twice is one contract; a different one of the same name must not take its place silently."""
    given = tmp_path / "elsewhere" / "i94-traffic.yaml"
    given.parent.mkdir()
    given.write_bytes((EXAMPLES / "i94-traffic.yaml").read_bytes())

    assert kept_contract(settings, str(given)).feed == "i94-traffic"
    assert kept_contract(settings, str(given)).feed == "i94-traffic"
    assert (settings.feeds_path / "i94-traffic.yaml").read_bytes() == given.read_bytes()

    given.write_text(given.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    with pytest.raises(WrongUse, match="another contract for feed i94-traffic"):
        kept_contract(settings, str(given))


def test_a_shipped_example_stays_where_it_is(settings: Settings) -> None:
    """An example is used in place: copying it would freeze it at this version."""
    assert kept_contract(settings, "sf-311").feed == "sf-311"
    assert not (settings.feeds_path / "sf-311.yaml").exists()
