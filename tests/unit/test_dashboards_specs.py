"""The ten sheets of the house: each can be drawn from the models as they are, and keeps to the rules of the room."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import yaml

from dashboards.compiler.bundle import compile_bundle
from dashboards.sheets import catalogue
from dashboards.sheets.catalogue import Table
from dashboards.sheets.load import check_sheet, load_all
from dashboards.sheets.model import Sheet
from tests.conftest import ROOT

SPECS = ROOT / "dashboards" / "specs"
CODES = {
    "vue-ensemble", "eclairage-pannes", "energie", "delais", "contrat", "relation-citoyenne", "batiments", "mobilite", "pcc-alarmes",
    "qualite-donnees",
}  # fmt: skip
# Columns that lead to one street, one case, one meter: not on a page that everybody may open.
PRIVATE = {"street", "case_key", "report_key", "meter_key"}
WHOLE_MONTHS = {"3 derniers mois", "6 derniers mois", "12 derniers mois", "24 derniers mois"}


@cache
def tables() -> dict[str, Table]:
    """The published tables, as the models' YAML describes them: what dbt's manifest says of them, without parsing the project."""
    nodes: dict[str, Any] = {}
    for path in [*ROOT.glob("dbt_project/models/*/*.yml"), *ROOT.glob("dbt_project/seeds/*.yml")]:
        document: Mapping[str, Any] = {} if path.name.endswith(".unit.yml") else yaml.safe_load(path.read_text(encoding="utf-8"))
        for kind in ("models", "seeds"):
            for model in document.get(kind, ()):
                columns = {c["name"]: c for c in model.get("columns", ())}
                nodes[model["name"]] = {"config": {}, **model, "resource_type": kind[:-1], "columns": columns}
    return catalogue.read({"nodes": nodes})


@cache
def sheets() -> dict[str, Sheet]:
    return load_all(SPECS)


def test_the_ten_are_there_in_their_order() -> None:
    assert set(sheets()) == CODES
    assert [sheet.rank for sheet in sheets().values()] == list(range(1, 11))


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_sheet_can_be_drawn_from_the_models(code: str) -> None:
    check_sheet(SPECS / f"{code}.yaml", tables())


@pytest.mark.parametrize("code", sorted(CODES))
def test_titles_are_questions_and_the_last_tab_shows_the_rows(code: str) -> None:
    sheet = sheets()[code]
    assert all(panel.title.endswith("?") for panel in sheet.panels)
    assert sheet.tabs[-1].title == "Lignes"
    assert all(panel.kind == "tableau" for panel in sheet.tabs[-1].panels)


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_panel_of_months_is_never_cut_by_a_period_of_days(code: str) -> None:
    sheet = sheets()[code]
    default = next(f.default for f in sheet.filters if f.kind == "periode")
    assert default in WHOLE_MONTHS or all(panel.time != "month" for panel in sheet.panels)


@pytest.mark.parametrize("code", sorted(CODES))
def test_what_visitors_may_open_leads_to_no_street_and_no_single_case(code: str) -> None:
    sheet = sheets()[code]
    if "visiteur" in sheet.roles:
        assert not PRIVATE & {column for name in sheet.tables for column in tables()[name].columns}


def test_the_post_opens_its_four() -> None:
    assert {code for code, sheet in sheets().items() if "pcc" in sheet.roles} == {
        "vue-ensemble",
        "eclairage-pannes",
        "delais",
        "pcc-alarmes",
    }


def test_all_compile_to_one_bundle_of_as_many_charts_as_panels() -> None:
    bundle = compile_bundle(sheets(), tables(), time_zone="Europe/Paris")
    assert set(bundle.dashboards) == CODES
    assert len(bundle.panels) == sum(panel.kind != "texte" for sheet in sheets().values() for panel in sheet.panels)
