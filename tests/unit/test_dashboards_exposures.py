"""The exposures that dbt reads are what the sheets say now."""

from __future__ import annotations

from ruamel.yaml import YAML

from dashboards import exposures
from dashboards.sheets.load import load_all
from orchestration.superset.dashboards import SPECS


def test_the_file_is_what_the_sheets_say() -> None:
    assert not exposures.is_stale(load_all(SPECS)), "vigie dashboards exposures --write"


def test_an_exposure_names_the_tables_of_its_sheet() -> None:
    sheets = load_all(SPECS)
    found = {e["name"]: e for e in YAML(typ="safe").load(exposures.text(sheets))["exposures"]}
    assert len(found) == len(sheets)
    for code, sheet in sheets.items():
        made = found[f"tableau_{code.replace('-', '_')}"]
        assert made["type"] == "dashboard"
        assert made["label"] == sheet.title
        assert made["owner"] == {"name": sheet.owner}
        assert made["url"].endswith(f"/{code}/")
        assert set(made["depends_on"]) == {f"ref('{name.replace('.', '__')}')" for name in sheet.tables}
