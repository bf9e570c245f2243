"""Sheets: what is wrong in one is said with its line and the nearest name, all at once; what is right is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dashboards.sheets import load
from dashboards.sheets.catalogue import read
from dashboards.sheets.model import PERIODS
from ingestion.errors import WrongUse
from tests.unit.dashboards_catalogue import MANIFEST, SHEET, catalogue

ROOT = Path(__file__).resolve().parents[2]
SPECS = ROOT / "dashboards" / "specs"


def write(folder: Path, text: str, name: str = "essai.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_right_sheet_is_read_and_checked_clean(tmp_path: Path) -> None:
    sheet = load.check_sheet(write(tmp_path, SHEET), catalogue())
    assert sheet.title == "Pannes de la ville"
    assert [t.title for t in sheet.tabs] == ["Synthèse", "Lieux", "Lignes"]
    assert sheet.tables == ("indicators.failures", "core.case")
    assert len(sheet.panels) == 15


def test_the_catalogue_tells_no_authority_from_none_stated() -> None:
    tables = catalogue()
    assert set(tables) == {"indicators.failures", "core.case", "indicators.load", "core.unsaid"}
    assert tables["indicators.load"].authority_column is None
    assert tables["indicators.load"].is_authority_stated
    assert not tables["core.unsaid"].is_authority_stated
    assert tables["core.case"].authority_column == "owner_authority"


# Each: what is written instead of what, the line it stands on, words of the message, words of its remedy.
WRONG = [
    ("titre: Combien de pannes ?, genre: chiffre, table: indicators.failures",
     "titre: Combien de pannes ?, genre: chiffre, table: indicators.failurs",
     18, "no published table", "indicators.failures"),
    ("mesures: [availability_pct], par: [piloting]", "mesures: [availabilty_pct], par: [piloting]", 25, "no measure", "availability_pct"),
    ("mesures: [availability_pct], par: [piloting]", "mesures: [month], par: [piloting]", 25, "no measure", "is one of its columns"),
    ("mesures: [availability_pct], par: [piloting]", "mesures: [availability_pct], par: [pilotng]", 25, "no column", "'piloting'"),
    ("par: [piloting]", "par: [availability_pct]", 25, "no column", "is one of its measures"),
    ("en_colonnes: [status]", "en_colonnes: [statut]", 39, "no column", "'status'"),
    ("colonnes: [case_key, opened_at, opened_on, street, hours]", "colonnes: [case_ky]", 43, "no column", "'case_key'"),
    ("ou: [{colonne: hours, au_moins: 1}]", "ou: [{colonne: hour, au_moins: 1}]", 44, "no column", "'hours'"),
    ("ou: [{colonne: hours, au_moins: 1}]", "ou: [{colonne: street, au_moins: 1}]", 44, "is no number", "valeurs"),
    ("trier_par: opened_at", "trier_par: opend_at", 44, "cannot be ordered", "'opened_at'"),
    ("par: [street], temps: opened_at, limite: 10", "par: [street], temps: street, limite: 10", 36, "is no date", "opened_at"),
    ("par: [street], temps: opened_at, limite: 10", "par: [street], temps: opend_at, limite: 10", 36, "no column", "'opened_at'"),
    ("selon: [Commune]", "selon: [Comune]", 12, "no filter of values", "'Commune'"),
    ("colonne: commune}", "colonne: comune}", 11, "no panel's table", "'commune'"),
    ("colonne: commune}", "colonne: commune, table: indicators.load}", 11, "has no column", "window_at"),
    ("defaut: 12 derniers mois", "defaut: 12 dernier mois", 10, "is no period", "'12 derniers mois'"),
    ("defaut: 12 derniers mois", "defaut: tout", 10, "are compared", "12 derniers mois"),
    ("defaut: 12 derniers mois", "selon: [Commune]", 10, "has none", "leave it out"),
    ("{titre: Type, genre: valeurs", "{titre: Commune, genre: valeurs", 13, "is written twice", "its own title"),
    ("titre: Quel cours ?", "titre: Combien de pannes ?", 22, "two panels", "what differs"),
    ("titre: Lignes", "titre: Lieux", 41, "is written twice", "its own title"),
    ("{a_partir_de: 99.5, couleur: vert, raison: au contrat}",
     "{couleur: vert, raison: au contrat}", 21, "only the first", "from which value"),
    ("{couleur: rouge, raison: hors contrat}", "{a_partir_de: 99.9, couleur: rouge, raison: hors contrat}", 21,
     "99.5 does not come after 99.9", "lowest first"),
    ("mesures: [cases, median_h], par: [commune], en_colonnes: [status]",
     "mesures: [cases, cases], par: [commune], en_colonnes: [status]", 39, "twice", "keep one"),
    ("mesures: [median_h], par: [street]", "mesures: [median_h, cases], par: [street]", 36, "several units: dossiers, h", "of each unit"),
    ("mesures: [cases], par: [street], en_colonnes: [opened_on]",
     "mesures: [cases, median_h], par: [street], en_colonnes: [opened_on]", 37, "draws one measure", "a panel of each"),
    ("genre: carte_communes, table: indicators.failures, mesures: [failures_started], par: [commune],\n         temps: month",
     "genre: carte_communes, table: core.case, mesures: [cases], par: [commune]", 33, "no column outline", "indicators.failures"),
    ("en_colonnes: [opened_on], temps: opened_at,\n         pas: mois", "en_colonnes: [opened_on], temps: opened_on,\n         pas: heure",
     38, "finer", "jour"),
    ("par: [asset_type],\n         temps: month, largeur: 3", "par: [asset_type],\n         temps: month, cible: 3",
     24, "is not drawn", "leave it out"),
    ("table: core.case, mesures: [cases], par: [commune], largeur: 12", "table: core.unsaid, mesures: [cases], par: [name]", 45,
     "does not say which authority", "row_authority"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "line", "what", "remedy"), WRONG)
def test_what_cannot_be_drawn_is_refused_with_its_line(tmp_path: Path, right: str, wrong: str, line: int, what: str, remedy: str) -> None:
    assert SHEET.count(right) == 1
    path = write(tmp_path, SHEET.replace(right, wrong))
    with pytest.raises(load.SheetError) as caught:
        load.check_sheet(path, catalogue())
    found = caught.value.problems
    assert [(p.line, what in p.what, remedy in (p.remedy or "")) for p in found] == [(line, True, True)], [str(p) for p in found]
    assert f"{path}:{line}: " in str(caught.value)


def test_visitors_read_open_tables_alone(tmp_path: Path) -> None:
    text = SHEET.replace("ouvert_a: [analyste, pcc]", "ouvert_a: [analyste, visiteur]")
    assert load.check_sheet(write(tmp_path, text), catalogue()).roles == ("analyste", "visiteur")
    closed = {name: replace(table, classification="internal") if name == "core.case" else table for name, table in catalogue().items()}
    with pytest.raises(load.SheetError, match=r"essai.yaml:\d+: .*visitors read open tables alone, and these are not: core.case"):
        load.check_sheet(write(tmp_path, text), closed)


SHAPELESS = [
    ("genre: carte_communes", "genre: carte_comunes", 33, "is none of", "'carte_communes'"),
    ("couleur: rouge, raison", "nuance: x, couleur: rouge, raison", 21, "unknown key", "a_partir_de, couleur, raison"),
    ("largeur: 8", "largeur: 13", 26, "less than or equal to 12", ""),
    ("rang: 1\n", "", 1, "is required", ""),
    ("selon: [Commune]", "selon: [Commune], colone: x", 12, "unknown key", "'colonne'"),
    ("texte: Lire de haut en bas.", "aide: rien", 40, "has a texte", ""),
    ("temps: month,\n         comparer: annee_precedente", "comparer: annee_precedente", 18, "comparer needs temps", ""),
    ("ou: [{colonne: hours, au_moins: 1}]", "ou: [{colonne: hours}]", 44, "say which rows", ""),
    ("{titre: Commune, genre: valeurs, colonne: commune}", "{titre: Commune, genre: valeurs}", 11, "names its colonne", ""),
    ("rang: 1", "rang: 1\nrang: 2", 3, "is written twice", "keep one"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "what", "remedy"), SHAPELESS)
def test_what_is_no_sheet_is_refused_with_its_line(tmp_path: Path, right: str, wrong: str, line: int, what: str, remedy: str) -> None:
    path = write(tmp_path, SHEET.replace(right, wrong, 1))
    with pytest.raises(load.SheetError) as caught:
        load.load_sheet(path)
    found = caught.value.problems
    assert [(p.line, what in p.what, remedy in (p.remedy or "")) for p in found] == [(line, True, True)], [str(p) for p in found]


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    text = SHEET.replace("colonne: commune}", "colonne: comune}").replace("trier_par: opened_at", "trier_par: opend_at")
    with pytest.raises(load.SheetError, match="2 problems") as caught:
        load.check_sheet(write(tmp_path, text), catalogue())
    assert [p.line for p in caught.value.problems] == [11, 44]


def test_filters_that_narrow_one_another_in_a_circle_are_refused(tmp_path: Path) -> None:
    text = SHEET.replace("colonne: commune}", "colonne: commune, selon: [Rue]}")
    with pytest.raises(load.SheetError) as caught:
        load.check_sheet(write(tmp_path, text), catalogue())
    assert [(p.line, "narrows itself" in p.what) for p in caught.value.problems] == [(11, True), (12, True)]


def test_a_sheet_whose_tables_have_no_authority_says_so(tmp_path: Path) -> None:
    panel = "titre: Alarmes ?, genre: chiffre, table: indicators.load, mesures: [alarms]"
    text = SHEET[: SHEET.index("filtres:")] + "onglets: [{titre: Mur, panneaux: [{" + panel + "}]}]\n"
    with pytest.raises(load.SheetError, match="would see nothing"):
        load.check_sheet(write(tmp_path, text), catalogue())
    assert not load.check_sheet(write(tmp_path, "par_collectivite: false\n" + text), catalogue()).is_by_authority


def test_a_folder_gives_its_sheets_by_rank_and_leaves_the_template_out(tmp_path: Path) -> None:
    write(tmp_path, SHEET.replace("rang: 1", "rang: 2"), "a.yaml")
    write(tmp_path, SHEET.replace("Pannes de la ville", "Autre"), "b.yaml")
    write(tmp_path, "rien: du tout", "_modele.yaml")
    assert list(load.load_all(tmp_path)) == ["b", "a"]


@pytest.mark.parametrize(("text", "what"), [(SHEET.replace("rang: 1", "rang: 2"), "titre"), (SHEET.replace("ville", "cité"), "rang")])
def test_two_sheets_of_one_rank_or_title_are_refused(tmp_path: Path, text: str, what: str) -> None:
    write(tmp_path, SHEET, "a.yaml")
    write(tmp_path, text, "b.yaml")
    with pytest.raises(WrongUse, match=rf"a\.yaml and b\.yaml have the same {what}"):
        load.load_all(tmp_path)


def test_the_template_is_a_sheet() -> None:
    """Who copies it starts from something that loads."""
    sheet = load.load_sheet(SPECS / "_modele.yaml")
    written = YAML(typ="safe").load((SPECS / "_modele.yaml").read_text(encoding="utf-8"))
    assert {p.kind for p in sheet.panels} >= {"chiffre", "courbe", "classement", "tableau", "carte_points", "texte"}
    assert set(written) == {field.alias or name for name, field in type(sheet).model_fields.items()}


def test_the_sheets_of_the_house_are_read_each_with_its_rank() -> None:
    sheets = load.load_all(SPECS)
    assert [s.rank for s in sheets.values()] == list(range(1, len(sheets) + 1))


def test_every_word_for_a_period_is_french() -> None:
    assert "12 derniers mois" in PERIODS
    assert all(word[0].islower() or word[0].isdigit() for word in PERIODS)


def test_a_model_without_meta_makes_a_table_that_no_sheet_may_use() -> None:
    node = {**MANIFEST["nodes"]["unsaid"], "config": {}}
    assert not read({"nodes": {"x": node}})["core.unsaid"].is_authority_stated
