"""`vigie feeds` from end to end, as an integrator meets it: add, fill in, check, list. No server runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from orchestration.cli.main import main

# Five records: two right, one the same as the first, one without reference, one with an impossible date.
PANNES = """\
N° DEMANDE;OUVERT LE;CLOS LE;TYPE;RUE;NOM
D-1;15/01/2026 08:12;16/01/2026 17:30;Lampe éteinte;Rue Haute;Martin
D-2;17/07/2026 21:40;;Armoire hors service;Rue Basse;Petit
D-1;15/01/2026 08:12;16/01/2026 17:30;Lampe éteinte;Rue Haute;Martin
;18/01/2026 07:00;;Lampe éteinte;Rue Basse;Durand
D-4;31/02/2026 07:00;;Lampe éteinte;Rue Basse;Leroy
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "pannes.csv"
    path.write_bytes(PANNES.encode("cp1252"))
    return path


def vigie(home: Path, *words: str | Path) -> int:
    return main(["--home", str(home), *map(str, words)])


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def fill_in(path: Path) -> None:
    values = {
        "title": "Pannes",
        "publisher": "Ville",
        "licence": "internal",
        "code": "ville",
        "name": "Ville",
        "latitude": "48",
        "longitude": "2",
    }
    text = re.sub(r"(\w+): TO COMPLETE", lambda m: f"{m[1]}: {values[m[1]]}", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")


def test_add_fill_in_check_list(home: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contract = home / "feeds" / "pannes.yaml"
    assert vigie(home, "feeds", "add", source, "--zone", "Europe/Paris", "--owner", "Service éclairage") == 0
    said = capsys.readouterr().out
    assert f"Drafted {contract}" in said
    # What is printed can be pasted: it names the home that this call named.
    assert f"vigie --home {home} feeds check pannes {source}" in said

    assert vigie(home, "feeds", "check", "pannes", source) == 2
    refused = capsys.readouterr()
    assert "source.licence: to be filled in" in refused.err
    assert refused.out == ""

    fill_in(contract)
    assert vigie(home, "feeds", "check", "pannes", source, "--json") == 0
    checked = document(capsys)
    (preview,) = checked["previews"]
    assert (checked["valid"], checked["feed"]) == (True, "pannes")
    assert (preview["received"], preview["stored"], preview["duplicate"], preview["rejected"]) == (5, 2, 1, 2)
    assert preview["reasons"] == {"missing": 1, "not_an_instant": 1}
    # 8:12 in Paris is 7:12 UTC in winter, 21:40 is 19:40 in summer.
    assert sorted((r["report_ref"], r["opened_at"]) for r in preview["rows"]) == [
        ("D-1", "2026-01-15 07:12:00+00:00"),
        ("D-2", "2026-07-17 19:40:00+00:00"),
    ]
    assert [(r["position"], r["reason"]) for r in preview["rejects"]] == [(4, "missing"), (5, "not_an_instant")]
    assert "31/02/2026" in preview["rejects"][1]["original"]
    assert "Leroy" not in json.dumps(preview)

    assert vigie(home, "feeds", "list", "--json") == 0
    (listed,) = [f for f in json.loads(capsys.readouterr().out) if f["feed"] == "pannes"]
    assert (listed["contract"], listed["territory"], listed["owner"], listed["file"]) == (
        "report",
        "ville",
        "Service éclairage",
        str(contract),
    )


def test_the_name_of_a_shipped_example_is_refused(home: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vigie(home, "feeds", "add", source, "--name", "sf-311") == 2
    said = capsys.readouterr().err
    assert "sf-311.yaml" in said
    assert f"vigie --home {home} feeds check sf-311 {source}" in said
    assert f"vigie --home {home} feeds add {source} --name my-sf-311" in said
    assert not (home / "feeds" / "sf-311.yaml").exists()
    assert vigie(home, "feeds", "add", source, "--name", "sf-311", "--force") == 0


def test_two_contracts_that_differ_on_their_territory_are_told_side_by_side(
    home: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("un", "deux"):
        assert vigie(home, "feeds", "add", source, "--name", name, "--zone", "Europe/Paris", "--owner", "x") == 0
        fill_in(home / "feeds" / f"{name}.yaml")
    second = home / "feeds" / "deux.yaml"
    assert vigie(home, "feeds", "check", "un", source) == 0
    second.write_text(second.read_text(encoding="utf-8").replace("latitude: 48", "latitude: 49"), encoding="utf-8")
    capsys.readouterr()
    assert vigie(home, "feeds", "check", "un", source) == 2
    said = capsys.readouterr().err
    line = second.read_text(encoding="utf-8").split("\n").index(next(x for x in second.read_text().split("\n") if "latitude" in x)) + 1
    assert f"48.0  ({home}/feeds/un.yaml:{line})" in said
    assert f"49.0  ({second}:{line})" in said


def test_an_unknown_fault_type_is_told_with_its_line(home: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vigie(home, "feeds", "add", source, "--zone", "Europe/Paris", "--owner", "x") == 0
    contract = home / "feeds" / "pannes.yaml"
    fill_in(contract)
    with contract.open("a", encoding="utf-8") as file:
        file.write('indicators:\n  faults:\n    - {category: "lampe*", fault_type: lamp-oot}\n')
    capsys.readouterr()
    assert vigie(home, "feeds", "check", "pannes", source) == 2
    said = capsys.readouterr().err
    lines = len(contract.read_text(encoding="utf-8").splitlines())
    assert f"pannes.yaml:{lines}: indicators.faults[1].fault_type: 'lamp-oot' is no fault type" in said
    assert "did you mean 'lamp-out'?" in said


def test_the_shipped_examples_name_known_faults(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vigie(home, "feeds", "list", "--json") == 0
    names = [f["feed"] for f in json.loads(capsys.readouterr().out)]
    assert len(names) > 15
    for name in names:
        assert vigie(home, "feeds", "check", name, "--json") == 0


def test_units_are_told_and_records_are_shown_whole(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contract, file = tmp_path / "banc.yaml", tmp_path / "banc.csv"
    contract.write_text(
        "feed: banc\ntitle: Banc\ncontract: observation\ndomain: PAT\nowner: {name: x}\nsteward: {name: x}\n"
        "source: {publisher: x, licence: internal}\ntime_zone: UTC\n"
        "territory: {code: x, name: x, time_zone: UTC, holidays: FR, latitude: 1, longitude: 1}\n"
        "fields: [{name: ts, type: datetime}, {name: a, type: number}, {name: b, type: number}, {name: c, type: number}]\n"
        "mapping: {asset_ref: {constant: banc}, observed_at: ts}\n"
        'measures: [{column: a, property: a, unit: g}, {column: b, property: b, unit: "[g]"}, {column: c, property: c, unit: bar}]\n',
        encoding="utf-8",
    )
    file.write_text("ts,a,b,c\n" + "".join(f"2026-01-0{i} 00:00:00,1,2,3\n" for i in range(1, 6)), encoding="utf-8")
    assert vigie(home, "feeds", "check", contract, file, "--limit", "2") == 0
    said = [" ".join(line.split()) for line in capsys.readouterr().out.split("\n")]
    assert {"a a g mass kg", "b b [g] acceleration m/s2", "c c bar pressure Pa"} <= set(said)
    assert any("the 6 rows of the first 2 records" in line for line in said)
    assert vigie(home, "feeds", "check", contract, file, "--limit", "2", "--json") == 0
    (preview,) = document(capsys)["previews"]
    assert sorted(r["position"] for r in preview["rows"]) == [1, 1, 1, 2, 2, 2]


def test_a_draft_is_not_overwritten_unless_forced(home: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vigie(home, "feeds", "add", source) == 0
    contract = home / "feeds" / "pannes.yaml"
    contract.write_text("mine", encoding="utf-8")
    assert vigie(home, "feeds", "add", source) == 2
    assert "already there" in capsys.readouterr().err
    assert contract.read_text(encoding="utf-8") == "mine"
    assert vigie(home, "feeds", "add", source, "--force") == 0
    assert "feed: pannes" in contract.read_text(encoding="utf-8")


def test_a_territory_is_taken_from_another_feed(home: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vigie(home, "feeds", "add", source, "--zone", "Europe/Paris", "--owner", "x", "--territory", "ville") == 0
    fill_in(home / "feeds" / "pannes.yaml")
    capsys.readouterr()
    assert vigie(home, "feeds", "add", source, "--name", "pannes-2", "--territory", "ville", "--owner", "x", "--json") == 0
    assert {p["key"] for p in document(capsys)["problems"]} == {"title", "source.publisher", "source.licence"}
    # An instance of one place need not name it again; a new place says its code.
    assert vigie(home, "feeds", "add", source, "--name", "pannes-3", "--owner", "x", "--json") == 0
    said = capsys.readouterr()
    assert "territory ville, as in your other contracts" in said.err
    assert {p["key"] for p in json.loads(said.out)["problems"]} == {"title", "source.publisher", "source.licence"}
    assert vigie(home, "feeds", "add", source, "--name", "pannes-4", "--territory", "autre", "--json") == 0
    assert "territory.name" in {p["key"] for p in document(capsys)["problems"]}


def test_a_broken_contract_is_told_to_machines_too(home: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vigie(home, "feeds", "add", source) == 0
    contract = home / "feeds" / "pannes.yaml"
    contract.write_text(contract.read_text(encoding="utf-8").replace("contract: report", "contract: raport"), encoding="utf-8")
    capsys.readouterr()
    assert vigie(home, "feeds", "check", contract, "--json") == 2
    problems = document(capsys)["problems"]
    assert [(p["line"], p["remedy"]) for p in problems if p["key"] == "contract"] == [(5, "did you mean 'report'?")]
    assert vigie(home, "feeds", "list", "--json") == 0
    (listed,) = [f for f in json.loads(capsys.readouterr().out) if f["feed"] == "pannes"]
    assert listed["is_broken"]
    assert vigie(home, "feeds", "list") == 0
    assert "broken" in capsys.readouterr().out


def test_a_bad_file_does_not_hide_the_others(home: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vigie(home, "feeds", "add", source, "--zone", "Europe/Paris", "--owner", "x") == 0
    fill_in(home / "feeds" / "pannes.yaml")
    folder = tmp_path / "received"
    folder.mkdir()
    (folder / "1.csv").write_bytes(b"")
    (folder / "2.csv").write_bytes(PANNES.encode("cp1252"))
    capsys.readouterr()
    assert vigie(home, "feeds", "check", "pannes", folder, "--json") == 1
    bad, good = document(capsys)["previews"]
    assert "empty" in bad["error"]
    assert good["received"] == 5
    assert vigie(home, "feeds", "check", "pannes", folder) == 1
    said = capsys.readouterr().out
    assert "refused whole" in said
    assert "received 5 = stored 2 + duplicate 1 + rejected 2" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "nothing"), "no feed is called"),
        (("check", "absent.yaml"), "no such contract"),
        (("add", "absent.csv"), "no such file"),
        (("add", "absent.csv", "--contract", "raport"), "did you mean 'report'?"),
        (("add", "absent.csv", "--zone", "Europe/Pari"), "did you mean 'Europe/Paris'?"),
        (("add", "absent.csv", "--territory", "La Ville"), "la-ville"),
    ],
)
def test_wrong_use_is_told_with_its_remedy(home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    assert vigie(home, "feeds", *words) == 2
    assert said in capsys.readouterr().err
    assert not (home / "feeds").exists()
