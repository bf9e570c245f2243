"""The dashboards over a running simulated territory, as each role opens them: filled, French, with the numbers of the lake.

Here: an instance as `vigie up --simulate` leaves it. Not here: the server itself (`test_superset_pages`), rights of rows
(`tests/integration/test_superset_rows.py`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from dashboards.check import may_be_empty
from dashboards.client import Superset
from dashboards.compiler.bundle import for_dataset
from dashboards.sheets.model import Condition, Panel, Sheet
from orchestration.settings import BESIDE, Settings
from orchestration.superset import dashboards
from tests.conftest import ROOT
from tests.effort import IS_THOROUGH
from tests.superset_browser import CHROMIUM, Watched, english, said_in_english
from tests.town import VIGIE

# A first start takes a minute and a half of two free cores, and Superset's own another; a machine that runs other suites, five times that.
pytestmark = pytest.mark.timeout(1800)
# Large enough that each kind of trouble has befallen somebody in four weeks.
_SIZE: Final = "400"
# The simulated contract binds the whole territory, and its feeds are the agglomeration's: a town's analyst has no line of them.
_OF_THE_WHOLE: Final = frozenset({"contrat", "qualite-donnees"})
_PATIENCE_MS: Final = 90_000
WIDE: Final = (1920, 1080)
LAPTOP: Final = (1366, 768)
_PICTURES: Final = os.environ.get("SCREENSHOTS")
# Our texts may hold words of Superset's English pack that are French words too: whole lines alone count.
_ERRORS: Final = ".ant-alert-error, [data-test=error-alert], .error-boundary"


@dataclass(frozen=True)
class Person:
    """Who opens the dashboards: an account, what its role is called in a sheet, whether it sees one authority alone."""

    login: str
    password: str
    role: str
    is_of_one_town: bool = False

    def opens(self, sheet: Sheet) -> bool:
        return self.role in sheet.roles and (sheet.is_by_authority or not self.is_of_one_town)


@dataclass(frozen=True)
class Instance:
    """A running instance, its sheets and its people."""

    settings: Settings
    plan: dashboards.Plan
    people: Mapping[str, Person]
    authority: str

    def vigie(self, *words: str, check: bool = True) -> str:
        return _vigie(self.settings.home, *words, check=check)

    def ask(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.vigie("sql", query, "--format", "json"))
        return rows


def _vigie(home: Path, *words: str, check: bool = True) -> str:
    done = subprocess.run([VIGIE, *words, "--home", str(home)], capture_output=True, text=True, timeout=1500, check=False)
    assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(autouse=True)
def _with_dashboards(_own_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests do without."""
    monkeypatch.setenv("VIGIE_DASHBOARDS", "on")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory, extension_directory: Path) -> Iterator[Instance]:
    """A territory whose first start has come back, its dashboards pushed, and an analyst of its largest town."""
    if not BESIDE.exists():
        pytest.skip("Superset's environment is not installed (make superset)")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("VIGIE_", "DAGSTER_", "DBT_")):
                patch.delenv(name)
        patch.setenv("VIGIE_EXTENSION_DIRECTORY", str(extension_directory))
        home = tmp_path_factory.mktemp("dashboards") / "home"
        try:
            _vigie(home, "up", "--detach", "--simulate", _SIZE)
            _vigie(home, "dashboards", "push")  # waits for the service's own, which follows its start
            settings = Settings.load(home)
            query = "SELECT owner_authority, count(*) AS n FROM core.equipment GROUP BY ALL ORDER BY n DESC LIMIT 1"
            owners = json.loads(_vigie(home, "sql", query, "--format", "json"))
            authority = str(owners[0]["owner_authority"])
            password = _vigie(home, "dashboards", "people", "add", "voisine", "--role", "analyste", "--authority", authority).strip()
            secrets = settings.secrets.dashboards
            people = {role: Person(role, secrets[role].get_secret_value(), role) for role in ("analyste", "referent", "pcc", "visiteur")}
            people["voisine"] = Person("voisine", password, "analyste", is_of_one_town=True)
            yield Instance(settings, dashboards.plan(settings), people, authority)
        finally:
            _vigie(home, "down")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(**CHROMIUM)
        yield started
        started.close()


