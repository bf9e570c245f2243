"""A rule that cannot work is refused before it is live, with the line and the reason; every shipped rule works."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

import pytest

from orchestration.alerts.drafting import Composer, message
from orchestration.alerts.lifecycle import instant
from orchestration.alerts.model import Alarm, Change, Priority
from orchestration.alerts.rulebook import reference
from orchestration.alerts.rulebook.load import RuleError, load_rule
from orchestration.alerts.rulebook.model import Threshold, priority_of
from orchestration.alerts.rulebook.registry import SHIPPED, list_rules, platform_rules, rules_in_force

GOOD: Final = """\
rule: trop-chaud
title: Trop chaud
message: "{asset} : {value} {unit}"
when: {type: threshold, property: air_temperature, above: 30, clear: 28, on_delay: PT10M}
consequence: moderate
respond_within: PT1H
"""


def _write(folder: Path, text: str, name: str = "trop-chaud") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_rule_is_read(tmp_path: Path) -> None:
    rule = load_rule(_write(tmp_path, GOOD))
    assert isinstance(rule.when, Threshold)
    assert (rule.when.above, rule.when.clear, rule.when.on_delay) == (30.0, 28.0, dt.timedelta(minutes=10))
    assert rule.priority is Priority.MEDIUM


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("clear: 28", "clear: 31", 4, "would end at once"),
        ("above: 30, clear: 28, ", "", 4, "neither above nor below"),
        ("above: 30, clear: 28", "above: 30, below: 40", 4, "every figure would raise"),
        ("{value}", "{valeur}", 3, "did you mean 'value'"),
        ("{value}", "{value", 3, "is no template"),
        ("threshold", "treshold", 4, "did you mean 'threshold'"),
        ("on_delay", "on_delai", 4, "did you mean 'on_delay'"),
        ("PT10M", "10", 4, "ISO 8601"),
        ("PT10M", "P3D", 4, "longer than two days"),
        ("moderate", "grave", 5, "is none of minor, moderate, major, severe"),
        ("PT1H", "PT0S", 6, "longer than nothing"),
        ("respond_within: PT1H", "respond_within: PT1H\nfault_type: lamp-oot", 7, "did you mean 'lamp-out'"),
        ("rule: trop-chaud", "rule: trop-froid", 1, "the file is called trop-chaud.yaml"),
        ("message:", "messages:", 3, "did you mean 'message'"),
        ("consequence: moderate\n", "", 1, "consequence: is required"),
        ("PT1H\n", "PT1H\nscope: {calendar: nuit}\n", 7, "is none of"),
        ("{type: threshold, property: air_temperature, above: 30, clear: 28, on_delay: PT10M}", "{type: report}", 4, "at every report"),
        (
            "{type: threshold, property: air_temperature, above: 30, clear: 28, on_delay: PT10M}",
            "{type: indicator, table: indicators.x, where: 'a = (select 1)', key: [a]}", 4, "a query of its own",
        ),
        (
            "{type: threshold, property: air_temperature, above: 30, clear: 28, on_delay: PT10M}",
            "{type: silence, expected_every: PT1H}", 1, "every equipment of the territory",
        ),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_work_is_refused_with_line_and_reason(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    path = _write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(RuleError, match=r".") as caught:
        load_rule(path)
    assert says in str(caught.value)
    assert line in {p.line for p in caught.value.problems}, str(caught.value)


def test_a_critical_rule_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="without a word of what to do"):
        load_rule(_write(tmp_path, GOOD.replace("moderate", "severe")))


def test_priority_follows_consequence_and_time() -> None:
    quarter, two_hours, day = dt.timedelta(minutes=15), dt.timedelta(hours=2), dt.timedelta(days=1)
    assert [priority_of("severe", d) for d in (quarter, two_hours, day)] == [1, 1, 2]
    assert [priority_of("major", d) for d in (quarter, two_hours, day)] == [2, 2, 3]
    assert [priority_of("moderate", d) for d in (quarter, two_hours, day)] == [2, 3, 4]
    assert [priority_of("minor", d) for d in (quarter, two_hours, day)] == [3, 4, 4]


def test_every_shipped_rule_works_and_few_are_critical() -> None:
    entries = list_rules(Path("nowhere"))
    assert [e.error for e in entries if e.error] == []
    assert len(entries) >= 40
    critical = [e.name for e in entries if e.rule is not None and e.rule.priority is Priority.CRITICAL]
    # EEMUA 191: about one alarm in twenty; these three put people in danger, or leave nobody watching.
    assert critical == ["carrefour-au-noir", "intrusion", "moteur-muet"]


def test_an_own_rule_takes_the_place_of_a_shipped_one_and_a_broken_one_stops_no_other(tmp_path: Path) -> None:
    _write(tmp_path, GOOD.replace("trop-chaud", "bac-plein") + "enabled: false\n", "bac-plein")
    _write(tmp_path, "rule: [", "cassee")
    entries = {e.name: e for e in list_rules(tmp_path)}
    assert entries["bac-plein"].is_shipped is False
    assert entries["cassee"].rule is None
    assert entries["cassee"].error is not None
    in_force = rules_in_force(tmp_path)
    assert "bac-plein" not in in_force
    assert "cassee" not in in_force
    assert len(in_force) == len(list(SHIPPED.glob("*.yaml"))) - 1


def test_while_an_own_copy_is_broken_the_shipped_rule_stays_in_force(tmp_path: Path) -> None:
    _write(tmp_path, "rule: [", "carrefour-muet")  # others name it in what they hide
    _write(tmp_path, GOOD.replace("trop-chaud", "bac-plein") + "hides: {rules: [nulle-part-*]}\n", "bac-plein")
    entries = {e.name: e for e in list_rules(tmp_path)}
    assert [e.name for e in entries.values() if e.error] == ["bac-plein", "carrefour-muet"]
    in_force = rules_in_force(tmp_path)
    for name in ("bac-plein", "carrefour-muet"):
        assert in_force[name] == load_rule(SHIPPED / f"{name}.yaml")


@pytest.mark.parametrize(
    ("name", "own", "error"),
    [
        ("regle-coupee", "enabled: false\n", "says that alarms are missing"),
        ("afflux", "enabled: false\n", "says that alarms are missing"),
        ("moteur-muet", "enabled: false\n", "says that alarms are missing"),
        ("regle-coupee", None, "must stay what it is"),
    ],
)
def test_what_says_that_alarms_are_missing_is_always_in_force(tmp_path: Path, name: str, own: str | None, error: str) -> None:
    shipped = (SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")
    _write(tmp_path, GOOD.replace("trop-chaud", name) if own is None else shipped + own, name)
    (entry,) = [e for e in list_rules(tmp_path) if e.name == name]
    assert entry.error is not None
    assert error in entry.error
    assert rules_in_force(tmp_path)[name] == load_rule(SHIPPED / f"{name}.yaml")


def test_a_late_source_may_be_watched_by_nobody_and_a_dead_engine_told_in_other_words(tmp_path: Path) -> None:
    _write(tmp_path, (SHIPPED / "source-en-retard.yaml").read_text(encoding="utf-8") + "enabled: false\n", "source-en-retard")
    shipped = (SHIPPED / "moteur-muet.yaml").read_text(encoding="utf-8")
    _write(tmp_path, shipped.replace("title: ", "title: Attention, "), "moteur-muet")
    in_force = rules_in_force(tmp_path)
    assert "source-en-retard" not in in_force
    assert in_force["moteur-muet"].title.startswith("Attention, ")


def test_the_platform_has_words_for_itself_whatever_rules_are_in_force() -> None:
    compose = Composer({}, {})
    for name in platform_rules():
        said = compose(Change(f"{name}|x", name, 0, is_active=True, since=0, details={"rule": "trop", "count": 3}))
        assert said.alarm.title
    with pytest.raises(KeyError):
        compose(Change("autre|x", "autre", 0, is_active=True, since=0))


def test_patterns_between_rules_must_match(tmp_path: Path) -> None:
    _write(tmp_path, GOOD + "hides: {rules: [lampe-*, lamp-*]}\n")
    (entry,) = [e for e in list_rules(tmp_path) if e.name == "trop-chaud"]
    assert entry.error is not None
    assert "'lamp-*' is the name of no rule" in entry.error


def test_a_message_is_filled_in_as_french_people_write(tmp_path: Path) -> None:
    rule = load_rule(_write(tmp_path, GOOD))
    at = instant(0)
    alarm = Alarm("k", rule.rule, rule.title, "", 3, at, at, at, at, asset_name="Mairie", value=1031.5, unit="Cel")
    assert message(rule, alarm) == "Mairie : 1\u202f031,5 °C"


def test_the_reference_page_is_up_to_date() -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    assert reference.with_reference(page) == page, "stale: run python -m orchestration.alerts.rulebook.reference"
    assert "| |" not in reference.reference()
