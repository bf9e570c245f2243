"""The compiler: what each kind of panel becomes, ids and bytes that never change, filters that leave alone what they cannot narrow."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dashboards.compiler.bundle import Bundle, compile_bundle, for_dataset
from dashboards.compiler.kinds import DRAWN_BY
from dashboards.compiler.names import DATABASE
from dashboards.sheets import load
from dashboards.sheets.model import PERIODS, Sheet
from tests.unit.dashboards_catalogue import SHEET, WORDS, catalogue

YEAR = PERIODS["12 derniers mois"]


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    path = tmp_path / "essai.yaml"
    path.write_text(SHEET, encoding="utf-8")
    return load.check_sheet(path, catalogue())


@pytest.fixture
def bundle(sheet: Sheet) -> Bundle:
    return compile_bundle({"essai": sheet}, catalogue(), time_zone="Europe/Paris", words=WORDS)


def chart(bundle: Bundle, title: str) -> dict[str, Any]:
    return next(f for path, f in bundle.files.items() if path.startswith("charts/") and f["slice_name"] == title)


def query(bundle: Bundle, title: str) -> dict[str, Any]:
    found: dict[str, Any] = next(p.query_context["queries"][0] for p in bundle.panels if p.title == title)
    return found


def metadata(bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = bundle.files["dashboards/essai.yaml"]["metadata"]
    return found


def native(bundle: Bundle, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(f for f in metadata(bundle)["native_filter_configuration"] if f["name"] == name)
    return found


def test_a_sheet_becomes_one_database_its_tables_its_panels_and_a_dashboard(bundle: Bundle) -> None:
    folders = [path.split("/")[0] for path in bundle.files]
    assert {f: folders.count(f) for f in set(folders)} == {"metadata.yaml": 1, "databases": 1, "datasets": 2, "charts": 14, "dashboards": 1}
    assert bundle.files["metadata.yaml"]["type"] == "assets"
    database = bundle.files["databases/lac-de-donnees.yaml"]
    assert database["uuid"] == str(uuid.uuid5(uuid.NAMESPACE_URL, "vigie:database:lake")) == DATABASE
    assert [database[k] for k in ("allow_dml", "allow_ctas", "allow_cvas", "allow_file_upload", "allow_run_async")] == [False] * 5
    assert bundle.datasets["core.case"].authority_column == "owner_authority"
    assert bundle.dashboards["essai"].roles == ("analyste", "pcc")
    assert len(bundle.dashboards["essai"].charts) == len(bundle.panels) == 14


def test_ids_are_made_of_names(bundle: Bundle) -> None:
    def made(name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"vigie:{name}"))

    assert chart(bundle, "Quelle commune ?")["uuid"] == made("chart:essai/2/quelle-commune")
    assert bundle.datasets["core.case"].uuid == made("dataset:core.case")
    assert bundle.dashboards["essai"].uuid == made("dashboard:essai")


def test_the_same_sheets_make_the_same_bytes(sheet: Sheet, bundle: Bundle) -> None:
    again = compile_bundle({"essai": sheet}, catalogue(), time_zone="Europe/Paris", words=WORDS)
    assert again.zip() == bundle.zip()
    assert again.digest == bundle.digest
    changed = compile_bundle({"essai": sheet.model_copy(update={"title": "Autre"})}, catalogue(), time_zone="Europe/Paris", words=WORDS)
    assert changed.digest != bundle.digest
    assert changed.dashboards["essai"].uuid == bundle.dashboards["essai"].uuid


def test_the_archive_holds_every_file_as_yaml(bundle: Bundle) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle.zip())) as archive:
        read = {n.removeprefix("vigie/"): YAML(typ="safe").load(archive.read(n)) for n in archive.namelist()}
    assert read == json.loads(json.dumps(bundle.files))


def test_a_dataset_says_titles_units_and_formats(bundle: Bundle) -> None:
    data = bundle.files["datasets/lac-de-donnees/indicators.failures.yaml"]
    assert (data["schema"], data["table_name"], data["main_dttm_col"]) == ("indicators", "failures", "month")
    assert "sql" not in data
    columns = {c["column_name"]: c for c in data["columns"]}
    assert columns["failures_started"]["verbose_name"] == "Pannes commencées (pannes)"
    assert columns["failures_started"]["description"] == "Pannes commencées, décrit."
    assert columns["month"]["is_dttm"]
    assert [m["metric_name"] for m in data["metrics"]] == ["failures_started", "availability_pct", "repeat_pct"]
    assert data["metrics"][1]["d3format"] == ",.1f"
    assert data["metrics"][1]["verbose_name"] == "Disponibilité (%)"
    assert "count" not in [m["metric_name"] for m in data["metrics"]]


def test_instants_are_read_in_local_time_and_codes_in_words(bundle: Bundle) -> None:
    columns = {c["column_name"]: c for c in bundle.files["datasets/lac-de-donnees/core.case.yaml"]["columns"]}
    assert columns["opened_at"]["expression"] == "timezone('Europe/Paris', \"opened_at\")"
    assert (columns["opened_at"]["type"], columns["opened_at"]["is_dttm"]) == ("TIMESTAMP", True)
    assert columns["opened_on"]["expression"] is None
    assert columns["status"]["expression"] == (
        "CASE CAST(\"status\" AS VARCHAR) WHEN 'open' THEN 'Ouvert' WHEN 'closed' THEN 'Clos' ELSE CAST(\"status\" AS VARCHAR) END"
    )


TYPES = {
    "Combien de pannes ?": "pop_kpi",
    "Quelle disponibilité ?": "big_number_total",
    "Quel cours ?": "big_number",
    "Quelle part par type ?": "pie",
    "La disponibilité tient-elle ?": "echarts_timeseries_line",
    "Combien par mois ?": "echarts_timeseries_bar",
    "Quel type tombe ?": "echarts_timeseries_bar",
    "Quelle commune ?": "deck_polygon",
    "Quels points ?": "deck_scatter",
    "Quelle rue ?": "echarts_timeseries_bar",
    "Quand ?": "heatmap_v2",
    "Croisé ?": "pivot_table_v2",
    "Quels dossiers ?": "table",
    "Par commune ?": "table",
}


def test_each_kind_is_drawn_by_its_chart(sheet: Sheet, bundle: Bundle) -> None:
    assert {p.title: chart(bundle, p.title)["viz_type"] for p in bundle.panels} == TYPES
    assert {p.kind for p in sheet.panels} == {*DRAWN_BY, "texte"}


def test_a_compared_figure_asks_for_both_periods(bundle: Bundle) -> None:
    asked = query(bundle, "Combien de pannes ?")
    assert asked["time_offsets"] == ["1 year ago"]
    assert asked["filters"] == [{"col": "month", "op": "TEMPORAL_RANGE", "val": YEAR}]
    params = chart(bundle, "Combien de pannes ?")["params"]
    # Fewer failures are better: an increase is red.
    assert (params["comparison_color_enabled"], params["comparison_color_scheme"]) == (True, "Red")
    assert params["subtitle"] == "pannes · avant : un an plus tôt"


def test_thresholds_colour_from_their_start_and_say_why(bundle: Bundle) -> None:
    made = chart(bundle, "Quelle disponibilité ?")
    assert [(c["operator"], c["targetValue"], c["colorScheme"]) for c in made["params"]["conditional_formatting"]] == [
        ("<", 99.5, "#c0392b"),
        ("≥", 99.5, "#1e8449"),
    ]
    assert made["params"]["subtitle"] == "% · objectif : 99,5"
    assert "Couleur : rouge en dessous de 99,5 % : hors contrat." in made["description"]
    assert "Disponibilité (%) : Disponibilité : ce que c'est." in made["description"]


def test_a_curve_has_its_step_its_series_its_target_and_its_unit(bundle: Bundle) -> None:
    params, asked = chart(bundle, "La disponibilité tient-elle ?")["params"], query(bundle, "La disponibilité tient-elle ?")
    assert (params["x_axis"], params["time_grain_sqla"], params["x_axis_time_format"]) == ("month", "P1M", "%m/%Y")
    assert params["y_axis_title"] == "Disponibilité (%)"
    assert [(a["annotationType"], a["value"], a["name"]) for a in params["annotation_layers"]] == [("FORMULA", "99.5", "Objectif : 99,5 %")]
    assert asked["columns"] == [
        {"columnType": "BASE_AXIS", "expressionType": "SQL", "label": "month", "sqlExpression": "month", "timeGrain": "P1M"},
        "piloting",
    ]


def test_rows_are_kept_by_codes_and_nothing_written_is_said(bundle: Bundle) -> None:
    asked = query(bundle, "Quel type tombe ?")
    assert asked["extras"]["where"] == (
        '("asset_type" IN (\'streetlight\') OR "asset_type" IS NULL) AND ("piloting" IS DISTINCT FROM \'remote\')'
    )
    assert [f["col"] for f in asked["filters"]] == ["month"]
    saved = chart(bundle, "Quel type tombe ?")["params"]["adhoc_filters"]
    assert [f["expressionType"] for f in saved] == ["SIMPLE", "SQL", "SQL"]


def test_a_ranking_has_its_greatest_on_top(bundle: Bundle) -> None:
    params, asked = chart(bundle, "Quelle rue ?")["params"], query(bundle, "Quelle rue ?")
    assert (params["orientation"], params["row_limit"], asked["row_limit"]) == ("horizontal", 10, 10)
    assert asked["orderby"] == [["median_h", False]]
    assert (params["x_axis_sort"], params["x_axis_sort_asc"]) == ("median_h", True)


def test_maps_have_no_ground_from_outside(bundle: Bundle) -> None:
    for title in ("Quelle commune ?", "Quels points ?"):
        params = chart(bundle, title)["params"]
        assert params["mapbox_style"] == "tile:///tuiles/{z}/{x}/{y}.png"
        assert not any("http" in str(v) or "mapbox://" in str(v) for v in params.values())
    assert query(bundle, "Quelle commune ?")["columns"] == ["outline", "commune"]
    assert query(bundle, "Quels points ?")["columns"] == ["longitude", "latitude", "street", "status"]
    told = chart(bundle, "Quels points ?")["params"]["tooltip_contents"]
    assert [t["verbose_name"] for t in told] == ["Rue", "État", "Dossiers (dossiers)"]


def test_a_table_of_rows_has_french_dates(bundle: Bundle) -> None:
    params = chart(bundle, "Quels dossiers ?")["params"]
    assert params["query_mode"] == "raw"
    assert params["order_by_cols"] == ['["opened_at", false]']
    assert params["column_config"]["opened_at"]["d3TimeFormat"] == "%d/%m/%Y %H:%M"
    assert params["column_config"]["opened_on"]["d3TimeFormat"] == "%d/%m/%Y"
    assert query(bundle, "Quels dossiers ?")["filters"][-1] == {"col": "hours", "op": ">=", "val": 1.0}


def test_a_filter_leaves_alone_what_it_cannot_narrow(bundle: Bundle) -> None:
    numbers = {c["meta"]["sliceName"]: c["meta"]["chartId"] for c in bundle.files["dashboards/essai.yaml"]["position"].values()
               if isinstance(c, dict) and c["type"] == "CHART"}  # fmt: skip
    assert sorted(numbers.values()) == list(range(1, 15))
    # `Par commune ?` and `Croisé ?` have no time; streets are in core.case alone; types in failures alone; communes in both.
    assert native(bundle, "Période")["scope"]["excluded"] == sorted([numbers["Croisé ?"], numbers["Par commune ?"]])
    assert native(bundle, "Commune")["scope"]["excluded"] == []
    cases = ["Quels points ?", "Quelle rue ?", "Quand ?", "Croisé ?", "Quels dossiers ?", "Par commune ?"]
    assert native(bundle, "Type")["scope"]["excluded"] == sorted(numbers[t] for t in cases)
    assert native(bundle, "Rue")["scope"]["excluded"] == sorted(n for t, n in numbers.items() if t not in cases)


def test_filters_narrow_one_another_and_start_where_the_sheet_says(bundle: Bundle) -> None:
    assert native(bundle, "Rue")["cascadeParentIds"] == [native(bundle, "Commune")["id"]]
    assert native(bundle, "Rue")["targets"] == [{"datasetUuid": bundle.datasets["core.case"].uuid, "column": {"name": "street"}}]
    period = native(bundle, "Période")
    assert period["defaultDataMask"]["extraFormData"] == {"time_range": YEAR}
    assert period["controlValues"]["enableEmptyFilter"]  # a figure is compared
    # Written as a code, chosen as a word.
    assert native(bundle, "Type")["defaultDataMask"]["filterState"]["value"] == ["Point lumineux"]


def test_the_page_says_for_whom_and_what_each_number_means(bundle: Bundle) -> None:
    position = bundle.files["dashboards/essai.yaml"]["position"]
    tabs = [position[i] for i in position["TABS-essai"]["children"]]
    assert [t["meta"]["text"] for t in tabs] == ["Synthèse", "Lieux", "Lignes", "Comprendre"]

    def texts(tab: dict[str, Any]) -> str:
        return "\n".join(position[c]["meta"].get("code", "") for row in tab["children"] for c in position[row]["children"])

    assert texts(tabs[0]).startswith("**Pour qui.** Le service de l'éclairage")
    assert "Remplacer une armoire" in texts(tabs[0])
    assert "Ce qui change ce mois." in texts(tabs[0])
    assert "Lire de haut en bas." in texts(tabs[1])
    explained = texts(tabs[3])
    assert "- **Disponibilité (%)** : Disponibilité : ce que c'est." in explained
    assert "Part de pannes répétées" not in explained  # no panel draws it
    assert "Où tombe-t-on en panne ?" in explained


def test_a_query_is_given_the_dataset_of_the_instance(bundle: Bundle) -> None:
    panel = bundle.panels[0]
    context = for_dataset(panel.query_context, 42)
    assert context["datasource"] == {"id": 42, "type": "table"}
    assert context["form_data"]["datasource"] == "42__table"
    assert panel.query_context["datasource"]["id"] == 0
    saved = chart(bundle, panel.title)
    assert json.loads(saved["query_context"])["queries"] == panel.query_context["queries"]
