"""A dashboard server over a small lake of two authorities, for tests: PostgreSQL, the lake, Superset, two dashboards pushed.

Here: the fixture `served` (once per process: a first start takes half a minute), its sheets, its tables, its accounts. Not here: tests. A
module that uses it says `pytest_plugins = ("tests.superset_server",)`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from dashboards import access, people, rights
from dashboards.client import Superset
from dashboards.push import Record, push
from dashboards.sheets import catalogue
from dashboards.sheets.load import check_sheet, load_all
from ingestion.lake.session import connect
from ingestion.lake.tables import create_lake
from orchestration.services import postgres
from orchestration.settings import Settings, create_local
from orchestration.superset import process, server_file
from orchestration.superset.dashboards import Plan

SARRY, AGGLO = "Commune de Sarry", "Châlons-Agglo"
# 300 failures: a third of each authority, a third of nobody's.
ROWS: Final = 300
OF_EACH: Final = ROWS // 3

_TABLES: Final = {
    "failure": "SELECT DATE '2026-01-01' + (i % 90)::INT AS day, TIMESTAMPTZ '2026-01-01 12:00:00+00' + i * INTERVAL 1 HOUR AS started_at, "
    f"CASE i % 3 WHEN 0 THEN '{SARRY}' WHEN 1 THEN '{AGGLO}' END AS owner_authority, 'Commune ' || (i % 3) AS commune, "
    f"i AS reference, 1 AS failures FROM range({ROWS}) AS t(i)",
    "delivery": "SELECT 'source ' || i AS feed, i AS records FROM range(10) AS t(i)",
    # Published, and on no dashboard: it has no rules.
    "unused": f"SELECT '{SARRY}' AS owner_authority, 1 AS n",
}


def _column(name: str, data_type: str, label: str, unit: str | None = None) -> dict[str, Any]:
    meta = {"label": label} | ({} if unit is None else {"unit": unit})
    return {"name": name, "data_type": data_type, "description": f"{label}.", "config": {"meta": meta}}


def _metric(name: str, label: str, expression: str, unit: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "expression": expression,
        "unit": unit,
        "decimals": 0,
        "description": f"{label}.",
        "is_better": "lower",
    }


def _model(name: str, label: str, authority: str, columns: list[dict[str, Any]], metrics: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": f"indicators__{name}",
        "resource_type": "model",
        "description": f"{label}.",
        "columns": {c["name"]: c for c in columns},
        "config": {"meta": {"label": label, "row_authority": authority, "owner": "Service", "classification": "open", "metrics": metrics}},
    }


MANIFEST: Final[dict[str, Any]] = {
    "nodes": {
        "failure": _model(
            "failure",
            "Pannes",
            "owner_authority",
            [
                _column("day", "date", "Jour"),
                _column("started_at", "timestamp with time zone", "Début"),
                _column("owner_authority", "varchar", "Collectivité"),
                _column("commune", "varchar", "Commune"),
                _column("reference", "bigint", "Numéro", "1"),
                _column("failures", "integer", "Pannes", "pannes"),
            ],
            [
                _metric("failures_count", "Pannes", "sum(failures)", "pannes"),
                _metric("places", "Communes", "count(DISTINCT commune)", "communes"),
            ],
        ),
        "delivery": _model(
            "delivery",
            "Livraisons",
            "none",
            [_column("feed", "varchar", "Source"), _column("records", "bigint", "Enregistrements", "enregistrements")],
            [_metric("records_count", "Enregistrements", "sum(records)", "enregistrements")],
        ),
    }
}

_HEAD: Final = """\
titre: {title}
rang: {rank}
pour: Le service qui veut savoir, et décide avec les réponses.
ouvert_a: {roles}
questions: [Combien y en a-t-il ?]
decisions: [Envoyer une équipe.]
responsable: Service
convenu_le: "2026-11-20"
"""
SHEETS: Final = {
    "pannes": _HEAD.format(title="Pannes", rank=1, roles="[analyste, referent, pcc, visiteur]")
    + textwrap.dedent("""\
        filtres:
          - {titre: Commune, genre: valeurs, colonne: commune}
        onglets:
          - titre: Synthèse
            panneaux:
              - titre: Combien de pannes ?
                genre: chiffre
                table: indicators.failure
                mesures: [failures_count]
                largeur: 4
              # Ce que le service regarde d'abord.
              - titre: Combien de pannes par jour ?
                genre: courbe
                table: indicators.failure
                mesures: [failures_count]
                temps: day
                pas: jour
                largeur: 8
              - titre: Quelles communes en ont le plus ?
                genre: classement
                table: indicators.failure
                mesures: [failures_count]
                par: [commune]
                limite: 10
          - titre: Lignes
            panneaux:
              - titre: Quelles sont les pannes ?
                genre: tableau
                table: indicators.failure
                colonnes: [reference, started_at, commune, owner_authority]
                limite: 1000
                largeur: 12
        """),
    "donnees": _HEAD.format(title="Données reçues", rank=2, roles="[analyste, referent]")
    + textwrap.dedent("""\
        par_collectivite: false
        onglets:
          - titre: Livraisons
            panneaux:
              - titre: Combien d'enregistrements par source ?
                genre: classement
                table: indicators.delivery
                mesures: [records_count]
                par: [feed]
        """),
}
# Login to role and authority; the password is `password_of` the login.
ACCOUNTS: Final[dict[str, tuple[str, str | None]]] = {
    "sarry": ("analyste", SARRY),
    "agglo": ("referent", AGGLO),
    "sarry.pcc": ("pcc", SARRY),
    "sarry.visiteur": ("visiteur", SARRY),
    "partout": ("analyste", None),
    "partout.pcc": ("pcc", None),
    "partout.visiteur": ("visiteur", None),
}


def password_of(login: str) -> str:
    """Return the password of an account of the tests."""
    return f"mot de passe de {login}"


@dataclass(frozen=True)
class Served:
    """A running server, and what was pushed to it.

    Attributes:
        settings: of its instance.
        folder: where its sheets are.
    """

    settings: Settings
    folder: Path
    _sessions: dict[str, Superset] = field(default_factory=dict)
    _browsers: dict[str, httpx.Client] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """Its sheets as they are now, over its tables."""
        return plan_of(self.folder)

    @property
    def robot(self) -> Superset:
        """Vigie's own account."""
        return self.session(server_file.ROBOT, server_file.robot_password(self.settings))

    def session(self, login: str, password: str | None = None) -> Superset:
        """Return an account's session with the API; each signs in once."""
        if login not in self._sessions:
            self._sessions[login] = Superset(self.settings.superset_url, login, password or password_of(login))
        return self._sessions[login]

    def browser(self, login: str) -> httpx.Client:
        """Return an account's session as a browser has it: by the sign-in page, with a cookie."""
        if login not in self._browsers:
            client = httpx.Client(base_url=self.settings.superset_url, timeout=60, follow_redirects=True)
            client.headers["Referer"] = self.settings.superset_url
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/login/").text)
            assert token is not None
            client.post("/login/", data={"username": login, "password": password_of(login), "csrf_token": token[1]})
            client.headers["X-CSRFToken"] = client.get("/api/v1/security/csrf_token/").json()["result"]
            self._browsers[login] = client
        return self._browsers[login]

    def close(self) -> None:
        """Close every session."""
        for session in self._sessions.values():
            session.close()
        for browser in self._browsers.values():
            browser.close()


