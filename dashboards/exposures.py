"""The dashboards as dbt knows them: an exposure of each sheet, so that a model's lineage ends at the screens that show it.

Here: the text of `dbt_project/models/exposures.yml`, and whether it is stale. Not here: what a sheet draws on (`dashboards.sheets`).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from dashboards.sheets.model import Sheet

FILE: Final = Path(__file__).parents[1] / "dbt_project" / "models" / "exposures.yml"
_HEADER: Final = "# Made from dashboards/specs by `vigie dashboards exposures --write`: change the sheets.\n"
# Of the repository's own lines.
_WIDTH: Final = 140


def text(sheets: Mapping[str, Sheet]) -> str:
    """Return the file: one exposure per sheet, in the order of their codes.

    Args:
        sheets: by code.
    """
    document = {"version": 2, "exposures": [_exposure(code, sheets[code]) for code in sorted(sheets)]}
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(document, out)
    return _HEADER + out.getvalue()


def is_stale(sheets: Mapping[str, Sheet], file: Path = FILE) -> bool:
    """Whether the file is missing or says something else than the sheets."""
    return not file.exists() or file.read_text(encoding="utf-8") != text(sheets)


def _exposure(code: str, sheet: Sheet) -> dict[str, Any]:
    questions = " ".join(sheet.questions)
    return {
        "name": f"tableau_{code.replace('-', '_')}",
        "label": sheet.title,
        "type": "dashboard",
        "maturity": "high",
        "url": f"/superset/dashboard/{code}/",
        "description": f"{' '.join(sheet.audience.split())} Questions : {questions}",
        "owner": {"name": sheet.owner},
        "depends_on": [f"ref('{table.replace('.', '__')}')" for table in sorted(sheet.tables)],
    }
