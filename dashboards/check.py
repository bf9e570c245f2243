"""Every panel asked as the server would draw it: none may fail, none may be empty unless its sheet says why.

Here: running the panels' queries. Not here: whether sheets fit the models (`dashboards.sheets.load`): that comes
before, and needs no server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dashboards.client import Superset
from dashboards.compiler.bundle import Bundle, for_dataset
from dashboards.sheets.model import Sheet
from ingestion.errors import VigieError


@dataclass(frozen=True)
class Checked:
    """What became of a panel's query.

    Attributes:
        sheet: code of the sheet.
        tab: title of the tab.
        panel: its question.
        rows: how many came back; None: it failed.
        seconds: how long it took, without any cache of results.
        problem: what is wrong; None: nothing.
    """

    sheet: str
    tab: str
    panel: str
    rows: int | None
    seconds: float
    problem: str | None

    def document(self) -> dict[str, Any]:
        """Return it as a part of a JSON document."""
        return asdict(self)


def check_panels(server: Superset, bundle: Bundle, sheets: Mapping[str, Sheet]) -> Iterator[Checked]:
    """Run every panel's query, without the filters of its dashboard, and yield what became of each.

    Raises:
        VigieError: the server does not answer, or nothing was pushed.
    """
    datasets = {str(d["uuid"]): int(d["id"]) for d in server.all("/api/v1/dataset/", "id", "uuid")}
    for made in bundle.panels:
        number = datasets.get(made.dataset)
        if number is None:
            raise VigieError(f"the server lacks the table of « {made.title} »", remedy="push the dashboards: vigie dashboards push")
        context = {**for_dataset(made.query_context, number), "force": True}
        started = time.perf_counter()
        rows, problem = None, None
        try:
            rows = max((len(one.get("data") or []) for one in server.chart_data(context)), default=0)
        except VigieError as error:
            problem = error.message
        if rows == 0 and may_be_empty(sheets[made.sheet], made.title) is None:
            problem = "it is empty: say why it may be (peut_etre_vide), or mend it"
        yield Checked(made.sheet, made.tab, made.title, rows, time.perf_counter() - started, problem)


def may_be_empty(sheet: Sheet, title: str) -> str | None:
    """Return why a panel may be empty; None: it may not."""
    return next((panel.may_be_empty for panel in sheet.panels if panel.title == title), None)
