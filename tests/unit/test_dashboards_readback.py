"""A chart read back says what its sheet said, for every panel of every sheet; pulled unchanged, nothing changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboards import pull, readback
from dashboards.compiler.bundle import compile_bundle
from dashboards.layout_read import tabs_of
from dashboards.sheets import catalogue
from dashboards.sheets.catalogue import Table
from dashboards.sheets.model import Panel, Sheet

COLUMNS = {"day": "date", "commune": "varchar", "street": "varchar", "longitude": "double", "latitude": "double", "outline": "varchar"}
METRICS = [
    {"name": name, "label": name, "expression": "sum(n)", "unit": "pannes", "decimals": 0, "description": "d", "is_better": "lower"}
    for name in ("failures", "repairs")
]
MANIFEST = {
    "nodes": {
        "t": {
            "name": "indicators__t",
            "resource_type": "model",
            "description": "T.",
            "columns": {n: {"name": n, "data_type": t, "config": {"meta": {"label": n}}} for n, t in COLUMNS.items()},
            "config": {"meta": {"label": "T", "row_authority": "none", "metrics": METRICS}},
        }
    }
}
TABLE: Table = catalogue.read(MANIFEST)["indicators.t"]
COMMON: dict[str, Any] = {"titre": "Combien ?", "table": "indicators.t"}
PANELS: dict[str, dict[str, Any]] = {
    "chiffre": {"mesures": ["failures"]},
    "chiffre compared": {"mesures": ["failures"], "temps": "day", "comparer": "annee_precedente"},
    "chiffre with its course": {"mesures": ["failures"], "temps": "day", "pas": "mois"},
    "courbe": {"mesures": ["failures", "repairs"], "temps": "day", "pas": "semaine", "cible": 12.5, "comparer": "periode_precedente"},
    "courbe by commune": {"mesures": ["failures"], "temps": "day", "pas": "jour", "par": ["commune"], "limite": 7},
    "barres": {"mesures": ["failures"], "temps": "day", "pas": "mois", "par": ["commune"], "empile": True, "limite": 12},
    "barres of names": {"mesures": ["failures"], "par": ["commune"], "limite": 12},
    "classement": {"mesures": ["failures"], "par": ["street", "commune"], "trier_par": "-failures", "limite": 9},
    "repartition": {"mesures": ["repairs"], "par": ["commune"], "limite": 6},
    "tableau": {"colonnes": ["commune", "street"], "trier_par": "-street", "limite": 50},
    "tableau of measures": {"mesures": ["failures", "repairs"], "par": ["commune"], "trier_par": "repairs", "limite": 50},
    "croise": {"mesures": ["failures"], "par": ["commune"], "en_colonnes": ["day"], "pas": "mois", "temps": "day"},
    "chaleur": {"mesures": ["failures"], "par": ["commune"], "en_colonnes": ["street"]},
}


def _chart(said: dict[str, Any]) -> dict[str, Any]:
    sheet = Sheet.model_validate(_sheet(said))
    files = compile_bundle({"s": sheet}, {TABLE.full_name: TABLE}, time_zone="Europe/Paris", words={}).files
    return next(d for name, d in files.items() if name.startswith("charts/"))


def _sheet(panel: dict[str, Any]) -> dict[str, Any]:
    return {
        "titre": "Essai",
        "rang": 1,
        "pour": "Le service qui essaie.",
        "ouvert_a": ["analyste"],
        "questions": ["Combien ?"],
        "decisions": ["Agir."],
        "responsable": "Service",
        "convenu_le": "2026-11-20",
        "onglets": [{"titre": "Un", "panneaux": [panel]}],
    }


@pytest.mark.parametrize("name", PANELS)
def test_a_chart_read_back_says_what_its_sheet_said(name: str) -> None:
    said = {**COMMON, "genre": name.partition(" ")[0], **PANELS[name]}
    chart = _chart(said)
    found = readback.keys(chart["viz_type"], chart["params"], TABLE)
    meant = Panel.model_validate(said).model_dump(by_alias=True)
    for key in PANELS[name].keys() | {"genre"}:
        value = meant[key]
        assert found.get(key) == (list(value) if isinstance(value, tuple) else value), key


@pytest.mark.parametrize(
    "condition",
    [
        {"colonne": "commune", "valeurs": ["A", "B"]},
        {"colonne": "commune", "valeurs": [None]},
        {"colonne": "commune", "sauf": [None]},
        {"colonne": "longitude", "au_moins": 2.5},
        {"colonne": "longitude", "au_plus": 4},
    ],
)
def test_conditions_are_read_back(condition: dict[str, Any]) -> None:
    chart = _chart({**COMMON, "genre": "chiffre", "mesures": ["failures"], "ou": [condition]})
    assert readback.simple_conditions(chart["params"]) == [condition]


def test_colours_are_read_back() -> None:
    colours = [
        {"couleur": "vert", "raison": "bien"},
        {"a_partir_de": 3, "couleur": "orange", "raison": "peu"},
        {"a_partir_de": 9, "couleur": "rouge", "raison": "mal"},
    ]
    chart = _chart({**COMMON, "genre": "chiffre", "mesures": ["failures"], "seuils": colours})
    assert readback.thresholds(chart["params"]) == [(None, "vert"), (3, "orange"), (9, "rouge")]


def test_a_measure_written_by_hand_is_nothing_a_sheet_can_say() -> None:
    chart = _chart({**COMMON, "genre": "courbe", "mesures": ["failures"], "temps": "day", "pas": "jour"})
    params = chart["params"] | {"metrics": [{"expressionType": "SQL", "sqlExpression": "max(n)", "label": "x"}]}
    assert "mesures" not in readback.keys(chart["viz_type"], params, TABLE)


def test_a_pulled_sheet_shows_its_diff_and_keeps_what_was_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("titre: Un\n", encoding="utf-8")
    found = pull.Pulled("s", path, "titre: Un\n", "titre: Deux\n", ())
    assert found.diff.splitlines() == ["--- a/s.yaml", "+++ b/s.yaml", "@@ -1 +1 @@", "-titre: Un", "+titre: Deux"]
    found.write()
    assert path.read_text(encoding="utf-8") == "titre: Deux\n"


def test_a_layout_is_read_in_the_order_it_is_seen() -> None:
    sheet = Sheet.model_validate(_sheet({**COMMON, "genre": "chiffre", "mesures": ["failures"], "largeur": 5}))
    files = compile_bundle({"s": sheet}, {TABLE.full_name: TABLE}, time_zone="Europe/Paris", words={}).files
    first, last = tabs_of(files["dashboards/s.yaml"])
    assert (first.title, last.title) == ("Un", "Comprendre")
    text, chart = first.blocks
    assert text.text is not None
    assert (chart.title, chart.width, chart.text) == ("Combien ?", 5, None)