def plan_of(folder: Path) -> Plan:
    """Return what a folder of sheets makes of the tests' tables."""
    tables = catalogue.read(MANIFEST)
    sheets = load_all(folder)
    for code in sheets:
        check_sheet(folder / f"{code}.yaml", tables)
    return Plan(sheets, tables, "Europe/Paris")


def publish(settings: Settings) -> None:
    """Make the tests' tables and publish them."""
    create_lake(settings.lake)
    with connect(settings.lake) as con:
        con.execute("USE lake")
        con.execute("CREATE SCHEMA IF NOT EXISTS work_indicators")
        for name, query in _TABLES.items():
            con.execute(f"CREATE TABLE work_indicators.{name} AS {query}")
            con.execute(f"CREATE VIEW indicators.{name} AS SELECT * FROM work_indicators.{name}")


@contextmanager
def serving(base: Path, extension_directory: Path, sheets: Mapping[str, str]) -> Iterator[Served]:
    """A new instance with a server, the tests' tables, these sheets pushed, and accounts; skipped where Superset is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIGIE_EXTENSION_DIRECTORY", str(extension_directory))
        patch.setenv("VIGIE_DASHBOARDS", "on")
        settings = create_local(base / "home")
        if not settings.superset_python.exists():
            pytest.skip("Superset's environment is not installed (make superset)")
        folder = base / "specs"
        folder.mkdir()
        for code, text in sheets.items():
            (folder / f"{code}.yaml").write_text(text, encoding="utf-8")
        with postgres.running(settings):
            publish(settings)
            process.prepare(settings)
            with process.started(settings) as server:
                process.wait(settings, server)
                found = Served(settings, folder)
                _people(found)
                yield found
                found.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, extension_directory: Path) -> Iterator[Served]:
    """The server that tests share."""
    with serving(tmp_path_factory.mktemp("superset"), extension_directory, SHEETS) as found:
        yield found


def _people(found: Served) -> None:
    bundle = found.plan.bundle
    for name in (SARRY, AGGLO):
        rights.make_role(found.robot, access.authority_role(name))
    push(found.robot, bundle, Record()).record.write(found.settings.superset_path / "pushed.json")
    for login, (role, authority) in ACCOUNTS.items():
        people.add(found.robot, login, name=login, role=people.known_role(role), authority=authority, password=password_of(login))
    rights.apply(found.robot, bundle)
