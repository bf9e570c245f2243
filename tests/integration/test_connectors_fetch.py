"""Which connector a feed's files come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ingestion.connectors import fetch
from ingestion.errors import WrongUse
from ingestion.feeds.model import Feed


def _feed(connector: dict[str, Any]) -> Feed:
    return Feed.model_validate(
        {
            "feed": "essai",
            "title": "Essai",
            "contract": "report",
            "domain": "GRC",
            "owner": {"name": "A"},
            "steward": {"name": "B"},
            "source": {"publisher": "C", "licence": "etalab-2.0"},
            "territory": {
                "code": "dijon", "name": "Dijon", "time_zone": "Europe/Paris", "holidays": "FR", "latitude": 47.3, "longitude": 5.0,
            },
            "time_zone": "Europe/Paris",
            "connector": connector,
            "fields": [{"name": "id"}, {"name": "at"}],
            "mapping": {"report_ref": "id", "opened_at": "at"},
        }
    )  # fmt: skip


def _no_secret(name: str) -> str:
    raise AssertionError(name)


def test_given_paths_stand_before_the_declared_source(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(name)
    declared = _feed({"type": "file", "path": str(tmp_path / "a.csv")})
    given = [str(tmp_path / "b.csv"), str(tmp_path / "a.csv")]
    for feed, paths, expected in (
        (declared, None, ["a.csv"]),
        (declared, given, ["b.csv", "a.csv"]),
        (_feed({"type": "rest", "base_url": "http://127.0.0.1:9", "path": "x"}), given, ["b.csv", "a.csv"]),
    ):
        found = list(fetch(feed, secrets=_no_secret, workdir=tmp_path, cursor=None, paths=paths))
        assert [f.path.name for f in found] == expected
        assert all(f.cursor is None for f in found)


def test_a_feed_without_a_path_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="feed essai: no path is declared"):
        list(fetch(_feed({"type": "file"}), secrets=_no_secret, workdir=tmp_path, cursor=None, paths=None))