def test_every_panel_answers(instance: Instance) -> None:
    report = json.loads(instance.vigie("dashboards", "check", "--json", check=False))
    panels = report["panels"]
    assert len(panels) == len(instance.plan.bundle.panels)
    wrong = [f"{p['sheet']} / {p['tab']} / {p['panel']}: {p['problem']}" for p in panels if p["problem"]]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(
    ("who", "size"),
    [
        ("analyste", WIDE),
        ("voisine", LAPTOP),
        ("referent", LAPTOP),
        ("pcc", WIDE),
        ("visiteur", LAPTOP),
        *([("analyste", LAPTOP), ("voisine", WIDE), ("referent", WIDE), ("pcc", LAPTOP), ("visiteur", WIDE)] if IS_THOROUGH else []),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value[0]}x{value[1]}",
)
def test_each_dashboard_as_each_role(instance: Instance, browser: Browser, who: str, size: tuple[int, int]) -> None:
    person, url = instance.people[who], instance.settings.superset_url
    messages = english(url)
    watched = Watched(browser, url, size=size)
    watched.sign_in(person.login, person.password)
    watched.page.wait_for_url(f"{url}/", timeout=_PATIENCE_MS)
    wrong: list[str] = []
    for code, sheet in instance.plan.sheets.items():
        if not person.opens(sheet):
            watched.page.goto(f"{url}/superset/dashboard/{code}/")
            watched.page.wait_for_load_state("networkidle", timeout=_PATIENCE_MS)
            assert watched.page.locator(".dashboard-component-chart-holder").count() == 0, f"{code} is not for {who}"
            continue
        watched.page.goto(f"{url}/superset/dashboard/{code}/")
        # Each tab for who has them all; for the others the tabs are the same, and the first one tells.
        tabs = [t.title for t in sheet.tabs] if who == "analyste" or IS_THOROUGH else [sheet.tabs[0].title]
        for tab in tabs:
            watched.page.locator("[role=tab]", has_text=re.compile(f"^{re.escape(tab)}$")).first.click(timeout=_PATIENCE_MS)
            _settle(watched.page)
            may_be_blank = person.is_of_one_town and code in _OF_THE_WHOLE
            wrong += [f"{code} / {tab}: {problem}" for problem in _problems(watched, sheet, messages, may_be_blank=may_be_blank)]
            if _PICTURES and who == "analyste" and size == WIDE and tab == sheet.tabs[0].title:
                watched.page.screenshot(path=str(ROOT / _PICTURES / f"dashboard-{code}.png"))
    assert wrong == [], "\n".join(wrong)
    assert watched.outside == []
    watched.page.context.close()


def _settle(page: Page) -> None:
    """Wait until the tab's panels are drawn; those below the fold are drawn as one comes to them."""
    page.locator(".dashboard-component-chart-holder:visible").first.wait_for(timeout=_PATIENCE_MS)
    for holder in page.locator(".dashboard-component-chart-holder:visible").all():
        holder.scroll_into_view_if_needed(timeout=_PATIENCE_MS)
    page.wait_for_function(
        "() => ![...document.querySelectorAll('.dashboard-component-chart-holder .loading, [data-test=loading-indicator]')]"
        ".some(e => e.offsetParent)",
        timeout=_PATIENCE_MS,
    )
    page.evaluate("() => window.scrollTo(0, 0)")


def _problems(watched: Watched, sheet: Sheet, messages: set[str], *, may_be_blank: bool) -> Iterator[str]:
    page = watched.page
    for holder in page.locator(".dashboard-component-chart-holder:visible").all():
        title = _title(holder)
        if holder.locator(_ERRORS).count():
            yield f"« {title} » shows an error: {holder.inner_text()[:300]}"
        elif holder.locator(".ant-empty:visible").count() and not may_be_blank and may_be_empty(sheet, title) is None:
            yield f"« {title} » is empty"
    if said := said_in_english(watched.words(), messages):
        yield f"English: {said}"
    width, room = page.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
    if width > room:
        yield f"{width} pixels wide, where there are {room}"


def _title(holder: Locator) -> str:
    found = holder.locator("[data-test=editable-title], .header-title").first
    return found.inner_text().strip() if found.count() else ""


def test_figures_are_those_of_the_lake(instance: Instance, browser: Browser) -> None:
    """What stands on the screen is what `vigie sql` answers: for the dashboards whose period holds all there is."""
    person, url = instance.people["analyste"], instance.settings.superset_url
    watched = Watched(browser, url, size=WIDE)
    watched.sign_in(person.login, person.password)
    watched.page.wait_for_url(f"{url}/", timeout=_PATIENCE_MS)
    compared = 0
    for code in ("vue-ensemble", "contrat"):
        sheet = instance.plan.sheets[code]
        watched.page.goto(f"{url}/superset/dashboard/{code}/")
        _settle(watched.page)
        for panel in sheet.tabs[0].panels:
            if panel.kind != "chiffre" or panel.compare is not None:
                continue
            holder = watched.page.locator(".dashboard-component-chart-holder:visible", has_text=panel.title).first
            shown = holder.locator(".header-line").first.inner_text()
            measure = instance.plan.tables[str(panel.table)].measures[panel.measures[0]]
            (row,) = instance.ask(f"SELECT {measure.expression} AS value FROM {panel.table} {_where(panel)}")
            assert _number(shown) == pytest.approx(round(float(row["value"]), measure.decimals), abs=10**-measure.decimals / 2), panel.title
            compared += 1
    assert compared >= 4
    watched.page.context.close()


