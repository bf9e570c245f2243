"""Drafting from a file of messages: the format is recognised, and what is only a table stays one."""

from __future__ import annotations

import gzip
import importlib
import zipfile
from pathlib import Path

import duckdb
import pytest

from ingestion.feeds.draft import draft_feed
from ingestion.feeds.draft_mapping import TO_COMPLETE
from ingestion.feeds.draft_wire import wire_file
from ingestion.formats.registry import FORMATS


def _whole(name: str) -> list[bytes]:
    corpus = importlib.import_module(f"tests.unit.wire_corpus.{name.replace('-', '_')}")
    found: list[bytes] = corpus.GOOD
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_each_format_is_recognised(name: str, tmp_path: Path) -> None:
    recognised = 0
    for number, payload in enumerate(_whole(name)):
        path = tmp_path / f"message-{number}"
        path.write_bytes(payload)
        found = wire_file(path)
        # A message that says what it is only in its topic cannot be told from its file; it must not be taken for another format.
        assert found is None or found.format == name, payload[:300]
        recognised += found is not None
    assert recognised


def test_messages_in_a_packed_file_are_recognised(tmp_path: Path) -> None:
    payload = _whole("cap")[0]
    packed = tmp_path / "warnings.zip"
    with zipfile.ZipFile(packed, "w") as out:
        out.writestr("one.cap", payload)
    assert (found := wire_file(packed)) is not None
    assert found.format == "cap"
    packed = tmp_path / "lights.ndjson.gz"
    packed.write_bytes(gzip.compress(b"\n".join(_whole("ngsi"))))
    assert (found := wire_file(packed)) is not None
    assert (found.format, found.records) == ("ngsi", 5)


@pytest.mark.parametrize(
    "content",
    [
        b"id;value\n1;2\n",
        b'[{"id": 1, "value": 2.5}, {"id": 2, "value": 3}]',
        b'{"results": [{"station": "Foch", "free": 12}]}',
        b"",
        b"<html><body>Log in</body></html>",
        b"<kml><Placemark/></kml>",
    ],
)
def test_what_is_no_message_is_not_taken_for_one(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert wire_file(path) is None


def test_the_draft_says_what_the_format_is_and_what_is_left_to_say(tmp_path: Path) -> None:
    path = tmp_path / "eclairage.json"
    path.write_bytes(_whole("ngsi")[0])
    with duckdb.connect() as con:
        draft = draft_feed(path, con, zone="Europe/Paris")
    assert draft.name == "eclairage"
    assert "format: {type: ngsi}" in draft.text
    assert "contract: observation" in draft.text
    assert "activePower" in draft.text
    assert TO_COMPLETE in draft.text
    assert "mapping:" not in draft.text


def test_personal_members_of_a_format_are_named_in_its_draft(tmp_path: Path) -> None:
    path = tmp_path / "demandes.json"
    path.write_bytes(_whole("open311")[0])
    with duckdb.connect() as con:
        draft = draft_feed(path, con)
    assert "contract: report" in draft.text
    for member in FORMATS["open311"].personal:
        assert member in draft.text
