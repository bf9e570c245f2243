"""Where contracts are found, and which wins."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from ingestion.errors import WrongUse
from ingestion.feeds.load import ContractError
from ingestion.feeds.registry import EXAMPLES, find_feed, list_feeds, valid_feeds
from tests.contract.feeds_support import OBSERVATION, REPORT, write


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    own, shipped = tmp_path / "feeds", tmp_path / "examples"
    own.mkdir()
    shipped.mkdir()
    write(shipped, REPORT, "grc-essai.yaml")
    write(shipped, OBSERVATION, "capteurs.yaml")
    return own, shipped


def test_a_feed_is_found_by_name_or_by_path(folders: tuple[Path, Path], tmp_path: Path) -> None:
    own, shipped = folders
    assert find_feed("capteurs", own, examples=shipped).contract == "observation"
    elsewhere = write(tmp_path, REPORT, "any-name.yaml")
    assert find_feed(str(elsewhere), own, examples=shipped).feed == "grc-essai"


def test_an_unknown_name_gets_the_nearest_one(folders: tuple[Path, Path]) -> None:
    own, shipped = folders
    with pytest.raises(WrongUse, match="capteur") as caught:
        find_feed("capteur", own, examples=shipped)
    assert caught.value.remedy == "did you mean 'capteurs'?"
    with pytest.raises(WrongUse) as caught:
        find_feed("zzz", own, examples=shipped)
    assert "capteurs, grc-essai" in str(caught.value.remedy)
    with pytest.raises(WrongUse, match="no such contract"):
        find_feed("absent/x.yaml", own, examples=shipped)


def test_the_instance_s_own_contract_wins_and_says_so(folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    own, shipped = folders
    write(own, REPORT.replace("title: Essai", "title: Le mien"), "grc-essai.yaml")
    with caplog.at_level(logging.WARNING):
        assert find_feed("grc-essai", own, examples=shipped).title == "Le mien"
    assert str(own / "grc-essai.yaml") in caplog.text
    entries = {e.name: e for e in list_feeds(own, examples=shipped)}
    assert entries["grc-essai"].replaces == shipped / "grc-essai.yaml"
    assert not entries["grc-essai"].is_example
    assert entries["capteurs"].is_example
    assert list(entries) == ["capteurs", "grc-essai"]


def test_broken_contracts_are_listed_as_broken_and_hide_no_other(folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    own, shipped = folders
    write(own, REPORT.replace("title: Essai", "titel: Essai"), "casse.yaml")
    write(own, REPORT, "autre-nom.yaml")
    write(own, REPORT, "court.yml")
    (own / "notes.txt").write_text("no contract")
    (own / ".hidden.yaml").write_text("{")
    entries = {e.name: e for e in list_feeds(own, examples=shipped)}
    assert sorted(entries) == ["autre-nom", "capteurs", "casse", "court", "grc-essai"]
    assert {n for n, e in entries.items() if e.feed is None} == {"casse", "autre-nom", "court"}
    assert "rename it grc-essai.yaml" in str(entries["court"].error)
    with pytest.raises(ContractError, match=r"called autre-nom\.yaml"):
        find_feed("autre-nom", own, examples=shipped)
    with caplog.at_level(logging.ERROR):
        assert [f.feed for f in valid_feeds(own, examples=shipped)] == ["capteurs", "grc-essai"]
    assert "casse" in caplog.text


def test_an_instance_without_contracts_has_the_examples(tmp_path: Path) -> None:
    assert {e.path.parent for e in list_feeds(tmp_path / "none")} <= {EXAMPLES}


def test_every_shipped_contract_is_right(tmp_path: Path) -> None:
    broken = {e.name: str(e.error) for e in list_feeds(tmp_path / "none") if e.feed is None}
    assert broken == {}
