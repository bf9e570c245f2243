"""The command post's file is read whole, or refused with the line; its hours decide who is told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from orchestration.alerts.post import FILE, PostError, load_post
from orchestration.alerts.rulebook.registry import rules_in_force

WHOLE = """\
name: Poste
time_zone: Europe/Paris
holidays: FR
hours: {opens: "07:30", closes: "17:00", weekdays: [1, 2, 3, 4, 5]}
operators: 2
escalation: {open_channel: chef, closed_channel: astreinte, repeat: PT5M, most: 2}
directory:
  - {name: Astreinte, phone: "+33 3 87 00 00 00", email: astreinte@example.org, note: La nuit}
"""


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def write(folder: Path, text: str) -> Path:
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder


def test_without_its_own_file_an_instance_has_the_shipped_one_which_knows_whom_the_shipped_rules_call(tmp_path: Path) -> None:
    post = load_post(tmp_path)
    called = {step.call for rule in rules_in_force(tmp_path).values() for step in rule.procedure if step.call}
    assert called
    assert {name for name in called if post.contact(name) is None} == set()
    assert (post.operators, post.policy().most) == (2, 3)


def test_its_own_file_replaces_it(tmp_path: Path) -> None:
    post = load_post(write(tmp_path, WHOLE))
    assert post.name == "Poste"
    found = post.contact("astreinte")
    assert found is not None
    assert (found.phone, found.email, found.note) == ("+33 3 87 00 00 00", "astreinte@example.org", "La nuit")
    assert post.contact("Personne") is None


@pytest.mark.parametrize(
    ("at", "channel"),
    [
        ("2026-03-02T06:29:59", "astreinte"),  # Monday, 07:29:59 in winter
        ("2026-03-02T06:30:00", "chef"),
        ("2026-03-02T15:59:59", "chef"),
        ("2026-03-02T16:00:00", "astreinte"),  # 17:00
        ("2026-03-30T05:30:00", "chef"),  # Monday after the clocks changed: 07:30 in summer
        ("2026-03-28T10:00:00", "astreinte"),  # Saturday
        ("2026-05-01T10:00:00", "astreinte"),  # Labour Day, a Friday
    ],
)
def test_who_is_told_follows_the_hours_of_the_post(tmp_path: Path, at: str, channel: str) -> None:
    policy = load_post(write(tmp_path, WHOLE)).policy()
    assert policy.channel(utc(at)) == channel
    assert (policy.repeat, policy.most) == (dt.timedelta(minutes=5), 2)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("operators: 2", "operators: 0", 5, "operators"),
        ("operators: 2", "operatrs: 2", 5, "did you mean 'operators'"),
        ("Europe/Paris", "Europe/Pariss", 2, "time zone"),
        ("holidays: FR", "holidays: ZZ", 3, "public holidays"),
        ('"07:30"', '"25:30"', 4, "local time"),
        ('"07:30"', "7", 4, "local time"),
        ('closes: "17:00"', 'closes: "07:00"', 4, "before it opens"),
        ("[1, 2, 3, 4, 5]", "[0]", 4, "weekdays"),
        ("PT5M", "5", 6, "ISO 8601"),
        ("most: 2", "most: 2, twice: 1", 6, "unknown key 'twice'"),
        ("open_channel: chef", "open_channel: Le Chef", 6, "open_channel"),
        ("+33 3 87 00 00 00", "bientôt", 8, "phone"),
        ("  - {name", "  - {name: astreinte}\n  - {name", 1, "stands twice"),
        ("name: Poste", "name: {", 3, "YAML"),
    ],
)
def test_a_file_that_cannot_work_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in WHOLE
    with pytest.raises(PostError, match=r"command-post\.yaml") as refused:
        load_post(write(tmp_path, WHOLE.replace(old, new, 1)))
    assert said in str(refused.value)
    assert line in {p.line for p in refused.value.problems}