def _where(panel: Panel) -> str:
    kept = [_condition(c) for c in panel.where]
    return f"WHERE {' AND '.join(kept)}" if kept else ""


def _condition(condition: Condition) -> str:
    def listed(values: tuple[object, ...]) -> str:
        return ", ".join("'" + str(v).replace("'", "''") + "'" if isinstance(v, str) else str(v) for v in values)

    parts = []
    if condition.values:
        parts.append(f"{condition.column} IN ({listed(condition.values)})")
    if condition.excepted:
        parts.append(f"{condition.column} NOT IN ({listed(condition.excepted)})")
    if condition.at_least is not None:
        parts.append(f"{condition.column} >= {condition.at_least}")
    if condition.at_most is not None:
        parts.append(f"{condition.column} <= {condition.at_most}")
    return " AND ".join(parts)


def _number(shown: str) -> float:
    """Read a number as it is written in French: spaces between thousands, a comma."""
    return float(re.sub(r"[^0-9,+-]", "", shown).replace(",", "."))


def test_an_analyst_of_one_town_reads_its_numbers(instance: Instance) -> None:
    """A panel asked by a town's analyst gives the town's rows of the lake, and not the territory's."""
    bundle, table = instance.plan.bundle, "indicators.territory_overview_monthly"
    wanted = next(p for p in bundle.panels if p.sheet == "vue-ensemble" and p.title == "Combien les habitants nous ont-ils signalé ?")
    query = f"SELECT sum(reports_received) AS n FROM {table}"
    (whole,) = instance.ask(query)
    (town,) = instance.ask(f"{query} WHERE owner_authority = '{instance.authority.replace(chr(39), chr(39) * 2)}'")
    assert 0 < town["n"] < whole["n"]
    for who, expected in (("voisine", town["n"]), ("analyste", whole["n"])):
        person = instance.people[who]
        with Superset(instance.settings.superset_url, person.login, person.password) as server:
            (number,) = (int(d["id"]) for d in server.all("/api/v1/dataset/") if d["uuid"] == bundle.datasets[table].uuid)
            now = server.chart_data(for_dataset(wanted.query_context, number))[0]["data"][0]
        assert now["reports_received"] == expected, who


def test_no_dataset_shows_a_town_s_analyst_a_row_of_another(instance: Instance) -> None:
    """Each table that a sheet draws on, by four ways: a chart's query, its rows, a filter's choices, SQL Lab."""
    person, bundle = instance.people["voisine"], instance.plan.bundle
    seen: dict[str, set[str]] = {}
    with Superset(instance.settings.superset_url, person.login, person.password) as server:
        numbers = {str(d["uuid"]): int(d["id"]) for d in server.all("/api/v1/dataset/")}
        for table, made in bundle.datasets.items():
            number, column = numbers[made.uuid], made.authority_column
            if column is None:
                assert _sql(server, f"SELECT count(*) AS n FROM {table}") == [{"n": 0}], table
                first = next(iter(instance.plan.tables[table].columns))
                assert _rows(server, number, [first]) == [], table
                assert _choices(server, number, first) == [], table
                continue
            found = {str(row[column]) for row in _rows(server, number, [column])}
            found |= {str(value) for value in _choices(server, number, column)}
            found |= {str(row["a"]) for row in _sql(server, f"SELECT DISTINCT {column} AS a FROM {table}")}
            seen[table] = found
    assert {table: found for table, found in seen.items() if not found <= {instance.authority}} == {}
    assert sum(bool(found) for found in seen.values()) > len(seen) / 2, "too little was there to prove anything"


def _rows(server: Superset, number: int, columns: list[str]) -> list[dict[str, Any]]:
    query = {"columns": columns, "metrics": [], "row_limit": 10_000}
    context = {"datasource": {"id": number, "type": "table"}, "queries": [query], "result_format": "json", "result_type": "full"}
    return list(server.chart_data({**context, "force": True})[0]["data"])


def _choices(server: Superset, number: int, column: str) -> list[Any]:
    return list(server.get(f"/api/v1/datasource/table/{number}/column/{column}/values/")["result"])


def _sql(server: Superset, sql: str) -> list[dict[str, Any]]:
    query = {
        "database_id": 1,
        "sql": sql,
        "client_id": uuid.uuid4().hex[:10],
        "runAsync": False,
        "schema": "indicators",
        "queryLimit": 10_000,
    }
    return list(server.post("/api/v1/sqllab/execute/", query)["data"])
