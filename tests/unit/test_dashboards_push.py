"""The record of a push: what it says, and what it no longer says after an upgrade."""

from __future__ import annotations

import json
from pathlib import Path

from dashboards.push import Record, scheme


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "pushed.json"
    record = Record("d", {"a": "1"}, {"analyste": "m"}, ("Pannes",))
    record.write(path)
    assert Record.read(path) == record
    assert Record.read(tmp_path / "none.json") == Record()
    path.write_text("{", encoding="utf-8")
    assert Record.read(path) == Record()


def test_after_an_upgrade_what_stands_is_not_known_and_passwords_still_are(tmp_path: Path) -> None:
    path = tmp_path / "pushed.json"
    Record("d", {"a": "1"}, {"analyste": "m"}, ("Pannes",)).write(path)
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "scheme": "0:former"}), encoding="utf-8")
    assert Record.read(path) == Record(marks={"analyste": "m"})
    assert scheme() != "0:former"
