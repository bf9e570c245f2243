"""SQL Lab, asked by an analyst over a real server: what is refused, cut, bounded; and that it survives what happens beneath it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboards.client import Superset
from ingestion.lake.session import connect
from orchestration.services import ports, postgres
from orchestration.superset import process, server_file
from tests.superset_server import ROWS, Served, password_of

pytest_plugins = ("tests.superset_server",)

T = "indicators.failure"
META = "__ducklake_metadata_lake"


def _ask(session: Superset, sql: str, limit: int = 1000) -> httpx.Response:
    query = {"database_id": 1, "sql": sql, "client_id": uuid.uuid4().hex[:10], "runAsync": False, "schema": "indicators"}
    query["queryLimit"] = limit
    return session.call("POST", "/api/v1/sqllab/execute/", json=query)


def _message(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["message"])


def _rows(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


REFUSED = {
    "insert": "INSERT INTO raw.asset (asset_ref) VALUES ('x')",
    "delete": "DELETE FROM work_indicators.failure",
    "update": "UPDATE work_indicators.failure SET failures = 0",
    "create": "CREATE TABLE indicators.t AS SELECT 1",
    "drop": "DROP VIEW indicators.failure",
    "a host file": "SELECT * FROM read_text('/etc/passwd')",
    "a file of the lake": "SELECT * FROM read_parquet('{data}/**/*.parquet')",
    "a file as a table": "SELECT * FROM '{data}/x.parquet'",
    "glob": "SELECT * FROM glob('{data}/**')",
    "copy out": "COPY (SELECT 1) TO '{data}/out.parquet'",
    "attach": "ATTACH 'x.db' AS x",
    "set": "SET enable_external_access = true",
    "pragma": "PRAGMA database_list",
    "call": "CALL pragma_version()",
    "install": "INSTALL httpfs",
    "the catalogue's own schema": f"SELECT * FROM {META}.lake.ducklake_data_file",
    "a query for the catalogue": f"SELECT * FROM postgres_query('{META}', 'SELECT 1')",
    "the catalogue's snapshots": "SELECT * FROM ducklake_snapshots('lake')",
    "information_schema": "SELECT * FROM information_schema.tables",
    "duckdb_tables": "SELECT * FROM duckdb_tables()",
    "raw rows": "SELECT * FROM raw.landing",
    "a build's table": "SELECT * FROM work_indicators.failure",
    "a build's table, from the lake's name": "SELECT * FROM lake.work_indicators.failure",
    "a setting": "SELECT current_setting('secret_directory')",
    "the environment": "SELECT getenv('HOME')",
    "another time": f"SELECT * FROM {T} AT (VERSION => 1)",
    "several statements": "SELECT 1; SELECT 2",
    "several statements, one hidden": f"SELECT 1; /* */ SELECT * FROM {T}",
    "no schema": "SELECT * FROM failure",
    "nonsense": "SELECT FROM WHERE (",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_french(served: Served, name: str) -> None:
    data = served.settings.lake.data_path
    answer = _ask(served.session("partout"), REFUSED[name].replace("{data}", data))
    assert answer.status_code == 400
    message = _message(answer)
    assert message.startswith("Requête refusée : ")
    assert "refused" not in message
    assert "is not" not in message


def test_nothing_of_a_refused_text_has_run(served: Served) -> None:
    assert _ask(served.session("partout"), "SELECT 1 AS one; DROP VIEW indicators.failure").status_code == 400
    assert _rows(_ask(served.session("partout"), f"SELECT count(*) AS n FROM {T}")) == [{"n": ROWS}]


def test_one_select_is_answered(served: Served) -> None:
    analyst = served.session("partout")
    assert _rows(_ask(analyst, f"WITH a AS (SELECT failures FROM {T}) SELECT sum(failures) AS n FROM a")) == [{"n": ROWS}]
    assert _rows(_ask(analyst, "SELECT 2 AS n;  -- deux")) == [{"n": 2}]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (f"SELECT nothing FROM {T}", "La colonne nothing n'existe pas"),
        (f"SELECT sum(commune) AS n FROM {T}", "La requête ne convient pas aux tables"),
        (f"SELECT CAST(commune AS INTEGER) FROM {T}", "Une valeur ne convient pas"),
    ],
)
def test_what_cannot_run_says_why_in_french(served: Served, sql: str, words: str) -> None:
    message = _message(_ask(served.session("partout"), sql))
    assert message.startswith(words)
    assert "duckdb error" not in message


def test_rows_are_capped(served: Served) -> None:
    answer = _ask(served.session("partout"), f"SELECT a.reference FROM {T} AS a, {T} AS b, {T} AS c", limit=10_000_000)
    assert len(_rows(answer)) == 10_000  # what a page is shown; SQL_MAX_ROW bounds what is read for it


@pytest.fixture(scope="module")
def narrow(served: Served) -> Iterator[Superset]:
    """A second server over the same databases, with two seconds and 200 MB for a query."""
    settings = served.settings
    own = settings.model_copy(update={"superset_port": ports.choose()})
    path = server_file.path(settings)
    before = path.read_text(encoding="utf-8")
    document = json.loads(before) | {"timeout_s": 2.0, "limits": {"memory_limit": "200MB", "threads": 2}}
    path.write_text(json.dumps(document), encoding="utf-8")
    try:
        with process.started(own) as server:
            process.wait(own, server)
            session = Superset(own.superset_url, "partout", password_of("partout"))
            yield session
            session.close()
    finally:
        path.write_text(before, encoding="utf-8")


def test_a_long_query_is_cut(narrow: Superset) -> None:
    five = ", ".join(f"{T} AS {name}" for name in "abcde")
    answer = _ask(narrow, f"SELECT count(*) AS n FROM {five} WHERE (a.reference + e.reference) % 7 = b.reference")
    assert _message(answer).startswith("Requête interrompue après 2 s")
    assert _rows(_ask(narrow, f"SELECT count(*) AS n FROM {T}")) == [{"n": ROWS}]


def test_memory_is_bounded(narrow: Superset) -> None:
    answer = _ask(narrow, f"SELECT len(list(a.reference)) AS n FROM {T} AS a, {T} AS b, {T} AS c, {T} AS d")
    assert _message(answer).startswith("La requête demande trop de mémoire")
    assert _rows(_ask(narrow, f"SELECT count(*) AS n FROM {T}")) == [{"n": ROWS}]


def test_a_new_publication_is_read_by_the_connection_that_stands(served: Served) -> None:
    analyst = served.session("partout")
    assert _rows(_ask(analyst, "SELECT sum(records) AS n FROM indicators.delivery")) == [{"n": 45}]
    with connect(served.settings.lake) as con:
        con.execute("USE lake")
        con.execute("CREATE TABLE work_indicators.delivery_2 AS SELECT * FROM work_indicators.delivery UNION ALL SELECT 'source 10', 100")
        con.execute("CREATE OR REPLACE VIEW indicators.delivery AS SELECT * FROM work_indicators.delivery_2")
    try:
        # Each worker has a connection of its own: ask more often than there are workers.
        for n in range(6):
            assert _rows(_ask(analyst, f"SELECT sum(records) AS n FROM indicators.delivery WHERE {n} = {n}")) == [{"n": 145}]
    finally:
        with connect(served.settings.lake) as con:
            con.execute("USE lake")
            con.execute("CREATE OR REPLACE VIEW indicators.delivery AS SELECT * FROM work_indicators.delivery")


def test_postgresql_may_be_started_again(served: Served) -> None:
    analyst = served.session("partout")
    for n in range(6):
        _rows(_ask(analyst, f"SELECT {n} AS n FROM {T} LIMIT 1"))
    postgres.stop(served.settings)
    try:
        assert analyst.call("GET", "/health").status_code == 200
        assert _ask(analyst, f"SELECT count(*) AS n FROM {T}").status_code >= 400
    finally:
        postgres._start(served.settings)
    for n in range(6):
        assert _rows(_ask(analyst, f"SELECT count(*) + {n} AS n FROM {T}")) == [{"n": ROWS + n}]


def test_files_stay_in_the_home(served: Served) -> None:
    home = served.settings.superset_path
    secret = served.settings.superset_secret.get_secret_value()
    assert server_file.path(served.settings).stat().st_mode & 0o077 == 0
    assert home.stat().st_mode & 0o077 == 0
    readable = [p for p in home.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]
    assert readable == [server_file.path(served.settings)]
    conf = Path(process.ROOT / "dashboards" / "server" / "gunicorn_conf.py").read_text(encoding="utf-8")
    assert "control_socket_disable = True" in conf  # it would stand in the user's own folder


def test_another_database_cannot_be_added(served: Served) -> None:
    body = {"database_name": "Autre", "sqlalchemy_uri": replace(served.settings.lake).catalogue_url}
    answer = served.robot.call("POST", "/api/v1/database/", json=body)
    assert answer.status_code == 422
