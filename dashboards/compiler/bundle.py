"""All sheets as one bundle: what is imported into Superset in one call, and what is known of it afterwards.

Here: putting datasets, charts and dashboards together, the bytes. Not here: sending them (`dashboards.push`), roles and row-level security
(`dashboards.access`). The same sheets and tables make the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML

from dashboards.compiler.dashboard import Compiled, compile_dashboard
from dashboards.compiler.datasets import Words, dataset, main_time
from dashboards.compiler.drawing import Place
from dashboards.compiler.names import DATABASE, DATABASE_TITLE, slug, stable
from dashboards.sheets.catalogue import Table
from dashboards.sheets.model import Role, Sheet
from dashboards.sheets.words import load_words

# Of the files in the archive and of the bundle: the bytes depend on what is in them alone.
_EPOCH: Final = (2000, 1, 1, 0, 0, 0)
_ROOT: Final = "vigie"


@dataclass(frozen=True)
class BundleDashboard:
    """A dashboard of the bundle: its sheet's code is its address (`/superset/dashboard/<code>/`)."""

    code: str
    uuid: str
    title: str
    roles: tuple[Role, ...]
    is_by_authority: bool
    datasets: tuple[str, ...]
    charts: tuple[str, ...]


@dataclass(frozen=True)
class BundleDataset:
    """A dataset of the bundle: a published table, and the column its rows are kept apart by; None: they belong to no one authority."""

    table: str
    uuid: str
    authority_column: str | None


@dataclass(frozen=True)
class BundlePanel:
    """A chart of the bundle.

    Attributes:
        sheet: the sheet's code.
        tab: the tab's title.
        title: the question.
        uuid: of the chart.
        dataset: uuid of what it draws on.
        may_be_empty: why no row may be the good answer; None: an empty answer is a fault.
        query_context: what `POST /api/v1/chart/data` takes, once `for_dataset` has given it the dataset's id.
    """

    sheet: str
    tab: str
    title: str
    uuid: str
    dataset: str
    may_be_empty: str | None
    query_context: dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """What is imported, by path, and what is in it."""

    files: dict[str, dict[str, Any]]
    dashboards: dict[str, BundleDashboard] = field(default_factory=dict)
    datasets: dict[str, BundleDataset] = field(default_factory=dict)
    panels: tuple[BundlePanel, ...] = ()

    def zip(self) -> bytes:
        """Return the archive that `POST /api/v1/assets/import/` takes; the same bytes for the same content."""
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, document in sorted(self.files.items()):
                archive.writestr(zipfile.ZipInfo(f"{_ROOT}/{path}", _EPOCH), _yaml(document), zipfile.ZIP_DEFLATED)
        return made.getvalue()

    @property
    def digest(self) -> str:
        """Return what changes when anything in the bundle does."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def for_dataset(query_context: Mapping[str, Any], dataset_id: int) -> dict[str, Any]:
    """Return a panel's query context with its dataset's id on this instance."""
    found = deepcopy(dict(query_context))
    found["datasource"] = {"id": dataset_id, "type": "table"}
    found["form_data"]["datasource"] = f"{dataset_id}__table"
    return found


def compile_bundle(
    sheets: Mapping[str, Sheet],
    tables: Mapping[str, Table],
    *,
    time_zone: str,
    words: Words | None = None,
    place: Place | None = None,
) -> Bundle:
    """Return the assets of all sheets.

    Args:
        sheets: by code; each has passed `load.check`.
        tables: the published tables, by `schema.table`.
        time_zone: of the territory: instants are read in it.
        words: by column name, the French word of each code; None: those of `dashboards/specs/_mots.yaml`.
        place: where maps open before their data fits them; None: the whole of France.
    """
    said = load_words() if words is None else words
    used = dict.fromkeys(name for sheet in sheets.values() for name in sheet.tables)
    times = Counter((p.table, p.time) for s in sheets.values() for p in s.panels if p.time is not None)
    files: dict[str, dict[str, Any]] = {
        "metadata.yaml": {"version": "1.0.0", "type": "assets", "timestamp": "2000-01-01T00:00:00+00:00"},
        f"databases/{slug(DATABASE_TITLE)}.yaml": _database(),
    }
    datasets: dict[str, BundleDataset] = {}
    for name in used:
        table = tables[name]
        main = main_time(table, {str(t): n for (owner, t), n in times.items() if owner == name})
        files[f"datasets/{slug(DATABASE_TITLE)}/{name}.yaml"] = dataset(table, main_time=main, time_zone=time_zone, words=said)
        datasets[name] = BundleDataset(name, stable("dataset", name), table.authority_column)
    dashboards: dict[str, BundleDashboard] = {}
    panels: list[BundlePanel] = []
    for code, sheet in sorted(sheets.items(), key=lambda item: (item[1].rank, item[0])):
        compiled = compile_dashboard(code, sheet, tables, words=said, place=place or Place())
        files |= compiled.files
        panels += [BundlePanel(code, c.tab, c.title, c.uuid, c.dataset, c.panel.may_be_empty, c.query_context) for c in compiled.charts]
        dashboards[code] = _dashboard(code, sheet, compiled)
    return Bundle(files, dashboards, datasets, tuple(panels))


def _dashboard(code: str, sheet: Sheet, compiled: Compiled) -> BundleDashboard:
    return BundleDashboard(
        code=code,
        uuid=stable("dashboard", code),
        title=sheet.title,
        roles=sheet.roles,
        is_by_authority=sheet.is_by_authority,
        datasets=tuple(stable("dataset", name) for name in sheet.tables),
        charts=tuple(c.uuid for c in compiled.charts),
    )


def _database() -> dict[str, Any]:
    return {
        "version": "1.0.0",
        "uuid": DATABASE,
        "database_name": DATABASE_TITLE,
        "sqlalchemy_uri": "duckdb+vigie:///lake",
        "cache_timeout": None,
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_file_upload": False,
        "extra": {"allows_virtual_table_explore": True},
    }


def _yaml(document: Mapping[str, Any]) -> bytes:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 10_000  # nothing is folded: a diff shows what changed
    made = io.BytesIO()
    yaml.dump(dict(document), made)
    return made.getvalue()
