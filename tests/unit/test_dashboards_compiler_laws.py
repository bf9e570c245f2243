"""Laws of the compiler: whatever valid sheet it is given, it compiles, within twelve columns, to ids that are told apart."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.compiler.bundle import compile_bundle
from dashboards.compiler.layout import Block, fill, text_height
from dashboards.compiler.names import slug
from dashboards.sheets.checks import sheet_problems
from dashboards.sheets.model import COLUMNS, Sheet
from tests.unit.dashboards_catalogue import WORDS, catalogue

_CASE = {"table": "core.case", "mesures": ["cases"], "temps": "opened_at"}
_FAILURES = {"table": "indicators.failures", "mesures": ["failures_started"], "temps": "month"}
KINDS: list[dict[str, Any]] = [
    {"genre": "chiffre", **_FAILURES},
    {"genre": "chiffre", **_FAILURES, "comparer": "periode_precedente"},
    {"genre": "chiffre", **_CASE, "pas": "jour"},
    {"genre": "courbe", **_CASE, "pas": "heure", "par": ["status"]},
    {"genre": "barres", **_CASE, "par": ["commune", "status"], "empile": True},
    {"genre": "classement", **_CASE, "par": ["street"], "trier_par": "-cases"},
    {"genre": "repartition", **_CASE, "par": ["commune"]},
    {"genre": "tableau", **_CASE, "par": ["opened_on"], "trier_par": "opened_on"},
    {"genre": "tableau", "table": "core.case", "colonnes": ["case_key", "hours"]},
    {"genre": "croise", **_CASE, "par": ["commune"], "en_colonnes": ["opened_on"], "pas": "mois"},
    {"genre": "chaleur", **_CASE, "par": ["commune"], "en_colonnes": ["status"]},
    {"genre": "carte_communes", **_FAILURES, "par": ["commune"]},
    {"genre": "carte_points", **_CASE, "par": ["case_key"]},
    {"genre": "texte", "texte": "Lire de haut en bas."},
]
_WIDTHS = st.integers(min_value=2, max_value=COLUMNS)
_PANELS = st.lists(st.tuples(st.sampled_from(KINDS), _WIDTHS), min_size=1, max_size=12)
_TABS = st.lists(_PANELS, min_size=1, max_size=4)


def sheet(tabs: list[list[tuple[dict[str, Any], int]]]) -> Sheet:
    written = [
        {"titre": f"Onglet {i}", "panneaux": [{**p, "titre": f"Question {i} {j} ?", "largeur": w} for j, (p, w) in enumerate(panels)]}
        for i, panels in enumerate(tabs)
    ]
    return Sheet.model_validate(
        {
            "titre": "Une fiche",
            "rang": 1,
            "pour": "Un service, pour décider",
            "ouvert_a": ["analyste"],
            "questions": ["Quoi ?"],
            "decisions": ["Agir"],
            "responsable": "Service",
            "convenu_le": "2026-11-20",
            "filtres": [{"titre": "Commune", "genre": "valeurs", "colonne": "commune", "table": "core.case"}],
            "onglets": written,
        }
    )


# A sheet compiles in some milliseconds; a busy machine takes longer, and time is not what is looked at.
@settings(max_examples=60, deadline=None)
@given(_TABS)
def test_any_valid_sheet_compiles_within_the_page(tabs: list[list[tuple[dict[str, Any], int]]]) -> None:
    made, tables = sheet(tabs), catalogue()
    drawn = any(p.table is not None for p in made.panels)
    problems = sheet_problems(made, tables)
    assert [p.what for p in problems] == ([] if drawn else ["no panel's table has a column 'commune'"])
    bundle = compile_bundle({"une": made}, tables, time_zone="Europe/Paris", words=WORDS)
    position = bundle.files["dashboards/une.yaml"]["position"]
    rows = [item for item in position.values() if isinstance(item, dict) and item["type"] == "ROW"]
    assert rows
    assert all(sum(position[c]["meta"]["width"] for c in row["children"]) <= COLUMNS for row in rows)
    placed = [c for row in rows for c in row["children"]]
    assert len(placed) == len(set(placed))
    assert set(placed) | {r["id"] for r in rows} <= set(position)
    assert len(bundle.panels) == len({p.uuid for p in bundle.panels}) == sum(p.table is not None for p in made.panels)
    for panel in bundle.panels:
        (query,) = panel.query_context["queries"]
        assert query["metrics"] or query["columns"]


@given(st.lists(_WIDTHS, max_size=40))
def test_rows_keep_the_order_and_begin_anew_only_when_full(widths: list[int]) -> None:
    blocks = [Block(str(i), width, 10) for i, width in enumerate(widths)]
    rows = fill(blocks)
    assert [b for row in rows for b in row] == blocks
    assert all(sum(b.width for b in row) <= COLUMNS for row in rows)
    assert all(sum(b.width for b in row) + after[0].width > COLUMNS for row, after in itertools.pairwise(rows))


@given(st.text(max_size=80))
def test_a_slug_is_plain_and_stays(title: str) -> None:
    made = slug(title)
    assert made == slug(made)
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@given(st.text(alphabet="ab \n", max_size=400), _WIDTHS)
def test_a_narrower_text_is_no_shorter(text: str, width: int) -> None:
    assert text_height(text, width) >= text_height(text, COLUMNS)
